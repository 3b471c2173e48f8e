"""A text as a stream of documents: beside the whole text, parts without leaks, pieces, errors."""

import random
import tracemalloc
from collections import Counter

import pytest

from lmcourse.data.documents import (
    PARTS,
    cut,
    documents,
    most_frequent,
    part_of,
    sha256_of,
)
from lmcourse.data.python_docs import paragraphs, python_docs
from lmcourse.data.text import load_text
from lmcourse.tokenizers import CharTokenizer, WordTokenizer


@pytest.fixture
def written(tmp_path):
    """Write bytes to a file and give its path."""

    def write(content: bytes):
        path = tmp_path / "text.txt"
        path.write_bytes(content)
        return path

    return write


# ---- documents -----------------------------------------------------------------------------------


def random_text(seed: int) -> str:
    """Letters, all kinds of white space and line ends, drawn lines."""
    draw = random.Random(seed)
    bricks = ["a", "é", "한글", " ", "\t", "\n", "\n\n", "\r\n", "\r", "\n---\n"]
    bricks += ["\x0c", "\u2028", "\xa0", "\n===\n\n", "word"]
    return "".join(draw.choice(bricks) for _ in range(60))


@pytest.mark.parametrize("seed", range(60))
def test_paragraphs_are_those_of_the_whole_text(written, seed):
    path = written(random_text(seed).encode("utf-8"))
    assert list(documents(path)) == paragraphs(load_text(path))


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_those_of_the_whole_text(written, seed):
    path = written(random_text(seed).encode("utf-8"))
    lines = [" ".join(line.split()) for line in load_text(path).split("\n")]
    assert list(documents(path, lines=True)) == [line for line in lines if line]


def test_the_mark_at_the_beginning_is_no_text(written):
    path = written(b"\xef\xbb\xbfone\n\ntwo")
    assert list(documents(path)) == ["one", "two"]


def test_an_empty_file_has_no_document(written):
    assert list(documents(written(b""))) == list(documents(written(b"\n \n"))) == []


def test_the_text_is_never_held(written):
    path = written(b"a paragraph of some words\n\n" * 10_000)  # 250 kB
    tracemalloc.start()
    n_documents = sum(1 for _ in documents(path))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_documents == 10_000
    assert most < 150_000


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", (sha256_of, lambda path: list(documents(path))))
def test_a_file_that_is_not_there(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="no file .*none.txt: check the spell"):
        read(tmp_path / "none.txt")
    with pytest.raises(IsADirectoryError, match="is a folder: give a text file in it"):
        read(tmp_path)


@pytest.mark.parametrize("mark", (b"", b"\xef\xbb\xbf"))
def test_what_is_no_utf_8_is_refused_with_its_place(written, mark):
    content = mark + "first\n\nzwölf ".encode() + b"\xff more\n"
    place = content.index(b"\xff")
    with pytest.raises(
        ValueError, match=f"is not a UTF-8 text: byte 0xff at position {place}. Unpack"
    ):
        list(documents(written(content)))


@pytest.mark.parametrize("mark", (b"", b"\xef\xbb\xbf"))
def test_what_holds_a_zero_is_refused_with_its_place(written, mark):
    content = mark + "é\n\na\0b".encode()
    place = content.index(0)
    with pytest.raises(ValueError, match=f"not a text: byte 0x00 at position {place}"):
        list(documents(written(content)))


# ---- parts ---------------------------------------------------------------------------------------


def test_parts_are_shared_out_eight_to_one_to_one():
    counts = Counter(part_of(f"document {number}") for number in range(5_000))
    assert set(counts) == set(PARTS)
    for part, share in (("train", 0.8), ("dev", 0.1), ("test", 0.1)):
        assert abs(counts[part] / 5_000 - share) < 0.02


def test_a_document_has_one_part_wherever_it_stands():
    """The hash is that of `python_docs`, so its value is known for ever."""
    from lmcourse.data.python_docs import _part

    for document in python_docs().dev[:200]:
        assert part_of(document) == _part(document)


# ---- vocabulary and pieces -----------------------------------------------------------------------


def test_the_most_frequent_tokens_are_kept():
    texts = ["b a c a", "a b d <unk>"]
    tokenizer = most_frequent(WordTokenizer, iter(texts), vocab_size=5)
    assert tokenizer.tokens == ("<s>", "</s>", "<unk>", "a", "b")
    assert tokenizer.encode("a d b") == [0, 3, 2, 4, 1]
    everything = most_frequent(WordTokenizer, texts, vocab_size=100)
    assert set(everything.tokens[3:]) == set("abcd")
    characters = most_frequent(CharTokenizer, ["한글 글"], vocab_size=4)
    assert characters.tokens[3:] == ("글",)


def test_a_vocabulary_needs_room_and_tokens():
    with pytest.raises(ValueError, match="vocab_size=3; .* make 4 at least"):
        most_frequent(CharTokenizer, ["a"], vocab_size=3)
    with pytest.raises(ValueError, match="0 tokens; at least 1 is needed"):
        most_frequent(CharTokenizer, [], vocab_size=9)


@pytest.mark.parametrize("n", (0, 1, 5, 6, 7, 12))
@pytest.mark.parametrize("context_length", (1, 3, 6))
def test_pieces_hold_all_tokens_in_their_order(n, context_length):
    inside = list(range(5, 5 + n))
    pieces = cut([0, *inside, 1], context_length)
    assert [token for piece in pieces for token in piece[1:-1]] == inside
    assert {(piece[0], piece[-1]) for piece in pieces} == {(0, 1)}
    assert max(len(piece) for piece in pieces) <= context_length + 2
    assert len(pieces) == max(1, -(-n // context_length))


def test_a_piece_of_nothing_is_refused():
    with pytest.raises(ValueError, match="context_length=0; .* at least 1 token"):
        cut([0, 5, 1], 0)
