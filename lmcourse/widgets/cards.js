// What the cards of quizzes and exercises share: prose with code and formulas, kept progress, a head.

import { h, put } from "./common.js";

/**
 * A small part of Markdown as elements: paragraphs, lists with "- " or "1. ", fenced code, `code`,
 * **bold**, *italic* and $maths$. Everything else stays the text it is.
 */
export function prose(text) {
  const blocks = [];
  const lines = String(text).split("\n");
  while (lines.length) {
    const line = lines.shift();
    if (!line.trim()) continue;
    if (line.trim().startsWith("```")) {
      const code = [];
      while (lines.length && !lines[0].trim().startsWith("```")) code.push(lines.shift());
      lines.shift();
      blocks.push(h("pre", { tabindex: 0 }, h("code", {}, code.join("\n"))));
      continue;
    }
    const item = /^\s*([-*]|\d+\.)\s+/;
    const part = [line];
    while (lines.length && lines[0].trim() && !lines[0].trim().startsWith("```")) part.push(lines.shift());
    if (!item.test(line)) {
      blocks.push(h("p", {}, inline(part.join(" "))));
      continue;
    }
    const items = [];
    for (const entry of part) {
      if (item.test(entry)) items.push(entry.replace(item, ""));
      else items.push(`${items.pop()} ${entry.trim()}`);
    }
    blocks.push(h(/^\s*\d/.test(line) ? "ol" : "ul", {}, items.map((entry) => h("li", {}, inline(entry)))));
  }
  return blocks;
}

