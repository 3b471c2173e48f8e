"""Show the package's own code in a notebook.

A chapter never holds a second copy of the code it explains. `show_source` reads it from the
module, and the notebook stores it as text: when the module changes, the comparison of the stored
outputs fails until the chapter has been run, and read, again.
"""

import ast
import inspect
import textwrap


class Source:
    """The source text of some objects, shown as fenced python blocks.

    >>> Source([("greet", "def greet():\\n    return 'hello'")])
    # greet
    def greet():
        return 'hello'
    """

    def __init__(self, pieces: list[tuple[str, str]]):
        self.pieces = pieces

    def __repr__(self) -> str:
        return "\n\n".join(f"# {name}\n{code}" for name, code in self.pieces)

    def _repr_markdown_(self) -> str:
        return "\n\n".join(
            f"**`{name}`**\n\n```python\n{code}\n```" for name, code in self.pieces
        )


def show_source(*objects, docstring: bool = False) -> Source:
    """Show the source of functions, classes and single methods.

    Args:
        objects: what to show, in this order.
        docstring: keep the docstrings. They are left out by default, because the chapter's prose
            and the API page say the same at length.

    Returns:
        An object that shows itself, headed by the qualified names (`module.Class.method`).

    Raises:
        ValueError: for an object without Python source (a number, a built-in).

    >>> from lmcourse.claims import above
    >>> show_source(above)._repr_markdown_().splitlines()[0]
    '**`claims.above`**'
    """
    return Source([_piece(item, docstring) for item in objects])


def _piece(item, docstring: bool) -> tuple[str, str]:
    function = item.fget if isinstance(item, property) else inspect.unwrap(item)
    function = getattr(function, "__func__", function)  # class methods
    try:
        code = textwrap.dedent(inspect.getsource(function)).rstrip()
    except (TypeError, OSError) as error:
        raise ValueError(
            f"show_source({item!r}): an object of type {type(item).__name__} has no Python source; "
            "give a function, a class or a method"
        ) from error
    module = function.__module__.removeprefix("lmcourse.")
    return (
        f"{module}.{function.__qualname__}",
        code if docstring else without_docstrings(code),
    )


def without_docstrings(code: str) -> str:
    """Return the code without its docstrings; every other line stays as it is.

    >>> print(without_docstrings('def f():\\n    \"\"\"Add.\"\"\"\\n\\n    return 1 + 1  # two'))
    def f():
        return 1 + 1  # two
    """
    lines = code.split("\n")
    drop = set()
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if ast.get_docstring(node, clean=False) is None or len(node.body) == 1:
            continue
        first, last = node.body[0].lineno, node.body[0].end_lineno
        while last < len(lines) and not lines[last].strip():
            last += 1  # the blank lines below it
        drop.update(range(first, last + 1))
    return "\n".join(line for number, line in enumerate(lines, 1) if number not in drop)
