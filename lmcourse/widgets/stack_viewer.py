"""The stack viewer of chapter 8: follow one word up the Transformer."""

from __future__ import annotations

from typing import Any

import torch
import traitlets
from torch import Tensor

from lmcourse import pretrained
from lmcourse.self_attention import causal_mask
from lmcourse.tokenizers import EOS
from lmcourse.widgets.base import table
from lmcourse.widgets.head_viewer import SentenceWidget

N_BLOCKS = 2
STAGES = (
    "embedding and position",
    *(
        f"block {block}, {part}"
        for block in range(N_BLOCKS)
        for part in ("attention", "feed-forward network")
    ),
)


class StackViewer(SentenceWidget):
    """Follow one word of your sentence up the Transformer of chapter 8, stage by stage.

    At every stage something is added to the word's vector. The *logit lens* shows what the model
    would answer with the vector so far: the last norm and the output matrix are applied to it.

    Every trait can be read after the reader has played, and set from Python.

    Args:
        sentence, position, examples: As of every viewer of a sentence.
        stage: The stage that is looked at: 0 is the embedding with its position, then come
            attention and feed-forward network of each block.

    Raises:
        ValueError: The sentence cannot be read, or there is no such position or stage.

    >>> StackViewer("the rabbit sleeps")
    StackViewer('the rabbit sleeps', position=3)
    """

    name = "stack_viewer"
    pretrained = "transformer"

    stage = traitlets.Int(0, help="The stage that is looked at, from 0.").tag(sync=True)

    @traitlets.validate("stage")
    def _check_stage(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(STAGES):
            raise ValueError(
                f"stage={proposal['value']} is not between 0 and {len(STAGES) - 1}"
            )
        return proposal["value"]

    @torch.no_grad()
    def way_up(self) -> tuple[list[Tensor], list[Tensor]]:
        """For every stage: what it adds to the vectors, and log P of each next token after it.

        The first of each is that of the embedding with its position. All are in float64, and
        (time, d_model) and (time, vocab_size).
        """
        model, token_ids = self.model(), self.token_ids()
        mask = causal_mask(token_ids.shape[1])
        hidden = model.embedding(token_ids)
        added, log_probs = [hidden], []

        def look() -> None:
            logits = model.output(model.layers.norm(sum(added)))
            log_probs.append(logits.log_softmax(dim=-1)[0])

        look()
        for block in model.layers.layers:
            added.append(block.attention(block.attention_norm(sum(added)), mask))
            look()
            added.append(block.feed_forward(block.feed_forward_norm(sum(added))))
            look()
        return [one[0] for one in added], log_probs

    def fallback(self) -> str:
        tokens = pretrained.facts(self.pretrained)["tokens"]
        words, place = self.words(), self.place()
        added, log_probs = self.way_up()
        answer = int(log_probs[-1][place].argmax())
        rows: list[list[object]] = []
        vector = torch.zeros_like(added[0][place])
        for stage, more, after in zip(STAGES, added, log_probs, strict=True):
            vector = vector + more[place]
            probs = after[place].exp()
            best = int(probs.argmax())
            rows.append(
                [
                    stage,
                    f"{more[place].norm().item():.1f}",
                    f"{vector.norm().item():.1f}",
                    f"{_named(tokens[best])} {probs[best].item():.1f}",
                    f"{probs[answer].item():.1f}",
                ]
            )
        caption = f"“{words[place]}” on its way up the stack, in: {self.sentence}"
        header = ["stage", "length of what is added", "length after it"]
        header += ["likeliest next word", f"probability of “{_named(tokens[answer])}”"]
        return table(caption, header, rows)


def _named(token: str) -> str:
    return "end" if token == EOS else token
