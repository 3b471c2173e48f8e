// The RNN stepper: the LSTM language model of chapter 3 reads a sentence of the teaching language.
// Its weights are the trained ones, and every number shown is computed here from them.
import { h, s, frame, live, newId, digits, plural, put } from "./common.js";
import { embedding, factsOf, layersOf, linear, loadWeights, logSoftmax, lstmCell, row, stack, whenVisible, zeros } from "./forward.js";
import { BOS, EOS, understand, wordsOf } from "./teaching_words.js";

const TOP = 8; // next words that are shown
const CHANGED = 5; // units that are named
const SEGMENT = 32; // units in one line of a narrow page

/** The model of a file of weights: its tokens, and `read`, which reads words after <s>. */
export function languageModel(tensors) {
  const { tokens } = factsOf(tensors);
  const cellWeights = layersOf(tensors, "layers.cells.0.");
  const output = layersOf(tensors, "output.");
  const size = cellWeights.weight_hh.shape[1];
  return {
    tokens,
    vocabulary: tokens.filter((token) => token !== BOS && token !== EOS),
    size,
    /** For <s> and each word: the state after it (hidden, cell) and log P (nats) of each next token. */
    read(words) {
      const ids = [BOS, ...words].map((word) => tokens.indexOf(word));
      const inputs = embedding(ids, tensors["embedding.weight"]);
      const states = [];
      let state = { hidden: zeros([size]), cell: zeros([size]) };
      for (let t = 0; t < ids.length; t += 1) {
        state = lstmCell(row(inputs, t), state.hidden, state.cell, cellWeights);
        states.push(state);
      }
      const logits = linear(stack(states.map((one) => one.hidden)), output.weight, output.bias);
      const logProbs = logSoftmax(logits);
      return {
        ids,
        hidden: states.map((one) => one.hidden.data),
        cell: states.map((one) => one.cell.data),
        logProbs: ids.map((_, t) => row(logProbs, t).data),
      };
    },
  };
}

/** Indices of the `count` largest differences between two vectors, the largest first. */
export function changedMost(before, after, count) {
  return Array.from(after, (value, unit) => ({ unit, change: Math.abs(value - before[unit]) }))
    .sort((a, b) => b.change - a.change || a.unit - b.unit)
    .slice(0, count)
    .map(({ unit }) => unit);
}

/** −log₂ P of each word that came, in bits; the first token has none. */
export function surprises({ ids, logProbs }) {
  return ids.map((id, t) => (t ? -logProbs[t - 1][id] / Math.LN2 : 0));
}

/** A probability in three places; what would be rounded to 0 or 1 and is neither is said to be. */
function chance(p) {
  if (p < 0.0005) return "< 0.001";
  if (p > 0.9995) return "> 0.999";
  return p.toFixed(3);
}

/** A value of the state: two places and a sign. */
function signed(value) {
  const text = Math.abs(value).toFixed(2);
  return `${text === "0.00" ? "" : value < 0 ? "−" : "+"}${text}`;
}

const named = (token) => (token === EOS ? "⏎ end" : token);

function render({ model, el }) {
  const root = frame(el, "RNN stepper", "The trained LSTM of chapter 3 reads a sentence, word by word. It runs here, in the page.");
  const note = live();
  const stage = h("div", { hidden: true });
  root.append(stage, note.node);
  note.say("The trained model is loading …");
  let forget = () => {};
  let gone = false;
  whenVisible(el)
    .then(() => loadWeights(model))
    .then((tensors) => {
      if (gone) return;
      stage.hidden = false;
      forget = start(model, stage, note, languageModel(tensors));
    })
    .catch((error) => note.say(error.message));
  return () => {
    gone = true;
    forget();
  };
}

