// The scoreboard explorer: every model on one job, its score against what it took. All numbers are
// traits; nothing is measured here.
import { h, s, frame, live, newId, put } from "./common.js";

const SHARE_AXIS = "share of the text";
const WIDE = 560; // px: from here on names stand in the picture, below it their numbers
const LETTER = 13; // px

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const thousands = (value) => value.toLocaleString("en-US");
const three = (value) => thousands(Number(value.toPrecision(3)));
const scoreText = (value) => value.toFixed(3).replace("-", "−");

/** Seconds as text: 41 µs, 4.1 ms, 132 s. */
export function duration(seconds) {
  const [unit, size] = [["µs", 1e-6], ["ms", 1e-3], ["s", 1]].findLast(([, one], i) => !i || seconds >= 0.9995 * one);
  return `${three(seconds / size)} ${unit}`;
}

/** What may lie along the axis: its value of an entry, as text, and whether less of it is better. */
const AXES = {
  parameters: { of: (one) => one.parameters, text: thousands, less: true },
  "seconds of training": { of: (one) => one.seconds, text: duration, less: true },
  "tokens a second": { of: (one) => one.rate, text: three, less: false },
};

/** A line of the board with its means, at one share: `better(a, b)` compares scores. */
function entryOf(line, at, number, better) {
  const one = line.shares[at];
  const best = one.scores.reduce((a, b) => (better(a, b) ? a : b));
  const worst = one.scores.reduce((a, b) => (better(a, b) ? b : a));
  return { ...line, number, parameters: one.parameters, seconds: mean(one.seconds), rate: mean(one.tokens_per_second), score: mean(one.scores), best, worst };
}

/** The entries that no other beats: none has a better score and less (or more) of the axis at once. */
export function unbeaten(entries, { of, less }, better) {
  const atLeast = (a, b) => a === b || (less ? a < b : a > b);
  return entries.filter((one) => !entries.some((other) =>
    atLeast(of(other), of(one)) && !better(one.score, other.score) && (of(other) !== of(one) || other.score !== one.score)));
}

/** Round numbers between the ends: as many as `fits(numbers)` allows, two at least. They are evenly apart, or a factor. */
export function ticks(low, high, fits, log) {
  const factor = log && high > 10 * low;
  const power = Math.floor(Math.log10(factor ? low : high - low));
  const decades = Array.from({ length: Math.ceil(Math.log10(high)) - power + 1 }, (_, i) => power + i);
  const multiples = (step) => Array.from({ length: Math.ceil((high - low) / step) + 1 }, (_, i) => (Math.ceil(low / step) + i) * step);
  const raised = ([every, digits]) => decades.filter((e) => e % every === 0).flatMap((e) => digits.map((digit) => Number(`${digit}e${e}`)));
  const choices = factor
    ? [[1, [1, 2, 5]], [1, [1, 3]], [1, [1]], [2, [1]], [3, [1]]].map(raised)
    : [0.1, 0.2, 0.5, 1, 2, 5].map((part) => multiples(part * 10 ** power));
  const found = choices.map((list) => list.filter((value) => value >= low && value <= high));
  return found.find((values) => values.length > 1 && fits(values)) ?? [found[0][0], found[0].at(-1)];
}

/** A scale for these values: `at(value)` is between 0 and 1. Logarithmic where that is wished and possible. */
function scaleOf(values, log, room) {
  const to = log ? Math.log : (value) => value;
  const from = log ? Math.exp : (value) => value;
  let [low, high] = [Math.min(...values), Math.max(...values)].map(to);
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
  const more = room * (high - low);
  [low, high] = [low - more, high + more];
  return { log, low: from(low), high: from(high), at: (value) => (to(value) - low) / (high - low) };
}

const overlap = (a, b) =>
  Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)) *
  Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y));

/**
 * A place for the text of every point, near it and free of the others: { boxes, clash }, where `clash`
 * is the area that overlaps, infinite where a text is too wide. `things` are further boxes to keep free.
 */
