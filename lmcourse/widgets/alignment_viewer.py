"""The alignment viewer of chapter 5: where the decoder looks while it writes each word.

The chapter's translator with attention runs in the page; the gold alignment stands beside it.
"""

from __future__ import annotations

from typing import Any

import traitlets

from lmcourse.attention import attention_weights, strongest_links
from lmcourse.data.translation import translate, translation_data
from lmcourse.pretrained import recipes
from lmcourse.tokenizers import EOS
from lmcourse.widgets.base import table
from lmcourse.widgets.bottleneck_explorer import TranslationWidget


class AlignmentViewer(TranslationWidget):
    """Build a sentence, and see where a translator with attention looks for every word it writes.

    The gold alignment stands beside its weights.

    Every trait can be read after the reader has played, and set from Python.

    Args:
        sentence: An English sentence of the grammar, of 60 words at most.
        seed: Seed of the random sentences, the same in every browser.
        step: The target word that is looked at, from 1.
        given: Show the weights while the gold translation is given to the model, instead of
            those while it writes its own.
        strongest: Mark the strongest link of each target word.

    Raises:
        ValueError: It is no such sentence, or a number is out of range.

    >>> AlignmentViewer("the cat sleeps")
    AlignmentViewer('the cat sleeps')
    """

    name = "alignment_viewer"
    pretrained = "attention"

    step = traitlets.Int(1, help="The target word that is looked at, from 1.").tag(
        sync=True
    )
    given = traitlets.Bool(False, help="The gold translation is given.").tag(sync=True)
    strongest = traitlets.Bool(False, help="Mark the strongest links.").tag(sync=True)

    def __init__(
        self,
        sentence: str = "the small rabbit that a bear saw chases the turtle and a cat sleeps",
        **kwargs: Any,
    ) -> None:
        super().__init__(sentence, **kwargs)

    @traitlets.validate("step")
    def _check_step(self, proposal: Any) -> int:
        if proposal["value"] < 1:
            raise ValueError(f"step={proposal['value']}; the first word is 1")
        return proposal["value"]

    def fallback(self) -> str:
        data, gold = translation_data(), translate(self.sentence)
        written = self.written()
        source = data.source_tokenizer.encode(self.sentence)
        target = data.target_tokenizer.encode(" ".join(written).removesuffix(EOS))
        model = recipes.load(self.pretrained)
        (weights,) = attention_weights(model, [(source, target)])
        english = self.sentence.split()
        same = written == [*gold.target.split(), EOS]
        rows: list[list[object]] = []
        for i, place in sorted(strongest_links(weights), key=lambda link: link[1]):
            links = [
                english[j] + (" (sure)" if (j, place) in gold.sure else " (possible)")
                for j, at in sorted(gold.possible)
                if at == place and same
            ]
            rows.append(
                [place + 1, written[place], english[i], ", ".join(links) or "none"]
            )
        caption = f"“{self.sentence}”, translated by the trained model with attention"
        header = ["place", "the model writes", "and looks most at", "gold links"]
        return table(caption, header, rows) + self.joined(written)
