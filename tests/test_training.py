"""Training: named streams of chance, and a loop that learns what counting finds."""

import math

import pytest
import torch

from lmcourse.language_models import cross_entropy
from lmcourse.markov import MaximumLikelihood, SoftmaxBigram
from lmcourse.training import draw, generator, set_threads, train

SENTENCES = [[0, 2, 3, 4, 1], [0, 2, 3, 5, 1], [0, 2, 6, 3, 7, 1]]


def test_named_streams_are_reproducible_and_independent():
    def stream(seed, name):
        return torch.rand(3, generator=generator(seed, name)).tolist()

    assert stream(0, "data") == stream(0, "data")
    streams = {
        tuple(stream(seed, name)) for seed in range(5) for name in ("data", "weights")
    }
    assert len(streams) == 10
    assert stream(1, "1") != stream(11, "")


def test_loss_starts_at_the_uniform_level_and_ends_at_the_entropy_of_the_table():
    losses = train(SoftmaxBigram(8), SENTENCES, steps=200, lr=1)
    assert losses[0] == pytest.approx(3)  # log2 of 8 tokens, <s> still among them
    best = cross_entropy(MaximumLikelihood(2, 8).fit(SENTENCES), SENTENCES)
    assert losses[-1] == pytest.approx(best, abs=1e-3)
    assert len(losses) == 200 and losses[-1] < losses[100] < losses[0]


def test_training_repeats_exactly():
    def weights(seed):
        model = SoftmaxBigram(8)
        train(
            model,
            SENTENCES,
            steps=20,
            lr=0.1,
            batch_size=2,
            generator=generator(seed, "draw"),
        )
        return model.linear.weight

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_padding_gives_no_gradient():
    """One long and one short sentence: the row of </s>, only ever padding's context, stays 0."""
    model = SoftmaxBigram(8)
    train(model, [[0, 2, 1], [0, 2, 3, 4, 5, 1]], steps=5, lr=1)
    assert torch.equal(model.linear.weight[:, 1], torch.zeros(8, dtype=torch.float64))
    assert (model.linear.weight[:, 2] != 0).all()


def test_draw_takes_all_or_a_batch():
    assert draw(SENTENCES, None) is SENTENCES
    drawn = draw(SENTENCES, 50, generator(0, "draw"))
    assert len(drawn) == 50 and all(sentence in SENTENCES for sentence in drawn)
    assert {len(sentence) for sentence in drawn} == {5, 6}


def test_set_threads_sets_the_threads():
    before = torch.get_num_threads()
    set_threads(1)
    assert torch.get_num_threads() == 1
    set_threads(before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps=0; it must be above 0"),
        ({"lr": -0.1}, "lr=-0.1; it must be above 0"),
        ({"lr": math.inf}, "lr=inf; it must be above 0, and finite"),
        ({"batch_size": 0}, "batch_size=0; it must be above 0"),
        ({"sentences": []}, "0 sentences"),
        ({"sentences": [[0, 2, 3]]}, "must run from 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    settings = {"sentences": SENTENCES, "steps": 3, "lr": 0.1} | settings
    with pytest.raises(ValueError, match=message):
        train(SoftmaxBigram(8), **settings)


def test_a_counted_model_is_not_trained():
    with pytest.raises(ValueError, match="0 parameters to train"):
        train(MaximumLikelihood(2, 8).fit(SENTENCES), SENTENCES, steps=3, lr=0.1)
