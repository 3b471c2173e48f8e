// Query, key and value with small numbers: from four words to the weighted sums of their values. Every
// number is computed here, from the traits alone.
import { h, frame, live, newId, digits, put } from "./common.js";

const LARGEST = 100; // of a number, and of the temperature
const LOWEST_TEMPERATURE = 0.001;
const ROOT = Math.SQRT2; // of d_k, the size of a query and of a key
const NUMBERS = ["hidden", "w_query", "w_key", "w_value"];
const TRAITS = ["words", ...NUMBERS, "scaled", "temperature", "mask"];
const STEPS = ["Query, key, value", "Scores", "Scale", "Weights", "Output"];
const PARTS = [["query", "q"], ["key", "k"], ["value", "v"]];
const SWAPPED = [0, 2, 1, 3]; // the second and the third word in each other's place
const everywhere = (may) => [0, 1, 2, 3].map((i) => [0, 1, 2, 3].map((j) => may(i, j)));
const MASKS = { none: everywhere(() => true), causal: everywhere((i, j) => j <= i) };

const SETTINGS = [
  {
    name: "A dictionary",
    about: "Each query equals one key, and at this low temperature that key wins. So each word looks up almost exactly one value, as in a dictionary.",
    traits: {
      hidden: [[1, 0, 1], [0, 1, 2], [-1, 0, 3], [0, -1, 4]],
      w_query: [[0, -1, 0], [1, 0, 0]],
      w_key: [[1, 0, 0], [0, 1, 0]],
      w_value: [[0, 0, 1], [0, 0, 10]],
      scaled: true, temperature: 0.1, mask: MASKS.none, row: 3, step: 4,
    },
  },
  {
    name: "Large vectors",
    about: "Large vectors give large queries and large keys. A score is a sum of their products, so it is very large, and no square root makes it smaller.",
    traits: {
      hidden: [[0, 0, 2], [1, 0, 3], [4, 0, 0], [0, 4, 0]],
      w_query: [[0, 1, 1], [1, 0, 0]],
      w_key: [[1, 0, 0], [0, -1, 1]],
      w_value: [[1, 0, 0.5], [0, 1, 1]],
      scaled: false, temperature: 1, mask: MASKS.none, row: 0, step: 4,
    },
  },
];

// ---------------------------------------------------------------------------------------------
// The numbers

const inner = (a, b) => a.reduce((sofar, x, i) => sofar + x * b[i], 0);
const times = (matrix, x) => matrix.map((line) => inner(line, x));
const mean = (weights, rows) => rows[0].map((_, k) => inner(weights, rows.map((row) => row[k])));

/** Scores (n) -> weights (n) over those that may be attended to; null where there is none. */
function softmax(scores, may) {
  const largest = Math.max(...scores.filter((_, j) => may[j])); // exp of large scores overflows
  const powers = scores.map((score, j) => (may[j] ? Math.exp(score - largest) : 0));
  const total = powers.reduce((a, b) => a + b);
  return may.some((one) => one) ? powers.map((power) => power / total) : null;
}

/**
 * hidden (4, 3), w_query, w_key and w_value (2, 3), mask (4, 4; true: the word of the row may attend to
 * that of the column) -> query, key and value (4, 2), scores and `divided` (4, 4), weights (4, 4) and
 * output (4, 2). A row without any word to attend to has null for its weights and its output.
 */
export function forwardPass(numbers) {
  const [query, key, value] = PARTS.map(([name]) => numbers.hidden.map((x) => times(numbers[`w_${name}`], x)));
  const scores = query.map((q) => key.map((k) => inner(q, k)));
  const divisor = (numbers.scaled ? ROOT : 1) * numbers.temperature;
  const divided = scores.map((line) => line.map((score) => score / divisor));
  const weights = divided.map((line, i) => softmax(line, numbers.mask[i]));
  const output = weights.map((line) => line && mean(line, value));
  return { query, key, value, scores, divisor, divided, weights, output };
}

// ---------------------------------------------------------------------------------------------
// Numbers as text

