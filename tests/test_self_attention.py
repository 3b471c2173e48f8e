"""Self-attention: against torch, plain loops, the formula of the positions, counted products."""

import math
import re

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lmcourse import self_attention
from lmcourse.attention import attention_translator
from lmcourse.language_models import token_log_probs
from lmcourse.rnn import RNN
from lmcourse.self_attention import (
    CausalLanguageModel,
    Cost,
    LearnedPositions,
    NoPositions,
    ResidualAttention,
    SelfAttention,
    SinusoidalPositions,
    TokenEmbedding,
    causal_mask,
    check_mask,
    recurrent_attention_cost,
    recurrent_cost,
    scaled_dot_product_attention,
    self_attention_cost,
    sinusoidal_positions,
)
from lmcourse.training import initialised, predicted_log_probs, train

BATCH, HEADS, QUERIES, KEYS, D_KEY, D_VALUE = 2, 3, 5, 7, 4, 6
TIME, D_MODEL, D_HEAD, VOCAB = 5, 8, 3, 11
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)]
)
NOTHING = "the mask of row {} is False everywhere; each row must attend to something"


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def close(ours, theirs, atol=1e-12):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def random_mask(*shape: int, seed: int = 0) -> torch.Tensor:
    """Every row may attend to something, and not every row to everything."""
    mask = torch.rand(shape, generator=seeded(seed)) < 0.5
    mask[..., 2] = True
    assert not mask.all()
    return mask


def padding(*lengths: int, longest: int) -> torch.Tensor:
    """(batch, longest): True for a real token."""
    return torch.arange(longest) < torch.tensor(lengths)[:, None]


# ---------------------------------------------------------------------------------- attention

MASKS = {
    "none": lambda: None,
    "causal": lambda: torch.ones(QUERIES, KEYS, dtype=torch.bool).tril(),
    "padding": lambda: padding(7, 4, longest=KEYS)[:, None, None],
    "rows": lambda: random_mask(QUERIES, KEYS),
    "batch": lambda: random_mask(BATCH, 1, QUERIES, KEYS),
    "all": lambda: random_mask(BATCH, HEADS, QUERIES, KEYS),
}
MASK_KINDS = pytest.mark.parametrize("kind", MASKS)


def queries_keys_values(*leading: int, dtype=torch.float64):
    return (
        normal(*leading, QUERIES, D_KEY, seed=1, dtype=dtype).requires_grad_(),
        normal(*leading, KEYS, D_KEY, seed=2, dtype=dtype).requires_grad_(),
        normal(*leading, KEYS, D_VALUE, seed=3, dtype=dtype).requires_grad_(),
    )


@PRECISIONS
@MASK_KINDS
def test_attention_equals_torchs(kind, dtype, tolerance):
    parts, mask = queries_keys_values(BATCH, HEADS, dtype=dtype), MASKS[kind]()
    means, _ = scaled_dot_product_attention(*parts, mask)
    theirs = F.scaled_dot_product_attention(*parts, attn_mask=mask)
    close(means, theirs, tolerance)
    factors = normal(*means.shape, seed=4, dtype=dtype)
    ours = torch.autograd.grad((means * factors).sum(), parts)
    expected = torch.autograd.grad((theirs * factors).sum(), parts)
    for gradient, their_gradient in zip(ours, expected, strict=True):
        assert gradient.any()
        close(gradient, their_gradient, tolerance)


@pytest.mark.parametrize("leading", [(), (2,), (2, 3, 1)])
def test_attention_takes_any_leading_axes(leading):
    parts, mask = queries_keys_values(*leading), random_mask(QUERIES, KEYS)
    means, weights = scaled_dot_product_attention(*parts, mask)
    assert means.shape == (*leading, QUERIES, D_VALUE)
    assert weights.shape == (*leading, QUERIES, KEYS)
    close(means, F.scaled_dot_product_attention(*parts, attn_mask=mask))


def attention_by_loops(query, key, value, mask):
    """One sequence, number by number: the means and the weights."""
    all_means, all_weights = [], []
    for q, row in zip(query.tolist(), mask.tolist(), strict=True):
        scores = [
            sum(a * b for a, b in zip(q, k, strict=True)) / math.sqrt(len(q))
            for k in key.tolist()
        ]
        powers = [
            math.exp(score) if seen else 0.0
            for score, seen in zip(scores, row, strict=True)
        ]
        weights = [power / sum(powers) for power in powers]
        all_weights.append(weights)
        all_means.append(
            [
                sum(w * v for w, v in zip(weights, column, strict=True))
                for column in zip(*value.tolist(), strict=True)
            ]
        )
    return torch.tensor(all_means).double(), torch.tensor(all_weights).double()


