"""Attention and encoder blocks: a training step of lmcourse's beside torch.nn's.

Both sides have no dropout and no mask, and take turns on one thread of one process. Memory is
measured in a fresh process for each side.

Run `python -m benchmarks.transformer`: it prints the table and rewrites it in README.md.
"""

import torch
from torch import nn

from benchmarks.results import store
from benchmarks.timing import Step, compare, layer_step, measured
from lmcourse.multi_head_attention import MultiHeadAttention
from lmcourse.transformer import EncoderBlock, PreNormEncoderBlock

BATCH_SIZE, TIME, D_MODEL, N_HEADS, D_FF = 16, 128, 256, 8, 1024
ATTENTION = "multi-head attention"
BLOCKS = {
    "encoder block, post-norm": EncoderBlock,
    "encoder block, pre-norm": PreNormEncoderBlock,
}
PROMISED = 1.0


def step(case: str, side: str) -> Step:
    """A step of attention or of a block, "ours" or "theirs"."""
    torch.manual_seed(0)
    sizes = (D_MODEL, N_HEADS, D_FF)
    if case == ATTENTION and side == "ours":
        module = forward = MultiHeadAttention(D_MODEL, N_HEADS)
    elif case == ATTENTION:
        module = nn.MultiheadAttention(D_MODEL, N_HEADS, batch_first=True)

        def forward(inputs):
            return module(inputs, inputs, inputs, need_weights=False)[0]

    elif side == "ours":
        module = forward = BLOCKS[case](*sizes)
    else:
        module = forward = nn.TransformerEncoderLayer(
            *sizes,
            dropout=0.0,
            batch_first=True,
            norm_first=BLOCKS[case] is PreNormEncoderBlock,
        )
    return layer_step(module, forward, (BATCH_SIZE, TIME, D_MODEL))


def main() -> None:
    """Measure, store, and rewrite the table of README.md."""
    torch.set_num_threads(1)
    rows = []
    for case in (ATTENTION, *BLOCKS):
        steps = {side: step(case, side) for side in ("ours", "theirs")}
        rows += compare("benchmarks.transformer", case, steps, promised=PROMISED)
    store(
        "transformer",
        "torch.nn",
        rows,
        f"Batch {BATCH_SIZE}, time {TIME}, d_model {D_MODEL}, {N_HEADS} heads, d_ff {D_FF}. "
        f"{measured()}",
    )


if __name__ == "__main__":
    main()
