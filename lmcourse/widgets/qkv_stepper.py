"""Query, key and value of chapter 6, with numbers that the reader can change."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
import traitlets

from lmcourse.self_attention import scaled_dot_product_attention
from lmcourse.widgets.base import CourseWidget, escape, table

LARGEST = 100  # of a number, and of the temperature
LOWEST_TEMPERATURE = 0.001
N_WORDS, D_MODEL, D_HEAD = 4, 3, 2
SHAPES = {
    "words": (N_WORDS,),
    "hidden": (N_WORDS, D_MODEL),
    "w_query": (D_HEAD, D_MODEL),
    "w_key": (D_HEAD, D_MODEL),
    "w_value": (D_HEAD, D_MODEL),
    "mask": (N_WORDS, N_WORDS),
}
START: dict[str, list[Any]] = {
    "words": ["the", "small", "cat", "sleeps"],
    "hidden": [[0.0, 0.0, 1.0], [0.5, 0.0, 1.5], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0]],
    "w_query": [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]],
    "w_key": [[1.0, 0.0, 0.0], [0.0, -1.0, 1.0]],
    "w_value": [[1.0, 0.0, 0.5], [0.0, 1.0, 1.0]],
    "mask": [[True] * N_WORDS for _ in range(N_WORDS)],
}
KINDS = {"words": (str, "text"), "mask": (bool, "True or False")}


def _entries(value: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """What nested lists of this shape hold, in one list; None where the shape is another."""
    if not shape:
        return None if isinstance(value, list | tuple) else [value]
    if not isinstance(value, list | tuple) or len(value) != shape[0]:
        return None
    found: list[Any] = []
    for item in value:
        part = _entries(item, shape[1:])
        if part is None:
            return None
        found += part
    return found


class QKVStepper(CourseWidget):
    """Change numbers of four words, and follow query, key, value, scores, weights and their sum.

    Every number is a trait, so it can be read after the reader has played, and set from Python.
    A matrix is stored as `torch.nn.Linear` stores it, with a row for each number that comes out:
    query = hidden @ w_query.T. There are no biases.

    Args:
        words: Four words; they are only names.
        hidden: A vector of each word, 4 x 3.
        w_query: Makes queries, 2 x 3.
        w_key: Makes keys, 2 x 3.
        w_value: Makes values, 2 x 3.
        scaled: Whether scores are divided by the square root of 2, the size of a query.
        temperature: What scores are divided by as well, from 0.001 to 100.
        mask: True where the word of the row may attend to the word of the column, 4 x 4.
        row: The word that is worked out in full, 0 to 3.
        step: The step that is shown, 1 to 5.

    Raises:
        ValueError: A number is not between -100 and 100, a list has another shape or holds
            something else, or a choice is none of those that there are.

    >>> QKVStepper(step=4, temperature=0.5)
    QKVStepper(row=3, step=4)
    """

    name = "qkv_stepper"

    words = traitlets.List(help="The words.").tag(sync=True)
    hidden = traitlets.List(help="A vector of each word.").tag(sync=True)
    w_query = traitlets.List(help="Makes queries.").tag(sync=True)
    w_key = traitlets.List(help="Makes keys.").tag(sync=True)
    w_value = traitlets.List(help="Makes values.").tag(sync=True)
    mask = traitlets.List(help="Who may attend to whom.").tag(sync=True)
    scaled = traitlets.Bool(True, help="Divide by the square root.").tag(sync=True)
    temperature = traitlets.Float(1.0, help="Scores are divided by it.").tag(sync=True)
    row = traitlets.Int(3, help="The word that is worked out.").tag(sync=True)
    step = traitlets.Int(1, help="The step that is shown, 1 to 5.").tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**copy.deepcopy(START) | kwargs)

    @traitlets.validate(*SHAPES)
    def _check_list(self, proposal: Any) -> list[Any]:
        name, value = proposal["trait"].name, proposal["value"]
        entries = _entries(value, SHAPES[name])
        if entries is None:
            raise ValueError(f"{name}={value} is not of shape {SHAPES[name]}")
        kind, called = KINDS.get(name, (Real, "a number"))
        for entry in entries:
            if not isinstance(entry, kind) or (
                kind is Real and isinstance(entry, bool)
            ):
                raise ValueError(f"{name} holds {entry!r}, which is not {called}")
            if kind is Real and not abs(entry) <= LARGEST:
                raise ValueError(
                    f"{name} holds {entry}: numbers are between -{LARGEST} and {LARGEST}"
                )
        return value

    @traitlets.validate("temperature")
    def _check_temperature(self, proposal: Any) -> float:
        if not LOWEST_TEMPERATURE <= proposal["value"] <= LARGEST:
            raise ValueError(
                f"temperature={proposal['value']} is not between "
                f"{LOWEST_TEMPERATURE} and {LARGEST}"
            )
        return proposal["value"]

    @traitlets.validate("row", "step")
    def _check_choice(self, proposal: Any) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        first, last = {"row": (0, N_WORDS - 1), "step": (1, 5)}[name]
        if not first <= value <= last:
            raise ValueError(f"{name}={value} is not between {first} and {last}")
        return value

    def fallback(self) -> str:
        hidden, *matrices = (
            torch.tensor(part, dtype=torch.float64)
            for part in (self.hidden, self.w_query, self.w_key, self.w_value)
        )
        query, key, value = (hidden @ matrix.T for matrix in matrices)
        divided = query / self.temperature
        if not self.scaled:
            divided = divided * math.sqrt(D_HEAD)
        mask = torch.tensor(self.mask)
        weights: list[list[float] | None] = []
        outputs: list[list[float] | None] = []
        for one, allowed in zip(divided, mask, strict=True):
            if not allowed.any():
                weights.append(None)
                outputs.append(None)
                continue
            output, weight = scaled_dot_product_attention(
                one[None], key, value, allowed[None]
            )
            weights.append(weight[0].tolist())
            outputs.append(output[0].tolist())
        rows: list[list[object]] = [
            [word, *map(_vector, vectors), "–" if output is None else _vector(output)]
            for word, *vectors, output in zip(
                self.words,
                self.hidden,
                query.tolist(),
                key.tolist(),
                value.tolist(),
                outputs,
                strict=True,
            )
        ]
        looks: list[list[object]] = [
            [word, *(["–"] * N_WORDS if row is None else (f"{w:.3f}" for w in row))]
            for word, row in zip(self.words, weights, strict=True)
        ]
        empty = [w for w, row in zip(self.words, weights, strict=True) if row is None]
        root = "√2 and by " if self.scaled else ""
        return (
            "<p>Self-attention of four words, from their vectors to the weighted sums of "
            "values. With JavaScript you can change every number.</p>"
            + table(
                "1. Query, key and value of each word. 5. Its output",
                ["word", "x", "query", "key", "value", "output"],
                rows,
            )
            + table(
                "2 to 4. Weights: how much the word of a row looks at the word of a column "
                f"(scores are divided by {root}the temperature {self.temperature:g})",
                ["word", *self.words],
                looks,
            )
            + "".join(
                f"<p>The mask allows no word to “{escape(word)}”: it has no weights and no "
                "output.</p>"
                for word in empty
            )
        )

    def __repr__(self) -> str:
        return f"QKVStepper(row={self.row}, step={self.step})"


def _vector(numbers: Sequence[float | int]) -> str:
    return "(" + ", ".join(f"{round(number, 2) + 0.0:.2f}" for number in numbers) + ")"
