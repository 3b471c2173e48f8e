"""A reader's progress: which exercises are solved, in a small file beside the notebooks.

The file stays on the reader's machine and git ignores it. Nothing that a notebook shows depends
on it.
"""

import json
import os
from pathlib import Path

from lmcourse.exercises.outcome import CORRECT, Outcome

FOLDER = Path(".lmcourse")  # in the folder the notebook runs in
FILE = "progress.json"


def record(name: str, outcome: Outcome) -> None:
    """Note a solved exercise. Does nothing outside Jupyter, or where the folder is read-only."""
    if outcome.outcome == CORRECT and in_jupyter():
        write({**read(), name: True})


def read() -> dict[str, bool]:
    """Return name -> solved; empty where there is no file, or none that can be read."""
    try:
        content = json.loads((FOLDER / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write(solved: dict[str, bool]) -> None:
    """Write the file whole or not at all."""
    temporary = FOLDER / f"{FILE}.{os.getpid()}.tmp"
    try:
        FOLDER.mkdir(exist_ok=True)
        text = json.dumps(solved, indent=1, sort_keys=True) + "\n"
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, FOLDER / FILE)
    except OSError:
        pass


def in_jupyter() -> bool:
    """Whether this code runs in a notebook's kernel."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None
