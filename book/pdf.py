"""Prints the built site as one PDF: `python book/pdf.py` after `make book`.

The articles of all pages are joined into one document in the order of the table of contents. Each
id gets the name of its page in front, so that links between pages lead to places in the document.
Chromium prints it twice: the numbers in the contents are read from the first print.
"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import Destination, Fit
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).parents[1]
REFERENCE = (
    "book/api/"  # a quarter of the sheets, made to be searched: it stays on the screen
)
SITE = ROOT / "_build/html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 600_000  # milliseconds: a busy machine needs minutes for the whole book
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
REFERENCES = ("for", "aria-labelledby", "aria-describedby", "aria-controls")
LIVE = "script, noscript, button, input, select, textarea, form, .headerlink, .lmcourse-live"

# Two syllables look the same where the system has no letters for them: both are the same box.
HAS_KOREAN = """() => {
  const drawn = (text) => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    context.font = "40px sans-serif";
    context.fillText(text, 10, 60);
    return canvas.toDataURL();
  };
  return drawn("한") !== drawn("글");
}"""
# A table that is wider than the paper gets smaller, and so does a formula. Short code is not cut.
FIT = """() => {
  for (const box of document.querySelectorAll("article table, article mjx-container[display]")) {
    const room = box.parentElement.clientWidth;
    const wide = Math.max(box.scrollWidth, box.getBoundingClientRect().width);
    if (wide > room + 1) box.style.zoom = (room / wide).toFixed(3);
  }
  for (const code of document.querySelectorAll("article pre"))
    if (code.clientHeight < 170) code.style.setProperty("break-inside", "avoid", "important");
}"""
FILL = """numbers => {
  for (const place of document.querySelectorAll(".table-of-contents .number"))
    place.textContent = numbers[place.dataset.of];
}"""


class CannotPrint(Exception):
    """Why there is no PDF, in one sentence."""


def parts_of_the_book() -> list[tuple[str, list[str]]]:
    """The parts of the table of contents but the reference: caption and pages, in reading order."""
    contents = parse_toc_yaml(ROOT / "_toc.yml")

    def below(page: str) -> Iterator[str]:
        yield page
        for tree in contents[page].subtrees if page in contents else ():
            for item in tree.items:
                yield from below(str(item))

    root = contents.root
    parts = [("", [root.docname])]
    for tree in root.subtrees:
        pages = [page for item in tree.items for page in below(str(item))]
        parts.append((tree.caption or "", pages))
    return [part for part in parts if not part[1][0].startswith(REFERENCE)]


def name_of(page: str) -> str:
    """What stands before the ids of a page.

    >>> name_of("notebooks/02_markov")
    'notebooks-02_markov'
    """
    return page.replace("/", "-")


def read_page(page: str) -> BeautifulSoup:
    """A page of the built site.

    Raises:
        CannotPrint: The site has no such page.
    """
    path = SITE / f"{page}.html"
    if not path.is_file():
        raise CannotPrint(
            f"{page}: the built site has no such page; run make book, and name a page as "
            "in _toc.yml (notebooks/02_markov)"
        )
    return BeautifulSoup(path.read_text(encoding="utf-8"), "lxml")


def article_of(page: str, soup: BeautifulSoup, pages: Sequence[str]) -> Tag:
    """The article of a page, made part of the one document.

    Scripts and controls go, ids get the page's name in front, links lead within the document where
    their page is in it, and lose their target where it is not; pictures come from the site.
    """
    article, name = soup.select_one("article.bd-article"), name_of(page)
    for node in article.select(LIVE):
        node.decompose()
    for node in article.find_all(id=True):
        node["id"] = f"{name}--{node['id']}"
    article["id"] = name
    for node in article.find_all(True):
        for key in REFERENCES:
            if key in node.attrs:
                node[key] = " ".join(f"{name}--{part}" for part in node[key].split())
        for key, value in node.attrs.items():
            if isinstance(value, str) and "url(#" in value:
                node[key] = value.replace("url(#", f"url(#{name}--")
        for key in ("href", "xlink:href", "src"):
            if key in node.attrs:
                redirect(node, key, page, pages)
    return article


def redirect(node: Tag, key: str, page: str, pages: Sequence[str]) -> None:
    """Make an address of a page lead to the same place from within the one document."""
    link = urlsplit(node[key])
    if link.scheme:
        return
    here = SITE / f"{page}.html"
    target = (here.parent / unquote(link.path)).resolve() if link.path else here
    if node.name != "a" and link.path:
        node[key] = target.as_uri()
        return
    inside = target.is_relative_to(SITE) and target.suffix == ".html"
    other = target.relative_to(SITE).with_suffix("").as_posix() if inside else ""
    if other in pages:
        place = f"--{unquote(link.fragment)}" if link.fragment else ""
        node[key] = f"#{name_of(other)}{place}"
    else:
        del node[key]


def contents_list(articles: dict[str, Tag], parts: list[tuple[str, list[str]]]) -> str:
    """The contents: parts, pages and their sections, with room for the numbers of pages."""

    def line(kind: str, place: str, heading: Tag) -> str:
        title = html.escape(heading.get_text().strip())
        return (
            f'<li class="{kind}"><a href="#{place}">{title}</a>'
            f'<span class="number" data-of="{place}"></span></li>'
        )

    lines = []
    for caption, pages in parts:
        printed = [page for page in pages if page in articles]
        if caption and printed:
            lines.append(f'<li class="part">{html.escape(caption)}</li>')
        for page in printed:
            article = articles[page]
            lines.append(line("page-of", article["id"], article.h1))
            lines += [
                line("section-of", heading.find_parent(id=True)["id"], heading)
                for heading in article.find_all("h2")
            ]
    return "\n".join(lines)


def cover() -> str:
    """The title page. Its date is that of the version, so that the same files print the same."""
    book = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    address = book["repository"]["url"]
    logo = (SITE / "_static/favicon.svg").as_uri()
    lines = [
        html.escape(book["author"]),
        f"Version {cited['version']}, {cited['date-released']}",
        f"© {html.escape(book['copyright'])}",
        f'<a href="{address}">{address}</a>',
    ]
    paragraphs = "".join(f"<p>{line}</p>" for line in lines)
    return (
        f'<section class="cover"><img src="{logo}" alt=""><h1>{html.escape(book["title"])}</h1>'
        f"{paragraphs}</section>"
    )


def joined(parts: list[tuple[str, list[str]]]) -> str:
    """The whole book as one HTML document."""
    pages = [page for _, some in parts for page in some]
    soups = {page: read_page(page) for page in pages}
    articles = {page: article_of(page, soups[page], pages) for page in pages}
    styles = {}
    for page, soup in soups.items():
        for link in soup.select('head link[rel="stylesheet"]'):
            redirect(link, "href", page, pages)
            styles[link["href"].partition("?")[0]] = link.get("media", "all")
    styles[(SITE / "_static/lmcourse/widgets.css").as_uri()] = "all"
    mathjax = (SITE / "_static/mathjax/tex-chtml-full.js").as_uri()
    heads = []
    for page, article in articles.items():
        name, title = name_of(page), article.h1.get_text().strip()
        title = title.replace("\\", "").replace('"', "'")
        heads.append(
            f"#{name} {{ page: {name} }}\n@page {name} {{ @top-center {{ "
            f'content: "{title}"; font: 8.5pt system-ui, sans-serif; color: #55606b }} }}'
        )
    title = html.escape(BeautifulSoup(cover(), "lxml").h1.get_text())
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en" data-theme="light" data-mode="light">',
            f'<head><meta charset="utf-8"><title>{title}</title>',
            *(
                f'<link rel="stylesheet" href="{address}" media="{media}">'
                for address, media in styles.items()
            ),
            f"<style>{(ROOT / 'book/pdf.css').read_text(encoding='utf-8')}",
            "\n".join(heads),
            "</style>",
            '<script>window.MathJax = {options: {enableMenu: false, ignoreHtmlClass: "bd-article", '
            'processHtmlClass: "math"}}</script>',
            f'<script defer src="{mathjax}"></script>',
            f"</head><body>{cover()}",
            '<nav class="table-of-contents"><h1>Contents</h1>',
            f"<ol>{contents_list(articles, parts)}</ol></nav>",
            *map(str, articles.values()),
            "</body></html>",
        ]
    )


def chromium(playwright: Playwright) -> str:
    """Where Chromium is: on the PATH, or playwright's own.

    Raises:
        CannotPrint: There is none.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    found = found or playwright.chromium.executable_path
    if not Path(found).exists():
        raise CannotPrint("there is no Chromium to print with; run make chromium")
    return found


