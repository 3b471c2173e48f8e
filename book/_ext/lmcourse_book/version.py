"""Shows at the foot of every page which version of the course it is."""

from sphinx.application import Sphinx
from sphinx.config import Config

from lmcourse import __version__


def show_version(app: Sphinx, config: Config) -> None:
    config.version = config.release = __version__
    config.html_theme_options["extra_footer"] = f"Version {__version__}"


def setup(app: Sphinx) -> None:
    app.connect("config-inited", show_version)
