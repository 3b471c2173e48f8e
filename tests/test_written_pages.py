"""The pages that run no code: what they say of the code, the notebooks and the exercises."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml
from torch import nn
from transformers import BertConfig, GPT2Config

import lmcourse
from lmcourse import exercises, widgets
from lmcourse.huggingface import CONFIG_NAMES

ROOT = Path(__file__).parents[1]
NOTATION = (ROOT / "book/notation.md").read_text(encoding="utf-8")
PLAN = (ROOT / "book/for_teachers.md").read_text(encoding="utf-8")
NOTEBOOKS = {
    int(path.name[:2]): path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}

CODE = re.compile(r"`([^`]+)`")
MATHS = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$", re.DOTALL)
NAMED = (  # letters that are written as commands
    "alpha beta gamma epsilon varepsilon eta lambda mu pi sigma omega Phi ell".split()
)
SUBSCRIPTS = ("model", "ff", "ih", "hh", "hn", "tokens", "characters")


def section(page: str, title: str) -> str:
    """The text of a page under a heading, up to the next heading."""
    found = re.search(rf"^##+ {title}\n(.*?)(?=^#|\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, f"there is no heading {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables of a text, without headings."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and set("".join(cells)) <= set("-: "):
            found.pop()  # the heading stands before the rule
        elif cells:
            found.append(cells)
    return found


def letters(text: str) -> set[str]:
    """The letters in the formulas of a text, those with a command by its name."""
    found = set()
    without_code = re.sub(r"```.*?```|`[^`]*`", " ", text, flags=re.DOTALL)
    for display, inline in MATHS.findall(without_code):
        formula = re.sub(
            r"\\(text|begin|end)\{[^{}]*\}|\\\\\[.*?\]", " ", display or inline
        )
        found |= set(re.findall(r"\\([A-Za-z]+)", formula)) & set(NAMED)
        for run in re.findall(r"[A-Za-z]+", re.sub(r"\\[A-Za-z]+", " ", formula)):
            found |= set() if run in SUBSCRIPTS else set(run)
    return found


@cache
def words_of(number: int) -> str:
    """All Markdown of a chapter."""
    cells = nbformat.read(NOTEBOOKS[number], as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@cache
def names_of_the_package() -> tuple[set[str], set[str]]:
    """What the package defines or uses by name, and the axes of its signatures."""
    names, axes = set(), set()
    for path in Path(lmcourse.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for kind in ("id", "attr", "arg", "name"):
                names.add(getattr(node, kind, None))
            if isinstance(node, ast.Subscript):
                axes |= set(re.findall(r"\w+", ast.unparse(node.slice)))
    return names, axes


# ------------------------------------------------------------------------------------- notation


def test_the_first_example_of_the_notation_runs():
    text = NOTATION.replace("```\n", "\n")  # what follows an output is a blank line
    example = doctest.DocTestParser().get_doctest(text, {}, "notation.md", None, 0)
    assert doctest.DocTestRunner().run(example) == (0, 7)


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_every_letter_of_a_chapters_formulas_stands_in_its_table(number):
    here = section(NOTATION, f"Chapter {number}")
    assert letters(words_of(number)) - letters(here) == set()


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_no_symbol_is_listed_that_a_chapter_does_not_use(number):
    symbols = " ".join(row[0] for row in rows(section(NOTATION, f"Chapter {number}")))
    assert letters(symbols) - letters(words_of(number)) == set()


def test_a_letter_with_several_meanings_has_them_where_it_is_said():
    wrong = []
    for letter, meanings in rows(section(NOTATION, "One letter, several meanings")):
        for inside in re.findall(r"\((\d[\d, to]*)\)", meanings):
            for first, last in re.findall(r"(\d+)(?: to (\d+))?", inside):
                for number in range(int(first), int(last or first) + 1):
                    if number in NOTEBOOKS and not letters(letter) <= letters(
                        words_of(number)
                    ):
                        wrong.append(f"{letter} in chapter {number}")
    assert not wrong


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_names_of_the_code_exist(number):
    names, _ = names_of_the_package()
    listed = set()
    for _symbol, code, shape, _meaning in rows(section(NOTATION, f"Chapter {number}")):
        listed |= set(re.findall(r"\w+", " ".join(CODE.findall(f"{code} {shape}"))))
    assert listed and listed - names == set()


def test_sizes_and_axes_exist():
    names, axes = names_of_the_package()
    sizes = " ".join(row[0] for row in rows(section(NOTATION, "Sizes and settings")))
    assert set(CODE.findall(sizes)) - names == set()
    cells = rows(section(NOTATION, "Shapes in signatures"))
    along = " ".join(row[0] for row in cells if '"' not in row[0])
    assert set(CODE.findall(along)) - axes - {"Int", "Bool"} == set()


def test_names_of_other_libraries_are_those_of_the_libraries():
    makers = (
        nn.Embedding,
        nn.LayerNorm,
        nn.GRUCell,
        nn.MultiheadAttention,
        nn.TransformerEncoderLayer,
        nn.TransformerEncoder,
    )
    theirs = [
        {name for maker in makers for name in inspect.signature(maker).parameters},
        set(BertConfig().to_dict()),
        set(GPT2Config().to_dict()),
    ]
    names, _ = names_of_the_package()
    table = [
        row for row in rows(section(NOTATION, "In other libraries")) if len(row) == 4
    ]
    for ours, *others in table:
        assert set(CODE.findall(ours)) <= names
        for cell, known in zip(others, theirs, strict=True):
            assert set(CODE.findall(cell)) <= known, cell
    bert = {CODE.findall(row[0])[0]: CODE.findall(row[2]) for row in table}
    assert {ours: [name] for ours, name in CONFIG_NAMES.items()} == {
        ours: names for ours, names in bert.items() if names
    }


# ---------------------------------------------------------------------------------- for teachers


def hours() -> list[tuple[int, str]]:
    """The chapter and the text of each hour of the plan."""
    parts = re.split(r"^### Hour \d+: .* \(chapter (\d+)\)\n", PLAN, flags=re.M)[1:]
    return [
        (int(number), re.split(r"^## ", text, flags=re.M)[0])
        for number, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def test_an_hour_has_sixty_minutes():
    assert [sum(int(row[0]) for row in rows(text)) for _, text in hours()] == [60] * 12


def test_the_plan_names_sections_that_exist():
    for number, text in hours():
        if number in NOTEBOOKS:
            headings = re.findall(r"^#+ (.*)$", words_of(number), re.M)
            assert {row[1] for row in rows(text)} - set(headings) == set()


def test_the_plan_names_exercises_and_widgets_that_exist():
    quoted = set(CODE.findall(re.sub(r"^```.*?^```", "", PLAN, flags=re.M | re.S)))
    chapters = {item.name.partition(".")[0] for item in exercises.all_exercises()}
    named = {
        name for name in quoted if name.partition(".")[0] in chapters and "." in name
    }
    assert len(named) > 50
    assert named - {item.name for item in exercises.all_exercises()} == set()
    shown = set(re.findall(r"\*[Ww]idget\*\s+`(\w+)`", PLAN))
    assert shown - set(widgets.__all__) == set()
    cards = {"CourseWidget", "ModelWidget", "ModelsWidget", "ExerciseCard", "QuizCard"}
    classes = {name for name in widgets.__all__ if name[0].isupper()}
    assert classes - cards - shown == set()


def test_every_chapter_has_an_hour():
    assert sorted({number for number, _ in hours()}) == list(NOTEBOOKS)


# -------------------------------------------------------------------------------------- the rest


def test_the_changes_describe_this_version_and_its_day():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)", text, re.M)
    newest = headings[headings[0] == "Unreleased"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert newest == f"{lmcourse.__version__} ({cited['date-released']})"


def test_pages_name_commands_and_files_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = set(re.search(r"\.PHONY: (.*)", makefile)[1].split())
    for name in ("book/for_teachers.md", "book/how_tested.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        wanted = set(re.findall(r"(?:^|`)make ([a-z-]+)(?=`|  |$)", text, re.M))
        assert wanted - commands == set()
        files = re.findall(r"`((?:tests|notebooks|lmcourse|book)/[\w./]*)`", text)
        assert [file for file in files if not (ROOT / file).exists()] == []
