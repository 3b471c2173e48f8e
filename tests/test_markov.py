"""Markov models: against hand-worked cases, theorems, KenLM and NLTK."""

import hashlib
import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from nltk.lm import MLE, Lidstone
from nltk.util import everygrams

from lmcourse.data.rabbits import RABBITS
from lmcourse.decoding import generate
from lmcourse.experiments import results
from lmcourse.experiments.markov import (
    ALPHAS,
    DISCOUNTS,
    best_on_dev,
    counted_probs,
    estimated_lambdas,
)
from lmcourse.language_models import Unigram, cross_entropy, token_log_probs
from lmcourse.markov import (
    Additive,
    BackOff,
    Interpolated,
    KneserNey,
    MaximumLikelihood,
    ModifiedKneserNey,
    NGramCounts,
    SoftmaxBigram,
    stationary_distribution,
    transition_counts,
    transition_matrix,
)
from lmcourse.tokenizers import WordTokenizer
from lmcourse.training import train

KENLM = json.loads(
    (Path(__file__).parent / "data" / "kenlm.json").read_text(encoding="utf-8")
)


def corpus(n_sentences: int, seed: int) -> str:
    """The text that KenLM was measured on: Zipf-like words that depend on the two before them."""
    state, lines = seed, []

    def uniform() -> float:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 11) / 2**53

    for _ in range(n_sentences):
        before, last, words = 0, 0, []
        for _ in range(3 + int(uniform() * 12)):
            word = int(3000 ** uniform()) - 1
            if uniform() < 0.6:
                word = (word + 7 * last + 3 * before) % 40
            words.append(f"w{word:04d}")
            before, last = last, word
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def kenlm_corpus():
    """Tokenizer (open: it has <unk>), training sentences and test sentences."""
    texts = {"ngram_train.txt": corpus(4000, 1), "ngram_test.txt": corpus(400, 2)}
    for name, text in texts.items():
        assert hashlib.sha256(text.encode()).hexdigest() == KENLM["sha256"][name]
    lines, test_lines = (text.splitlines() for text in texts.values())
    tokenizer = WordTokenizer.train(lines, open_vocabulary=True)
    return (
        tokenizer,
        [*map(tokenizer.encode, lines)],
        [*map(tokenizer.encode, test_lines)],
    )


@pytest.fixture(scope="module")
def rabbits():
    tokenizer = WordTokenizer.train(RABBITS)
    return tokenizer, [tokenizer.encode(sentence) for sentence in RABBITS]


def smoothed(order: int, vocab_size: int) -> list:
    """One model of every method that smooths."""
    lambdas = [0.1] + [0.9 / order] * order
    return [
        Additive(order, vocab_size, alpha=0.3),
        Interpolated(order, vocab_size, lambdas),
        KneserNey(order, vocab_size),
        ModifiedKneserNey(order, vocab_size),
        BackOff(order, vocab_size, discount=0.7),
    ]


METHODS = ["Additive", "Interpolated", "KneserNey", "ModifiedKneserNey", "BackOff"]

# ------------------------------------------------------------------------------- Markov chain


def test_p_of_rabbits_after_like_is_one_third(rabbits):
    tokenizer, sentences = rabbits
    like, animal = tokenizer.token_to_id["like"], tokenizer.token_to_id["rabbits"]
    counts = transition_counts(sentences, len(tokenizer))
    assert Fraction(int(counts[like, animal]), int(counts[like].sum())) == Fraction(
        1, 3
    )
    assert transition_matrix(counts)[like, animal].item() == 1 / 3
    model = MaximumLikelihood(2, len(tokenizer)).fit(sentences)
    assert model.next_token_probs([like])[animal].item() == pytest.approx(
        1 / 3, abs=1e-15
    )


