"""The ladder in small: its rivals are what they are said to be, its rungs far apart."""

import json

import pytest
import torch

from benchmarks.ladder import (
    RIVALS,
    RUNGS,
    STORED,
    _batches,
    _warm_up_and_cosine,
    separations,
)
from lmcourse.data.grammar import TEACHING_GRAMMAR

VOCAB_SIZE = 104


@pytest.fixture(params=RIVALS)
def rival(request):
    torch.manual_seed(0)
    return RIVALS[request.param][0](VOCAB_SIZE)


def test_about_120_000_parameters(rival):
    assert 110_000 < sum(p.numel() for p in rival.parameters()) < 125_000


def test_the_future_does_not_change_the_past(rival):
    rival.eval()
    before, after = torch.randint(2, VOCAB_SIZE, (2, 3, 11)).unbind()
    after[:, :7] = before[:, :7]
    torch.testing.assert_close(rival(before)[:, :7], rival(after)[:, :7])
    assert not torch.allclose(rival(before)[:, 7:], rival(after)[:, 7:])


def test_an_epoch_of_batches_holds_every_sentence_once():
    sentences = [[0, *[2] * (i % 13), 1] for i in range(4096)]
    for i, sentence in enumerate(sentences):
        sentence.insert(1, i)
    batches = _batches(sentences, torch.Generator().manual_seed(0))
    for _ in range(2):
        epoch = [next(batches) for _ in range(64)]
        assert sorted(s[1] for batch in epoch for s in batch) == list(range(4096))
    spread = [max(map(len, batch)) - min(map(len, batch)) for batch in epoch]
    assert max(spread) <= 1


def test_the_learning_rate_rises_and_falls():
    factors = [_warm_up_and_cosine(step) for step in (0, 199, 1_000, 4_999)]
    assert factors[0] < factors[2] < factors[1] and factors[3] < 1e-3


def test_neighbouring_rungs_are_more_than_three_deviations_apart():
    rows = list(json.loads(STORED.read_text(encoding="utf-8"))["rows"].values())
    floor = TEACHING_GRAMMAR.entropy_per_word()
    for row in rows:  # measured on the grammar as it is now
        assert row["floor"] == pytest.approx(floor, rel=1e-5)
        assert list(row["gap"]) == list(RUNGS)
    assert len(rows) >= 4
    assert min(separations(rows).values()) > 3
