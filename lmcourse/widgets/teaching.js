// What the viewers of chapters 7 and 8 share: a field for a sentence of the teaching language, its words
// to choose from, the parts that both models have, and tables of weights and probabilities.
import { h, s, newId, put } from "./common.js";
import { causalMask, elementwise, embedding, factsOf, layersOf, linear, loadWeights, logSoftmax, row, sinusoidalPositions, whenVisible } from "./forward.js";
import { BOS, EOS, MOST_WORDS, understand, wordsOf } from "./teaching_words.js";

export const HEADS = 4;

/**
 * The field for the sentence, with examples and a list of all words. An example is a sentence, or
 * { sentence, position, what }: the word that is looked at, and what there is to see. After an edit the
 * last word is looked at, or with `keepPlace` the place that was chosen, where there is one.
 */
export function sentenceField(model, vocabulary, most = MOST_WORDS, { keepPlace = false } = {}) {
  const problem = h("p", { class: "lc-error", id: newId(), role: "alert" });
  const field = h("input", {
    type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-describedby": problem.id,
    oninput: () => take(true), onchange: () => take(false),
  });
  const offered = model.get("examples").map((one) => (one.sentence ? one : { sentence: one, what: one }));
  const examples = h("select", {
    onchange: () => {
      const { sentence, position } = offered[examples.value];
      show(sentence);
      wanted = position ?? wanted;
      read(wordsOf(sentence));
      if (position) put(model, { position });
      examples.value = "";
    },
  }, h("option", { value: "" }, "choose one …"), offered.map(({ what }, i) => h("option", { value: i }, what)));

  let wanted = model.get("position"); // a shorter sentence hides its last word, and does not forget the place
  let reading = false;
  model.on("change:position", () => {
    if (!reading) wanted = model.get("position");
  });

  function read(words) {
    if (words.join(" ") === model.get("sentence")) return;
    reading = true;
    put(model, { sentence: words.join(" "), position: keepPlace ? Math.min(wanted, words.length) : words.length });
    reading = false;
  }

  function say(text) {
    if (problem.textContent !== text) problem.textContent = text;
    field.setAttribute("aria-invalid", String(text !== ""));
  }

  function take(typing) {
    const { words, problem: wrong } = understand(field.value, vocabulary, typing, most);
    say(wrong && `${wrong} Still shown below: the last sentence that could be read.`);
    if (!wrong && words.length) read(words);
  }

  function show(sentence) {
    field.value = sentence;
    say("");
  }

  const shown = () => wordsOf(field.value).join(" ").toLowerCase();
  model.on("change:sentence", () => {
    // What the reader types is left alone; what was set elsewhere is shown.
    const now = model.get("sentence");
    if (document.activeElement !== field && shown() !== now.toLowerCase()) show(now);
  });
  show(model.get("sentence"));
  return h("div", {},
    h("div", { class: "lc-row lc-end lc-gap", style: "margin-top:.7rem" },
      h("label", { class: "lc-field lc-wide" }, "A sentence of the teaching language", field),
      h("label", { class: "lc-field lc-rnn-examples" }, "Examples", examples)),
    problem,
    h("details", { class: "lc-small" },
      h("summary", {}, `The ${vocabulary.length} words of the teaching language`),
      h("p", {}, [...vocabulary].sort((a, b) => a.localeCompare(b, "en")).join(" "))));
}

/** The words as radio buttons, with their bits below. `draw(words, bits)` shows a sentence, <s> first. */
export function wordStrip(model, legend) {
  const name = newId();
  const strip = h("div", { class: "lc-rnn-reader" });
  function draw(words, bits) {
    const sentence = words.join(" ");
    if (strip.dataset.sentence !== sentence) {
      strip.dataset.sentence = sentence;
      strip.replaceChildren(...words.map((word, i) => h("label", {},
        h("input", { type: "radio", name, value: i, onchange: () => put(model, { position: i }) }),
        h("span", { class: i ? null : "lc-mark" }, word),
        h("small", {}))));
    }
    const here = placeOf(model);
    [...strip.children].forEach((label, i) => {
      label.classList.toggle("lc-rnn-read", i <= here);
      label.firstChild.checked = i === here;
      label.lastChild.textContent = i ? bits[i].toFixed(1) : "\u00a0";
    });
  }
  return { node: h("fieldset", { class: "lc-part" }, h("legend", {}, legend), strip), draw };
}

/** The position that is looked at: a larger one means the last. */
export function placeOf(model) {
  return Math.min(model.get("position"), wordsOf(model.get("sentence")).length);
}

