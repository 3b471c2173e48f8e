"""Lets a page that is read from disk keep what the reader has done.

On a busy machine Chromium may give a page from disk an empty storage, which is never kept, when a
script asks for the storage very early, as the theme's first script does. It seems that the page
runs before the browser knows that it is there. The question for cookies, of which there are none,
waits for the browser: with it in front no storage was lost in trials that lost some without it.
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
