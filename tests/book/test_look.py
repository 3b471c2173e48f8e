"""What a reader's eye would catch first: things that overlap, are squeezed, or say nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

OpenPage = Callable[..., Page]


@pytest.mark.parametrize("width", [360, 1280])
def test_what_is_typed_stands_beside_the_magnifier(width, site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/search.html?q=entropy", width=width)
    sign, field = ".bd-search-container .bd-search i", ".bd-search-container input"
    text = page.eval_on_selector(
        field,
        "e => e.getBoundingClientRect().x + parseFloat(getComputedStyle(e).paddingLeft)",
    )
    end = page.eval_on_selector(sign, "e => e.getBoundingClientRect().right")
    assert text > end


def test_results_of_the_index_name_their_word(site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/search.html?q=entropy")
    page.wait_for_selector("#search-results li")
    found = page.locator("#search-results li").all_inner_texts()
    assert "Glossary > entropy" in found
    assert "Glossary > cross-entropy" in found


def test_the_filter_of_the_glossary_has_room_for_a_word(site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/book/glossary.html", width=360)
    assert page.locator("#lmcourse-filter").bounding_box()["width"] > 120


def test_the_index_fills_a_narrow_page(site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/genindex.html", width=360)
    assert page.locator(".indextable td").first.bounding_box()["width"] > 280


@pytest.mark.parametrize("width", [360, 1280])
def test_columns_of_the_widgets_table_hold_text(width, site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/book/widgets.html", width=width)
    cell = page.locator("td", has_text="Guess unseen sentences")
    assert cell.bounding_box()["width"] > 200


def test_a_long_name_before_or_after_stays_on_the_page(site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/book/api/index.html", width=360)
    title = page.locator(".right-next .prev-next-title")
    assert title.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert title.evaluate("e => e.getBoundingClientRect().right <= innerWidth")


def test_long_code_may_be_cut_by_the_end_of_a_sheet(site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/notebooks/02_markov.html")
    page.emulate_media(media="print")
    kept = """boxes => boxes.filter((box) => {
      const { display, breakInside } = getComputedStyle(box);
      return display !== "block" || breakInside !== "auto";
    }).length"""
    code = ".bd-article :is(div[class*=highlight], div.highlight pre)"
    assert page.locator(code).count() > 20
    assert page.locator(code).evaluate_all(kept) == 0
