// The bottleneck explorer: the translator of chapter 4 on sentences of any length. Everything that it
// knows of a sentence is one vector of numbers, always as many.
import { h, s, frame, live, plural, put, random } from "./common.js";
import { factsOf, loadWeights, whenVisible } from "./forward.js";
import { EOS, wordsOf, translate, surface, randomSentence, speaker, sentenceField, origin } from "./translation.js";

const BIN = 5; // words; sentences whose lengths fall in one bin share a mean
const SEVERAL = 20;

/**
 * The written words beside the gold ones, place by place: [{ gold, written, state }]. state: "right"
 * (this word, at this place), "elsewhere" (it stands at another place of the gold translation, and
 * nothing else took it), "wrong", or "missing" (nothing was written). Both end with </s>.
 */
export function compare(gold, written) {
  const left = new Map();
  gold.forEach((word, i) => word !== written[i] && left.set(word, (left.get(word) ?? 0) + 1));
  return Array.from({ length: Math.max(gold.length, written.length) }, (_, i) => {
    const one = { gold: gold[i], written: written[i] };
    if (one.written === undefined) return { ...one, state: "missing" };
    if (one.gold === one.written) return { ...one, state: "right" };
    const others = left.get(one.written) ?? 0;
    if (others) left.set(one.written, others - 1);
    return { ...one, state: others ? "elsewhere" : "wrong" };
  });
}

/** Positions of the source words whose translation stands nowhere in what was written. */
export function lost({ target, sure }, written) {
  const left = new Map();
  for (const word of written) left.set(word, (left.get(word) ?? 0) + 1);
  const gone = new Set();
  const take = (at) => {
    const count = left.get(target[at]) ?? 0;
    if (count) left.set(target[at], count - 1);
    else gone.add(at);
  };
  // Words in their place are taken first, so that of two equal ones the right one counts as lost.
  target.forEach((word, at) => word === written[at] && take(at));
  target.forEach((word, at) => word !== written[at] && take(at));
  return sure.filter(([, at]) => gone.has(at)).map(([from]) => from).sort((a, b) => a - b);
}

/** One sentence about what was lost. */
export function verdict(words, gold, places) {
  const written = places.map((place) => place.written).filter((word) => word !== undefined);
  const right = places.filter((place) => place.state === "right").length;
  const of = gold.target.length + 1;
  if (right === places.length) return `Nothing is lost: all ${of} are right.`;
  const gone = lost(gold, written).map((position) => `“${words[position]}”`);
  const some = `${right} of ${of} are right`;
  if (!gone.length) return `${some}. Every noun, adjective and verb is there, but not all in their place.`;
  const named = gone.slice(0, 6).join(", ") + (gone.length > 6 ? ` and ${gone.length - 6} more` : "");
  return `${some}. Lost, nowhere in the translation: ${named}.`;
}

/** Mean share right in each bin of lengths: [{ from, to, share, count }], the shortest first. */
export function means(tried) {
  const bins = new Map();
  for (const { words, right, of } of tried) {
    const bin = Math.floor((words - 1) / BIN);
    bins.set(bin, [...(bins.get(bin) ?? []), right / of]);
  }
  return [...bins].sort(([a], [b]) => a - b).map(([bin, shares]) => ({
    from: bin * BIN + 1,
    to: (bin + 1) * BIN,
    share: shares.reduce((a, b) => a + b) / shares.length,
    count: shares.length,
  }));
}

const percent = (share) => `${Math.round(100 * share)} %`;
/** A log probability in nats as bits: 0, −0.3, −12.1. */
const inBits = (nats) => (nats > -0.05 * Math.LN2 ? "0" : (nats / Math.LN2).toFixed(1).replace("-", "−"));

const MARKS = { right: "✓", elsewhere: "↔", wrong: "✗", missing: "∅" };
const SAID = { right: "right", elsewhere: "belongs to another place", wrong: "wrong", missing: "missing" };

