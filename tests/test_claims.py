"""Claims: what holds, with which margin, what is said when not, and what `make claims` shows."""

import json
import math

import nbformat
import pytest
import torch

from lmcourse import claims, experiments
from lmcourse.claims import ClaimError, above, below, claim


@pytest.mark.parametrize(
    ("values", "threshold", "holds"),
    [
        ([1.0, 1.0, 1.0], 0.9, True),
        ([1.0, 1.0, 1.0], 1.0, False),  # above, not at
        ([0.95, 1.00, 1.05], 0.84, True),  # worst .95, two deviations .10
        ([0.95, 1.00, 1.05], 0.86, False),
        (1.0, 0.99, True),
        (1, 1, False),
        (torch.tensor([2.0, 2.0]), 1.5, True),
        ([1.0, math.nan], 0.0, False),
        (math.nan, 0.0, False),
        (math.inf, 0.0, True),
        ([math.inf, 1.0], 0.0, False),
    ],
)
def test_the_margin_counts_from_the_worst_seed(values, threshold, holds):
    assert above(values, threshold).holds is holds
    mirrored = torch.as_tensor(values, dtype=torch.float64).neg().tolist()
    assert below(mirrored, -threshold).holds is holds


def test_nothing_measured_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        above([], 1.0)
    with pytest.raises(ValueError, match="threshold=nan"):
        below(1.0, math.nan)


def test_a_claim_prints_its_sentence_or_raises_with_the_values(capsys):
    claim("It holds.", True)
    claim("Both hold.", above(2.0, 1.0) & below(2.0, 3.0))
    claim("`a` and `b c` hold.", True)
    said = capsys.readouterr().out
    assert said == "✓ It holds.\n✓ Both hold.\n✓ “a” and “b c” hold.\n"
    with pytest.raises(
        ClaimError, match=r"It fails\. Measured: a=0\.333333, b=\[1, 2\]"
    ):
        claim("It fails.", False, a=1 / 3, b=torch.tensor([1, 2]))
    with pytest.raises(
        ClaimError, match="worst of 2 seeds 1, spread 0.71, wanted > 1.5"
    ):
        claim("It fails.", above([1.0, 2.0], 1.5))
    with pytest.raises(ClaimError, match="2, wanted > 1; 2, wanted < 1"):
        claim("The second fails.", above(2.0, 1.0) & below(2.0, 1.0))
    with pytest.raises(ClaimError, match="2, wanted > 3; 2, wanted < 3"):
        claim("The first fails.", above(2.0, 3.0) & below(2.0, 3.0))


def test_a_condition_has_one_truth_value():
    with pytest.raises(ValueError, match="use .all"):
        claim("Many.", torch.tensor([True, False]))
    with pytest.raises(ValueError, match="whole sentence"):
        claim(" ", True)


def test_claims_are_recorded_while_make_claims_runs(tmp_path, monkeypatch, capsys):
    file = tmp_path / "claims.jsonl"
    monkeypatch.setenv(claims.RECORD_FILE, str(file))
    claim("It fails.", above(1.0, 2.0), extra="text")
    claim("It holds.", True)
    records = [
        json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert [record["holds"] for record in records] == [False, True]
    assert records[0]["measured"] == "1, wanted > 2, extra=text"
    assert capsys.readouterr().out == "✗ It fails.\n✓ It holds.\n"


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A folder of notebooks, and no experiments to repeat."""
    monkeypatch.setattr(experiments, "all_experiments", lambda: [])

    def write(name, *cells):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(c) for c in cells]
        )
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        return tmp_path

    return write


START = "from lmcourse.claims import claim, above"


def test_every_claim_is_tabulated_and_the_rest_goes_on(notebooks, capfd):
    notebooks("01_first", START, "claim('One.', False, x=1)", "claim('Two.', True)")
    folder = notebooks("02_second", START, "claim('Three.', above([2.0, 2.0], 1.0))")
    before = (folder / "01_first.ipynb").read_bytes()
    assert claims.main([str(folder)]) == 1
    assert (folder / "01_first.ipynb").read_bytes() == before
    out = capfd.readouterr().out
    assert "01_first\n  ✗ One.\n      x=1\n  ✓ Two.\n02_second\n  ✓ Three.\n" in out
    assert "worst of 2 seeds 2, spread 0, wanted > 1" in out
    assert out.endswith("2 of 3 claims hold.\n")


def test_a_chapter_that_stops_is_a_failure(notebooks, capfd):
    folder = notebooks(
        "01_first", START, "claim('One.', True)", "1 / 0", "claim('Two.', True)"
    )
    assert claims.main([str(folder)]) == 1
    out = capfd.readouterr().out
    assert "✗ stopped: ZeroDivisionError: division by zero" in out
    assert "1 of 1 claims hold. 1 chapters stopped with an error." in out


def test_all_holding_is_success(notebooks, capfd):
    folder = notebooks("01_first", START, "claim('One.', True)")
    assert claims.main([str(folder)]) == 0
    assert "1 of 1 claims hold." in capfd.readouterr().out


def test_a_folder_without_notebooks_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit):
        claims.main([str(tmp_path)])
    assert "no notebook in" in capsys.readouterr().err
