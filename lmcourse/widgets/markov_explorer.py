"""The Markov explorer of chapter 2: edit sentences, see the graph of words, walk it, score with it.

All counting happens in the browser, from the traits alone; the same numbers come from
`lmcourse.markov` (a test compares them).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import traitlets

from lmcourse.data.rabbits import RABBITS
from lmcourse.tokenizers import BOS, EOS
from lmcourse.widgets.base import CourseWidget, table

MOST = 60  # rows of the fallback's table


class MarkovExplorer(CourseWidget):
    """Edit sentences, see the graph of their words, walk it, and get a sentence's probability.

    Every trait can be read after the reader has played, and set from Python.

    Args:
        sentences: Sentences, words separated by white space.
        order: The n of the n-gram, 2 to 4: the model sees n - 1 words.
        alpha: What is added to every count (0 to 10); 0 is maximum likelihood.
        sentence: The sentence whose probability is shown.
        seed: Seed of the random steps, the same in every browser.

    Raises:
        ValueError: A sentence is empty or contains `<s>` or `</s>`, a number is out of range,
            or the walk does not begin with `<s>`.

    >>> explorer = MarkovExplorer(order=2)
    >>> explorer.walk
    ['<s>']
    """

    name = "markov_explorer"

    sentences = traitlets.List(traitlets.Unicode(), help="One string a sentence.").tag(
        sync=True
    )
    order = traitlets.Int(2, help="The n of the n-gram, 2 to 4.").tag(sync=True)
    alpha = traitlets.Float(0.0, help="Added to every count, 0 to 10.").tag(sync=True)
    sentence = traitlets.Unicode("", help="The sentence that is scored.").tag(sync=True)
    seed = traitlets.Int(0, help="Seed of the random steps, 0 to 2**32 - 1.").tag(
        sync=True
    )
    walk = traitlets.List(
        traitlets.Unicode(), [BOS], help="The tokens walked so far, from `<s>`."
    ).tag(sync=True)

    def __init__(self, sentences: Sequence[str] = RABBITS, **kwargs: Any) -> None:
        if isinstance(sentences, str):
            raise ValueError(
                f"sentences={sentences!r} is one string: give a list of sentences"
            )
        if not sentences:
            raise ValueError("sentences is empty: give at least one sentence")
        kwargs.setdefault("sentence", sentences[0])
        super().__init__(sentences=list(sentences), **kwargs)

    @traitlets.validate("sentences")
    def _check_sentences(self, proposal: Any) -> list[str]:
        for sentence in proposal["value"]:
            if not sentence.split():
                raise ValueError(f"{sentence!r} has 0 words: a sentence has at least 1")
            for mark in (BOS, EOS):
                if mark in sentence.split():
                    raise ValueError(
                        f"{sentence!r} contains {mark!r}: it marks a sentence's edge"
                    )
        return proposal["value"]

    @traitlets.validate("order")
    def _check_order(self, proposal: Any) -> int:
        if not 2 <= proposal["value"] <= 4:
            raise ValueError(f"order={proposal['value']} is not between 2 and 4")
        return proposal["value"]

    @traitlets.validate("alpha")
    def _check_alpha(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 10:
            raise ValueError(f"alpha={proposal['value']} is not between 0 and 10")
        return proposal["value"]

    @traitlets.validate("seed")
    def _check_seed(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < 2**32:
            raise ValueError(
                f"seed={proposal['value']} is not between 0 and 4294967295"
            )
        return proposal["value"]

    @traitlets.validate("walk")
    def _check_walk(self, proposal: Any) -> list[str]:
        if proposal["value"][:1] != [BOS]:
            raise ValueError(f"walk={proposal['value']} does not begin with {BOS!r}")
        return proposal["value"]

    def fallback(self) -> str:
        counts: dict[str, dict[str, int]] = {}
        for sentence in self.sentences:
            tokens = [BOS, *sentence.split(), EOS]
            for i in range(1, len(tokens)):
                context = " ".join(tokens[max(0, i - self.order + 1) : i])
                row = counts.setdefault(context, {})
                row[tokens[i]] = row.get(tokens[i], 0) + 1
        rows: list[list[object]] = [
            [context, token, f"{count}/{sum(row.values())}"]
            for context, row in counts.items()
            for token, count in row.items()
        ]
        caption = (
            f"What follows what in {len(self.sentences)} sentences (order {self.order})"
        )
        if len(rows) > MOST:
            caption += f": the first {MOST} of {len(rows)} rows"
        return table(caption, ["after", "comes", "count / total"], rows[:MOST])

    def __repr__(self) -> str:
        return f"MarkovExplorer({len(self.sentences)} sentences, order={self.order})"
