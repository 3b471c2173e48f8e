"""Quizzes: choose, give a number, put in order, predict the output.

Every wrong answer that is foreseen says why it is wrong.
"""

import contextlib
import io
import math
import random
import re
from dataclasses import dataclass, field
from typing import ClassVar

from lmcourse.exercises.compare import show
from lmcourse.exercises.outcome import CORRECT, NOT_ATTEMPTED, NOT_YET, Outcome


@dataclass(frozen=True)
class Option:
    """An option of a choice; `why` says why it is right or wrong."""

    text: str
    why: str
    correct: bool = False


@dataclass(frozen=True)
class WrongAnswer:
    """A wrong answer that is foreseen, and why it is wrong."""

    answer: object
    why: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Quiz:
    """What all quizzes share.

    Attributes:
        name: `module.variable`.
        title: a few words.
        question: CommonMark.
        minutes: how long it may take.
        difficulty: 1 to 5.
    """

    kind: ClassVar[str] = ""
    name: str
    title: str
    question: str
    minutes: int
    difficulty: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __post_init__(self):
        if not 1 <= self.difficulty <= 5:
            raise ValueError(
                f"{self.name}: difficulty={self.difficulty} is not in 1 to 5"
            )

    def to_dict(self) -> dict:
        """What a card shows, json-able."""
        return {
            "kind": self.kind,
            "name": self.name,
            "title": self.title,
            "question": self.question,
            "minutes": self.minutes,
            "difficulty": self.difficulty,
        }

    def check(self, answer) -> Outcome:
        """Judge an answer. Nothing escapes."""
        if answer is ...:
            return Outcome(NOT_ATTEMPTED, "Put your answer in place of the `...`.")
        try:
            return self._judge(answer)
        except Exception:  # an answer so odd that comparing it fails
            return Outcome(
                NOT_YET, f"The answer {show(answer)} cannot be read. {self._form()}"
            )

    def _judge(self, answer) -> Outcome:
        raise NotImplementedError

    def _form(self) -> str:
        """How an answer looks."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class Choice(Quiz):
    """One of several options is right.

    They are shown shuffled. The answer is the shown letter, or the option's text.

    >>> coin = Choice(
    ...     name="demo.coin", title="A coin", minutes=1, difficulty=1,
    ...     question="How many bits does a fair coin carry?",
    ...     options=(Option("One.", "Two equal cases.", correct=True), Option("Two.", "Cases.")),
    ... )
    >>> coin.check("Two.")
    ✗ not yet. Cases.
    """

    kind: ClassVar[str] = "choice"
    options: tuple[Option, ...]

    def __post_init__(self):
        super().__post_init__()
        n_correct = sum(option.correct for option in self.options)
        if n_correct != 1 or len(self.options) < 2:
            raise ValueError(
                f"{self.name}: {n_correct} of {len(self.options)} options are correct; "
                "exactly one of at least two is"
            )

    def shuffled(self) -> list[Option]:
        """The options in the order they are shown in: fixed, and the right one anywhere."""
        return random.Random(self.name).sample(self.options, len(self.options))

    def to_dict(self) -> dict:
        options = [
            {"text": option.text, "correct": option.correct, "why": option.why}
            for option in self.shuffled()
        ]
        return {**super().to_dict(), "options": options}

    def _form(self) -> str:
        return (
            f"Answer with a letter from a to {chr(ord('a') + len(self.options) - 1)}."
        )

    def _judge(self, answer) -> Outcome:
        for index, option in enumerate(self.shuffled()):
            letter = chr(ord("a") + index)
            if isinstance(answer, str) and answer.strip() in (
                letter,
                letter.upper(),
                option.text,
            ):
                return Outcome(CORRECT if option.correct else NOT_YET, option.why)
        return Outcome(
            NOT_YET, f"The answer {show(answer)} is none of the options. {self._form()}"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Number(Quiz):
    """A number to give, right when `|given - answer| <= tolerance`. Text will do, too: `"1/4"`."""

    kind: ClassVar[str] = "number"
    answer: float | int
    tolerance: float | int
    why: str
    unit: str = ""
    wrong: tuple[WrongAnswer, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        for item in self.wrong:
            if self._near(self.answer, item.answer):
                raise ValueError(
                    f"{self.name}: the wrong answer {item.answer} is within "
                    f"tolerance={self.tolerance} of {self.answer}"
                )

    def to_dict(self) -> dict:
        return {
            **super().to_dict(),
            "answer": float(self.answer),
            "tolerance": float(self.tolerance),
            "unit": self.unit,
            "why": self.why,
            "wrong": [
                {"answer": float(item.answer), "why": item.why} for item in self.wrong
            ],
        }

    def _form(self) -> str:
        unit = f", in {self.unit}" if self.unit else ""
        return (
            f"Answer with a number or a fraction, such as 0.25 or 1/4{unit}; "
            "no commas between thousands, and nothing left to work out."
        )

    def _near(self, target, given) -> bool:
        return abs(float(target) - float(given)) <= self.tolerance

    def _judge(self, answer) -> Outcome:
        if isinstance(answer, str):
            answer = _number(answer, self.unit)
        if isinstance(answer, bool) or answer is None or not math.isfinite(answer):
            return Outcome(
                NOT_YET, f"The answer {show(answer)} is no number. {self._form()}"
            )
        if self._near(self.answer, answer):
            return Outcome(CORRECT, self.why)
        for item in self.wrong:
            if self._near(item.answer, answer):
                return Outcome(NOT_YET, item.why)
        side = "small" if float(answer) < self.answer else "large"
        return Outcome(NOT_YET, f"Your number is too {side}.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Order(Quiz):
    """Things to put in order. `items` are in the right order and are shown shuffled."""

    kind: ClassVar[str] = "order"
    items: tuple[str, ...]
    why: str
    wrong: tuple[WrongAnswer, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        if len(set(self.items)) != len(self.items) or len(self.items) < 3:
            raise ValueError(
                f"{self.name}: items={self.items}; give at least three, each once"
            )
        for item in self.wrong:
            if (
                sorted(item.answer) != sorted(self.items)
                or tuple(item.answer) == self.items
            ):
                raise ValueError(
                    f"{self.name}: {item.answer} is no wrong order of {self.items}"
                )

    def shuffled(self) -> list[str]:
        """The items in a fixed order that is not the right one."""
        items = list(self.items)
        shuffle = random.Random(self.name)
        while tuple(items) == self.items:
            shuffle.shuffle(items)
        return items

    def to_dict(self) -> dict:
        return {
            **super().to_dict(),
            "items": self.shuffled(),
            "answer": list(self.items),
            "why": self.why,
            "wrong": [
                {"answer": list(item.answer), "why": item.why} for item in self.wrong
            ],
        }

    def _form(self) -> str:
        return f"Answer with a list of these texts in your order: {self.shuffled()}."

    def _judge(self, answer) -> Outcome:
        if not isinstance(answer, list | tuple) or sorted(answer) != sorted(self.items):
            return Outcome(NOT_YET, self._form())
        if tuple(answer) == self.items:
            return Outcome(CORRECT, self.why)
        for item in self.wrong:
            if tuple(answer) == tuple(item.answer):
                return Outcome(NOT_YET, item.why)
        right = 0
        while answer[right] == self.items[right]:
            right += 1
        return Outcome(
            NOT_YET, f"Look at number {right + 1}: it is not in its place yet."
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Predict(Quiz):
    """Code whose output is to be foretold. The right answer is what the code prints."""

    kind: ClassVar[str] = "predict"
    code: str
    why: str
    wrong: tuple[WrongAnswer, ...] = ()
    answer: str = field(init=False)

    def __post_init__(self):
        super().__post_init__()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(self.code, {"__name__": "quiz"})
        object.__setattr__(self, "answer", printed.getvalue().strip())
        for item in self.wrong:
            if _parts(item.answer) == _parts(self.answer):
                raise ValueError(
                    f"{self.name}: {item.answer!r} is what the code prints"
                )

    def to_dict(self) -> dict:
        return {
            **super().to_dict(),
            "code": self.code,
            "answer": self.answer,
            "why": self.why,
            "wrong": [{"answer": item.answer, "why": item.why} for item in self.wrong],
        }

    def _form(self) -> str:
        return "Answer with the text that the code prints."

    def _judge(self, answer) -> Outcome:
        given = _parts(answer if isinstance(answer, str) else show(answer))
        if given == _parts(self.answer):
            return Outcome(CORRECT, self.why)
        for item in self.wrong:
            if given == _parts(item.answer):
                return Outcome(NOT_YET, item.why)
        return Outcome(
            NOT_YET, "The code prints something else. Go through it line by line."
        )


def _parts(text: str) -> list[str | float]:
    """The words and numbers of a text. White space, commas and brackets only separate them, so
    `[0, 0.5]`, `[0.0,0.5]` and `0 0.5` are the same.
    """
    words = re.split(r"[\s,()\[\]{}]+", text)
    return [float(word) if _NUMBER.fullmatch(word) else word for word in words if word]


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def _number(text: str, unit: str) -> float | None:
    """A number as a reader may write it: 0.25, 0,25, 1/4 or 4 bits. None where it is none.

    A comma before three digits is refused: 1,585 may mean a thousand or one and a half.
    """
    text = text.replace("−", "-").strip()
    if unit and text.endswith((unit, unit.removesuffix("s"))):
        text = text.removesuffix(unit).removesuffix(unit.removesuffix("s")).strip()
    if re.search(r"[1-9]\d*,\d{3}(?!\d)", text):
        return None
    parts = [part.strip() for part in text.replace(",", ".").split("/")]
    if len(parts) > 2 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    top, bottom = (*map(float, parts), 1.0)[:2]
    return top / bottom if bottom else None
