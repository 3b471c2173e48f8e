// The head viewer: the model of chapter 7 reads a sentence, all its heads at once. Heads can be switched
// off. Every number is computed here, with the trained weights.
import { h, s, frame, live, newId, plural, put } from "./common.js";
import { layersOf, multiHeadAttention, row } from "./forward.js";
import { HEADS, added, bitsOf, chance, largest, lookTable, named, nextWords, placeOf, sentenceField, total, upTo, whenLoaded, wordStrip } from "./teaching.js";
import { BOS, wordsOf } from "./teaching_words.js";

const LEVELS = 12; // shades of a map

// The words of the teaching language that are neither nouns nor verbs. Names begin with a capital.
const DETERMINERS = "the a every some many".split(" ");
const ADJECTIVES = "small happy quiet brave clever gentle".split(" ");
const SMALL_WORDS = [BOS, ..."near beside behind with which says that , agrees".split(" ")];

/** The weights of a layer without some heads: what these gather is multiplied by 0. The bias stays. */
export function withoutHeads(weights, heads) {
  const { shape, data } = weights["out_projection.weight"];
  const size = shape[1] / HEADS;
  const kept = data.map((x, i) => (heads.includes(Math.floor((i % shape[1]) / size)) ? 0 : x));
  return { ...weights, "out_projection.weight": { shape, data: kept } };
}

/**
 * What the model makes of <s> and the words, without the heads `off` ([layer, head]): { ids, maps: for
 * each layer the weights (n_heads, time, time), logProbs (time, vocab_size) }.
 */
export function readWith(parts, words, off) {
  const { ids, mask, hidden: start } = parts.embed(words);
  let hidden = start;
  const maps = parts.layers.map((layer, at) => {
    const gone = off.filter(([other]) => other === at).map(([, head]) => head);
    const found = multiHeadAttention(hidden, withoutHeads(layersOf(layer, "attention."), gone), HEADS, mask);
    hidden = added(hidden, found.output);
    return found.weights;
  });
  return { ids, maps, logProbs: parts.predict(hidden) };
}

/**
 * Pairs [verb, subject] of places. A subject's determiner stands at the beginning of a clause; other nouns
 * belong to phrases or are objects. The verb right after "which" has the noun before it as its subject.
 */
export function subjects(words) {
  const found = [];
  const waiting = []; // nouns whose verb is still to come
  words.forEach((word, at) => {
    const before = words[at - 1];
    if (DETERMINERS.includes(word)) {
      if ([BOS, "that", "which"].includes(before)) waiting.push(ADJECTIVES.includes(words[at + 1]) ? at + 2 : at + 1);
      return;
    }
    const isNoun = [...DETERMINERS, ...ADJECTIVES].includes(before);
    if (isNoun || ADJECTIVES.includes(word) || SMALL_WORDS.includes(word) || /^[A-Z]/.test(word)) return;
    const subject = before === "which" ? at - 2 : waiting.pop();
    if (subject >= 1) found.push([at, subject]);
  });
  return found;
}

/**
 * Pairs [from, to] of places, by what lies there: the word itself, the one before and <s>, from every
 * word but the first; the subject, from the word before its verb where that is another, because there
 * the verb is foretold; and from each "agrees" the speaker who must be named next.
 */
export function relations(words) {
  const found = { "the word itself": [], "the word before": [], [BOS]: [], "from the word before a verb: its subject": [], "from “agrees”: the speaker": [] };
  const [itself, before, start, subject, speaker] = Object.values(found);
  for (const [verb, noun] of subjects(words)) if (noun < verb - 1) subject.push([verb - 1, noun]);
  const speakers = [];
  words.forEach((word, at) => {
    if (at >= 2) {
      itself.push([at, at]);
      before.push([at, at - 1]);
      start.push([at, 0]);
    }
    if (word === "says") speakers.push(at - 1);
    if (word === "agrees" && speakers.length) speaker.push([at, speakers.pop()]);
  });
  return Object.entries(found).filter(([, pairs]) => pairs.length);
}

/** How many bits more or fewer, with its sign. */
const change = (bits) => Math.abs(bits) < 0.05 ? "±0" : `${bits < 0 ? "−" : "+"}${Math.abs(bits).toFixed(1)}`;

