"""Chromium for the tests of the built site: every other host is blocked, every problem is logged.

Fixtures: `site` (where the built site is, over http and on disk), `browser` (one Chromium a
session) and `open_page(url, width=1280, scheme="light")`, which gives a page with a list `page.log`
of what went wrong on it. A log that is not empty when the test ends fails the test.
A test with an argument `page_path` runs for every page of the site ("book/index.html", ...) but
the first one, which only leads to the book; with `address`, `width` and `scheme`, in every view.

For a module that defines `snapshots()` (name -> HTML): `pages`, the addresses of a folder with a
page for each, `visit(name)` and `read_without_scripts(name)`. `widget_page` makes that folder, and
holds what a reader does on such a page.
"""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    Page,
    Playwright,
    Request,
    Response,
    sync_playwright,
)

sys.path.append(str(Path(__file__).parent))
from widget_page import serve, write_site

SITE = Path(__file__).parents[2] / "_build" / "html"
ALLOWED = ("http://127.0.0.1:", "file:", "data:", "blob:", "ws://127.0.0.1:")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# How a page is opened: the address, the width of the window, light or dark.
VIEWS = list(itertools.product(("http", "file"), (1280, 360), ("light", "dark")))
# The pages of source come from one template and hold one block of code each. So each is opened
# two ways only, in turn, and all of them together in every way.
FEWER_VIEWS = [[0, 7], [1, 6], [2, 5], [3, 4]]


@dataclass(frozen=True)
class Site:
    """The built site: its folder, and the address of that folder over http and on disk."""

    folder: Path
    http_url: str
    file_url: str


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page_path" in metafunc.fixturenames:
        pages = sorted(
            path.relative_to(SITE).as_posix()
            for path in SITE.rglob("*.html")
            if path.relative_to(SITE).parts[0]
            not in ("index.html", "_static", "_sources")
        )
        pages = pages or ["no page"]  # `site` says what is wrong
        if "scheme" in metafunc.fixturenames:
            views = [(page, *view) for page in pages for view in views_of(page, pages)]
            metafunc.parametrize("page_path, address, width, scheme", views)
        else:
            metafunc.parametrize("page_path", pages)


def views_of(page: str, pages: list[str]) -> list[tuple[str, int, str]]:
    """The views in which a page is tested."""
    if not page.startswith("_modules/"):
        return VIEWS
    return [VIEWS[i] for i in FEWER_VIEWS[pages.index(page) % len(FEWER_VIEWS)]]


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    if not (SITE / "index.html").exists():
        pytest.fail(f"there is no built site in {SITE}: run make book", pytrace=False)
    with serve(SITE) as addresses:
        yield Site(SITE, addresses["http"], addresses["file"])


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    installed = next(filter(None, map(shutil.which, names)), None)
    path = installed or playwright.chromium.executable_path
    if not Path(path).exists():
        pytest.fail("there is no Chromium: make test installs one", pytrace=False)
    chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    yield chromium
    chromium.close()


def watch(page: Page, log: list[str]) -> None:
    """Write into `log` whatever a reader's developer console would show as a problem."""

    def response(answer: Response) -> None:
        if answer.status >= 400:
            log.append(f"status {answer.status}: {answer.url}")

    def failed(request: Request) -> None:
        if (
            request.failure != "net::ERR_ABORTED"
        ):  # a page was left while it still loaded
            log.append(f"failed: {request.url} ({request.failure})")

    page.on("response", response)
    page.on("requestfailed", failed)
    page.on("pageerror", lambda error: log.append(f"script error: {error}"))
    page.on(
        "console",
        lambda message: (
            log.append(f"console {message.type}: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts = []
    logs: list[list[str]] = []

    def open_page(url: str, width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(20_000)
        log: list[str] = []
        logs.append(log)

        def only_here(route) -> None:
            if route.request.url.startswith(ALLOWED):
                route.continue_()
            else:
                log.append(f"other host: {route.request.url}")
                route.abort()

        context.route("**/*", only_here)
        page = context.new_page()
        page.log = log
        watch(page, log)
        page.goto(url)
        page.wait_for_load_state("load")
        page.evaluate("() => window.lmcourse?.ready")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not any(logs), "\n".join(line for log in logs for line in log)


@pytest.fixture(scope="module")
def pages(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Where the pages of the module's snapshots are, over http and on disk."""
    folder = tmp_path_factory.mktemp("pages")
    write_site(folder, request.module.snapshots())
    with serve(folder) as addresses:
        yield addresses


@pytest.fixture
def visit(pages: dict[str, str], open_page: Callable[..., Page]) -> Callable[..., Page]:
    """`visit(name, "http", width=360)`: a page whose widgets have all that they load."""

    def visit(name: str, where: str = "file", **kwargs: object) -> Page:
        page = open_page(f"{pages[where]}/{name}.html", **kwargs)
        page.wait_for_function("() => !document.body.textContent.includes('loading …')")
        return page

    return visit


@pytest.fixture
def read_without_scripts(
    pages: dict[str, str], browser: Browser
) -> Iterator[Callable[[str], Page]]:
    """`read_without_scripts(name)`: a page as it is where JavaScript is off."""
    context = browser.new_context(java_script_enabled=False)

    def read(name: str) -> Page:
        page = context.new_page()
        page.goto(f"{pages['file']}/{name}.html")
        return page

    yield read
    context.close()
