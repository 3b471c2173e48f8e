// The Markov explorer: sentences in, a graph of contexts and their probabilities out.
// Everything is counted here, from the sentences alone.
import { h, s, frame, live, newId, random, draw, digits, plural, put } from "./common.js";

export const BOS = "<s>";
export const EOS = "</s>";
const SHOWN = 40; // states drawn and tabulated at most

/** Words of a line, split at white space; the two marks cannot be words. */
export function tokenize(line) {
  return line.split(/\s+/).filter((word) => word && word !== BOS && word !== EOS);
}

/** The words before position `i` that an n-gram of this order sees (fewer at the start). */
export function contextAt(tokens, i, order) {
  return tokens.slice(Math.max(0, i - order + 1), i);
}

const lines = (text) => text.split("\n").map((line) => tokenize(line).join(" ")).filter((line) => line);
const key = (context) => context.join(" ");

/**
 * Counts of what follows each context. `order` is the n of the n-gram: it sees n - 1 words.
 * Returns { order, vocabulary, contexts } where vocabulary lists what can be predicted (</s> first)
 * and contexts maps a context's key to { words, total, next: Map(token -> count) }.
 */
export function count(sentences, order) {
  const contexts = new Map();
  const vocabulary = new Set([EOS]);
  for (const line of sentences) {
    const words = tokenize(line);
    if (!words.length) continue;
    const tokens = [BOS, ...words, EOS];
    words.forEach((word) => vocabulary.add(word));
    for (let i = 1; i < tokens.length; i += 1) {
      const words = contextAt(tokens, i, order);
      if (!contexts.has(key(words))) contexts.set(key(words), { words, total: 0, next: new Map() });
      const row = contexts.get(key(words));
      row.total += 1;
      row.next.set(tokens[i], (row.next.get(tokens[i]) ?? 0) + 1);
    }
  }
  return { order, vocabulary: [...vocabulary], contexts };
}

/**
 * P(token | context), with `alpha` added to every count (0: maximum likelihood).
 * A word outside the vocabulary has probability 0; so has everything after a context that was
 * never seen, where nothing was counted and nothing added.
 */
export function probability(model, context, token, alpha = 0) {
  if (!model.vocabulary.includes(token)) return 0;
  const row = model.contexts.get(key(context));
  const total = (row?.total ?? 0) + alpha * model.vocabulary.length;
  return total ? ((row?.next.get(token) ?? 0) + alpha) / total : 0;
}

/** The factors of the chain rule for a sentence, one for each word and one for </s>. */
export function factors(model, words, alpha = 0) {
  const tokens = [BOS, ...words, EOS];
  return tokens.slice(1).map((token, i) => {
    const context = contextAt(tokens, i + 1, model.order);
    const row = model.contexts.get(key(context));
    return {
      token,
      context,
      count: row?.next.get(token) ?? 0,
      total: row?.total ?? 0,
      known: model.vocabulary.includes(token),
      probability: probability(model, context, token, alpha),
    };
  });
}

/** Probability, bits, bits per token and perplexity of a sentence from its factors. */
export function score(parts) {
  const bits = parts.reduce((sum, part) => sum - Math.log2(part.probability), 0);
  const perToken = bits / parts.length;
  return {
    probability: parts.reduce((product, part) => product * part.probability, 1),
    bits,
    perToken,
    perplexity: 2 ** perToken,
  };
}

/** What can come after a context: [{ token, count, probability }], the likeliest first. */
export function following(model, context, alpha = 0) {
  const row = model.contexts.get(key(context));
  if (!row && !alpha) return [];
  return model.vocabulary
    .map((token) => ({
      token,
      count: row?.next.get(token) ?? 0,
      probability: probability(model, context, token, alpha),
    }))
    .filter((option) => option.probability > 0)
    .sort((a, b) => b.probability - a.probability);
}

