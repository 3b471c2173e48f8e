"""The ladder of the landing page: ten rungs, each with a drawing, a number and its exercises.

The directive `ladder` writes it. Texts and drawings lie beside this file (`ladder.yml`,
`pictograms/`). Numbers come from the stored experiments, times from the exercises and the
notebooks, when the book is built. The page's style and script, and the small script with which a
chapter remembers that it was opened, are loaded only where they are needed.
"""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lmcourse import exercises
from lmcourse.exercises import Exercise, all_exercises
from lmcourse.experiments import get, results

HERE = Path(__file__).parent
RUNGS = HERE / "ladder.yml"
WORDS_A_MINUTE = 35  # slowly, with the code, the pictures and the widgets


@dataclass(frozen=True)
class Measured:
    """A number of the stored results: the mean over the seeds, its spread, how it is shown."""

    experiment: str
    unit: str
    values: list[float]

    @classmethod
    def read(cls, experiment: str, unit: str, path: list) -> "Measured":
        """Read the number at a path of an experiment.

        Raises:
            ValueError: there is no such experiment or path, its results are out of date, or the
                unit is unknown.
        """
        if unit not in ("bits", "share"):
            raise ValueError(f"unit={unit!r}: the unit of a number is bits or share")
        return cls(experiment, unit, results(experiment).values(*path))

    def _shown(self, value: float) -> str:
        return f"{value:.2f}" if self.unit == "bits" else f"{100 * value:.1f}%"

    @property
    def mean(self) -> str:
        """
        >>> Measured("toy", "bits", [3.0, 3.5]).mean, Measured("toy", "share", [0.5, 0.6]).mean
        ('3.25 bits', '55.0%')
        """
        mean = self._shown(sum(self.values) / len(self.values))
        return f"{mean} bits" if self.unit == "bits" else mean

    @property
    def spread(self) -> str:
        """
        >>> Measured("toy", "share", [0.5, 0.6]).spread
        'Mean of 2 seeds, from 50.0% to 60.0%'
        >>> Measured("toy", "bits", [1.98, 1.98]).spread
        'The same for all 2 seeds'
        """
        low, high = self._shown(min(self.values)), self._shown(max(self.values))
        if low == high:
            return f"The same for all {len(self.values)} seeds"
        return f"Mean of {len(self.values)} seeds, from {low} to {high}"


def hours(minutes: float) -> str:
    """Minutes as hours, rounded to halves.

    >>> hours(20), hours(60), hours(100), hours(1930)
    ('half an hour', '1 hour', '1½ hours', '32 hours')
    """
    halves = max(1, round(minutes / 30))
    if halves == 1:
        return "half an hour"
    text = f"{halves // 2}{'½' * (halves % 2)}"
    return f"{text} hour{'s' * (halves > 2)}"


def words_in(notebook: Path) -> int:
    """The number of words in the text of a notebook: its Markdown, without code and outputs."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = ("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return sum(len(cell.split()) for cell in text)


@dataclass(frozen=True)
class Rung:
    """A chapter on the ladder: its texts, its number and what it takes."""

    texts: dict[str, Any]
    number: Measured
    before: Measured
    exercises: list[Exercise]
    words: int

    @property
    def file(self) -> str:
        """`02_markov`: the notebook's name."""
        return self.texts["chapter"]

    @property
    def name(self) -> str:
        """`markov`: the chapter's name."""
        return self.file.partition("_")[2]

    @property
    def place(self) -> int:
        return int(self.file.partition("_")[0])

    @property
    def reading(self) -> float:
        """Minutes of reading."""
        return self.words / WORDS_A_MINUTE

    @property
    def work(self) -> int:
        """Minutes of exercises, as they declare them."""
        return sum(exercise.minutes for exercise in self.exercises)


def rungs(notebooks: Path) -> list[Rung]:
    """The rungs from chapter 1 to the last.

    Args:
        notebooks: the folder of the chapters.

    Raises:
        OSError: a chapter has no notebook.
        ValueError: a number is not in the stored results, or they are out of date.
    """
    found, declared = [], all_exercises()
    for texts in yaml.safe_load(RUNGS.read_text(encoding="utf-8")):
        number = texts["number"]
        source, before = number["experiment"], number["before"]
        name = texts["chapter"].partition("_")[2]
        found.append(
            Rung(
                texts,
                Measured.read(source, number["unit"], number["path"]),
                Measured.read(
                    before.get("experiment", source), number["unit"], before["path"]
                ),
                [e for e in declared if e.name.partition(".")[0] == name],
                words_in(notebooks / f"{texts['chapter']}.ipynb"),
            )
        )
    return found


# ------------------------------------------------------------------------------------------ HTML


def drawing(rung: Rung) -> str:
    """The drawing of a chapter, as a part of the page: its title says the same in words."""
    svg = (HERE / "pictograms" / f"{rung.name}.svg").read_text(encoding="utf-8").strip()
    return svg.replace("<svg ", '<svg aria-hidden="true" class="course-drawing" ', 1)


def done_text(n: int) -> str:
    """What stands beside a bar until the script says how many are done."""
    return f'<span class="course-done-text">{n} exercises</span>'


BAR = '<span class="course-bar pst-js-only" aria-hidden="true"><span></span></span>'


