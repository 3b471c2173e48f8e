"""What holds for the project as a whole: style, pinned versions, what the package ships."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import lmcourse

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=" ".join)
def test_style(arguments):
    command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stdout


def test_every_requirement_is_pinned_and_named_once():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements = [
        Requirement(text) for line in lines if (text := line.partition("#")[0].strip())
    ]
    names = [
        re.sub(r"[-_.]+", "-", requirement.name).lower() for requirement in requirements
    ]
    assert len(names) == len(set(names))
    assert all(
        re.fullmatch(r"==[^*]+", str(requirement.specifier))
        for requirement in requirements
    )
    assert names[0] == "torch"


def test_every_command_of_the_makefile_says_what_it_does():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = set(re.search(r"\.PHONY: (.*)", text)[1].split())
    described = set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
    assert commands - described == {"chromium", "alone"}  # steps of `make test`


def test_ci_runs_make_test_and_nothing_else():
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith(("#", "set ", "cd "))] == [
        "make test"
    ]


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == lmcourse.__version__
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search(r"^version\b.*\d", text, re.MULTILINE)  # and nowhere else