def test_transition_counts_equal_a_plain_loop(kenlm_corpus):
    tokenizer, sentences, _ = kenlm_corpus
    sentences = [
        [token % 40 if 1 < token < 3000 else token for token in s]
        for s in sentences[:50]
    ]
    sentences = [[0, *[token for token in s if token > 1], 1] for s in sentences]
    expected = torch.zeros(3000, 3000, dtype=torch.long)
    circle = [*itertools.chain(*sentences), 0]
    for row, column in itertools.pairwise(circle):
        expected[row, column] += 1
    assert torch.equal(transition_counts(sentences, 3000), expected)
    assert expected[1, 0] == 50  # the restart rule: after </s> comes <s>


def test_rows_sum_to_one_and_unseen_rows_restart(rabbits):
    tokenizer, sentences = rabbits
    matrix = transition_matrix(transition_counts(sentences, len(tokenizer) + 1))
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(9, dtype=torch.float64))
    assert matrix[8].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_the_matrix_is_the_maximum_likelihood_bigram(rabbits):
    tokenizer, sentences = rabbits
    matrix = transition_matrix(transition_counts(sentences, len(tokenizer)))
    model = MaximumLikelihood(2, len(tokenizer)).fit(sentences)
    for token in (0, *range(2, len(tokenizer))):
        torch.testing.assert_close(model.next_token_probs([token]), matrix[token])


def test_stationary_distribution_is_the_left_eigenvector_with_value_one(
    kenlm_corpus, rabbits
):
    tokenizer, sentences = rabbits
    counts = transition_counts(sentences, len(tokenizer))
    matrix = transition_matrix(counts)
    stationary = stationary_distribution(matrix)
    values, vectors = np.linalg.eig(matrix.numpy().T)
    vector = np.real(vectors[:, np.argmin(abs(values - 1))])
    np.testing.assert_allclose(stationary, vector / vector.sum(), atol=1e-12)
    torch.testing.assert_close(stationary @ matrix, stationary)
    # Read in a circle, every token is left as often as it is entered: so it is the frequency.
    torch.testing.assert_close(stationary, counts.sum(dim=1) / counts.sum().double())


def test_stationary_distribution_is_the_long_run_frequency_of_a_walk(rabbits):
    tokenizer, sentences = rabbits
    matrix = transition_matrix(transition_counts(sentences, len(tokenizer)))
    source, n = torch.Generator().manual_seed(0), 3000
    next_tokens = torch.multinomial(matrix, n, replacement=True, generator=source)
    token, visits = 0, torch.zeros(len(tokenizer))
    for step in range(n):
        visits[token] += 1
        token = int(next_tokens[token, step])
    assert (visits / n - stationary_distribution(matrix)).abs().max() < 0.02


def test_a_chain_in_two_parts_has_no_single_stationary_distribution():
    with pytest.raises(ValueError, match="falls into parts"):
        stationary_distribution(torch.eye(3))


def test_a_row_that_does_not_sum_to_one_is_refused():
    with pytest.raises(
        ValueError, match=r"row 1 .* sums to 0\.9; every row must sum to 1"
    ):
        stationary_distribution(torch.tensor([[0.5, 0.5], [0.5, 0.4]]))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[2.0, -1.0], [0.5, 0.5]], r"row 0 .* holds -1; no number may be below 0"),
        ([[math.nan, 1.0], [0.5, 0.5]], "row 0 .* sums to nan"),
    ],
)
def test_what_is_no_matrix_of_probabilities_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        stationary_distribution(torch.tensor(matrix))


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="smallest count is -2; none may be below 0"):
        transition_matrix(torch.tensor([[1, -2], [0, 1]]))


# ------------------------------------------------------------------------------------ counting


def test_ngram_counts_equal_a_plain_loop(kenlm_corpus):
    tokenizer, sentences, _ = kenlm_corpus
    order, sentences = 4, sentences[:100]
    ngrams = NGramCounts(sentences, order, len(tokenizer))
    counter = {}
    for sentence in sentences:
        for ngram in everygrams(sentence, max_len=order):
            counter[ngram] = counter.get(ngram, 0) + 1
    assert len(ngrams) == len(counter)
    for ngram, count in counter.items():
        assert ngrams.count(ngram) == (0 if ngram == (0,) else count)
    assert ngrams.count([7, 7, 7, 7]) == ngrams.count([tokenizer.unk_id]) == 0


