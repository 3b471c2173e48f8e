"""English to Korean: pairs of sentences whose translation and alignment are known.

English puts the verb between subject and object, Korean puts it last. English relative clauses
follow their noun, Korean ones go before it. Korean marks what a noun does by a particle, and the
particle depends on the noun's last sound. So words move far, and some words come from no word.

The grammar is synchronous: each rule says at once in which order English has its parts, and in
which order Korean has them (Aho and Ullman 1969). `_Reader` has one method for each rule::

    Sentence -> Clause ("and" Clause)*          all but the last Korean verb take the form "-고"
    Clause   -> NP Verb | NP Verb NP            subject (object) verb
    NP       -> Basic | Basic Relative          relative clause first
    Basic    -> Article Noun | Article Adjective Noun         adjective noun particle
    Relative -> "that" Verb | "that" Verb Basic | "that" Basic Verb      (noun) adnominal verb

A Basic inside a relative clause has no relative clause of its own.

The English is unambiguous. Every word belongs to one category, and the category of the next word
always decides how to go on. "that" opens a relative clause, and an article right after it opens
the subject of that clause. A relative clause has exactly one verb, so the verb after it is the main
verb. "and" joins main clauses only. One word of look-ahead is enough: a sentence has one
derivation, and the translation is a function of the source.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch

from lmcourse.data.pcfg import Grammar
from lmcourse.tokenizers import WordTokenizer
from lmcourse.training import generator as random_stream

__all__ = [
    "LEXICON",
    "Pair",
    "TranslationData",
    "english_grammar",
    "sample_pair",
    "surface",
    "translate",
    "translation_data",
]

# ---- the words ---------------------------------------------------------------------------------


def _verbs(*rows: str) -> dict[str, dict[str, str]]:
    """Rows of present/past: English, final form, connective form, adnominal form."""
    verbs = {}
    for row in rows:
        english, final, connective, adnominal = (
            column.split("/") for column in row.split()
        )
        for tense, word in enumerate(english):
            verbs[word] = {
                "final": final[tense],
                "connective": connective[tense],
                "adnominal": adnominal[tense],
            }
    return verbs


LEXICON = {
    "article": ["the", "a"],
    "adjective": {"small": "작은", "big": "큰", "white": "하얀", "quick": "빠른"},
    "noun": {
        "rabbit": "토끼",
        "turtle": "거북이",
        "cat": "고양이",
        "fox": "여우",
        "bear": "곰",
        "horse": "말",
        "sheep": "양",
        "deer": "사슴",
    },
    "transitive verb": _verbs(
        "sees/saw 본다/봤다 보고/봤고 보는/본",  # 보다: 보았다 is contracted
        "chases/chased 쫓는다/쫓았다 쫓고/쫓았고 쫓는/쫓은",  # 쫓다: regular
        "helps/helped 돕는다/도왔다 돕고/도왔고 돕는/도운",  # 돕다: ㅂ turns into 오, 우
        "calls/called 부른다/불렀다 부르고/불렀고 부르는/부른",  # 부르다: ㄹ is doubled
        "pushes/pushed 민다/밀었다 밀고/밀었고 미는/민",  # 밀다: ㄹ falls before ㄴ
        "likes/liked 좋아한다/좋아했다 좋아하고/좋아했고 좋아하는/좋아한",  # 좋아하다
    ),
    "intransitive verb": _verbs(
        "sleeps/slept 잔다/잤다 자고/잤고 자는/잔",  # 자다: 자았다 is contracted
        "walks/walked 걷는다/걸었다 걷고/걸었고 걷는/걸은",  # 걷다: ㄷ turns into ㄹ
        "laughs/laughed 웃는다/웃었다 웃고/웃었고 웃는/웃은",  # 웃다: regular
    ),
    "particle": {  # after a consonant, after a vowel
        "topic": ["은", "는"],
        "subject": ["이", "가"],
        "object": ["을", "를"],
    },
}
"""The words of both languages, plain enough for JSON.