const rough = (numbers) => `(${numbers.map((x) => x.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "−")).join(", ")})`;
const vec = (numbers) => `(${numbers.map((x) => digits(x)).join(", ")})`;
const term = (x) => (x < 0 ? `(${digits(x)})` : digits(x));
const products = (a, b) => a.map((x, i) => `${term(x)}·${term(b[i])}`).join(" + ");
/** A number in a field: rounded, but 0 only where it is 0. */
const short = (x) => Number(Math.abs(x) < 1e-3 ? x.toPrecision(1) : x.toFixed(3));
const SUB = ["₁", "₂", "₃", "₄"];
/** Text in which W_q, W_k, W_v and d_k have their second letters below the line. */
const marked = (text) => text.split(/([Wd]_[a-z]+)/).map((part) => (part[1] === "_" ? [part[0], h("sub", {}, part.slice(2))] : part));
/** “a”, “b” and “c” */
const list = (names) => names.map((name) => `“${name}”`).join(", ").replace(/, (?=[^,]*$)/, " and ");
/** A weight in a sentence: 1 only where it is 1. */
const share = (weight) => (weight < 1 && digits(weight) === "1" ? "almost 1" : digits(weight));
/** A weight in a table: three places, so that a column can be compared; 0 and 1 only where it is so. */
const brief = (weight) => (weight === 0 ? "0" : weight < 0.0005 ? "≈ 0" : weight < 1 && weight >= 0.9995 ? "≈ 1" : weight.toFixed(3));
/** The places of the greatest of some values. */
const greatest = (values, among = values.map((_, j) => j)) => {
  const most = Math.max(...among.map((j) => values[j]));
  return among.filter((j) => most - values[j] <= 1e-12 * Math.max(1, Math.abs(most)));
};
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** One line: a formula, the numbers put in, and the value. */
const formula = (left, filled, value) => h("li", {}, h("span", { class: "lc-att-formula" }, marked(left)), ` = ${filled} = `, h("strong", {}, value));
const formulas = (title, lines) => h("div", {}, title ? h("p", { class: "lc-label" }, title) : null, h("ul", { class: "lc-att-formulas" }, lines));
const beside = (...blocks) => h("div", { class: "lc-att-three", style: "grid-template-columns:repeat(auto-fit,minmax(min(13rem,100%),1fr))" }, blocks);