@pytest.mark.parametrize("ngram", [[], [2, 3, 2, 3]])
def test_counting_too_few_or_too_many_tokens_is_refused(ngram):
    with pytest.raises(ValueError, match=rf"{len(ngram)} tokens; from 1 to order=3"):
        NGramCounts([[0, 2, 3, 1]], order=3, vocab_size=5).count(ngram)


@pytest.mark.parametrize("ngram", [[1, 7], [3, -1]])
def test_counting_what_is_no_token_is_refused(ngram):
    with pytest.raises(ValueError, match=r"token id .* is outside 0 \.\. 3"):
        NGramCounts([[0, 2, 3, 1]], order=2, vocab_size=4).count(ngram)


@pytest.mark.parametrize(
    ("sentences", "order", "message"),
    [
        ([], 2, "0 sentences"),
        ([[0, 9, 1]], 2, r"must be 2 \.\. 3"),
        ([[0, 2, 1]], 0, "order=0"),
    ],
)
def test_what_cannot_be_counted_is_refused(sentences, order, message):
    with pytest.raises(ValueError, match=message):
        NGramCounts(sentences, order, vocab_size=4)


def test_models_can_share_their_counts(rabbits):
    tokenizer, sentences = rabbits
    ngrams = NGramCounts(sentences, 3, len(tokenizer))
    for shared, alone in zip(
        smoothed(3, len(tokenizer)), smoothed(3, len(tokenizer)), strict=True
    ):
        probs = shared.fit_counts(ngrams).next_token_probs([0, 2])
        assert torch.equal(probs, alone.fit(sentences).next_token_probs([0, 2]))
    with pytest.raises(ValueError, match="counted with order=3, vocab_size=8"):
        KneserNey(2, len(tokenizer)).fit_counts(ngrams)


def test_find_says_minus_one_for_what_never_occurred():
    ngrams = NGramCounts([[0, 2, 3, 1]], order=3, vocab_size=5)
    token = np.arange(5)
    assert ngrams.find(1, np.zeros(5, np.int64), token).tolist() == [0, 1, 2, 3, -1]
    assert ngrams.find(2, np.full(5, 2), token).tolist() == [
        -1,
        -1,
        -1,
        1,
        -1,
    ]  # after token 2
    assert ngrams.find(3, np.full(5, -1), token).tolist() == [-1] * 5
    assert ngrams.find(2, np.full(5, 3), np.full(5, 4)).tolist() == [-1] * 5


def test_continuation_counts_by_hand():
    """a b | c b | b: before b stand a, c and <s>; <s> b keeps its count."""
    sentences = [[0, 2, 3, 1], [0, 4, 3, 1], [0, 3, 1]]
    ngrams = NGramCounts(sentences, order=3, vocab_size=5)
    assert ngrams.counts[1].tolist() == [0, 3, 1, 3, 1]
    assert ngrams.continuation_counts(1).tolist() == [0, 1, 1, 3, 1]
    # bigrams in order: <s> a, <s> b, <s> c, a b, b </s>, c b
    assert ngrams.continuation_counts(2).tolist() == [1, 1, 1, 1, 3, 1]
    assert ngrams.continuation_counts(3).tolist() == ngrams.counts[3].tolist()


# --------------------------------------------------------------------------- somebody else's truth


