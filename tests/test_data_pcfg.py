"""The general machinery, on grammars small enough to count by hand or to enumerate."""

import math
from itertools import product

import pytest
import torch

from lmcourse.data.lr1 import lr1_table
from lmcourse.data.pcfg import END, Grammar

BRACKETS = Grammar({"S": {"a S b": 0.25, "c": 0.75}}, start="S")
AMBIGUOUS = Grammar(
    {
        "S": {"N V": 0.6, "N V N": 0.4},
        "N": {"x": 0.5, "x y": 0.3, "y": 0.2},
        "V": {"y": 0.7, "x": 0.3},
    },
    start="S",
)
SUMS = Grammar(
    {"S": {"T + S": 0.3, "T": 0.7}, "T": {"( S )": 0.2, "n": 0.8}}, start="S"
)


def derivations(grammar: Grammar, words: tuple[str, ...], stack: tuple[str, ...]):
    """Another way to the same sum: the probability of each derivation of exactly these words."""
    if len(stack) > len(words):
        return
    if not stack:
        if not words:
            yield 1.0
        return
    top, rest = stack[0], stack[1:]
    if top not in grammar.rules:
        if words and words[0] == top:
            yield from derivations(grammar, words[1:], rest)
        return
    for right, prob in grammar.rules[top]:
        for p in derivations(grammar, words, right + rest):
            yield prob * p


def test_probabilities_that_nearly_sum_to_1_are_refused():
    with pytest.raises(ValueError, match="sum to 0.995"):
        Grammar({"S": {"a": 0.5, "b": 0.495}}, start="S")


@pytest.mark.parametrize("grammar", [BRACKETS, AMBIGUOUS, SUMS])
def test_log_prob_is_the_sum_over_all_derivations(grammar):
    for length in range(1, 6):
        for words in product(grammar.words, repeat=length):
            expected = sum(derivations(grammar, words, (grammar.start,)))
            assert math.exp(grammar.log_prob(words)) == pytest.approx(
                expected, rel=1e-12, abs=0
            )


def test_two_derivations_add_up():
    # "x y" alone: [x][y] only; "x y y": [x y][y] and [x][y][y]
    two = 0.6 * 0.3 * 0.7 + 0.4 * 0.5 * 0.7 * 0.2
    assert AMBIGUOUS.log_prob(["x", "y", "y"]) == pytest.approx(math.log(two))


@pytest.mark.parametrize("grammar", [BRACKETS, AMBIGUOUS, SUMS])
def test_next_word_probs_sum_to_one_and_chain_to_the_sentence(grammar):
    for sample in grammar.sample(50, torch.Generator().manual_seed(1)):
        total = 0.0
        for position, word in enumerate([*sample.words, END]):
            probs = grammar.next_word_probs(sample.words[:position])
            assert math.fsum(probs.values()) == pytest.approx(1, abs=1e-12)
            total += math.log(probs[word])
        assert total == pytest.approx(grammar.log_prob(sample.words), abs=1e-10)


@pytest.mark.parametrize("grammar", [BRACKETS, AMBIGUOUS, SUMS])
def test_fill_in_is_bayes_rule_over_all_words(grammar):
    for sample in grammar.sample(30, torch.Generator().manual_seed(2)):
        for position in range(len(sample.words)):
            joint = {}
            for word in grammar.words:
                filled = [*sample.words[:position], word, *sample.words[position + 1 :]]
                joint[word] = math.exp(grammar.log_prob(filled))
            total = sum(joint.values())
            expected = {word: p / total for word, p in joint.items() if p > 0}
            assert grammar.fill_in_probs(sample.words, position) == pytest.approx(
                expected, rel=1e-9
            )


def test_entropy_and_length_by_hand():
    # a geometric number n of brackets, P(n) = 0.75 * 0.25 ** n, and 2 n + 1 words
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)) / 0.75
    assert BRACKETS.entropy_per_sentence() == pytest.approx(entropy)
    assert BRACKETS.expected_length() == pytest.approx(2 * (0.25 / 0.75) + 1)
    assert BRACKETS.entropy_per_word() == pytest.approx(
        entropy / (BRACKETS.expected_length() + 1)
    )


