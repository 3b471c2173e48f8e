"""The bottleneck explorer of chapter 4: lengthen a sentence, watch what the one vector loses.

The chapter's translator runs in the page. The words, the rules and the exact translations of
`lmcourse.data.translation` are there too (`translation.js`; a test compares them).
"""

from __future__ import annotations

from typing import Any

import traitlets

from lmcourse.data.translation import LEXICON, surface, translate, translation_data
from lmcourse.pretrained import recipes
from lmcourse.seq2seq import greedy_search
from lmcourse.tokenizers import EOS
from lmcourse.widgets.base import ModelWidget, escape, table

LONGEST = 60  # words of a sentence, as in translation.js


def _rows(lexicon: dict[str, Any]) -> dict[str, Any]:
    """The lexicon with lists for its dictionaries, which JSON would sort by their keys."""
    return {
        "article": lexicon["article"],
        "adjective": [list(pair) for pair in lexicon["adjective"].items()],
        "noun": [list(pair) for pair in lexicon["noun"].items()],
        "particle": lexicon["particle"],
    } | {
        name: [[english, *forms.values()] for english, forms in lexicon[name].items()]
        for name in ("transitive verb", "intransitive verb")
    }


class TranslationWidget(ModelWidget):
    """A widget in which the reader builds a sentence and a trained translator renders it.

    Args:
        sentence: An English sentence of the grammar, of 60 words at most.
        seed: Seed of the random sentences, the same in every browser.

    Raises:
        ValueError: It is no such sentence, or a number is out of range.
    """

    lexicon = traitlets.Dict(help="The words of both languages.").tag(sync=True)
    sentence = traitlets.Unicode(help="The sentence that is translated.").tag(sync=True)
    seed = traitlets.Int(0, help="Seed of the random sentences, 0 to 2**32 - 1.").tag(
        sync=True
    )

    def __init__(self, sentence: str, **kwargs: Any) -> None:
        super().__init__(lexicon=_rows(LEXICON), sentence=sentence, **kwargs)

    @traitlets.validate("sentence")
    def _check_sentence(self, proposal: Any) -> str:
        sentence = translate(proposal["value"]).source
        n_words = len(sentence.split())
        if n_words > LONGEST:
            raise ValueError(f"{n_words} words; a sentence here has {LONGEST} at most")
        return sentence

    @traitlets.validate("seed")
    def _check_seed(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < 2**32:
            raise ValueError(
                f"seed={proposal['value']} is not between 0 and 4294967295"
            )
        return proposal["value"]

    def written(self) -> list[str]:
        """The tokens that the trained model writes for the sentence, `</s>` where it came."""
        data = translation_data()
        source = data.source_tokenizer.encode(self.sentence)
        most = 2 * len(self.sentence.split()) + 10
        (token_ids,) = greedy_search(recipes.load(self.pretrained), [source], most)
        return [data.target_tokenizer.tokens[token_id] for token_id in token_ids[1:]]

    def joined(self, written: list[str]) -> str:
        """A paragraph with what the model wrote, as one reads it."""
        korean = surface(" ".join(written).removesuffix(EOS))
        return f'<p>As one reads it: <span lang="ko">{escape(korean)}</span></p>'

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sentence!r})"


class BottleneckExplorer(TranslationWidget):
    """Lengthen a sentence, and see what a translator with one context vector loses of it.

    Every trait can be read after the reader has played, and set from Python.

    Args:
        sentence: An English sentence of the grammar, of 60 words at most.
        seed: Seed of the random sentences, the same in every browser.

    Raises:
        ValueError: It is no such sentence, or a number is out of range.

    >>> BottleneckExplorer("the cat sleeps")
    BottleneckExplorer('the cat sleeps')
    """

    name = "bottleneck_explorer"
    pretrained = "seq2seq"

    tried = traitlets.List(
        traitlets.Dict(),
        help="What was translated so far: sentence, its words, tokens right, of how many.",
    ).tag(sync=True)

    def __init__(
        self,
        sentence: str = "the quick fox that chased a small rabbit likes the turtle",
        **kwargs: Any,
    ) -> None:
        super().__init__(sentence, **kwargs)

    def fallback(self) -> str:
        gold, written = [*translate(self.sentence).target.split(), EOS], self.written()
        rows: list[list[object]] = []
        for place in range(max(len(gold), len(written))):
            wanted, found = (
                words[place] if place < len(words) else "nothing"
                for words in (gold, written)
            )
            same = "yes" if wanted == found else "no"
            rows.append([place + 1, wanted, found, same])
        right = sum(row[-1] == "yes" for row in rows)
        caption = (
            f"“{self.sentence}”, translated by the trained model: "
            f"{right} of {len(gold)} right, the end among them"
        )
        header = ["place", "right translation", "the model writes", "right?"]
        return table(caption, header, rows) + self.joined(written)
