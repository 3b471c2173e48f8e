"""The buttons of a chapter: they run its notebook elsewhere or here, and download it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import Page, expect

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
MENU = ".dropdown-launch-buttons"


def links(site, page_path: str, menu: str) -> dict[str, str]:
    """The links of a menu of a page, by their text."""
    text = (site.folder / page_path).read_text(encoding="utf-8")
    found = BeautifulSoup(text, "html.parser").select(f"{menu} a")
    return {link.text.strip(): link["href"] for link in found}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_is_run_in_three_ways(chapter, site):
    owner, name = CONFIG["repository"]["url"].split("/")[-2:]
    branch, buttons = CONFIG["repository"]["branch"], CONFIG["launch_buttons"]
    path = f"notebooks/{chapter}.ipynb"
    assert links(site, f"notebooks/{chapter}.html", MENU) == {
        "Binder": f"{buttons['binderhub_url']}/v2/gh/{owner}/{name}/{branch}"
        f"?urlpath=lab/tree/{path}",
        "Colab": f"{buttons['colab_url']}/github/{owner}/{name}/blob/{branch}/{path}",
        "Your own JupyterLab": "../book/how_to_read.html#run-it",
    }


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_is_downloaded_as_it_is_stored(chapter, site):
    page_path = f"notebooks/{chapter}.html"
    link = links(site, page_path, ".dropdown-download-buttons")[".ipynb"]
    stored = ROOT / "notebooks" / f"{chapter}.ipynb"
    assert ((site.folder / page_path).parent / link).read_bytes() == stored.read_bytes()


def test_only_chapters_can_be_run(page_path, site):
    assert bool(links(site, page_path, MENU)) == page_path.startswith("notebooks/")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_page_does_not_show_the_cell_that_installs_the_course(chapter, site):
    page = (site.folder / f"notebooks/{chapter}.html").read_text(encoding="utf-8")
    assert "lmcourse[notebooks]" not in page
    assert BeautifulSoup(page, "html.parser").find(id="main-content").find("h1")


@pytest.mark.parametrize("width", [1280, 360])
def test_the_buttons_are_reached_by_keyboard(
    width, site, open_page: Callable[..., Page]
):
    page = open_page(f"{site.http_url}/notebooks/{CHAPTERS[0]}.html", width)
    button = page.locator(f"{MENU} > button")
    button.focus()
    page.keyboard.press("Enter")
    for name in ("Binder", "Colab", "Your own JupyterLab"):
        page.keyboard.press("ArrowDown")
        link = page.locator(MENU).get_by_role("link", name=name)
        expect(link).to_be_focused()
        box = link.bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= width
    assert (
        Axe().run(page, context=MENU, options={"preload": False}).response["violations"]
        == []
    )
    page.keyboard.press("Escape")
    expect(page.locator(f"{MENU} .dropdown-menu")).to_be_hidden()
    expect(button).to_be_focused()


def test_the_notebook_is_downloaded_by_a_click(site, open_page: Callable[..., Page]):
    page = open_page(f"{site.http_url}/notebooks/{CHAPTERS[0]}.html")
    page.get_by_role("button", name="Download this page").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=".ipynb").click()
    assert download.value.suggested_filename == f"{CHAPTERS[0]}.ipynb"


def test_the_page_that_explains_it_leads_to_the_project(site):
    text = (site.folder / "book/how_to_read.html").read_text(encoding="utf-8")
    run_it = BeautifulSoup(text, "html.parser").select_one("#run-it")
    assert run_it.select_one(f'a[href="{CONFIG["repository"]["url"]}"]')
