"""The scoreboard: what a model took, how translations are scored, and how the lines are read."""

import math
from collections import Counter

import pytest
import torch

from lmcourse.data.translation import surface
from lmcourse.experiments import results
from lmcourse.experiments import scoreboard as runs
from lmcourse.markov import KneserNey, ModifiedKneserNey, SoftmaxBigram
from lmcourse.scoreboard import (
    JOBS,
    SHARES,
    Effort,
    count,
    learn,
    learning_curve,
    standings,
    translation_scores,
)
from lmcourse.training import generator, initialised, mean_bits, train
from lmcourse.transformer import small_transformer

SENTENCES = [[0, 2, 3, 4, 1], [0, 3, 4, 1], [0, 2, 4, 4, 1], [0, 4, 1]]


# ------------------------------------------------------------------------ what a model took


def test_learn_trains_as_train_does_and_keeps_the_best():
    settings = {"steps": 6, "lr": 0.3, "batch_size": 2, "evaluate_every": 2}
    models = [SoftmaxBigram(vocab_size=5) for _ in range(2)]
    effort = learn(
        models[0], SENTENCES, SENTENCES[:1], generator=generator(0, "b"), **settings
    )
    history = train(
        models[1],
        SENTENCES,
        dev=SENTENCES[:1],
        generator=generator(0, "b"),
        **settings,
    )
    assert torch.equal(models[0].linear.weight, models[1].linear.weight)
    assert effort.dev_bits == history.dev_bits
    assert list(effort.dev_bits) == [2, 4, 6]
    assert effort.tokens == history.n_tokens
    assert effort.parameters == 25
    assert mean_bits(models[0], SENTENCES[:1]) == min(effort.dev_bits.values())


def test_an_efforts_row_is_what_is_stored():
    row = Effort(
        parameters=7, seconds=0.5, tokens=40, dev_bits={10: 3.0, 20: 2.5}
    ).row()
    assert row == {
        "parameters": 7,
        "seconds": 0.5,
        "tokens": 40,
        "tokens_per_second": 80.0,
        "steps": [10, 20],
        "dev_bits": [3.0, 2.5],
    }


def test_count_keeps_the_order_that_is_best_on_the_development_text():
    stream = generator(0, "sentences")
    sentences = [
        [0, *torch.randint(2, 6, (8,), generator=stream).tolist(), 1] for _ in range(50)
    ]
    dev, rest = sentences[:10], sentences[10:]
    orders = (1, 2, 3, 4)
    bits = [mean_bits(KneserNey(n, 6).fit(rest), dev) for n in orders]
    best, _ = count([KneserNey(n, 6) for n in reversed(orders)], rest, dev)
    assert best.order == orders[bits.index(min(bits))]
    assert min(bits) < max(bits)


def test_the_parameters_of_an_n_gram_model_are_its_n_grams():
    _, effort = count([ModifiedKneserNey(3, 5)], SENTENCES, SENTENCES)
    n_grams = {
        tuple(sentence[start : start + length])
        for sentence in SENTENCES
        for length in (1, 2, 3)
        for start in range(len(sentence) - length + 1)
    }
    assert effort.parameters == len(n_grams)
    assert effort.tokens == sum(len(sentence) - 1 for sentence in SENTENCES)


# ------------------------------------------------------------------------- how good it is

WRITTEN = ["작은 토끼 는 잔다", "곰 이 곰 이 본다", "여우 는 곰 을 봤다"]
GOLD = ["작은 토끼 는 잔다", "곰 이 여우 를 본다", "곰 은 작은 여우 를 봤다"]


def n_grams(items, length):
    return Counter(
        tuple(items[start : start + length]) for start in range(len(items) - length + 1)
    )


def bleu(written, references):
    """Papineni et al. (2002) by the formula, up to 4-grams, of the whole corpus at once."""
    matches, totals = [0] * 4, [0] * 4
    for ours, gold in zip(written, references, strict=True):
        for length in range(1, 5):
            mine, theirs = (n_grams(text.split(), length) for text in (ours, gold))
            matches[length - 1] += sum((mine & theirs).values())  # clipped
            totals[length - 1] += sum(mine.values())
    size, wanted = (sum(len(t.split()) for t in some) for some in (written, references))
    precision = math.prod(m / t for m, t in zip(matches, totals, strict=True)) ** 0.25
    return 100 * min(1, math.exp(1 - wanted / size)) * precision


def chrf(written, references):
    """Popović (2015): precision and recall of character n-grams up to 6, recall twice as heavy."""
    scores = []
    for length in range(1, 7):
        match = mine = theirs = 0
        for ours, gold in zip(written, references, strict=True):
            a, b = (
                n_grams(surface(text).replace(" ", ""), length) for text in (ours, gold)
            )
            match += sum((a & b).values())
            mine, theirs = mine + sum(a.values()), theirs + sum(b.values())
        scores.append((match / mine, match / theirs))
    precision, recall = (sum(some) / 6 for some in zip(*scores, strict=True))
    return 100 * 5 * precision * recall / (4 * precision + recall)


