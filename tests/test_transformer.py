"""The Transformer: against torch.nn, against itself read in pieces, and that it learns."""

import copy
import itertools
import math
import re

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.nn import functional as F

from lmcourse import training, transformer
from lmcourse.decoding import generate
from lmcourse.language_models import pad_sentences, token_log_probs
from lmcourse.multi_head_attention import attention_maps
from lmcourse.self_attention import (
    LearnedPositions,
    NoPositions,
    SinusoidalPositions,
    TokenEmbedding,
    causal_mask,
)
from lmcourse.seq2seq import beam_search, greedy_search, select
from lmcourse.training import generator, initialised, predicted_log_probs, train
from lmcourse.transformer import (
    CachedLanguageModel,
    DecoderBlock,
    EncoderBlock,
    EncoderStack,
    FeedForward,
    KeyValueCache,
    LabelSmoothing,
    LayerNorm,
    PreNormDecoderBlock,
    PreNormEncoderBlock,
    TransformerDecoder,
    TransformerEncoder,
    TransformerLanguageModel,
    TransformerTranslator,
    paper_learning_rate,
    small_transformer,
    transformer_translator,
)

BATCH, HEADS, TARGET, SOURCE, D_MODEL, D_FF, VOCAB = 2, 3, 5, 7, 12, 17, 11
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)]
)
NORMS = pytest.mark.parametrize("norm_first", [False, True], ids=["post", "pre"])
ACTIVATIONS = pytest.mark.parametrize("activation", [F.relu, F.gelu])
NOTHING = "the mask of row {} is False everywhere; each row must attend to something"

SOURCES = [[0, 6, 1], [0, 2, 5, 3, 4, 2, 1], [0, 1], [0, 3, 3, 6, 1]]
TARGETS = [[0, 4, 2, 2, 1], [0, 1], [0, 3, 2, 4, 4, 2, 3, 1], [0, 2, 1]]
PAIRS = list(zip(SOURCES, TARGETS, strict=True))
SENTENCES = [
    [0, 4, 2, 2, 3, 5, 1],
    [0, 5, 2, 2, 4, 1],
    [0, 6, 2, 2, 3, 3, 3, 1],
    [0, 7, 2, 2, 1],
]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def close(ours, theirs, atol=1e-12):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def padding(*lengths: int, longest: int) -> torch.Tensor:
    """(batch, longest): True for a real token."""
    return torch.arange(longest) < torch.tensor(lengths)[:, None]


