"""Multi-head attention: several attentions side by side, each with weights of its own.

Adds to `self_attention` that queries, keys and values are cut into pieces, one for each head. Each
head reads the whole vector of a token, and makes weights of its own (Vaswani et al., 2017,
*Attention Is All You Need*). Heads can be taken out of a trained model, to see which of them it
needs (Michel et al., 2019, *Are Sixteen Heads Really Better than One?*).
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcourse.language_models import LanguageModel
from lmcourse.self_attention import (
    CausalLanguageModel,
    ResidualAttention,
    SinusoidalPositions,
    TokenEmbedding,
    check_mask,
    scaled_dot_product_attention,
)
from lmcourse.training import evaluating


class MultiHeadAttention(nn.Module):
    """All heads at once: one projection, and a reshape that makes the heads an axis.

    Args:
        d_model: the size of a token's vector.
        n_heads: the number of heads; each has queries, keys and values of d_model / n_heads.

    Raises:
        ValueError: n_heads is below 1, or does not divide d_model.

    >>> attention = MultiHeadAttention(d_model=8, n_heads=2)
    >>> hidden = torch.zeros(3, 5, 8)
    >>> attention(hidden).shape, attention.weights(hidden).shape
    (torch.Size([3, 5, 8]), torch.Size([3, 2, 5, 5]))
    """

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        if n_heads < 1 or d_model % n_heads:
            raise ValueError(
                f"d_model={d_model} is not divisible by n_heads={n_heads}; all heads have the "
                "same size"
            )
        self.n_heads, self.d_head = n_heads, d_model // n_heads
        # Rows: the queries of all heads, then their keys, then their values, as in torch.
        self.in_projection = nn.Linear(d_model, 3 * d_model)
        self.out_projection = nn.Linear(d_model, d_model)
        # As torch: the three square matrices are drawn as one, and biases begin at 0.
        nn.init.xavier_uniform_(self.in_projection.weight)
        nn.init.zeros_(self.in_projection.bias)
        nn.init.zeros_(self.out_projection.bias)

    def forward(
        self,
        hidden: Float[Tensor, "batch queries d_model"],
        mask: Bool[Tensor, "*rows #queries keys"] | None = None,
        memory: Float[Tensor, "batch keys d_model"] | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """Let every token gather from the tokens of the memory, with every head.

        Args:
            hidden: the tokens that look.
            mask: True where a query may attend to a key; (queries, keys), or with a leading axis
                for the batch. The same for all heads. None: everywhere.
            memory: the tokens that are looked at; `hidden` itself where not given.

        Raises:
            ValueError: a query may attend to nothing; the message holds its position.
        """
        return self.attend(*self.queries_keys_values(hidden, memory), mask)

    def weights(
        self,
        hidden: Float[Tensor, "batch queries d_model"],
        mask: Bool[Tensor, "*rows #queries keys"] | None = None,
        memory: Float[Tensor, "batch keys d_model"] | None = None,
    ) -> Float[Tensor, "batch n_heads queries keys"]:
        """Where every token looks, with every head; as in `forward`. Rows sum to 1."""
        query, key, value = self.queries_keys_values(hidden, memory)
        mask = None if mask is None else mask.unsqueeze(-3)
        return scaled_dot_product_attention(query, key, value, mask)[1]

    def queries_keys_values(
        self,
        hidden: Float[Tensor, "batch queries d_model"],
        memory: Float[Tensor, "batch keys d_model"] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of the tokens that look, keys and values of those that are looked at."""
        if memory is None:
            return self.project(hidden)
        return self.project_query(hidden), *self.project_memory(memory)

    def project(
        self, hidden: Float[Tensor, "batch time d_model"]
    ) -> tuple[Float[Tensor, "batch n_heads time d_head"], ...]:
        """Query, key and value of every head, from the same tokens."""
        return self.split(self.in_projection(hidden), 3)

    def project_query(
        self, hidden: Float[Tensor, "batch queries d_model"]
    ) -> Float[Tensor, "batch n_heads queries d_head"]:
        """The query of every head."""
        rows = slice(self.n_heads * self.d_head)
        weight, bias = self.in_projection.weight[rows], self.in_projection.bias[rows]
        (query,) = self.split(F.linear(hidden, weight, bias), 1)
        return query

    def project_memory(
        self, memory: Float[Tensor, "batch keys d_model"]
    ) -> tuple[Float[Tensor, "batch n_heads keys d_head"], ...]:
        """Key and value of every head."""
        rows = slice(self.n_heads * self.d_head, None)
        weight, bias = self.in_projection.weight[rows], self.in_projection.bias[rows]
        return self.split(F.linear(memory, weight, bias), 2)

    def split(
        self, projected: Float[Tensor, "batch time rows"], n_parts: int
    ) -> tuple[Float[Tensor, "batch n_heads time d_head"], ...]:
        """Cut projected tokens into parts (query, key, value), and each part into heads."""
        # (batch, time, rows) -> (batch, time, part, n_heads, d_head)
        cut = projected.unflatten(2, (n_parts, self.n_heads, self.d_head))
        # -> (part, batch, n_heads, time, d_head)
        return cut.permute(2, 0, 3, 1, 4).unbind()

    def attend(
        self,
        query: Float[Tensor, "batch n_heads queries d_head"],
        key: Float[Tensor, "batch n_heads keys d_head"],
        value: Float[Tensor, "batch n_heads keys d_head"],
        mask: Bool[Tensor, "*rows #queries keys"] | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """Attention in every head, and one projection of all that the heads have gathered.

        torch's function computes what ours of chapter 6 does. Where it can (on the CPU: without a
        mask, or with one for each sequence), it keeps no weights: it makes them piece by piece, and
        again on the way back (Dao et al., 2022, *FlashAttention*). With one mask for all sequences,
        (queries, keys), it keeps them on the CPU: the axis for the heads makes three of its two.
        """
        if mask is not None:
            check_mask(mask)
            mask = mask.unsqueeze(-3)  # the same for every head
        gathered = F.scaled_dot_product_attention(query, key, value, mask)
        # (batch, n_heads, queries, d_head) -> (batch, queries, n_heads * d_head)
        return self.out_projection(gathered.transpose(1, 2).flatten(2))

    @torch.no_grad()
    def prune_heads(self, heads: Collection[int]) -> None:
        """Take heads out for good: their rows of the first matrix, their columns of the second.

        The bias of the second stays. The heads that are left are numbered from 0 again. The
        parameters are new tensors: make the optimizer afterwards.

        Args:
            heads: which; at least one must be left.

        Raises:
            ValueError: there is no such head, or none would be left.

        >>> attention = MultiHeadAttention(d_model=8, n_heads=4)
        >>> attention.prune_heads({1, 2})
        >>> attention.n_heads, attention.in_projection.weight.shape
        (2, torch.Size([12, 8]))
        """
        kept = [head for head in range(self.n_heads) if head not in heads]
        if not set(heads) <= set(range(self.n_heads)) or not kept:
            raise ValueError(
                f"heads={sorted(heads)} of {self.n_heads}; give heads from 0 to "
                f"{self.n_heads - 1}, and leave at least 1"
            )
        features = torch.arange(self.n_heads * self.d_head)
        features = features.unflatten(0, (self.n_heads, self.d_head))[kept].flatten()
        parts = torch.arange(3)[:, None] * self.n_heads * self.d_head
        rows = (parts + features).flatten()
        inner, outer = self.in_projection, self.out_projection
        inner.weight = nn.Parameter(inner.weight[rows])
        inner.bias = nn.Parameter(inner.bias[rows])
        outer.weight = nn.Parameter(outer.weight[:, features])
        inner.out_features, outer.in_features = len(rows), len(features)
        self.n_heads = len(kept)

    def load_torch_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Take the parameters of a `torch.nn.MultiheadAttention` of the same sizes.

        Raises:
            RuntimeError: a parameter is missing or too much, or has another shape.

        >>> MultiHeadAttention(8, 2).load_torch_state_dict(
        ...     nn.MultiheadAttention(8, 2).state_dict())
        """
        names = {"in_proj_": "in_projection.", "out_proj.": "out_projection."}
        renamed = {}
        for name, tensor in tensors.items():
            for theirs, ours in names.items():
                name = name.replace(theirs, ours)
            renamed[name] = tensor
        self.load_state_dict(renamed)


class Stack(nn.Module):
    """Layers on top of each other: each reads what the one below has made of the tokens.

    Args:
        layers: each is called with the vectors and a mask, and gives vectors of the same shape.

    >>> stack = Stack(*(ResidualAttention(MultiHeadAttention(8, 2)) for _ in range(3)))
    >>> stack(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(
        self,
        hidden: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "*rows #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """Vectors of the same shape, after all layers. The mask holds for each of them."""
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return hidden


def attention_only_model(
    vocab_size: int, d_model: int = 64, n_heads: int = 4, n_layers: int = 2
) -> CausalLanguageModel:
    """The language model of chapter 7: layers of attention and nothing else between them.

    >>> model = attention_only_model(vocab_size=102)
    >>> sum(parameter.numel() for parameter in model.parameters())
    46438
    """
    layers = Stack(
        *(
            ResidualAttention(MultiHeadAttention(d_model, n_heads))
            for _ in range(n_layers)
        )
    )
    return CausalLanguageModel(
        TokenEmbedding(vocab_size, d_model, SinusoidalPositions()), layers
    )


# -------------------------------------------------------------------------- looking at weights


@contextmanager
def recorded_weights(
    model: nn.Module,
) -> Iterator[list[Float[Tensor, "batch n_heads queries keys"]]]:
    """Collect the weights of every multi-head attention that is called, in the order of calls.

    One recording at a time: a second one of the same model, begun inside, would end the first. An
    `attend` that was set on a module by hand is lost, too.

    >>> attention = MultiHeadAttention(d_model=8, n_heads=2)
    >>> with recorded_weights(attention) as weights:
    ...     _ = attention(torch.zeros(1, 5, 8))
    >>> [part.shape for part in weights]
    [torch.Size([1, 2, 5, 5])]
    """
    weights: list[Tensor] = []

    def recording(attend):
        def attend_and_record(query, key, value, mask=None):
            for_heads = None if mask is None else mask.unsqueeze(-3)
            own = scaled_dot_product_attention(query, key, value, for_heads)[1]
            weights.append(own.detach())
            return attend(query, key, value, mask)

        return attend_and_record

    found = [part for part in model.modules() if isinstance(part, MultiHeadAttention)]
    for attention in found:
        attention.attend = recording(attention.attend)
    try:
        yield weights
    finally:
        for attention in found:
            del attention.attend  # that of the class again


@torch.no_grad()
def attention_maps(
    model: LanguageModel, token_ids: Int[Tensor, "batch time"]
) -> Float[Tensor, "layer batch n_heads time time"]:
    """Where every head of every layer of a language model looks.

    All layers must have the same number of heads.

    >>> model = attention_only_model(vocab_size=7, d_model=8, n_heads=2, n_layers=3)
    >>> attention_maps(model, torch.tensor([[0, 5, 4, 1]])).shape
    torch.Size([3, 1, 2, 4, 4])
    """
    with evaluating(model), recorded_weights(model) as weights:
        model(token_ids)
    return torch.stack(weights)
