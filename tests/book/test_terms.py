"""What a reader sees of a term or a paper who points at a link to it, and the page of the terms."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect
from test_pages import findings

OpenPage = Callable[..., Page]
CHAPTER = "notebooks/01_language_models.html"
ENTROPY = '.bd-article a[href$="glossary.html#term-entropy"]'
LIGHT_PAGE = "book/benchmarks.html"  # without formulas: it is there at once
TERM = '.bd-article a[href$="glossary.html#term-logits"]'
MEANING = "scores before the softmax"
PAPER = '.bd-article a[href*="bibliography.html#"]'
BOX = ".lmcourse-term"
OUTSIDE = (2, 450)  # the left edge of the window


def open_at(site, open_page: OpenPage, address="file", page=LIGHT_PAGE, **settings):
    opened = open_page(f"{getattr(site, address + '_url')}/{page}", **settings)
    wait_for_formulas(opened)
    return opened


def wait_for_formulas(page: Page) -> None:
    """While formulas are set, the text moves away under a pointer that stands still."""
    page.evaluate("() => window.MathJax?.startup?.promise")
    page.evaluate("() => document.fonts.ready.then(() => 0)")


def point_at(link: Locator) -> None:
    """Move the pointer onto a link until its box is there.

    On a page that is still being laid out the text may move away under the pointer.
    """
    box = link.page.locator(BOX)
    for _ in range(5):
        link.page.mouse.move(*OUTSIDE)
        link.hover()
        link.page.wait_for_timeout(1000)
        if box.count():
            return
    pytest.fail("no box has opened")


def tab_to(page: Page, selector: str) -> None:
    """Focus a link as the tab key does: the browser shows the focus only after a key."""
    page.locator(selector).first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(page.locator(selector).first).to_be_focused()


@pytest.mark.parametrize("address", ["http", "file"])
def test_pointing_at_a_term_shows_what_it_means(address, site, open_page: OpenPage):
    page = open_at(site, open_page, address, CHAPTER)
    assert page.evaluate("window.lmcourseTerms") is None, "loaded before it is needed"
    point_at(page.locator(ENTROPY).first)
    box = page.locator(BOX)
    expect(box).to_contain_text("The mean information of a draw")
    expect(box.locator("strong")).to_have_text("entropy")
    expect(box.locator("[lang=ko]")).to_have_text("엔트로피")
    expect(box).not_to_contain_text("First in")
    expect(page.locator(ENTROPY).first).to_have_attribute(
        "aria-describedby", box.get_attribute("id")
    )
    # The formula is drawn by the browser: it has a size, and none of TeX's signs is left.
    assert box.locator("math").first.bounding_box()["width"] > 20
    assert not set("\\$") & set(box.inner_text())


def test_the_box_stays_while_the_pointer_is_on_it_and_goes_after(
    site, open_page: OpenPage
):
    page = open_at(site, open_page)
    point_at(page.locator(TERM).first)
    box = page.locator(BOX)
    expect(box).to_be_visible()
    box.hover()
    page.wait_for_timeout(600)
    expect(box).to_be_visible()
    page.mouse.move(*OUTSIDE)
    expect(box).to_have_count(0)
    assert page.locator("[aria-describedby=lmcourse-term]").count() == 0


def test_a_pointer_that_passes_opens_nothing(site, open_page: OpenPage):
    page = open_at(site, open_page)
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.locator(TERM).first.hover()
    page.clock.run_for(140)
    page.mouse.move(*OUTSIDE)
    page.clock.run_for(1000)
    assert page.locator("script[src*='lmcourse/terms.js']").count() == 0, "asked for"


def test_escape_closes_the_box_and_moves_nothing(site, open_page: OpenPage):
    page = open_at(site, open_page)
    point_at(page.locator(TERM).first)
    expect(page.locator(BOX)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(BOX)).to_have_count(0)
    tab_to(page, TERM)
    expect(page.locator(BOX)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(BOX)).to_have_count(0)
    expect(page.locator(TERM).first).to_be_focused()


def test_the_keyboard_shows_and_leaves_the_box(site, open_page: OpenPage):
    page = open_at(site, open_page)
    tab_to(page, TERM)
    box = page.locator(BOX)
    expect(box).to_contain_text(MEANING)
    page.mouse.move(*OUTSIDE)
    page.wait_for_timeout(600)
    expect(box).to_be_visible()
    page.keyboard.press("Shift+Tab")
    expect(box.filter(has_text=MEANING)).to_have_count(0)
    tab_to(page, TERM)
    page.keyboard.press("Enter")
    page.wait_for_url("**/glossary.html#term-logits")


def test_pointing_at_a_paper_shows_it(site, open_page: OpenPage):
    page = open_at(site, open_page, page=CHAPTER)
    point_at(page.locator(PAPER).first)
    expect(page.locator(BOX)).to_have_text(re.compile(r"^[A-Z].*\. .*\b(19|20)\d\d\b"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_boxes_fit_the_window(width, scheme, site, open_page: OpenPage):
    page = open_at(site, open_page, "http", width=width, scheme=scheme)
    for link in (page.locator(TERM).first, *page.locator(PAPER).all()[:3]):
        link.evaluate("node => node.scrollIntoView({ block: 'center' })")
        point_at(link)
        expect(page.locator(BOX)).to_be_visible()
        place = page.locator(BOX).bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= width
        assert place["y"] >= 0 and place["y"] + place["height"] <= 900
        page.mouse.move(*OUTSIDE)
        expect(page.locator(BOX)).to_have_count(0)
    point_at(page.locator(TERM).first)
    expect(page.locator(BOX)).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    assert findings(page) == []


def test_at_the_end_of_the_window_the_box_stands_above(site, open_page: OpenPage):
    page = open_at(site, open_page)
    link = page.locator(TERM).first
    link.evaluate("node => node.scrollIntoView({ block: 'end' })")
    point_at(link)
    expect(page.locator(BOX)).to_be_visible()
    box = page.locator(BOX).bounding_box()
    assert box["y"] + box["height"] <= link.bounding_box()["y"] + 1


def test_the_first_tap_shows_the_box_and_its_link_leads_on(site, browser):
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(f"{site.file_url}/{LIGHT_PAGE}")
    page.wait_for_load_state("load")
    wait_for_formulas(page)
    term, box = page.locator(TERM).first, page.locator(BOX)
    term.tap()
    expect(box).to_contain_text(MEANING)
    assert page.url.endswith(LIGHT_PAGE)
    place = box.bounding_box()
    assert place["x"] >= 0 and place["x"] + place["width"] <= 360
    page.touchscreen.tap(355, 700)  # beside the text
    expect(box).to_have_count(0)
    term.tap()
    box.get_by_role("link", name="Glossary").tap()
    page.wait_for_url("**/glossary.html#term-logits")
    page.go_back()
    wait_for_formulas(page)
    term.tap()
    expect(box).to_be_visible()
    term.tap()  # the second tap follows the link
    page.wait_for_url("**/glossary.html#term-logits")
    context.close()


def test_every_link_to_a_term_or_a_paper_has_its_box(page_path, site):
    if page_path == "genindex.html":
        pytest.skip("the index also leads to Korean names, whose boxes are the English")
    script = (site.folder / "_static/lmcourse/terms.js").read_text(encoding="utf-8")
    page = (site.folder / page_path).read_text(encoding="utf-8")
    links = re.findall(r'href="[^"]*?(glossary|bibliography)\.html(#[^"]+)"', page)
    assert {
        name + place for name, place in links if f'"{name}{place}"' not in script
    } == set()


def test_without_javascript_the_links_lead_there(site, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.file_url}/{LIGHT_PAGE}")
    page.locator(TERM).first.click()
    page.wait_for_url("**/glossary.html#term-logits")
    context.close()


# --------------------------------------------------------------------------- the page of the terms
def glossary(site, open_page: OpenPage, **settings) -> Page:
    return open_at(site, open_page, page="book/glossary.html", **settings)


def test_the_filter_finds_english_korean_and_meanings(site, open_page: OpenPage):
    page = glossary(site, open_page)
    field = page.get_by_label("Filter, in English or Korean")
    shown = page.locator("dl.glossary dd:visible")
    everything = shown.count()
    for text, found in (
        ("perplex", "perplexity"),
        ("혼란도", "perplexity"),
        ("fair die", "perplexity"),
    ):
        field.fill(text)
        expect(shown).to_have_count(1)
        expect(page.locator("dl.glossary dt:visible").first).to_contain_text(found)
        expect(page.locator(".lmcourse-filter [role=status]")).to_have_text(
            f"1 of {everything} terms"
        )
    field.fill("no such term")
    expect(shown).to_have_count(0)
    page.locator(".lmcourse-letters a", has_text="T").click()
    expect(field).to_have_value("")
    expect(shown).to_have_count(everything)
    expect(page.locator("dt:target")).to_be_in_viewport()


@pytest.mark.parametrize("width", [1280, 360])
def test_the_filtered_page_is_accessible(width, site, open_page: OpenPage):
    page = glossary(site, open_page, width=width)
    page.get_by_label("Filter, in English or Korean").fill("attention")
    expect(page.locator("dl.glossary dd:visible").first).to_be_visible()
    assert findings(page) == []


def test_letters_and_first_uses_lead_to_their_places(site, open_page: OpenPage):
    page = glossary(site, open_page)
    letters = page.locator(".lmcourse-letters a").all_inner_texts()
    assert letters == sorted(letters) and len(letters) > 15
    entries = page.locator("dl.glossary dd").count()
    first = page.locator("dl.glossary .lmcourse-first-use a")
    assert first.count() == entries
    entry = page.locator("dt#term-hidden-state ~ dd").first
    link = entry.locator(".lmcourse-first-use a")
    assert link.inner_text().startswith("Chapter 3, RNN")
    link.click()
    page.wait_for_url("**/03_rnn.html#*")
    section = page.locator(":target, section:has(> :target)").first
    expect(section.locator('a[href$="#term-hidden-state"]').first).to_be_visible()