function render({ model, el }) {
  const root = frame(el, "Query, key and value", "Four words, three numbers each. Change any number and follow it to the output.");
  const id = newId();
  const initial = structuredClone(Object.fromEntries([...TRAITS, "row", "step"].map((name) => [name, model.get(name)])));
  const places = [0, 1, 2, 3];
  const fields = []; // { input, read } of every number
  const named = []; // what writes the words anew where they stand
  let about = ""; // the text about a setting, until a number changes
  let before = null; // { words, output } from before two words were swapped, as long
  let busy = false;

  const numbers = () => Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));
  const problem = h("p", { class: "lc-error", id: `${id}-problem`, role: "alert" });
  const note = live();
  const said = live("lc-said");
  const word = (i) => {
    const node = h("span", {});
    named.push((words) => (node.textContent = words[i]));
    return node;
  };
  const labelled = (node, label) => {
    named.push((words) => node.setAttribute("aria-label", label(words)));
    return node;
  };

  // --- the numbers
  /** An input for a number: what it is called, its bounds, how it is read and written. */
  function field(label, [low, high], read, write, least = low) {
    const value = () => (input.value === "" ? NaN : Number(input.value));
    const fits = () => value() >= low && value() <= high;
    const complain = (end = "") => {
      problem.textContent = `${label(model.get("words"))}: give a number from ${digits(low)} to ${high}.${end}`;
    };
    const input = h("input", {
      type: "number", step: 0.1, min: least, max: high, "aria-describedby": `${id}-problem`,
      oninput: () => {
        input.setAttribute("aria-invalid", String(!fits()));
        if (fits()) change(write(value()));
        else complain();
      },
      onchange: () => {
        if (!fits()) complain(` It is ${digits(short(read()))} again.`);
        input.setAttribute("aria-invalid", "false");
        input.value = short(read());
      },
    });
    fields.push({ input, read });
    return labelled(input, label);
  }
  const entry = (label, name, i, k) =>
    field(label, [-LARGEST, LARGEST], () => model.get(name)[i][k], (x) => ({
      [name]: model.get(name).map((line, a) => line.map((one, b) => (a === i && b === k ? x : one))),
    }));
  const matrix = ([name, symbol]) =>
    h("fieldset", { class: "lc-att-matrix" }, h("legend", {}, marked(`W_${symbol}`)),
      [0, 1].map((i) => h("div", { class: "lc-att-pair" }, [0, 1, 2].map((k) => entry(() => `W_${symbol}, row ${i + 1}, column ${k + 1}`, `w_${name}`, i, k)))));
  const matrices = h("details", { style: "flex:1 1 18rem;margin-top:0", open: matchMedia("(min-width: 40rem)").matches }, // no room on a telephone
    h("summary", {}, marked("The matrices W_q, W_k and W_v (without biases here)")),
    h("div", { class: "lc-row lc-gap lc-att-groups" }, PARTS.map(matrix)));
  const vectors = h("table", { class: "lc-att-table" },
    h("caption", {}, "The words, and a vector x of each"),
    h("tbody", {}, places.map((i) => h("tr", {},
      h("th", { scope: "row" }, word(i)),
      h("td", { class: "lc-left" }, h("span", { class: "lc-att-pair" }, [0, 1, 2].map((k) => entry((words) => `x of ${words[i]}, number ${k + 1}`, "hidden", i, k))))))));

  const scaled = h("input", { type: "checkbox", onchange: () => change({ scaled: scaled.checked }) });
  const temperature = field(() => "Temperature", [LOWEST_TEMPERATURE, LARGEST], () => model.get("temperature"), (x) => ({ temperature: x }), 0);
  const pressed = (button, on) => button.setAttribute("aria-pressed", String(on));
  const maskButtons = Object.entries({ none: "None", causal: "Causal" }).map(([kind, text]) => ({
    kind, button: h("button", { type: "button", onclick: () => change({ mask: structuredClone(MASKS[kind]) }) }, text),
  }));
  const boxes = places.map((i) => places.map((j) =>
    labelled(h("input", {
      type: "checkbox", style: "display:block;margin:.15rem auto",
      onchange: () => change({ mask: model.get("mask").map((line, a) => line.map((one, b) => (a === i && b === j ? boxes[i][j].checked : one))) }),
    }), (words) => `${words[i]} may attend to ${words[j]}`)));

  // --- tables
  const scroll = (label, ...content) => h("div", { class: "lc-scroll", tabindex: 0, role: "region", "aria-label": `${label}, scrolls when it is wide` }, content);
  const grid = (caption, header, rows) =>
    h("table", { class: "lc-att-table" },
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, h("td"), header.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows));
  /** A row for each word; that of the chosen word is marked. */
  const lines = (row, names, cell, header) => grid(header.caption, header.columns, places.map((i) =>
    h("tr", { class: i === row ? "lc-current" : undefined }, h("th", { scope: "row" }, names[i]), cell(i))));
  const maskRows = places.map((i) => h("tr", {}, h("th", { scope: "row" }, word(i)), places.map((j) => h("td", {}, boxes[i][j]))));
  const maskTable = scroll("The mask", grid("Mask: ✓, the row may attend to the column", places.map(word), maskRows));
  const results = scroll("The numbers of this step");
  const outputs = scroll("The outputs");

  // --- the steps
  const stepButtons = STEPS.map((name, i) => h("button", { type: "button", onclick: () => put(model, { step: i + 1 }) }, h("b", {}, i + 1), ` ${name}`));
  const rowButtons = places.map((i) => h("button", { type: "button", onclick: () => put(model, { row: i }) }, word(i)));
  const swapButton = h("button", { type: "button", onclick: () => swap() });
  named.push((words) => (swapButton.textContent = `Swap “${words[1]}” and “${words[2]}”`));
  const detail = h("div", { class: "lc-att-detail" });

  root.append(
    h("div", { class: "lc-row lc-part", role: "group", "aria-label": "Settings to try" },
      SETTINGS.map((setting) => h("button", { type: "button", onclick: () => change(structuredClone(setting.traits), setting.about) }, setting.name)),
      swapButton,
      h("button", { type: "button", onclick: () => reset() }, "Start again")),
    said.node,
    h("div", { class: "lc-att-steps", role: "group", "aria-label": "The five steps" }, stepButtons),
    h("div", { class: "lc-row", style: "margin-top:.8rem", role: "group", "aria-label": "The word that is worked out" },
      h("span", { class: "lc-label" }, "worked out for"), h("div", { class: "lc-chips" }, rowButtons)),
    h("div", { class: "lc-row lc-gap", style: "margin-top:.8rem" },
      h("label", { class: "lc-row" }, scaled, h("span", {}, marked("divide by √d_k = √2"))),
      h("label", { class: "lc-row" }, "and by the temperature T", h("span", { class: "lc-att-pair" }, temperature)),
      h("div", { class: "lc-row", role: "group", "aria-label": "Mask" }, h("span", { class: "lc-label" }, "mask"),
        h("div", { class: "lc-chips" }, maskButtons.map(({ button }) => button)), h("span", { class: "lc-muted lc-small" }, "to forbid single words, open step 4"))),
    h("div", { class: "lc-row lc-gap lc-att-groups" }, vectors, matrices),
    problem,
    note.node,
    h("div", { class: "lc-row lc-gap", style: "align-items:flex-start;margin-top:.8rem" }, results, maskTable, outputs),
    detail,
  );

  // --- what they do
  function change(changes, text = "", earlier = null) {
    about = text;
    before = earlier;
    forgetProblem();
    busy = true; // the listeners run once for all of the changes
    put(model, changes);
    busy = false;
    show();
  }

  function forgetProblem() {
    problem.textContent = "";
    fields.forEach(({ input }) => input.setAttribute("aria-invalid", "false"));
  }

  const reset = () => change(structuredClone(initial));

  function swap() {
    const [words, hidden] = [model.get("words"), model.get("hidden")];
    const { output } = forwardPass(numbers());
    const changes = { words: SWAPPED.map((i) => words[i]), hidden: SWAPPED.map((i) => hidden[i]), step: 5 };
    const now = forwardPass({ ...numbers(), ...changes }).output;
    const close = (a, b) => (a && b ? a.every((x, k) => Math.abs(x - b[k]) <= 1e-9 * Math.max(1, Math.abs(x))) : a === b);
    const both = `${list([words[1], words[2]])} have changed places`;
    change(changes, SWAPPED.every((i, k) => close(output[i], now[k]))
      ? `${both}, and their outputs with them: each word has the output that it had before. Attention does not see the order. Now choose the causal mask and swap again.`
      : `${both}, and not every word has the output that it had before: the mask belongs to the places, not to the words.`, { words, output });
  }

  // --- drawing
  const DASH = () => h("span", { class: "lc-muted" }, "–");
  const cellsOf = (line) => places.map((j) => h("td", {}, line ? digits(line[j]) : DASH()));
  const weightCells = (line) => places.map((j) => h("td", {
    class: line && line[j] === 0 ? "lc-zero" : undefined,
    style: line ? `background-image:linear-gradient(var(--lc-accent),var(--lc-accent));background-position:0 100%;background-repeat:no-repeat;background-size:${(100 * line[j]).toFixed(1)}% 8px;padding-bottom:12px` : undefined,
  }, line ? brief(line[j]) : DASH()));

  function tableOf(now, pass, step, row) {
    const { words } = now;
    const table = (caption, columns, cell) => lines(row, words, cell, { caption, columns });
    if (step === 1) return table("Query, key and value of each word", PARTS.map(([name]) => name), (i) => PARTS.map(([name]) => h("td", {}, vec(pass[name][i]))));
    if (step === 2) return table("Scores, not divided yet: query of the row · key of the column", words, (i) => cellsOf(pass.scores[i]));
    if (step === 3) return table(`Scores e, divided by ${digits(pass.divisor)}`, words, (i) => cellsOf(pass.divided[i]));
    return table("Weights α: each row sums to 1", words, (i) => weightCells(pass.weights[i]));
  }

  function outputTable(now, pass, row) {
    const cell = (vector, name = "") => h("td", {}, name, vector ? rough(vector) : DASH());
    const cells = before
      ? (i) => [cell(pass.output[i]), cell(before.output[i], `${before.words[i]} `)]
      : (i) => [cell(pass.value[i]), cell(pass.output[i])];
    return lines(row, now.words, cells, {
      caption: "Output o: the values, weighted by the row", columns: before ? ["output now", "before the swap"] : ["value", "output"],
    });
  }

  function softmaxLines(now, pass, row) {
    const may = now.mask[row];
    const scores = pass.divided[row];
    const largest = Math.max(...scores.filter((_, j) => may[j]));
    const shift = Math.abs(largest) > 50 ? largest : 0;
    const powers = scores.map((score) => Math.exp(score - shift));
    const total = inner(powers, may.map(Number));
    const at = (letter, j) => `${letter}${SUB[row]}${SUB[j]}`;
    const power = (j) => `exp(${at("e", j)}${shift ? " − max" : ""})`;
    return [
      shift ? h("p", { class: "lc-muted lc-small" }, `exp of such numbers is too large or too small for a computer. The greatest, ${digits(shift)}, is taken from all first. That changes no weight.`) : null,
      beside(places.map((j) => formulas(now.words[j], may[j]
        ? [
            formula(power(j), `exp(${digits(scores[j] - shift)})`, digits(powers[j])),
            formula(`${at("α", j)} = ${power(j)} / sum`, `${digits(powers[j])} / ${digits(total)}`, digits(pass.weights[row][j])),
          ]
        : [h("li", {}, h("span", { class: "lc-att-formula" }, at("α", j)), " = ", h("strong", {}, "0")), h("li", {}, "Masked: it takes no part in the sum.")]))),
      formulas("", [formula("sum", powers.filter((_, j) => may[j]).map((one) => digits(one)).join(" + "), digits(total))]),
    ];
  }

  function detailOf(now, pass, step, row) {
    const [query, weights] = [pass.query[row], pass.weights[row]];
    const [own, at] = [SUB[row], (letter, j) => `${letter}${SUB[row]}${SUB[j]}`];
    const each = (line) => formulas("", places.map(line));
    const named = (j, ...parts) => {
      const item = formula(...parts);
      item.prepend(h("span", { class: "lc-label" }, `${now.words[j]}: `));
      return item;
    };
    if (step === 1) return [beside(PARTS.map(([name, symbol]) => formulas(name, [
      formula(`${symbol}${own} = W_${symbol} x${own}`, `(${now[`w_${name}`].map((line) => products(line, now.hidden[row])).join(", ")})`, vec(pass[name][row])),
    ])))];
    if (step === 2) return [each((j) => named(j, `q${own} · k${SUB[j]}`, products(query, pass.key[j]), digits(pass.scores[row][j])))];
    if (step === 3) return [each((j) => named(j, `${at("e", j)} = q${own} · k${SUB[j]} / ${now.scaled ? "(√d_k · T)" : "T"}`,
      `${digits(pass.scores[row][j])} / ${now.scaled ? `(${digits(ROOT)}·${digits(now.temperature)})` : digits(now.temperature)}`, digits(pass.divided[row][j])))];
    if (!weights) return [];
    if (step === 4) return softmaxLines(now, pass, row);
    const parts = pass.value.map((value, j) => value.map((x) => weights[j] * x));
    return [
      each((j) => named(j, `${at("α", j)} v${SUB[j]}`, `${digits(weights[j])}·${vec(pass.value[j])}`, vec(parts[j]))),
      formulas("Together", [formula(`o${own} = ${places.map((j) => `${at("α", j)} v${SUB[j]}`).join(" + ")}`, parts.map(vec).join(" + "), vec(pass.output[row]))]),
    ];
  }

  function sentence(now, pass, step, row) {
    const { words } = now;
    const me = `“${words[row]}”`;
    if (step === 1) {
      const found = places.filter((j) => same(pass.query[row], pass.key[j])).map((j) => words[j]);
      return `${me} asks with its query ${vec(pass.query[row])}. It can be found by its key ${vec(pass.key[row])}. It hands on its value ${vec(pass.value[row])}.${found.length ? ` Its query equals the key of ${list(found)}.` : ""}`;
    }
    if (step === 2) {
      const top = greatest(pass.scores[row]);
      const fits = top.length > 1 ? `fits the keys of ${list(top.map((j) => words[j]))} equally well` : `fits the key of “${words[top[0]]}” best`;
      return `The query of ${me} ${fits}: score ${digits(pass.scores[row][top[0]])}.`;
    }
    if (step === 3) {
      const effect = pass.divisor > 1 ? "The differences between them become smaller." : pass.divisor < 1 ? "The differences between them become larger." : "That changes nothing.";
      const second = `the temperature T = ${digits(now.temperature)}`;
      return now.scaled
        ? `The scores are divided by two numbers: by √2 = ${digits(ROOT)}, since a query has 2 numbers, and by a second one, ${second}${now.temperature === 1 ? ", which changes nothing" : ""}. ${effect}`
        : `The square root is switched off. The scores are divided by ${second} alone. ${effect}`;
    }
    const weights = pass.weights[row];
    if (!weights) return `${me} may attend to no word: it has no weights and no output. Allow it at least one word in step 4.`;
    const top = greatest(weights, places.filter((j) => now.mask[row][j]));
    const best = weights[top[0]];
    const names = list(top.map((j) => words[j]));
    if (step === 5) return `The output of ${me} is ${vec(pass.output[row])}: the mean of the values, weighted by its row. ${top.length > 1 ? `The values of ${names} count most, with equal weights:` : `The value of ${names} counts most:`} ${share(best)}.`;
    const masked = places.filter((j) => !now.mask[row][j]).map((j) => words[j]);
    return [
      `${me} looks ${top.length > 1 ? "equally" : masked.length === 3 ? "only" : "most"} at ${names}: ${share(best)}${top.length > 1 ? " each" : ""}.`,
      masked.length ? `Weight exactly 0 for ${list(masked)}: masked.` : "",
      !now.scaled && masked.length < 3 ? `With the square root it would be ${share(forwardPass({ ...now, scaled: true }).weights[row][top[0]])}.` : "",
      best > 0.95 && masked.length < 3 ? `Softmax is almost flat here: its slope α(1 − α) is ${digits(best * (1 - best))}. At α = 0.5 it is 0.25.` : "",
    ].filter((part) => part).join(" ");
  }

  function show() {
    const now = numbers();
    const [step, row] = [model.get("step"), model.get("row")];
    named.forEach((write) => write(now.words));
    fields.forEach(({ input, read }) => {
      const mending = document.activeElement === input && input.getAttribute("aria-invalid") === "true";
      if (!mending && (input.value === "" || Number(input.value) !== read())) input.value = short(read());
    });
    scaled.checked = now.scaled;
    maskButtons.forEach(({ kind, button }) => pressed(button, same(now.mask, MASKS[kind])));
    boxes.forEach((line, i) => line.forEach((box, j) => (box.checked = now.mask[i][j])));
    rowButtons.forEach((button, i) => pressed(button, i === row));
    maskRows.forEach((line, i) => line.classList.toggle("lc-current", i === row));
    stepButtons.forEach((button, i) => {
      button.classList.toggle("lc-primary", i + 1 === step);
      if (i + 1 === step) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    const pass = forwardPass(now);
    maskTable.hidden = step !== 4;
    results.replaceChildren(tableOf(now, pass, step, row));
    outputs.hidden = step !== 5;
    outputs.replaceChildren(outputTable(now, pass, row));
    detail.replaceChildren(...detailOf(now, pass, step, row).filter((node) => node));
    said.say(about);
    note.say(sentence(now, pass, step, row));
  }

  const heard = () => {
    if (busy) return;
    [about, before] = ["", null];
    show();
  };
  const turned = () => !busy && show();
  const listeners = [...TRAITS.map((name) => [`change:${name}`, heard]), ["change:row", turned], ["change:step", turned]];
  listeners.forEach(([event, listener]) => model.on(event, listener));
  show();
  return () => listeners.forEach(([event, listener]) => model.off(event, listener));
}

export default { render };
