"""The book's own small Sphinx extension.

What it does to the site, and why:

* puts the widgets' scripts and the trained weights beside the pages and loads their host on every
  page;
* puts MathJax and its fonts there too, so that a page with formulas needs no other host;
* takes out the theme's 1.5 MB icon script, whose icons a web font draws, and MathJax where a page
  has no formula;
* indexes Korean words so that the search finds them with or without a particle;
* lets a chapter link to a term or a paper with an ordinary link, `../book/glossary.md#perplexity`
  or `../book/bibliography.md#shannon1951`: a link to what is not there is a warning;
* writes an `index.html` that has a language, a title and a link, not a bare redirect.
"""

from __future__ import annotations

import html
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.search import languages
from sphinx.search.en import SearchEnglish

from lmcourse.widgets.base import site_scripts, weights_scripts

HANGUL_WORD = re.compile("[\uac00-\ud7a3]{3,}")
ICON_SCRIPT = re.compile(
    r"\s*<(?:script|link)[^>]*scripts/fontawesome\.js[^>]*>(?:</script>)?"
)
MATHJAX = re.compile(
    r"\s*<script>window\.MathJax = .*?</script>|\s*<script[^>]*_static/mathjax/[^>]*></script>"
)
# The search reads the pages it found to show a line of each; browsers forbid that on file://.
NO_SUMMARY_FROM_DISK = (
    'if (location.protocol === "file:") '
    "DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"
)
FORMULA = 'class="math '


class EnglishAndKorean(SearchEnglish):
    """English search that also knows Korean words by their beginnings.

    Korean puts particles after a noun without a space, and the page's script only looks for parts
    of words from three letters on. So a run of Hangul enters the index with every beginning of
    two syllables or more: who looks for two syllables finds the word with any particle.
    """

    def split(self, input: str) -> list[str]:
        words = super().split(input)
        for run in HANGUL_WORD.findall(input):
            words += [run[:length] for length in range(2, len(run))]
        return words


def mathjax_folder() -> Path:
    """The folder of MathJax in the package sphinx-mathjax-offline.

    Raises:
        OSError: The package is not installed.
    """
    for folder in map(Path, sys.path):
        if (found := folder / "sphinx-mathjax-offline/static/mathjax").is_dir():
            return found
    raise OSError("sphinx-mathjax-offline is not installed: run make book")


def copy_scripts(app: Sphinx) -> None:
    """Put the widgets' files, the trained weights and MathJax into the site's `_static` folder."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    widgets = static / "lmcourse"
    shutil.rmtree(widgets, ignore_errors=True)
    widgets.mkdir(parents=True)
    for name, text in (site_scripts() | weights_scripts()).items():
        (widgets / name).write_text(text, encoding="utf-8", newline="\n")
    source, target = mathjax_folder(), static / "mathjax"
    fonts = "output/chtml/fonts"
    target.mkdir(exist_ok=True)
    shutil.copy2(source / "tex-chtml-full.js", target)
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)


def name_anchors(app: Sphinx, env: BuildEnvironment) -> None:
    """Make every term of the glossary and every paper a target of ordinary links."""
    glossary = env.metadata["book/glossary"].setdefault("myst_slugs", {})
    for name, _, kind, page, anchor, _ in env.get_domain("std").get_objects():
        if kind == "term" and page == "book/glossary" and name.isascii():
            glossary[anchor.removeprefix("term-").lower()] = (0, anchor, name)
    papers = env.metadata["book/bibliography"].setdefault("myst_slugs", {})
    cite = env.get_domain("cite")
    for citation in cite.citations:
        papers[citation.key] = (0, citation.key, citation.key)
        listed = cite.bibliographies[citation.bibliography_key].citation_nodes[
            citation.key
        ]
        if citation.key not in listed["ids"]:
            listed["ids"].insert(0, citation.key)


def finish_pages(app: Sphinx, error: Exception | None) -> None:
    """Take out of every page what it does not need, and write the site's `index.html`."""
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        lighter = ICON_SCRIPT.sub("", text)
        if FORMULA not in text:
            lighter = MATHJAX.sub("", lighter)
        if lighter != text:
            page.write_text(lighter, encoding="utf-8", newline="\n")
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


def setup(app: Sphinx) -> dict[str, Any]:
    languages["en"] = EnglishAndKorean
    app.config.mathjax_path = "mathjax/tex-chtml-full.js"
    app.config.mathjax3_config = {"options": {"enableMenu": False}}
    app.add_js_file("lmcourse/host.js", loading_method="defer")
    app.add_js_file(None, body=NO_SUMMARY_FROM_DISK, priority=600)
    app.connect("builder-inited", copy_scripts)
    app.connect("env-updated", name_anchors, priority=900)  # after sphinxcontrib.bibtex
    app.connect("build-finished", finish_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
