// Trained models in the page: tensors, layers forward, and the files their weights come from.
// A tensor is { shape, data }, row by row as in torch. Weights are a Float32Array, as they were
// trained; what is computed is a Float64Array, so that nothing is rounded on the way. Names, shapes
// and formulas are those of torch.nn. "..." stands for any leading axes, also none.

// ---------------------------------------------------------------------------------------------
// Tensors

const product = (shape) => shape.reduce((size, axis) => size * axis, 1);

/** A tensor from its shape and its numbers, row by row: tensor([2, 3], [1, 2, 3, 4, 5, 6]). */
export function tensor(shape, data) {
  const numbers = ArrayBuffer.isView(data) ? data : Float64Array.from(data);
  if (product(shape) !== numbers.length)
    throw new Error(`A tensor of shape [${shape}] holds ${product(shape)} numbers, not ${numbers.length}.`);
  return { shape: [...shape], data: numbers };
}

/** Row `index` of the first axis: (n, ...) -> (...). It shares its numbers with the tensor. */
export function row({ shape, data }, index) {
  if (!(Number.isInteger(index) && index >= 0 && index < shape[0]))
    throw new Error(`There is no row ${index}: the tensor has rows 0 to ${shape[0] - 1}.`);
  const size = product(shape.slice(1));
  return { shape: shape.slice(1), data: data.subarray(index * size, (index + 1) * size) };
}

/** Tensors of one shape as the rows of a new one: n times (...) -> (n, ...). */
export function stack(rows) {
  const size = product(rows[0].shape);
  const data = new Float64Array(rows.length * size);
  rows.forEach((one, index) => {
    sameShape("stack", rows[0], one);
    data.set(one.data, index * size);
  });
  return { shape: [rows.length, ...rows[0].shape], data };
}

/** Tensors side by side, which differ in the last axis only: (..., a), (..., b) -> (..., a + b). */
export function concat(...tensors) {
  const leading = tensors[0].shape.slice(0, -1);
  for (const one of tensors) sameShape("concat", { shape: leading }, { shape: one.shape.slice(0, -1) });
  const sizes = tensors.map((one) => one.shape.at(-1));
  const whole = sizes.reduce((a, b) => a + b);
  const data = new Float64Array(product(leading) * whole);
  let at = 0;
  tensors.forEach((one, index) => {
    for (let i = 0; i < product(leading); i += 1)
      data.set(one.data.subarray(i * sizes[index], (i + 1) * sizes[index]), i * whole + at);
    at += sizes[index];
  });
  return { shape: [...leading, whole], data };
}

/** A tensor of zeros, such as the first hidden state. */
export function zeros(shape) {
  return { shape: [...shape], data: new Float64Array(product(shape)) };
}

function sameShape(name, a, b) {
  if (a.shape.join() !== b.shape.join())
    throw new Error(`${name}: the shapes [${a.shape}] and [${b.shape}] differ.`);
}

function sameAxis(name, a, b) {
  if (a !== b) throw new Error(`${name}: an axis has ${a} features where ${b} are wanted.`);
}

/** f at every place of tensors of one shape: elementwise((a, b) => a + b, x, y). */
export function elementwise(f, ...tensors) {
  const [{ shape, data }, ...others] = tensors;
  for (const other of others) sameShape("elementwise", tensors[0], other);
  return { shape: [...shape], data: Float64Array.from(data, (_, i) => f(...tensors.map((one) => one.data[i]))) };
}

const sum = (a, b) => elementwise((x, y) => x + y, a, b);
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Part `index` of the last axis, cut into `count` equal parts: (..., count * n) -> (..., n). */
function chunk({ shape, data }, index, count) {
  const whole = shape.at(-1);
  const size = whole / count;
  const cut = new Float64Array(data.length / count);
  for (let i = 0; i < cut.length; i += 1) cut[i] = data[Math.floor(i / size) * whole + index * size + (i % size)];
  return { shape: [...shape.slice(0, -1), size], data: cut };
}

// ---------------------------------------------------------------------------------------------
// Layers

/** Rows of a table. token_ids: n numbers, weight (vocab_size, d) -> (n, d): row i is weight[token_ids[i]]. */
export function embedding(tokenIds, weight) {
  return stack([...tokenIds].map((token) => row(weight, token)));
}

