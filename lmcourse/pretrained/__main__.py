"""Make trained weights anew: `python -m lmcourse.pretrained [NAME ...]`, all of them by default."""

import argparse
import sys

from lmcourse.pretrained.recipes import RECIPES, cook, recipe
from lmcourse.training import set_threads


def main(arguments: list[str] | None = None) -> int:
    """Train the named models and store their weights."""
    parser = argparse.ArgumentParser(prog="python -m lmcourse.pretrained")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)}")
    names = parser.parse_args(arguments).names or list(RECIPES)
    try:
        for name in names:
            recipe(name)
    except ValueError as error:
        parser.error(str(error))
    set_threads(1)
    for name in names:
        facts = cook(name)
        print(
            f"{name}: {facts['steps']} steps, {facts['dev_bits']} bits per token on dev"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
