"""Training steps of several modules, timed in turns, so that what slows one slows all."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from lmcourse.experiments import machine

WARM_UP, REPEATS = 3, 15


def training_step(
    module: nn.Module,
    forward: Callable[[Tensor], Tensor],
    inputs: Tensor,
    gradient: Tensor,
) -> None:
    """Forwards and backwards once."""
    module.zero_grad()
    inputs.grad = None
    forward(inputs).backward(gradient)


Sides = Mapping[str, tuple[nn.Module, Callable[[Tensor], Tensor]]]


def median_seconds(
    sides: Sides,
    shape: tuple[int, ...],
) -> dict[str, float]:
    """Processor seconds of a training step, for each side the median.

    Args:
        sides: name -> a module, and how it is called on the inputs.
        shape: of the inputs, which are random, and of the gradient of what comes out.
    """
    inputs, gradient = torch.randn(shape, requires_grad=True), torch.randn(shape)
    return in_turns(
        {
            name: partial(training_step, *side, inputs, gradient)
            for name, side in sides.items()
        }
    )


def in_turns(steps: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Processor seconds of each step, the median; who begins alternates."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(WARM_UP + REPEATS):
        for name in steps if repeat % 2 else reversed(steps):
            start = time.process_time()
            steps[name]()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(some[WARM_UP:]) for name, some in times.items()}


def table(
    rivals: Mapping[str, tuple[Sides, float]], shape: tuple[int, ...], sizes: str
) -> str:
    """What a step takes, ours beside torch's, in Markdown.

    Args:
        rivals: name -> the sides "ours" and "torch", and the ratio that is promised at most.
        shape: of the inputs.
        sizes: the sizes in words.
    """
    lines = [
        "| | lmcourse, ms | torch.nn, ms | lmcourse / torch.nn | promised at most |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, (sides, promised) in rivals.items():
        seconds = median_seconds(sides, shape)
        ours, theirs = seconds["ours"], seconds["torch"]
        lines.append(
            f"| {name} | {ours * 1e3:.0f} | {theirs * 1e3:.0f} | {ours / theirs:.2f} | "
            f"{promised:.2f} |"
        )
    about = machine()
    lines += [
        "",
        f"{sizes}; medians of {REPEATS} steps after {WARM_UP} to warm up.",
        "",
        f"Machine: {about['processor']}, {about['cores']} cores, one thread used. Python "
        f"{platform.python_version()}, torch {torch.__version__}.",
    ]
    return "\n".join(lines)
