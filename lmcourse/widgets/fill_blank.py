"""Fill the blank, the widget of chapter 9: four systems guess one hidden word."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor

from lmcourse import pretrained
from lmcourse.bert import BertConfig
from lmcourse.data.grammar import TEACHING_GRAMMAR
from lmcourse.multi_head_attention import recorded_weights
from lmcourse.pretrained import recipes
from lmcourse.pretrained.tables import trigram_log_probs
from lmcourse.tokenizers import BOS, EOS
from lmcourse.widgets.base import ModelsWidget, table
from lmcourse.widgets.head_viewer import MOST, SentenceWidget, _inside, _words

SYSTEMS = ("best possible", "BERT", "trigram", "left to right")
EXAMPLES = (
    {
        "sentence": "the rabbits near the dog see the birds",
        "position": 6,
        "what": "a verb: the far subject tells its number, the object its kind",
    },
    {
        "sentence": "Anna says that the cat sleeps , agrees Anna",
        "position": 1,
        "what": "the name said first: only the right side tells",
    },
    {
        "sentence": "Anna says that the cat sleeps , agrees Anna",
        "position": 9,
        "what": "the name said again: only the left side tells",
    },
    {
        "sentence": "the fox which the dogs see sleeps",
        "position": 3,
        "what": "“which” or “beside”? The two verbs on the right tell",
    },
    {
        "sentence": "the dog follows a quiet mouse",
        "position": 5,
        "what": "an adjective: nothing decides",
    },
)


class FillBlank(SentenceWidget, ModelsWidget):
    """Hide one word of a sentence, and compare what four systems say stands there.

    They are the best possible (the grammar itself), the BERT of chapter 9, a trigram model that
    tries every word in the blank and compares the sentences, and the Transformer of chapter 8,
    which sees the left side only. The probabilities of each sum to 1 over all words.

    Every trait can be read after the reader has played, and set from Python.

    Args:
        sentence: As of every viewer of a sentence.
        position: The word that is hidden; 1 is the first. The last one where not given.
        examples: Dictionaries with `sentence`, `position` and `what` there is to see.
        layer, head: The head of BERT that is shown large.

    Raises:
        ValueError: The sentence cannot be read, or there is no such position, layer or head.

    >>> EXAMPLES[4]["sentence"].split()[EXAMPLES[4]["position"] - 1]
    'quiet'
    """

    name = "fill_blank"
    pretrained = "bert"
    other_pretrained = ("trigram", "transformer")

    examples = traitlets.List(traitlets.Dict()).tag(sync=True)
    layer = traitlets.Int(0, help="The layer of the head shown large.").tag(sync=True)
    head = traitlets.Int(0, help="The head that is shown large.").tag(sync=True)

    def __init__(
        self,
        sentence: str | None = None,
        examples: Sequence[Mapping[str, Any]] = EXAMPLES,
        **kwargs: Any,
    ) -> None:
        if sentence is None:
            sentence = EXAMPLES[0]["sentence"]
            kwargs.setdefault("position", EXAMPLES[0]["position"])
        sentence = _words(sentence)
        if "position" in kwargs:
            _check_place(kwargs["position"], sentence)
        super().__init__(sentence=sentence, examples=(), **kwargs)
        self.examples = list(examples)

    @traitlets.validate("sentence")
    def _check_sentence(self, proposal: Any) -> str:
        sentence = _words(proposal["value"])
        most = min(MOST, _sizes().context_length - 2)  # without [CLS] and [SEP]
        if len(sentence.split()) > most:
            raise ValueError(
                f"the sentence has {len(sentence.split())} words; BERT reads at most {most}"
            )
        return sentence

    @traitlets.validate("examples")
    def _check_examples(self, proposal: Any) -> list[dict[str, Any]]:
        for example in proposal["value"]:
            if set(example) != {"sentence", "position", "what"}:
                raise ValueError(
                    f"an example has the keys {sorted(example)}; "
                    "give sentence, position and what"
                )
            _words(example["sentence"])
            _check_place(example["position"], example["sentence"])
        return [dict(example) for example in proposal["value"]]

    @traitlets.validate("position")
    def _check_position(self, proposal: Any) -> int:
        if proposal["value"] < 1:
            raise ValueError(
                f"position={proposal['value']} is no word: 1 is the first word"
            )
        return proposal["value"]

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        return _inside("layer", proposal["value"], _sizes().n_layers)

    @traitlets.validate("head")
    def _check_head(self, proposal: Any) -> int:
        return _inside("head", proposal["value"], _sizes().n_heads)

    def token_ids(self) -> Int[Tensor, "1 time"]:
        """The sentence as BERT reads it, with [MASK] in the blank."""
        tokens = pretrained.facts("bert")["tokens"]
        seen = ["[CLS]", *self.words()[1:], "[SEP]"]
        seen[self.place()] = "[MASK]"
        return torch.tensor([[tokens.index(token) for token in seen]])

    @torch.no_grad()
    def maps(self) -> Float[Tensor, "layer head time time"]:
        """Where every head of BERT looks when one word is hidden."""
        model = self.model()
        with recorded_weights(model) as weights:
            model(self.token_ids())
        return torch.stack(weights)[:, 0]

    @torch.no_grad()
    def answers(self) -> dict[str, Float[Tensor, " words"] | None]:
        """P of every word, in the order of the grammar, by each system; None where none fits."""
        words, place = self.words()[1:], self.place()
        vocabulary = TEACHING_GRAMMAR.words
        try:
            probs = TEACHING_GRAMMAR.fill_in_probs(words, place - 1)
            best = torch.tensor(
                [probs.get(word, 0.0) for word in vocabulary], dtype=torch.float64
            )
        except ValueError:  # no word fits
            best = None
        pieces = pretrained.facts("bert")["tokens"]
        of_bert = self.model()(self.token_ids())[0, place]
        tokens = pretrained.facts("trigram")["tokens"]
        sentence = torch.tensor([tokens.index(word) for word in [BOS, *words, EOS]])
        tried = sentence.repeat(len(vocabulary), 1)
        tried[:, place] = torch.tensor([tokens.index(word) for word in vocabulary])
        of_trigram = trigram_log_probs(pretrained.load_tensors("trigram"), tried)
        next_tokens = pretrained.facts("transformer")["tokens"]
        left = torch.tensor([[next_tokens.index(word) for word in [BOS, *words]]])
        left_to_right = copy.deepcopy(recipes.load("transformer")).double()
        of_left = left_to_right(left[:, :place])[0, -1]
        return {
            SYSTEMS[0]: best,
            SYSTEMS[1]: _of(vocabulary, pieces, of_bert),
            SYSTEMS[2]: of_trigram.sum(dim=1).softmax(dim=0),
            SYSTEMS[3]: _of(vocabulary, next_tokens, of_left),
        }

    def fallback(self) -> str:
        vocabulary = TEACHING_GRAMMAR.words
        hidden = self.words()[self.place()]
        rows: list[list[object]] = []
        for name, probs in self.answers().items():
            if probs is None:
                rows.append([name, "no word fits", "", "", ""])
                continue
            # Rounded: words that are equally likely come in one order on every machine.
            rounded = [round(prob, 9) for prob in probs.tolist()]
            order = sorted(range(len(rounded)), key=lambda i: (-rounded[i], i))
            best = [f"{vocabulary[i]} {rounded[i]:.2f}" for i in order[:3]]
            rows.append([name, *best, f"{rounded[vocabulary.index(hidden)]:.2f}"])
        seen = self.words()
        seen[self.place()] = "____"
        caption = f"What stands in the blank? {' '.join(seen[1:])}"
        header = ["system", "likeliest word", "second", "third", f"P of “{hidden}”"]
        return table(caption, header, rows)


def _sizes() -> BertConfig:
    return recipes.load("bert").config


def _of(
    vocabulary: Sequence[str], tokens: Sequence[str], logits: Float[Tensor, " tokens"]
) -> Float[Tensor, " words"]:
    """P of each word of the vocabulary, now that one of them must stand there."""
    ids = [tokens.index(word) for word in vocabulary]
    return logits[ids].softmax(dim=0)


def _check_place(position: Any, sentence: str) -> None:
    n_words = len(sentence.split())
    if not (isinstance(position, int) and 1 <= position <= n_words):
        raise ValueError(
            f"position={position!r}, and the sentence has {n_words} words: "
            f"it is between 1 and {n_words}"
        )
