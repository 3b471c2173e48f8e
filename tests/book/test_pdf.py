"""The PDF of the book, made of three short pages, as a PDF reader sees it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader
from pypdf.generic import Destination

SCRIPT = Path(__file__).parents[2] / "book/pdf.py"
PAGES = ["book/how_to_read", "book/glossary", "book/changes"]


def load():
    spec = importlib.util.spec_from_file_location("book_pdf", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pdf = load()


@pytest.fixture(scope="module")
def book(site, browser, tmp_path_factory) -> PdfReader:
    out = tmp_path_factory.mktemp("pdf") / "book.pdf"
    document = pdf.joined([("Before you start", PAGES[:1]), ("To look up", PAGES[1:])])
    pdf.print_document(browser, document, out)
    return PdfReader(out)


def lines(outline: list, level: int = 0) -> Iterator[tuple[int, Destination]]:
    for item in outline:
        if isinstance(item, list):
            yield from lines(item, level + 1)
        else:
            yield level, item


def test_title_and_contents(book):
    assert book.metadata.title == "Language models, from Markov to BERT"
    assert book.metadata.author == "The lmcourse authors"
    cover, contents = (book.pages[i].extract_text() for i in (0, 1))
    assert "Version 0.1.0" in cover
    assert "D:" not in str(book.metadata)  # no day of printing
    numbers = {
        item.title: book.get_destination_page_number(item) + 1
        for _, item in lines(book.outline)
    }
    for title in ("Glossary", "Changelog"):
        line = next(row for row in contents.splitlines() if row.startswith(title))
        assert line.endswith(str(numbers[title]))
        assert title in book.pages[numbers[title] - 1].extract_text()


def test_outline_has_parts_pages_and_sections(book):
    outline = [(level, item.title) for level, item in lines(book.outline)]
    assert (0, "Before you start") in outline
    assert (1, "Glossary") in outline
    assert (2, "What you need") in outline


def test_every_page_but_the_title_page_has_its_number(book):
    texts = [page.extract_text().splitlines() for page in book.pages]
    assert "1" not in texts[0]
    for number, rows in enumerate(texts[1:], start=2):
        assert str(number) in rows


def test_links_lead_within_the_document_or_to_other_hosts(book):
    places, inside = book.named_destinations, 0
    for page in book.pages:
        for note in page.get("/Annots", []):
            note = note.get_object()
            if note["/Subtype"] != "/Link":
                continue
            if "/Dest" in note:
                assert note["/Dest"] in places
                inside += 1
            else:
                assert note["/A"]["/URI"].startswith("https://")
    assert inside >= 10


def test_korean_is_text(book):
    assert "엔트로피" in "".join(page.extract_text() for page in book.pages)


def test_a_chapter_is_joined_without_live_controls(site):
    """Cards show question and options; no script, no control, and every id once."""
    soup = BeautifulSoup(pdf.joined([("", ["notebooks/02_markov"])]), "lxml")
    for article in soup.select("article"):
        assert not article.select(
            "script, button, input, select, textarea, .headerlink"
        )
    cards = soup.select('[data-widget="quiz_card"] .lmcourse-fallback')
    assert cards and any(len(card.select("li")) >= 2 for card in cards)
    assert "`" not in "".join(card.get_text() for card in cards)
    ids = [node["id"] for node in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    for link in soup.select('a[href^="#"]'):
        assert link["href"][1:] in ids


def test_the_reference_stays_on_the_screen():
    pages = [page for _, some in pdf.parts_of_the_book() for page in some]
    assert pages[0] == "book/index" and "notebooks/10_scoreboard" in pages
    assert not any(page.startswith("book/api/") for page in pages)


def test_a_page_that_is_not_there_is_named(site, capsys, tmp_path):
    out = tmp_path / "book.pdf"
    assert pdf.main(["book/nowhere", "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert "book/nowhere" in said and "make book" in said
    assert not out.exists()


def test_a_dark_page_prints_light_without_what_is_around_it(site, open_page):
    page = open_page(f"{site.file_url}/notebooks/02_markov.html", scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    ground = "getComputedStyle(document.body).color"
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert sum(map(int, re.findall(r"\d+", page.evaluate(ground)))) < 3 * 60
    for hidden in (".bd-sidebar-primary", ".prev-next-footer", ".lmcourse-live"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator(".lmcourse-fallback").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
