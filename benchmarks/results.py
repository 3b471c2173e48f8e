"""What was measured: kept with the package, and shown in the tables of README.md.

Each benchmark is a section of its own, with the machine and the versions that it was measured with,
so that one alone can be measured anew. All that is promised is promised "at most": of the ratio to
the other library, or, where there is none, of our own figure.

`python -m benchmarks.results` writes the tables anew from what is kept.
"""

import json
import platform
from importlib import metadata
from typing import NamedTuple

from benchmarks.tables import rewrite_table
from lmcourse import experiments

SECTIONS = {
    "ngrams": "Kneser-Ney 5-grams",
    "kenlm": "5-grams through an ARPA file",
    "large_ngrams": "n-grams of ten million words",
    "recurrent": "Recurrent layers",
    "transformer": "Attention and blocks",
    "bert": "BERT",
    "language_models": "Language models",
}
"""The sections with their titles, in the order of README.md."""


class Row(NamedTuple):
    """One figure.

    Attributes:
        name: what was measured.
        unit: in what.
        ours: our figure.
        theirs: the other library's; None where there is none.
        promised: the most that was promised; None where nothing was.
    """

    name: str
    unit: str
    ours: float
    theirs: float | None = None
    promised: float | None = None


def four_digits(value: float) -> float:
    """A figure as it is stored.

    >>> four_digits(0.00123456)
    0.001235
    """
    return float(f"{value:.4g}")


def store(
    section: str,
    library: str | None,
    rows: list[Row],
    sizes: str,
    packages: tuple[str, ...] = (),
) -> None:
    """Put the rows of a section into the stored figures, and its table into README.md.

    Args:
        section: one of `SECTIONS`.
        library: the other library, as the table names it.
        rows: its figures.
        sizes: what was measured, in sentences.
        packages: whose versions count, torch's and numpy's aside.
    """
    kept = experiments.benchmarks()
    about = experiments.machine()
    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in ("torch", "numpy", *packages)}
    kept["about"][section] = {
        "library": library,
        "machine": {"processor": about["processor"], "cores": about["cores"]},
        "versions": versions,
        "sizes": sizes,
    }
    kept["rows"] = [row for row in kept["rows"] if row["section"] != section]
    for row in rows:
        ours = four_digits(row.ours)
        theirs = None if row.theirs is None else four_digits(row.theirs)
        kept["rows"].append(
            {
                "section": section,
                "name": row.name,
                "unit": row.unit,
                "ours": ours,
                "theirs": theirs,
                "ratio": None if theirs is None else four_digits(ours / theirs),
                "promised": row.promised,
                "library": library,
            }
        )
    order = list(SECTIONS)
    kept["rows"].sort(key=lambda row: order.index(row["section"]))
    kept["about"] = {
        name: kept["about"][name] for name in order if name in kept["about"]
    }
    text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
    experiments.BENCHMARKS.write_text(text, encoding="utf-8", newline="\n")
    rewrite_table(section, table(kept, section))
    rewrite_table("overview", overview(kept))


def came_out(row: dict) -> float:
    """What a promise is about: the ratio, or our own figure where there is none."""
    return row["ours"] if row["ratio"] is None else row["ratio"]


def shown(value: float | None) -> str:
    """A figure as it stands in a table: three digits, at least two places of a ratio.

    >>> shown(2126.4), shown(58.94), shown(0.5), shown(7.161e-05), shown(None)
    ('2,126', '58.9', '0.50', '0.000072', '')
    """
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    if value >= 0.1:
        return f"{value:.2f}"
    return f"{float(f'{value:.2g}'):.15f}".rstrip("0")


def table(kept: dict, section: str) -> str:
    """The table of a section, in Markdown, and under it what was measured and where."""
    about = kept["about"][section]
    rows = [row for row in kept["rows"] if row["section"] == section]
    library = about["library"]
    heads = ["what", "lmcourse"]
    if library is not None:
        heads += [library, f"lmcourse / {library}"]
    promises = any(row["promised"] is not None for row in rows)
    heads += ["promised at most"] if promises else []
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for row in rows:
        cells = [f"{row['name']}, {row['unit']}", shown(row["ours"])]
        if library is not None:
            cells += [shown(row["theirs"]) or "not installed", shown(row["ratio"])]
        cells += [shown(row["promised"])] if promises else []
        lines.append(f"| {' | '.join(cells)} |")
    at, versions = about["machine"], about["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines += [
        "",
        about["sizes"],
        "",
        f"Machine: {at['processor']}, {at['cores']} cores, one thread used. "
        f"{named[0].upper()}{named[1:]}.",
    ]
    return "\n".join(lines)


def overview(kept: dict) -> str:
    """What was promised and what came out, in Markdown."""
    lines = [
        "| what | beside | promised at most | came out | kept |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for row in kept["rows"]:
        if row["promised"] is None:
            continue
        unit = f", {row['unit']}" if row["ratio"] is None else ""
        kept_it = "yes" if came_out(row) <= row["promised"] else "no"
        lines.append(
            f"| {SECTIONS[row['section']]}: {row['name']}{unit} | {row['library'] or ''} | "
            f"{shown(row['promised'])} | {shown(came_out(row))} | {kept_it} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    everything = experiments.benchmarks()
    for name in everything["about"]:
        rewrite_table(name, table(everything, name))
    rewrite_table("overview", overview(everything))