Articles have no translation. Nouns and adjectives have one Korean form each. Every English verb
form, present or past, has three Korean forms: `final` closes the sentence, `connective` joins the
clause to the next, `adnominal` stands before the noun that the clause describes.
"""

_ADJECTIVES, _NOUNS = LEXICON["adjective"], LEXICON["noun"]
_VERBS = LEXICON["transitive verb"] | LEXICON["intransitive verb"]
_PARTICLES = {p: role for role, forms in LEXICON["particle"].items() for p in forms}

_TRANSITIVE, _INTRANSITIVE = "transitive verb", "intransitive verb"
_END = "end"
_WORDS = {  # for each category its words; "and" and "that" are categories of one word
    name: tuple(LEXICON[name])
    for name in ("article", "adjective", "noun", _TRANSITIVE, _INTRANSITIVE)
} | {"that": ("that",), "and": ("and",)}
_CATEGORY = {word: name for name, words in _WORDS.items() for word in words}


def _particle(noun: str, role: str) -> str:
    """The particle for a Korean noun in this role.

    A syllable's code point counts first consonants, vowels and final consonants like digits. The
    last digit has 28 values, and 0 means no final consonant.
    """
    after_consonant, after_vowel = LEXICON["particle"][role]
    has_final_consonant = (ord(noun[-1]) - ord("가")) % 28 != 0
    return after_consonant if has_final_consonant else after_vowel


# ---- one pair ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A sentence, its translation, and which word made which.

    A link is (source position, target position), both counted from 0.

    Attributes:
        source: English words, separated by single spaces.
        target: Korean tokens, separated by single spaces. A particle is a token of its own.
        sure: the links of nouns, adjectives and verbs, one for each.
        possible: the sure links, and those that may be disputed: from a noun to its particle,
            from "and" to the connective verb of the clause before it, and from "that" to the
            adnominal verb of its clause.
        n_clauses: how many main clauses are joined.
    """

    source: str
    target: str
    sure: frozenset[tuple[int, int]]
    possible: frozenset[tuple[int, int]]
    n_clauses: int


class _Word(NamedTuple):
    """A Korean token and the source positions it is linked to."""

    text: str
    sure: int | None
    possible: int | None


class _Reader:
    """Reads English from left to right, and puts the Korean of each rule together.

    `position` is that of the next word. `expected` collects the categories that could stand
    there.
    """

    def __init__(self, words: Sequence[str]):
        self.words = words
        self.position = 0
        self.expected: list[str] = []

    def sentence(self) -> tuple[list[_Word], int]:
        """The Korean, and the number of clauses."""
        korean, n_clauses = [], 0
        while True:
            before, verb = self.clause()
            n_clauses += 1
            if not self.sees("and"):
                self.take(_END)
                return [*korean, *before, self.verb(verb, "final")], n_clauses
            joint = self.take("and")
            korean += [*before, self.verb(verb, "connective", joint)]

    def clause(self) -> tuple[list[_Word], int]:
        """The Korean before the verb, and the position of the verb: "and" decides its form."""
        subject = self.noun_phrase("topic")
        verb = self.take(_TRANSITIVE, _INTRANSITIVE)
        if self.category(verb) == _INTRANSITIVE:
            return subject, verb
        return [*subject, *self.noun_phrase("object")], verb

    def noun_phrase(self, role: str) -> list[_Word]:
        basic = self.basic(role)
        return [*self.relative(), *basic] if self.sees("that") else basic

    def basic(self, role: str) -> list[_Word]:
        self.take("article")
        korean = []
        if self.sees("adjective"):
            adjective = self.take("adjective")
            korean.append(_Word(_ADJECTIVES[self.words[adjective]], adjective, None))
        position = self.take("noun")
        noun = _NOUNS[self.words[position]]
        return [
            *korean,
            _Word(noun, position, None),
            _Word(_particle(noun, role), None, position),
        ]

    def relative(self) -> list[_Word]:
        that = self.take("that")
        if self.sees("article"):
            before = self.basic("subject")
            verb = self.take(_TRANSITIVE)
        else:
            verb = self.take(_TRANSITIVE, _INTRANSITIVE)
            before = self.basic("object") if self.category(verb) == _TRANSITIVE else []
        return [*before, self.verb(verb, "adnominal", that)]

    def verb(self, position: int, form: str, cause: int | None = None) -> _Word:
        return _Word(_VERBS[self.words[position]][form], position, cause)

    def category(self, position: int) -> str | None:
        """What the word at this position is; None if it is unknown."""
        if position == len(self.words):
            return _END
        return _CATEGORY.get(self.words[position])

    def sees(self, *categories: str) -> bool:
        """Whether the next word is of one of these categories. It stays the next word."""
        self.expected += [name for name in categories if name not in self.expected]
        return self.category(self.position) in categories

    def take(self, *categories: str) -> int:
        """Moves on behind the next word, and returns its position."""
        if not self.sees(*categories):
            raise ValueError(self.complaint())
        self.expected = []
        self.position += 1
        return self.position - 1

    def complaint(self) -> str:
        category = self.category(self.position)
        if not self.words:
            what = "the sentence is empty"
        elif category == _END:
            what = f"the sentence ends too early, after {self.words[-1]!r}"
        elif category is None:
            what = f"{self.words[self.position]!r} is no word of this language"
        else:
            what = f"{self.words[self.position]!r} is out of place"
        could = " or ".join(map(_describe, self.expected))
        return (
            f"{what}; at position {self.position} could stand {could} "
            "(the first word is at position 0)"
        )


