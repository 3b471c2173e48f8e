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
    SoftmaxBigram,
    transition_counts,
    transition_matrix,
)
from lmcourse.tokenizers import CharTokenizer, WordTokenizer
from lmcourse.training import generator, train

ORDERS = (1, 2, 3, 4, 5, 6)
CHARACTER_ORDERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
ALPHAS = (1.0, 0.1, 0.01)
DISCOUNTS = (0.5, 0.8)
N_MEASURED = 4_000  # training sentences that training bits are measured on
SEEN = (1, 2, 3, 4, 5, 6, 7, 8)
SIZES = (2_500, 5_000, 10_000, 20_000, 40_000, 80_000)
PHRASES = (0, 1, 2, 3)
RECALL_BINS = ((1, 10), (11, 16), (17, 24), (25, 1000))


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
    """What the uniform model, then maximum likelihood of each order, says of each token of dev."""
    probs = [np.full(sum(map(len, dev)) - len(dev), 1 / (vocab_size - 1))]
    for order in orders:
        model = MaximumLikelihood(order, vocab_size).fit(train_sentences)
        probs.append(
            torch.cat(token_log_probs(model, dev, batch_size=500)).exp().numpy()
        )
    return np.stack(probs)


def estimated_lambdas(probs, n_rounds=20):
    """Weights of some models under which a text is likely; a row of `probs` is a model.

    Expectation maximisation (Jelinek and Mercer 1980): a round asks for each token how much each
    model had to do with it, and takes the mean as the new weight of the model.
    """
    lambdas = np.full(len(probs), 1 / len(probs))
    for _ in range(n_rounds):
        shares = lambdas[:, None] * probs
        lambdas = (shares / shares.sum(axis=0)).mean(axis=1)
    return tuple((lambdas / lambdas.sum()).tolist())


def smoothed_models(order, vocab_size, train_sentences, dev):
    """One fitted model for each way of smoothing; a free number is chosen on `dev`."""
    shape = {"order": order, "vocab_size": vocab_size}
    additive = [Additive(alpha=alpha, **shape).fit(train_sentences) for alpha in ALPHAS]
    back_off = [
        BackOff(discount=discount, **shape).fit(train_sentences)
        for discount in DISCOUNTS
    ]
    return {
        "add one": additive[0],
        "add alpha": best_on_dev(additive, dev),
        "back-off": best_on_dev(back_off, dev),
        "Kneser-Ney": KneserNey(**shape).fit(train_sentences),
        "modified Kneser-Ney": ModifiedKneserNey(**shape).fit(train_sentences),
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
    for order in ORDERS:
        models = smoothed_models(order, vocab_size, train_sentences, dev)
        lambdas = estimated_lambdas(dev_probs[: order + 1])
        mixture = Interpolated(order, vocab_size, lambdas).fit(train_sentences)
        for name, model in (models | {"interpolated": mixture}).items():
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
    return {**row, "chosen": chosen, "orders": ORDERS, "true_bits": true_bits}


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
        counts = model.ngrams.counts[order]
        row["train_bits"].append(bits_of(model, train_sentences[:N_MEASURED]))
        row["unseen"].append(torch.cat(log_probs).isneginf().double().mean())
        row["impossible"].append(
            statistics.fmean(bool(tokens.isneginf().any()) for tokens in log_probs)
        )
        row["contexts"].append(1 if order == 1 else len(model.ngrams.counts[order - 1]))
        row["seen_once"].append((counts == 1).sum() / counts.sum())
    return row | {"orders": ORDERS}


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
    """Gap above the floor of modified Kneser-Ney, by order and amount of training text."""
    tokenizer, train_sentences, _, test = encoded_language(seed, n_train=max(SIZES))
    true_bits = bits_of(TrueModel(TEACHING_GRAMMAR, tokenizer), test)
    gaps = {}
    for size in SIZES:
        for order in ORDERS[1:]:
            model = ModifiedKneserNey(order, tokenizer.vocab_size).fit(
                train_sentences[:size]
            )
            gaps.setdefault(str(order), []).append(bits_of(model, test) - true_bits)
    return {"gap": gaps, "sizes": SIZES}


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
    row = {"train": {}, "dev": {}, "test": {}}
    for order in CHARACTER_ORDERS:
        models = smoothed_models(
            order, tokenizer.vocab_size, texts["train"], texts["dev"]
        )
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
        "vocab_size": tokenizer.vocab_size,
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
    losses = train(model, corpus, steps=1000, lr=0.3)
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