def test_attention_equals_plain_loops():
    parts, mask = queries_keys_values(), random_mask(QUERIES, KEYS)
    close(
        scaled_dot_product_attention(*parts, mask),
        attention_by_loops(*parts, mask),
        1e-6,
    )


@MASK_KINDS
def test_weights_are_shares_of_what_may_be_seen_and_exactly_0_elsewhere(kind):
    parts, mask = queries_keys_values(BATCH, HEADS), MASKS[kind]()
    means, weights = scaled_dot_product_attention(*parts, mask)
    close(weights.sum(dim=-1), torch.ones(BATCH, HEADS, QUERIES).double())
    close(weights @ parts[2], means)
    seen = torch.ones_like(weights) > 0 if mask is None else mask.expand_as(weights)
    assert (weights[seen] > 0).all() and (weights[~seen] == 0.0).all()


@MASK_KINDS
def test_what_is_masked_has_no_influence_and_no_gradient(kind):
    query, key, value = queries_keys_values(BATCH, HEADS)
    mask = MASKS[kind]()
    seen = torch.ones(BATCH, HEADS, QUERIES, KEYS) > 0 if mask is None else mask
    seen = seen.expand(BATCH, HEADS, QUERIES, KEYS)
    means, _ = scaled_dot_product_attention(query, key, value, mask)
    for q in range(QUERIES):
        of_keys, of_values = (
            gradient.abs().sum(dim=-1)
            for gradient in torch.autograd.grad(
                means[:, :, q].square().sum(), (key, value), retain_graph=True
            )
        )
        assert torch.equal(of_values > 0, seen[:, :, q])
        alone = (
            seen[:, :, q].sum(dim=-1, keepdim=True) == 1
        )  # weight 1, whatever the key
        assert torch.equal(of_keys > 1e-12, seen[:, :, q] & ~alone)


def test_the_order_of_keys_with_their_values_does_not_matter():
    query, key, value = queries_keys_values(BATCH, HEADS)
    mask, order = random_mask(BATCH, HEADS, QUERIES, KEYS), [3, 0, 6, 2, 1, 5, 4]
    means, weights = scaled_dot_product_attention(query, key, value, mask)
    moved_means, moved_weights = scaled_dot_product_attention(
        query, key[:, :, order], value[:, :, order], mask[..., order]
    )
    close(moved_means, means)
    close(moved_weights, weights[..., order])
    only_keys, _ = scaled_dot_product_attention(query, key[:, :, order], value)
    assert (only_keys - means).abs().max() > 0.1


def test_scores_are_as_spread_for_long_vectors_as_for_short_ones():
    """Scores are the weights' logarithms up to one number a row."""
    for d_key in (4, 1024):
        query, key = normal(300, d_key, seed=1), normal(40, d_key, seed=2)
        _, weights = scaled_dot_product_attention(query, key, normal(40, 1))
        spread = weights.log().var(dim=-1).mean().sqrt().item()
        assert spread == pytest.approx(1, abs=0.15)


def test_large_scores_overflow_nothing():
    query, key = torch.tensor([[1e20]]), torch.tensor([[1e15], [-1e15], [1e15]])
    means, weights = scaled_dot_product_attention(query, key, torch.eye(3))
    assert means.tolist() == weights.tolist() == [[0.5, 0, 0.5]]


def test_the_first_query_that_may_attend_to_nothing_is_named():
    mask = random_mask(BATCH, HEADS, QUERIES, KEYS)
    mask[1, 0, 3] = mask[1, 2, 1] = False
    sentence = NOTHING.format("(1, 0, 3)")
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        scaled_dot_product_attention(*queries_keys_values(BATCH, HEADS), mask)
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        check_mask(mask)
    check_mask(random_mask(BATCH, HEADS, QUERIES, KEYS))


@pytest.mark.parametrize("time", [0, 1, 2, 6])
def test_causal_mask_looks_back_and_at_itself(time):
    mask = causal_mask(time)
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[j <= i for j in range(time)] for i in range(time)]


