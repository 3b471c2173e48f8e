"""ARPA files: an n-gram model as text, in the form that other programs read.

The format writes a model as it is asked: a probability for every n-gram that was seen, and for
every context a back-off weight, by which the probability after the shorter context is multiplied
where the n-gram was not seen. An interpolated model can be written so without loss: the mixture is
worked out beforehand for what was seen, and of what was not seen only the rest is left.
KenLM (Heafield, 2011, *KenLM: Faster and Smaller Language Model Queries*) reads these files.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lmcourse.markov import BOS_ID, KneserNey
from lmcourse.tokenizers import Tokenizer
from lmcourse.training import write_whole

IMPOSSIBLE = -99.0
"""What stands for log10 of 0, as the format has no minus infinity."""

LINES_AT_ONCE = 100_000


def write_arpa(model: KneserNey, tokenizer: Tokenizer, path: Path | str) -> None:
    """Write a Kneser-Ney model as an ARPA file: whole, or not at all.

    Args:
        model: a fitted `KneserNey` or `ModifiedKneserNey`.
        tokenizer: the one whose token ids the model has counted.
        path: the file; one that is there is replaced.

    Raises:
        ValueError: the model is not fitted, the tokenizer has another number of tokens, or a token
            is empty or holds white space.

    >>> import tempfile
    >>> from lmcourse.tokenizers import WordTokenizer
    >>> tokenizer = WordTokenizer.train(["a b", "a a b"])
    >>> model = KneserNey(order=2, vocab_size=len(tokenizer))
    >>> model = model.fit([tokenizer.encode(text) for text in ("a b", "a a b")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_arpa(model, tokenizer, Path(folder) / "model.arpa")
    ...     print((Path(folder) / "model.arpa").read_text(encoding="utf-8")[:37])
    \\data\\
    ngram 1=4
    ngram 2=4
    <BLANKLINE>
    \\1-grams:
    """
    if model.ngrams is None:
        raise ValueError(f"{model} has counted 0 sentences; call fit(sentences) first")
    if len(tokenizer) != model.vocab_size:
        raise ValueError(
            f"the tokenizer has {len(tokenizer)} tokens, {model} was made for "
            f"{model.vocab_size}; they must agree"
        )
    check_tokens(tokenizer.tokens)
    write_whole(Path(path), lambda partial: _write(model, tokenizer.tokens, partial))


def check_tokens(tokens: tuple[str, ...]) -> None:
    """Raise a ValueError where a token cannot stand in an ARPA file.

    >>> check_tokens(("<s>", "</s>", "a", " "))
    Traceback (most recent call last):
    ValueError: token ' ' with id 3 is empty or holds white space, which separates the tokens of an
    ARPA file; give such tokens another name first
    """
    for token_id, token in enumerate(tokens):
        if not token or any(char.isspace() or char == "\0" for char in token):
            raise ValueError(
                f"token {token!r} with id {token_id} is empty or holds white space, which "
                "separates the tokens of an ARPA file; give such tokens another name first"
            )


def _write(model: KneserNey, tokens: tuple[str, ...], path: Path) -> None:
    """Write the whole file."""
    names = np.array(tokens, dtype=object)
    n_lines = [len(tokens), *map(len, model.ngrams.counts[2:])]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\\data\\\n")
        for k, number in enumerate(n_lines, start=1):
            file.write(f"ngram {k}={number}\n")
        probs = None
        for k in range(1, model.order + 1):
            file.write(f"\n\\{k}-grams:\n")
            probs = _probs(model, k, probs)
            file.writelines(_lines(model, names, k, probs))
        file.write("\n\\end\\\n")


def _probs(
    model: KneserNey, k: int, shorter: Float[np.ndarray, " shorter"] | None
) -> Float[np.ndarray, " kgrams"]:
    """P(last token | those before it) of each k-gram, from those of the (k - 1)-grams."""
    if k == 1:
        uniform = 1 / (model.vocab_size - 1)
        return model.own[1][:-1] + model.rest[1][0] * uniform
    ngrams = model.ngrams
    return (
        model.own[k][:-1]
        + model.rest[k][ngrams.prefixes[k]] * shorter[ngrams.suffixes[k]]
    )


def _lines(
    model: KneserNey, names: np.ndarray, k: int, probs: Float[np.ndarray, " kgrams"]
) -> Iterator[str]:
    """The k-grams of the file, each with its probability and, below the order, its back-off."""
    numbers = np.arange(len(probs))
    if k == 1:
        yield from _lines_of_tokens(model, names, probs)
        return
    for start in range(0, len(probs), LINES_AT_ONCE):
        some = numbers[start : start + LINES_AT_ONCE]
        columns, at = [], some
        for length in range(k, 0, -1):  # from the last token to the first
            columns.append(names[model.ngrams.keys[length][at] % model.vocab_size])
            at = model.ngrams.prefixes[length][at]
        texts = map(" ".join, zip(*reversed(columns), strict=True))
        yield from _join(_log10(probs[some]), texts, _back_off(model, k, some))


def _lines_of_tokens(
    model: KneserNey, names: np.ndarray, probs: Float[np.ndarray, " tokens"]
) -> Iterator[str]:
    """All tokens of the vocabulary: those that were never counted share what is left."""
    ids = np.arange(len(names))
    number = model.ngrams.find(1, np.zeros_like(ids), ids)
    unseen = model.rest[1][0] / (model.vocab_size - 1)
    log_probs = _log10(np.where(number >= 0, probs[number], unseen))
    log_probs[BOS_ID] = IMPOSSIBLE
    yield from _join(log_probs, names, _back_off(model, 1, number))


def _back_off(
    model: KneserNey, k: int, numbers: np.ndarray
) -> Float[np.ndarray, " kgrams"] | None:
    """log10 of what each k-gram leaves, as a context, to a shorter one; None for the longest."""
    return None if k == model.order else _log10(model.rest[k + 1][numbers])


def _log10(probs: Float[np.ndarray, " kgrams"]) -> Float[np.ndarray, " kgrams"]:
    """log10, never above 0 (a sum of shares may round to a little more than 1)."""
    with np.errstate(divide="ignore"):
        return np.clip(np.log10(probs), IMPOSSIBLE, 0.0)


def _join(log_probs: np.ndarray, texts, back_off: np.ndarray | None) -> Iterator[str]:
    """`log10 P <tab> n-gram <tab> log10 back-off`, a line each."""
    if back_off is None:
        for log_prob, text in zip(log_probs.tolist(), texts, strict=True):
            yield f"{log_prob:.10g}\t{text}\n"
    else:
        rows = zip(log_probs.tolist(), texts, back_off.tolist(), strict=True)
        for log_prob, text, left in rows:
            yield f"{log_prob:.10g}\t{text}\t{left:.10g}\n"
