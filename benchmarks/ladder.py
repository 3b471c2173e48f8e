"""The ladder of the book in small, on the teaching language: are its rungs far enough apart?

N-gram, plain RNN, LSTM and Transformer learn the same 40,000 sentences. The neural models come
from torch.nn, have about 120,000 parameters each and read the same batches in the same order;
each is kept as it was when it was best on the dev sentences. The grammar was tuned until
neighbouring rungs stood more than three standard deviations apart.

Run `python -m benchmarks.ladder` (about ten minutes a seed on one core): it measures the seeds
that ladder.json lacks, stores them there and rewrites the table in README.md.
"""

import copy
import json
import math
import multiprocessing
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tables import rewrite_table
from lmcourse.data.grammar import (
    NAMES,
    TEACHING_GRAMMAR,
    TrueModel,
    agreement_cases,
    probe_accuracy,
    recall_cases,
    teaching_language,
)
from lmcourse.experiments import machine, rounded, versions
from lmcourse.language_models import (
    LanguageModel,
    Unigram,
    cross_entropy,
    gap,
    pad_sentences,
)
from lmcourse.markov import ModifiedKneserNey
from lmcourse.training import generator

STORED = Path(__file__).with_name("ladder.json")
SEEDS = range(4)
RUNGS = ("unigram", "n-gram", "RNN", "LSTM", "Transformer")
STEPS = 5_000
BATCH_SIZE = 64
EVALUATE_EVERY = 500
WARM_UP_STEPS = 200
ORDERS = range(2, 8)
DISTANCES = {"1-10": (1, 10), "11-16": (11, 16), "17-24": (17, 24), "25+": (25, 10_000)}
N_PHRASES = range(5)
N_AGREEMENT_CASES = 200


def ladder(seed: int) -> dict:
    """Bits above the floor, agreement and recall of every rung, for one seed."""
    language, sentences, true_model = _language(seed)
    vocab_size = len(language.tokenizer)
    models: dict[str, LanguageModel] = {
        "unigram": Unigram.fit(sentences["train"], vocab_size)
    }
    n_grams = {
        order: ModifiedKneserNey(order, vocab_size).fit(sentences["train"])
        for order in ORDERS
    }
    order_gaps = {n: gap(m, true_model, sentences["dev"]) for n, m in n_grams.items()}
    best_order = min(order_gaps, key=order_gaps.get)
    models["n-gram"] = n_grams[best_order]
    curves, best_steps, n_tokens = {}, {}, 0
    for name, (kind, lr) in RIVALS.items():
        torch.manual_seed(generator(seed, f"initialisation, {name}").initial_seed())
        models[name] = kind(vocab_size)
        curves[name], best_steps[name], n_tokens = _train(
            models[name], sentences, lr, seed
        )
    true_dev_bits = cross_entropy(true_model, sentences["dev"])
    return {
        "floor": language.floor,
        "true_model_bits": cross_entropy(true_model, sentences["test"]),
        "best_order": best_order,
        "order_dev_gap": order_gaps,
        "steps": STEPS,
        "tokens": n_tokens,
        "parameters": {
            name: sum(p.numel() for p in models[name].parameters()) for name in RIVALS
        },
        "best_step": best_steps,
        "dev_gap": {
            name: [bits - true_dev_bits for bits in curve]
            for name, curve in curves.items()
        },
        "gap": {n: gap(m, true_model, sentences["test"]) for n, m in models.items()},
    } | _probes({n: models[n] for n in RUNGS[1:]}, language, seed)


def separations(rows: Sequence[dict]) -> dict[str, float]:
    """How many standard deviations lie between neighbouring rungs: of the paired differences."""
    apart = {}
    for lower, higher in zip(RUNGS, RUNGS[1:], strict=False):
        differences = [row["gap"][lower] - row["gap"][higher] for row in rows]
        spread = statistics.stdev(differences)
        apart[f"{lower}, {higher}"] = statistics.mean(differences) / spread
    return apart


