"""The glossary and the chapters: a term is linked where a chapter uses it first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
AFTER_THE_CHAPTERS = ROOT / "book/beyond_one_machine.md"
ENTRY = re.compile(r"^(\S.*)\n(\S.*)\n  (\S.*)$", re.MULTILINE)
LINK = re.compile(r"(?:\.\./book/)?glossary\.md#(.+)")
MARKDOWN = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)

# Where a chapter first has the word, but not the term: the chapter's first use need not be linked.
ORDINARY = "the word of every day"
ANOTHER_SENSE = {
    "01_language_models": {
        "attention": ORDINARY,
        "head": "of a coin",
        "order": ORDINARY,
        "piece": ORDINARY,
        "rank": ORDINARY,
        "score": ORDINARY,
        "value": ORDINARY,
    },
    "02_markov": {
        "cache": "of the words that a text used lately",
        "loss": "what an n-gram loses to a discount",
        "memory": ORDINARY,
        "order": "of factors",
        "score": ORDINARY,
        "surprise": ORDINARY,
    },
    "03_rnn": {
        "chain-rule": "of calculus",
        "clipping": "of gradients",
        "memory": ORDINARY,
        "piece": ORDINARY,
        "score": "a logit",
        "value": ORDINARY,
    },
    "04_seq2seq": {
        "order": "of words",
        "piece": ORDINARY,
        "score": ORDINARY,
    },
    "05_attention": {
        "context": "the context vector",
        "order": "of words",
        "score": ORDINARY,
    },
    "06_self_attention": {"order": "of words", "piece": ORDINARY},
    "07_multi_head_attention": {
        "memory": "of a computer",
        "order": ORDINARY,
        "piece": ORDINARY,
        "value": ORDINARY,
    },
    "08_transformer": {
        "chain-rule": "of calculus",
        "order": "of the parts of a block",
        "piece": ORDINARY,
        "score": ORDINARY,
    },
    "09_bert": {
        "head": "the last layers, made for one task",
        "order": "of the parts of a block",
        "rank": ORDINARY,
        "score": ORDINARY,
    },
    "10_scoreboard": {
        "memory": "of a computer",
        "piece": ORDINARY,
        "recall": "the share of what should be found",
        "score": "of a translation",
        "state": ORDINARY,
    },
}


@dataclass(frozen=True)
class Term:
    """An entry of the glossary: its place, its English and Korean name, and what it says."""

    slug: str
    english: str
    korean: str
    meaning: str

    @property
    def names(self) -> list[str]:
        """What a chapter may call it.

        "alignment error rate (AER)" goes by both, a recurrent neural network also by what stands
        after "Short:".
        """
        long, _, bracket = self.english.removesuffix(")").partition(" (")
        short = re.search(r"\bShort: (\w+)\.", self.meaning)
        return [name for name in (long, bracket, short and short[1]) if name]


@cache
def terms() -> dict[str, Term]:
    text = (ROOT / "book/glossary.md").read_text(encoding="utf-8")
    found = {}
    for english, korean, meaning in ENTRY.findall(text):
        slug = re.sub(r"[^a-z0-9]+", "-", english.lower()).strip("-")
        found[slug] = Term(slug, english, korean, meaning)
    assert len(found) == text.count("\n  ")
    return found


@cache
def any_term() -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern for all names, the longest first, and the term of each of its groups."""
    named = [(name, term.slug) for term in terms().values() for name in term.names]
    named.sort(key=lambda item: -len(item[0]))
    parts = []
    for number, (name, _) in enumerate(named):
        words = r"[\s-]".join(re.escape(word) for word in re.split("[ -]", name))
        plural = words[:-1] + "(?:ys?|ies)" if name[-1] == "y" else words + "(?:s|es)?"
        parts.append(f"(?P<g{number}>{plural})")
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(parts)})(?![\w-])", re.IGNORECASE)
    return pattern, {f"g{number}": slug for number, (_, slug) in enumerate(named)}


