"""A quiz as a card: choose, give a number, put in order, or predict what code prints."""

from __future__ import annotations

from typing import Any

import traitlets

from lmcourse.widgets.base import Card, escape


class QuizCard(Card):
    """A question that answers back: every foreseen wrong answer says why it is wrong.

    After play `card.answer` is what the reader checked last (the text of an option, a number, a
    list of texts, or the text typed), and `card.done` whether it was solved.

    >>> QuizCard("markov.zero_count")
    QuizCard('markov.zero_count')
    """

    name = "quiz_card"
    kinds = ("choice", "number", "order", "predict")

    answer = traitlets.Any(None, allow_none=True, help="Checked last.").tag(
        sync=True, snapshot=False
    )

    def fallback(self) -> str:
        data: dict[str, Any] = self.exercise
        shown = [option["text"] for option in data.get("options", ())] or data.get(
            "items", ()
        )
        listed = "".join(f"<li>{escape(text)}</li>" for text in shown)
        code = f"<pre>{escape(data['code'])}</pre>" if "code" in data else ""
        return self.heading() + code + (f"<ul>{listed}</ul>" if listed else "")