/** One line of text with `code`, **bold**, *italic*, $maths$ and $$displayed maths$$. */
export function inline(text) {
  return String(text)
    .split(/(`[^`]+`|\$\$[^$]+\$\$|\$[^$\s](?:[^$]*[^$\s])?\$|\*\*[^*]+\*\*|\*[^*\s](?:[^*]*[^*\s])?\*)/)
    .filter((part) => part)
    .map((part) => {
      if (/^`.+`$/.test(part)) return h("code", {}, part.slice(1, -1));
      if (/^\$\$.+\$\$$/.test(part)) return maths(part.slice(2, -2), true);
      if (/^\$.+\$$/.test(part)) return maths(part.slice(1, -1), false);
      if (/^\*\*.+\*\*$/.test(part)) return h("strong", {}, inline(part.slice(2, -2)));
      if (/^\*.+\*$/.test(part)) return h("em", {}, inline(part.slice(1, -1)));
      return part;
    });
}

const SYMBOLS = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", lambda: "λ", mu: "μ", pi: "π", sigma: "σ", theta: "θ", tau: "τ",
  sum: "∑", prod: "∏", le: "≤", leq: "≤", ge: "≥", geq: "≥", ne: "≠", neq: "≠", approx: "≈", cdot: "·", times: "×", mid: "|",
  to: "→", infty: "∞", in: "∈", dots: "…", ldots: "…", cdots: "⋯", lfloor: "⌊", rfloor: "⌋", lvert: "|", rvert: "|", pm: "±",
};
const SPACES = { ",": "0.17em", ":": "0.22em", ";": "0.28em", quad: "1em", "!": "0", " ": "0.25em" };

/** A formula: as MathML, which every browser draws; by MathJax as soon as the page has it. */
function maths(tex, display) {
  const node = mathml(tex, display);
  const redraw = async () => {
    const { MathJax } = globalThis;
    await MathJax?.startup?.promise;
    if (!MathJax?.tex2chtml) return;
    node.replaceWith(MathJax.tex2chtml(tex, { display }));
    MathJax.startup.document.clear();
    MathJax.startup.document.updateDocument(); // the style of letters that are new in the page
  };
  if (document.readyState === "complete") redraw();
  else window.addEventListener("load", redraw);
  return node;
}

/** A formula of the small TeX that the exercises use. */
export function mathml(tex, display) {
  const MATHML = "http://www.w3.org/1998/Math/MathML";
  const m = (tag, attributes, ...children) => build(document.createElementNS(MATHML, tag), attributes, children);
  const tokens = tex.match(/\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\S/g) ?? [];
  const group = () => {
    if (tokens[0] !== "{") return atom();
    tokens.shift();
    const row = m("mrow", {}, ...sequence());
    tokens.shift();
    return row;
  };
  const raw = () => {
    // The text of a \text{...} group: its words were split, so its letters are joined again.
    let words = "";
    if (tokens[0] === "{") tokens.shift();
    while (tokens.length && tokens[0] !== "}") words += tokens.shift();
    tokens.shift();
    return words;
  };
  function atom() {
    const token = tokens.shift() ?? "";
    if (/^\d/.test(token)) return m("mn", {}, token);
    if (/^[a-zA-Z]$/.test(token)) return m("mi", {}, token);
    if (token.startsWith("\\")) {
      const name = token.slice(1);
      if (name === "frac") return m("mfrac", {}, group(), group());
      if (name === "sqrt") return m("msqrt", {}, group());
      if (["text", "mathrm", "operatorname", "mathbf"].includes(name)) return m("mtext", {}, raw());
      if (["left", "right", "bigl", "bigr", "displaystyle"].includes(name)) return tokens.length ? atom() : m("mrow", {});
      if (name in SPACES) return m("mspace", { width: SPACES[name] });
      if (name in SYMBOLS) return m(/[α-ω]/.test(SYMBOLS[name]) ? "mi" : "mo", {}, SYMBOLS[name]);
      return m("mi", {}, name); // log, exp, max, ... and anything unknown, by its name
    }
    return m("mo", {}, token === "-" ? "−" : token);
  }
  function sequence() {
    const row = [];
    while (tokens.length && tokens[0] !== "}") {
      const big = ["\\sum", "\\prod"].includes(tokens[0]);
      const base = tokens[0] === "{" ? group() : atom();
      let low = null;
      let high = null;
      while (tokens[0] === "_" || tokens[0] === "^") {
        if (tokens.shift() === "_") low = group();
        else high = group();
      }
      const under = big && display;
      if (low && high) row.push(m(under ? "munderover" : "msubsup", {}, base, low, high));
      else if (low) row.push(m(under ? "munder" : "msub", {}, base, low));
      else if (high) row.push(m(under ? "mover" : "msup", {}, base, high));
      else row.push(base);
    }
    return row;
  }
  return m("math", { display: display ? "block" : "inline" }, m("mrow", {}, ...sequence()));
}

/**
 * Whether an exercise is done. Under a kernel it is the trait `done`, which Python keeps in a file;
 * in the published page, where the stored state lacks it, the browser keeps it.
 */
export function keeper(model) {
  const key = `lmcourse:${model.get("exercise").name}`;
  const kernel = model.get("done") !== undefined;
  return {
    kernel,
    read() {
      if (kernel) return model.get("done");
      try {
        return localStorage.getItem(key) === "done";
      } catch {
        return false;
      }
    },
    write(done) {
      if (kernel) return put(model, { done });
      try {
        if (done) localStorage.setItem(key, "done");
        else localStorage.removeItem(key);
      } catch {
        // Private browsing or a full store: nothing is kept.
      }
      return undefined;
    },
  };
}

/** The head of a card: kind, title, minutes, difficulty, and whether it is done. */
export function cardHead(root, exercise, kind) {
  const badge = h("span", { class: "lc-badge" });
  root.classList.add("lc-card");
  root.querySelector(".lc-title").replaceChildren(h("span", { class: "lc-muted" }, `${kind} · `), ...inline(exercise.title));
  root.append(
    h("p", { class: "lc-row lc-muted lc-small" }, `${exercise.minutes} min · difficulty ${exercise.difficulty} of 5`, badge),
  );
  return (done) => {
    badge.textContent = done ? "✓ done" : "not done yet";
    badge.classList.toggle("lc-done", done);
  };
}
