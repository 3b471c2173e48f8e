"""BERT: the encoder stack reads both sides of a word, and learns by filling in what was hidden.

Adds to `transformer` what Devlin et al. (2019, *BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding*) put round the encoder stack: a vector for the segment, the
masking of words, heads for the pre-training and for classes, and a way to read published weights.
Nothing in the stack is new: its blocks are the post-norm blocks of chapter 8.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcourse.huggingface import Published
from lmcourse.language_models import check_token_ids, pad_sentences
from lmcourse.self_attention import LearnedPositions
from lmcourse.tokenizers import WordPiece
from lmcourse.training import device_of, evaluating
from lmcourse.transformer import EncoderBlock, EncoderStack, LayerNorm

ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}
STD = 0.02  # of freshly drawn weights


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The sizes of a BERT. The defaults are those of the paper's smaller model, BERT-base.

    Attributes:
        vocab_size: how many pieces.
        d_model: the size of a token's vector.
        n_heads: attention heads in each block.
        n_layers: blocks.
        d_ff: the size of the feed-forward networks' hidden layer.
        context_length: the number of positions.
        n_segments: the number of segments.
        activation: of the feed-forward networks, by its published name.
        eps: of the layer norms.
        dropout: the share of numbers set to 0 in training, after the embedding and before each
            sum. (The paper's model drops attention weights, too. Ours does not.)

    >>> BertConfig(vocab_size=100, activation="swish")
    Traceback (most recent call last):
    ...
    ValueError: activation='swish'; it must be one of gelu, gelu_new, relu
    """

    vocab_size: int
    d_model: int = 768
    n_heads: int = 12
    n_layers: int = 12
    d_ff: int = 3072
    context_length: int = 512
    n_segments: int = 2
    activation: str = "gelu"
    eps: float | int = 1e-12
    dropout: float | int = 0.1

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation={self.activation!r}; it must be one of {', '.join(ACTIVATIONS)}"
            )
        for field in fields(self):
            if field.type is int and getattr(self, field.name) < 1:
                raise ValueError(
                    f"{field.name}={getattr(self, field.name)}; it must be at least 1"
                )
        for name, value in (("eps", self.eps), ("dropout", self.dropout)):
            if not 0 <= value < 1:
                raise ValueError(f"{name}={value}; it must be from 0 on and below 1")


class Example:
    """Token ids with their segments, and the class of the whole.

    Its length and its items are those of the token ids.

    Args:
        token_ids: `[CLS] ... [SEP]`, or `[CLS] ... [SEP] ... [SEP]`.
        label: the class, from 0 on.
        segment_ids: 0 for the first text, 1 for the second; None for one text alone.

    >>> Example([2, 9, 3, 8, 3], label=1, segment_ids=[0, 0, 0, 1, 1])
    Example([2, 9, 3, 8, 3], label=1, segment_ids=[0, 0, 0, 1, 1])
    """

    def __init__(
        self,
        token_ids: Sequence[int],
        label: int,
        segment_ids: Sequence[int] | None = None,
    ):
        self.token_ids, self.label = list(token_ids), label
        one_text = [0] * len(self.token_ids)
        self.segment_ids = one_text if segment_ids is None else list(segment_ids)
        if len(self.segment_ids) != len(self.token_ids):
            raise ValueError(
                f"{len(self.token_ids)} token ids and {len(self.segment_ids)} segment ids; "
                "each token needs one"
            )

    @classmethod
    def of_texts(
        cls, tokenizer: WordPiece, first: str, second: str, label: int
    ) -> "Example":
        """Two texts as one example."""
        token_ids = tokenizer.encode(first, second)
        n_first = len(tokenizer.encode(first))
        segment_ids = [int(place >= n_first) for place in range(len(token_ids))]
        return cls(token_ids, label, segment_ids)

    def __len__(self) -> int:
        return len(self.token_ids)

    def __getitem__(self, place: int) -> int:
        return self.token_ids[place]

    def __repr__(self) -> str:
        return f"Example({self.token_ids}, label={self.label}, segment_ids={self.segment_ids})"


