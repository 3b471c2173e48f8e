"""One process beside two: what a training step takes when the same batch is split in half.

One process reads 64 sentences a step. Two processes on this machine read 32 each, through a
`Replica`, and gloo puts their gradients together: the same step. Each process has one thread. Both
sides take turns: some steps of the one, then some of the other, and so on. A side that waits lets
the other have the machine.

Time is what a clock on the wall says, since processor time would hide the waiting. The share that
goes to communication is measured with the same two processes: a step that puts gradients together,
beside one that does not (DistributedDataParallel's `no_sync`).

Run `python -m benchmarks.distributed`: it prints the table and rewrites it in README.md. A busy
machine distorts it: run it when nothing else does.
"""

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn

from benchmarks.tables import rewrite_table
from lmcourse.experiments import machine
from lmcourse.rnn import LSTM, RNNLanguageModel
from lmcourse.training import take_step
from lmcourse.training.distributed import Replica, joined, rank, world_size
from lmcourse.transformer import small_transformer

BATCH_SIZE, TIME, VOCAB_SIZE = 64, 128, 100
WARM_UP, TURNS, STEPS = 1, 7, 2  # steps of a turn; the first turns warm up
MODELS = {
    "Transformer, 2 layers, d_model 128": lambda: small_transformer(VOCAB_SIZE, 128),
    "LSTM, d_hidden 256": lambda: RNNLanguageModel(VOCAB_SIZE, LSTM(64, 256)),
}
SIDES = ("one", "two", "two, apart")


def step_of(model: nn.Module, n_processes: int) -> Callable[[], float]:
    """A function that takes some steps with this process's share, and returns seconds a step."""
    stream = torch.Generator().manual_seed(0)
    shape = BATCH_SIZE, TIME - 1
    inside = torch.randint(2, VOCAB_SIZE, shape, generator=stream).tolist()
    share = [[0, *words, 1] for words in inside][rank() % n_processes :: n_processes]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def steps() -> float:
        start = time.perf_counter()
        for _ in range(STEPS):
            take_step(model, share, optimizer)
        return (time.perf_counter() - start) / STEPS

    return steps


class Apart(Replica):
    """A replica that keeps its gradients to itself: what it does not wait for."""

    def _in_training(self, examples):
        if self.predict is None:
            return super()._in_training(examples)
        with self.predict.__self__.no_sync():
            return super()._in_training(examples)


def both_processes() -> None:
    """Be one of two processes; the first prints the times of all sides as JSON."""
    torch.set_num_threads(1)
    seconds = {}
    with joined():
        for name, make in MODELS.items():
            torch.manual_seed(0)
            sides = {
                "one": (step_of(make().train(), 1), 1),
                "two": (step_of(Replica(make(), seed=0).train(), 2), world_size()),
                "two, apart": (step_of(Apart(make(), seed=0).train(), 2), world_size()),
            }
            took = {side: [] for side in SIDES}
            for turn in range(WARM_UP + TURNS):
                for side in SIDES if turn % 2 else reversed(SIDES):
                    steps, n_processes = sides[side]
                    dist.barrier()
                    if rank() < n_processes:
                        took[side].append(steps())
            seconds[name] = {side: some[WARM_UP:] for side, some in took.items()}
        if rank() == 0:
            print(json.dumps(seconds))


def measured() -> dict:
    """Start two processes; the seconds a step of every turn, by model and side."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.distributed", "one of two"],
            env={**os.environ, **world, "RANK": str(n), "LOCAL_RANK": str(n)},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        for n in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]
    for process in processes:
        if process.returncode:
            raise OSError("one of the two processes failed; it said why")
    return json.loads(outputs[0])


def rows() -> list[dict]:
    """A row for each model."""
    found = []
    for name, seconds in measured().items():
        median = {side: statistics.median(some) for side, some in seconds.items()}
        n_parameters = sum(part.numel() for part in MODELS[name]().parameters())
        found.append(
            {
                "name": name,
                "parameters": n_parameters,
                "one_process_seconds": median["one"],
                "two_processes_seconds": median["two"],
                "ratio": median["two"] / median["one"],
                "communication": 1 - median["two, apart"] / median["two"],
                "gradient_bytes": 4 * n_parameters,
            }
        )
    return found


def table(found: list[dict]) -> str:
    """The table, in Markdown."""
    lines = [
        "| what | one process, ms | two processes, ms | two / one | of it communication "
        "| gradients, KiB a step |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found:
        lines.append(
            f"| {row['name']} | {1e3 * row['one_process_seconds']:.0f} "
            f"| {1e3 * row['two_processes_seconds']:.0f} | {row['ratio']:.2f} "
            f"| {max(row['communication'], 0):.0%} | {row['gradient_bytes'] / 2**10:,.0f} |"
        )
    about = machine()
    lines += [
        "",
        f"A step reads {BATCH_SIZE} sentences of {TIME} tokens, by one process or by two with "
        f"{BATCH_SIZE // 2} each. Wall clock, medians of {TURNS} turns of {STEPS} steps, after "
        f"{WARM_UP} to warm up. Other work ran on the machine at the same time: "
        f"{'yes' if is_busy() else 'no'}.",
        "",
        f"Machine: {about['processor']}, {about['cores']} cores, one thread a process. Python "
        f"{platform.python_version()}, torch {torch.__version__}, gloo on one machine.",
    ]
    return "\n".join(lines)


def is_busy() -> bool:
    """Whether more ran in the last minute than these two processes: by the system's own count."""
    return os.getloadavg()[0] > 2.5


def main() -> None:
    """Measure, print, and rewrite the table of README.md."""
    rewrite_table("distributed", table(rows()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        both_processes()
    else:
        main()
