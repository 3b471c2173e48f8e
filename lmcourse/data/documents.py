r"""A text of any size, read as a stream of documents: paragraphs, or lines.

A document goes to a part by a hash of its text: about eight in ten to `train`, one in ten each to
`dev` and `test`. So a document that occurs twice never stands on two sides, and nobody must see the
whole text to know where a document belongs: several processes that read the same file agree.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lmcourse.data.python_docs import paragraphs
from lmcourse.tokenizers import BOS, EOS, UNK, Tokenizer

PARTS = ("train", "dev", "test")


def documents(path: str | os.PathLike, lines: bool = False) -> Iterator[str]:
    r"""Read a UTF-8 file document by document. Never more than one is held.

    A document is a paragraph: what stands between empty lines, with drawn lines left out as in
    `python_docs`. White space becomes one space. Empty documents are left out.

    Args:
        path: the file.
        lines: whether every line is a document, as in a list of names.

    Raises:
        FileNotFoundError: if there is no such file.
        IsADirectoryError: if it is a folder.
        ValueError: if it is not a UTF-8 text, as soon as the reading comes there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "text.txt"
        ...     _ = path.write_text("A loop\nrepeats.\n\n\nIt ends.\n", encoding="utf-8")
        ...     list(documents(path)), list(documents(path, lines=True))
        (['A loop repeats.', 'It ends.'], ['A loop', 'repeats.', 'It ends.'])
    """
    block: list[str] = []
    for line in _lines(path):
        if lines:
            if words := line.split():
                yield " ".join(words)
        elif line.strip():
            block.append(line)
        elif block:
            yield from paragraphs("\n".join(block))
            block = []
    yield from paragraphs("\n".join(block))


def part_of(document: str) -> str:
    """Where a document belongs: "train", "dev" or "test".

    Example:
        >>> part_of("A loop repeats."), part_of("Loops")
        ('train', 'dev')
    """
    digest = int(hashlib.sha256(document.encode("utf-8")).hexdigest(), 16) % 10
    return {0: "test", 1: "dev"}.get(digest, "train")


def most_frequent(
    tokenizer: type[Tokenizer], texts: Iterable[str], vocab_size: int
) -> Tokenizer:
    """Make an open vocabulary of the most frequent tokens of some texts.

    Args:
        tokenizer: how texts are cut: `CharTokenizer` or `WordTokenizer`.
        texts: they may be a stream.
        vocab_size: how many tokens at most, `<s>`, `</s>` and `<unk>` among them.

    Raises:
        ValueError: if there is no room for a token, or the texts hold none.

    Example:
        >>> from lmcourse.tokenizers import WordTokenizer
        >>> most_frequent(WordTokenizer, ["to be or", "not to be"], vocab_size=5).tokens
        ('<s>', '</s>', '<unk>', 'to', 'be')
    """
    if vocab_size < 4:
        raise ValueError(
            f"vocab_size={vocab_size}; {BOS}, {EOS}, {UNK} and one token make 4 at least"
        )
    split = tokenizer((), open_vocabulary=True).split
    counts = Counter(token for text in texts for token in split(text))
    counts.pop(UNK, None)
    if not counts:
        raise ValueError("the texts hold 0 tokens; at least 1 is needed")
    kept = [token for token, _ in counts.most_common(vocab_size - 3)]
    return tokenizer(kept, open_vocabulary=True)


def cut(sentence: Sequence[int], context_length: int) -> list[list[int]]:
    """Cut a sentence of token ids into pieces that are sentences themselves.

    Args:
        sentence: `[0, ..., 1]`.
        context_length: how many tokens a piece has at most, `<s>` and `</s>` not counted.

    Raises:
        ValueError: if context_length is below 1.

    Example:
        >>> cut([0, 5, 6, 7, 1], context_length=2)
        [[0, 5, 6, 1], [0, 7, 1]]
    """
    if context_length < 1:
        raise ValueError(
            f"context_length={context_length}; a piece has at least 1 token"
        )
    bos_id, *inside, eos_id = sentence
    return [
        [bos_id, *inside[start : start + context_length], eos_id]
        for start in range(0, max(len(inside), 1), context_length)
    ]


def sha256_of(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, in hexadecimal. The file is read in small blocks.

    Raises:
        FileNotFoundError: if there is no such file.
        IsADirectoryError: if it is a folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "empty.txt"
        ...     path.touch()
        ...     sha256_of(path)[:8]
        'e3b0c442'
    """
    with _file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(path: str | os.PathLike) -> Path:
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"no file {path.absolute()}: check the spelling and the folder"
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give a text file in it")
    return path


def _lines(path: str | os.PathLike) -> Iterator[str]:
    """The lines of a file without their ends, be they of Linux, Windows or old Macs."""
    n_bytes = 0
    with _file(path).open("rb") as file:
        for raw in file:
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path} is not a UTF-8 text: byte 0x{raw[error.start]:02x} at position "
                    f"{n_bytes + error.start}. Unpack it if it is an archive, or save it as UTF-8"
                ) from error
            if "\0" in text:
                raise ValueError(
                    f"{path} is not a text: byte 0x00 at position {n_bytes + raw.index(0)}"
                )
            if n_bytes == 0:
                text = text.removeprefix(
                    "\ufeff"
                )  # the mark that some editors begin with
            n_bytes += len(raw)
            yield from text.removesuffix("\n").removesuffix("\r").split("\r")
