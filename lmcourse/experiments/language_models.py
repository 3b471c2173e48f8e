"""Comparisons of chapter 1: the first models against the exact entropy of the language."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcourse.data.grammar import TEACHING_GRAMMAR, TrueModel, teaching_language
from lmcourse.decoding import filter_logits, generate
from lmcourse.experiments import experiment
from lmcourse.language_models import (
    LanguageModel,
    Uniform,
    Unigram,
    cross_entropy,
    gap,
    token_log_probs,
)
from lmcourse.tokenizers import CharTokenizer, Tokenizer, WordTokenizer
from lmcourse.training import generator

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

    def __init__(self, model: LanguageModel, **settings: float | int):
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
def written(seed: int) -> dict:
    """Two hundred texts of the true model at three temperatures: how long, how varied."""
    language = teaching_language(seed, n_train=1, n_dev=1, n_test=1)
    tokenizer = language.tokenizer
    truth = TrueModel(TEACHING_GRAMMAR, tokenizer)
    described: dict = {"words": {}, "rabbits": {}, "reports": {}, "impossible": {}}
    for temperature in (0.3, 1.0, 3.0):
        chance = generator(seed, f"written at {temperature}")
        texts = [
            tokenizer.decode(
                generate(truth, [0], 400, temperature=temperature, generator=chance)
            ).split()
            for _ in range(200)
        ]
        n_words = sum(map(len, texts))
        n_rabbits = sum(text.count("rabbit") + text.count("rabbits") for text in texts)
        n_possible = sum(TEACHING_GRAMMAR.log_prob(text) > -math.inf for text in texts)
        name = str(temperature)
        described["words"][name] = n_words / len(texts)
        described["rabbits"][name] = n_rabbits / n_words
        described["reports"][name] = sum(t.count("says") for t in texts) / len(texts)
        described["impossible"][name] = len(texts) - n_possible
    return described


def moved(
    sentences: list[list[int]], chance: torch.Generator
) -> tuple[list[list[int]], list[list[int]]]:
    """Shuffle the words of each sentence: those that are another sentence now, and what they were.

    >>> moved([[0, 2, 1], [0, 3, 3, 1]], generator(0, "shuffle"))
    ([], [])
    """
    changed, originals = [], []
    for sentence in sentences:
        inside = torch.tensor(sentence[1:-1])
        order = torch.randperm(len(inside), generator=chance)
        mixed = [0, *inside[order].tolist(), 1]
        if mixed != sentence:
            changed.append(mixed)
            originals.append(sentence)
    return changed, originals


@experiment(seeds=range(10))
def shuffled(seed: int) -> dict:
    """Held-out sentences with their words shuffled, before the unigram and the true model."""
    language = teaching_language(seed, n_train=N_TRAIN, n_dev=1, n_test=2000)
    tokenizer = language.tokenizer
    train = [tokenizer.encode(text) for text in language.train]
    unigram = Unigram.fit(train, tokenizer.vocab_size)
    truth = TrueModel(TEACHING_GRAMMAR, tokenizer)
    test = [tokenizer.encode(text) for text in language.test]
    changed, originals = moved(test, generator(seed, "shuffle"))
    before, _ = sentence_bits(unigram, originals)
    after, _ = sentence_bits(unigram, changed)
    impossible = sentence_bits(truth, changed)[0].isinf()
    return {
        "changed": len(changed),
        "unigram_bits_moved": (before - after).abs().max().item(),
        "still_in_the_language": int((~impossible).sum()),
        "share_still_in": (~impossible).double().mean().item(),
    }


@experiment(seeds=range(10))
def unknown_words(seed: int) -> dict:
    """A unigram model of all words, and one that calls the rarer words <unk>."""
    language = teaching_language(seed, n_train=N_TRAIN, n_dev=1, n_test=N_TEST)
    lazy = WordTokenizer.train(language.train, min_count=1250, open_vocabulary=True)
    n_characters = sum(len(text) + 1 for text in language.test)
    found: dict = {"vocabulary": {}, "bits": {}, "per_character": {}}
    for name, tokenizer in {"all words": language.tokenizer, "<unk>": lazy}.items():
        train = [tokenizer.encode(text) for text in language.train]
        test = [tokenizer.encode(text) for text in language.test]
        bits = cross_entropy(Unigram.fit(train, tokenizer.vocab_size), test)
        n_tokens = sum(len(sentence) - 1 for sentence in test)
        found["vocabulary"][name] = tokenizer.vocab_size
        found["bits"][name] = bits
        found["per_character"][name] = bits * n_tokens / n_characters
    return found


@experiment(seeds=range(10))
def words_and_characters(seed: int) -> dict:
    """Unigram models of words and of characters, in bits per token and per character."""
    language = teaching_language(seed, n_train=N_TRAIN, n_dev=1, n_test=N_TEST)
    n_characters = sum(len(text) + 1 for text in language.test)  # the end counts as one
    words, characters = language.tokenizer, CharTokenizer.train(language.train)
    models = {
        "unigram of words": (words, unigram_of(language.train, words)),
        "unigram of characters": (characters, unigram_of(language.train, characters)),
        "true model (words)": (words, TrueModel(TEACHING_GRAMMAR, words)),
    }
    per_token, per_character = {}, {}
    for name, (tokenizer, model) in models.items():
        test = [tokenizer.encode(text) for text in language.test]
        per_token[name] = cross_entropy(model, test)
        n_tokens = sum(len(sentence) - 1 for sentence in test)
        per_character[name] = per_token[name] * n_tokens / n_characters
    return {"per_token": per_token, "per_character": per_character}


def unigram_of(texts: tuple[str, ...], tokenizer: Tokenizer) -> Unigram:
    """The unigram model of some texts.

    >>> unigram_of(("a b", "b"), WordTokenizer.train(["a b"])).counts
    tensor([0., 2., 1., 2.], dtype=torch.float64)
    """
    return Unigram.fit([tokenizer.encode(text) for text in texts], tokenizer.vocab_size)


@experiment(seeds=range(10))
def ranks(seed: int) -> dict:
    """At which guess the true model finds each token, and its bits when it is too sure."""
    language = teaching_language(seed, n_train=1, n_dev=1, n_test=500)
    tokenizer = language.tokenizer
    truth = TrueModel(TEACHING_GRAMMAR, tokenizer)
    test = [tokenizer.encode(text) for text in language.test]
    counts = torch.zeros(tokenizer.vocab_size, dtype=torch.int64)
    for sentence in test:
        token_ids = torch.tensor(sentence)
        order = truth(token_ids[None, :-1])[0].argsort(
            dim=-1, descending=True, stable=True
        )
        found = (order == token_ids[1:, None]).nonzero()[:, 1]
        counts += found.bincount(minlength=len(counts))
    bits = {
        str(temperature): cross_entropy(Filtered(truth, temperature=temperature), test)
        for temperature in (1.0, 0.5, 0.25)
    }
    return {"rank_counts": counts.tolist(), "bits": bits}
