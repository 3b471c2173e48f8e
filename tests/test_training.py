"""Training: streams of chance, batches, the loop beside torch's own parts, runs that go on."""

import itertools
import math
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lmcourse import training
from lmcourse.language_models import cross_entropy
from lmcourse.markov import MaximumLikelihood, SoftmaxBigram
from lmcourse.rnn import GRU, LSTM, RNNLanguageModel
from lmcourse.training import (
    Batches,
    History,
    Run,
    best_device,
    clip_gradients,
    generator,
    initialised,
    learning_rate_factor,
    mean_bits,
    predicted_log_probs,
    set_threads,
    sources_of_chance,
    take_step,
    train,
)

SENTENCES = [[0, 2, 3, 4, 1], [0, 2, 3, 5, 1], [0, 2, 6, 3, 7, 1]]


def some_sentences(n: int, seed: int = 0) -> list[list[int]]:
    """Of 2 to 7 words, from a vocabulary of 9 tokens."""
    stream = generator(seed, "sentences")
    return [
        [0, *torch.randint(2, 9, (2 + i % 6,), generator=stream).tolist(), 1]
        for i in range(n)
    ]


# ---- chance and machine --------------------------------------------------------------------------


def test_named_streams_are_reproducible_and_independent():
    def stream(seed, name):
        return torch.rand(3, generator=generator(seed, name)).tolist()

    assert stream(0, "data") == stream(0, "data")
    streams = {
        tuple(stream(seed, name)) for seed in range(5) for name in ("data", "weights")
    }
    assert len(streams) == 10
    assert stream(1, "1") != stream(11, "")