/** The graph: states are contexts (and one end), arrows are counted transitions. */
export function graph(model, limit = SHOWN) {
  const all = [...model.contexts.values()];
  const [start, ...others] = all; // the start is always drawn, then the most frequent
  const frequent = new Set([start, ...others.sort((a, b) => b.total - a.total)].slice(0, limit));
  const kept = all.filter((row) => frequent.has(row));
  const nodes = kept.map((row) => ({ id: key(row.words), words: row.words, start: row.words.length === 1 && row.words[0] === BOS }));
  const index = new Map(nodes.map((node, i) => [node.id, i]));
  const end = nodes.length;
  if (nodes.length) nodes.push({ id: EOS, words: [EOS], end: true });
  const edges = [];
  for (const row of kept) {
    const from = index.get(key(row.words));
    for (const [token, times] of row.next) {
      const to = token === EOS ? end : index.get(key([...row.words, token].slice(-(model.order - 1))));
      if (to !== undefined) edges.push({ from, to, token, count: times, total: row.total });
    }
  }
  return { nodes, edges, hidden: all.length - kept.length };
}

/**
 * A layered drawing. Arrows that close a cycle are set aside; a state's layer is the longest way to
 * it from the start; a long arrow passes through one waypoint in every layer between; each layer is
 * sorted by the mean place of its neighbours, which leaves few crossings. `across` is the direction
 * in which the layers follow each other: true for left to right, false for top to bottom.
 */
