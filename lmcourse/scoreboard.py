"""The scoreboard: every model of the course on the same jobs, measured in one way.

A model enters a job with what it is, what it took, and how good it is on text that it has not
seen. Counted models enter, too: they are the bar. Translations are scored by exact match, by BLEU
(Papineni et al., 2002) and by chrF (Popović, 2015); sacrebleu computes the last two (Post, 2018).
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sacrebleu
from torch import nn

from lmcourse.data.translation import surface
from lmcourse.experiments import results
from lmcourse.markov import NGramModel
from lmcourse.training import mean_bits, train

SHARES = {"10%": 0.1, "30%": 0.3, "100%": 1.0}
"""The shares of the training text that every model learns from, by their names."""


# ------------------------------------------------------------------------ what a model took


@dataclass(frozen=True)
class Effort:
    """What a model took to learn.

    Attributes:
        parameters: how many numbers were learned. Of an n-gram model: how many n-grams, of all
            lengths, it keeps.
        seconds: processor seconds on one thread. Choosing a setting and measuring the development
            text are part of it.
        tokens: how many tokens were predicted, each as often as it was read.
        dev_bits: bits per token on the development text, by the number of steps taken.

    >>> Effort(parameters=10, seconds=2.0, tokens=600).tokens_per_second
    300.0
    """

    parameters: int
    seconds: float
    tokens: int
    dev_bits: Mapping[int, float] = field(default_factory=dict)

    @property
    def tokens_per_second(self) -> float:
        """How many tokens were learned from in a second."""
        return self.tokens / self.seconds

    def row(self) -> dict:
        """What is stored."""
        return {
            "parameters": self.parameters,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens_per_second,
            "steps": list(self.dev_bits),
            "dev_bits": list(self.dev_bits.values()),
        }


def learn(model: nn.Module, examples: Sequence, dev: Sequence, **settings) -> Effort:
    """Train a model, and say what it took.

    Args:
        model: the model; it ends as it was when it was best on the development examples.
        examples: what it learns from.
        dev: the development examples.
        settings: as in `train`.

    >>> from lmcourse.markov import SoftmaxBigram
    >>> sentences = [[0, 2, 1], [0, 3, 1]]
    >>> effort = learn(SoftmaxBigram(vocab_size=4), sentences, sentences, steps=5, lr=0.5)
    >>> effort.parameters, effort.tokens
    (16, 20)
    """
    start = time.process_time()
    history = train(model, examples, dev=dev, **settings)
    return Effort(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=time.process_time() - start,
        tokens=history.n_tokens,
        dev_bits=history.dev_bits,
    )


def count(
    models: Sequence[NGramModel],
    sentences: Sequence[Sequence[int]],
    dev: Sequence[Sequence[int]],
) -> tuple[NGramModel, Effort]:
    """Fit n-gram models, keep the best on the development text, and say what all of it took.

    >>> from lmcourse.markov import KneserNey
    >>> sentences = [[0, 2, 3, 1], [0, 3, 1]]
    >>> best, effort = count([KneserNey(n, vocab_size=4) for n in (1, 2)], sentences, sentences)
    >>> best, effort.parameters, effort.tokens
    (KneserNey(order=2, vocab_size=4), 8, 10)
    """
    start = time.process_time()
    best = min(
        (model.fit(sentences) for model in models), key=lambda m: mean_bits(m, dev)
    )
    n_tokens = sum(len(sentence) - 1 for sentence in sentences)
    effort = Effort(
        parameters=sum(len(counts) for counts in best.ngrams.counts[1:]),
        seconds=time.process_time() - start,
        tokens=n_tokens * len(models),
    )
    return best, effort


# ------------------------------------------------------------------------------- how good it is


def translation_scores(
    written: Sequence[str], references: Sequence[str]
) -> dict[str, float]:
    """Exact match (0 to 1), BLEU and chrF (0 to 100) of Korean translations.

    Exact match and BLEU compare tokens, where a particle is one of its own. chrF compares
    characters, so it reads the text as it is printed: particles joined to their words.

    Args:
        written: what the model wrote, tokens with spaces between.
        references: the gold translations, one for each.

    Raises:
        ValueError: their numbers differ, or there is none.

    >>> scores = translation_scores(["토끼 는 잔다", "곰 이 잔다"], ["토끼 는 잔다", "곰 은 잔다"])
    >>> scores["exact"], round(scores["chrF"], 1)
    (0.5, 77.4)
    """
    if not 0 < len(written) == len(references):
        raise ValueError(
            f"{len(written)} translations and {len(references)} references; "
            "at least 1 is needed, and one reference for each"
        )
    pairs = list(zip(written, references, strict=True))
    return {
        "exact": sum(ours == gold for ours, gold in pairs) / len(pairs),
        "BLEU": sacrebleu.corpus_bleu(written, [references], tokenize="none").score,
        "chrF": sacrebleu.corpus_chrf(
            [surface(text) for text in written],
            [[surface(text) for text in references]],
        ).score,
    }


# ------------------------------------------------------------------------------- the board itself


@dataclass(frozen=True)
class Job:
    """What all models are asked, and where their answers are stored.

    Attributes:
        question: the job in a few words.
        quality: what the score is, with its unit.
        higher_is_better: whether a higher score is a better one.
        experiment: the experiment that holds the scores.
        paths: where an entrant's score stands in its row, by what is added to the entrant's name.
    """

    question: str
    quality: str
    higher_is_better: bool
    experiment: str
    paths: Mapping[str, tuple[str, ...]]


JOBS = {
    "next word": Job(
        "the next word of the teaching language",
        "bits a word above the floor",
        False,
        "scoreboard.language",
        {"": ("gap",)},
    ),
    "next character": Job(
        "the next character of Python's documentation",
        "bits a character",
        False,
        "scoreboard.real_text",
        {"": ("bits",)},
    ),
    "translation": Job(
        "English into Korean",
        "share of translations that match exactly",
        True,
        "scoreboard.translation",
        {"": ("exact",)},
    ),
    "one blank": Job(
        "one blank in a sentence of the teaching language",
        "bits above the best possible answer",
        False,
        "scoreboard.language",
        {
            ", left side": ("left side", "above"),
            ", every word tried": ("every word tried", "above"),
            "": ("both sides", "above"),
        },
    ),
}


@dataclass(frozen=True, repr=False)
class Standing:
    """A line of the board: one number for each seed, but for the parameters.

    Attributes:
        name: the entrant's.
        counted: whether it learned by counting; else it was trained in steps.
        parameters: see `Effort`; of the first seed.
        seconds: see `Effort`.
        tokens_per_second: see `Effort`.
        scores: the job's quality.
    """

    name: str
    counted: bool
    parameters: int
    seconds: list[float]
    tokens_per_second: list[float]
    scores: list[float]

    def __repr__(self) -> str:
        return f"Standing({self.name!r}, {len(self.scores)} seeds)"


def standings(job: str, share: str = "100%") -> list[Standing]:
    """The lines of a job, in the order of the chapters.

    Args:
        job: a key of `JOBS`.
        share: a key of `SHARES`: how much of the training text was there to learn from.

    Raises:
        ValueError: there is no such job or share.

    >>> standings("translation")[0]
    Standing('word by word', 3 seeds)
    """
    if job not in JOBS or share not in SHARES:
        raise ValueError(
            f"job={job!r}, share={share!r}; jobs are {list(JOBS)}, shares are {list(SHARES)}"
        )
    stored, lines = results(JOBS[job].experiment), []
    for name in stored.keys("shares", share):
        entry = stored.rows[0]["shares"][share][name]
        lines += [
            Standing(
                f"{name}{suffix}",
                not entry["steps"],
                entry["parameters"],
                stored.values("shares", share, name, "seconds"),
                stored.values("shares", share, name, "tokens_per_second"),
                stored.values("shares", share, name, *path),
            )
            for suffix, path in JOBS[job].paths.items()
            if path[0] in entry
        ]
    return lines


def learning_curve(
    job: str, name: str, share: str = "100%"
) -> tuple[list[float], list[list[float]]]:
    """How the development bits of a trained model fell.

    Training ends at another step for another seed; the curve ends with the shortest run.

    Returns:
        The mean seconds of training after which they were measured (steps take about the same
        time, so the seconds of the whole are shared out), and for each the bits of every seed.

    Raises:
        ValueError: the job or the share is unknown, or the model was not trained in steps.
    """
    standings(job, share)
    stored = results(JOBS[job].experiment)
    entries = [row["shares"][share].get(name, {}) for row in stored.rows]
    if not all(entry.get("steps") for entry in entries):
        raise ValueError(
            f"{name!r} was not trained in steps for {job!r}; it has no curve to show"
        )
    n_measured = min(len(entry["steps"]) for entry in entries)
    seconds = [
        statistics.fmean(
            entry["seconds"] * entry["steps"][place] / entry["steps"][-1]
            for entry in entries
        )
        for place in range(n_measured)
    ]
    bits = [
        [entry["dev_bits"][place] for entry in entries] for place in range(n_measured)
    ]
    return seconds, bits
