"""Comparisons of chapter 8: the whole and its parts, gradients at the start, translation."""

import time

import torch
from torch import nn
from torch.nn import functional as F

from lmcourse.attention import alignment_error_rate, strongest_links
from lmcourse.data.grammar import TEACHING_GRAMMAR, TrueModel
from lmcourse.data.python_docs import python_docs
from lmcourse.data.translation import translation_data
from lmcourse.experiments import experiment
from lmcourse.experiments.attention import found_sure_links
from lmcourse.experiments.markov import bits_of, encoded_language
from lmcourse.experiments.rnn import teaching_model
from lmcourse.experiments.self_attention import (
    POSITIONS,
    language_row,
    trained_on_language,
)
from lmcourse.experiments.seq2seq import (
    LENGTHS,
    THIRDS,
    encoded_pairs,
    quality,
    trained_translator,
)
from lmcourse.language_models import pad_sentences
from lmcourse.multi_head_attention import attention_only_model, recorded_weights
from lmcourse.self_attention import NoPositions, SinusoidalPositions, TokenEmbedding
from lmcourse.tokenizers import CharTokenizer
from lmcourse.training import (
    Batches,
    generator,
    initialised,
    predicted_log_probs,
    take_step,
    train,
)
from lmcourse.transformer import (
    EncoderBlock,
    EncoderStack,
    LayerNorm,
    PreNormEncoderBlock,
    TransformerLanguageModel,
    small_transformer,
    transformer_translator,
)

D_MODEL, N_HEADS, N_LAYERS = 64, 4, 2
SHORT = 1_000  # steps of an ablation
PIECE = (
    256  # characters of real text that are read at once: the cost grows with the square
)
DEPTHS = (3, 6, 12, 24)  # blocks of the stacks whose gradients are compared


@experiment(seeds=range(10))
def teaching_language(seed: int) -> dict:
    """The causal Transformer on the teaching language: bits above the floor, agreement, recall."""
    encoded = encoded_language(seed)
    vocab_size = encoded[0].vocab_size
    model = initialised(lambda: small_transformer(vocab_size), seed, "Transformer")
    history = trained_on_language(model, encoded, seed, lr=3e-3)
    return language_row({"Transformer": model}, {"Transformer": history}, encoded, seed)


# --------------------------------------------------------------------------- one part at a time


class WithoutResiduals(PreNormEncoderBlock):
    """What attention gathers, and what the network makes of it, replace what was."""

    def forward(self, hidden, mask=None, cache=None):
        gathered = self.attention(self.attention_norm(hidden), mask)
        return self.feed_forward(self.feed_forward_norm(gathered))


class WithoutAttention(PreNormEncoderBlock):
    """Every token is alone."""

    def forward(self, hidden, mask=None, cache=None):
        return hidden + self.feed_forward(self.feed_forward_norm(hidden))


class WithoutFeedForward(PreNormEncoderBlock):
    """Attention, its norm and its sum."""

    def forward(self, hidden, mask=None, cache=None):
        return hidden + self.attention(self.attention_norm(hidden), mask)


def model_of(
    vocab_size, block, n_heads=N_HEADS, positions=None, norm=None, n_layers=N_LAYERS
):
    """A causal Transformer of such blocks; `norm` stands in the place of the last layer norm."""
    blocks = [
        block(D_MODEL, n_heads, 4 * D_MODEL, activation=F.gelu) for _ in range(n_layers)
    ]
    embedding = TokenEmbedding(vocab_size, D_MODEL, positions or SinusoidalPositions())
    last = LayerNorm(D_MODEL) if norm is None else norm
    return TransformerLanguageModel(embedding, EncoderStack(*blocks, norm=last))


def without_norms(vocab_size):
    """The model with nothing in the place of its layer norms."""
    model = model_of(vocab_size, PreNormEncoderBlock, norm=nn.Identity())
    for layer in model.layers.layers:
        layer.attention_norm = nn.Identity()
        layer.feed_forward_norm = nn.Identity()
    return model


ABLATIONS = {
    "whole": lambda v: model_of(v, PreNormEncoderBlock),
    "post-norm": lambda v: model_of(v, EncoderBlock, norm=nn.Identity()),
    "no warm-up": lambda v: model_of(v, PreNormEncoderBlock),
    "one head": lambda v: model_of(v, PreNormEncoderBlock, n_heads=1),
    "no positions": lambda v: model_of(v, PreNormEncoderBlock, positions=NoPositions()),
    "no layer norm": without_norms,
    "no feed-forward": lambda v: model_of(v, WithoutFeedForward),
    "no residuals": lambda v: model_of(v, WithoutResiduals),
    "no attention": lambda v: model_of(v, WithoutAttention),
}


@experiment(seeds=range(10))
def ablations(seed: int) -> dict:
    """Bits above the floor after a short training, whole and with one part taken out."""
    encoded = encoded_language(seed)
    tokenizer, _, _, test = encoded
    true_bits = bits_of(TrueModel(TEACHING_GRAMMAR, tokenizer), test)
    row = {"steps": SHORT, "gap": {}}
    for name, make in ABLATIONS.items():
        model = initialised(lambda make=make: make(tokenizer.vocab_size), seed, name)
        warm_up = 0 if name == "no warm-up" else 200
        trained_on_language(model, encoded, seed, 3e-3, steps=SHORT, warm_up=warm_up)
        row["gap"][name] = bits_of(model, test) - true_bits
    return row


# ------------------------------------------------------------------------ before any training


