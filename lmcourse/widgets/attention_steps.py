"""The five steps of attention of chapter 5, with numbers that the reader can change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import traitlets

from lmcourse.attention import AdditiveScore, DotScore, GeneralScore, attend
from lmcourse.widgets.base import CourseWidget, table

SCORES = ("additive", "dot", "general")
LARGEST = 100  # of a number
SHAPES = {
    "memory": (3, 2),
    "query": (2,),
    "w_query": (2, 2),
    "w_key": (2, 2),
    "vector": (2,),
    "w_general": (2, 2),
    "output": (3, 2),
}


def _numbers(default: Any, text: str) -> Any:
    return traitlets.List(default_value=default, help=text).tag(sync=True)


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        return ()
    shapes = {_shape(item) for item in value}
    return (len(value), *shapes.pop()) if len(shapes) == 1 else (len(value), -1)


def _flat(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        return [value]
    return [number for item in value for number in _flat(item)]


class AttentionSteps(CourseWidget):
    """Change a score and follow it: softmax, weighted sum, next word, a step of gradient descent.

    Every number is a trait, so it can be read after the reader has played, and set from Python.

    Args:
        words: The three source words.
        targets: The three target words that can come next.
        right: Index of the target word that should come.
        memory: The encoder's outputs, one a source word, 3 x 2.
        query: The decoder's state, 2 numbers.
        score: "additive", "dot" or "general".
        w_query: of the additive score, 2 x 2.
        w_key: of the additive score, 2 x 2.
        vector: of the additive score, 2 numbers.
        w_general: of the general score, 2 x 2.
        output: What scores the target words from the context, 3 x 2.
        mask: Which source words may be attended to.
        learning_rate: Of gradient descent, above 0 and at most 100.
        step: The step that is shown, 1 to 5.

    Raises:
        ValueError: A number is not between -100 and 100, a list has another shape, or a choice
            is none of those that there are.

    >>> AttentionSteps(score="dot")
    AttentionSteps(score='dot', step=1)
    """

    name = "attention_steps"

    words = _numbers(["the", "cat", "sleeps"], "The source words.")
    targets = _numbers(["고양이", "는", "잔다"], "The target words.")
    right = traitlets.Int(0, help="Index of the right target word.").tag(sync=True)
    memory = _numbers([[0.5, 0.5], [1.0, -0.5], [-0.5, 1.0]], "Encoder outputs.")
    query = _numbers([1.0, 0.5], "The decoder's state.")
    score = traitlets.Unicode("additive", help="The kind of score.").tag(sync=True)
    w_query = _numbers([[0.5, 0.0], [0.0, 0.5]], "Of the additive score.")
    w_key = _numbers([[-0.5, 0.5], [0.5, 1.0]], "Of the additive score.")
    vector = _numbers([1.0, 0.5], "Of the additive score.")
    w_general = _numbers([[0.5, 0.0], [0.0, 0.5]], "Of the general score.")
    output = _numbers([[2.0, -1.0], [1.0, 1.0], [-1.0, 2.0]], "Scores target words.")
    mask = _numbers([True, True, True], "Which words may be attended to.")
    learning_rate = traitlets.Float(0.5, help="Of gradient descent.").tag(sync=True)
    step = traitlets.Int(1, help="The step that is shown, 1 to 5.").tag(sync=True)

    @traitlets.validate(*SHAPES)
    def _check_numbers(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if _shape(value) != SHAPES[name]:
            raise ValueError(f"{name}={value} is not of shape {SHAPES[name]}")
        for number in _flat(value):
            if not abs(number) <= LARGEST:
                raise ValueError(
                    f"{name} holds {number}: numbers are between -{LARGEST} and {LARGEST}"
                )
        return value

    @traitlets.validate("words", "targets", "mask")
    def _check_three(self, proposal: Any) -> list[Any]:
        name, value = proposal["trait"].name, proposal["value"]
        kind = bool if name == "mask" else str
        if len(value) != 3 or not all(isinstance(item, kind) for item in value):
            raise ValueError(f"{name}={value}: give 3 of {kind.__name__}")
        return value

    @traitlets.validate("score")
    def _check_score(self, proposal: Any) -> str:
        if proposal["value"] not in SCORES:
            raise ValueError(
                f"score={proposal['value']!r} is none of {', '.join(SCORES)}"
            )
        return proposal["value"]

    @traitlets.validate("right", "step")
    def _check_choice(self, proposal: Any) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        first, last = {"right": (0, 2), "step": (1, 5)}[name]
        if not first <= value <= last:
            raise ValueError(f"{name}={value} is not between {first} and {last}")
        return value

    @traitlets.validate("learning_rate")
    def _check_learning_rate(self, proposal: Any) -> float:
        if not 0 < proposal["value"] <= LARGEST:
            raise ValueError(
                f"learning_rate={proposal['value']} is not above 0 and at most {LARGEST}"
            )
        return proposal["value"]

    def fallback(self) -> str:
        memory, query = (
            torch.tensor([part], dtype=torch.float64)
            for part in (self.memory, self.query)
        )
        with torch.no_grad():
            layer = self._score_layer()
            scores = layer(query, layer.prepare(memory))
        intro = (
            "<p>The steps of attention, from the scores of three words to the next word. With "
            "JavaScript you can change every number.</p>"
        )
        if not any(self.mask):
            return f"{intro}<p>All three words are masked: there is nothing to attend to.</p>"
        context, weights = attend(scores, memory, torch.tensor([self.mask]))
        probs = (torch.tensor(self.output, dtype=torch.float64) @ context[0]).softmax(0)
        rows: list[list[object]] = [
            [word, _vector(output), f"{score:.2f}", f"{weight:.2f}"]
            for word, output, score, weight in zip(
                self.words,
                self.memory,
                scores[0].tolist(),
                weights[0].tolist(),
                strict=True,
            )
        ]
        following = [
            [word, f"{p:.2f}"]
            for word, p in zip(self.targets, probs.tolist(), strict=True)
        ]
        return (
            intro
            + table(
                f"Decoder state {_vector(self.query)}, {self.score} score",
                ["word", "encoder output", "1. score", "2. weight"],
                rows,
            )
            + table(
                f"3. Context {_vector(context[0].tolist())}. 4. The next word",
                ["word", "probability"],
                following,
            )
        )

    def _score_layer(self) -> AdditiveScore | DotScore | GeneralScore:
        if self.score == "dot":
            return DotScore()
        if self.score == "general":
            layer: AdditiveScore | GeneralScore = GeneralScore(2, 2)
            given = {"key_projection.weight": self.w_general}
        else:
            layer = AdditiveScore(2, 2, 2)
            given = {
                "query_projection.weight": self.w_query,
                "key_projection.weight": self.w_key,
                "vector.weight": [self.vector],
            }
        layer = layer.double()
        layer.load_state_dict(
            {key: torch.tensor(one, dtype=torch.float64) for key, one in given.items()}
        )
        return layer

    def __repr__(self) -> str:
        return f"AttentionSteps(score={self.score!r}, step={self.step})"


def _vector(numbers: Sequence[float | int]) -> str:
    return "(" + ", ".join(f"{round(number, 2) + 0.0:.2f}" for number in numbers) + ")"
