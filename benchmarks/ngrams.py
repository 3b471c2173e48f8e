"""Kneser-Ney 5-grams: lmcourse beside nltk.lm, on the text of Python's documentation.

Both start from the same sentences as text and end with log probabilities of the same tokens; the
vocabulary, the padding and the encoding are part of the work. Both run on one thread, in one
process, one after the other. NLTK scores a sample of the tokens, spread evenly over the test text,
because all of them would take hours; so the two are compared in seconds a token.

Run `python -m benchmarks.ngrams`: it prints the table and rewrites it in README.md.
"""

import platform
import time
import tracemalloc

import nltk
import numpy as np
import torch
from nltk.lm import KneserNeyInterpolated
from nltk.lm.preprocessing import pad_both_ends, padded_everygram_pipeline

from benchmarks.tables import rewrite_table
from lmcourse.data.python_docs import python_docs
from lmcourse.experiments import machine
from lmcourse.language_models import token_log_probs
from lmcourse.markov import KneserNey
from lmcourse.tokenizers import WordTokenizer

ORDER = 5
NLTK_TOKENS = 100


def fit_lmcourse(texts):
    tokenizer = WordTokenizer.train(texts, open_vocabulary=True)
    model = KneserNey(ORDER, len(tokenizer))
    return tokenizer, model.fit([tokenizer.encode(text) for text in texts])


def score_lmcourse(tokenizer, model, texts) -> int:
    """Score all tokens; return how many."""
    log_probs = token_log_probs(
        model, [tokenizer.encode(text) for text in texts], batch_size=256
    )
    return sum(map(len, log_probs))


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


def seconds(work, repeats: int = 1):
    """The least processor time that `work` took, in seconds, and what it gave."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def memory(work) -> tuple[float, float]:
    """What is kept of the work and the most it held meanwhile, in MiB."""
    tracemalloc.start()
    kept = work()  # noqa: F841 (held while we look)
    megabytes = tuple(size / 2**20 for size in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    return megabytes


def measure() -> str:
    """The table, in Markdown."""
    docs = python_docs()
    texts = [" ".join(text.split()) for text in docs.train]
    test = [" ".join(text.split()) for text in docs.test]
    score_lmcourse(*fit_lmcourse(texts[:50]), test[:50])  # warm up
    our_fit, ours = seconds(lambda: fit_lmcourse(texts), repeats=3)
    our_score, n_ours = seconds(lambda: score_lmcourse(*ours, test), repeats=3)
    their_fit, theirs = seconds(lambda: fit_nltk(texts), repeats=3)
    their_score, n_theirs = seconds(lambda: score_nltk(theirs, test))
    del theirs
    our_memory, their_memory = (
        memory(lambda: fit_lmcourse(texts)),
        memory(lambda: fit_nltk(texts)),
    )
    our_score, their_score = our_score / n_ours * 1e6, their_score / n_theirs * 1e6
    rows = [
        ("fit, s", our_fit, their_fit),
        ("score, µs a token", our_score, their_score),
        ("memory of the fitted model, MiB", our_memory[0], their_memory[0]),
        ("most memory while fitting, MiB", our_memory[1], their_memory[1]),
    ]
    lines = [
        "| | lmcourse | nltk.lm | NLTK / lmcourse |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [f"| {name} | {a:.3g} | {b:,.4g} | {b / a:,.1f} |" for name, a, b in rows]
    n_words = sum(len(text.split()) for text in texts)
    about = machine()
    lines += [
        "",
        f"Training text: {len(texts):,} paragraphs, {n_words:,} words, {len(ours[0]):,} of them "
        f"different (Python {docs.python_version}'s documentation topics). Scored: all {n_ours:,} "
        f"tokens of the test text by lmcourse, {n_theirs} spread evenly over it by NLTK.",
        "",
        f"Machine: {about['processor']}, {about['cores']} cores, one thread used. Python "
        f"{platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}, "
        f"NLTK {nltk.__version__}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and rewrite the table of README.md."""
    torch.set_num_threads(1)
    rewrite_table("ngrams", measure())


if __name__ == "__main__":
    main()
