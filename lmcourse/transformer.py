"""The Transformer: attention gathers, a small network thinks, and both are added to what was.

Adds to `multi_head_attention` a feed-forward network for each token and layer norm (Ba et al.,
2016, *Layer Normalization*); residual connections (He et al., 2016, *Deep Residual Learning for
Image Recognition*) stand round both parts. From the same blocks come an encoder, a causal language
model, and a translator (Vaswani et al., 2017, *Attention Is All You Need*).

Post-norm blocks are those of the paper. Pre-norm blocks normalise first, so that the sum runs
through the stack untouched (Xiong et al., 2020, *On Layer Normalization in the Transformer
Architecture*).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcourse.language_models import LanguageModel, check_token_ids, pad_sentences
from lmcourse.multi_head_attention import MultiHeadAttention, Stack
from lmcourse.self_attention import (
    CausalLanguageModel,
    SinusoidalPositions,
    TokenEmbedding,
    causal_mask,
)
from lmcourse.seq2seq import Pair, Seq2Seq
from lmcourse.training import device_of

Activation = Callable[[Tensor], Tensor]
KeyValue = tuple[Tensor, Tensor]  # each (batch, n_heads, keys, d_head)

# ----------------------------------------------------------------------------------- the parts


class LayerNorm(nn.Module):
    """Move and scale the features of each token to mean 0 and variance 1, then to a learned scale.

    normed = (hidden - mean) / sqrt(variance + eps) * weight + bias, mean and variance over the
    d_model features of one token (the variance divides by d_model). torch's function does this
    without writing down what lies between.

    Args:
        d_model: the size of a token's vector.
        eps: added to the variance, so that a constant vector divides by something.

    >>> LayerNorm(3)(torch.tensor([[1.0, 2.0, 3.0]])).detach()
    tensor([[-1.2247,  0.0000,  1.2247]])
    """

    def __init__(self, d_model: int, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.eps = eps

    def forward(
        self, hidden: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """Vectors of mean 0 and variance 1, times the weight, plus the bias."""
        return F.layer_norm(hidden, self.weight.shape, self.weight, self.bias, self.eps)


class FeedForward(nn.Module):
    """A network of one hidden layer, the same for every token, which sees no other token.

    Args:
        d_model: the size of a token's vector.
        d_ff: the size of the hidden layer.
        activation: what makes it more than one matrix; ReLU in the paper, GELU in BERT.

    >>> FeedForward(d_model=4, d_ff=16)(torch.zeros(2, 5, 4)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, d_model: int, d_ff: int, activation: Activation = F.relu):
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.outer = nn.Linear(d_ff, d_model)
        self.activation = activation

    def forward(
        self, hidden: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """What the network makes of each vector."""
        return self.outer(self.activation(self.inner(hidden)))


class KeyValueCache:
    """The keys and values of the tokens that a layer has read, so that none is made twice.

    Args:
        key, value: of what was read before, (batch, n_heads, keys, d_head).

    >>> cache = KeyValueCache(torch.zeros(1, 2, 0, 4), torch.zeros(1, 2, 0, 4))
    >>> key, value = cache.extend(torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4))
    >>> key.shape, len(cache)
    (torch.Size([1, 2, 3, 4]), 3)
    """

    def __init__(
        self,
        key: Float[Tensor, "batch n_heads keys d_head"],
        value: Float[Tensor, "batch n_heads keys d_head"],
    ):
        self.key, self.value = key, value

    @classmethod
    def empty(cls, attention: MultiHeadAttention, batch_size: int) -> "KeyValueCache":
        """A cache for this layer that has read nothing."""
        shape = (batch_size, attention.n_heads, 0, attention.d_head)
        nothing = attention.in_projection.weight.new_zeros(shape)
        return cls(nothing, nothing)

    def __len__(self) -> int:
        return self.key.shape[2]

    def extend(
        self,
        key: Float[Tensor, "batch n_heads new d_head"],
        value: Float[Tensor, "batch n_heads new d_head"],
    ) -> KeyValue:
        """Append what was just read; returns everything that was read so far."""
        self.key = torch.cat([self.key, key], dim=2)
        self.value = torch.cat([self.value, value], dim=2)
        return self.key, self.value


# ---------------------------------------------------------------------------------- the blocks


class EncoderBlock(nn.Module):
    """Attention, then a feed-forward network; each is added to its input, and the sum normalised.

    This is the post-norm block of the paper.

    Args:
        d_model: the size of a token's vector.
        n_heads: attention heads.
        d_ff: the size of the feed-forward network's hidden layer.
        dropout: the share of numbers set to 0 in training, before each sum.
        activation: of the feed-forward network.

    >>> EncoderBlock(d_model=8, n_heads=2, d_ff=32)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        dropout: float | int = 0.0,
        activation: Activation = F.relu,
    ):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.attention_norm = LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model, d_ff, activation)
        self.feed_forward_norm = LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "*rows #time keys"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """Make new vectors of the tokens.

        Args:
            hidden: the tokens.
            mask: True where a token may attend to another.
            cache: of the tokens before; these are attended to as well, and the mask has a column
                for each.
        """
        gathered = self_attend(self.attention, hidden, mask, cache)
        hidden = self.attention_norm(hidden + self.dropout(gathered))
        thought = self.feed_forward(hidden)
        return self.feed_forward_norm(hidden + self.dropout(thought))


class PreNormEncoderBlock(EncoderBlock):
    """The same parts, but what is normalised is the input of each, not the sum."""

    def forward(
        self,
        hidden: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "*rows #time keys"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        normed = self.attention_norm(hidden)
        gathered = self_attend(self.attention, normed, mask, cache)
        hidden = hidden + self.dropout(gathered)
        thought = self.feed_forward(self.feed_forward_norm(hidden))
        return hidden + self.dropout(thought)


class DecoderBlock(nn.Module):
    """An encoder block with a second attention between: to the source, the memory (post-norm).

    Args:
        d_model, n_heads, d_ff, dropout, activation: as of `EncoderBlock`.

    >>> block = DecoderBlock(d_model=8, n_heads=2, d_ff=32)
    >>> memory = torch.zeros(3, 7, 8)
    >>> block(torch.zeros(3, 5, 8), block.prepare(memory), causal_mask(5)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        dropout: float | int = 0.0,
        activation: Activation = F.relu,
    ):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.attention_norm = LayerNorm(d_model)
        self.cross_attention = MultiHeadAttention(d_model, n_heads)
        self.cross_attention_norm = LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model, d_ff, activation)
        self.feed_forward_norm = LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def prepare(self, memory: Float[Tensor, "batch source d_model"]) -> KeyValue:
        """The source's keys and values, made once a sentence."""
        return self.cross_attention.project_memory(memory)

    def forward(
        self,
        hidden: Float[Tensor, "batch target d_model"],
        source: KeyValue,
        mask: Bool[Tensor, "*rows #target keys"] | None = None,
        source_mask: Bool[Tensor, "batch #target source"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch target d_model"]:
        """Make new vectors of the target tokens.

        Args:
            hidden: the target tokens.
            source: what `prepare` made of the memory.
            mask: True where a target token may attend to another: causal.
            source_mask: True where a target token may attend to a source token.
            cache: of the target tokens before.
        """
        gathered = self_attend(self.attention, hidden, mask, cache)
        hidden = self.attention_norm(hidden + self.dropout(gathered))
        found = cross_attend(self.cross_attention, hidden, source, source_mask)
        hidden = self.cross_attention_norm(hidden + self.dropout(found))
        thought = self.feed_forward(hidden)
        return self.feed_forward_norm(hidden + self.dropout(thought))


class PreNormDecoderBlock(DecoderBlock):
    """The same parts, but what is normalised is the input of each, not the sum."""

    def forward(
        self,
        hidden: Float[Tensor, "batch target d_model"],
        source: KeyValue,
        mask: Bool[Tensor, "*rows #target keys"] | None = None,
        source_mask: Bool[Tensor, "batch #target source"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch target d_model"]:
        normed = self.attention_norm(hidden)
        hidden = hidden + self.dropout(self_attend(self.attention, normed, mask, cache))
        normed = self.cross_attention_norm(hidden)
        hidden = hidden + self.dropout(
            cross_attend(self.cross_attention, normed, source, source_mask)
        )
        thought = self.feed_forward(self.feed_forward_norm(hidden))
        return hidden + self.dropout(thought)


def self_attend(
    attention: MultiHeadAttention,
    hidden: Float[Tensor, "batch time d_model"],
    mask: Bool[Tensor, "*rows #time keys"] | None,
    cache: KeyValueCache | None,
) -> Float[Tensor, "batch time d_model"]:
    """What tokens gather from each other, and from those in the cache."""
    query, key, value = attention.project(hidden)
    if cache is not None:
        key, value = cache.extend(key, value)
    return attention.attend(query, key, value, mask)


def cross_attend(
    attention: MultiHeadAttention,
    hidden: Float[Tensor, "batch target d_model"],
    source: KeyValue,
    source_mask: Bool[Tensor, "batch #target source"] | None,
) -> Float[Tensor, "batch target d_model"]:
    """What target tokens gather from the source."""
    return attention.attend(attention.project_query(hidden), *source, source_mask)


# ----------------------------------------------------------------------------------- the stack


class EncoderStack(Stack):
    """Encoder blocks on top of each other, and a last layer norm where they need one.

    Args:
        layers: the blocks.
        norm: after the last block. A pre-norm stack needs it: nothing else normalises its sum.

    >>> blocks = [PreNormEncoderBlock(8, n_heads=2, d_ff=32) for _ in range(3)]
    >>> EncoderStack(*blocks, norm=LayerNorm(8))(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, *layers: EncoderBlock, norm: nn.Module | None = None):
        super().__init__(*layers)
        self.norm = nn.Identity() if norm is None else norm

    def forward(
        self,
        hidden: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "*rows #time keys"] | None = None,
        caches: Sequence[KeyValueCache] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """Send the tokens through all blocks; `caches` holds one for each block."""
        if caches is None:
            return self.norm(super().forward(hidden, mask))
        for layer, cache in zip(self.layers, caches, strict=True):
            hidden = layer(hidden, mask, cache)
        return self.norm(hidden)


# -------------------------------------------------------------------------- the language model


class TransformerLanguageModel(CausalLanguageModel):
    """The causal stack as a language model (Radford et al., 2018: GPT).

    Args:
        embedding: gives each token its vector.
        layers: the blocks.
        dropout: the share of numbers of the embedded tokens set to 0 in training.

    >>> model = small_transformer(vocab_size=7, d_model=8, n_heads=2, n_layers=2)
    >>> model(torch.tensor([[0, 3, 2]])).shape
    torch.Size([1, 3, 7])
    """

    def __init__(
        self,
        embedding: TokenEmbedding,
        layers: EncoderStack,
        dropout: float | int = 0.0,
    ):
        super().__init__(embedding, layers)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        hidden = self.dropout(self.embedding(token_ids))
        mask = causal_mask(token_ids.shape[1], hidden.device)
        return self.output(self.layers(hidden, mask))

    def start(self, batch_size: int) -> list[KeyValueCache]:
        """Caches that have read nothing, one for each block."""
        return [
            KeyValueCache.empty(layer.attention, batch_size)
            for layer in self.layers.layers
        ]

    def read(
        self, token_ids: Int[Tensor, "batch new"], caches: Sequence[KeyValueCache]
    ) -> Float[Tensor, "batch new vocab_size"]:
        """Score what follows each new token; the caches hold those before, and grow."""
        n_read, n_new = len(caches[0]), token_ids.shape[1]
        hidden = self.dropout(self.embedding(token_ids, start=n_read))
        mask = causal_mask(n_read + n_new, hidden.device)[n_read:]
        return self.output(self.layers(hidden, mask, caches))


def small_transformer(
    vocab_size: int,
    d_model: int = 64,
    n_heads: int = 4,
    n_layers: int = 2,
    positions: nn.Module | None = None,
    dropout: float | int = 0.0,
) -> TransformerLanguageModel:
    """The language model of chapter 8: pre-norm, GELU, d_ff = 4 d_model, sinusoidal positions.

    >>> model = small_transformer(vocab_size=102)
    >>> sum(parameter.numel() for parameter in model.parameters())
    113254
    """
    blocks = [
        PreNormEncoderBlock(d_model, n_heads, 4 * d_model, dropout, F.gelu)
        for _ in range(n_layers)
    ]
    embedding = TokenEmbedding(vocab_size, d_model, positions or SinusoidalPositions())
    layers = EncoderStack(*blocks, norm=LayerNorm(d_model))
    return TransformerLanguageModel(embedding, layers, dropout)


class CachedLanguageModel(LanguageModel):
    """The same scores as the Transformer inside, but a text that grows is not read anew.

    Made for `generate`, which asks again and again for the same text with one token more. A text
    that does not go on from the last one is read from its beginning. No gradient is kept, and the
    weights must stay as they are: after a training step, wrap the model again.

    Args:
        model: the language model.

    >>> from lmcourse.decoding import generate
    >>> model = small_transformer(vocab_size=7)
    >>> text = generate(CachedLanguageModel(model), [0], max_new_tokens=5, temperature=0)
    >>> text == generate(model, [0], max_new_tokens=5, temperature=0)
    True
    """

    def __init__(self, model: TransformerLanguageModel):
        super().__init__()
        self.model, self.vocab_size = model, model.vocab_size
        self.forget()

    def forget(self) -> None:
        """Begin anew: nothing has been read."""
        self.seen = torch.zeros(0, 0, dtype=torch.long)
        self.caches: Sequence[KeyValueCache] = []
        self.logits: list[Tensor] = []

    @torch.no_grad()
    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        check_token_ids(token_ids, self.vocab_size)
        n_seen = self.seen.shape[1]
        goes_on = n_seen < token_ids.shape[1] and torch.equal(
            self.seen.to(token_ids.device), token_ids[:, :n_seen]
        )
        if not goes_on:
            self.forget()
            self.caches, n_seen = self.model.start(len(token_ids)), 0
        self.logits.append(self.model.read(token_ids[:, n_seen:], self.caches))
        self.seen = token_ids.clone()
        return torch.cat(self.logits, dim=1)


# -------------------------------------------------------------------------------- the translator


class TransformerEncoder(nn.Module):
    """Reads the source: embedding and encoder blocks, every token sees every other.

    Args:
        embedding: gives each source token its vector.
        layers: the blocks.
        dropout: the share of numbers of the embedded tokens set to 0 in training.
    """

    def __init__(
        self,
        embedding: TokenEmbedding,
        layers: EncoderStack,
        dropout: float | int = 0.0,
    ):
        super().__init__()
        self.vocab_size = embedding.embedding.num_embeddings
        self.embedding, self.layers = embedding, layers
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, token_ids: Int[Tensor, "batch source"], mask: Bool[Tensor, "batch source"]
    ) -> Float[Tensor, "batch source d_model"]:
        """The memory; padding (mask False) is seen by nobody."""
        hidden = self.dropout(self.embedding(token_ids))
        return self.layers(hidden, mask[:, None, :])

    def encode(
        self, sources: Sequence[Sequence[int]]
    ) -> tuple[Float[Tensor, "batch source d_model"], Bool[Tensor, "batch source"]]:
        """Read sentences, lists of token ids. Returns the memory and the mask."""
        token_ids, mask = (part.to(device_of(self)) for part in pad_sentences(sources))
        return self(token_ids, mask), mask


class TransformerState(NamedTuple):
    """Where a decoder stands. All of it is tensors, a row for each sentence: see `select`.

    Attributes:
        source_mask: True for a real source token, (batch, 1, source).
        sources: for each block the keys and values of the source.
        written: for each block those of the target tokens read so far.
    """

    source_mask: Tensor
    sources: tuple[KeyValue, ...]
    written: tuple[KeyValue, ...]


class TransformerDecoder(nn.Module):
    """Writes the target: every token sees those before it, and all of the source.

    Args:
        embedding: gives each target token its vector.
        layers: the blocks.
        norm: after the last block; a pre-norm stack needs it.
        dropout: the share of numbers of the embedded tokens set to 0 in training.
    """

    def __init__(
        self,
        embedding: TokenEmbedding,
        layers: Sequence[DecoderBlock],
        norm: nn.Module | None = None,
        dropout: float | int = 0.0,
    ):
        super().__init__()
        self.vocab_size, d_model = embedding.embedding.weight.shape
        self.embedding = embedding
        self.layers = nn.ModuleList(layers)
        self.norm = nn.Identity() if norm is None else norm
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(d_model, self.vocab_size)

    def start(
        self,
        memory: Float[Tensor, "batch source d_model"],
        mask: Bool[Tensor, "batch source"],
    ) -> TransformerState:
        """Before the first word: the source is prepared for every block, nothing is written."""
        caches = [KeyValueCache.empty(x.attention, len(memory)) for x in self.layers]
        return TransformerState(
            mask[:, None, :],
            tuple(layer.prepare(memory) for layer in self.layers),
            tuple((cache.key, cache.value) for cache in caches),
        )

    def read(
        self, token_ids: Int[Tensor, "batch new"], state: TransformerState
    ) -> tuple[Float[Tensor, "batch new vocab_size"], TransformerState]:
        """Read new target tokens, all at once; score what follows each of them."""
        caches = [KeyValueCache(key, value) for key, value in state.written]
        n_read, n_new = len(caches[0]), token_ids.shape[1]
        mask = causal_mask(n_read + n_new, token_ids.device)[n_read:]
        hidden = self.dropout(self.embedding(token_ids, start=n_read))
        for layer, source, cache in zip(
            self.layers, state.sources, caches, strict=True
        ):
            hidden = layer(hidden, source, mask, state.source_mask, cache)
        written = tuple((cache.key, cache.value) for cache in caches)
        return self.output(self.norm(hidden)), state._replace(written=written)

    def step(
        self, token_ids: Int[Tensor, " batch"], state: TransformerState
    ) -> tuple[Float[Tensor, "batch vocab_size"], TransformerState]:
        """Read the word just written; score the next one. So the searches of chapter 4 fit."""
        logits, state = self.read(token_ids[:, None], state)
        return logits[:, 0], state


class TransformerTranslator(Seq2Seq):
    """The translator of chapter 8. In training all target words are read at once.

    >>> model = transformer_translator(source_vocab_size=9, target_vocab_size=7, d_model=8)
    >>> model.predicted_log_probs([([0, 5, 1], [0, 3, 4, 1])]).shape  # of 3, 4 and </s>
    torch.Size([3])
    """

    def __init__(self, encoder: TransformerEncoder, decoder: TransformerDecoder):
        nn.Module.__init__(self)  # Seq2Seq's own takes recurrent parts
        self.encoder, self.decoder = encoder, decoder

    def start(self, sources: Sequence[Sequence[int]]) -> TransformerState:
        """The state before the first target word."""
        return self.decoder.start(*self.encoder.encode(sources))

    def forward(
        self, sources: Sequence[Sequence[int]], target_ids: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target vocab_size"]:
        """Score what follows each target token: teacher forcing, without a loop over time."""
        check_token_ids(target_ids, self.decoder.vocab_size)
        logits, _ = self.decoder.read(target_ids, self.start(sources))
        return logits


def transformer_translator(
    source_vocab_size: int,
    target_vocab_size: int,
    d_model: int,
    n_heads: int = 4,
    n_layers: int = 2,
    positions: Callable[[], nn.Module] = SinusoidalPositions,
    dropout: float | int = 0.0,
) -> TransformerTranslator:
    """The translator of chapter 8: pre-norm, GELU, d_ff = 4 d_model.

    Args:
        positions: makes the positions of one side.

    >>> model = transformer_translator(9, 7, d_model=8, n_layers=3)
    >>> len(model.encoder.layers.layers), len(model.decoder.layers)
    (3, 3)
    """
    sizes = (d_model, n_heads, 4 * d_model, dropout, F.gelu)
    encoder = TransformerEncoder(
        TokenEmbedding(source_vocab_size, d_model, positions()),
        EncoderStack(
            *(PreNormEncoderBlock(*sizes) for _ in range(n_layers)),
            norm=LayerNorm(d_model),
        ),
        dropout,
    )
    decoder = TransformerDecoder(
        TokenEmbedding(target_vocab_size, d_model, positions()),
        [PreNormDecoderBlock(*sizes) for _ in range(n_layers)],
        norm=LayerNorm(d_model),
        dropout=dropout,
    )
    return TransformerTranslator(encoder, decoder)


# ------------------------------------------------------------------------------------ training


def paper_learning_rate(step: int, d_model: int, warm_up: int) -> float:
    """The learning rate of the paper: up on a line for `warm_up` steps, then as 1 / sqrt(step).

    Args:
        step: from 1.
        d_model: wider models take smaller steps.
        warm_up: in steps.

    Raises:
        ValueError: a number is below 1.

    >>> [round(paper_learning_rate(step, 64, warm_up=100), 4) for step in (1, 50, 100, 400)]
    [0.0001, 0.0063, 0.0125, 0.0063]
    """
    if min(step, d_model, warm_up) < 1:
        raise ValueError(
            f"step={step}, d_model={d_model}, warm_up={warm_up}; each must be at least 1"
        )
    return d_model**-0.5 * min(step**-0.5, step * warm_up**-1.5)


class LabelSmoothing(nn.Module):
    """A translator that is trained to leave a little probability to every token.

    In training the target is not one token alone: a share `smoothing` is spread over the whole
    vocabulary (Szegedy et al., 2016, *Rethinking the Inception Architecture for Computer Vision*).
    In evaluation nothing is smoothed.

    Args:
        model: the translator; it is trained in its place.
        smoothing: the share, from 0 on and below 1.

    Raises:
        ValueError: smoothing is out of range.

    >>> model = transformer_translator(source_vocab_size=9, target_vocab_size=7, d_model=8)
    >>> LabelSmoothing(model, 0.1).predicted_log_probs([([0, 5, 1], [0, 3, 4, 1])]).shape
    torch.Size([3])
    """

    def __init__(self, model: Seq2Seq, smoothing: float | int):
        super().__init__()
        if not 0 <= smoothing < 1:
            raise ValueError(
                f"smoothing={smoothing}; it must be at least 0 and below 1"
            )
        self.model, self.smoothing = model, smoothing

    def predicted_log_probs(self, pairs: Sequence[Pair]) -> Float[Tensor, " predicted"]:
        """Minus the loss of every target token but the first: log P, in training smoothed."""
        if not self.training:
            return self.model.predicted_log_probs(pairs)
        sources, targets = zip(*pairs, strict=True)
        token_ids, mask = (part.to(device_of(self)) for part in pad_sentences(targets))
        log_probs = self.model(sources, token_ids[:, :-1]).log_softmax(dim=-1)
        of_target = log_probs.gather(-1, token_ids[:, 1:, None]).squeeze(-1)
        of_all = log_probs.mean(dim=-1)
        smoothed = (1 - self.smoothing) * of_target + self.smoothing * of_all
        return smoothed[mask[:, 1:]]
