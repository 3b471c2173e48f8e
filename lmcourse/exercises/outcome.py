"""What a check answers."""

from dataclasses import dataclass

NOT_ATTEMPTED = "not attempted"
NOT_YET = "not yet"
CORRECT = "correct"
MARKS = {NOT_ATTEMPTED: "○", NOT_YET: "✗", CORRECT: "✓"}


@dataclass(frozen=True)
class Outcome:
    """One of three outcomes, and the sentences that go with it.

    Attributes:
        outcome: "not attempted", "not yet" or "correct".
        message: what to say to the reader, CommonMark.
        printed: the start of what the reader's function printed.
        misconception: the name of the mistake that was recognised.

    >>> Outcome(NOT_ATTEMPTED, "Replace the `...`.")
    ○ not attempted. Replace the `...`.
    """

    outcome: str
    message: str = ""
    printed: str = ""
    misconception: str = ""

    def __repr__(self) -> str:
        text = f"{MARKS[self.outcome]} {self.outcome}. {self.message}".rstrip()
        return (
            f"{text}\nYour function printed:\n{self.printed}" if self.printed else text
        )

    def _repr_markdown_(self) -> str:
        text = f"**{MARKS[self.outcome]} {self.outcome}.** {self.message}".rstrip()
        if self.printed:
            fence = "`" * max(3, _longest_run_of_backticks(self.printed) + 1)
            text += (
                f"\n\nYour function printed:\n\n{fence}text\n{self.printed}\n{fence}"
            )
        return text


def _longest_run_of_backticks(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
