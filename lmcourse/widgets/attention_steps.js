// The five steps of attention with small numbers: scores, softmax, weighted sum, next word, and one
// step of gradient descent on the score. Every number is computed here, from the traits alone.
import { h, s, frame, live, newId, digits, plural, put } from "./common.js";
import { additiveScores, attend, dotScores, elementwise, generalScores, linear, logSoftmax, row, tensor } from "./forward.js";

const LARGEST = 100; // of a number
const PARAMETERS = { additive: ["w_query", "w_key", "vector"], dot: [], general: ["w_general"] };
const NUMBERS = ["memory", "query", "w_query", "w_key", "vector", "w_general", "output"];
const TRAITS = [...NUMBERS, "score", "mask", "right", "learning_rate"];
const STEPS = ["Scores", "Softmax", "Weighted sum", "Next word", "Learn"];

const vectorOf = (numbers) => tensor([numbers.length], numbers);
const matrixOf = (rows) => tensor([rows.length, rows[0].length], rows.flat());
const rowsOf = (one) => Array.from({ length: one.shape[0] }, (_, i) => Array.from(row(one, i).data));
const inner = (a, b) => a.reduce((sofar, x, i) => sofar + x * b[i], 0);

/**
 * Steps 1 to 4. `numbers` has memory (3, 2), query (2), the parameters of its `score`, output (3, 2),
 * mask (3; true: may attend) and `right`, the index of the next word. Loss: −ln P(right), in nats.
 */
export function forwardPass(numbers) {
  const memory = matrixOf(numbers.memory);
  const query = vectorOf(numbers.query);
  const pass = {};
  if (numbers.score === "additive") {
    const [wQuery, wKey] = [matrixOf(numbers.w_query), matrixOf(numbers.w_key)];
    const fromQuery = linear(query, wQuery);
    const fromKeys = linear(memory, wKey);
    pass.fromQuery = Array.from(fromQuery.data);
    pass.fromKeys = rowsOf(fromKeys);
    pass.hidden = pass.fromKeys.map((key) => Array.from(elementwise((a, b) => Math.tanh(a + b), fromQuery, vectorOf(key)).data));
    pass.scores = additiveScores(query, memory, {
      "query_projection.weight": wQuery, "key_projection.weight": wKey, "vector.weight": matrixOf([numbers.vector]),
    });
  } else if (numbers.score === "general") {
    pass.fromKeys = rowsOf(linear(memory, matrixOf(numbers.w_general)));
    pass.scores = generalScores(query, memory, matrixOf(numbers.w_general));
  } else pass.scores = dotScores(query, memory);
  const attended = attend(pass.scores, memory, numbers.mask);
  const logits = linear(attended.context, matrixOf(numbers.output));
  const logProbs = logSoftmax(logits).data;
  pass.scores = Array.from(pass.scores.data);
  pass.weights = Array.from(attended.weights.data);
  pass.context = Array.from(attended.context.data);
  pass.logits = Array.from(logits.data);
  pass.probs = Array.from(logProbs, Math.exp);
  pass.loss = -logProbs[numbers.right];
  return pass;
}

/** The gradient of the loss, backwards from the logits to the parameters of the score. */
export function backwardPass(numbers, pass) {
  const { memory, query, output, vector } = numbers;
  const logits = pass.probs.map((p, k) => p - (k === numbers.right ? 1 : 0));
  const context = [0, 1].map((i) => inner(logits, output.map((line) => line[i])));
  const weights = memory.map((key) => inner(context, key));
  const mean = inner(pass.weights, weights);
  const scores = pass.weights.map((weight, j) => weight * (weights[j] - mean));
  const back = { logits, context, weights, mean, scores };
  if (numbers.score === "additive") {
    back.hidden = pass.hidden.map((tanh, j) => tanh.map((t, i) => scores[j] * vector[i] * (1 - t * t)));
    const total = [0, 1].map((i) => back.hidden.reduce((sofar, one) => sofar + one[i], 0));
    back.parameters = {
      w_query: total.map((a) => query.map((q) => a * q)),
      w_key: [0, 1].map((i) => [0, 1].map((k) => back.hidden.reduce((sofar, one, j) => sofar + one[i] * memory[j][k], 0))),
      vector: [0, 1].map((i) => inner(scores, pass.hidden.map((tanh) => tanh[i]))),
    };
    back.total = total;
  } else if (numbers.score === "general") {
    const mixed = [0, 1].map((k) => inner(scores, memory.map((key) => key[k])));
    back.mixed = mixed;
    back.parameters = { w_general: query.map((q) => mixed.map((m) => q * m)) };
  } else back.parameters = {};
  return back;
}

