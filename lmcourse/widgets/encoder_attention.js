// The attention of a real pretrained encoder on chosen sentences. The weights were computed before; this
// draws them.
import { h, s, frame, live, newId, put } from "./common.js";
import { factsOf, loadWeights, row, whenVisible } from "./forward.js";
import { lookStrip, shadedCells, tokenChoice } from "./looks.js";

/** Rows of numbers of a tensor (time, time). */
const rowsOf = (tensor) => Array.from({ length: tensor.shape[0] }, (_, i) => row(tensor, i).data);

const most = (weights) => weights.indexOf(Math.max(...weights));

/**
 * What a head gives on average over the pieces of a sentence, from its rows: [what, mean weight]. Where a
 * piece has no neighbour on a side, it counts for the other side only.
 */
export function habits(rows) {
  const n = rows.length;
  const mean = (pairs) => pairs.reduce((sum, [from, to]) => sum + rows[from][to], 0) / pairs.length;
  const all = rows.map((_, i) => i);
  return [
    ["itself", mean(all.map((i) => [i, i]))],
    ["the piece before", mean(all.slice(1).map((i) => [i, i - 1]))],
    ["the piece after", mean(all.slice(1).map((i) => [i - 1, i]))],
    ["[CLS]", mean(all.map((i) => [i, 0]))],
    ["[SEP]", mean(all.map((i) => [i, n - 1]))],
  ];
}

function render({ model, el }) {
  const root = frame(el, "Attention of a real encoder", "Where a pretrained encoder looks when it reads English. Layers and heads are counted from 0. A word that it does not know whole is cut into pieces: ## continues a word.");
  const note = h("p", { class: "lc-muted lc-note", role: "status" }, "The weights are loading …");
  root.append(note);
  whenVisible(el)
    .then(() => loadWeights(model))
    .then((tensors) => {
      note.remove();
      start(model, root, tensors);
    })
    .catch((error) => (note.textContent = error.message));
}

