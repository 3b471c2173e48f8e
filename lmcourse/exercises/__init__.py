"""Exercises: declared once, checked in the notebook, shown as cards in the book.

A module of this folder declares the exercises of one chapter as module-level variables. In the
notebook the reader fills in a stub and runs `check("markov.row_softmax", row_softmax)`. The
outcome is *not attempted*, *not yet* with the reason, or *correct*. A typical mistake is known by
what it does, not by how it is written: when an answer behaves like a declared misconception on all
inputs, its explanation is the answer.
"""

import difflib
import importlib
import pkgutil
from pathlib import Path

from lmcourse.exercises.code import CodeExercise, Misconception
from lmcourse.exercises.outcome import CORRECT, NOT_ATTEMPTED, NOT_YET, Outcome
from lmcourse.exercises.progress import record
from lmcourse.exercises.quizzes import (
    Choice,
    Number,
    Option,
    Order,
    Predict,
    Quiz,
    WrongAnswer,
)

__all__ = [
    "CORRECT",
    "NOT_ATTEMPTED",
    "NOT_YET",
    "Choice",
    "CodeExercise",
    "Misconception",
    "Number",
    "Option",
    "Order",
    "Outcome",
    "Predict",
    "Quiz",
    "WrongAnswer",
    "all_exercises",
    "chapters",
    "check",
    "get",
]

Exercise = CodeExercise | Quiz
TOOLS = ("code", "compare", "outcome", "progress", "quizzes", "sandbox")


def chapters() -> list[str]:
    """The modules of this folder that declare exercises, by name."""
    names = [
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])
    ]
    return sorted(name for name in names if name not in TOOLS)


def all_exercises() -> list[Exercise]:
    """Every declared exercise, module by module, in the order of the files.

    Raises:
        ValueError: if a name is not `module.variable`.
    """
    found = []
    for chapter in chapters():
        module = importlib.import_module(f"{__name__}.{chapter}")
        for variable, item in vars(module).items():
            if not isinstance(item, Exercise) or item in found:
                continue
            if item.name != f"{chapter}.{variable}":
                raise ValueError(
                    f"exercise {item.name!r} is declared as {chapter}.{variable}"
                )
            found.append(item)
    return found


def get(name: str) -> Exercise:
    """Return a declared exercise.

    Raises:
        ValueError: if there is none of this name; the message holds the nearest ones.
    """
    chapter, _, variable = name.partition(".")
    if chapter in chapters():
        item = getattr(importlib.import_module(f"{__name__}.{chapter}"), variable, None)
        if isinstance(item, Exercise):
            return item
    names = [item.name for item in all_exercises()]
    near = ", ".join(
        difflib.get_close_matches(name, names, n=3, cutoff=0.3) or names[:5]
    )
    raise ValueError(
        f"no exercise is called {name!r}; the nearest are: {near or 'none declared'}"
    )


def check(exercise: "str | Exercise", answer=...) -> Outcome:
    """Check a reader's answer.

    Args:
        exercise: the exercise's name, such as "markov.row_softmax".
        answer: a function for a code exercise; a letter, number, text or list for a quiz.

    Returns:
        The outcome, which shows itself in the notebook. No answer makes this raise.

    Raises:
        ValueError: if no exercise has this name.
    """
    exercise = get(exercise) if isinstance(exercise, str) else exercise
    outcome = exercise.check(answer)
    record(exercise.name, outcome)
    return outcome
