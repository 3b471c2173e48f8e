"""Tokenizers: round trips, the order of ids, and refusals that name what is wrong.

WordPiece has a reference: the `tokenizers` library with the same vocabulary.
"""

import json
import os
import random
import subprocess
import sys
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from lmcourse.data.python_docs import python_docs
from lmcourse.tokenizers import (
    SPECIAL_PIECES,
    CharTokenizer,
    Piece,
    Tokenizer,
    WordPiece,
    WordTokenizer,
    cut_word,
    join_pair,
    merge_pair,
    merges,
    split_words,
    stands_alone,
)

SENTENCES = ("I like rabbits", "I like turtles", "I don't like snails")


def test_ids_are_special_tokens_then_order_of_first_appearance():
    closed = WordTokenizer.train(SENTENCES)
    words = ("I", "like", "rabbits", "turtles", "don't", "snails")
    assert closed.tokens == ("<s>", "</s>", *words)
    assert (closed.bos_id, closed.eos_id, closed.unk_id) == (0, 1, None)
    opened = WordTokenizer.train(SENTENCES, open_vocabulary=True)
    assert opened.tokens == ("<s>", "</s>", "<unk>", *words)
    assert opened.unk_id == 2
    assert len(opened) == opened.vocab_size == 9
    assert all(opened.token_to_id[token] == i for i, token in enumerate(opened.tokens))


@pytest.mark.parametrize(
    "text", ["", "a", "토끼를 좋아한다", "🐇 and 🐢", "a  b\n c", "é ≠ é"]
)
def test_characters_make_the_round_trip(text):
    tokenizer = CharTokenizer.train([text + "x"])
    token_ids = tokenizer.encode(text)
    assert token_ids[0] == 0 and token_ids[-1] == 1 and len(token_ids) == len(text) + 2
    assert tokenizer.decode(token_ids) == text


@pytest.mark.parametrize("text", ["", "나는 토끼를 좋아한다", "🐇 🐢 🐇"])
def test_words_make_the_round_trip(text):
    tokenizer = WordTokenizer.train([text + " x"])
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_rare_and_unknown_tokens_become_unk_in_an_open_vocabulary():
    tokenizer = WordTokenizer.train(SENTENCES, min_count=2, open_vocabulary=True)
    assert tokenizer.tokens == ("<s>", "</s>", "<unk>", "I", "like")
    assert tokenizer.encode("I like snails") == [0, 3, 4, 2, 1]
    assert tokenizer.decode([0, 3, 4, 2, 1]) == "I like <unk>"


def test_unk_written_in_the_training_text_is_the_unknown_token():
    tokenizer = WordTokenizer.train(["a <unk> b"], open_vocabulary=True)
    assert tokenizer.encode("a <unk> c") == [0, 3, 2, 2, 1]


def test_a_closed_vocabulary_names_token_size_and_near_matches():
    tokenizer = WordTokenizer.train(SENTENCES)
    with pytest.raises(
        ValueError, match=r"'rabits' is not among the 8 .*near it: 'rabbits'"
    ):
        tokenizer.encode("I like rabits")
    with pytest.raises(ValueError, match=r"'z' is not among"):
        CharTokenizer.train(["ab"]).encode("z")


@pytest.mark.parametrize("word", ["<s>", "</s>"])
def test_marks_of_the_sentence_are_refused_inside_a_text(word):
    with pytest.raises(ValueError, match="where a sentence begins or ends"):
        WordTokenizer.train(SENTENCES).encode(f"I {word} like")
    with pytest.raises(ValueError, match=f"'{word}' stands 2 times"):
        WordTokenizer.train([f"I {word} like"])


@pytest.mark.parametrize("token_id", [-1, 8])
def test_decoding_refuses_ids_outside_the_vocabulary(token_id):
    with pytest.raises(ValueError, match=rf"token id {token_id} is outside 0 \.\. 7"):
        WordTokenizer.train(SENTENCES).decode([0, token_id, 1])


