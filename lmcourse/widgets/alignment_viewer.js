// The alignment viewer: the translator of chapter 5 writes, and every word shows where it looked. The
// gold alignment stands in the same cells.
import { h, frame, live, plural, put } from "./common.js";
import { factsOf, loadWeights, whenVisible } from "./forward.js";
import { BOS, EOS, wordsOf, translate, surface, speaker, sentenceField, origin } from "./translation.js";

/**
 * The strongest link of each target word, as lmcourse.attention.strongest_links: the marks of both
 * sides are left out. rows: arrays of weights, the last for </s> -> [[source, target]].
 */
export function strongestLinks(rows) {
  return rows.slice(0, -1).map((weights, at) => {
    const words = weights.slice(1, -1);
    return [words.indexOf(Math.max(...words)), at];
  });
}

/** The numbers of the alignment error rate: { links, sure, inSure, inPossible, rate }. */
export function errorRate(links, sure, possible) {
  const among = (list) => links.filter(([i, j]) => list.some(([a, b]) => a === i && b === j)).length;
  const [inSure, inPossible] = [among(sure), among(possible)];
  return {
    links: links.length,
    sure: sure.length,
    inSure,
    inPossible,
    rate: 1 - (inSure + inPossible) / (links.length + sure.length),
  };
}

const two = (weight) => weight.toFixed(2);
const name = (word) => (word === BOS ? "the start" : word === EOS ? "the end" : `“${word}”`);
const korean = (word) => (word === EOS ? h("span", { class: "lc-muted" }, "end") : h("span", { lang: "ko" }, word));
const english = (word) => (word === BOS ? "start" : word === EOS ? "end" : word);

