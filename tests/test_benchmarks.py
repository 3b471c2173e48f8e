"""What was measured: the stored figures are complete, keep what was promised, and fill the tables.

Nothing is timed here.
"""

import pytest

from benchmarks import results
from benchmarks.results import Row, came_out, overview, shown, table
from benchmarks.tables import README
from lmcourse import experiments

PROMISED = {
    "ngrams": ["fit", "score"],
    "large_ngrams": [
        "order 3: most memory, all told",
        "order 3: score",
        "order 5: most memory, all told",
        "order 5: score",
    ],
    "recurrent": [f"{kind}: training step" for kind in ("RNN", "GRU", "LSTM")],
    "transformer": [
        "multi-head attention: training step",
        "encoder block, post-norm: training step",
        "encoder block, pre-norm: training step",
    ],
    "bert": ["training step", "most memory"],
}
NOT_PROMISED = {
    "ngrams": ["memory of the fitted model", "most memory while fitting"],
    "kenlm": ["score"],
    "large_ngrams": [
        f"order {order}: {what}"
        for order in (3, 5)
        for what in ("of it held before fitting", "fit")
    ],
    "recurrent": [f"{kind}: most memory" for kind in ("RNN", "GRU", "LSTM")],
    "transformer": [
        "multi-head attention: most memory",
        "encoder block, post-norm: most memory",
        "encoder block, pre-norm: most memory",
    ],
    "language_models": [
        "Transformer: training step",
        "Transformer: most memory",
        "Transformer: 100 tokens written",
        "LSTM: training step",
        "LSTM: most memory",
    ],
}


def between_markers(name: str) -> str:
    """What stands in README.md between the comments of this name."""
    text = README.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
    assert text.count(begin) == text.count(end) == 1
    return text.partition(begin)[2].partition(end)[0]


def named(promised: bool) -> dict[str, set[str]]:
    """The names of the stored rows by section, those with a promise or those without."""
    found: dict[str, set[str]] = {}
    for row in experiments.benchmarks()["rows"]:
        if (row["promised"] is not None) == promised:
            found.setdefault(row["section"], set()).add(row["name"])
    return found


@pytest.mark.parametrize("promised", [True, False])
def test_every_figure_is_there(promised):
    expected = PROMISED if promised else NOT_PROMISED
    assert named(promised) == {name: set(rows) for name, rows in expected.items()}
    assert set(experiments.benchmarks()["about"]) == set(results.SECTIONS)


def test_what_was_promised_came_out():
    """A million tokens a second was promised, or else to say what stops it."""
    page = (README.parents[1] / "book" / "benchmarks.md").read_text(encoding="utf-8")
    for row in experiments.benchmarks()["rows"]:
        assert row["ours"] > 0
        if row["promised"] is not None and came_out(row) > row["promised"]:
            assert (row["section"], row["unit"]) == ("large_ngrams", "µs a token"), row
            assert "**What stops it.**" in page


def test_a_ratio_is_that_of_its_figures():
    for row in experiments.benchmarks()["rows"]:
        assert (row["theirs"] is None) == (row["ratio"] is None)
        if row["theirs"] is not None:
            assert row["ratio"] == pytest.approx(row["ours"] / row["theirs"], rel=1e-3)


@pytest.mark.parametrize("section", results.SECTIONS)
def test_the_tables_say_what_was_stored(section):
    kept = experiments.benchmarks()
    assert between_markers(section) == table(kept, section)
    assert between_markers("overview") == overview(kept)


def test_storing_replaces_the_section_and_fills_its_table(tmp_path, monkeypatch):
    written = {}
    stored = tmp_path / "benchmarks.json"
    stored.write_text('{"rows": [], "about": {}}', encoding="utf-8")
    monkeypatch.setattr(experiments, "BENCHMARKS", stored)
    monkeypatch.setattr(results, "rewrite_table", written.__setitem__)
    results.store("bert", "transformers", [Row("old", "ms", 1.0, 2.0)], "Old sizes.")
    rows = [Row("step", "ms", 3.0, 4.0, 0.7), Row("memory", "MiB", 5.0, None, 8.0)]
    results.store("bert", "transformers", rows, "Sizes.")
    kept = experiments.benchmarks()
    assert [row["name"] for row in kept["rows"]] == ["step", "memory"]
    assert kept["rows"][0]["ratio"] == 0.75
    lines = written["bert"].splitlines()
    assert lines[2] == "| step, ms | 3.00 | 4.00 | 0.75 | 0.70 |"
    assert lines[3] == "| memory, MiB | 5.00 | not installed |  | 8.00 |"
    assert "Sizes." in lines and "Old" not in written["bert"]
    assert written["overview"].splitlines()[2:] == [
        "| BERT: step | transformers | 0.70 | 0.75 | no |",
        "| BERT: memory, MiB | transformers | 8.00 | 5.00 | yes |",
    ]


def test_figures_are_shown_with_three_digits():
    values = [0.00007161, 0.0234, 0.996, 9.999, 12.34, 99.99, 100.0, 1234567.0]
    assert [shown(value) for value in values] == [
        "0.000072",
        "0.023",
        "1.00",
        "10.00",
        "12.3",
        "100.0",
        "100",
        "1,234,567",
    ]
