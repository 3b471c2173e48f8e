"""Puts what the pages load beside them: the widgets' scripts, the trained weights, MathJax.

So a page needs no other host, over http and from disk.
"""

import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

from lmcourse.widgets.base import site_scripts, weights_scripts


def mathjax_folder() -> Path:
    """The folder of MathJax in the package sphinx-mathjax-offline.

    Raises:
        OSError: The package is not installed.
    """
    for folder in map(Path, sys.path):
        if (found := folder / "sphinx-mathjax-offline/static/mathjax").is_dir():
            return found
    raise OSError("sphinx-mathjax-offline is not installed: run make book")


def copy_scripts(app: Sphinx) -> None:
    """Put the widgets' files, the trained weights and MathJax into the site's `_static` folder."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    widgets = static / "lmcourse"
    shutil.rmtree(widgets, ignore_errors=True)
    widgets.mkdir(parents=True)
    for name, text in (site_scripts() | weights_scripts()).items():
        (widgets / name).write_text(text, encoding="utf-8", newline="\n")
    source, target = mathjax_folder(), static / "mathjax"
    fonts = "output/chtml/fonts"
    target.mkdir(exist_ok=True)
    shutil.copy2(source / "tex-chtml-full.js", target)
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)


def setup(app: Sphinx) -> None:
    app.config.mathjax_path = "mathjax/tex-chtml-full.js"
    app.config.mathjax3_config = {"options": {"enableMenu": False}}
    app.add_js_file("lmcourse/host.js", loading_method="defer")
    app.connect("builder-inited", copy_scripts)
