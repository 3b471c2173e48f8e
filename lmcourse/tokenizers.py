"""Tokens: a model predicts numbers, so text goes in as token ids and comes out again as text.

Two ways of cutting text are enough for the first chapters: at spaces, and between characters.
Pieces of words come with BERT.
"""

import difflib
from collections import Counter
from collections.abc import Iterable

BOS, EOS, UNK = "<s>", "</s>", "<unk>"


class Tokenizer:
    """A vocabulary, and the way between text and token ids.

    Ids: 0 is `<s>`, 1 is `</s>`, 2 is `<unk>` (only in an open vocabulary), then `tokens` in order.
    A closed vocabulary has no `<unk>`: it refuses a token that it does not know.

    Args:
        tokens: the tokens of the vocabulary, without the special ones, each once.
        open_vocabulary: whether unknown tokens become `<unk>`.

    Raises:
        ValueError: a token stands twice, or is one of the special ones.
    """

    bos_id = 0
    eos_id = 1

    def __init__(self, tokens: Iterable[str], *, open_vocabulary: bool = False):
        special = (BOS, EOS, UNK) if open_vocabulary else (BOS, EOS)
        self.tokens: tuple[str, ...] = (*special, *tokens)
        self.token_to_id = {
            token: token_id for token_id, token in enumerate(self.tokens)
        }
        self.unk_id = self.token_to_id[UNK] if open_vocabulary else None
        if len(self.token_to_id) < len(self.tokens):
            token, count = Counter(self.tokens).most_common(1)[0]
            raise ValueError(
                f"token {token!r} stands {count} times; each may stand once"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def vocab_size(self) -> int:
        """The number of tokens, the special ones included."""
        return len(self.tokens)

    def split(self, text: str) -> list[str]:
        """Cut a text into tokens."""
        raise NotImplementedError

    def join(self, tokens: Iterable[str]) -> str:
        """Put tokens together again."""
        raise NotImplementedError

    def encode(self, text: str) -> list[int]:
        """Turn a text into `[<s>, ..., </s>]`. A prompt, still to be continued, is `[:-1]` of it.

        Raises:
            ValueError: a token is unknown and the vocabulary is closed, or it is `<s>` or `</s>`.
        """
        return [self.bos_id, *map(self._to_id, self.split(text)), self.eos_id]

    def decode(self, token_ids: Iterable[int]) -> str:
        """Turn token ids into text. `<s>` and `</s>` are left out.

        Raises:
            ValueError: an id is outside the vocabulary.
        """
        inside = [
            token_id for token_id in map(int, token_ids) if token_id not in (0, 1)
        ]
        for token_id in inside:
            if not 0 <= token_id < self.vocab_size:
                raise ValueError(
                    f"token id {token_id} is outside 0 .. {self.vocab_size - 1}"
                )
        return self.join(self.tokens[token_id] for token_id in inside)

    def _to_id(self, token: str) -> int:
        if token in (BOS, EOS):
            raise ValueError(
                f"{token!r} in a text: it marks where a sentence begins or ends"
            )
        token_id = self.token_to_id.get(token, self.unk_id)
        if token_id is None:
            near = difflib.get_close_matches(token, self.tokens, n=3)
            hint = f"; near it: {', '.join(map(repr, near))}" if near else ""
            raise ValueError(
                f"{token!r} is not among the {self.vocab_size} tokens of this vocabulary, "
                f"which is closed{hint}"
            )
        return token_id

    @classmethod
    def train(
        cls, texts: Iterable[str], *, min_count: int = 1, open_vocabulary: bool = False
    ):
        """Collect the vocabulary of some texts, in order of first appearance.

        Args:
            texts: sentences or documents.
            min_count: a token that occurs less often is left out.
            open_vocabulary: whether tokens outside the vocabulary become `<unk>`.

        Raises:
            ValueError: the texts hold no token, or tokens are left out of a closed vocabulary.
        """
        if min_count > 1 and not open_vocabulary:
            raise ValueError(
                f"min_count={min_count} leaves tokens out: needs open_vocabulary=True"
            )
        splitter = cls((), open_vocabulary=open_vocabulary)
        counts = Counter(token for text in texts for token in splitter.split(text))
        kept = [
            token
            for token, count in counts.items()
            if count >= min_count and token != UNK
        ]
        if not kept:
            raise ValueError(
                f"no token occurs {min_count} times in the texts; one is needed"
            )
        return cls(kept, open_vocabulary=open_vocabulary)

    def __repr__(self) -> str:
        open_vocabulary = self.unk_id is not None
        name = type(self).__name__
        return (
            f"{name}(vocab_size={self.vocab_size}, open_vocabulary={open_vocabulary})"
        )


class WordTokenizer(Tokenizer):
    """Words: whatever stands between spaces.

    >>> tokenizer = WordTokenizer.train(["I like rabbits", "I like turtles"])
    >>> tokenizer.tokens
    ('<s>', '</s>', 'I', 'like', 'rabbits', 'turtles')
    >>> tokenizer.encode("I like turtles")
    [0, 2, 3, 5, 1]
    >>> tokenizer.decode([0, 2, 3, 5, 1])
    'I like turtles'
    """

    def split(self, text: str) -> list[str]:
        return text.split()

    def join(self, tokens: Iterable[str]) -> str:
        return " ".join(tokens)


class CharTokenizer(Tokenizer):
    """Characters, the space among them.

    >>> tokenizer = CharTokenizer.train(["no", "on"])
    >>> tokenizer.encode("noon")
    [0, 2, 3, 3, 2, 1]
    >>> tokenizer.decode([0, 2, 3, 3, 2, 1])
    'noon'
    """

    def split(self, text: str) -> list[str]:
        return list(text)

    def join(self, tokens: Iterable[str]) -> str:
        return "".join(tokens)
