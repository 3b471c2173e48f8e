"""Self-attention: every token looks at every other, all at once and without recurrence.

Adds to `attention` that queries, keys and values are all made from the same tokens. So nothing
has to wait for a step before it, and no vector tells where its token stands: positions are added to
the tokens, and a mask hides the future (Vaswani et al., 2017, *Attention Is All You Need*).

Masks are boolean, True = may attend. `torch.nn.MultiheadAttention` means the opposite.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcourse.attention import masked_softmax
from lmcourse.language_models import LanguageModel, check_token_ids

# ---------------------------------------------------------------------------------- attention


def scaled_dot_product_attention(
    query: Float[Tensor, "*batch queries d_key"],
    key: Float[Tensor, "*batch keys d_key"],
    value: Float[Tensor, "*batch keys d_value"],
    mask: Bool[Tensor, "*rows #queries keys"] | None = None,
) -> tuple[
    Float[Tensor, "*batch queries d_value"], Float[Tensor, "*batch queries keys"]
]:
    """For every query a weighted mean of the values: softmax(query key' / sqrt(d_key)) value.

    Args:
        query: what is looked for.
        key: what each value can be found by.
        value: what is there.
        mask: True where a query may attend to a key; leading axes are repeated as in any sum.
            None: everywhere.

    Returns:
        The means, and the weights they were made with. Each row of weights sums to 1.

    Raises:
        ValueError: a query may attend to nothing; the message holds its position.

    >>> query, key = torch.tensor([[math.log(3)]]), torch.tensor([[0.0], [1.0]])
    >>> scaled_dot_product_attention(query, key, value=torch.tensor([[5.0], [9.0]]))
    (tensor([[8.]]), tensor([[0.2500, 0.7500]]))
    """
    # The query is divided instead of the scores: there are d_key of its numbers, not one a key.
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1)
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        weights = masked_softmax(scores, mask.expand_as(scores))
    return weights @ value, weights


def check_mask(mask: Bool[Tensor, "*rows queries keys"]) -> None:
    """Raise a ValueError where a query may attend to nothing.

    >>> check_mask(torch.tensor([[True, False], [False, False]]))
    Traceback (most recent call last):
    ...
    ValueError: the mask of row (1,) is False everywhere; each row must attend to something
    """
    possible = mask.any(dim=-1)
    if not possible.all():
        position = tuple((~possible).nonzero()[0].tolist())
        raise ValueError(
            f"the mask of row {position} is False everywhere; each row must attend to something"
        )


def causal_mask(
    time: int, device: torch.device | str = "cpu"
) -> Bool[Tensor, "time time"]:
    """Each position may attend to itself and to those before it.

    >>> causal_mask(3)
    tensor([[ True, False, False],
            [ True,  True, False],
            [ True,  True,  True]])
    """
    return torch.ones(time, time, dtype=torch.bool, device=device).tril()


class SelfAttention(nn.Module):
    """One head of self-attention: three projections of the same tokens, then attention.

    Args:
        d_model: the size of a token's vector.
        d_head: the size of a query, a key and a value; d_model where not given.

    >>> attention = SelfAttention(d_model=8, d_head=4)
    >>> hidden, mask = torch.zeros(2, 5, 8), causal_mask(5)
    >>> attention(hidden, mask).shape, attention.weights(hidden, mask).shape
    (torch.Size([2, 5, 4]), torch.Size([2, 5, 5]))
    """

    def __init__(self, d_model: int, d_head: int | None = None):
        super().__init__()
        d_head = d_model if d_head is None else d_head
        self.query = nn.Linear(d_model, d_head)
        self.key = nn.Linear(d_model, d_head)
        self.value = nn.Linear(d_model, d_head)

    def forward(
        self,
        hidden: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "*rows #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_head"]:
        """What each token gathers from all that it may attend to."""
        output, _ = scaled_dot_product_attention(*self.project(hidden), mask)
        return output

    def weights(
        self,
        hidden: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "*rows #time time"] | None = None,
    ) -> Float[Tensor, "batch time time"]:
        """Where each token looks: a row for each, which sums to 1."""
        _, weights = scaled_dot_product_attention(*self.project(hidden), mask)
        return weights

    def project(
        self, hidden: Float[Tensor, "batch time d_model"]
    ) -> tuple[Float[Tensor, "batch time d_head"], ...]:
        """Query, key and value of every token."""
        return self.query(hidden), self.key(hidden), self.value(hidden)


# ---------------------------------------------------------------------------------- positions


def sinusoidal_positions(time: int, d_model: int) -> Float[Tensor, "time d_model"]:
    """A vector for each position, of sines and cosines: no parameters, no longest position.

    Features 2i and 2i + 1 of position t are sin and cos of t / 10000^(2i / d_model): hands of
    clocks, each slower than the one before.

    Raises:
        ValueError: d_model is odd.

    >>> sinusoidal_positions(time=2, d_model=4).round(decimals=2)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8400, 0.5400, 0.0100, 1.0000]])
    """
    if d_model % 2:
        raise ValueError(
            f"d_model={d_model}; sines and cosines come in pairs, so it must be even"
        )
    rates = 10_000 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angles = torch.arange(time, dtype=torch.float64)[:, None] * rates
    # (time, d_model / 2, 2) -> (time, d_model): a sine, its cosine, the next sine, ...
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).float()


class NoPositions(nn.Module):
    """Adds nothing: a token's vector does not tell where it stands."""

    def forward(
        self, hidden: Float[Tensor, "batch time d_model"], start: int = 0
    ) -> Float[Tensor, "batch time d_model"]:
        """The vectors as they are."""
        return hidden


