// Fill the blank: one word of a sentence is hidden, and four systems say what stands there. Every number
// is computed here, with the trained weights and with the grammar of the teaching language.
import { h, s, frame, live, newId, put } from "./common.js";
import { elementwise, embedding, factsOf, gelu, layerNorm, layersOf, linear, loadWeights, logSoftmax, postNormBlock, preNormBlock, row, softmax, tensor, whenVisible } from "./forward.js";
import { lookStrip, shadedCells, tokenChoice, weightText } from "./looks.js";
import { HEADS, chance, largest, lookTable, partsOf, placeOf, sentenceField, total } from "./teaching.js";
import { BOS, EOS, MOST_WORDS, wordsOf } from "./teaching_words.js";

const EPS = 1e-12; // of BERT's norms
const SHOWN = 5; // words of a system

// ---------------------------------------------------------------------------------------------
// The best possible: the grammar itself, as in lmcourse.data.pcfg

/**
 * A grammar { rules: { symbol: { "right side": probability } }, start } that reads from left to right:
 * { begin, advance, fillIn }. A state is a Map of stacks, the symbols still owed in one string, to
 * their weights, which sum to 1.
 */
export function grammarOf({ rules, start }) {
  const found = new Map(); // symbol -> what it can begin with
  const joined = (...parts) => parts.filter((part) => part).join(" ");
  const add = (map, key, weight) => map.set(key, (map.get(key) ?? 0) + weight);

  /** Each word the symbol can begin with -> what is then owed -> the probability. */
  function beginnings(symbol) {
    if (!Object.hasOwn(rules, symbol)) return new Map([[symbol, new Map([["", 1]])]]);
    if (!found.has(symbol)) {
      const all = new Map();
      for (const [right, prob] of Object.entries(rules[symbol])) {
        const [first, ...rest] = right.split(" ");
        for (const [word, remainders] of beginnings(first)) {
          if (!all.has(word)) all.set(word, new Map());
          for (const [owed, p] of remainders) add(all.get(word), joined(owed, ...rest), prob * p);
        }
      }
      found.set(symbol, all);
    }
    return found.get(symbol);
  }

  /** Reads a word, or the end: { state, prob }, the state after it and P(word | the words before). */
  function advance(state, word) {
    if (word === EOS) return { state: new Map(), prob: state.get("") ?? 0 };
    const after = new Map();
    for (const [stack, weight] of state) {
      const [top, ...rest] = stack.split(" ");
      for (const [owed, p] of beginnings(top).get(word) ?? []) if (stack) add(after, joined(owed, ...rest), weight * p);
    }
    const prob = total([...after.values()]);
    return { state: new Map([...after].map(([stack, weight]) => [stack, weight / prob])), prob };
  }

  const begin = () => new Map([[start, 1]]);

  /** P(each candidate in the blank | all other words); null where none fits. */
  function fillIn(words, place, candidates) {
    let before = begin();
    for (const word of words.slice(0, place)) before = advance(before, word).state;
    const joint = candidates.map((candidate) => {
      let state = before;
      let probOfAll = 1;
      for (const word of [candidate, ...words.slice(place + 1), EOS]) {
        const next = advance(state, word);
        state = next.state;
        probOfAll *= next.prob;
        if (!probOfAll) break;
      }
      return probOfAll;
    });
    const sum = total(joint);
    return sum > 0 ? joint.map((prob) => prob / sum) : null;
  }

  return { begin, advance, fillIn };
}

// ---------------------------------------------------------------------------------------------
// The trained models

/** The trigram model: { logProb }, log P of a whole sentence of ids, <s> first and </s> last, in nats. */
export function trigramOf(tensors) {
  const { bigram, backoff, trigrams, discounted } = tensors;
  const size = bigram.shape[0];
  const own = new Map();
  for (let i = 0; i < discounted.data.length; i += 1) {
    const [u, v, w] = trigrams.data.subarray(3 * i, 3 * i + 3);
    own.set((u * size + v) * size + w, discounted.data[i]);
  }
  const prob = (u, v, w) => (own.get((u * size + v) * size + w) ?? 0) + backoff.data[u * size + v] * bigram.data[v * size + w];
  return {
    logProb: (ids) => total(ids.slice(1).map((w, t) => Math.log(t ? prob(ids[t - 1], ids[t], w) : bigram.data[ids[0] * size + w]))),
  };
}

