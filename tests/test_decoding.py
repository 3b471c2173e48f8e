"""Decoding: the filters against other people's definitions, and one generate for all models."""

import pytest
import torch

from lmcourse.decoding import (
    choose,
    filter_logits,
    generate,
    greedy,
    keep_top_k,
    keep_top_p,
)
from lmcourse.language_models import LanguageModel, Uniform, Unigram
from lmcourse.markov import (
    Additive,
    BackOff,
    Interpolated,
    KneserNey,
    MaximumLikelihood,
    ModifiedKneserNey,
    SoftmaxBigram,
)

SENTENCES = [[0, 2, 3, 4, 1], [0, 2, 3, 5, 1], [0, 2, 6, 3, 7, 1]]
PROBS = torch.tensor([0.05, 0.4, 0.1, 0.3, 0.15])

MODELS = [
    Uniform(8),
    Unigram.fit(SENTENCES, 8),
    MaximumLikelihood(3, 8).fit(SENTENCES),
    Additive(2, 8).fit(SENTENCES),
    Interpolated(2, 8, (0.2, 0.3, 0.5)).fit(SENTENCES),
    KneserNey(3, 8).fit(SENTENCES),
    ModifiedKneserNey(3, 8).fit(SENTENCES),
    BackOff(3, 8).fit(SENTENCES),
    SoftmaxBigram(8),
]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nucleus_from_below(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """The usual implementation, written from its definition: sort upwards, drop the tail."""
    ascending, order = logits.sort(descending=False)
    drop = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
    drop[-1] = False
    return logits.masked_fill(
        torch.zeros_like(drop).scatter(0, order, drop), -torch.inf
    )


def test_greedy_takes_the_most_probable_and_the_first_of_equals():
    assert greedy(PROBS.log()) == 1
    assert greedy(torch.tensor([1.0, 3.0, 3.0])) == 1


def test_temperature_divides_the_logits():
    expected = PROBS**2 / (PROBS**2).sum()
    torch.testing.assert_close(
        filter_logits(PROBS.log(), temperature=0.5).softmax(-1), expected
    )
    flat = filter_logits(PROBS.log(), temperature=1e6).softmax(-1)
    torch.testing.assert_close(flat, torch.full((5,), 0.2), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("top_k", "kept"),
    [(1, [1]), (2, [1, 3]), (3, [1, 3, 4]), (5, [0, 1, 2, 3, 4]), (9, [*range(5)])],
)
def test_top_k_by_hand(top_k, kept):
    assert (
        keep_top_k(PROBS.log(), top_k).isfinite().nonzero().flatten().tolist() == kept
    )


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (0.01, [1]),
        (0.39, [1]),
        (0.4, [1]),
        (0.41, [1, 3]),
        (0.69, [1, 3]),
        (0.7, [1, 3]),
        (0.75, [1, 3, 4]),
        (0.85, [1, 3, 4]),
        (1, [*range(5)]),
    ],
)
def test_top_p_by_hand(top_p, kept):
    """Sorted: 0.4, 0.3, 0.15, 0.1, 0.05; kept until at least top_p is held, the edges too."""
    logits = torch.tensor([0.05, 0.4, 0.1, 0.3, 0.15], dtype=torch.float64).log()
    assert keep_top_p(logits, top_p).isfinite().nonzero().flatten().tolist() == kept


def test_top_p_1_drops_nothing_however_peaked():
    logits = torch.tensor([20.0, -20.0, -25.0])
    assert torch.equal(keep_top_p(logits, 1), logits)


def test_top_k_keeps_a_tie_and_top_p_lets_the_sort_decide():
    logits = torch.tensor([0.25, 0.25, 0.25, 0.25], dtype=torch.float64).log()
    assert keep_top_k(logits, 2).isfinite().sum() == 4
    assert keep_top_p(logits, 0.5).isfinite().sum() == 2


def test_top_p_equals_the_usual_implementation():
    for seed in range(50):
        logits = torch.randn(31, generator=seeded(seed), dtype=torch.float64)
        for top_p in (0.1, 0.5, 0.9, 0.999):
            torch.testing.assert_close(
                keep_top_p(logits, top_p), nucleus_from_below(logits, top_p)
            )


def test_filters_work_row_by_row_and_leave_their_input_alone():
    logits = torch.randn(2, 3, 5, generator=seeded(0))
    before = logits.clone()
    for keep in (lambda x: keep_top_k(x, 2), lambda x: keep_top_p(x, 0.7)):
        together = keep(logits)
        alone = torch.stack([keep(row) for row in logits.reshape(-1, 5)]).reshape(
            2, 3, 5
        )
        torch.testing.assert_close(together, alone)
    filter_logits(logits, 0.5, 2, 0.5)
    assert torch.equal(logits, before)


def test_filters_apply_in_the_order_temperature_top_k_top_p():
    """Of 0.4 0.3 0.15, rescaled: 0.47 0.35 0.18. So top_p=0.8 keeps two after top_k=3."""
    both = filter_logits(PROBS.log(), 1.0, top_k=3, top_p=0.8)
    assert both.isfinite().nonzero().flatten().tolist() == [1, 3]
    assert keep_top_p(PROBS.log(), 0.8).isfinite().sum() == 3