@torch.no_grad()
def moved(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter away from where it begins: biases from 0, scales from 1."""
    stream = seeded(seed)
    for parameter in module.parameters():
        parameter += 0.3 * torch.randn(parameter.shape, generator=stream)
    return module


def gradients(result, leaves) -> list[torch.Tensor]:
    """Of a fixed random sum of the result."""
    factors = normal(*result.shape, seed=9, dtype=result.dtype)
    return list(torch.autograd.grad((result * factors).sum(), leaves))


def assert_equal_gradients(ours, theirs, leaves, pairs, tolerance):
    """Of the inputs and of parameters that stand for each other."""
    own_gradients = gradients(ours, leaves + [own for own, _ in pairs])
    expected = gradients(theirs, leaves + [other for _, other in pairs])
    for gradient, other in zip(own_gradients, expected, strict=True):
        assert gradient.any()
        close(gradient, other, tolerance)


# ----------------------------------------------------------------------------------- the parts


@PRECISIONS
@pytest.mark.parametrize("spread", [1.0, 3e-3])  # where it is small, eps counts
def test_layer_norm_equals_torchs(spread, dtype, tolerance):
    theirs = moved(nn.LayerNorm(D_MODEL)).to(dtype)
    ours = LayerNorm(D_MODEL).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    hidden = (spread * normal(BATCH, TARGET, D_MODEL, dtype=dtype)).requires_grad_()
    result, expected = ours(hidden), theirs(hidden)
    close(result, expected, tolerance)
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    scale = 10 * tolerance / spread
    assert_equal_gradients(result, expected, [hidden], pairs, scale)


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_layer_norm_is_its_formula(eps):
    norm = moved(LayerNorm(D_MODEL, eps)).double()
    for spread in (10.0, 1.0, 0.01):
        hidden = spread * normal(BATCH, HEADS, TARGET, D_MODEL) + 3
        mean = hidden.sum(dim=-1, keepdim=True) / D_MODEL
        variance = (hidden - mean).square().sum(dim=-1, keepdim=True) / D_MODEL
        normed = (hidden - mean) / (variance + eps).sqrt()
        close(norm(hidden), normed * norm.weight + norm.bias)


def test_layer_norm_begins_without_a_scale_and_sees_one_token():
    norm, hidden = LayerNorm(D_MODEL).double(), normal(TARGET, D_MODEL)
    close(norm(hidden).mean(dim=1), torch.zeros(TARGET).double())
    close(norm(hidden).var(dim=1, correction=0), torch.ones(TARGET).double(), 1e-4)
    close(norm(7 * hidden - 2), norm(hidden), 1e-4)
    close(norm(hidden[2]), norm(hidden)[2])
    assert norm(torch.full((D_MODEL,), 5.0).double()).tolist() == [0.0] * D_MODEL


def gelu_by_hand(number: float) -> float:
    """A share of the number: how probable it is that a normal one is below it."""
    return number * 0.5 * (1 + math.erf(number / math.sqrt(2)))


@pytest.mark.parametrize(
    ("activation", "by_hand"),
    [(F.relu, lambda number: max(number, 0.0)), (F.gelu, gelu_by_hand)],
)
def test_feed_forward_is_two_matrices_with_an_activation_between(activation, by_hand):
    network = moved(FeedForward(D_MODEL, D_FF, activation)).double()
    hidden = normal(BATCH, TARGET, D_MODEL)
    inner = hidden @ network.inner.weight.t() + network.inner.bias
    assert inner.shape == (BATCH, TARGET, D_FF)
    inner.detach().apply_(by_hand)
    close(network(hidden), inner @ network.outer.weight.t() + network.outer.bias, 1e-11)
    close(network(hidden[0, 3]), network(hidden)[0, 3])  # no token sees another


def test_feed_forward_has_relu_where_nothing_is_said():
    assert FeedForward(4, 5).activation is F.relu
    assert EncoderBlock(4, 2, 5).feed_forward.activation is F.relu
    assert DecoderBlock(4, 2, 5).feed_forward.activation is F.relu


def test_a_cache_holds_what_was_read_in_its_order():
    key, value = normal(BATCH, HEADS, 6, 4), normal(BATCH, HEADS, 6, 4, seed=1)
    attention = EncoderBlock(D_MODEL, HEADS, D_FF).double().attention
    cache = KeyValueCache.empty(attention, BATCH)
    assert len(cache) == 0 and cache.key.dtype == torch.float64
    for start, end in ((0, 1), (1, 4), (4, 4), (4, 6)):
        keys, values = cache.extend(key[:, :, start:end], value[:, :, start:end])
        assert torch.equal(keys, key[:, :, :end]) and keys is cache.key
        assert torch.equal(values, value[:, :, :end]) and values is cache.value
        assert len(cache) == end
    assert KeyValueCache(key[:, :, :2], value[:, :, :2]).key.shape[2] == 2


# --------------------------------------------------------------------------- as torch's blocks

ENCODER_PARTS = {
    "attention.in_projection.weight": "self_attn.in_proj_weight",
    "attention.in_projection.bias": "self_attn.in_proj_bias",
    "attention.out_projection.weight": "self_attn.out_proj.weight",
    "attention.out_projection.bias": "self_attn.out_proj.bias",
    "attention_norm.weight": "norm1.weight",
    "attention_norm.bias": "norm1.bias",
    "feed_forward.inner.weight": "linear1.weight",
    "feed_forward.inner.bias": "linear1.bias",
    "feed_forward.outer.weight": "linear2.weight",
    "feed_forward.outer.bias": "linear2.bias",
    "feed_forward_norm.weight": "norm2.weight",
    "feed_forward_norm.bias": "norm2.bias",
}
DECODER_PARTS = {
    **ENCODER_PARTS,
    **{
        f"cross_{own}": other.replace("self_attn", "multihead_attn").replace("1", "2")
        for own, other in ENCODER_PARTS.items()
        if own.startswith("attention")
    },
    "feed_forward_norm.weight": "norm3.weight",
    "feed_forward_norm.bias": "norm3.bias",
}


@torch.no_grad()
def paired(ours: nn.Module, theirs: nn.Module, names: dict[str, str]):
    """Copy torch's parameters. Returns those that stand for each other; none is left out."""
    own, others = dict(ours.named_parameters()), dict(theirs.named_parameters())
    assert own.keys() == names.keys() and others.keys() == {*names.values()}
    pairs = [(own[name], others[names[name]]) for name in own]
    for mine, other in pairs:
        mine.copy_(other)
    return pairs


BLOCKS = {False: EncoderBlock, True: PreNormEncoderBlock}
DECODER_BLOCKS = {False: DecoderBlock, True: PreNormDecoderBlock}


def torchs(kind, norm_first, activation, dtype):
    torch.manual_seed(0)
    theirs = kind(
        D_MODEL,
        HEADS,
        D_FF,
        dropout=0.0,
        activation=activation,
        batch_first=True,
        norm_first=norm_first,
    )
    return moved(theirs).to(dtype)


def encoder_masks():
    """Ours, and torch's src_mask and src_key_padding_mask."""
    causal, real = causal_mask(TARGET), padding(5, 3, longest=TARGET)
    return [
        (None, None, None),
        (causal, ~causal, None),
        (real[:, None], None, ~real),
        (causal & real[:, None], ~causal, ~real),
    ]


@PRECISIONS
@ACTIVATIONS
@NORMS
def test_the_encoder_block_equals_torchs(norm_first, activation, dtype, tolerance):
    theirs = torchs(nn.TransformerEncoderLayer, norm_first, activation, dtype)
    ours = BLOCKS[norm_first](D_MODEL, HEADS, D_FF, activation=activation).to(dtype)
    pairs = paired(ours, theirs, ENCODER_PARTS)
    hidden = normal(BATCH, TARGET, D_MODEL, dtype=dtype).requires_grad_()
    for mask, src_mask, hidden_keys in encoder_masks():
        result = ours(hidden, mask)
        expected = theirs(hidden, src_mask, src_key_padding_mask=hidden_keys)
        close(result, expected, tolerance)
        assert_equal_gradients(result, expected, [hidden], pairs, 20 * tolerance)


@PRECISIONS
@NORMS
def test_the_stack_equals_torchs_encoder(norm_first, dtype, tolerance):
    for with_norm in (False, True):
        theirs = moved(
            nn.TransformerEncoder(
                torchs(nn.TransformerEncoderLayer, norm_first, F.gelu, dtype),
                num_layers=3,
                norm=nn.LayerNorm(D_MODEL).to(dtype) if with_norm else None,
                enable_nested_tensor=False,
            ),
            seed=1,
        )
        ours = EncoderStack(
            *(
                BLOCKS[norm_first](D_MODEL, HEADS, D_FF, activation=F.gelu)
                for _ in range(3)
            ),
            norm=LayerNorm(D_MODEL) if with_norm else None,
        ).to(dtype)
        names = {
            f"layers.{layer}.{own}": f"layers.{layer}.{other}"
            for layer, (own, other) in itertools.product(
                range(3), ENCODER_PARTS.items()
            )
        }
        if with_norm:
            names |= {"norm.weight": "norm.weight", "norm.bias": "norm.bias"}
        pairs = paired(ours, theirs, names)
        hidden = normal(BATCH, TARGET, D_MODEL, dtype=dtype).requires_grad_()
        for mask, src_mask, hidden_keys in encoder_masks():
            result = ours(hidden, mask)
            expected = theirs(hidden, src_mask, src_key_padding_mask=hidden_keys)
            close(result, expected, 3 * tolerance)
            assert_equal_gradients(result, expected, [hidden], pairs, 100 * tolerance)


@PRECISIONS
@ACTIVATIONS
@NORMS
def test_the_decoder_block_equals_torchs(norm_first, activation, dtype, tolerance):
    theirs = torchs(nn.TransformerDecoderLayer, norm_first, activation, dtype)
    ours = DECODER_BLOCKS[norm_first](D_MODEL, HEADS, D_FF, activation=activation)
    ours = ours.to(dtype)
    pairs = paired(ours, theirs, DECODER_PARTS)
    hidden = normal(BATCH, TARGET, D_MODEL, dtype=dtype).requires_grad_()
    memory = normal(BATCH, SOURCE, D_MODEL, seed=1, dtype=dtype).requires_grad_()
    causal, real = causal_mask(TARGET), padding(7, 4, longest=SOURCE)
    for mask, source_mask in itertools.product((None, causal), (None, real)):
        result = ours(
            hidden,
            ours.prepare(memory),
            mask,
            None if source_mask is None else source_mask[:, None],
        )
        expected = theirs(
            hidden,
            memory,
            tgt_mask=None if mask is None else ~mask,
            memory_key_padding_mask=None if source_mask is None else ~source_mask,
        )
        close(result, expected, 2 * tolerance)
        assert_equal_gradients(
            result, expected, [hidden, memory], pairs, 50 * tolerance
        )


def block_and_call(kind, dropout: float = 0.0):
    """A random block, and a call that takes hidden and a mask."""
    torch.manual_seed(0)
    block = moved(kind(D_MODEL, HEADS, D_FF, dropout, F.gelu)).double()
    if isinstance(block, EncoderBlock):
        return block, block
    source = block.prepare(normal(BATCH, SOURCE, D_MODEL, seed=1))
    return block, lambda hidden, mask: block(hidden, source, mask)


@pytest.mark.parametrize(
    "kind", [EncoderBlock, PreNormEncoderBlock, DecoderBlock, PreNormDecoderBlock]
)
def test_dropout_stands_before_each_sum_in_training_only(kind):
    hidden, mask = normal(BATCH, TARGET, D_MODEL), causal_mask(TARGET)
    block, call = block_and_call(kind, dropout=1.0)  # nothing of what is added arrives
    expected = hidden
    if kind is EncoderBlock:
        expected = block.feed_forward_norm(block.attention_norm(hidden))
    if kind is DecoderBlock:
        expected = block.cross_attention_norm(block.attention_norm(hidden))
        expected = block.feed_forward_norm(expected)
    assert torch.equal(call(hidden, mask), expected)
    block.eval()
    _, without = block_and_call(kind)
    assert torch.equal(call(hidden, mask), without(hidden, mask))


@pytest.mark.parametrize(
    "kind", [EncoderBlock, PreNormEncoderBlock, DecoderBlock, PreNormDecoderBlock]
)
def test_permuted_tokens_give_permuted_outputs(kind):
    _, call = block_and_call(kind)
    hidden, order = normal(BATCH, TARGET, D_MODEL), [3, 0, 4, 2, 1]
    close(call(hidden[:, order], None), call(hidden, None)[:, order])


@pytest.mark.parametrize(
    "kind", [EncoderBlock, PreNormEncoderBlock, DecoderBlock, PreNormDecoderBlock]
)
def test_a_token_that_may_attend_to_nothing_is_an_error(kind):
    _, call = block_and_call(kind)
    mask = causal_mask(TARGET).repeat(BATCH, 1, 1)
    mask[1, 3] = False
    with pytest.raises(ValueError, match=f"^{re.escape(NOTHING.format('(1, 3)'))}$"):
        call(normal(BATCH, TARGET, D_MODEL), mask)


@pytest.mark.parametrize("kind", [DecoderBlock, PreNormDecoderBlock])
def test_a_source_of_nothing_is_an_error(kind):
    block, _ = block_and_call(kind)
    hidden, memory = normal(BATCH, TARGET, D_MODEL), normal(BATCH, SOURCE, D_MODEL)
    real = padding(7, 0, longest=SOURCE)[:, None]
    with pytest.raises(ValueError, match=f"^{re.escape(NOTHING.format('(1, 0)'))}$"):
        block(hidden, block.prepare(memory), None, real)


@pytest.mark.parametrize("kind", [DecoderBlock, PreNormDecoderBlock])
def test_the_order_of_the_source_does_not_matter(kind):
    block, _ = block_and_call(kind)
    hidden, memory = normal(BATCH, TARGET, D_MODEL), normal(BATCH, SOURCE, D_MODEL)
    real, order = padding(7, 4, longest=SOURCE)[:, None], [3, 0, 6, 2, 1, 5, 4]
    expected = block(hidden, block.prepare(memory), None, real)
    shuffled = block.prepare(memory[:, order])
    close(block(hidden, shuffled, None, real[..., order]), expected)
    assert (block(hidden, shuffled, None, real) - expected).abs().max() > 0.01


# -------------------------------------------------------------------------- the language model

TOKEN_IDS = torch.tensor([[0, 3, 9, 3, 2, 6], [0, 10, 4, 4, 5, 8]])


def language_model(
    block=PreNormEncoderBlock, positions=None, dropout=0.0, seed=0
) -> TransformerLanguageModel:
    """Random, in float64, with biases; of 3 blocks."""
    torch.manual_seed(seed)
    blocks = [block(D_MODEL, HEADS, D_FF, dropout, F.gelu) for _ in range(3)]
    embedding = TokenEmbedding(VOCAB, D_MODEL, positions or SinusoidalPositions())
    layers = EncoderStack(*blocks, norm=LayerNorm(D_MODEL))
    model = TransformerLanguageModel(embedding, layers, dropout)
    return moved(model, seed).double()


MODELS = pytest.mark.parametrize(
    "make",
    [
        lambda: language_model(),
        lambda: language_model(EncoderBlock),
        lambda: language_model(positions=LearnedPositions(30, D_MODEL)),
    ],
    ids=["pre", "post", "learned"],
)


@torch.no_grad()
def test_the_language_model_is_embedding_blocks_norm_output():
    model = language_model()
    hidden, mask = model.embedding(TOKEN_IDS), causal_mask(6)
    for block in model.layers.layers:
        hidden = block(hidden, mask)
    hidden = model.layers.norm(hidden)
    close(model(TOKEN_IDS), hidden @ model.output.weight.t() + model.output.bias)
    assert model.vocab_size == VOCAB


def test_dropout_of_the_embedded_tokens():
    model = language_model(dropout=0.0)
    whole = model(TOKEN_IDS)
    model.dropout.p = 1.0
    empty = model.layers(torch.zeros(BATCH, 6, D_MODEL).double(), causal_mask(6))
    close(model(TOKEN_IDS), model.output(empty))
    close(model.read(TOKEN_IDS, model.start(BATCH)), model.output(empty))
    close(model.eval()(TOKEN_IDS), whole)


@MODELS
def test_future_tokens_cannot_change_past_logits_and_without_the_mask_they_do(
    looks_back_only,
    make,
):
    looks_back_only(make(), TOKEN_IDS, transformer)


def test_padding_changes_no_log_prob_and_no_gradient():
    model = language_model()
    together = predicted_log_probs(model, SENTENCES)
    alone = torch.cat([predicted_log_probs(model, [one]) for one in SENTENCES])
    close(together, alone)
    parameters = list(model.parameters())
    close(gradients(together, parameters), gradients(alone, parameters), 1e-11)


def pieces(time: int, seed: int) -> list[slice]:
    """Cut 0 .. time at random places; a piece may be empty."""
    cuts = torch.randint(time + 1, (3,), generator=seeded(seed)).sort().values.tolist()
    return [slice(*ends) for ends in itertools.pairwise([0, *cuts, time])]


@MODELS
@torch.no_grad()
def test_read_in_pieces_is_read_at_once(make):
    model = make()
    token_ids = torch.randint(VOCAB, (3, 13), generator=seeded(0))
    expected = model(token_ids)
    one_by_one = [slice(t, t + 1) for t in range(13)]
    for cuts in (
        [slice(0, 13)],
        one_by_one,
        *(pieces(13, seed) for seed in range(4)),
    ):
        caches = model.start(3)
        parts = [model.read(token_ids[:, cut], caches) for cut in cuts]
        close(torch.cat(parts, dim=1), expected)
        assert [len(cache) for cache in caches] == [13, 13, 13]


def test_gradients_go_through_the_cache():
    model = language_model()
    parameters, caches = list(model.parameters()), model.start(BATCH)
    parts = [model.read(TOKEN_IDS[:, cut], caches) for cut in (slice(2), slice(2, 6))]
    ours = gradients(torch.cat(parts, dim=1), parameters)
    close(ours, gradients(model(TOKEN_IDS), parameters), 1e-11)


def test_a_stack_needs_a_cache_for_each_block():
    model = language_model()
    with pytest.raises(ValueError, match="shorter"):
        model.read(TOKEN_IDS, model.start(BATCH)[:2])


@torch.no_grad()
def test_the_cached_model_scores_as_the_model_inside(monkeypatch):
    model = language_model()
    cached, n_read = CachedLanguageModel(model), []

    def reading(token_ids, caches):
        n_read.append(token_ids.shape[1])
        return TransformerLanguageModel.read(model, token_ids, caches)

    monkeypatch.setattr(model, "read", reading, raising=False)
    first, second = (torch.randint(VOCAB, (3, 9), generator=seeded(n)) for n in (0, 1))
    calls = [  # the text, and how many tokens of it must be read
        (first[:1, :1], 1),
        (first[:1, :2], 1),
        (first[:1, :6], 4),
        (first[:1, :6], 6),  # no longer: anew
        (first[:1, :4], 4),  # shorter
        (first[:1, :5], 1),
        (second[:1, :6], 6),  # another text
        (second[:1, :7], 1),
        (second[:, :8], 8),  # another size of the batch
        (second, 1),
        (torch.cat([second[:2], first[2:]]), 9),  # another text in one row only
        (first[1:2, :1], 1),
    ]
    for token_ids, _ in calls:
        close(cached(token_ids), model(token_ids))
    assert n_read == [count for _, count in calls]
    assert cached.vocab_size == VOCAB


@MODELS
def test_the_cached_model_writes_what_the_model_writes(make):
    model = make()
    cached = CachedLanguageModel(model)
    texts = set()
    for prompt, seed in (([0], 0), ([0, 5, 4], 1), ([0, 5], 2), ([0, 5], 2)):
        for settings in ({"temperature": 0}, {"temperature": 1.2, "top_k": 8}):
            text, expected = (
                generate(one, prompt, 12, generator=seeded(seed), **settings)
                for one in (cached, model)
            )
            assert text == expected
            texts.add(tuple(text))
    assert len(texts) >= 5
    [own] = token_log_probs(cached, [[0, 5, 4, 1]])
    close(own, token_log_probs(model, [[0, 5, 4, 1]])[0])


@torch.no_grad()
def test_a_text_that_cannot_be_read_does_not_spoil_the_next_one():
    cached = CachedLanguageModel(language_model())
    cached(TOKEN_IDS[:, :2])
    with pytest.raises(ValueError, match="outside"):
        cached(torch.tensor([[0, VOCAB]]))
    close(cached(TOKEN_IDS), cached.model(TOKEN_IDS))


@torch.no_grad()
def test_the_cached_model_keeps_a_text_of_its_own():
    model, token_ids = language_model(), TOKEN_IDS.clone()
    cached = CachedLanguageModel(model)
    cached(token_ids[:, :3])
    token_ids[:, 1] = 7
    close(cached(token_ids), model(token_ids))


def test_small_transformer_is_what_it_says():
    model = small_transformer(VOCAB, d_model=12, n_heads=3, n_layers=5, dropout=0.25)
    assert len(model.layers.layers) == 5
    for block in model.layers.layers:
        assert type(block) is PreNormEncoderBlock
        assert block.attention.n_heads == 3
        assert block.feed_forward.inner.out_features == 48
        assert block.feed_forward.activation is F.gelu
        assert block.dropout.p == 0.25
    assert model.dropout.p == 0.25 and isinstance(model.layers.norm, LayerNorm)
    assert isinstance(model.embedding.positions, SinusoidalPositions)
    chosen = small_transformer(VOCAB, 12, 3, positions=NoPositions())
    assert isinstance(chosen.embedding.positions, NoPositions)
    assert chosen.dropout.p == 0 and len(chosen.layers.layers) == 2


@torch.no_grad()
def test_attention_maps_of_a_transformer():
    model = language_model()
    maps, mask = attention_maps(model, TOKEN_IDS), causal_mask(6)
    hidden = model.embedding(TOKEN_IDS)
    for own, block in zip(maps, model.layers.layers, strict=True):
        close(own, block.attention.weights(block.attention_norm(hidden), mask))
        hidden = block(hidden, mask)


# ------------------------------------------------------------------------------- the translator


def translator(
    seed: int = 0, encoder_block=PreNormEncoderBlock, decoder_block=PreNormDecoderBlock
) -> TransformerTranslator:
    """Random, in float64; the encoder is one block higher than the decoder."""
    torch.manual_seed(seed)
    model = TransformerTranslator(
        TransformerEncoder(
            TokenEmbedding(7, D_MODEL, SinusoidalPositions()),
            EncoderStack(
                *(encoder_block(D_MODEL, HEADS, D_FF) for _ in range(3)),
                norm=LayerNorm(D_MODEL),
            ),
        ),
        TransformerDecoder(
            TokenEmbedding(5, D_MODEL, SinusoidalPositions()),
            [decoder_block(D_MODEL, HEADS, D_FF) for _ in range(2)],
            norm=LayerNorm(D_MODEL),
        ),
    )
    return moved(model, seed).double()


TRANSLATORS = pytest.mark.parametrize(
    "make",
    [lambda: translator(), lambda: translator(0, EncoderBlock, DecoderBlock)],
    ids=["pre", "post"],
)


@TRANSLATORS
@torch.no_grad()
def test_the_translator_is_torchs_blocks_and_two_embeddings(make):
    model = make()
    ids, real = pad_sentences(SOURCES)
    memory = model.encoder.embedding(ids)
    for block in model.encoder.layers.layers:
        memory = block(memory, real[:, None])
    memory = model.encoder.layers.norm(memory)
    close(model.encoder.encode(SOURCES)[0], memory)
    assert torch.equal(model.encoder.encode(SOURCES)[1], real)
    target_ids, _ = pad_sentences(TARGETS)
    decoder, hidden = model.decoder, model.decoder.embedding(target_ids)
    for block in decoder.layers:
        hidden = block(hidden, block.prepare(memory), causal_mask(8), real[:, None])
    expected = decoder.output(decoder.norm(hidden))
    close(model(SOURCES, target_ids), expected)


@torch.no_grad()
def test_encoding_alone_and_in_a_batch_is_the_same():
    encoder = translator().encoder
    memory, mask = encoder.encode(SOURCES)
    assert memory.shape == (4, 7, D_MODEL)
    for row, source in enumerate(SOURCES):
        alone, _ = encoder.encode([source])
        close(memory[row, : len(source)], alone[0])
    token_ids, mask = pad_sentences(SOURCES)
    filled = encoder(token_ids.where(mask, 5), mask)
    assert torch.equal(filled[mask], memory[mask])
    # The source is read in both directions: its last word changes what is known of the first.
    changed, _ = encoder.encode([[0, 2, 5, 3, 4, 6, 1]])
    assert (changed[0] - memory[1]).abs().amax(dim=1).min() > 1e-6


@TRANSLATORS
def test_padding_changes_no_translation_and_no_gradient(make):
    model = make()
    together = model.predicted_log_probs(PAIRS)
    alone = torch.cat([model.predicted_log_probs([pair]) for pair in PAIRS])
    close(together, alone)
    parameters = list(model.parameters())
    ours, expected = gradients(together, parameters), gradients(alone, parameters)
    close(ours, expected, 1e-10)
    assert sum(gradient.any().item() for gradient in ours) == len(parameters)


@TRANSLATORS
@torch.no_grad()
def test_what_comes_later_in_the_target_cannot_change_a_score(monkeypatch, make):
    model = make()
    target_ids = torch.tensor([[0, 3, 2, 4]] * len(SOURCES))
    logits = model(SOURCES, target_ids)
    for place in range(4):
        changed = target_ids.clone()
        changed[:, place] = 1
        others = model(SOURCES, changed)
        assert torch.equal(others[:, :place], logits[:, :place])
        assert (others - logits)[:, place:].abs().amax(dim=2).min() > 1e-6
    monkeypatch.setattr(
        transformer, "causal_mask", lambda time, device: torch.ones(time, time) > 0
    )
    difference = model(SOURCES, changed) - model(SOURCES, target_ids)
    assert difference.abs().amax(dim=2).min() > 1e-6


@TRANSLATORS
@torch.no_grad()
def test_steps_one_by_one_are_the_whole(make):
    model = make()
    target_ids = torch.randint(5, (4, 9), generator=seeded(0))
    expected, state = model(SOURCES, target_ids), model.start(SOURCES)
    for t, token_ids in enumerate(target_ids.unbind(dim=1)):
        before = state
        logits, state = model.decoder.step(token_ids, state)
        close(logits, expected[:, t])
        again, _ = model.decoder.step(token_ids, before)  # a state is not used up
        assert torch.equal(again, logits)
    state = model.start(SOURCES)
    for cut in pieces(9, seed=2):
        logits, state = model.decoder.read(target_ids[:, cut], state)
        close(logits, expected[:, cut])


@torch.no_grad()
def test_chosen_rows_go_on_as_the_same_sources_would():
    model, rows = translator(), [2, 0, 0, 3]
    state = model.start(SOURCES)
    _, state = model.decoder.step(torch.tensor([0, 0, 0, 0]), state)
    chosen = select(state, torch.tensor(rows))
    assert type(chosen) is type(state)
    fresh = model.start([SOURCES[row] for row in rows])
    _, fresh = model.decoder.step(torch.tensor([0, 0, 0, 0]), fresh)
    last = torch.tensor([3, 4, 2, 3])
    close(
        model.decoder.step(last, chosen)[0],
        model.decoder.step(last, fresh)[0],
    )


def test_dropout_of_the_embedded_tokens_on_both_sides_of_the_translator():
    """Where all is dropped, the words make no difference, only how many they are."""
    model = translator()
    others = [[(token + 1) % 7 for token in source] for source in SOURCES]
    target_ids, _ = pad_sentences(TARGETS)
    assert not torch.allclose(model(SOURCES, target_ids), model(others, target_ids))
    model.encoder.dropout.p = 1.0
    close(model(SOURCES, target_ids), model(others, target_ids))
    close(model.eval()(SOURCES, target_ids), translator()(SOURCES, target_ids))
    model = translator()
    model.decoder.dropout.p = 1.0
    same = torch.zeros_like(target_ids)
    close(model(SOURCES, target_ids), model(SOURCES, same))
    close(model.eval()(SOURCES, target_ids), translator()(SOURCES, target_ids))


@TRANSLATORS
def test_the_searches_of_chapter_4_take_the_translator(make):
    model = make()
    together = greedy_search(model, SOURCES, max_new_tokens=6)
    for source, written in zip(SOURCES, together, strict=True):
        assert greedy_search(model, [source], max_new_tokens=6) == [written]
        for t in range(1, len(written)):
            scores = model([source], torch.tensor([written[:t]]))[0, -1]
            assert scores[1:].argmax() + 1 == written[t]
        [narrow] = beam_search(model, source, width=1, max_new_tokens=6)
        assert list(narrow.token_ids) == written
        for one in beam_search(model, source, width=4, max_new_tokens=6):
            pair = (source, list(one.token_ids))
            expected = model.predicted_log_probs([pair]).sum().item()
            assert one.log_prob == pytest.approx(expected, abs=1e-11)


@torch.no_grad()
def test_the_decoder_reads_the_source():
    model, target_ids = translator(), torch.tensor([[0, 3, 2]])
    logits = model([[0, 6, 2, 1]], target_ids)
    for other in ([0, 6, 3, 1], [0, 2, 6, 1], [0, 6, 2, 2, 1]):
        difference = model([other], target_ids) - logits
        assert difference.abs().amax(dim=2).min() > 1e-6


def test_transformer_translator_is_what_it_says():
    model = transformer_translator(
        9, 7, 12, n_heads=3, n_layers=4, positions=NoPositions, dropout=0.25
    )
    blocks = [*model.encoder.layers.layers, *model.decoder.layers]
    kinds = [type(block) for block in blocks]
    assert kinds == [PreNormEncoderBlock] * 4 + [PreNormDecoderBlock] * 4
    for block in blocks:
        assert block.attention.n_heads == 3
        assert block.feed_forward.inner.out_features == 48
        assert block.feed_forward.activation is F.gelu
        assert block.dropout.p == 0.25
    for side, vocab_size in ((model.encoder, 9), (model.decoder, 7)):
        assert side.vocab_size == side.embedding.embedding.num_embeddings == vocab_size
        assert isinstance(side.embedding.positions, NoPositions)
    assert isinstance(model.encoder.layers.norm, LayerNorm)
    assert isinstance(model.decoder.norm, LayerNorm)
    sides = transformer_translator(9, 7, 8, positions=lambda: LearnedPositions(30, 8))
    assert sides.encoder.embedding.positions is not sides.decoder.embedding.positions


# ------------------------------------------------------------------------------------ training


def test_loss_starts_near_the_logarithm_of_the_vocabulary():
    torch.manual_seed(0)
    model = small_transformer(vocab_size=500, d_model=32)
    sentence = [0, *torch.randint(2, 500, (300,)).tolist(), 1]
    loss = -token_log_probs(model, [sentence])[0].mean().item()
    # The logits of a normed vector have variance 1/3: half of it is what guessing costs.
    assert loss == pytest.approx(math.log(500) + 1 / 6, abs=0.1)


def test_it_memorises_one_batch():
    """Four sentences that differ from the first word on: that word stays open, 2 bits each."""
    model = initialised(lambda: small_transformer(8, 16, 2), 0, "memorise")
    history = train(model, SENTENCES, steps=60, lr=0.02)
    open_bits = 4 * 2 / sum(len(sentence) - 1 for sentence in SENTENCES)
    assert open_bits < history.losses[-1] < open_bits + 0.02


def test_the_translator_memorises_one_batch():
    model = initialised(lambda: transformer_translator(7, 5, 16, 2), 0, "memorise")
    history = train(model, PAIRS, steps=50, lr=0.02)
    assert history.losses[0] == pytest.approx(math.log2(5) + 0.24, abs=0.7)
    assert history.losses[-1] < 0.05
    assert greedy_search(model, SOURCES, 10) == TARGETS


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("make", "examples"),
    [
        (lambda: small_transformer(8, 8, 2, dropout=0.3), SENTENCES * 2),
        (
            lambda: LabelSmoothing(
                transformer_translator(7, 5, 8, 2, dropout=0.3), 0.1
            ),
            PAIRS * 2,
        ),
    ],
    ids=["language model", "translator"],
)
def test_a_run_with_dropout_that_was_killed_goes_on_as_if_it_had_not_been(
    monkeypatch, tmp_path, make, examples
):
    def run(seed, **settings):
        model = initialised(make, seed, "model")
        torch.manual_seed(seed)
        history = train(
            model,
            examples,
            steps=9,
            lr=0.02,
            batch_size=3,
            warm_up=2,
            max_norm=1.0,
            generator=generator(0, "batches"),
            dev=examples[:3],
            evaluate_every=4,
            save_every=3,
            **settings,
        )
        return model, history

    expected_model, expected = run(0)
    calls = itertools.count()

    def mortal(*arguments):
        if next(calls) == 7:
            raise Killed
        return step(*arguments)

    path, step = tmp_path / "run.safetensors", training.take_step
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training, "take_step", mortal)
        run(0, checkpoint=path)
    model, history = run(
        1, checkpoint=path
    )  # other weights and chance: both are loaded
    assert history == expected and len(history.losses) == 9
    for part, other in zip(
        model.parameters(), expected_model.parameters(), strict=True
    ):
        assert torch.equal(part, other)