/** BERT: { most, fillIn }. `most` words can be read. */
export function bertOf(tensors) {
  const { tokens } = factsOf(tensors);
  const [pieces, positions, segments] = ["tokens", "positions.embedding", "segments"].map((name) => tensors[`bert.embedding.${name}.weight`]);
  const layers = [];
  while (`bert.layers.layers.${layers.length}.attention.in_projection.weight` in tensors)
    layers.push(layersOf(tensors, `bert.layers.layers.${layers.length}.`));
  const norm = (hidden, name) => layerNorm(hidden, tensors[`${name}.norm.weight`], tensors[`${name}.norm.bias`], EPS);
  return {
    tokens,
    nLayers: layers.length,
    most: Math.min(MOST_WORDS, positions.shape[0] - 2),
    /**
     * One pass with [MASK] in the place of a word: { seen, logProbs, maps }. seen: the tokens that are
     * read. logProbs (vocab_size): log P of every token in the blank, in nats. maps: for each layer the
     * weights (n_heads, time, time).
     */
    fillIn(words, place) {
      const seen = ["[CLS]", ...words.map((word, i) => (i === place ? "[MASK]" : word)), "[SEP]"];
      const ids = seen.map((token) => tokens.indexOf(token));
      const vectors = [embedding(ids, pieces), embedding(ids.keys(), positions), embedding(ids.map(() => 0), segments)];
      let hidden = norm(elementwise((a, b, c) => a + b + c, ...vectors), "bert.embedding");
      const maps = layers.map((weights) => {
        const { attention, output } = postNormBlock(hidden, weights, HEADS, undefined, gelu, EPS);
        hidden = output;
        return attention.weights;
      });
      const { "language_head.transform.weight": weight, "language_head.transform.bias": bias, "language_head.bias": last } = tensors;
      const found = norm(gelu(linear(row(hidden, place + 1), weight, bias)), "language_head");
      return { seen, logProbs: logSoftmax(linear(found, pieces, last)), maps };
    },
  };
}

/** The Transformer of chapter 8 reads what stands on the left: log P of each next token, in nats. */
export function nextToken(tensors, parts, words) {
  const { mask, hidden: start } = parts.embed(words);
  let hidden = start;
  for (const weights of parts.layers) hidden = preNormBlock(hidden, weights, HEADS, mask, gelu).output;
  const normed = layerNorm(hidden, tensors["layers.norm.weight"], tensors["layers.norm.bias"]);
  return row(parts.predict(normed), words.length);
}

/** Scores of some words, logarithms in nats up to a constant, as probabilities that sum to 1. */
const ofWords = (scores) => softmax(tensor([scores.length], scores)).data;

/** All systems with one interface: `answer(words, place)`, the place from 0. */
export function systemsOf({ bert: ofBert, trigram: ofTrigram, transformer: ofTransformer }) {
  const grammar = grammarOf(factsOf(ofTrigram));
  const trigram = trigramOf(ofTrigram);
  const bert = bertOf(ofBert);
  const parts = partsOf(ofTransformer);
  const { vocabulary } = parts;
  const idsOf = (tokens) => {
    const ids = new Map(tokens.map((token, id) => [token, id]));
    return (words) => words.map((word) => ids.get(word));
  };
  const [toTrigram, toBert, toTransformer] = [factsOf(ofTrigram).tokens, bert.tokens, parts.tokens].map(idsOf);
  return {
    vocabulary,
    bert,
    /** { probs: P of each word of the vocabulary by each system, or null; seen, maps: as `fillIn` of BERT }. */
    answer(words, place) {
      const sentence = toTrigram([BOS, ...words, EOS]);
      const tried = toTrigram(vocabulary).map((id) => trigram.logProb(sentence.with(place + 1, id)));
      const { seen, logProbs, maps } = bert.fillIn(words, place);
      const next = nextToken(ofTransformer, parts, words.slice(0, place));
      const probs = [
        grammar.fillIn(words, place, vocabulary),
        ofWords(toBert(vocabulary).map((id) => logProbs.data[id])),
        ofWords(tried),
        ofWords(toTransformer(vocabulary).map((id) => next.data[id])),
      ];
      return { probs, seen, maps };
    },
  };
}