def _describe(category: str) -> str:
    if category == _END:
        return "the end of the sentence"
    words = _WORDS[category]
    if words == (category,):
        return repr(category)
    article = "an" if category[0] in "aeiou" else "a"
    return f"{article} {category} ({', '.join(words)})"


def translate(source: str) -> Pair:
    """The translation of an English sentence of the grammar, with its alignment.

    Args:
        source: words separated by spaces, in lower case, with any number of clauses.

    Raises:
        ValueError: if the source is no sentence of the grammar. The message names the first word
            that is wrong, its position, and what could stand there.

    Example:
        >>> pair = translate("the rabbit that a bear saw sleeps")
        >>> pair.target
        '곰 이 본 토끼 는 잔다'
        >>> sorted(pair.sure)
        [(1, 3), (4, 0), (5, 2), (6, 5)]
        >>> sorted(pair.possible - pair.sure)
        [(1, 4), (2, 2), (4, 1)]
    """
    words = source.split()
    korean, n_clauses = _Reader(words).sentence()
    sure = frozenset((w.sure, t) for t, w in enumerate(korean) if w.sure is not None)
    disputed = frozenset(
        (w.possible, t) for t, w in enumerate(korean) if w.possible is not None
    )
    target = " ".join(word.text for word in korean)
    return Pair(" ".join(words), target, sure, sure | disputed, n_clauses)


def surface(target: str) -> str:
    """Korean for reading: each particle joined to the word before it.

    Any tokens will do, also those of a model that errs. A particle with nothing before it stays
    alone.

    Example:
        >>> surface("작은 토끼 는 거북이 를 봤다")
        '작은 토끼는 거북이를 봤다'
    """
    words: list[str] = []
    for token in target.split():
        if token in _PARTICLES and words:
            words[-1] += token
        else:
            words.append(token)
    return " ".join(words)


# ---- sampling ----------------------------------------------------------------------------------

_CLAUSE_PROBS = {1: 0.4, 2: 0.35, 3: 0.25}


@cache
def english_grammar(n_clauses: int | None = None) -> Grammar:
    """The English side, with the probabilities that sentences are drawn with.

    Args:
        n_clauses: how many clauses every sentence has. None: 1 to 3, as in training.

    Raises:
        ValueError: if `n_clauses` is not positive.

    Example:
        >>> english_grammar()
        Grammar(Sentence: 10 nonterminals, 44 rules, 34 words)
    """
    if n_clauses is not None and n_clauses < 1:
        raise ValueError(f"n_clauses={n_clauses} is below 1: a sentence has a clause")
    clause_probs = _CLAUSE_PROBS if n_clauses is None else {n_clauses: 1.0}
    rules = {
        "Sentence": {
            " and ".join(["Clause"] * n): prob for n, prob in clause_probs.items()
        },
        "Clause": {"NP Vi": 0.3, "NP Vt NP": 0.7},
        "NP": {"Basic": 0.8, "Basic Relative": 0.2},
        "Basic": {"Article Noun": 0.65, "Article Adjective Noun": 0.35},
        "Relative": {"that Vi": 0.2, "that Vt Basic": 0.4, "that Basic Vt": 0.4},
    }
    for symbol, category in {
        "Article": "article",
        "Adjective": "adjective",
        "Noun": "noun",
        "Vt": _TRANSITIVE,
        "Vi": _INTRANSITIVE,
    }.items():
        words = _WORDS[category]
        rules[symbol] = {word: 1 / len(words) for word in words}
    return Grammar(rules, start="Sentence")