@pytest.mark.parametrize("order", [2, 3, 4])
def test_modified_kneser_ney_equals_kenlm(kenlm_corpus, order):
    tokenizer, sentences, test_sentences = kenlm_corpus
    model = ModifiedKneserNey(order, len(tokenizer)).fit(sentences)
    expected = KENLM["orders"][str(order)]
    for k in range(1, order + 1):
        assert model.discounts(k) == pytest.approx(
            expected["discounts"][str(k)], rel=6e-6
        )
    log_probs = token_log_probs(model, test_sentences)
    first = [log_prob / math.log(10) for log_prob in log_probs[0].tolist()]
    assert first == pytest.approx(expected["per_word_log10"], abs=2e-6)
    log_probs = torch.cat(log_probs)
    known = torch.tensor([token != 2 for s in test_sentences for token in s[1:]])
    assert len(log_probs) == 3720
    for chosen, name in ((log_probs, "including"), (log_probs[known], "excluding")):
        perplexity = math.exp(-chosen.mean())
        assert perplexity == pytest.approx(expected[f"perplexity_{name}_oov"], rel=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(MaximumLikelihood, MLE), (Additive, Lidstone)],
    ids=["MaximumLikelihood", "Additive"],
)
def test_counting_methods_equal_nltk(kenlm_corpus, order, ours, theirs):
    """NLTK is given our sentences: one <s>, never predicted, and a vocabulary without it.

    NLTK looks up contexts in its vocabulary too, and takes what is not there for <UNK>. So we
    count <s> under that name; no unknown word is left to be mistaken for it.
    """
    tokenizer, sentences, _ = kenlm_corpus
    sentences, vocab_size = sentences[:200], len(tokenizer)
    settings = {"alpha": 0.3} if ours is Additive else {}
    model = ours(order, vocab_size, **settings).fit(sentences)
    reference = theirs(*settings.values(), order)
    names = ("<UNK>", *tokenizer.tokens[1:])
    texts = [[names[token] for token in sentence] for sentence in sentences]
    ngrams = [
        [ngram for ngram in everygrams(text, max_len=order) if ngram != ("<UNK>",)]
        for text in texts
    ]
    reference.fit(
        ngrams,
        vocabulary_text=[
            name for name in tokenizer.tokens if name not in ("<s>", "<unk>")
        ],
    )
    assert len(reference.vocab) == vocab_size - 1
    contexts = [
        s[max(0, t - order + 1) : t] for s in sentences[:4] for t in range(1, len(s))
    ]
    contexts += [[0], [7, 3, 7][: order - 1], [99, 0]]
    for context in contexts:
        probs = model.next_token_probs(context or [0])
        last = tuple(names[token] for token in context)[-(order - 1) or len(context) :]
        for token in {1, 3, 4, 9, 200, *itertools.chain(*sentences[:4])} - {0}:
            score = reference.unmasked_score(names[token], last)
            assert probs[token].item() == pytest.approx(score, rel=1e-12)


def test_interpolated_kneser_ney_worked_by_hand():
    """a b | c b | b b, order 2.

    Bigrams: <s> a, <s> c, <s> b, a b, c b, b b once each; b </s> three times. n1 = 6, n2 = 0:
    the discount is the fall-back 0.5. Continuation counts: a 1, c 1, </s> 1; b 4 (<s> a b c).
    n1 = 3, n2 = 0: 0.5 again. Total 7, four types: 2 / 7 of the unigrams go to the uniform 1/4.
    """
    sentences = [[0, 2, 3, 1], [0, 4, 3, 1], [0, 3, 3, 1]]
    model = KneserNey(2, 5).fit(sentences)
    b = Fraction(7, 2) / 7 + Fraction(2, 7) / 4
    a = c = end = Fraction(1, 2) / 7 + Fraction(2, 7) / 4
    assert a + b + c + end == 1
    after_b = {  # four times; two kinds follow, each gives 0.5
        3: Fraction(1, 2) / 4 + Fraction(1, 4) * b,
        1: Fraction(5, 2) / 4 + Fraction(1, 4) * end,
        2: Fraction(1, 4) * a,
        4: Fraction(1, 4) * c,
    }
    assert sum(after_b.values()) == 1
    probs = model.next_token_probs([0, 3])
    for token, expected in after_b.items():
        assert probs[token].item() == pytest.approx(float(expected), abs=1e-15)


