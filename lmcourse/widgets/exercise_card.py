"""A code exercise as a card: statement, hints one by one, the solution on request."""

from __future__ import annotations

from typing import Any

from lmcourse.widgets.base import Card


class ExerciseCard(Card):
    """What to write, help in steps, and a mark for what is done.

    The code itself is written in the notebook's next cell and checked there; `card.done` is the
    reader's own mark, or that the check came out right in this folder before.

    Args:
        exercise: As of every card.
        solution: Whether the card offers the solution; without, it does not hold it either.

    >>> from lmcourse import exercises
    >>> code = [item for item in exercises.all_exercises() if item.to_dict()["kind"] == "code"]
    >>> ExerciseCard(code[0]).done
    False
    """

    name = "exercise_card"
    kinds = ("code",)

    def __init__(self, exercise: Any, *, solution: bool = True, **kwargs: Any) -> None:
        super().__init__(exercise, **kwargs)
        if not solution:
            kept = {k: v for k, v in self.exercise.items() if k != "solution"}
            self.exercise = kept

    def fallback(self) -> str:
        return self.heading()

    def __repr__(self) -> str:
        without = "" if "solution" in self.exercise else ", solution=False"
        return f"{type(self).__name__}({self.exercise['name']!r}{without})"
