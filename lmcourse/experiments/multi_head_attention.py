"""Comparisons of chapter 7: several heads beside one, what heads look at, and which are needed."""

import copy
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

from lmcourse.data.grammar import (
    TEACHING_GRAMMAR,
    TrueModel,
    agreement_cases,
    recall_cases,
)
from lmcourse.experiments import experiment
from lmcourse.experiments.markov import bits_of, encoded_language
from lmcourse.experiments.self_attention import language_row, trained_on_language
from lmcourse.multi_head_attention import (
    MultiHeadAttention,
    attention_maps,
    attention_only_model,
)
from lmcourse.self_attention import (
    LearnedPositions,
    ResidualAttention,
    SelfAttention,
    TokenEmbedding,
)
from lmcourse.training import generator, initialised

N_SYMBOLS, LENGTH, D_SMALL = 16, 12, 32
HEADS = (1, 2, 4)
N_PRUNED_ON = 500  # sentences on which a head's worth is measured
TIMED_HEADS = (1, 2, 4, 8, 16)


class TwoReader(nn.Module):
    """One attention layer that must name two symbols at every place: the first and the one before.

    With or without a feed-forward network after it.
    """

    def __init__(self, n_heads, feed_forward):
        super().__init__()
        self.embedding = TokenEmbedding(
            N_SYMBOLS, D_SMALL, LearnedPositions(LENGTH, D_SMALL)
        )
        self.layer = ResidualAttention(MultiHeadAttention(D_SMALL, n_heads))
        self.feed_forward = feed_forward
        self.output = nn.Linear(D_SMALL, 2 * N_SYMBOLS)

    def forward(self, symbols):
        """Logits of both symbols at every place, (batch, time, 2, symbol)."""
        hidden = self.layer(self.embedding(symbols))
        # (batch, time, 2 * symbol) -> (batch, time, 2, symbol)
        return self.output(self.feed_forward(hidden)).unflatten(2, (2, N_SYMBOLS))


