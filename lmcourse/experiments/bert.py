"""Comparisons of chapter 9: filling blanks, few labels, what the layers hold, next sentences."""

import copy
import math
import re
from collections import Counter
from itertools import pairwise

import torch

from lmcourse.bert import (
    Example,
    MaskedLanguageModel,
    MaskedTraining,
    Masking,
    PreTraining,
    PreTrainingModel,
    SequenceClassifier,
    fill_in_log_probs,
    small_bert,
    to_tensors,
)
from lmcourse.data.grammar import (
    NAMES,
    TEACHING_GRAMMAR,
    agreement_cases,
    broken_sentence,
    teaching_language,
    teaching_wordpiece,
)
from lmcourse.data.python_docs import python_docs
from lmcourse.experiments import experiment
from lmcourse.experiments.markov import encoded_language
from lmcourse.experiments.self_attention import trained_on_language
from lmcourse.language_models import Unigram, pad_sentences
from lmcourse.markov import ModifiedKneserNey
from lmcourse.probing import LinearProbe
from lmcourse.tokenizers import SPECIAL_PIECES, WordPiece
from lmcourse.training import generator, initialised, train
from lmcourse.transformer import small_transformer

ORDERS = (2, 3, 4, 5)
VERBS = {
    word
    for symbol in ("Vt_sg", "Vt_pl", "Vi_sg", "Vi_pl")
    for (word,), _ in TEACHING_GRAMMAR.rules[symbol]
}
SHARE = 0.3  # of the pieces are hidden: the texts are short, so twice the paper's share
N_BLANKS = 500
N_DEV_BLANKS = 200  # on which the order of the n-gram is chosen
N_LABELS = (10, 50, 200, 1_000)
STEPS, EVALUATE_EVERY = 5_000, 500
FINE_TUNING_STEPS = 200
N_JUDGED = 2_000
N_PROBES = 600  # sentences that a probe learns from, and as many that it is measured on
REAL_VOCAB_SIZE = 1_000
REAL_PIECES = 64  # at most, of a text that is read at once
REAL_ORDER = 4
N_REAL_BLANKS = 400
N_ENDS = 2  # <s> and </s>: the first ids of left-to-right models, before the pieces
REAL_STEPS = {"BERT": 2_500, "Transformer": 800}
REAL_TRAINING = {
    "lr": 1e-3,
    "batch_size": 32,
    "warm_up": 60,
    "weight_decay": 0.01,
    "max_norm": 1.0,
    "evaluate_every": 200,
}


# ------------------------------------------------------------------------- the teaching language


def blanks_in(texts, tokenizer, n_blanks, seed, part):
    """Words to be hidden, one in each text: its words, the place among them, and token ids."""
    stream = generator(seed, f"blanks, {part}")
    blanks = []
    for text in texts[:n_blanks]:
        words = text.split()
        place = int(torch.randint(len(words), (), generator=stream))
        blanks.append((words, place, tokenizer.encode(text)))
    return blanks


def left_only(model, blanks):
    """log P of every word, given the words on the left of the blank."""
    with torch.no_grad():
        rows = [
            model(torch.tensor([token_ids[: place + 1]]))[0, -1]
            for _, place, token_ids in blanks
        ]
    return torch.stack(rows).double()


def every_word_tried(model, blanks):
    """log P of every word, given both sides: of the whole sentence with each word in the blank."""
    rows = []
    words = torch.arange(model.vocab_size)
    for _, place, token_ids in blanks:
        tried = torch.tensor(token_ids).repeat(len(words), 1)
        tried[:, place + 1] = words
        with torch.no_grad():
            rows.append(model.log_prob(tried).double().sum(dim=1))
    return torch.stack(rows)


def best_possible(blanks, tokenizer):
    """log P of every word by the grammar itself."""
    rows = torch.zeros(len(blanks), tokenizer.vocab_size, dtype=torch.float64)
    for row, (words, place, _) in zip(rows, blanks, strict=True):
        for word, prob in TEACHING_GRAMMAR.fill_in_probs(words, place).items():
            row[tokenizer.token_to_id[word]] = prob
    return rows.log()


def of_words(log_probs):
    """log P of each word, now that a word must stand there: neither `<s>` nor `</s>`."""
    return log_probs[:, 2:].log_softmax(dim=1)