def printed(page: Page) -> PdfReader:
    """The page as Chromium prints it."""
    return PdfReader(
        BytesIO(page.pdf(prefer_css_page_size=True, print_background=True, tagged=True))
    )


def numbers_of(reader: PdfReader) -> dict[str, int]:
    """The number of the page on which each place of the document is, from 1."""
    return {
        name.removeprefix("/"): reader.get_destination_page_number(place) + 1
        for name, place in reader.named_destinations.items()
    }


def add_outline(writer: PdfWriter, contents: BeautifulSoup) -> None:
    """Give the PDF an outline of the same three levels as its contents."""
    places = writer.named_destinations
    part = page = None
    for line in contents.select("li"):
        if line["class"] == ["part"]:
            first = line.find_next("a")["href"]
            part = add_line(writer, line.get_text(), places[f"/{first[1:]}"], None)
            continue
        place = places[f"/{line.a['href'][1:]}"]
        if line["class"] == ["page-of"]:
            page = add_line(writer, line.a.get_text(), place, part)
        else:
            add_line(writer, line.a.get_text(), place, page)


def add_line(
    writer: PdfWriter, title: str, place: Destination, parent: object
) -> object:
    """Add one line to the outline, below `parent`; what lines below it need."""
    fit = Fit.xyz(left=place.left, top=place.top)
    number = writer.get_destination_page_number(place)
    return writer.add_outline_item(
        title=title, page_number=number, parent=parent, fit=fit
    )


