"""Tokens: a model predicts numbers, so text goes in as token ids and comes out again as text.

Two ways of cutting text are enough for the first chapters: at spaces, and between characters.

BERT cuts words into pieces. WordPiece (Schuster and Nakajima, 2012, *Japanese and Korean Voice
Search*; Wu et al., 2016, *Google's Neural Machine Translation System*) keeps common words whole and
writes rare ones with several pieces. Here are BERT's rules for it (Devlin et al., 2019, *BERT:
Pre-training of Deep Bidirectional Transformers for Language Understanding*), as the `tokenizers`
library follows them, so that the pieces are those that real BERTs were trained with.
"""

import difflib
import heapq
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

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


# ------------------------------------------------------------------ WordPiece: text into words

PAD, UNK_PIECE, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_PIECES = (PAD, UNK_PIECE, CLS, SEP, MASK)
"""Padding, an unknown word, the beginning, the end of a part, and a word that is hidden."""

CONTINUES = "##"
"""What a piece begins with that does not begin a word."""

IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B81F),
    (0x2B920, 0x2CEAF),  # 0x2B820 in Google's code; here as in the library
    (0x2F800, 0x2FA1F),
)
"""Where Unicode keeps the Chinese characters. Korean hangul and Japanese kana stand elsewhere."""


class Word(NamedTuple):
    """A word as the vocabulary would spell it, and where each of its characters comes from.

    Attributes:
        text: the characters of the word.
        places: for each of them, the index in the original text of the character it comes from.
    """

    text: str
    places: tuple[int, ...]


@cache
def normalise(char: str, lower: bool) -> str:
    """Spell one character of a text as BERT does: nothing, a space, or one or more characters.

    Control characters go, all white space becomes a space. With `lower`, capitals and accents go
    too: NFD takes a character apart, and the marks that take no place of their own (Unicode's
    category Mn) are left out. NFD takes a Korean syllable apart as well, into its letters (jamo).
    NFD also sorts marks that follow each other; here each character is taken by itself, so they
    keep their order.

    Args:
        char: one character.
        lower: whether the vocabulary knows small letters without accents alone.

    >>> normalise("É", lower=True), normalise("É", lower=False), normalise("\\t", lower=True)
    ('e', 'É', ' ')
    >>> [f"U+{ord(jamo):04X}" for jamo in normalise("한", lower=True)]
    ['U+1112', 'U+1161', 'U+11AB']
    """
    if char in "\t\n\r":
        return " "
    if char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs"):
        return ""
    if char.isspace():
        return " "
    if not lower:
        return char
    apart = unicodedata.normalize("NFD", char)
    return "".join(c.lower() for c in apart if unicodedata.category(c) != "Mn")


@cache
def stands_alone(char: str) -> bool:
    """Whether a character is always a word of its own: punctuation, and Chinese characters.

    Every visible ASCII character that is no letter and no digit counts as punctuation, `$` too.

    >>> [char for char in "a.1$한漢" if stands_alone(char)]
    ['.', '$', '漢']
    """
    code = ord(char)
    if code < 128:
        return char.isprintable() and not char.isalnum() and char != " "
    return unicodedata.category(char).startswith("P") or any(
        first <= code <= last for first, last in IDEOGRAPHS
    )


def split_words(text: str, lower: bool) -> list[Word]:
    """Cut a text into words: at white space, and on both sides of what stands alone.

    A special piece that is written in the text, as in `the [MASK] sleeps`, is one word.

    Args:
        text: any text.
        lower: as in `normalise`.

    >>> [word.text for word in split_words("Don't [MASK]!", lower=True)]
    ['don', "'", 't', '[MASK]', '!']
    >>> split_words("Ça va", lower=True)
    [Word(text='ca', places=(0, 1)), Word(text='va', places=(3, 4))]
    """
    found = []
    start = 0
    for part in re.split(f"({'|'.join(map(re.escape, SPECIAL_PIECES))})", text):
        end = start + len(part)
        if part in SPECIAL_PIECES:
            found.append(Word(part, tuple(range(start, end))))
        else:
            found += _split_plain(part, start, lower)
        start = end
    return found


def _split_plain(text: str, start: int, lower: bool) -> Iterator[Word]:
    """Words of a text without special pieces; `start` is the place of its first character."""
    letters, places = "", ()
    for place, original in enumerate(text, start):
        for char in normalise(original, lower):
            alone = stands_alone(char)
            if letters and (alone or char == " "):
                yield Word(letters, places)
                letters, places = "", ()
            if alone:
                yield Word(char, (place,))
            elif char != " ":
                letters, places = letters + char, (*places, place)
    if letters:
        yield Word(letters, places)


