"""Tokenizers: round trips, the order of ids, and refusals that name what is wrong."""

import pytest

from lmcourse.tokenizers import CharTokenizer, Tokenizer, WordTokenizer

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
