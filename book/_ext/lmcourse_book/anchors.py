"""Gives each widget and each exercise's card in a page a place that a link can lead to.

`../notebooks/02_markov.ipynb#exercise-markov.zero_count` and `...#widget-markov_explorer`. A widget
that a page shows twice is linked where it comes first.
"""

import json
import re

from docutils import nodes
from sphinx.application import Sphinx

SNAPSHOT = re.compile(
    r'<div class="lmcourse-widget" data-widget="(\w+)">'
    r'<script type="application/json">(.*?)</script>',
    re.DOTALL,
)


def anchor_of(widget: str, state: str) -> tuple[str, str]:
    """The anchor of a snapshot, and the text of a link that has none of its own.

    >>> anchor_of("markov_explorer", "{}")
    ('widget-markov_explorer', 'markov_explorer')
    """
    exercise = json.loads(state).get("exercise")
    if exercise is None:
        return f"widget-{widget}", widget
    return f"exercise-{exercise['name']}", exercise["title"]


def name_snapshots(app: Sphinx, doctree: nodes.document) -> None:
    """Put an `id` on every snapshot of a page, and make it a target of ordinary links."""
    targets = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for raw in doctree.findall(nodes.raw):
        found = SNAPSHOT.match(raw.astext())
        if found is None:
            continue
        anchor, text = anchor_of(*found.groups())
        if anchor not in targets:
            targets[anchor] = (0, anchor, text)
            html = raw.astext().replace("<div ", f'<div id="{anchor}" ', 1)
            raw.children = [nodes.Text(html)]


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", name_snapshots)
