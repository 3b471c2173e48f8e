"""Attention and encoder blocks: a training step of lmcourse's beside torch.nn's.

Both sides have the same weights, no dropout and no mask, and take turns on one thread of one
process.

Run `python -m benchmarks.transformer`: it prints the table and rewrites it in README.md.
"""

import torch
from torch import nn

from benchmarks.tables import rewrite_table
from benchmarks.timing import table
from lmcourse.multi_head_attention import MultiHeadAttention
from lmcourse.transformer import EncoderBlock, PreNormEncoderBlock

BATCH_SIZE, TIME, D_MODEL, N_HEADS, D_FF = 16, 128, 256, 8, 1024
PROMISED = 1.0


def attention_rivals() -> dict:
    """Multi-head attention, ours and torch's, which is asked for no weights either."""
    ours = MultiHeadAttention(D_MODEL, N_HEADS)
    theirs = nn.MultiheadAttention(D_MODEL, N_HEADS, batch_first=True)
    ours.load_torch_state_dict(theirs.state_dict())
    return {
        "ours": (ours, ours),
        "torch": (theirs, lambda x: theirs(x, x, x, need_weights=False)[0]),
    }


def block_rivals(block: type[EncoderBlock]) -> dict:
    """An encoder block, ours and torch's."""
    ours = block(D_MODEL, N_HEADS, D_FF)
    theirs = nn.TransformerEncoderLayer(
        D_MODEL,
        N_HEADS,
        D_FF,
        dropout=0.0,
        batch_first=True,
        norm_first=block is PreNormEncoderBlock,
    )
    return {"ours": (ours, ours), "torch": (theirs, theirs)}


def measure() -> str:
    """The table, in Markdown."""
    rivals = {
        "multi-head attention": attention_rivals(),
        "encoder block, post-norm": block_rivals(EncoderBlock),
        "encoder block, pre-norm": block_rivals(PreNormEncoderBlock),
    }
    return table(
        {name: (sides, PROMISED) for name, sides in rivals.items()},
        (BATCH_SIZE, TIME, D_MODEL),
        f"Batch {BATCH_SIZE}, time {TIME}, d_model {D_MODEL}, {N_HEADS} heads, d_ff {D_FF}",
    )


def main() -> None:
    """Measure, print, and rewrite the table of README.md."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rewrite_table("transformer", measure())


if __name__ == "__main__":
    main()