def test_initialised_depends_on_seed_and_name_alone():
    def weight(seed, name, torch_seed=0):
        torch.manual_seed(torch_seed)
        return initialised(lambda: nn.Linear(3, 2), seed, name).weight

    assert torch.equal(weight(0, "a"), weight(0, "a", torch_seed=1))
    assert not torch.equal(weight(0, "a"), weight(1, "a"))
    assert not torch.equal(weight(0, "a"), weight(0, "b"))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    initialised(lambda: nn.Linear(3, 2), 0, "a")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_best_device(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device() == expected


def test_a_device_has_a_source_of_chance_of_its_own():
    for name in ("cuda", "mps"):
        assert sources_of_chance(torch.device(name)) == {
            "cpu": torch,
            name: getattr(torch, name),
        }


def test_set_threads_sets_the_threads():
    before = torch.get_num_threads()
    set_threads(1)
    assert torch.get_num_threads() == 1
    set_threads(before)


# ---- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", (2, 32))
def test_each_example_comes_once_an_epoch(monkeypatch, group):
    monkeypatch.setattr(Batches, "GROUP", group)
    examples = some_sentences(103)
    batches = Batches(examples, 7, generator(0, "batches"))
    epochs = [list(itertools.islice(batches, 15)) for _ in range(3)]
    for epoch in epochs:
        assert sorted(map(len, epoch)) == [5] + [7] * 14
        assert sorted(itertools.chain(*epoch)) == sorted(examples)
    companies = [
        {tuple(sorted(map(tuple, batch))) for batch in epoch} for epoch in epochs
    ]
    assert companies[0] != companies[1] != companies[2]  # not only the order differs


def test_a_batch_holds_similar_lengths_and_the_batches_come_in_any_order():
    batches = Batches(some_sentences(96), 8, generator(0, "batches"))
    epoch = [sorted(map(len, batch)) for batch in itertools.islice(batches, 12)]
    by_length = sorted(epoch)
    assert epoch != by_length
    for shorter, longer in itertools.pairwise(by_length):
        assert shorter[-1] <= longer[0]


def test_pairs_are_sorted_by_all_their_tokens():
    pairs = [([0] * n, [0] * (3 * n % 11 + 1)) for n in range(1, 11)]
    epoch = list(itertools.islice(Batches(pairs, 2, generator(0, "batches")), 5))
    sizes = sorted(
        sorted(len(source) + len(target) for source, target in batch) for batch in epoch
    )
    assert sum(sizes, []) == sorted(len(s) + len(t) for s, t in pairs)


@pytest.mark.parametrize("n_batches", (0, 1, 4, 5, 6, 23))  # 5 an epoch
@pytest.mark.parametrize("batch_size", (4, None))
def test_skipping_is_drawing(n_batches, batch_size):
    examples = some_sentences(18)
    drawn, skipped = (
        Batches(examples, batch_size, generator(0, "batches")) for _ in range(2)
    )
    list(itertools.islice(drawn, n_batches))
    skipped.skip(n_batches)
    for batch, expected in itertools.islice(zip(skipped, drawn, strict=False), 8):
        assert batch == expected


def test_the_order_is_the_generators():
    def order(batches):
        return list(itertools.islice(batches, 10))

    examples = some_sentences(18)

    def seeded(seed):
        return order(Batches(examples, 4, generator(seed, "batches")))

    assert seeded(0) == seeded(0) != seeded(1)

    def from_torch(seed):
        torch.manual_seed(seed)
        return order(Batches(examples, 4))

    assert from_torch(0) == from_torch(0) != from_torch(1)


def test_without_a_batch_size_all_come_in_their_order():
    batches = Batches(SENTENCES)
    assert next(batches) is SENTENCES and next(batches) is SENTENCES


def test_a_batch_may_be_larger_than_all_examples():
    batches = Batches(SENTENCES, 50, generator(0, "batches"))
    assert sorted(next(batches)) == sorted(next(batches)) == sorted(SENTENCES)


# ---- one step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", (0.5, 3, 1e6, math.inf))
def test_clipping_equals_torchs(max_norm):
    parameters = [nn.Parameter(torch.zeros(*shape)) for shape in ((3, 4), (5,), (2,))]
    twins = [nn.Parameter(torch.zeros_like(part)) for part in parameters]
    torch.manual_seed(0)
    for part, twin in zip(parameters[:2], twins[:2], strict=True):  # one has none
        part.grad = 2 * torch.randn(part.shape)
        twin.grad = part.grad.clone()
    norm = clip_gradients(parameters, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(twins, max_norm)
    torch.testing.assert_close(norm, expected)
    for part, twin in zip(parameters[:2], twins[:2], strict=True):
        torch.testing.assert_close(part.grad, twin.grad)
    assert parameters[2].grad is None


def test_clipping_without_a_gradient():
    assert clip_gradients([nn.Parameter(torch.zeros(2))], 1) == 0


@pytest.mark.parametrize("max_norm", (0, -1.0, math.nan))
def test_clipping_to_nothing_is_refused(max_norm):
    with pytest.raises(ValueError, match=f"max_norm={max_norm}; it must be above 0"):
        clip_gradients([nn.Parameter(torch.zeros(2))], max_norm)
    with pytest.raises(ValueError, match="max_norm"):
        train(SoftmaxBigram(8), SENTENCES, steps=2, lr=0.1, max_norm=max_norm)


def test_one_step_worked_by_hand():
    """Adam's first step is lr times the sign of the gradient; AdamW shrinks the weights before.

    From <s> comes 2, and then </s>. All logits begin as 0, so the gradient is 1/3 where the token
    does not come and -2/3 where it does, halved by the mean over two tokens: never 0.
    """
    model = SoftmaxBigram(3)
    with torch.no_grad():
        model.linear.weight.fill_(2.0)
    history = train(model, [[0, 2, 1]], steps=1, lr=0.1, weight_decay=0.5)
    assert history.losses == [pytest.approx(math.log2(3))]
    shrunk = 2.0 * (1 - 0.1 * 0.5)
    down, up = shrunk - 0.1, shrunk + 0.1
    expected = torch.tensor(  # (next token, token): columns <s>, </s> (never read), 2
        [[down, shrunk, down], [down, shrunk, up], [up, shrunk, down]],
        dtype=torch.float64,
    )
    torch.testing.assert_close(
        model.linear.weight.detach(), expected, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("max_norm", (0.05, math.inf))
def test_the_loop_equals_torchs_parts(max_norm):
    """AdamW, clip_grad_norm_ and CosineAnnealingLR, on the same batches."""
    sentences, steps = some_sentences(18), 30
    model = initialised(lambda: RNNLanguageModel(9, GRU(4, 5)), 0, "model").double()
    twin = initialised(lambda: RNNLanguageModel(9, GRU(4, 5)), 0, "model").double()
    settings = {"steps": steps, "lr": 0.02, "weight_decay": 0.1, "max_norm": max_norm}
    stream = generator(0, "batches")
    history = train(model, sentences, batch_size=4, generator=stream, **settings)

    optimizer = torch.optim.AdamW(twin.parameters(), lr=0.02, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    losses, n_tokens = [], 0
    batches = Batches(sentences, 4, generator(0, "batches"))
    for batch in itertools.islice(batches, steps):
        parts = [
            nn.functional.cross_entropy(
                twin(torch.tensor([sentence[:-1]]))[0],
                torch.tensor(sentence[1:]),
                reduction="none",
            )
            for sentence in batch
        ]
        loss = torch.cat(parts).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), max_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item() / math.log(2))
        n_tokens += sum(map(len, parts))
    assert history.losses == pytest.approx(losses, abs=1e-9)
    assert history.n_tokens == n_tokens
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


def rates(monkeypatch, **settings) -> list[float]:
    """The learning rate of each step of a run."""
    seen = []

    def watching(model, examples, optimizer, max_norm):
        seen.append(optimizer.param_groups[0]["lr"])
        return take_step(model, examples, optimizer, max_norm)

    monkeypatch.setattr(training, "take_step", watching)
    train(SoftmaxBigram(8), SENTENCES, **settings)
    return seen


def test_the_learning_rate_falls_as_torchs(monkeypatch):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=17)
    expected = []
    for _ in range(17):
        expected += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    assert rates(monkeypatch, steps=17, lr=0.3) == pytest.approx(expected)
    assert learning_rate_factor(17, steps=17) == pytest.approx(0)


def test_the_learning_rate_rises_on_a_line(monkeypatch):
    warm, cold = (
        rates(monkeypatch, steps=40, lr=0.3, warm_up=n_steps) for n_steps in (4, 0)
    )
    assert warm[:3] == pytest.approx([0.3 * 1 / 4, 0.3 * 2 / 4, 0.3 * 3 / 4])
    assert warm[3:] == cold[3:]


# ---- what the loop learns ------------------------------------------------------------------------


def test_loss_starts_at_the_uniform_level_and_ends_at_the_entropy_of_the_table():
    losses = train(SoftmaxBigram(8), SENTENCES, steps=200, lr=1).losses
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


def test_mean_bits_is_the_cross_entropy():
    torch.manual_seed(0)
    model = RNNLanguageModel(9, LSTM(4, 5), dropout=0.5).double()
    sentences = some_sentences(23)
    expected = cross_entropy(model, sentences)
    for batch_size in (1, 5, 250):
        assert mean_bits(model, sentences, batch_size) == pytest.approx(expected)
    assert model.training
    assert mean_bits(model.eval(), sentences) == pytest.approx(expected)
    assert not model.training


class Copier(nn.Module):
    """A model of pairs: each target token from the source token at its place."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 9)

    def predicted_log_probs(self, pairs):
        source = torch.tensor([token for pair in pairs for token in pair[0]])
        target = torch.tensor([token for pair in pairs for token in pair[1]])
        log_probs = self.table(source).log_softmax(dim=-1)
        return log_probs.gather(-1, target[:, None]).squeeze(-1)


def test_a_model_of_pairs_says_itself_what_it_predicts():
    pairs = [(s, [10 - token for token in s[1:-1]]) for s in some_sentences(40)]
    pairs = [(source[1:-1], target) for source, target in pairs]
    torch.manual_seed(0)
    model = Copier()
    history = train(
        model, pairs, steps=150, lr=0.3, batch_size=8, dev=pairs, evaluate_every=50
    )
    assert history.losses[0] > 2 and history.losses[-1] < 0.05
    assert list(history.dev_bits) == [50, 100, 150]
    assert history.dev_bits[150] == pytest.approx(mean_bits(model, pairs), abs=1e-6)
    log_probs = predicted_log_probs(model, pairs[:2])
    assert len(log_probs) == sum(len(target) for _, target in pairs[:2])


# ---- development examples ------------------------------------------------------------------------


def test_history_holds_what_was_seen():
    model, dev = SoftmaxBigram(8), [[0, 2, 3, 1]]
    history = train(model, SENTENCES, steps=12, lr=0.1, dev=dev, evaluate_every=5)
    assert list(history.dev_bits) == [5, 10, 12]
    assert history.dev_bits[12] == pytest.approx(cross_entropy(model, dev))
    assert history.best_step == 12
    assert history.n_tokens == 12 * (4 + 4 + 5)
    assert repr(history) == "History(12 steps, 156 tokens)"
    without = train(SoftmaxBigram(8), SENTENCES, steps=12, lr=0.1)
    assert without.losses == history.losses  # looking changes nothing
    assert without.dev_bits == {} and without.best_step is None


def measured(monkeypatch, bits, **settings):
    """A run whose measurements are given, and the weights at each of them."""
    weights, bits = [], iter(bits)

    def fake(model, examples):
        weights.append(model.linear.weight.detach().clone())
        return next(bits)

    monkeypatch.setattr(training, "mean_bits", fake)
    model = SoftmaxBigram(8)
    history = train(
        model, SENTENCES, lr=0.1, dev=SENTENCES, evaluate_every=3, **settings
    )
    return history, model.linear.weight, weights


def test_the_model_ends_as_it_was_when_it_was_best(monkeypatch):
    bits = [3.0, 2.0, 2.0, 2.5, 2.1]
    history, weight, weights = measured(monkeypatch, bits, steps=15)
    assert history.best_step == 6  # the first of two that are level
    assert torch.equal(weight, weights[1])
    assert not torch.equal(weight, weights[2])
    assert len(history.losses) == 15


@pytest.mark.parametrize(("patience", "n_measured"), [(1, 3), (2, 6), (3, 7)])
def test_patience_ends_a_run(monkeypatch, patience, n_measured):
    bits = [3.0, 2.0, 2.5, 1.5, 1.6, 1.5, 1.7, 1.0, 1.0, 1.0]
    history, weight, weights = measured(monkeypatch, bits, steps=30, patience=patience)
    assert len(history.dev_bits) == len(weights) == n_measured
    assert len(history.losses) == 3 * n_measured
    best = bits[:n_measured].index(min(bits[:n_measured]))
    assert torch.equal(weight, weights[best])


def test_a_model_that_over_fits_is_stopped():
    """What is learned by heart does not help with other sentences, so it gets worse there."""
    model = initialised(lambda: RNNLanguageModel(9, LSTM(8, 32)), 0, "model")
    history = train(
        model,
        some_sentences(10, seed=0),
        steps=400,
        lr=0.03,
        dev=some_sentences(40, seed=1),
        evaluate_every=10,
        patience=3,
    )
    assert len(history.losses) == history.best_step + 30 < 400
    best = mean_bits(model, some_sentences(40, seed=1))
    assert best == pytest.approx(min(history.dev_bits.values()), abs=1e-6)


# ---- checkpoints ---------------------------------------------------------------------------------


class Killed(Exception):
    pass


STEPS = 17
SETTINGS = {
    "steps": STEPS,
    "lr": 0.02,
    "batch_size": 4,
    "warm_up": 3,
    "weight_decay": 0.1,
    "max_norm": 0.5,
    "evaluate_every": 3,
    "save_every": 4,
}


def small_model(seed: int = 0, tied: bool = False) -> RNNLanguageModel:
    """With dropout, so that torch's own chance matters."""
    model = initialised(
        lambda: RNNLanguageModel(9, GRU(6, 6, n_layers=2), dropout=0.3), seed, "model"
    )
    if tied:
        model.output.weight = model.embedding.weight
    return model


def run_small(model, seed: int = 0, examples=None, **settings) -> History:
    """18 sentences, 5 batches an epoch: the run goes through several epochs."""
    settings = {"generator": generator(0, "batches")} | SETTINGS | settings
    torch.manual_seed(seed)
    return train(
        model,
        some_sentences(18) if examples is None else examples,
        dev=some_sentences(10, seed=1),
        **settings,
    )


def killed_at(monkeypatch, n_steps, work):
    """Let the work be killed when it begins a step after so many."""
    calls = itertools.count()

    def mortal(*arguments):
        if next(calls) == n_steps:
            raise Killed
        return take_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "take_step", mortal)
        with pytest.raises(Killed):
            work()


