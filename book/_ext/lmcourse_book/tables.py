"""Makes the tables of widgets and of exercises, from the notebooks and the package alone.

`{widget-table}` stands in `book/widgets.md`, `{exercise-table}` in `book/exercises.md` and, with
the names and the recognised mistakes, in `book/for_teachers.md`. What a table links to must be
there: a link to a card that no chapter shows is a warning.
"""

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lmcourse import exercises, pretrained, widgets
from lmcourse.exercises import CodeExercise, Exercise
from lmcourse.widgets.base import Card, CourseWidget, ModelsWidget, ModelWidget

from .anchors import SNAPSHOT, anchor_of

HEADING = re.compile(r"^(?:```.*?^```|#+ (.+?)$)", re.MULTILINE | re.DOTALL)


class Chapter:
    """A notebook: its number, its title, and the headings above its widgets.

    Attributes:
        number: The number of the chapter.
        name: The name of its module.
        page: The notebook, from the folder of the book.
        title: The chapter's title.
        sections: The heading above the first snapshot of each anchor.
    """

    def __init__(self, path: Path) -> None:
        number, _, self.name = path.stem.partition("_")
        self.number = int(number)
        self.page = f"/notebooks/{path.name}"
        self.title = ""
        self.sections: dict[str, str] = {}
        heading = ""
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                headings = [text for text in HEADING.findall(cell.source) if text]
                heading = headings[-1] if headings else heading
                self.title = self.title or heading
            for output in cell.get("outputs", []):
                if found := SNAPSHOT.match(output.get("data", {}).get("text/html", "")):
                    self.sections.setdefault(anchor_of(*found.groups())[0], heading)


def widget_table(chapters: Sequence[Chapter]) -> str:
    """Every widget but the cards: where it stands, what one can do with it, what runs in it."""
    classes: dict[str, type[CourseWidget]] = {}
    for shown in map(widgets.__dict__.get, widgets.__all__):
        if inspect.isclass(shown) and shown.name and not issubclass(shown, Card):
            classes[f"widget-{shown.name}"] = shown
    lines = [
        "| widget | where | what to do with it | what runs in it |",
        "| --- | --- | --- | --- |",
    ]
    for chapter in chapters:
        for anchor, section in chapter.sections.items():
            if anchor in classes:
                shown = classes[anchor]
                lines.append(
                    f"| `{shown.__name__}` "
                    f"| [Chapter {chapter.number}: {section}]({chapter.page}#{anchor}) "
                    f"| {summary(shown)} | {models(shown)} |"
                )
    return "\n".join(lines)


def summary(shown: type) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return " ".join(inspect.getdoc(shown).partition("\n\n")[0].split())


def models(shown: type[CourseWidget]) -> str:
    """What the stored weights that a widget loads say of themselves."""
    names: tuple[str, ...] = ()
    if issubclass(shown, ModelWidget):
        names += (shown.pretrained,)
    if issubclass(shown, ModelsWidget):
        names += shown.other_pretrained
    return (
        " ".join(pretrained.facts(name)["about"] for name in names) or "nothing trained"
    )


def exercise_table(chapter: Chapter, listed: Sequence[Exercise]) -> str:
    """The exercises of a chapter, for those who do them."""
    lines = [
        f"## Chapter {chapter.number}: {chapter.title}",
        "",
        "| exercise | kind | minutes | difficulty |",
        "| --- | --- | ---: | ---: |",
    ]
    for item in listed:
        link = f"[{item.title}]({chapter.page}#exercise-{item.name})"
        facts = item.to_dict()["kind"], item.minutes, item.difficulty
        lines.append(f"| {link} | {' | '.join(map(str, facts))} |")
    return "\n".join(lines)


def mistakes_table(chapter: Chapter, listed: Sequence[Exercise]) -> str:
    """The exercises of a chapter, for those who teach, with the mistakes that are recognised."""
    lines = [
        f"### Chapter {chapter.number}: `{chapter.name}`",
        "",
        "| exercise | kind | minutes | difficulty | what it is about |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    mistakes = []
    minutes = {"questions": 0, "code": 0}
    for item in listed:
        name = f"`{item.name.partition('.')[2]}`"
        link = f"[{item.title}]({chapter.page}#exercise-{item.name})"
        facts = item.to_dict()["kind"], item.minutes, item.difficulty, link
        lines.append(f"| {name} | {' | '.join(map(str, facts))} |")
        if isinstance(item, CodeExercise):
            known = ", ".join(m.name.replace("_", " ") for m in item.misconceptions)
            mistakes.append(f"- {name}: {known}")
            minutes["code"] += item.minutes
        else:
            minutes["questions"] += item.minutes
    total = (
        f"Together: {minutes['questions']} minutes of questions, "
        f"{minutes['code']} minutes of code."
    )
    fold = [":::{dropdown} The mistakes that are recognised", *mistakes, ":::"]
    return "\n".join([*lines, "", total, "", *fold])


class Table(SphinxDirective):
    """A directive that is replaced by Markdown, and made anew when a notebook changes."""

    def chapters(self) -> list[Chapter]:
        paths = sorted(Path(self.env.srcdir, "notebooks").glob("[0-9][0-9]_*.ipynb"))
        for path in paths:
            self.env.note_dependency(str(path))
        for module in (widgets, exercises):
            for path in Path(module.__file__).parent.glob("*.py"):
                self.env.note_dependency(str(path))
        return [Chapter(path) for path in paths]


class WidgetTable(Table):
    def run(self) -> list[nodes.Node]:
        (table,) = self.parse_text_to_nodes(widget_table(self.chapters()))
        table["classes"].append("lmcourse-widgets")
        return [table]


class ExerciseTable(Table):
    option_spec: ClassVar = {"mistakes": directives.flag}

    def run(self) -> list[nodes.Node]:
        make = mistakes_table if "mistakes" in self.options else exercise_table
        declared = exercises.all_exercises()
        tables = []
        for chapter in self.chapters():
            own = f"{chapter.name}."
            listed = [item for item in declared if item.name.startswith(own)]
            if listed:
                tables.append(make(chapter, listed))
        return self.parse_text_to_nodes(
            "\n\n".join(tables), allow_section_headings=True
        )


def add_script(app: Sphinx, page: str, *_: object) -> None:
    """The page of exercises marks what is done, and filters."""
    if page == "book/exercises":
        app.add_js_file("exercises.js", loading_method="defer")


def setup(app: Sphinx) -> None:
    app.add_directive("widget-table", WidgetTable)
    app.add_directive("exercise-table", ExerciseTable)
    app.connect("html-page-context", add_script)
