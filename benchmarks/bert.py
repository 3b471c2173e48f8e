"""A masked language model: a training step of lmcourse's beside transformers' BertForMaskedLM.

A step sets the gradients to zero, reads a batch, makes the loss of the hidden pieces, sends it
back, and changes the weights with AdamW. Both sides begin with the same weights and read the same
batch with the same masks; there is no dropout and no padding. Ours makes logits only where a piece
is hidden. The other side is told by labels of -100 that the rest does not count.

The times come from one process, in turns. The memory comes from a fresh process for each side: the
most that it ever held (VmHWM, which Linux keeps), less what it held before the model was made.

Run `python -m benchmarks.bert`: it prints the table and rewrites it in README.md.
"""

import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from benchmarks.tables import rewrite_table
from benchmarks.timing import REPEATS, WARM_UP, in_turns
from lmcourse.bert import MaskedLanguageModel, Masking, log_probs_of
from lmcourse.experiments import machine
from lmcourse.tokenizers import SPECIAL_PIECES, WordPiece

BATCH_SIZE, TIME, D_MODEL, N_HEADS, D_FF = 32, 128, 256, 4, 1024
N_LAYERS, VOCAB_SIZE, SHARE = 4, 8192, 0.15
PROMISED = 0.7
MEMORY_STEPS = 3

Loss = Callable[[], torch.Tensor]


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random pieces, what is seen of them, and where they are hidden."""
    words = (f"word{number}" for number in range(VOCAB_SIZE - len(SPECIAL_PIECES)))
    tokenizer = WordPiece([*SPECIAL_PIECES, *words])
    stream = torch.Generator().manual_seed(0)
    shape = (BATCH_SIZE, TIME)
    token_ids = torch.randint(len(SPECIAL_PIECES), VOCAB_SIZE, shape, generator=stream)
    real = torch.ones(shape, dtype=torch.bool)
    return token_ids, *Masking(tokenizer, SHARE)(token_ids, real, stream)


def their_side() -> tuple[nn.Module, Loss]:
    """The model of transformers, and its loss."""
    config = BertConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=D_MODEL,
        num_attention_heads=N_HEADS,
        num_hidden_layers=N_LAYERS,
        intermediate_size=D_FF,
        max_position_embeddings=TIME,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    model = BertForMaskedLM(config).train()
    token_ids, seen, chosen = batch()
    labels = token_ids.masked_fill(~chosen, -100)
    return model, lambda: model(input_ids=seen, labels=labels).loss


def our_side() -> tuple[nn.Module, Loss]:
    """Our model with the same weights, and its loss."""
    with tempfile.TemporaryDirectory() as folder:
        their_side()[0].save_pretrained(folder)
        model = MaskedLanguageModel.from_pretrained(folder).train()
    token_ids, seen, chosen = batch()
    targets = token_ids[chosen]
    return model, lambda: -log_probs_of(model(seen, chosen=chosen), targets).mean()


SIDES = {"lmcourse": our_side, "transformers": their_side}


def training_step(model: nn.Module, loss_of: Loss) -> Callable[[], float]:
    """A function that takes one step, and returns the loss before it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def seconds() -> dict[str, float]:
    """Of a step of each side.

    Raises:
        AssertionError: the two do not have the same loss after a step.
    """
    steps = {name: training_step(*side()) for name, side in SIDES.items()}
    for _ in range(2):
        torch.testing.assert_close(*(step() for step in steps.values()))
    return in_turns(steps)


def most_memory() -> float:
    """The most memory that this process has held, in MiB.

    `resource` would not do: there a process begins with what its parent held.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) / 2**10


def memory_here(name: str) -> float:
    """What a few steps of one side need in this process beyond what it held before, in MiB."""
    before = most_memory()
    step = training_step(*SIDES[name]())
    for _ in range(MEMORY_STEPS):
        step()
    return most_memory() - before


def memory(name: str) -> float:
    """What a few steps of one side need in a fresh process, in MiB."""
    command = [sys.executable, "-m", "benchmarks.bert", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def measure() -> str:
    """The table, in Markdown."""
    rows = {
        "training step, ms": {name: 1e3 * took for name, took in seconds().items()},
        "most memory, MiB": {name: memory(name) for name in SIDES},
    }
    lines = [
        "| | lmcourse | transformers | lmcourse / transformers | promised at most |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        ours, theirs = row["lmcourse"], row["transformers"]
        lines.append(
            f"| {name} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} | {PROMISED:.2f} |"
        )
    about = machine()
    lines += [
        "",
        f"{N_LAYERS} layers, batch {BATCH_SIZE}, time {TIME}, d_model {D_MODEL}, {N_HEADS} heads, "
        f"d_ff {D_FF}, vocabulary {VOCAB_SIZE:,}, {SHARE:.0%} hidden. Time: medians of {REPEATS} "
        f"steps after {WARM_UP} to warm up. Memory: the most in {MEMORY_STEPS} steps.",
        "",
        f"Machine: {about['processor']}, {about['cores']} cores, one thread used. Python "
        f"{platform.python_version()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and rewrite the table of README.md."""
    torch.set_num_threads(1)
    rewrite_table("bert", measure())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        torch.set_num_threads(1)
        print(memory_here(sys.argv[1]))
    else:
        main()