/** input (..., d_in), weight (d_out, d_in), bias (d_out) or none -> (..., d_out): input weightᵀ + bias. */
export function linear(input, weight, bias) {
  const [dOut, dIn] = weight.shape;
  sameAxis("linear", input.shape.at(-1), dIn);
  if (bias) sameAxis("linear, bias", bias.shape[0], dOut);
  const rows = input.data.length / dIn;
  const data = new Float64Array(rows * dOut);
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < dOut; j += 1) {
      let total = bias ? bias.data[j] : 0;
      for (let k = 0; k < dIn; k += 1) total += input.data[i * dIn + k] * weight.data[j * dIn + k];
      data[i * dOut + j] = total;
    }
  }
  return { shape: [...input.shape.slice(0, -1), dOut], data };
}

/**
 * scores (..., n) -> weights (..., n) that sum to 1 over the last axis: exp(s_i) / Σ_j exp(s_j).
 * mask: an array of booleans (or a tensor) for the last axis, or for all of the scores. True: may
 * attend. A masked score gets weight exactly 0.
 */
export function softmax(scores, mask) {
  const n = scores.shape.at(-1);
  const allowed = mask?.data ?? mask ?? [true];
  if (mask && (allowed.length % n || scores.data.length % allowed.length))
    throw new Error(`softmax: a mask of ${allowed.length} does not fit scores of shape [${scores.shape}].`);
  const data = new Float64Array(scores.data.length);
  for (let start = 0; start < data.length; start += n) {
    const open = [];
    for (let i = start; i < start + n; i += 1) if (allowed[i % allowed.length]) open.push(i);
    if (!open.length) throw new Error(`softmax: all ${n} scores are masked; leave at least one.`);
    const largest = Math.max(...open.map((i) => scores.data[i])); // exp of large scores overflows
    let total = 0;
    for (const i of open) total += data[i] = Math.exp(scores.data[i] - largest);
    for (const i of open) data[i] /= total;
  }
  return { shape: [...scores.shape], data };
}

/** logits (..., n) -> log-probabilities in nats (..., n): s_i - log Σ_j exp(s_j) over the last axis. */
export function logSoftmax(logits) {
  const n = logits.shape.at(-1);
  const data = new Float64Array(logits.data.length);
  for (let start = 0; start < data.length; start += n) {
    const scores = logits.data.subarray(start, start + n);
    const largest = scores.reduce((a, b) => Math.max(a, b));
    const total = scores.reduce((sofar, score) => sofar + Math.exp(score - largest), 0);
    for (let i = 0; i < n; i += 1) data[start + i] = scores[i] - largest - Math.log(total);
  }
  return { shape: [...logits.shape], data };
}

// ---------------------------------------------------------------------------------------------
// Recurrent cells. `weights` has the keys weight_ih (k · d_hidden, d_in), weight_hh
// (k · d_hidden, d_hidden), bias_ih and bias_hh (k · d_hidden): k = 1, 4 (LSTM) or 3 (GRU) parts.

const fromInput = (input, weights) => linear(input, weights.weight_ih, weights.bias_ih);
const fromHidden = (hidden, weights) => linear(hidden, weights.weight_hh, weights.bias_hh);

/**
 * input (..., d_in), hidden (..., d_hidden) -> the new hidden (..., d_hidden):
 * h' = tanh(W_ih x + b_ih + W_hh h + b_hh).
 */
export function rnnCell(input, hidden, weights) {
  return elementwise(Math.tanh, sum(fromInput(input, weights), fromHidden(hidden, weights)));
}

/**
 * input (..., d_in), hidden and cell (..., d_hidden) -> the new { hidden, cell }.
 * The parts of W_ih x + b_ih + W_hh h + b_hh are i, f, g, o in this order:
 * c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c').
 */
export function lstmCell(input, hidden, cell, weights) {
  const gates = sum(fromInput(input, weights), fromHidden(hidden, weights));
  const [i, f, g, o] = [0, 1, 2, 3].map((part) => chunk(gates, part, 4));
  const next = elementwise((c, a, b, d) => sigmoid(b) * c + sigmoid(a) * Math.tanh(d), cell, i, f, g);
  return { hidden: elementwise((a, c) => sigmoid(a) * Math.tanh(c), o, next), cell: next };
}

/**
 * input (..., d_in), hidden (..., d_hidden) -> the new hidden (..., d_hidden).
 * The parts of u = W_ih x + b_ih and of v = W_hh h + b_hh are r, z, n in this order:
 * r = σ(u_r + v_r), z = σ(u_z + v_z), n = tanh(u_n + r v_n), h' = (1 - z) n + z h.
 */