/** f at every number of nested lists of one shape. */
function nested(f, a, b) {
  return Array.isArray(a) ? a.map((one, i) => nested(f, one, b?.[i])) : f(a, b);
}

/** One step of gradient descent: the new parameters of the score, by name. */
export function descend(numbers) {
  const { parameters } = backwardPass(numbers, forwardPass(numbers));
  return Object.fromEntries(
    Object.entries(parameters).map(([name, gradient]) => [name, nested((x, g) => x - numbers.learning_rate * g, numbers[name], gradient)]),
  );
}

// ---------------------------------------------------------------------------------------------
// Numbers as text

const vec = (numbers) => `(${numbers.map((x) => digits(x)).join(", ")})`;
const mat = (rows) => `[${rows.map(vec).join("; ")}]`;
const term = (x) => (x < 0 ? `(${digits(x)})` : digits(x));
const products = (a, b) => a.map((x, i) => `${term(x)}·${term(b[i])}`).join(" + ");
const times = (x, numbers) => `${term(x)}·${vec(numbers)}`;
const short = (x) => Number(x.toFixed(3));
const SUB = ["₁", "₂", "₃"];
/** Text in which W_query and W_key have their names below the line. */
const marked = (text) => text.split(/(W_query|W_key)/).map((part) => (part.startsWith("W_") ? ["W", h("sub", {}, part.slice(2))] : part));
const wordNode = (word) => h("span", /[\uac00-\ud7a3]/.test(word) ? { lang: "ko" } : {}, word);

/** One line: a formula, the numbers put in, and the value. */
function formula(left, filled, value) {
  return h("li", {}, h("span", { class: "lc-att-formula" }, marked(left)), filled ? ` = ${filled}` : "", value === undefined ? "" : " = ", value === undefined ? null : h("strong", {}, value));
}
const formulas = (title, lines) => h("div", {}, title ? h("p", { class: "lc-label" }, title) : null, h("ul", { class: "lc-att-formulas" }, lines));