def test_kneser_ney_discount_by_its_formula(kenlm_corpus):
    tokenizer, sentences, _ = kenlm_corpus
    model = KneserNey(3, len(tokenizer)).fit(sentences)
    triples = {}
    for sentence in sentences:
        for ngram in zip(sentence, sentence[1:], sentence[2:], strict=False):
            triples[ngram] = triples.get(ngram, 0) + 1
    once, twice = (sum(count == c for count in triples.values()) for c in (1, 2))
    assert model.discounts(3) == pytest.approx([once / (once + 2 * twice)] * 3)


def test_back_off_worked_by_hand():
    """a b, order 2, discount 0.5, five tokens: half of what follows a goes to a, </s> and c."""
    model = BackOff(2, 5, discount=0.5).fit([[0, 2, 3, 1]])
    unigrams = {1: 0.5 / 3, 2: 0.5 / 3, 3: 0.5 / 3, 4: 0.5}
    others = unigrams[1] + unigrams[2] + unigrams[4]
    probs = model.next_token_probs([0, 2])
    assert probs[3].item() == pytest.approx(0.5)
    for token in (1, 2, 4):
        assert probs[token].item() == pytest.approx(0.5 * unigrams[token] / others)


def test_interpolation_worked_by_hand():
    """a b | a a: after a, order 2 says b, a and </s> 1/3 each; order 1 a 3/6, b 1/6, </s> 2/6."""
    model = Interpolated(2, 5, (0.2, 0.3, 0.5)).fit([[0, 2, 3, 1], [0, 2, 2, 1]])
    expected = [
        0,
        0.05 + 0.1 + 0.5 / 3,
        0.05 + 0.15 + 0.5 / 3,
        0.05 + 0.05 + 0.5 / 3,
        0.05,
    ]
    torch.testing.assert_close(
        model.next_token_probs([0, 2]), torch.tensor(expected, dtype=torch.float64)
    )
    unseen = model.next_token_probs(
        [0, 4]
    )  # order 2 knows nothing: 0.2 and 0.3 of 0.5 are left
    assert unseen[2].item() == pytest.approx(0.4 / 4 + 0.6 * 3 / 6)


# ------------------------------------------------------------------------------------ invariants

CONTEXTS = [
    [0],
    [0, 9],
    [0, 9, 14, 3, 5],
    [5],
    [7, 7, 7, 7, 7],
    [0, 2, 2, 2],
    [1],
    [3, 1, 0],
]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("method", range(5), ids=METHODS)
def test_smoothed_distributions_sum_to_one(kenlm_corpus, order, method):
    """Over all tokens but <s>; contexts seen, never seen, and at the beginning of a sentence."""
    tokenizer, sentences, test_sentences = kenlm_corpus
    model = smoothed(order, len(tokenizer))[method].fit(sentences)
    seen = [
        s[: t + 1] for s in (sentences[0], test_sentences[0]) for t in range(len(s) - 1)
    ]
    for context in CONTEXTS + seen:
        probs = model.next_token_probs(context)
        assert probs.sum().item() == pytest.approx(1, abs=1e-9)
        assert probs[0] == 0 and (probs[1:] > 0).all()


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("method", range(5), ids=METHODS)
def test_degenerate_corpora_sum_to_one_too(rabbits, order, method):
    corpora = [
        (len(rabbits[0]), rabbits[1]),
        (2, [[0, 1]]),
        (3, [[0, 2, 1]]),
        (3, [[0, 2, 2, 2, 1], [0, 1]]),  # every token follows every other
        (9, [[0, 2, 3, 4, 1]] * 5),
    ]
    for vocab_size, sentences in corpora:
        model = smoothed(order, vocab_size)[method].fit(sentences)
        for context in itertools.product(range(vocab_size), repeat=2):
            probs = model.next_token_probs(context)
            assert probs.sum().item() == pytest.approx(1, abs=1e-12)
            assert (probs >= 0).all()


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("method", range(6), ids=[*METHODS, "MaximumLikelihood"])
def test_forward_and_log_prob_agree(kenlm_corpus, order, method):
    tokenizer, sentences, test_sentences = kenlm_corpus
    vocab_size = len(tokenizer)
    models = [*smoothed(order, vocab_size), MaximumLikelihood(order, vocab_size)]
    model = models[method].fit(sentences)
    for sentence in (sentences[3], test_sentences[5], [0, 3, 0, 1, 1, 5]):
        token_ids = torch.tensor([sentence, sentence[::-1]])
        picked = model(token_ids[:, :-1]).gather(-1, token_ids[:, 1:, None]).squeeze(-1)
        torch.testing.assert_close(model.log_prob(token_ids), picked, rtol=0, atol=0)


