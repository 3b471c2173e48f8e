"""Steps of several sides, timed in turns, so that what slows one slows all."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from benchmarks.memory import STEPS, memory
from benchmarks.results import Row

WARM_UP, REPEATS = 2, 11

Step = Callable[[], object]


def in_turns(
    steps: Mapping[str, Step], warm_up: int = WARM_UP, repeats: int = REPEATS
) -> dict[str, float]:
    """Processor seconds of each step, the median; who begins alternates."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(warm_up + repeats):
        for name in steps if repeat % 2 else reversed(steps):
            start = time.process_time()
            steps[name]()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(some[warm_up:]) for name, some in times.items()}


def layer_step(
    module: nn.Module, forward: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> Step:
    """A step of a layer: forwards, and backwards to all parameters and to the inputs.

    Args:
        module: the layer.
        forward: how it is called on the inputs.
        shape: of the inputs, which are random, and of the gradient of what comes out.
    """
    stream = torch.Generator().manual_seed(0)
    inputs = torch.randn(shape, generator=stream).requires_grad_()
    gradient = torch.randn(shape, generator=stream)

    def step() -> None:
        module.zero_grad()
        inputs.grad = None
        forward(inputs).backward(gradient)

    return step


def model_step(model: nn.Module, loss_of: Callable[[], Tensor]) -> Step:
    """A step of a model with its loss and AdamW; it returns the loss before it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def compare(
    module: str,
    case: str,
    steps: Mapping[str, Step],
    *,
    promised: float | None = None,
    promised_memory: float | None = None,
) -> list[Row]:
    """Time and memory of a training step, "ours" beside "theirs".

    Args:
        module: the benchmark, for `memory`.
        case: what is compared.
        steps: "ours" and "theirs".
        promised: the ratio of times that was promised at most.
        promised_memory: that of memory.
    """
    seconds = in_turns(steps)
    took = {side: memory(module, case, side) for side in steps}
    name = f"{case}: " if case else ""
    return [
        Row(
            f"{name}training step",
            "ms",
            *(1e3 * seconds[side] for side in ("ours", "theirs")),
            promised,
        ),
        Row(
            f"{name}most memory",
            "MiB",
            *(took[side] for side in ("ours", "theirs")),
            promised_memory,
        ),
    ]


def measured() -> str:
    """How it was measured, in words."""
    return (
        f"Time: medians of {REPEATS} steps after {WARM_UP} to warm up. Memory: the most in "
        f"{STEPS} steps."
    )