# ------------------------------------------------------------------------------------ the encoder


class BertEmbedding(nn.Module):
    """What stands there, where it stands, and in which segment: three vectors, added and normed.

    Args:
        config: the sizes.

    >>> config = BertConfig(vocab_size=9, d_model=4, n_heads=2)
    >>> BertEmbedding(config)(torch.tensor([[2, 5, 3]]), torch.tensor([[0, 0, 0]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(self, config: BertConfig):
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = LearnedPositions(config.context_length, config.d_model)
        self.segments = nn.Embedding(config.n_segments, config.d_model)
        self.norm = LayerNorm(config.d_model, config.eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        token_ids: Int[Tensor, "batch time"],
        segment_ids: Int[Tensor, "batch time"],
    ) -> Float[Tensor, "batch time d_model"]:
        """The vectors that the first block reads.

        Raises:
            ValueError: an id is outside the vocabulary or the segments, or a token stands beyond
                the last position.
        """
        check_token_ids(token_ids, self.tokens.num_embeddings)
        check_segment_ids(segment_ids, self.segments.num_embeddings)
        hidden = self.tokens(token_ids) + self.segments(segment_ids)
        return self.dropout(self.norm(self.positions(hidden)))


def check_segment_ids(segment_ids: Int[Tensor, "batch time"], n_segments: int) -> None:
    """Raise a ValueError where a segment id is outside 0 .. n_segments - 1."""
    lowest, highest = segment_ids.aminmax()
    if not 0 <= lowest <= highest < n_segments:
        raise ValueError(
            f"segment ids from {lowest} to {highest}; they must be 0 .. {n_segments - 1}"
        )


class Bert(Published):
    """The embedding and the stack: one vector for each token, made of its whole sentence.

    Args:
        config: the sizes.

    >>> bert = Bert(BertConfig(vocab_size=9, d_model=8, n_heads=2, n_layers=2, d_ff=32))
    >>> bert(torch.tensor([[2, 5, 6, 3]])).shape
    torch.Size([1, 4, 8])
    """

    architecture = "BertModel"
    published_names = {}

    def __init__(self, config: BertConfig):
        super().__init__()
        self.config = config
        self.embedding = BertEmbedding(config)
        self.layers = EncoderStack(
            *(bert_block(config) for _ in range(config.n_layers))
        )
        self.apply(draw_weights)

    @classmethod
    def of_sizes(cls, sizes: dict[str, Any], facts: dict[str, Any]) -> "Bert":
        return cls(BertConfig(**sizes))

    def forward(
        self,
        token_ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"] | None = None,
        segment_ids: Int[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """Read the sentences.

        Args:
            token_ids: the pieces.
            mask: True for a real token; None: all are.
            segment_ids: 0 for the first text, 1 for the second; None: there is one.

        Raises:
            ValueError: an id is outside its range, or a token stands beyond the last position.
        """
        if segment_ids is None:
            segment_ids = torch.zeros_like(token_ids)
        hidden = self.embedding(token_ids, segment_ids)
        return self.layers(hidden, None if mask is None else mask[:, None])


def small_bert(
    vocab_size: int,
    d_model: int = 64,
    context_length: int = 128,
    dropout: float | int = 0.0,
) -> Bert:
    """The encoder of chapter 9: two blocks of four heads, d_ff = 4 d_model.

    >>> sum(parameter.numel() for parameter in small_bert(vocab_size=105).parameters())
    115136
    """
    return Bert(
        BertConfig(
            vocab_size=vocab_size,
            d_model=d_model,
            n_heads=4,
            n_layers=2,
            d_ff=4 * d_model,
            context_length=context_length,
            dropout=dropout,
        )
    )


def bert_block(config: BertConfig) -> EncoderBlock:
    """The post-norm block of chapter 8, with BERT's activation and its smaller epsilon."""
    block = EncoderBlock(
        config.d_model,
        config.n_heads,
        config.d_ff,
        config.dropout,
        ACTIVATIONS[config.activation],
    )
    block.attention_norm = LayerNorm(config.d_model, config.eps)
    block.feed_forward_norm = LayerNorm(config.d_model, config.eps)
    return block