def bits_in(log_probs, blanks):
    """Bits that the hidden words need, on average."""
    hidden = torch.tensor([token_ids[place + 1] for _, place, token_ids in blanks])
    return -of_words(log_probs).gather(1, hidden[:, None] - 2).mean() / math.log(2)


def kind_of(word):
    """Name, verb, or another word."""
    if word in NAMES:
        return "name"
    return "verb" if word in VERBS else "other"


def filling_row(log_probs, true_log_probs, blanks):
    """How well the blanks were filled, and how far from the best possible answer, in bits."""
    guessed = of_words(log_probs).argmax(dim=1) + 2
    right = [
        guess == token_ids[place + 1]
        for guess, (_, place, token_ids) in zip(guessed.tolist(), blanks, strict=True)
    ]
    kinds = [kind_of(words[place]) for words, place, _ in blanks]
    true = of_words(true_log_probs)
    differences = (true - of_words(log_probs)).where(true.exp() > 0, 0)
    return {
        "accuracy": sum(right) / len(right),
        "bits": bits_in(log_probs, blanks),
        "above": (true.exp() * differences).sum(dim=1).mean() / math.log(2),
        "by_kind": {
            kind: sum(r for r, k in zip(right, kinds, strict=True) if k == kind)
            / kinds.count(kind)
            for kind in ("name", "verb", "other")
        },
    }


def best_order(answer, models, dev_blanks):
    """The n-gram model that fills the development blanks in the fewest bits."""
    return min(models, key=lambda model: bits_in(answer(model, dev_blanks), dev_blanks))


@experiment(seeds=range(10))
def language(seed: int) -> dict:
    """The teaching language: one blank filled by all, few labels, and what the layers hold."""
    texts, encoded = teaching_language(seed), encoded_language(seed)
    words, sentences = encoded[0], encoded[1]
    pieces = teaching_wordpiece()
    bert, history = pretrained_bert(texts, pieces, seed)
    left_to_right = initialised(
        lambda: small_transformer(words.vocab_size), seed, "Transformer"
    )
    trained_on_language(left_to_right, encoded, seed, lr=3e-3)
    blanks = blanks_in(texts.test, words, N_BLANKS, seed, "test")
    dev_blanks = blanks_in(texts.dev, words, N_DEV_BLANKS, seed, "dev")
    ngrams = [ModifiedKneserNey(n, words.vocab_size).fit(sentences) for n in ORDERS]
    one_side = best_order(left_only, ngrams, dev_blanks)
    both_sides = best_order(every_word_tried, ngrams, dev_blanks)
    unigram = Unigram.fit(sentences, words.vocab_size)
    answers = {
        "most frequent word": left_only(unigram, blanks),
        "n-gram, left side": left_only(one_side, blanks),
        "n-gram, every word tried": every_word_tried(both_sides, blanks),
        "Transformer, left side": left_only(left_to_right, blanks),
        "Transformer, every word tried": every_word_tried(left_to_right, blanks),
        "BERT": bert_answers(bert, pieces, blanks),
        "best possible": best_possible(blanks, words),
    }
    return {
        "blanks": len(blanks),
        "steps": history.best_step,
        "orders": {"left": one_side.order, "both": both_sides.order},
        "parameters": {
            name: sum(p.numel() for p in model.parameters())
            for name, model in (("BERT", bert), ("Transformer", left_to_right))
        },
        "filling": {
            name: filling_row(answer, answers["best possible"], blanks)
            for name, answer in answers.items()
        },
        "judging": judged(bert, texts, pieces, seed),
        "probes": {
            "trained": number_of_subject(bert.bert, pieces, seed),
            "untrained": number_of_subject(fresh_bert(pieces, seed), pieces, seed),
        },
    }


def fresh_bert(pieces, seed):
    """An encoder that has learned nothing."""
    return initialised(lambda: small_bert(pieces.vocab_size), seed, "fresh BERT")


def pretrained_bert(texts, pieces, seed):
    """A masked language model of the teaching language, and the history of its training."""
    model = initialised(
        lambda: MaskedLanguageModel(small_bert(pieces.vocab_size)), seed, "BERT"
    )
    torch.manual_seed(generator(seed, "masks, BERT").initial_seed())
    history = train(
        MaskedTraining(model, Masking(pieces, share=SHARE)),
        [pieces.encode(text) for text in texts.train],
        steps=STEPS,
        lr=3e-3,
        batch_size=64,
        generator=generator(seed, "batches"),
        warm_up=200,
        weight_decay=0.01,
        max_norm=1.0,
        dev=[pieces.encode(text) for text in texts.dev],
        evaluate_every=EVALUATE_EVERY,
    )
    return model, history