export function gruCell(input, hidden, weights) {
  const u = fromInput(input, weights);
  const v = fromHidden(hidden, weights);
  const gate = (part) => elementwise((a, b) => sigmoid(a + b), chunk(u, part, 3), chunk(v, part, 3));
  const candidate = elementwise((a, reset, b) => Math.tanh(a + reset * b), chunk(u, 2, 3), gate(0), chunk(v, 2, 3));
  return elementwise((z, n, h) => (1 - z) * n + z * h, gate(1), candidate, hidden);
}

// ---------------------------------------------------------------------------------------------
// Attention. query (..., d_query), keys (n_keys, d_key), values (n_keys, d_value).

/** Scores (..., n_keys): query · key, where d_query = d_key. */
export function dotScores(query, keys) {
  return linear(query, keys);
}

/** weight (d_query, d_key) -> scores (..., n_keys): query · (weight key). */
export function generalScores(query, keys, weight) {
  return dotScores(query, linear(keys, weight));
}

/**
 * weights: query_projection.weight (d_score, d_query), key_projection.weight (d_score, d_key) and
 * vector.weight (1, d_score), as in lmcourse.attention.AdditiveScore -> scores (..., n_keys):
 * vector · tanh(W_query query + W_key key).
 */
export function additiveScores(query, keys, weights) {
  const fromQuery = linear(query, weights["query_projection.weight"]);
  const fromKeys = linear(keys, weights["key_projection.weight"]);
  const vector = weights["vector.weight"];
  const size = product(vector.shape);
  for (const part of [fromQuery, fromKeys]) sameAxis("additiveScores", part.shape.at(-1), size);
  const [nQueries, nKeys] = [fromQuery.data.length / size, keys.shape[0]];
  const data = new Float64Array(nQueries * nKeys);
  for (let i = 0; i < nQueries; i += 1)
    for (let j = 0; j < nKeys; j += 1)
      for (let k = 0; k < size; k += 1)
        data[i * nKeys + j] += vector.data[k] * Math.tanh(fromQuery.data[i * size + k] + fromKeys.data[j * size + k]);
  return { shape: [...query.shape.slice(0, -1), nKeys], data };
}

/**
 * scores (..., n_keys) -> { weights (..., n_keys), context (..., d_value) }: weights = softmax of the
 * scores, context = Σ_j weights_j values_j. mask as in `softmax`.
 */
export function attend(scores, values, mask) {
  const weights = softmax(scores, mask);
  const [nKeys, dValue] = values.shape;
  sameAxis("attend", scores.shape.at(-1), nKeys);
  const rows = weights.data.length / nKeys;
  const data = new Float64Array(rows * dValue);
  for (let i = 0; i < rows; i += 1)
    for (let j = 0; j < nKeys; j += 1)
      for (let k = 0; k < dValue; k += 1) data[i * dValue + k] += weights.data[i * nKeys + j] * values.data[j * dValue + k];
  return { weights, context: { shape: [...scores.shape.slice(0, -1), dValue], data } };
}

/** `additiveScores`, then `attend`: -> { scores, weights, context }. */
export function additiveAttention(query, keys, values, weights, mask) {
  const scores = additiveScores(query, keys, weights);
  return { scores, ...attend(scores, values, mask) };
}

// ---------------------------------------------------------------------------------------------
// Transformer. Names of weights as in lmcourse.multi_head_attention and lmcourse.transformer.

/** The error function 2/√π ∫₀ˣ exp(-t²) dt, by a series of terms of one sign; beyond ±6 it is ±1. */
export function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = (2 / Math.sqrt(Math.PI)) * x * Math.exp(-x * x);
  let total = term;
  for (let n = 1; Math.abs(term) > 1e-17; n += 1) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return total;
}

/** max(x, 0) at every place. */
export function relu(input) {
  return elementwise((x) => Math.max(x, 0), input);
}

/** x P(a standard normal number is below x), at every place: the exact GELU, torch's default. */
export function gelu(input) {
  return elementwise((x) => (x / 2) * (1 + erf(x / Math.SQRT2)), input);
}

/** (..., d) -> (..., d): each row to mean 0 and variance 1, then times weight (d) plus bias (d). */
export function layerNorm(input, weight, bias, eps = 1e-5) {
  const n = weight.shape[0];
  sameAxis("layerNorm", input.shape.at(-1), n);
  const data = new Float64Array(input.data.length);
  for (let start = 0; start < data.length; start += n) {
    const features = input.data.subarray(start, start + n);
    const mean = features.reduce((a, b) => a + b) / n;
    const variance = features.reduce((total, x) => total + (x - mean) ** 2, 0) / n;
    features.forEach((x, i) => (data[start + i] = ((x - mean) / Math.sqrt(variance + eps)) * weight.data[i] + bias.data[i]));
  }
  return { shape: [...input.shape], data };
}

