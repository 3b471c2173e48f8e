"""A page that loads stays where it is: nothing moves when widgets and formulas come."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

OpenPage = Callable[..., Page]
SHIFTS = """() => new Promise(resolve => {
  new PerformanceObserver(list => resolve(
    list.getEntries().map(entry => [
      entry.value,
      ...entry.sources.map(({ node }) => node?.parentElement?.outerHTML.slice(0, 120)),
    ])
  )).observe({ type: "layout-shift", buffered: true });
  setTimeout(resolve, 500, []);
})"""
DRAWN = "() => window.MathJax?.startup?.promise"
GROWN = """() => new Promise(resolve => {
  let height = 0;
  const same = () => {
    if (height === document.body.scrollHeight) return resolve();
    height = document.body.scrollHeight;
    setTimeout(same, 300);
  };
  same();
})"""


def shifts(page: Page) -> list:
    """How much moved while the page loaded, with what moved: the parts of the CLS."""
    page.evaluate(DRAWN)
    page.evaluate(GROWN)
    return page.evaluate(SHIFTS)


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_moves_while_a_page_loads(page_path, width, site, open_page: OpenPage):
    moved = shifts(open_page(f"{site.http_url}/{page_path}", width))
    assert sum(value for value, *_ in moved) < 0.02, moved


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("address", ["http", "file"])
@pytest.mark.parametrize(
    "place",
    [
        "notebooks/05_attention.html#what-does-not-matter",
        "notebooks/07_multi_head_attention.html#all-heads-in-one-view",
        "book/notation.html#chapter-6",
        "book/glossary.html#term-perplexity",
    ],
)
def test_a_page_opens_at_its_place(address, place, width, site, open_page: OpenPage):
    """Below the widgets and formulas of half a page, the place is at the top of the window."""
    page = open_page(f"{getattr(site, address + '_url')}/{place}", width)
    page.wait_for_selector("html:not(.lmcourse-arriving)")
    moved = shifts(page)
    assert sum(value for value, *_ in moved) < 0.1, moved
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
