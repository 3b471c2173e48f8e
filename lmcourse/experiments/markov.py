"""Comparisons of chapter 2: smoothing and order, on the teaching language and on real text."""

import statistics
from collections import Counter

import numpy as np
import torch

from lmcourse.data.grammar import (
    TEACHING_GRAMMAR,
    TrueModel,
    agreement_cases,
    probe_accuracy,
    recall_cases,
    teaching_language,
)
from lmcourse.data.python_docs import python_docs
from lmcourse.data.rabbits import RABBITS
from lmcourse.experiments import experiment
from lmcourse.language_models import cross_entropy, token_log_probs
from lmcourse.markov import (
    Additive,
    BackOff,
    Interpolated,
    KneserNey,
    MaximumLikelihood,
    ModifiedKneserNey,
    NGramCounts,
    SoftmaxBigram,
    transition_counts,
    transition_matrix,
)
from lmcourse.tokenizers import CharTokenizer, WordTokenizer
from lmcourse.training import generator, train

ORDERS = (1, 2, 3, 4, 5, 6)
CHARACTER_ORDERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24)
ALPHAS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
DISCOUNTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
N_MEASURED = 4_000  # training sentences that training bits are measured on
SEEN = (1, 2, 3, 4, 5, 6, 7, 8)
SIZES = (2_500, 5_000, 10_000, 20_000, 40_000, 80_000)
PHRASES = (0, 1, 2, 3)
RECALL_BINS = ((8, 10), (11, 16), (17, 24), (25, 1000))


def encoded_language(seed, n_train=40_000):
    """The teaching language of a seed: its tokenizer, and token ids of train, dev and test."""
    language = teaching_language(seed, n_train=n_train)
    tokenizer = language.tokenizer
    parts = (language.train, language.dev, language.test)
    return tokenizer, *([tokenizer.encode(text) for text in part] for part in parts)


def bits_of(model, sentences):
    """Cross-entropy in bits per token, in large batches."""
    return cross_entropy(model, sentences, batch_size=500)


def best_on_dev(models, dev):
    """The model that needs the fewest bits on the development text."""
    return min(models, key=lambda model: bits_of(model, dev))


def counted_probs(orders, vocab_size, train_sentences, dev):
    """What the uniform distribution, then maximum likelihood of each order, says about `dev`.

    One row for each of them, one column for each token to predict: its probability, and whether
    the order has an opinion. It has none where the context is shorter, or was never seen.
    """
    place = np.concatenate([np.arange(len(sentence) - 1) for sentence in dev])
    probs = [np.full(len(place), 1 / (vocab_size - 1))]
    known = [np.ones(len(place), bool)]
    for order in orders:
        model = MaximumLikelihood(order, vocab_size).fit(train_sentences)
        log_probs = token_log_probs(model, dev, batch_size=500)
        # The context is the n-gram, one shorter, that ends one token before.
        seen = np.append(True, probs[-1][:-1] > 0) | (place == 0)  # <s> was seen
        known.append(seen & (place >= order - 2))
        probs.append(torch.cat(log_probs).exp().numpy())
    return np.stack(probs), np.stack(known)


def estimated_lambdas(probs, known, n_rounds=2_000):
    """Weights of `Interpolated` under which a text is likely (see `counted_probs`).

    Expectation maximisation: a round asks for each token how much each order had to do with it.
    An order gets what it had to do with, as a share of what all orders up to it had to do with,
    of the tokens where it has an opinion. It ends when no share moves by 1e-7.
    """
    shares = np.full(len(probs), 0.5)
    shares[0] = 1  # what no order takes is left to the uniform distribution
    for _ in range(n_rounds):
        left, taken = np.ones(probs.shape[1]), np.empty_like(probs)
        for k in reversed(range(len(probs))):
            taken[k] = np.where(known[k], left * shares[k] * probs[k], 0)
            left = np.where(known[k], left * (1 - shares[k]), left)
        taken /= taken.sum(axis=0)
        up_to = taken.cumsum(axis=0)
        before = shares
        shares = taken.sum(axis=1) / (up_to * known).sum(axis=1)
        if abs(shares - before).max() < 1e-7:
            break
    left = np.append(np.cumprod(1 - shares[::-1])[:-1][::-1], 1)
    lambdas = shares * left
    return tuple((lambdas / lambdas.sum()).tolist())


def smoothed_models(order, vocab_size, train_sentences, dev, dev_probs):
    """One fitted model for each way of smoothing; a free number is chosen on `dev`."""
    shape = {"order": order, "vocab_size": vocab_size}
    ngrams = NGramCounts(train_sentences, order, vocab_size)
    additive = [Additive(alpha=alpha, **shape).fit_counts(ngrams) for alpha in ALPHAS]
    back_off = [
        BackOff(discount=discount, **shape).fit_counts(ngrams) for discount in DISCOUNTS
    ]
    probs, known = dev_probs
    lambdas = estimated_lambdas(probs[: order + 1], known[: order + 1])
    return {
        "add one": additive[0],
        "add alpha": best_on_dev(additive, dev),
        "interpolated": Interpolated(lambdas=lambdas, **shape).fit_counts(ngrams),
        "back-off": best_on_dev(back_off, dev),
        "Kneser-Ney": KneserNey(**shape).fit_counts(ngrams),
        "modified Kneser-Ney": ModifiedKneserNey(**shape).fit_counts(ngrams),
    }


