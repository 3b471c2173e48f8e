"""Attention: the decoder looks back at the source, and at every step decides where.

Adds to `seq2seq` one thing: the context vector is no longer fixed. It is a weighted mean of the
encoder's outputs, and the weights are made anew at every step from scores (Bahdanau et al., 2015,
*Neural Machine Translation by Jointly Learning to Align and Translate*; Luong et al., 2015,
*Effective Approaches to Attention-based Neural Machine Translation*). The weights are also a
guess at which word renders which: an alignment, which can be measured against the true one.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lmcourse.language_models import pad_sentences
from lmcourse.rnn import GRU
from lmcourse.seq2seq import (
    Bidirectional,
    Decoder,
    DecoderState,
    Encoded,
    Encoder,
    Pair,
    Seq2Seq,
)
from lmcourse.training import device_of, evaluating

Links = frozenset[tuple[int, int]]  # (source position, target position)


# -------------------------------------------------------------------------------- the weights


def masked_softmax(
    scores: Float[Tensor, "*batch keys"], mask: Bool[Tensor, "*batch keys"]
) -> Float[Tensor, "*batch keys"]:
    """Softmax over the keys that may be attended to; the others get weight exactly 0.

    Raises:
        ValueError: a row may attend to nothing; the message holds its position.

    >>> masked_softmax(torch.zeros(1, 3), torch.tensor([[True, True, False]]))
    tensor([[0.5000, 0.5000, 0.0000]])
    """
    possible = mask.any(dim=-1)
    if not possible.all():
        position = tuple((~possible).nonzero()[0].tolist())
        raise ValueError(
            f"the mask of row {position} is False everywhere; each row must attend to something"
        )
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


def attend(
    scores: Float[Tensor, "batch keys"],
    values: Float[Tensor, "batch keys d_value"],
    mask: Bool[Tensor, "batch keys"],
) -> tuple[Float[Tensor, "batch d_value"], Float[Tensor, "batch keys"]]:
    """The weighted mean of the values, and the weights. Masked values count for nothing, if finite.

    >>> context, weights = attend(
    ...     torch.zeros(1, 2), torch.tensor([[[2.0], [4.0]]]), torch.ones(1, 2, dtype=torch.bool))
    >>> context
    tensor([[3.]])
    """
    weights = masked_softmax(scores, mask)
    # (batch, 1, keys) @ (batch, keys, d_value) -> (batch, d_value)
    return (weights[:, None, :] @ values).squeeze(1), weights


# --------------------------------------------------------------------------------- the scores


class AdditiveScore(nn.Module):
    """A small network: score = v . tanh(W_query query + W_key key) (Bahdanau et al., 2015).

    >>> score = AdditiveScore(d_query=3, d_key=4, d_score=5)
    >>> score(torch.zeros(2, 3), score.prepare(torch.zeros(2, 6, 4))).shape
    torch.Size([2, 6])
    """

    def __init__(self, d_query: int, d_key: int, d_score: int):
        super().__init__()
        self.query_projection = nn.Linear(d_query, d_score, bias=False)
        self.key_projection = nn.Linear(d_key, d_score, bias=False)
        self.vector = nn.Linear(d_score, 1, bias=False)

    def prepare(
        self, memory: Float[Tensor, "batch keys d_key"]
    ) -> Float[Tensor, "batch keys d_score"]:
        """The keys' share of the work, done once a sentence: W_key key."""
        return self.key_projection(memory)

    def forward(
        self,
        query: Float[Tensor, "batch d_query"],
        keys: Float[Tensor, "batch keys d_score"],
    ) -> Float[Tensor, "batch keys"]:
        """The score of every prepared key."""
        hidden = (self.query_projection(query)[:, None, :] + keys).tanh()
        return self.vector(hidden).squeeze(2)


class DotScore(nn.Module):
    """No parameters: score = query . key (Luong et al., 2015). Both must have the same size.

    >>> DotScore()(torch.ones(1, 2), torch.tensor([[[1.0, 2.0], [0.0, 5.0]]]))
    tensor([[3., 5.]])
    """

    def prepare(
        self, memory: Float[Tensor, "batch keys d_key"]
    ) -> Float[Tensor, "batch keys d_key"]:
        """The keys are the memory itself."""
        return memory

    def forward(
        self,
        query: Float[Tensor, "batch d_key"],
        keys: Float[Tensor, "batch keys d_key"],
    ) -> Float[Tensor, "batch keys"]:
        """The score of every key.

        Raises:
            ValueError: query and keys have different sizes.
        """
        if query.shape[1] != keys.shape[2]:
            raise ValueError(
                f"d_query={query.shape[1]} and d_key={keys.shape[2]}; a dot product needs the "
                "same size (GeneralScore does not)"
            )
        # (batch, keys, d_key) @ (batch, d_key, 1) -> (batch, keys)
        return (keys @ query[:, :, None]).squeeze(2)