def test_training_refuses_nothing_to_learn_from():
    with pytest.raises(ValueError, match="no token occurs 1 times"):
        WordTokenizer.train([])
    with pytest.raises(ValueError, match="no token occurs 9 times"):
        WordTokenizer.train(SENTENCES, min_count=9, open_vocabulary=True)
    with pytest.raises(ValueError, match="min_count=2 .*open_vocabulary=True"):
        WordTokenizer.train(SENTENCES, min_count=2)
    with pytest.raises(ValueError, match="'a' stands 2 times"):
        WordTokenizer(["a", "a"])


def test_a_tokenizer_shows_itself():
    assert repr(WordTokenizer.train(SENTENCES)) == (
        "WordTokenizer(vocab_size=8, open_vocabulary=False)"
    )


def test_the_base_class_does_not_cut():
    with pytest.raises(NotImplementedError):
        Tokenizer(["a"]).encode("a")


# --------------------------------------------------------------- WordPiece beside the library

STRESS = (
    "",
    " ",
    "Turtles sleep, rabbits don't!",
    "Café naïve Ångström ÀÉÎÕÜ",
    "cafe\u0301 a\u0301\u0316b q\u0303\u0303",  # marks written apart
    "\u0301 starts with a mark \u0301",
    "漢字かなカナ 東京 㐂 豈 𠀀x𪜀",
    "a漢b字c",
    "\U0002b81f\U0002b820\U0002b91f\U0002b920",  # where the library's range has a hole
    "한국어 토끼를 좋아한다. 각하 뷁",
    "\u1112\u1161\u11ab \u3131\u314f ㅋㅋㅋ",
    "👩‍👩‍👧‍👦 family 👍🏽 ❤️ 🇰🇷 x🐇y",
    "nul\x00 bell\x07 tab\t line\n return\r\n feed\x0c v\x0bt nel\x85 sep\x1c\x1f",
    "soft\u00adhyphen zero\u200bwidth join\u200der bom\ufeff replaced\ufffd rtl\u202e",
    "a\u00a0b\u3000c\u2028d\u2029e\u2003f\u1680g\u202fh\u205fi",
    "private\ue000use \U000f0000",
    "a" * 100 + " " + "a" * 101 + " " + "é" * 100 + " " + "é" * 101,
    "한" * 33 + " " + "한" * 34,  # 99 and 102 letters after NFD
    "İstanbul ISPARTA ı Straße ẞ ΟΔΟΣ ὈΔΥΣΣΕΎΣ",
    "ﬁne oﬀ Ǆ ǅ ǆ ½ ² ① Ａｂｃ",
    "مُحَمَّد العَرَبِيَّة \u0600 \u061c",
    "हिन्दी क्षत्रिय தமிழ் ไทยก็",
    "≠ \u037e \u1fef ; ` ＝ “quoted” «x» … —– ¿¡ · ‧ 、。！",
    "$1 a+b=c x^2 ~/p `code` <s> a|b \\ @ # ## ##a a##b _ __init__",
    "the [MASK] sleeps",
    "[CLS]a[SEP]b[PAD][UNK]c[MASK]",
    "[mask] [Mask] [ MASK ] [[MASK]] [MASK [MASK]",
    "un[MASK]ed é[MASK]é 漢[SEP]字",
    "𝕏 𝒜 𐍈 𐐀 \U0010fffd",
)


@cache
def interesting_classes() -> list[list[str]]:
    """Characters to draw from: each class of Unicode as often as every other.

    The library's tables are of Unicode 8. Left out: characters that have changed since 3.2 or have
    come since then, and the few marks that NFD sorts (see below).
    """
    old = unicodedata.ucd_3_2_0
    classes: dict[str, list[str]] = {}
    for char in map(chr, range(0x110000)):
        category = unicodedata.category(char)
        if category in ("Cs", "Cn") or old.category(char) != category:
            continue
        if category == "Mn" or not unicodedata.combining(char):
            classes.setdefault(category, []).append(char)
    ranges = [(0x1100, 0x1200), (0xAC00, 0xD7A4), (0x300, 0x370), (0, 0x100)]
    ranges += [(0x4E00, 0xA000), (0x3400, 0x4DC0), (0x2B740, 0x2BA00), (0xF900, 0xFB00)]
    return [
        *classes.values(),
        *(list(map(chr, range(first, end))) for first, end in ranges),
        list("abcABC xyz   "),
        list("éÉüñİıßΣςﬁǅÅ"),
        ["\u200d", "\U0001f469", "\U0001f3fd", "\ufe0f"],
        list(SPECIAL_PIECES),
        ["[", "]", "MASK", "[mask]", "##", "#"],
    ]