class AddedFeedForward(nn.Module):
    """A network of one hidden layer; what it gives is added to its input."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(D_SMALL, 4 * D_SMALL)
        self.outer = nn.Linear(4 * D_SMALL, D_SMALL)

    def forward(self, hidden):
        """The vectors, each with what the network gives added."""
        return hidden + self.outer(F.relu(self.inner(hidden)))


def two_symbols(n, stream):
    """Symbols, and for each place but the first the first symbol and the one before."""
    symbols = torch.randint(N_SYMBOLS, (n, LENGTH), generator=stream)
    first = symbols[:, :1].expand(-1, LENGTH - 1)
    return symbols, torch.stack([first, symbols[:, :-1]], dim=2)


@experiment(seeds=range(10))
def two_relations(seed: int) -> dict:
    """Name the first symbol and the one before, at once: 1, 2 and 4 heads, equal parameters."""
    row = {"heads": HEADS, "chance": 1 / N_SYMBOLS**2, "parameters": {}}
    for name, make in (
        ("attention alone", nn.Identity),
        ("with feed-forward", AddedFeedForward),
    ):
        row[name], row["parameters"][name] = [], []
        for n_heads in HEADS:
            model = initialised(
                lambda n_heads=n_heads, make=make: TwoReader(n_heads, make()),
                seed,
                f"{name}, {n_heads}",
            )
            row[name].append(both_right(model, seed))
            row["parameters"][name].append(sum(p.numel() for p in model.parameters()))
    return row


def both_right(model, seed, steps=2_000):
    """The share of places at which a model that was trained for it names both symbols."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    stream = generator(seed, "symbols")
    for _ in range(steps):
        symbols, targets = two_symbols(64, stream)
        logits = model(symbols)[:, 1:]
        loss = F.cross_entropy(logits.flatten(0, 2), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    symbols, targets = two_symbols(1_000, generator(seed, "test symbols"))
    with torch.no_grad():
        right = model(symbols)[:, 1:].argmax(dim=-1) == targets
    return right.all(dim=-1).double().mean()


@experiment(seeds=range(10))
def teaching_language(seed: int) -> dict:
    """Two layers of attention alone, with four heads and with one, on the teaching language."""
    encoded = encoded_language(seed)
    tokenizer, _, dev, test = encoded
    models, histories = {}, {}
    for name, n_heads in (("4 heads", 4), ("1 head", 1)):
        models[name] = initialised(
            lambda n_heads=n_heads: attention_only_model(
                tokenizer.vocab_size, n_heads=n_heads
            ),
            seed,
            name,
        )
        histories[name] = trained_on_language(models[name], encoded, seed, lr=4e-3)
    row = language_row(models, histories, encoded, seed)
    row["looks_at"] = looks_at(models["4 heads"], tokenizer, test, seed)
    row["pruning"] = pruning(
        models["4 heads"], TrueModel(TEACHING_GRAMMAR, tokenizer), dev, test, seed
    )
    return row


def looks_at(model, tokenizer, test, seed):
    """The mean weight of every head on certain tokens: (layer, head), and that of even weights."""
    everywhere = {"itself": [], "the word before": [], "the beginning": []}
    for sentence in test[:300]:
        for place in range(2, len(sentence) - 1):
            prefix = sentence[: place + 1]
            everywhere["itself"].append((prefix, place))
            everywhere["the word before"].append((prefix, place - 1))
            everywhere["the beginning"].append((prefix, 0))
    words = [tokenizer.decode(sentence) for sentence in test]
    cases = [
        (tokenizer.encode(" ".join(case.prefix))[:-1], len(case.prefix) - case.distance)
        for case in recall_cases(words)[:500]
    ]
    speaker = [(prefix, word + 1) for prefix, word in cases]
    subject = []
    for n_phrases in (1, 2, 3):
        stream = generator(seed, f"subjects, {n_phrases}")
        for case in agreement_cases(150, n_phrases, False, stream):
            prefix = tokenizer.encode(" ".join(case.prefix))[:-1]
            subject.append((prefix, len(case.prefix) - case.distance + 1))
    places = everywhere | {"the speaker": speaker, "the subject": subject}
    row = {}
    for name, some in places.items():
        row[name] = {
            "weight": mean_weights(model, some),
            "even": statistics.fmean(1 / len(prefix) for prefix, _ in some),
        }
    return row


def mean_weights(model, places):
    """The mean weight, (layer, head), of the last token of each prefix on one of its tokens."""
    by_length = {}
    for prefix, place in places:
        by_length.setdefault(len(prefix), []).append((prefix, place))
    total = 0
    for some in by_length.values():
        maps = attention_maps(model, torch.tensor([prefix for prefix, _ in some]))
        last = maps[:, :, :, -1]  # (layer, case, head, key)
        place = torch.tensor([place for _, place in some])[None, :, None, None]
        index = place.expand(len(maps), -1, maps.shape[2], 1)
        total = total + last.gather(3, index).squeeze(3).double().sum(dim=1)
    return total / len(places)


def pruning(model, true, dev, test, seed):
    """What each head is worth, and what is lost when heads go one by one, the cheapest first."""
    dev, test = dev[:N_PRUNED_ON], test[:N_PRUNED_ON]
    true_bits = bits_of(true, test)
    whole = bits_of(model, test)
    n_layers = len(model.layers.layers)
    n_heads = model.layers.layers[0].attention.n_heads
    everyone = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    worth = [
        [
            bits_of(without(model, {(layer, head)}), test) - whole
            for head in range(n_heads)
        ]
        for layer in range(n_layers)
    ]
    gone, cheapest = set(), [whole - true_bits]
    while allowed := removable(everyone, gone):
        gone |= {
            min(allowed, key=lambda head: bits_of(without(model, gone | {head}), dev))
        }
        cheapest.append(bits_of(without(model, gone), test) - true_bits)
    gone, by_chance = set(), [whole - true_bits]
    stream = generator(seed, "heads")
    while allowed := removable(everyone, gone):
        gone |= {allowed[int(torch.randint(len(allowed), (), generator=stream))]}
        by_chance.append(bits_of(without(model, gone), test) - true_bits)
    return {"worth": worth, "cheapest_first": cheapest, "by_chance": by_chance}


def removable(everyone, gone):
    """The heads that can still go: each layer keeps one."""
    left = [head for head in everyone if head not in gone]
    return [
        (layer, head)
        for layer, head in left
        if sum(other == layer for other, _ in left) > 1
    ]


def without(model, heads):
    """A copy of the model that lacks some heads, given as (layer, head)."""
    smaller = copy.deepcopy(model)
    for number, layer in enumerate(smaller.layers.layers):
        layer.attention.prune_heads({head for at, head in heads if at == number})
    return smaller


@experiment(seeds=[0])
def forward_seconds(seed: int) -> dict:
    """Processor seconds of a forward pass: all heads at once, and one after the other."""
    hidden = torch.randn(16, 128, 256, generator=generator(seed, "tokens"))
    row = {"heads": TIMED_HEADS, "at_once": [], "one_by_one": []}
    for n_heads in TIMED_HEADS:
        together = initialised(
            lambda n_heads=n_heads: MultiHeadAttention(256, n_heads), seed, "together"
        )
        alone = initialised(
            lambda n_heads=n_heads: nn.ModuleList(
                SelfAttention(256, 256 // n_heads) for _ in range(n_heads)
            ),
            seed,
            "alone",
        )
        output = together.out_projection
        ways = {
            "at_once": lambda together=together: together(hidden),
            "one_by_one": lambda alone=alone, output=output: output(
                torch.cat([head(hidden) for head in alone], dim=2)
            ),
        }
        times = {name: [] for name in ways}
        for _ in range(15):
            for name, way in ways.items():
                start = time.process_time()
                with torch.no_grad():
                    way()
                times[name].append(time.process_time() - start)
        for name, measured in times.items():
            row[name].append(statistics.median(measured))
    return row