def sample_pair(generator: torch.Generator, n_clauses: int | None = None) -> Pair:
    """Draws one pair. There is no end to them, and they belong to no part of the data.

    Args:
        generator: the source of randomness.
        n_clauses: how many clauses. None: 1 to 3, as in training.

    Raises:
        ValueError: if `n_clauses` is not positive.

    Example:
        >>> sample_pair(torch.Generator().manual_seed(0), n_clauses=2).n_clauses
        2
    """
    return translate(_draw(1, generator, n_clauses)[0])


def _draw(n: int, generator: torch.Generator, n_clauses: int | None) -> list[str]:
    samples = english_grammar(n_clauses).sample(n, generator)
    return [" ".join(sample.words) for sample in samples]


# ---- the data ----------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class TranslationData:
    """Pairs to learn from and to be tested on.

    `train`, `dev` and `test` share no source sentence, not even between different seeds.

    Attributes:
        train: 1 to 3 clauses. Short sentences are few, so they come back, as they would in life.
        dev: 1 to 3 clauses, to choose with. Each source stands once.
        test: 1 to 3 clauses, to report on. Each source stands once.
        longer: 4 or 5 clauses, more than any sentence of `train` has. Each source stands once.
        source_tokenizer: English words to ids; every word of the lexicon, drawn or not.
        target_tokenizer: Korean tokens to ids; every token of the lexicon, drawn or not.
    """

    train: tuple[Pair, ...]
    dev: tuple[Pair, ...]
    test: tuple[Pair, ...]
    longer: tuple[Pair, ...]
    source_tokenizer: WordTokenizer
    target_tokenizer: WordTokenizer

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name}={len(getattr(self, name))}"
            for name in ("train", "dev", "test", "longer")
        )
        return (
            f"TranslationData({sizes} pairs, {len(self.source_tokenizer)} English and "
            f"{len(self.target_tokenizer)} Korean tokens)"
        )


@cache
def translation_data(
    seed: int = 0,
    n_train: int = 20_000,
    n_dev: int = 500,
    n_test: int = 1_500,
    n_longer: int = 500,
) -> TranslationData:
    """Draws the pairs.

    The hash of a source sentence decides to which part it may belong. It does not depend on the
    seed, so what one seed trains on is never what another is tested on.

    Args:
        seed: another seed, other sentences.
        n_train: how many pairs to learn from. Fewer are the beginning of more.
        n_dev: how many pairs to choose with.
        n_test: how many pairs to report on.
        n_longer: how many pairs of 4 or 5 clauses.

    Raises:
        ValueError: if a number of pairs is not positive.

    Example:
        >>> data = translation_data()
        >>> data
        TranslationData(train=20000, dev=500, test=1500, longer=500 pairs,
        36 English and 74 Korean tokens)
        >>> data.target_tokenizer.vocab_size
        74
    """
    sizes = {"train": n_train, "dev": n_dev, "test": n_test, "longer": n_longer}
    for name, n_pairs in sizes.items():
        if n_pairs < 1:
            raise ValueError(
                f"n_{name}={n_pairs} is not positive: each part needs a pair"
            )
    korean_verbs = [form for forms in _VERBS.values() for form in forms.values()]
    return TranslationData(
        **{name: _part(name, n_pairs, seed) for name, n_pairs in sizes.items()},
        source_tokenizer=WordTokenizer(_CATEGORY),
        target_tokenizer=WordTokenizer(
            [*_ADJECTIVES.values(), *_NOUNS.values(), *_PARTICLES, *korean_verbs]
        ),
    )


def _part(name: str, n_pairs: int, seed: int) -> tuple[Pair, ...]:
    """Draws sentences, and keeps those that may stand in this part."""
    stream = random_stream(seed, f"translation, {name}")
    sources: list[str] = []
    seen: set[str] = set()
    while len(sources) < n_pairs:
        for source in _candidates(name, stream):
            repeated = source in seen
            seen.add(source)
            if name == "train" or not repeated:
                sources.append(source)
    return tuple(map(translate, sources[:n_pairs]))


def _candidates(name: str, stream: torch.Generator, n: int = 500) -> list[str]:
    if name == "longer":
        four, five = (_draw(n, stream, n_clauses) for n_clauses in (4, 5))
        return [source for both in zip(four, five, strict=True) for source in both]
    return [s for s in _draw(n, stream, None) if _part_of(s) == name]


def _part_of(source: str) -> str:
    """The part of the data that a source of 1 to 3 clauses may stand in."""
    digest = hashlib.sha256(source.encode()).digest()
    percent = int.from_bytes(digest[:8], "little") % 100
    return "test" if percent < 10 else "dev" if percent < 15 else "train"