# ----------------------------------------------------------------- WordPiece: words into pieces


def cut_word(word: str, vocabulary: Container[str]) -> list[str] | None:
    """Cut a word into pieces: the longest piece that fits first, then again from where it ends.

    Nothing is tried twice: if the rest fits no piece, the word cannot be cut, even if shorter
    pieces before it had left another rest.

    Args:
        word: the characters of a word.
        vocabulary: the pieces there are; those that continue a word begin with `##`.

    Returns:
        The pieces, or None if the word cannot be cut.

    >>> cut_word("unplayable", {"un", "play", "##play", "##able", "##ably"})
    ['un', '##play', '##able']
    >>> cut_word("unsaid", {"un", "##sa"}) is None
    True
    """
    pieces = []
    start = 0
    while start < len(word):
        prefix = CONTINUES if start else ""
        for end in range(len(word), start, -1):
            if prefix + word[start:end] in vocabulary:
                break
        else:
            return None
        pieces.append(prefix + word[start:end])
        start = end
    return pieces


class Piece(NamedTuple):
    """A piece of a text.

    Attributes:
        text: the piece as it stands in the vocabulary.
        start: where it begins in the original text.
        end: where it ends: it was made from `text[start:end]`. Pieces can share a character:
            a Korean syllable comes apart into letters.
    """

    text: str
    start: int
    end: int


