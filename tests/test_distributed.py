"""Several processes: the step of the joined batch, runs that go on, errors told once, speed.

Run as a script, this file is one of two processes. They start once, do everything that takes two,
and write down what they saw; the tests compare that with what one process does here.
"""

from __future__ import annotations

import io
import json
import math
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from lmcourse import training
from lmcourse.markov import SoftmaxBigram
from lmcourse.rnn import LSTM, RNNLanguageModel
from lmcourse.training import generator, initialised, mean_bits, predicted_log_probs
from lmcourse.training.command import main
from lmcourse.training.distributed import (
    Bfloat16,
    Replica,
    ToldByFirst,
    check_agreed,
    from_first,
    joined,
    rank,
    shard,
    shared_checkpoint,
    together,
    world_size,
)
from lmcourse.transformer import small_transformer

VOCAB_SIZE = 11
KILLED_AT = 14  # the checkpoints are written after 4, 8, 12, ... steps
SETTINGS = {
    "steps": 20,
    "lr": 0.02,
    "batch_size": 4,
    "warm_up": 3,
    "weight_decay": 0.01,
    "max_norm": 0.5,
    "evaluate_every": 5,
    "save_every": 4,
}


def some_sentences(n: int, name: str = "sentences") -> list[list[int]]:
    """Of 1 to 9 words."""
    stream = generator(0, name)
    lengths = torch.randint(1, 10, (n,), generator=stream).tolist()
    return [
        [0, *torch.randint(2, VOCAB_SIZE, (length,), generator=stream).tolist(), 1]
        for length in lengths
    ]


TRAIN, DEV = some_sentences(43), some_sentences(9, "dev")
UNEVEN = [[[0, 3, 1], [0, 5, 7, 1]], some_sentences(6, "uneven")]  # of each process


def transformer(dropout: float = 0.0, seed: int = 0) -> nn.Module:
    return initialised(
        lambda: small_transformer(VOCAB_SIZE, 8, 2, 1, dropout=dropout).double(),
        seed,
        "transformer",
    )


def lstm(dropout: float = 0.0, seed: int = 0) -> nn.Module:
    return initialised(
        lambda: RNNLanguageModel(VOCAB_SIZE, LSTM(4, 6), dropout).double(), seed, "lstm"
    )


def bigram() -> nn.Module:
    return SoftmaxBigram(VOCAB_SIZE)


MODELS = {"transformer": transformer, "lstm": lstm, "bigram": bigram}


def one_step(model: nn.Module, examples: list) -> dict:
    """The gradient of a step, its loss and its number of tokens."""
    loss, n_tokens = training.take_step(
        model, examples, torch.optim.SGD(model.parameters(), lr=0.1)
    )
    return {
        "gradients": [part.grad for part in model.parameters()],
        "loss": loss,
        "n_tokens": n_tokens,
    }


def one_run(model: nn.Module, examples: list, **other) -> training.History:
    return training.train(
        model,
        examples,
        dev=DEV,
        generator=generator(0, "batches"),
        **{**SETTINGS, **other},
    )


def seen_in(model: nn.Module, history: training.History) -> dict:
    return {
        "weights": dict(model.state_dict()),
        "losses": history.losses,
        "dev_bits": history.dev_bits,
        "n_tokens": history.n_tokens,
    }