def test_sampling_follows_the_probabilities():
    n = 20_000
    samples = BRACKETS.sample(n, torch.Generator().manual_seed(0))
    share = sum(sample.words == ("c",) for sample in samples) / n
    assert abs(share - 0.75) < 3 * math.sqrt(0.75 * 0.25 / n)


def test_the_same_seed_gives_the_same_sentences_and_fewer_are_the_beginning_of_more():
    few, many = (SUMS.sample(n, torch.Generator().manual_seed(7)) for n in (10, 100))
    assert many[:10] == few


def test_impossible_sentences():
    assert BRACKETS.log_prob(["a", "c"]) == -math.inf
    assert BRACKETS.log_prob(["c", "b"]) == -math.inf
    assert BRACKETS.log_prob([]) == -math.inf
    with pytest.raises(ValueError, match="no sentence of the grammar begins with 'b'"):
        BRACKETS.next_word_probs(["b"])
    with pytest.raises(ValueError, match="no word fits position 0"):
        BRACKETS.fill_in_probs(["?", "c"], 0)


def test_unknown_words_and_positions():
    for call in (
        lambda: BRACKETS.log_prob(["a", "d", "b"]),
        lambda: BRACKETS.next_word_probs(["d"]),
        lambda: BRACKETS.fill_in_probs(["?", "d", "b"], 0),
    ):
        with pytest.raises(ValueError, match="'d' is not one of the 3 words"):
            call()
    for position in (-1, 3):
        with pytest.raises(
            ValueError, match=f"position={position} is outside .* 3 words"
        ):
            BRACKETS.fill_in_probs(["a", "c", "b"], position)
    with pytest.raises(ValueError, match="n_sentences=-1"):
        BRACKETS.sample(-1, torch.Generator())


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"S": {"a": 0.5, "b": 0.4}}, "sum to 0.9, not to 1"),
        ({"S": {"a": 1.5, "b": -0.5}}, "probability -0.5, not > 0"),
        ({"S": {"a": 0.5, "": 0.5}}, "empty right-hand side"),
        ({"S": {"a </s>": 1.0}}, "holds </s>"),
        ({"T": {"a": 1.0}}, "start='S' has no rules"),
        ({"S": {"S a": 0.5, "a": 0.5}}, "S can begin with itself"),
        ({"S": {"T a": 0.5, "a": 0.5}, "T": {"S b": 1.0}}, "can begin with itself"),
        ({"S": {"a S S": 0.5, "a": 0.5}}, "spectral radius .* 1.000, not < 1"),
    ],
)
def test_bad_grammars(rules, message):
    with pytest.raises(ValueError, match=message):
        Grammar(rules, start="S")


def test_lr1_finds_what_is_ambiguous_and_passes_what_is_not():
    assert lr1_table(BRACKETS).conflicts == ()
    assert lr1_table(SUMS).conflicts == ()
    assert lr1_table(AMBIGUOUS).conflicts
    # the dangling else, with an "else" that may belong to either "if"
    dangling = {"S": {"if S": 0.2, "if S else S": 0.2, "x": 0.6}}
    assert any(
        "before else" in line for line in lr1_table(Grammar(dangling, "S")).conflicts
    )


def test_the_textbook_grammar_has_ten_lr1_states():
    # Aho, Lam, Sethi and Ullman, Compilers, example 4.54: S -> C C, C -> c C | d
    grammar = Grammar({"S": {"C C": 1.0}, "C": {"c C": 0.4, "d": 0.6}}, start="S")
    assert lr1_table(grammar) == (10, ())


def test_the_same_rule_twice_is_refused():
    with pytest.raises(ValueError, match="S has the same right-hand side twice"):
        Grammar({"S": {"a b": 0.5, "a  b": 0.5}}, start="S")
