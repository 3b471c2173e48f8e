"""The linear probe: against cases that are solved by hand, and what it must not find."""

import math
import re

import pytest
import torch
from torch.nn import functional as F

from lmcourse.probing import LinearProbe


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clouds(n: int, n_features: int, n_classes: int, seed: int, distance: float):
    """Points around the corners of a simplex, one corner for each class."""
    labels = torch.randint(n_classes, (n,), generator=seeded(seed))
    noise = torch.randn(n, n_features, generator=seeded(seed + 1))
    return noise + distance * F.one_hot(labels, n_features), labels


def test_a_case_solved_by_hand():
    """Feature -1 or 1, and three of four times the class goes with it.

    By symmetry the weights are -w and w, the biases 0. Where the slope is 0,
    sigmoid(2 w) + l2 w = 3/4; so l2 below makes w = 1/2.
    """
    features = torch.tensor([-1.0, -1, -1, -1, 1, 1, 1, 1])[:, None]
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])
    l2 = (3 / 4 - 1 / (1 + math.exp(-1))) / (1 / 2)
    probe = LinearProbe().fit(features, labels, n_classes=2, l2=l2)
    expected = torch.tensor([[-0.5], [0.5]], dtype=torch.float64)
    torch.testing.assert_close(probe.weight, expected, atol=1e-7, rtol=0)
    assert probe.bias.abs().max() < 1e-7
    assert probe.predict(features).tolist() == [0] * 4 + [1] * 4
    assert probe.accuracy(features, labels) == 0.75
    # The same numbers in other units are the same case.
    moved = LinearProbe().fit(100 + 7 * features, labels, n_classes=2, l2=l2)
    torch.testing.assert_close(moved.weight, probe.weight, atol=1e-7, rtol=0)
    assert moved.predict(100 + 7 * features).tolist() == [0] * 4 + [1] * 4