function pair({ gold, written, state, logProb }) {
  const word = (text) =>
    text === undefined ? h("span", {}, "–")
      : text === EOS ? h("span", {}, "end")
        : h("span", { lang: "ko" }, text);
  const aside = (text) => h("span", { class: "lc-tr-unseen" }, text);
  return h(
    "li",
    { class: `lc-tr-pair lc-${state}` },
    h("span", { class: "lc-tr-gold" }, aside("Right: "), word(gold)),
    h("span", { class: "lc-tr-written" }, aside(". Written: "), word(written)),
    h("small", {}, h("b", { "aria-hidden": "true" }, MARKS[state]), aside(`, ${SAID[state]}`),
      logProb === undefined ? null : [aside(", log probability "), ` ${inBits(logProb)}`]),
  );
}

/** The context vector as bars from -1 to 1; a line shows where a bar stood before. */
function strip(context, before) {
  const [width, height] = [10, 96];
  const y = (value) => height / 2 - (value * height) / 2;
  const size = context.length;
  const bars = [...context].map((value, i) =>
    s("rect", { x: i * width + 1.5, width: width - 3, y: Math.min(y(value), y(0)).toFixed(1), height: Math.abs(y(value) - y(0)).toFixed(1), class: value < 0 ? "lc-tr-below" : "lc-tr-above" }));
  const lines = before
    ? [...before].map((value, i) => s("path", { d: `M${i * width} ${y(value).toFixed(1)}h${width}`, class: "lc-tr-was" }))
    : [];
  return s(
    "svg",
    { viewBox: `0 0 ${size * width} ${height}`, class: "lc-tr-strip", preserveAspectRatio: "none", role: "img", "aria-label": `The context vector: ${size} numbers between −1 and 1` },
    s("path", { d: `M0 ${height / 2}H${size * width}M${(size * width) / 2} 0V${height}`, class: "lc-tr-axis" }),
    bars,
    lines,
  );
}

