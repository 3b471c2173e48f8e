"""A notebook alone, with the package and what it asks for: what is declared, and where it runs.

That the notebooks do run so, `make test` sees: it runs each in an environment of its own.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
PINNED = [
    Requirement(text)
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if (text := line.partition("#")[0].strip())
]
TOOLS = {"notebooks.py", "claims.py", "handout.py"}  # for the stored notebooks


def names(requirements: Iterable[str]) -> set[str]:
    return {Requirement(text).name.lower() for text in requirements}


PACKAGE = names(PROJECT["dependencies"])
NOTEBOOKS = PACKAGE | names(PROJECT["optional-dependencies"]["notebooks"])


def imports(source: str) -> set[str]:
    """The top-level modules that a source imports and that Python does not bring along."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
    found = {name.partition(".")[0].lower() for name in found}
    return found - sys.stdlib_module_names - {"lmcourse", "google"}


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "lmcourse").rglob("*.py")),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_the_package_asks_for_what_it_imports(path):
    if path.name not in TOOLS:
        assert imports(path.read_text(encoding="utf-8")) <= PACKAGE


@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_a_notebook_needs_the_package_and_its_extra_alone(path):
    plain_python = TransformerManager().transform_cell
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert imports(plain_python(cell.source)) <= NOTEBOOKS
            assert '"../' not in cell.source and "'../" not in cell.source


@pytest.mark.parametrize(
    "text",
    PROJECT["dependencies"] + PROJECT["optional-dependencies"]["notebooks"],
)
def test_the_pinned_versions_are_among_those_asked_for(text):
    asked = Requirement(text)
    (pinned,) = [item for item in PINNED if item.name.lower() == asked.name.lower()]
    version = str(pinned.specifier).removeprefix("==")
    assert asked.specifier.contains(version)


def test_binder_has_the_versions_of_this_project():
    asked = yaml.safe_load(
        (ROOT / ".binder/environment.yml").read_text(encoding="utf-8")
    )
    python, torch = (item.partition("=") for item in asked["dependencies"])
    assert python[0] == "python"
    assert python[2] in SpecifierSet(PROJECT["requires-python"])
    assert torch[0] == "pytorch-cpu"
    assert f"torch=={torch[2]}" in {str(item) for item in PINNED}
    steps = (ROOT / ".binder/postBuild").read_text(encoding="utf-8")
    for name in re.findall(r"\S+\.txt", steps):
        assert (ROOT / name).is_file()
    assert '".[notebooks]"' in steps


def test_the_container_is_made_with_make_and_has_a_python_of_this_project():
    folder = ROOT / ".devcontainer"
    container = json.loads((folder / "devcontainer.json").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    make, *targets = container["postCreateCommand"].split()
    assert make == "make"
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    port = int(re.search(r"^PORT +\?= (\d+)", makefile, re.MULTILINE)[1])
    assert port in container["forwardPorts"]
    image = (folder / container["build"]["dockerfile"]).read_text(encoding="utf-8")
    version = re.search(r"^FROM python:(\S+)$", image, re.MULTILINE)[1]
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert f"useradd --create-home --shell /bin/bash {container['remoteUser']}" in image
