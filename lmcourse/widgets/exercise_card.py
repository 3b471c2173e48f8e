"""A code exercise as a card: statement, hints one by one, the solution on request."""

from __future__ import annotations

from lmcourse.widgets.base import Card


class ExerciseCard(Card):
    """What to write, help in steps, and a mark for what is done.

    The code itself is written in the notebook's next cell and checked there; `card.done` is the
    reader's own mark, or that the check came out right in this folder before.

    >>> from lmcourse import exercises
    >>> code = [item for item in exercises.all_exercises() if item.to_dict()["kind"] == "code"]
    >>> ExerciseCard(code[0]).done
    False
    """

    name = "exercise_card"
    kinds = ("code",)

    def fallback(self) -> str:
        return self.heading()