class GeneralScore(nn.Module):
    """A matrix between them: score = query . W key (Luong et al., 2015).

    >>> score = GeneralScore(d_query=3, d_key=4)
    >>> score(torch.zeros(2, 3), score.prepare(torch.zeros(2, 6, 4))).shape
    torch.Size([2, 6])
    """

    def __init__(self, d_query: int, d_key: int):
        super().__init__()
        self.key_projection = nn.Linear(d_key, d_query, bias=False)
        self.dot = DotScore()

    def prepare(
        self, memory: Float[Tensor, "batch keys d_key"]
    ) -> Float[Tensor, "batch keys d_query"]:
        """W key, done once a sentence."""
        return self.key_projection(memory)

    def forward(
        self,
        query: Float[Tensor, "batch d_query"],
        keys: Float[Tensor, "batch keys d_query"],
    ) -> Float[Tensor, "batch keys"]:
        """The score of every prepared key."""
        return self.dot(query, keys)


# -------------------------------------------------------------------------------- the decoder


class AttentionDecoder(Decoder):
    """The decoder of `seq2seq`, but its context is made anew at every step.

    Args:
        score: compares the hidden state (the query) with the encoder's outputs (the keys).
        vocab_size, d_embedding, d_hidden, d_memory: as of `Decoder`.
    """

    def __init__(
        self,
        score: AdditiveScore | DotScore | GeneralScore,
        vocab_size: int,
        d_embedding: int,
        d_hidden: int,
        d_memory: int,
    ):
        super().__init__(vocab_size, d_embedding, d_hidden, d_memory)
        self.score = score

    def start(self, encoded: Encoded) -> DecoderState:
        return super().start(encoded._replace(keys=self.score.prepare(encoded.memory)))

    def look(self, state: DecoderState) -> Float[Tensor, "batch d_memory"]:
        """The weighted mean of the encoder's outputs, as the hidden state weighs them."""
        context, _ = self.attend(state)
        return context

    def attend(
        self, state: DecoderState
    ) -> tuple[Float[Tensor, "batch d_memory"], Float[Tensor, "batch source"]]:
        """The context vector of the next step, and the weights it is made with."""
        scores = self.score(state.hidden, state.encoded.keys)
        return attend(scores, state.encoded.memory, state.encoded.mask)


def attention_translator(
    source_vocab_size: int, target_vocab_size: int, d_hidden: int
) -> Seq2Seq:
    """The translator of chapter 5: that of chapter 4, with additive attention.

    >>> attention_translator(9, 7, d_hidden=8).decoder.score.key_projection.weight.shape
    torch.Size([8, 8])
    """
    half = d_hidden // 2
    layers = Bidirectional(GRU(d_hidden, half), GRU(d_hidden, half))
    score = AdditiveScore(d_hidden, layers.d_output, d_hidden)
    return Seq2Seq(
        Encoder(source_vocab_size, layers),
        AttentionDecoder(score, target_vocab_size, d_hidden, d_hidden, layers.d_output),
    )


# -------------------------------------------------------------------------------- alignments


@torch.no_grad()
def attention_weights(
    model: Seq2Seq, pairs: Sequence[Pair]
) -> list[Float[Tensor, "target source"]]:
    """Where an attention decoder looks while it writes each target token.

    Returns:
        For each pair a row for each target token but `<s>` (the row of `</s>` is the last), a
        column for each source token (`<s>` and `</s>` among them). Rows sum to 1.
    """
    sources, targets = zip(*pairs, strict=True)
    target_ids, _ = pad_sentences(targets)
    with evaluating(model):
        state = model.start(sources)
        steps = []
        for token_ids in target_ids[:, :-1].to(device_of(model)).unbind(dim=1):
            _, weights = model.decoder.attend(state)
            steps.append(weights.cpu())
            _, state = model.decoder.step(token_ids, state)
    # (target, batch, source) -> (batch, target, source)
    weights = torch.stack(steps, dim=1)
    return [
        rows[: len(target) - 1, : len(source)]
        for rows, source, target in zip(weights, sources, targets, strict=True)
    ]


