// The stack viewer: the Transformer of chapter 8 reads a sentence, and one word is followed up the
// stack. Every number is computed here, with the trained weights.
import { h, s, frame, live, newId, put } from "./common.js";
import { gelu, layerNorm, preNormBlock, row } from "./forward.js";
import { HEADS, bitsOf, chance, largest, lookTable, named, nextWords, placeOf, sentenceField, upTo, whenLoaded, wordStrip } from "./teaching.js";
import { BOS, wordsOf } from "./teaching_words.js";

/**
 * What the model makes of <s> and the words, stage by stage: { ids, word, position, stages }. A stage:
 * { name, added, after (time, d_model), logProbs (time, vocab_size) of the lens, weights (n_heads,
 * time, time) of an attention }. The last lens is what the model answers.
 */
export function climb(tensors, parts, words) {
  const { ids, mask, word, position, hidden } = parts.embed(words);
  const stages = [];
  const arrive = (name, more, after, weights) => {
    const logProbs = parts.predict(layerNorm(after, tensors["layers.norm.weight"], tensors["layers.norm.bias"]));
    stages.push({ name, added: more, after, logProbs, weights });
  };
  arrive("embedding and position", hidden, hidden);
  parts.layers.forEach((weights, i) => {
    const { attention, attended, thought, output } = preNormBlock(stages.at(-1).after, weights, HEADS, mask, gelu);
    arrive(`block ${i}, attention`, attention.output, attended, attention.weights);
    arrive(`block ${i}, feed-forward network`, thought, output);
  });
  return { ids, word, position, stages };
}

/** The length of a vector: the root of the sum of its squares. */
export const lengthOf = ({ data }) => Math.hypot(...data);

/** The first stage from which on this token stays the likeliest. */
export function settled(lenses, token) {
  return lenses.findLastIndex((probs) => largest(probs, 1)[0] !== token) + 1;
}

const probsAt = ({ logProbs }, place) => Array.from(row(logProbs, place).data, Math.exp);
const one = (value) => value.toFixed(1);

function render({ model, el }) {
  const root = frame(el, "Stack viewer", "Follow one word up the Transformer of chapter 8. It runs here, in the page. Blocks and heads are counted from 0.");
  whenLoaded({ model, el }, root, (parts, tensors) => start(model, root, parts, tensors));
}

