"""What a page writes into the browser's storage is there when the page is opened again."""

from __future__ import annotations

from collections.abc import Callable

from bs4 import BeautifulSoup
from playwright.sync_api import Page

OpenPage = Callable[..., Page]
KEPT = "() => localStorage.getItem('lmcourse:kept')"


def test_the_browser_knows_a_page_before_its_storage_is_asked_for(page_path, site):
    text = (site.folder / page_path).read_text(encoding="utf-8")
    scripts = [script.text for script in BeautifulSoup(text, "html.parser")("script")]
    assert scripts[0] == "document.cookie;"
    assert "localStorage" in scripts[1]  # the theme's


def test_a_page_on_disk_keeps_what_it_wrote(site, open_page: OpenPage):
    """Without the question for cookies, one of sixty reloads finds the storage empty on a busy
    machine, and what is written then is lost."""
    page = open_page(f"{site.file_url}/book/changes.html")
    for i in range(20):
        page.evaluate("i => localStorage.setItem('lmcourse:kept', i)", i)
        page.reload()
        assert page.evaluate(KEPT) == str(i)
