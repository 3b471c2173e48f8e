"""Comparisons of chapter 6: the square root, the positions, and one layer on the language."""

import math
import statistics
import time

import torch
from torch.nn import functional as F

from lmcourse.attention import AdditiveScore, AttentionDecoder
from lmcourse.data.grammar import TEACHING_GRAMMAR, TrueModel
from lmcourse.experiments import experiment
from lmcourse.experiments.markov import bits_of, encoded_language
from lmcourse.experiments.rnn import agreement_of, recall_of
from lmcourse.rnn import RNN
from lmcourse.self_attention import (
    CausalLanguageModel,
    LearnedPositions,
    NoPositions,
    ResidualAttention,
    SelfAttention,
    SinusoidalPositions,
    TokenEmbedding,
)
from lmcourse.seq2seq import Encoded
from lmcourse.training import generator, initialised, train

WIDTHS = (4, 16, 64, 256, 1024)
N_KEYS = 32
N_SYMBOLS, SHIFT, TRAINED_LENGTH, LONGER = 8, 2, 16, 32
STEPS, EVALUATE_EVERY = 5_000, 500
TIMED_LENGTHS = (8, 16, 32, 64, 128, 256, 512)
D_TIMED = 64


@experiment(seeds=range(10))
def saturation(seed: int) -> dict:
    """Scores of random queries and keys, with and without the square root, by their size."""
    row = {"widths": WIDTHS, "divided": {}, "not divided": {}}
    for width in WIDTHS:
        stream = generator(seed, f"queries and keys, {width}")
        query, key = (
            torch.randn(n, width, generator=stream, dtype=torch.float64)
            for n in (500, N_KEYS)
        )
        direction = F.normalize(
            torch.randn(500, N_KEYS, generator=stream, dtype=torch.float64), dim=1
        )
        scores = query @ key.t()
        for name, divisor in (("divided", math.sqrt(width)), ("not divided", 1.0)):
            measured = softmax_facts(scores / divisor, direction)
            lengths = query_gradients(query, key, divisor, direction)
            measured["query_gradient"] = lengths.mean()
            measured["median_query_gradient"] = lengths.median()
            for fact, value in measured.items():
                row[name].setdefault(fact, []).append(value)
    return row


def softmax_facts(scores, direction):
    """The variance of scores, the mean largest weight, and how much gradient a score still gets.

    The gradient is that of a random direction of the weights, its mean length over the queries.
    """
    scores = scores.clone().requires_grad_()
    weights = scores.softmax(dim=-1)
    (gradient,) = torch.autograd.grad((weights * direction).sum(), scores)
    return {
        "variance": scores.detach().var(),
        "largest_weight": weights.detach().amax(dim=-1).mean(),
        "gradient": gradient.norm(dim=-1).mean(),
    }


def query_gradients(query, key, divisor, direction):
    """How long the gradient of each query is, for the same random directions of the weights."""
    query = query.clone().requires_grad_()
    weights = (query @ key.t() / divisor).softmax(dim=-1)
    (gradient,) = torch.autograd.grad((weights * direction).sum(), query)
    return gradient.norm(dim=-1)


POSITIONS = {
    "none": lambda d_model: NoPositions(),
    "sinusoidal": lambda d_model: SinusoidalPositions(),
    "learned": lambda d_model: LearnedPositions(512, d_model),
}


def one_layer(vocab_size, d_model, positions):
    """A language model of one layer of self-attention with one head."""
    embedding = TokenEmbedding(vocab_size, d_model, POSITIONS[positions](d_model))
    return CausalLanguageModel(embedding, ResidualAttention(SelfAttention(d_model)))


@experiment(seeds=range(10))
def positions(seed: int) -> dict:
    """Name the symbol two places back: with each kind of position, also beyond the length."""
    row = {"chance": 1 / N_SYMBOLS, "trained": TRAINED_LENGTH, "longer": LONGER}
    for name in POSITIONS:
        row[name] = symbols_before(name, seed)
    return row