class WordPiece:
    """A vocabulary of pieces of words, and BERT's way between text and token ids.

    A word that cannot be cut into pieces of the vocabulary is `[UNK]`, the whole word.

    Args:
        tokens: the pieces in the order of their ids, the five special ones among them.
        lower: whether capitals and accents are taken away (BERT "uncased"). Korean syllables then
            come apart into letters.
        max_word_length: a word of more characters is `[UNK]`; BERT says 100.

    Attributes:
        tokens: the pieces in the order of their ids.
        token_to_id: the id of each piece.

    Raises:
        ValueError: a special piece is missing, or a token is there twice, empty, or holds white
            space.

    >>> tokenizer = WordPiece([*SPECIAL_PIECES, "a", "turtle", "##s", "sleep", "."])
    >>> tokenizer.split("Turtles sleep.")
    ['turtle', '##s', 'sleep', '.']
    >>> tokenizer.encode("Turtles sleep.")
    [2, 6, 7, 8, 9, 3]
    >>> tokenizer.decode([2, 6, 7, 8, 9, 3])
    'turtles sleep .'
    """

    def __init__(
        self,
        tokens: Iterable[str],
        *,
        lower: bool = True,
        max_word_length: int = 100,
    ):
        self.tokens: tuple[str, ...] = tuple(tokens)
        self.token_to_id: dict[str, int] = {}
        self.lower = lower
        self.max_word_length = max_word_length
        for token_id, token in enumerate(self.tokens):
            if not token or any(map(str.isspace, token)):
                raise ValueError(
                    f"token {token!r} with id {token_id} is empty or holds white space; "
                    f"no text has such a piece"
                )
            if token in self.token_to_id:
                raise ValueError(
                    f"token {token!r} has the ids {self.token_to_id[token]} and {token_id}; "
                    f"each token may stand once"
                )
            self.token_to_id[token] = token_id
        missing = [piece for piece in SPECIAL_PIECES if piece not in self.token_to_id]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} missing among {len(self.tokens)} tokens; "
                f"BERT needs {', '.join(SPECIAL_PIECES)}"
            )
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self.token_to_id[piece] for piece in SPECIAL_PIECES
        )
        self.special_ids = frozenset(
            (self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id)
        )

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def vocab_size(self) -> int:
        """The number of tokens, the special ones included."""
        return len(self.tokens)

    def pieces(self, text: str) -> list[Piece]:
        """Cut a text into pieces that know where they come from.

        >>> tokenizer = WordPiece([*SPECIAL_PIECES, "caf", "##e", "s", "##s"])
        >>> tokenizer.pieces("Cafés [MASK]")
        [Piece(text='caf', start=0, end=3), Piece(text='##e', start=3, end=4),
         Piece(text='##s', start=4, end=5), Piece(text='[MASK]', start=6, end=12)]
        """
        return [
            piece for word in split_words(text, self.lower) for piece in self._cut(word)
        ]

    def _cut(self, word: Word) -> Iterator[Piece]:
        too_long = len(word.text) > self.max_word_length
        if too_long and word.text not in SPECIAL_PIECES:
            cut = None
        else:
            cut = cut_word(word.text, self.token_to_id)
        if cut is None:
            yield Piece(UNK_PIECE, word.places[0], word.places[-1] + 1)
            return
        first = 0
        for piece in cut:
            last = first + len(piece) - (len(CONTINUES) if first else 0) - 1
            yield Piece(piece, word.places[first], word.places[last] + 1)
            first = last + 1

    def split(self, text: str) -> list[str]:
        """Cut a text into pieces."""
        return [piece.text for piece in self.pieces(text)]

    def encode(self, text: str, second: str | None = None) -> list[int]:
        """Turn a text into `[CLS] text [SEP]`, two texts into `[CLS] text [SEP] second [SEP]`.

        >>> tokenizer = WordPiece([*SPECIAL_PIECES, "yes", "no"])
        >>> tokenizer.encode("yes", "no")
        [2, 5, 3, 6, 3]
        """
        token_ids = [self.cls_id]
        for part in (text,) if second is None else (text, second):
            token_ids += [self.token_to_id[piece] for piece in self.split(part)]
            token_ids.append(self.sep_id)
        return token_ids

    def decode(self, token_ids: Iterable[int]) -> str:
        """Turn token ids into text: a space before each piece, unless it begins with `##`.

        `[PAD]`, `[CLS]` and `[SEP]` are left out. The text is not the original one: white space,
        and with `lower` capitals and accents, were lost before.

        Raises:
            ValueError: an id is outside the vocabulary.
        """
        found = []
        for token_id in map(int, token_ids):
            if not 0 <= token_id < self.vocab_size:
                raise ValueError(
                    f"token id {token_id} is outside 0 .. {self.vocab_size - 1}"
                )
            if token_id not in (self.pad_id, self.cls_id, self.sep_id):
                found.append(self.tokens[token_id])
        return " ".join(found).replace(f" {CONTINUES}", "")

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        lower: bool = True,
        min_count: int = 2,
    ) -> "WordPiece":
        """Learn a vocabulary: the special pieces, all characters, then merges of two pieces.

        The pair of pieces that stands together most often is merged again and again, as the trainer
        of the `tokenizers` library does (byte pair encoding: Sennrich et al., 2016, *Neural
        Machine Translation of Rare Words with Subword Units*).
        Google did not publish its trainer. It is often said that it merges the pair with the
        greatest count(ab) / (count(a) count(b)) instead. That score is greatest for pieces that are
        seldom and always together, so it spends the vocabulary on rare words and cuts the common
        ones into more pieces.

        Every character is learned both as a beginning and as a continuation, unless it stands alone
        always. So every word of known characters can be cut, unless it is too long.

        Args:
            texts: sentences or documents.
            vocab_size: the number of tokens wanted, the special ones included. There are fewer if
                nothing is left to merge.
            lower: whether capitals and accents are taken away.
            min_count: a pair that stands together less often is not merged.

        Raises:
            ValueError: the texts hold no word, or the characters alone need more than vocab_size.

        >>> tokenizer = WordPiece.train(["hug hugs hugs pug"], vocab_size=16)
        >>> tokenizer.tokens[5:]
        ('g', 'h', 'p', 's', 'u', '##g', '##h', '##p', '##s', '##u', '##ug')
        """
        word_counts = Counter(
            word.text
            for text in texts
            for word in split_words(text, lower)
            if word.text not in SPECIAL_PIECES
        )
        alphabet = sorted(set("".join(word_counts)))
        if not alphabet:
            raise ValueError(
                "the texts hold no word: a vocabulary needs at least one character"
            )
        tokens = [*SPECIAL_PIECES, *alphabet]
        tokens += [CONTINUES + char for char in alphabet if not stands_alone(char)]
        if len(tokens) > vocab_size:
            raise ValueError(
                f"vocab_size={vocab_size} is too small for these texts: the special pieces and "
                f"{len(alphabet)} characters need {len(tokens)}"
            )
        known = dict.fromkeys(tokens)
        for piece in merges(word_counts, min_count):
            if len(known) == vocab_size:
                break
            known[piece] = None
        return cls(known, lower=lower)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `vocab.txt` and `tokenizer_config.json`, which `transformers` reads too.

        It does not read `max_word_length`, which it takes for 100.

        Args:
            folder: where the two files go; it is made if it is not there.
        """
        from lmcourse.training import write_whole

        vocabulary = "".join(f"{token}\n" for token in self.tokens)
        config = {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.lower,
            "strip_accents": None,
            "tokenize_chinese_chars": True,
            "max_input_chars_per_word": self.max_word_length,
        }
        files = {"vocab.txt": vocabulary, "tokenizer_config.json": json.dumps(config)}
        for name, content in files.items():
            data = content.encode("utf-8")
            write_whole(
                Path(folder) / name, lambda path, data=data: path.write_bytes(data)
            )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "WordPiece":
        """Read a tokenizer that `save_pretrained`, or `transformers` for a BERT, has written.

        Args:
            folder: a folder with `vocab.txt`, one token a line. If `tokenizer_config.json` is there
                too, it says whether the text becomes lower case; otherwise it does.

        Raises:
            ValueError: `vocab.txt` is missing, a file cannot be read, a line is no token or stands
                twice, or the configuration asks for other rules than BERT's.
        """
        path = Path(folder) / "vocab.txt"
        tokens = _read(path).replace("\r\n", "\n").removesuffix("\n").split("\n")
        config_path = Path(folder) / "tokenizer_config.json"
        config = _read_config(config_path) if config_path.exists() else {}
        try:
            return cls(
                tokens,
                lower=config.get("do_lower_case", True),
                max_word_length=config.get("max_input_chars_per_word", 100),
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error} (line 1 has id 0)") from error

    def __repr__(self) -> str:
        return f"WordPiece(vocab_size={self.vocab_size}, lower={self.lower})"


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ValueError(f"no file {path.absolute()} that can be read") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}") from error


def _read_config(path: Path) -> dict:
    try:
        config = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(
            f"{path} holds {config!r}; a configuration is an object {{...}}"
        )
    lower = config.get("do_lower_case", True)
    strip_accents = config.get("strip_accents")
    chinese = config.get("tokenize_chinese_chars", True)
    if strip_accents not in (None, lower) or not chinese:
        raise ValueError(
            f"{path} asks for strip_accents={strip_accents} with do_lower_case={lower} and "
            f"tokenize_chinese_chars={chinese}; WordPiece strips accents where it lowers, and only "
            f"there, and always cuts round Chinese characters"
        )
    return config


# ------------------------------------------------------------ WordPiece: pieces from many words


def merges(word_counts: Mapping[str, int], min_count: int = 2) -> Iterator[str]:
    """Yield what each merge makes: the most frequent pair of neighbours first, ties by text.

    Words begin as single characters. A merge joins a pair wherever it stands, so the counts change,
    but only in the words that hold the pair.

    Args:
        word_counts: how often each word occurs.
        min_count: a pair that stands together less often is not merged.

    >>> list(merges({"hug": 1, "hugs": 2, "pug": 1}))
    ['##ug', 'hug', 'hugs']
    """
    words = [
        [word[0], *(CONTINUES + char for char in word[1:])] for word in word_counts
    ]
    counts = list(word_counts.values())
    pair_counts: Counter = Counter()
    holders = defaultdict(set)  # the words in which a pair stands, or stood once
    for index, pieces in enumerate(words):
        for pair in pairwise(pieces):
            pair_counts[pair] += counts[index]
            holders[pair].add(index)
    # The greatest count is on top. An entry whose count is no longer true is skipped.
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    while heap and -heap[0][0] >= min_count:
        count, pair = heapq.heappop(heap)
        if -count != pair_counts[pair]:
            continue
        yield join_pair(*pair)
        changed = set()
        for index in holders.pop(pair):
            before, after = words[index], merge_pair(words[index], pair)
            for old in pairwise(before):
                pair_counts[old] -= counts[index]
            for new in pairwise(after):
                pair_counts[new] += counts[index]
                holders[new].add(index)
            changed.update(pairwise(before), pairwise(after))
            words[index] = after
        for other in changed:
            if pair_counts[other] > 0:
                heapq.heappush(heap, (-pair_counts[other], other))


def join_pair(left: str, right: str) -> str:
    """Join two neighbouring pieces of a word.

    >>> join_pair("play", "##ed"), join_pair("##ab", "##le")
    ('played', '##able')
    """
    return left + right.removeprefix(CONTINUES)


def merge_pair(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """Join a pair of pieces wherever it stands in a word, from left to right.

    >>> merge_pair(["b", "##a", "##n", "##a", "##n", "##a"], ("##a", "##n"))
    ['b', '##an', '##an', '##a']
    """
    merged: list[str] = []
    position = 0
    while position < len(pieces):
        if tuple(pieces[position : position + 2]) == pair:
            merged.append(join_pair(*pair))
            position += 2
        else:
            merged.append(pieces[position])
            position += 1
    return merged
