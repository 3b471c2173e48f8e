"""The pages that list all exercises and all widgets, and the places that they lead to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Page
from widget_page import tab_to

from lmcourse import exercises, widgets
from lmcourse.widgets.base import Card

OpenPage = Callable[..., Page]
DONE = "localStorage.setItem('lmcourse:markov.zero_count', 'done')"


def read(site, page: str) -> BeautifulSoup:
    return BeautifulSoup((Path(site.folder) / page).read_text("utf-8"), "html.parser")


def rows(page: BeautifulSoup) -> dict[str, list[str]]:
    """The cells of all rows of tables that lead to an exercise, by its name."""
    found = {}
    for row in page.select("article tbody tr"):
        link = row.find("a", href=re.compile("#exercise-"))
        if link:
            name = link["href"].partition("#exercise-")[2]
            assert name not in found
            found[name] = [cell.get_text(strip=True) for cell in row.find_all("td")]
    return found


def test_every_exercise_stands_in_both_tables(site):
    """That a link leads to a card is tested with all links."""
    readers = rows(read(site, "book/exercises.html"))
    teachers = rows(read(site, "book/for_teachers.html"))
    expected = exercises.all_exercises()
    assert set(readers) == set(teachers) == {item.name for item in expected}
    for item in expected:
        facts = [item.to_dict()["kind"], str(item.minutes), str(item.difficulty)]
        assert readers[item.name][1:] == facts
        assert teachers[item.name][:4] == [item.name.partition(".")[2], *facts]


def test_teachers_see_the_mistakes_and_the_sums(site):
    text = read(site, "book/for_teachers.html").article.get_text(" ", strip=True)
    for item in exercises.all_exercises():
        for mistake in getattr(item, "misconceptions", ()):
            assert mistake.name.replace("_", " ") in text, item.name
    markov = [i for i in exercises.all_exercises() if i.name.startswith("markov.")]
    code = sum(i.minutes for i in markov if i.to_dict()["kind"] == "code")
    asked = sum(i.minutes for i in markov) - code
    assert f"Together: {asked} minutes of questions, {code} minutes of code." in text


def test_every_widget_but_the_cards_is_listed(site):
    listed = [
        [cell.get_text(" ", strip=True) for cell in row.find_all("td")]
        for row in read(site, "book/widgets.html").select("article tbody tr")
    ]
    shown = [vars(widgets)[name] for name in widgets.__all__ if name[0].isupper()]
    expected = {w.__name__ for w in shown if w.name and not issubclass(w, Card)}
    assert {name for name, *_ in listed} == expected
    for _, where, what, _ in listed:
        assert re.match(r"Chapter \d+: \w", where) and what.endswith((".", "writes."))
    runs = {name: model for name, _, _, model in listed}
    assert "BERT of chapter 9" in runs["FillBlank"] and "trigram" in runs["FillBlank"]
    assert runs["MarkovExplorer"] == "nothing trained"


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("address", ["http", "file"])
def test_a_title_leads_to_its_card(address, width, site, open_page: OpenPage):
    """Widgets and formulas above it grow after the page is there; the card stays in view."""
    page = open_page(f"{getattr(site, address + '_url')}/book/exercises.html", width)
    page.locator('td a[href$="#exercise-markov.zero_count"]').click()
    card = page.locator("[id='exercise-markov.zero_count']")
    card.get_by_role("button", name="Check").wait_for()
    page.wait_for_function(
        """() => {
            const card = document.getElementById("exercise-markov.zero_count");
            const { top } = card.getBoundingClientRect();
            return window.MathJax?.startup?.document && top >= 0 && top < 150;
        }"""
    )
    page.wait_for_timeout(500)
    assert -1 <= card.bounding_box()["y"] < 150
    page.mouse.wheel(0, -2000)  # now the reader has taken over
    page.wait_for_function(
        "document.getElementById('exercise-markov.zero_count').getBoundingClientRect().top > 900"
    )


@pytest.mark.parametrize("address", ["http", "file"])
def test_what_is_done_is_marked(address, site, open_page: OpenPage):
    page = open_page(f"{getattr(site, address + '_url')}/book/exercises.html", 360)
    row = page.locator('tr:has(a[href$="#exercise-markov.zero_count"])')
    n_exercises = len(exercises.all_exercises())
    assert "done" not in row.inner_text()
    page.evaluate(DONE)
    page.reload()
    assert "✓ done" in row.inner_text()
    status = page.get_by_role("status")
    assert status.inner_text() == (
        f"{n_exercises} of {n_exercises} exercises are shown. You have done 1."
    )
    only_open = page.get_by_label("only what is not done")
    tab_to(page, only_open)
    page.keyboard.press("Space")
    assert row.is_hidden()
    assert status.inner_text().startswith(f"{n_exercises - 1} of ")


def test_kind_and_difficulty_are_chosen(site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/book/exercises.html")
    page.get_by_label("Kind").select_option("code")
    page.get_by_label("Difficulty").select_option("5")
    expected = [
        item.title
        for item in exercises.all_exercises()
        if item.difficulty == 5 and item.to_dict()["kind"] == "code"
    ]
    links = page.locator('td a[href*="#exercise-"]:visible')
    assert sorted(links.all_inner_texts()) == sorted(expected)
    page.get_by_label("Kind").select_option("order")
    assert links.count() == 0
    assert page.get_by_role("heading", name="Chapter 2").count() == 0  # an empty part
    page.get_by_label("Difficulty").select_option("all")
    assert links.count() == sum(
        item.to_dict()["kind"] == "order" for item in exercises.all_exercises()
    )