@cache
def random_texts(seed: int, n_texts: int = 1000) -> list[str]:
    chance = random.Random(seed)
    classes = interesting_classes()
    return [
        "".join(
            chance.choice(chance.choice(classes)) for _ in range(chance.randint(0, 25))
        )
        for _ in range(n_texts)
    ]


def vocabulary_for(texts, lower: bool) -> list[str]:
    """Most of the characters of some texts, a few of them joined: cuts, merges and `[UNK]`."""
    chance = random.Random(0)
    words = [word.text for text in texts for word in split_words(text, lower)]
    chars = [char for char in sorted(set("".join(words))) if chance.random() < 0.95]
    joined = [w[i : i + n] for w in words for i, n in ((0, 2), (0, 4), (1, 2), (2, 3))]
    pieces = [*chars, *(f"##{char}" for char in chars)]
    pieces += [piece for piece in joined[::4] if len(piece) > 1]
    pieces += [f"##{piece}" for piece in joined[1::4] if len(piece) > 1]
    return list(dict.fromkeys([*SPECIAL_PIECES, *pieces]))


def library_tokenizer(tokenizer: WordPiece) -> tokenizers.Tokenizer:
    """The library's BERT tokenizer with the same vocabulary."""
    library = tokenizers.Tokenizer(
        models.WordPiece(
            tokenizer.token_to_id,
            unk_token="[UNK]",
            max_input_chars_per_word=tokenizer.max_word_length,
        )
    )
    library.normalizer = normalizers.BertNormalizer(lowercase=tokenizer.lower)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.add_special_tokens(list(SPECIAL_PIECES))
    library.post_processor = processors.BertProcessing(
        ("[SEP]", tokenizer.sep_id), ("[CLS]", tokenizer.cls_id)
    )
    library.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return library


def assert_same_pieces(tokenizer: WordPiece, library: tokenizers.Tokenizer, texts):
    unknown = 0
    for text in texts:
        encoding = library.encode(text, add_special_tokens=False)
        expected = [
            (token, *offsets)
            for token, offsets in zip(encoding.tokens, encoding.offsets, strict=True)
        ]
        assert [tuple(piece) for piece in tokenizer.pieces(text)] == expected, ascii(
            text
        )
        assert tokenizer.split(text) == encoding.tokens
        unknown += "[UNK]" in encoding.tokens
    return unknown


@cache
def docs_tokenizer(lower: bool = True) -> WordPiece:
    return WordPiece.train(python_docs().train, 2000, lower=lower)


@pytest.mark.parametrize("lower", [True, False])
def test_pieces_and_offsets_are_those_of_the_library_on_random_unicode(lower):
    texts = random_texts(seed=9 + lower)
    tokenizer = WordPiece(vocabulary_for(texts, lower), lower=lower)
    unknown = assert_same_pieces(tokenizer, library_tokenizer(tokenizer), texts)
    assert 100 < unknown < 900  # both words that can be cut and words that cannot


@pytest.mark.parametrize("lower", [True, False])
def test_pieces_and_offsets_are_those_of_the_library_on_the_stress_list(lower):
    every_char = vocabulary_for(STRESS, lower)
    for tokenizer in (WordPiece(every_char, lower=lower), docs_tokenizer(lower)):
        assert_same_pieces(tokenizer, library_tokenizer(tokenizer), STRESS)
    assert_same_pieces(tokenizer, library_tokenizer(tokenizer), python_docs().dev[:300])