function start(model, root, tensors) {
  const { sentences, credit } = factsOf(tensors);
  const [nLayers, nHeads] = tensors["attention.0"].shape;
  const names = [newId(), newId()];
  const title = (layer, head) => `layer ${layer}, head ${head}`;
  let drawn = -1; // the sentence whose maps are drawn

  const sentence = h("select", { onchange: () => put(model, { sentence: Number(sentence.value) }) }, sentences.map(({ text }, i) => h("option", { value: i }, text)));
  const strip = h("div", { class: "lc-rnn-reader" });
  const note = live();
  const tips = model.get("heads").map(({ what, ...seen }) => ({
    seen, node: h("button", { type: "button", onclick: () => put(model, seen) }, `${title(seen.layer, seen.head)}: ${what}`),
  }));
  const cards = Array.from({ length: nLayers }, (_, layer) => Array.from({ length: nHeads }, (__, head) => {
    const map = s("svg", { class: "lc-vw-map", "aria-hidden": "true" });
    const radio = h("input", { type: "radio", name: names[1], "aria-label": title(layer, head), onchange: () => put(model, { layer, head }) });
    return { layer, head, map, radio, node: h("div", { class: "lc-vw-card" }, h("label", { class: "lc-vw-pick" }, radio, map, h("small", { "aria-hidden": "true" }, head))) };
  }));
  const strips = h("div", {});
  const large = h("div", { class: "lc-graph lc-vw-large", style: "max-height:none", tabindex: 0, role: "region", "aria-label": "The chosen head, scrolls when it is wide" });
  const largeTitle = h("p", { class: "lc-label" });
  const means = h("table", { class: "lc-part" });

  root.append(
    h("label", { class: "lc-field", style: "margin-top:.7rem" }, "Sentence", sentence),
    tips.length ? h("div", { class: "lc-part" }, h("p", { class: "lc-label", style: "margin-bottom:.3rem" }, "Heads worth seeing"), h("div", { class: "lc-chips lc-ea-tips" }, tips.map(({ node }) => node))) : null,
    h("fieldset", { class: "lc-part" },
      h("legend", {}, `All ${nLayers * nHeads} heads: a row for each piece that looks, a column for each piece it looks at`),
      cards.map((heads, layer) => h("div", { role: "group", "aria-label": `Layer ${layer}` },
        h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" }, `Layer ${layer}`),
        h("div", { class: "lc-vw-grid lc-ea-grid" }, heads.map(({ node }) => node))))),
    h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" }, "The deeper the colour, the larger the weight. Below each map stands the number of the head."),
    h("fieldset", { class: "lc-part" }, h("legend", {}, "Choose the piece that looks"), strip),
    note.node,
    h("div", { class: "lc-part" }, strips),
    h("div", { class: "lc-two" },
      h("div", { style: "min-width:0" }, largeTitle, large),
      h("div", { style: "min-width:0" }, means,
        h("p", { class: "lc-muted lc-small", style: "margin-top:.4rem" }, "The rows overlap: for the first word, the piece before is [CLS]. So they need not sum to 1."))),
    h("p", { class: "lc-muted lc-small", style: "margin-top:.6rem" }, credit),
  );

  const inside = (name, n) => Math.min(model.get(name), n - 1);

  function draw() {
    const at = inside("sentence", sentences.length);
    const { pieces } = sentences[at];
    const [layer, head, piece] = [inside("layer", nLayers), inside("head", nHeads), inside("piece", pieces.length)];
    const now = { sentence: at, layer, head, piece };
    const maps = tensors[`attention.${at}`];
    const rowsOfHead = (i, j) => rowsOf(row(row(maps, i), j));
    if (drawn !== at) {
      drawn = at;
      sentence.value = at;
      tokenChoice(strip, names[0], pieces.map((token, value) => ({ token, value })), (value) => put(model, { piece: value }));
      for (const card of cards.flat()) {
        card.map.setAttribute("viewBox", `0 0 ${pieces.length} ${pieces.length}`);
        card.map.replaceChildren(...shadedCells(rowsOfHead(card.layer, card.head)));
      }
    }
    [...strip.children].forEach((label, i) => {
      label.classList.add("lc-rnn-read");
      label.firstChild.checked = i === piece;
      label.lastChild.textContent = i === piece ? "looks" : "";
    });
    for (const card of cards.flat()) card.radio.checked = card.layer === layer && card.head === head;
    for (const tip of tips) tip.node.setAttribute("aria-pressed", String(Object.entries(tip.seen).every(([trait, value]) => now[trait] === value)));
    const rows = rowsOfHead(layer, head);
    const weights = rows[piece];
    const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a]);
    const told = (i) => `“${pieces[i]}” (${weights[i].toFixed(2)})`;
    const name = title(layer, head).replace("l", "L");
    note.say(`${name}: “${pieces[piece]}” looks most at ${told(order[0])}${weights[order[1]] >= 0.05 ? `, then at ${told(order[1])}` : ""}.`);
    const what = `${name}: where “${pieces[piece]}” looks`;
    strips.replaceChildren(h("p", { class: "lc-label" }, what), lookStrip(what, pieces, weights, piece));
    means.replaceChildren(
      h("caption", { class: "lc-ea-caption" }, "Mean weight over all pieces that look"),
      h("thead", {}, h("tr", {}, ["it looks at", "mean"].map((one) => h("th", { scope: "col", class: "lc-left" }, one)))),
      h("tbody", {}, habits(rows).map(([to, mean]) => h("tr", {}, h("th", { scope: "row" }, to), h("td", {}, mean.toFixed(2))))));
    drawLarge(pieces, rows, piece, name);
  }

  function drawLarge(pieces, rows, piece, name) {
    const n = pieces.length;
    const longest = Math.max(...pieces.map((token) => token.length));
    const [margin, cell] = [12 + 7.5 * longest, 22];
    const size = margin + n * cell + 4;
    const focus = most(rows[piece]);
    largeTitle.textContent = `${name}: press a row to choose its piece`;
    large.replaceChildren(s("svg", {
      viewBox: `0 0 ${size} ${size}`, style: `width:100%;min-width:${0.8 * size}px;max-width:${1.2 * size}px`, role: "img",
      "aria-label": pieces.map((token, i) => `${token} looks most at ${pieces[most(rows[i])]}, ${rows[i][most(rows[i])].toFixed(2)}`).join("; "),
    },
      s("rect", { class: "lc-vw-band", x: 0, y: margin + piece * cell, width: size, height: cell }),
      s("g", { class: "lc-vw-map", transform: `translate(${margin} ${margin}) scale(${cell})` },
        s("rect", { class: "lc-ea-open", width: n, height: n }), shadedCells(rows),
        s("rect", { class: "lc-vw-row", y: piece, width: n, height: 1 })),
      pieces.map((token, i) => [
        s("text", { x: margin - 6, y: margin + (i + 0.5) * cell, "text-anchor": "end", "dominant-baseline": "central", class: i === piece ? "lc-vw-strong" : null }, token),
        s("text", { transform: `translate(${margin + (i + 0.5) * cell} ${margin - 6}) rotate(-90)`, "dominant-baseline": "central", class: i === focus ? "lc-vw-strong" : null }, token),
        s("rect", { class: "lc-vw-hit", x: 0, y: margin + i * cell, width: size, height: cell, onclick: () => put(model, { piece: i }) },
          s("title", {}, `${token} looks most at ${pieces[most(rows[i])]} ${rows[i][most(rows[i])].toFixed(2)}`)),
      ])));
  }

  for (const trait of ["sentence", "layer", "head", "piece"]) model.on(`change:${trait}`, draw);
  draw();
}

export default { render };
