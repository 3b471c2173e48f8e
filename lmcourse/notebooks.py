"""Runs the notebooks from a clean kernel and stores them in one normal form.

    python -m lmcourse.notebooks [PATHS]               run, normalise, write
    python -m lmcourse.notebooks --normalise [PATHS]   only normalise what is stored
    python -m lmcourse.notebooks --check [PATHS]       only say what is not in the normal form

The normal form holds what the cells say and show, and nothing about the run: no times, no name of
a machine, no state of live widgets. So running a notebook twice gives the same bytes. A notebook
is written whole, or not at all when a cell fails or shows something that changes from run to run.

The notebooks of a book begin with one cell that is written here: it installs the course where it is
missing, from the repository that the book's `_config.yml` names.
"""

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from tqdm import tqdm

CELL_METADATA = frozenset({"tags", "mystnb"})
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}
LIVE_WIDGET = re.compile(r"application/vnd\.jupyter\.widget-.*")
MEMORY_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
INSTALL_ID = "install-lmcourse"
INSTALL = """\
# Installs the course where it is missing, as on Colab. Else it does nothing.
import sys
from importlib.util import find_spec

if not find_spec("lmcourse"):
    print("Installing, once: the package lmcourse, torch, and the libraries that the")
    print("chapters compare with. This takes some minutes.")
    %pip install --quiet "lmcourse[notebooks] @ {address}"
    print("Done." if find_spec("lmcourse") else "Not installed: see the lines above.")
if "google.colab" in sys.modules:  # Colab shows widgets only when it is told to
    from google.colab import output

    output.enable_custom_widget_manager()"""


def run(path: Path, timeout: int = 600, show_progress: bool = False) -> NotebookNode:
    """Run a notebook from a clean kernel, in its own folder, and give it back normalised.

    The file is only read. What a reader may have set (a variable LMCOURSE_...) does not reach
    the kernel, and progress bars stay silent there: they would be stored.

    Args:
        path: A notebook.
        timeout: Seconds that one cell may take.
        show_progress: Show a bar over the cells while they run.

    Returns:
        The notebook with its new outputs, in the normal form.

    Raises:
        CellExecutionError: A cell failed.
        ValueError: An output holds something that changes from run to run, or the book of the
            notebook names no repository.

    >>> import tempfile
    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "sum.ipynb")
    ...     write(new_notebook(cells=[new_code_cell("1 + 1")]), path)
    ...     run(path).cells[0].outputs[0].data["text/plain"]
    '2'
    """
    notebook = with_installer(nbformat.read(path, as_version=4), path)
    n_code = sum(cell.cell_type == "code" for cell in notebook.cells)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LMCOURSE_")}
    environment |= {"TQDM_DISABLE": "1", "PYTHONHASHSEED": "0"}
    with tqdm(
        total=n_code, desc=path.name, unit="cell", disable=not show_progress
    ) as bar:
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            store_widget_state=False,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
            extra_arguments=["--log-level=ERROR"],
            on_cell_executed=lambda **_: bar.update(),
        )
        client.execute(env=environment)
    notebook = normalise(notebook)
    if unstable := changing_outputs(notebook):
        raise ValueError(
            f"{path} is not written, because these outputs change from run to run:\n"
            + "\n".join(unstable)
        )
    return notebook


def with_installer(notebook: NotebookNode, path: Path) -> NotebookNode:
    """A copy of a notebook of a book that begins with the cell that installs the course.

    A notebook is one of a book when the folder above its own holds a `_config.yml`. The package
    comes from the repository and the branch that are named there. Pages do not show the cell.

    Args:
        notebook: A notebook of format 4.
        path: Where it lies.

    Returns:
        The copy, or the notebook itself where it is in no book.

    Raises:
        ValueError: The `_config.yml` names no repository or no branch.
    """
    config = path.resolve().parents[1] / "_config.yml"
    if not config.exists():
        return notebook
    book = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
    repository = book.get("repository")
    if not repository or not {"url", "branch"} <= repository.keys():
        raise ValueError(
            f"{config} has the entry repository: {repository}; the first cell of a notebook "
            "needs its url and its branch"
        )
    address = f"{repository['url']}/archive/{repository['branch']}.zip"
    installer = new_code_cell(
        INSTALL.format(address=address),
        id=INSTALL_ID,
        metadata={"tags": ["remove-cell"]},
        execution_count=1,
    )
    others = [cell for cell in notebook.cells if cell.get("id") != INSTALL_ID]
    return nbformat.from_dict({**notebook, "cells": [installer, *others]})