@pytest.mark.parametrize("lower", [True, False])
def test_pieces_are_those_of_the_library_with_the_vocabulary_of_a_real_bert(
    lower, real_bert_folder
):
    tokenizer = WordPiece.from_pretrained(real_bert_folder)
    assert tokenizer.lower and tokenizer.vocab_size == 30522
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.mask_id) == (0, 100, 103)
    tokenizer = WordPiece(tokenizer.tokens, lower=lower)
    texts = [*STRESS, *random_texts(seed=9 + lower), *python_docs().dev[:300]]
    assert_same_pieces(tokenizer, library_tokenizer(tokenizer), texts)


def test_characters_of_every_class_are_cleaned_as_the_library_does():
    tokenizer = WordPiece(SPECIAL_PIECES, lower=True)
    library = library_tokenizer(tokenizer)
    for chars in interesting_classes():
        chars = chars[:: 1 + len(chars) // 1000]
        text = "".join(f"a{char}b " for char in chars if len(char) == 1)
        found = library.normalizer.normalize_str(text)
        expected = [word for word, _ in library.pre_tokenizer.pre_tokenize_str(found)]
        words = [word.text for word in split_words(text, lower=True)]
        assert len(words) == len(expected)
        pairs = zip(words, expected, strict=True)
        assert [pair for pair in pairs if pair[0] != pair[1]][:5] == []


def test_marks_that_the_library_sorts_keep_their_order_and_their_places():
    """The one difference: the library gives the stem the place of the accent before it."""
    text = (
        "e\u0302\U0001d165"  # an accent that goes, a stem of a musical note that stays
    )
    tokenizer = WordPiece([*SPECIAL_PIECES, "e", "##\U0001d165"])
    assert tokenizer.pieces(text) == [Piece("e", 0, 1), Piece("##\U0001d165", 2, 3)]
    encoding = library_tokenizer(tokenizer).encode(text, add_special_tokens=False)
    assert encoding.tokens == tokenizer.split(text)
    assert encoding.offsets == [(0, 1), (1, 2)]


def test_offsets_point_at_the_text_that_a_piece_was_made_from():
    text = "Çà, 한국!"
    tokenizer = WordPiece([*SPECIAL_PIECES, "ca", ",", "\u1112\u1161", "##\u11ab", "!"])
    pieces = tokenizer.pieces(text)
    assert [text[piece.start : piece.end] for piece in pieces] == [
        "Çà",
        ",",
        "한국",
        "!",
    ]
    assert [piece.text for piece in pieces] == ["ca", ",", "[UNK]", "!"]
    assert tokenizer.pieces("한") == [
        Piece("\u1112\u1161", 0, 1),
        Piece("##\u11ab", 0, 1),
    ]


def test_special_pieces_are_known_in_a_text_as_they_are_written():
    tokenizer = WordPiece([*SPECIAL_PIECES, "the", "mask", "[", "]"], max_word_length=4)
    assert tokenizer.split("the[MASK] [mask]") == ["the", "[MASK]", "[", "mask", "]"]
    assert tokenizer.encode("[SEP]") == [2, 3, 3]


def test_a_word_of_more_than_max_word_length_characters_is_unknown():
    tokenizer = WordPiece([*SPECIAL_PIECES, "a", "##a"], max_word_length=3)
    assert tokenizer.split("aaa aaaa ááá") == [
        "a",
        "##a",
        "##a",
        "[UNK]",
        "a",
        "##a",
        "##a",
    ]
    assert_same_pieces(tokenizer, library_tokenizer(tokenizer), ["aaa aaaa á̂áá aaaá"])


def test_longest_match_first_does_not_go_back():
    assert cut_word("abc", {"a", "ab", "##bc", "##c"}) == ["ab", "##c"]
    assert cut_word("abc", {"a", "ab", "##bc"}) is None
    assert cut_word("abc", {"abc", "##abc"}) == ["abc"]
    assert cut_word("ab", {"a", "b"}) is None
    assert cut_word("", {"a"}) == []


def test_texts_and_pairs_are_encoded_as_the_library_does():
    tokenizer = docs_tokenizer()
    library = library_tokenizer(tokenizer)
    texts = [*STRESS, *python_docs().dev[:40]]
    for first, second in zip(texts, reversed(texts), strict=True):
        assert tokenizer.encode(first) == library.encode(first).ids
        assert tokenizer.encode(first, second) == library.encode(first, second).ids
    assert tokenizer.encode("a", "") == [2, tokenizer.token_to_id["a"], 3, 3]


def test_decoding_is_that_of_the_library_without_its_clean_up():
    """Its clean-up would take spaces away before punctuation: `don ' t` becomes `don't`."""
    tokenizer = docs_tokenizer()
    library = library_tokenizer(tokenizer)
    left_out = {tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id}
    chance = random.Random(9)
    for _ in range(300):
        token_ids = chance.choices(range(tokenizer.vocab_size), k=chance.randint(0, 30))
        token_ids += chance.choices(range(5), k=3)
        chance.shuffle(token_ids)
        kept = [token_id for token_id in token_ids if token_id not in left_out]
        expected = library.decode(kept, skip_special_tokens=False)
        assert tokenizer.decode(token_ids) == expected


def test_plain_words_make_the_round_trip():
    tokenizer = docs_tokenizer()
    text = "the unforgettable turtle evaluates an expression [MASK] of zzyzx"
    assert tokenizer.decode([*tokenizer.encode(text), 0, 0]) == text
    assert len(tokenizer.encode(text)) > len(text.split()) + 2
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("token_id", [-1, 7])
def test_wordpiece_refuses_ids_outside_the_vocabulary(token_id):
    tokenizer = WordPiece([*SPECIAL_PIECES, "a", "b"])
    with pytest.raises(ValueError, match=rf"token id {token_id} is outside 0 \.\. 6"):
        tokenizer.decode([2, token_id, 3])


def test_a_vocabulary_has_its_ids_in_order_and_special_pieces_anywhere():
    tokens = ["a", "[MASK]", "##a", "[SEP]", "[CLS]", "[PAD]", "b", "[UNK]"]
    tokenizer = WordPiece(iter(tokens), lower=False)
    assert tokenizer.tokens == tuple(tokens)
    assert tokenizer.token_to_id == {token: i for i, token in enumerate(tokens)}
    assert len(tokenizer) == tokenizer.vocab_size == 8
    assert (tokenizer.pad_id, tokenizer.unk_id) == (5, 7)
    assert (tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (4, 3, 1)
    assert tokenizer.special_ids == {1, 3, 4, 5, 7}
    assert tokenizer.encode("ab aa") == [4, 7, 0, 2, 3]
    assert tokenizer.decode([4, 7, 0, 2, 3, 5]) == "[UNK] aa"
    assert repr(tokenizer) == "WordPiece(vocab_size=8, lower=False)"


def test_a_vocabulary_that_cannot_be_one_is_refused():
    with pytest.raises(ValueError, match=r"^\[UNK\], \[MASK\] missing among 4 tokens"):
        WordPiece(["[PAD]", "[CLS]", "[SEP]", "a"])
    with pytest.raises(ValueError, match="token 'a' has the ids 5 and 7"):
        WordPiece([*SPECIAL_PIECES, "a", "b", "a"])
    for token in ("", "a b", "\u3000"):
        with pytest.raises(ValueError, match="with id 5 is empty or holds white space"):
            WordPiece([*SPECIAL_PIECES, token])


# ------------------------------------------------------------------------- WordPiece as files


@pytest.mark.parametrize("lower", [True, False])
def test_transformers_reads_the_folder_and_gives_the_same_ids(lower, tmp_path):
    texts = (*STRESS, *random_texts(seed=9 + lower)[:200])
    tokenizer = WordPiece(vocabulary_for(texts, lower), lower=lower)
    tokenizer.save_pretrained(tmp_path / "new" / "folder")
    read = WordPiece.from_pretrained(tmp_path / "new" / "folder")
    assert (read.tokens, read.lower) == (tokenizer.tokens, lower)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "new" / "folder")
    assert type(theirs).__name__.startswith("BertTokenizer")
    assert theirs.vocab_size == tokenizer.vocab_size
    for text in texts:
        assert theirs(text).input_ids == tokenizer.encode(text)
        assert theirs(text, "b").input_ids == tokenizer.encode(text, "b")


def test_the_files_are_those_of_bert(tmp_path):
    WordPiece([*SPECIAL_PIECES, "é", "##한"], lower=False).save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tokenizer_config.json",
        "vocab.txt",
    ]
    expected = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\né\n##한\n"
    assert (tmp_path / "vocab.txt").read_bytes() == expected.encode()
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["do_lower_case"] is False
    assert config["tokenizer_class"] == "BertTokenizer"