class Coins(nn.Module):
    """A model of chance alone: it keeps what it drew."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.drawn = []

    def predicted_log_probs(self, examples):
        coins = F.dropout(self.weight.expand(64), training=self.training)
        self.drawn.append(coins.detach())
        return -coins


class Killed(Exception):
    """What ends a run in the middle."""


# ---- what two processes do -----------------------------------------------------------------------


def gradients() -> dict:
    return {
        name: one_step(Replica(make(), seed=0), UNEVEN[rank()])
        for name, make in MODELS.items()
    }


def whole_run() -> dict:
    model = transformer()
    replica = Replica(model, seed=0)
    history = one_run(replica, shard(TRAIN, rank(), world_size()))
    return seen_in(model, history) | {"names": list(replica.state_dict())}


def killed_run(folder: Path) -> dict:
    """A run with dropout that is killed and goes on, beside one that is not."""
    own = folder / f"disk {rank()}" / "run.safetensors"  # no disk is shared
    examples = shard(TRAIN, rank(), world_size())

    def run(seed, path, save_every=4):
        model = transformer(dropout=0.3, seed=seed)
        history = one_run(
            Replica(model, seed=5), examples, checkpoint=path, save_every=save_every
        )
        return seen_in(model, history)

    expected = run(0, None)
    take_step, steps = training.take_step, []

    def until_killed(*arguments):
        if len(steps) == KILLED_AT:
            raise Killed
        steps.append(None)
        return take_step(*arguments)

    training.take_step = until_killed
    try:
        with shared_checkpoint(own) as path:
            run(0, path, 4 if rank() == 0 else SETTINGS["steps"])
    except Killed:
        training.take_step = take_step
    torch.manual_seed(99)  # what a new process brings along is other
    steps_before = len(steps)
    with shared_checkpoint(own) as path:
        copied = path.read_bytes() == path.read_bytes()
        resumed = run(1, path, 4 if rank() == 0 else SETTINGS["steps"])
    return {
        "expected": expected,
        "resumed": resumed,
        "steps_before": steps_before,
        "copied": copied,
        "path": str(path),
        "files": sorted(
            file.relative_to(folder).as_posix() for file in own.parent.glob("*")
        ),
    }


def chance() -> list:
    drawn = []
    for _ in range(2):
        coins = Coins()
        replica = Replica(coins, seed=3)
        for _ in range(3):
            replica.predicted_log_probs([[0, 1]])
        drawn.append(torch.stack(coins.drawn))
    return drawn


def evaluated() -> dict:
    model = lstm(dropout=0.5)
    replica = Replica(model, seed=0)
    return {
        "bits": mean_bits(replica, DEV, batch_size=8),  # the last batch has 1 example
        "n": len(predicted_log_probs(replica.eval(), DEV)),
    }


def said(do) -> tuple[str, str]:
    try:
        do()
    except (ValueError, ToldByFirst) as error:
        return type(error).__name__, str(error)
    return "", ""


def errors() -> dict:
    def in_second():
        if rank() == 1:
            raise ValueError("no such text")
        return "read"

    def in_first():
        raise ValueError(f"no folder, says {rank()}")

    def not_finite():
        model = bigram()
        one_run(Replica(model, 0), shard(TRAIN, rank(), 2), lr=1e308, max_norm=1e308)

    return {
        "second": said(lambda: together(in_second)),
        "first": said(lambda: from_first(in_first)),
        "agreed": said(lambda: check_agreed("the text", 7)),
        "not agreed": said(lambda: check_agreed("the text", f"text {rank()}")),
        "not finite": said(not_finite),
        "from first": from_first(lambda: f"of {rank()}"),
    }


def write_text(path: Path) -> Path:
    """A text of 60 short paragraphs."""
    words = ["so", "a", "rabbit", "and", "the", "turtle", "ran", "slept"]
    draw = torch.randint(len(words), (60, 9), generator=generator(0, "text")).tolist()
    paragraphs = [" ".join(words[number] for number in row) for row in draw]
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


def command_line(folder: Path, text: Path) -> list[str]:
    sizes = (
        "--d-model 8 --n-heads 2 --n-layers 1 --dropout 0.2 --steps 12 --batch-size 4"
    )
    often = "--evaluate-every 4 --save-every 2 --device cpu --samples 1"
    return [
        "transformer",
        *f"--text {text} --folder {folder} {sizes} {often}".split(),
    ]


def commands(folder: Path, ports: list[str]) -> dict:
    """What the command gives back and prints: a whole run, no text, no such option."""

    def done(*arguments):
        os.environ["MASTER_PORT"] = ports.pop()  # each is a meeting of its own
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                status = main([*map(str, arguments)])
            except SystemExit as end:
                status = end.code
        return status, out.getvalue(), err.getvalue()

    text = folder / "text.txt"
    return {
        "whole": done(*command_line(folder / "whole", text)),
        "no text": done(*command_line(folder / "none", folder / "none.txt")),
        "counted": done("n-gram", "--text", text),
    }


def be_one_of_two(folder: Path, ports: list[str]) -> None:
    torch.set_num_threads(1)
    with joined():
        seen = {
            "gradients": gradients(),
            "run": whole_run(),
            "killed": killed_run(folder),
            "chance": chance(),
            "evaluated": evaluated(),
            "errors": errors(),
        }
    assert (rank(), world_size()) == (0, 1)  # the group has been left
    seen["commands"] = commands(folder, ports)
    torch.save(seen, folder / f"{os.environ['RANK']}.pt")


if __name__ == "__main__":
    be_one_of_two(Path(sys.argv[1]), sys.argv[2:])
    sys.exit()


# ---- what one process does -----------------------------------------------------------------------


def free_ports(n: int) -> list[str]:
    """Ports that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the two processes write, with a text in it."""
    folder = tmp_path_factory.mktemp("two")
    write_text(folder / "text.txt")
    return folder


@pytest.fixture(scope="module")
def two(folder, runs_go_on) -> list[dict]:
    """What each of two processes has seen."""
    port, *other_ports = free_ports(4)
    both = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), *other_ports],
            env={**os.environ, **both, "RANK": str(number), "LOCAL_RANK": str(number)},
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for number in range(2)
    ]
    try:
        for process in processes:
            _, complaint = process.communicate(timeout=600)
            assert process.returncode == 0, complaint
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{number}.pt") for number in range(2)]


def assert_same(seen: dict, expected: dict, **tolerance) -> None:
    for name, part in expected["weights"].items():
        torch.testing.assert_close(seen["weights"][name], part, **tolerance)
    torch.testing.assert_close(seen["losses"], expected["losses"], **tolerance)
    torch.testing.assert_close(seen["dev_bits"], expected["dev_bits"], **tolerance)
    assert seen["n_tokens"] == expected["n_tokens"]


EXACT = {"rtol": 0, "atol": 0}
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_that_of_the_joined_batch(two, name):
    expected = one_step(MODELS[name](), UNEVEN[0] + UNEVEN[1])
    for seen in two:
        step = seen["gradients"][name]
        torch.testing.assert_close(step["gradients"], expected["gradients"], **CLOSE)
        assert step["loss"] == pytest.approx(expected["loss"], abs=1e-9)
        assert step["n_tokens"] == expected["n_tokens"]
    # The mean of the two means is something else: the test could fail.
    apart = [one_step(MODELS[name](), part)["gradients"] for part in UNEVEN]
    mean = [(first + second) / 2 for first, second in zip(*apart, strict=True)]
    pairs = zip(mean, expected["gradients"], strict=True)
    assert max((a - b).abs().max() for a, b in pairs) > 1e-3


def test_a_run_of_two_is_a_run_of_one_on_the_joined_batches(two, monkeypatch):
    batches_of_one = training.Batches

    class JoinedBatches(batches_of_one):
        """The batches of both shards, one behind the other."""

        def __init__(self, examples, batch_size, stream):
            super().__init__(examples, batch_size, stream)
            self.both = [
                batches_of_one(shard(TRAIN, n, 2), batch_size, generator(0, "batches"))
                for n in range(2)
            ]

        def __next__(self):
            return [*next(self.both[0]), *next(self.both[1])]

    monkeypatch.setattr(training, "Batches", JoinedBatches)
    model = transformer()
    expected = seen_in(model, one_run(model, TRAIN))
    for seen in two:
        assert_same(seen["run"], expected, **CLOSE)


def test_all_processes_hold_the_same(two):
    for name in ("run", "killed"):
        first, second = (
            seen[name] if name == "run" else seen[name]["resumed"] for seen in two
        )
        assert_same(first, second, **EXACT)


def test_a_run_of_two_that_was_killed_goes_on_as_if_it_had_not_been(two):
    for seen in two:
        killed = seen["killed"]
        assert killed["steps_before"] == KILLED_AT
        assert_same(killed["resumed"], killed["expected"], **EXACT)


def test_only_process_0_keeps_a_checkpoint(two):
    first, second = (seen["killed"] for seen in two)
    assert first["files"] == ["disk 0/run.safetensors"]
    assert second["files"] == []
    assert not Path(second["path"]).exists()  # it was in a temporary folder


def test_each_process_draws_its_own_chance_from_seed_and_step(two):
    (first, again), (second, _) = (seen["chance"] for seen in two)
    assert torch.equal(first, again)
    rows = [*first, *second]
    assert len({tuple(row.tolist()) for row in rows}) == 6
    alone = Coins()
    replica = Replica(alone, seed=3)
    for _ in range(3):
        replica.predicted_log_probs([[0, 1]])
    assert torch.equal(torch.stack(alone.drawn), first)
    other = Coins()
    Replica(other, seed=4).predicted_log_probs([[0, 1]])
    assert not torch.equal(other.drawn[0], first[0])


def test_measuring_is_shared(two):
    expected = mean_bits(lstm(), DEV)
    for seen in two:
        assert seen["evaluated"]["bits"] == pytest.approx(expected, abs=1e-9)
        assert seen["evaluated"]["n"] == sum(len(sentence) - 1 for sentence in DEV)
    assert two[0]["evaluated"] == two[1]["evaluated"]


def test_the_parameters_have_one_name_each(two):
    assert two[0]["run"]["names"] == [
        "step",
        *(f"model.{name}" for name in transformer().state_dict()),
    ]


def test_errors_end_all_and_are_told_by_process_0(two):
    first, second = (seen["errors"] for seen in two)
    assert first["second"] == ("ValueError", "process 1: no such text")
    assert second["second"] == ("ToldByFirst", "no such text")
    assert first["first"] == ("ValueError", "no folder, says 0")
    assert second["first"] == ("ToldByFirst", "no folder, says 0")
    assert first["agreed"] == second["agreed"] == ("", "")
    assert first["not agreed"] == (
        "ValueError",
        "the text is text 0 in process 0 and text 1 in process 1; all processes must have the same",
    )
    assert second["not agreed"][0] == "ToldByFirst"
    assert first["not finite"] == second["not finite"]  # both stop at the same step
    assert "the loss is" in first["not finite"][1]
    assert first["from first"] == second["from first"] == "of 0"


# ---- the command in several processes ------------------------------------------------------------


def test_the_command_in_two_processes_speaks_once(two):
    (status, out, err), (silent_status, silent_out, silent_err) = (
        seen["commands"]["whole"] for seen in two
    )
    assert (status, silent_status) == (0, 0), err + silent_err
    assert "bits per token" in out and "Sample 1: " in out
    assert (silent_out, silent_err) == ("", "")


def test_what_is_wrong_is_said_once(two):
    for name, sentence in (
        ("no text", "none.txt: check the spelling and the folder"),
        ("counted", "n-gram is counted in one process; start it with python -m"),
    ):
        (status, _, err), silent = (seen["commands"][name] for seen in two)
        assert status == 2 and err.count(sentence) == 1
        assert silent == (2, "", "")


# The second process is killed at its eighth step, the first time.
KILLED_ONCE = """
import os, signal, sys
from pathlib import Path
from lmcourse import training
from lmcourse.training.command import main

