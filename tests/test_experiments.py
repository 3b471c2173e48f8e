"""The experiments engine: the fingerprint of the code, the runner, the stored results."""

import json
import textwrap

import pytest

from lmcourse import experiments
from lmcourse.experiments import code_hash

TOY = {
    "__init__.py": "",
    "tools.py": '''
        """Module docstring."""
        import math

        SCALE = 2.0
        TABLE = {}
        TABLE["a"] = 1

        def deep(x):
            """Two calls down."""
            return x * SCALE  # a comment

        def helper(x):
            return deep(x) + TABLE["a"]

        def unrelated(x):
            return x

        class Base:
            def start(self):
                return 0

        class Model(Base):
            """A class."""

            def fit(self, x):
                return helper(x)

            def other(self):
                return math.pi
    ''',
    "data/__init__.py": "from toy.data.words import WORDS\n",
    "data/words.py": 'WORDS = ("a", "b")\n',
    "experiments/__init__.py": "",
    "experiments/chapter.py": """
        from toy import data, tools
        from toy.tools import Model

        LIMIT = 3

        @experiment(seeds=range(10))
        def first(seed: int) -> dict:
            from ..tools import helper as assistant
            return {"value": Model().fit(seed), "n": len(data.WORDS), "limit": LIMIT}

        @experiment(seeds=range(10))
        def second(seed: int) -> dict:
            return {"value": tools.unrelated(seed)}
    """,
}


@pytest.fixture
def toy(tmp_path):
    """A package to change; returns the fingerprints of its two experiments after a change."""
    folder = tmp_path / "toy"

    def fingerprints(file=None, old="", new=""):
        for name, text in TOY.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = textwrap.dedent(text)
            if name == file:
                assert old in text
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        hasher = code_hash.CodeHash(folder, "toy")
        return tuple(
            hasher.of("toy.experiments.chapter", name) for name in ("first", "second")
        )

    return fingerprints


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tools.py", "SCALE = 2.0", "SCALE = 2.5"),
        ("tools.py", "x * SCALE", "SCALE * x"),
        ("tools.py", 'TABLE["a"] = 1', 'TABLE["a"] = 2'),
        ("tools.py", "return math.pi", "return math.e"),
        ("tools.py", "return 0", "return 1"),
        ("tools.py", "class Model(Base)", "class Model"),
        ("data/words.py", '"b"', '"c"'),
        ("experiments/chapter.py", "LIMIT = 3", "LIMIT = 4"),
        ("experiments/chapter.py", '"n": len(data.WORDS)', '"n": len(data.WORDS) + 1'),
    ],
)
def test_a_change_of_used_code_changes_the_fingerprint(toy, file, old, new):
    before, after = toy(), toy(file, old, new)
    assert before[0] != after[0]
    assert before[1] == after[1]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tools.py", "Module docstring", "Another docstring"),
        ("tools.py", "Two calls down", "Deeper"),
        ("tools.py", "A class.", "Still a class."),
        ("tools.py", "# a comment", "# another"),
        ("tools.py", "x * SCALE", "(x\n        * SCALE)"),
        ("tools.py", "def unrelated", "def added():\n    pass\n\ndef unrelated"),
        ("experiments/chapter.py", "range(10)", "range(12)"),
    ],
)
def test_what_does_not_matter_leaves_the_fingerprint(toy, file, old, new):
    assert toy() == toy(file, old, new)


def test_a_function_reached_through_its_module_counts(toy):
    before, after = (
        toy(),
        toy(
            "tools.py",
            "def unrelated(x):\n    return x",
            "def unrelated(x):\n    return -x",
        ),
    )
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_an_import_inside_a_function_is_followed(toy):
    changed = ("experiments/chapter.py", '"limit": LIMIT', '"limit": assistant')
    folder_parts = toy(*changed)
    assert folder_parts[0] != toy()[0]


def test_unknown_names_are_refused(toy, tmp_path):
    toy()
    hasher = code_hash.CodeHash(tmp_path / "toy", "toy")
    with pytest.raises(ValueError, match="defines no 'third'"):
        hasher.of("toy.experiments.chapter", "third")
    with pytest.raises(ValueError, match="no module of the package"):
        hasher.of("numpy", "array")


# ------------------------------------------------------------------------------------- the runner

MODULE = """
from pathlib import Path

from lmcourse.experiments import experiment

@experiment(seeds=range(3))
def count(seed: int) -> dict:
    '''Count calls.'''
    with open(Path(__file__).with_name("calls.txt"), "a") as file:
        file.write(f"{seed} ")
    if seed == 2 and Path(__file__).with_name("broken").exists():
        raise RuntimeError("seed 2 breaks")
    import torch
    return {"value": seed / 3, "threads": torch.get_num_threads(), "list": [seed, seed + 1]}
"""


