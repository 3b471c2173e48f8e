"""Comparisons of chapter 4: what one vector can carry, and what helps it."""

import torch

from lmcourse.data.translation import LEXICON, translation_data
from lmcourse.experiments import experiment
from lmcourse.probing import LinearProbe
from lmcourse.rnn import GRU
from lmcourse.seq2seq import (
    Decoder,
    Encoder,
    Seq2Seq,
    beam_search,
    exact_match,
    greedy_search,
    small_translator,
    token_accuracy,
)
from lmcourse.training import generator, initialised, train

D_HIDDEN = 64
STEPS = 1_200
THIRDS = ((1, 9), (10, 15), (16, 100))  # source words: about a third of the pairs each
LENGTHS = ((1, 4), (5, 6), (7, 9), (10, 12), (13, 15), (16, 18), (19, 22), (23, 100))
MOST_WORDS = 60  # a translation is cut off there
WIDTHS = (1, 2, 4, 8)
N_BEAM = 200  # test sentences of the beam search: it takes them one by one
NOUNS = ((2, 2), (3, 3), (4, 4), (5, 6), (7, 20))  # nouns of a source sentence


def encoded_pairs(data, pairs, *, reverse=False):
    """Token ids of pairs; the words of the source turned round, if asked for."""
    encoded = []
    for pair in pairs:
        source = data.source_tokenizer.encode(pair.source)
        if reverse:
            source = [source[0], *reversed(source[1:-1]), source[-1]]
        encoded.append((source, data.target_tokenizer.encode(pair.target)))
    return encoded


def trained_translator(make, name, data, seed, *, reverse=False):
    """A translator that has learned the training pairs: the same batches for every kind."""
    model = initialised(
        lambda: make(len(data.source_tokenizer), len(data.target_tokenizer), D_HIDDEN),
        seed,
        name,
    )
    train(
        model,
        encoded_pairs(data, data.train, reverse=reverse),
        steps=STEPS,
        lr=4e-3,
        batch_size=64,
        generator=generator(seed, "batches"),
        warm_up=100,
        max_norm=1.0,
        dev=encoded_pairs(data, data.dev, reverse=reverse),
        evaluate_every=200,
    )
    return model


def by_length(model, pairs, bins):
    """Exact match and token accuracy of greedy translations, by the number of source words."""
    written = greedy_search(model, [source for source, _ in pairs], MOST_WORDS)
    rows = {"exact": [], "tokens": [], "pairs": []}
    for low, high in bins:
        some = [
            (ours, target)
            for ours, (source, target) in zip(written, pairs, strict=True)
            if low <= len(source) - 2 <= high
        ]
        rows["exact"].append(exact_match(*zip(*some, strict=True)))
        rows["tokens"].append(token_accuracy(*zip(*some, strict=True)))
        rows["pairs"].append(len(some))
    return rows


def quality(model, data, *, reverse=False):
    """How good the translations are: by length, in thirds, and beyond the trained lengths."""
    test = encoded_pairs(data, data.test, reverse=reverse)
    longer = encoded_pairs(data, data.longer, reverse=reverse)
    everything = ((1, 100),)
    return {
        "lengths": by_length(model, test, LENGTHS),
        "thirds": by_length(model, test, THIRDS),
        "all": by_length(model, test, everything),
        "longer": by_length(model, longer, everything),
    }


def changed_by_articles(model, data):
    """How often a translation changes when every "a" becomes "the" and every "the" becomes "a".

    Korean has no articles: the gold translation stays the same. A share for each third.
    """
    other = {"a": "the", "the": "a"}
    tokenizer = data.source_tokenizer
    shares = []
    for low, high in THIRDS:
        sources = [
            pair.source.split()
            for pair in data.test
            if low <= len(pair.source.split()) <= high
        ]
        swapped = [[other.get(word, word) for word in words] for words in sources]
        before, after = (
            greedy_search(
                model,
                [tokenizer.encode(" ".join(words)) for words in sentences],
                MOST_WORDS,
            )
            for sentences in (sources, swapped)
        )
        changed = sum(a != b for a, b in zip(before, after, strict=True))
        shares.append(changed / len(sources))
    return shares