flag = Path(sys.argv[1])
take_step, steps = training.take_step, []

def until_killed(*arguments):
    steps.append(None)
    if len(steps) == 8 and os.environ["RANK"] == "1" and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)  # the signal that cannot be caught
    return take_step(*arguments)

training.take_step = until_killed
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.usefixtures("torchrun_starts")
def test_a_run_that_was_killed_goes_on_and_ends_the_same(two, folder):
    script, flag = folder / "killed_once.py", folder / "killed"
    script.write_text(KILLED_ONCE, encoding="utf-8")
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", "2", script, flag),
        *command_line(folder / "again", folder / "text.txt"),
    ]
    killed = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert killed.returncode != 0 and flag.exists()
    assert (folder / "again" / "checkpoint.safetensors").exists(), killed.stderr
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    records = [
        json.loads((folder / name / "run.json").read_text(encoding="utf-8"))
        for name in ("whole", "again")
    ]
    for record in records:
        del record["figures"]["speed"]
    assert records[0] == records[1]
    weights = [
        load_file(folder / name / "checkpoint.safetensors")
        for name in ("whole", "again")
    ]
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert done.stdout.count("bits per token") == 1  # process 0 alone prints


# ---- one process alone ---------------------------------------------------------------------------


@pytest.mark.parametrize("world_size", (1, 2, 3, 7))
@pytest.mark.parametrize("n", (7, 21, 23))
def test_shards_share_nothing_and_leave_little(n, world_size):
    shards = [shard(iter(range(n)), rank, world_size) for rank in range(world_size)]
    assert len({len(part) for part in shards}) == 1
    together = [number for part in shards for number in part]
    assert len(together) == len(set(together)) > n - world_size
    assert set(together) <= set(range(n))