def settings(models):
    """The numbers that were chosen on the development text."""
    return {
        "alpha": models["add alpha"].alpha,
        "discount": models["back-off"].discount,
        "lambdas": models["interpolated"].lambdas,
    }


@experiment(seeds=range(10))
def order_and_smoothing(seed: int) -> dict:
    """Bits per word of every smoothing at every order, on the teaching language."""
    tokenizer, train_sentences, dev, test = encoded_language(seed)
    vocab_size = tokenizer.vocab_size
    true = TrueModel(TEACHING_GRAMMAR, tokenizer)
    true_bits = {"dev": bits_of(true, dev), "test": bits_of(true, test)}
    dev_probs = counted_probs(ORDERS, vocab_size, train_sentences, dev)
    row = {"train_bits": {}, "dev_gap": {}, "test_gap": {}}
    chosen_settings = []
    for order in ORDERS:
        models = smoothed_models(order, vocab_size, train_sentences, dev, dev_probs)
        chosen_settings.append(settings(models))
        for name, model in models.items():
            train_bits = bits_of(model, train_sentences[:N_MEASURED])
            row["train_bits"].setdefault(name, []).append(train_bits)
            row["dev_gap"].setdefault(name, []).append(
                bits_of(model, dev) - true_bits["dev"]
            )
            row["test_gap"].setdefault(name, []).append(
                bits_of(model, test) - true_bits["test"]
            )
    chosen = {}
    for name, gaps in row["dev_gap"].items():
        place = gaps.index(min(gaps))
        chosen[name] = {"order": ORDERS[place], "gap": row["test_gap"][name][place]}
    return {
        **row,
        "chosen": chosen,
        "orders": ORDERS,
        "settings": chosen_settings,
        "true_bits": true_bits,
    }


@experiment(seeds=range(10))
def sparsity(seed: int) -> dict:
    """What maximum likelihood knows: training bits, n-grams never seen, contexts, by order."""
    tokenizer, train_sentences, _, test = encoded_language(seed)
    row = {
        "train_bits": [],
        "unseen": [],
        "impossible": [],
        "contexts": [],
        "seen_once": [],
    }
    for order in ORDERS:
        model = MaximumLikelihood(order, tokenizer.vocab_size).fit(train_sentences)
        log_probs = token_log_probs(model, test, batch_size=500)
        # n-grams of full length: not the first tokens, whose context is shorter
        full = torch.cat([tokens[max(order - 2, 0) :] for tokens in log_probs])
        counts = model.ngrams.counts[order]
        row["train_bits"].append(bits_of(model, train_sentences[:N_MEASURED]))
        row["unseen"].append(full.isneginf().double().mean())
        row["impossible"].append(
            statistics.fmean(bool(tokens.isneginf().any()) for tokens in log_probs)
        )
        row["contexts"].append(len(np.unique(model.ngrams.prefixes[order])))
        row["seen_once"].append((counts == 1).sum() / counts.sum())
    true = TrueModel(TEACHING_GRAMMAR, tokenizer)
    true_train_bits = bits_of(true, train_sentences[:N_MEASURED])
    return row | {"orders": ORDERS, "true_train_bits": true_train_bits}


@experiment(seeds=range(10))
def seen_again(seed: int) -> dict:
    """How often an n-gram of one half of the text comes again in the other half, by its count."""
    tokenizer, sentences, _, _ = encoded_language(seed)
    half = len(sentences) // 2
    row = {}
    for order in (3, 4):
        first = Counter(ngrams(sentences[:half], order))
        second = Counter(ngrams(sentences[half:], order))
        row[str(order)] = [
            statistics.fmean(second[ngram] for ngram in first if first[ngram] == count)
            for count in SEEN
        ]
    return row | {"seen": SEEN}


def ngrams(sentences, order):
    """Every n-gram of the sentences, one after the other."""
    for sentence in sentences:
        yield from zip(*(sentence[start:] for start in range(order)), strict=False)


@experiment(seeds=range(10))
def text_size(seed: int) -> dict:
    """Gap of modified Kneser-Ney to the true grammar, by order and amount of training text."""
    tokenizer, train_sentences, dev, test = encoded_language(seed, n_train=max(SIZES))
    true = TrueModel(TEACHING_GRAMMAR, tokenizer)
    texts = {"dev_gap": dev, "test_gap": test}
    true_bits = {part: bits_of(true, text) for part, text in texts.items()}
    row = {part: {} for part in texts}
    for size in SIZES:
        for order in ORDERS[1:]:
            model = ModifiedKneserNey(order, tokenizer.vocab_size)
            model.fit(train_sentences[:size])
            for part, text in texts.items():
                gaps = row[part].setdefault(str(order), [])
                gaps.append(bits_of(model, text) - true_bits[part])
    return row | {"sizes": SIZES}


