"""Every page of the built site, as a reader meets it: no error, no other host, no dead link."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import Page
from widget_page import shifts

OpenPage = Callable[..., Page]
ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
FORMULA = "mjx-container"

# What axe-core finds in the theme, which is not ours to mend: the rule, the part of the page, why.
WAIVERS = {
    "region": (
        ".title",
        "the theme's side bar is no landmark, only the navigation in it",
    ),
}


def test_page(page_path, address, width, scheme, site, open_page: OpenPage):
    """A page opens without a problem (`open_page` checks its log), fits the window, and is
    accessible: images have a text, and axe-core finds nothing. Nothing moves while it loads."""
    page = open_page(f"{getattr(site, address + '_url')}/{page_path}", width, scheme)
    too_wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert too_wide <= 0, (
        f"{page_path} is {too_wide} px wider than its window of {width} px"
    )
    without_text = page.eval_on_selector_all(
        "img:not([alt])", "images => images.map(image => image.src)"
    )
    assert not without_text
    if address == "http":
        assert findings(page, contrast=width == 1280 or is_short(page_path)) == []
    else:
        moved = shifts(page)
        assert sum(value for value, *_ in moved) < 0.02, moved


def is_short(page_path: str) -> bool:
    """A page that was written as such: neither a chapter nor made of the package's source."""
    return page_path.startswith("book/") and not page_path.startswith("book/api/")


def findings(page: Page, contrast: bool = True) -> list[str]:
    """What axe-core finds on a page, less the waivers. To measure the contrast of every word takes
    most of the time, and a page has the same colours at every width."""
    found = []
    rules = {"color-contrast": {"enabled": contrast}}
    options = {"resultTypes": ["violations"], "preload": False, "rules": rules}
    for violation in Axe().run(page, options=options).response["violations"]:
        for node in violation["nodes"]:
            target = " ".join(map(str, node["target"]))
            part, _ = WAIVERS.get(violation["id"], ("", ""))
            if not part or part not in target:
                found.append(
                    f"{violation['id']}: {violation['help']}: {target}: {node['html']}"
                )
    return found


def test_weight(page_path, site, open_page: OpenPage):
    """A page weighs under 1 MB with all it loads; a chapter, with formulas and widgets, under 2 MB
    besides MathJax. The page of the search loads the index of the whole book besides."""
    page = open_page("about:blank")
    answers = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(f"{site.http_url}/{page_path}", wait_until="networkidle")
    sizes = {answer.url: len(answer.body()) for answer in answers}
    mathjax = sum(size for url, size in sizes.items() if "/_static/mathjax/" in url)
    index = sum(size for url, size in sizes.items() if "/searchindex.js" in url)
    assert bool(mathjax) == (page.locator(FORMULA).count() > 0), (
        "MathJax only where it is needed"
    )
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    limit = 2 * MEGABYTE if mathjax else MEGABYTE
    assert sum(sizes.values()) - mathjax - index < limit, heaviest


def test_links(page_path, site):
    """Every link to a page, a file or a place on a page leads there, and no script or picture
    comes from another host."""
    here = site.folder / page_path
    broken = []
    for element, attribute in (
        ("a", "href"),
        ("link", "href"),
        ("script", "src"),
        ("img", "src"),
    ):
        for node in read(here).find_all(element, attrs={attribute: True}):
            link = urlsplit(node[attribute])
            if link.scheme in ("http", "https") and element != "a":
                broken.append(f"{node[attribute]} is on another host")
            if link.scheme:
                continue
            target = here.parent / unquote(link.path) if link.path else here
            if not target.is_file():
                broken.append(f"{node[attribute]}: no such file")
            elif link.fragment and unquote(link.fragment) not in anchors(target):
                broken.append(f"{node[attribute]}: no such place")
    assert not broken


@cache
def read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> set[str]:
    return {node["id"] for node in read(path).find_all(id=True)}


def test_page_has_a_language_and_a_title(page_path, site):
    page = read(site.folder / page_path)
    assert page.html["lang"] == "en"
    assert page.title.text.strip()


def test_the_first_page_leads_to_the_book(site, open_page: OpenPage):
    for base in (site.http_url, site.file_url):
        page = open_page("about:blank")
        page.goto(f"{base}/index.html")
        page.wait_for_url("**/book/index.html")
        assert page.locator("h1").first.inner_text().startswith("Language models")


