"""Writes the notebooks for handing out: the same chapters, on whose cards there is no solution.

    python -m lmcourse.handout [CHAPTERS]     such as 05; all of them where none is named

A code exercise's card keeps its statement and its hints, in the stored output and when the cell is
run. All else stays: quizzes explain wrong answers, and `check` works.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lmcourse import notebooks
from lmcourse.widgets import ExerciseCard

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "_build/handout"
CARD = re.compile(r'\bExerciseCard\("([\w.]+)"\)')
OFFER = re.compile(
    r"\bholds hints and,\s+if\s+you\s+ask\s+for\s+it,\s+the\s+solution\b"
)
STORED_CARD = f'data-widget="{ExerciseCard.name}"'


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy of a notebook whose cards of code exercises have no solution.

    Raises:
        ValueError: a card is shown in a way that this does not know, or of an exercise that does
            not exist. Then its solution might stay.

    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> cell = new_code_cell('ExerciseCard("markov.mend_rows")')
    >>> without_solutions(new_notebook(cells=[cell])).cells[0].source
    'ExerciseCard("markov.mend_rows", solution=False)'
    """
    notebook = notebooks.normalise(notebook)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            cell.source = OFFER.sub("holds hints", cell.source)
            continue
        stored = [
            output
            for output in cell.outputs
            if STORED_CARD in output.get("data", {}).get("text/html", "")
        ]
        names = CARD.findall(cell.source)
        cell.source = CARD.sub(r'ExerciseCard("\1", solution=False)', cell.source)
        if cell.source.count("ExerciseCard(") != len(names) or len(stored) > len(names):
            line = cell.source.partition("\n")[0]
            raise ValueError(
                f'the cell "{line}" shows a card in its own way; '
                'a cell of a card says ExerciseCard("CHAPTER.NAME")'
            )
        # A cell shows the value of its last line.
        for name, output in zip(names[len(names) - len(stored) :], stored, strict=True):
            card = ExerciseCard(name, solution=False)
            output.data["text/html"] = card.snapshot()
            output.data["text/plain"] = repr(card)
    return notebook


def chosen(chapters: Sequence[str]) -> list[Path]:
    """The notebooks of some chapters, of all where none is named.

    Args:
        chapters: A number ("05" or "5"), a name ("attention") or both ("05_attention") each.

    Raises:
        ValueError: there is no such chapter, or no notebooks: the command needs a copy of the
            project.
    """
    paths = sorted((PROJECT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise ValueError(
            f"there are no notebooks in {PROJECT / 'notebooks'}; run this in a copy of the project"
        )
    named = {}
    for path in paths:
        number, _, name = path.stem.partition("_")
        named |= dict.fromkeys((number, str(int(number)), name, path.stem), path)
    for chapter in chapters:
        if chapter not in named:
            known = ", ".join(path.stem for path in paths)
            raise ValueError(f"there is no chapter {chapter!r}; there are: {known}")
    return sorted({named[chapter] for chapter in chapters}) or paths


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Write the notebooks for handing out into _build/handout: of all chapters or of some."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcourse.handout", description=main.__doc__
    )
    parser.add_argument("chapters", nargs="*", help="a number or a name: 05, attention")
    options = parser.parse_args(arguments)
    made = {}
    try:
        for path in chosen(options.chapters):
            try:
                made[folder / path.name] = without_solutions(
                    nbformat.read(path, as_version=4)
                )
            except ValueError as error:
                raise ValueError(f"{path.name}: {error}") from error
        folder.mkdir(parents=True, exist_ok=True)
        for path, notebook in made.items():
            notebooks.write(notebook, path)
            print(path)
    except OSError as error:
        parser.error(f"{error.filename} cannot be written or read: {error.strerror}")
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
