"""Statements of the text that are executed.

A sentence that an experiment backs is a `claim` in a code cell. It prints the sentence with a
tick, or stops with the measured values. `make claims` runs all of them and prints one table.
A claim about a trained model holds for every seed, and with a margin: two sample standard
deviations, counted from the worst seed.
"""

import argparse
import json
import math
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

RECORD_FILE = (
    "LMCOURSE_CLAIMS"  # environment variable: record to this file instead of raising
)
MARGIN = 2.0  # standard deviations between the worst seed and the threshold


class ClaimError(AssertionError):
    """A sentence of the text does not hold."""


@dataclass(frozen=True)
class Verdict:
    """Whether measured values stand on the stated side of a threshold, and by how much."""

    holds: bool
    measured: str

    def __and__(self, other: "Verdict") -> "Verdict":
        return Verdict(self.holds and other.holds, f"{self.measured}; {other.measured}")


def above(values: float | int | Iterable, threshold: float | int) -> Verdict:
    """Say whether all values are above the threshold, with a margin.

    The smallest value, less two sample standard deviations of the values, must be above it. A
    single value has no spread, so it is compared as it is.

    Args:
        values: one number, or one number a seed.
        threshold: in the same unit.

    Raises:
        ValueError: if there is no value, or the threshold is not a finite number.

    >>> above([0.91, 0.93, 0.92], 0.80)
    Verdict(holds=True, measured='worst of 3 seeds 0.91, spread 0.01, wanted > 0.8')
    >>> above([0.91, 0.93, 0.92], 0.90).holds
    False
    """
    return _verdict(values, threshold, sign=1)


def below(values: float | int | Iterable, threshold: float | int) -> Verdict:
    """Say whether all values are below the threshold, with a margin. The mirror of `above`.

    Raises:
        ValueError: if there is no value, or the threshold is not a finite number.

    >>> below(1.2, 1.5)
    Verdict(holds=True, measured='1.2, wanted < 1.5')
    """
    return _verdict(values, threshold, sign=-1)


def _verdict(values, threshold, sign: int) -> Verdict:
    try:
        numbers = [float(value) for value in values]
    except TypeError:
        numbers = [float(values)]
    threshold = float(threshold)
    if not numbers:
        raise ValueError("values=[]: a claim needs at least one measured value")
    if not math.isfinite(threshold):
        raise ValueError(f"threshold={threshold} is not a finite number")
    wanted = f"wanted {'>' if sign > 0 else '<'} {threshold:.6g}"
    if any(math.isnan(number) for number in numbers):
        return Verdict(
            False, f"{sum(map(math.isnan, numbers))} of {len(numbers)} is NaN, {wanted}"
        )
    worst = min(numbers, key=lambda number: sign * number)
    if len(numbers) == 1:
        return Verdict(sign * worst > sign * threshold, f"{worst:.6g}, {wanted}")
    if not all(map(math.isfinite, numbers)):
        return Verdict(
            False,
            f"worst of {len(numbers)} seeds {worst:.6g}, not all finite, {wanted}",
        )
    spread = statistics.stdev(numbers)
    holds = sign * worst - MARGIN * spread > sign * threshold
    return Verdict(
        holds,
        f"worst of {len(numbers)} seeds {worst:.6g}, spread {spread:.2g}, {wanted}",
    )


