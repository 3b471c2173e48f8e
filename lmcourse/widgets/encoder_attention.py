"""The attention of a real pretrained encoder, head by head: a widget of chapter 9."""

from __future__ import annotations

from typing import Any

import traitlets
from jaxtyping import Float
from torch import Tensor

from lmcourse import pretrained
from lmcourse.widgets.base import ModelWidget, escape, table
from lmcourse.widgets.head_viewer import _inside


class EncoderAttention(ModelWidget):
    """See where every head of a pretrained encoder looks in some English sentences.

    The weights of attention were computed before and are stored. Every trait can be read after the
    reader has played, and set from Python. Layers, heads and pieces are counted from 0.

    Args:
        sentence: Which of the stored sentences.
        layer, head: The head that is shown large.
        piece: The piece that looks. In the page a larger number means the last one.
        heads: Heads worth seeing: dictionaries with `layer`, `head` and `what` it does. With
            `sentence`, or `sentence` and `piece`, these are shown, too.

    Raises:
        ValueError: There is no such sentence, layer, head or piece.

    >>> EncoderAttention.pretrained
    'encoder_attention'
    """

    name = "encoder_attention"
    pretrained = "encoder_attention"

    sentence = traitlets.Int(0, help="Which of the stored sentences.").tag(sync=True)
    layer = traitlets.Int(0, help="The layer of the head shown large.").tag(sync=True)
    head = traitlets.Int(0, help="The head that is shown large.").tag(sync=True)
    piece = traitlets.Int(0, help="The piece that looks.").tag(sync=True)
    heads = traitlets.List(traitlets.Dict(), help="Heads worth seeing.").tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _inside("piece", self.piece, len(self.pieces()))

    @traitlets.validate("sentence")
    def _check_sentence(self, proposal: Any) -> int:
        return _inside("sentence", proposal["value"], len(self.sentences()))

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        return _inside("layer", proposal["value"], self.maps(0).shape[0])

    @traitlets.validate("head")
    def _check_head(self, proposal: Any) -> int:
        return _inside("head", proposal["value"], self.maps(0).shape[1])

    @traitlets.validate("piece")
    def _check_piece(self, proposal: Any) -> int:
        if proposal["value"] < 0:
            raise ValueError(f"piece={proposal['value']} is below 0")
        return proposal["value"]

    @traitlets.validate("heads")
    def _check_heads(self, proposal: Any) -> list[dict[str, Any]]:
        n_layers, n_heads = self.maps(0).shape[:2]
        for entry in proposal["value"]:
            needed, where = {"layer", "head", "what"}, ("sentence", "piece")
            if set(entry) not in [needed.union(where[:n]) for n in range(3)]:
                raise ValueError(
                    f"heads holds the keys {sorted(entry)}; give layer, head and what, "
                    "and where you like sentence, or sentence and piece"
                )
            _inside("layer", entry["layer"], n_layers)
            _inside("head", entry["head"], n_heads)
            if "sentence" in entry:
                sentences = self.sentences()
                at = _inside("sentence", entry["sentence"], len(sentences))
                _inside("piece", entry.get("piece", 0), len(sentences[at]["pieces"]))
        return proposal["value"]

    def sentences(self) -> list[dict[str, Any]]:
        """The stored sentences, each with its `text` and its `pieces`."""
        return pretrained.facts(self.pretrained)["sentences"]

    def pieces(self) -> list[str]:
        """The pieces of the chosen sentence."""
        return self.sentences()[self.sentence]["pieces"]

    def maps(self, sentence: int) -> Float[Tensor, "layer head time time"]:
        """The weights of all heads in a sentence."""
        return pretrained.load_tensors(self.pretrained)[f"attention.{sentence}"]

    def fallback(self) -> str:
        pieces = self.pieces()
        weights = self.maps(self.sentence)[self.layer, self.head].double().tolist()
        rows: list[list[object]] = []
        for piece, row in zip(pieces, weights, strict=True):
            most = max(range(len(row)), key=row.__getitem__)
            rows.append([piece, pieces[most], f"{row[most]:.2f}"])
        text = self.sentences()[self.sentence]["text"]
        caption = f"Where layer {self.layer}, head {self.head} looks in: {text}"
        found = table(caption, ["piece", "looks most at", "weight"], rows)
        if self.heads:
            items = "".join(
                f"<li>layer {one['layer']}, head {one['head']}: {escape(one['what'])}</li>"
                for one in self.heads
            )
            found += f"<p>Heads worth seeing:</p><ul>{items}</ul>"
        credit = pretrained.facts(self.pretrained)["credit"]
        return f"{found}<p>{escape(credit)}</p>"

    def __repr__(self) -> str:
        return (
            f"EncoderAttention(sentence={self.sentence}, layer={self.layer}, "
            f"head={self.head}, piece={self.piece})"
        )
