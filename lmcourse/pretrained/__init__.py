"""Trained weights that ship with the course: small enough to run in a page of the book.

Each model is one file `NAME.safetensors` in this folder, under 1 MB. Its metadata hold, as JSON,
the facts of how it was made. The widgets read the same bytes (`widgets/forward.js`), so a file
holds float32 or float16 only, which is what that reader knows.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors import torch as safetensors
from torch import Tensor

FOLDER = Path(__file__).parent
MAX_BYTES = 1_000_000
DTYPES = (torch.float32, torch.float16)
NAME = re.compile(r"[a-z0-9_]+")
FACTS = "lmcourse"  # the key of the facts in the file's metadata


def names() -> list[str]:
    """The models there are weights of, in the order of the alphabet.

    >>> names() == sorted(names())
    True
    """
    return sorted(file.stem for file in FOLDER.glob("*.safetensors"))


def path(name: str) -> Path:
    """The file of a model's weights.

    Raises:
        ValueError: There are no weights of this name; the message lists those there are.

    >>> all(path(name).name == f"{name}.safetensors" for name in names())
    True
    """
    if name not in names():
        known = ", ".join(names()) or "none"
        raise ValueError(f"there are no weights {name!r}; there are: {known}")
    return FOLDER / f"{name}.safetensors"


def sha256(name: str) -> str:
    """SHA-256 of the file, in hexadecimal: a stored output names the weights it was made with.

    Raises:
        ValueError: There are no weights of this name.

    >>> all(len(sha256(name)) == 64 for name in names())
    True
    """
    return hashlib.sha256(path(name).read_bytes()).hexdigest()


def load_tensors(name: str) -> dict[str, Tensor]:
    """The weights by name, on the CPU, in float32 whatever the file stores, as in the page.

    Raises:
        ValueError: There are no weights of this name.

    >>> [t.dtype for name in names() for t in load_tensors(name).values()
    ...  if t.dtype != torch.float32]
    []
    """
    stored = safetensors.load(path(name).read_bytes())
    return {key: tensor.float() for key, tensor in stored.items()}


def facts(name: str) -> dict[str, Any]:
    """How the weights were made: whatever `save` was given.

    Raises:
        ValueError: There are no weights of this name.

    >>> all(isinstance(facts(name), dict) for name in names())
    True
    """
    with safe_open(path(name), framework="pt") as file:
        return json.loads(file.metadata()[FACTS])


def save(name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write a model's weights whole or not at all.

    The same tensors and facts always give the same bytes.

    Args:
        name: The name of the file without its ending: small letters, digits and `_`.
        tensors: What to store, such as `model.state_dict()`: float32, or float16 for half the size.
        facts: How it was made, in words and numbers that JSON can hold.

    Returns:
        The file.

    Raises:
        ValueError: The name has other characters, a tensor has another type or holds a NaN or an
            infinity, a fact is no JSON, or the file would be larger than 1 MB.

    >>> save("Toy", {}, {})
    Traceback (most recent call last):
    ...
    ValueError: name='Toy': use small letters, digits and _ only
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"name={name!r}: use small letters, digits and _ only")
    for key, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            allowed = " or ".join(str(dtype) for dtype in DTYPES)
            raise ValueError(f"{key!r} is {tensor.dtype}: weights are {allowed}")
        if not tensor.isfinite().all():
            raise ValueError(
                f"{key!r} holds a NaN or an infinity: store finite numbers"
            )
    try:
        text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the facts of {name!r} are no JSON: {error}") from error
    # A clone for each name: the format refuses two names for one piece of memory.
    own = {
        key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, tensor in tensors.items()
    }
    content = safetensors.save(own, {FACTS: text})
    if len(content) > MAX_BYTES:
        raise ValueError(
            f"the weights {name!r} take {len(content):,} bytes, more than {MAX_BYTES:,}: "
            "a page of the book loads them, so make the model smaller or store float16"
        )
    target = FOLDER / f"{name}.safetensors"
    handle, beside = tempfile.mkstemp(dir=FOLDER, prefix=name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(beside, 0o644)  # mkstemp lets only its owner read
        os.replace(beside, target)
    finally:
        Path(beside).unlink(missing_ok=True)
    return target
