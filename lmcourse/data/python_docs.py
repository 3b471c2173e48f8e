"""Real text that is already on the machine: the topics of Python's own documentation.

`help("for")` prints such a topic. A document is one paragraph of it. Every paragraph is kept
once, because topics quote each other: split without that, a model would be tested on sentences
it has learned by heart. The text is split by topic and not by paragraph, so that two paragraphs
about one thing never stand on both sides.

Paragraphs rather than topics: they are the natural unit of text with a beginning and an end, and
they are short, so that one batch holds many of them and little is padding.
"""

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

REFERENCE_PYTHON = "3.11.7"
"""The version of Python whose text the stored figures of the book were made with."""

REFERENCE_SHA256 = "bd2cff39ad5aedcdee7a38fa3b1c9db258bdc7f2c8f61eef090492f8c9571633"
"""The SHA-256 of that text."""


@dataclass(frozen=True, repr=False)
class TextSplit:
    """A text in three parts that share no document.

    Attributes:
        train: the documents to learn from.
        dev: the documents to choose with (order, learning rate, when to stop).
        test: the documents to report on.
        sha256: the SHA-256 of the three parts.
        python_version: the Python the text came with.
    """

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    sha256: str
    python_version: str

    @property
    def is_reference(self) -> bool:
        """Whether this is the very text that the stored figures of the book were made with."""
        return self.sha256 == REFERENCE_SHA256

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name}={len(getattr(self, name))}" for name in ("train", "dev", "test")
        )
        return f"TextSplit({sizes} documents)"


@cache
def python_docs() -> TextSplit:
    """The documentation topics of the running Python, every paragraph once, split by topic.

    A topic goes to a part by a hash of its name, so it goes there in every version of Python:
    about eight in ten topics to `train`, one in ten each to `dev` and `test`. A paragraph that
    several topics share stays with the first of them, which another version may have changed.

    Raises:
        OSError: if this Python comes without its documentation topics.

    Example:
        >>> docs = python_docs()
        >>> len(set(docs.train) & set(docs.test))
        0
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise OSError(
            "this Python has no pydoc_data.topics, which belongs to the standard library: "
            "install the whole of Python (Debian: apt install libpython3-stdlib)"
        ) from error
    return split_topics(topics)


def split_topics(topics: Mapping[str, str]) -> TextSplit:
    """Cuts topics into paragraphs, keeps each once, and splits them by topic.

    Args:
        topics: the text of each topic.

    Raises:
        ValueError: if one of the three parts would be empty.

    Example:
        >>> split_topics({"for": "Loops.", "while": "Loops."})
        Traceback (most recent call last):
        ValueError: 2 topics leave the dev part empty: each part needs at least one
    """
    parts: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    seen = set()
    for name in sorted(topics):
        for paragraph in paragraphs(topics[name]):
            if paragraph not in seen:
                seen.add(paragraph)
                parts[_part(name)].append(paragraph)
    for part, documents in parts.items():
        if not documents:
            raise ValueError(
                f"{len(topics)} topics leave the {part} part empty: each part needs at least one"
            )
    text = "\n\n".join("\n".join(documents) for documents in parts.values())
    return TextSplit(
        train=tuple(parts["train"]),
        dev=tuple(parts["dev"]),
        test=tuple(parts["test"]),
        sha256=hashlib.sha256(text.encode("utf-8")).hexdigest(),
        python_version=platform.python_version(),
    )


def paragraphs(text: str) -> list[str]:
    r"""Cuts a text at its empty lines. White space becomes one space; drawn lines are left out.

    Example:
        >>> paragraphs("Loops\n*****\n\nA loop\n  repeats.\n")
        ['Loops', 'A loop repeats.']
    """
    blocks = re.split(r"\n\s*\n", text)
    normalised = (
        " ".join(
            word
            for line in block.splitlines()
            if not _is_drawn(line)
            for word in line.split()
        )
        for block in blocks
    )
    return [block for block in normalised if block]


def _is_drawn(line: str) -> bool:
    """Whether a line is only there to be looked at: the line under a title, or of a table."""
    return not re.search(r"\w", line) and bool(re.search(r"([-=*~^+#\"'`])\1{2}", line))


def _part(topic: str) -> str:
    digest = int(hashlib.sha256(topic.encode("utf-8")).hexdigest(), 16) % 10
    return {0: "test", 1: "dev"}.get(digest, "train")
