"""The ladder of the landing page: numbers as stored, times as declared, a rung for every chapter.

What is compared is read another way here, straight from the files."""

from __future__ import annotations

import doctest
import json
import re
import statistics
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes

from lmcourse.exercises import all_exercises

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book/_ext"))
from lmcourse_book import ladder, social  # noqa: E402

CHAPTERS = re.findall(r"notebooks/(\w+)", (ROOT / "_toc.yml").read_text("utf-8"))
NAMES = range(len(CHAPTERS))


def stored(experiment: str) -> list[dict]:
    path = ROOT / "lmcourse/experiments/results" / f"{experiment}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


GAP = [row["gap"]["unigram"] for row in stored("language_models.baselines")]
FAR = 3  # the farthest names
LONG = 2  # the longest third


def recall(experiment: str, model: str) -> list[float]:
    rows = [row["recall"] for row in stored(experiment)]
    assert all(row["bins"][FAR][0] == 25 for row in rows)  # "25 words or more"
    return [row[model][FAR] for row in rows]


def gap(experiment: str, model: str) -> list[float]:
    return [row["gap"][model] for row in stored(experiment)]


def translated(experiment: str, third: int = LONG) -> list[float]:
    rows = stored(experiment)
    assert all(row["thirds"][LONG][0] == 16 for row in rows)  # "16 words or more"
    assert all(row["thirds"][0][1] == 9 for row in rows)  # "up to 9 words"
    return [row["quality"]["thirds"]["exact"][third] for row in rows]


def real_text(model: str) -> list[float]:
    return [
        row["shares"]["100%"][model]["bits"] for row in stored("scoreboard.real_text")
    ]


def filled(name: str) -> list[float]:
    return [row["filling"][name]["accuracy"] for row in stored("bert.language")]


SELF, MULTI = (
    "self_attention.teaching_language",
    "multi_head_attention.teaching_language",
)
EXPECTED = [  # the values of the number, and of what it is compared with
    (GAP, [row["gap"]["uniform"] for row in stored("language_models.baselines")]),
    (
        [
            row["chosen"]["modified Kneser-Ney"]["gap"]
            for row in stored("markov.order_and_smoothing")
        ],
        GAP,
    ),
    (recall("rnn.teaching_language", "GRU"), recall("rnn.teaching_language", "n-gram")),
    (translated("seq2seq.bottleneck"), translated("seq2seq.bottleneck", 0)),
    (translated("attention.translation"), translated("seq2seq.bottleneck")),
    (gap(SELF, "sinusoidal"), gap("rnn.teaching_language", "RNN")),
    (gap(MULTI, "4 heads"), gap(MULTI, "1 head")),
    (recall("transformer.teaching_language", "Transformer"), recall(MULTI, "4 heads")),
    (filled("BERT"), filled("Transformer, left side")),
    (real_text("n-gram"), real_text("GRU")),
]


@pytest.fixture(scope="module")
def rungs() -> list[ladder.Rung]:
    return ladder.rungs(ROOT / "notebooks")


@pytest.fixture(scope="module")
def page(rungs) -> BeautifulSoup:
    address = {rung.file: f"../notebooks/{rung.file}.html" for rung in rungs}
    return BeautifulSoup(ladder.ladder_html(rungs, address, "#seed"), "html.parser")


def test_examples():
    assert doctest.testmod(ladder).attempted and not doctest.testmod(ladder).failed


def test_every_chapter_has_a_rung_in_the_order_of_the_book(rungs, page):
    assert [rung.file for rung in rungs] == CHAPTERS
    for place in (".course-rung h3 a", ".course-stairs a"):
        assert [link["href"] for link in page.select(place)] == [
            f"../notebooks/{name}.html" for name in CHAPTERS
        ]


@pytest.mark.parametrize("i", NAMES, ids=CHAPTERS)
def test_the_number_is_that_of_the_stored_results(i, page):
    share = "%" in page.select(".course-rung")[i].select_one(".course-value").text

    def shown(value: float) -> str:
        return f"{round(100 * value, 1):.1f}%" if share else f"{round(value, 2):.2f}"

    number = page.select(".course-rung")[i].select_one(".course-number")
    values, before = EXPECTED[i]
    assert number.strong.text == shown(statistics.fmean(values))
    assert number.b.text.removesuffix(" bits") == shown(statistics.fmean(before))
    low, high = shown(min(values)), shown(max(values))
    if low == high:
        assert f"The same for all {len(values)} seeds" in number.text
    else:
        assert f"Mean of {len(values)} seeds, from {low} to {high}" in number.text


