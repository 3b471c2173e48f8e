"""The landing page: the ladder as a reader uses it, and the progress that the browser keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from lmcourse import plots
from lmcourse.exercises import all_exercises

OpenPage = Callable[..., Page]
LANDING = "book/index.html"
CHAPTER = "notebooks/05_attention.html"
N_CHAPTERS = len(list((Path(__file__).parents[2] / "notebooks").glob("*.ipynb")))
ALL = [exercise.name for exercise in all_exercises()]
OF_MARKOV = [name for name in ALL if name.startswith("markov.")]
PRESERVED = {
    "mode": "dark",
    "other:key": "1",
}  # of the theme, of another site on this host


@pytest.fixture(params=["http", "file"])
def base(request, site) -> str:
    return getattr(site, f"{request.param}_url")


def keep(page: Page, names: list[str]) -> None:
    """What the cards of these exercises write when they are solved."""
    page.evaluate(
        "names => names.forEach(name => localStorage.setItem(`lmcourse:${name}`, 'done'))",
        names,
    )


def kept(page: Page) -> list[str]:
    return sorted(page.evaluate("() => Object.keys(localStorage)"))


def done(page: Page, i: int) -> str:
    return page.locator(".course-rung .course-done-text").nth(i).inner_text()


def total(page: Page):
    return page.locator(".course-total .course-done-text")


def places(page: Page, selector: str) -> list[list[float]]:
    return page.eval_on_selector_all(
        selector,
        "nodes => nodes.map(n => n.getBoundingClientRect()).map(b => [b.x, b.y + scrollY])",
    )


# ---------------------------------------------------------------------------------------- ladder


def test_all_of_a_rung_leads_to_its_chapter(site, open_page: OpenPage):
    page = open_page(f"{site.http_url}/{LANDING}")
    for part in (".course-place", ".course-number", ".course-time"):
        page.locator(part).nth(6).click(force=True)  # the link lies over it
        page.wait_for_url("**/notebooks/07_multi_head_attention.html")
        page.go_back()


def test_the_ladder_by_keyboard(base, open_page: OpenPage):
    page = open_page(f"{base}/{LANDING}")
    page.locator(".course-forget").scroll_into_view_if_needed()
    page.locator(".course-load input").focus()
    outline = "getComputedStyle(document.querySelector('.course-load')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    for name in ("1 What is a language model?", "2 Markov"):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.innerText")
        assert focused == name
    outline = page.evaluate(
        "getComputedStyle(document.activeElement, '::before').outlineStyle"
    )
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/notebooks/02_markov.html")


def test_one_column_on_a_telephone_from_chapter_1_to_10(site, open_page: OpenPage):
    page = open_page(f"{site.http_url}/{LANDING}", width=360)
    rungs = places(page, ".course-rung")
    assert len({x for x, _ in rungs}) == 1
    assert [y for _, y in rungs] == sorted(y for _, y in rungs)
    assert not page.locator(".course-stairs").is_visible()
    numbers = places(page, ".course-number")
    texts = places(page, ".course-what")
    assert all(
        n[0] == t[0] and n[1] > t[1] for n, t in zip(numbers, texts, strict=True)
    )


def test_the_stairs_rise_on_a_wide_page(site, open_page: OpenPage):
    page = open_page(f"{site.http_url}/{LANDING}")
    steps = places(page, ".course-step-name")
    assert len(steps) == N_CHAPTERS
    assert [x for x, _ in steps] == sorted(x for x, _ in steps)
    assert [y for _, y in steps] == sorted((y for _, y in steps), reverse=True)


def test_the_mark_can_be_told_at_16_pixels(site, open_page: OpenPage):
    """In a tab the favicon is 16 pixels wide: its top rung is yellow, the others white, in blue."""
    page = open_page(f"{site.http_url}/{LANDING}")
    rows = page.evaluate(
        """async () => {
            const image = new Image(16, 16);
            image.src = document.querySelector("link[rel=icon]").href;
            await image.decode();
            const drawn = Object.assign(document.createElement("canvas"), {width: 16, height: 16});
            const context = drawn.getContext("2d");
            context.drawImage(image, 0, 0, 16, 16);
            const column = context.getImageData(8, 0, 1, 16).data;
            return [...Array(16).keys()].map(y => [...column.slice(4 * y, 4 * y + 3)]);
        }"""
    )
    white, yellow = [255] * 3, [255, 209, 102]
    blue = list(bytes.fromhex(plots.BLUE.lstrip("#")))
    assert [y for y, colour in enumerate(rows) if colour == yellow] == [3, 4]
    assert [y for y, colour in enumerate(rows) if colour == white] == [7, 8, 11, 12]
    assert rows.count(blue) == N_CHAPTERS


# -------------------------------------------------------------------------------------- progress


def test_what_is_done_shows_on_each_rung_and_in_the_total(base, open_page: OpenPage):
    page = open_page(f"{base}/{LANDING}")
    expect(total(page)).to_have_text(f"0 of {len(ALL)} exercises done")
    keep(page, [*OF_MARKOV, "rnn.no_such_exercise"])
    page.reload()
    n = len(OF_MARKOV)
    expect(total(page)).to_have_text(f"{n} of {len(ALL)} exercises done")
    assert done(page, 1) == f"{n} of {n} exercises done"
    assert done(page, 2).startswith("0 of ")
    widths = page.eval_on_selector_all(
        ".course-rung .course-bar",
        "bars => bars.map(b => b.firstChild.offsetWidth / b.offsetWidth)",
    )
    assert widths[1] == 1 and widths[2] == 0


def test_a_quiz_solved_in_a_chapter_counts(base, open_page: OpenPage):
    page = open_page(f"{base}/{CHAPTER}")
    box = page.get_by_role("checkbox", name="I have done this").first
    box.check()
    page.goto(f"{base}/{LANDING}")
    assert done(page, 4).startswith("1 of ")
    expect(total(page)).to_have_text(f"1 of {len(ALL)} exercises done")


def test_another_tab(base, open_page: OpenPage):
    page = open_page(f"{base}/{LANDING}")
    with page.context.expect_page() as opened:
        page.evaluate("address => { window.open(address); }", f"{base}/{CHAPTER}")
    other = opened.value
    other.wait_for_load_state("load")
    keep(other, OF_MARKOV[:2])
    other.close()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(total(page)).to_have_text(f"2 of {len(ALL)} exercises done")


def test_continue_where_you_left_off(base, open_page: OpenPage):
    page = open_page(f"{base}/{LANDING}")
    link = page.locator(".course-start a")
    expect(link).to_have_text("Start with chapter 1: What is a language model?")
    page.goto(f"{base}/{CHAPTER}")
    page.locator("#where-it-fails").evaluate("place => place.scrollIntoView()")
    page.goto(f"{base}/{LANDING}")
    expect(link).to_have_text("Continue with chapter 5: Attention")
    assert page.locator(".course-here h3").inner_text() == "5 Attention"
    expect(link).to_have_attribute("href", f"{base}/{CHAPTER}#where-it-fails")
    link.click()
    page.wait_for_url(f"**/{CHAPTER}#where-it-fails")


@pytest.mark.parametrize(
    "last",
    [
        "no JSON",
        "null",
        '{"page": "99_gone", "place": ""}',
        '{"page": "../../evil", "place": 5}',
    ],
)
def test_a_last_place_that_is_none_is_passed_over(last, site, open_page: OpenPage):
    page = open_page(f"{site.http_url}/{LANDING}")
    page.evaluate("last => localStorage.setItem('lmcourse:last', last)", last)
    page.reload()
    expect(page.locator(".course-start a")).to_contain_text("Start with chapter 1")


def test_forget_asks_first_and_leaves_what_is_not_ours(base, open_page: OpenPage):
    page = open_page(f"{base}/{LANDING}")
    forget = page.get_by_role("button", name="Forget it all", exact=True)
    assert forget.is_disabled()
    keep(page, OF_MARKOV[:3])
    page.evaluate(
        "kept => Object.entries(kept).forEach(pair => localStorage.setItem(...pair))",
        {**PRESERVED, "lmcourse:shannon_game:a": "{}"},
    )
    page.reload()
    before = kept(page)
    forget.click()
    expect(page.locator(".course-said")).to_contain_text("Forget 3 exercises done")
    page.keyboard.press("Enter")  # the answer that keeps has the focus
    assert kept(page) == before
    expect(page.locator(".course-said")).to_be_empty()
    forget.click()
    page.get_by_role("button", name="Yes, forget it all").click()
    expect(total(page)).to_have_text(f"0 of {len(ALL)} exercises done")
    assert not [key for key in kept(page) if key.startswith("lmcourse:")]
    assert set(PRESERVED) <= set(kept(page))


def test_save_and_load(base, open_page: OpenPage, tmp_path):
    page = open_page(f"{base}/{LANDING}")
    keep(page, OF_MARKOV[:4])
    page.reload()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save to a file").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == "progress.json"  # as the notebooks write it
    assert json.loads(saved.read_text("utf-8")) == dict.fromkeys(OF_MARKOV[:4], True)

    page.evaluate("localStorage.clear()")
    keep(page, ["rnn." + ALL[-1]])
    page.reload()
    page.locator(".course-load input").set_input_files(saved)
    expect(total(page)).to_have_text(f"4 of {len(ALL)} exercises done")
    expect(page.locator(".course-said")).to_have_text("Loaded: 4 exercises done.")


def test_a_file_of_the_notebooks_is_loaded(site, open_page: OpenPage, tmp_path):
    file = tmp_path / "progress.json"
    solved = {OF_MARKOV[0]: True, OF_MARKOV[1]: False, "poetry.rhyme": True}
    file.write_text(json.dumps(solved), encoding="utf-8")
    page = open_page(f"{site.http_url}/{LANDING}")
    page.locator(".course-load input").set_input_files(file)
    expect(page.locator(".course-said")).to_have_text(
        "Loaded: 1 exercise done. It also names 1 exercise that this book does not have."
    )
    assert f"lmcourse:{OF_MARKOV[0]}" in kept(page)
    assert not {f"lmcourse:{OF_MARKOV[1]}", "lmcourse:poetry.rhyme"} & set(kept(page))


@pytest.mark.parametrize(
    "content", ["", "hello", "[true]", "null", "7", '{"a": 1}', '{"markov": {"x": 1}}']
)
def test_a_bad_file_changes_nothing(content, site, open_page: OpenPage, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text(content, encoding="utf-8")
    page = open_page(f"{site.http_url}/{LANDING}")
    before = kept(page)
    page.locator(".course-load input").set_input_files(file)
    expect(page.locator(".course-said")).to_contain_text(
        "notes.txt is no file of progress"
    )
    assert kept(page) == before


def test_without_storage(base, browser: Browser):
    """A browser that keeps nothing shows the page, and says so when a file is loaded."""
    context = browser.new_context()
    context.add_init_script(
        "for (const name of ['getItem', 'setItem', 'removeItem'])"
        " Storage.prototype[name] = key => {"
        " if (String(key).startsWith('lmcourse:')) throw new Error('no'); return null; };"
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{base}/{CHAPTER}")
    page.goto(f"{base}/{LANDING}")
    expect(total(page)).to_have_text(f"0 of {len(ALL)} exercises done")
    file = {"name": "progress.json", "mimeType": "application/json"}
    file["buffer"] = json.dumps({OF_MARKOV[0]: True}).encode()
    page.locator(".course-load input").set_input_files(file)
    expect(page.locator(".course-said")).to_contain_text("This browser keeps nothing")
    context.close()
    assert not problems


def test_without_scripts(base, browser: Browser):
    """The ladder stands, with links and numbers; nothing tells of progress."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}/{LANDING}")
    assert page.locator(".course-rung:visible").count() == N_CHAPTERS
    assert page.locator(".course-value:visible").count() == N_CHAPTERS
    assert page.locator(".course-progress:visible, .course-bar:visible").count() == 0
    page.get_by_role("link", name="2 Markov", exact=True).last.click()
    page.wait_for_url("**/notebooks/02_markov.html")
    context.close()


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_moves_when_progress_appears(width, site, open_page: OpenPage):
    page = open_page("about:blank", width=width)
    page.route("**/landing.js*", lambda route: route.fulfill(body=""))
    page.goto(f"{site.http_url}/{LANDING}")
    parts = "article h2, .course-start, .course-start ~ *, .course-step-name, .course-rung *"
    before = places(page, parts)
    page.unroute("**/landing.js*")
    keep(page, OF_MARKOV)
    page.evaluate(
        """() => localStorage.setItem("lmcourse:last", '{"page": "03_rnn", "place": ""}')"""
    )
    page.reload()
    expect(page.locator(".course-start a")).to_contain_text("RNN")
    assert places(page, parts) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_accessible_with_progress_and_the_question(width, scheme, site, open_page):
    page = open_page(f"{site.http_url}/{LANDING}", width, scheme)
    keep(page, OF_MARKOV)
    page.reload()
    page.locator(".course-forget").click()
    options = {"resultTypes": ["violations"], "preload": False}
    axe = Axe().run(page, context=".course-landing", options=options)
    found = axe.response["violations"]
    assert [rule["help"] for rule in found] == []
    too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert too_wide <= 0


def test_the_head_says_what_a_page_is_about(site):
    from bs4 import BeautifulSoup

    for path in (LANDING, CHAPTER):
        text = Path(site.folder, path).read_text(encoding="utf-8")
        head = BeautifulSoup(text, "html.parser").head
        said = {
            node.get("property") or node.get("name"): node["content"]
            for node in head.find_all("meta", content=True)
        }
        assert said["og:site_name"] == "Language models, from Markov to BERT"
        assert said["og:title"] in head.title.text
        assert said["description"] == said["og:description"]
        assert 60 <= len(said["description"]) <= 202