def test_the_length_of_a_word_is_kept(tmp_path):
    tokenizer = WordPiece(SPECIAL_PIECES, max_word_length=7)
    tokenizer.save_pretrained(tmp_path)
    assert WordPiece.from_pretrained(tmp_path).max_word_length == 7


def test_a_vocabulary_alone_is_read_as_uncased_and_line_ends_may_be_those_of_windows(
    tmp_path,
):
    (tmp_path / "vocab.txt").write_bytes("\r\n".join([*SPECIAL_PIECES, "a"]).encode())
    tokenizer = WordPiece.from_pretrained(str(tmp_path))
    assert tokenizer.lower and tokenizer.max_word_length == 100
    assert tokenizer.tokens == (*SPECIAL_PIECES, "a")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*vocab\.txt"):
        WordPiece.from_pretrained(tmp_path)
    vocabulary = tmp_path / "vocab.txt"
    special = "\n".join(SPECIAL_PIECES)
    for content, message in (
        (
            f"{special}\na\n\nb\n".encode(),
            r"vocab\.txt: token '' with id 6 .*line 1 has id 0",
        ),
        (f"{special}\na\na\n".encode(), r"vocab\.txt: token 'a' has the ids 5 and 6"),
        (b"a\nb\n", r"vocab\.txt: \[PAD\].* missing among 2 tokens"),
        (b"ab\xff", r"vocab\.txt is not UTF-8 at byte 2"),
    ):
        vocabulary.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            WordPiece.from_pretrained(tmp_path)
    vocabulary.write_text(special)
    config = tmp_path / "tokenizer_config.json"
    for content, message in (
        ("{", r"tokenizer_config\.json is not JSON"),
        ("[1]", r"tokenizer_config\.json holds \[1\]"),
        ('{"strip_accents": false}', "strip_accents=False with do_lower_case=True"),
        ('{"strip_accents": true, "do_lower_case": false}', "strip_accents=True"),
        ('{"tokenize_chinese_chars": false}', "tokenize_chinese_chars=False"),
    ):
        config.write_text(content)
        with pytest.raises(ValueError, match=message):
            WordPiece.from_pretrained(tmp_path)
    config.write_text('{"strip_accents": false, "do_lower_case": false}')
    assert not WordPiece.from_pretrained(tmp_path).lower