export function layout({ nodes, edges }, size, across) {
  const out = nodes.map(() => []);
  edges.forEach((edge) => out[edge.from].push(edge));
  const sizes = nodes.map(size);
  const state = nodes.map(() => 0);
  const back = new Set();
  const order = [];
  const visit = (node) => {
    state[node] = 1;
    for (const edge of out[node]) {
      if (state[edge.to] === 1) back.add(edge);
      else if (!state[edge.to]) visit(edge.to);
    }
    state[node] = 2;
    order.unshift(node);
  };
  nodes.forEach((_, node) => state[node] || visit(node));
  const layerOf = nodes.map(() => 0);
  for (const node of order)
    for (const edge of out[node])
      if (!back.has(edge)) layerOf[edge.to] = Math.max(layerOf[edge.to], layerOf[node] + 1);
  const last = Math.max(0, ...layerOf.filter((_, i) => !nodes[i].end)) + 1;
  nodes.forEach((node, i) => node.end && (layerOf[i] = last));

  // Items are the states and the waypoints of long arrows; links join items of adjacent layers.
  const items = nodes.map((_, node) => ({ node, layer: layerOf[node], up: [], down: [] }));
  const link = (a, b) => {
    items[a].down.push(b);
    items[b].up.push(a);
  };
  const routes = new Map();
  for (const edge of edges) {
    if (back.has(edge)) continue;
    const route = [edge.from];
    for (let layer = layerOf[edge.from] + 1; layer < layerOf[edge.to]; layer += 1) {
      items.push({ layer, up: [], down: [] });
      link(route.at(-1), items.length - 1);
      route.push(items.length - 1);
    }
    link(route.at(-1), edge.to);
    routes.set(edge, [...route, edge.to]);
  }
  const layers = Array.from({ length: last + 1 }, () => []);
  items.forEach((item, i) => layers[item.layer].push(i));

  // `along` is the size of an item within its layer, `deep` across it.
  const along = (i) => (items[i].node === undefined ? 14 : across ? sizes[i].height : sizes[i].width);
  const deep = (i) => (items[i].node === undefined ? 0 : across ? sizes[i].width : sizes[i].height);
  const apart = (i, j) =>
    (along(i) + along(j)) / 2 + (items[i].node === undefined || items[j].node === undefined ? 10 : 24);

  const place = () => layers.forEach((layer) => layer.forEach((i, at) => (items[i].at = at)));
  const crossings = () => {
    let total = 0;
    for (const layer of layers) {
      const ends = layer.flatMap((i) => items[i].down.map((j) => [items[i].at, items[j].at]));
      for (let a = 0; a < ends.length; a += 1)
        for (let b = a + 1; b < ends.length; b += 1)
          if ((ends[a][0] - ends[b][0]) * (ends[a][1] - ends[b][1]) < 0) total += 1;
    }
    return total;
  };
  place();
  let best = { total: crossings(), layers: layers.map((layer) => [...layer]) };
  for (let sweep = 0; sweep < 12 && best.total; sweep += 1) {
    const side = sweep % 2 ? "down" : "up";
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
      const mean = new Map(layer.map((i) => {
        const near = items[i][side];
        return [i, near.length ? near.reduce((sum, j) => sum + items[j].at, 0) / near.length : items[i].at];
      }));
      layer.sort((a, b) => mean.get(a) - mean.get(b) || items[a].at - items[b].at);
      layer.forEach((i, at) => (items[i].at = at));
    }
    const total = crossings();
    if (total < best.total) best = { total, layers: layers.map((layer) => [...layer]) };
  }
  best.layers.forEach((layer, i) => layers.splice(i, 1, layer));

  // Places within a layer: pull every item to the middle of its neighbours, keep them apart.
  for (const layer of layers) {
    layer.forEach((i, k) => (items[i].y = k ? items[layer[k - 1]].y + apart(layer[k - 1], i) : 0));
    const middle = layer.length ? items[layer.at(-1)].y / 2 : 0;
    for (const i of layer) items[i].y -= middle;
  }
  for (let round = 0; round < 24; round += 1) {
    for (const layer of round % 2 ? [...layers].reverse() : layers) {
      const wish = layer.map((i) => {
        const near = [...items[i].up, ...items[i].down];
        return near.length ? near.reduce((sum, j) => sum + items[j].y, 0) / near.length : items[i].y;
      });
      const low = [...wish];
      const high = [...wish];
      for (let k = 1; k < layer.length; k += 1)
        low[k] = Math.max(low[k], low[k - 1] + apart(layer[k - 1], layer[k]));
      for (let k = layer.length - 2; k >= 0; k -= 1)
        high[k] = Math.min(high[k], high[k + 1] - apart(layer[k], layer[k + 1]));
      layer.forEach((i, k) => (items[i].y = (low[k] + high[k]) / 2));
    }
  }

  // Places of the layers, with room between them for the labels of the arrows.
  let x = 0;
  const between = across ? 68 : 52;
  for (const layer of layers) {
    const width = Math.max(0, ...layer.map(deep));
    for (const i of layer) items[i].x = x + width / 2;
    x += width + between;
  }
  const point = (i) => (across ? { x: items[i].x, y: items[i].y } : { x: items[i].y, y: items[i].x });
  // Several arrows at one side of a box: spread over its side in the order of where they lead.
  const spread = (node, key, neighbour) => {
    const places = new Map();
    const here = [...routes.keys()].filter((edge) => edge[key] === node);
    here.sort((a, b) => items[neighbour(routes.get(a))].y - items[neighbour(routes.get(b))].y);
    const step = Math.min(across ? 9 : 15, (along(node) - 14) / Math.max(1, here.length - 1));
    here.forEach((edge, k) => places.set(edge, (k - (here.length - 1) / 2) * step));
    return places;
  };
  const leaves = new Map(nodes.flatMap((_, i) => [...spread(i, "from", (route) => route[1])]));
  const arrives = new Map(nodes.flatMap((_, i) => [...spread(i, "to", (route) => route.at(-2))]));
  return {
    nodes: nodes.map((node, i) => ({ ...node, ...point(i), ...sizes[i] })),
    edges: edges.map((edge) => ({
      ...edge,
      back: back.has(edge),
      leaves: leaves.get(edge) ?? 0,
      arrives: arrives.get(edge) ?? 0,
      points: (routes.get(edge) ?? [edge.from, edge.to]).map(point),
    })),
  };
}

// ---------------------------------------------------------------------------------------------
// Drawing

const xy = (point) => `${point.x.toFixed(1)} ${point.y.toFixed(1)}`;