// ---------------------------------------------------------------------------------------------
// What is seen

const SYSTEMS = [
  { name: "best possible", how: "the grammar itself; sees both sides" },
  { name: "BERT", how: "sees both sides, reads once" },
  { name: "trigram", how: "tries every word in the blank, compares the sentences" },
  { name: "left to right", how: "the Transformer of chapter 8; sees the left side only" },
];
const NOTHING_FITS = "No word fits: with these other words there is no sentence of the teaching language.";

const bitsText = (p) => (p > 0 ? `${Math.max(0, -Math.log2(p)).toFixed(1)} bits` : "impossible");

function render({ model, el }) {
  const root = frame(el, "Fill the blank", "One word is hidden, all others can be seen. Four systems say which word stands there. All of them run here, in the page. Layers and heads are counted from 0.");
  const note = h("p", { class: "lc-muted lc-note", role: "status" }, "The trained models are loading …");
  root.append(note);
  whenVisible(el)
    .then(() => Promise.all([loadWeights(model), loadWeights(model, "trigram"), loadWeights(model, "transformer")]))
    .then(([bert, trigram, transformer]) => {
      note.remove();
      start(model, root, systemsOf({ bert, trigram, transformer }));
    })
    .catch((error) => (note.textContent = error.message));
}

function start(model, root, systems) {
  const { vocabulary, bert } = systems;
  const names = [newId(), newId()];
  const title = (layer, head) => `layer ${layer}, head ${head}`;
  let now = null; // what is drawn: { words, place, and what `answer` gives }

  const strip = h("div", { class: "lc-rnn-reader" });
  const note = live();
  const columns = SYSTEMS.map((system) => ({ ...system, node: h("div", { class: "lc-fb-system" }) }));
  const cards = Array.from({ length: bert.nLayers }, (_, layer) => Array.from({ length: HEADS }, (__, head) => {
    const map = s("svg", { class: "lc-vw-map", preserveAspectRatio: "none", "aria-hidden": "true" });
    const radio = h("input", { type: "radio", name: names[1], onchange: () => put(model, { layer, head }) });
    const looks = h("small", { "aria-hidden": "true" });
    return { layer, head, map, radio, looks, node: h("div", { class: "lc-vw-card" }, h("label", { class: "lc-vw-pick lc-fb-pick" }, radio, map, looks)) };
  }));
  const legend = h("legend", {});
  const chosen = h("div", { class: "lc-part" });
  const table = h("div", {});

  root.append(
    sentenceField(model, vocabulary, bert.most, { keepPlace: true }),
    h("fieldset", { class: "lc-part" }, h("legend", {}, "Choose the word to hide"), strip),
    note.node,
    h("div", { class: "lc-fb-systems lc-part" }, columns.map(({ node }) => node)),
    h("p", { class: "lc-muted lc-small", style: "margin-top:.5rem" },
      "The probabilities of one system sum to 1 over all words of the language. The marked row is the hidden word. Its bits are −log₂ of its probability: the fewer, the better. In the table of the text the trigram is the n-gram with every word tried."),
    h("fieldset", { class: "lc-part" }, legend, cards.map((heads, layer) => h("div", { role: "group", "aria-label": `Layer ${layer}` },
      h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" }, `Layer ${layer}`),
      h("div", { class: "lc-vw-grid" }, heads.map(({ node }) => node))))),
    h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" },
      "Each strip is the sentence, one cell for each token: the deeper the colour, the larger the weight. Below it stands the token that gets the most. Choose a head to see all its weights."),
    chosen,
    h("details", { class: "lc-small" }, h("summary", {}, "The weights of all heads as a table"), table),
  );

  function compute() {
    const words = wordsOf(model.get("sentence"));
    const place = Math.max(placeOf(model), 1) - 1;
    const sentence = words.join(" ");
    if (strip.dataset.sentence !== sentence) {
      strip.dataset.sentence = sentence;
      tokenChoice(strip, names[0], words.map((token, i) => ({ token, value: i + 1 })), (position) => put(model, { position }));
    }
    if (now?.words.join(" ") !== sentence || now.place !== place) now = { words, place, ...systems.answer(words, place) };
    [...strip.children].forEach((label, i) => {
      label.classList.add("lc-rnn-read");
      label.firstChild.checked = i === place;
      label.lastChild.textContent = i === place ? "hidden" : "";
    });
    const hidden = vocabulary.indexOf(words[place]);
    columns.forEach(({ name, how, node }, i) => node.replaceChildren(...column(name, how, now.probs[i], hidden)));
    say(hidden);
    drawAttention();
  }

  function column(name, how, probs, hidden) {
    const heading = h("caption", {}, name, h("small", {}, how));
    if (!probs) return [h("table", {}, heading, h("tbody", {}, h("tr", {}, h("td", {}, NOTHING_FITS))))];
    const order = largest(probs, probs.length);
    const rank = order.indexOf(hidden);
    const shown = order.slice(0, SHOWN).filter((i) => probs[i] > 0);
    if (!shown.includes(hidden)) shown.push(hidden);
    return [h("table", {},
      heading,
      h("tbody", {}, shown.map((i) => h("tr", { class: i === hidden ? "lc-current" : null },
        h("th", { scope: "row", "aria-label": i === hidden ? `${vocabulary[i]}, the hidden word` : null },
          vocabulary[i], i === hidden && rank >= SHOWN && probs[i] ? [" ", h("small", {}, `no. ${rank + 1}`)] : null),
        h("td", {}, chance(probs[i]),
          s("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
            s("rect", { width: Math.max(100 * probs[i], 0.6).toFixed(2), height: 4 }))))))),
    h("p", { class: "lc-small" }, `“${vocabulary[hidden]}”: ${bitsText(probs[hidden])}`)];
  }

  function say(hidden) {
    const answering = SYSTEMS.map(({ name }, i) => ({ name, probs: now.probs[i] })).filter(({ probs }) => probs);
    const answers = answering.map(({ name, probs }) => {
      const [first] = largest(probs, 1);
      return `${name} “${vocabulary[first]}” (${chance(probs[first])})`;
    });
    const bits = answering.map(({ name, probs }) => `${name}: ${bitsText(probs[hidden])}`);
    const best = now.probs[0];
    note.say(
      `“${now.words[now.place]}” is hidden, word ${now.place + 1} of ${now.words.length}. ${best ? "" : "By the grammar no word fits. "}Likeliest there: ${answers.join(", ")}. `,
      `The hidden word costs: ${bits.join(", ")}.`,
      best && !best[hidden] ? ` By the grammar “${vocabulary[hidden]}” cannot stand there.` : "",
    );
  }

  /** The weights from the blank, with one head. */
  const weightsOf = (layer, head) => row(row(now.maps[layer], head), now.place + 1).data;

  function drawAttention() {
    const { seen, place } = now;
    const [layer, head] = [Math.min(model.get("layer"), bert.nLayers - 1), Math.min(model.get("head"), HEADS - 1)];
    legend.textContent = `Where BERT looks from the blank (word ${place + 1}), with every head`;
    for (const card of cards.flat()) {
      const weights = weightsOf(card.layer, card.head);
      const [most] = largest(weights, 1);
      card.map.setAttribute("viewBox", `0 0 ${seen.length} 1`);
      card.map.replaceChildren(...shadedCells([weights]), s("rect", { class: "lc-vw-row", x: place + 1, width: 1, height: 1 }));
      card.looks.replaceChildren(`head ${card.head}`, h("br"), `“${seen[most]}” ${weightText(weights[most])}`);
      card.radio.checked = card.layer === layer && card.head === head;
      card.radio.setAttribute("aria-label", `${title(card.layer, card.head)}: looks most at “${seen[most]}”, ${weights[most].toFixed(2)}`);
    }
    const what = `${title(layer, head).replace("l", "L")}: where it looks from [MASK]`;
    chosen.replaceChildren(h("p", { class: "lc-label" }, what), lookStrip(what, seen, weightsOf(layer, head), place + 1));
    table.replaceChildren(...lookTable("Where BERT looks from [MASK]", seen, cards.flat().map((card) => ({
      name: title(card.layer, card.head), weights: weightsOf(card.layer, card.head), current: card.radio.checked,
    }))));
  }

  for (const trait of ["sentence", "position"]) model.on(`change:${trait}`, compute);
  for (const trait of ["layer", "head"]) model.on(`change:${trait}`, drawAttention);
  compute();
}

export default { render };
