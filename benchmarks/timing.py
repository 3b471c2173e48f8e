"""Training steps of several modules, timed in turns, so that what slows one slows all."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

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


def median_seconds(
    sides: Mapping[str, tuple[nn.Module, Callable[[Tensor], Tensor]]],
    shape: tuple[int, ...],
) -> dict[str, float]:
    """Processor seconds of a training step, for each side the median.

    Args:
        sides: name -> a module, and how it is called on the inputs.
        shape: of the inputs, which are random, and of the gradient of what comes out.
    """
    inputs, gradient = torch.randn(shape, requires_grad=True), torch.randn(shape)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(WARM_UP + REPEATS):
        for name in sides if repeat % 2 else reversed(sides):
            start = time.process_time()
            training_step(*sides[name], inputs, gradient)
            times[name].append(time.process_time() - start)
    return {name: statistics.median(some[WARM_UP:]) for name, some in times.items()}
