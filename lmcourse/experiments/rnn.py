"""Comparisons of chapter 3: recurrent cells beside the n-gram, and how far gradients reach."""

import math
import time

import torch
from torch import nn

from lmcourse.data.grammar import (
    TEACHING_GRAMMAR,
    TrueModel,
    agreement_cases,
    probe_accuracy,
    recall_cases,
)
from lmcourse.data.python_docs import python_docs
from lmcourse.experiments import experiment
from lmcourse.experiments.markov import RECALL_BINS, bits_of, encoded_language
from lmcourse.markov import ModifiedKneserNey
from lmcourse.rnn import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    LSTMCell,
    RNNCell,
    RNNLanguageModel,
    decay_per_step,
    gradient_norms,
    truncated_backward,
)
from lmcourse.tokenizers import CharTokenizer
from lmcourse.training import clip_gradients, generator, initialised, train

PHRASES = (0, 1, 2, 3, 4)
N_CASES = 300  # agreement tests of each kind
DISTANCE = 40  # steps that a gradient goes back
STEPS, EVALUATE_EVERY = 5_000, 500
TRUNCATION_DISTANCE = 8
CHUNKS = (1, 3, 9)  # divide the 9 predictions: so far back reach the answer's gradients


def orthogonal_rnn(d_input, d_hidden):
    """A plain RNN whose recurrent matrix begins as a rotation: it keeps lengths."""
    layers = RNN(d_input, d_hidden)
    nn.init.orthogonal_(layers.cells[0].weight_hh)
    return layers


def open_lstm(d_input, d_hidden):
    """An LSTM whose forget gates begin open."""
    layers = LSTM(d_input, d_hidden)
    layers.cells[0].open_forget_gates()
    return layers


# The layers of each rival (about 120,000 parameters each with embedding and output), and its
# learning rate, set by hand before the runs.
RIVALS = {
    "RNN": (lambda: orthogonal_rnn(64, 256), 1e-3),
    "LSTM": (lambda: open_lstm(64, 128), 4e-3),
    "GRU": (lambda: GRU(64, 150), 4e-3),
}


def teaching_model(name, vocab_size, seed):
    """One of the rivals, untrained."""
    make, _ = RIVALS[name]
    return initialised(lambda: RNNLanguageModel(vocab_size, make()), seed, name)


@experiment(seeds=range(10))
def teaching_language(seed: int) -> dict:
    """Bits above the floor, agreement and recall: n-gram, RNN, LSTM and GRU."""
    tokenizer, train_sentences, dev, test = encoded_language(seed)
    vocab_size = tokenizer.vocab_size
    true = TrueModel(TEACHING_GRAMMAR, tokenizer)
    true_bits = {"dev": bits_of(true, dev), "test": bits_of(true, test)}
    n_grams = [
        ModifiedKneserNey(order, vocab_size).fit(train_sentences)
        for order in (3, 4, 5, 6)
    ]
    models = {"n-gram": min(n_grams, key=lambda model: bits_of(model, dev))}
    row = {"order": models["n-gram"].order, "dev_gap": {}, "parameters": {}}
    for name, (_, lr) in RIVALS.items():
        models[name] = teaching_model(name, vocab_size, seed)
        history = train(
            models[name],
            train_sentences,
            steps=STEPS,
            lr=lr,
            batch_size=64,
            generator=generator(seed, "batches"),
            warm_up=200,
            weight_decay=0.01,
            max_norm=1.0,
            dev=dev,
            evaluate_every=EVALUATE_EVERY,
        )
        row["dev_gap"][name] = [
            bits - true_bits["dev"] for bits in history.dev_bits.values()
        ]
        row["steps"] = list(history.dev_bits)
        row["tokens"] = history.n_tokens
        row["parameters"][name] = sum(p.numel() for p in models[name].parameters())
    row["gap"] = {
        name: bits_of(model, test) - true_bits["test"] for name, model in models.items()
    }
    row["agreement"] = agreement_of(models, tokenizer, seed)
    row["recall"] = recall_of(models, tokenizer, test)
    row["norms"] = {
        name: trained_norms(models[name], test, generator(seed, "direction"))
        for name in RIVALS
    }
    return row


def agreement_of(models, tokenizer, seed):
    """Share of verbs with the right number, by phrases between: a list for each model and kind."""
    shares = {name: {"congruent": [], "incongruent": []} for name in models}
    for n_phrases in PHRASES:
        for kind in ("congruent", "incongruent"):
            if n_phrases == 0 and kind == "incongruent":
                continue
            stream = generator(seed, f"agreement, {n_phrases} phrases, {kind}")
            cases = agreement_cases(N_CASES, n_phrases, kind == "congruent", stream)
            for name, model in models.items():
                accuracy = probe_accuracy(model, tokenizer, cases, batch_size=N_CASES)
                shares[name][kind].append(accuracy)
    return {"phrases": PHRASES} | shares


def recall_of(models, tokenizer, test):
    """Share of names that are recalled, by the distance of the two names."""
    cases = recall_cases(tokenizer.decode(sentence) for sentence in test)
    binned = [[c for c in cases if a <= c.distance <= b] for a, b in RECALL_BINS]
    return {
        "bins": RECALL_BINS,
        "cases": [len(some) for some in binned],
        "chance": 1 / (len(cases[0].wrong) + 1),
    } | {
        name: [probe_accuracy(model, tokenizer, some) for some in binned]
        for name, model in models.items()
    }