export function placeTexts(points, widths, area, things) {
  const height = LETTER + 3;
  const marks = points.map(({ x, y }) => ({ x: x - 8, y: y - 8, width: 16, height: 16 }));
  const sides = [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [1, 1], [-1, -1], [-1, 1]];
  const nearest = (box) => {
    const away = points.map(({ x, y }) => Math.hypot(x - Math.min(Math.max(x, box.x), box.x + box.width), y - Math.min(Math.max(y, box.y), box.y + box.height)));
    return away.indexOf(Math.min(...away));
  };
  const places = points.map(({ x, y }, i) => [0, 8, 16, 26, 38, 52, 70, 90].flatMap((far) => sides.map(([right, down], side) => {
    const [dx, dy] = [right, down].map((way) => way * (far + 9) * (right && down ? 0.75 : 1));
    const box = { x: x + dx - (widths[i] * (1 - right)) / 2, y: y + dy - (height * (1 - down)) / 2, width: widths[i], height, far };
    const taken = things.reduce((sum, thing) => sum + overlap(box, thing), 0);
    return { ...box, cost: 3 * far + side + taken + (nearest(box) === i ? 0 : 120) };
  })).filter((box) => box.x >= area.x && box.y >= area.y && box.x + box.width <= area.x + area.width && box.y + box.height <= area.y + area.height));
  if (places.some((list) => !list.length)) return { boxes: [], clash: Infinity };
  const boxes = places.map(() => null);
  const clashOf = (box, i) => [...marks, ...boxes.filter((other, j) => other && j !== i)].reduce((sum, other) => sum + overlap(box, other), 0);
  for (let round = 0; round < 6; round += 1) {
    places.forEach((list, i) => {
      const costs = list.map((box) => box.cost + Math.sqrt(1e6 * clashOf(box, i)));
      boxes[i] = list[costs.indexOf(Math.min(...costs))];
    });
  }
  return { boxes, clash: boxes.reduce((sum, box, i) => sum + clashOf(box, i), 0) };
}

/** Heights for a column of texts: each near its own, none nearer than `gap` to the next. */
export function spread(heights, gap, low, high) {
  const order = Array.from(heights.keys()).sort((a, b) => heights[a] - heights[b]);
  const found = [...heights];
  order.forEach((i, place) => (found[i] = Math.max(found[i], place ? found[order[place - 1]] + gap : low)));
  order.reverse().forEach((i, place) => (found[i] = Math.min(found[i], place ? found[order[place - 1]] - gap : high)));
  return found;
}

/** A circle for what is trained, a square for what is counted. */
function mark(x, y, { counted, way }) {
  const open = way === "left side" ? " lc-sb-open" : "";
  return counted
    ? s("rect", { class: `lc-sb-mark${open}`, x: x - 5, y: y - 5, width: 10, height: 10 })
    : s("circle", { class: `lc-sb-mark${open}`, cx: x, cy: y, r: 5.5 });
}

const titled = ({ model, way }) => (way ? `${model} (${way})` : model);

/** "RNN, LSTM and GRU", "none", or how many. */
function listed(entries, most = 9) {
  const names = entries.map(titled);
  if (names.length > most) return `${names.length} models`;
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "none");
}