def pieces(source: str) -> Iterator[tuple[str, str | None]]:
    """The prose of a cell, without headings, code, formulas: text and the address it links to."""
    in_heading = False
    for block in MARKDOWN.parse(source):
        if block.type in ("heading_open", "heading_close"):
            in_heading = block.type == "heading_open"
        if block.type != "inline" or in_heading:
            continue
        text, address = "", None
        for part in block.children:
            if part.type in ("link_open", "link_close"):
                yield text, address
                text, address = "", part.attrGet("href")
            elif part.type == "text":
                text += part.content
            elif part.type in ("softbreak", "hardbreak"):
                text += " "
            elif part.type in ("code_inline", "math_inline"):
                text += "\0"
        yield text, address


def read(source: str) -> tuple[dict[str, str], set[str]]:
    """The terms that a cell uses outside links, each with some words around, and those it links."""
    pattern, term_of = any_term()
    used: dict[str, str] = {}
    linked = set()
    for text, address in pieces(source):
        if address is not None:
            if found := LINK.fullmatch(address):
                linked.add(found[1])
            continue
        for match in pattern.finditer(text):
            around = text[max(0, match.start() - 40) : match.end() + 40]
            used.setdefault(term_of[match.lastgroup], around)
    return used, linked


def not_linked(cells: list[str]) -> dict[str, str]:
    """The terms that stand in a row of cells before any link to them, with some words around."""
    late: dict[str, str] = {}
    seen: set[str] = set()
    for source in cells:
        used, linked = read(source)
        seen |= linked
        for slug in used.keys() - seen:
            late.setdefault(slug, used[slug])
    return late


@cache
def prose(path: Path) -> list[str]:
    """The Markdown cells of a chapter, or a page as one cell."""
    if path.suffix == ".md":
        return [path.read_text(encoding="utf-8")]
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


# ------------------------------------------------------------------------------------- the rule
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_term_is_linked_where_it_is_used_first(path):
    late = not_linked(prose(path))
    allowed = ANOTHER_SENSE.get(path.stem, {})
    assert {slug: text for slug, text in late.items() if slug not in allowed} == {}
    assert allowed.keys() - late.keys() == set(), "these exceptions are not needed"


def test_the_rule_is_noticed():
    link = "a [probe](../book/glossary.md#probe)"
    assert not_linked(["A probe. A `token`, $token$."]) == {
        "probe": "A probe. A \0, \0."
    }
    assert not_linked(["# Probes\n\n[probes](elsewhere.md)", "the probed"]) == {}
    assert set(not_linked(["Probes", link])) == {"probe"}
    assert set(not_linked([link, "Linear\nprobes"])) == set()
    assert set(not_linked(["Its hidden\nstate, two hidden states"])) == {"hidden-state"}
    assert set(not_linked(["| an RNN |\n| --- |\n| queries |"])) == {
        "recurrent-neural-network",
        "query",
    }


# --------------------------------------------------------------------------------- the entries
def test_every_term_has_an_english_and_a_korean_name():
    for term in terms().values():
        assert term.english.isascii() or term.english[0].isascii()
        assert re.search("[\uac00-\ud7a3]", term.korean), term
        assert term.meaning.rstrip(")").endswith((".", "?")), term


def test_every_term_is_linked_by_a_chapter():
    linked = set()
    for path in (*CHAPTERS, AFTER_THE_CHAPTERS):
        for source in prose(path):
            linked |= read(source)[1]
    assert terms().keys() - linked == set()


BOLD_LINK = re.compile(r"\*\*\[[^\]]+\]\((?:\.\./book/)?glossary\.md#([\w-]+)\)")


def test_the_korean_name_stands_beside_the_definition():
    """The first chapter with a term in bold and linked defines it: its Korean name is there."""
    without = []
    defined: set[str] = set()
    for path in (*CHAPTERS, AFTER_THE_CHAPTERS):
        text = "\n\n".join(prose(path))
        for slug in set(BOLD_LINK.findall(text)) - defined:
            defined.add(slug)
            korean = re.split(r" \(", terms()[slug].korean)[0]
            if korean not in text:
                without.append(f"{path.stem}: {terms()[slug].english} ({korean})")
    assert without == []
