"""Compare an answer with the reference, and say the first difference in words."""

import copy
import inspect
import itertools
import math
import numbers

import numpy as np
import torch

SHORT = 160  # characters of a value in a message
LONG = 600  # of all inputs together, so that a reader can try them


def difference(expected, answer, tolerance: float | int) -> str:
    """Return what is wrong with the answer, as the end of a sentence; empty if nothing is.

    Numbers are close when they differ by at most `tolerance * max(1, |expected|)`. Infinite
    values must be equal. Lists and tuples may stand for each other; so may a number and a tensor
    that holds one.

    >>> difference(0.5, 0.25, tolerance=1e-6)
    'the result is 0.25, expected 0.5'
    >>> difference(torch.zeros(2, 3), torch.zeros(3, 2), tolerance=1e-6)
    'the result has shape (3, 2), expected (2, 3)'
    >>> difference([1, 2], (1, 2), tolerance=1e-6)
    ''
    """
    return _difference(expected, answer, tolerance, "the result")


def _difference(expected, answer, tolerance: float | int, what: str) -> str:
    if inspect.isgenerator(answer):
        return f"{what} is a generator: write `return` where `yield` stands"
    if isinstance(expected, torch.Tensor | np.ndarray):
        return _array_difference(expected, answer, tolerance, what)
    if _is_number(expected):
        return _number_difference(expected, answer, tolerance, what)
    if isinstance(expected, list | tuple):
        return _sequence_difference(expected, answer, tolerance, what)
    if isinstance(expected, dict):
        return _dict_difference(expected, answer, tolerance, what)
    if expected is not None and not isinstance(answer, type(expected)):
        return f"{what} is {_kind(answer)}, expected {_kind(expected)}"
    if expected is None and answer is not None or expected != answer:
        return f"{what} is {show(answer)}, expected {show(expected)}"
    return ""


def _is_number(value) -> bool:
    return isinstance(value, numbers.Number | np.generic)


def _array_difference(expected, answer, tolerance: float | int, what: str) -> str:
    wanted = "a torch.Tensor" if isinstance(expected, torch.Tensor) else "a numpy array"
    if not isinstance(answer, type(expected)) and not (
        isinstance(expected, torch.Tensor) and isinstance(answer, torch.Tensor)
    ):
        if expected.ndim == 0 and _is_number(answer):
            return _number_difference(expected.item(), answer, tolerance, what)
        made = "torch.tensor(...)" if wanted == "a torch.Tensor" else "np.array(...)"
        numbers_only = isinstance(answer, list | tuple) or _is_number(answer)
        return (
            f"{what} is {_kind(answer)}, expected {wanted} of shape {tuple(expected.shape)}"
            + f"; `{made}` makes one" * numbers_only
        )
    if tuple(answer.shape) != tuple(expected.shape):
        return (
            f"{what} has shape {tuple(answer.shape)}, expected {tuple(expected.shape)}"
        )
    left, right = _as_numpy(expected), _as_numpy(answer)
    if (left.dtype.kind == "b") != (right.dtype.kind == "b"):
        return f"{what} holds {answer.dtype}, expected {expected.dtype}"
    if left.dtype.kind == "b":
        wrong = left != right
    elif left.dtype.kind not in "iufc" or right.dtype.kind not in "iufc":
        wrong = left != right
    else:
        if np.isnan(right).any() and not np.isnan(left).any():
            return f"{what} holds NaN (not a number), {int(np.isnan(right).sum())} of {right.size}"
        with np.errstate(invalid="ignore"):
            close = np.abs(left - right) <= tolerance * np.maximum(1.0, np.abs(left))
            close &= np.isfinite(left)  # what is infinite must be equal
        wrong = ~(close | (left == right) | (np.isnan(left) & np.isnan(right)))
    if not wrong.any():
        return ""
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    where = f"at {list(place)} " if place else ""
    count = (
        f" ({int(wrong.sum())} of {wrong.size} entries differ)"
        if wrong.size > 1
        else ""
    )
    return f"{what} {where}is {show(right[place])}, expected {show(left[place])}{count}"


def _as_numpy(value) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
        return value.resolve_conj().numpy()
    return value


