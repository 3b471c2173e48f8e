"""Language models: what comes next, with which probability, and how good the answer is.

One interface for every model of the course: `model(token_ids)` scores the next token.
From it follow the probability of a sentence (chain rule), cross-entropy in bits (Shannon, 1951,
*Prediction and Entropy of Printed English*) and perplexity (Jelinek, Mercer, Bahl and Baker, 1977,
*Perplexity: a Measure of the Difficulty of Speech Recognition Tasks*).

Inside, log probabilities are natural logarithms (nats), as in torch. Results are in bits.
A sentence is a list of token ids `[0, ..., 1]`: `<s>` is context only and never predicted,
`</s>` is predicted like every other token.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class LanguageModel(nn.Module):
    """The one interface of all language models, from the simplest to the Transformer."""

    vocab_size: int

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        """Score what comes next: `logits[:, t]` is about the token after `token_ids[:, : t + 1]`.

        Logits are log probabilities up to a constant; softmax turns them into probabilities.
        Models that count return the log probabilities themselves, -inf for the impossible.
        """
        raise NotImplementedError

    def log_prob(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time-1"]:
        """log P(token_ids[:, t + 1] | token_ids[:, : t + 1]) of the tokens that occur, in nats.

        >>> Uniform(5).log_prob(torch.tensor([[0, 3, 1]])).exp()
        tensor([[0.2500, 0.2500]], dtype=torch.float64)
        """
        logits = self(token_ids[:, :-1])
        impossible = logits.isneginf().all(dim=-1, keepdim=True)
        log_probs = logits.log_softmax(dim=-1).masked_fill(impossible, -torch.inf)
        return log_probs.gather(-1, token_ids[:, 1:, None]).squeeze(-1)


class Uniform(LanguageModel):
    """Every token but `<s>` is equally likely: the model that knows nothing.

    >>> Uniform(5)(torch.tensor([[0]])).exp()
    tensor([[[0.0000, 0.2500, 0.2500, 0.2500, 0.2500]]], dtype=torch.float64)

    Raises:
        ValueError: `vocab_size` is below 2.
    """

    def __init__(self, vocab_size: int):
        super().__init__()
        if vocab_size < 2:
            raise ValueError(f"vocab_size={vocab_size}; <s> and </s> alone make 2")
        self.vocab_size = vocab_size

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        check_token_ids(token_ids, self.vocab_size)
        probs = torch.full(
            (self.vocab_size,), 1 / (self.vocab_size - 1), dtype=torch.float64
        )
        probs[0] = 0
        return probs.log().expand(*token_ids.shape, -1)


class Unigram(LanguageModel):
    """Every token by its frequency, whatever stands before it.

    Args:
        counts: how often each token was predicted, (vocab_size,). That of `<s>` must be 0.

    >>> model = Unigram.fit([[0, 2, 1], [0, 2, 3, 1]], vocab_size=4)
    >>> model(torch.tensor([[0]])).exp()
    tensor([[[0.0000, 0.4000, 0.4000, 0.2000]]], dtype=torch.float64)

    Raises:
        ValueError: a count is negative, all are 0, or `<s>` has one.
    """

    def __init__(self, counts: Sequence[int]):
        super().__init__()
        if min(counts) < 0 or sum(counts) == 0 or counts[0] != 0:
            raise ValueError(
                f"counts from {min(counts)}, sum {sum(counts)}, of <s> {counts[0]}; "
                "none may be negative, the sum must be above 0, <s> is never predicted"
            )
        self.vocab_size = len(counts)
        self.counts = torch.tensor(counts, dtype=torch.float64)

    @classmethod
    def fit(cls, sentences: Sequence[Sequence[int]], vocab_size: int) -> "Unigram":
        """Count the tokens of the sentences, `</s>` among them."""
        check_sentences(sentences, vocab_size)
        predicted = torch.tensor(
            [token for sentence in sentences for token in sentence[1:]]
        )
        return cls(predicted.bincount(minlength=vocab_size).tolist())

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        check_token_ids(token_ids, self.vocab_size)
        probs = self.counts / self.counts.sum()
        return probs.log().expand(*token_ids.shape, -1)


def pad_sentences(
    sentences: Sequence[Sequence[int]],
) -> tuple[Int[Tensor, "sentence longest"], Bool[Tensor, "sentence longest"]]:
    """Put sentences of different lengths into one rectangle, filled up on the right.

    Returns:
        The token ids, 0 where nothing stands, and the mask, True for a real token.

    Raises:
        ValueError: there is no sentence.

    >>> token_ids, mask = pad_sentences([[0, 4, 1], [0, 1]])
    >>> token_ids
    tensor([[0, 4, 1],
            [0, 1, 0]])
    >>> mask
    tensor([[ True,  True,  True],
            [ True,  True, False]])
    """
    if len(sentences) == 0:
        raise ValueError("0 sentences; at least 1 is needed")
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    token_ids = torch.zeros(mask.shape, dtype=torch.long)
    token_ids[mask] = torch.tensor(
        [token for sentence in sentences for token in sentence]
    )
    return token_ids, mask


@torch.no_grad()
def token_log_probs(
    model: LanguageModel, sentences: Sequence[Sequence[int]], batch_size: int = 64
) -> list[Float[Tensor, " predicted"]]:
    """The log probability of every predicted token, in nats: one vector a sentence.

    The model is switched to evaluation while it is measured, and back after.

    Raises:
        ValueError: there is no sentence, one does not run from `<s>` to `</s>`, or batch_size is
            below 1.

    >>> token_log_probs(Uniform(5), [[0, 3, 1]])[0].exp()
    tensor([0.2500, 0.2500], dtype=torch.float64)
    """
    check_sentences(sentences, model.vocab_size)
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}; at least 1 sentence at a time")
    log_probs = [None] * len(sentences)
    # Sentences of about the same length go together: little padding.
    by_length = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(sentences), batch_size):
            batch = by_length[start : start + batch_size]
            token_ids, mask = pad_sentences([sentences[i] for i in batch])
            rows = zip(batch, model.log_prob(token_ids), mask[:, 1:], strict=True)
            for i, row, real in rows:
                log_probs[i] = row[real]
    finally:
        model.train(was_training)
    return log_probs


def sentence_log_prob(model: LanguageModel, sentence: Sequence[int]) -> float:
    """The chain rule: log P(sentence) = sum of log P(token | the tokens before it), in nats.

    >>> round(math.exp(sentence_log_prob(Uniform(5), [0, 3, 2, 1])), 6)  # 1/4 * 1/4 * 1/4
    0.015625
    """
    return token_log_probs(model, [sentence])[0].double().sum().item()


def cross_entropy(
    model: LanguageModel, sentences: Sequence[Sequence[int]], batch_size: int = 64
) -> float:
    """How many bits the model needs for a token, on average: mean of -log2 P. `</s>` counts.

    >>> cross_entropy(Uniform(5), [[0, 3, 1], [0, 2, 4, 1]])  # 4 equally likely tokens: 2 bits
    2.0
    """
    log_probs = torch.cat(token_log_probs(model, sentences, batch_size))
    return -log_probs.double().mean().item() / math.log(2)


def perplexity(bits: float | int) -> float:
    """Between how many equally likely tokens the model seems to choose: 2 to the bits a token.

    >>> perplexity(2.0)
    4.0
    """
    return 2**bits


def gap(
    model: LanguageModel, reference: LanguageModel, sentences: Sequence[Sequence[int]]
) -> float:
    """How many bits a token the model needs more than the reference, on the same sentences.

    The difference is taken token by token. Where both models find the same sentences hard, the
    luck of drawing easy or hard ones drops out of it: the more alike the models, the more.

    Raises:
        ValueError: both models find the same token impossible, so their difference is undefined.

    >>> round(gap(Uniform(9), Uniform(5), [[0, 3, 2, 1]]), 6)  # 3 bits instead of 2
    1.0
    """
    difference = [
        (theirs - ours).double()
        for ours, theirs in zip(
            token_log_probs(model, sentences),
            token_log_probs(reference, sentences),
            strict=True,
        )
    ]
    bits = torch.cat(difference) / math.log(2)
    if bits.isnan().any():
        raise ValueError(
            f"{int(bits.isnan().sum())} of {len(bits)} tokens are impossible for both models; "
            "their gap is undefined"
        )
    return bits.mean().item()


def check_token_ids(token_ids: Int[Tensor, "batch time"], vocab_size: int) -> None:
    """Raise a ValueError where an id is outside the vocabulary.

    >>> check_token_ids(torch.tensor([[0, 7]]), vocab_size=5)
    Traceback (most recent call last):
    ValueError: token id 7 is outside 0 .. 4 (vocab_size=5)
    """
    if token_ids.numel() == 0:
        return
    for token_id in (int(token_ids.min()), int(token_ids.max())):
        if not 0 <= token_id < vocab_size:
            raise ValueError(
                f"token id {token_id} is outside 0 .. {vocab_size - 1} (vocab_size={vocab_size})"
            )


def check_sentences(sentences: Sequence[Sequence[int]], vocab_size: int) -> None:
    """Raise a ValueError unless every sentence is `[0, ..., 1]` with ids of the vocabulary.

    >>> check_sentences([[0, 3, 1], [3, 1]], vocab_size=5)
    Traceback (most recent call last):
    ValueError: sentence 1 begins with 3 and ends with 1; it must run from 0 (<s>) to 1 (</s>)
    """
    if len(sentences) == 0:
        raise ValueError("0 sentences; at least 1 is needed")
    for position, sentence in enumerate(sentences):
        if len(sentence) < 2 or sentence[0] != 0 or sentence[-1] != 1:
            ends = (
                f"begins with {sentence[0]} and ends with {sentence[-1]}"
                if sentence
                else "is []"
            )
            raise ValueError(
                f"sentence {position} {ends}; it must run from 0 (<s>) to 1 (</s>)"
            )
        inside = sentence[1:-1]
        if inside and not 2 <= min(inside) <= max(inside) < vocab_size:
            raise ValueError(
                f"sentence {position} has ids {min(inside)} .. {max(inside)} inside; "
                f"between <s> and </s> they must be 2 .. {vocab_size - 1} (vocab_size={vocab_size})"
            )