def test_scores_are_those_of_the_formulas():
    scores = translation_scores(WRITTEN, GOLD)
    assert scores["exact"] == pytest.approx(1 / 3)
    assert scores["BLEU"] == pytest.approx(bleu(WRITTEN, GOLD))
    assert scores["chrF"] == pytest.approx(chrf(WRITTEN, GOLD))
    assert 0 < scores["BLEU"] < scores["chrF"] < 100


def test_the_gold_translations_have_the_highest_scores():
    assert translation_scores(GOLD, GOLD) == pytest.approx(
        {"exact": 1, "BLEU": 100, "chrF": 100}
    )


@pytest.mark.parametrize(
    "written, references", [([], []), (["곰"], []), (["곰"], GOLD)]
)
def test_every_translation_needs_one_reference(written, references):
    with pytest.raises(ValueError, match=f"^{len(written)} translations and "):
        translation_scores(written, references)


# ----------------------------------------------------------------------------- the experiments


def test_a_second_run_of_an_entrant_gives_the_same_quality(monkeypatch):
    monkeypatch.setitem(runs.CHARACTERS, "steps", 3)
    texts = [[0, 2, 3, 4, 3, 1], [0, 4, 3, 2, 1], [0, 2, 1]] * 4
    rows = []
    for _ in range(2):
        model = runs.untrained("GRU", 5, seed=0)
        stream = generator(0, "batches")
        effort = learn(
            model, texts, texts[:2], lr=4e-3, generator=stream, **runs.CHARACTERS
        )
        rows.append((effort.dev_bits, mean_bits(model, texts)))
    assert rows[0] == rows[1]


def test_the_entrants_begin_as_in_their_chapters():
    ours = runs.untrained("Transformer", 9, seed=3)
    theirs = initialised(lambda: small_transformer(9), 3, "Transformer")
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert set(runs.TRAINED) == {
        "RNN",
        "LSTM",
        "GRU",
        "self-attention",
        "multi-head attention",
        "Transformer",
    }


def test_the_unigram_finds_no_token_of_the_vocabulary_impossible():
    entries = runs.counted([[0, 2, 2, 1]], [[0, 2, 1]], vocab_size=4, orders=(1, 2))
    unigram, effort = entries["unigram"]
    probs = unigram(torch.tensor([[0]]))[0, 0].exp()
    assert probs.tolist() == pytest.approx([0, 2 / 6, 3 / 6, 1 / 6])
    assert effort.parameters == 4


# ------------------------------------------------------------------------------- the board


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("share", SHARES)
def test_every_line_has_a_number_for_each_seed(job, share):
    n_seeds = len(results(JOBS[job].experiment).seeds)
    lines = standings(job, share)
    assert len({line.name for line in lines}) == len(lines) >= 4
    for line in lines:
        for numbers in (line.scores, line.seconds, line.tokens_per_second):
            assert len(numbers) == n_seeds
            assert all(math.isfinite(number) for number in numbers)
        assert line.parameters > 0
    counted = {line.name.partition(",")[0] for line in lines if line.counted}
    expected = {"word by word"} if job == "translation" else {"unigram", "n-gram"}
    assert counted == expected


def test_bert_stands_where_blanks_are_filled_and_nowhere_else():
    for job in JOBS:
        names = [line.name for line in standings(job)]
        assert ("BERT" in names) == (job == "one blank")
    assert "Transformer, every word tried" in [s.name for s in standings("one blank")]


def test_a_score_is_the_one_that_is_stored():
    stored = results("scoreboard.language")
    line = next(s for s in standings("one blank", "30%") if s.name == "GRU, left side")
    assert line.scores == [
        row["shares"]["30%"]["GRU"]["left side"]["above"] for row in stored.rows
    ]


@pytest.mark.parametrize("job, share", [("chess", "100%"), ("next word", "50%")])
def test_an_unknown_job_or_share_is_refused(job, share):
    with pytest.raises(ValueError, match=f"^job='{job}', share='{share}'; jobs are"):
        standings(job, share)


def test_a_learning_curve_ends_with_the_shortest_run():
    stored = results("scoreboard.language")
    seconds, bits = learning_curve("next word", "GRU", "10%")
    entries = [row["shares"]["10%"]["GRU"] for row in stored.rows]
    assert len(seconds) == len(bits) == min(len(entry["steps"]) for entry in entries)
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert bits[0] == [entry["dev_bits"][0] for entry in entries]


@pytest.mark.parametrize("name", ["n-gram", "nobody"])
def test_only_what_was_trained_in_steps_has_a_curve(name):
    with pytest.raises(ValueError, match=f"^'{name}' was not trained in steps"):
        learning_curve("next word", name)
