"""RNN, GRU and LSTM: a training step of lmcourse's layers beside torch.nn's.

A step reads a batch forwards and sends a gradient back to all parameters and to the inputs. Both
sides have the same weights and read the same numbers. They take turns on one thread of one process,
and which of them begins alternates, so that what slows the machine down slows both.

Run `python -m benchmarks.recurrent`: it prints the table and rewrites it in README.md.
"""

import torch
from torch import nn

from benchmarks.tables import rewrite_table
from benchmarks.timing import table
from lmcourse.rnn import GRU, LSTM, RNN, RecurrentLayers

BATCH_SIZE, TIME, WIDTH = 64, 128, 256
PROMISED = {RNN: 1.1, GRU: 1.15, LSTM: 1.3}


def rivals(kind: type[RecurrentLayers]) -> dict:
    """Our layer and torch's, with the same weights."""
    ours = kind(WIDTH, WIDTH)
    theirs = getattr(nn, kind.__name__)(WIDTH, WIDTH, batch_first=True)
    theirs.load_state_dict(ours.to_torch_state_dict())
    return {
        "ours": (ours, lambda inputs: ours(inputs)[0]),
        "torch": (theirs, lambda inputs: theirs(inputs)[0]),
    }


def measure() -> str:
    """The table, in Markdown."""
    return table(
        {kind.__name__: (rivals(kind), limit) for kind, limit in PROMISED.items()},
        (BATCH_SIZE, TIME, WIDTH),
        f"One layer, batch {BATCH_SIZE}, time {TIME}, width {WIDTH}",
    )


def main() -> None:
    """Measure, print, and rewrite the table of README.md."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rewrite_table("recurrent", measure())


if __name__ == "__main__":
    main()
