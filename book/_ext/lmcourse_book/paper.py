r"""Makes every page fit for paper: a style for print, and cards that read well as plain text.

A card's fallback holds the exercise's Markdown as it was written. Here its code and its formulas
become HTML, for readers of paper and for those without JavaScript.
"""

import html
import re
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from sphinx.application import Sphinx

FALLBACK = re.compile(
    r'(data-widget="(?:quiz|exercise)_card">.*?<div class="lmcourse-fallback"><p>.*?</p>)'
    r"(.*?)</div>",
    re.DOTALL,
)
TEXT = re.compile(r"<(p|li)>(.*?)</\1>", re.DOTALL)


def formula(tex: str, options: dict[str, Any]) -> str:
    r"""A formula as Sphinx writes it, for MathJax to draw.

    >>> formula("a < b", {"display_mode": False})
    '<span class="math notranslate nohighlight">\\(a &lt; b\\)</span>'
    """
    left, right = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
    tex = html.escape(tex, quote=False)
    return f'<span class="math notranslate nohighlight">{left}{tex}{right}</span>'


MARKDOWN = MarkdownIt("commonmark", {"html": False}).use(
    dollarmath_plugin, double_inline=True, renderer=formula
)


def draw_markdown(fallback: str) -> str:
    """The texts of a card's fallback with their Markdown turned into HTML.

    >>> draw_markdown("<p>Is `a &lt; b`?</p><ul><li>*yes*</li></ul>")
    '<p>Is <code>a &lt; b</code>?</p>\\n<ul><li><em>yes</em></li></ul>'
    """

    def drawn(match: re.Match[str]) -> str:
        text = html.unescape(match[2])
        if match[1] == "li":
            return f"<li>{MARKDOWN.renderInline(text)}</li>"
        return MARKDOWN.render(text)

    return TEXT.sub(drawn, fallback)


def draw_cards(
    app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object
) -> None:
    """Draw the Markdown of all cards of a page."""
    if "body" in context:
        context["body"] = FALLBACK.sub(
            lambda match: f"{match[1]}{draw_markdown(match[2])}</div>", context["body"]
        )


def setup(app: Sphinx) -> None:
    app.add_css_file("print.css", media="print", priority=900)
    app.add_js_file("printing.js", loading_method="defer")
    app.connect("html-page-context", draw_cards)