def print_document(browser: Browser, document: str, out: Path) -> int:
    """Print the joined document into the file `out`; the number of sheets."""
    page = browser.new_page(viewport={"width": 658, "height": 960})
    page.set_default_timeout(PATIENCE)
    page.emulate_media(media="print", color_scheme="light")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.html"
        path.write_text(document, encoding="utf-8")
        page.goto(path.as_uri())
        if not page.evaluate(HAS_KOREAN):
            print(
                "This system has no Korean letters: Korean words print as boxes. Install a "
                "Korean font (on Debian and Ubuntu: apt-get install fonts-nanum)."
            )
        page.evaluate("() => MathJax.startup.promise.then(() => document.fonts.ready)")
        page.evaluate(FIT)
        page.evaluate(FILL, numbers_of(printed(page)))
        reader = printed(page)
    page.close()
    writer = PdfWriter(clone_from=reader)
    soup = BeautifulSoup(document, "lxml")
    add_outline(writer, soup.select_one(".table-of-contents"))
    author = soup.select_one(".cover p").get_text()
    writer.metadata = {"/Title": soup.title.get_text(), "/Author": author}
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{out.name}.part")
    writer.write(unfinished)
    os.replace(unfinished, out)
    return len(reader.pages)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the book without its reference, or the pages that are named; 0 when that went well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    pages = "pages as in _toc.yml (default: all but the reference)"
    parser.add_argument("pages", nargs="*", help=pages)
    parser.add_argument("--out", type=Path, default=ROOT / "_build/lmcourse.pdf")
    chosen = parser.parse_args(arguments)
    parts = parts_of_the_book()
    if chosen.pages:
        parts = [("", chosen.pages)]
    try:
        document = joined(parts)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium(playwright), args=ARGUMENTS
            )
            sheets = print_document(browser, document, chosen.out)
    except (CannotPrint, Error) as error:
        print(f"The PDF was not made: {error}", file=sys.stderr)
        return 1
    size = chosen.out.stat().st_size / 1e6
    print(f"The book: {chosen.out} ({sheets} pages, {size:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
