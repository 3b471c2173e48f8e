"""A probabilistic context-free grammar whose entropy, and every probability, can be computed.

The language of a `Grammar` is known completely: sampling returns each sentence with its exact
log probability, a linear system gives the entropy per word that no model can beat, and reading
a sentence from left to right gives the true distribution of the next word.

A parser state is a set of weighted stacks. A stack holds the symbols that are still owed, the
next one first: before the first word it is ("Sentence",), after the last word it is empty. One
word turns each stack into the stacks that remain after it. The weights that are left add up to the
probability of the word, given those before it; then they are rescaled to sum to one (Jelinek and
Lafferty 1991 and Stolcke 1995 compute the same sums from a chart).
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch

END = "</s>"

Stack = tuple[str, ...]
"""Symbols that are still owed, the next one first."""

State = dict[Stack, float]
"""Weighted stacks. The weight is P(this stack, given the words read so far)."""


class Sample(NamedTuple):
    """A sampled sentence and its exact log probability.

    Attributes:
        words: the words, without `</s>`.
        log_prob: nats; the probability of the derivation, which is that of the sentence where
            the grammar is unambiguous.
    """

    words: tuple[str, ...]
    log_prob: float


class Grammar:
    """A probabilistic context-free grammar (PCFG).

    A key of `rules` is a nonterminal. Every other symbol is a word.

    Args:
        rules: for each nonterminal its right-hand sides (symbols separated by spaces), each with
            its probability.
        start: the nonterminal that every sentence comes from.

    Raises:
        ValueError: if the probabilities of a nonterminal are not positive or do not sum to one,
            a right-hand side is empty, a nonterminal can begin with itself (left recursion), or
            the expected sentence is not finite.

    Example:
        >>> grammar = Grammar({"S": {"a S": 0.25, "a": 0.75}}, start="S")
        >>> grammar.expected_length()
        1.3333333333333333
        >>> grammar.next_word_probs(["a"])
        {'a': 0.25, '</s>': 0.75}
    """

    def __init__(self, rules: Mapping[str, Mapping[str, float]], start: str):
        self.start = start
        self.rules: dict[str, tuple[tuple[Stack, float], ...]] = {
            left: tuple((tuple(right.split()), prob) for right, prob in rights.items())
            for left, rights in rules.items()
        }
        self._check_rules()
        symbols = (
            s for rights in self.rules.values() for right, _ in rights for s in right
        )
        self.words: tuple[str, ...] = tuple(
            dict.fromkeys(s for s in symbols if s not in rules)
        )
        """Every word of the language, in the order of the rules."""
        self._known = frozenset(self.words)
        self._starts: dict[
            str, dict[str, list[tuple[Stack, float]]]
        ] = {}  # memo of _derivatives
        self._firsts: dict[str, dict[str, float]] = {}  # memo of _first_words
        self._check_left_recursion()
        self._check_finite()

    def __repr__(self) -> str:
        n_rules = sum(len(rights) for rights in self.rules.values())
        return (
            f"Grammar({self.start}: {len(self.rules)} nonterminals, {n_rules} rules, "
            f"{len(self.words)} words)"
        )

    # ---- sampling -------------------------------------------------------------------------

    def sample(self, n_sentences: int, generator: torch.Generator) -> list[Sample]:
        """Draws sentences, each with its exact log probability.

        Args:
            n_sentences: how many.
            generator: the source of randomness.

        Raises:
            ValueError: if `n_sentences` is negative.

        Example:
            >>> grammar = Grammar({"S": {"so S": 0.5, "good": 0.5}}, start="S")
            >>> sample = grammar.sample(1, torch.Generator().manual_seed(3))[0]
            >>> math.isclose(sample.log_prob, len(sample.words) * math.log(0.5))
            True
        """
        if n_sentences < 0:
            raise ValueError(f"n_sentences={n_sentences} must not be negative")
        uniform = _uniform_numbers(generator)
        return [self._sample_sentence(uniform) for _ in range(n_sentences)]

    def _sample_sentence(self, uniform: Iterator[float]) -> Sample:
        words, log_prob, owed = [], 0.0, [self.start]
        while owed:
            symbol = owed.pop()
            if symbol not in self.rules:
                words.append(symbol)
                continue
            cumulative, choices = self._choices[symbol]
            right, log_p = choices[bisect_right(cumulative, next(uniform))]
            log_prob += log_p
            owed.extend(right)
        return Sample(tuple(words), log_prob)

    @cached_property
    def _choices(self) -> dict[str, tuple[list[float], list[tuple[Stack, float]]]]:
        """For each nonterminal: cumulative probabilities, and (reversed right side, log prob)."""
        choices = {}
        for left, rights in self.rules.items():
            total, cumulative = 0.0, []
            for _, prob in rights[:-1]:  # the last choice takes what is left
                total += prob
                cumulative.append(total)
            choices[left] = (cumulative, [(r[::-1], math.log(p)) for r, p in rights])
        return choices

    # ---- entropy and length ---------------------------------------------------------------

    def entropy_per_sentence(self) -> float:
        """Entropy of one sentence in bits (Grenander 1976).

        With h[X] the entropy of the choice of a rule for X, and M[X, Y] the expected number of Y
        on its right-hand side, the entropy H of what comes out of X solves H = h + M H. This is
        the entropy of derivations: that of sentences where the grammar is unambiguous.

        Example:
            >>> Grammar({"S": {"a S": 0.5, "a": 0.5}}, start="S").entropy_per_sentence()
            2.0
        """
        choice = [
            -sum(p * math.log2(p) for _, p in rights) for rights in self.rules.values()
        ]
        return self._expected_total(choice)

    def expected_length(self) -> float:
        """Expected number of words of a sentence, `</s>` not counted.

        Example:
            >>> Grammar({"S": {"a S": 0.5, "a": 0.5}}, start="S").expected_length()
            2.0
        """
        n_words = [
            sum(p * sum(s not in self.rules for s in right) for right, p in rights)
            for rights in self.rules.values()
        ]
        return self._expected_total(n_words)

    def entropy_per_word(self) -> float:
        """Entropy in bits per word, where `</s>` counts as a word.

        Example:
            >>> round(Grammar({"S": {"a S": 0.5, "a": 0.5}}, start="S").entropy_per_word(), 4)
            0.6667
        """
        return self.entropy_per_sentence() / (self.expected_length() + 1)

    def _expected_total(self, own: list[float]) -> float:
        """Solves total = own + M total, and returns the total of the start symbol."""
        matrix = self._expected_symbols()
        identity = torch.eye(len(matrix), dtype=torch.float64)
        totals = torch.linalg.solve(
            identity - matrix, torch.tensor(own, dtype=torch.float64)
        )
        return totals[list(self.rules).index(self.start)].item()

    def _expected_symbols(self) -> torch.Tensor:
        """M[X, Y]: the expected number of Y on the right-hand side of a rule for X."""
        index = {symbol: i for i, symbol in enumerate(self.rules)}
        matrix = torch.zeros(len(index), len(index), dtype=torch.float64)
        for left, rights in self.rules.items():
            for right, prob in rights:
                for symbol in right:
                    if symbol in index:
                        matrix[index[left], index[symbol]] += prob
        return matrix

    # ---- checks ---------------------------------------------------------------------------

    def _check_rules(self) -> None:
        if self.start not in self.rules:
            raise ValueError(
                f"start={self.start!r} has no rules; there are {list(self.rules)}"
            )
        for left, rights in self.rules.items():
            for right, prob in rights:
                if not right:
                    raise ValueError(
                        f"{left} has an empty right-hand side: give it a symbol"
                    )
                if END in right:
                    raise ValueError(
                        f"{left} holds {END}, which only the end of a sentence may"
                    )
                if not prob > 0:
                    raise ValueError(
                        f"{left} -> {' '.join(right)} has probability {prob}, not > 0"
                    )
            if len({right for right, _ in rights}) < len(rights):
                raise ValueError(
                    f"{left} has the same right-hand side twice: add the probabilities up"
                )
            total = math.fsum(prob for _, prob in rights)
            if not math.isclose(total, 1, abs_tol=1e-9):
                raise ValueError(
                    f"the probabilities of {left} sum to {total}, not to 1"
                )

    def _check_left_recursion(self) -> None:
        first = {
            left: {right[0] for right, _ in rights}
            for left, rights in self.rules.items()
        }
        for symbol in self.rules:
            seen: set[str] = set()
            agenda = [symbol]
            while agenda:
                new = {f for f in first.get(agenda.pop(), ()) if f in self.rules} - seen
                seen |= new
                agenda.extend(new)
            if symbol in seen:
                raise ValueError(
                    f"{symbol} can begin with itself (left recursion): turn the rule"
                )

    def _check_finite(self) -> None:
        radius = torch.linalg.eigvals(self._expected_symbols()).abs().max().item()
        if radius >= 1:
            raise ValueError(
                f"the spectral radius of the expected symbols is {radius:.3f}, not < 1: "
                "sentences would not end; make the recursive rules rarer"
            )

    # ---- reading from left to right -------------------------------------------------------

    def _derivatives(self, symbol: str) -> dict[str, list[tuple[Stack, float]]]:
        """Each word `symbol` can begin with, what is then still owed, and with what probability."""
        if symbol not in self.rules:
            return {symbol: [((), 1.0)]}
        if symbol not in self._starts:
            totals: dict[str, dict[Stack, float]] = defaultdict(
                lambda: defaultdict(float)
            )
            for right, prob in self.rules[symbol]:
                for word, remainders in self._derivatives(right[0]).items():
                    for owed, p in remainders:
                        totals[word][owed + right[1:]] += prob * p
            self._starts[symbol] = {
                word: list(owed.items()) for word, owed in totals.items()
            }
        return self._starts[symbol]

    def start_state(self) -> State:
        """The parser state before the first word: the start symbol is owed."""
        return {(self.start,): 1.0}

    def advance(self, state: State, word: str) -> tuple[State, float]:
        """Reads one word.

        Args:
            state: weighted stacks; the weights sum to one.
            word: the next word, or `</s>`.

        Returns:
            The state after the word, and P(word | the words before). An impossible word gives an
            empty state and 0.

        Raises:
            ValueError: if the word is not of the language.

        Example:
            >>> grammar = Grammar({"S": {"a S b": 0.25, "c": 0.75}}, start="S")
            >>> grammar.advance(grammar.start_state(), "a")
            ({('S', 'b'): 1.0}, 0.25)
        """
        if word == END:
            return {}, state.get((), 0.0)
        if word not in self._known:
            raise ValueError(
                f"{word!r} is not one of the {len(self.words)} words of the language"
            )
        after: dict[Stack, float] = {}
        for stack, weight in state.items():
            if not stack:
                continue
            for owed, prob in self._derivatives(stack[0]).get(word, ()):
                new = owed + stack[1:]
                after[new] = after.get(new, 0.0) + weight * prob
        total = math.fsum(after.values())
        return {stack: weight / total for stack, weight in after.items()}, total

    def read(self, words: Sequence[str]) -> tuple[State, float]:
        """Reads words from the start: the state after them and their log prefix probability.

        Returns:
            The state (empty if no sentence begins so), and the log probability in nats that a
            sentence begins with these words.

        Raises:
            ValueError: if a word is not of the language.

        Example:
            >>> grammar = Grammar({"S": {"a S b": 0.25, "c": 0.75}}, start="S")
            >>> state, log_prob = grammar.read(["a", "a"])
            >>> state, math.exp(log_prob)
            ({('S', 'b', 'b'): 1.0}, 0.0625)
        """
        state, log_prob = self.start_state(), 0.0
        for word in words:
            state, prob = self.advance(state, word)
            log_prob += _log(prob)
        return state, log_prob

    def state_probs(self, state: State) -> dict[str, float]:
        """The distribution of the next word in a parser state, `</s>` included.

        Example:
            >>> grammar = Grammar({"S": {"a S b": 0.25, "c": 0.75}}, start="S")
            >>> grammar.state_probs({("b",): 1.0})
            {'b': 1.0}
        """
        probs: dict[str, float] = {}
        for stack, weight in state.items():
            first = self._first_words(stack[0]) if stack else {END: 1.0}
            for word, prob in first.items():
                probs[word] = probs.get(word, 0.0) + weight * prob
        return probs

    def _first_words(self, symbol: str) -> dict[str, float]:
        """The distribution of the first word of `symbol`."""
        if symbol not in self._firsts:
            self._firsts[symbol] = {
                word: sum(prob for _, prob in remainders)
                for word, remainders in self._derivatives(symbol).items()
            }
        return self._firsts[symbol]

    def next_word_probs(self, prefix: Sequence[str]) -> dict[str, float]:
        """The true distribution of the word after a prefix.

        Args:
            prefix: the words so far.

        Returns:
            Each possible next word (`</s>` included) with its probability.

        Raises:
            ValueError: if a word is not of the language, or no sentence begins with the prefix.

        Example:
            >>> Grammar({"S": {"a S": 0.25, "a": 0.75}}, start="S").next_word_probs([])
            {'a': 1.0}
        """
        state, _ = self.read(prefix)
        if not state:
            raise ValueError(
                f"no sentence of the grammar begins with {' '.join(prefix)!r}"
            )
        return self.state_probs(state)

    def log_prob(self, words: Sequence[str]) -> float:
        """Log probability of a whole sentence in nats, summed over its derivations.

        Args:
            words: the words, without `</s>`.

        Returns:
            The log probability; -inf where the grammar does not make the sentence.

        Raises:
            ValueError: if a word is not of the language.

        Example:
            >>> grammar = Grammar({"S": {"a S": 0.25, "a": 0.75}}, start="S")
            >>> math.exp(grammar.log_prob(["a", "a"]))
            0.1875
        """
        state, log_prob = self.read(words)
        return log_prob + _log(state.get((), 0.0))

    def fill_in_probs(self, words: Sequence[str], position: int) -> dict[str, float]:
        """The true distribution of one blank, given every other word of the sentence.

        Args:
            words: a sentence; the word at `position` is not looked at.
            position: the blank, counted from 0.

        Returns:
            Each word that fits with its posterior probability.

        Raises:
            ValueError: if `position` is outside the sentence, a word is not of the language, or
                no word fits.

        Example:
            >>> grammar = Grammar({"S": {"a b": 0.2, "c b": 0.6, "a c": 0.2}}, start="S")
            >>> {w: round(p, 3) for w, p in grammar.fill_in_probs(["?", "b"], 0).items()}
            {'a': 0.25, 'c': 0.75}
        """
        if not 0 <= position < len(words):
            raise ValueError(
                f"position={position} is outside a sentence of {len(words)} words"
            )
        before, after = words[:position], [*words[position + 1 :], END]
        state, _ = self.read(before)
        joint = {}
        for word in self.state_probs(state):
            if word == END:
                continue
            rest, prob = self.advance(state, word)
            for next_word in after:
                rest, p = self.advance(rest, next_word)
                prob *= p
                if prob == 0.0:
                    break
            if prob > 0.0:
                joint[word] = prob
        if not joint:
            raise ValueError(f"no word fits position {position} of {' '.join(words)!r}")
        total = math.fsum(joint.values())
        return {word: prob / total for word, prob in joint.items()}


def _log(prob: float) -> float:
    return math.log(prob) if prob > 0 else -math.inf


def _uniform_numbers(generator: torch.Generator, block: int = 4096) -> Iterator[float]:
    """An endless stream of numbers in [0, 1), drawn a block at a time because that is fast."""
    while True:
        yield from torch.rand(block, generator=generator, dtype=torch.float64).tolist()