def draw_weights(part: nn.Module) -> None:
    """Draw the weights of a linear layer or an embedding from a normal distribution; biases are 0.

    (The paper's own code cuts the distribution off at two standard deviations.)
    """
    if isinstance(part, nn.Linear | nn.Embedding):
        nn.init.normal_(part.weight, std=STD)
    if isinstance(part, nn.Linear):
        nn.init.zeros_(part.bias)


# -------------------------------------------------------------------------------------- the heads


class LanguageHead(nn.Module):
    """From vectors to logits of pieces, with the embedding's own matrix as the last layer.

    Args:
        config: the sizes.

    >>> config = BertConfig(vocab_size=9, d_model=4, n_heads=2)
    >>> LanguageHead(config)(torch.zeros(5, 4), torch.zeros(9, 4)).shape
    torch.Size([5, 9])
    """

    def __init__(self, config: BertConfig):
        super().__init__()
        self.transform = nn.Linear(config.d_model, config.d_model)
        self.activation = ACTIVATIONS[config.activation]
        self.norm = LayerNorm(config.d_model, config.eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.apply(draw_weights)

    def forward(
        self,
        hidden: Float[Tensor, "*batch d_model"],
        token_vectors: Float[Tensor, "vocab_size d_model"],
    ) -> Float[Tensor, "*batch vocab_size"]:
        """Logits of every piece of the vocabulary, at each place."""
        normed = self.norm(self.activation(self.transform(hidden)))
        return F.linear(normed, token_vectors, self.bias)


class PooledHead(nn.Module):
    """From the vector of [CLS] to logits of classes: the pooler, and a linear layer.

    Args:
        config: the sizes.
        n_classes: the number of classes.
        dropout: between the two; BERT has it for classes, not for the next sentence.

    >>> config = BertConfig(vocab_size=9, d_model=4, n_heads=2)
    >>> PooledHead(config, n_classes=3)(torch.zeros(2, 5, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, config: BertConfig, n_classes: int, dropout: float | int = 0.0):
        super().__init__()
        self.pooler = nn.Linear(config.d_model, config.d_model)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(config.d_model, n_classes)
        self.apply(draw_weights)

    def forward(
        self, hidden: Float[Tensor, "batch time d_model"]
    ) -> Float[Tensor, "batch n_classes"]:
        """Logits of every class, from the first token of each text."""
        return self.output(self.dropout(self.pool(hidden)))

    def pool(
        self, hidden: Float[Tensor, "batch time d_model"]
    ) -> Float[Tensor, "batch d_model"]:
        """One vector for the whole: that of the first token, once more transformed."""
        return self.pooler(hidden[:, 0]).tanh()


class MaskedLanguageModel(Published):
    """Which piece stands there? `BertForMaskedLM` in transformers.

    Args:
        bert: the encoder.

    >>> bert = Bert(BertConfig(vocab_size=9, d_model=8, n_heads=2, n_layers=2, d_ff=32))
    >>> model = MaskedLanguageModel(bert)
    >>> token_ids = torch.tensor([[2, 5, 4, 3]])
    >>> model(token_ids).shape, model(token_ids, chosen=token_ids == 4).shape
    (torch.Size([1, 4, 9]), torch.Size([1, 9]))
    """

    architecture = "BertForMaskedLM"
    published_names = {
        "language_head.transform.": "cls.predictions.transform.dense.",
        "language_head.norm.": "cls.predictions.transform.LayerNorm.",
        "language_head.bias": "cls.predictions.bias",
    }

    def __init__(self, bert: Bert):
        super().__init__()
        self.bert = bert
        self.config = bert.config
        self.language_head = LanguageHead(bert.config)

    @classmethod
    def of_sizes(
        cls, sizes: dict[str, Any], facts: dict[str, Any]
    ) -> "MaskedLanguageModel":
        return cls(Bert(BertConfig(**sizes)))

    def forward(
        self,
        token_ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"] | None = None,
        segment_ids: Int[Tensor, "batch time"] | None = None,
        chosen: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "*places vocab_size"]:
        """Logits of the pieces, (batch, time, vocab_size), or only where `chosen` is True.

        The vocabulary is the largest layer of a small BERT. Training asks for some places only.

        Args:
            token_ids, mask, segment_ids: as of `Bert`.
            chosen: the places; the rows of the result are in their order, (n_chosen, vocab_size).
        """
        hidden = self.bert(token_ids, mask, segment_ids)
        if chosen is not None:
            hidden = hidden[chosen]
        return self.language_head(hidden, self.bert.embedding.tokens.weight)


class NextSentenceModel(Published):
    """Does the second text follow the first? `BertForNextSentencePrediction` in transformers.

    Class 0 says that it does, class 1 that it comes from elsewhere.

    Args:
        bert: the encoder.

    >>> bert = Bert(BertConfig(vocab_size=9, d_model=8, n_heads=2, n_layers=2, d_ff=32))
    >>> token_ids = torch.tensor([[2, 5, 3, 6, 3]])
    >>> NextSentenceModel(bert)(token_ids, segment_ids=torch.tensor([[0, 0, 0, 1, 1]])).shape
    torch.Size([1, 2])
    """

    architecture = "BertForNextSentencePrediction"
    published_names = {
        "sentence_head.pooler.": "bert.pooler.dense.",
        "sentence_head.output.": "cls.seq_relationship.",
    }

    def __init__(self, bert: Bert):
        super().__init__()
        self.bert = bert
        self.config = bert.config
        self.sentence_head = PooledHead(bert.config, n_classes=2)

    @classmethod
    def of_sizes(
        cls, sizes: dict[str, Any], facts: dict[str, Any]
    ) -> "NextSentenceModel":
        return cls(Bert(BertConfig(**sizes)))

    def forward(
        self,
        token_ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"] | None = None,
        segment_ids: Int[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch 2"]:
        """Logits of the two classes; the arguments are as of `Bert`."""
        return self.sentence_head(self.bert(token_ids, mask, segment_ids))


class PreTrainingModel(Published):
    """Both heads on one encoder. `BertForPreTraining` in transformers.

    Args:
        bert: the encoder.

    >>> bert = Bert(BertConfig(vocab_size=9, d_model=8, n_heads=2, n_layers=2, d_ff=32))
    >>> pieces, sentences = PreTrainingModel(bert)(torch.tensor([[2, 4, 3, 6, 3]]))
    >>> pieces.shape, sentences.shape
    (torch.Size([1, 5, 9]), torch.Size([1, 2]))
    """

    architecture = "BertForPreTraining"
    published_names = (
        MaskedLanguageModel.published_names | NextSentenceModel.published_names
    )

    def __init__(self, bert: Bert):
        super().__init__()
        self.bert = bert
        self.config = bert.config
        self.language_head = LanguageHead(bert.config)
        self.sentence_head = PooledHead(bert.config, n_classes=2)

    @classmethod
    def of_sizes(
        cls, sizes: dict[str, Any], facts: dict[str, Any]
    ) -> "PreTrainingModel":
        return cls(Bert(BertConfig(**sizes)))

    def forward(
        self,
        token_ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"] | None = None,
        segment_ids: Int[Tensor, "batch time"] | None = None,
        chosen: Bool[Tensor, "batch time"] | None = None,
    ) -> tuple[Float[Tensor, "*places vocab_size"], Float[Tensor, "batch 2"]]:
        """Logits of the pieces, and of "follows" and "does not"; as of the two models alone."""
        hidden = self.bert(token_ids, mask, segment_ids)
        sentences = self.sentence_head(hidden)
        if chosen is not None:
            hidden = hidden[chosen]
        token_vectors = self.bert.embedding.tokens.weight
        return self.language_head(hidden, token_vectors), sentences


class SequenceClassifier(Published):
    """One class for the whole text. `BertForSequenceClassification` in transformers.

    Args:
        bert: the encoder. Fine-tuning changes it: give a copy, if it is still needed. The pooler
            begins anew.
        n_classes: the number of classes.

    >>> bert = Bert(BertConfig(vocab_size=9, d_model=8, n_heads=2, n_layers=2, d_ff=32))
    >>> SequenceClassifier(bert, n_classes=3)(torch.tensor([[2, 5, 3]])).shape
    torch.Size([1, 3])
    """

    architecture = "BertForSequenceClassification"
    published_names = {
        "class_head.pooler.": "bert.pooler.dense.",
        "class_head.output.": "classifier.",
    }

    def __init__(self, bert: Bert, n_classes: int):
        super().__init__()
        self.bert, self.n_classes = bert, n_classes
        self.config = bert.config
        self.class_head = PooledHead(bert.config, n_classes, bert.config.dropout)

    @classmethod
    def of_sizes(
        cls, sizes: dict[str, Any], facts: dict[str, Any]
    ) -> "SequenceClassifier":
        return cls(Bert(BertConfig(**sizes)), len(facts.get("id2label") or ("0", "1")))

    def published_facts(self) -> dict[str, Any]:
        labels = {str(label): f"LABEL_{label}" for label in range(self.n_classes)}
        return super().published_facts() | {
            "id2label": labels,
            "label2id": {text: int(label) for label, text in labels.items()},
        }

    def forward(
        self,
        token_ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"] | None = None,
        segment_ids: Int[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch n_classes"]:
        """Logits of the classes; the arguments are as of `Bert`."""
        return self.class_head(self.bert(token_ids, mask, segment_ids))

    def predicted_log_probs(
        self, examples: Sequence[Example]
    ) -> Float[Tensor, " batch"]:
        """log P of the right class of each example, in nats.

        Raises:
            ValueError: a label is no class.
        """
        token_ids, mask, segment_ids, labels = to_tensors(examples, device_of(self))
        check_labels(labels, self.n_classes)
        return log_probs_of(self(token_ids, mask, segment_ids), labels)

    @torch.no_grad()
    def accuracy(self, examples: Sequence[Example], batch_size: int = 250) -> float:
        """The share of the examples whose most probable class is the right one.

        Raises:
            ValueError: there is no example.
        """
        if not examples:
            raise ValueError("0 examples; at least 1 is needed")
        n_right = 0
        with evaluating(self):
            for start in range(0, len(examples), batch_size):
                batch = examples[start : start + batch_size]
                *tensors, labels = to_tensors(batch, device_of(self))
                n_right += int((self(*tensors).argmax(dim=-1) == labels).sum())
        return n_right / len(examples)


def check_labels(labels: Int[Tensor, " batch"], n_classes: int) -> None:
    """Raise a ValueError where a label is outside 0 .. n_classes - 1."""
    lowest, highest = labels.aminmax()
    if not 0 <= lowest <= highest < n_classes:
        raise ValueError(
            f"labels from {lowest} to {highest}; they must be 0 .. {n_classes - 1}"
        )


def to_tensors(
    examples: Sequence[Example], device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Token ids, the mask of the real ones, segment ids (each (batch, time)), labels (batch)."""
    token_ids, mask = pad_sentences([example.token_ids for example in examples])
    segment_ids, _ = pad_sentences([example.segment_ids for example in examples])
    labels = torch.tensor([example.label for example in examples])
    return tuple(part.to(device) for part in (token_ids, mask, segment_ids, labels))


# ------------------------------------------------------------------------------------ pre-training


class Masking:
    """Which tokens BERT must guess, and what it sees in their place.

    In each row, a share of the ordinary pieces is chosen, at least one where there is one. Of
    these, 8 in 10 become [MASK], 1 in 10 a random piece, and 1 in 10 stays. So the model can trust
    no token that it sees, and must make a vector for every one.

    Args:
        tokenizer: knows [MASK], and the special pieces, which are never chosen.
        share: of the tokens that are chosen, above 0 and below 1.

    >>> masking = Masking(WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]))
    >>> token_ids = torch.tensor([[2, 5, 6, 7, 5, 6, 7, 3]])
    >>> seen, chosen = masking(token_ids, token_ids > 0, torch.Generator().manual_seed(0))
    >>> seen
    tensor([[2, 5, 4, 7, 5, 6, 7, 3]])
    >>> chosen.nonzero().tolist()
    [[0, 2]]
    """

    MASKED, RANDOM = 0.8, 0.1

    def __init__(self, tokenizer: WordPiece, share: float = 0.15):
        if not 0 < share < 1:
            raise ValueError(f"share={share}; it must be above 0 and below 1")
        self.share = share
        self.mask_id = tokenizer.mask_id
        self.special_ids = torch.tensor(sorted(tokenizer.special_ids))
        ordinary = set(range(tokenizer.vocab_size)) - tokenizer.special_ids
        self.ordinary_ids = torch.tensor(sorted(ordinary))

    def __call__(
        self,
        token_ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"],
        generator: torch.Generator | None = None,
    ) -> tuple[Int[Tensor, "batch time"], Bool[Tensor, "batch time"]]:
        """Hide some tokens, on the CPU.

        Args:
            token_ids: rows filled up on the right.
            mask: True for a real token.
            generator: the source of chance; None: torch's own, whose state a checkpoint keeps.

        Returns:
            The token ids that the model reads, and True for those that it must guess.

        Raises:
            ValueError: there is no ordinary piece at all.
        """
        allowed = mask & torch.isin(token_ids, self.special_ids, invert=True)
        if not allowed.any():
            raise ValueError(
                f"{len(token_ids)} texts of special pieces alone; nothing can be hidden"
            )
        order = torch.rand(token_ids.shape, generator=generator)
        rank = order.masked_fill(~allowed, 2.0).argsort(dim=1).argsort(dim=1)
        n_chosen = (self.share * allowed.sum(dim=1, keepdim=True)).round().clamp(min=1)
        chosen = allowed & (rank < n_chosen)
        fate = torch.rand(token_ids.shape, generator=generator)
        places = torch.randint(
            len(self.ordinary_ids), token_ids.shape, generator=generator
        )
        is_masked = chosen & (fate < self.MASKED)
        is_random = chosen & ~is_masked & (fate < self.MASKED + self.RANDOM)
        seen = token_ids.where(~is_masked, self.mask_id)
        return seen.where(~is_random, self.ordinary_ids[places]), chosen


class MaskedTraining(nn.Module):
    """A masked language model that is trained to guess hidden pieces.

    Every time a sentence comes, other pieces are hidden (Liu et al., 2019, *RoBERTa*). In
    evaluation a batch always gets the same masks.

    Args:
        model: the model; it is trained in its place.
        masking: chooses what is hidden.

    >>> tokenizer = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"])
    >>> config = BertConfig(vocab_size=8, d_model=8, n_heads=2, n_layers=1, d_ff=16)
    >>> training = MaskedTraining(MaskedLanguageModel(Bert(config)), Masking(tokenizer))
    >>> training.predicted_log_probs([tokenizer.encode("a b c"), tokenizer.encode("b")]).shape
    torch.Size([2])
    """

    def __init__(self, model: MaskedLanguageModel, masking: Masking):
        super().__init__()
        self.model, self.masking = model, masking

    def predicted_log_probs(
        self, sentences: Sequence[Sequence[int]]
    ) -> Float[Tensor, " chosen"]:
        """log P of every piece that was chosen, in nats."""
        token_ids, mask = pad_sentences(sentences)
        seen, chosen = self.masking(token_ids, mask, source_of_masks(self))
        device = device_of(self)
        logits = self.model(seen.to(device), mask.to(device), chosen=chosen.to(device))
        return log_probs_of(logits, token_ids[chosen])


class PreTraining(nn.Module):
    """A model that is trained on both tasks of the paper: hidden pieces and next sentences.

    Args:
        model: the model; it is trained in its place.
        masking: chooses what is hidden.

    >>> tokenizer = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"])
    >>> config = BertConfig(vocab_size=8, d_model=8, n_heads=2, n_layers=1, d_ff=16)
    >>> training = PreTraining(PreTrainingModel(Bert(config)), Masking(tokenizer))
    >>> training.predicted_log_probs([Example.of_texts(tokenizer, "a b", "c", label=0)]).shape
    torch.Size([2])
    """

    def __init__(self, model: PreTrainingModel, masking: Masking):
        super().__init__()
        self.model, self.masking = model, masking

    def predicted_log_probs(
        self, examples: Sequence[Example]
    ) -> Float[Tensor, " chosen"]:
        """log P of every piece that was chosen, then of the class of each pair, in nats.

        The training loop takes the mean over all of them. (The paper adds the mean over the pieces
        and that over the pairs, which gives each pair more weight.)
        """
        token_ids, mask, segment_ids, labels = to_tensors(examples, torch.device("cpu"))
        check_labels(labels, n_classes=2)
        seen, chosen = self.masking(token_ids, mask, source_of_masks(self))
        device = device_of(self)
        inputs = (part.to(device) for part in (seen, mask, segment_ids, chosen))
        pieces, classes = self.model(*inputs)
        of_pieces = log_probs_of(pieces, token_ids[chosen])
        return torch.cat([of_pieces, log_probs_of(classes, labels)])


def source_of_masks(training: nn.Module) -> torch.Generator | None:
    """In training torch's own source of chance; in evaluation one that always begins anew."""
    return None if training.training else torch.Generator().manual_seed(0)


def log_probs_of(
    logits: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """log P of each row's target, in nats.

    >>> log_probs_of(torch.zeros(1, 4), torch.tensor([2])).exp()
    tensor([0.2500])
    """
    targets = targets.to(logits.device)
    return logits.log_softmax(dim=-1).gather(-1, targets[:, None]).squeeze(-1)


# ------------------------------------------------------------------------------------ using it


@torch.no_grad()
def fill_in_log_probs(
    model: MaskedLanguageModel,
    mask_id: int,
    blanks: Sequence[tuple[Sequence[int], int]],
    batch_size: int = 250,
) -> Float[Tensor, "blank vocab_size"]:
    """log P of every piece in each blank, in nats, all other pieces visible.

    Args:
        model: fills in.
        mask_id: of [MASK].
        blanks: token ids and the place that is hidden.
        batch_size: sentences at once.

    Raises:
        ValueError: there is no blank, or a place is outside its text.

    >>> bert = Bert(BertConfig(vocab_size=9, d_model=8, n_heads=2, n_layers=2, d_ff=32))
    >>> fill_in_log_probs(MaskedLanguageModel(bert), 4, [([2, 5, 6, 3], 1)]).shape
    torch.Size([1, 9])
    """
    if not blanks:
        raise ValueError("0 blanks; at least 1 is needed")
    for token_ids, place in blanks:
        if not 0 <= place < len(token_ids):
            raise ValueError(
                f"place {place} of a text of {len(token_ids)} tokens; "
                f"it must be 0 .. {len(token_ids) - 1}"
            )
    rows = []
    with evaluating(model):
        for start in range(0, len(blanks), batch_size):
            batch = blanks[start : start + batch_size]
            token_ids, mask = pad_sentences([token_ids for token_ids, _ in batch])
            places = torch.tensor([place for _, place in batch])
            chosen = torch.arange(token_ids.shape[1]) == places[:, None]
            seen = token_ids.masked_fill(chosen, mask_id)
            device = device_of(model)
            logits = model(seen.to(device), mask.to(device), chosen=chosen.to(device))
            rows.append(logits.log_softmax(dim=-1).cpu())
    return torch.cat(rows)


def sentence_embeddings(
    hidden: Float[Tensor, "batch time d_model"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch d_model"]:
    """One vector for each text: the mean over its tokens, scaled to length 1.

    So the cosine of two is their dot product. (Reimers & Gurevych, 2019, *Sentence-BERT: Sentence
    Embeddings using Siamese BERT-Networks*, take the mean.)

    >>> hidden = torch.tensor([[[3.0, 0.0], [3.0, 8.0], [9.0, 9.0]]])
    >>> sentence_embeddings(hidden, torch.tensor([[True, True, False]]))
    tensor([[0.6000, 0.8000]])
    """
    total = hidden.masked_fill(~mask[..., None], 0).sum(dim=1)
    return F.normalize(total / mask.sum(dim=1, keepdim=True), dim=-1)