class SinusoidalPositions(nn.Module):
    """Adds `sinusoidal_positions` to the tokens."""

    def forward(
        self, hidden: Float[Tensor, "batch time d_model"], start: int = 0
    ) -> Float[Tensor, "batch time d_model"]:
        """Add the positions start, start + 1, ... to the vectors of the tokens."""
        _, time, d_model = hidden.shape
        return hidden + sinusoidal_positions(start + time, d_model)[start:].to(hidden)


class LearnedPositions(nn.Module):
    """Adds a vector of its own for each position, learned like the embedding of a word.

    Args:
        context_length: the number of positions; there is none beyond.
        d_model: the size of a token's vector.

    >>> LearnedPositions(context_length=4, d_model=2)(torch.zeros(1, 5, 2))
    Traceback (most recent call last):
    ...
    ValueError: a token at position 4, and context_length=4; the last position is 3
    """

    def __init__(self, context_length: int, d_model: int):
        super().__init__()
        self.embedding = nn.Embedding(context_length, d_model)

    def forward(
        self, hidden: Float[Tensor, "batch time d_model"], start: int = 0
    ) -> Float[Tensor, "batch time d_model"]:
        """Add the positions start, start + 1, ... to the vectors of the tokens.

        Raises:
            ValueError: a token stands beyond the last position.
        """
        end, context_length = start + hidden.shape[1], self.embedding.num_embeddings
        if end > context_length:
            raise ValueError(
                f"a token at position {end - 1}, and context_length={context_length}; "
                f"the last position is {context_length - 1}"
            )
        return hidden + self.embedding.weight[start:end]


# ------------------------------------------------------------------------------ language model


class ResidualAttention(nn.Module):
    """Attention as a layer: what a token gathers is added to what it was.

    Args:
        attention: called with the vectors and a mask, gives vectors of the same size.

    >>> ResidualAttention(SelfAttention(8))(torch.zeros(2, 5, 8), causal_mask(5)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, attention: nn.Module):
        super().__init__()
        self.attention = attention

    def forward(
        self,
        hidden: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "*rows #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The vectors, each with what its token gathered added. True in the mask: may attend."""
        return hidden + self.attention(hidden, mask)


