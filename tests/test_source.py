"""The package's own code in a notebook: what is shown, and that it is the same text each time."""

import pytest

from lmcourse.source import show_source, without_docstrings


class Toy:
    """A toy.

    With two paragraphs.
    """

    size = 3

    def method(self, x):
        """Return it."""
        # doubled
        return x * self.size

    @property
    def double(self):
        return 2 * self.size

    @classmethod
    def make(cls):
        """Make one."""
        return cls()

    @staticmethod
    def fixed():
        return 1


def only_docstring():
    """Nothing else."""


def test_a_function_is_a_fenced_block_under_its_name():
    text = show_source(without_docstrings)._repr_markdown_()
    assert text.startswith(
        "**`source.without_docstrings`**\n\n```python\ndef without_docstrings("
    )
    assert text.endswith("\n```")
    assert '"""' not in text
    assert '"""' in show_source(without_docstrings, docstring=True)._repr_markdown_()


@pytest.mark.parametrize(
    ("item", "name", "code"),
    [
        (
            Toy.method,
            "method",
            "def method(self, x):\n    # doubled\n    return x * self.size",
        ),
        (
            Toy.double,
            "double",
            "@property\ndef double(self):\n    return 2 * self.size",
        ),
        (Toy.make, "make", "@classmethod\ndef make(cls):\n    return cls()"),
        (Toy.fixed, "fixed", "@staticmethod\ndef fixed():\n    return 1"),
        (
            Toy().method,
            "method",
            "def method(self, x):\n    # doubled\n    return x * self.size",
        ),
    ],
)
def test_single_methods_are_shown_without_indent(item, name, code):
    [(heading, shown)] = show_source(item).pieces
    assert heading.endswith(f"test_source.Toy.{name}")
    assert shown == code


def test_a_class_keeps_its_layout_without_docstrings():
    [(_, code)] = show_source(Toy).pieces
    assert code.startswith(
        "class Toy:\n    size = 3\n\n    def method(self, x):\n        # doubled"
    )
    assert "Make one" not in code


def test_a_body_that_is_only_a_docstring_stays():
    [(_, code)] = show_source(only_docstring).pieces
    assert code == 'def only_docstring():\n    """Nothing else."""'


def test_several_objects_and_plain_text():
    shown = show_source(Toy.fixed, Toy.double)
    assert shown._repr_markdown_().count("```python") == 2
    assert repr(shown).count("\ndef ") + repr(shown).count("@") >= 2
    assert repr(shown) == repr(show_source(Toy.fixed, Toy.double))
    assert " at 0x" not in repr(shown)


@pytest.mark.parametrize("item", [3, len, "text", None])
def test_what_has_no_source_is_refused(item):
    with pytest.raises(ValueError, match="has no Python source"):
        show_source(item)
