"""`python -m lmcourse.training MODEL --text FILE`: train a model of the course on any text."""

import sys

from lmcourse.training.command import main

if __name__ == "__main__":
    sys.exit(main())