def step_html(rung: Rung, address: str) -> str:
    """A step of the stairs: a small link."""
    name = f"{rung.place}<br>{escape(rung.texts['title'])}"
    return (
        f'<li style="--step:{rung.place}"><a href="{address}">{drawing(rung)}{BAR}'
        f'<span class="course-step-name">{name}</span></a></li>'
    )


def rung_html(rung: Rung, address: str) -> str:
    """A rung of the ladder. The link in its title covers all of it."""
    texts = rung.texts
    number, before = texts["number"], texts["number"]["before"]
    names = " ".join(exercise.name for exercise in rung.exercises)
    title, n_exercises = escape(texts["title"]), len(rung.exercises)
    value, _, unit = rung.number.mean.partition(" ")
    return f"""<li class="course-rung" data-exercises="{escape(names)}">
<div class="course-place">{drawing(rung)}</div>
<div class="course-what">
<h3><a href="{address}"><span class="course-count">{rung.place}</span> {title}</a></h3>
<p class="course-idea">{escape(texts["idea"])}</p>
<dl><div><dt>Solved</dt><dd>{escape(texts["solved"])}</dd></div>
<div><dt>Open</dt><dd>{escape(texts["left"])}</dd></div></dl>
</div>
<div class="course-number">
<p class="course-value"><strong>{value}</strong> {unit}</p>
<p>{escape(number["means"])}</p>
<p class="course-fine">{escape(before["says"])} <b>{rung.before.mean}</b></p>
<p class="course-fine">{rung.number.spread}</p>
</div>
<p class="course-time">Reading {hours(rung.reading)}, exercises {hours(rung.work)}
<span class="course-done">{BAR}{done_text(n_exercises)}</span></p>
</li>"""


def ladder_html(ladder: list[Rung], address: dict[str, str], seed: str) -> str:
    """The stairs, what the reader has done, and the ladder.

    Args:
        ladder: the rungs.
        address: notebook's name -> address of its page.
        seed: the address of what the glossary says of a seed.
    """
    n_exercises = sum(len(rung.exercises) for rung in ladder)
    reading = hours(sum(rung.reading for rung in ladder))
    work = hours(sum(rung.work for rung in ladder))
    steps = "\n".join(step_html(rung, address[rung.file]) for rung in ladder)
    items = "\n".join(rung_html(rung, address[rung.file]) for rung in ladder)
    first = ladder[0]
    start = f"Start with chapter {first.place}: {escape(first.texts['title'])}"
    return f"""<div class="course-landing">
<nav class="course-stairs" aria-label="The ladder at a glance">
<ol role="list" style="--steps:{len(ladder)}">
{steps}
</ol></nav>
<p class="course-start"><a href="{address[first.file]}">{start}</a></p>
<section class="course-progress pst-js-only" aria-label="Your progress">
<p class="course-total">{BAR}{done_text(n_exercises)}</p>
<div class="course-keep">
<button type="button" class="course-save">Save to a file</button>
<label class="course-load">Load a file<input type="file" accept=".json,application/json"></label>
<button type="button" class="course-forget">Forget it all</button>
</div>
<p class="course-fine">Kept in this browser only, and sent nowhere.</p>
<div class="course-said" role="status"></div>
</section>
<ol class="course-ladder" role="list">
{items}
</ol>
<p class="course-fine">A <a href="{seed}">seed</a> fixes all random draws of a run. Reading times
are estimates, and nobody was timed: the words of a chapter at {WORDS_A_MINUTE} a minute, which is
slow and leaves time for code, pictures and widgets. Exercise times are the sum of the minutes that
the exercises declare. Together: {reading} of reading, and {work} for all
{n_exercises} exercises.</p>
</div>"""


# ---------------------------------------------------------------------------------------- Sphinx


class Ladder(SphinxDirective):
    """`ladder`: the whole of it. Without argument, option or content."""

    def run(self) -> list[nodes.Node]:
        notebooks = Path(self.env.srcdir) / "notebooks"
        try:
            ladder = rungs(notebooks)
        except (OSError, ValueError) as error:
            raise self.error(f"the ladder cannot be drawn: {error}") from error
        used = [RUNGS, *(HERE / "pictograms").glob("*.svg")]
        used += Path(exercises.__file__).parent.glob("*.py")
        for rung in ladder:
            used += [get(m.experiment).path for m in (rung.number, rung.before)]
            used.append(notebooks / f"{rung.file}.ipynb")
        for path in used:
            self.env.note_dependency(str(path))
        page = self.env.app.builder.get_relative_uri
        address = {
            rung.file: page(self.env.docname, f"notebooks/{rung.file}")
            for rung in ladder
        }
        seed = page(self.env.docname, "book/glossary") + "#term-seed"
        return [nodes.raw("", ladder_html(ladder, address, seed), format="html")]


def load_what_a_page_needs(app: Sphinx, page: str, *_: Any) -> None:
    """The landing page loads its style and script, a chapter the script that remembers it."""
    if page == app.config.root_doc:
        app.add_css_file("landing.css", priority=900)
        app.add_js_file("landing.js", loading_method="defer")
    elif page.startswith("notebooks/"):
        app.add_js_file("last_opened.js", loading_method="defer")


def setup(app: Sphinx) -> None:
    app.add_directive("ladder", Ladder)
    app.connect("html-page-context", load_what_a_page_needs)