def table(rows: Sequence[dict]) -> str:
    """The table of README.md, as Markdown."""
    lines = [
        "| | bits above the floor | deviations below the rung before "
        + "".join(f"| name recalled, {distance} words " for distance in DISTANCES)
        + "|",
        "| --- |" + " ---: |" * (2 + len(DISTANCES)),
    ]
    apart = ["", *(f"{value:.0f}" for value in separations(rows).values())]
    for rung, deviations in zip(RUNGS, apart, strict=True):
        gaps = [row["gap"][rung] for row in rows]
        recall = [
            f"{statistics.mean(row['recall'][rung][distance] for row in rows):.2f}"
            if rung != "unigram"
            else ""
            for distance in DISTANCES
        ]
        cells = [f"{statistics.mean(gaps):.3f} ± {statistics.stdev(gaps):.3f}"]
        lines.append("| " + " | ".join([rung, *cells, deviations, *recall]) + " |")
    first = rows[0]
    lines += [
        "",
        f"{len(rows)} seeds, mean ± standard deviation. Floor {first['floor']:.4f} bits per word; "
        f"{first['steps']:,} steps, {first['tokens']:,} tokens; a name by chance: "
        f"{1 / len(NAMES):.3f}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure the seeds that are not stored yet, and rewrite the table."""
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    rows = stored.get("rows", {})
    missing = [seed for seed in SEEDS if str(seed) not in rows]
    with multiprocessing.get_context("spawn").Pool(
        2, torch.set_num_threads, (1,)
    ) as pool:
        for seed, row in zip(missing, pool.imap(ladder, missing), strict=True):
            rows[str(seed)] = rounded(row)
            content = {"machine": machine(), "rows": rows, "versions": versions()}
            STORED.write_text(
                json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n"
            )
            print(f"seed {seed}: {rows[str(seed)]['gap']}", flush=True)
    rewrite_table("ladder", table(list(rows.values())))


def _language(seed: int):
    """The sentences of a seed as text and as ids, and the true model."""
    language = teaching_language(seed)
    parts = {"train": language.train, "dev": language.dev, "test": language.test}
    sentences = {
        name: [language.tokenizer.encode(text) for text in part]
        for name, part in parts.items()
    }
    return language, sentences, TrueModel(TEACHING_GRAMMAR, language.tokenizer)


def _probes(models: dict[str, LanguageModel], language, seed: int) -> dict:
    """Accuracy by distance of the two facts that must be carried."""
    recall = recall_cases(language.test)
    probes = {
        "recall": {
            name: [case for case in recall if low <= case.distance <= high]
            for name, (low, high) in DISTANCES.items()
        },
    }
    for congruent in (True, False):
        kind = "congruent" if congruent else "incongruent"
        probes[kind] = {
            n: agreement_cases(
                N_AGREEMENT_CASES,
                n,
                congruent,
                generator(seed, f"agreement, {n}, {kind}"),
            )
            for n in N_PHRASES
            if n > 0 or congruent
        }
    return {
        kind: {
            name: {
                key: probe_accuracy(model, language.tokenizer, cases)
                for key, cases in groups.items()
            }
            for name, model in models.items()
        }
        for kind, groups in probes.items()
    }


# ---- the rivals --------------------------------------------------------------------------------


class Recurrent(LanguageModel):
    """An embedding, one recurrent layer of torch.nn, and a linear layer."""

    def __init__(self, layer: nn.RNNBase, vocab_size: int):
        super().__init__()
        self.vocab_size = vocab_size
        self.embedding = _embedding(vocab_size, layer.input_size)
        self.layer = layer
        self.output = nn.Linear(layer.hidden_size, vocab_size)

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        """Logits of the next token."""
        hidden, _ = self.layer(self.embedding(token_ids))
        return self.output(hidden)


def rnn(vocab_size: int) -> Recurrent:
    """A plain RNN; its recurrent matrix begins orthogonal, which helps it to remember."""
    layer = nn.RNN(64, 256, batch_first=True)
    nn.init.orthogonal_(layer.weight_hh_l0)
    return Recurrent(layer, vocab_size)


def lstm(vocab_size: int) -> Recurrent:
    """An LSTM; its forget gates begin open."""
    layer = nn.LSTM(64, 128, batch_first=True)
    with torch.no_grad():
        layer.bias_hh_l0[128:256] = 1  # the forget gate is the second of the four
    return Recurrent(layer, vocab_size)


class Transformer(LanguageModel):
    """Two pre-norm layers of torch.nn with a causal mask, and sinusoidal positions."""

    def __init__(self, vocab_size: int, d_model: int = 64, context_length: int = 512):
        super().__init__()
        self.vocab_size = vocab_size
        self.embedding = _embedding(vocab_size, d_model)
        position = torch.arange(context_length)[:, None]
        angle = position * torch.exp(
            torch.arange(0, d_model, 2) * (-math.log(1e4) / d_model)
        )
        positions = torch.cat([angle.sin(), angle.cos()], dim=1) / 4
        self.register_buffer("positions", positions)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                d_model, 4, 4 * d_model, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(d_model)
        self.output = nn.Linear(d_model, vocab_size)

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        """Logits of the next token."""
        n_tokens = token_ids.shape[1]
        hidden = self.embedding(token_ids) + self.positions[:n_tokens]
        mask = nn.Transformer.generate_square_subsequent_mask(n_tokens)
        for layer in self.layers:
            hidden = layer(hidden, src_mask=mask, is_causal=True)
        return self.output(self.norm(hidden))


def _embedding(vocab_size: int, d_model: int) -> nn.Embedding:
    embedding = nn.Embedding(vocab_size, d_model)
    nn.init.normal_(embedding.weight, std=d_model**-0.5)
    return embedding


RIVALS = {"RNN": (rnn, 1e-3), "LSTM": (lstm, 4e-3), "Transformer": (Transformer, 3e-3)}
"""Each rival with its learning rate."""


# ---- training ----------------------------------------------------------------------------------


def _train(model: LanguageModel, sentences: dict, lr: float, seed: int):
    """Trains, and puts back the parameters that were best on dev.

    Returns the bits per word on dev at each evaluation, the best step, and the tokens read.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warm_up_and_cosine)
    batches = _batches(sentences["train"], generator(seed, "batches"))
    curve, best, best_step, n_tokens = [], None, 0, 0
    for step in range(1, STEPS + 1):
        token_ids, mask = pad_sentences(next(batches))
        targets = token_ids[:, 1:].masked_fill(~mask[:, 1:], -100)
        loss = F.cross_entropy(
            model(token_ids[:, :-1]).flatten(0, 1), targets.flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        n_tokens += int(mask[:, 1:].sum())
        if step % EVALUATE_EVERY == 0:
            curve.append(cross_entropy(model, sentences["dev"]))
            if curve[-1] == min(curve):
                best, best_step = copy.deepcopy(model.state_dict()), step
    model.load_state_dict(best)
    return curve, best_step, n_tokens


def _warm_up_and_cosine(step: int) -> float:
    """The factor of the learning rate: up on a line, down on half a cosine."""
    return min((step + 1) / WARM_UP_STEPS, 0.5 * (1 + math.cos(math.pi * step / STEPS)))


def _batches(
    sentences: Sequence[list[int]], stream: torch.Generator, n_sorted: int = 32
) -> Iterator[list[list[int]]]:
    """Endless batches of sentences of similar length, so that little is padding."""
    while True:
        order = torch.randperm(len(sentences), generator=stream).tolist()
        batches = []
        for start in range(0, len(order), BATCH_SIZE * n_sorted):
            chunk = sorted(
                order[start : start + BATCH_SIZE * n_sorted],
                key=lambda i: len(sentences[i]),
            )
            batches += [
                chunk[i : i + BATCH_SIZE] for i in range(0, len(chunk), BATCH_SIZE)
            ]
        for index in torch.randperm(len(batches), generator=stream).tolist():
            yield [sentences[i] for i in batches[index]]


if __name__ == "__main__":
    main()
