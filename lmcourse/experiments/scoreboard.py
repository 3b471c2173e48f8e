"""The scoreboard: every model on the same jobs, at 10, 30 and 100 per cent of the text."""

import dataclasses
import time

import torch

from lmcourse.attention import IBMModel1, attention_translator
from lmcourse.bert import MaskedLanguageModel, MaskedTraining, Masking, small_bert
from lmcourse.data.grammar import (
    TEACHING_GRAMMAR,
    TrueModel,
    teaching_language,
    teaching_wordpiece,
)
from lmcourse.data.python_docs import python_docs
from lmcourse.data.translation import translation_data
from lmcourse.experiments import experiment
from lmcourse.experiments.bert import (
    N_BLANKS,
    SHARE,
    bert_answers,
    best_possible,
    blanks_in,
    every_word_tried,
    filling_row,
    left_only,
)
from lmcourse.experiments.markov import bits_of, encoded_language
from lmcourse.experiments.rnn import EVALUATE_EVERY, RIVALS, STEPS, teaching_model
from lmcourse.experiments.self_attention import one_layer
from lmcourse.experiments.seq2seq import (
    D_HIDDEN,
    MOST_WORDS,
    encoded_pairs,
)
from lmcourse.experiments.seq2seq import STEPS as TRANSLATION_STEPS
from lmcourse.experiments.transformer import (
    bits_per_character,
    in_pieces,
    translator_with,
)
from lmcourse.language_models import Unigram
from lmcourse.markov import ModifiedKneserNey
from lmcourse.multi_head_attention import attention_only_model
from lmcourse.scoreboard import SHARES, Effort, count, learn, translation_scores
from lmcourse.seq2seq import greedy_search, small_translator
from lmcourse.tokenizers import CharTokenizer
from lmcourse.training import generator, initialised
from lmcourse.transformer import small_transformer

PATIENCE = 3  # measurements without a better one, then training ends
WORD_ORDERS = (3, 4, 5, 6)
CHARACTER_ORDERS = (4, 6, 8, 10, 12)

# The language models that are trained: how each is made from a vocabulary's size, the name that
# its initialisation is drawn under, and its highest learning rate. All as in their chapters.
TRAINED = {
    **{name: (None, name, lr) for name, (_, lr) in RIVALS.items()},
    "self-attention": (
        lambda vocab_size: one_layer(vocab_size, 64, "sinusoidal"),
        "sinusoidal",
        4e-3,
    ),
    "multi-head attention": (attention_only_model, "4 heads", 4e-3),
    "Transformer": (small_transformer, "Transformer", 3e-3),
}


def untrained(name, vocab_size, seed):
    """A language model of the scoreboard before it has learned anything."""
    make, chance, _ = TRAINED[name]
    if make is None:
        return teaching_model(name, vocab_size, seed)
    return initialised(lambda: make(vocab_size), seed, chance)


def counted(sentences, dev, vocab_size, orders):
    """The two that count: name -> the model and its effort."""
    start = time.process_time()
    unigram = Unigram([0, *(n + 1 for n in seen_tokens(sentences, vocab_size)[1:])])
    seconds = time.process_time() - start
    n_tokens = sum(len(sentence) - 1 for sentence in sentences)
    n_grams = [ModifiedKneserNey(order, vocab_size) for order in orders]
    return {
        "unigram": (unigram, Effort(vocab_size, seconds, n_tokens)),
        "n-gram": count(n_grams, sentences, dev),
    }


def seen_tokens(sentences, vocab_size):
    """How often each token is to be predicted."""
    counts = [0] * vocab_size
    for sentence in sentences:
        for token in sentence[1:]:
            counts[token] += 1
    return counts


# ------------------------------------------------------------------------ the teaching language

WORDS = {
    "steps": STEPS,
    "batch_size": 64,
    "warm_up": 200,
    "weight_decay": 0.01,
    "max_norm": 1.0,
    "evaluate_every": EVALUATE_EVERY,
    "patience": PATIENCE,
}


@experiment(seeds=range(3))
def language(seed: int) -> dict:
    """The teaching language: the next word, and one blank, by every model."""
    texts, (words, train_sentences, dev, test) = (
        teaching_language(seed),
        encoded_language(seed),
    )
    true = TrueModel(TEACHING_GRAMMAR, words)
    true_bits = {"dev": bits_of(true, dev), "test": bits_of(true, test)}
    blanks = blanks_in(texts.test, words, N_BLANKS, seed, "test")
    best = best_possible(blanks, words)
    row = {
        "floor": texts.floor,
        "true_bits": true_bits,
        "best_possible": filling_row(best, best, blanks),
        "shares": {},
    }
    for share_name, share in SHARES.items():
        some = train_sentences[: round(share * len(train_sentences))]
        entries = counted(some, dev, words.vocab_size, WORD_ORDERS)
        for name, (_, _, lr) in TRAINED.items():
            model = untrained(name, words.vocab_size, seed)
            stream = generator(seed, "batches")
            effort = learn(model, some, dev, lr=lr, generator=stream, **WORDS)
            entries[name] = model, effort
        row["shares"][share_name] = {
            name: effort.row()
            | {"gap": bits_of(model, test) - true_bits["test"]}
            | {
                "left side": filling_row(left_only(model, blanks), best, blanks),
                "every word tried": filling_row(
                    every_word_tried(model, blanks), best, blanks
                ),
            }
            for name, (model, effort) in entries.items()
        }
        row["shares"][share_name]["BERT"] = bert_entry(
            texts.train[: len(some)], texts.dev, blanks, best, seed
        )
    return row