@torch.no_grad()
def context_vectors(model, data, pairs):
    """The context vector of each source sentence, and the nouns of each, in order."""
    nouns = noun_ids(data)
    sources = [source for source, _ in encoded_pairs(data, pairs)]
    contexts = [
        model.encoder.encode(sources[start : start + 500]).context
        for start in range(0, len(sources), 500)
    ]
    return torch.cat(contexts), [
        [nouns[token] for token in source if token in nouns] for source in sources
    ]


def noun_ids(data):
    """The source tokens that are nouns, numbered from 0."""
    return {
        data.source_tokenizer.token_to_id[noun]: number
        for number, noun in enumerate(LEXICON["noun"])
    }


def what_the_context_keeps(model, data):
    """Accuracy of linear probes for the first, the middle and the last noun of a sentence.

    One probe for each place and number of nouns, trained on context vectors of training sentences
    and measured on those of the test. Beside it the share of the most frequent noun there.
    """
    train_vectors, train_nouns = context_vectors(model, data, data.train)
    test_vectors, test_nouns = context_vectors(model, data, data.test)
    places = {"first": lambda n: 0, "middle": lambda n: n // 2, "last": lambda n: n - 1}
    row = {place: [] for place in places} | {"majority": []}
    for low, high in NOUNS:
        train_rows = rows_with(train_nouns, low, high)
        test_rows = rows_with(test_nouns, low, high)
        majority = []
        for place, position in places.items():
            labels, test_labels = (
                torch.tensor([nouns[i][position(len(nouns[i]))] for i in rows])
                for nouns, rows in ((train_nouns, train_rows), (test_nouns, test_rows))
            )
            probe = LinearProbe().fit(train_vectors[train_rows], labels, n_classes=8)
            accuracy = probe.accuracy(test_vectors[test_rows], test_labels)
            row[place].append(accuracy)
            majority.append(test_labels.bincount().max().item() / len(test_labels))
        row["majority"].append(max(majority))
    return row


def rows_with(nouns, low, high, most=3_000):
    """The sentences with so many nouns, at most 3,000 of them."""
    return [i for i, some in enumerate(nouns) if low <= len(some) <= high][:most]


def by_width(model, data):
    """Beam search: exact match, and the mean log probability of what was written, by width."""
    test = encoded_pairs(data, data.test)[:N_BEAM]
    row = {"widths": WIDTHS, "exact": [], "log_prob": []}
    for width in WIDTHS:
        best = [beam_search(model, source, width, MOST_WORDS)[0] for source, _ in test]
        written = [beam.token_ids for beam in best]
        row["exact"].append(exact_match(written, [target for _, target in test]))
        row["log_prob"].append(sum(beam.log_prob for beam in best) / len(best))
    return row


@experiment(seeds=range(10))
def bottleneck(seed: int) -> dict:
    """The translator with one context vector: quality by length, and what the vector keeps."""
    data = translation_data(seed)
    model = trained_translator(small_translator, "fixed context", data, seed)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": STEPS,
        "bins": LENGTHS,
        "thirds": THIRDS,
        "nouns": NOUNS,
        "quality": quality(model, data),
        "changed_by_articles": changed_by_articles(model, data),
        "probe": what_the_context_keeps(model, data),
        "beam": by_width(model, data),
    }


def one_way_translator(source_vocab_size, target_vocab_size, d_hidden):
    """A translator whose encoder reads from left to right only."""
    layers = GRU(d_hidden, d_hidden)
    return Seq2Seq(
        Encoder(source_vocab_size, layers),
        Decoder(target_vocab_size, d_hidden, d_hidden, layers.d_output),
    )


@experiment(seeds=range(10))
def reversal(seed: int) -> dict:
    """An encoder that reads one way: the source as it is, and turned round."""
    data = translation_data(seed)
    row = {"thirds": THIRDS}
    for name, reverse in (("as it is", False), ("reversed", True)):
        model = trained_translator(
            one_way_translator, "one way", data, seed, reverse=reverse
        )
        row[name] = quality(model, data, reverse=reverse)
    return row