@pytest.mark.parametrize("rank", (-1, 2))
def test_a_rank_outside_is_refused(rank):
    with pytest.raises(ValueError, match=f"rank={rank}, world_size=2; .* 0 .. 1"):
        shard([1, 2, 3], rank, 2)


def test_too_few_examples_for_the_processes_are_refused():
    with pytest.raises(ValueError, match="2 examples for 3 processes"):
        shard([1, 2], 0, 3)


def test_alone_a_replica_is_the_model():
    alone, inside = transformer(), transformer()
    expected = seen_in(alone, one_run(alone, TRAIN))
    seen = seen_in(inside, one_run(Replica(inside, seed=0), TRAIN))
    assert_same(seen, expected, **CLOSE)


def test_alone_a_killed_run_with_dropout_goes_on(monkeypatch, tmp_path):
    def run(seed, **other):
        model = lstm(dropout=0.4, seed=seed)
        return seen_in(model, one_run(Replica(model, seed=5), TRAIN, **other))

    expected = run(0)
    path = tmp_path / "run.safetensors"
    take_step, steps = training.take_step, iter(range(KILLED_AT))

    def until_killed(*arguments):
        if next(steps, None) is None:
            raise Killed
        return take_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "take_step", until_killed)
        with pytest.raises(Killed):
            run(0, checkpoint=path)
    torch.manual_seed(99)
    assert_same(run(1, checkpoint=path), expected, **EXACT)


