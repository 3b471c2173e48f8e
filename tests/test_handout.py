"""The notebooks for handing out: no solution in them, and all else as in the chapters."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from lmcourse import exercises, handout, notebooks
from lmcourse.widgets import ExerciseCard

CHAPTERS = handout.chosen([])
STATE = re.compile(r'<script type="application/json">(.*?)</script>')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the hand-outs of all chapters."""
    path = tmp_path_factory.mktemp("handout")
    assert handout.main([], path) == 0
    return path


def texts(part: object) -> list[str]:
    """All texts of a notebook, those inside the stored states of its widgets, too."""
    if isinstance(part, dict):
        return [text for value in part.values() for text in texts(value)]
    if isinstance(part, list):
        return [text for value in part for text in texts(value)]
    if not isinstance(part, str):
        return []
    states = [json.loads(state) for state in STATE.findall(part)]
    return [STATE.sub("", part), *texts(states)]


@cache
def read(path: Path) -> str:
    return "\n".join(texts(dict(nbformat.read(path, as_version=4))))


def telling_lines(path: Path) -> set[str]:
    """The lines of all solutions of a chapter but those that its reader sees anyway: in a stub, in
    a hint, or in the chapter's own cells."""
    chapter = path.stem.partition("_")[2]
    of_chapter = [
        item
        for item in exercises.all_exercises()
        if item.name.startswith(f"{chapter}.") and item.to_dict()["kind"] == "code"
    ]
    cells = nbformat.read(path, as_version=4).cells
    seen = [cell.source for cell in cells]
    for cell in cells:
        for output in cell.get("outputs", []):
            if handout.STORED_CARD not in output.get("data", {}).get("text/html", ""):
                seen += texts(dict(output))
    for item in of_chapter:
        seen += [item.stub, item.statement, *item.hints]
    everything = "\n".join(seen)
    lines = {line.strip() for item in of_chapter for line in item.solution.split("\n")}
    return {line for line in lines if line not in everything}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_sentence_offers_a_solution_on_a_card(path, folder):
    cells = nbformat.read(folder / path.name, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert not re.search(r"card holds[^.]*solution", text)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_line_of_a_solution_is_left(path, folder):
    lines = telling_lines(path)
    assert len(lines) > 20
    assert lines == {line for line in lines if line in read(path)}  # they were there
    handed_out = read(folder / path.name)
    assert {line for line in lines if line in handed_out} == set()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_nothing_but_the_cards_is_another(path, folder):
    """Statements, hints, quizzes, figures and claims stay, cell by cell."""
    there = nbformat.read(path, as_version=4)
    here = nbformat.read(folder / path.name, as_version=4)
    changed = [
        (old.source, new.source)
        for old, new in zip(there.cells, here.cells, strict=True)
        if old != new
    ]
    cards = [old for old, _ in changed if "ExerciseCard(" in old]
    assert len(cards) == read(path).count("exercise_card") > 4
    for old, new in changed:
        old = handout.OFFER.sub("holds hints", old)
        assert new == re.sub(r'(ExerciseCard\("[\w.]+")\)', r"\1, solution=False)", old)
    for item in exercises.all_exercises():
        if f'ExerciseCard("{item.name}")' in read(path):
            assert all(hint in read(folder / path.name) for hint in item.hints)


def test_the_same_bytes_every_time(folder, tmp_path):
    assert handout.main(["05"], tmp_path) == 0
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == (folder / "05_attention.ipynb").read_bytes()


def test_a_handed_out_notebook_runs(tmp_path):
    """The cells of an exercise of chapter 2: the card comes without a solution, and `check` knows
    a mistake that a student made."""
    stored = handout.without_solutions(
        nbformat.read(handout.chosen(["markov"])[0], as_version=4)
    )
    about = [cell for cell in stored.cells if "mend_rows" in cell.source]
    imports = [cell for cell in stored.cells if re.match("(from|import) ", cell.source)]
    about[1].source = "def mend_rows(counts):\n    return counts / counts.sum(dim=0)"
    path = tmp_path / "exercise.ipynb"
    notebooks.write(new_notebook(cells=[*imports, *about]), path)
    cells = notebooks.run(path).cells[-len(about) :]
    assert cells[0].outputs[0].data == about[0].outputs[0].data
    said = cells[-1].outputs[0].data["text/plain"]
    assert said.startswith("✗ not yet. ") and "column" in said


def test_a_card_without_a_solution_does_not_hold_it():
    card = ExerciseCard("markov.mend_rows", solution=False)
    assert "solution" not in card.exercise and card.exercise["hints"]
    assert repr(card) == "ExerciseCard('markov.mend_rows', solution=False)"
    assert exercises.get("markov.mend_rows").solution not in card.snapshot()
    whole = ExerciseCard("markov.mend_rows")
    assert whole.exercise["solution"] and repr(whole) == (
        "ExerciseCard('markov.mend_rows')"
    )


@pytest.mark.parametrize(
    ("chapters", "names"),
    [
        (["5"], ["05_attention"]),
        (["attention", "02"], ["02_markov", "05_attention"]),
        (["05_attention", "05"], ["05_attention"]),
    ],
)
def test_chapters_are_named_by_number_or_name(chapters, names):
    assert [path.stem for path in handout.chosen(chapters)] == names


def test_what_is_wrong_is_said_in_one_sentence(tmp_path, capsys, monkeypatch):
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    cell = new_code_cell('card = ExerciseCard(get("markov.mend_rows"))')
    notebooks.write(new_notebook(cells=[cell]), project / "notebooks/01_own.ipynb")
    out = tmp_path / "out"
    for root, chapters, folder, message in (
        (handout.PROJECT, ["99"], out, "there is no chapter '99'; there are: 01_"),
        (handout.PROJECT, ["2"], file, "cannot be written or read: "),
        (tmp_path, [], out, "run this in a copy of the project"),
        (project, [], out, "01_own.ipynb: the cell"),
    ):
        monkeypatch.setattr(handout, "PROJECT", root)
        with pytest.raises(SystemExit):
            handout.main(chapters, folder)
        said = capsys.readouterr().err
        assert message in said and "Traceback" not in said
    assert not out.exists()
