"""ARPA files: read back by KenLM where it is installed, and by a plain reader of the format."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch

from lmcourse.arpa import write_arpa
from lmcourse.language_models import token_log_probs
from lmcourse.markov import KneserNey, ModifiedKneserNey
from lmcourse.tokenizers import CharTokenizer, Tokenizer, WordTokenizer

WORDS = [
    "the",
    "cat",
    "dog",
    "sees",
    "a",
    "fish",
    "big",
    "red",
    "한글",
    "don't",
    "\\end\\",
]


def some_texts(n_texts: int, seed: int) -> list[str]:
    """Sentences in which a word depends on the one before it."""
    stream = torch.Generator().manual_seed(seed)
    texts = []
    for _ in range(n_texts):
        words, last = [], 0
        for _ in range(1 + int(torch.randint(8, (), generator=stream))):
            step, free = torch.randint(3, (2,), generator=stream).tolist()
            last = (2 * last + step) % len(WORDS) if free else step
            words.append(WORDS[last])
        texts.append(" ".join(words))
    return texts


def fitted(kind: type[KneserNey], order: int) -> tuple[KneserNey, Tokenizer]:
    texts = some_texts(300, seed=0)
    tokenizer = WordTokenizer.train([*texts, "unseen"], open_vocabulary=True)
    return kind(order, len(tokenizer)).fit(
        [tokenizer.encode(text) for text in texts]
    ), tokenizer


def held_out() -> list[str]:
    """Other sentences, with words that were never counted and words of no vocabulary."""
    return [*some_texts(60, seed=1), "unseen cat", "the nowhere cat", "nowhere", ""]


def read(path: Path) -> tuple[dict, dict, dict]:
    """What an ARPA file says: announced numbers, log10 probabilities, log10 back-off weights."""
    announced, log_probs, back_offs, k = {}, {}, {}, 0
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.startswith("ngram "):
            key, value = line.removeprefix("ngram ").split("=")
            announced[int(key)] = int(value)
        elif line.startswith("\\") and line.endswith("-grams:"):
            k = int(line[1 : -len("-grams:")])
        elif k and "\t" in line:
            log_prob, words, *left = line.split("\t")
            ngram = tuple(words.split(" "))
            assert len(ngram) == k and ngram not in log_probs
            assert len(left) == (k < max(announced))
            log_probs[ngram] = float(log_prob)
            if left:
                back_offs[ngram] = float(left[0])
    return announced, log_probs, back_offs


def backed_off(log_probs: dict, back_offs: dict, ngram: tuple[str, ...]) -> float:
    """log10 P of the last word, by the rule of the format."""
    if ngram in log_probs:
        return log_probs[ngram]
    return back_offs.get(ngram[:-1], 0.0) + backed_off(log_probs, back_offs, ngram[1:])


def ours(model: KneserNey, tokenizer: Tokenizer, texts: list[str]) -> list[list[float]]:
    """log10 P of every predicted token."""
    found = token_log_probs(model, [tokenizer.encode(text) for text in texts])
    return [(one / math.log(10)).tolist() for one in found]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", [KneserNey, ModifiedKneserNey])
def test_the_file_says_what_the_model_says(tmp_path, kind, order):
    model, tokenizer = fitted(kind, order)
    path = tmp_path / "model.arpa"
    write_arpa(model, tokenizer, path)
    announced, log_probs, back_offs = read(path)
    assert announced == {
        k: sum(len(ngram) == k for ngram in log_probs) for k in range(1, order + 1)
    }
    assert announced[1] == len(tokenizer)
    texts = held_out()
    n_backed_off = 0
    for text, expected in zip(texts, ours(model, tokenizer, texts), strict=True):
        tokens = [tokenizer.tokens[token_id] for token_id in tokenizer.encode(text)]
        for place in range(1, len(tokens)):
            ngram = tuple(tokens[max(0, place + 1 - order) : place + 1])
            n_backed_off += ngram not in log_probs
            log_prob = backed_off(log_probs, back_offs, ngram)
            assert log_prob == pytest.approx(expected[place - 1], rel=1e-8, abs=1e-9)
    assert (n_backed_off > 5) == (order > 1)


@pytest.mark.skipif(
    importlib.util.find_spec("kenlm") is None,
    reason="KenLM is not installed (make bench tries to)",
)
@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize("kind", [KneserNey, ModifiedKneserNey])
def test_kenlm_reads_the_file(tmp_path, kind, order):
    import kenlm

    model, tokenizer = fitted(kind, order)
    write_arpa(model, tokenizer, tmp_path / "model.arpa")
    theirs = kenlm.Model(str(tmp_path / "model.arpa"))
    assert theirs.order == order
    texts = held_out()
    for text, expected in zip(texts, ours(model, tokenizer, texts), strict=True):
        found = [score[0] for score in theirs.full_scores(text)]
        assert found == pytest.approx(expected, rel=1e-6)


def test_a_token_that_cannot_stand_in_the_file_is_refused(tmp_path):
    tokenizer = CharTokenizer.train(["a b"])
    model = KneserNey(2, len(tokenizer)).fit([tokenizer.encode("a b")])
    with pytest.raises(ValueError, match="token ' ' with id 3 is empty or holds white"):
        write_arpa(model, tokenizer, tmp_path / "model.arpa")
    for token in ("", "a\u3000b", "a\0b"):
        tokenizer = WordTokenizer([token])
        model = KneserNey(2, len(tokenizer)).fit([[0, 2, 1]])
        with pytest.raises(ValueError, match="with id 2 is empty or holds white space"):
            write_arpa(model, tokenizer, tmp_path / "model.arpa")
    assert list(tmp_path.iterdir()) == []


def test_a_model_and_a_tokenizer_that_do_not_fit_are_refused(tmp_path):
    tokenizer = WordTokenizer.train(["a b"])
    with pytest.raises(ValueError, match="has counted 0 sentences"):
        write_arpa(KneserNey(2, 4), tokenizer, tmp_path / "model.arpa")
    model = KneserNey(2, 5).fit([[0, 2, 1]])
    with pytest.raises(ValueError, match="has 4 tokens, .* was made for 5"):
        write_arpa(model, tokenizer, tmp_path / "model.arpa")


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path, monkeypatch):
    model, tokenizer = fitted(KneserNey, 3)
    path = tmp_path / "model.arpa"
    write_arpa(model, tokenizer, path)
    before = path.read_bytes()
    monkeypatch.setattr(model, "rest", model.rest[:3])
    with pytest.raises(IndexError):
        write_arpa(model, tokenizer, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
