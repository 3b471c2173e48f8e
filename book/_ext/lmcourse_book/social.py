"""Says in every page's head what it is about: for search engines, and for links that are shared.

The description is the page's first paragraph that is long enough to say something.
"""

from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SHORTEST, LONGEST = 60, 200  # characters


def description(doctree: nodes.document) -> str:
    """The first paragraph of a page with at least `SHORTEST` characters, cut between two words."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) >= SHORTEST and not text.startswith("How long?"):
            cut = f"{text[:LONGEST].rpartition(' ')[0]} …"
            return text if len(text) <= LONGEST else cut
    return ""


def add_tags(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Add the tags to a page that was written, not to the pages of the search and the index."""
    if doctree is None:
        return
    tags = {
        "og:type": "website" if page == app.config.root_doc else "article",
        "og:site_name": app.config.html_title,
        "og:title": app.env.titles[page].astext(),
        "og:description": description(doctree),
    }
    lines = [
        f'<meta property="{name}" content="{escape(value)}">'
        for name, value in tags.items()
        if value
    ]
    if tags["og:description"]:
        lines.append(
            f'<meta name="description" content="{escape(tags["og:description"])}">'
        )
    context["metatags"] = context.get("metatags", "") + "\n" + "\n".join(lines)


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", add_tags)
