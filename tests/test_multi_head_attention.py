"""Multi-head attention: against torch, against single heads, and with heads taken out."""

import copy
import math
import re

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lmcourse import self_attention
from lmcourse.multi_head_attention import (
    MultiHeadAttention,
    Stack,
    attention_maps,
    recorded_weights,
)
from lmcourse.self_attention import (
    CausalLanguageModel,
    LearnedPositions,
    NoPositions,
    ResidualAttention,
    SelfAttention,
    SinusoidalPositions,
    TokenEmbedding,
    causal_mask,
    scaled_dot_product_attention,
)
from lmcourse.transformer import DecoderBlock

BATCH, HEADS, QUERIES, KEYS, D_HEAD = 2, 3, 5, 7, 4
D_MODEL, VOCAB = HEADS * D_HEAD, 11
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)]
)
NOTHING = "the mask of row {} is False everywhere; each row must attend to something"


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def close(ours, theirs, atol=1e-12):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def random_mask(*shape: int) -> torch.Tensor:
    """Every row may attend to something, and not every row to everything."""
    mask = torch.rand(shape, generator=seeded(0)) < 0.5
    mask[..., 2] = True
    assert not mask.all()
    return mask


def padding(*lengths: int, longest: int) -> torch.Tensor:
    """(batch, longest): True for a real token."""
    return torch.arange(longest) < torch.tensor(lengths)[:, None]