def test_dropout_is_in_training_only():
    model = small_transformer(8, 8, 2, dropout=0.5)
    token_ids = torch.tensor([[0, 3, 2, 4]])
    assert not torch.equal(model(token_ids), model(token_ids))
    model.eval()
    assert torch.equal(model(token_ids), model(token_ids))


@pytest.mark.parametrize("smoothing", [0, 0.1, 0.6])
def test_label_smoothing_is_torchs_in_training_and_nothing_in_evaluation(smoothing):
    inner = translator()
    model = LabelSmoothing(inner, smoothing)
    assert model.training and inner.training
    token_ids, mask = pad_sentences(TARGETS)
    logits = inner(SOURCES, token_ids[:, :-1])[mask[:, 1:]]
    targets = token_ids[:, 1:][mask[:, 1:]]
    own = model.predicted_log_probs(PAIRS)
    theirs = F.cross_entropy(
        logits, targets, label_smoothing=smoothing, reduction="none"
    )
    close(-own, theirs)
    parameters = list(inner.parameters())
    close(gradients(own, parameters), gradients(-theirs, parameters), 1e-10)
    close(-own.mean(), F.cross_entropy(logits, targets, label_smoothing=smoothing))
    model.eval()
    assert not inner.training
    assert torch.equal(
        model.predicted_log_probs(PAIRS), inner.predicted_log_probs(PAIRS)
    )


