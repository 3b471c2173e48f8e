"""Pages that hold nothing but snapshots and the scripts the book ships, and how a reader uses them.

`write_site` makes the folder, `serve` gives its addresses over http and on disk. The rest is what a
reader does and reads, in short. `conftest.py` makes this module importable.
"""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

from lmcourse.widgets.base import site_scripts, weights_scripts

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Widgets</title>
<meta name="viewport" content="width=device-width">
<style>
  body {{ margin: 0; font-family: sans-serif; background: #fff; color: #222 }}
  main {{ padding: 8px }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #121212; color: #ced6dd }} }}
</style>
<script>document.cookie;</script>
<script defer src="_static/lmcourse/host.js"></script></head>
<body><main><h1>Widgets</h1>{}</main></body></html>
"""


def write_site(folder: Path, snapshots: Mapping[str, str]) -> None:
    """Write a page `NAME.html` for each name and snapshot, with all scripts and weights beside."""
    scripts = folder / "_static" / "lmcourse"
    scripts.mkdir(parents=True)
    for name, text in (site_scripts() | weights_scripts()).items():
        (scripts / name).write_text(text, encoding="utf-8", newline="\n")
    for name, snapshot in snapshots.items():
        text = PAGE.format(snapshot)
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    (folder / "favicon.ico").write_bytes(b"")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=600")
        super().end_headers()


@contextmanager
def serve(folder: Path) -> Iterator[dict[str, str]]:
    """The addresses of a folder: `["http"]` while the context lasts, and `["file"]`."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {
            "http": f"http://127.0.0.1:{server.server_address[1]}",
            "file": folder.as_uri(),
        }
        server.shutdown()


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def tab_to(page: Page, locator: Locator) -> None:
    """Press Tab until the element has the focus: whoever has no mouse gets there."""
    element = locator.first.element_handle()
    for _ in range(150):
        if element.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("Tab never reaches the element")


def press(page: Page, name: str, key: str = "Enter") -> None:
    """Press a button by keyboard alone."""
    tab_to(page, button(page, name))
    page.keyboard.press(key)


def status(page: Page) -> str:
    return " ".join(page.get_by_role("status").all_inner_texts())


def alerts(page: Page) -> str:
    return " ".join(page.get_by_role("alert").all_inner_texts()).strip()


def violations(page: Page) -> list[str]:
    # No preloading: axe would fetch the style sheet, which browsers refuse on disk.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{item['id']}: {node['html']}" for item in found for node in item["nodes"]]


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
