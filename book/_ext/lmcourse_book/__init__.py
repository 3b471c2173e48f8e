"""The book's own small Sphinx extension: each module does one thing to the site."""

from importlib import import_module
from typing import Any

from sphinx.application import Sphinx

MODULES = (
    "anchors",
    "api",
    "assets",
    "first_paint",
    "ladder",
    "launch",
    "links",
    "pages",
    "paper",
    "search",
    "social",
    "storage",
    "tables",
    "terms",
    "version",
)


def setup(app: Sphinx) -> dict[str, Any]:
    for name in MODULES:
        import_module(f".{name}", __name__).setup(app)
    # Another env_version makes every page anew: for a change of what is done to each of them.
    return {"env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}