def self_attention_layer(dtype=torch.float64) -> SelfAttention:
    torch.manual_seed(0)
    return SelfAttention(D_MODEL, D_HEAD).to(dtype)


HIDDEN_MASKS = {
    "none": lambda: None,
    "causal": lambda: causal_mask(TIME),
    "padding": lambda: padding(5, 2, longest=TIME)[:, None],
    "random": lambda: random_mask(BATCH, TIME, TIME),
}


@PRECISIONS
@pytest.mark.parametrize("kind", HIDDEN_MASKS)
def test_self_attention_is_torchs_attention_of_three_projections(
    kind, dtype, tolerance
):
    layer, mask = self_attention_layer(dtype), HIDDEN_MASKS[kind]()
    hidden = normal(BATCH, TIME, D_MODEL, dtype=dtype).requires_grad_()
    output = layer(hidden, mask)
    assert output.shape == (BATCH, TIME, D_HEAD)
    named = dict(layer.named_parameters())
    projected = [
        hidden @ named[f"{name}.weight"].t() + named[f"{name}.bias"]
        for name in ("query", "key", "value")
    ]
    theirs = F.scaled_dot_product_attention(*projected, attn_mask=mask)
    close(output, theirs, tolerance)
    factors = normal(*output.shape, seed=1, dtype=dtype)
    leaves = [hidden, *named.values()]
    ours = torch.autograd.grad((output * factors).sum(), leaves)
    expected = torch.autograd.grad((theirs * factors).sum(), leaves)
    close(list(ours), list(expected), 4 * tolerance)
    # What forward computes is made with these weights.
    weights = layer.weights(hidden, mask)
    assert weights.shape == (BATCH, TIME, TIME)
    close(weights @ projected[2], output, tolerance)


def test_a_head_is_as_large_as_the_model_where_no_size_is_given():
    assert [part.out_features for part in SelfAttention(8).children()] == [8, 8, 8]
    assert [part.out_features for part in SelfAttention(8, 3).children()] == [3, 3, 3]


def test_permuted_tokens_give_permuted_outputs_and_positions_break_it():
    layer, order = self_attention_layer(), [3, 0, 4, 2, 1]
    hidden = normal(BATCH, TIME, D_MODEL)
    close(layer(hidden[:, order]), layer(hidden)[:, order])
    for positions in (SinusoidalPositions(), LearnedPositions(9, D_MODEL).double()):
        moved, straight = positions(hidden[:, order]), positions(hidden)
        assert (layer(moved) - layer(straight)[:, order]).abs().max() > 0.01
    close(layer(NoPositions()(hidden[:, order])), layer(hidden)[:, order])


@pytest.mark.parametrize("use", ["forward", "weights"])
def test_a_token_that_may_attend_to_nothing_is_an_error(use):
    mask = random_mask(BATCH, TIME, TIME)
    mask[1, 3] = False
    with pytest.raises(ValueError, match=re.escape(NOTHING.format("(1, 3)"))):
        getattr(self_attention_layer(), use)(normal(BATCH, TIME, D_MODEL), mask)
    mask = causal_mask(TIME)
    mask[2] = False
    with pytest.raises(ValueError, match="is False everywhere"):
        getattr(self_attention_layer(), use)(normal(BATCH, TIME, D_MODEL), mask)


# ---------------------------------------------------------------------------------- positions