def strongest_links(weights: Float[Tensor, "target source"]) -> Links:
    """Link every target word to the source word with the greatest weight.

    The marks `<s>` and `</s>` of both sides are left out; positions count words from 0.

    >>> weights = torch.tensor([[0.1, 0.2, 0.7, 0.0], [0.0, 0.5, 0.3, 0.2], [0.0, 0.0, 0.0, 1.0]])
    >>> sorted(strongest_links(weights))
    [(0, 1), (1, 0)]
    """
    words = weights[:-1, 1:-1]
    return frozenset((int(row.argmax()), j) for j, row in enumerate(words))


def alignment_error_rate(
    predicted: Iterable[Links], sure: Iterable[Links], possible: Iterable[Links]
) -> float:
    """How far links are from the true ones: `1 - (|A & S| + |A & P|) / (|A| + |S|)`, 0 is perfect.

    A sure link must be found; a possible one may be (Och & Ney, 2003, *A Systematic Comparison of
    Various Statistical Alignment Models*). Counted over all sentences together.

    Args:
        predicted: A, the links of each sentence.
        sure: S, those of the gold alignment that must be there.
        possible: P, those that may be there; the sure ones are among them.

    Raises:
        ValueError: a sure link is not possible, or there is no link at all.

    >>> sure, possible = frozenset({(0, 0)}), frozenset({(0, 0), (2, 1)})
    >>> alignment_error_rate([frozenset({(0, 0), (2, 1)})], [sure], [possible])
    0.0
    >>> round(alignment_error_rate([frozenset({(0, 0), (1, 1)})], [sure], [possible]), 3)
    0.333
    """
    found = total = 0
    for ours, must, may in zip(predicted, sure, possible, strict=True):
        if not must <= may:
            raise ValueError(
                f"the sure link {min(must - may)} is not possible; every sure link must be"
            )
        found += len(ours & must) + len(ours & may)
        total += len(ours) + len(must)
    if total == 0:
        raise ValueError("0 links, predicted and sure; at least 1 is needed")
    return 1 - found / total


def diagonal_links(n_source: int, n_target: int) -> Links:
    """Link each target word to the source word at the same share of the way, rounded down.

    >>> sorted(diagonal_links(n_source=2, n_target=4))
    [(0, 0), (0, 1), (1, 2), (1, 3)]
    """
    return frozenset((j * n_source // n_target, j) for j in range(n_target))


def uniform_links(n_source: int, n_target: int, generator: torch.Generator) -> Links:
    """Link each target word to a source word drawn by chance.

    >>> len(uniform_links(3, 4, torch.Generator()))
    4
    """
    drawn = torch.randint(n_source, (n_target,), generator=generator)
    return frozenset((i, j) for j, i in enumerate(drawn.tolist()))


class IBMModel1:
    """Which word renders which, learned from pairs by counting alone, the order ignored.

    The classic of statistical translation (Brown et al., 1993, *The Mathematics of Statistical
    Machine Translation*): t(target word | source word), estimated by expectation maximisation.
    A target word may come from no source word; that is the source word `<s>` here.

    Args:
        source_vocab_size: the number of source tokens.
        target_vocab_size: the number of target tokens.

    >>> pairs = [([0, 2, 3, 1], [0, 5, 4, 1]), ([0, 2, 1], [0, 4, 1]), ([0, 3, 1], [0, 5, 1])]
    >>> model = IBMModel1(4, 6).fit(pairs, n_rounds=10)
    >>> sorted(model.links(pairs[0]))
    [(0, 1), (1, 0)]
    """

    def __init__(self, source_vocab_size: int, target_vocab_size: int):
        self.table = np.full(
            (source_vocab_size, target_vocab_size), 1 / target_vocab_size
        )

    def __repr__(self) -> str:
        return f"IBMModel1{self.table.shape}"

    def fit(self, pairs: Sequence[Pair], n_rounds: int = 10) -> "IBMModel1":
        """Estimate the table. No round makes the targets less probable. Returns the model."""
        words = [(source[:-1], target[1:-1]) for source, target in pairs]
        for _ in range(n_rounds):
            expected = np.zeros_like(self.table)
            for source, target in words:
                shares = self.table[np.ix_(source, target)]
                shares = shares / shares.sum(axis=0)
                np.add.at(expected, np.ix_(source, target), shares)
            totals = expected.sum(axis=1, keepdims=True)
            self.table = np.divide(
                expected, totals, out=np.zeros_like(expected), where=totals > 0
            )
        return self

    def links(self, pair: Pair) -> Links:
        """Link each target word to its most probable source word; to none, where that is `<s>`."""
        source, target = pair[0][:-1], pair[1][1:-1]
        best = self.table[np.ix_(source, target)].argmax(axis=0)
        return frozenset((int(i) - 1, j) for j, i in enumerate(best) if i > 0)