@experiment(seeds=range(10))
def agreement(seed: int) -> dict:
    """Does the verb agree with its subject, across 0 to 3 prepositional phrases?"""
    tokenizer, train_sentences, _, _ = encoded_language(seed)
    row = {}
    for order in (2, 3, 4, 5, 6):
        model = ModifiedKneserNey(order, tokenizer.vocab_size).fit(train_sentences)
        row[str(order)] = {"congruent": [], "incongruent": [], "balanced": []}
        for n_phrases in PHRASES:
            accuracy = []
            for congruent in (True, False):
                if n_phrases > 0 or congruent:
                    chance = generator(
                        seed, f"agreement, {n_phrases} phrases, {congruent}"
                    )
                    cases = agreement_cases(300, n_phrases, congruent, chance)
                    accuracy.append(
                        probe_accuracy(model, tokenizer, cases, batch_size=300)
                    )
            row[str(order)]["congruent"].append(accuracy[0])
            row[str(order)]["incongruent"].append(accuracy[-1])
            row[str(order)]["balanced"].append(statistics.fmean(accuracy))
    return row | {"phrases": PHRASES}


@experiment(seeds=range(10))
def recall(seed: int) -> dict:
    """Is the speaker named again where the speech closes? By the distance between the names."""
    tokenizer, train_sentences, _, test = encoded_language(seed)
    cases = recall_cases(tokenizer.decode(sentence) for sentence in test)
    binned = [
        [case for case in cases if a <= case.distance <= b] for a, b in RECALL_BINS
    ]
    row = {"bins": RECALL_BINS, "chance": 1 / (len(cases[0].wrong) + 1)}
    row["cases"] = [len(some) for some in binned]
    for order in (3, 5, 9):
        model = ModifiedKneserNey(order, tokenizer.vocab_size).fit(train_sentences)
        row[str(order)] = [probe_accuracy(model, tokenizer, some) for some in binned]
    return row


@experiment(seeds=[0])
def python_docs_bits(seed: int) -> dict:
    """Bits per character on Python's documentation: the bar for every model of this course."""
    docs = python_docs()
    tokenizer = CharTokenizer.train(docs.train, open_vocabulary=True)
    parts = {"train": docs.train, "dev": docs.dev, "test": docs.test}
    texts = {part: [tokenizer.encode(text) for text in parts[part]] for part in parts}
    vocab_size = tokenizer.vocab_size
    every_order = range(1, max(CHARACTER_ORDERS) + 1)
    dev_probs = counted_probs(every_order, vocab_size, texts["train"], texts["dev"])
    row = {"train": {}, "dev": {}, "test": {}}
    chosen_settings = []
    for order in CHARACTER_ORDERS:
        models = smoothed_models(
            order, vocab_size, texts["train"], texts["dev"], dev_probs
        )
        chosen_settings.append(settings(models))
        for name, model in models.items():
            for part in texts:
                row[part].setdefault(name, []).append(bits_of(model, texts[part]))
    chosen = {}
    for name, dev_bits in row["dev"].items():
        place = dev_bits.index(min(dev_bits))
        chosen[name] = {
            "order": CHARACTER_ORDERS[place],
            "test": row["test"][name][place],
        }
    return {
        **row,
        "chosen": chosen,
        "orders": CHARACTER_ORDERS,
        "sha256": docs.sha256,
        "python_version": docs.python_version,
        "vocab_size": vocab_size,
        "settings": chosen_settings,
        "characters": {
            part: sum(len(text) - 1 for text in texts[part]) for part in texts
        },
    }


@experiment(seeds=range(10))
def gradient_descent(seed: int) -> dict:
    """One linear layer and softmax, trained from random weights, against the counted table."""
    tokenizer = WordTokenizer.train(RABBITS)
    corpus = [tokenizer.encode(sentence) for sentence in RABBITS]
    counted = transition_matrix(transition_counts(corpus, tokenizer.vocab_size))
    model = SoftmaxBigram(tokenizer.vocab_size)
    with torch.no_grad():
        model.linear.weight.normal_(generator=generator(seed, "initial weights"))
    losses = train(model, corpus, steps=1000, lr=0.3).losses
    contexts = torch.tensor(
        [token for token in range(tokenizer.vocab_size) if token != 1]
    )
    trained = model(contexts[None])[0].softmax(dim=-1).detach()
    return {
        "losses": losses[:200:4],
        "steps": list(range(0, 200, 4)),
        "last_loss": losses[-1],
        "largest_difference": (trained - counted[contexts]).abs().max(),
    }
