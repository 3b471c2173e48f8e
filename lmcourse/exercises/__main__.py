"""`python -m lmcourse.exercises`: the tables of all exercises, for those who teach.

With a page, `python -m lmcourse.exercises book/for_teachers.md`, they are written into it, between
the two lines that mark their place.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from lmcourse.exercises import CodeExercise, Exercise, all_exercises

CONTENTS = Path(__file__).parents[2] / "_toc.yml"
BEGIN = "% The tables below are made: python -m lmcourse.exercises book/for_teachers.md"
END = "% Here the made tables end."


def chapter_numbers(contents: str) -> dict[str, int]:
    """The number of each chapter, by the name of its module, from the book's table of contents.

    >>> chapter_numbers("- file: notebooks/02_markov")
    {'markov': 2}
    """
    found = re.findall(r"notebooks/(\d+)_(\w+)", contents)
    return {name: int(number) for number, name in found}


def chapter_table(exercises: Sequence[Exercise]) -> str:
    """The exercises of one chapter, CommonMark but for the fold-out (MyST): what each is, and the
    mistakes that its code exercises recognise.

    >>> from lmcourse.exercises.markov import mend_rows
    >>> print(chapter_table([mend_rows]).splitlines()[2])
    | `mend_rows` | code | 8 | 1 | Mend a broken normalisation |
    """
    lines = [
        "| exercise | kind | minutes | difficulty | what it is about |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    mistakes = []
    minutes = {"questions": 0, "code": 0}
    for item in exercises:
        name = item.name.partition(".")[2]
        kind = item.to_dict()["kind"]
        lines.append(
            f"| `{name}` | {kind} | {item.minutes} | {item.difficulty} | {item.title} |"
        )
        if isinstance(item, CodeExercise):
            names = ", ".join(m.name.replace("_", " ") for m in item.misconceptions)
            mistakes.append(f"- `{name}`: {names}")
            minutes["code"] += item.minutes
        else:
            minutes["questions"] += item.minutes
    total = (
        f"Together: {minutes['questions']} minutes of questions, "
        f"{minutes['code']} minutes of code."
    )
    fold = [":::{dropdown} The mistakes that are recognised", *mistakes, ":::"]
    return "\n".join([*lines, "", total, "", *fold])


def tables() -> str:
    """The tables of all chapters that have exercises, in the order of the book.

    Raises:
        ValueError: the book has no chapter of an exercise's name, or is not there: the command
            needs a copy of the project.
    """
    if not CONTENTS.exists():
        raise ValueError(
            f"{CONTENTS} is missing; the tables need a copy of the project"
        )
    numbers = chapter_numbers(CONTENTS.read_text(encoding="utf-8"))
    by_chapter: dict[str, list[Exercise]] = {}
    for item in all_exercises():
        by_chapter.setdefault(item.name.partition(".")[0], []).append(item)
    for name in by_chapter:
        if name not in numbers:
            raise ValueError(
                f"{name!r} has exercises, but {CONTENTS.name} has no such chapter"
            )
    return "\n\n".join(
        f"### Chapter {numbers[name]}: `{name}`\n\n{chapter_table(by_chapter[name])}"
        for name in sorted(by_chapter, key=numbers.__getitem__)
    )


def put_into(page: str, made: str) -> str:
    """The text of a page with new tables in the place of the old ones.

    Raises:
        ValueError: the two lines that mark the place are not there.

    >>> put_into(f"Before.\\n{BEGIN}\\nold\\n{END}\\n", "new").splitlines()[2:5]
    ['', 'new', '']
    """
    before, begin, rest = page.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the line {END if begin else BEGIN!r}")
    return f"{before}{begin}\n{made}\n\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of all exercises, or write them into a page."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcourse.exercises", description=main.__doc__
    )
    parser.add_argument("page", nargs="?", type=Path, help="a page to write them into")
    page = parser.parse_args(arguments).page
    try:
        made = tables()
        if page is None:
            print(made)
        else:
            text = put_into(page.read_text(encoding="utf-8"), made)
            page.write_text(text, encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
