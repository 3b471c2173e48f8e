// Where tokens look: maps small and large, and the tokens shaded by the weights they get. The widgets
// of chapter 9 share this.
import { h, s } from "./common.js";

const SHADES = 12;

/** A weight in two places, without the zero before the point; "·" for one that rounds to nothing. */
export function weightText(weight) {
  return weight < 0.005 ? "·" : weight.toFixed(2).replace(/^0/, "");
}

/** The cells of a map, rows of weights, as SVG paths: one for all cells of a shade. */
export function shadedCells(rows) {
  const paths = Array.from({ length: SHADES + 1 }, () => "");
  rows.forEach((weights, i) => weights.forEach((weight, j) => (paths[Math.round(weight * SHADES)] += `M${j} ${i}h1v1h-1z`)));
  return paths.flatMap((d, level) => (level && d ? [s("path", { d, "fill-opacity": (level / SHADES).toFixed(2) })] : []));
}

/** The tokens in their order, each shaded by its weight, which stands below. `from` is marked. */
export function lookStrip(label, tokens, weights, from) {
  return h("ol", { class: "lc-look", "aria-label": label }, tokens.map((token, i) => h("li", {
    class: i === from ? "lc-look-from" : null, style: `--lc-look:${(42 * weights[i]).toFixed(1)}%`,
  }, h("span", {}, token), h("small", {}, weightText(weights[i])))));
}

/** Fills the node with tokens as radio buttons, [{ token, value }]; the small text below each is empty. */
export function tokenChoice(node, name, entries, choose) {
  node.replaceChildren(...entries.map(({ token, value }) => h("label", {},
    h("input", { type: "radio", name, value, onchange: () => choose(value) }),
    h("span", {}, token),
    h("small", {}))));
}