def bert_entry(train_texts, dev_texts, blanks, best, seed):
    """BERT fills blanks. It has no word for what comes next."""
    pieces = teaching_wordpiece()
    model = initialised(
        lambda: MaskedLanguageModel(small_bert(pieces.vocab_size)), seed, "BERT"
    )
    torch.manual_seed(generator(seed, "masks, BERT").initial_seed())
    effort = learn(
        MaskedTraining(model, Masking(pieces, share=SHARE)),
        [pieces.encode(text) for text in train_texts],
        [pieces.encode(text) for text in dev_texts],
        lr=3e-3,
        generator=generator(seed, "batches"),
        **WORDS,
    )
    answers = bert_answers(model.eval(), pieces, blanks)
    return effort.row() | {"both sides": filling_row(answers, best, blanks)}


# ------------------------------------------------------------------------------------ real text

CHARACTERS = {
    "steps": 1_000,
    "batch_size": 32,
    "warm_up": 100,
    "weight_decay": 0.01,
    "max_norm": 1.0,
    "evaluate_every": 100,
    "patience": PATIENCE,
}


@experiment(seeds=range(3))
def real_text(seed: int) -> dict:
    """The next character of Python's documentation, by the same models at the same sizes."""
    docs = python_docs()
    tokenizer = CharTokenizer.train(docs.train, open_vocabulary=True)
    dev = [tokenizer.encode(piece) for piece in in_pieces(docs.dev)]
    order = torch.randperm(len(docs.train), generator=generator(seed, "documents"))
    row = {
        "sha256": docs.sha256,
        "python_version": docs.python_version,
        "characters": sum(map(len, docs.train)),
        "shares": {},
    }
    for share_name, share in SHARES.items():
        chosen = sorted(order[: round(share * len(order))].tolist())
        texts = in_pieces([docs.train[index] for index in chosen])
        some = [tokenizer.encode(piece) for piece in texts]
        entries = counted(some, dev, tokenizer.vocab_size, CHARACTER_ORDERS)
        for name, (_, _, lr) in TRAINED.items():
            model = untrained(name, tokenizer.vocab_size, seed)
            stream = generator(seed, "batches")
            effort = learn(model, some, dev, lr=lr, generator=stream, **CHARACTERS)
            entries[name] = model, effort
        row["shares"][share_name] = {
            name: effort.row()
            | {"bits": bits_per_character(model, tokenizer, docs.test)}
            for name, (model, effort) in entries.items()
        }
    return row


# ---------------------------------------------------------------------------------- translation

# The translators: how each is made, and the name that its initialisation is drawn under.
TRANSLATORS = {
    "Seq2Seq": (small_translator, "fixed context"),
    "attention": (attention_translator, "attention"),
    "Transformer": (translator_with("sinusoidal"), "sinusoidal"),
}


@experiment(seeds=range(3))
def translation(seed: int) -> dict:
    """English to Korean: word by word from counts, and by the translators."""
    everything = translation_data(seed)
    row = {"shares": {}}
    for share_name, share in SHARES.items():
        n_train = round(share * len(everything.train))
        data = dataclasses.replace(everything, train=everything.train[:n_train])
        entries = {"word by word": word_by_word(data)}
        for name in TRANSLATORS:
            entries[name] = translator_entry(name, data, seed)
        row["shares"][share_name] = entries
    return row


def word_by_word(data):
    """Each English word by the Korean token that most probably renders it, in English order."""
    pairs = encoded_pairs(data, data.train)
    start = time.process_time()
    model = IBMModel1(len(data.source_tokenizer), len(data.target_tokenizer)).fit(pairs)
    effort = Effort(
        parameters=int((model.table > 0).sum()),
        seconds=time.process_time() - start,
        tokens=sum(len(target) - 1 for _, target in pairs),
    )
    best = model.table.argmax(axis=1)
    written = [
        data.target_tokenizer.decode(best[source[1:-1]].tolist())
        for source, _ in encoded_pairs(data, data.test)
    ]
    return effort.row() | scores(written, data)


def translator_entry(name, data, seed):
    """A translator as in its chapter."""
    make, chance = TRANSLATORS[name]
    sizes = len(data.source_tokenizer), len(data.target_tokenizer)
    model = initialised(lambda: make(*sizes, D_HIDDEN), seed, chance)
    effort = learn(
        model,
        encoded_pairs(data, data.train),
        encoded_pairs(data, data.dev),
        steps=TRANSLATION_STEPS,
        lr=4e-3,
        batch_size=64,
        generator=generator(seed, "batches"),
        warm_up=100,
        max_norm=1.0,
        evaluate_every=200,
        patience=PATIENCE,
    )
    sources = [source for source, _ in encoded_pairs(data, data.test)]
    written = [
        data.target_tokenizer.decode(token_ids)
        for token_ids in greedy_search(model, sources, MOST_WORDS)
    ]
    return effort.row() | scores(written, data)


def scores(written, data):
    """How good the translations of the test sentences are."""
    return translation_scores(written, [pair.target for pair in data.test])
