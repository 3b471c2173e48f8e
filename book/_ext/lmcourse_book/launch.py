"""Says where the project is, and adds the reader's own JupyterLab to the buttons of a chapter.

The theme makes those for Colab and Binder, from `repository` and `launch_buttons` of `_config.yml`.
It makes none for a JupyterLab on the reader's own computer: ours leads to how to start it, on
a page that says where the project is (`{{ the_project }}`).
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

PAGE, PLACE = "book/how_to_read", "run-it"


def add_button(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Put the button behind those of the theme, on the pages that have these."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            group["buttons"].append(
                {
                    "type": "link",
                    "text": "Your own JupyterLab",
                    "tooltip": "How to start it on your own computer",
                    "icon": "fas fa-laptop",
                    "url": f"{context['pathto'](PAGE)}#{PLACE}",
                }
            )


def name_the_project(app: Sphinx, config: Config) -> None:
    """Give pages `{{ the_project }}`: a link to the address of `_config.yml`."""
    address = config.html_theme_options["repository_url"]
    config.myst_substitutions["the_project"] = f"[the project]({address})"


def setup(app: Sphinx) -> None:
    app.connect("config-inited", name_the_project)
    # after the theme, which adds its group at priority 501
    app.connect("html-page-context", add_button, priority=502)