def test_temperature_comes_before_top_p():
    """At temperature 0.5: 0.16 0.09 0.0225 0.01 0.0025, of 0.285: the first two hold 0.877."""
    cold = filter_logits(PROBS.log(), temperature=0.5, top_p=0.85)
    assert cold.isfinite().nonzero().flatten().tolist() == [1, 3]
    assert keep_top_p(PROBS.log(), 0.84).isfinite().sum() == 3


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_one_generate_serves_every_model(model):
    text = generate(model, [0], 12, generator=seeded(3))
    assert text[0] == 0 and 1 < len(text) <= 13
    assert 0 not in text[1:-1] and 1 not in text[:-1]
    assert text == generate(model, [0], 12, generator=seeded(3))
    if not isinstance(model, MaximumLikelihood):
        assert (
            len(
                {tuple(generate(model, [0], 12, generator=seeded(i))) for i in range(9)}
            )
            > 1
        )


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_temperature_0_and_top_k_1_are_greedy(model):
    text = generate(model, [0], 6, temperature=0)
    for t in range(1, len(text)):
        scores = model(torch.tensor([text[:t]]))[0, -1]
        assert text[t] == 1 + greedy(scores[1:])  # <s> is never generated
    if isinstance(model, KneserNey):
        assert text == generate(model, [0], 6, temperature=1e-4, generator=seeded(0))


def test_generate_continues_the_beginning_and_stops_at_eos():
    model = MaximumLikelihood(2, 8).fit([[0, 2, 3, 4, 1]])
    assert generate(model, [0, 2], 10) == [0, 2, 3, 4, 1]
    assert generate(model, [0, 2], 2) == [0, 2, 3, 4]
    assert generate(model, [0, 2], 0) == [0, 2]
    assert generate(model, [0, 2], 10, eos_id=3) == [0, 2, 3]


def test_generate_leaves_the_beginning_unchanged():
    beginning = [0, 2]
    generate(MODELS[2], beginning, 5)
    assert beginning == [0, 2]


def test_samples_follow_the_probabilities():
    """1,000 draws: every frequency within four standard errors."""
    model, n = Additive(2, 8).fit(SENTENCES), 1000
    source = seeded(0)
    drawn = torch.tensor(
        [generate(model, [0, 2], 1, generator=source)[-1] for _ in range(n)]
    )
    probs = model.next_token_probs([0, 2])
    error = (probs * (1 - probs) / n).sqrt()
    assert ((drawn.bincount(minlength=8) / n - probs).abs() <= 4 * error).all()


class Table(LanguageModel):
    """Gives back the table it holds, and says whether it was asked in training mode."""

    def __init__(self, logits):
        super().__init__()
        self.vocab_size = len(logits)
        self.table = torch.tensor(logits)
        self.modes = []

    def forward(self, token_ids):
        self.modes.append(self.training)
        return self.table.expand(*token_ids.shape, -1)


@pytest.mark.parametrize("training", [True, False])
def test_generate_evaluates_and_gives_the_mode_back(training):
    model = Table([0.0, 1.0, 2.0]).train(training)
    generate(model, [0], 3, temperature=0)
    assert model.modes == [False] * 3
    assert model.training == training
    with pytest.raises(ValueError):
        generate(model, [0], 3, top_k=0)
    assert model.training == training


def test_what_the_model_returned_stays_as_it_was():
    model = Table([5.0, 1.0, 2.0])
    assert generate(model, [0], 2, temperature=0) == [0, 2, 2]
    assert model.table.tolist() == [5.0, 1.0, 2.0]


def test_an_impossible_continuation_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="all 8 tokens probability 0"):
        generate(MaximumLikelihood(3, 8).fit(SENTENCES), [0, 4, 2], 3)
    for temperature in (0, 1.0):
        with pytest.raises(ValueError, match="NaN"):
            choose(torch.tensor([0.0, 1.0, torch.nan]), temperature)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1}, "temperature=-1; .*> 0"),
        ({"temperature": float("inf")}, "temperature=inf; .*finite"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"temperature": 1e-320}, "temperature=1e-320"),
        ({"top_k": 0}, "top_k=0; .*at least 1"),
        ({"temperature": 0, "top_k": 0}, "top_k=0"),
        ({"temperature": 0, "top_p": 7}, "top_p=7"),
        ({"top_p": 0}, "top_p=0; .*above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p=1.5"),
        ({"top_p": float("nan")}, "top_p=nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        generate(Uniform(5), [0], 3, **settings)


def test_filters_have_no_temperature_0():
    with pytest.raises(ValueError, match="temperature=0"):
        filter_logits(PROBS.log(), temperature=0)


@pytest.mark.parametrize(
    ("token_ids", "n_tokens"), [([], 3), ([2, 3], 3), ([0, 2, 1], 3), ([0], -5)]
)
def test_a_beginning_that_is_none_is_refused(token_ids, n_tokens):
    with pytest.raises(ValueError, match="must start with <s>"):
        generate(Uniform(5), token_ids, n_tokens)


def test_unknown_tokens_are_refused():
    with pytest.raises(ValueError, match="token id 9 is outside"):
        generate(Uniform(5), [0, 9], 3)
