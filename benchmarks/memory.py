"""The most memory that a few training steps need, each side in a process of its own.

It is the most that the process ever held (VmHWM, which Linux keeps), less what it held before the
model was made. A benchmark that is measured so has a function `step(case, side)`, which makes one
side and returns what takes a step.

`python -m benchmarks.memory MODULE CASE SIDE` prints one such figure, in MiB.
"""

import importlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

STEPS = 3


def most_memory() -> float:
    """The most memory that this process has held, in MiB.

    `resource` would not do: there a process begins with what its parent held.

    Raises:
        OSError: this system does not keep it.
    """
    path = Path("/proc/self/status")
    if not path.exists():
        raise OSError(
            f"memory is read from {path}, which Linux alone has: measure there"
        )
    status = path.read_text(encoding="utf-8")
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) / 2**10


def in_fresh_process(command: Sequence[str]) -> str:
    """What `python -m` with these arguments prints.

    Raises:
        RuntimeError: it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise RuntimeError(f"python -m {' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def memory(module: str, case: str, side: str) -> float:
    """What a few steps of one side need in a fresh process, in MiB."""
    return float(in_fresh_process(["benchmarks.memory", module, case, side]))


def main() -> None:
    """Take the steps here, and print the figure."""
    torch.set_num_threads(1)
    module, case, side = sys.argv[1:]
    make = importlib.import_module(module).step
    before = most_memory()
    step = make(case, side)
    for _ in range(STEPS):
        step()
    print(most_memory() - before)


if __name__ == "__main__":
    main()