const title = ([layer, head]) => `layer ${layer}, head ${head}`;

function render({ model, el }) {
  const root = frame(el, "Head viewer", "The attention-only model of chapter 7 reads a sentence. It runs here, in the page. Layers and heads are counted from 0.");
  whenLoaded({ model, el }, root, (parts) => start(model, root, parts));
}

function start(model, root, parts) {
  const { tokens, vocabulary } = parts;
  const all = parts.layers.flatMap((_, layer) => Array.from({ length: HEADS }, (__, head) => [layer, head]));
  const name = newId();
  const same = ([a, b]) => ([c, d]) => a === c && b === d;
  const isOff = (one) => model.get("off").some(same(one));
  const chosen = () => [model.get("layer"), model.get("head")];
  let now = null; // what is drawn: { words, whole, kept }, readings with all heads and with those that are on

  const strip = wordStrip(model, "Choose the word that looks; below each word its bits");
  const note = live();
  const cards = all.map((one) => {
    const map = s("svg", { class: "lc-vw-map", "aria-hidden": "true" });
    const radio = h("input", { type: "radio", name, onchange: () => put(model, { layer: one[0], head: one[1] }) });
    const looks = h("small", { "aria-hidden": "true" });
    const on = h("input", {
      type: "checkbox", style: "width:1.5rem;height:1.5rem", "aria-label": `${title(one)} is on`,
      onchange: () => put(model, { off: on.checked ? model.get("off").filter((other) => !same(one)(other)) : all.filter((other) => isOff(other) || other === one) }),
    });
    const node = h("div", { class: "lc-vw-card" },
      h("label", { class: "lc-vw-pick" }, radio, map, looks),
      h("label", { class: "lc-vw-on" }, on, `head ${one[1]}`));
    return { one, map, radio, looks, on, node };
  });
  const allOn = h("button", { type: "button", onclick: () => put(model, { off: [] }) }, "All on");
  const only = h("button", { type: "button", onclick: () => put(model, { off: all.filter((one) => !same(chosen())(one)) }) }, "Only the chosen head");
  const looking = h("div", { class: "lc-part" });
  const large = h("div", { class: "lc-graph lc-vw-large", tabindex: 0, role: "region", "aria-label": "The chosen head, scrolls when it is large" });
  const largeTitle = h("p", { class: "lc-label" });
  const next = h("div", {});
  const average = h("div", {});
  const likeliest = h("p", { class: "lc-small lc-said" });
  const bits = h("p", { class: "lc-small lc-said" });
  const notTheSum = h("p", { class: "lc-muted lc-small" });

  root.append(
    sentenceField(model, vocabulary),
    strip.node,
    note.node,
    h("fieldset", { class: "lc-part" },
      h("legend", {}, "All heads: a row for each word that looks, a column for each word it looks at"),
      parts.layers.map((_, layer) => h("div", { role: "group", "aria-label": `Layer ${layer}` },
        h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" }, `Layer ${layer}`),
        h("div", { class: "lc-vw-grid" }, cards.filter(({ one }) => one[0] === layer).map(({ node }) => node))))),
    h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" },
      "The darker, the larger the weight. The marked row is the chosen word; below the map stands where it looks most. Untick a head to switch it off: what it gathers is not added any more, and its map is pale."),
    h("div", { class: "lc-row", style: "margin-top:.5rem" }, allOn, only),
    likeliest,
    bits,
    notTheSum,
    looking,
    h("div", { class: "lc-two lc-rnn-two" }, h("div", {}, largeTitle, large), h("div", {}, next, average)),
  );

  const words = () => [BOS, ...wordsOf(model.get("sentence"))];
  const weightsOf = ([layer, head], from) => row(row(now.kept.maps[layer], head), from).data;

  /** The map of one head as an SVG's parts: one path for all cells of a shade. */
  function shades(one) {
    const n = now.words.length;
    const paths = Array.from({ length: LEVELS + 1 }, () => "");
    for (let i = 0; i < n; i += 1) weightsOf(one, i).forEach((weight, j) => (paths[Math.round(weight * LEVELS)] += `M${j} ${i}h1v1h-1z`));
    return paths.map((d, level) => (level && d ? s("path", { d, "fill-opacity": (level / LEVELS).toFixed(2) }) : null));
  }

  function compute() {
    const list = words();
    const off = model.get("off");
    const whole = now?.words.join(" ") === list.join(" ") ? now.whole : readWith(parts, list.slice(1), []);
    now = { words: list, whole, kept: off.length ? readWith(parts, list.slice(1), off) : whole };
    for (const { one, map, on, node } of cards) {
      map.setAttribute("viewBox", `0 0 ${list.length} ${list.length}`);
      map.replaceChildren(...shades(one).filter((path) => path), s("rect", { class: "lc-vw-row", width: list.length, height: 1 }));
      on.checked = !isOff(one);
      node.classList.toggle("lc-vw-off", isOff(one));
    }
    drawAverage();
    draw();
  }

  function drawAverage() {
    const on = all.filter((one) => !isOff(one));
    const rows = on.length ? relations(now.words).map(([what, pairs]) => {
      const means = on.map((one) => total(pairs.map(([from, to]) => weightsOf(one, from)[to])) / pairs.length);
      const [best] = largest(means, 1);
      return [what, title(on[best]), means[best].toFixed(2), (total(pairs.map(([from]) => 1 / (from + 1))) / pairs.length).toFixed(2)];
    }) : [];
    average.replaceChildren(...(rows.length ? [h("table", { class: "lc-rnn-next lc-vw-average" },
      h("caption", {}, "Which head looks most at …, on average"),
      h("thead", {}, h("tr", {}, ["looks at", "head", "mean weight", "if even"].map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, rows.map(([what, ...cells]) => h("tr", {}, h("th", { scope: "row" }, what), cells.map((cell) => h("td", {}, cell)))))),
      h("p", { class: "lc-muted lc-small", style: "margin-top:.3rem" }, "If even: the mean weight if all words up to the one that looks had the same.")] : []));
  }

  function draw() {
    const place = placeOf(model);
    const word = now.words[place];
    const seen = now.words.slice(0, place + 1);
    const off = model.get("off");
    const one = chosen();
    const costs = [now.whole, now.kept].map(({ ids, logProbs }) => bitsOf(ids, logProbs));
    drawBits(costs);
    for (const { one: other, map, radio, looks } of cards) {
      const weights = weightsOf(other, place);
      const [most] = largest(weights, 1);
      map.lastChild.setAttribute("y", place);
      looks.replaceChildren(now.words[most], h("br"), weights[most].toFixed(2));
      radio.checked = same(one)(other);
      radio.setAttribute("aria-label", `${title(other)}: “${word}” looks most at “${now.words[most]}”, ${weights[most].toFixed(2)}`);
    }
    allOn.disabled = !off.length;
    looking.replaceChildren(...lookTable(`Where “${word}” looks, with every head${off.length ? " (in italics: off)" : ""}`, seen, all.map((other) => ({
      name: `${title(other)}${isOff(other) ? ", off" : ""}`, weights: weightsOf(other, place).subarray(0, seen.length), dim: isOff(other), current: same(one)(other),
    }))));
    const [probsOfAll, probs] = [now.whole, now.kept].map(({ logProbs }) => Array.from(row(logProbs, place).data, Math.exp));
    const columns = off.length ? [{ name: "all heads on", probs: probsOfAll }, { name: "with heads off", probs }] : [{ name: "probability", probs: probsOfAll }];
    next.replaceChildren(nextWords(`The next word after ${upTo(now.words, place)}`, tokens, columns));
    const [first, second] = largest(weightsOf(one, place), 2);
    const at = (i) => `“${now.words[i]}” (${weightsOf(one, place)[i].toFixed(2)})`;
    const [[best], [bestOfAll]] = [probs, probsOfAll].map((some) => largest(some, 1));
    likeliest.textContent = `After ${upTo(now.words, place)} the likeliest is “${named(tokens[best])}” (${chance(probs[best])})${off.length ? `, with all heads on “${named(tokens[bestOfAll])}” (${chance(probsOfAll[bestOfAll])})` : ""}.`;
    note.say(
      `${title(one).replace("l", "L")}: “${word}” looks most at ${at(first)}${place && weightsOf(one, place)[second] >= 0.05 ? `, then at ${at(second)}` : ""}. `,
      `${off.length ? `With ${plural(off.length, "head")} off the` : "The"} likeliest next word is “${named(tokens[best])}” (${chance(probs[best])}).`,
    );
    drawLarge(one, place);
  }

  /** The bits of the words, and with heads off how they have changed. */
  function drawBits([before, after]) {
    const off = model.get("off");
    const more = after.map((cost, i) => cost - before[i]);
    strip.draw(now.words, after);
    strip.node.firstChild.textContent = `Choose the word that looks; below each word its bits${off.length ? ", and how many more (+) or fewer (−) than with all heads" : ""}`;
    const [whole, kept] = [before, after].map(total);
    bits.textContent = `The words of the sentence cost ${whole.toFixed(1)} bits with all heads`;
    notTheSum.textContent = "";
    if (off.length) {
      strip.node.querySelectorAll("small").forEach((small, i) => i && small.append(h("br"), h(more[i] >= 1 ? "b" : "span", { style: "padding:0" }, change(more[i]))));
      const [most] = largest(more, 1);
      bits.append(
        `, and ${kept.toFixed(1)} bits without ${off.length === all.length ? "any head" : off.map(title).join("; ")}`,
        more[most] >= 0.05 ? `. The largest loss: “${now.words[most]}” costs ${after[most].toFixed(1)} bits instead of ${before[most].toFixed(1)}` : "",
      );
      notTheSum.textContent = "Read the bits of the word, not the sum: a sentence can get cheaper without a head that one of its words needs.";
    }
    bits.append(".");
  }

  function drawLarge(one, place) {
    const n = now.words.length;
    const [left, top, cell] = [76, 70, 22];
    const [width, height] = [left + n * cell + 4, top + n * cell + 4];
    largeTitle.textContent = `${title(one).replace("l", "L")}${isOff(one) ? ", which is off" : ""}: press a row to choose its word`;
    const focus = largest(weightsOf(one, place), 1)[0];
    large.replaceChildren(s("svg", {
      viewBox: `0 0 ${width} ${height}`, style: `width:100%;min-width:${0.8 * width}px;max-width:${1.2 * width}px`, role: "img",
      "aria-label": now.words.map((word, i) => {
        const [most] = largest(weightsOf(one, i), 1);
        return `${word} looks most at ${now.words[most]}, ${weightsOf(one, i)[most].toFixed(2)}`;
      }).join("; "),
    },
      s("rect", { class: "lc-vw-band", x: 0, y: top + place * cell, width, height: cell }),
      s("g", { class: "lc-vw-map", transform: `translate(${left} ${top}) scale(${cell})` },
        s("path", { class: "lc-vw-open", d: now.words.map((_, i) => `M0 ${i}h${i + 1}v1h-${i + 1}z`).join("") }), shades(one)),
      now.words.map((word, i) => [
        s("text", { x: left - 6, y: top + (i + 0.5) * cell, "text-anchor": "end", "dominant-baseline": "central", class: i === place ? "lc-vw-strong" : null }, word),
        s("text", { transform: `translate(${left + (i + 0.5) * cell} ${top - 6}) rotate(-90)`, "dominant-baseline": "central", class: i === focus ? "lc-vw-strong" : null }, word),
        s("rect", { class: "lc-vw-hit", x: 0, y: top + i * cell, width, height: cell, onclick: () => put(model, { position: i }) },
          s("title", {}, `${word} looks at ${largest(weightsOf(one, i), 3).filter((j) => j <= i).map((j) => `${now.words[j]} ${weightsOf(one, i)[j].toFixed(2)}`).join(", ")}`)),
      ])));
    // The row of the chosen word stays in sight.
    const [at, size] = [top + place * cell, cell].map((length) => (length * large.firstChild.clientWidth) / width);
    if (at < large.scrollTop || at + size > large.scrollTop + large.clientHeight) large.scrollTop = at + size / 2 - large.clientHeight / 2;
  }

  for (const trait of ["sentence", "off"]) model.on(`change:${trait}`, compute);
  for (const trait of ["position", "layer", "head"]) model.on(`change:${trait}`, () => now.words.join(" ") === words().join(" ") && draw());
  compute();
}

export default { render };
