"""`python -m lmcourse.training MODEL --text FILE`: train a model of the course on any text."""

import sys

from lmcourse.training.command import main

if __name__ == "__main__":
    # As in the files that are written: a text may have characters that the system's own lacks.
    sys.stdout.reconfigure(encoding="utf-8")
    sys.exit(main())