@pytest.fixture
def counter(tmp_path, monkeypatch):
    """An experiment in a module of its own, with a folder of its own for the results."""
    (tmp_path / "counting_toy.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(experiments, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(experiments, "PARTIAL", tmp_path / "results" / ".lmcourse")
    monkeypatch.setattr(
        experiments.Experiment, "code_hash", lambda self: "0123456789abcdef"
    )
    import importlib

    item = importlib.import_module("counting_toy").count
    monkeypatch.setattr(experiments, "all_experiments", lambda: [item])
    monkeypatch.setattr(experiments, "get", lambda name: item)
    yield item, tmp_path
    import sys

    del sys.modules["counting_toy"]


def test_the_runner_stores_whole_files_and_resumes(counter, capsys):
    item, folder = counter
    (folder / "broken").touch()
    assert experiments.main(["--workers", "1"]) == 1
    assert "seed 2: RuntimeError: seed 2 breaks" in capsys.readouterr().err
    assert not item.path.exists()  # whole or not at all
    assert "no stored results" in item.complaint()
    with pytest.raises(
        ValueError, match="python -m lmcourse.experiments --chapter counting_toy"
    ):
        experiments.results("counting_toy.count")

    (folder / "broken").unlink()
    assert experiments.main(["--workers", "1"]) == 0
    assert (folder / "calls.txt").read_text().split() == [
        "0",
        "1",
        "2",
        "2",
    ]  # 0 and 1 were kept
    run = experiments.results("counting_toy.count")
    assert run.values("value") == [0.0, 0.333333, 0.666667]
    assert run.values("threads") == [1, 1, 1]
    assert run.series("list") == [[0, 1, 2], [1, 2, 3]]
    assert run.summary == "Count calls."
    assert sorted(path.name for path in item.path.parent.rglob("*.*")) == [
        ".lmcourse",
        "counting_toy.count.json",
    ]
    assert experiments.main([]) == 0
    assert "up to date" in capsys.readouterr().out
    with pytest.raises(
        ValueError, match="no 'bits'.*keys are \\['value', 'threads', 'list'\\]"
    ):
        run.values("bits")
    with pytest.raises(ValueError, match="no 5 at .*'list'.*2 entries"):
        run.values("list", 5)


def test_more_seeds_keep_the_rows_there_are(counter):
    item, folder = counter
    experiments.run([item], workers=1)
    wider = experiments.Experiment(item.function, (1, 2, 3))
    assert "seeds [0, 1, 2], wanted [1, 2, 3]" in wider.complaint()
    experiments.run([wider], workers=1)
    assert (folder / "calls.txt").read_text().split() == ["0", "1", "2", "3"]
    assert wider.complaint() == ""


def test_changed_code_makes_results_stale(counter, monkeypatch):
    item, _ = counter
    experiments.run([item], workers=1)
    monkeypatch.setattr(experiments.Experiment, "code_hash", lambda self: "f" * 16)
    with pytest.raises(
        ValueError, match="made by other code .stored 0123456789abcdef, now ffff"
    ):
        experiments.results("counting_toy.count")


def test_what_can_be_stored():
    assert experiments.rounded({1: 1 / 3}) == {"1": 0.333333}
    for bad in (float("nan"), float("inf"), object(), {1, 2}):
        with pytest.raises(ValueError, match="cannot be stored"):
            experiments.rounded({"x": [bad]})
    with pytest.raises(ValueError, match="each once"):
        experiments.experiment(seeds=[1, 1])
    with pytest.raises(ValueError, match="at least one"):
        experiments.experiment(seeds=[])


def test_an_unknown_experiment_names_those_there_are():
    with pytest.raises(ValueError, match="no experiment is called 'nothing.here'"):
        experiments.results("nothing.here")


@pytest.mark.parametrize(
    ("given", "chapter"),
    [("02", "markov"), ("2", "markov"), ("02_markov", "markov"), ("markov", "markov")],
)
def test_a_chapter_has_a_name_and_a_number(given, chapter):
    assert experiments._chapter_name(given) == chapter


# -------------------------------------------------------------------------------- what is stored


@pytest.mark.parametrize(
    "item", experiments.all_experiments(), ids=lambda item: item.name
)
def test_stored_results_are_fresh(item):
    """Where this fails, run `make experiments`."""
    assert item.complaint() == ""
    assert item.summary, f"{item.name} needs a docstring of one sentence"


def test_every_stored_file_belongs_to_an_experiment():
    declared = {item.path.name for item in experiments.all_experiments()}
    assert {path.name for path in experiments.FOLDER.glob("*.json")} <= declared


def test_stored_files_do_not_tell_the_machine():
    import platform

    for path in experiments.FOLDER.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert set(json.loads(text)["machine"]) == {
            "cores",
            "processor",
            "threads_per_run",
        }
        assert platform.node() not in text or not platform.node()