/** -> (time, d_model): features 2i and 2i + 1 of position t are sin and cos of t / 10000^(2i / d_model). */
export function sinusoidalPositions(time, dModel) {
  if (dModel % 2) throw new Error(`sinusoidalPositions: ${dModel} features; sines and cosines come in pairs.`);
  const data = Float64Array.from({ length: time * dModel }, (_, at) => {
    const i = at % dModel;
    const angle = Math.floor(at / dModel) * 10000 ** (-(i - (i % 2)) / dModel);
    return i % 2 ? Math.cos(angle) : Math.sin(angle);
  });
  return { shape: [time, dModel], data };
}

/** -> (time, time) of booleans, a mask: each position may attend to itself and to those before it. */
export function causalMask(time) {
  return { shape: [time, time], data: Array.from({ length: time * time }, (_, at) => at % time <= Math.floor(at / time)) };
}

/**
 * hidden (queries, d_model), memory (keys, d_model) -> { output (queries, d_model), weights (n_heads,
 * queries, keys), query, key, value (n_heads, queries or keys, d_head) }. mask as in `softmax`, the
 * same for all heads.
 */
export function multiHeadAttention(hidden, weights, nHeads, mask, memory = hidden) {
  const rows = weights["in_projection.weight"].shape[0] / 3;
  if (rows % nHeads) throw new Error(`multiHeadAttention: ${rows} features cannot be cut into ${nHeads} heads.`);
  const heads = Array.from({ length: nHeads }, (_, head) => head);
  const [query, key, value] = [hidden, memory, memory].map((input, part) => {
    const cut = ({ shape, data }) => row({ shape: [3, rows, ...shape.slice(1)], data }, part);
    const projected = linear(input, cut(weights["in_projection.weight"]), cut(weights["in_projection.bias"]));
    return stack(heads.map((head) => chunk(projected, head, nHeads)));
  });
  const found = heads.map((head) => {
    const scores = elementwise((score) => score / Math.sqrt(rows / nHeads), dotScores(row(query, head), row(key, head)));
    return attend(scores, row(value, head), mask);
  });
  const gathered = concat(...found.map((one) => one.context));
  const output = linear(gathered, weights["out_projection.weight"], weights["out_projection.bias"]);
  return { output, weights: stack(found.map((one) => one.weights)), query, key, value };
}

/** hidden (..., d_model) -> (..., d_model). activation: `relu` or `gelu`. */
export function feedForward(hidden, weights, activation = relu) {
  const inner = activation(linear(hidden, weights["inner.weight"], weights["inner.bias"]));
  return linear(inner, weights["outer.weight"], weights["outer.bias"]);
}

const blockNorm = (input, weights, part, eps = 1e-5) => layerNorm(input, weights[`${part}_norm.weight`], weights[`${part}_norm.bias`], eps);

/**
 * hidden (time, d_model) -> { attention, attended, thought, output }: what `multiHeadAttention` gives,
 * the vectors after it was added, what the feed-forward network adds, the vectors after that. What
 * is normalised is the input of each part.
 */
export function preNormBlock(hidden, weights, nHeads, mask, activation = relu) {
  const attention = multiHeadAttention(blockNorm(hidden, weights, "attention"), layersOf(weights, "attention."), nHeads, mask);
  const attended = sum(hidden, attention.output);
  const thought = feedForward(blockNorm(attended, weights, "feed_forward"), layersOf(weights, "feed_forward."), activation);
  return { attention, attended, thought, output: sum(attended, thought) };
}

/** The same, but what is normalised are the sums `attended` and `output`. */
export function postNormBlock(hidden, weights, nHeads, mask, activation = relu, eps) {
  const attention = multiHeadAttention(hidden, layersOf(weights, "attention."), nHeads, mask);
  const attended = blockNorm(sum(hidden, attention.output), weights, "attention", eps);
  const thought = feedForward(attended, layersOf(weights, "feed_forward."), activation);
  return { attention, attended, thought, output: blockNorm(sum(attended, thought), weights, "feed_forward", eps) };
}

// ---------------------------------------------------------------------------------------------
// Weights

/**
 * The tensors whose names begin with the prefix, by the rest of their names: with the prefix
 * "layer.cells.0." the tensor "layer.cells.0.weight_ih" becomes `weight_ih`.
 */
export function layersOf(tensors, prefix) {
  const found = Object.entries(tensors).filter(([name]) => name.startsWith(prefix));
  if (!found.length)
    throw new Error(`No weights begin with "${prefix}"; there are ${Object.keys(tensors).join(", ")}.`);
  return Object.fromEntries(found.map(([name, one]) => [name.slice(prefix.length), one]));
}