def test_a_replica_counts_what_it_predicts_in_training():
    replica = Replica(bigram(), seed=0)
    history = one_run(replica, TRAIN)
    assert replica.n_tokens == history.n_tokens
    predicted_log_probs(replica.eval(), DEV)
    assert replica.n_tokens == history.n_tokens


def test_a_gpu_for_each_process(monkeypatch):
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(ValueError, match="there are 1; .* --nproc-per-node 1"),
        joined("cuda"),
    ):
        pass


# ---- speed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", (transformer, lstm))
def test_bfloat16_changes_the_loss_little(make):
    model = make().float()
    half = Bfloat16(model)
    exact, near = (-predicted_log_probs(some, TRAIN).mean() for some in (model, half))
    assert near.dtype == torch.float32
    assert near.item() == pytest.approx(exact.item(), rel=0.02)
    assert near.item() != exact.item()
    # And it learns: its weights, of 32 bits, are those of the model inside.
    history = one_run(half, TRAIN, steps=40)
    assert history.losses[-1] < history.losses[0] - 0.1
    assert {part.dtype for part in model.parameters()} == {torch.float32}
    assert math.isclose(mean_bits(model, DEV), mean_bits(half, DEV), rel_tol=0.02)


# In a process of its own: the checks of types while testing cannot be translated.
COMPILED = """
import torch
from lmcourse.training import predicted_log_probs
from lmcourse.transformer import small_transformer

torch.set_num_threads(1)
torch.manual_seed(0)
model = small_transformer(vocab_size=7, d_model=4, n_heads=2, n_layers=1)
names = list(model.state_dict())
losses, gradients = [], []
for translated in (False, True):
    if translated:  # read into graphs; the last stage takes a C++ compiler and a minute
        model.compile(dynamic=True, backend="eager")
        calls = torch._dynamo.utils.counters["stats"]
    loss = -predicted_log_probs(model, [[0, 3, 1], [0, 5, 6, 2, 1]]).mean()
    model.zero_grad()
    loss.backward()
    losses.append(loss.detach())
    gradients.append([part.grad.clone() for part in model.parameters()])
assert calls["calls_captured"] > 0
assert list(model.state_dict()) == names
torch.testing.assert_close(*losses, rtol=0, atol=1e-5)
torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)
"""


def test_a_compiled_model_takes_the_same_step():
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stderr
