"""The reference has a page for every module, and the docstrings it is made of are complete."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import lmcourse

PAGES = Path(__file__).parents[1] / "book" / "api"
AUTOMODULE = re.compile(r"^\.\. automodule:: (\S+)$", re.MULTILINE)
# What is not for readers: commands, declarations, and files whose package documents their classes.
NOT_PUBLIC = re.compile(
    r".*__main__|lmcourse\.(notebooks|handout|training\.command)"
    r"|lmcourse\.experiments\.code_hash|lmcourse\.widgets\..*"
    r"|lmcourse\.exercises\.(?!code|compare|outcome|progress|quizzes|sandbox)\w+"
)
FOR_TORCH = "extra_repr"  # torch calls it, not a reader
ARGUMENT = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*):", re.MULTILINE)


def public_modules() -> list[str]:
    found = pkgutil.walk_packages(lmcourse.__path__, "lmcourse.")
    return [item.name for item in found if not NOT_PUBLIC.fullmatch(item.name)]


def defined_in(module: ModuleType) -> dict[str, object]:
    """The public functions and classes of a module, and the classes' public methods."""
    found = {}
    for name, item in vars(module).items():
        own = getattr(item, "__module__", None) == module.__name__
        if name.startswith("_") or not own:
            continue
        if not (inspect.isfunction(item) or inspect.isclass(item)):
            continue
        found[name] = item
        if inspect.isclass(item):
            for method, value in vars(item).items():
                value = getattr(value, "__func__", getattr(value, "fget", value))
                if inspect.isfunction(value) and not method.startswith(
                    ("_", FOR_TORCH)
                ):
                    found[f"{name}.{method}"] = getattr(item, method)
    return found


def docstring(owner: ModuleType, name: str, item: object) -> str | None:
    """Its own, or, of a method, that of the method it overrides if that is of this package."""
    if "." not in name:
        return item.__doc__ and inspect.cleandoc(item.__doc__)
    class_name, method = name.split(".")
    for base in getattr(owner, class_name).__mro__:
        text = getattr(vars(base).get(method), "__doc__", None)
        if text:
            return inspect.cleandoc(text) if "lmcourse" in base.__module__ else None
    return None


def test_every_public_module_has_a_place_in_the_reference():
    pages = [path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("*.md"))]
    placed = [name for page in pages for name in AUTOMODULE.findall(page)]
    assert len(placed) == len(set(placed)), "a module stands on two pages"
    assert sorted(placed) == sorted(public_modules())


@pytest.mark.parametrize("name", public_modules())
def test_docstrings(name):
    """What the reference shows has a summary, and each argument it describes is one."""
    module = importlib.import_module(name)
    wrong = []
    assert inspect.getdoc(module), f"{name} has no docstring"
    for path, item in defined_in(module).items():
        text = docstring(module, path, item)
        summary = (text or "").partition("\n")[0]
        if not summary.endswith((".", "?", "!")):
            wrong.append(f"{path}: no summary, or one that is no sentence: {summary!r}")
        if text and "Args:\n" in text and callable(item):
            known = set(inspect.signature(item).parameters)
            section = text.partition("Args:\n")[2].split("\n\n")[0]
            for group in ARGUMENT.findall(section):
                named = {part.strip(" *") for part in group.split(",")}
                if named - known and "kwargs" not in known:
                    wrong.append(f"{path}: no arguments {sorted(named - known)}")
    assert not wrong, "\n".join(wrong)