def test_label_smoothing_trains_the_model_inside():
    inner = initialised(lambda: transformer_translator(7, 5, 16, 2), 0, "memorise")
    before = copy.deepcopy(inner.state_dict())
    model = LabelSmoothing(inner, 0.3)
    history = train(model, PAIRS, steps=40, lr=0.02, dev=PAIRS, evaluate_every=40)
    # The least loss with 0.3 spread over 5 tokens: the entropy of 0.76 and four times 0.06.
    least = -0.76 * math.log2(0.76) - 4 * 0.06 * math.log2(0.06)
    assert least < history.losses[-1] < least + 0.1
    assert history.dev_bits[40] == pytest.approx(-math.log2(0.76), abs=0.1)
    assert any((inner.state_dict()[name] != before[name]).any() for name in before)
    assert greedy_search(inner, SOURCES, 10) == TARGETS


@pytest.mark.parametrize("smoothing", [-0.1, 1, 1.5, math.nan])
def test_a_share_out_of_range_is_an_error(smoothing):
    sentence = f"smoothing={smoothing}; it must be at least 0 and below 1"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        LabelSmoothing(translator(), smoothing)


def test_the_learning_rate_of_the_paper():
    for d_model, warm_up in ((512, 4000), (64, 100), (8, 1)):
        rates = [
            paper_learning_rate(step, d_model, warm_up)
            for step in range(1, 3 * warm_up + 1)
        ]
        for step, rate in enumerate(rates, 1):
            rising = step * warm_up ** (-3 / 2)
            expected = min(1 / math.sqrt(step), rising) / math.sqrt(d_model)
            assert rate == pytest.approx(expected, rel=1e-12)
        assert rates.index(max(rates)) + 1 == warm_up
        assert max(rates) == pytest.approx(1 / math.sqrt(d_model * warm_up), rel=1e-12)
        assert all(a < b for a, b in itertools.pairwise(rates[:warm_up]))
        assert all(a > b for a, b in itertools.pairwise(rates[warm_up:]))