def normalise(notebook: NotebookNode) -> NotebookNode:
    """A copy of a notebook in the normal form; normalising twice changes nothing more.

    Code cells are numbered from 1 in their order. Neighbouring pieces of one stream become one.
    Progress bars, live views of widgets, and all metadata but tags and `mystnb` are left out.

    Args:
        notebook: A notebook of format 4.

    Returns:
        The normalised copy. The argument is left as it was.

    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> cell = new_code_cell("x = 1", execution_count=7, metadata={"scrolled": True, "tags": []})
    >>> normal = normalise(new_notebook(cells=[cell]))
    >>> normal.cells[0].execution_count, normal.cells[0].metadata
    (1, {'tags': []})
    """
    cells: list[dict] = []
    ids: set[str] = set()
    count = 0
    for cell in notebook.cells:
        source = cell.source.rstrip()
        new = {
            "cell_type": cell.cell_type,
            "id": _cell_id(cell, len(cells), ids),
            "metadata": {k: v for k, v in cell.metadata.items() if k in CELL_METADATA},
            "source": source,
        }
        if cell.get("attachments"):
            new["attachments"] = cell.attachments
        if cell.cell_type == "code":
            count += bool(source)
            number = count if source else None
            new |= {
                "execution_count": number,
                "outputs": _outputs(cell.outputs, number),
            }
        cells.append(new)
    return nbformat.from_dict(
        {
            "cells": cells,
            "metadata": NOTEBOOK_METADATA,
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def _cell_id(cell: NotebookNode, position: int, used: set[str]) -> str:
    """The cell's own id; where it is missing or taken, one made from its source and position."""
    name = cell.get("id", "")
    if not CELL_ID.fullmatch(name) or name in used:
        name = hashlib.sha256(f"{position}\n{cell.source}".encode()).hexdigest()[:8]
    used.add(name)
    return name


def _outputs(outputs: Iterable[NotebookNode], number: int | None) -> list[dict]:
    """The outputs that are stored, with the number of their cell."""
    kept: list[dict] = []
    for output in outputs:
        output = dict(output)
        if output["output_type"] == "stream":
            if output["name"] == "stderr" and "\r" in output["text"]:  # a progress bar
                continue
            if kept and kept[-1].get("name") == output["name"]:
                kept[-1]["text"] += output["text"]
                continue
        if "data" in output:
            output["data"] = {
                k: v for k, v in output["data"].items() if not LIVE_WIDGET.match(k)
            }
            if not output["data"]:
                continue
        if "execution_count" in output:
            output["execution_count"] = number
        kept.append(output)
    return kept


def changing_outputs(notebook: NotebookNode) -> list[str]:
    """Outputs that cannot be the same on another run or machine, each in a sentence.

    Looked for are memory addresses and the paths of this machine (the home folder, the folder
    of this project, the folder of Python).

    >>> from nbformat.v4 import new_code_cell, new_notebook, new_output
    >>> shown = new_output("stream", text="<object at 0x7f0123456789>")
    >>> changing_outputs(new_notebook(cells=[new_code_cell("x", outputs=[shown])]))
    ['cell 1 shows the memory address "at 0x7f0123456789": x']
    """
    paths = {str(p) for p in (Path.home(), Path(__file__).parents[1], Path(sys.prefix))}
    paths = {p for p in paths if len(p) > 4}  # "/" or "/root" is no telling name
    found = []
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    for number, cell in enumerate(code, start=1):
        text = json.dumps(cell.outputs, ensure_ascii=False)
        first_line = cell.source.partition("\n")[0]
        if address := MEMORY_ADDRESS.search(text):
            found.append(
                f'cell {number} shows the memory address "{address[0]}": {first_line}'
            )
        found += [
            f'cell {number} shows the path "{path}" of this machine: {first_line}'
            for path in sorted(paths)
            if json.dumps(path, ensure_ascii=False).strip('"') + os.sep in text
        ]
    return found


def dumps(notebook: NotebookNode) -> str:
    """The text of a notebook's file: sorted keys, real characters, one newline at the end.

    >>> from nbformat.v4 import new_notebook
    >>> dumps(normalise(new_notebook())).splitlines()[1]
    ' "cells": [],'
    """
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all: to a file beside it, which then takes its place.

    >>> import tempfile
    >>> from nbformat.v4 import new_notebook
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(new_notebook(), Path(folder, "empty.ipynb"))
    ...     [file.name for file in Path(folder).iterdir()]
    ['empty.ipynb']
    """
    nbformat.validate(notebook)
    beside = path.with_suffix(".ipynb.part")
    try:
        beside.write_text(dumps(notebook), encoding="utf-8", newline="\n")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def find(paths: Iterable[Path]) -> list[Path]:
    """The notebooks among files and folders, in order of their names.

    Raises:
        ValueError: A path is neither a notebook nor a folder.

    >>> find([Path("chapter.txt")])
    Traceback (most recent call last):
    ValueError: chapter.txt is neither a folder nor a notebook (.ipynb)
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.glob("*.ipynb"))
        elif path.suffix == ".ipynb" and path.exists():
            found.append(path)
        else:
            raise ValueError(f"{path} is neither a folder nor a notebook (.ipynb)")
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command line; gives the exit status: 0, or 1 if a notebook failed or is not normal."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcourse.notebooks", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("notebooks")])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--normalise", action="store_true", help="run nothing")
    mode.add_argument("--check", action="store_true", help="run and write nothing")
    options = parser.parse_args(arguments)
    failed = 0
    for path in find(options.paths):
        stored = path.read_text(encoding="utf-8")
        try:
            if options.normalise or options.check:
                notebook = normalise(
                    with_installer(nbformat.reads(stored, as_version=4), path)
                )
            else:
                notebook = run(path, show_progress=True)
        except (CellExecutionError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed = 1
            continue
        if dumps(notebook) == stored:
            print(f"{path}: unchanged")
        elif options.check:
            print(
                f"{path}: not in the normal form (python -m lmcourse.notebooks --normalise)"
            )
            failed = 1
        else:
            write(notebook, path)
            print(f"{path}: written")
    return failed


if __name__ == "__main__":
    sys.exit(main())
