"""Settles, before a page is painted for the first time, what would move it afterwards.

The theme decides between light and dark in a deferred script; until then code has no frame, both
logos show, and a dark page is white. And a page that is opened at a place in its middle would show
that place while the widgets and formulas above it still grow: it is shown when they stand.
"""

from sphinx.application import Sphinx

BEFORE_PAINT = """
(() => {
  const root = document.documentElement;
  if (root.dataset.theme === "auto")
    root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  if (!location.hash) return;
  root.classList.add("lmcourse-arriving");
  setTimeout(() => root.classList.remove("lmcourse-arriving"), 3000);
})();
"""


def setup(app: Sphinx) -> None:
    app.add_js_file(None, body=BEFORE_PAINT, priority=100)
    app.add_js_file("arriving.js", loading_method="defer")
    app.add_css_file("first_paint.css")
