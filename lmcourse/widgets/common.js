// What the widgets share: building elements, random numbers, numbers as text.
// Text from the reader or from Python only ever becomes a text node, never HTML.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked" || key === "disabled") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element: h("button", { onclick: f, class: "primary" }, "Step"). */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function s(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

let lastId = 0;
/** An id that no other element of this page has. */
export function newId() {
  lastId += 1;
  return `lmcourse-${lastId}-${Math.floor(performance.now())}`;
}

/** The frame of a widget: a named group with a heading line. */
export function frame(el, title, subtitle) {
  const id = newId();
  const root = h(
    "div",
    { class: "lmcourse", role: "group", "aria-labelledby": id },
    h("p", { class: "lc-title", id }, title),
    subtitle ? h("p", { class: "lc-subtitle" }, subtitle) : null,
  );
  el.replaceChildren(root);
  return root;
}

/** A paragraph that a screen reader reads out when its text changes. */
export function live(className = "lc-note") {
  const node = h("p", { class: className, role: "status", "aria-live": "polite" });
  return {
    node,
    say(...parts) {
      if (node.textContent !== parts.join("")) node.replaceChildren(...parts);
    },
  };
}

/**
 * Uniform random numbers in [0, 1) from a seed, the same in every browser:
 * a 32-bit counter passed through a bit mixer (integer arithmetic only).
 */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let bits = state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 4294967296;
  };
}

/** Index drawn with the given weights; `uniform` lies in [0, 1). */
export function draw(weights, uniform) {
  let left = uniform * weights.reduce((sum, weight) => sum + weight, 0);
  for (let index = 0; index < weights.length; index += 1) {
    left -= weights[index];
    if (left < 0) return index;
  }
  return weights.findLastIndex((weight) => weight > 0);
}

/** A number with a few digits: 0, 1, 0.333, 0.00012, 3.2 × 10⁻⁷. */
export function digits(value, places = 3) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0 || Number.isInteger(value)) return String(value).replace("-", "−");
  if (Math.abs(value) >= 1e-3) return String(Number(value.toPrecision(places))).replace("-", "−");
  const [mantissa, exponent] = value.toExponential(1).split("e");
  const raised = [...exponent.replace("+", "")].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  return `${mantissa.replace("-", "−")} × 10${raised.join("")}`;
}

/** "1 arrow", "2 arrows". */
export function plural(count, word, many = `${word}s`) {
  return `${count} ${count === 1 ? word : many}`;
}

/** Sets a trait of the model and sends it to Python where there is one. */
export function put(model, changes) {
  for (const [key, value] of Object.entries(changes)) model.set(key, value);
  model.save_changes();
}