@pytest.mark.parametrize("method", range(5), ids=METHODS)
def test_what_comes_after_and_what_is_too_far_back_changes_nothing(
    kenlm_corpus, method
):
    tokenizer, sentences, _ = kenlm_corpus
    model = smoothed(3, len(tokenizer))[method].fit(sentences[:500])
    token_ids = torch.tensor([[0, 5, 9, 4, 7], [0, 8, 9, 4, 3]])
    logits = model(token_ids)
    torch.testing.assert_close(logits[:, 3], logits[:, 3].flip(0))  # both end in 9 4
    assert not torch.equal(logits[0, 2], logits[1, 2])  # 5 9 and 8 9
    torch.testing.assert_close(model(token_ids[:, :3]), logits[:, :3])


def test_order_one_is_the_unigram_model(kenlm_corpus):
    tokenizer, sentences, test_sentences = kenlm_corpus
    model = MaximumLikelihood(1, len(tokenizer)).fit(sentences)
    unigram = Unigram.fit(sentences, len(tokenizer))
    token_ids = torch.tensor([test_sentences[0]])
    torch.testing.assert_close(model(token_ids), unigram(token_ids))


def test_maximum_likelihood_is_the_best_on_its_own_text(kenlm_corpus):
    tokenizer, sentences, _ = kenlm_corpus
    sentences = sentences[:300]
    best = cross_entropy(MaximumLikelihood(3, len(tokenizer)).fit(sentences), sentences)
    for model in smoothed(3, len(tokenizer)):
        assert cross_entropy(model.fit(sentences), sentences) > best


def test_maximum_likelihood_gives_nothing_to_the_unseen(rabbits):
    tokenizer, sentences = rabbits
    model = MaximumLikelihood(3, len(tokenizer)).fit(sentences)
    rabbits_id, turtles_id = (
        tokenizer.token_to_id["rabbits"],
        tokenizer.token_to_id["turtles"],
    )
    assert model.next_token_probs([rabbits_id, turtles_id]).sum() == 0
    with pytest.raises(ValueError, match="all 8 tokens probability 0"):
        generate(model, [0, rabbits_id, turtles_id], 3)


def test_discounts_fall_back_where_they_are_undefined(rabbits):
    tokenizer, sentences = rabbits
    model = ModifiedKneserNey(3, len(tokenizer)).fit(sentences)
    assert [model.discounts(k) for k in (1, 2, 3)] == [(0.5, 1.0, 1.5)] * 3


@pytest.mark.parametrize(
    ("how_often", "expected"),
    [
        (
            [1, 1, 1, 2, 2, 3, 8],
            (1 - 2 * 3 / 7 * 2 / 3, 2 - 3 * 3 / 7 / 2, 3),
        ),  # Y = 3 / 7
        (
            [1, 2, 3, 3, 3, 3, 8],
            (0.5, 1, 1.5),
        ),  # Y = 1 / 3: D2 = 2 - 3 / 3 * 4 is below 0
        ([1, 1, 2, 2, 4, 4, 8], (0.5, 1, 1.5)),  # nothing counts 3
    ],
)
def test_discounts_by_hand_and_their_fall_back(how_often, expected):
    """One word for each number; `</s>` counts 8."""
    words = [word for word, n in enumerate(how_often[:-1], start=2) for _ in range(n)]
    sentences = [[0, *words, 1]] + [[0, 1]] * 7
    assert ModifiedKneserNey(1, 8).fit(sentences).discounts(1) == pytest.approx(
        expected
    )


