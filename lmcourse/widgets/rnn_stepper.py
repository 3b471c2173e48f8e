"""The RNN stepper of chapter 3: the trained LSTM reads a sentence word by word, in the page."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import traitlets

from lmcourse import pretrained
from lmcourse.data.grammar import NAMES, TEACHING_GRAMMAR
from lmcourse.tokenizers import BOS, EOS
from lmcourse.widgets.base import ModelWidget, table

MOST = 60  # words of a sentence
EXAMPLES = (
    (
        "Anna says that the rabbit near the cats sleeps , agrees",
        "Ben says that the rabbits near the cats sleep , agrees",
    ),
    ("the rabbit near the cats", "the rabbits near the cats"),
    (
        "the dog which the cats behind the fox see",
        "the dogs which the cats behind the fox see",
    ),
    (
        "Ben says that Anna says that the rabbit sleeps , agrees Anna , agrees",
        "Zoe says that Anna says that the rabbit sleeps , agrees Anna , agrees",
    ),
    ("the rabbit rabbit the sleeps", "the rabbit which sees the cat sleeps"),
)


def _forms(number: str, *kinds: str) -> list[str]:
    """The words of some kinds, such as "Vt", whose number is "sg" or "pl"."""
    rules = TEACHING_GRAMMAR.rules
    return [word for kind in kinds for (word,), _ in rules[f"{kind}_{number}"]]


class RNNStepper(ModelWidget):
    """Let an LSTM language model read your sentence, and see its state at every word.

    Args:
        sentence: Words of the teaching language, separated by white space, at most 60.
        other: A second sentence to compare with; empty for none.
        position: How many words are read; the end of the sentence where not given. In the page a
            larger number means the end.
        unit: The unit whose values are drawn over the whole sentence, -1 for none.
        vector: What is shown of the state, "hidden" or "cell".
        examples: Pairs of a sentence and one to compare it with.

    Raises:
        ValueError: A word is not in the vocabulary, a sentence has no word or too many, a number
            is out of range, or `vector` is neither "hidden" nor "cell".

    >>> RNNStepper("the rabbit sleeps")
    RNNStepper('the rabbit sleeps', position=3)
    """

    name = "rnn_stepper"
    pretrained = "rnn"

    sentence = traitlets.Unicode(help="The sentence that is read.").tag(sync=True)
    other = traitlets.Unicode("", help="A sentence to compare with.").tag(sync=True)
    position = traitlets.Int(0, help="How many words are read.").tag(sync=True)
    unit = traitlets.Int(-1, help="The unit that is drawn, -1 for none.").tag(sync=True)
    vector = traitlets.Unicode("hidden", help="'hidden' or 'cell'.").tag(sync=True)
    examples = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    names = traitlets.List(traitlets.Unicode(), list(NAMES)).tag(sync=True)
    singular = traitlets.List(traitlets.Unicode(), _forms("sg", "Vt", "Vi")).tag(
        sync=True
    )
    plural = traitlets.List(traitlets.Unicode(), _forms("pl", "Vt", "Vi")).tag(
        sync=True
    )
    nouns = traitlets.List(
        traitlets.List(traitlets.Unicode()),
        [list(pair) for pair in zip(_forms("sg", "N"), _forms("pl", "N"), strict=True)],
        help="Nouns in both numbers.",
    ).tag(sync=True)

    def __init__(
        self,
        sentence: str = EXAMPLES[0][0],
        examples: Sequence[Sequence[str]] = EXAMPLES,
        **kwargs: Any,
    ) -> None:
        n_words = len(sentence.split())
        kwargs.setdefault("position", n_words)
        super().__init__(
            sentence=sentence, examples=[list(pair) for pair in examples], **kwargs
        )
        if self.position > n_words:
            raise ValueError(
                f"position={self.position}, and the sentence has {n_words} words: "
                f"it is between 0 and {n_words}"
            )

    @traitlets.validate("sentence", "other")
    def _check_words(self, proposal: Any) -> str:
        words = proposal["value"].split()
        if not words and proposal["trait"].name == "other":
            return ""
        if not 1 <= len(words) <= MOST:
            raise ValueError(
                f"{proposal['value']!r} has {len(words)} words: give 1 to {MOST}"
            )
        known = TEACHING_GRAMMAR.words
        for word in words:
            if word not in known:
                raise ValueError(
                    f"{word!r} is none of the {len(known)} words of the teaching language"
                )
        return " ".join(words)

    @traitlets.validate("examples")
    def _check_examples(self, proposal: Any) -> list[list[str]]:
        for pair in proposal["value"]:
            if len(pair) != 2:
                raise ValueError(f"{pair!r} has {len(pair)} sentences: give pairs")
        return proposal["value"]

    @traitlets.validate("position")
    def _check_position(self, proposal: Any) -> int:
        if proposal["value"] < 0:
            raise ValueError(f"position={proposal['value']} is below 0")
        return proposal["value"]

    @traitlets.validate("unit")
    def _check_unit(self, proposal: Any) -> int:
        d_hidden = pretrained.load_tensors(self.pretrained)[
            "layers.cells.0.weight_hh"
        ].shape[1]
        if not -1 <= proposal["value"] < d_hidden:
            raise ValueError(
                f"unit={proposal['value']} is not between -1 and {d_hidden - 1}"
            )
        return proposal["value"]

    @traitlets.validate("vector")
    def _check_vector(self, proposal: Any) -> str:
        if proposal["value"] not in ("hidden", "cell"):
            raise ValueError(
                f"vector={proposal['value']!r} is neither 'hidden' nor 'cell'"
            )
        return proposal["value"]

    def fallback(self) -> str:
        # In float64 and to one digit, so that every machine writes the same.
        from lmcourse.pretrained.recipes import load

        tokens = pretrained.facts(self.pretrained)["tokens"]
        words = [BOS, *self.sentence.split()]
        token_ids = torch.tensor([[tokens.index(word) for word in words]])
        with torch.no_grad():
            model = copy.deepcopy(load(self.pretrained)).double()
            log_probs = model(token_ids)[0].log_softmax(dim=-1)
        rows: list[list[object]] = []
        for i, word in enumerate(words):
            best = log_probs[i].exp().topk(3)
            likely = ", ".join(
                f"{'end' if tokens[j] == EOS else tokens[j]} {p:.1f}"
                for p, j in zip(
                    best.values.tolist(), best.indices.tolist(), strict=True
                )
                if p >= 0.05
            )
            bits = -log_probs[i - 1, token_ids[0, i]].item() / math.log(2)
            rows.append([word, f"{bits:.1f}" if i else "", likely])
        return (
            "<p>The trained LSTM of chapter 3 reads a sentence. With JavaScript you can type one "
            "of your own and look into its state.</p>"
            + table(
                f"What the LSTM expects in: {self.sentence}",
                ["word read", "its bits", "likeliest next words, with probability"],
                rows,
            )
        )

    def __repr__(self) -> str:
        return f"RNNStepper({self.sentence!r}, position={self.position})"