def bert_answers(model, pieces, blanks):
    """log P of every word, in the order of the other models' ids: `<s>` and `</s>` come first."""
    questions = [
        (pieces.encode(" ".join(words)), place + 1) for words, place, _ in blanks
    ]
    log_probs = fill_in_log_probs(model, pieces.mask_id, questions).double()
    return log_probs[:, len(SPECIAL_PIECES) - 2 :]


# --------------------------------------------------------------------------------- few labels


def labelled(texts, pieces, n_examples, seed, part):
    """Sentences of the language (class 1) and as many with one mistake (class 0), in turns."""
    stream = generator(seed, f"mistakes, {part}")
    examples = []
    for index, text in enumerate(texts[:n_examples]):
        words = text.split()
        if index % 2:
            words = broken_sentence(words, stream)
        examples.append(Example(pieces.encode(" ".join(words)), label=1 - index % 2))
    return examples


def judged(model, texts, pieces, seed):
    """Is it a sentence of the language? Accuracy after few labels, by what is made of them."""
    fresh = MaskedLanguageModel(fresh_bert(pieces, seed))
    test = labelled(texts.test, pieces, N_JUDGED, seed, "test")
    known = labelled(texts.dev, pieces, max(N_LABELS), seed, "train")
    features = {
        "mean vector": lambda some: mean_vectors(model.bert, some),
        "mean vector, untrained": lambda some: mean_vectors(fresh.bert, some),
        "least probable word": lambda some: least_log_probs(model, pieces, some),
    }
    seen = {name: of(known) for name, of in features.items()}
    new = {name: of(test) for name, of in features.items()}
    labels = torch.tensor([example.label for example in known])
    test_labels = torch.tensor([example.label for example in test])
    row = {"chance": 0.5, "labels": N_LABELS}
    for n_labels in N_LABELS:
        some = known[:n_labels]
        pre_trained = fine_tuned(copy.deepcopy(model.bert), some, seed)
        from_scratch = fine_tuned(copy.deepcopy(fresh.bert), some, seed)
        row.setdefault("fine-tuned", []).append(pre_trained.accuracy(test))
        row.setdefault("from scratch", []).append(from_scratch.accuracy(test))
        for name in features:
            probe = LinearProbe().fit(
                seen[name][:n_labels], labels[:n_labels], n_classes=2, l2=0.1
            )
            row.setdefault(name, []).append(probe.accuracy(new[name], test_labels))
    return row


@torch.no_grad()
def mean_vectors(bert, examples):
    """The mean of the last vectors of each sentence."""
    token_ids, mask, *_ = to_tensors(examples, torch.device("cpu"))
    total = bert(token_ids, mask).masked_fill(~mask[..., None], 0).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True)


def least_log_probs(model, pieces, examples):
    """log P of the word that fits its place least, each hidden in its turn: one number each."""
    blanks = [
        (example.token_ids, place)
        for example in examples
        for place in range(1, len(example) - 1)
    ]
    log_probs = fill_in_log_probs(model, pieces.mask_id, blanks, batch_size=1_000)
    hidden = torch.tensor([token_ids[place] for token_ids, place in blanks])
    of_word = log_probs.gather(1, hidden[:, None]).squeeze(1)
    parts = of_word.split([len(example) - 2 for example in examples])
    return torch.stack([part.min() for part in parts])[:, None]


def fine_tuned(encoder, examples, seed):
    """A classifier on the encoder's [CLS]; both learn."""
    model = initialised(lambda: SequenceClassifier(encoder, 2), seed, "classifier")
    train(
        model,
        examples,
        steps=FINE_TUNING_STEPS,
        lr=1e-3,
        batch_size=min(32, len(examples)),
        generator=generator(seed, "labels"),
        warm_up=20,
        max_norm=1.0,
    )
    return model


# ---------------------------------------------------------------------------- what the layers hold


def states(bert, token_ids, mask):
    """The vectors after the embedding, and after every block: (time, d_model) of each sentence."""
    with torch.no_grad():
        hidden = bert.embedding(token_ids, torch.zeros_like(token_ids))
        found = [hidden]
        for block in bert.layers.layers:
            found.append(block(found[-1], mask[:, None]))
    return found


