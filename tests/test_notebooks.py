"""The normal form of the notebooks, and the tests of the test: a stale notebook is noticed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lmcourse import notebooks

PACKAGE = Path(notebooks.__file__).parent
CHAPTERS = notebooks.find([PACKAGE.parent / "notebooks"])


def shown(*outputs, **cell):
    return new_notebook(cells=[new_code_cell("x", outputs=list(outputs), **cell)])


def outputs_of(*outputs):
    return notebooks.normalise(shown(*outputs)).cells[0].outputs


# ------------------------------------------------------------------------------ the normal form
def test_code_cells_are_numbered_and_keep_their_number_in_the_result():
    cells = [
        new_markdown_cell("# Title"),
        new_code_cell(
            "1",
            execution_count=9,
            outputs=[new_output("execute_result", {}, metadata={})],
        ),
        new_code_cell("", execution_count=None),
        new_code_cell("2", execution_count=3),
    ]
    cells[1].outputs[0].data = {"text/plain": "1"}
    normal = notebooks.normalise(new_notebook(cells=cells))
    assert [cell.get("execution_count") for cell in normal.cells] == [None, 1, None, 2]
    assert normal.cells[1].outputs[0].execution_count == 1
    assert cells[1].execution_count == 9, "the argument was changed"


def test_pieces_of_a_stream_become_one_and_streams_stay_apart():
    pieces = [("stdout", "a"), ("stdout", "b\n"), ("stderr", "!"), ("stdout", "c")]
    joined = outputs_of(
        *(new_output("stream", name=name, text=text) for name, text in pieces)
    )
    assert [(o.name, o.text) for o in joined] == [
        ("stdout", "ab\n"),
        ("stderr", "!"),
        ("stdout", "c"),
    ]


def test_progress_bars_are_not_stored():
    bar = new_output("stream", name="stderr", text="\r 50%|#####     | 1/2")
    assert outputs_of(bar) == []


def test_live_widgets_are_not_stored_but_their_snapshot_is():
    data = {
        "text/html": "<div></div>",
        "application/vnd.jupyter.widget-view+json": {"model_id": "0123456789abcdef"},
    }
    (kept,) = outputs_of(new_output("display_data", data=data))
    assert kept.data == {"text/html": "<div></div>"}
    del data["text/html"]
    assert outputs_of(new_output("display_data", data=data)) == []


def test_metadata_of_a_run_or_a_machine_is_dropped():
    notebook = shown(
        metadata={"execution": {"iopub.status.busy": "now"}, "tags": ["hide-input"]}
    )
    notebook.metadata = {
        "kernelspec": {"name": "my-venv", "display_name": "My Python (3.13)"},
        "language_info": {"name": "python", "version": "3.13.1"},
        "widgets": {"state": {}},
    }
    normal = notebooks.normalise(notebook)
    assert normal.cells[0].metadata == {"tags": ["hide-input"]}
    assert normal.metadata == notebooks.NOTEBOOK_METADATA


def test_every_cell_has_an_id_of_its_own():
    cells = [
        new_code_cell("a", id="same"),
        new_code_cell("a", id="same"),
        new_code_cell("b"),
    ]
    del cells[2]["id"]
    ids = [cell.id for cell in notebooks.normalise(new_notebook(cells=cells)).cells]
    assert ids[0] == "same" and len(set(ids)) == 3
    assert ids == [
        cell.id for cell in notebooks.normalise(new_notebook(cells=cells)).cells
    ]


def test_normalising_twice_changes_nothing_more():
    notebook = shown(
        new_output("stream", text="a"),
        new_output("stream", text="b"),
        execution_count=4,
    )
    once = notebooks.normalise(notebook)
    assert notebooks.dumps(notebooks.normalise(once)) == notebooks.dumps(once)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_chapters_are_stored_in_the_normal_form(path):
    stored = path.read_text(encoding="utf-8")
    notebook = notebooks.with_installer(nbformat.reads(stored, as_version=4), path)
    assert notebooks.dumps(notebooks.normalise(notebook)) == stored


# ------------------------------------------------------------- the cell that installs the course
REPOSITORY = {"url": "https://example.org/fork/course", "branch": "next"}


@pytest.fixture
def in_a_book(tmp_path) -> Callable[..., Path]:
    """A function that gives a notebook in a book whose `_config.yml` says this."""

    def make(config: str, *sources: str) -> Path:
        (tmp_path / "_config.yml").write_text(config, encoding="utf-8")
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        return store(tmp_path / "notebooks" / "n.ipynb", *sources)

    return make


def test_a_notebook_of_a_book_begins_with_the_cell_that_installs(in_a_book):
    path = in_a_book(json.dumps({"repository": REPOSITORY}), "1 + 1")
    assert notebooks.main(["--normalise", str(path)]) == 0
    first, second = nbformat.read(path, as_version=4).cells
    assert "https://example.org/fork/course/archive/next.zip" in first.source
    assert first.metadata.tags == ["remove-cell"]
    assert (first.execution_count, second.execution_count) == (1, 2)
    assert notebooks.main(["--check", str(path)]) == 0


def test_a_fork_changes_one_line(in_a_book, capsys):
    path = in_a_book(json.dumps({"repository": REPOSITORY}), "1 + 1")
    notebooks.main(["--normalise", str(path)])
    other = REPOSITORY | {"branch": "mine"}
    (path.parents[1] / "_config.yml").write_text(
        json.dumps({"repository": other}), encoding="utf-8"
    )
    assert notebooks.main(["--check", str(path)]) == 1
    assert notebooks.main([str(path)]) == 0, capsys.readouterr().err
    cells = nbformat.read(path, as_version=4).cells
    assert len(cells) == 2 and "archive/mine.zip" in cells[0].source
    assert cells[0].outputs == [], "where the course is there, the cell says nothing"
    assert cells[1].outputs[0].data["text/plain"] == "2"


@pytest.mark.parametrize("config", ["title: x", "repository: {url: x}"])
def test_a_book_without_an_address_is_named(in_a_book, capsys, config):
    path = in_a_book(config, "1 + 1")
    before = path.read_bytes()
    assert notebooks.main(["--normalise", str(path)]) == 1
    assert "needs its url and its branch" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_notebook_in_no_book_gets_no_such_cell(tmp_path):
    path = store(tmp_path / "n.ipynb", "1 + 1")
    assert notebooks.main(["--normalise", str(path)]) == 0
    assert len(nbformat.read(path, as_version=4).cells) == 1


def run_installer(magic: Callable[[str, str], None] | None = None) -> None:
    """Run the cell that installs, with a stand-in for what runs lines such as `%pip`."""
    source = TransformerManager().transform_cell(
        notebooks.INSTALL.format(address="ADDRESS")
    )
    shell = SimpleNamespace(run_line_magic=magic)
    exec(source, {"get_ipython": lambda: shell})


@pytest.mark.parametrize("works", [True, False])
def test_where_the_course_is_missing_the_cell_installs_it(works, monkeypatch, capsys):
    asked = []
    there = iter([None, works])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: next(there))
    run_installer(lambda name, line: asked.append(f"%{name} {line}"))
    assert asked == ['%pip install --quiet "lmcourse[notebooks] @ ADDRESS"']
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("Installing, once: the package lmcourse")
    assert said[-1].startswith("Done." if works else "Not installed:")


def test_on_colab_the_cell_lets_widgets_be_shown(monkeypatch, capsys):
    called = []
    output = SimpleNamespace(enable_custom_widget_manager=lambda: called.append(True))
    monkeypatch.setitem(sys.modules, "google", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace(output=output))
    run_installer()
    assert called == [True]
    assert capsys.readouterr().out == ""


# -------------------------------------------------------------------------- running and writing
def store(path: Path, *sources: str) -> Path:
    notebooks.write(
        new_notebook(cells=[new_code_cell(source) for source in sources]), path
    )
    return path


def test_running_twice_gives_the_same_bytes(tmp_path, capsys):
    path = store(
        tmp_path / "n.ipynb",
        "from lmcourse.widgets import MarkovExplorer\nMarkovExplorer()",
        "import sys\nprint('a')\nprint('가')\nprint('e', file=sys.stderr)\n{3: 'x'}",
        "from tqdm import tqdm\nfor _ in tqdm(range(3)):\n    pass",
    )
    assert notebooks.main([str(path)]) == 0
    first = path.read_bytes()
    assert notebooks.main([str(path)]) == 0
    assert path.read_bytes() == first
    assert "unchanged" in capsys.readouterr().out
    text = first.decode()
    assert "lmcourse-widget" in text and "가" in text
    assert (
        "widget-view" not in text and "widgets" not in nbformat.reads(text, 4).metadata
    )
    assert nbformat.reads(text, 4).cells[2].outputs == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("object()", "memory address"),
        ("import sys; print(sys.prefix + '/lib')", "of this machine"),
    ],
)
def test_a_notebook_that_fails_is_left_as_it_was(tmp_path, capsys, source, message):
    path = store(tmp_path / "n.ipynb", "'fine'", source)
    before = path.read_bytes()
    assert notebooks.main([str(path)]) == 1
    assert message in capsys.readouterr().err
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["n.ipynb"]


def test_check_writes_nothing_and_normalise_runs_nothing(tmp_path, capsys):
    path = store(tmp_path / "n.ipynb", "1 / 0")
    before = path.read_bytes()
    assert notebooks.main(["--check", str(tmp_path)]) == 1
    assert path.read_bytes() == before
    assert notebooks.main(["--normalise", str(tmp_path)]) == 0
    assert path.read_bytes() != before
    assert notebooks.main(["--check", str(tmp_path)]) == 0


def test_a_path_that_is_no_notebook_is_named():
    with pytest.raises(
        ValueError, match=r"missing\.ipynb is neither a folder nor a notebook"
    ):
        notebooks.find([Path("missing.ipynb")])


# --------------------------------------------------------------------------- tests of the test
@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A folder with a copy of the package, and a notebook that shows a function and a widget."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns(
        "__pycache__", "results", "exercises", "experiments"
    )
    shutil.copytree(PACKAGE, folder / "lmcourse", ignore=ignored)
    for name in (
        "exercises",
        "experiments",
    ):  # the widgets import them; they are not changed
        shutil.copytree(PACKAGE / name, folder / "lmcourse" / name)
    path = store(
        folder / "chapter.ipynb",
        "from lmcourse.language_models import perplexity\nfrom lmcourse.source import show_source",
        "show_source(perplexity)",
        "from lmcourse.widgets import MarkovExplorer\nMarkovExplorer()",
    )
    result = python(folder, "-m", "lmcourse.notebooks", path.name)
    assert result.returncode == 0, result.stdout
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Python in a folder whose copy of the package comes before the installed one."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def nbval(folder: Path) -> subprocess.CompletedProcess:
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(folder)]
    return python(
        folder,
        "-m",
        "pytest",
        *options,
        "--nbval",
        "--nbval-current-env",
        "chapter.ipynb",
    )


@pytest.fixture
def changed(copy) -> Callable[[str, str, str], subprocess.CompletedProcess]:
    """A function that changes one line of a module, runs nbval, and puts the line back."""

    def change(module: str, line: str, other: str) -> subprocess.CompletedProcess:
        path = copy / "lmcourse" / module
        text = path.read_text(encoding="utf-8")
        assert len(re.findall(re.escape(line), text)) == 1, (
            f"{module} has not one line {line!r}"
        )
        path.write_text(text.replace(line, other), encoding="utf-8")
        try:
            return nbval(copy)
        finally:
            path.write_text(text, encoding="utf-8")

    return change


def test_nbval_passes_on_the_unchanged_package(copy):
    result = nbval(copy)
    assert result.returncode == 0, result.stdout
    assert "3 passed" in result.stdout


def test_nbval_notices_a_changed_line_of_a_shown_function(changed):
    result = changed(
        "language_models.py", "    return 2**bits\n", "    return 2.0**bits\n"
    )
    assert result.returncode == 1
    assert "1 failed, 2 passed" in result.stdout


def test_nbval_notices_a_changed_state_of_a_widget(changed):
    result = changed(
        "widgets/markov_explorer.py",
        "order = traitlets.Int(2,",
        "order = traitlets.Int(3,",
    )
    assert result.returncode == 1
    assert "1 failed, 2 passed" in result.stdout
