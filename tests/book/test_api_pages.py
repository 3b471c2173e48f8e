"""The reference: from a name to its entry, to its code, to the chapter, and back."""

from __future__ import annotations

import re

import pytest


@pytest.mark.parametrize("address", ["http", "file"])
@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("ModifiedKneserNey", "markov"),
        ("scaled_dot_product_attention", "self_attention"),
        ("perplexity", "language_models"),
    ],
)
def test_search_finds_the_entry_of_a_name(address, name, module, site, open_page):
    page = open_page(f"{getattr(site, address + '_url')}/search.html?q={name}")
    page.wait_for_selector("#search-results p.search-summary:not(:empty)")
    links = page.locator("#search-results li a:first-child")
    hrefs = links.evaluate_all("links => links.map(link => link.getAttribute('href'))")
    wanted = f"book/api/{module}.html#lmcourse.{module}.{name}"
    entries = [href for href in hrefs if "#lmcourse." in href]
    assert wanted in entries
    if name != "perplexity":  # a word of the book besides: the glossary may come first
        assert hrefs[0] == wanted


@pytest.mark.parametrize("address", ["http", "file"])
def test_from_a_chapter_to_the_entry_to_the_code(address, site, open_page):
    page = open_page(
        f"{getattr(site, address + '_url')}/notebooks/01_language_models.html"
    )
    heading = page.get_by_role("link", name="language_models.perplexity", exact=True)
    heading.click()
    page.wait_for_url("**/book/api/language_models.html#*")
    entry = page.locator("[id='lmcourse.language_models.perplexity']")
    entry.get_by_role("link", name="[source]").click()
    page.wait_for_url("**/_modules/lmcourse/language_models.html#perplexity")
    page.wait_for_selector("html:not(.lmcourse-arriving)")
    code = page.locator("[id=perplexity]")
    assert "def perplexity(" in code.inner_text()
    assert code.locator("span.k").count() > 0  # highlighted
    code.get_by_role("link", name="[docs]").click()
    page.wait_for_url("**/book/api/language_models.html#*perplexity")
    places = page.locator(
        "dl:has(> [id='lmcourse.language_models.perplexity']) .api-places"
    )
    places.get_by_role("link").first.click()
    page.wait_for_url("**/notebooks/01_language_models.html#*perplexity")


def test_every_block_of_source_leads_to_an_entry(site):
    """The headings that show_source has written are links, in every chapter."""
    heading = re.compile(r"<strong id=\"source-[^\"]+\">(.*?)</strong>")
    chapters = sorted((site.folder / "notebooks").glob("*.html"))
    for chapter in chapters:
        found = heading.findall(chapter.read_text(encoding="utf-8"))
        assert found, f"{chapter.name} shows no source"
        assert all("book/api/" in inner for inner in found), chapter.name
    assert chapters


def test_what_an_entry_shows(site, open_page):
    """Shapes as we write them, the package's own arguments, nothing of nn.Module."""
    page = open_page(f"{site.file_url}/book/api/self_attention.html")
    entry = page.locator("[id='lmcourse.self_attention.causal_mask']")
    assert 'Bool[Tensor, "time time"]' in entry.inner_text()
    page.goto(f"{site.file_url}/book/api/widgets.html")
    entry = page.locator("[id='lmcourse.widgets.AlignmentViewer']")
    assert "sentence: str" in entry.inner_text()
    for path in (site.folder / "book/api").glob("*.html"):
        assert "Define the computation performed" not in path.read_text("utf-8")