/** Share right against length, with the mean of every few lengths. */
function plot(tried, current, said) {
  const most = Math.max(30, ...tried.map((one) => 10 * Math.ceil(one.words / 10)));
  const x = (words) => 48 + (words / most) * 352;
  const y = (share) => 176 - share * 160;
  const ticks = Array.from({ length: Math.floor(most / 10) + 1 }, (_, i) => 10 * i);
  const line = means(tried).map(({ from, to, share }) => `${x((from + to) / 2).toFixed(1)} ${y(share).toFixed(1)}`);
  return s(
    "svg",
    { viewBox: "0 0 410 214", class: "lc-tr-plot", role: "img", "aria-label": said },
    [0, 0.5, 1].map((share) => [
      s("path", { d: `M48 ${y(share)}H400`, class: "lc-tr-axis" }),
      s("text", { x: 42, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`),
    ]),
    ticks.map((words) => s("text", { x: x(words), y: 193, "text-anchor": "middle" }, String(words))),
    s("text", { x: 400, y: 210, "text-anchor": "end" }, "English words"),
    line.length > 1 ? s("path", { d: `M${line.join("L")}`, class: "lc-tr-mean" }) : null,
    tried.map((one) =>
      s("circle", { cx: x(one.words).toFixed(1), cy: y(one.right / one.of).toFixed(1), r: one.sentence === current ? 6.5 : 4, class: one.sentence === current ? "lc-tr-now" : "lc-tr-dot" },
        s("title", {}, `${one.sentence}: ${one.right} of ${one.of}`))),
  );
}

function render({ model, el }) {
  const root = frame(el, "Bottleneck explorer", "All that the decoder learns of a sentence passes through one vector. Make the sentence longer, and watch what is lost.");
  const lexicon = model.get("lexicon");
  const said = live("lc-note lc-tr-verdict-line");
  const heading = h("p", { class: "lc-label" });
  const facts = h("p", { class: "lc-muted lc-small" });
  const tape = h("ol", { class: "lc-tape lc-tr-pairs", "aria-label": "The right translation and the model's, word for word" });
  const read = h("p", { class: "lc-small", style: "margin-top:.5rem" });
  const vector = h("div", {});
  const moved = h("p", { class: "lc-muted lc-small lc-said" });
  const picture = h("div", {});
  const pictureText = h("p", { class: "lc-muted lc-small lc-said" });
  const note = h("p", { class: "lc-muted lc-small lc-part" }, "The trained weights are loading.");
  const uniform = random(model.get("seed") ^ 0x5eed);
  let speak = null;
  let shown = null; // { sentence, context } of what is drawn
  const several = h("button", { type: "button", "aria-disabled": "true", onclick: () => speak && trySeveral() }, `Try ${SEVERAL} sentences at random`);

  const results = h(
    "div",
    { hidden: true },
    h("div", { class: "lc-part" }, heading, said.node, facts, tape,
      h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" },
        "Upper line: the right word. Lower line: the model's. ✓ right here, ↔ stands elsewhere in the right translation, ✗ wrong, ∅ missing; then its log probability in bits (0: the model was certain)."),
      read),
    h("div", { class: "lc-tr-halves" },
      h("div", {}, h("p", { class: "lc-label" }, "The one vector that everything passes through"), vector,
        h("p", { class: "lc-muted lc-small lc-tr-ends" }, h("span", {}, "read from the left"), h("span", {}, "read from the right")), moved),
      h("div", {}, h("p", { class: "lc-label" }, "Share right against length, all sentences so far"), picture, pictureText,
        h("div", { class: "lc-row", style: "margin-top:.5rem" }, several))),
  );
  root.append(sentenceField(model), results, note);

  function attempt(sentence) {
    const words = wordsOf(sentence);
    const gold = translate(words, lexicon);
    const { context, steps } = speak.greedy(words);
    const places = compare([...gold.target, EOS], steps.map((step) => step.text));
    const right = places.filter((place) => place.state === "right").length;
    return { words, gold, context: context.data, steps, places, entry: { sentence, words: words.length, right, of: gold.target.length + 1 } };
  }

  function keep(entries) {
    const tried = new Map([...model.get("tried"), ...entries].map((entry) => [entry.sentence, entry]));
    put(model, { tried: [...tried.values()] });
  }

  function trySeveral() {
    const sentences = Array.from({ length: SEVERAL }, () => randomSentence(lexicon, uniform));
    keep(sentences.map((words) => attempt(words.join(" ")).entry));
  }

  function show() {
    const sentence = model.get("sentence");
    if (!speak || shown?.sentence === sentence) return;
    const { words, gold, context, steps, places, entry } = attempt(sentence);
    heading.textContent = `“${sentence}”`;
    const total = steps.reduce((sum, step) => sum + step.logProb, 0) / steps.length;
    facts.textContent = `${plural(words.length, "English word")} · ${percent(entry.right / entry.of)} right, the end counted as a word · mean log probability ${inBits(total)} bits a word`;
    tape.replaceChildren(...places.map((place, i) => pair({ ...place, logProb: steps[i]?.logProb })));
    const korean = steps.map((step) => step.text).filter((word) => word !== EOS);
    read.replaceChildren("As one reads it: ", h("span", { lang: "ko" }, surface(korean, lexicon)), h("br"), "It should be: ", h("span", { lang: "ko" }, surface(gold.target, lexicon)));
    said.say(verdict(words, gold, places));
    vector.replaceChildren(strip(context, shown?.context));
    const changed = shown ? [...context].filter((value, i) => Math.abs(value - shown.context[i]) > 0.1).length : 0;
    moved.textContent = `${context.length} numbers for ${plural(words.length, "word")}, as for any other sentence.`
      + (shown ? ` With the last change, ${changed} of them moved by more than 0.1 (lines: before).` : "");
    shown = { sentence, context };
    keep([entry]);
    drawPicture();
  }

  function drawPicture() {
    const tried = model.get("tried");
    const parts = means(tried).map(({ from, to, share }) => `${from} to ${to} words ${percent(share)}`);
    const text = `${plural(tried.length, "sentence")} so far. Mean share right: ${parts.join(", ")}.`;
    picture.replaceChildren(plot(tried, shown.sentence, text));
    pictureText.textContent = text;
  }

  model.on("change:sentence", show);
  model.on("change:tried", () => shown && drawPicture());
  whenVisible(el)
    .then(() => loadWeights(model))
    .then((tensors) => {
      const about = factsOf(tensors);
      speak = speaker(tensors, about);
      several.removeAttribute("aria-disabled");
      results.hidden = false;
      note.textContent = origin(model, about);
      show();
    })
    .catch((error) => note.replaceWith(h("p", { class: "lc-error", role: "alert" }, error.message)));
}

export default { render };
