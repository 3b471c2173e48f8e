"""forward.js in Chromium against torch.nn, and how the weights of a widget come into its page."""

from __future__ import annotations

import base64
import json
import math

import pytest
import torch
from safetensors import torch as safetensors
from torch import Tensor, nn
from torch.nn import functional as F
from widget_page import serve

from lmcourse import multi_head_attention, pretrained, self_attention, transformer
from lmcourse.widgets import base

TOLERANCE = {"rtol": 0, "atol": 1e-5}
N_STEPS = 12
# A tensor travels as { shape, data }; in the page its data are a Float32Array, as weights are.
RUN = """async ({ source, body, values }) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    globalThis.forward ??= await import(url);
    const read = (value) => {
        if (value === null || typeof value !== "object") return value;
        if (Array.isArray(value)) return value.map(read);
        if (value.shape) return { shape: value.shape, data: Float32Array.from(value.data) };
        return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, read(v)]));
    };
    const write = (value) => {
        const number = (x) => Number.isFinite(x) ? x : String(x);
        if (ArrayBuffer.isView(value)) return Array.from(value, number);
        if (value === null || typeof value !== "object") return value;
        if (Array.isArray(value)) return value.map(write);
        return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, write(v)]));
    };
    const names = Object.keys(values);
    const f = new Function("forward", ...names, `return (async () => { ${body} })()`);
    try {
        return write(await f(globalThis.forward, ...names.map((name) => read(values[name]))));
    } catch (error) {
        return { error: error.message };
    }
}"""


