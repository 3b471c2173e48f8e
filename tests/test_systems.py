"""What differs between systems: encodings of files, pipes and consoles, and names of files."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLAIM = """
from lmcourse.claims import claim
claim("A `fair` coin, 동전, has one bit.", True)
"""
RESERVED = {"CON", "PRN", "AUX", "NUL"}  # no names of files on Windows


def python(encoding: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Run Python where the files, the pipes and the console have an encoding of their own."""
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=300)


def own_files() -> list[Path]:
    """Every file of the project, but what is made."""
    folders = ("lmcourse", "benchmarks", "book", "notebooks", "tests", ".github")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return [path for path in found if "__pycache__" not in path.parts]


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "✓ A “fair” coin, 동전, has one bit."),
        (
            "cp1252",
            r"\N{CHECK MARK} A “fair” coin, "
            r"\N{HANGUL SYLLABLE DONG}\N{HANGUL SYLLABLE JEON}, has one bit.",
        ),
    ],
)
def test_a_claim_is_printed_in_any_encoding(encoding, expected):
    done = python(encoding, "-c", CLAIM)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode(encoding).rstrip() == expected


def test_the_command_prints_what_a_text_holds_in_any_encoding(tmp_path):
    """A file is read, and a pipe written, as UTF-8, whatever the system's own encoding is."""
    text = tmp_path / "동전.txt"
    text.write_text(
        "\n".join(f"동전 동전 동전 {n}" for n in range(300)), encoding="utf-8"
    )
    options = ["--lines", "--samples", "3", "--folder", tmp_path / "folder"]
    command = ["-m", "lmcourse.training", "unigram", "--text", text, *options]
    done = python("cp1252", *command)
    assert done.returncode == 0, done.stderr.decode()
    samples = done.stdout.decode("utf-8").partition("Sample 1: ")[2]
    assert set("동전") <= set(samples)


def test_whoever_reads_a_process_as_text_names_the_encoding():
    """What ruff's rule on `open` says, for `subprocess`."""
    found = []
    for path in (path for path in own_files() if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            options = {
                keyword.arg: ast.unparse(keyword.value)
                for keyword in getattr(node, "keywords", [])
            }
            as_text = options.get("text", options.get("universal_newlines"))
            if as_text == "True" and "encoding" not in options:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def test_every_name_of_a_file_is_one_on_windows_too():
    names = [path.name for path in own_files()]
    assert len(names) > 100
    for name in names:
        assert not set(name) & set('<>:"\\|?*') and not name.endswith((".", " ")), name
        assert name.partition(".")[0].upper() not in RESERVED, name
