"""RNN, GRU and LSTM: a training step of lmcourse's layers beside torch.nn's.

A step reads a batch forwards and sends a gradient back to all parameters and to the inputs. Both
sides have the same weights and read the same numbers. They take turns on one thread of one process,
and which of them begins alternates, so that what slows the machine down slows both. Memory is
measured in a fresh process for each side.

Run `python -m benchmarks.recurrent`: it prints the table and rewrites it in README.md.
"""

import torch
from torch import nn

from benchmarks.results import store
from benchmarks.timing import Step, compare, layer_step, measured
from lmcourse.rnn import GRU, LSTM, RNN

BATCH_SIZE, TIME, WIDTH = 64, 128, 256
KINDS = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}
PROMISED = {"RNN": 1.1, "GRU": 1.15, "LSTM": 1.3}


def step(case: str, side: str) -> Step:
    """A step of one layer, "ours" or "theirs"."""
    torch.manual_seed(0)
    layer = ours = KINDS[case](WIDTH, WIDTH)
    if side == "theirs":
        layer = getattr(nn, case)(WIDTH, WIDTH, batch_first=True)
        layer.load_state_dict(ours.to_torch_state_dict())
    return layer_step(layer, lambda inputs: layer(inputs)[0], (BATCH_SIZE, TIME, WIDTH))


def main() -> None:
    """Measure, store, and rewrite the table of README.md."""
    torch.set_num_threads(1)
    rows = []
    for case, promised in PROMISED.items():
        steps = {side: step(case, side) for side in ("ours", "theirs")}
        rows += compare("benchmarks.recurrent", case, steps, promised=promised)
    store(
        "recurrent",
        "torch.nn",
        rows,
        f"One layer, batch {BATCH_SIZE}, time {TIME}, width {WIDTH}. {measured()}",
    )


if __name__ == "__main__":
    main()