function render({ model, el }) {
  const root = frame(el, "Scoreboard", "Every model of the course on the same jobs: how good it is, and what it took. All numbers were measured before.");
  const data = model.get("data");
  const boards = new Map(data.map((board) => [board.job, board]));
  const shares = data[0].lines[0].shares.map(({ share }) => share);
  let sorted = { column: 0, down: false };
  let columns = [];
  let now = null; // what is drawn: { board, better, boards: entries by share, entries }
  const hot = { hover: null, focus: null };

  const choice = (label, trait, options) => {
    const select = h("select", { onchange: () => put(model, { [trait]: select.value }) }, options.map((value) => h("option", { value }, value)));
    return { select, trait, node: h("label", { class: "lc-field" }, label, select) };
  };
  const choices = [
    choice("Job", "job", [...boards.keys()]),
    choice("Along the axis", "axis", [...Object.keys(AXES), SHARE_AXIS]),
    choice("Share of the text", "share", shares),
  ];
  const picture = h("div", { class: "lc-sb-picture" });
  const legend = h("p", { class: "lc-sb-legend lc-small" });
  const readout = h("p", { class: "lc-small lc-muted lc-sb-readout" });
  const note = live();
  const caption = h("p", { class: "lc-label lc-part", id: newId() });
  const head = h("tr", {});
  const body = h("tbody", {});
  root.append(
    h("div", { class: "lc-row lc-gap", style: "margin-top:.7rem" }, choices.map(({ node }) => node)),
    picture, readout, legend, note.node, caption,
    h("div", { class: "lc-scroll", tabindex: 0, role: "region", "aria-label": "The scoreboard as a table" },
      h("table", { class: "lc-sb-table", "aria-labelledby": caption.id }, h("thead", {}, head), body)),
  );

  /** What makes an element light up its entry, in the picture and in the table. */
  const lights = (number) => ({
    "data-entry": number,
    onpointerenter: () => light("hover", number), onpointerleave: () => light("hover", null),
    onfocus: () => light("focus", number), onblur: () => light("focus", null),
  });
  function light(how, number) {
    hot[how] = number;
    const lit = hot.hover ?? hot.focus;
    for (const node of root.querySelectorAll("[data-entry]")) {
      const here = Number(node.dataset.entry) === lit;
      node.classList.toggle(node.localName === "tr" ? "lc-current" : "lc-sb-hot", here);
    }
    picture.classList.toggle("lc-sb-some", lit !== null);
    const one = lit && now.entries[lit - 1];
    readout.textContent = one
      ? `${one.number} ${one.name}: ${(onShares() ? now.boards : [now.entries]).map((entries) => scoreText(entries[lit - 1].score)).join(", ")}`
      : "Point to a model, here or in the table, to find it in both.";
  }

  const onShares = () => model.get("axis") === SHARE_AXIS;
  const seedsOf = (one) => `${scoreText(one.worst)} to ${scoreText(one.best)}`;
  const full = (one) => `${scoreText(one.score)} (${seedsOf(one)})`;
  const described = (one) => `${one.number} ${one.name}: ${onShares()
    ? now.boards.map((entries, at) => `${full(entries[one.number - 1])} with ${shares[at]}`).join(", ")
    : `${full(one)}; ${thousands(one.parameters)} parameters, ${duration(one.seconds)}, ${three(one.rate)} tokens a second`}`;

  function compute() {
    const board = boards.get(model.get("job"));
    const better = (a, b) => (board.higher ? a > b : a < b);
    const all = shares.map((_, at) => board.lines.map((line, i) => entryOf(line, at, i + 1, better)));
    now = { board, better, boards: all, entries: all[onShares() ? shares.length - 1 : shares.indexOf(model.get("share"))] };
    for (const { select, trait } of choices) select.value = model.get(trait);
    choices[2].select.disabled = onShares();
    Object.assign(hot, { hover: null, focus: null });
    drawTable();
    drawPicture();
    drawLegend();
    note.say(onShares() ? sayShares() : say());
    light("hover", null);
  }

  const bestOf = (entries) => entries.filter((one) => !entries.some((other) => now.better(other.score, one.score)));
  /** The counted model to be beaten. */
  const barOf = (entries) => bestOf(entries.filter(({ bar }) => bar))[0];

  function say() {
    const { entries, better } = now;
    const axis = model.get("axis");
    const [best, bar] = [bestOf(entries), barOf(entries)];
    const worse = entries.filter((one) => better(bar.score, one.score));
    return [
      `Best with ${model.get("share")} of the text: ${listed(best)}, at ${scoreText(best[0].score)}. `,
      best.includes(bar) ? "It is the bar: none is better. " : `The bar, ${titled(bar)}, is at ${scoreText(bar.score)}. Worse than it: ${listed(worse)}. `,
      `Not beaten in ${axis} and score at once: ${listed(unbeaten(entries, AXES[axis], better))}.`,
    ].join("");
  }

  function sayShares() {
    const [first, last] = [now.boards[0], now.boards.at(-1)];
    const gain = last.map((one, i) => (now.board.higher ? 1 : -1) * (one.score - first[i].score));
    const most = gain.indexOf(Math.max(...gain));
    const byShare = (told) => now.boards.map((entries, at) => `with ${shares[at]}: ${told(entries)}`).join("; ");
    return [
      `Best ${byShare((entries) => `${listed(bestOf(entries), 3)}, at ${scoreText(bestOf(entries)[0].score)}`)}. `,
      `Better than the bar ${byShare((entries) => listed(entries.filter((one) => now.better(one.score, barOf(entries).score)), 3))}. `,
      gain[most] > 0 ? `More text helps ${titled(last[most])} most: from ${scoreText(first[most].score)} to ${scoreText(last[most].score)}.` : "More text helps none.",
    ].join("");
  }

  function drawLegend() {
    const key = (draw, text) => h("span", {}, s("svg", { width: 26, height: 16, "aria-hidden": "true" }, draw), text);
    const kind = (counted, way) => s("g", { class: counted ? "lc-sb-counted" : "" }, mark(13, 8, { counted, way }));
    const ways = now.entries.some(({ way }) => way);
    legend.replaceChildren(
      key(kind(false), "trained"), key(kind(true), "counted"),
      ...(ways ? [key(kind(false, "left side"), "open: reads the left side only")] : []),
      key(s("path", { class: "lc-sb-seeds", d: "M13 1V15" }), "worst to best seed"),
      key(s("path", { class: "lc-sb-bar", d: "M0 8H26" }), `the bar: ${barOf(now.entries).name}`),
    );
  }

  // --- the table

  function drawTable() {
    const { board, boards: all } = now;
    const before = columns.length;
    columns = onShares()
      ? shares.map((share, at) => [share, (one) => all[at][one.number - 1].score, (one) => [scoreText(all[at][one.number - 1].score), h("small", {}, seedsOf(all[at][one.number - 1]))]])
      : [
        ["parameters", (one) => one.parameters, (one) => thousands(one.parameters)],
        ["seconds", (one) => one.seconds, (one) => duration(one.seconds)],
        ["tokens/s", (one) => one.rate, (one) => three(one.rate)],
        ["score", (one) => one.score, (one) => scoreText(one.score)],
        ["worst to best seed", (one) => Math.abs(one.worst - one.best), seedsOf],
      ];
    columns.unshift(["model", (one) => one.number]);
    if (columns.length !== before) {
      sorted = { column: 0, down: false };
      head.replaceChildren(...columns.map(([name], column) => h("th", { scope: "col", class: column ? null : "lc-left" },
        h("button", { type: "button", class: "lc-plain", onclick: () => sortBy(column) }, name, h("span", { "aria-hidden": "true" })))));
    }
    caption.textContent = `${board.question[0].toUpperCase()}${board.question.slice(1)}${onShares() ? "" : `, with ${model.get("share")} of the text`}. Score: ${board.quality}; ${board.higher ? "higher" : "lower"} is better.${onShares() ? " Below it: from the worst to the best seed." : ""}`;
    drawRows();
  }

  function sortBy(column) {
    sorted = { column, down: sorted.column === column && !sorted.down };
    drawRows();
    light("hover", null);
  }

  function drawRows() {
    const { column, down } = sorted;
    [...head.children].forEach((cell, i) => {
      if (i === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      cell.querySelector("span").textContent = i === column ? (down ? " ▼" : " ▲") : "";
    });
    const value = columns[column][1];
    const rows = [...now.entries].sort((a, b) => (down ? -1 : 1) * (value(a) - value(b)) || a.number - b.number);
    body.replaceChildren(...rows.map((one) => h("tr", { tabindex: 0, ...lights(one.number) },
      h("th", { scope: "row" }, h("span", { class: "lc-sb-number" }, one.number), ` ${one.name}`),
      columns.slice(1).map(([, , text]) => h("td", {}, text(one))))));
  }

  // --- the picture

  function drawPicture() {
    const width = picture.clientWidth || 700;
    const focused = picture.contains(document.activeElement) ? document.activeElement.dataset.entry : null;
    const wide = width >= WIDE;
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `${LETTER}px ${getComputedStyle(root).fontFamily}`;
    const widthOf = (text) => Math.ceil(pen.measureText(text).width) + 2;
    const { board, entries, boards: all } = now;
    const seeds = all.flat().flatMap((one) => [one.best, one.worst]);
    const log = !board.higher && Math.min(...seeds) > 0 && Math.max(...seeds) > 15 * Math.min(...seeds);
    const y = scaleOf(seeds, log, 0.06);
    const axis = AXES[model.get("axis")];
    const names = entries.map(({ name }) => name);
    const endTexts = wide ? names : entries.map(({ number }) => String(number));
    const right = axis ? 26 : 30 + Math.max(...endTexts.map(widthOf));
    const yTicks = ticks(y.low, y.high, (values) => values.length < 8, log);
    const yText = (value) => String(Number(value.toPrecision(3))).replace("-", "−");
    const left = 14 + Math.max(...yTicks.map((value) => widthOf(yText(value))));
    const area = { x: left, y: 8, width: width - left - right, height: wide ? 380 : 320 };
    const bottom = area.y + area.height;
    const parts = board.lines[0].shares.map(({ part }) => part);
    const x = axis ? scaleOf(all.flat().map(axis.of), true, 0.06) : scaleOf(parts, true, 0.03);
    const px = (value) => area.x + area.width * x.at(value);
    const apart = (a, b) => px(b) - px(a) > (widthOf(axis.text(a)) + widthOf(axis.text(b))) / 2 + 4;
    const xTicks = axis ? ticks(x.low, x.high, (values) => values.every((value, i) => !i || apart(values[i - 1], value)), true) : parts;
    const py = (value) => bottom - area.height * y.at(value);

    const drawn = axis ? points() : lines();
    const description = `${board.quality} of ${entries.length} models against ${axis ? model.get("axis") : SHARE_AXIS}`;
    picture.replaceChildren(
      h("p", { class: "lc-small" }, h("b", {}, board.quality), h("br"), `${board.higher ? "↑ higher" : "↓ lower"} is better${log ? ", logarithmic scale" : ""}`),
      s("svg", { viewBox: `0 0 ${width} ${bottom + 48}`, width, height: bottom + 48, role: "group", "aria-label": description },
      s("g", { "aria-hidden": "true" },
        yTicks.map((value) => [
          s("path", { class: "lc-rnn-grid", d: `M${area.x} ${py(value).toFixed(1)}h${area.width}` }),
          s("text", { class: "lc-sb-tick", x: area.x - 7, y: py(value).toFixed(1), "text-anchor": "end", "dominant-baseline": "central" }, yText(value)),
        ]),
        xTicks.map((value, i) => [
          s("path", { class: "lc-rnn-grid", d: `M${px(value).toFixed(1)} ${area.y}v${area.height}` }),
          s("text", { class: "lc-sb-tick", x: px(value).toFixed(1), y: bottom + 17, "text-anchor": "middle" }, axis ? axis.text(value) : shares[i]),
        ]),
        s("path", { class: "lc-rnn-axis", d: `M${area.x} ${area.y}V${bottom}H${area.x + area.width}`, fill: "none" }),
        s("text", { class: "lc-sb-strong", x: area.x + area.width / 2, y: bottom + 38, "text-anchor": "middle" }, `${model.get("axis")}, log scale`),
        axis ? s("path", { class: "lc-sb-bar", d: `M${area.x} ${py(barOf(entries).score).toFixed(1)}h${area.width}` }) : null),
      drawn));
    if (focused) picture.querySelector(`[data-entry="${focused}"]`)?.focus();

    function entry(one, ...children) {
      return s("g", { class: `lc-sb-entry${one.counted ? " lc-sb-counted" : ""}`, tabindex: 0, role: "img", "aria-label": described(one), ...lights(one.number) }, children);
    }
    function seedsAt(one, at) {
      return s("path", { class: "lc-sb-seeds", d: `M${at.toFixed(1)} ${py(one.worst).toFixed(1)}V${py(one.best).toFixed(1)}` });
    }
    function textAt(text, at, height, anchor = "start") {
      return s("text", { x: at.toFixed(1), y: height.toFixed(1), "text-anchor": anchor, "dominant-baseline": "central" }, text);
    }

    function points() {
      const at = entries.map((one) => ({ x: px(axis.of(one)), y: py(one.score) }));
      const keepFree = entries.map((one, i) => ({ x: at[i].x - 2, y: Math.min(py(one.best), py(one.worst)), width: 4, height: Math.abs(py(one.best) - py(one.worst)) }));
      keepFree.push({ x: area.x, y: py(barOf(entries).score) - 1, width: area.width, height: 2 });
      const place = (texts) => ({ texts, ...placeTexts(at, texts.map(widthOf), { ...area, width: width - left - 4 }, keepFree) });
      let placed = wide ? place(entries.map((one) => one.model)) : null;
      if (!placed || placed.clash) placed = place(entries.map(({ number }) => String(number)));
      return entries.map((one, i) => {
        const box = placed.boxes[i];
        const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
        const from = { x: Math.min(Math.max(at[i].x, box.x), box.x + box.width), y: middle.y };
        return entry(one,
          box.far ? s("path", { class: "lc-sb-leader", d: `M${at[i].x.toFixed(1)} ${at[i].y.toFixed(1)}L${from.x.toFixed(1)} ${from.y.toFixed(1)}` }) : null,
          seedsAt(one, at[i].x),
          s("circle", { class: "lc-sb-hit", cx: at[i].x, cy: at[i].y, r: 11 }),
          mark(at[i].x, at[i].y, one),
          textAt(placed.texts[i], middle.x, middle.y, "middle"));
      });
    }

    function lines() {
      const end = area.x + area.width;
      const heights = spread(entries.map((one) => py(one.score)), LETTER + 2, area.y, bottom);
      return entries.map((one, i) => {
        const steps = all.map((list, at) => ({ ...list[i], x: px(parts[at]) }));
        const path = steps.map((step, at) => `${at ? "L" : "M"}${step.x.toFixed(1)} ${py(step.score).toFixed(1)}`).join("");
        const last = steps.at(-1);
        return entry(one,
          s("path", { class: "lc-sb-wide", d: path }),
          s("path", { class: one.number === barOf(entries).number ? "lc-sb-bar" : "lc-sb-line", d: path }),
          steps.map((step) => seedsAt(step, step.x)),
          s("path", { class: "lc-sb-leader", d: `M${(last.x + 8).toFixed(1)} ${py(last.score).toFixed(1)}L${(end + 8).toFixed(1)} ${heights[i].toFixed(1)}` }),
          steps.map((step) => mark(step.x, py(step.score), one)),
          textAt(endTexts[i], end + 12, heights[i]));
      });
    }
  }

  for (const trait of ["job", "axis", "share"]) model.on(`change:${trait}`, compute);
  compute();
  let width = picture.clientWidth;
  const watcher = new ResizeObserver(() => {
    if (picture.clientWidth === width) return;
    width = picture.clientWidth;
    drawPicture();
    light("hover", null);
  });
  watcher.observe(picture);
  return () => watcher.disconnect();
}

export default { render };