def assert_same_run(model, history, expected_model, expected_history):
    assert history == expected_history  # losses, dev_bits and tokens, to the last bit
    for part, expected in zip(
        model.parameters(), expected_model.parameters(), strict=True
    ):
        assert torch.equal(part, expected)


@pytest.mark.usefixtures("runs_go_on")
@pytest.mark.parametrize("tied", (False, True))
@pytest.mark.parametrize("n_steps", (4, 5, 7, 8, 12, 16))  # saved after 4, 8, 12, 16
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    monkeypatch, tmp_path, n_steps, tied
):
    expected_model = small_model(tied=tied)
    expected = run_small(expected_model)
    path = tmp_path / "folder" / "run.safetensors"
    killed_at(
        monkeypatch, n_steps, lambda: run_small(small_model(tied=tied), checkpoint=path)
    )
    # All that the new process brings along is other: weights and torch's chance.
    model = small_model(seed=1, tied=tied)
    history = run_small(model, seed=1, checkpoint=path)
    assert_same_run(model, history, expected_model, expected)


@pytest.mark.usefixtures("runs_go_on")
def test_a_run_may_be_killed_again_and_again(monkeypatch, tmp_path):
    expected_model = small_model()
    expected = run_small(expected_model)
    path = tmp_path / "run.safetensors"
    for n_steps in (3, 6, 1, 5, 4, 2):  # counted from where it went on
        killed_at(
            monkeypatch, n_steps, lambda: run_small(small_model(), checkpoint=path)
        )
    model = small_model(seed=1)
    history = run_small(model, seed=1, checkpoint=path)
    assert_same_run(model, history, expected_model, expected)