def test_without_a_penalty_one_hot_features_give_the_counted_shares():
    contexts = torch.tensor([0] * 6 + [1] * 10 + [2] * 4)
    labels = torch.tensor([0, 1, 1, 2, 2, 2] + [0] * 7 + [1, 1, 2] + [2, 2, 0, 1])
    probe = LinearProbe().fit(
        F.one_hot(contexts).double(), labels, n_classes=3, l2=1e-10
    )
    table = (torch.eye(3, dtype=torch.float64) - probe.mean) / probe.std
    probs = F.linear(table, probe.weight, probe.bias).softmax(dim=1)
    shares = [[1 / 6, 2 / 6, 3 / 6], [0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]
    torch.testing.assert_close(
        probs, torch.tensor(shares, dtype=torch.float64), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("l2", [1e-3, 0.1, 3])
def test_the_slope_of_the_objective_is_zero_where_it_stops(l2):
    features, labels = clouds(300, 7, 5, seed=0, distance=2)
    probe = LinearProbe().fit(features, labels, n_classes=5, l2=l2)
    scaled = (features.double() - features.double().mean(0)) / (
        features.double().std(0, correction=0)
    )
    errors = F.linear(scaled, probe.weight, probe.bias).softmax(1) - F.one_hot(labels)
    slope = errors.T @ scaled / len(labels) + l2 * probe.weight
    assert slope.abs().max() < 1e-6
    assert errors.mean(dim=0).abs().max() < 1e-6
    assert probe.weight.abs().max() > 0.01


def test_separable_classes_are_told_apart():
    features, labels = clouds(5_000, 64, 8, seed=2, distance=12)
    probe = LinearProbe().fit(features, labels, n_classes=8)
    assert probe.accuracy(features, labels) == 1
    assert probe.accuracy(*clouds(1_000, 64, 8, seed=4, distance=12)) > 0.999


def test_random_labels_are_a_chance_hit_on_new_vectors():
    """The control: 4 classes, a quarter is right, give or take four standard deviations."""
    features, _ = clouds(4_000, 16, 4, seed=6, distance=3)
    labels = torch.randint(4, (4_000,), generator=seeded(8))
    probe = LinearProbe().fit(features[:2_000], labels[:2_000], n_classes=4)
    margin = 4 * math.sqrt(0.25 * 0.75 / 2_000)
    assert abs(probe.accuracy(features[2_000:], labels[2_000:]) - 0.25) < margin


def test_a_huge_penalty_leaves_the_majority_class():
    features, labels = clouds(90, 6, 3, seed=10, distance=12)
    labels = labels.where(labels != 1, 2)  # now class 2 is the most frequent
    assert LinearProbe().fit(features, labels, 3).accuracy(features, labels) == 1
    probe = LinearProbe().fit(features, labels, n_classes=3, l2=1e8)
    assert probe.predict(features).tolist() == [2] * 90
    shares = labels.bincount(minlength=3) / 90
    found = probe.bias.softmax(dim=0).float()
    torch.testing.assert_close(found, shares, atol=1e-3, rtol=0)


def test_it_is_deterministic_and_leaves_chance_features_and_gradients_alone():
    features, labels = clouds(200, 9, 4, seed=12, distance=1)
    before, chance = features.clone(), torch.get_rng_state()
    first = LinearProbe().fit(features.requires_grad_(), labels, n_classes=4)
    with torch.no_grad():  # as in an evaluation
        second = LinearProbe().fit(features, labels, n_classes=4)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.equal(features, before) and features.grad is None
    assert not first.weight.requires_grad and first.weight.dtype == torch.float64


def test_a_constant_feature_changes_nothing():
    features, labels = clouds(200, 5, 3, seed=14, distance=2)
    constant = torch.full((200, 1), 0.1)
    probe = LinearProbe().fit(features, labels, n_classes=3)
    more = LinearProbe().fit(torch.cat([features, constant], 1), labels, n_classes=3)
    torch.testing.assert_close(more.weight[:, :5], probe.weight, atol=1e-6, rtol=0)
    assert more.weight[:, 5].abs().max() < 1e-6


def test_repr():
    assert repr(LinearProbe()) == "LinearProbe()"
    features, labels = clouds(20, 5, 3, seed=16, distance=2)
    assert repr(LinearProbe().fit(features, labels, n_classes=4)) == (
        "LinearProbe(n_features=5, n_classes=4)"
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"features": torch.zeros(0, 2), "labels": torch.tensor([], dtype=int)},
            "0 vectors; at least 1 is needed",
        ),
        ({"n_classes": 1}, "n_classes=1; there must be at least 2"),
        ({"n_classes": 2}, "labels from 0 to 2; they must be 0 .. 1 (n_classes=2)"),
        (
            {"labels": torch.tensor([0, -1, 2])},
            "labels from -1 to 2; they must be 0 .. 2 (n_classes=3)",
        ),
        ({"l2": 0}, "l2=0; it must be above 0, and finite"),
        ({"l2": math.nan}, "l2=nan; it must be above 0, and finite"),
        (
            {"features": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, math.nan]])},
            "vector 2 holds [5.0, nan]; give numbers",
        ),
    ],
)
def test_errors_of_fit(changed, sentence):
    settings = {
        "features": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "labels": torch.tensor([0, 1, 2]),
        "n_classes": 3,
    }
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        LinearProbe().fit(**settings | changed)


def test_errors_of_predict_and_accuracy():
    with pytest.raises(ValueError, match="^the probe has 0 weights; it must be fitted"):
        LinearProbe().predict(torch.zeros(2, 3))
    features, labels = clouds(20, 5, 3, seed=18, distance=2)
    probe = LinearProbe().fit(features, labels, n_classes=3)
    sentence = "^d_features=4, fitted with 5; both must be the same$"
    with pytest.raises(ValueError, match=sentence):
        probe.predict(features[:, :4])
    with pytest.raises(ValueError, match="^0 vectors; at least 1 is needed$"):
        probe.accuracy(features[:0], labels[:0])