def test_discounts_of_what_was_not_counted_are_refused():
    with pytest.raises(ValueError, match="has counted 0 sentences"):
        KneserNey(2, 5).discounts(2)
    for k in (0, 3):
        with pytest.raises(ValueError, match=rf"k={k}; from 1 to order=2"):
            ModifiedKneserNey(2, 5).fit([[0, 2, 1]]).discounts(k)


def test_a_vocabulary_word_never_trained_on_still_has_a_chance(rabbits):
    tokenizer, sentences = rabbits
    for model in smoothed(2, len(tokenizer) + 3):
        probs = model.fit(sentences).next_token_probs([0, 2])
        assert (probs[len(tokenizer) :] > 0).all()


def test_fitting_again_forgets_the_first_corpus(rabbits):
    tokenizer, sentences = rabbits
    model = KneserNey(3, len(tokenizer))
    first = model.fit(sentences).next_token_probs([0, 2])
    model.fit([[0, 3, 1]])
    assert torch.equal(model.fit(sentences).next_token_probs([0, 2]), first)


def test_no_new_tokens_no_log_probs(rabbits):
    tokenizer, sentences = rabbits
    model = KneserNey(3, len(tokenizer)).fit(sentences)
    assert model.log_prob(torch.tensor([[0], [0]])).shape == (2, 0)


def test_models_show_themselves():
    assert repr(KneserNey(3, 98)) == "KneserNey(order=3, vocab_size=98)"


# ----------------------------------------------------------------------- the bridge to learning


def test_gradient_descent_finds_the_table_that_we_counted(rabbits):
    """Adam on all sentences at once, learning rate 1 falling to 0 along a cosine, 200 steps."""
    tokenizer, sentences = rabbits
    trained = SoftmaxBigram(len(tokenizer))
    train(trained, sentences, steps=200, lr=1.0)
    contexts = torch.tensor(
        [[token] for token in (0, *range(2, len(tokenizer)))]
    )  # all that occur
    counted = MaximumLikelihood(2, len(tokenizer)).fit(sentences)(contexts).exp()
    probs = trained(contexts).softmax(dim=-1)
    torch.testing.assert_close(probs, counted, atol=1e-3, rtol=0)


def test_the_trained_table_equals_the_counted_one_on_a_larger_text(kenlm_corpus):
    _, sentences, _ = kenlm_corpus
    sentences = [[0, *[2 + token % 9 for token in s[1:-1]], 1] for s in sentences[:40]]
    trained = SoftmaxBigram(11)
    train(trained, sentences, steps=200, lr=1.0)
    contexts = torch.tensor([[token] for token in (0, *range(2, 11))])
    counted = MaximumLikelihood(2, 11).fit(sentences)(contexts).exp()
    torch.testing.assert_close(
        trained(contexts).softmax(dim=-1), counted, atol=1e-3, rtol=0, check_dtype=False
    )


# --------------------------------------------------------------------- how rivals are chosen


def test_estimated_lambdas_are_the_best_for_the_model_as_it_is(kenlm_corpus):
    """They describe the mixture token by token, and moving any of them makes dev less likely."""
    tokenizer, sentences, dev = kenlm_corpus
    vocab_size, train_sentences, dev = len(tokenizer), sentences[:600], dev[:200]
    probs, known = counted_probs((1, 2, 3), vocab_size, train_sentences, dev)
    assert not known[3].all() and known[3].any()
    lambdas = estimated_lambdas(probs, known)

    def bits(weights):
        model = Interpolated(3, vocab_size, weights).fit(train_sentences)
        return cross_entropy(model, dev)

    weights = np.array(lambdas)[:, None] * known
    mixed = (weights * probs).sum(axis=0) / weights.sum(axis=0)
    best = bits(lambdas)
    assert best == pytest.approx(-np.log2(mixed).mean(), abs=1e-12)
    for k, step in itertools.product(range(4), (0.7, 1.4)):
        moved = np.array(lambdas)
        moved[k] *= step
        assert bits((moved / moved.sum()).tolist()) > best - 1e-9