def claim(sentence: str, condition, **measured) -> None:
    """Print a sentence of the text with a tick, or stop because it does not hold.

    Args:
        sentence: what the text says, as a whole sentence without numbers that a run has made.
            What stands in backquotes is printed in quotation marks.
        condition: a `Verdict` of `above` or `below`, or anything with a plain truth value.
        measured: the values behind a plain condition; shown when it fails, and by `make claims`.

    Raises:
        ClaimError: with the measured values, if the condition does not hold. While `make claims`
            runs, the result is recorded instead, and the notebook goes on.
        ValueError: if the sentence is empty or the condition is no truth value.

    >>> claim("A fair coin has an entropy of one bit.", above(1.0, 0.99) & below(1.0, 1.01))
    ✓ A fair coin has an entropy of one bit.
    >>> claim("Two and two make five.", 2 + 2 == 5, total=2 + 2)
    Traceback (most recent call last):
        ...
    lmcourse.claims.ClaimError: Two and two make five. Measured: total=4
    """
    if not sentence.strip():
        raise ValueError(f"sentence={sentence!r}: a claim is a whole sentence")
    sentence = re.sub(r"`([^`]+)`", r"“\1”", sentence)
    values = ", ".join(f"{name}={_short(value)}" for name, value in measured.items())
    if isinstance(condition, Verdict):
        values = ", ".join(part for part in (condition.measured, values) if part)
        condition = condition.holds
    try:
        holds = bool(condition)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"the condition of {sentence!r} is a {type(condition).__name__} without one truth "
            "value; use .all() or .any()"
        ) from error
    record_file = os.environ.get(RECORD_FILE)
    if record_file:
        record = {"sentence": sentence, "holds": holds, "measured": values}
        with open(record_file, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    elif not holds:
        raise ClaimError(f"{sentence} Measured: {values or 'nothing was given'}")
    # A file or a pipe may know fewer characters than the sentence has, on Windows above all.
    encoding = sys.stdout.encoding or "utf-8"
    line = f"{'✓' if holds else '✗'} {sentence}"
    print(line.encode(encoding, "namereplace").decode(encoding))


def _short(value) -> str:
    """A value in one short line, floats with six digits."""
    if hasattr(value, "tolist"):  # tensors and arrays
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclass
class ChapterClaims:
    """What one notebook claimed, and the error that stopped it, if one did."""

    chapter: str
    records: list[dict] = field(default_factory=list)
    error: str = ""

    @property
    def holds(self) -> bool:
        """Whether the notebook ran to its end and every claim holds."""
        return not self.error and all(record["holds"] for record in self.records)


def run_notebook(path: Path, timeout: int = 600) -> ChapterClaims:
    """Run a notebook's code in a fresh kernel and return its claims. The file is not changed."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    chapter = ChapterClaims(path.stem)
    with tempfile.TemporaryDirectory() as folder:
        record_file = Path(folder) / "claims.jsonl"
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            store_widget_state=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        try:
            client.execute(env={**os.environ, RECORD_FILE: str(record_file)})
        except (
            Exception
        ) as error:  # a broken chapter is a row of the table, not the end of it
            text = re.sub(
                r"\x1b\[[0-9;]*m", "", str(error)
            )  # without a terminal's colours
            lines = [line for line in text.splitlines() if line.strip()]
            chapter.error = f"stopped: {lines[-1] if lines else type(error).__name__}"
        if record_file.exists():
            lines = record_file.read_text(encoding="utf-8").splitlines()
            chapter.records = [json.loads(line) for line in lines]
    return chapter


def table(chapters: list[ChapterClaims]) -> str:
    """Return all claims as plain text, a line each.

    >>> record = {"sentence": "Two is even.", "holds": True, "measured": "rest=0"}
    >>> print(table([ChapterClaims("01_numbers", [record])]))
    01_numbers
      ✓ Two is even.
          rest=0
    1 of 1 claims hold.
    """
    lines = []
    for chapter in chapters:
        lines.append(chapter.chapter)
        for record in chapter.records:
            lines.append(f"  {'✓' if record['holds'] else '✗'} {record['sentence']}")
            if record["measured"]:
                lines.append(f"      {record['measured']}")
        if chapter.error:
            lines.append(f"  ✗ {chapter.error}")
    holding = sum(record["holds"] for chapter in chapters for record in chapter.records)
    total = sum(len(chapter.records) for chapter in chapters)
    stopped = sum(bool(chapter.error) for chapter in chapters)
    ending = f" {stopped} chapters stopped with an error." if stopped else ""
    return "\n".join([*lines, f"{holding} of {total} claims hold.{ending}"])


def main(arguments: list[str] | None = None) -> int:
    """Re-run stale experiments, run the notebooks, print every claim. 1 if one does not hold."""
    from tqdm import tqdm

    from lmcourse import experiments

    parser = argparse.ArgumentParser(
        prog="python -m lmcourse.claims", description=main.__doc__
    )
    parser.add_argument("--all", action="store_true", help="re-run every experiment")
    parser.add_argument("notebooks", type=Path, nargs="?", default=Path("notebooks"))
    options = parser.parse_args(arguments)
    paths = sorted(options.notebooks.glob("*.ipynb"))
    if not paths:
        parser.error(
            f"no notebook in {options.notebooks.resolve()}; run this from the repository"
        )
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    status = experiments.main(["--all"] if options.all else [])
    chapters = [
        run_notebook(path) for path in tqdm(paths, desc="notebooks", unit="chapter")
    ]
    print(table(chapters))
    return int(status != 0 or not all(chapter.holds for chapter in chapters))


if __name__ == "__main__":
    sys.exit(main())
