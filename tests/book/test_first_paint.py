"""A page that is opened in its middle, or in the dark, is at once as it will be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from widget_page import shifts

OpenPage = Callable[..., Page]
# A busy machine may need longer than a page waits before it shows itself unfinished.
NO_HURRY = """(() => {
    const set = window.setTimeout;
    window.setTimeout = (run, wait, ...more) => set(run, wait === 3000 ? 60000 : wait, ...more);
})()"""


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("address", ["http", "file"])
@pytest.mark.parametrize(
    "place",
    [
        "notebooks/05_attention.html#what-does-not-matter",
        "notebooks/07_multi_head_attention.html#all-heads-in-one-view",
        "book/notation.html#chapter-6",
        "book/glossary.html#term-perplexity",
        "notebooks/02_markov.html#exercise-markov.write_corpus",
    ],
)
def test_a_page_opens_at_its_place(address, place, width, site, open_page: OpenPage):
    """Below the widgets and formulas of half a page, the place is at the top of the window."""
    page = open_page("about:blank", width)
    page.add_init_script(NO_HURRY)
    page.goto(f"{getattr(site, address + '_url')}/{place}")
    page.wait_for_selector("html:not(.lmcourse-arriving)")
    assert sum(value for value, *_ in shifts(page)) < 0.02
    target = page.locator(f'[id="{place.partition("#")[2]}"]')
    assert 0 <= target.bounding_box()["y"] < 200
    assert page.locator("article").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_known_before_the_first_paint(scheme, site, open_page: OpenPage):
    page = open_page("about:blank", scheme=scheme)
    page.add_init_script(
        """new MutationObserver((_, observer) => {
            if (!document.body) return;
            window.themeAtFirst = document.documentElement.dataset.theme;
            observer.disconnect();
        }).observe(document, { childList: true, subtree: true })"""
    )
    page.goto(f"{site.http_url}/book/changes.html")
    assert page.evaluate("window.themeAtFirst") == scheme
