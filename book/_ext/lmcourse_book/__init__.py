"""The book's own small Sphinx extension: each module does one thing to the site."""

from typing import Any

from sphinx.application import Sphinx

from lmcourse_book import (
    anchors,
    api,
    assets,
    first_paint,
    ladder,
    launch,
    links,
    pages,
    paper,
    search,
    social,
    tables,
    terms,
    version,
)

MODULES = (
    anchors,
    api,
    assets,
    first_paint,
    ladder,
    launch,
    links,
    pages,
    paper,
    search,
    social,
    tables,
    terms,
    version,
)


def setup(app: Sphinx) -> dict[str, Any]:
    for module in MODULES:
        module.setup(app)
    # Another env_version reads every page anew: for a change of what is done when a page is read.
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
