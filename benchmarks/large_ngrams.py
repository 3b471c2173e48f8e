"""Modified Kneser-Ney on ten million words: time, memory, and how fast it scores.

The text is that of the packages in this environment: their Python sources and the text files beside
them, in the order of their paths, a line as a sentence, words as they stand between white space.
Every hundredth line is held out. Each order is fitted in a process of its own. Its memory is the
most that the process ever held (VmHWM, which Linux keeps): Python, torch, the sentences as lists of
token ids, and the model.

Run `python -m benchmarks.large_ngrams`: it prints the table and rewrites it in README.md.
"""

import hashlib
import json
import statistics
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.memory import in_fresh_process, most_memory
from benchmarks.results import Row, store
from lmcourse.language_models import pad_sentences
from lmcourse.markov import ModifiedKneserNey

N_WORDS = 10_000_000
HELD_OUT_EVERY = 100
SUFFIXES = (".py", ".md", ".rst", ".txt")
ORDERS = (3, 5)
BATCH_SIZE = 1024
REPEATS = 5
PROMISED_MEMORY = 8 * 1024
PROMISED_SCORE = 1.0


def lines() -> Iterator[list[str]]:
    """The words of every line that has any."""
    folder = Path(sysconfig.get_paths()["purelib"])
    paths = (path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    for path in sorted(path for path in paths if path.is_file()):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if words := line.split():
                yield words


def text() -> tuple[list[list[int]], list[list[int]], int, str]:
    """Training and held-out sentences, the size of the vocabulary, and SHA-256 of all lines."""
    ids: dict[str, int] = {}
    training, held_out = [], []
    digest, n_words = hashlib.sha256(), 0
    for number, words in enumerate(lines(), start=1):
        digest.update((" ".join(words) + "\n").encode("utf-8", "surrogatepass"))
        if number % HELD_OUT_EVERY == 0:
            held_out.append([0, *(ids.get(word, 2) for word in words), 1])
            continue
        words = words[: N_WORDS - n_words]
        training.append([0, *(ids.setdefault(word, len(ids) + 3) for word in words), 1])
        n_words += len(words)
        if n_words == N_WORDS:
            break
    else:
        raise ValueError(f"the packages hold {n_words:,} words; {N_WORDS:,} are needed")
    return training, held_out, len(ids) + 3, digest.hexdigest()


def seconds_to_score(model: ModifiedKneserNey, sentences: list[list[int]]) -> float:
    """Processor seconds that `log_prob` needs for a token: batches of about the same length."""
    by_length = sorted(sentences, key=len)
    batches = [
        pad_sentences(by_length[start : start + BATCH_SIZE])
        for start in range(0, len(by_length), BATCH_SIZE)
    ]
    n_tokens = sum(int(mask[:, 1:].sum()) for _, mask in batches)
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        for token_ids, _ in batches:
            model.log_prob(token_ids)
        times.append(time.process_time() - start)
    return statistics.median(times) / n_tokens


def measure(order: int) -> dict:
    """What one order needs, in this process."""
    training, held_out, vocab_size, digest = text()
    before = most_memory()
    start = time.process_time()
    model = ModifiedKneserNey(order, vocab_size).fit(training)
    fit = time.process_time() - start
    return {
        "sha256": digest,
        "sentences": len(training),
        "held_out": sum(len(sentence) - 1 for sentence in held_out),
        "vocab_size": vocab_size,
        "before": before,
        "most": most_memory(),
        "fit": fit,
        "score": seconds_to_score(model, held_out),
        "ngrams": len(model.ngrams),
    }


def main() -> None:
    """Measure, store, and rewrite the table of README.md."""
    found = {
        order: json.loads(in_fresh_process(["benchmarks.large_ngrams", str(order)]))
        for order in ORDERS
    }
    rows = []
    for order, figures in found.items():
        rows += [
            Row(
                f"order {order}: most memory, all told",
                "MiB",
                figures["most"],
                promised=PROMISED_MEMORY,
            ),
            Row(f"order {order}: of it held before fitting", "MiB", figures["before"]),
            Row(f"order {order}: fit", "s", figures["fit"]),
            Row(
                f"order {order}: score",
                "µs a token",
                1e6 * figures["score"],
                promised=PROMISED_SCORE,
            ),
        ]
    first = found[ORDERS[0]]
    sizes = " and ".join(
        f"{figures['ngrams']:,} at order {order}" for order, figures in found.items()
    )
    store(
        "large_ngrams",
        None,
        rows,
        f"Modified Kneser-Ney. Training text: {N_WORDS:,} words in {first['sentences']:,} lines of "
        f"the packages of this environment ({', '.join(SUFFIXES)}; SHA-256 of all lines "
        f"`{first['sha256'][:16]}`), {first['vocab_size']:,} tokens in the vocabulary. N-grams of "
        f"all lengths: {sizes}. Scored: {first['held_out']:,} tokens of the lines held out, "
        f"{BATCH_SIZE} lines a batch, `log_prob` alone, median of {REPEATS}. A million tokens a "
        "second are 1 µs a token.",
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