/** One arrow as { d, head, label }: the path, its arrowhead and where its label stands. */
function arrow(edge, nodes, across, width) {
  const from = { ...nodes[edge.from] };
  const to = { ...nodes[edge.to] };
  const length = 7 + width;
  let d;
  let label;
  let tip;
  let angle;
  if (edge.from === edge.to) {
    // A loop above the box (layers from left to right) or at its left (from top to bottom).
    const turn = (u, v) => (across ? { x: from.x + u, y: from.y - from.height / 2 - v } : { x: from.x - from.width / 2 - v, y: from.y + u });
    tip = turn(9, 1);
    const stop = turn(11, length);
    d = `M${xy(turn(-9, 0))} C${xy(turn(-24, 36))} ${xy(turn(24, 36))} ${xy(stop)}`;
    angle = Math.atan2(tip.y - stop.y, tip.x - stop.x);
    label = turn(0, 30);
  } else if (edge.back) {
    // Around the outside: below the boxes from left to right, beside them from top to bottom.
    const bend = across
      ? { x: 0, y: Math.max(from.height, to.height) / 2 + 18 + 0.16 * Math.abs(from.x - to.x) }
      : { x: Math.max(from.width, to.width) / 2 + 18 + 0.1 * Math.abs(from.y - to.y), y: 0 };
    const a = across ? { x: from.x, y: from.y + from.height / 2 } : { x: from.x + from.width / 2, y: from.y };
    tip = across ? { x: to.x, y: to.y + to.height / 2 + 1 } : { x: to.x + to.width / 2 + 1, y: to.y };
    const c1 = { x: a.x + bend.x * 1.3, y: a.y + bend.y * 1.3 };
    const c2 = { x: tip.x + bend.x * 1.3, y: tip.y + bend.y * 1.3 };
    angle = Math.atan2(tip.y - c2.y, tip.x - c2.x);
    const stop = { x: tip.x - Math.cos(angle) * length, y: tip.y - Math.sin(angle) * length };
    d = `M${xy(a)} C${xy(c1)} ${xy(c2)} ${xy(stop)}`;
    label = { x: (a.x + 3 * c1.x + 3 * c2.x + tip.x) / 8, y: (a.y + 3 * c1.y + 3 * c2.y + tip.y) / 8 };
  } else {
    const inner = edge.points.slice(1, -1);
    // Leave and arrive in the direction of the layers, each arrow at a place of its own.
    const a = across
      ? { x: from.x + from.width / 2, y: from.y + edge.leaves }
      : { x: from.x + edge.leaves, y: from.y + from.height / 2 };
    tip = across
      ? { x: to.x - to.width / 2 - 1, y: to.y + edge.arrives }
      : { x: to.x + edge.arrives, y: to.y - to.height / 2 - 1 };
    const stop = across ? { x: tip.x - length, y: tip.y } : { x: tip.x, y: tip.y - length };
    angle = across ? 0 : Math.PI / 2;
    const way = [a, ...inner, stop];
    d = `M${xy(a)}`;
    for (let i = 1; i < way.length; i += 1) {
      const p = way[i - 1];
      const q = way[i];
      const half = across ? { x: (q.x - p.x) / 2, y: 0 } : { x: 0, y: (q.y - p.y) / 2 };
      d += ` C${xy({ x: p.x + half.x, y: p.y + half.y })} ${xy({ x: q.x - half.x, y: q.y - half.y })} ${xy(q)}`;
    }
    const next = way[1];
    label = { x: (a.x + next.x) / 2, y: (a.y + next.y) / 2 };
  }
  const wing = 3.2 + width;
  const at = (r, side) => ({
    x: tip.x - Math.cos(angle) * r - Math.sin(angle) * side,
    y: tip.y - Math.sin(angle) * r + Math.cos(angle) * side,
  });
  const head = `M${xy(tip)} L${xy(at(length + 1, wing))} L${xy(at(length + 1, -wing))} Z`;
  return { d, head, label };
}

const quoted = (words) => `“${words.join(" ")}”`;
const isMark = (token) => token === BOS || token === EOS;

/** A probability as the reader counted it: "1/3" where it is a plain ratio, digits otherwise. */
function ratio(times, total, p, alpha) {
  if (p === 0) return "0";
  if (alpha) return digits(p, 3);
  return times === total ? "1" : `${times}/${total}`;
}