function render({ model, el }) {
  const root = frame(el, "The five steps of attention", "Three words, two numbers each. Change any number and follow it to the next word.");
  const id = newId();
  const initial = structuredClone(Object.fromEntries(TRAITS.map((name) => [name, model.get(name)])));
  const words = model.get("words");
  const targets = model.get("targets");
  const fields = []; // { input, read, label } of every number
  let taught = null; // { before, losses }: what gradient descent has done since a number was last set
  let busy = false;

  const numbers = () => Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));
  const problem = h("p", { class: "lc-error", id: `${id}-problem`, role: "alert" });
  const note = live();

  // --- the numbers
  /** An input for the number of a trait at a place, such as ["memory", 0, 1]. */
  function field(label, name, ...place) {
    const read = () => place.reduce((value, i) => value[i], model.get(name));
    const [low, high] = name === "learning_rate" ? [0, LARGEST] : [-LARGEST, LARGEST];
    const write = (value, i, x) => (i === place.length ? x : value.map((one, k) => (k === place[i] ? write(one, i + 1, x) : one)));
    const fits = () => input.value !== "" && Number(input.value) >= low && Number(input.value) <= high && !(name === "learning_rate" && Number(input.value) === 0);
    const check = (good) => {
      input.setAttribute("aria-invalid", String(!good));
      problem.textContent = good ? "" : `${label}: give a number from ${name === "learning_rate" ? "above 0" : `−${LARGEST}`} to ${LARGEST}.`;
    };
    const input = h("input", {
      type: "number", step: 0.1, min: low, max: high, "aria-label": label, "aria-describedby": `${id}-problem`,
      oninput: () => {
        check(fits());
        if (fits()) change({ [name]: write(model.get(name), 0, Number(input.value)) }, name !== "learning_rate");
      },
      onchange: () => {
        if (!fits()) input.value = short(read());
        check(true);
      },
    });
    fields.push({ input, read });
    return input;
  }
  const pair = (label, name, ...place) => h("span", { class: "lc-att-pair" }, [0, 1].map((i) => field(`${label}, number ${i + 1}`, name, ...place, i)));
  const matrix = (label, name, lines = [0, 1]) =>
    h("fieldset", { class: "lc-att-matrix" }, h("legend", {}, marked(label)),
      lines.map((i) => h("div", { class: "lc-att-pair" }, [0, 1].map((k) => field(`${label}, row ${i + 1}, column ${k + 1}`, name, i, k)))));

  const masks = words.map((word, j) =>
    h("input", {
      type: "checkbox", "aria-label": `${word} may be attended to`,
      onchange: () => change({ mask: model.get("mask").map((one, i) => (i === j ? masks[j].checked : one)) }),
    }));
  const cells = words.map(() => ({ score: h("td"), weight: h("td", { class: "lc-left" }), part: h("td") }));
  const totals = { weight: h("td", { class: "lc-left" }), part: h("td") };
  const sourceTable = h("div", { class: "lc-scroll", tabindex: 0, role: "region", "aria-label": "The source words, scrolls when it is wide" },
    h("table", { class: "lc-att-source lc-att-table" },
      h("caption", {}, "The source sentence"),
      h("thead", {}, h("tr", {},
        h("th", { scope: "col", class: "lc-left" }, "word"),
        h("th", { scope: "col", class: "lc-left" }, "output h"),
        h("th", { scope: "col" }, "attend"),
        h("th", { scope: "col" }, "score e"),
        h("th", { scope: "col", class: "lc-left" }, "weight α"),
        h("th", { scope: "col" }, "α h"))),
      h("tbody", {},
        words.map((word, j) => h("tr", {},
          h("th", { scope: "row" }, wordNode(word)),
          h("td", { class: "lc-left" }, pair(`Encoder output of ${word}`, "memory", j)),
          h("td", {}, masks[j]),
          cells[j].score, cells[j].weight, cells[j].part)),
        h("tr", { class: "lc-total" }, h("th", { scope: "row" }, "sum"), h("td"), h("td"), h("td"), totals.weight, totals.part))));

  const kind = h("select", { onchange: () => change({ score: kind.value }) },
    [["additive", "additive: v · tanh(W_query q + W_key h)"], ["dot", "dot: q · h"], ["general", "general: q · W h"]].map(([value, text]) => h("option", { value }, text)));
  const parameters = {
    additive: [matrix("W_query", "w_query"), matrix("W_key", "w_key"),
      h("fieldset", { class: "lc-att-matrix" }, h("legend", {}, "v"), pair("v", "vector"))],
    dot: [],
    general: [matrix("W", "w_general")],
  };
  const outputs = h("fieldset", { class: "lc-att-matrix" }, h("legend", {}, "Output matrix U"),
    targets.map((word, k) => h("div", { class: "lc-att-pair" }, [0, 1].map((i) => field(`Output matrix, row of ${word}, column ${i + 1}`, "output", k, i)), wordNode(word))));

  // --- the steps
  const stepButtons = STEPS.map((name, i) => h("button", { type: "button", onclick: () => put(model, { step: i + 1 }) }, h("b", {}, i + 1), ` ${name}`));
  const detail = h("div", { class: "lc-att-detail" });
  const right = h("select", { onchange: () => change({ right: Number(right.value) }) }, targets.map((word, k) => h("option", { value: k, lang: wordNode(word).lang || undefined }, word)));
  const learn = [1, 10].map((count) => h("button", { type: "button", class: count === 1 ? "lc-primary" : undefined, onclick: () => teach(count) }, count === 1 ? "One step" : "Repeat 10 times"));
  const forgetLearned = h("button", { type: "button", onclick: () => undo() }, "Undo the learning");
  const progress = h("div", {});
  const learning = h("div", { class: "lc-att-learning", hidden: true },
    h("div", { class: "lc-row lc-end lc-gap" },
      h("label", { class: "lc-field" }, "The right next word", right),
      h("label", { class: "lc-field" }, "Learning rate η", field("Learning rate", "learning_rate")),
      learn, forgetLearned),
    progress);

  root.append(
    h("div", { class: "lc-part", style: "margin-top:.8rem" }, sourceTable),
    h("div", { class: "lc-row lc-end lc-gap", style: "margin-top:.7rem" },
      h("label", { class: "lc-field" }, "Kind of score", kind),
      h("button", { type: "button", onclick: () => reset() }, "Reset all numbers")),
    h("div", { class: "lc-row lc-gap lc-att-groups" },
      h("fieldset", { class: "lc-att-matrix" }, h("legend", {}, "Decoder state q"), pair("Decoder state", "query")),
      Object.values(parameters), outputs),
    problem,
    h("div", { class: "lc-att-steps", role: "group", "aria-label": "The five steps" }, stepButtons),
    note.node,
    learning,
    detail,
  );

  // --- what they do
  function change(changes, forgets = true) {
    if (forgets) taught = null;
    busy = true; // the listeners run once for all of the changes
    put(model, changes);
    busy = false;
    show();
  }

  function reset() {
    problem.textContent = "";
    fields.forEach(({ input }) => input.setAttribute("aria-invalid", "false"));
    change(structuredClone(initial));
  }

  function teach(count) {
    problem.textContent = "";
    const before = taught?.before ?? numbers();
    const losses = taught?.losses ?? [forwardPass(before).loss];
    let now = numbers();
    for (let i = 0; i < count; i += 1) {
      const next = { ...now, ...descend(now) };
      const all = PARAMETERS[now.score].flatMap((name) => next[name].flat());
      if (!all.every((x) => Math.abs(x) <= LARGEST)) {
        problem.textContent = `A step leads to numbers beyond ±${LARGEST}: the learning rate is too large.`;
        break;
      }
      now = next;
      losses.push(forwardPass(now).loss);
    }
    if (losses.length > 1) taught = { before, losses };
    change(Object.fromEntries(PARAMETERS[now.score].map((name) => [name, now[name]])), false);
  }

  function undo() {
    const { before } = taught;
    change(Object.fromEntries(PARAMETERS[before.score].map((name) => [name, before[name]])));
    learn[0].focus();
  }

  // --- drawing
  const bar = (p) => s("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { width: Math.max(100 * p, p ? 0.6 : 0).toFixed(2), height: 12 }));

  function drawTable(pass) {
    const step = model.get("step");
    const until = (first, text) => (pass && step >= first ? text() : h("span", { class: "lc-muted" }, "–"));
    words.forEach((_, j) => {
      masks[j].checked = model.get("mask")[j];
      cells[j].score.replaceChildren(until(1, () => digits(pass.scores[j])));
      cells[j].weight.replaceChildren(until(2, () => h("div", { class: "lc-share" }, bar(pass.weights[j]), h("span", {}, digits(pass.weights[j])))));
      cells[j].part.replaceChildren(until(3, () => vec(pass.context.map((_, i) => pass.weights[j] * model.get("memory")[j][i]))));
    });
    totals.weight.replaceChildren(until(2, () => "1"));
    totals.part.replaceChildren(until(3, () => `c = ${vec(pass.context)}`));
  }

  function scoreLines(now, pass) {
    if (now.score === "dot")
      return [h("div", { class: "lc-att-three" }, words.map((word, j) => formulas(word, [formula(`e${SUB[j]} = q · h${SUB[j]}`, products(now.query, now.memory[j]), digits(pass.scores[j]))])))];
    if (now.score === "general")
      return [h("div", { class: "lc-att-three" }, words.map((word, j) => formulas(word, [
        formula(`W h${SUB[j]}`, `(${now.w_general.map((line) => products(line, now.memory[j])).join(", ")})`, vec(pass.fromKeys[j])),
        formula(`e${SUB[j]} = q · W h${SUB[j]}`, products(now.query, pass.fromKeys[j]), digits(pass.scores[j])),
      ])))];
    return [
      formulas("Once, for the decoder state", [formula("W_query q", `(${now.w_query.map((line) => products(line, now.query)).join(", ")})`, vec(pass.fromQuery))]),
      h("div", { class: "lc-att-three" }, words.map((word, j) => formulas(word, [
        formula(`W_key h${SUB[j]}`, `(${now.w_key.map((line) => products(line, now.memory[j])).join(", ")})`, vec(pass.fromKeys[j])),
        formula(`t${SUB[j]} = tanh(W_query q + W_key h${SUB[j]})`, `tanh(${[0, 1].map((i) => `${digits(pass.fromQuery[i])} + ${term(pass.fromKeys[j][i])}`).join(", ")})`, vec(pass.hidden[j])),
        formula(`e${SUB[j]} = v · t${SUB[j]}`, products(now.vector, pass.hidden[j]), digits(pass.scores[j])),
      ]))),
    ];
  }

  /** exp of each of some scores, their sum, and each share; large scores are made smaller first. */
  function softmaxLines(names, symbol, result, scores, shares, open = scores.map(() => true), first = () => []) {
    const largest = Math.max(...scores.filter((_, j) => open[j]));
    const shift = largest > 50 ? largest : 0;
    const powers = scores.map((score, j) => (open[j] ? Math.exp(score - shift) : 0));
    const total = powers.reduce((sofar, power) => sofar + power, 0);
    return [
      ...(shift ? [h("p", { class: "lc-muted lc-small" }, `exp of such large numbers overflows; the greatest, ${digits(shift)}, is taken from all first, which changes no share.`)] : []),
      h("div", { class: "lc-att-three" }, names.map((name, j) => formulas(name, open[j]
        ? [
            ...first(j),
            formula(`exp(${symbol}${SUB[j]}${shift ? " − max" : ""})`, `exp(${digits(scores[j] - shift)})`, digits(powers[j])),
            formula(`${result}${SUB[j]} = exp(${symbol}${SUB[j]}${shift ? " − max" : ""}) / sum`, `${digits(powers[j])} / ${digits(total)}`, digits(shares[j])),
            h("li", { "aria-hidden": "true" }, h("div", { class: "lc-share" }, bar(shares[j]))),
          ]
        : [formula(`${result}${SUB[j]}`, "", "0"), h("li", {}, "Masked: it takes no part in the sum.")]))),
      formulas("", [formula("sum", powers.filter((_, j) => open[j]).map((power) => digits(power)).join(" + "), digits(total))]),
    ];
  }

  function sumLines(now, pass) {
    return [
      h("div", { class: "lc-att-three" }, words.map((word, j) => formulas(word, [
        formula(`α${SUB[j]} h${SUB[j]}`, times(pass.weights[j], now.memory[j]), vec(now.memory[j].map((x) => pass.weights[j] * x))),
      ]))),
      formulas("Together", [formula("c = α₁ h₁ + α₂ h₂ + α₃ h₃", now.memory.map((key, j) => vec(key.map((x) => pass.weights[j] * x))).join(" + "), vec(pass.context))]),
    ];
  }

  function nextLines(now, pass) {
    return [
      h("p", { class: "lc-muted lc-small" }, "One row of U scores one word from the context. The decoder of the chapter also reads its own state and the word before; here the context decides alone."),
      ...softmaxLines(targets.map(wordNode), "z", "p", pass.logits, pass.probs, undefined, (k) => [
        formula(`z${SUB[k]} = U${SUB[k]} · c`, products(now.output[k], pass.context), digits(pass.logits[k])),
      ]),
    ];
  }

  function gradientLines(now, pass) {
    const back = backwardPass(now, pass);
    const given = targets.map((_, k) => (k === now.right ? 1 : 0));
    const lines = [
      formulas("From the loss back to the context", [
        formula(`L = −ln p${SUB[now.right]}`, `−ln ${digits(pass.probs[now.right])}`, `${digits(pass.loss)} nats (${digits(pass.loss / Math.LN2)} bits)`),
        formula("∂L/∂z = p − (1 for the right word, 0 else)", `${vec(pass.probs)} − ${vec(given)}`, vec(back.logits)),
        formula("∂L/∂c = Uᵀ ∂L/∂z", `(${[0, 1].map((i) => products(now.output.map((line) => line[i]), back.logits)).join(", ")})`, vec(back.context)),
        formula("mean = Σ αⱼ ∂L/∂αⱼ", products(pass.weights, back.weights), digits(back.mean)),
      ]),
      h("div", { class: "lc-att-three" }, words.map((word, j) => formulas(word, [
        formula(`∂L/∂α${SUB[j]} = ∂L/∂c · h${SUB[j]}`, products(back.context, now.memory[j]), digits(back.weights[j])),
        formula(`∂L/∂e${SUB[j]} = α${SUB[j]} (∂L/∂α${SUB[j]} − mean)`, `${digits(pass.weights[j])}·(${digits(back.weights[j])} − ${term(back.mean)})`, digits(back.scores[j])),
        ...(now.score === "additive"
          ? [formula(`g${SUB[j]} = ∂L/∂e${SUB[j]} v (1 − t${SUB[j]}²)`, `(${[0, 1].map((i) => `${term(back.scores[j])}·${term(now.vector[i])}·(1 − ${term(pass.hidden[j][i])}²)`).join(", ")})`, vec(back.hidden[j]))]
          : []),
      ]))),
    ];
    const rate = now.learning_rate;
    const shown = (value) => (Array.isArray(value[0]) ? mat(value) : vec(value));
    const updated = (symbol, name) =>
      formula(`${symbol} − η ∂L/∂${symbol}`, `${shown(now[name])} − ${digits(rate)}·${shown(back.parameters[name])}`, shown(nested((x, g) => x - rate * g, now[name], back.parameters[name])));
    if (now.score === "additive")
      lines.push(formulas("The parameters of the score", [
        formula("∂L/∂v = Σ ∂L/∂eⱼ tⱼ", pass.hidden.map((tanh, j) => times(back.scores[j], tanh)).join(" + "), vec(back.parameters.vector)),
        formula("∂L/∂W_query = (Σ gⱼ) qᵀ", `[${back.total.map((g) => `${term(g)}·${vec(now.query)}`).join("; ")}]`, mat(back.parameters.w_query)),
        formula("∂L/∂W_key = Σ gⱼ hⱼᵀ", `[${[0, 1].map((i) => back.hidden.map((g, j) => times(g[i], now.memory[j])).join(" + ")).join("; ")}]`, mat(back.parameters.w_key)),
      ]), formulas("What the next step will make of them", [updated("v", "vector"), updated("W_query", "w_query"), updated("W_key", "w_key")]));
    if (now.score === "general")
      lines.push(formulas("The parameters of the score", [
        formula("m = Σ ∂L/∂eⱼ hⱼ", now.memory.map((key, j) => times(back.scores[j], key)).join(" + "), vec(back.mixed)),
        formula("∂L/∂W = q mᵀ", `[${now.query.map((q) => times(q, back.mixed)).join("; ")}]`, mat(back.parameters.w_general)),
      ]), formulas("What the next step will make of them", [updated("W", "w_general")]));
    return lines;
  }

  function drawProgress(now, pass) {
    if (!taught) return progress.replaceChildren();
    const before = forwardPass(taught.before);
    const steps = taught.losses.length - 1;
    const rows = [
      ...words.map((word, j) => [h("span", {}, `score e${SUB[j]}, `, wordNode(word)), before.scores[j], pass.scores[j]]),
      ...words.map((word, j) => [h("span", {}, `weight α${SUB[j]}, `, wordNode(word)), before.weights[j], pass.weights[j]]),
      [h("span", {}, "probability of ", wordNode(targets[now.right])), before.probs[now.right], pass.probs[now.right]],
      ["loss L (nats)", before.loss, pass.loss],
    ];
    const most = Math.max(...taught.losses, 1e-9);
    const points = taught.losses.map((loss, i) => `${(4 + (192 * i) / steps).toFixed(1)},${(4 + 72 * (1 - loss / most)).toFixed(1)}`);
    return progress.replaceChildren(h("div", { class: "lc-row lc-gap lc-att-progress" },
      h("div", { class: "lc-scroll", tabindex: 0, role: "region", "aria-label": "Before and after learning" },
        h("table", { class: "lc-att-table" },
          h("caption", {}, `Before and after ${plural(steps, "step")}`),
          h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "lc-left" }, "number"), h("th", { scope: "col" }, "before"), h("th", { scope: "col" }, "after"))),
          h("tbody", {}, rows.map(([name, a, b]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, digits(a)), h("td", {}, digits(b))))))),
      h("figure", {},
        s("svg", { viewBox: "0 0 200 80", width: 200, height: 80, role: "img", "aria-label": `The loss from ${digits(before.loss)} to ${digits(pass.loss)} nats over ${plural(steps, "step")}` },
          s("line", { class: "lc-att-axis", x1: 4, x2: 196, y1: 76, y2: 76 }),
          s("polyline", { class: "lc-att-loss", points: points.join(" ") })),
        h("figcaption", { class: "lc-muted lc-small" }, "The loss, step by step; the line below is 0"))));
  }

  function sentence(now, pass) {
    const step = model.get("step");
    const open = words.map((_, j) => j).filter((j) => now.mask[j]);
    const best = (values, among) => among.reduce((a, b) => (values[b] > values[a] ? b : a));
    const top = best(pass.weights, open);
    const next = best(pass.probs, [0, 1, 2]);
    const masked = words.filter((_, j) => !now.mask[j]);
    if (step === 1) {
      const first = best(pass.scores, open);
      return `A score says how well a word fits the decoder's state. “${words[first]}” has the highest: ${digits(pass.scores[first])}. Any number is possible; only differences count.`;
    }
    if (step === 2)
      return `Softmax makes the scores positive and lets them sum to 1. “${words[top]}” gets the most: ${digits(pass.weights[top])}.${masked.length ? ` Weight exactly 0 for ${masked.map((word) => `“${word}”`).join(" and ")}: masked.` : ""}`;
    if (step === 3) return `The context c = ${vec(pass.context)} is a mean of the encoder outputs, weighted by α. The most comes from “${words[top]}”.`;
    if (step === 4) return `From the context the decoder expects “${targets[next]}” next: ${digits(pass.probs[next])}.`;
    if (now.score === "dot") return "The dot score has no parameters, so there is nothing to learn here. In a whole model the gradient goes on into the encoder and the decoder.";
    const those = now.score === "additive" ? "W_query, W_key and v" : "W";
    if (!taught) return `“Re-computing the weights” is gradient descent: one step changes ${those}, so that “${targets[now.right]}” becomes likelier. It has ${digits(pass.probs[now.right])} now.`;
    const before = forwardPass(taught.before);
    return `After ${plural(taught.losses.length - 1, "step")} “${targets[now.right]}” has ${digits(pass.probs[now.right])}, before ${digits(before.probs[now.right])}. “${words[top]}” has weight ${digits(pass.weights[top])}, before ${digits(before.weights[top])}. The encoder outputs and the state are as they were: only ${those} changed.`;
  }

  function show() {
    const now = numbers();
    const step = model.get("step");
    fields.forEach(({ input, read }) => {
      if (document.activeElement !== input || input.getAttribute("aria-invalid") !== "true") if (Number(input.value) !== short(read()) || input.value === "") input.value = short(read());
    });
    kind.value = now.score;
    right.value = now.right;
    for (const [name, groups] of Object.entries(parameters)) groups.forEach((group) => (group.hidden = name !== now.score));
    stepButtons.forEach((button, i) => {
      button.classList.toggle("lc-primary", i + 1 === step);
      if (i + 1 === step) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    learning.hidden = step !== 5;
    const possible = now.mask.some((one) => one);
    for (const button of learn) button.disabled = !possible || !PARAMETERS[now.score].length;
    forgetLearned.disabled = !taught;
    if (!possible) {
      drawTable(null);
      progress.replaceChildren();
      detail.replaceChildren();
      note.say("All three words are masked: there is nothing to attend to. Let at least one be attended to.");
      return;
    }
    const pass = forwardPass(now);
    drawTable(pass);
    drawProgress(now, pass);
    detail.replaceChildren(...[
      () => scoreLines(now, pass),
      () => softmaxLines(words, "e", "α", pass.scores, pass.weights, now.mask),
      () => sumLines(now, pass),
      () => nextLines(now, pass),
      () => gradientLines(now, pass),
    ][step - 1]());
    note.say(sentence(now, pass));
  }

  const heard = (forgets) => () => {
    if (busy) return;
    if (forgets) taught = null;
    show();
  };
  const [anew, redraw] = [heard(true), heard(false)];
  const listeners = [...TRAITS.map((name) => [`change:${name}`, name === "learning_rate" ? redraw : anew]), ["change:step", redraw]];
  listeners.forEach(([event, listener]) => model.on(event, listener));
  show();
  return () => listeners.forEach(([event, listener]) => model.off(event, listener));
}

export default { render };