/** Builds the widget's body once the model is there. Returns what takes its listeners away. */
function start(model, stage, note, network) {
  const { tokens, vocabulary, size } = network;
  const id = newId();
  const kinds = [
    ["singular verb forms", new Set(model.get("singular"))],
    ["plural verb forms", new Set(model.get("plural"))],
    ["the names", new Set(model.get("names"))],
  ];
  const readings = new Map(); // sentence -> what the model made of it
  const drawn = {}; // the sentences as they were last shown
  let partial = ""; // the beginning of a word that is being typed

  function reading(sentence) {
    if (!readings.has(sentence)) {
      if (readings.size > 50) readings.clear();
      readings.set(sentence, network.read(wordsOf(sentence)));
    }
    return readings.get(sentence);
  }
  const words = () => wordsOf(model.get("sentence"));
  const others = () => wordsOf(model.get("other"));
  const here = () => Math.min(model.get("position"), words().length);

  // --- the sentence
  const problem = h("p", { class: "lc-error", id: `${id}-problem`, role: "alert" });
  const typed = h("input", {
    type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-describedby": `${id}-problem`,
    oninput: () => take(true),
    onchange: () => take(false),
  });
  const examples = h(
    "select",
    {
      onchange: () => {
        const [sentence, other] = model.get("examples")[examples.value] ?? [];
        if (sentence === undefined) return;
        partial = "";
        typed.value = sentence;
        say(problem, typed, "");
        put(model, { sentence, other: model.get("other") ? other : "", position: wordsOf(sentence).length });
        drawSuggestions();
        examples.value = "";
      },
    },
    h("option", { value: "" }, "choose one …"),
    model.get("examples").map(([sentence], i) => h("option", { value: i }, sentence)),
  );
  const suggestions = h("div", { class: "lc-chips", role: "group", "aria-labelledby": `${id}-likely` });

  // --- the words that are read
  const tape = h("div", { class: "lc-rnn-reader" });
  const slider = h("input", {
    type: "range", min: 0, step: 1,
    oninput: () => put(model, { position: Number(slider.value) }),
  });
  const count = h("span", {});
  const back = h("button", { type: "button", onclick: () => put(model, { position: here() - 1 }) }, "Back");
  const forth = h("button", { type: "button", class: "lc-primary", onclick: () => put(model, { position: here() + 1 }) }, "Next word");
  const total = h("p", { class: "lc-muted lc-small" });
  const second = h("p", { class: "lc-path" });

  // --- what comes next
  const nextWords = h("div", {});
  const byKind = h("div", {});

  // --- the state
  const vectors = ["hidden", "cell"].map((value) =>
    h("input", { type: "radio", name: `${id}-vector`, value, onchange: () => put(model, { vector: value }) }));
  const strip = h("div", { class: "lc-rnn-strip" });
  const changed = h("div", { class: "lc-chips", role: "group" });
  const differing = h("div", { class: "lc-chips", role: "group", "aria-label": "Units that differ most between the sentences" });
  const differ = h("div", { class: "lc-part", style: "margin-top:.6rem" },
    h("p", { class: "lc-muted lc-small", style: "margin-bottom:.3rem" }, "Differ most between the two sentences here:"), differing);
  const unit = h(
    "select",
    { onchange: () => put(model, { unit: Number(unit.value) }) },
    h("option", { value: -1 }, "none"),
    Array.from({ length: size }, (_, i) => h("option", { value: i }, `unit ${i}`)),
  );
  const line = h("div", { class: "lc-graph lc-rnn-line", tabindex: 0, role: "region", "aria-label": "The pinned unit over the sentence, scrolls when it is wide" });
  const lineText = h("p", { class: "lc-muted lc-small", style: "margin-top:.3rem" });

  // --- the other sentence
  const otherProblem = h("p", { class: "lc-error", id: `${id}-other`, role: "alert" });
  const otherTyped = h("input", {
    type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-describedby": `${id}-other`,
    oninput: () => takeOther(true),
    onchange: () => takeOther(false),
  });
  const comparing = h("details", { open: model.get("other") !== "" },
    h("summary", {}, "Compare with a second sentence"),
    h("p", { class: "lc-muted lc-small" }, "Change one word and see what the model carries along: its number or its name."),
    h("div", { class: "lc-row lc-end" },
      h("label", { class: "lc-field lc-wide" }, "Second sentence", otherTyped),
      h("button", { type: "button", onclick: () => suggestOther() }, "Suggest one"),
      h("button", { type: "button", onclick: () => { put(model, { other: "" }); say(otherProblem, otherTyped, ""); } }, "No comparison")),
    otherProblem,
    second);

  stage.append(
    h("div", { class: "lc-row lc-end lc-gap", style: "margin-top:.7rem" },
      h("label", { class: "lc-field lc-wide" }, "A sentence of the teaching language", typed),
      h("label", { class: "lc-field lc-rnn-examples" }, "Examples", examples)),
    problem,
    h("p", { class: "lc-muted lc-small", id: `${id}-likely`, style: "margin:.6rem 0 .3rem" }, "Go on with a likely word:"),
    suggestions,
    h("fieldset", { class: "lc-part" },
      h("legend", {}, "What is read, up to the chosen word; below each word its surprise in bits"),
      tape),
    h("div", { class: "lc-row lc-gap", style: "margin-top:.5rem" },
      h("label", { class: "lc-row lc-rnn-slide" }, count, slider),
      h("div", { class: "lc-row" }, back, forth)),
    note.node,
    total,
    comparing,
    h("div", { class: "lc-two lc-rnn-two" }, nextWords, byKind),
    h("fieldset", { class: "lc-part" },
      h("legend", {}, "The state after the chosen word"),
      h("div", { class: "lc-row lc-gap", role: "radiogroup", "aria-label": "Which state" },
        vectors.map((input) => h("label", { class: "lc-row", style: "font-weight:400;gap:.35rem" }, input, `${input.value} state`)))),
    strip,
    h("p", { class: "lc-muted lc-small", style: "margin-top:.3rem" },
      `One bar for each of the ${size} units: up is positive, down is negative. A square at the top marks the ${CHANGED} that changed most, a short line their value before.`),
    h("p", { class: "lc-muted lc-small", id: `${id}-changed`, style: "margin:.6rem 0 .3rem" }, "Changed most at this word (press to pin):"),
    changed,
    differ,
    h("div", { class: "lc-row lc-gap", style: "margin-top:.8rem" },
      h("label", { class: "lc-row", style: "gap:.5rem" }, "Pin a unit", unit)),
    line,
    lineText,
    h("details", {},
      h("summary", {}, `The ${vocabulary.length} words of the teaching language`),
      h("p", { class: "lc-small" }, [...vocabulary].sort((a, b) => a.localeCompare(b, "en")).join(" "))),
  );
  changed.setAttribute("aria-labelledby", `${id}-changed`);

  // --- what they do
  function say(node, field, text) {
    if (node.textContent !== text) node.textContent = text;
    field.setAttribute("aria-invalid", String(text !== ""));
  }

  function take(typing) {
    const meant = understand(typed.value, vocabulary, typing);
    say(problem, typed, meant.problem);
    partial = meant.partial;
    const sentence = meant.words.join(" ");
    if (sentence && (!meant.problem || partial) && sentence !== model.get("sentence")) put(model, { sentence, position: meant.words.length });
    else if (!meant.problem && !typing) typed.value = sentence;
    drawSuggestions();
  }

  function takeOther(typing) {
    const meant = otherTyped.value.trim() ? understand(otherTyped.value, vocabulary, typing) : { words: [], problem: "" };
    say(otherProblem, otherTyped, meant.problem);
    if (!meant.problem && (meant.words.length || !meant.partial)) put(model, { other: meant.words.join(" ") });
  }

  /** The example's partner; else the same words with the first noun in the other number, or another first name. */
  function suggestOther() {
    const given = model.get("examples").find(([sentence]) => sentence === model.get("sentence"));
    const list = words();
    const names = model.get("names");
    const pairOf = (word) => model.get("nouns").find((pair) => pair.includes(word));
    const at = list.findIndex((word) => names.includes(word) || pairOf(word));
    const name = names[(names.indexOf(list[at]) + 1) % names.length];
    const swapped = list.map((word, i) => {
      if (names.includes(list[at])) return word === list[at] ? name : word;
      return i === at ? pairOf(word).find((one) => one !== word) : word;
    });
    say(otherProblem, otherTyped, "");
    put(model, { other: given ? given[1] : swapped.join(" ") });
  }

  function drawSuggestions() {
    const { logProbs } = reading(model.get("sentence"));
    const begins = (token) => token.toLowerCase().startsWith(partial.toLowerCase());
    const list = tokens
      .map((token, i) => ({ token, p: Math.exp(logProbs.at(-1)[i]) }))
      .filter(({ token }) => token !== BOS && (!partial || (token !== EOS && begins(token))))
      .sort((a, b) => b.p - a.p)
      .slice(0, 6);
    const of = `${model.get("sentence")} ${partial}`;
    if (suggestions.dataset.of === of) return;
    suggestions.dataset.of = of;
    const focused = suggestions.contains(document.activeElement);
    const full = words().length >= MOST_WORDS;
    const end = list.find(({ token }) => token === EOS);
    suggestions.replaceChildren(
      ...list.filter(({ token }) => token !== EOS).map(({ token, p }) =>
        h("button", { type: "button", disabled: full, onclick: () => append(token) }, token, " ", h("small", {}, chance(p)))),
      ...(end ? [h("span", { class: "lc-muted lc-small" }, `or the sentence ends (${chance(end.p)})`)] : []),
    );
    if (focused) (suggestions.querySelector("button:enabled") ?? typed).focus();
  }

  function append(word) {
    partial = "";
    const list = [...words(), word];
    say(problem, typed, "");
    typed.value = list.join(" ");
    put(model, { sentence: list.join(" "), position: list.length });
  }

  // --- drawing
  function drawTape() {
    const list = [BOS, ...words()];
    const bits = surprises(reading(model.get("sentence")));
    if (tape.dataset.sentence !== list.join(" ")) {
      tape.dataset.sentence = list.join(" ");
      tape.replaceChildren(
        ...list.map((word, i) => h("label", {},
          h("input", { type: "radio", name: `${id}-word`, value: i, onchange: () => put(model, { position: i }) }),
          h("span", { class: i ? undefined : "lc-mark" }, word),
          h("small", {}, i ? bits[i].toFixed(1) : "\u00a0"))),
      );
    }
    [...tape.children].forEach((label, i) => {
      label.classList.toggle("lc-rnn-read", i < here());
      label.firstChild.checked = i === here();
    });
    slider.max = list.length - 1;
    slider.value = here();
    count.textContent = `${here()} of ${plural(list.length - 1, "word")} read`;
    slider.setAttribute("aria-valuetext", here() ? `${plural(here(), "word")}, the last is ${list[here()]}` : "no word yet");
    const focused = document.activeElement;
    back.disabled = here() === 0;
    forth.disabled = here() === list.length - 1;
    if (focused === back && back.disabled) forth.focus();
    if (focused === forth && forth.disabled) back.focus();
  }

  const probs = (sentence, at) => {
    const { logProbs } = reading(sentence);
    return Array.from(logProbs[Math.min(at, logProbs.length - 1)], Math.exp);
  };
  const share = (p, set) => tokens.reduce((mass, token, i) => mass + (set.has(token) ? p[i] : 0), 0);

  /** A table of words or groups, with one bar for each sentence. */
  function bars(caption, first, rows, columns) {
    const cell = (p, i) => h("td", {},
      h("div", { class: "lc-share" },
        s("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
          s("rect", { width: Math.max(100 * p, p ? 0.6 : 0).toFixed(2), height: 12, class: i ? "lc-rnn-second" : undefined })),
        h("span", {}, chance(p))));
    return h("table", { class: "lc-rnn-next" },
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "lc-left" }, first), columns.map((name) => h("th", { scope: "col", class: "lc-left" }, name)))),
      h("tbody", {}, rows.map(({ name, aside, values, current }) =>
        h("tr", { class: current ? "lc-current" : undefined },
          h("th", { scope: "row" }, name, aside ? h("small", { class: "lc-muted" }, ` ${aside}`) : null),
          values.map(cell)))));
  }

  function drawNext() {
    const came = words()[here()];
    const all = [probs(model.get("sentence"), here())];
    if (model.get("other")) all.push(probs(model.get("other"), here()));
    const columns = all.length === 1 ? ["probability"] : ["first sentence", "second sentence"];
    const order = tokens.map((_, i) => i).filter((i) => tokens[i] !== BOS);
    order.sort((a, b) => Math.max(...all.map((p) => p[b])) - Math.max(...all.map((p) => p[a])));
    const shown = order.slice(0, TOP);
    const cameAt = tokens.indexOf(came);
    if (came && !shown.includes(cameAt)) shown.push(cameAt);
    const rank = [...order].sort((a, b) => all[0][b] - all[0][a]).indexOf(cameAt) + 1;
    nextWords.replaceChildren(
      bars(`The next word after ${lastWords(words(), here())}`, "word", shown.map((i) => ({
        name: named(tokens[i]),
        aside: i === cameAt ? `came, rank ${rank}` : "",
        current: i === cameAt,
        values: all.map((p) => p[i]),
      })), columns),
    );
    const groups = kinds.map(([name, set]) => ({ name, values: all.map((p) => share(p, set)) }));
    groups.push({ name: "all others", values: all.map((_, k) => Math.max(0, 1 - groups.reduce((mass, group) => mass + group.values[k], 0))) });
    const best = all.map((p) => model.get("names").reduce((a, b) => (p[tokens.indexOf(b)] > p[tokens.indexOf(a)] ? b : a)));
    byKind.replaceChildren(
      bars("The same by kind of word", "kind", groups, columns),
      ...(all.some((p, k) => groups[2].values[k] >= 0.5)
        ? [h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" },
            `A name is due. The likeliest is ${best.map((name, k) => `“${name}” (${chance(all[k][tokens.indexOf(name)])})`).join(" in the first sentence and ")}${all.length > 1 ? " in the second" : ""}; a guess among ${kinds[2][1].size} names would give ${chance(1 / kinds[2][1].size)}.`)]
        : []),
    );
  }

  function lastWords(list, at) {
    if (!at) return "nothing";
    return `“${at > 3 ? "… " : ""}${list.slice(Math.max(0, at - 3), at).join(" ")}”`;
  }

  /** What a distribution says, in one or two sentences. */
  function expected(p) {
    const best = tokens.map((_, i) => i).reduce((a, b) => (p[b] > p[a] ? b : a));
    const [singular, many, names] = kinds.map(([, set]) => share(p, set));
    const parts = [`the likeliest next word is “${named(tokens[best])}” (${chance(p[best])}).`];
    if (singular + many >= 0.05) {
      const [more, less] = singular > many ? ["singular", "plural"] : ["plural", "singular"];
      parts.push(`A verb can come: ${more} forms have ${chance(Math.max(singular, many))}, ${less} ones ${chance(Math.min(singular, many))}.`);
    }
    if (names >= 0.5) parts.push(`A name is due: the ${kinds[2][1].size} names share ${chance(names)}.`);
    return parts.join(" ");
  }

  function drawNote() {
    const list = words();
    const p = probs(model.get("sentence"), here());
    const next = list[here()];
    const q = next && p[tokens.indexOf(next)];
    const compared = others();
    note.say(
      `After ${lastWords(list, here())} ${expected(p)} `,
      next ? `Then came “${next}”: probability ${chance(q)}, ${(-Math.log2(q)).toFixed(1)} bits.` : "This is the end of the text.",
      compared.length ? ` In the second sentence ${expected(probs(model.get("other"), here()))}` : "",
      compared.length && compared.length < here() ? ` It has only ${plural(compared.length, "word")}, and is compared at its end.` : "",
    );
    const whole = reading(model.get("sentence"));
    const bits = surprises(whole).reduce((sofar, one) => sofar + one, 0);
    const end = -whole.logProbs.at(-1)[tokens.indexOf(EOS)] / Math.LN2;
    total.textContent = `The whole text: ${bits.toFixed(1)} bits for ${plural(list.length, "word")}, ${(bits / list.length).toFixed(2)} bits per word. Ending it here would cost ${end.toFixed(1)} bits more.`;
  }

  function values(sentence, at) {
    const whole = reading(sentence)[model.get("vector")];
    return whole[Math.min(at, whole.length - 1)];
  }
  const before = (at) => (at ? values(model.get("sentence"), at - 1) : new Float64Array(size));
  /** The largest size that a value has: 1 in a hidden state, more in a cell state. */
  function limit() {
    if (model.get("vector") === "hidden") return 1;
    const all = [model.get("sentence"), model.get("other")].filter((one) => one).flatMap((one) => reading(one).cell);
    return Math.ceil(Math.max(1, ...all.map((state) => Math.max(...state.map(Math.abs)))));
  }

  function drawStrip() {
    const now = values(model.get("sentence"), here());
    const old = before(here());
    const marked = new Set(changedMost(old, now, CHANGED));
    const most = limit();
    const y = (value) => 40 - (34 * value) / most;
    const lines = Array.from({ length: Math.ceil(size / SEGMENT) }, (_, k) => {
      const units = Array.from({ length: Math.min(SEGMENT, size - k * SEGMENT) }, (_, i) => k * SEGMENT + i);
      const [low, high] = [Math.min, Math.max].map((f) => f(...units.map((i) => now[i])));
      return h("div", {},
        s("svg", {
          viewBox: `0 0 ${10 * SEGMENT} 80`, preserveAspectRatio: "none", role: "img",
          "aria-label": `Units ${units[0]} to ${units.at(-1)} of the ${model.get("vector")} state: from ${signed(low)} to ${signed(high)}.`,
        },
          units.map((i) => {
            const x = 10 * (i - k * SEGMENT);
            return s("g", { class: `lc-rnn-unit${i === model.get("unit") ? " lc-rnn-pinned" : ""}`, onclick: () => pin(i) },
              s("title", {}, `unit ${i}: ${signed(old[i])} → ${signed(now[i])}`),
              s("rect", { class: "lc-rnn-back", x, width: 10, height: 80 }),
              s("rect", { class: now[i] < 0 ? "lc-rnn-minus" : "lc-rnn-plus", x: x + 1.5, width: 7, y: Math.min(40, y(now[i])).toFixed(2), height: Math.abs(y(now[i]) - 40).toFixed(2) }),
              marked.has(i) ? s("rect", { class: "lc-rnn-was", x: x + 0.5, width: 9, y: (y(old[i]) - 1).toFixed(2), height: 2 }) : null,
              marked.has(i) ? s("rect", { class: "lc-rnn-dot", x: x + 2, width: 6, y: 0.5, height: 4 }) : null);
          }),
          s("rect", { class: "lc-rnn-zero-line", width: 10 * SEGMENT, y: 39.5, height: 1 })),
        h("p", { class: "lc-muted lc-small", "aria-hidden": "true" }, `${units[0]}–${units.at(-1)}`));
    });
    strip.replaceChildren(...lines);
    const chips = (list, from, to) => list.map((i) =>
      h("button", { type: "button", "aria-pressed": String(i === model.get("unit")), "data-unit": i, onclick: () => pin(i) },
        `unit ${i} `, h("small", {}, `${signed(from[i])} → ${signed(to[i])}`)));
    keepFocus(changed, () => changed.replaceChildren(...chips([...marked], old, now)));
    differ.hidden = !model.get("other");
    keepFocus(differing, () => {
      if (differ.hidden) return differing.replaceChildren();
      const there = values(model.get("other"), here());
      return differing.replaceChildren(
        ...changedMost(now, there, CHANGED).map((i) =>
          h("button", { type: "button", "aria-pressed": String(i === model.get("unit")), "data-unit": i, onclick: () => pin(i) },
            `unit ${i} `, h("small", {}, `${signed(now[i])} and ${signed(there[i])}`))));
    });
  }

  function keepFocus(group, redraw) {
    const pressed = group.contains(document.activeElement) ? document.activeElement.dataset.unit : undefined;
    redraw();
    if (pressed !== undefined) (group.querySelector(`[data-unit="${pressed}"]`) ?? group.querySelector("button") ?? unit).focus();
  }

  function pin(i) {
    put(model, { unit: i === model.get("unit") ? -1 : i });
  }

  function drawLine() {
    const i = model.get("unit");
    unit.value = i;
    line.hidden = i < 0;
    lineText.textContent = i < 0 ? "Press a bar or choose a unit to see its value over the whole sentence." : "";
    if (i < 0) {
      line.replaceChildren();
      return;
    }
    const vector = model.get("vector");
    const lists = [[BOS, ...words()], ...(model.get("other") ? [[BOS, ...others()]] : [])];
    const series = [model.get("sentence"), model.get("other")].slice(0, lists.length).map((one) => reading(one)[vector].map((state) => state[i]));
    const most = limit();
    const [left, step, top, middle, tall] = [34, 62, 14, 74, 60];
    const columns = Math.max(...lists.map((list) => list.length));
    const x = (t) => left + step * (t + 0.5);
    const y = (value) => middle - (tall * value) / most;
    const bottom = middle + tall;
    const width = left + step * columns + 6;
    const height = bottom + 8 + 18 * lists.length;
    const image = s("svg", {
      viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
      "aria-label": lists.map((list, k) => `${lists.length > 1 ? `Sentence ${k + 1}: ` : ""}${list.map((word, t) => `${word} ${signed(series[k][t])}`).join(", ")}`).join(". "),
    },
      s("rect", { class: "lc-rnn-now", x: left + step * here(), y: top - 8, width: step, height: height - top + 6, rx: 6 }),
      [most, 0, -most].map((value) => [
        s("line", { class: value ? "lc-rnn-grid" : "lc-rnn-axis", x1: left, x2: width - 4, y1: y(value), y2: y(value) }),
        s("text", { x: left - 6, y: y(value), "text-anchor": "end", "dominant-baseline": "central" }, value ? signed(value).replace(/\.00$/, "") : "0"),
      ]),
      series.map((one, k) => s("g", { class: k ? "lc-rnn-curve lc-rnn-second" : "lc-rnn-curve" },
        s("polyline", { points: one.map((value, t) => `${x(t)},${y(value).toFixed(1)}`).join(" ") }),
        one.map((value, t) => (k
          ? s("rect", { x: x(t) - 3.2, y: (y(value) - 3.2).toFixed(1), width: 6.4, height: 6.4 })
          : s("circle", { cx: x(t), cy: y(value).toFixed(1), r: 3.6 }))))),
      lists.map((list, k) => list.map((word, t) => k && word === lists[0][t] ? null :
        s("text", { x: x(t), y: bottom + 20 + 18 * k, "text-anchor": "middle", class: k ? "lc-rnn-second" : undefined }, word))));
    line.replaceChildren(image);
    const reach = x(here()) - line.clientWidth / 2;
    line.scrollLeft = Math.max(0, reach);
    const value = series[0][here()];
    lineText.textContent = `Unit ${i} of the ${vector} state; after “${lists[0][here()]}” it is ${signed(value)}.${lists.length > 1 ? " Dashed, with squares: the second sentence." : ""}`;
  }

  function drawSecond() {
    const list = words();
    second.replaceChildren(...others().flatMap((word, i) => [
      h("span", { class: [i === here() - 1 ? "lc-here" : "", word !== list[i] ? "lc-rnn-other" : ""].join(" ").trim() || undefined }, word), " "]));
  }

  function show() {
    // A field shows what was set elsewhere; what the reader types is left alone.
    for (const [name, field, node] of [["sentence", typed, problem], ["other", otherTyped, otherProblem]]) {
      const now = model.get(name);
      if (drawn[name] !== now && document.activeElement !== field && wordsOf(field.value).join(" ") !== now) {
        field.value = now;
        if (name === "sentence") partial = "";
        say(node, field, "");
      }
      drawn[name] = now;
    }
    vectors.forEach((input) => (input.checked = input.value === model.get("vector")));
    if (model.get("other")) comparing.open = true;
    drawTape();
    drawSuggestions();
    drawSecond();
    drawNext();
    drawNote();
    drawStrip();
    drawLine();
  }

  const events = ["sentence", "other", "position", "unit", "vector"].map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, show));
  show();
  return () => events.forEach((event) => model.off(event, show));
}

export default { render };
