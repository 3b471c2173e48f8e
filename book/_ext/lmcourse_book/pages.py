"""Finishes the pages: takes out what a page does not need, and writes the site's `index.html`.

The theme's 1.5 MB icon script goes (a web font draws the icons), the style of the many icons that
no page shows, and MathJax where a page has no formula. The site's `index.html` gets a language, a
title and a link: it is more than a redirect.
"""

import html
import re
from pathlib import Path

from bs4 import BeautifulSoup
from sphinx.application import Sphinx

ICON_SCRIPT = re.compile(
    r"\s*<(?:script|link)[^>]*scripts/fontawesome\.js[^>]*>(?:</script>)?"
)
ICON = re.compile(r"\bfa-[\w-]+")
ICON_STYLE = re.compile(r'(?:\.fa-[\w-]+:before,?)+\{content:"[^"]*"\}')
MATHJAX = re.compile(
    r"\s*<script>window\.MathJax = .*?</script>|\s*<script[^>]*_static/mathjax/[^>]*></script>"
)
FORMULA = 'class="math '
# Names, punctuation and spaces of highlighted code look as the text around them. On a page of
# source, marking each of them is most of the page.
UNMARKED = re.compile(r'<span class="[npw]">([^<]*)</span>')
TOGGLE = '<summary><span class="toctree-toggle"'  # the theme gives it no name


def repair_lists(page: Path) -> None:
    """Put a list that stands between the items of another one into the item before it."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    for inner in soup.select("article ul > ul"):
        inner.find_previous_sibling("li").append(inner.extract())
    page.write_text(str(soup), encoding="utf-8", newline="\n")


def finish_pages(app: Sphinx, error: Exception | None) -> None:
    """Take out of every page what it does not need, and write the site's `index.html`."""
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    script = site / "_static/scripts/pydata-sphinx-theme.js"
    icons = set(ICON.findall(script.read_text(encoding="utf-8")))
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        icons |= set(ICON.findall(text))
        lighter = ICON_SCRIPT.sub("", text)
        if FORMULA not in text:
            lighter = MATHJAX.sub("", lighter)
        if page.is_relative_to(site / "_modules"):
            lighter = UNMARKED.sub(r"\1", lighter)
        named = TOGGLE.replace("<summary", '<summary aria-label="The pages below"')
        lighter = lighter.replace(TOGGLE, named)
        if lighter != text:
            page.write_text(lighter, encoding="utf-8", newline="\n")
    repair_lists(site / "_modules/index.html")
    style = site / "_static/styles/pydata-sphinx-theme.css"
    text = style.read_text(encoding="utf-8")
    text = ICON_STYLE.sub(
        lambda rule: rule[0] if icons & set(ICON.findall(rule[0])) else "", text
    )
    style.write_text(text, encoding="utf-8", newline="\n")
    root, title = app.config.root_doc, html.escape(app.config.html_title)
    if root == "index":
        return
    (site / "index.html").write_text(
        f'<!DOCTYPE html>\n<html lang="{app.config.language}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n"
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="refresh" content="0; url={root}.html">\n'
        f'<link rel="icon" href="_static/favicon.svg">\n'
        f'</head>\n<body>\n<main><h1>{title}</h1>\n<p><a href="{root}.html">Open the book</a></p>'
        f"</main>\n</body>\n</html>\n",
        encoding="utf-8",
        newline="\n",
    )


def setup(app: Sphinx) -> None:
    app.connect("build-finished", finish_pages)