def trained_norms(model, test, stream, distance=20, n_sentences=100):
    """`gradient_norms` of a trained model on long held-out sentences, the nearest step first."""
    long = [sentence[: distance + 1] for sentence in test if len(sentence) > distance]
    with torch.no_grad():
        embedded = model.embedding(torch.tensor(long[:n_sentences]))
    return gradient_norms(model.layers.cells[0], embedded, stream).flip(0)


@experiment(seeds=range(10))
def gradient_decay(seed: int) -> dict:
    """How fast the gradient shrinks on its way back, before any training, by kind of cell."""
    cells = {
        "RNN": lambda: RNNCell(64, 128),
        "RNN, orthogonal": lambda: scaled_rnn(64, 128, 1.0),
        "RNN, orthogonal, doubled": lambda: scaled_rnn(64, 128, 2.0),
        "LSTM": lambda: LSTMCell(64, 128),
        "LSTM, forget bias 1": lambda: lstm_with_bias(64, 128, 1.0),
        "LSTM, forget bias 2": lambda: lstm_with_bias(64, 128, 2.0),
        "GRU": lambda: GRUCell(64, 128),
    }
    stream = generator(seed, "inputs")
    inputs = torch.randn(32, DISTANCE + 1, 64, generator=stream) / math.sqrt(64)
    row = {"distances": list(range(DISTANCE + 1)), "norms": {}, "factor": {}}
    for name, make in cells.items():
        cell = initialised(make, seed, name)
        norms = gradient_norms(cell, inputs, generator(seed, "direction"))
        row["norms"][name] = norms.flip(0)
        row["factor"][name] = decay_per_step(norms)
    return row


def scaled_rnn(d_input, d_hidden, scale):
    """A plain cell whose recurrent matrix is a rotation times a number."""
    cell = RNNCell(d_input, d_hidden)
    nn.init.orthogonal_(cell.weight_hh, gain=scale)
    return cell


def lstm_with_bias(d_input, d_hidden, bias):
    """An LSTM cell whose forget gates begin with a bias."""
    cell = LSTMCell(d_input, d_hidden)
    cell.open_forget_gates(bias)
    return cell


@experiment(seeds=range(10))
def truncation(seed: int) -> dict:
    """Recall of the first token after seven others, by how far the gradient may reach back."""
    row = {"chunks": CHUNKS, "distance": TRUNCATION_DISTANCE, "chance": 1 / 8}
    row["accuracy"] = [recall_trained_with(chunk, seed) for chunk in CHUNKS]
    return row


def recall_trained_with(chunk_length, seed, steps=800):
    """Accuracy of an LSTM on the first token of a sequence, asked for at its end."""
    model = initialised(lambda: RNNLanguageModel(19, open_lstm(16, 32)), seed, "recall")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    stream = generator(seed, "recall sequences")
    for _ in range(steps):
        optimizer.zero_grad()
        truncated_backward(model, recall_sequences(64, stream), chunk_length)
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()
    token_ids = recall_sequences(500, generator(seed, "recall test"))
    with torch.no_grad():
        guesses = model(token_ids[:, :-1])[:, -1, 2:10].argmax(dim=-1) + 2
    return (guesses == token_ids[:, -1]).double().mean()


def recall_sequences(n, stream):
    """One of 8 symbols (ids 2 to 9), seven of 8 others (10 to 17), a query (18), the symbol."""
    symbol = torch.randint(2, 10, (n, 1), generator=stream)
    others = torch.randint(10, 18, (n, TRUNCATION_DISTANCE - 1), generator=stream)
    return torch.cat([symbol, others, torch.full((n, 1), 18), symbol], dim=1)


# Layers and learning rate, set by hand before the run: no search was made.
CHARACTER_RIVALS = {
    "RNN": (lambda: orthogonal_rnn(64, 448), 1e-3),
    "LSTM": (lambda: open_lstm(64, 256), 4e-3),
    "GRU": (lambda: GRU(64, 300), 3e-3),
}


@experiment(seeds=[0])
def python_docs_bits(seed: int) -> dict:
    """Bits per character on Python's documentation: RNN, LSTM and GRU, one thread each."""
    docs = python_docs()
    tokenizer = CharTokenizer.train(docs.train, open_vocabulary=True)
    parts = {"train": docs.train, "dev": docs.dev, "test": docs.test}
    texts = {part: [tokenizer.encode(text) for text in parts[part]] for part in parts}
    row = {"sha256": docs.sha256, "python_version": docs.python_version, "models": {}}
    for name, (make, lr) in CHARACTER_RIVALS.items():
        model = initialised(
            lambda make=make: RNNLanguageModel(tokenizer.vocab_size, make(), 0.2),
            seed,
            name,
        )
        torch.manual_seed(generator(seed, f"dropout, {name}").initial_seed())
        start = time.perf_counter()
        history = train(
            model,
            texts["train"],
            steps=1_000,
            lr=lr,
            batch_size=32,
            generator=generator(seed, "batches"),
            warm_up=100,
            weight_decay=0.01,
            max_norm=1.0,
            dev=texts["dev"],
            evaluate_every=100,
        )
        row["models"][name] = {
            "seconds": time.perf_counter() - start,
            "parameters": sum(p.numel() for p in model.parameters()),
            "tokens": history.n_tokens,
            "steps": list(history.dev_bits),
            "dev_bits": list(history.dev_bits.values()),
            "bits": {part: bits_of(model, texts[part]) for part in ("dev", "test")},
        }
    return row