function render({ model, el }) {
  const root = frame(el, "Alignment viewer", "The decoder writes Korean, and before each word it looks at the English. The stronger a cell, the larger its weight.");
  const lexicon = model.get("lexicon");
  let speak = null;
  let now = null; // what is drawn: { sentence, given, source, written, rows, gold, ringed, strongest }
  let column = 0; // of the cell cursor

  const check = (trait, label) => {
    const input = h("input", { type: "checkbox", checked: model.get(trait), onchange: () => put(model, { [trait]: input.checked }) });
    model.on(`change:${trait}`, () => (input.checked = model.get(trait)));
    return h("label", { class: "lc-row", style: "font-weight:400;gap:.5rem;flex-wrap:nowrap" }, input, label);
  };
  const slider = h("input", { type: "range", min: 1, max: 1, step: 1, class: "lc-tr-slider", oninput: () => slide(Number(slider.value) - 1) });
  const looks = h("p", { class: "lc-tr-looks", "aria-hidden": "true" });
  const tokens = h("p", { class: "lc-path", "aria-label": "The translation, its particles apart" });
  const joined = h("p", {});
  const judged = live("lc-muted lc-small lc-said");
  const said = live();
  const rate = h("p", { class: "lc-small lc-said" });
  const table = h("table", {
    class: "lc-tr-matrix", role: "grid", "aria-label": "Attention weights: a row for each Korean word, a column for each English one. Arrow keys move.",
    onkeydown: (event) => move(event), onclick: (event) => point(event.target), onfocusin: (event) => point(event.target),
  });
  const board = h("div", { class: "lc-scroll lc-tr-matrix-frame" }, table);
  const note = h("p", { class: "lc-muted lc-small lc-part" }, "The trained weights are loading.");
  const results = h(
    "div",
    { hidden: true },
    h("div", { class: "lc-part" }, h("p", { class: "lc-label" }, "Written by the model"), tokens, joined, judged.node),
    h("div", { class: "lc-part" }, h("label", { class: "lc-field" }, "Step through the decoding", slider), looks, said.node),
    h("div", { class: "lc-row lc-gap lc-part" }, check("strongest", "Mark the strongest link of each row"), check("given", "Give the model the gold translation, word by word")),
    board,
    h("p", { class: "lc-muted lc-small lc-tr-legend" },
      h("span", {}, key("lc-tr-shade", "opacity:.9"), "weight"), h("span", {}, key("lc-tr-ring lc-tr-sure"), "gold, sure"),
      h("span", {}, key("lc-tr-ring lc-tr-possible"), "gold, possible"), h("span", {}, key("lc-tr-top"), "strongest of its row")),
    rate,
  );
  root.append(sentenceField(model), results, note);

  function key(className, style) {
    return h("span", { class: "lc-tr-key", "aria-hidden": "true" }, h("i", { class: className, style }));
  }

  const stepNow = () => Math.min(model.get("step"), now.rows.length) - 1;
  const linkOf = (row, column) => {
    if (!now.ringed[row]) return null;
    const here = ([i, j]) => i === column - 1 && j === row;
    return now.gold.sure.some(here) ? "sure" : now.gold.possible.some(here) ? "possible" : null;
  };

  function compute() {
    const sentence = model.get("sentence");
    const given = model.get("given");
    if (!speak || (now?.sentence === sentence && now.given === given)) return;
    const words = wordsOf(sentence);
    const gold = translate(words, lexicon);
    const own = speak.greedy(words).steps;
    const steps = given ? speak.forced(words, gold.target).steps : own;
    const target = [...gold.target, EOS];
    const written = steps.map((step) => step.text);
    const rows = steps.map((step) => [...step.weights.data]);
    const finished = written.at(-1) === EOS;
    now = {
      sentence,
      given,
      source: [BOS, ...words, EOS],
      own: own.map((step) => step.text),
      written,
      rows,
      gold,
      finished,
      same: own.length === target.length && own.every((step, i) => step.text === target[i]),
      ringed: written.map((word, i) => word !== EOS && word === gold.target[i]),
      strongest: strongestLinks(finished ? rows : [...rows, []]),
    };
    slider.max = rows.length;
    column = now.strongest[stepNow()]?.[0] + 1 || 0;
    draw();
  }

  function draw() {
    const { own, gold, same, given, written, source } = now;
    tokens.replaceChildren(...written.map((word) => h("span", {}, word === EOS ? "⏎" : h("span", { lang: "ko" }, word), " ")));
    joined.replaceChildren(h("span", { class: "lc-muted" }, "as one reads it: "), h("span", { lang: "ko" }, surface(written.filter((word) => word !== EOS), lexicon)));
    const wrong = Math.max(own.length, gold.target.length + 1) - own.filter((word, i) => word === (gold.target[i] ?? EOS)).length;
    judged.say(
      given ? "These are the gold words: each is given to the model before the next." : "",
      same ? `${given ? " It writes the same by itself." : "✓ This is the gold translation, word for word."}`
        : `${given ? " By itself it writes" : "✗ The gold translation differs in"} ${given ? `${plural(wrong, "word")} otherwise.` : `${plural(wrong, "place")}: `}`,
      !same && !given ? h("span", { lang: "ko" }, surface(gold.target, lexicon)) : "",
    );
    table.replaceChildren(
      h("thead", {}, h("tr", {}, h("td", {}), source.map((word) => h("th", { scope: "col", class: word === BOS || word === EOS ? "lc-muted" : null }, h("span", {}, english(word)))))),
      h("tbody", {}, written.map((word, row) => h("tr", {},
        h("th", { scope: "row" }, korean(word)),
        source.map((from, at) => {
          const weight = now.rows[row][at];
          const link = linkOf(row, at);
          const top = now.strongest.some(([i, j]) => j === row && i === at - 1);
          const label = `${name(word)} from ${name(from)}: ${two(weight)}${link ? `, ${link} link` : ""}`;
          return h("td", { role: "gridcell", tabindex: -1, "data-row": row, "data-column": at, "data-weight": two(weight).replace(/^0/, ""), "aria-label": label, title: label },
            h("i", { class: "lc-tr-shade", style: `opacity:${weight.toFixed(3)}` }),
            link ? h("i", { class: `lc-tr-ring lc-tr-${link}` }) : null,
            top ? h("i", { class: "lc-tr-top" }) : null);
        })))),
    );
    showRate();
    showStep();
  }

  function showRate() {
    table.classList.toggle("lc-tr-tops", model.get("strongest"));
    if (!now.given && !now.same) {
      rate.textContent = "The alignment error rate needs the gold words. Give the model the gold translation to count it.";
      return;
    }
    const { links, sure, inSure, inPossible, rate: value } = errorRate(now.strongest, now.gold.sure, now.gold.possible);
    rate.textContent = `Alignment error rate of this sentence: 1 − (|A∩S| + |A∩P|) / (|A| + |S|) = 1 − (${inSure} + ${inPossible}) / (${links} + ${sure}) = ${two(value)}. `
      + "A: the strongest link of each word, S: sure gold links, P: sure and possible ones.";
  }

  const cell = (row, at) => table.querySelector(`[data-row="${row}"][data-column="${at}"]`);

  function showStep() {
    const step = stepNow();
    const weights = now.rows[step];
    slider.value = step + 1;
    const word = now.written[step];
    slider.setAttribute("aria-valuetext", `word ${step + 1} of ${now.rows.length}: ${word === EOS ? "the end" : word}`);
    [...tokens.children].forEach((node, i) => {
      node.className = i === step ? "lc-here" : i > step ? "lc-tr-later" : "";
    });
    looks.replaceChildren(...now.source.flatMap((from, at) => [
      h("span", { class: from === BOS || from === EOS ? "lc-muted" : null }, h("i", { style: `opacity:${weights[at].toFixed(3)}` }), h("span", {}, english(from))), " "]));
    for (const old of table.querySelectorAll(".lc-tr-cursor, .lc-current")) old.classList.remove("lc-tr-cursor", "lc-current");
    for (const old of table.querySelectorAll('td[tabindex="0"]')) old.tabIndex = -1;
    const here = cell(step, column);
    here.tabIndex = 0;
    here.classList.add("lc-tr-cursor");
    here.parentElement.classList.add("lc-current");
    const most = weights.map((_, at) => at).sort((a, b) => weights[b] - weights[a]).slice(0, 2).filter((at, i) => !i || weights[at] >= 0.05);
    const link = linkOf(step, column);
    said.say(
      `Word ${step + 1} of ${now.rows.length}, ${name(word)}: the decoder looks at ${most.map((at) => `${name(now.source[at])} (${two(weights[at])})`).join(" and ")}. `
        + `The marked cell, ${name(now.source[column])}: ${two(weights[column])}${link ? `, a ${link} link` : ""}.`,
    );
  }

  /** To a step, and to the cell where the decoder looks most. */
  function slide(step) {
    const weights = now.rows[step];
    column = weights.indexOf(Math.max(...weights));
    put(model, { step: step + 1 });
    const { offsetLeft, offsetWidth } = cell(step, column);
    board.scrollLeft = offsetLeft + offsetWidth / 2 - board.clientWidth / 2;
  }

  function move(event) {
    const step = stepNow();
    const [last, end] = [now.rows.length - 1, now.source.length - 1];
    const to = {
      ArrowLeft: [step, column - 1], ArrowRight: [step, column + 1], ArrowUp: [step - 1, column], ArrowDown: [step + 1, column],
      Home: [step, 0], End: [step, end], PageUp: [0, column], PageDown: [last, column],
    }[event.key];
    if (!to || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    cell(Math.min(Math.max(to[0], 0), last), Math.min(Math.max(to[1], 0), end)).focus();
  }

  function point(target) {
    const { row, column: at } = target.closest("[data-row]")?.dataset ?? {};
    if (row === undefined) return;
    column = Number(at);
    if (stepNow() !== Number(row)) put(model, { step: Number(row) + 1 });
    else showStep();
  }

  model.on("change:sentence", compute);
  model.on("change:given", compute);
  model.on("change:step", () => now && showStep());
  model.on("change:strongest", () => now && showRate());
  whenVisible(el)
    .then(() => loadWeights(model))
    .then((tensors) => {
      const about = factsOf(tensors);
      speak = speaker(tensors, about);
      results.hidden = false;
      note.textContent = origin(model, about);
      compute();
    })
    .catch((error) => note.replaceWith(h("p", { class: "lc-error", role: "alert" }, error.message)));
}

export default { render };