def test_the_network_of_the_last_rung_is_the_best_one():
    models = set(stored("scoreboard.real_text")[0]["shares"]["100%"])
    networks = models - {"unigram", "n-gram"}
    assert min(networks, key=lambda name: statistics.fmean(real_text(name))) == "GRU"


@pytest.mark.parametrize("i", NAMES, ids=CHAPTERS)
def test_each_step_shows_why_it_was_taken(i, page):
    """The number is better than the one beside it in every seed; Seq2Seq's, worse."""
    lower_is_better = "bits" in page.select(".course-value")[i].text
    better = [
        value < before if lower_is_better else value > before
        for value, before in zip(*EXPECTED[i], strict=True)
    ]
    assert all(better) if CHAPTERS[i] != "04_seq2seq" else not any(better)


@pytest.mark.parametrize("i", NAMES, ids=CHAPTERS)
def test_times(i, rungs, page):
    name = CHAPTERS[i].partition("_")[2]
    mine = [item for item in all_exercises() if item.name.startswith(f"{name}.")]
    assert rungs[i].work == sum(item.minutes for item in mine)
    assert rungs[i].exercises == mine
    cells = json.loads((ROOT / f"notebooks/{CHAPTERS[i]}.ipynb").read_text("utf-8"))
    text = "\n\n".join(
        "".join(cell["source"])
        for cell in cells["cells"]
        if cell["cell_type"] == "markdown"
    )
    assert rungs[i].words == len(re.findall(r"\S+", text))
    said = page.select(".course-time")[i].text
    assert f"Reading {ladder.hours(rungs[i].reading)}" in said
    assert f"exercises {ladder.hours(rungs[i].work)}" in said
    if said_by_chapter := re.search(r"\*How long\?\* (.+) hours of reading", text):
        hours = ["", "one", "two", "three", "four"].index(
            said_by_chapter[1].lower().split()[-1]
        )
        assert abs(rungs[i].reading / 60 - hours) <= 0.5


def test_the_total_is_that_of_all_exercises(page):
    n = len(all_exercises())
    assert page.select_one(".course-total").text == f"{n} exercises"
    names = [
        name
        for rung in page.select(".course-rung")
        for name in rung["data-exercises"].split()
    ]
    assert sorted(names) == sorted(item.name for item in all_exercises())


def test_drawings_are_one_for_each_chapter_and_use_the_colours_of_the_page():
    folder = ROOT / "book/_ext/lmcourse_book/pictograms"
    assert {path.stem for path in folder.iterdir()} == {
        name.partition("_")[2] for name in CHAPTERS
    }
    style = (ROOT / "book/assets/landing.css").read_text(encoding="utf-8")
    for path in folder.iterdir():
        for part in list(ElementTree.parse(path).getroot()):
            assert not {"fill", "stroke", "style"} & set(part.attrib), path.name
            for name in part.attrib["class"].split():
                assert f".course-drawing .{name} {{" in style, path.name


def test_a_number_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no 'gup' at"):
        ladder.Measured.read("language_models.baselines", "bits", ["gup", "unigram"])
    with pytest.raises(ValueError, match="the unit of a number is bits or share"):
        ladder.Measured.read("language_models.baselines", "nats", ["gap", "unigram"])


def test_the_texts_hold_no_results():
    """Numbers come from the experiments; the texts only name lengths."""
    for texts in yaml.safe_load(ladder.RUNGS.read_text(encoding="utf-8")):
        number = texts["number"]
        said = [texts["idea"], texts["solved"], texts["left"], number["means"]]
        said.append(number["before"]["says"])
        assert set(re.findall(r"\d+", " ".join(said))) <= {"9", "16", "25"}


def test_a_description_is_the_first_long_paragraph_cut_between_words():
    page = nodes.section()
    page += nodes.paragraph(
        text="How long? Three hours of reading, and as much for exercises."
    )
    page += nodes.paragraph(text="Too short.")
    page += nodes.paragraph(text="word " * 100)
    assert social.description(page) == f"{'word ' * 40}…"
    assert social.description(nodes.section()) == ""
