"""Shannon's guessing game of chapter 1: the reader and the models guess the same symbols.

Source: C. E. Shannon, "Prediction and Entropy of Printed English", 1951.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import traitlets

from lmcourse.language_models import LanguageModel, Unigram
from lmcourse.tokenizers import EOS, Tokenizer
from lmcourse.widgets.base import CourseWidget, table


def shannon_bounds(counts: Sequence[float | int]) -> tuple[float, float]:
    """Bounds on the entropy of a text per symbol, from the numbers of guesses that it took.

    With q_1 >= q_2 >= ... the shares of symbols that were right at each rank, the entropy lies
    between `sum_r r (q_r - q_{r+1}) log2 r` and `-sum_r q_r log2 q_r` (Shannon 1951). The upper
    bound holds for every player, the lower one for a player who always guesses in the order of
    the true probabilities. The shares are sorted first. Few symbols make both bounds rough.

    Args:
        counts: How many symbols were right at the 1st, 2nd, 3rd, ... guess.

    Returns:
        Lower and upper bound in bits per symbol.

    Raises:
        ValueError: No symbol was guessed, or a count is negative.

    >>> shannon_bounds([4, 4])
    (1.0, 1.0)
    """
    total = sum(counts)
    if not total > 0 or not min(counts) >= 0:
        raise ValueError(
            f"counts={list(counts)} sum to {total}: give at least one guessed symbol"
        )
    shares = sorted((count / total for count in counts), reverse=True)
    upper = sum(share * math.log2(1 / share) for share in shares if share > 0)
    steps = zip(shares, [*shares[1:], 0.0], strict=True)
    lower = sum(
        rank * (share - after) * math.log2(rank)
        for rank, (share, after) in enumerate(steps, 1)
    )
    return lower, upper


def _sparse(
    probs: Mapping[str, float | int], index: Mapping[str, int]
) -> list[float | int]:
    """`[index, probability, index, probability, ...]`; five digits, nothing below 1e-5."""
    unknown = sorted(set(probs) - set(index))
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} is not among the {len(index)} words of the vocabulary"
        )
    total = sum(probs.values())
    if not 0.999 < total < 1.001 or not min(probs.values()) >= 0:
        raise ValueError(
            f"probabilities sum to {total:.6g}: none is negative and they must sum to 1"
        )
    pairs = sorted(
        (index[word], float(f"{p:.5g}")) for word, p in probs.items() if p >= 1e-5
    )
    return [number for pair in pairs for number in pair]


class ShannonGame(CourseWidget):
    """Guess unseen sentences symbol by symbol, against models that guess the same symbols.

    Args:
        sentences: Sentences to guess, words separated by single spaces.
        vocabulary: Every word that may come; `</s>` is added where it is missing.
        models: By name, one of: a mapping `{word: probability}` for a model without context; or,
            for each sentence, for each position (the one of `</s>` last), such a mapping. The
            uniform model is always there.
        examples: Sentences the reader may study first.
        unit: What is guessed, "words" or "letters".

    Raises:
        ValueError: A sentence has a word outside the vocabulary, or a model has a wrong number of
            distributions, or one that does not sum to one.

    After play `game.guesses` lists what was guessed: dictionaries with sentence, position, symbol,
    guesses and revealed.

    >>> game = ShannonGame(["a b"], ["a", "b"], {"unigram": {"a": 0.3, "b": 0.3, "</s>": 0.4}})
    >>> game.guesses
    []
    """

    name = "shannon_game"

    sentences = traitlets.List(traitlets.Unicode()).tag(sync=True)
    vocabulary = traitlets.List(traitlets.Unicode()).tag(sync=True)
    models = traitlets.List(traitlets.Dict()).tag(sync=True)
    examples = traitlets.List(traitlets.Unicode()).tag(sync=True)
    unit = traitlets.Enum(["words", "letters"], "words").tag(sync=True)
    sentence = traitlets.Int(0, min=0, help="Index of the current sentence.").tag(
        sync=True
    )
    guesses = traitlets.List(traitlets.Dict(), help="What was guessed.").tag(sync=True)

    def __init__(
        self,
        sentences: Sequence[str],
        vocabulary: Sequence[str],
        models: Mapping[str, Any],
        examples: Sequence[str] = (),
        unit: str = "words",
    ) -> None:
        if not sentences:
            raise ValueError("sentences is empty: give at least one sentence")
        if unit not in ("words", "letters"):
            raise ValueError(f"unit={unit!r} is neither 'words' nor 'letters'")
        words = [word for word in vocabulary if word != EOS] + [EOS]
        index = {word: i for i, word in enumerate(words)}
        lengths = []
        for sentence in sentences:
            unknown = [word for word in sentence.split() if word not in index]
            if unknown:
                raise ValueError(
                    f"{unknown[0]!r} in {sentence!r} is not in the vocabulary"
                )
            lengths.append(len(sentence.split()) + 1)
        super().__init__(
            sentences=list(sentences),
            vocabulary=words,
            models=[{"name": "uniform", "kind": "uniform"}]
            + [_pack(name, given, index, lengths) for name, given in models.items()],
            examples=list(examples),
            unit=unit,
        )

    @classmethod
    def of(
        cls,
        models: Mapping[str, LanguageModel],
        sentences: Sequence[str],
        tokenizer: Tokenizer,
        **kwargs: Any,
    ) -> ShannonGame:
        """A game whose opponents are language models, any that keep the course's interface.

        A `Unigram` is taken as a model without context, every other one is asked at each position.

        >>> from lmcourse.tokenizers import WordTokenizer
        >>> tokenizer = WordTokenizer.train(["a b"])
        >>> model = Unigram.fit([tokenizer.encode("a b")], tokenizer.vocab_size)
        >>> ShannonGame.of({"unigram": model}, ["b a"], tokenizer)
        ShannonGame(1 sentence, models: uniform, unigram)
        """
        given = {}
        for name, model in models.items():
            rows = [
                _next_word_probs(model, sentence, tokenizer) for sentence in sentences
            ]
            given[name] = rows[0][0] if isinstance(model, Unigram) else rows
        return cls(sentences, tokenizer.tokens[1:], given, **kwargs)

    @classmethod
    def teaching_language(
        cls, n_sentences: int = 12, unit: str = "words"
    ) -> ShannonGame:
        """The game of chapter 1: held-out sentences of the teaching language, of 4 to 12 words,
        against the unigram of its training text and the true grammar.

        Raises:
            ValueError: n_sentences is not positive.
        """
        from lmcourse.data.grammar import TEACHING_GRAMMAR, TrueModel, teaching_language

        if n_sentences < 1:
            raise ValueError(f"n_sentences={n_sentences} is not positive")
        language = teaching_language()
        short = [
            line
            for line in dict.fromkeys(language.test)
            if 4 <= len(line.split()) <= 12
        ]
        tokenizer = language.tokenizer
        ids = [tokenizer.encode(line) for line in language.train]
        models = {
            "unigram": Unigram.fit(ids, tokenizer.vocab_size),
            "true grammar": TrueModel(TEACHING_GRAMMAR, tokenizer),
        }
        examples = [
            line for line in dict.fromkeys(language.train) if len(line.split()) <= 12
        ][:6]
        return cls.of(
            models, short[:n_sentences], tokenizer, examples=examples, unit=unit
        )

    def fallback(self) -> str:
        names = ", ".join(model["name"] for model in self.models)
        rows: list[list[object]] = [
            [" ".join(sentence.split()[:2]) + " …", len(sentence.split())]
            for sentence in self.sentences
        ]
        return (
            "<p>Guess the next word or letter of unseen sentences, beside models that guess the "
            "same. The game needs JavaScript: it plays in the published book and in JupyterLab."
            f"</p>{table(f'Sentences to guess, against: {names}', ['begins', 'words'], rows)}"
        )

    def __repr__(self) -> str:
        names = ", ".join(model["name"] for model in self.models)
        count = len(self.sentences)
        return f"ShannonGame({count} sentence{'s' * (count > 1)}, models: {names})"


def _next_word_probs(
    model: LanguageModel, sentence: str, tokenizer: Tokenizer
) -> list[dict[str, float]]:
    """A model's distribution at every position of a sentence, as `{word: probability}`."""
    token_ids = torch.tensor([tokenizer.encode(sentence)[:-1]])
    with torch.no_grad():
        probs = model(token_ids)[0].double().softmax(-1)[:, 1:]
    probs = probs / probs.sum(-1, keepdim=True)  # <s> never comes
    return [dict(zip(tokenizer.tokens[1:], row, strict=True)) for row in probs.tolist()]


def _pack(
    name: str, given: Any, index: Mapping[str, int], lengths: Sequence[int]
) -> dict[str, Any]:
    """A model as the trait holds it; equal distributions are stored once."""
    if isinstance(given, Mapping):
        return {"name": name, "kind": "constant", "probs": _sparse(given, index)}
    if [len(rows) for rows in given] != list(lengths):
        raise ValueError(
            f"model {name!r} has {[len(rows) for rows in given]} distributions, the sentences have "
            f"{list(lengths)} positions (</s> counted): give one for each"
        )
    rows_seen: dict[tuple[float | int, ...], int] = {}
    places = [
        [
            rows_seen.setdefault(tuple(_sparse(row, index)), len(rows_seen))
            for row in rows
        ]
        for rows in given
    ]
    unique = [list(row) for row in rows_seen]
    return {"name": name, "kind": "contextual", "probs": places, "table": unique}