def test_best_on_dev_takes_the_fewest_bits(rabbits):
    tokenizer, sentences = rabbits
    models = [
        Additive(2, len(tokenizer), alpha).fit(sentences) for alpha in (9, 0.1, 1)
    ]
    assert best_on_dev(models, sentences) is models[1]


def test_no_chosen_number_of_the_best_order_is_at_the_edge_of_its_grid():
    run = results("markov.order_and_smoothing")
    for row in run.rows:
        settings = dict(zip(row["orders"], row["settings"], strict=True))
        alpha = settings[row["chosen"]["add alpha"]["order"]]["alpha"]
        discount = settings[row["chosen"]["back-off"]["order"]]["discount"]
        assert min(ALPHAS) < alpha < max(ALPHAS)
        assert min(DISCOUNTS) < discount < max(DISCOUNTS)


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KneserNey(0, 5), "order=0; an n-gram has at least 1 token"),
        (lambda: MaximumLikelihood(-2, 5), "order=-2"),
        (lambda: KneserNey(2, 1), "vocab_size=1"),
        (lambda: Additive(2, 5, alpha=0), "alpha=0; .*above 0"),
        (lambda: Additive(2, 5, alpha=-1.0), "alpha=-1.0"),
        (lambda: Additive(2, 5, alpha=math.nan), "alpha=nan"),
        (lambda: Interpolated(2, 5, (0.5, 0.5)), r"2 lambdas for order=2; .*= 3"),
        (
            lambda: Interpolated(2, 5, (0.2, 0.3, 0.4)),
            r"sum to 0\.9; they must sum to 1",
        ),
        (lambda: Interpolated(2, 5, (0.5, -0.5, 1.0)), "all must be >= 0"),
        (lambda: Interpolated(1, 5, (math.nan, 0.5)), "sum to nan"),
        (lambda: SoftmaxBigram(1), "vocab_size=1"),
        (lambda: Interpolated(2, 5, (0.0, 0.5, 0.5)), "the first above 0"),
        (lambda: BackOff(2, 5, discount=0), "discount=0; .*above 0 and below 1"),
        (lambda: BackOff(2, 5, discount=1.0), "discount=1.0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([], "0 sentences"),
        ([[0, 2, 3]], "must run from 0"),
        ([[2, 3, 1]], "must run from 0"),
        ([[0, 7, 1]], r"ids 7 \.\. 7 inside.*2 \.\. 4"),
        ([[0, 2, 0, 1]], "ids 0"),
    ],
)
def test_bad_sentences_are_refused(sentences, message):
    for fit in (KneserNey(2, 5).fit, lambda sentences: transition_counts(sentences, 5)):
        with pytest.raises(ValueError, match=message):
            fit(sentences)


def test_bad_contexts_are_refused():
    model = KneserNey(2, 5).fit([[0, 2, 1]])
    with pytest.raises(ValueError, match="the context has 0 tokens"):
        model.next_token_probs([])
    for token in (-1, 5):
        with pytest.raises(ValueError, match=rf"token id {token} is outside 0 \.\. 4"):
            model.next_token_probs([0, token])
        with pytest.raises(ValueError, match=rf"token id {token} is outside"):
            model.log_prob(torch.tensor([[0, token, 1]]))
        with pytest.raises(ValueError, match=rf"token id {token} is outside"):
            SoftmaxBigram(5)(torch.tensor([[token]]))


def test_a_model_that_has_not_counted_says_so():
    with pytest.raises(
        ValueError, match=r"KneserNey\(order=2, vocab_size=5\) has counted 0"
    ):
        KneserNey(2, 5).next_token_probs([0])
