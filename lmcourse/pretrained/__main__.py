"""Make trained weights anew: `python -m lmcourse.pretrained [NAME ...]`, all of them by default."""

import argparse
import sys

from lmcourse.pretrained.recipes import RECIPES, cook
from lmcourse.pretrained.tables import TABLES, store
from lmcourse.training import set_threads


def main(arguments: list[str] | None = None) -> int:
    """Train the named models, compute the named tables, and store them."""
    parser = argparse.ArgumentParser(prog="python -m lmcourse.pretrained")
    known = [*RECIPES, *TABLES]
    parser.add_argument("names", nargs="*", help=f"of {', '.join(known)}")
    names = parser.parse_args(arguments).names or known
    for name in names:
        if name not in known:
            parser.error(f"there is no {name!r}; there are: {', '.join(known)}")
    set_threads(1)
    for name in names:
        if name in TABLES:
            try:
                store(name)
            except ValueError as error:
                parser.error(f"{name}: {error}")
            print(f"{name}: stored")
        else:
            facts = cook(name)
            print(
                f"{name}: {facts['steps']} steps, {facts['dev_bits']} bits per token on dev"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