def number_of_subject(bert, pieces, seed):
    """Can a probe read from a hidden verb whether its subject is singular? By layer.

    Two phrases stand between the subject and the verb, the second noun of the other number.
    """
    parts = []
    for part in ("train", "test"):
        stream = generator(seed, f"agreement for probes, {part}")
        cases = agreement_cases(N_PROBES, 2, False, stream)
        sentences = [
            pieces.encode(" ".join([*case.prefix, "[MASK]"])) for case in cases
        ]
        token_ids, mask = pad_sentences(sentences)
        labels = torch.tensor([int("likes" in case.right) for case in cases])
        verbs = (token_ids == pieces.mask_id).nonzero(as_tuple=True)
        parts.append(
            ([layer[verbs] for layer in states(bert, token_ids, mask)], labels)
        )
    (features, labels), (test_features, test_labels) = parts
    return [
        LinearProbe().fit(known, labels, n_classes=2).accuracy(new, test_labels)
        for known, new in zip(features, test_features, strict=True)
    ]


# ----------------------------------------------------------------------------------- real text


def sentences_of(texts):
    """The sentences of the texts, in order, cut at stops that a space follows."""
    return [part for text in texts for part in re.split(r"(?<=[.!?:;]) +", text)]


def following_pairs(texts, pieces):
    """Every two sentences that follow each other, both short enough."""
    sentences = [(s, len(pieces.split(s))) for s in sentences_of(texts)]
    return [
        (first, second)
        for (first, n_first), (second, n_second) in pairwise(sentences)
        if max(n_first, n_second) < REAL_PIECES // 2
    ]


def labelled_pairs(texts, pieces, seed, part):
    """Pairs of sentences: in half of them the second follows (class 0), in half it does not.

    A second sentence that does not follow is that of any pair in the same part, by chance of this
    one.
    """
    stream = generator(seed, f"pairs, {part}")
    pairs = following_pairs(texts, pieces)
    examples = []
    for first, second in pairs:
        label = int(torch.randint(2, (), generator=stream))
        if label:
            _, second = pairs[int(torch.randint(len(pairs), (), generator=stream))]
        examples.append(Example.of_texts(pieces, first, second, label))
    return examples


def left_to_right_ids(token_ids, pieces):
    """The ids that left-to-right models give to these pieces; those between the texts go."""
    return [piece + N_ENDS for piece in token_ids if piece != pieces.sep_id]


def windows(texts, pieces):
    """The texts as left-to-right models read them: <s>, at most 64 pieces, </s>."""
    for text in texts:
        token_ids = left_to_right_ids(pieces.encode(text)[1:], pieces)
        for start in range(0, len(token_ids), REAL_PIECES):
            yield [0, *token_ids[start : start + REAL_PIECES], 1]


def real_blanks(texts, pieces, seed):
    """One blank in each of some pairs that follow each other: the example, and the place."""
    stream = generator(seed, "real blanks")
    pairs = following_pairs(texts, pieces)
    order = torch.randperm(len(pairs), generator=stream)[:N_REAL_BLANKS]
    blanks = []
    for first, second in (pairs[index] for index in order.tolist()):
        example = Example.of_texts(pieces, first, second, label=0)
        places = [
            place
            for place, piece in enumerate(example.token_ids)
            if piece not in pieces.special_ids
        ]
        choice = int(torch.randint(len(places), (), generator=stream))
        blanks.append((example, places[choice]))
    return blanks


def real_answers(model, pieces, blanks, *, both_sides):
    """log P of every piece by a left-to-right model, which reads the two sentences as one text."""
    rows = []
    for pair, place in blanks:
        before = left_to_right_ids(pair.token_ids[1:place], pieces)
        after = left_to_right_ids(pair.token_ids[place:-1], pieces)
        if not both_sides:
            with torch.no_grad():
                rows.append(model(torch.tensor([[0, *before]]))[0, -1].double())
            continue
        tried = torch.tensor([0, *before, *after, 1]).repeat(model.vocab_size, 1)
        tried[:, len(before) + 1] = torch.arange(model.vocab_size)
        rows.append(model.log_prob(tried).double().sum(dim=1))
    return torch.stack(rows)[:, N_ENDS:]


def real_row(log_probs, blanks):
    """How many hidden pieces are found, and the bits that they need; no special piece is meant."""
    n_special = len(SPECIAL_PIECES)
    hidden = torch.tensor([pair.token_ids[place] for pair, place in blanks]) - n_special
    log_probs = log_probs[:, n_special:].log_softmax(dim=1)
    right = (log_probs.argmax(dim=1) == hidden).double().mean()
    bits = -log_probs.gather(1, hidden[:, None]).mean() / math.log(2)
    return {"accuracy": right, "bits": bits}


