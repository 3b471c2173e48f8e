"""What a page shows of a term or a paper when a reader points at a link to it.

The glossary says under each term which chapter links to it first. When the site is built, what the
glossary and the bibliography say is written into one script, `_static/lmcourse/terms.js`; a page
loads it when a reader first points at such a link. Its formulas are MathML, which browsers draw
without MathJax.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from latex2mathml.converter import convert
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from lmcourse.widgets.base import to_json

GLOSSARY, BIBLIOGRAPHY = "book/glossary", "book/bibliography"


def pages_in_order(env: BuildEnvironment, page: str) -> Iterator[str]:
    """The pages below a page of the table of contents, as a reader goes through them."""
    for below in env.toctree_includes.get(page, []):
        yield below
        yield from pages_in_order(env, below)


def first_uses(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """Where each term is first linked: the page and the section, by the term's place.

    Chapters come before all other pages.

    Returns:
        "term-perplexity" -> ("notebooks/01_language_models", "surprise-and-perplexity").
    """
    places = env.metadata[GLOSSARY].get("myst_slugs", {})
    pages = list(pages_in_order(env, env.config.root_doc))
    found: dict[str, tuple[str, str]] = {}
    for page in sorted(pages, key=lambda page: not page.startswith("notebooks/")):
        for link in env.get_doctree(page).findall(addnodes.pending_xref):
            slug = link.get("reftargetid")
            if link.get("reftarget") == GLOSSARY and slug in places:
                section = link.parent
                while not isinstance(section, nodes.section):
                    section = section.parent
                found.setdefault(places[slug][1], (page, section["ids"][0]))
    return found


def rewrite_glossary(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the glossary anew with every build: it says where the other pages use its terms."""
    return [GLOSSARY]


def finish_glossary(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Say under each term where it is used first, and put a row of letters to jump to on top."""
    if page != GLOSSARY or app.builder.format != "html":
        return
    uses = first_uses(app.env)
    letters: dict[str, str] = {}
    for entry in doctree.findall(nodes.definition_list_item):
        term, definition = entry.next_node(nodes.term), entry[-1]
        anchor = term["ids"][0]
        letters.setdefault(term.astext()[0].upper(), anchor)
        if anchor in uses:
            definition += first_use(app, *uses[anchor])
    row = nodes.paragraph(classes=["lmcourse-letters"])
    for letter, anchor in letters.items():
        row += [
            nodes.reference("", letter, internal=True, refid=anchor),
            nodes.Text(" "),
        ]
    glossary = next(iter(doctree.findall(addnodes.glossary)))
    glossary.parent.insert(glossary.parent.index(glossary), row)


def first_use(app: Sphinx, page: str, section: str) -> nodes.paragraph:
    """The line of an entry that names a page and leads to the section of the first use."""
    number = app.env.toc_secnumbers.get(page, {}).get("")
    title = app.env.titles[page].astext()
    name = f"Chapter {number[0]}, {title.partition(':')[0]}" if number else title
    address = f"{app.builder.get_relative_uri(GLOSSARY, page)}#{section}"
    line = nodes.paragraph("", "First in: ", classes=["lmcourse-first-use"])
    line += nodes.reference("", name, internal=True, refuri=address)
    return line


def inner_html(node: Tag) -> str:
    """What a node of a built page holds, with MathML for its formulas and without its links."""
    for formula in node.select(".math"):
        tex = formula.get_text().removeprefix(r"\(").removesuffix(r"\)")
        formula.replace_with(BeautifulSoup(convert(tex), "html.parser"))
    for extra in node.select(".headerlink, .lmcourse-first-use, [id]"):
        extra.decompose()
    for link in node.select("a"):
        link.unwrap()
    return node.decode_contents().strip()


def entries(site: Path) -> dict[str, dict[str, Any]]:
    """What a built site says of every term and every paper, by the page's name and the place.

    Returns:
        "glossary#term-entropy" -> {"names": ["entropy", "엔트로피"], "html": "<p>The mean ..."}
    """

    def read(page: str) -> BeautifulSoup:
        return BeautifulSoup((site / f"{page}.html").read_text("utf-8"), "html.parser")

    found = {}
    for meaning in read(GLOSSARY).select("dl.glossary > dd"):
        korean = meaning.find_previous_sibling("dt")
        english = korean.find_previous_sibling("dt")
        found[f"glossary#{english['id']}"] = {
            "names": [inner_html(english), inner_html(korean)],
            "html": inner_html(meaning),
        }
    for paper in read(BIBLIOGRAPHY).select("li[id]"):
        found[f"bibliography#{paper['id']}"] = {"names": [], "html": inner_html(paper)}
    return found


def write_entries(app: Sphinx, error: Exception | None) -> None:
    """Write the script with all terms and papers."""
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    (site / "_static/lmcourse/terms.js").write_text(
        f"window.lmcourseTerms = {to_json(entries(site))};\n",
        encoding="utf-8",
        newline="\n",
    )


def add_filter(app: Sphinx, page: str, *_: object) -> None:
    """The glossary alone loads the script of its filter."""
    if page == GLOSSARY:
        app.add_js_file("glossary.js", loading_method="defer")


def setup(app: Sphinx) -> None:
    app.add_js_file("terms.js", loading_method="defer")
    app.add_css_file("terms.css")
    app.connect("env-updated", rewrite_glossary)
    app.connect("doctree-resolved", finish_glossary)
    app.connect("html-page-context", add_filter)
    app.connect("build-finished", write_entries)
