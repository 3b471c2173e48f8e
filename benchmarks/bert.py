"""A masked language model: a training step of lmcourse's beside transformers' BertForMaskedLM.

A step sets the gradients to zero, reads a batch, makes the loss of the hidden pieces, sends it
back, and changes the weights with AdamW. Both sides begin with the same weights and read the same
batch with the same masks; there is no dropout and no padding. Ours makes logits only where a piece
is hidden. The other side is told by labels of -100 that the rest does not count.

The times come from one process, in turns; the memory from a fresh process for each side.

Run `python -m benchmarks.bert`: it prints the table and rewrites it in README.md.
"""

import tempfile
from collections.abc import Callable

import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from benchmarks.results import store
from benchmarks.timing import Step, compare, measured, model_step
from lmcourse.bert import MaskedLanguageModel, Masking, log_probs_of
from lmcourse.tokenizers import SPECIAL_PIECES, WordPiece

BATCH_SIZE, TIME, D_MODEL, N_HEADS, D_FF = 32, 128, 256, 4, 1024
N_LAYERS, VOCAB_SIZE, SHARE = 4, 8192, 0.15
PROMISED, PROMISED_MEMORY = 0.7, 0.7

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


SIDES = {"ours": our_side, "theirs": their_side}


def step(case: str, side: str) -> Step:
    """A step of one side."""
    return model_step(*SIDES[side]())


def main() -> None:
    """Measure, store, and rewrite the table of README.md.

    Raises:
        AssertionError: the two do not have the same loss after a step.
    """
    torch.set_num_threads(1)
    steps = {side: step("", side) for side in SIDES}
    for _ in range(2):
        torch.testing.assert_close(*(take() for take in steps.values()))
    store(
        "bert",
        "transformers",
        compare(
            "benchmarks.bert",
            "",
            steps,
            promised=PROMISED,
            promised_memory=PROMISED_MEMORY,
        ),
        f"{N_LAYERS} layers, batch {BATCH_SIZE}, time {TIME}, d_model {D_MODEL}, {N_HEADS} heads, "
        f"d_ff {D_FF}, vocabulary {VOCAB_SIZE:,}, {SHARE:.0%} hidden. {measured()}",
        ("transformers",),
    )


if __name__ == "__main__":
    main()