def symbols_before(positions, seed, steps=1_000):
    """Accuracy of one layer that is trained to name the symbol two places back."""
    model = initialised(lambda: one_layer(N_SYMBOLS, 32, positions), seed, positions)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    stream = generator(seed, "symbols")
    for _ in range(steps):
        symbols = torch.randint(N_SYMBOLS, (64, TRAINED_LENGTH), generator=stream)
        logits = model(symbols)[:, SHIFT:]
        loss = F.cross_entropy(logits.flatten(0, 1), symbols[:, :-SHIFT].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    stream = generator(seed, "test symbols")
    symbols = torch.randint(N_SYMBOLS, (500, LONGER), generator=stream)
    with torch.no_grad():
        right = model(symbols)[:, SHIFT:].argmax(dim=-1) == symbols[:, :-SHIFT]
    right = right.double()
    inside = TRAINED_LENGTH - SHIFT
    return {"within": right[:, :inside].mean(), "beyond": right[:, inside:].mean()}


def trained_on_language(model, encoded, seed, lr, steps=STEPS, warm_up=200):
    """Train as the recurrent models of chapter 3 were: the same sentences in the same batches."""
    _, train_sentences, dev, _ = encoded
    return train(
        model,
        train_sentences,
        steps=steps,
        lr=lr,
        batch_size=64,
        generator=generator(seed, "batches"),
        warm_up=warm_up,
        weight_decay=0.01,
        max_norm=1.0,
        dev=dev,
        evaluate_every=EVALUATE_EVERY,
    )


def language_row(models, histories, encoded, seed):
    """Bits above the floor during training and at its end, agreement, recall, and what it took."""
    tokenizer, _, dev, test = encoded
    true = TrueModel(TEACHING_GRAMMAR, tokenizer)
    dev_bits, test_bits = bits_of(true, dev), bits_of(true, test)
    some = next(iter(histories.values()))
    return {
        "steps": list(some.dev_bits),
        "tokens": some.n_tokens,
        "parameters": {
            name: sum(p.numel() for p in model.parameters())
            for name, model in models.items()
        },
        "dev_gap": {
            name: [bits - dev_bits for bits in history.dev_bits.values()]
            for name, history in histories.items()
        },
        "gap": {
            name: bits_of(model, test) - test_bits for name, model in models.items()
        },
        "agreement": agreement_of(models, tokenizer, seed),
        "recall": recall_of(models, tokenizer, test),
    }


@experiment(seeds=range(10))
def teaching_language(seed: int) -> dict:
    """One layer of self-attention with one head: bits above the floor, with and without order."""
    encoded = encoded_language(seed)
    models, histories = {}, {}
    for name in ("none", "sinusoidal"):
        models[name] = initialised(
            lambda name=name: one_layer(encoded[0].vocab_size, 64, name), seed, name
        )
        histories[name] = trained_on_language(models[name], encoded, seed, lr=4e-3)
    return language_row(models, histories, encoded, seed)


@experiment(seeds=[0])
def forward_seconds(seed: int) -> dict:
    """Processor seconds of reading one sequence, by its length: RNN, attention, self-attention."""
    layers = {
        "RNN": initialised(lambda: RNN(D_TIMED, D_TIMED), seed, "RNN"),
        "attention": initialised(timed_decoder, seed, "attention"),
        "self-attention": initialised(
            lambda: SelfAttention(D_TIMED), seed, "self-attention"
        ),
    }
    row = {"lengths": TIMED_LENGTHS, "seconds": {name: [] for name in layers}}
    for length in TIMED_LENGTHS:
        stream = generator(seed, f"tokens, {length}")
        hidden = torch.randn(1, length, D_TIMED, generator=stream)
        times = {name: [] for name in layers}
        for _ in range(30):  # in turns, so that what slows one slows all
            for name, layer in layers.items():
                start = time.process_time()
                with torch.no_grad():
                    if name == "attention":
                        read_with_attention(layer, hidden)
                    else:
                        layer(hidden)
                times[name].append(time.process_time() - start)
        for name, measured in times.items():
            row["seconds"][name].append(statistics.median(measured))
    return row


def timed_decoder():
    """The decoder of chapter 5 with additive attention."""
    score = AdditiveScore(D_TIMED, D_TIMED, D_TIMED)
    return AttentionDecoder(score, 2, D_TIMED, D_TIMED, D_TIMED)


def read_with_attention(decoder, memory):
    """As many steps of the decoder as the memory is long."""
    mask = torch.ones(memory.shape[:2], dtype=torch.bool)
    state = decoder.start(Encoded(memory, mask, memory[:, -1], memory))
    for _ in range(memory.shape[1]):
        _, state = decoder.step(torch.zeros(1, dtype=torch.long), state)
