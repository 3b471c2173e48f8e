"""The card of a handed-out exercise, as a student meets it."""

from __future__ import annotations

import nbformat
import pytest
from widget_page import button, press, serve, violations, write_site

from lmcourse import handout


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory):
    """A page with the first card of chapter 2, as it is stored and as it is handed out."""
    notebook = nbformat.read(handout.chosen(["markov"])[0], as_version=4)
    snapshots = {}
    for name, cells in (
        ("stored", notebook.cells),
        ("handed_out", handout.without_solutions(notebook).cells),
    ):
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        html = [output.get("data", {}).get("text/html", "") for output in outputs]
        snapshots[name] = next(text for text in html if handout.STORED_CARD in text)
    folder = tmp_path_factory.mktemp("cards")
    write_site(folder, snapshots)
    with serve(folder) as urls:
        yield urls


@pytest.mark.parametrize("address", ["http", "file"])
def test_there_is_no_button_for_the_solution(address, pages, open_page):
    page = open_page(f"{pages[address]}/stored.html")
    assert button(page, "Show the solution").count() == 1
    page = open_page(f"{pages[address]}/handed_out.html", 360)
    assert page.get_by_role("button").all_inner_texts() == ["Hint 1 of 2"]
    for number in (1, 2):
        press(page, f"Hint {number} of 2")
    assert page.locator(".lc-hint").count() == 2
    # The button has nothing more to do, so the focus goes on.
    assert page.locator(":focus").get_attribute("type") == "checkbox"
    assert "olution" not in page.locator("main").inner_text()
    if address == "http":
        assert violations(page) == []