function start(model, root, parts, tensors) {
  const { tokens, vocabulary } = parts;
  const name = newId();
  let now = null; // what is drawn: { words, and what `climb` gives }

  const strip = wordStrip(model, "Choose the word to follow; below each word its bits");
  const note = live();
  const floors = climb(tensors, parts, []).stages.map((stage, i) => {
    const radio = h("input", { type: "radio", name, onchange: () => put(model, { stage: i }) });
    const [lengths, lens, answer] = ["lc-vw-lengths", "lc-vw-lens", "lc-vw-answer"].map((className) => h("span", { class: className }));
    return { radio, lengths, lens, answer, node: h("label", { class: "lc-vw-floor" }, h("span", { class: "lc-vw-stage" }, radio, stage.name), lengths, lens, answer) };
  });
  const legend = h("legend", {});
  const detailTitle = h("p", { class: "lc-label lc-part" });
  const detail = h("div", {});

  root.append(
    sentenceField(model, vocabulary),
    strip.node,
    note.node,
    h("fieldset", { class: "lc-part" }, legend, h("div", { class: "lc-vw-tower" }, floors.map(({ node }) => node).reverse())),
    h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" },
      "A stage adds a vector to the vector of the word. “Adds” is the length of what is added, “length” that of the sum: the root of the sum of the squares. Then comes the logit lens: the likeliest next words if the last norm and the output matrix are applied to the vector so far. Both were trained for the top of the stack, so below it the lens shows a tendency, not an answer. The last bar is the probability that the lens gives to the word that the model answers at the top."),
    detailTitle,
    detail,
  );

  const words = () => [BOS, ...wordsOf(model.get("sentence"))];

  function compute() {
    const list = words();
    if (now?.words.join(" ") !== list.join(" ")) now = { words: list, ...climb(tensors, parts, list.slice(1)) };
    draw();
  }

  function bar(value, most, className) {
    return s("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
      s("rect", { width: ((100 * value) / most).toFixed(1), height: 6, class: className }));
  }

  function draw() {
    const place = placeOf(model);
    const word = now.words[place];
    const lenses = now.stages.map((stage) => probsAt(stage, place));
    const [answer] = largest(lenses.at(-1), 1);
    const lengths = now.stages.map(({ added, after }) => [added, after].map((vectors) => lengthOf(row(vectors, place))));
    const longest = Math.max(...lengths.flat());
    strip.draw(now.words, bitsOf(now.ids, now.stages.at(-1).logProbs));
    legend.textContent = `The way up of “${word}”, from below: choose a stage`;
    floors.forEach(({ radio, lengths: sizes, lens, answer: bars, node }, i) => {
      const [more, after] = lengths[i];
      radio.checked = i === model.get("stage");
      node.classList.toggle("lc-vw-here", radio.checked);
      sizes.replaceChildren(
        ...(i ? [h("span", {}, `adds ${one(more)}`), bar(more, longest, "lc-rnn-second")] : []),
        h("span", {}, `length ${one(after)}`), bar(after, longest));
      lens.replaceChildren(...largest(lenses[i], 3).map((token) => h("span", {}, h("b", {}, named(tokens[token])), ` ${chance(lenses[i][token])}`)));
      bars.replaceChildren(h("span", {}, `“${named(tokens[answer])}” ${chance(lenses[i][answer])}`), bar(lenses[i][answer], 1));
    });
    const from = settled(lenses, answer);
    note.say(
      `After ${upTo(now.words, place)} the model answers “${named(tokens[answer])}” (${chance(lenses.at(-1)[answer])}). `,
      from ? `It is the likeliest word from stage “${now.stages[from].name}” on.` : "It is the likeliest word at every stage.",
    );
    drawDetail(place, word, lenses, lengths);
  }

  function drawDetail(place, word, lenses, lengths) {
    const at = model.get("stage");
    const { name: stage, added, after, weights } = now.stages[at];
    const [more, length] = lengths[at];
    const seen = now.words.slice(0, place + 1);
    detailTitle.textContent = `${stage[0].toUpperCase()}${stage.slice(1)}`;
    const parts = [];
    if (!at) {
      const [ofWord, ofPlace] = [now.word, now.position].map((vectors) => row(vectors, place));
      parts.push(
        h("p", { class: "lc-small" }, `The embedding of “${word}”, times the root of ${ofWord.data.length}, has length ${one(lengthOf(ofWord))}. The position vector of place ${place} has length ${one(lengthOf(ofPlace))}. Their sum has length ${one(length)}: it enters the stack.`),
        vectors([["the embedding", ofWord], ["the position", ofPlace], ["their sum", row(after, place)]]),
      );
    } else {
      const before = row(now.stages[at - 1].after, place);
      const text = `A vector of length ${one(more)} is added to one of length ${one(lengths[at - 1][1])}; the sum has length ${one(length)}.`;
      parts.push(
        h("p", { class: "lc-small" }, `${weights ? "Attention gathers from the words that are marked below." : `The feed-forward network sees “${word}” alone.`} ${text}`),
        weights ? h("div", { class: "lc-part" }, lookTable(`Where “${word}” looks, with every head`, seen, Array.from({ length: HEADS }, (_, head) => ({
          name: `head ${head}`, weights: row(row(weights, head), place).data.subarray(0, seen.length),
        })))) : null,
        vectors([["before", before], ["what is added", row(added, place)], ["after", row(after, place)]]),
      );
    }
    const columns = [{ name: at ? "after it" : "probability", probs: lenses[at] }];
    if (at) columns.unshift({ name: "before this stage", probs: lenses[at - 1] });
    const changes = at ? lenses[at].map((p, i) => p - lenses[at - 1][i]) : [];
    const said = (sign, verb) => {
      const moved = largest(changes.map((change) => sign * change), 3).filter((i) => sign * changes[i] >= 0.001);
      return moved.length ? `${verb} ${moved.map((i) => `“${named(tokens[i])}” by ${Math.abs(changes[i]).toFixed(3)}`).join(", ")}` : `${verb} nothing`;
    };
    parts.push(
      h("div", { class: "lc-part" }, nextWords(`The lens: next word after ${upTo(now.words, place)}`, tokens, columns)),
      at ? h("p", { class: "lc-small", style: "margin-top:.4rem" }, `In the lens this stage ${said(1, "raises")}; it ${said(-1, "lowers")}.`) : null,
    );
    detail.replaceChildren(...parts.filter((part) => part));
  }

  /** Vectors as bars, one for each of their numbers, all at one scale. */
  function vectors(list) {
    const most = Math.max(...list.flatMap(([, { data }]) => Array.from(data, Math.abs)));
    return h("div", { class: "lc-vw-vectors lc-part" }, list.map(([what, { data }]) => h("div", {},
      h("p", { class: "lc-muted lc-small" }, `${what}: ${data.length} numbers, length ${one(lengthOf({ data }))}`),
      s("svg", { viewBox: `0 0 ${data.length} 2`, preserveAspectRatio: "none", "aria-hidden": "true" },
        Array.from(data, (x, i) => s("rect", { class: x < 0 ? "lc-rnn-minus" : "lc-rnn-plus", x: i + 0.12, width: 0.76, y: (x < 0 ? 1 : 1 - x / most).toFixed(3), height: Math.abs(x / most).toFixed(3) }))))));
  }

  model.on("change:sentence", compute);
  for (const trait of ["position", "stage"]) model.on(`change:${trait}`, () => now.words.join(" ") === words().join(" ") && draw());
  compute();
}

export default { render };
