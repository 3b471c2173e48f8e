"""Comparisons of chapter 1: the first models against the exact entropy of the language."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcourse.data.grammar import TEACHING_GRAMMAR, TrueModel, teaching_language
from lmcourse.decoding import filter_logits
from lmcourse.experiments import experiment
from lmcourse.language_models import (
    LanguageModel,
    Uniform,
    Unigram,
    cross_entropy,
    gap,
    token_log_probs,
)
from lmcourse.tokenizers import CharTokenizer

N_TRAIN = 10_000
N_TEST = 4_000
TEMPERATURES = (0.5, 0.8, 1.25, 2.0)


def sentence_bits(
    model: LanguageModel, sentences: list[list[int]]
) -> tuple[Float[Tensor, " sentence"], Float[Tensor, " sentence"]]:
    """The bits of each sentence, and how many tokens it has.

    >>> sentence_bits(Uniform(5), [[0, 2, 1], [0, 3, 4, 1]])
    (tensor([4., 6.], dtype=torch.float64), tensor([2., 3.], dtype=torch.float64))
    """
    log_probs = token_log_probs(model, sentences)
    bits = torch.stack([-row.double().sum() for row in log_probs]) / math.log(2)
    return bits, torch.tensor([len(row) for row in log_probs], dtype=torch.float64)


def standard_error(
    bits: Float[Tensor, " sentence"], n_tokens: Float[Tensor, " sentence"]
) -> float:
    """How far, typically, bits per token of that many sentences are off by chance.

    Sentences are independent, their tokens are not. So the unit is the sentence: what counts is
    how much its bits differ from those that its length would make us expect.

    >>> standard_error(torch.tensor([4.0, 6.0]), torch.tensor([2.0, 3.0]))
    0.0
    """
    unexpected = bits - n_tokens * bits.sum() / n_tokens.sum()
    return (unexpected.std() / n_tokens.mean() / math.sqrt(len(bits))).item()


@experiment(seeds=range(10))
def baselines(seed: int) -> dict:
    """Uniform, unigram and true model on held-out sentences of the teaching language."""
    language = teaching_language(seed, n_train=N_TRAIN, n_dev=1, n_test=N_TEST)
    tokenizer = language.tokenizer
    train = [tokenizer.encode(text) for text in language.train]
    test = [tokenizer.encode(text) for text in language.test]
    unigram = Unigram.fit(train, tokenizer.vocab_size)
    models = {
        "uniform": Uniform(tokenizer.vocab_size),
        "unigram": unigram,
        "true": TrueModel(TEACHING_GRAMMAR, tokenizer),
    }
    bits, per_token = {}, {}
    for name, model in models.items():
        bits[name], n_tokens = sentence_bits(model, test)
        per_token[name] = (bits[name].sum() / n_tokens.sum()).item()
    learned_bits, learned_tokens = sentence_bits(unigram, train)
    on_training = (learned_bits.sum() / learned_tokens.sum()).item()
    chance = math.hypot(
        standard_error(bits["unigram"], n_tokens),
        standard_error(learned_bits, learned_tokens),
    )
    return {
        "bits": per_token,
        "gap": {name: per_token[name] - per_token["true"] for name in models},
        "standard_errors_off": {
            "true": (per_token["true"] - language.floor)
            / standard_error(bits["true"], n_tokens),
            "unigram": (per_token["unigram"] - on_training) / chance,
        },
    }


class Filtered(LanguageModel):
    """A model whose logits go through temperature, top-k and top-p before they are read."""

    def __init__(self, model: LanguageModel, **settings: float):
        super().__init__()
        self.model = model
        self.vocab_size = model.vocab_size
        self.settings = settings

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        return filter_logits(self.model(token_ids), **self.settings)


@experiment(seeds=range(10))
def temperatures(seed: int) -> dict:
    """The true model at temperatures other than 1, on the same held-out sentences."""
    language = teaching_language(seed, n_train=1, n_dev=1, n_test=500)
    test = [language.tokenizer.encode(text) for text in language.test]
    truth = TrueModel(TEACHING_GRAMMAR, language.tokenizer)
    return {
        "gap": {
            str(temperature): gap(Filtered(truth, temperature=temperature), truth, test)
            for temperature in TEMPERATURES
        }
    }


@experiment(seeds=range(10))
def words_and_characters(seed: int) -> dict:
    """Unigram models of words and of characters, in bits per token and per character."""
    language = teaching_language(seed, n_train=N_TRAIN, n_dev=1, n_test=N_TEST)
    truth = TrueModel(TEACHING_GRAMMAR, language.tokenizer)
    n_characters = sum(len(text) + 1 for text in language.test)  # the end counts as one
    per_token, per_character = {}, {}
    for name, tokenizer in {
        "unigram of words": language.tokenizer,
        "unigram of characters": CharTokenizer.train(language.train),
        "true model (words)": language.tokenizer,
    }.items():
        train = [tokenizer.encode(text) for text in language.train]
        test = [tokenizer.encode(text) for text in language.test]
        model = truth if "true" in name else Unigram.fit(train, tokenizer.vocab_size)
        per_token[name] = cross_entropy(model, test)
        n_tokens = sum(len(sentence) - 1 for sentence in test)
        per_character[name] = per_token[name] * n_tokens / n_characters
    return {"per_token": per_token, "per_character": per_character}