def to_page(value):
    if isinstance(value, Tensor):
        return {"shape": list(value.shape), "data": value.detach().flatten().tolist()}
    if isinstance(value, dict):
        return {key: to_page(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return [to_page(item) for item in value] if isinstance(value, list) else value


def from_page(value):
    if isinstance(value, dict):
        if value.keys() == {"shape", "data"}:
            return torch.tensor([float(x) for x in value["data"]]).reshape(
                value["shape"]
            )
        return {key: from_page(item) for key, item in value.items()}
    return [from_page(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def run(open_page, tmp_path):
    """`run("return forward.f(a)", a=tensor)`: what the function gives in a page on disk."""
    file = tmp_path / "page.html"
    file.write_text('<!doctype html><meta charset="utf-8"><title>f</title>')
    page = open_page(file.as_uri())
    source = base.bundle("forward.js")

    def run(body: str, **values):
        arguments = {"source": source, "body": body, "values": to_page(values)}
        return from_page(page.evaluate(RUN, arguments))

    return run


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# ------------------------------------------------------------------------------------- layers
def test_embedding(run):
    layer = nn.Embedding(7, 3)
    token_ids = [6, 0, 2, 2]
    out = run("return forward.embedding(ids, w)", ids=token_ids, w=layer.weight)
    assert torch.equal(out, layer(torch.tensor(token_ids)))
    out = run("return forward.embedding([7], w)", w=layer.weight)
    assert out["error"] == "There is no row 7: the tensor has rows 0 to 6."


@pytest.mark.parametrize("leading", [(), (2,), (2, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(run, leading, bias):
    layer = nn.Linear(5, 3, bias=bias)
    x = torch.randn(*leading, 5)
    out = run("return forward.linear(x, w, b)", x=x, w=layer.weight, b=layer.bias)
    assert out.shape == (*leading, 3)
    torch.testing.assert_close(out, layer(x), **TOLERANCE)


def test_linear_says_which_axis_does_not_fit(run):
    out = run("return forward.linear(x, w)", x=torch.ones(2, 4), w=torch.ones(3, 5))
    assert out["error"] == "linear: an axis has 4 features where 5 are wanted."


@pytest.mark.parametrize("scale", [1, 1e3, 1e30])
def test_softmax_and_log_softmax(run, scale):
    scores = scale * torch.randn(2, 3, 5)
    out = run("return forward.softmax(s)", s=scores)
    torch.testing.assert_close(out, scores.softmax(-1), **TOLERANCE)
    torch.testing.assert_close(out.sum(-1), torch.ones(2, 3), **TOLERANCE)
    small = scores / max(
        1, scale / 1e2
    )  # 1e-5 of a log-probability of 1e30 is not to be had
    out = run("return forward.logSoftmax(s)", s=small)
    torch.testing.assert_close(out, small.log_softmax(-1), rtol=1e-6, atol=1e-5)


def test_softmax_with_a_mask(run):
    scores = 10 * torch.randn(2, 3, 5)
    scores[..., 1] = 1e4  # the largest, and masked
    mask = torch.rand(2, 3, 5) < 0.6
    mask[..., 1], mask[..., 0] = False, True
    expected = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    out = run("return forward.softmax(s, m)", s=scores, m=mask)
    assert (out[~mask] == 0).all()
    torch.testing.assert_close(out, expected, **TOLERANCE)
    one = [True, False, True, True, False]  # one mask for all rows
    expected = scores.masked_fill(~torch.tensor(one), -torch.inf).softmax(-1)
    out = run("return forward.softmax(s, m)", s=scores, m=one)
    assert (out[..., [1, 4]] == 0).all()
    torch.testing.assert_close(out, expected, **TOLERANCE)


def test_softmax_refuses_a_mask_that_leaves_nothing_or_does_not_fit(run):
    scores = torch.randn(2, 3)
    out = run("return forward.softmax(s, [false, false, false])", s=scores)
    assert out["error"] == "softmax: all 3 scores are masked; leave at least one."
    out = run("return forward.softmax(s, [true, false])", s=scores)
    assert out["error"] == "softmax: a mask of 2 does not fit scores of shape [2,3]."


@pytest.mark.parametrize("leading", [(), (2,), (2, 4)])
def test_concat(run, leading):
    parts = [torch.randn(*leading, size) for size in (3, 1, 5)]
    out = run("return forward.concat(...parts)", parts=parts)
    assert torch.equal(out, torch.cat(parts, dim=-1))
    out = run("return forward.concat(a, b)", a=torch.ones(2, 3), b=torch.ones(4, 3))
    assert out["error"] == "concat: the shapes [2] and [4] differ."


# -------------------------------------------------------------------------------------- cells
STEPS = """
    let state = start;
    const seen = [];
    for (let t = 0; t < inputs.shape[0]; t += 1) {
        state = STEP;
        seen.push(state);
    }
    return seen;
"""


@pytest.mark.parametrize("batch", [(), (2,)], ids=["one", "batch"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (nn.RNNCell, "forward.rnnCell(forward.row(inputs, t), state, w)"),
        (nn.GRUCell, "forward.gruCell(forward.row(inputs, t), state, w)"),
        (
            nn.LSTMCell,
            "forward.lstmCell(forward.row(inputs, t), state.hidden, state.cell, w)",
        ),
    ],
    ids=["rnn", "gru", "lstm"],
)
def test_cells_equal_torch_over_many_steps(run, kind, step, bias, batch):
    cell = kind(3, 5, bias=bias)
    for parameter in cell.parameters():
        nn.init.uniform_(parameter, -1, 1)  # far from zero: no gate is near its middle
    inputs = 2 * torch.randn(N_STEPS, *batch, 3)
    hidden, memory = torch.randn(*batch, 5), torch.randn(*batch, 5)
    lstm = kind is nn.LSTMCell
    start = {"hidden": hidden, "cell": memory} if lstm else hidden
    weights = dict(cell.named_parameters())
    out = run(STEPS.replace("STEP", step), inputs=inputs, start=start, w=weights)
    assert len(out) == N_STEPS
    state = (hidden, memory) if lstm else hidden
    for t in range(N_STEPS):
        state = cell(inputs[t], state)
        if lstm:
            torch.testing.assert_close(out[t]["hidden"], state[0], **TOLERANCE)
            torch.testing.assert_close(out[t]["cell"], state[1], **TOLERANCE)
        else:
            torch.testing.assert_close(out[t], state, **TOLERANCE)


def test_layers_under_a_prefix_make_a_stack_of_cells(run):
    """Two layers of nn.LSTM, step by step, from one dictionary of all tensors."""
    network = nn.LSTM(3, 5, num_layers=2)
    tensors = {
        f"cells.{name[-1]}.{name[:-3]}": parameter
        for name, parameter in network.named_parameters()
    }
    inputs = torch.randn(N_STEPS, 3)
    body = """
        const layers = [0, 1].map((i) => forward.layersOf(tensors, `cells.${i}.`));
        const states = layers.map(() => ({ hidden: forward.zeros([5]), cell: forward.zeros([5]) }));
        const seen = [];
        for (let t = 0; t < inputs.shape[0]; t += 1) {
            let below = forward.row(inputs, t);
            layers.forEach((weights, i) => {
                states[i] = forward.lstmCell(below, states[i].hidden, states[i].cell, weights);
                below = states[i].hidden;
            });
            seen.push(below);
        }
        return forward.stack(seen);
    """
    out = run(body, tensors=tensors, inputs=inputs)
    torch.testing.assert_close(out, network(inputs)[0], **TOLERANCE)
    out = run("return forward.layersOf(tensors, 'cell.')", tensors=tensors)
    assert out["error"].startswith('No weights begin with "cell."; there are cells.0.')


# ---------------------------------------------------------------------------------- attention
def attention_case(leading: tuple[int, ...]):
    """d_query 3, d_key 5, d_score 7, d_value 4, 6 keys."""
    return {
        "query": torch.randn(*leading, 3),
        "keys": torch.randn(6, 5),
        "values": torch.randn(6, 4),
        "weights": {
            "query_projection.weight": torch.randn(7, 3),
            "key_projection.weight": torch.randn(7, 5),
            "vector.weight": torch.randn(1, 7),
        },
    }


@pytest.mark.parametrize("leading", [(), (2,)], ids=["one query", "two queries"])
@pytest.mark.parametrize("masked", [False, True])
def test_additive_attention_equals_a_double_loop(run, leading, masked):
    case = attention_case(leading)
    mask = [True, False, True, True, False, True] if masked else None
    w_query, w_key, (v,) = case["weights"].values()
    scores = torch.empty(*leading, 6)
    weights, context = torch.zeros(*leading, 6), torch.zeros(*leading, 4)
    for i in range(2) if leading else [...]:
        total = 0.0
        for j in range(6):
            score = v @ torch.tanh(w_query @ case["query"][i] + w_key @ case["keys"][j])
            scores[(i, j)] = score
            if mask is None or mask[j]:
                total += math.exp(score)
        for j in range(6):
            if mask is None or mask[j]:
                weights[(i, j)] = math.exp(scores[(i, j)]) / total
            context[i] += weights[(i, j)] * case["values"][j]
    body = "return forward.additiveAttention(query, keys, values, weights, mask)"
    out = run(body, **case, mask=mask)
    torch.testing.assert_close(out["scores"], scores, **TOLERANCE)
    torch.testing.assert_close(out["weights"], weights, **TOLERANCE)
    torch.testing.assert_close(out["context"], context, **TOLERANCE)
    if masked:
        assert (out["weights"][..., [1, 4]] == 0).all()


def test_masked_keys_change_nothing(run):
    case = attention_case((2,))
    mask = [True, False, True, True, False, True]
    body = "return forward.additiveAttention(query, keys, values, weights, mask)"
    before = run(body, **case, mask=mask)
    case["keys"][[1, 4]], case["values"][[1, 4]] = 1e3, 1e3
    after = run(body, **case, mask=mask)
    assert torch.equal(after["context"], before["context"])


@pytest.mark.parametrize("leading", [(), (2,)], ids=["one query", "two queries"])
def test_dot_and_general_scores(run, leading):
    query, keys, weight = torch.randn(*leading, 3), torch.randn(6, 5), torch.randn(3, 5)
    general = torch.einsum("...q,qk,jk->...j", query, weight, keys)
    out = run("return forward.generalScores(q, k, w)", q=query, k=keys, w=weight)
    torch.testing.assert_close(out, general, **TOLERANCE)
    out = run("return forward.dotScores(q, k)", q=query, k=keys @ weight.T)
    torch.testing.assert_close(out, general, **TOLERANCE)


# -------------------------------------------------------------------------------- transformer
def test_erf(run):
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    out = run("return xs.map(forward.erf)", xs=[*x.tolist(), math.inf, -math.inf])
    expected = [*torch.erf(x).tolist(), 1, -1]
    assert out == pytest.approx(expected, rel=0, abs=1e-12)
    out = run("return xs.map(forward.erf)", xs=[0, -0.0, 1e-20, 6, 6.0001])
    assert out == pytest.approx([math.erf(x) for x in (0, 0, 1e-20, 6, 7)], rel=1e-12)


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_activations(run, name):
    x = torch.cat([torch.linspace(-7, 7, 299), torch.tensor([-100.0, 100.0])])
    x = x.reshape(7, 43)
    out = run(f"return forward.{name}(x)", x=x)
    assert out.shape == x.shape
    torch.testing.assert_close(out, getattr(F, name)(x), **TOLERANCE)


@pytest.mark.parametrize("leading", [(), (4,), (2, 4)])
def test_layer_norm(run, leading):
    norm = nn.LayerNorm(6)
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, -2, 2)
    x = 3 + 5 * torch.randn(*leading, 6)
    out = run("return forward.layerNorm(x, w, b)", x=x, w=norm.weight, b=norm.bias)
    assert out.shape == x.shape
    torch.testing.assert_close(out, norm(x), **TOLERANCE)


def test_layer_norm_divides_a_constant_vector_by_eps(run):
    x, norm = torch.full((2, 6), 7.0), nn.LayerNorm(6, eps=0.5)
    out = run("return forward.layerNorm(x, w, b)", x=x, w=norm.weight, b=norm.bias)
    assert (out == 0).all()
    x[1, 0] = 8
    body = "return forward.layerNorm(x, w, b, 0.5)"
    out = run(body, x=x, w=norm.weight, b=norm.bias)
    torch.testing.assert_close(out, norm(x), **TOLERANCE)
    out = run("return forward.layerNorm(x, w, w)", x=x, w=torch.ones(4))
    assert out["error"] == "layerNorm: an axis has 6 features where 4 are wanted."


def test_positions_and_mask(run):
    out = run("return forward.sinusoidalPositions(70, 10)")
    expected = self_attention.sinusoidal_positions(70, 10)
    torch.testing.assert_close(out, expected, **TOLERANCE)
    assert "come in pairs" in run("return forward.sinusoidalPositions(3, 5)")["error"]
    out = run("return forward.causalMask(5)")
    assert torch.equal(out.bool(), self_attention.causal_mask(5))


def drawn(module: nn.Module) -> nn.Module:
    """With parameters far from where they begin, such as a norm's ones and zeros."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


MULTI_HEAD = """
    return forward.multiHeadAttention(x, w, nHeads, mask, memory ?? undefined);
"""


@pytest.mark.parametrize("masked", [True, False], ids=["causal", "all"])
@pytest.mark.parametrize("n_heads", [1, 3])
def test_self_attention_with_heads(run, n_heads, masked):
    ours = drawn(multi_head_attention.MultiHeadAttention(12, n_heads))
    torchs = nn.MultiheadAttention(12, n_heads, batch_first=True)
    torchs.load_state_dict(
        {
            "in_proj_weight": ours.in_projection.weight,
            "in_proj_bias": ours.in_projection.bias,
            "out_proj.weight": ours.out_projection.weight,
            "out_proj.bias": ours.out_projection.bias,
        }
    )
    x = torch.randn(7, 12)
    mask = self_attention.causal_mask(7) if masked else None
    expected, weights = torchs(
        x[None],
        x[None],
        x[None],
        attn_mask=None if mask is None else ~mask,
        average_attn_weights=False,
    )
    values = {"x": x, "w": ours.state_dict(), "nHeads": n_heads, "mask": mask}
    out = run(MULTI_HEAD, **values, memory=None)
    torch.testing.assert_close(out["output"], expected[0], **TOLERANCE)
    torch.testing.assert_close(out["weights"], weights[0], **TOLERANCE)
    parts = dict(zip(("query", "key", "value"), ours.project(x[None]), strict=True))
    for name, part in parts.items():
        torch.testing.assert_close(out[name], part[0], **TOLERANCE)
    if masked:
        assert (out["weights"][:, ~mask] == 0).all()


def test_attention_to_a_memory_with_heads(run):
    attention = drawn(multi_head_attention.MultiHeadAttention(12, 4))
    x, memory = torch.randn(3, 12), torch.randn(5, 12)
    mask = torch.tensor([[True, False, True, True, False]] * 3)
    values = {"x": x, "w": attention.state_dict(), "nHeads": 4, "memory": memory}
    out = run(MULTI_HEAD, **values, mask=mask)
    expected = attention(x[None], mask, memory[None])[0]
    torch.testing.assert_close(out["output"], expected, **TOLERANCE)
    weights = attention.weights(x[None], mask, memory[None])[0]
    torch.testing.assert_close(out["weights"], weights, **TOLERANCE)
    mask[1] = False
    assert "all 5 scores are masked" in run(MULTI_HEAD, **values, mask=mask)["error"]
    out = run(MULTI_HEAD, **values | {"nHeads": 5}, mask=None)
    assert out["error"].endswith("12 features cannot be cut into 5 heads.")


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_feed_forward(run, activation):
    layer = drawn(transformer.FeedForward(6, 24, getattr(F, activation)))
    x = torch.randn(2, 5, 6)
    body = f"return forward.feedForward(x, w, forward.{activation})"
    out = run(body, x=x, w=layer.state_dict())
    torch.testing.assert_close(out, layer(x), **TOLERANCE)
    if activation == "relu":
        out = run("return forward.feedForward(x, w)", x=x, w=layer.state_dict())
        torch.testing.assert_close(out, layer(x), **TOLERANCE)


def test_the_eps_of_a_post_norm_block(run):
    block = drawn(transformer.EncoderBlock(8, 2, 32))
    for norm in (block.attention_norm, block.feed_forward_norm):
        norm.eps = 0.5
    x = torch.randn(6, 8)
    body = "return forward.postNormBlock(x, w, 2, null, forward.relu, 0.5)"
    out = run(body, x=x, w=block.state_dict())
    torch.testing.assert_close(out["output"], block(x[None])[0], **TOLERANCE)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("masked", [True, False], ids=["causal", "all"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("postNormBlock", transformer.EncoderBlock),
        ("preNormBlock", transformer.PreNormEncoderBlock),
    ],
)
def test_blocks_and_all_that_is_inside(run, name, kind, masked, activation):
    block = drawn(kind(8, 2, 32, activation=getattr(F, activation)))
    inside = {}
    for part in ("attention", "attention_norm", "feed_forward"):
        getattr(block, part).register_forward_hook(
            lambda _, args, output, part=part: inside.update({part: output[0]})
        )
    attend = block.attention.attend
    block.attention.attend = lambda *args: inside.setdefault("attend", attend(*args))
    x = torch.randn(6, 8)
    mask = self_attention.causal_mask(6) if masked else None
    expected = block(x[None], mask)[0]
    body = f"return forward.{name}(x, w, 2, mask, forward.{activation})"
    out = run(body, x=x, w=block.state_dict(), mask=mask)
    gathered = inside["attend"][0]
    torch.testing.assert_close(out["output"], expected, **TOLERANCE)
    torch.testing.assert_close(out["attention"]["output"], gathered, **TOLERANCE)
    torch.testing.assert_close(out["thought"], inside["feed_forward"], **TOLERANCE)
    normed = inside["attention_norm"]
    after = normed if name == "postNormBlock" else x + gathered
    torch.testing.assert_close(out["attended"], after, **TOLERANCE)
    attended_to = x if name == "postNormBlock" else normed
    weights = block.attention.weights(attended_to[None], mask)[0]
    torch.testing.assert_close(out["attention"]["weights"], weights, **TOLERANCE)
    if activation == "relu":
        body = f"return forward.{name}(x, w, 2, mask)"
        out = run(body, x=x, w=block.state_dict(), mask=mask)
        torch.testing.assert_close(out["output"], expected, **TOLERANCE)


# -------------------------------------------------------------------------------- safetensors
READ = """
    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    const tensors = forward.readSafetensors(bytes);
    return { tensors: { ...tensors }, metadata: tensors.metadata };
"""
STORED = {
    "layer.weight": torch.linspace(-2, 3, 15).reshape(3, 5),
    "a": torch.tensor([0.0, -0.0, 1e-42, 3.4e38, -1e-38]),
    "halves": torch.linspace(-1, 2, 14).reshape(7, 2).half(),
    "more halves": torch.tensor([6e-8, -6e-5, 65504.0, 0.1, -0.0]).half(),
    "infinities": torch.tensor([torch.inf, -torch.inf]).half(),
    "one": torch.tensor(2.5),
    "none": torch.zeros(0, 4),
    "토끼": torch.ones(1),
}


def test_every_value_of_a_file_is_read(run):
    file = safetensors.save(STORED, {"lmcourse": '{"words": ["토끼"]}', "other": "x"})
    out = run(READ, file=file)
    assert out["metadata"] == {"lmcourse": '{"words": ["토끼"]}', "other": "x"}
    assert out["tensors"].keys() == STORED.keys()
    for name, tensor in STORED.items():
        assert out["tensors"][name].shape == tensor.shape
        assert torch.equal(out["tensors"][name], tensor.float()), name
        assert torch.equal(out["tensors"][name].signbit(), tensor.signbit()), name


def test_every_half_is_read(run):
    bits = torch.arange(2**16).to(torch.int32).to(torch.uint16).view(torch.float16)
    out = run(READ, file=safetensors.save({"all": bits}))["tensors"]["all"]
    torch.testing.assert_close(out, bits.float(), rtol=0, atol=0, equal_nan=True)


def test_a_view_into_other_bytes_is_read(run):
    """A kernel sends a DataView that may begin anywhere in its buffer."""
    file = safetensors.save(
        {"w": torch.tensor([[1.5, -2.0]])}, {"lmcourse": '{"d": 2}'}
    )
    body = """
        const view = new DataView(Uint8Array.from(atob(file), (c) => c.charCodeAt(0)).buffer, 3);
        const tensors = await forward.loadWeights({ get: (key) => ({ weights: view })[key] });
        return { w: tensors.w, facts: forward.factsOf(tensors) };
    """
    out = run(body, file=b"abc" + file)
    assert torch.equal(out["w"], torch.tensor([[1.5, -2.0]])) and out["facts"] == {
        "d": 2
    }


def test_the_weights_of_a_further_model_are_found_by_their_name(run):
    own, other = (safetensors.save({"w": torch.tensor([x])}) for x in (1.0, 2.0))
    body = """
        const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const sent = { weights: bytes(own), other_weights: { more: bytes(other) } };
        const files = {
            own: { sha256: "1", bytes: bytes(own) }, more: { sha256: "2", bytes: bytes(other) },
        };
        globalThis.lmcourse = { weights: async (name) => files[name] };
        const stored = { weights_name: "own", weights_sha256: "1", other_sha256: { more: "2" } };
        const stale = { ...stored, other_sha256: { more: "3" } };
        const read = async (state, name) => {
            const tensors = await forward.loadWeights({ get: (key) => state[key] }, name);
            return tensors.w;
        };
        const found = [];
        for (const state of [sent, stored])
            for (const name of [undefined, "more"]) found.push(await read(state, name));
        return [...found, await read(stale, "more").catch((error) => error.message)];
    """
    *found, refused = run(body, own=own, other=other)
    assert torch.cat(found).tolist() == [1, 2, 1, 2]
    assert refused.startswith('The trained weights "more" are not those')


def with_header(header, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(shape, begin, end, dtype="F32"):
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


DAMAGED = "The file of weights is damaged: "


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", DAMAGED + "it has 0 bytes, and the length of its header takes 8."),
        (
            b"<!doctype html><title>404</title>",
            DAMAGED
            + "its header should have 8104636974849335612 bytes, and 25 are left.",
        ),
        (with_header(b"{'w': 1}"), DAMAGED + "its header is no JSON object."),
        (with_header(b'{"\xff": 1}'), DAMAGED + "its header is no JSON object."),
        (with_header([]), DAMAGED + "its header is no JSON object."),
        (
            with_header({"w": None}),
            DAMAGED + 'the entry of "w" lacks a shape or a place.',
        ),
        (
            with_header(entry([2, 3], 0, 20), bytes(20)),
            DAMAGED + '"w" of shape [2,3] takes 24 bytes, not 20.',
        ),
        (
            with_header(entry([2, 3], 0, 24), bytes(23)),
            DAMAGED + "its tensors end at byte 97, and it has 96.",
        ),
        (
            with_header(entry([2, 3], 0, 24), bytes(25)),
            DAMAGED + "its tensors end at byte 97, and it has 98.",
        ),
        (
            with_header(entry([3], 0, 24, "I64"), bytes(24)),
            'The weights "w" are of type I64: only F32 and F16 can be read.',
        ),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else "file",
)
def test_a_damaged_file_says_what_is_wrong(run, file, message):
    assert run(READ, file=file) == {"error": message}


# ------------------------------------------------------------------------- weights of a widget
FAKE = """import { h, live } from "./common.js";
import { layersOf, linear, loadWeights, tensor, whenVisible } from "./forward.js";

function render({ model, el }) {
  const status = live();
  el.append(h("p", {}, "A model"), status.node);
  const start = (tensors) => {
    const { weight, bias } = layersOf(tensors, "out.");
    status.say(`says ${linear(tensor([2], [1, 10]), weight, bias).data[0]}`);
  };
  whenVisible(el)
    .then(() => loadWeights(model))
    .then(start)
    .catch((error) => status.say(error.message));
}
export default { render };
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Weights</title>
<script defer src="_static/lmcourse/host.js"></script></head>
<body><h1>Weights</h1><div style="height: 3000px"></div>{}</body></html>
"""


@pytest.fixture
def weights_site(tmp_path, monkeypatch):
    """A site with a toy model (10 x + y + 0.5): its folder, its address over http and on disk."""
    read = base.read
    monkeypatch.setattr(
        base, "read", lambda name: FAKE if name == "fake_model.js" else read(name)
    )
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    layer = {"out.weight": torch.tensor([[10.0, 1.0]]), "out.bias": torch.tensor([0.5])}
    pretrained.save("toy", layer, {"made": "by hand"})

    class FakeModel(base.ModelWidget):
        name = "fake_model"
        pretrained = "toy"

        def fallback(self) -> str:
            return "a model"

    folder = tmp_path / "site"
    scripts = folder / "_static" / "lmcourse"
    scripts.mkdir(parents=True)
    source = f"lmcourse.register('fake_model', {json.dumps(FakeModel._esm)});"
    files = base.site_scripts() | base.weights_scripts() | {"fake_model.js": source}
    for name, text in files.items():
        (scripts / name).write_text(text, encoding="utf-8")
    snapshot = FakeModel().snapshot()
    pages = {
        "two": 2 * snapshot,
        "other": snapshot.replace(pretrained.sha256("toy"), "12345678" + 56 * "0"),
        "missing": snapshot.replace('"toy"', '"gone"'),
    }
    for name, body in pages.items():
        (folder / f"{name}.html").write_text(PAGE.format(body), encoding="utf-8")
    (folder / "favicon.ico").write_bytes(b"")
    with serve(folder) as addresses:
        yield addresses


def statuses(page) -> list[str]:
    return page.locator("[role=status]").all_inner_texts()


def scroll_and_read(page) -> list[str]:
    page.locator(".lmcourse-live").last.scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('[role=status]')].every((node) => node.textContent)"
    )
    return statuses(page)


@pytest.mark.parametrize("address", ["http", "file"])
def test_weights_come_once_and_only_when_seen(weights_site, address, open_page):
    page = open_page("about:blank")
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.goto(f"{weights_site[address]}/two.html", wait_until="networkidle")
    page.evaluate("() => window.lmcourse.ready")
    assert "fake_model.js" in asked and "toy.weights.js" not in asked
    assert statuses(page) == ["", ""]
    assert scroll_and_read(page) == ["says 20.5", "says 20.5"]
    assert asked.count("toy.weights.js") == 1


@pytest.mark.parametrize("address", ["http", "file"])
def test_other_weights_than_the_stored_ones_are_said(weights_site, address, open_page):
    page = open_page(f"{weights_site[address]}/other.html")
    assert scroll_and_read(page) == [
        'The trained weights "toy" are not those that this page was made with: '
        f"it names 12345678…, the file is {pretrained.sha256('toy')[:8]}…."
    ]


@pytest.mark.parametrize("address", ["http", "file"])
def test_missing_weights_are_said(weights_site, address, open_page):
    page = open_page(f"{weights_site[address]}/missing.html")
    assert scroll_and_read(page) == [
        'The trained weights "gone" could not be loaded: '
        "the file gone.weights.js is missing."
    ]
    assert any("gone.weights.js" in line for line in page.log)
    page.log.clear()
