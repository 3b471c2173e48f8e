"""RNN, GRU and LSTM: a training step of lmcourse's layers beside torch.nn's.

A step reads a batch forwards and sends a gradient back to all parameters and to the inputs. Both
sides have the same weights and read the same numbers. They take turns on one thread of one process,
and which of them begins alternates, so that what slows the machine down slows both.

Run `python -m benchmarks.recurrent`: it prints the table and rewrites it in README.md.
"""

import platform
import statistics
import time

import torch
from torch import nn

from benchmarks.tables import rewrite_table
from lmcourse.experiments import machine
from lmcourse.rnn import GRU, LSTM, RNN, RecurrentLayers

BATCH_SIZE, TIME, WIDTH = 64, 128, 256
PROMISED = {RNN: 1.1, GRU: 1.15, LSTM: 1.3}
WARM_UP, REPEATS = 3, 15


def training_step(layers: nn.Module, inputs: torch.Tensor, gradient: torch.Tensor):
    """Forwards and backwards once."""
    layers.zero_grad()
    inputs.grad = None
    outputs, _ = layers(inputs)
    outputs.backward(gradient)


def rivals(kind: type[RecurrentLayers]) -> tuple[nn.Module, nn.Module]:
    """Our layer and torch's, with the same weights."""
    ours = kind(WIDTH, WIDTH)
    theirs = getattr(nn, kind.__name__)(WIDTH, WIDTH, batch_first=True)
    theirs.load_state_dict(ours.to_torch_state_dict())
    return ours, theirs


def step_seconds(kind: type[RecurrentLayers]) -> tuple[list[float], list[float]]:
    """Processor seconds of each step, ours and torch's."""
    shape = (BATCH_SIZE, TIME, WIDTH)
    inputs, gradient = torch.randn(shape, requires_grad=True), torch.randn(shape)
    layers, times = rivals(kind), ([], [])
    for repeat in range(WARM_UP + REPEATS):
        for side in (0, 1) if repeat % 2 else (1, 0):
            start = time.process_time()
            training_step(layers[side], inputs, gradient)
            times[side].append(time.process_time() - start)
    return times[0][WARM_UP:], times[1][WARM_UP:]


def measure() -> str:
    """The table, in Markdown."""
    lines = [
        "| | lmcourse, ms | torch.nn, ms | lmcourse / torch.nn | promised at most |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind, promised in PROMISED.items():
        ours, theirs = map(statistics.median, step_seconds(kind))
        lines.append(
            f"| {kind.__name__} | {ours * 1e3:.0f} | {theirs * 1e3:.0f} | "
            f"{ours / theirs:.2f} | {promised:.2f} |"
        )
    about = machine()
    lines += [
        "",
        f"One layer, batch {BATCH_SIZE}, time {TIME}, width {WIDTH}; medians of {REPEATS} steps "
        f"after {WARM_UP} to warm up.",
        "",
        f"Machine: {about['processor']}, {about['cores']} cores, one thread used. Python "
        f"{platform.python_version()}, torch {torch.__version__}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and rewrite the table of README.md."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rewrite_table("recurrent", measure())


if __name__ == "__main__":
    main()
