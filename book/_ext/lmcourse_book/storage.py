"""Lets a page that is read from disk keep what the reader has done.

Chromium gives each such page a process of its own, in which the page may run before the browser
knows that it is there. A script that asks for the browser's storage then gets an empty one, which
is never kept. The theme's first script asks. The question for cookies, of which there are none, is
answered when the browser knows of the page: so it comes first.
"""

from typing import Any

from sphinx.application import Sphinx

KNOWN_TO_THE_BROWSER = "\n<script>document.cookie;</script>"


def add_script(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    context["metatags"] = KNOWN_TO_THE_BROWSER + context.get("metatags", "")


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", add_script)
