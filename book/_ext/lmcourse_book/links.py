"""Lets a chapter link to a term or a paper with an ordinary link, which Jupyter understands too.

`../book/glossary.md#perplexity` and `../book/bibliography.md#shannon1951`: a link to what is not
there is a warning.
"""

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


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


def setup(app: Sphinx) -> None:
    app.connect("env-updated", name_anchors, priority=900)  # after sphinxcontrib.bibtex
