"""The head viewer of chapter 7: where every head of a trained model looks, and what it is worth."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from lmcourse import pretrained
from lmcourse.data.grammar import TEACHING_GRAMMAR
from lmcourse.multi_head_attention import attention_maps
from lmcourse.pretrained import recipes
from lmcourse.tokenizers import BOS
from lmcourse.widgets.base import ModelWidget, table

MOST = 60  # words of a sentence, as in teaching.js
N_HEADS = 4  # of a layer, as in teaching.js
N_LAYERS = 2
EXAMPLES = (
    "Anna says that the rabbit near the cats sleeps , agrees",
    "the rabbits which the dog beside the cat sees sleep",
    "the mouse with the foxes behind the horses near the goat waits",
    "Ben says that Zoe says that the dogs sing , agrees Zoe , agrees",
)


class SentenceWidget(ModelWidget):
    """A widget in which a trained language model reads a sentence that the reader types.

    Args:
        sentence: Words of the teaching language, separated by white space, at most 60.
        position: The word that is looked at, 0 for `<s>`; the last one where not given. In the
            page a larger number means the last one.
        examples: Sentences to choose from.

    Raises:
        ValueError: A word is not in the vocabulary, a sentence has no word or too many, or the
            position is not in the sentence.
    """

    sentence = traitlets.Unicode(help="The sentence that is read.").tag(sync=True)
    position = traitlets.Int(help="The word that is looked at, 0 for <s>.").tag(
        sync=True
    )
    examples = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        sentence: str = EXAMPLES[0],
        examples: Sequence[str] = EXAMPLES,
        **kwargs: Any,
    ) -> None:
        n_words = len(sentence.split())
        kwargs.setdefault("position", n_words)
        super().__init__(sentence=sentence, examples=list(examples), **kwargs)
        if self.position > n_words:
            raise ValueError(
                f"position={self.position}, and the sentence has {n_words} words: "
                f"it is between 0 and {n_words}"
            )

    @traitlets.validate("sentence")
    def _check_sentence(self, proposal: Any) -> str:
        return _words(proposal["value"])

    @traitlets.validate("examples")
    def _check_examples(self, proposal: Any) -> list[str]:
        return [_words(sentence) for sentence in proposal["value"]]

    @traitlets.validate("position")
    def _check_position(self, proposal: Any) -> int:
        if proposal["value"] < 0:
            raise ValueError(f"position={proposal['value']} is below 0")
        return proposal["value"]

    def words(self) -> list[str]:
        """`<s>` and the words of the sentence."""
        return [BOS, *self.sentence.split()]

    def place(self) -> int:
        """The position that is looked at; a larger one means the last."""
        return min(self.position, len(self.sentence.split()))

    def token_ids(self) -> Tensor:
        """The sentence as the model reads it, (1, time)."""
        tokens = pretrained.facts(self.pretrained)["tokens"]
        return torch.tensor([[tokens.index(word) for word in self.words()]])

    def model(self) -> nn.Module:
        """A copy of the trained model in float64, so that every machine writes the same."""
        return copy.deepcopy(recipes.load(self.pretrained)).double()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sentence!r}, position={self.position})"


def _words(sentence: str) -> str:
    """The sentence with one space between words, once it is known to be readable."""
    words, known = sentence.split(), TEACHING_GRAMMAR.words
    if not 1 <= len(words) <= MOST:
        raise ValueError(f"{sentence!r} has {len(words)} words: give 1 to {MOST}")
    for word in words:
        if word not in known:
            raise ValueError(
                f"{word!r} is none of the {len(known)} words of the teaching language"
            )
    return " ".join(words)


class HeadViewer(SentenceWidget):
    """Let a model of attention alone read your sentence: all heads at once, each on or off.

    Every trait can be read after the reader has played, and set from Python. Layers and heads are
    counted from 0, as in the code.

    Args:
        sentence, position, examples: As of every viewer of a sentence.
        layer, head: The head that is shown large.
        off: The heads that are switched off, as pairs of layer and head. What such a head gathers
            is not added, as if it had been pruned.

    Raises:
        ValueError: The sentence cannot be read, or there is no such position, layer or head.

    >>> HeadViewer("the rabbit sleeps")
    HeadViewer('the rabbit sleeps', position=3)
    """

    name = "head_viewer"
    pretrained = "multi_head_attention"

    layer = traitlets.Int(0, help="The layer of the head that is shown large.").tag(
        sync=True
    )
    head = traitlets.Int(0, help="The head that is shown large.").tag(sync=True)
    off = traitlets.List(
        traitlets.List(traitlets.Int()), help="Heads switched off: [layer, head]."
    ).tag(sync=True)

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        return _inside("layer", proposal["value"], N_LAYERS)

    @traitlets.validate("head")
    def _check_head(self, proposal: Any) -> int:
        return _inside("head", proposal["value"], N_HEADS)

    @traitlets.validate("off")
    def _check_off(self, proposal: Any) -> list[list[int]]:
        for pair in proposal["value"]:
            if len(pair) != 2:
                raise ValueError(f"off holds {pair!r}: give pairs of layer and head")
            _inside("layer", pair[0], N_LAYERS)
            _inside("head", pair[1], N_HEADS)
        return sorted(
            list(pair) for pair in {tuple(pair) for pair in proposal["value"]}
        )

    def without_heads(self) -> nn.Module:
        """The model in float64 without what the heads gather that are switched off."""
        model = self.model()
        for layer, head in self.off:
            attention = model.layers.layers[layer].attention
            columns = slice(head * attention.d_head, (head + 1) * attention.d_head)
            with torch.no_grad():
                attention.out_projection.weight[:, columns] = 0
        return model

    def fallback(self) -> str:
        words, place, token_ids = self.words(), self.place(), self.token_ids()
        model = self.without_heads()
        maps = attention_maps(model, token_ids)[:, 0]
        rows: list[list[object]] = []
        for layer, heads in enumerate(maps):
            for head, weights in enumerate(heads[:, place]):
                most = int(weights.argmax())
                state = "off" if [layer, head] in self.off else "on"
                name = f"layer {layer}, head {head}"
                rows.append([name, state, words[most], f"{weights[most].item():.1f}"])
        caption = f"Where the heads look from “{words[place]}” in: {self.sentence}"
        header = ["head", "on or off", "looks most at", "weight"]
        with torch.no_grad():
            bits = [
                -one.log_prob(token_ids).sum().item() / math.log(2)
                for one in (self.model(), model)
            ]
        text = f"<p>The words of the sentence cost {bits[0]:.1f} bits with all heads"
        if self.off:
            text += f", and {bits[1]:.1f} bits without those that are off"
        return table(caption, header, rows) + f"{text}.</p>"


def _inside(name: str, value: int, n: int) -> int:
    if not 0 <= value < n:
        raise ValueError(f"{name}={value} is not between 0 and {n - 1}")
    return value