@pytest.mark.parametrize("numbers", [(0, 64, 100), (1, 0, 100), (1, 64, 0), (-3, 1, 1)])
def test_the_learning_rate_of_the_paper_begins_at_step_1(numbers):
    step, d_model, warm_up = numbers
    sentence = (
        f"step={step}, d_model={d_model}, warm_up={warm_up}; each must be at least 1"
    )
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        paper_learning_rate(*numbers)


@pytest.mark.parametrize("token_id", [-1, 5])
def test_a_target_outside_the_vocabulary_is_an_error(token_id):
    sentence = f"token id {token_id} is outside 0 .. 4 (vocab_size=5)"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        translator()([SOURCES[0]], torch.tensor([[0, token_id]]))


def test_a_text_beyond_the_last_learned_position_is_an_error():
    model = language_model(positions=LearnedPositions(6, D_MODEL))
    caches = model.start(BATCH)
    model.read(TOKEN_IDS, caches)
    sentence = "a token at position 6, and context_length=6; the last position is 5"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        model.read(TOKEN_IDS[:, :1], caches)
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        model(torch.zeros(1, 7, dtype=torch.long))


# -------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "use",
    [
        lambda: block_and_call(EncoderBlock)[0](normal(5, 12)),
        lambda: block_and_call(EncoderBlock)[0](normal(2, 5, 12), torch.zeros(5, 5)),
        lambda: block_and_call(EncoderBlock)[0](normal(2, 5, 12), causal_mask(4)),
        lambda: block_and_call(DecoderBlock)[0].prepare(normal(7, 12)),
        lambda: block_and_call(DecoderBlock)[1](normal(2, 5, 12), causal_mask(4)),
        lambda: EncoderStack(LayerNorm(12)),
        lambda: KeyValueCache(normal(2, 3, 5, 4), normal(2, 3, 6, 4)),
        lambda: KeyValueCache(normal(2, 3, 5, 4), normal(2, 3, 5, 4)).extend(
            normal(2, 3, 1, 4), normal(2, 3, 2, 4)
        ),
        lambda: language_model()(TOKEN_IDS[0]),
        lambda: CachedLanguageModel(language_model())(TOKEN_IDS[0]),
        lambda: translator().encoder(TOKEN_IDS[:, :5], torch.ones(2, 4) > 0),
        lambda: translator().decoder.step(TOKEN_IDS, translator().start(SOURCES)),
    ],
)
def test_wrong_shapes_are_refused(use):
    with pytest.raises(TypeCheckError):
        use()