function render({ model, el }) {
  const root = frame(
    el,
    "Markov explorer",
    "Change the sentences and watch the probabilities follow. Then walk through them.",
  );
  const id = newId();
  let counts;
  let shape; // the graph of the counts
  let uniform; // the stream of random numbers

  // --- the controls
  const problem = h("p", { class: "lc-error", id: `${id}-error`, role: "alert" });
  const text = h("textarea", {
    rows: 6,
    spellcheck: "false",
    "aria-describedby": `${id}-error`,
    oninput: () => put(model, { sentences: lines(text.value) }),
  });
  const order = h(
    "select",
    { onchange: () => put(model, { order: Number(order.value) }) },
    [2, 3, 4].map((n) => h("option", { value: n }, `${plural(n - 1, "word")} (order ${n}${n < 4 ? n === 2 ? ", bigram" : ", trigram" : ""})`)),
  );
  const alpha = h("input", {
    type: "number", min: 0, max: 10, step: 0.1,
    oninput: () => {
      const value = Number(alpha.value);
      const fits = alpha.value !== "" && value >= 0 && value <= 10;
      alpha.setAttribute("aria-invalid", String(!fits));
      if (fits) put(model, { alpha: value });
      else caption.say("α is a number from 0 to 10.");
    },
    onchange: () => {
      alpha.value = model.get("alpha");
      alpha.setAttribute("aria-invalid", "false");
      drawCaption();
    },
  });
  const seed = h("input", {
    type: "number", min: 0, max: 4294967295, step: 1,
    onchange: () => {
      const value = Math.min(4294967295, Math.max(0, Math.floor(Number(seed.value) || 0)));
      seed.value = value;
      put(model, { seed: value });
    },
  });

  // --- the picture
  const picture = h("div", { class: "lc-graph", tabindex: 0, role: "region", "aria-label": "Graph, scrolls when it is wide" });
  const caption = live();

  // --- the walk
  const path = h("p", { class: "lc-path" });
  const choices = h("div", { class: "lc-chips", role: "group", "aria-label": "Next word" });
  const step = h("button", { type: "button", class: "lc-primary", onclick: () => stepAtRandom() }, "Step at random");
  const whole = h("button", { type: "button", onclick: () => sample() }, "Sample a sentence");
  const again = h("button", { type: "button", onclick: () => restart() }, "Start again");

  // --- the tables
  const table = h("div", { class: "lc-scroll", tabindex: 0, role: "region", "aria-label": "Counts and probabilities" });
  const unfolded = h(
    "details",
    { ontoggle: () => drawTable() },
    h("summary", {}, "Table of counts and probabilities"),
    h("p", { class: "lc-muted lc-small" }, "Rows: what was seen. Columns: the next word. Without smoothing a cell is count / total. Every row sums to 1."),
    table,
  );
  const typed = h("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => put(model, { sentence: typed.value }) });
  const product = h("div", { class: "lc-scroll", tabindex: 0, role: "region", "aria-label": "Factors of the chain rule" });
  const verdict = live();

  root.append(
    h(
      "div",
      { class: "lc-two" },
      h("div", {}, h("label", { class: "lc-field" }, "Sentences, one per line", text), problem),
      h(
        "div",
        { class: "lc-row lc-gap" },
        h("label", { class: "lc-field" }, "The model sees the last", order),
        h("label", { class: "lc-field" }, "Added to every count (α)", alpha),
        h("label", { class: "lc-field" }, "Seed of the random steps", seed),
      ),
    ),
    picture,
    caption.node,
    h(
      "div",
      { class: "lc-part" },
      h("p", { class: "lc-label" }, "Walk"),
      path,
      h("div", { class: "lc-row lc-part", style: "margin-top:.5rem" }, step, whole, again),
      h("p", { class: "lc-muted lc-small", style: "margin:.6rem 0 .3rem" }, "or choose the next word yourself:"),
      choices,
    ),
    h(
      "details",
      { open: true },
      h("summary", {}, "Probability of a sentence"),
      h("label", { class: "lc-field" }, "A sentence of your own", typed),
      h("p", { class: "lc-muted lc-small" }, "The chain rule: the probability of a sentence is the product of one factor for each word, and one for its end."),
      product,
      verdict.node,
    ),
    unfolded,
  );

  // --- what they do
  const walked = () => model.get("walk");
  const here = () => {
    const tokens = walked();
    return tokens.at(-1) === EOS ? [EOS] : contextAt(tokens, tokens.length, model.get("order"));
  };
  const options = () => (walked().at(-1) === EOS ? [] : following(counts, here(), model.get("alpha")));

  function go(token) {
    put(model, { walk: [...walked(), token] });
  }
  function pick(list) {
    return list[draw(list.map((option) => option.probability), uniform())].token;
  }
  function stepAtRandom() {
    if (options().length) go(pick(options()));
  }
  function sample() {
    const tokens = [BOS];
    while (tokens.at(-1) !== EOS && tokens.length < 60) {
      const list = following(counts, contextAt(tokens, tokens.length, model.get("order")), model.get("alpha"));
      if (!list.length) break;
      tokens.push(pick(list));
    }
    put(model, { walk: tokens });
  }
  function restart() {
    uniform = random(model.get("seed"));
    if (walked().length > 1) put(model, { walk: [BOS] });
    else show();
  }

  function drawGraph() {
    const across = picture.offsetWidth >= 560 || !picture.offsetWidth;
    if (!shape.nodes.length) {
      picture.replaceChildren(h("p", { class: "lc-muted", style: "padding:1.5rem" }, "No sentences, no graph."));
      return;
    }
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `14px ${getComputedStyle(root).fontFamily}`;
    const size = (node) => ({ width: Math.max(34, Math.ceil(pen.measureText(node.words.join(" ")).width) + 22), height: 32 });
    const plan = layout(shape, size, across);
    const alphaNow = model.get("alpha");
    const current = key(here());
    const nextEdges = new Set(plan.edges.filter((edge) => plan.nodes[edge.from].id === current));
    const nextNodes = new Set([...nextEdges].map((edge) => edge.to));
    const crowded = plan.edges.length > 45;

    const arrows = plan.edges.map((edge) => {
      const p = probability(counts, plan.nodes[edge.from].words, edge.token, alphaNow);
      const width = 1 + 3.2 * p;
      const { d, head, label } = arrow(edge, plan.nodes, across, width / 2);
      const hot = nextEdges.has(edge);
      return {
        hot,
        node: s(
          "g",
          { class: `lc-edge${hot ? " lc-next" : ""}` },
          s("path", { d, "stroke-width": width.toFixed(2) }),
          s("path", { class: "lc-head", d: head }),
          crowded && !hot ? null : s("text", { x: label.x.toFixed(1), y: label.y.toFixed(1) }, ratio(edge.count, edge.total, p, alphaNow)),
        ),
      };
    });
    const boxes = plan.nodes.map((node, i) => {
      const classes = ["lc-node"];
      if (node.start || node.end) classes.push("lc-mark");
      if (node.id === current) classes.push("lc-here");
      else if (nextNodes.has(i)) classes.push("lc-next");
      const choose = () => {
        const edge = [...nextEdges].find((one) => one.to === i);
        if (edge) go(edge.token);
        else if (node.start) restart();
      };
      return s(
        "g",
        { class: classes.join(" "), onclick: choose },
        s("rect", { x: node.x - node.width / 2, y: node.y - node.height / 2, width: node.width, height: node.height, rx: 9 }),
        s("text", { x: node.x, y: node.y, "text-anchor": "middle", "dominant-baseline": "central" }, node.words.join(" ")),
      );
    });
    const image = s(
      "svg",
      { role: "img", class: crowded ? "lc-crowded" : undefined, "aria-label": describe() },
      arrows.filter((one) => !one.hot).map((one) => one.node),
      arrows.filter((one) => one.hot).map((one) => one.node),
      boxes,
    );
    const scroll = [picture.scrollLeft, picture.scrollTop];
    picture.replaceChildren(image);
    const box = image.getBBox();
    const pad = 16;
    const [width, height] = [box.width + 2 * pad, box.height + 2 * pad];
    image.setAttribute("viewBox", [box.x - pad, box.y - pad, width, height].map((v) => v.toFixed(1)).join(" "));
    // Shrink a little to fit; beyond that, scroll.
    const fit = Math.max(0.72, Math.min(1.15, (picture.clientWidth - 2) / width));
    image.setAttribute("width", (width * fit).toFixed(0));
    image.setAttribute("height", (height * fit).toFixed(0));
    [picture.scrollLeft, picture.scrollTop] = scroll;
    const shown = image.querySelector(".lc-here");
    if (shown) {
      const [a, b] = [shown.getBoundingClientRect(), picture.getBoundingClientRect()];
      if (a.left < b.left || a.right > b.right) picture.scrollLeft += a.left - b.left - b.width / 2;
      if (a.top < b.top || a.bottom > b.bottom) picture.scrollTop += a.top - b.top - b.height / 2;
    }
  }

  function describe() {
    const { nodes, edges } = shape;
    return `Graph of ${plural(nodes.length, "state")} and ${plural(edges.length, "arrow")}; each arrow carries the probability of the next word.`;
  }

  function drawCaption() {
    const parts = [`${plural(shape.nodes.length, "state")}, ${plural(shape.edges.length, "arrow")}. `];
    if (shape.hidden) parts.push(`The ${shape.hidden} rarest states are not drawn. `);
    if (model.get("alpha")) parts.push("Only counted transitions are drawn: smoothing gives every other word a little too. ");
    const list = options();
    const tokens = walked();
    if (tokens.at(-1) === EOS) {
      parts.push(`The walk has reached ${EOS}: the sentence is complete.`);
    } else if (!list.length) {
      parts.push(`${quoted(here())} was never seen before another word: the walk cannot go on.`);
    } else {
      const total = counts.contexts.get(key(here()))?.total ?? 0;
      if (!total) parts.push("Nothing is counted here, so every word is equally likely. ");
      const named = list.slice(0, 5).map((o) => `${o.token} (${ratio(o.count, total, o.probability, model.get("alpha"))})`);
      parts.push(`After ${quoted(here())}: ${named.join(", ")}${list.length > 5 ? `, and ${list.length - 5} more` : ""}.`);
    }
    caption.say(...parts);
  }

  function drawWalk() {
    const tokens = walked();
    path.replaceChildren(
      ...tokens.flatMap((token, i) => [
        h("span", { class: [isMark(token) ? "lc-mark" : "", i === tokens.length - 1 ? "lc-here" : ""].join(" ").trim() || undefined }, token),
        " ",
      ]),
    );
    const list = options();
    const focused = choices.contains(document.activeElement);
    const total = counts.contexts.get(key(here()))?.total ?? 0;
    choices.replaceChildren(
      ...list.slice(0, SHOWN).map((option) =>
        h("button", { type: "button", onclick: () => go(option.token) }, option.token, " ",
          h("small", {}, ratio(option.count, total, option.probability, model.get("alpha")))),
      ),
    );
    if (!list.length) choices.append(h("span", { class: "lc-muted" }, tokens.at(-1) === EOS ? "none: the sentence is complete" : "none"));
    step.disabled = !list.length;
    whole.disabled = !counts.contexts.size;
    if (focused) (choices.querySelector("button") ?? again).focus();
    else if (document.activeElement === document.body && step.disabled) again.focus({ preventScroll: true });
  }

  function drawTable() {
    if (!unfolded.open) return;
    const alphaNow = model.get("alpha");
    const rows = shape.nodes.filter((node) => !node.end);
    const columns = [...counts.vocabulary.slice(1), EOS].slice(-SHOWN - 1);
    const current = key(here());
    table.replaceChildren(
      h(
        "table",
        { "aria-label": "Counts and probabilities" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "lc-left" }, "after"), columns.map((word) => h("th", { scope: "col" }, word)), h("th", { scope: "col" }, "total"))),
        h("tbody", {}, rows.map((node) => {
          const row = counts.contexts.get(node.id);
          return h("tr", { class: node.id === current ? "lc-current" : undefined },
            h("th", { scope: "row" }, node.words.join(" ")),
            columns.map((word) => {
              const times = row.next.get(word) ?? 0;
              const p = probability(counts, row.words, word, alphaNow);
              return h("td", { class: times ? undefined : "lc-zero" }, p === 0 ? "0" : alphaNow ? digits(p) : `${times}/${row.total}`);
            }),
            h("td", { class: "lc-zero" }, row.total));
        })),
      ),
    );
  }

  function drawSentence() {
    const alphaNow = model.get("alpha");
    const words = tokenize(model.get("sentence"));
    if (!words.length || !counts.contexts.size) {
      product.replaceChildren();
      verdict.say("Type a sentence to see its probability, factor by factor.");
      return;
    }
    const parts = factors(counts, words, alphaNow);
    const total = score(parts);
    product.replaceChildren(
      h(
        "table",
        { "aria-label": "Factors of the chain rule" },
        h("thead", {}, h("tr", {}, ["next", "given", "counted", "probability", "bits"].map((cell, i) => h("th", { scope: "col", class: i < 2 ? "lc-left" : undefined }, cell)))),
        h("tbody", {},
          parts.map((part) => h("tr", { class: part.probability ? undefined : "lc-impossible" },
            h("th", { scope: "row" }, part.token),
            h("td", { class: "lc-left" }, part.context.join(" ")),
            h("td", {}, `${part.count} of ${part.total}`),
            h("td", {}, digits(part.probability)),
            h("td", {}, digits(-Math.log2(part.probability))))),
          h("tr", { class: "lc-total" }, h("th", { scope: "row" }, "product, sum"), h("td"), h("td"), h("td", {}, digits(total.probability)), h("td", {}, digits(total.bits)))),
      ),
    );
    const stuck = parts.find((part) => part.probability === 0);
    if (stuck) {
      const why = !stuck.known
        ? `“${stuck.token}” occurs in none of the sentences${alphaNow ? ", and α is added only for words that do" : ""}.`
        : !stuck.total
          ? `${quoted(stuck.context)} never occurs before another word, so nothing is known about what follows.`
          : `“${stuck.token}” never follows ${quoted(stuck.context)}.`;
      verdict.say(`Probability 0: ${why} One impossible step makes the whole sentence impossible; its perplexity is infinite.`);
    } else {
      verdict.say(`P = ${digits(total.probability)}: ${digits(total.bits)} bits for ${parts.length} tokens (${EOS} counts), ${digits(total.perToken)} bits per token, perplexity ${digits(total.perplexity)}.`);
    }
  }

  function recount() {
    counts = count(model.get("sentences"), model.get("order"));
    shape = graph(counts);
    const reserved = text.value.split(/\s+/).some(isMark);
    problem.textContent = reserved
      ? `${BOS} and ${EOS} mark the start and the end; they cannot be words and are left out.`
      : counts.contexts.size ? "" : "Type at least one sentence.";
    text.setAttribute("aria-invalid", String(Boolean(problem.textContent)));
  }
  function showControls() {
    const wanted = model.get("sentences").map((line) => tokenize(line).join(" ")).join("\n");
    if (lines(text.value).join("\n") !== wanted) text.value = wanted;
    order.value = model.get("order");
    if (Number(alpha.value) !== model.get("alpha") || alpha.value === "") alpha.value = model.get("alpha");
    if (Number(seed.value) !== model.get("seed") || seed.value === "") seed.value = model.get("seed");
    if (typed.value !== model.get("sentence")) typed.value = model.get("sentence");
  }
  function show() {
    drawWalk();
    drawGraph();
    drawCaption();
    drawTable();
    drawSentence();
  }
  function changed() {
    recount();
    showControls();
    restart(); // a walk through other sentences means nothing now
  }

  model.on("change:sentences", changed);
  model.on("change:order", changed);
  model.on("change:seed", () => { showControls(); restart(); });
  model.on("change:alpha", () => { showControls(); show(); });
  model.on("change:sentence", () => { showControls(); drawSentence(); });
  model.on("change:walk", show);
  uniform = random(model.get("seed"));
  recount();
  showControls();
  show();
  // The outer width: the inner one also changes when a scroll bar appears.
  let width = picture.offsetWidth;
  const watcher = new ResizeObserver(() => {
    if (picture.offsetWidth === width) return;
    width = picture.offsetWidth;
    drawGraph();
  });
  watcher.observe(picture);
  return () => watcher.disconnect();
}

export default { render };