/** The parts of a language model of this file: tokens, layers, the vectors that go in, log P that comes out. */
export function partsOf(tensors) {
  const { tokens } = factsOf(tensors);
  const layers = [];
  while (`layers.layers.${layers.length}.attention.in_projection.weight` in tensors)
    layers.push(layersOf(tensors, `layers.layers.${layers.length}.`));
  const words = tensors["embedding.embedding.weight"];
  const dModel = words.shape[1];
  return {
    tokens,
    vocabulary: tokens.filter((token) => token !== BOS && token !== EOS),
    layers,
    /** For <s> and the words: { ids, mask, word, position, hidden }, hidden = word + position. */
    embed(list) {
      const ids = [BOS, ...list].map((one) => tokens.indexOf(one));
      const word = elementwise((x) => x * Math.sqrt(dModel), embedding(ids, words));
      const position = sinusoidalPositions(ids.length, dModel);
      return { ids, mask: causalMask(ids.length), word, position, hidden: added(word, position) };
    },
    /** hidden (time, d_model) -> log P of each next token, in nats (time, vocab_size). */
    predict: (hidden) => logSoftmax(linear(hidden, tensors["output.weight"], tensors["output.bias"])),
  };
}

/** The sum of two tensors. */
export function added(a, b) {
  return elementwise((x, y) => x + y, a, b);
}

/** −log₂ P of each word that came; the first token has none. */
export function bitsOf(ids, logProbs) {
  return ids.map((id, t) => (t ? -row(logProbs, t - 1).data[id] / Math.LN2 : 0));
}

export const total = (numbers) => numbers.reduce((sofar, one) => sofar + one, 0);

/** A probability in three places; what would be rounded to 0 or 1 and is neither is said to be. */
export function chance(p) {
  if (p > 0 && p < 0.0005) return "< 0.001";
  if (p < 1 && p > 0.9995) return "> 0.999";
  return p.toFixed(3);
}

export const named = (token) => (token === EOS ? "⏎ end" : token);

/** The words up to this place, the last three of them. */
export function upTo(words, place) {
  return `“${place > 2 ? "… " : ""}${words.slice(Math.max(0, place - 2), place + 1).join(" ")}”`;
}

/** Indices of the largest numbers, the largest first. */
export function largest(numbers, count) {
  return Array.from(numbers, (_, i) => i).sort((a, b) => numbers[b] - numbers[a]).slice(0, count);
}

/** A table of next words, a bar for each column: columns [{ name, probs }]. */
export function nextWords(caption, tokens, columns) {
  const most = columns[0].probs.map((_, i) => Math.max(...columns.map(({ probs }) => probs[i])));
  const cell = (p, second) => h("td", {}, h("div", { class: "lc-share" },
    s("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
      s("rect", { width: Math.max(100 * p, 0.6).toFixed(2), height: 12, class: second ? "lc-rnn-second" : null })),
    h("span", {}, chance(p))));
  return h("table", { class: "lc-rnn-next" },
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, ["word", ...columns.map(({ name }) => name)].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, largest(most, 7).map((i) => h("tr", {},
      h("th", { scope: "row" }, named(tokens[i])),
      columns.map(({ probs }, k) => cell(probs[i], k > 0))))));
}

/** Where one word looks: a row for each head { name, weights, dim, current }, a column for each word. */
export function lookTable(caption, words, rows) {
  const cell = (weight) => h("td", { style: `--lc-vw:${(42 * weight).toFixed(1)}%` },
    weight < 0.005 ? h("span", { class: "lc-muted" }, "·") : weight.toFixed(2).replace(/^0/, ""));
  return [h("p", { class: "lc-label" }, caption), h("div", { class: "lc-scroll", tabindex: 0, role: "region", "aria-label": `${caption}, scrolls when it is wide` },
    h("table", { class: "lc-vw-looks", "aria-label": caption },
      h("thead", {}, h("tr", {}, h("td", {}), words.map((word) => h("th", { scope: "col" }, h("span", {}, word))))),
      h("tbody", {}, rows.map(({ name, weights, dim, current }) =>
        h("tr", { class: [dim ? "lc-vw-off" : "", current ? "lc-current" : ""].join(" ") },
          h("th", { scope: "row" }, name),
          Array.from(weights, cell))))))];
}

/** Starts a viewer once it is seen and its weights are there: `start(parts, tensors)`. */
export function whenLoaded({ model, el }, root, start) {
  const note = h("p", { class: "lc-muted lc-note", role: "status" }, "The trained model is loading …");
  root.append(note);
  whenVisible(el)
    .then(() => loadWeights(model))
    .then((tensors) => {
      note.remove();
      start(partsOf(tensors), tensors);
    })
    .catch((error) => (note.textContent = error.message));
}