class TokenEmbedding(nn.Module):
    """A token's vector and its position's, added.

    The vector is multiplied by sqrt(d_model): it begins about as large as a position's.

    Args:
        vocab_size: the number of tokens.
        d_model: the size of a token's vector.
        positions: what is added to tell the order.

    >>> TokenEmbedding(9, 4, SinusoidalPositions())(torch.tensor([[0, 5, 5]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        positions: NoPositions | SinusoidalPositions | LearnedPositions,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        self.positions = positions

    def forward(
        self, token_ids: Int[Tensor, "batch time"], start: int = 0
    ) -> Float[Tensor, "batch time d_model"]:
        """The vectors of tokens that stand at the positions start, start + 1, ...

        Raises:
            ValueError: an id is outside the vocabulary.
        """
        check_token_ids(token_ids, self.embedding.num_embeddings)
        scale = math.sqrt(self.embedding.embedding_dim)
        return self.positions(self.embedding(token_ids) * scale, start)


class CausalLanguageModel(LanguageModel):
    """Embedding with positions, layers that look back only, and one linear layer to the logits.

    Args:
        embedding: gives each token its vector.
        layers: called with the vectors and a mask, gives vectors of the same shape.

    >>> embedding = TokenEmbedding(vocab_size=7, d_model=8, positions=SinusoidalPositions())
    >>> model = CausalLanguageModel(embedding, ResidualAttention(SelfAttention(8)))
    >>> model(torch.tensor([[0, 3, 2]])).shape
    torch.Size([1, 3, 7])
    """

    def __init__(self, embedding: TokenEmbedding, layers: nn.Module):
        super().__init__()
        self.vocab_size, d_model = embedding.embedding.weight.shape
        self.embedding, self.layers = embedding, layers
        self.output = nn.Linear(d_model, self.vocab_size)

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        hidden = self.embedding(token_ids)
        mask = causal_mask(token_ids.shape[1], hidden.device)
        return self.output(self.layers(hidden, mask))


# ---------------------------------------------------------------------------------- complexity


@dataclass(frozen=True)
class Cost:
    """What one layer costs for one sequence. All pairs count, those that a mask hides as well.

    Attributes:
        multiply_adds: multiplications, each with its addition, in all matrix products.
        sequential_steps: how often the layer must wait for what it has just made, when all that
            can be done at once is done at once. A sum counts as one step, however long.
        path_length: through how many steps what the first token says reaches the last output.
    """

    multiply_adds: int
    sequential_steps: int
    path_length: int


def recurrent_cost(time: int, d_model: int) -> Cost:
    """A plain recurrent layer: two matrices a token, and every step waits for the one before.

    >>> recurrent_cost(time=10, d_model=64)
    Cost(multiply_adds=81920, sequential_steps=10, path_length=10)
    """
    return Cost(2 * time * d_model**2, time, time)


def recurrent_attention_cost(time: int, d_model: int) -> Cost:
    """The decoder of chapter 5, a GRU with additive attention, as long as its source.

    Keys are prepared once; each step then takes a query matrix, nine of the GRU (which reads a
    word and a context), and two products for each source token. Neither the encoder nor the output
    layer is counted. The path is that to a source token; within the target it is as long as in any
    recurrent layer.

    >>> recurrent_attention_cost(time=10, d_model=64)
    Cost(multiply_adds=463360, sequential_steps=10, path_length=1)
    """
    return Cost(11 * time * d_model**2 + 2 * time**2 * d_model, time, 1)


def self_attention_cost(time: int, d_model: int) -> Cost:
    """One head of self-attention: three matrices a token, and two products for each pair.

    >>> self_attention_cost(time=10, d_model=64)
    Cost(multiply_adds=135680, sequential_steps=1, path_length=1)
    """
    return Cost(3 * time * d_model**2 + 2 * time**2 * d_model, 1, 1)