@torch.no_grad()
def moved(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter away from where it begins; biases, too."""
    stream = seeded(seed)
    for parameter in module.parameters():
        parameter += 0.3 * torch.randn(parameter.shape, generator=stream)
    return module


def layer(dtype=torch.float64, n_heads: int = HEADS) -> MultiHeadAttention:
    torch.manual_seed(0)
    return moved(MultiHeadAttention(D_MODEL, n_heads)).to(dtype)


def torchs_layer(dtype=torch.float64) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(D_MODEL, HEADS, batch_first=True)
    return moved(theirs).to(dtype)


def as_ours(theirs: nn.MultiheadAttention) -> MultiHeadAttention:
    ours = MultiHeadAttention(D_MODEL, HEADS).to(theirs.in_proj_weight.dtype)
    ours.load_torch_state_dict(theirs.state_dict())
    return ours


# -------------------------------------------------------------------------------- as torch's

MASKS = {  # by the numbers of queries and keys
    "none": lambda queries, keys: None,
    "causal": lambda queries, keys: torch.ones(queries, keys, dtype=torch.bool).tril(),
    "padding": lambda queries, keys: padding(keys, 3, longest=keys)[:, None],
    "random": lambda queries, keys: random_mask(BATCH, queries, keys),
    "causal and padding": lambda queries, keys: (
        torch.ones(queries, keys, dtype=torch.bool).tril()
        & padding(keys, 3, longest=keys)[:, None]
    ),
}


def torchs_mask(mask):
    """True = may NOT attend, and a row for each sentence and head."""
    if mask is None or mask.ndim == 2:
        return None if mask is None else ~mask
    keys = mask.shape[-1]
    return ~mask.expand(BATCH, QUERIES, keys).repeat_interleave(HEADS, dim=0)


@PRECISIONS
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("cross", [False, True], ids=["self", "cross"])
def test_it_equals_torchs_layer(cross, kind, dtype, tolerance):
    theirs = torchs_layer(dtype)
    ours = as_ours(theirs)
    hidden = normal(BATCH, QUERIES, D_MODEL, dtype=dtype).requires_grad_()
    memory = normal(BATCH, KEYS, D_MODEL, seed=1, dtype=dtype).requires_grad_()
    looked_at = memory if cross else hidden
    mask = MASKS[kind](QUERIES, looked_at.shape[1])
    output = ours(hidden, mask, memory if cross else None)
    weights = ours.weights(hidden, mask, memory if cross else None)
    expected, their_weights = theirs(
        hidden,
        looked_at,
        looked_at,
        attn_mask=torchs_mask(mask),
        average_attn_weights=False,
    )
    close(output, expected, tolerance)
    assert weights.shape == (BATCH, HEADS, QUERIES, looked_at.shape[1])
    close(weights, their_weights, tolerance)
    close(weights.sum(dim=-1), torch.ones(BATCH, HEADS, QUERIES, dtype=dtype), 1e-6)
    if mask is not None:
        hidden_keys = ~mask.expand(BATCH, *mask.shape[-2:])[:, None]
        assert (weights[hidden_keys.expand_as(weights)] == 0.0).all()

    factors = normal(*output.shape, seed=2, dtype=dtype)
    inputs = [hidden, memory] if cross else [hidden]
    gradients = torch.autograd.grad(
        (output * factors).sum(), [*inputs, *ours.parameters()]
    )
    their_gradients = torch.autograd.grad(
        (expected * factors).sum(),
        [
            *inputs,
            theirs.in_proj_weight,
            theirs.in_proj_bias,
            theirs.out_proj.weight,
            theirs.out_proj.bias,
        ],
    )
    for gradient, their_gradient in zip(gradients, their_gradients, strict=True):
        assert gradient.any()
        close(gradient, their_gradient, 10 * tolerance)


def test_a_padding_mask_is_torchs_key_padding_mask():
    theirs = torchs_layer()
    hidden, real = normal(BATCH, KEYS, D_MODEL), padding(4, 7, longest=KEYS)
    expected, _ = theirs(hidden, hidden, hidden, key_padding_mask=~real)
    close(as_ours(theirs)(hidden, real[:, None]), expected)


def test_torchs_mask_means_the_opposite():
    """The same boolean mask in both: what one may see, the other may not."""
    theirs = torchs_layer()
    ours, hidden = as_ours(theirs), normal(BATCH, QUERIES, D_MODEL)
    mask = torch.arange(QUERIES) < torch.tensor([[1], [2], [3], [4], [4]])
    output, weights = theirs(hidden, hidden, hidden, attn_mask=mask)
    close(ours(hidden, ~mask), output)
    assert not weights[:, mask].any() and ours.weights(hidden, mask)[..., mask].all()
    assert (ours(hidden, mask) - output).abs().max() > 0.1


def test_a_state_dict_goes_in_and_nothing_is_shared():
    theirs = torchs_layer()
    ours = as_ours(theirs)
    names = {
        "in_projection.weight": theirs.in_proj_weight,
        "in_projection.bias": theirs.in_proj_bias,
        "out_projection.weight": theirs.out_proj.weight,
        "out_projection.bias": theirs.out_proj.bias,
    }
    assert list(ours.state_dict()) == list(names)
    for name, tensor in names.items():
        assert torch.equal(ours.state_dict()[name], tensor)
        assert ours.state_dict()[name].data_ptr() != tensor.data_ptr()


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (nn.MultiheadAttention(D_MODEL, HEADS, bias=False), "Missing key"),
        (nn.MultiheadAttention(D_MODEL, HEADS, add_bias_kv=True), "Unexpected key"),
        (nn.MultiheadAttention(2 * D_MODEL, HEADS), "size mismatch"),
        (nn.MultiheadAttention(D_MODEL, HEADS, kdim=5), "Missing key"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_an_error(theirs, message):
    with pytest.raises(RuntimeError, match=message):
        MultiHeadAttention(D_MODEL, HEADS).load_torch_state_dict(theirs.state_dict())


def fused(mask) -> bool:
    """Whether torch has a kernel for this mask that keeps no weights."""
    try:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            layer()(normal(BATCH, QUERIES, D_MODEL), mask)
    except RuntimeError as error:
        assert "No available kernel" in str(error)
        return False
    return True


def test_weights_are_not_kept_with_a_mask_for_each_sentence_or_none():
    assert fused(None) and fused(padding(5, 3, longest=QUERIES)[:, None])
    assert fused(causal_mask(QUERIES).expand(BATCH, -1, -1))


def test_it_begins_as_torchs():
    """Uniform numbers: torch's extent is estimated, ours must be the same."""
    torch.manual_seed(0)
    ours = MultiHeadAttention(96, 3)
    theirs = nn.MultiheadAttention(96, 3)
    for own, tensor in (
        (ours.in_projection.weight, theirs.in_proj_weight),
        (ours.out_projection.weight, theirs.out_proj.weight),
    ):
        assert own.abs().max().item() == pytest.approx(
            tensor.abs().max().item(), rel=0.01
        )
        assert own.std().item() == pytest.approx(tensor.std().item(), rel=0.03)
    assert ours.in_projection.weight.std() > 1.1 * ours.out_projection.weight.std()
    assert not ours.in_projection.bias.any() and not ours.out_projection.bias.any()


# ------------------------------------------------------------------------------------- heads


def single_heads(whole: MultiHeadAttention) -> list[SelfAttention]:
    """The heads one by one, with their rows of the first matrix."""
    heads = []
    for head in range(HEADS):
        single = SelfAttention(D_MODEL, D_HEAD).double()
        for part, linear in enumerate((single.query, single.key, single.value)):
            first = part * D_MODEL + head * D_HEAD
            rows = slice(first, first + D_HEAD)
            linear.load_state_dict(
                {
                    "weight": whole.in_projection.weight[rows],
                    "bias": whole.in_projection.bias[rows],
                }
            )
        heads.append(single)
    return heads


@pytest.mark.parametrize("kind", MASKS)
def test_it_is_single_heads_side_by_side_and_one_projection(kind):
    whole, mask = layer(), MASKS[kind](QUERIES, QUERIES)
    hidden = normal(BATCH, QUERIES, D_MODEL).requires_grad_()
    heads = single_heads(whole)
    gathered = torch.cat([head(hidden, mask) for head in heads], dim=2)
    expected = gathered @ whole.out_projection.weight.t() + whole.out_projection.bias
    output, factors = whole(hidden, mask), normal(BATCH, QUERIES, D_MODEL, seed=1)
    close(output, expected)
    one_by_one = torch.stack([head.weights(hidden, mask) for head in heads], dim=1)
    close(whole.weights(hidden, mask), one_by_one)
    [ours] = torch.autograd.grad((output * factors).sum(), hidden)
    [theirs] = torch.autograd.grad((expected * factors).sum(), hidden)
    close(ours, theirs)


def test_queries_keys_and_values_are_cut_the_same_in_one_and_in_pieces():
    whole, hidden = layer(), normal(BATCH, QUERIES, D_MODEL)
    query, key, value = whole.project(hidden)
    assert query.shape == key.shape == value.shape == (BATCH, HEADS, QUERIES, D_HEAD)
    close(whole.project_query(hidden), query)
    close(list(whole.project_memory(hidden)), [key, value])
    for head, single in enumerate(single_heads(whole)):
        expected = single.project(hidden)
        for part, one in zip((query, key, value), expected, strict=True):
            close(part[:, head], one)
    for memory in (None, normal(BATCH, KEYS, D_MODEL, seed=1)):
        looked_at = hidden if memory is None else memory
        close(
            list(whole.queries_keys_values(hidden, memory)),
            [query, *whole.project_memory(looked_at)],
        )


def test_attend_is_the_attention_of_chapter_6_in_every_head():
    whole, mask = layer(), random_mask(BATCH, QUERIES, KEYS)
    parts = whole.queries_keys_values(
        normal(BATCH, QUERIES, D_MODEL), normal(BATCH, KEYS, D_MODEL, seed=1)
    )
    means, _ = scaled_dot_product_attention(*parts, mask[:, None])
    expected = whole.out_projection(torch.cat(means.unbind(dim=1), dim=2))
    close(whole.attend(*parts, mask), expected)


def test_a_mask_for_all_sentences_is_the_same_mask_for_each():
    whole, hidden = layer(), normal(BATCH, QUERIES, D_MODEL)
    mask = causal_mask(QUERIES)
    for use in (whole, whole.weights):
        close(use(hidden, mask), use(hidden, mask.expand(BATCH, -1, -1)))
        close(use(hidden, mask), use(hidden, mask[None]))
        close(use(hidden), use(hidden, torch.ones(1, QUERIES, dtype=torch.bool)))
    assert (whole(hidden) - whole(hidden, mask)).abs().max() > 0.1


def test_sizes_of_the_heads():
    for n_heads, d_head in ((1, 12), (2, 6), (12, 1)):
        attention = MultiHeadAttention(12, n_heads)
        assert (attention.n_heads, attention.d_head) == (n_heads, d_head)
        assert attention(torch.zeros(BATCH, 5, 12)).shape == (BATCH, 5, 12)


@pytest.mark.parametrize("n_heads", [0, -2, 5, 24])
def test_heads_must_share_the_model_evenly(n_heads):
    sentence = f"d_model=12 is not divisible by n_heads={n_heads}; all heads have the same size"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        MultiHeadAttention(12, n_heads)


# -------------------------------------------------------------------------------- properties


def test_permuted_tokens_give_permuted_outputs_and_positions_break_it():
    whole, order = layer(), [3, 0, 4, 2, 1]
    hidden = normal(BATCH, QUERIES, D_MODEL)
    close(whole(hidden[:, order]), whole(hidden)[:, order])
    for positions in (SinusoidalPositions(), LearnedPositions(9, D_MODEL).double()):
        shuffled, straight = positions(hidden[:, order]), positions(hidden)
        assert (whole(shuffled) - whole(straight)[:, order]).abs().max() > 0.01


def test_the_order_of_the_memory_does_not_matter():
    whole, order = layer(), [3, 0, 6, 2, 1, 5, 4]
    hidden, memory = normal(BATCH, QUERIES, D_MODEL), normal(BATCH, KEYS, D_MODEL)
    mask = random_mask(BATCH, QUERIES, KEYS)
    close(
        whole(hidden, mask[..., order], memory[:, order]), whole(hidden, mask, memory)
    )
    close(
        whole.weights(hidden, mask[..., order], memory[:, order]),
        whole.weights(hidden, mask, memory)[..., order],
    )
    assert (whole(hidden, mask, memory[:, order]) - whole(hidden, mask, memory)).any()


def test_what_stands_in_the_padding_does_not_matter():
    whole, real = layer(), padding(4, 7, longest=KEYS)
    hidden, memory = normal(BATCH, QUERIES, D_MODEL), normal(BATCH, KEYS, D_MODEL)
    output = whole(hidden, real[:, None], memory)
    filled = memory.masked_fill(~real[:, :, None], 1e3)
    assert torch.equal(whole(hidden, real[:, None], filled), output)
    close(output[:1], whole(hidden[:1], memory=memory[:1, :4]))


@pytest.mark.parametrize("cross", [False, True], ids=["self", "cross"])
def test_a_token_that_may_attend_to_nothing_is_an_error(cross):
    whole, hidden = layer(), normal(BATCH, QUERIES, D_MODEL)
    memory = normal(BATCH, KEYS, D_MODEL) if cross else None
    mask = random_mask(BATCH, QUERIES, KEYS if cross else QUERIES)
    mask[1, 3] = False
    with pytest.raises(ValueError, match=f"^{re.escape(NOTHING.format('(1, 3)'))}$"):
        whole(hidden, mask, memory)
    with pytest.raises(ValueError, match="is False everywhere"):
        whole.weights(hidden, mask, memory)
    with pytest.raises(ValueError, match=f"^{re.escape(NOTHING.format('(3,)'))}$"):
        whole(hidden, mask[1], memory)


class Recorder(nn.Module):
    """Adds a number to the vectors, and notes the mask."""

    def __init__(self, number: float):
        super().__init__()
        self.number, self.masks = number, []

    def forward(self, hidden, mask=None):
        self.masks.append(mask)
        return hidden * 2 + self.number


def test_a_stack_sends_the_vectors_through_all_layers_with_the_mask():
    layers = [Recorder(number) for number in (1.0, 5.0, 7.0)]
    stack, hidden = Stack(*layers), normal(BATCH, QUERIES, D_MODEL)
    mask = causal_mask(QUERIES)
    close(stack(hidden, mask), ((hidden * 2 + 1) * 2 + 5) * 2 + 7)
    assert all(one.masks[0] is mask for one in layers)
    stack(hidden)
    assert all(one.masks[1] is None for one in layers)
    assert torch.equal(Stack()(hidden), hidden)


TOKEN_IDS = torch.tensor([[0, 3, 9, 3, 2, 6], [0, 10, 4, 4, 5, 8]])


def language_model(n_layers: int = 2, positions=None) -> CausalLanguageModel:
    torch.manual_seed(0)
    layers = (
        ResidualAttention(moved(MultiHeadAttention(D_MODEL, HEADS), seed))
        for seed in range(n_layers)
    )
    embedding = TokenEmbedding(VOCAB, D_MODEL, positions or SinusoidalPositions())
    return CausalLanguageModel(embedding, Stack(*layers)).double()


def test_future_tokens_cannot_change_past_logits_and_without_the_mask_they_do(
    looks_back_only,
):
    looks_back_only(language_model(), TOKEN_IDS, self_attention)


@torch.no_grad()
def test_two_layers_without_positions_know_a_little_of_the_order_from_the_mask():
    shuffled = TOKEN_IDS[:, [2, 0, 4, 3, 1, 5]]  # the last one stays
    for n_layers, limits in ((1, (0, 1e-12)), (2, (0.01, math.inf))):
        model = language_model(n_layers, NoPositions())
        difference = (model(shuffled) - model(TOKEN_IDS))[:, -1].abs().max().item()
        assert limits[0] <= difference < limits[1]


# ----------------------------------------------------------------------------------- pruning


@torch.no_grad()
def zeroed(whole: MultiHeadAttention, heads: set[int]) -> MultiHeadAttention:
    """The same layer, but nothing that these heads gather arrives."""
    silent = copy.deepcopy(whole)
    for head in heads:
        silent.out_projection.weight[:, head * D_HEAD : (head + 1) * D_HEAD] = 0
    return silent


@pytest.mark.parametrize("heads", [{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, set()])
@pytest.mark.parametrize("cross", [False, True], ids=["self", "cross"])
def test_pruning_is_silencing(cross, heads):
    whole = layer()
    hidden, mask = normal(BATCH, QUERIES, D_MODEL), MASKS["random"]
    memory = normal(BATCH, KEYS, D_MODEL, seed=1) if cross else None
    mask = mask(QUERIES, KEYS if cross else QUERIES)
    expected = zeroed(whole, heads)(hidden, mask, memory)
    weights = whole.weights(hidden, mask, memory)
    pruned = copy.deepcopy(whole)
    pruned.prune_heads(heads)
    close(pruned(hidden, mask, memory), expected)
    kept = [head for head in range(HEADS) if head not in heads]
    close(pruned.weights(hidden, mask, memory), weights[:, kept])
    assert (pruned.n_heads, pruned.d_head) == (len(kept), D_HEAD)
    if heads:
        assert (expected - whole(hidden, mask, memory)).abs().max() > 0.1
    n_left = sum(parameter.numel() for parameter in pruned.parameters())
    assert n_left == len(kept) * D_HEAD * (4 * D_MODEL + 3) + D_MODEL
    assert pruned.in_projection.out_features == len(kept) * D_HEAD * 3
    assert pruned.out_projection.in_features == len(kept) * D_HEAD


def test_pruned_twice_is_pruned_at_once():
    torch.manual_seed(0)
    once, hidden = moved(MultiHeadAttention(20, 5)).double(), normal(BATCH, 6, 20)
    twice = copy.deepcopy(once)
    once.prune_heads([0, 3])
    twice.prune_heads({3})
    twice.prune_heads((0,))
    assert torch.equal(twice(hidden), once(hidden))
    once.prune_heads({1})  # that was 2 at first; 1, 2 and 4 were left
    torch.manual_seed(0)
    twice = moved(MultiHeadAttention(20, 5)).double()
    twice.prune_heads([0, 2, 3])
    assert torch.equal(twice(hidden), once(hidden))


def test_what_is_left_can_be_trained():
    whole, hidden = layer(), normal(BATCH, QUERIES, D_MODEL).requires_grad_()
    silent = zeroed(whole, {1})
    whole.prune_heads({1})
    factors = normal(BATCH, QUERIES, D_MODEL, seed=1)
    kept = [*range(4), *range(8, 12)]
    rows = [part * 12 + row for part in range(3) for row in kept]
    inner, outer = silent.in_projection, silent.out_projection
    ours = torch.autograd.grad(
        (whole(hidden) * factors).sum(), [hidden, *whole.parameters()]
    )
    of_hidden, weight, bias, out_weight, out_bias = torch.autograd.grad(
        (silent(hidden) * factors).sum(),
        [hidden, inner.weight, inner.bias, outer.weight, outer.bias],
    )
    expected = [of_hidden, weight[rows], bias[rows], out_weight[:, kept], out_bias]
    for gradient, theirs in zip(ours, expected, strict=True):
        assert gradient.any()
        close(gradient, theirs)
    assert all(parameter.is_leaf for parameter in whole.parameters())


@pytest.mark.parametrize(
    ("heads", "shown"),
    [
        ([0, 1, 2], "[0, 1, 2]"),
        ({3}, "[3]"),
        ({-1}, "[-1]"),
        ([2, 0, 7], "[0, 2, 7]"),
    ],
)
def test_heads_that_cannot_be_taken_out(heads, shown):
    whole = layer()
    before = copy.deepcopy(whole.state_dict())
    sentence = f"heads={shown} of 3; give heads from 0 to 2, and leave at least 1"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        whole.prune_heads(heads)
    assert whole.n_heads == 3
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, before[name])


# -------------------------------------------------------------------------- looking at weights


def test_recorded_weights_are_those_of_each_call_in_their_order():
    first, second = layer(), moved(layer(), seed=5)
    model = nn.ModuleList([first, second])
    hidden, memory = normal(BATCH, QUERIES, D_MODEL), normal(BATCH, KEYS, D_MODEL)
    mask, other = causal_mask(QUERIES), random_mask(BATCH, QUERIES, KEYS)
    expected_outputs = [
        second(hidden, mask),
        first(hidden, other, memory),
        second(hidden),
    ]
    with recorded_weights(model) as weights:
        assert weights == []
        outputs = [second(hidden, mask), first(hidden, other, memory), second(hidden)]
        first.weights(hidden)  # looking is no call
    expected = [
        second.weights(hidden, mask),
        first.weights(hidden, other, memory),
        second.weights(hidden),
    ]
    close(outputs, expected_outputs)
    assert [part.shape[-1] for part in weights] == [QUERIES, KEYS, QUERIES]
    for own, theirs in zip(weights, expected, strict=True):
        close(own, theirs.detach())
        assert not own.requires_grad
    assert all(output.requires_grad for output in outputs)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("interrupted", [False, True])
def test_after_recording_the_methods_are_those_of_the_class_again(interrupted):
    whole, hidden = layer(), normal(BATCH, QUERIES, D_MODEL)
    before = dict(vars(whole))
    try:
        with recorded_weights(whole) as weights:
            assert vars(whole) != before
            whole(hidden)
            if interrupted:
                raise Interrupted
    except Interrupted:
        assert interrupted
    assert vars(whole).keys() == before.keys() and "attend" not in vars(whole)
    assert whole.attend.__func__ is MultiHeadAttention.attend
    whole(hidden)
    assert len(weights) == 1


def test_an_error_inside_a_call_ends_the_recording_too():
    whole, mask = layer(), causal_mask(QUERIES)
    mask[2] = False
    with pytest.raises(ValueError, match="is False everywhere"):
        with recorded_weights(whole):
            whole(normal(BATCH, QUERIES, D_MODEL), mask)
    assert "attend" not in vars(whole)


@torch.no_grad()
def test_both_attentions_of_a_decoder_are_recorded():
    torch.manual_seed(0)
    block = moved(DecoderBlock(D_MODEL, HEADS, 17)).double()
    hidden, memory = normal(BATCH, QUERIES, D_MODEL), normal(BATCH, KEYS, D_MODEL)
    mask, real = causal_mask(QUERIES), padding(7, 4, longest=KEYS)[:, None]
    with recorded_weights(block) as weights:
        block(hidden, block.prepare(memory), mask, real)
    to_itself, to_source = weights
    close(to_itself, block.attention.weights(hidden, mask))
    normed = block.attention_norm(hidden + block.attention(hidden, mask))
    close(to_source, block.cross_attention.weights(normed, real, memory))
    assert not to_source[1, :, :, 4:].any() and to_source[0].all()


@torch.no_grad()
def test_attention_maps_are_the_weights_of_every_layer():
    model = language_model(n_layers=4)
    maps = attention_maps(model, TOKEN_IDS)
    assert maps.shape == (4, BATCH, HEADS, 6, 6)
    hidden, mask = model.embedding(TOKEN_IDS), causal_mask(6)
    for own, one in zip(maps, model.layers.layers, strict=True):
        close(own, one.attention.weights(hidden, mask))
        hidden = one(hidden, mask)
    assert (maps[:, :, :, ~mask] == 0.0).all()


def test_attention_maps_leave_the_mode_of_the_model_as_it_was():
    model = language_model()
    seen = []

    class Watching(ResidualAttention):
        def forward(self, hidden, mask=None):
            seen.append(self.training)
            return super().forward(hidden, mask)

    model.layers = Stack(Watching(layer()))
    for training in (True, False):
        model.train(training)
        maps = attention_maps(model, TOKEN_IDS)
        assert model.training == training and not maps.requires_grad
    assert seen == [False, False]


# -------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "use",
    [
        lambda: layer()(normal(QUERIES, D_MODEL)),
        lambda: layer()(normal(2, 5, 12), causal_mask(4)),
        lambda: layer()(normal(2, 5, 12), torch.zeros(5, 5)),
        lambda: layer()(normal(2, 5, 12), None, normal(3, 7, 12)),
        lambda: layer()(normal(2, 5, 12), None, normal(2, 7, 13)),
        lambda: layer()(normal(2, 5, 12), random_mask(2, 7, 5), normal(2, 7, 12)),
        lambda: layer().attend(
            normal(2, 3, 5, 4), normal(2, 3, 7, 4), normal(2, 3, 6, 4)
        ),
        lambda: layer().attend(
            normal(2, 5, 3, 4), normal(2, 3, 7, 4), normal(2, 3, 7, 4)
        ),
        lambda: Stack(ResidualAttention(layer()))(normal(5, 12)),
        lambda: attention_maps(language_model(), TOKEN_IDS[0]),
    ],
)
def test_wrong_shapes_are_refused(use):
    with pytest.raises(TypeCheckError):
        use()
