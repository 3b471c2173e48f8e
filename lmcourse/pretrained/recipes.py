"""How the trained weights of the course are made: by the chapters' own code, with seed 0.

A recipe makes a model with fresh weights, and trains it. `load` gives the trained model back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from lmcourse import pretrained
from lmcourse.attention import attention_translator
from lmcourse.bert import MaskedLanguageModel, MaskedTraining, Masking, small_bert
from lmcourse.data.grammar import teaching_language, teaching_wordpiece
from lmcourse.data.translation import translation_data
from lmcourse.multi_head_attention import attention_only_model
from lmcourse.rnn import LSTM, RNNLanguageModel
from lmcourse.seq2seq import small_translator
from lmcourse.training import History, generator, initialised, train
from lmcourse.transformer import small_transformer

SEED = 0


@dataclass(frozen=True)
class Recipe:
    """What it takes to make one file of weights.

    Attributes:
        about: one sentence for readers.
        make: makes the untrained model.
        train: trains it and returns what it saw.
        vocabularies: name -> the tokens, in the order of their ids.
    """

    about: str
    make: Callable[[], nn.Module]
    train: Callable[[nn.Module], History]
    vocabularies: Callable[[], dict[str, tuple[str, ...]]]


# ---- the LSTM language model of chapter 3 ------------------------------------------------------


def lstm_language_model() -> RNNLanguageModel:
    """An LSTM language model of the teaching language, untrained."""
    layers = LSTM(d_input=64, d_hidden=128)
    layers.cells[0].open_forget_gates()
    return RNNLanguageModel(teaching_language().tokenizer.vocab_size, layers)


def train_language_model(model: nn.Module) -> History:
    """Train a model on the teaching language."""
    language = teaching_language(SEED)
    encode = language.tokenizer.encode
    return train(
        model,
        [encode(text) for text in language.train],
        steps=10_000,
        lr=4e-3,
        batch_size=64,
        generator=generator(SEED, "batches"),
        warm_up=200,
        weight_decay=0.01,
        max_norm=1.0,
        dev=[encode(text) for text in language.dev],
        evaluate_every=1_000,
    )


def language_vocabularies() -> dict[str, tuple[str, ...]]:
    """The tokens of the teaching language."""
    return {"tokens": teaching_language().tokenizer.tokens}


# ---- the language models of chapters 7 and 8 ---------------------------------------------------


def of_teaching_language(make: Callable[[int], nn.Module]) -> Callable[[], nn.Module]:
    """A way to make an untrained model of the teaching language."""
    return lambda: make(teaching_language().tokenizer.vocab_size)


# ---- the translators of chapters 4 and 5 -------------------------------------------------------


def translator(make: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
    """A way to make an untrained translator of the English-Korean pairs."""

    def untrained() -> nn.Module:
        data = translation_data()
        sizes = len(data.source_tokenizer), len(data.target_tokenizer)
        return make(*sizes, d_hidden=64)

    return untrained


def train_translator(model: nn.Module) -> History:
    """Train a translator on the English-Korean pairs."""
    data = translation_data(SEED)
    train_pairs, dev_pairs = (
        [
            (
                data.source_tokenizer.encode(p.source),
                data.target_tokenizer.encode(p.target),
            )
            for p in pairs
        ]
        for pairs in (data.train, data.dev)
    )
    return train(
        model,
        train_pairs,
        steps=1_800,
        lr=4e-3,
        batch_size=64,
        generator=generator(SEED, "batches"),
        warm_up=100,
        max_norm=1.0,
        dev=dev_pairs,
        evaluate_every=200,
    )


def translation_vocabularies() -> dict[str, tuple[str, ...]]:
    """The English and the Korean tokens."""
    data = translation_data()
    return {
        "source": data.source_tokenizer.tokens,
        "target": data.target_tokenizer.tokens,
    }


# ---- the BERT of chapter 9 ---------------------------------------------------------------------


def masked_language_model() -> MaskedLanguageModel:
    """A BERT of the teaching language, untrained."""
    return MaskedLanguageModel(small_bert(teaching_wordpiece().vocab_size))


def train_bert(model: nn.Module) -> History:
    """Train a BERT to fill blanks in sentences of the teaching language."""
    language, tokenizer = teaching_language(SEED), teaching_wordpiece()
    torch.manual_seed(generator(SEED, "masks").initial_seed())
    return train(
        MaskedTraining(model, Masking(tokenizer, share=0.3)),
        [tokenizer.encode(text) for text in language.train],
        steps=10_000,
        lr=3e-3,
        batch_size=64,
        generator=generator(SEED, "batches"),
        warm_up=200,
        weight_decay=0.01,
        max_norm=1.0,
        dev=[tokenizer.encode(text) for text in language.dev],
        evaluate_every=1_000,
    )


def pieces_vocabulary() -> dict[str, tuple[str, ...]]:
    """The special pieces, and the words of the teaching language."""
    return {"tokens": teaching_wordpiece().tokens}


RECIPES = {
    "rnn": Recipe(
        "The LSTM language model of chapter 3, trained on the teaching language.",
        lstm_language_model,
        train_language_model,
        language_vocabularies,
    ),
    "seq2seq": Recipe(
        "The translator of chapter 4: one context vector.",
        translator(small_translator),
        train_translator,
        translation_vocabularies,
    ),
    "attention": Recipe(
        "The translator of chapter 5: the same with additive attention.",
        translator(attention_translator),
        train_translator,
        translation_vocabularies,
    ),
    "multi_head_attention": Recipe(
        "The model of chapter 7, two layers of attention alone, trained on the teaching language.",
        of_teaching_language(attention_only_model),
        train_language_model,
        language_vocabularies,
    ),
    "transformer": Recipe(
        "The Transformer of chapter 8, trained on the teaching language.",
        of_teaching_language(small_transformer),
        train_language_model,
        language_vocabularies,
    ),
    "bert": Recipe(
        "The BERT of chapter 9, trained to fill blanks in the teaching language.",
        masked_language_model,
        train_bert,
        pieces_vocabulary,
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ValueError: there is none; the message lists those there are.

    >>> recipe("markov")
    Traceback (most recent call last):
    ...
    ValueError: there is no recipe 'markov'; there are: rnn, seq2seq, attention,
    multi_head_attention, transformer, bert
    """
    if name not in RECIPES:
        raise ValueError(
            f"there is no recipe {name!r}; there are: {', '.join(RECIPES)}"
        )
    return RECIPES[name]


@cache
def load(name: str) -> nn.Module:
    """The trained model, ready to be used.

    Raises:
        ValueError: there is no recipe of this name, or its weights are not there.

    >>> load("rnn").training
    False
    """
    model = recipe(name).make()
    model.load_state_dict(pretrained.load_tensors(name))
    return model.eval()


def cook(name: str) -> dict:
    """Train the model and store its weights; returns the facts that are stored with them."""
    made = recipe(name)
    model = initialised(made.make, SEED, name)
    history = made.train(model)
    facts = {
        "about": made.about,
        "seed": SEED,
        "steps": len(history.losses),
        "dev_bits": round(history.dev_bits[history.best_step], 4),
    } | {key: list(tokens) for key, tokens in made.vocabularies().items()}
    pretrained.save(name, model.state_dict(), facts)
    return facts