@experiment(seeds=range(10))
def gradients(seed: int) -> dict:
    """The gradient of each block of deep stacks before any training, by kind of block."""
    tokenizer, sentences, _, _ = encoded_language(seed, n_train=64)
    row = {"depths": DEPTHS, "norms": {}}
    for name, block, norm in (
        ("post-norm", EncoderBlock, nn.Identity()),
        ("pre-norm", PreNormEncoderBlock, None),
        ("no residuals", WithoutResiduals, None),
    ):
        row["norms"][name] = []
        for depth in DEPTHS:
            model = initialised(
                lambda block=block, norm=norm, depth=depth: model_of(
                    tokenizer.vocab_size, block, norm=norm, n_layers=depth
                ),
                seed,
                name,
            )
            (-predicted_log_probs(model, sentences).mean()).backward()
            row["norms"][name].append(
                [
                    layer.feed_forward.outer.weight.grad.norm()
                    for layer in model.layers.layers
                ]
            )
    return row


# ---------------------------------------------------------------------------------- translation


@experiment(seeds=range(10))
def translation(seed: int) -> dict:
    """The translator with each kind of position: quality by length, and beyond the trained ones."""
    data = translation_data(seed)
    row = {"bins": LENGTHS, "thirds": THIRDS, "quality": {}, "parameters": {}}
    for name in POSITIONS:
        model = trained_translator(translator_with(name), name, data, seed)
        row["parameters"][name] = sum(p.numel() for p in model.parameters())
        row["quality"][name] = quality(model, data)
        if name == "sinusoidal":
            links = cross_attention_links(model, encoded_pairs(data, data.test))
            row["error_rate"] = alignment_error_rate(
                links, [p.sure for p in data.test], [p.possible for p in data.test]
            )
            row["sure_found"] = found_sure_links(links, data.test)
    return row


def translator_with(positions):
    """A way to make the translator of the chapter with this kind of position."""

    def make(source_vocab_size, target_vocab_size, d_model):
        return transformer_translator(
            source_vocab_size,
            target_vocab_size,
            d_model,
            positions=lambda: POSITIONS[positions](d_model),
        )

    return make


@torch.no_grad()
def cross_attention_links(model, pairs):
    """Where the heads of the last block, on average, look most for each word of the target."""
    links = []
    for start in range(0, len(pairs), 250):
        sources, targets = zip(*pairs[start : start + 250], strict=True)
        target_ids, _ = pad_sentences(targets)
        with recorded_weights(model) as recorded:
            model(sources, target_ids[:, :-1])
        # The cross-attention of the last block is the last to be called.
        for rows, source, target in zip(
            recorded[-1].mean(dim=1), sources, targets, strict=True
        ):
            links.append(strongest_links(rows[: len(target) - 1, : len(source)]))
    return links


# ------------------------------------------------------------------------- real text and time


def in_pieces(texts):
    """The texts, cut where they are longer than a piece may be."""
    return [
        text[start : start + PIECE]
        for text in texts
        for start in range(0, len(text), PIECE)
    ]


def bits_per_character(model, tokenizer, texts):
    """Bits for all pieces of the texts, for each character and end of a whole text.

    The end of every piece must be paid for, too, so this is a little more than it could be.
    """
    pieces = [tokenizer.encode(piece) for piece in in_pieces(texts)]
    n_predicted = sum(len(piece) - 1 for piece in pieces)
    return bits_of(model, pieces) * n_predicted / sum(len(text) + 1 for text in texts)


@experiment(seeds=[0])
def python_docs_bits(seed: int) -> dict:
    """Bits per character on Python's documentation, in pieces; about the tokens of chapter 3."""
    docs = python_docs()
    tokenizer = CharTokenizer.train(docs.train, open_vocabulary=True)
    pieces = {
        part: [tokenizer.encode(piece) for piece in in_pieces(texts)]
        for part, texts in (("train", docs.train), ("dev", docs.dev))
    }
    model = initialised(
        lambda: small_transformer(tokenizer.vocab_size, d_model=120, dropout=0.1),
        seed,
        "Transformer",
    )
    torch.manual_seed(generator(seed, "dropout, Transformer").initial_seed())
    start = time.perf_counter()
    history = train(
        model,
        pieces["train"],
        steps=1_380,
        lr=2e-3,
        batch_size=32,
        generator=generator(seed, "batches"),
        warm_up=100,
        weight_decay=0.01,
        max_norm=1.0,
        dev=pieces["dev"],
        evaluate_every=230,
    )
    return {
        "sha256": docs.sha256,
        "python_version": docs.python_version,
        "piece": PIECE,
        "seconds": time.perf_counter() - start,
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": history.n_tokens,
        "bits": {
            part: bits_per_character(model, tokenizer, texts)
            for part, texts in (("dev", docs.dev), ("test", docs.test))
        },
    }


@experiment(seeds=[0])
def step_seconds(seed: int) -> dict:
    """Processor seconds of a training step, in turns on the same batches, one thread."""
    encoded = encoded_language(seed)
    tokenizer, sentences, _, _ = encoded
    models = {
        "LSTM": teaching_model("LSTM", tokenizer.vocab_size, seed),
        "attention alone": initialised(
            lambda: attention_only_model(tokenizer.vocab_size), seed, "attention alone"
        ),
        "Transformer": initialised(
            lambda: small_transformer(tokenizer.vocab_size), seed, "Transformer"
        ),
    }
    optimizers = {
        name: torch.optim.AdamW(model.parameters(), 1e-3)
        for name, model in models.items()
    }
    totals = dict.fromkeys(models, 0.0)
    batches = Batches(sentences, 64, generator(seed, "batches"))
    for step in range(220):
        batch = next(batches)
        for name, model in models.items():
            start = time.process_time()
            take_step(model, batch, optimizers[name], max_norm=1.0)
            if step >= 20:  # the first ones warm up
                totals[name] += time.process_time() - start
    return {"seconds": {name: total / 200 for name, total in totals.items()}}