/** The number that 16 bits stand for: a sign, 5 bits of exponent and 10 of fraction (IEEE 754). */
function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  const size = exponent === 0 ? fraction * 2 ** -14
    : exponent < 31 ? (1 + fraction) * 2 ** (exponent - 15)
      : fraction ? NaN : Infinity;
  return bits >> 15 ? -size : size;
}

const READERS = {
  F32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  F16: { bytes: 2, read: (view, at) => half(view.getUint16(at, true)) },
};

/**
 * The tensors of a safetensors file, by name, in float32. `bytes` is an ArrayBuffer, a Uint8Array or
 * a DataView. The file: 8 bytes with the length of the header (little-endian), the header as JSON
 * { name: { dtype, shape, data_offsets: [begin, end] } }, then the data without gaps.
 * The file's own notes are in the property `metadata`, which no loop over the tensors meets.
 */
export function readSafetensors(bytes) {
  const check = (holds, reason) => {
    if (!holds) throw new Error(`The file of weights is damaged: ${reason}.`);
  };
  const view = bytes instanceof ArrayBuffer ? new DataView(bytes) : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  check(view.byteLength >= 8, `it has ${view.byteLength} bytes, and the length of its header takes 8`);
  const length = view.getBigUint64(0, true);
  check(length <= view.byteLength - 8, `its header should have ${length} bytes, and ${view.byteLength - 8} are left`);
  const start = 8 + Number(length);
  let header = null;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new DataView(view.buffer, view.byteOffset + 8, start - 8)));
  } catch {
    // Said below.
  }
  check(header !== null && typeof header === "object" && !Array.isArray(header), "its header is no JSON object");
  const { __metadata__: metadata = {}, ...entries } = header;
  let end = 0;
  const places = Object.entries(entries).map(([name, entry]) => {
    const { dtype, shape, data_offsets: place } = entry ?? {};
    const whole = (list) => Array.isArray(list) && list.every((n) => Number.isSafeInteger(n) && n >= 0);
    check(whole(shape) && whole(place) && place.length === 2, `the entry of "${name}" lacks a shape or a place`);
    if (!Object.hasOwn(READERS, dtype)) throw new Error(`The weights "${name}" are of type ${dtype}: only F32 and F16 can be read.`);
    const size = product(shape) * READERS[dtype].bytes;
    check(place[1] - place[0] === size, `"${name}" of shape [${shape}] takes ${size} bytes, not ${place[1] - place[0]}`);
    end = Math.max(end, place[1]);
    return { name, dtype, shape, begin: start + place[0] };
  });
  check(start + end === view.byteLength, `its tensors end at byte ${start + end}, and it has ${view.byteLength}`);
  const tensors = {};
  for (const { name, dtype, shape, begin } of places) {
    const { bytes: width, read } = READERS[dtype];
    tensors[name] = { shape, data: Float32Array.from({ length: product(shape) }, (_, i) => read(view, begin + i * width)) };
  }
  return Object.defineProperty(tensors, "metadata", { value: metadata });
}

/** The facts that `lmcourse.pretrained.save` wrote beside the tensors: how they were made. */
export function factsOf(tensors) {
  return JSON.parse(tensors.metadata.lmcourse);
}

/**
 * The trained weights of a widget whose Python class is a `ModelWidget`, as `readSafetensors` gives
 * them. A kernel sends the bytes; the published page loads them from the file beside `host.js`.
 * With a name: one of the further models of a `ModelsWidget`.
 */
export async function loadWeights(model, other) {
  const sent = other ? model.get("other_weights")?.[other] : model.get("weights");
  if (sent) return readSafetensors(sent);
  const name = other ?? model.get("weights_name");
  let file;
  try {
    file = await globalThis.lmcourse.weights(name);
  } catch {
    throw new Error(`The trained weights "${name}" could not be loaded: the file ${name}.weights.js is missing.`);
  }
  const wanted = other ? model.get("other_sha256")[other] : model.get("weights_sha256");
  if (file.sha256 !== wanted) {
    const [made, found] = [wanted, file.sha256].map((hash) => `${hash.slice(0, 8)}…`);
    throw new Error(
      `The trained weights "${name}" are not those that this page was made with: it names ${made}, the file is ${found}.`,
    );
  }
  return readSafetensors(file.bytes);
}

/** Waits until the element can be seen, so that a page loads weights only for readers who get there. */
export function whenVisible(el) {
  return new Promise((resolve) => {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      resolve();
    });
    observer.observe(el);
  });
}