@pytest.mark.usefixtures("runs_go_on")
def test_a_run_without_a_generator_goes_on_in_the_same_order(monkeypatch, tmp_path):
    expected_model = small_model()
    expected = run_small(expected_model, generator=None)
    path = tmp_path / "run.safetensors"
    killed_at(
        monkeypatch,
        14,
        lambda: run_small(small_model(), checkpoint=path, generator=None),
    )
    model = small_model(seed=1)
    history = run_small(model, seed=1, checkpoint=path, generator=None)
    assert_same_run(model, history, expected_model, expected)


@pytest.mark.usefixtures("runs_go_on")
def test_a_generator_that_was_used_before_goes_on_too(monkeypatch, tmp_path):
    def used():
        stream = generator(0, "batches")
        torch.rand(5, generator=stream)
        return stream

    expected_model = small_model()
    expected = run_small(expected_model, generator=used())
    path = tmp_path / "run.safetensors"
    killed_at(
        monkeypatch,
        14,
        lambda: run_small(small_model(), checkpoint=path, generator=used()),
    )
    model = small_model(seed=1)
    history = run_small(model, seed=1, checkpoint=path)  # fresh, of the same seed
    assert_same_run(model, history, expected_model, expected)


@pytest.mark.usefixtures("runs_go_on")
def test_a_checkpoint_changes_nothing_and_ends_a_run(monkeypatch, tmp_path):
    expected_model = small_model()
    expected = run_small(expected_model)
    path = tmp_path / "run.safetensors"
    model = small_model()
    assert_same_run(model, run_small(model, checkpoint=path), expected_model, expected)
    # A second call finds everything done: it makes no step.
    monkeypatch.setattr(training, "take_step", None)
    model = small_model(seed=1)
    assert_same_run(model, run_small(model, checkpoint=path), expected_model, expected)


