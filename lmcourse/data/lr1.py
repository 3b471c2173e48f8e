"""A proof that a grammar is unambiguous: its canonical LR(1) table has no conflict (Knuth 1965).

A conflict is a place where a reader who sees one word ahead would have two ways to go on. A
grammar without one gives every sentence exactly one derivation, so the entropy of its derivations
is the entropy of its sentences. Sampling can show that a grammar is ambiguous, never that it is
not.

An item is a rule with a dot: what stands before the dot has been read. A state holds the items
that are possible after some beginning, each with the words that may follow its rule.
"""

from collections import defaultdict
from typing import NamedTuple

from lmcourse.data.pcfg import END, Grammar, Stack


class Item(NamedTuple):
    """A rule with a dot in front of `right[dot]`."""

    left: str
    right: Stack
    dot: int

    def __str__(self) -> str:
        before, after = self.right[: self.dot], self.right[self.dot :]
        return " ".join([self.left, "->", *before, "•", *after])


class Table(NamedTuple):
    """The outcome of the construction.

    Attributes:
        n_states: how many states the table has.
        conflicts: one line a conflict; none proves that the grammar is unambiguous.
    """

    n_states: int
    conflicts: tuple[str, ...]


def lr1_table(grammar: Grammar) -> Table:
    """Builds the canonical LR(1) states of a grammar and collects their conflicts.

    Args:
        grammar: the grammar; its probabilities do not matter.

    Example:
        >>> lr1_table(Grammar({"S": {"a S b": 0.25, "c": 0.75}}, start="S")).conflicts
        ()
        >>> lr1_table(Grammar({"S": {"a": 0.5, "A": 0.5}, "A": {"a": 1.0}}, start="S")).conflicts
        ('before </s>: S -> a • or A -> a •',)
    """
    rules = {
        left: [right for right, _ in rights] for left, rights in grammar.rules.items()
    }
    first = _first_words(rules)
    goal = Item("", (grammar.start,), 0)
    start = _closure({goal: frozenset([END])}, rules, first)
    states, agenda, conflicts = {_key(start)}, [start], []
    while agenda:
        state = agenda.pop()
        conflicts += _conflicts(state, rules)
        moves: dict[str, dict[Item, frozenset[str]]] = defaultdict(dict)
        for item, ahead in state.items():
            if item.dot < len(item.right):
                moves[item.right[item.dot]][item._replace(dot=item.dot + 1)] = ahead
        for kernel in moves.values():
            after = _closure(kernel, rules, first)
            if _key(after) not in states:
                states.add(_key(after))
                agenda.append(after)
    return Table(len(states), tuple(dict.fromkeys(conflicts)))


def _key(state: dict[Item, frozenset[str]]) -> frozenset:
    return frozenset(state.items())


def _first_words(rules: dict[str, list[Stack]]) -> dict[str, frozenset[str]]:
    """The words each nonterminal can begin with. No right side is empty, so one symbol decides."""

    def first(symbol: str) -> frozenset[str]:
        if symbol not in rules:
            return frozenset([symbol])
        return frozenset().union(*(first(right[0]) for right in rules[symbol]))

    return {symbol: first(symbol) for symbol in rules}


def _closure(kernel, rules, first) -> dict[Item, frozenset[str]]:
    """Adds the rules of every nonterminal that stands behind a dot, with what may follow them."""
    items = defaultdict(frozenset, kernel)
    agenda = list(kernel)
    while agenda:
        item = agenda.pop()
        behind = item.right[item.dot :]
        if not behind or behind[0] not in rules:
            continue
        if len(behind) == 1:
            ahead = items[item]
        else:
            ahead = first.get(behind[1], frozenset([behind[1]]))
        for right in rules[behind[0]]:
            new = Item(behind[0], right, 0)
            if new not in items or not ahead <= items[new]:
                items[new] |= ahead
                agenda.append(new)
    return dict(items)


def _conflicts(state, rules) -> list[str]:
    """Words before which two items of a state disagree: two finished rules, or one and a word."""
    ways: dict[str, list[Item]] = defaultdict(list)
    for item, ahead in state.items():
        if item.dot == len(item.right):
            for word in ahead:
                ways[word].append(item)
    lines = []
    for item in state:
        if item.dot < len(item.right) and item.right[item.dot] in ways:
            ways[item.right[item.dot]].append(item)
    for word, items in sorted(ways.items()):
        finished = [item for item in items if item.dot == len(item.right)]
        if len(items) > 1 and finished:
            lines.append(f"before {word}: {' or '.join(map(str, items))}")
    return lines
