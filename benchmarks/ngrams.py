"""Kneser-Ney 5-grams: lmcourse beside nltk.lm and KenLM, on the text of Python's documentation.

All start from sentences as text and end with log probabilities of the same tokens; the vocabulary,
the padding and the encoding are part of the work. The sides take turns on one thread of one
process. NLTK scores a sample of the tokens, spread evenly over the test text, because all of them
would take hours; so the two are compared in time a token. KenLM's query module reads our model from
an ARPA file and scores the same text; that both find the same is checked first.

Run `python -m benchmarks.ngrams`: it prints the tables and rewrites them in README.md.
"""

import importlib
import math
import tempfile
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import torch
from nltk.lm import KneserNeyInterpolated
from nltk.lm.preprocessing import pad_both_ends, padded_everygram_pipeline

from benchmarks.results import Row, store
from benchmarks.timing import REPEATS, in_turns
from lmcourse.arpa import write_arpa
from lmcourse.data.python_docs import python_docs
from lmcourse.language_models import token_log_probs
from lmcourse.markov import KneserNey, ModifiedKneserNey
from lmcourse.tokenizers import WordTokenizer

ORDER = 5
BATCH_SIZE = 256
NLTK_TOKENS = 100
NLTK_REPEATS = 3
PROMISED_FIT, PROMISED_SCORE = 1 / 5, 1 / 50


def fit_lmcourse(texts, kind=KneserNey):
    tokenizer = WordTokenizer.train(texts, open_vocabulary=True)
    model = kind(ORDER, len(tokenizer))
    return tokenizer, model.fit([tokenizer.encode(text) for text in texts])


def score_lmcourse(tokenizer, model, texts) -> list[torch.Tensor]:
    """Score all tokens, in nats."""
    return token_log_probs(
        model, [tokenizer.encode(text) for text in texts], BATCH_SIZE
    )


def fit_nltk(texts):
    ngrams, words = padded_everygram_pipeline(ORDER, [text.split() for text in texts])
    model = KneserNeyInterpolated(ORDER)
    model.fit(ngrams, words)
    return model


def score_nltk(model, texts) -> int:
    """Score some tokens, spread evenly; return how many."""
    queries = []
    for text in texts:
        words = list(pad_both_ends(text.split(), n=ORDER))[: -(ORDER - 2)]  # one </s>
        queries += [
            (words[t], words[t - ORDER + 1 : t]) for t in range(ORDER - 1, len(words))
        ]
    sample = queries[:: len(queries) // NLTK_TOKENS][:NLTK_TOKENS]
    for word, context in sample:
        model.logscore(word, context)
    return len(sample)


def memory(work) -> tuple[float, float]:
    """What is kept of the work and the most it held meanwhile, in MiB."""
    tracemalloc.start()
    kept = work()  # noqa: F841 (held while we look)
    megabytes = tuple(size / 2**20 for size in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    return megabytes


def beside_nltk(texts: list[str], test: list[str], about: str) -> None:
    """Measure fitting, scoring and memory, and store it."""
    ours, theirs = fit_lmcourse(texts), fit_nltk(texts)
    n_ours = sum(map(len, score_lmcourse(*ours, test)))
    fit = in_turns(
        {"ours": lambda: fit_lmcourse(texts), "theirs": lambda: fit_nltk(texts)},
        warm_up=0,
        repeats=NLTK_REPEATS,
    )
    score = in_turns(
        {
            "ours": lambda: score_lmcourse(*ours, test),
            "theirs": lambda: score_nltk(theirs, test),
        },
        warm_up=0,
        repeats=NLTK_REPEATS,
    )
    n_theirs = score_nltk(theirs, test)
    del theirs
    our_memory = memory(lambda: fit_lmcourse(texts))
    their_memory = memory(lambda: fit_nltk(texts))
    store(
        "ngrams",
        "nltk.lm",
        [
            Row("fit", "s", fit["ours"], fit["theirs"], PROMISED_FIT),
            Row(
                "score",
                "µs a token",
                1e6 * score["ours"] / n_ours,
                1e6 * score["theirs"] / n_theirs,
                PROMISED_SCORE,
            ),
            Row("memory of the fitted model", "MiB", our_memory[0], their_memory[0]),
            Row("most memory while fitting", "MiB", our_memory[1], their_memory[1]),
        ],
        f"{about} Scored: all {n_ours:,} tokens of the test text by lmcourse, {n_theirs} spread "
        f"evenly over it by NLTK. Medians of {NLTK_REPEATS}. Memory: what Python and its libraries "
        "asked for (tracemalloc).",
        ("nltk",),
    )


def beside_kenlm(texts: list[str], test: list[str], about: str) -> None:
    """Measure scoring with KenLM's query module, where it is installed, and store it.

    Raises:
        AssertionError: KenLM does not find what we find.
    """
    tokenizer, model = fit_lmcourse(texts, ModifiedKneserNey)
    steps = {"ours": lambda: score_lmcourse(tokenizer, model, test)}
    n_tokens = sum(map(len, steps["ours"]()))
    installed = find_spec("kenlm") is not None
    if installed:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.arpa"
            write_arpa(model, tokenizer, path)
            theirs = importlib.import_module("kenlm").Model(str(path))
        steps["theirs"] = lambda: [theirs.score(text) for text in test]
        ours = [float(one.sum()) / math.log(10) for one in steps["ours"]()]
        torch.testing.assert_close(
            torch.tensor(ours), torch.tensor(steps["theirs"]()), rtol=1e-5, atol=0
        )
    took = {name: 1e6 * s / n_tokens for name, s in in_turns(steps).items()}
    store(
        "kenlm",
        "KenLM",
        [Row("score", "µs a token", took["ours"], took.get("theirs"))],
        f"{about} Modified Kneser-Ney. Scored: all {n_tokens:,} tokens of the test text by both. "
        f"Medians of {REPEATS}.",
        ("kenlm",) if installed else (),
    )


def main() -> None:
    """Measure, store, and rewrite the tables of README.md."""
    torch.set_num_threads(1)
    docs = python_docs()
    texts = [" ".join(text.split()) for text in docs.train]
    test = [" ".join(text.split()) for text in docs.test]
    words = [word for text in texts for word in text.split()]
    about = (
        f"Order {ORDER}. Training text: {len(texts):,} paragraphs, {len(words):,} words, "
        f"{len(set(words)):,} of them different (Python {docs.python_version}'s documentation "
        "topics)."
    )
    beside_nltk(texts, test, about)
    beside_kenlm(texts, test, about)


if __name__ == "__main__":
    main()