def pretrained_on_pairs(train_pairs, dev_pairs, pieces, seed):
    """BERT after both tasks of the paper on real text."""
    model = initialised(
        lambda: PreTrainingModel(small_bert(len(pieces), d_model=128, dropout=0.1)),
        seed,
        "real BERT",
    )
    torch.manual_seed(generator(seed, "masks and dropout, real BERT").initial_seed())
    history = train(
        PreTraining(model, Masking(pieces, share=SHARE)),
        train_pairs,
        dev=dev_pairs,
        steps=REAL_STEPS["BERT"],
        **REAL_TRAINING,
        generator=generator(seed, "real batches"),
    )
    return model.eval(), history


def left_to_right_on_windows(docs, pieces, seed):
    """Chapter 8's Transformer on the same text."""
    model = initialised(
        lambda: small_transformer(len(pieces) + N_ENDS, d_model=128, dropout=0.1),
        seed,
        "real Transformer",
    )
    torch.manual_seed(generator(seed, "dropout, real Transformer").initial_seed())
    history = train(
        model,
        list(windows(docs.train, pieces)),
        dev=list(windows(docs.dev, pieces)),
        steps=REAL_STEPS["Transformer"],
        **REAL_TRAINING,
        generator=generator(seed, "real batches"),
    )
    return model.eval(), history


@experiment(seeds=range(10))
def real_text(seed: int) -> dict:
    """Python's documentation in pieces of words: one blank filled by all, and next sentences."""
    docs = python_docs()
    pieces = WordPiece.train(docs.train, REAL_VOCAB_SIZE)
    pairs = {
        part: labelled_pairs(getattr(docs, part), pieces, seed, part)
        for part in ("train", "dev", "test")
    }
    bert, history = pretrained_on_pairs(pairs["train"], pairs["dev"], pieces, seed)
    left_to_right, its_history = left_to_right_on_windows(docs, pieces, seed)
    counted = list(windows(docs.train, pieces))
    ngram = ModifiedKneserNey(REAL_ORDER, len(pieces) + N_ENDS).fit(counted)
    counts = Counter(token for window in counted for token in window[1:])
    seen_once_more = [counts[token] + 1 for token in range(1, len(pieces) + N_ENDS)]
    unigram = Unigram([0, *seen_once_more])
    blanks = real_blanks(docs.test, pieces, seed)
    log_probs = []
    for pair, place in blanks:
        token_ids = torch.tensor([pair.token_ids])
        token_ids[0, place] = pieces.mask_id
        with torch.no_grad():
            logits, _ = bert(token_ids, segment_ids=torch.tensor([pair.segment_ids]))
        log_probs.append(logits[0, place].double())
    answers = {
        "most frequent piece": real_answers(unigram, pieces, blanks, both_sides=False),
        "Transformer, left side": real_answers(
            left_to_right, pieces, blanks, both_sides=False
        ),
        "BERT": torch.stack(log_probs),
        "n-gram, left side": real_answers(ngram, pieces, blanks, both_sides=False),
        "n-gram, every piece tried": real_answers(
            ngram, pieces, blanks, both_sides=True
        ),
    }
    return {
        "sha256": docs.sha256,
        "python_version": docs.python_version,
        "blanks": len(blanks),
        "vocab_size": len(pieces),
        "pieces": sum(len(window) - 2 for window in counted),
        "best_step": {
            "BERT": history.best_step,
            "Transformer": its_history.best_step,
        },
        "parameters": {
            name: sum(p.numel() for p in model.parameters())
            for name, model in (("BERT", bert), ("Transformer", left_to_right))
        },
        "filling": {name: real_row(answer, blanks) for name, answer in answers.items()},
        "next_sentence": {
            "pairs": len(pairs["test"]),
            "accuracy": next_sentence_accuracy(bert, pairs["test"]),
        },
    }


def next_sentence_accuracy(bert, pairs):
    """The share of the pairs whose class is found."""
    n_right = 0
    for pair in pairs:
        with torch.no_grad():
            _, classes = bert(
                torch.tensor([pair.token_ids]),
                segment_ids=torch.tensor([pair.segment_ids]),
            )
        n_right += int(classes.argmax()) == pair.label
    return n_right / len(pairs)