def test_an_interrupted_save_leaves_the_old_vocabulary(tmp_path, monkeypatch):
    WordPiece([*SPECIAL_PIECES, "old"]).save_pretrained(tmp_path)
    monkeypatch.setattr(
        os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        WordPiece([*SPECIAL_PIECES, "new"]).save_pretrained(tmp_path)
    assert WordPiece.from_pretrained(tmp_path).tokens[5:] == ("old",)
    assert len(list(tmp_path.iterdir())) == 2


# ------------------------------------------------------------------------ WordPiece is trained


def naive_merges(word_counts, min_count):
    """The same as `merges`, slowly: everything is counted again after each merge."""
    words = {word: [word[0], *(f"##{c}" for c in word[1:])] for word in word_counts}
    while True:
        counts = Counter()
        for word, pieces in words.items():
            for pair in pairwise(pieces):
                counts[pair] += word_counts[word]
        if not counts or max(counts.values()) < min_count:
            return
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        yield join_pair(*best)
        words = {word: merge_pair(pieces, best) for word, pieces in words.items()}


def test_merges_worked_by_hand():
    # h##o 6, ##o##p 9, ##p##s 2, t##o 3; then h##op 6 and t##op 3; then hop##s 2
    words = {"hop": 4, "hops": 2, "top": 3}
    assert list(merges(words)) == ["##op", "hop", "top", "hops"]
    assert list(merges(words, min_count=3)) == ["##op", "hop", "top"]
    # each pair once or twice, so the text decides: ##a##n before ##n##a, then ##an##a, ...
    expected = ["##an", "##ana", "##anana", "banana"]
    assert list(merges({"banana": 1}, min_count=1)) == expected
    assert list(merges({"cd": 1, "ab": 1}, min_count=1)) == ["ab", "cd"]
    assert list(merges({"aaaaa": 1}, min_count=1)) == ["##aa", "##aaaa", "aaaaa"]


def test_merges_are_those_of_counting_everything_again_each_time():
    words = Counter(
        word.text for text in python_docs().dev[:30] for word in split_words(text, True)
    )
    for min_count in (1, 3):
        fast = list(merges(words, min_count))
        assert len(fast) > 200
        assert fast == list(naive_merges(words, min_count))


def test_a_trained_vocabulary_holds_special_pieces_characters_and_merges_in_this_order():
    tokenizer = WordPiece.train(["Hop, hop, hops! top", "top [MASK]"], vocab_size=17)
    characters = ("!", ",", "h", "o", "p", "s", "t", "##h", "##o", "##p", "##s", "##t")
    with pytest.raises(ValueError, match="vocab_size=16 .* 7 characters need 17"):
        WordPiece.train(["Hop, hop, hops! top", "top [MASK]"], vocab_size=16)
    assert tokenizer.tokens == (*SPECIAL_PIECES, *characters)
    larger = WordPiece.train(["Hop, hop, hops! top", "top [MASK]"], vocab_size=19)
    assert larger.tokens == (*tokenizer.tokens, "##op", "hop")


def test_vocab_size_is_met_unless_nothing_is_left_to_merge():
    smaller = WordPiece.train(python_docs().train, 700)
    assert (smaller.vocab_size, docs_tokenizer().vocab_size) == (700, 2000)
    assert docs_tokenizer().tokens[:700] == smaller.tokens
    few = WordPiece.train(["hop hop top"], 1000)
    assert few.tokens[-2:] == ("##op", "hop") and few.vocab_size == 5 + 8 + 2
    every = WordPiece.train(["hop hop top"], 1000, min_count=1)
    assert every.tokens[-3:] == ("##op", "hop", "top")


@pytest.mark.parametrize("lower", [True, False])
def test_every_training_text_is_cut_without_unknown_words(lower):
    texts = [*python_docs().dev, *random_texts(seed=9 + lower)]
    tokenizer = WordPiece.train(texts, 12000, lower=lower, min_count=5)
    assert tokenizer.lower is lower
    for text in texts:
        assert "[UNK]" not in tokenizer.split(text.replace("[UNK]", " ")), ascii(text)


def test_only_characters_that_can_continue_a_word_are_learned_as_such():
    tokenizer = WordPiece.train(random_texts(seed=10), 12000)
    chars = [piece for piece in tokenizer.tokens[5:] if len(piece) == 1]
    assert any(map(stands_alone, chars)) and not all(map(stands_alone, chars))
    for char in chars:
        assert (f"##{char}" in tokenizer.token_to_id) is not stands_alone(char)


def test_training_gives_the_same_on_every_run_whatever_the_order_of_sets():
    code = (
        "from lmcourse.data.python_docs import python_docs\n"
        "from lmcourse.tokenizers import WordPiece\n"
        "print(ascii(WordPiece.train(python_docs().dev, 900).tokens))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    expected = ascii(WordPiece.train(python_docs().dev, 900).tokens)
    assert outputs == {f"{expected}\n"}


def test_wordpiece_refuses_nothing_to_learn_from():
    for texts in ([], ["", " \n "], ["[MASK]"]):
        with pytest.raises(ValueError, match="the texts hold no word"):
            WordPiece.train(texts, 100)