def _number_difference(expected, answer, tolerance: float | int, what: str) -> str:
    if isinstance(answer, torch.Tensor | np.ndarray) and answer.size in ((), (0,)):
        return f"{what} is {_kind(answer)}, expected a number"
    if isinstance(answer, torch.Tensor | np.ndarray):
        if answer.ndim:
            return f"{what} has shape {tuple(answer.shape)}, expected a single number"
        answer = answer.item()
    if not _is_number(answer):
        return f"{what} is {_kind(answer)}, expected a number"
    if isinstance(expected, bool | np.bool_) != isinstance(answer, bool | np.bool_):
        return f"{what} is {show(answer)}, expected {show(expected)}"
    if isinstance(answer, complex) or isinstance(expected, complex):
        close = abs(answer - expected) <= tolerance * max(1.0, abs(expected))
        return "" if close else f"{what} is {show(answer)}, expected {show(expected)}"
    left, right = float(expected), float(answer)
    if math.isnan(right) and not math.isnan(left):
        return f"{what} is NaN (not a number), expected {show(expected)}"
    same = left == right or (math.isnan(left) and math.isnan(right))
    if same or abs(left - right) <= tolerance * max(1.0, abs(left)) < math.inf:
        return ""
    return f"{what} is {show(answer)}, expected {show(expected)}"


def _sequence_difference(expected, answer, tolerance: float | int, what: str) -> str:
    if not isinstance(answer, list | tuple):
        return f"{what} is {_kind(answer)}, expected {_kind(expected)} of length {len(expected)}"
    if len(answer) != len(expected):
        return f"{what} has {len(answer)} entries, expected {len(expected)}"
    for index, (left, right) in enumerate(zip(expected, answer, strict=True)):
        message = _difference(left, right, tolerance, f"entry {index} of {what}")
        if message:
            return message
    return ""


def _dict_difference(expected, answer, tolerance: float | int, what: str) -> str:
    if not isinstance(answer, dict):
        return f"{what} is {_kind(answer)}, expected a dictionary with {len(expected)} keys"
    missing = [key for key in expected if key not in answer]
    extra = [key for key in answer if key not in expected]
    if missing or extra:
        parts = [f"lacks the key {show(missing[0])}"] if missing else []
        parts += [f"has the key {show(extra[0])} too much"] if extra else []
        return f"{what} " + " and ".join(parts)
    for key in expected:
        message = _difference(
            expected[key], answer[key], tolerance, f"{what} for {show(key)}"
        )
        if message:
            return message
    return ""


def _kind(value) -> str:
    """What a value is, with its article: `None`, `a list`, `an integer`."""
    if value is None:
        return "None (is there a `return`?)"
    names = {
        bool: "a bool",
        int: "an integer",
        float: "a number",
        str: "a text",
        list: "a list",
        tuple: "a tuple",
        dict: "a dictionary",
        set: "a set",
        torch.Tensor: "a torch.Tensor",
        np.ndarray: "a numpy array",
    }
    name = names.get(type(value), f"an object of type {type(value).__name__}")
    return f"{name} ({show(value)})" if type(value) in (bool, int, float, str) else name


def show(value, limit: int = SHORT, depth: int = 0) -> str:
    """A value as short text without memory addresses, small tensors and arrays included.

    >>> show(torch.tensor([[0.25, 1.0]]))
    '[[0.25, 1.0]]'
    """
    if isinstance(value, torch.Tensor | np.ndarray):
        array = _as_numpy(value)
        if array.size > 24:
            kind = "tensor" if isinstance(value, torch.Tensor) else "array"
            return f"a {kind} of shape {tuple(array.shape)}"
        return show(array.tolist(), limit, depth)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, float):
        return repr(float(f"{value:.6g}") + 0.0)  # -0.0 is shown as 0.0
    if isinstance(value, list | tuple | dict) and depth > 4:
        text = "..."
    elif isinstance(value, list):
        text = "[" + _show_items(value, limit, depth) + "]"
    elif isinstance(value, tuple):
        text = (
            "(" + _show_items(value, limit, depth) + (",)" if len(value) == 1 else ")")
        )
    elif isinstance(value, dict):
        pairs = itertools.islice(value.items(), limit)
        inside = (
            f"{show(key, limit, depth + 1)}: {show(item, limit, depth + 1)}"
            for key, item in pairs
        )
        text = "{" + ", ".join(inside) + "}"
    elif isinstance(value, torch.Generator):
        text = "a torch.Generator"
    else:
        try:
            text = repr(value)
        except Exception:  # a reader's class may be broken
            text = f"an object of type {type(value).__name__}"
        if " at 0x" in text:
            text = f"an object of type {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _show_items(values: list | tuple, limit: int, depth: int) -> str:
    return ", ".join(show(item, limit, depth + 1) for item in values[:limit])


def copied(arguments: tuple) -> tuple:
    """A deep copy, so that a function can change nothing of ours."""
    return copy.deepcopy(arguments)


def changed_argument(before: tuple, after: tuple) -> int | None:
    """The index of the first argument that a call has changed."""
    for index, (left, right) in enumerate(zip(before, after, strict=True)):
        comparable = isinstance(
            left, torch.Tensor | np.ndarray | list | tuple | dict | set
        )
        try:
            if comparable and difference(left, right, tolerance=0.0):
                return index
        except Exception:  # changed into something that cannot be compared
            return index
    return None
