"""The book's own small Sphinx extension: each module does one thing to the site."""

from typing import Any

from sphinx.application import Sphinx

from lmcourse_book import assets, first_paint, links, pages, paper, search


def setup(app: Sphinx) -> dict[str, Any]:
    for module in (assets, first_paint, links, pages, paper, search):
        module.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