def test_formulas_are_drawn(site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/book/glossary.html")
    page.wait_for_selector(FORMULA)
    assert page.locator("mjx-merror").count() == 0


SEARCHES = {
    # English: words, code names, hyphens, capitals, several words
    "perplexity": "Glossary",
    "Kneser": "Bibliography",
    "back-off": "2. Markov",
    "d_model": "8. The Transformer",
    "ModifiedKneserNey": "2. Markov",
    "modifiedkneserney": "2. Markov",
    "SELF-ATTENTION": "6. Self-attention",
    "teacher forcing": "4. Seq2Seq",
    "forget gate": "3. RNN",
    "wordpiece": "9. BERT",
    "temperature": "1. What is a language model?",
    "MarkovExplorer": "All widgets",
    # Korean: with and without particles, two syllables and one
    "확률": "Glossary",
    "확률을": "Glossary",
    "엔트로피": "1. What is a language model?",
    "엔트로피는": "1. What is a language model?",
    "어텐션이": "5. Attention",
    "임베딩에서": "Glossary",
    "기울기": "3. RNN",
    "문맥을": "2. Markov",
    "가중치가": "5. Attention",
    "역전파": "Glossary",
    "토큰으로": "1. What is a language model?",
    "층": "Glossary",
}


def search(page: Page, url: str, query: str) -> list[str]:
    """What the search finds, in its order."""
    page.goto(f"{url}/search.html?q={quote(query)}")
    page.wait_for_selector("#search-results li")
    said = page.locator(".search-summary")
    said.filter(has_text="Search finished").wait_for()
    found = page.locator("#search-results li").all_inner_texts()
    assert f"found {len(found)} page" in said.inner_text()
    return found


@pytest.mark.parametrize("address", ["http", "file"])
def test_search(address, site, open_page: OpenPage):
    """A word is found on the page where it belongs, among the first ten."""
    page = open_page("about:blank")
    url = getattr(site, address + "_url")
    missing = [
        (query, belongs)
        for query, belongs in SEARCHES.items()
        if not any(text.startswith(belongs) for text in search(page, url, query)[:10])
    ]
    assert missing == []


@pytest.mark.parametrize("address", ["http", "file"])
def test_what_was_searched_is_marked_in_the_page(address, site, open_page: OpenPage):
    page = open_page("about:blank")
    search(page, getattr(site, address + "_url"), "엔트로피는")
    page.locator("#search-results a", has_text="language model?").first.click()
    page.wait_for_selector("article .highlighted")
    assert set(page.locator("article .highlighted").all_inner_texts()) == {"엔트로피"}


def test_search_says_that_nothing_is_found(site, open_page: OpenPage):
    page = open_page(f"{site.file_url}/search.html?q=zyzzyva")
    page.get_by_text("Your search did not match any documents").wait_for()
    assert page.locator("#search-results li").count() == 0


def pages_in_order() -> list[str]:
    """The pages of the book as `_toc.yml` has them."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    items = [item for part in contents["parts"] for item in part["chapters"]]
    files = [
        below["file"] for item in items for below in (item, *item.get("sections", []))
    ]
    return [f"{file}.html" for file in (contents["root"], *files)]


def test_previous_and_next(site):
    """Every page leads to the one before it and the one after it."""
    pages = pages_in_order()
    for before, here, after in zip(
        [None, *pages], pages, [*pages[1:], None], strict=False
    ):
        for part, target in (("a.left-prev", before), ("a.right-next", after)):
            links = read(site.folder / here).select(f".prev-next-footer {part}")
            found = [posixpath.join(posixpath.dirname(here), a["href"]) for a in links]
            wanted = [] if target is None else [target]
            assert [posixpath.normpath(link) for link in found] == wanted, here


@pytest.mark.parametrize("width", [1280, 360])
def test_next_is_pressed_at_the_end_of_a_page(width, site, open_page: OpenPage):
    first, second, third = pages_in_order()[:3]
    page = open_page(f"{site.file_url}/{first}", width)
    for target in (second, third):
        page.locator("a.right-next").click()
        page.wait_for_url(f"**/{target}")
    link = page.locator("a.left-prev")
    link.scroll_into_view_if_needed()
    box = link.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] >= 24
    link.press("Enter")
    page.wait_for_url(f"**/{second}")


def test_problems_are_noticed(site, open_page: OpenPage):
    """A test of the tests: an error, a missing file and another host all enter the log."""
    page = open_page(f"{site.http_url}/book/index.html")
    page.evaluate(
        """async () => {
            setTimeout(() => { throw new Error("a broken script"); });
            for (const src of ["missing.png", "http://192.0.2.1/spy.png"]) {
                const image = new Image();
                image.src = src;
                await image.decode().catch(() => 0);
            }
        }"""
    )
    log = "\n".join(page.log)
    page.log.clear()
    assert "a broken script" in log
    assert "status 404" in log and "missing.png" in log
    assert "other host: http://192.0.2.1/spy.png" in log