@pytest.mark.parametrize("d_model", [2, 6, 64])
def test_sinusoidal_positions_are_the_formula_of_the_paper(d_model):
    table = sinusoidal_positions(50, d_model)
    assert table.shape == (50, d_model) and table.dtype == torch.float32
    for position in range(50):
        for i in range(d_model // 2):
            angle = position / 10_000 ** (2 * i / d_model)
            sine, cosine = table[position, 2 * i : 2 * i + 2].tolist()
            assert sine == pytest.approx(math.sin(angle), abs=1e-7)
            assert cosine == pytest.approx(math.cos(angle), abs=1e-7)


def test_late_positions_are_exact_too():
    """In float32 the angle itself would be wrong by 0.004 here."""
    row = sinusoidal_positions(100_001, 4)[-1].tolist()
    angles = [100_000.0, 1000.0]
    expected = [f(angle) for angle in angles for f in (math.sin, math.cos)]
    assert row == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("shift", [1, 3, 17])
def test_a_shift_turns_each_pair_by_the_same_angle_wherever_it_begins(shift):
    d_model = 6
    pairs = sinusoidal_positions(60, d_model).double().unflatten(1, (3, 2))
    for i in range(3):
        angle = shift / 10_000 ** (2 * i / d_model)
        turn = torch.tensor(
            [
                [math.cos(angle), math.sin(angle)],
                [-math.sin(angle), math.cos(angle)],
            ]
        ).double()
        close(pairs[:-shift, i] @ turn.t(), pairs[shift:, i], 1e-6)


def test_positions_are_all_different_and_of_one_length():
    table = sinusoidal_positions(300, 8).double()
    assert torch.cdist(table, table).add(torch.eye(300)).min() > 0.1
    close(table.norm(dim=1), torch.full((300,), 2.0).double(), 1e-6)


def test_an_odd_size_has_no_pairs():
    sentence = "d_model=7; sines and cosines come in pairs, so it must be even"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        sinusoidal_positions(3, 7)


def test_positions_are_added_from_their_start_on():
    hidden = normal(BATCH, TIME, D_MODEL)
    table = sinusoidal_positions(20, D_MODEL).double()
    learned = LearnedPositions(20, D_MODEL).double()
    for start in (0, 1, 9, 15):
        rows = slice(start, start + TIME)
        close(SinusoidalPositions()(hidden, start), hidden + table[rows])
        close(learned(hidden, start), hidden + learned.embedding.weight[rows])
        assert torch.equal(NoPositions()(hidden, start), hidden)
    close(SinusoidalPositions()(hidden), hidden + table[:TIME])
    close(learned(hidden), hidden + learned.embedding.weight[:TIME])
    assert not list(SinusoidalPositions().parameters())


def test_positions_keep_the_precision_of_the_tokens():
    for dtype in (torch.float32, torch.float64):
        hidden = torch.zeros(1, 3, 4, dtype=dtype)
        assert SinusoidalPositions()(hidden).dtype == dtype


def test_only_positions_that_occur_are_learned():
    positions = LearnedPositions(9, D_MODEL)
    positions(torch.zeros(BATCH, TIME, D_MODEL), start=2).sum().backward()
    expected = [BATCH if 2 <= row < 2 + TIME else 0 for row in range(9)]
    assert positions.embedding.weight.grad.mean(dim=1).tolist() == expected


@pytest.mark.parametrize(
    ("time", "start", "last"), [(10, 0, 9), (5, 5, 9), (1, 9, 9), (30, 2, 31)]
)
def test_there_is_no_learned_position_beyond_the_last(time, start, last):
    positions = LearnedPositions(9, D_MODEL)
    positions(torch.zeros(1, 9 - min(start, 8), D_MODEL), min(start, 8))
    sentence = (
        f"a token at position {last}, and context_length=9; the last position is 8"
    )
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        positions(torch.zeros(1, time, D_MODEL), start)


def test_token_embedding_is_the_scaled_vector_and_the_position():
    embedding = TokenEmbedding(VOCAB, D_MODEL, SinusoidalPositions()).double()
    token_ids = torch.tensor([[0, 10, 3], [7, 7, 1]])
    for start in (0, 4):
        expected = embedding.embedding.weight[token_ids] * math.sqrt(D_MODEL)
        expected = SinusoidalPositions()(expected, start)
        close(embedding(token_ids, start), expected)
    close(embedding(token_ids), embedding(token_ids, start=0))


def test_an_embedded_token_begins_about_as_large_as_a_position():
    torch.manual_seed(0)
    embedding = TokenEmbedding(500, 64, NoPositions())
    of_tokens = embedding(torch.arange(500)[None]).square().mean().sqrt().item()
    of_positions = sinusoidal_positions(500, 64).square().mean().sqrt().item()
    assert of_tokens == pytest.approx(1, abs=0.02)
    assert of_positions == pytest.approx(math.sqrt(1 / 2), abs=1e-6)


@pytest.mark.parametrize("token_id", [-1, VOCAB])
def test_an_id_outside_the_vocabulary_is_an_error(token_id):
    embedding = TokenEmbedding(VOCAB, D_MODEL, NoPositions())
    sentence = f"token id {token_id} is outside 0 .. 10 (vocab_size=11)"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        embedding(torch.tensor([[0, token_id]]))


# ------------------------------------------------------------------------------ language model


def language_model(n_layers: int = 1, positions=None) -> CausalLanguageModel:
    torch.manual_seed(0)
    embedding = TokenEmbedding(VOCAB, D_MODEL, positions or SinusoidalPositions())
    return CausalLanguageModel(embedding, Layers(n_layers)).double()


class Layers(nn.Module):
    """A stack of the least that works, so that chapter 6 is tested without chapter 7."""

    def __init__(self, n_layers: int):
        super().__init__()
        self.layers = nn.ModuleList(
            ResidualAttention(SelfAttention(D_MODEL)) for _ in range(n_layers)
        )

    def forward(self, hidden, mask=None):
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return hidden


TOKEN_IDS = torch.tensor([[0, 3, 9, 3, 2, 6], [0, 10, 4, 4, 5, 8]])


def test_residual_attention_adds_what_was_gathered():
    attention, hidden = SelfAttention(D_MODEL).double(), normal(BATCH, TIME, D_MODEL)
    for mask in (None, causal_mask(TIME), random_mask(BATCH, TIME, TIME)):
        expected = hidden + attention(hidden, mask)
        close(ResidualAttention(attention)(hidden, mask), expected)


@torch.no_grad()
def test_the_language_model_is_embedding_layers_output():
    model = language_model(n_layers=2)
    hidden = model.layers(model.embedding(TOKEN_IDS), causal_mask(6))
    expected = hidden @ model.output.weight.t() + model.output.bias
    assert model.vocab_size == VOCAB
    close(model(TOKEN_IDS), expected)


def test_future_tokens_cannot_change_past_logits_and_without_the_mask_they_do(
    looks_back_only,
):
    looks_back_only(language_model(n_layers=2), TOKEN_IDS, self_attention)


@torch.no_grad()
def test_one_layer_without_positions_sees_a_bag_of_words():
    """Two layers are told a little of the order: by the mask."""
    shuffled = TOKEN_IDS[:, [2, 0, 4, 3, 1, 5]]  # the last one stays

    def difference(model):
        return (model(shuffled) - model(TOKEN_IDS))[:, -1].abs().max().item()

    assert difference(language_model(1, NoPositions())) < 1e-12
    assert difference(language_model(1, SinusoidalPositions())) > 0.01
    assert difference(language_model(2, NoPositions())) > 0.001


SENTENCES = [
    [0, 4, 2, 2, 3, 5, 1],
    [0, 5, 2, 2, 4, 1],
    [0, 6, 2, 2, 3, 3, 3, 1],
    [0, 7, 2, 2, 1],
]


def test_padding_changes_no_log_prob_and_no_gradient():
    model = language_model(n_layers=2)
    together = predicted_log_probs(model, SENTENCES)
    alone = torch.cat([predicted_log_probs(model, [one]) for one in SENTENCES])
    close(together, alone)
    factors = torch.linspace(1, 2, len(together)).double()
    parameters = list(model.parameters())
    ours = torch.autograd.grad((together * factors).sum(), parameters)
    expected = torch.autograd.grad((alone * factors).sum(), parameters)
    close(list(ours), list(expected), 1e-11)


def test_loss_starts_near_the_logarithm_of_the_vocabulary():
    torch.manual_seed(0)
    embedding = TokenEmbedding(500, 32, SinusoidalPositions())
    model = CausalLanguageModel(embedding, ResidualAttention(SelfAttention(32)))
    sentence = [0, *torch.randint(2, 500, (300,)).tolist(), 1]
    loss = -token_log_probs(model, [sentence])[0].mean().item()
    assert loss == pytest.approx(math.log(500), abs=0.5)


def test_it_memorises_one_batch_with_positions_and_not_without():
    """The word before the end depends on which of two words came first.

    That first word is open in both, 1 bit each; without positions, so is the one before the end.
    """
    sentences = [[0, 2, 3, 4, 5, 1], [0, 3, 2, 4, 6, 1]]
    losses = []
    for positions in (SinusoidalPositions(), NoPositions()):
        model = initialised(
            lambda chosen=positions: CausalLanguageModel(
                TokenEmbedding(7, 32, chosen), ResidualAttention(SelfAttention(32))
            ),
            0,
            "memorise",
        )
        losses.append(train(model, sentences, steps=60, lr=0.03).losses[-1])
    assert 2 / 10 < losses[0] < 2 / 10 + 0.02
    assert losses[1] > 4 / 10


# ---------------------------------------------------------------------------------- complexity


@torch.no_grad()
def counted(work) -> float:
    """Multiply-adds of the matrix products that were done; the counter counts both halves."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2


SIZES = pytest.mark.parametrize(
    ("time", "d_model"), [(1, 4), (5, 8), (12, 6), (9, 32), (40, 16)]
)


@SIZES
def test_the_cost_of_recurrence_is_that_of_the_layer(time, d_model):
    layer, inputs = RNN(d_model, d_model), torch.zeros(1, time, d_model)
    cost = recurrent_cost(time, d_model)
    assert cost.multiply_adds == counted(lambda: layer(inputs))
    assert (cost.sequential_steps, cost.path_length) == (time, time)


@SIZES
def test_the_cost_of_self_attention_is_that_of_a_head(time, d_model):
    layer, hidden = SelfAttention(d_model), torch.zeros(1, time, d_model)
    cost = self_attention_cost(time, d_model)
    assert cost.multiply_adds == counted(lambda: layer(hidden))
    assert cost.multiply_adds == counted(lambda: layer(hidden, causal_mask(time)))
    assert (cost.sequential_steps, cost.path_length) == (1, 1)


@SIZES
def test_the_cost_of_recurrent_attention_is_that_of_the_decoder(time, d_model):
    """Without the bridge, which is used once, and the layer to the vocabulary."""
    model = attention_translator(9, 7, d_model)
    decoder = model.decoder
    state = model.start([[0, *[2] * (time - 2), 1][:time]])
    assert state.encoded.memory.shape == (1, time, d_model)

    def write():
        decoder.score.prepare(state.encoded.memory)
        hidden = state.hidden
        for _ in range(time):
            context = decoder.look(state._replace(hidden=hidden))
            word = decoder.embedding(torch.tensor([3]))
            (hidden,) = decoder.cell(torch.cat([word, context], dim=1), (hidden,))

    cost = recurrent_attention_cost(time, d_model)
    assert cost.multiply_adds == counted(write)
    assert (cost.sequential_steps, cost.path_length) == (time, 1)

    def whole():
        steps = decoder.start(state.encoded)
        for _ in range(time):
            _, steps = decoder.step(torch.tensor([3]), steps)

    left_out = d_model**2 + time * 2 * d_model * 7  # the bridge, the outputs
    assert counted(whole) == cost.multiply_adds + left_out


def test_costs_are_compared_by_their_numbers():
    assert self_attention_cost(10, 64) == Cost(135680, 1, 1)
    with pytest.raises(AttributeError):
        self_attention_cost(10, 64).path_length = 2


# -------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "use",
    [
        lambda: scaled_dot_product_attention(
            normal(2, 5, 4), normal(2, 7, 3), normal(2, 7, 6)
        ),
        lambda: scaled_dot_product_attention(
            normal(2, 5, 4), normal(2, 7, 4), normal(2, 6, 6)
        ),
        lambda: scaled_dot_product_attention(
            normal(2, 5, 4), normal(3, 7, 4), normal(3, 7, 6)
        ),
        lambda: scaled_dot_product_attention(
            normal(5, 4), normal(7, 4), normal(7, 6), random_mask(7, 5)
        ),
        lambda: scaled_dot_product_attention(  # numbers, as torch allows
            normal(5, 4), normal(7, 4), normal(7, 6), torch.zeros(5, 7)
        ),
        lambda: self_attention_layer()(normal(5, 8)),
        lambda: self_attention_layer()(normal(2, 5, 8), causal_mask(4)),
        lambda: SinusoidalPositions()(normal(5, 8)),
        lambda: ResidualAttention(self_attention_layer())(normal(2, 5, 8)),
        lambda: language_model()(TOKEN_IDS[0]),
        lambda: language_model()(TOKEN_IDS.double()),
    ],
)
def test_wrong_shapes_are_refused(use):
    with pytest.raises((TypeCheckError, RuntimeError)) as caught:
        use()
    assert caught.type.__name__ == "TypeCheckError" or "size" in str(caught.value)
