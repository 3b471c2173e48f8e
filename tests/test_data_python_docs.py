"""Python's documentation: each paragraph once, split by topic."""

import hashlib
import sys

import pytest

from lmcourse.data.python_docs import (
    REFERENCE_PYTHON,
    REFERENCE_SHA256,
    TextSplit,
    paragraphs,
    python_docs,
    split_topics,
)


@pytest.fixture(scope="module")
def docs() -> TextSplit:
    return python_docs()


def test_every_paragraph_once_and_none_in_two_parts(docs):
    documents = [*docs.train, *docs.dev, *docs.test]
    assert len(set(documents)) == len(documents)
    assert all(document == " ".join(document.split()) != "" for document in documents)


def test_the_parts_have_sensible_sizes(docs):
    sizes = [sum(map(len, part)) for part in (docs.train, docs.dev, docs.test)]
    assert 250_000 < sum(sizes) < 500_000
    assert sizes[0] > 0.7 * sum(sizes) and min(sizes) > 0.05 * sum(sizes)


def test_the_checksum_is_that_of_the_text(docs):
    text = "\n\n".join("\n".join(part) for part in (docs.train, docs.dev, docs.test))
    assert docs.sha256 == hashlib.sha256(text.encode("utf-8")).hexdigest()
    assert docs.python_version == ".".join(map(str, sys.version_info[:3]))
    if docs.python_version == REFERENCE_PYTHON:
        assert docs.sha256 == REFERENCE_SHA256
    assert docs.is_reference == (docs.sha256 == REFERENCE_SHA256)


def test_paragraphs():
    text = "Title\n*****\n\n  One\n two.\r\n \n\n\n   x = 1\n   y = 2\n"
    text += "\n-----\n\n======  ====\n{}\n"
    assert paragraphs(text) == ["Title", "One two.", "x = 1 y = 2", "{}"]
    assert paragraphs("") == []


def topics_of_every_part() -> dict[str, str]:
    return {f"topic {i}": f"Text {i}.\n\nSee also." for i in range(40)}


def test_a_topic_stays_in_its_part_whatever_else_there_is():
    topics = topics_of_every_part()
    split = split_topics(topics)
    more = split_topics(topics | {"another topic": "More."})
    for part in ("train", "dev", "test"):
        assert set(getattr(split, part)) <= set(getattr(more, part))
    assert split.sha256 != more.sha256
    documents = [*split.train, *split.dev, *split.test]
    assert documents.count("See also.") == 1 and len(documents) == 41
    # the order in which the topics come does not matter
    assert split_topics(dict(reversed(topics.items()))) == split


def test_a_python_without_topics(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(OSError, match="no pydoc_data.topics.*install"):
        python_docs.__wrapped__()


def test_too_few_topics():
    with pytest.raises(ValueError, match="0 topics leave the train part empty"):
        split_topics({})
