"""`python -m lmcourse.experiments`: run what is out of date."""

import sys

from lmcourse.experiments import main

if __name__ == "__main__":
    sys.exit(main())
