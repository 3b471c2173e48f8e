"""Whole language models: a Transformer beside transformers' GPT-2, an LSTM beside torch.nn's.

A training step sets the gradients to zero, reads a batch, makes the loss of every next token, sends
it back, and changes the weights with AdamW. To generate means to continue one token by a hundred,
the most probable each time, with the keys and values of what was read kept. Both sides begin with
the same weights; that they have the same loss and write the same text is checked first. There is no
dropout and no padding.

Run `python -m benchmarks.language_models`: it prints the table and rewrites it in README.md.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.results import Row, store
from benchmarks.timing import Step, compare, in_turns, measured, model_step
from lmcourse.decoding import generate
from lmcourse.rnn import LSTM, RNNLanguageModel
from lmcourse.self_attention import LearnedPositions
from lmcourse.transformer import CachedLanguageModel, small_transformer

BATCH_SIZE, TIME, D_MODEL, N_HEADS, N_LAYERS, VOCAB_SIZE = 16, 128, 256, 4, 4, 8192
N_GENERATED = 100
TRANSFORMER, RECURRENT = "Transformer", "LSTM"
SIDES = ("ours", "theirs")


class TorchLSTM(nn.Module):
    """The recurrent language model as one would write it with torch.nn."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, D_MODEL)
        self.lstm = nn.LSTM(D_MODEL, D_MODEL, batch_first=True)
        self.output = nn.Linear(D_MODEL, VOCAB_SIZE)

    def forward(self, token_ids: Tensor) -> Tensor:
        hidden, _ = self.lstm(self.embedding(token_ids))
        return self.output(hidden)


def our_transformer():
    """Ours, as GPT-2 is: pre-norm, GELU, learned positions; the bias of the output stays 0."""
    torch.manual_seed(0)
    positions = LearnedPositions(TIME, D_MODEL)
    model = small_transformer(VOCAB_SIZE, D_MODEL, N_HEADS, N_LAYERS, positions)
    nn.init.zeros_(model.output.bias)
    return model


def gpt2() -> GPT2LMHeadModel:
    """GPT-2 of the same sizes with the weights of ours."""
    config = GPT2Config(
        vocab_size=VOCAB_SIZE,
        n_positions=TIME,
        n_embd=D_MODEL,
        n_layer=N_LAYERS,
        n_head=N_HEADS,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=None,
    )
    ours, model = our_transformer(), GPT2LMHeadModel(config).train()
    body, tensors = model.transformer, {}
    tensors[body.wte] = ours.embedding.embedding.weight * math.sqrt(D_MODEL)
    tensors[body.wpe] = ours.embedding.positions.embedding.weight
    tensors[model.lm_head] = ours.output.weight
    for module, tensor in tensors.items():
        module.weight.data.copy_(tensor)
    body.ln_f.load_state_dict(ours.layers.norm.state_dict())
    for layer, block in zip(ours.layers.layers, body.h, strict=True):
        block.ln_1.load_state_dict(layer.attention_norm.state_dict())
        block.ln_2.load_state_dict(layer.feed_forward_norm.state_dict())
        for theirs, linear in (
            (block.attn.c_attn, layer.attention.in_projection),
            (block.attn.c_proj, layer.attention.out_projection),
            (block.mlp.c_fc, layer.feed_forward.inner),
            (block.mlp.c_proj, layer.feed_forward.outer),
        ):
            theirs.weight.data.copy_(linear.weight.T)  # theirs is turned round
            theirs.bias.data.copy_(linear.bias)
    return model


def our_lstm() -> RNNLanguageModel:
    torch.manual_seed(0)
    return RNNLanguageModel(VOCAB_SIZE, LSTM(D_MODEL, D_MODEL))


def torch_lstm() -> TorchLSTM:
    ours, model = our_lstm(), TorchLSTM()
    model.embedding.load_state_dict(ours.embedding.state_dict())
    model.lstm.load_state_dict(ours.layers.to_torch_state_dict())
    model.output.load_state_dict(ours.output.state_dict())
    return model


MODELS = {
    (TRANSFORMER, "ours"): our_transformer,
    (TRANSFORMER, "theirs"): gpt2,
    (RECURRENT, "ours"): our_lstm,
    (RECURRENT, "theirs"): torch_lstm,
}


def step(case: str, side: str) -> Step:
    """A training step of one model."""
    model = MODELS[case, side]()
    stream = torch.Generator().manual_seed(0)
    token_ids = torch.randint(2, VOCAB_SIZE, (BATCH_SIZE, TIME), generator=stream)
    loss_of: Callable[[], Tensor]
    if side == "ours":

        def loss_of():
            return -model.log_prob(token_ids).mean()

    elif case == TRANSFORMER:

        def loss_of():
            return model(input_ids=token_ids, labels=token_ids).loss

    else:

        def loss_of():
            logits = model(token_ids[:, :-1])
            return F.cross_entropy(logits.flatten(0, 1), token_ids[:, 1:].flatten())

    return model_step(model, loss_of)


def writers() -> dict[str, Callable[[], list[int]]]:
    """Each side's way to continue `<s>` by a hundred tokens."""
    ours, theirs = our_transformer().eval(), gpt2().eval()
    begin = torch.zeros(1, 1, dtype=torch.long)

    def write_ours() -> list[int]:
        return generate(
            CachedLanguageModel(ours), [0], N_GENERATED, temperature=0, eos_id=-1
        )

    def write_theirs() -> list[int]:
        text = theirs.generate(
            begin,
            attention_mask=torch.ones_like(begin),
            max_new_tokens=N_GENERATED,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
        )
        return text[0].tolist()

    return {"ours": write_ours, "theirs": write_theirs}


def n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def check() -> None:
    """Both sides of each model have the same loss, and write the same text.

    Raises:
        AssertionError: they do not.
    """
    for case in (TRANSFORMER, RECURRENT):
        torch.testing.assert_close(*(step(case, side)() for side in SIDES))
    ours, theirs = (write() for write in writers().values())
    assert len(ours) == 1 + N_GENERATED and ours == theirs, (ours, theirs)


def main() -> None:
    """Measure, store, and rewrite the table of README.md."""
    torch.set_num_threads(1)
    check()
    module = "benchmarks.language_models"
    rows = []
    for case in (TRANSFORMER, RECURRENT):
        rows += compare(module, case, {side: step(case, side) for side in SIDES})
    took = in_turns(writers())
    rows.insert(
        2,
        Row(
            f"{TRANSFORMER}: {N_GENERATED} tokens written",
            "ms",
            *(1e3 * took[side] for side in SIDES),
        ),
    )
    parameters = {
        case: [n_parameters(MODELS[case, side]()) for side in SIDES]
        for case in (TRANSFORMER, RECURRENT)
    }
    counted = "; ".join(
        f"{case} {ours:,} parameters beside {theirs:,}"
        for case, (ours, theirs) in parameters.items()
    )
    store(
        "language_models",
        "theirs",
        rows,
        f"Transformer: GPT2LMHeadModel of transformers; {N_LAYERS} layers, d_model {D_MODEL}, "
        f"{N_HEADS} heads, d_ff {4 * D_MODEL}. LSTM: nn.LSTM of torch, one layer, width {D_MODEL}. "
        f"Batch {BATCH_SIZE}, time {TIME}, vocabulary {VOCAB_SIZE:,}; {counted}. {measured()}",
        ("transformers",),
    )


if __name__ == "__main__":
    main()