@pytest.mark.usefixtures("runs_go_on")
def test_a_run_that_lost_patience_is_saved_as_it_ended(monkeypatch, tmp_path):
    bits = iter([3.0, 2.0, 2.5, 2.5])
    monkeypatch.setattr(training, "mean_bits", lambda model, examples: next(bits))
    path = tmp_path / "run.safetensors"
    model = small_model()
    history = run_small(model, checkpoint=path, patience=2, save_every=5)
    assert len(history.losses) == 12  # between two saves
    monkeypatch.setattr(training, "take_step", None)
    again = small_model(seed=1)
    later = run_small(again, checkpoint=path, patience=2, save_every=5)
    assert_same_run(again, later, model, history)


@pytest.mark.usefixtures("runs_go_on")
def test_a_save_that_fails_leaves_the_old_file(monkeypatch, tmp_path):
    path = tmp_path / "run.safetensors"
    killed_at(monkeypatch, 5, lambda: run_small(small_model(), checkpoint=path))
    before = path.read_bytes()

    def failing(tensors, partial, metadata):
        save_file(tensors, partial, metadata)
        whole = partial.read_bytes()
        partial.write_bytes(whole[: len(whole) // 2])
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_file", failing)
        with pytest.raises(OSError, match="no space left"):
            run_small(small_model(), checkpoint=path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    # And what is there can be gone on from.
    expected_model, model = small_model(), small_model(seed=1)
    expected = run_small(expected_model)
    history = run_small(model, seed=1, checkpoint=path)
    assert_same_run(model, history, expected_model, expected)


# Each child saves in a loop, piece by piece, until it is killed: a little later than the last.
KILLED_WHILE_SAVING = """
import os, signal, sys, time
import torch
from safetensors.torch import save
from lmcourse import training
from lmcourse.markov import SoftmaxBigram

def save_file(tensors, path, metadata):
    content = save(tensors, metadata)
    with open(path, "wb", buffering=0) as file:
        for start in range(0, len(content), 10_000):
            file.write(content[start : start + 10_000])

torch.set_num_threads(1)
training.save_file = save_file
model = SoftmaxBigram(300)
optimizer = torch.optim.AdamW(model.parameters())
run = training.Run(model, optimizer, training.Batches([]), steps=1)
for delay, path in enumerate(sys.argv[1:]):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            run.history.losses.append(0.0)
            torch.nn.init.constant_(model.linear.weight, run.step)
            run.save(path)
            os.write(writer, b"saved")
    os.read(reader, 5)
    time.sleep(0.003 * delay)
    os.kill(child, signal.SIGKILL)  # the signal that cannot be caught
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_file(tmp_path):
    """All weights of a save are the number of its step: a file of two halves would show."""
    paths = [tmp_path / f"{i}.safetensors" for i in range(16)]
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, *paths]
    subprocess.run(command, check=True, timeout=300)
    model = SoftmaxBigram(300)
    optimizer = torch.optim.AdamW(model.parameters())
    for path in paths:
        run = Run(model, optimizer, Batches([]), steps=1)
        run.load(path)
        assert run.step >= 1
        assert (model.linear.weight == run.step).all()


@pytest.mark.parametrize(
    "other",
    [
        {"steps": 18},
        {"lr": 0.03},
        {"batch_size": 5},
        {"warm_up": 2},
        {"weight_decay": 0},
        {"max_norm": math.inf},
        {"generator": generator(1, "batches")},
        {"examples": some_sentences(17)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_run_with_other_settings_does_not_go_on(monkeypatch, tmp_path, other):
    path = tmp_path / "run.safetensors"
    killed_at(monkeypatch, 5, lambda: run_small(small_model(), checkpoint=path))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="was saved with .* this run has") as error:
        run_small(small_model(), checkpoint=path, **other)
    name, value = next(iter(other.items()))
    if name in SETTINGS:
        assert f"'{name}': {SETTINGS[name]}" in str(error.value)
        assert f"'{name}': {value}" in str(error.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (GRU(6, 7, 2), r"weight_ih has shape \(18, 6\) there and \(21, 6\) here"),
        (LSTM(6, 6, 2), r"weight_ih has shape \(18, 6\) there and \(24, 6\) here"),
        (GRU(6, 6, 1), r"cells.1.bias_hh has shape \(18,\) there and None here"),
        (GRU(6, 6, 3), r"cells.2.weight_ih has shape None there and \(18, 6\) here"),
    ],
    ids=("wider", "of another kind", "fewer layers", "more layers"),
)
def test_another_model_does_not_go_on(monkeypatch, tmp_path, layers, message):
    path = tmp_path / "run.safetensors"
    killed_at(monkeypatch, 5, lambda: run_small(small_model(), checkpoint=path))
    with pytest.raises(ValueError, match=f"is of another model: .*{message}"):
        run_small(RNNLanguageModel(9, layers), checkpoint=path)


@pytest.mark.parametrize("content", ("empty", "text", "half", "weights", "folder"))
def test_a_file_that_is_no_checkpoint_is_refused(monkeypatch, tmp_path, content):
    path = tmp_path / "run.safetensors"
    if content == "half":
        killed_at(monkeypatch, 5, lambda: run_small(small_model(), checkpoint=path))
        path.write_bytes(path.read_bytes()[:-100])
    elif content == "weights":
        save_file(small_model().state_dict(), path)
    elif content == "folder":
        path.mkdir()
    else:
        path.write_text("" if content == "empty" else "a text\n" * 50, encoding="utf-8")
    with pytest.raises(
        ValueError, match="run.safetensors is no checkpoint of a training run; give"
    ):
        run_small(small_model(), checkpoint=path)


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps=0; it must be above 0"),
        ({"lr": 0}, "lr=0; it must be above 0"),
        ({"lr": -0.1}, "lr=-0.1; it must be above 0"),
        ({"lr": math.inf}, "lr=inf; it must be above 0, and finite"),
        ({"lr": math.nan}, "lr=nan; it must be above 0"),
        ({"batch_size": 0}, "batch_size=0; it must be above 0"),
        ({"evaluate_every": 0}, "evaluate_every=0; it must be above 0"),
        ({"save_every": 0}, "save_every=0; it must be above 0"),
        ({"patience": 0}, "patience=0; it must be above 0"),
        ({"warm_up": -1}, "warm_up=-1; it must be at least 0"),
        ({"examples": []}, "0 sentences"),
        ({"examples": [[0, 2, 3]]}, "must run from 0"),
        ({"dev": []}, "0 sentences"),
        ({"dev": [[0, 9, 1]]}, "must be 2 .. 7"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    settings = {"examples": SENTENCES, "steps": 3, "lr": 0.1} | settings
    with pytest.raises(ValueError, match=message):
        train(SoftmaxBigram(8), **settings)


@pytest.mark.parametrize("settings", ({"examples": []}, {"dev": []}))
def test_a_model_of_pairs_needs_examples_too(settings):
    settings = {"examples": [([2], [3])], "steps": 3, "lr": 0.1} | settings
    with pytest.raises(ValueError, match="0 examples; at least 1 is needed"):
        train(Copier(), **settings)


def test_a_counted_model_is_not_trained():
    with pytest.raises(ValueError, match="0 parameters to train"):
        train(MaximumLikelihood(2, 8).fit(SENTENCES), SENTENCES, steps=3, lr=0.1)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(
        ValueError, match=r"the loss is (inf|nan) at step 1; a lower lr than 1e\+308"
    ):
        train(
            SoftmaxBigram(8),
            SENTENCES,
            steps=9,
            lr=1e308,
            checkpoint=path,
            save_every=2,
        )
    assert not path.exists()
