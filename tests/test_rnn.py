"""Recurrent networks: cells and layers equal torch's, gradients go where they should."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lmcourse.language_models import pad_sentences, token_log_probs
from lmcourse.rnn import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    LSTMCell,
    RNNCell,
    RNNLanguageModel,
    decay_per_step,
    gradient_norms,
    read,
    truncated_backward,
)
from lmcourse.training import predicted_log_probs, train

BATCH, TIME, D_INPUT, D_HIDDEN = 6, 9, 4, 5
LENGTHS = [3, 9, 1, 3, 7, 1]
CELLS = [
    pytest.param(ours, theirs, id=ours.__name__)
    for ours, theirs in (
        (RNNCell, nn.RNNCell),
        (LSTMCell, nn.LSTMCell),
        (GRUCell, nn.GRUCell),
    )
]
LAYERS = [
    pytest.param(ours, theirs, id=ours.__name__)
    for ours, theirs in ((RNN, nn.RNN), (LSTM, nn.LSTM), (GRU, nn.GRU))
]
KINDS = pytest.mark.parametrize("kind", (RNN, LSTM, GRU))
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)]
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def leaf(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, requires_grad=True)


def assert_close(actual, expected, tolerance: float):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


def gradients(results, leaves) -> list[torch.Tensor]:
    """Of a fixed random sum of all results."""
    stream = torch.Generator().manual_seed(1)
    total = sum(
        (part * torch.randn(part.shape, generator=stream)).sum() for part in results
    )
    return list(torch.autograd.grad(total, leaves))


def as_torch(states):
    """Our states, one a layer, as torch's: (layer, batch, d_hidden), for the LSTM a pair."""
    parts = tuple(torch.stack(part) for part in zip(*states, strict=True))
    return parts if len(parts) > 1 else parts[0]


def flat(states) -> list[torch.Tensor]:
    return [states] if isinstance(states, torch.Tensor) else list(states)


def language_model(kind, vocab_size=11, n_layers=2, dtype=torch.float64):
    layers = kind(D_INPUT, D_HIDDEN, n_layers)
    return RNNLanguageModel(vocab_size, layers).to(dtype)


# ---- equal to torch ------------------------------------------------------------------------------


@PRECISIONS
@pytest.mark.parametrize("with_state", (True, False))
@pytest.mark.parametrize(("ours", "theirs"), CELLS)
def test_cells_equal_torchs(ours, theirs, with_state, dtype, tolerance):
    ours = ours(D_INPUT, D_HIDDEN).to(dtype)
    theirs = theirs(D_INPUT, D_HIDDEN).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    inputs = leaf(BATCH, D_INPUT, dtype=dtype)
    state, torch_state = None, None
    if with_state:
        state = tuple(leaf(BATCH, D_HIDDEN, dtype=dtype) for _ in range(ours.n_states))
        torch_state = state if len(state) > 1 else state[0]
    result, expected = ours(inputs, state), flat(theirs(inputs, torch_state))
    assert_close(list(result), expected, tolerance)
    leaves = [inputs, *(state or ())]
    assert_close(
        gradients(result, [*leaves, *ours.parameters()]),
        gradients(expected, [*leaves, *theirs.parameters()]),
        tolerance,
    )


@PRECISIONS
@pytest.mark.parametrize("packed", (False, True), ids=("whole", "packed"))
@pytest.mark.parametrize("with_states", (True, False))
@pytest.mark.parametrize("n_layers", (1, 2, 3))
@pytest.mark.parametrize(("ours", "theirs"), LAYERS)
def test_layers_equal_torchs(
    ours, theirs, n_layers, with_states, packed, dtype, tolerance
):
    ours = ours(D_INPUT, D_HIDDEN, n_layers).to(dtype)
    theirs = theirs(D_INPUT, D_HIDDEN, n_layers, batch_first=True).to(dtype)
    theirs.load_state_dict(ours.to_torch_state_dict())
    inputs = leaf(BATCH, TIME, D_INPUT, dtype=dtype)
    states = None
    if with_states:
        states = [
            tuple(leaf(BATCH, D_HIDDEN, dtype=dtype) for _ in range(cell.n_states))
            for cell in ours.cells
        ]
    torch_states = as_torch(states) if with_states else None
    lengths = torch.tensor(LENGTHS) if packed else None

    outputs, after = ours(inputs, states, lengths)
    if packed:
        batch = pack_padded_sequence(
            inputs, lengths, batch_first=True, enforce_sorted=False
        )
        torch_outputs, torch_after = theirs(batch, torch_states)
        torch_outputs, _ = pad_packed_sequence(torch_outputs, batch_first=True)
    else:
        torch_outputs, torch_after = theirs(inputs, torch_states)

    result, expected = (
        [outputs, *flat(as_torch(after))],
        [torch_outputs, *flat(torch_after)],
    )
    assert_close(result, expected, tolerance)
    leaves = [inputs, *(part for state in states or () for part in state)]
    assert_close(
        gradients(result, [*leaves, *ours.parameters()]),
        gradients(expected, [*leaves, *theirs.parameters()]),
        tolerance,
    )


@pytest.mark.parametrize(("ours", "theirs"), LAYERS)
def test_state_dicts_go_both_ways(ours, theirs):
    first = ours(D_INPUT, D_HIDDEN, n_layers=3)
    torch_layer = theirs(D_INPUT, D_HIDDEN, num_layers=3)
    torch_layer.load_state_dict(first.to_torch_state_dict(), strict=True)
    assert list(first.to_torch_state_dict()) == list(torch_layer.state_dict())
    second = ours(D_INPUT, D_HIDDEN, n_layers=3)
    before = copy.deepcopy(second.state_dict())
    second.load_torch_state_dict(torch_layer.state_dict())
    for name, parameter in first.state_dict().items():
        assert torch.equal(parameter, second.state_dict()[name])
        assert not torch.equal(parameter, before[name])


@pytest.mark.parametrize(("ours", "theirs"), [*CELLS, *LAYERS])
def test_default_beginnings_are_torchs(ours, theirs):
    """From the same seed, the same numbers; and they fill the range that they should."""
    torch.manual_seed(3)
    parameters = list(ours(D_INPUT, 100).parameters())
    torch.manual_seed(3)
    for parameter, expected in zip(
        parameters, theirs(D_INPUT, 100).parameters(), strict=True
    ):
        assert torch.equal(parameter, expected)
    numbers = torch.cat([parameter.flatten() for parameter in parameters])
    assert 0.099 < numbers.abs().max() <= 0.1  # 1 / sqrt(100)
    assert abs(numbers.mean()) < 0.003 and 0.056 < numbers.std() < 0.06  # 0.1 / sqrt(3)


# ---- padding -------------------------------------------------------------------------------------


@KINDS
def test_padding_is_not_read(kind):
    """It is not a number here, so that the least use of it would show."""
    layers = kind(D_INPUT, D_HIDDEN, n_layers=2)
    lengths = torch.tensor(LENGTHS)
    padding = torch.arange(TIME) >= lengths[:, None]
    inputs = torch.randn(BATCH, TIME, D_INPUT)
    inputs = inputs.masked_fill(padding[:, :, None], math.nan).requires_grad_()
    outputs, states = layers(inputs, lengths=lengths)
    assert (outputs[padding] == 0).all()
    for row, length in enumerate(LENGTHS):
        alone, states_alone = layers(inputs[row : row + 1, :length])
        assert_close(outputs[row : row + 1, :length], alone, 1e-6)
        for state, expected in zip(states, states_alone, strict=True):
            assert_close([part[row : row + 1] for part in state], list(expected), 1e-6)
    (gradient,) = gradients([outputs], [inputs])
    assert (gradient[padding] == 0).all()
    assert (gradient[~padding] != 0).any(dim=1).all()


def test_nothing_is_computed_for_padding(monkeypatch):
    sizes = []
    step = GRUCell.step

    def counting(self, projected, state):
        sizes.append(len(projected))
        return step(self, projected, state)

    monkeypatch.setattr(GRUCell, "step", counting)
    cell = GRUCell(D_INPUT, D_HIDDEN)
    inputs, state = torch.randn(BATCH, TIME, D_INPUT), cell.initial_state(BATCH)
    read(cell, inputs, state, torch.tensor(LENGTHS))
    assert sizes == [
        6,
        4,
        4,
        2,
        2,
        2,
        2,
        1,
        1,
    ]  # sequences that still run, sum(LENGTHS)


def test_time_behind_the_longest_sequence_is_padding_too():
    layers = LSTM(D_INPUT, D_HIDDEN)
    inputs, lengths = torch.randn(2, TIME, D_INPUT), torch.tensor([2, 4])
    outputs, states = layers(inputs, lengths=lengths)
    shorter, expected = layers(inputs[:, :4], lengths=lengths)
    assert outputs.shape == (2, TIME, D_HIDDEN) and (outputs[:, 4:] == 0).all()
    assert torch.equal(outputs[:, :4], shorter)
    assert_close(list(states[0]), list(expected[0]), 0)


@KINDS
def test_padding_changes_no_log_prob_and_no_gradient(kind):
    model = language_model(kind)
    sentences = [[0, 4, 6, 2, 8, 1], [0, 3, 1], [0, 5, 5, 1]]
    together = token_log_probs(model, sentences)
    alone = [token_log_probs(model, [sentence])[0] for sentence in sentences]
    assert_close(together, alone, 1e-12)

    def of_parameters(loss):
        return torch.autograd.grad(loss, list(model.parameters()))

    in_one_batch = of_parameters(predicted_log_probs(model, sentences).sum())
    one_by_one = of_parameters(
        sum(predicted_log_probs(model, [sentence]).sum() for sentence in sentences)
    )
    assert_close(in_one_batch, one_by_one, 1e-12)
    token_ids, mask = pad_sentences(sentences)
    otherwise = token_ids.masked_fill(~mask, 9)
    other_padding = of_parameters(model.log_prob(otherwise)[mask[:, 1:]].sum())
    assert_close(in_one_batch, other_padding, 1e-12)


# ---- the forget gate -----------------------------------------------------------------------------


@pytest.mark.parametrize("bias", (1, -0.5))
def test_open_forget_gates_keep_what_they_should(bias):
    cell = LSTMCell(D_INPUT, D_HIDDEN)
    before = copy.deepcopy(cell.state_dict())
    cell.open_forget_gates(bias)
    forget = torch.zeros(4 * D_HIDDEN, dtype=torch.bool)
    forget[D_HIDDEN : 2 * D_HIDDEN] = True
    after = cell.state_dict()
    total = after["bias_ih"] + after["bias_hh"]
    assert (total[forget] == bias).all()
    for name in ("bias_ih", "bias_hh"):
        assert torch.equal(after[name][~forget], before[name][~forget])
    for name in ("weight_ih", "weight_hh"):
        assert torch.equal(after[name], before[name])

    # Without any other influence the cell state fades by sigmoid(bias) a step.
    with torch.no_grad():
        cell.weight_ih.zero_(), cell.weight_hh.zero_()
        cell.bias_ih.zero_(), cell.bias_hh.masked_fill_(~forget, 0)
        state = torch.zeros(1, D_HIDDEN), torch.ones(1, D_HIDDEN)
        for _ in range(3):
            state = cell(torch.randn(1, D_INPUT), state)
    kept = (1 / (1 + math.exp(-bias))) ** 3
    assert_close(state[1], torch.full((1, D_HIDDEN), kept), 1e-6)


def test_open_forget_gates_have_a_default():
    cell = LSTMCell(D_INPUT, D_HIDDEN)
    cell.open_forget_gates()
    assert (cell.bias_hh[D_HIDDEN : 2 * D_HIDDEN] == 1).all()


# ---- the language model --------------------------------------------------------------------------


@KINDS
def test_the_language_model_is_embedding_layers_output(kind):
    """The same from torch's parts."""
    model = language_model(kind)
    theirs = getattr(nn, kind.__name__)(D_INPUT, D_HIDDEN, 2, batch_first=True).double()
    theirs.load_state_dict(model.layers.to_torch_state_dict())
    token_ids = torch.randint(11, (3, 7))
    outputs, _ = theirs(F.embedding(token_ids, model.embedding.weight))
    expected = F.linear(outputs, model.output.weight, model.output.bias)
    assert_close(model(token_ids), expected, 1e-12)


@KINDS
@pytest.mark.parametrize("cut", (1, 4, 6))
def test_read_in_two_pieces_is_read_in_one(kind, cut):
    model = language_model(kind)
    token_ids = torch.randint(11, (3, 7))
    logits, states = model.read(token_ids)
    first, between = model.read(token_ids[:, :cut])
    second, after = model.read(token_ids[:, cut:], between)
    assert_close(torch.cat([first, second], dim=1), logits, 1e-12)
    assert_close(flat(as_torch(after)), flat(as_torch(states)), 1e-12)


@KINDS
def test_future_tokens_cannot_change_past_logits(kind):
    model = language_model(kind)
    token_ids = torch.randint(2, 11, (3, 7))
    for place in range(7):
        changed = token_ids.clone()
        changed[:, place] = (token_ids[:, place] + 1) % 11
        same = (model(changed) == model(token_ids)).all(dim=(0, 2))
        # All before is as it was; all from there on knows of the change.
        assert same.tolist() == [True] * place + [False] * (7 - place)


def test_dropout_is_only_in_training():
    layers = LSTM(D_INPUT, D_HIDDEN)
    model = RNNLanguageModel(vocab_size=11, layers=layers, dropout=0.5)
    token_ids = torch.randint(11, (3, 7))
    assert not torch.equal(model(token_ids), model(token_ids))
    model.eval()
    without = RNNLanguageModel(vocab_size=11, layers=layers)
    without.load_state_dict(model.state_dict())
    assert torch.equal(model(token_ids), without(token_ids))


def test_dropout_stands_before_and_after_the_layers():
    """Half of the numbers become 0, the others double."""
    model = RNNLanguageModel(11, LSTM(D_INPUT, D_HIDDEN), dropout=0.5)
    seen = {}
    model.layers.register_forward_hook(
        lambda _, inputs, results: seen.update(before=inputs[0], hidden=results[0])
    )
    model.output.register_forward_hook(
        lambda _, inputs, __: seen.update(after=inputs[0])
    )
    token_ids = torch.randint(11, (8, 50))
    model(token_ids)
    pairs = (
        (seen["before"], model.embedding(token_ids)),
        (seen["after"], seen["hidden"]),
    )
    for dropped, whole in pairs:
        kept = dropped != 0
        assert 0.45 < kept.double().mean() < 0.55
        assert_close(dropped[kept], 2 * whole[kept], 1e-6)


@KINDS
def test_loss_starts_near_the_logarithm_of_the_vocabulary(kind):
    model = RNNLanguageModel(vocab_size=500, layers=kind(32, 64))
    sentence = [0, *torch.randint(2, 500, (300,)).tolist(), 1]
    loss = -token_log_probs(model, [sentence])[0].mean().item()
    assert loss == pytest.approx(math.log(500), abs=0.1)


@KINDS
def test_it_memorises_one_batch(kind):
    """Four sentences that differ from the first word on: that word stays open, 2 bits each."""
    sentences = [
        [0, 4, 2, 2, 3, 5, 1],
        [0, 5, 2, 2, 4, 1],
        [0, 6, 2, 2, 3, 3, 3, 1],
        [0, 7, 2, 2, 1],
    ]
    model = RNNLanguageModel(vocab_size=8, layers=kind(6, 24))
    history = train(model, sentences, steps=300, lr=0.02, max_norm=1.0)
    open_bits = 4 * 2 / sum(len(sentence) - 1 for sentence in sentences)
    assert open_bits < history.losses[-1] < open_bits + 0.02


# ---- back-propagation through time, cut off ------------------------------------------------------


def backward_of(model, token_ids, chunk_length):
    """The loss and the gradients, by name."""
    model.zero_grad()
    loss = truncated_backward(model, token_ids, chunk_length)
    return loss, {name: part.grad.clone() for name, part in model.named_parameters()}


def chunked_by_torch(model, token_ids, chunk_length):
    """The same from torch's parts: all chunks in one graph, the states between them detached."""
    layers = model.layers
    theirs = getattr(nn, type(layers).__name__)(
        D_INPUT, D_HIDDEN, len(layers.cells), batch_first=True
    ).double()
    theirs.load_state_dict(layers.to_torch_state_dict())
    embedding, output = copy.deepcopy(model.embedding), copy.deepcopy(model.output)
    states, losses = None, []
    for start in range(0, token_ids.shape[1] - 1, chunk_length):
        targets = token_ids[:, start + 1 : start + 1 + chunk_length]
        inputs = token_ids[:, start : start + targets.shape[1]]
        outputs, states = theirs(embedding(inputs), states)
        states = (
            states.detach()
            if isinstance(states, torch.Tensor)
            else tuple(part.detach() for part in states)
        )
        logits = output(outputs).flatten(0, 1)
        losses.append(F.cross_entropy(logits, targets.flatten(), reduction="none"))
    loss = torch.cat(losses).mean()
    loss.backward()
    return loss.item(), {
        "embedding.weight": embedding.weight.grad,
        **{
            f"layers.cells.{name[-1]}.{name[:-3]}": part.grad
            for name, part in theirs.named_parameters()
        },
        "output.weight": output.weight.grad,
        "output.bias": output.bias.grad,
    }


@KINDS
@pytest.mark.parametrize("chunk_length", (1, 3, 4, 7, 8, 100))  # of 8 predictions
def test_truncated_backward_equals_detached_states(kind, chunk_length):
    model = language_model(kind)
    token_ids = torch.randint(11, (3, 9))
    loss, gradient = backward_of(model, token_ids, chunk_length)
    expected_loss, expected = chunked_by_torch(model, token_ids, chunk_length)
    assert loss == pytest.approx(expected_loss, abs=1e-12)
    assert_close(gradient, expected, 1e-12)


@KINDS
def test_one_chunk_is_the_full_gradient_and_shorter_ones_are_not(kind):
    model = language_model(kind)
    token_ids = torch.randint(11, (3, 9))
    full = -model.log_prob(token_ids).mean()
    expected = torch.autograd.grad(full, list(model.parameters()))
    for chunk_length in (8, 50):
        loss, gradient = backward_of(model, token_ids, chunk_length)
        assert loss == pytest.approx(full.item(), abs=1e-12)
        assert_close(list(gradient.values()), list(expected), 1e-12)
    _, full_gradient = backward_of(model, token_ids, 8)
    for chunk_length in (1, 3, 7):
        loss, gradient = backward_of(model, token_ids, chunk_length)
        assert loss == pytest.approx(full.item(), abs=1e-12)
        # What the output layer learns does not go through time.
        assert_close(gradient["output.weight"], full_gradient["output.weight"], 1e-12)
        for name in ("layers.cells.0.weight_hh", "embedding.weight"):
            difference = (gradient[name] - full_gradient[name]).norm()
            assert difference > 1e-3 * full_gradient[name].norm()


def test_the_gradient_reaches_back_to_the_start_of_its_chunk_only():
    """Token 10 stands first and nowhere else: it learns from the first chunk alone."""
    model = language_model(LSTM)
    token_ids = torch.randint(2, 10, (3, 9))
    token_ids[:, 0] = 10
    _, gradient = backward_of(model, token_ids, chunk_length=3)
    _, of_first_chunk = backward_of(model, token_ids[:, :4], chunk_length=3)
    learned = gradient["embedding.weight"][10]
    expected = of_first_chunk["embedding.weight"][10] * 3 / 8  # means of 3 and 8
    assert_close(learned, expected, 1e-12)
    assert learned.norm() > 0


def test_truncated_backward_adds_to_the_gradient():
    model = language_model(GRU)
    token_ids = torch.randint(11, (3, 9))
    _, once = backward_of(model, token_ids, chunk_length=3)
    truncated_backward(model, token_ids, chunk_length=3)
    for name, parameter in model.named_parameters():
        assert_close(parameter.grad, 2 * once[name], 1e-12)


# ---- how far gradients reach ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", (RNNCell, LSTMCell, GRUCell))
def test_gradient_norms_equal_torchs_jacobian(kind):
    """Of the last hidden state, with respect to all of each earlier state."""
    n_sequences, n_steps = 2, 4
    cell = kind(D_INPUT, 3).double()
    inputs = torch.randn(n_sequences, n_steps, D_INPUT, dtype=torch.float64)
    norms = gradient_norms(cell, inputs, torch.Generator().manual_seed(5))
    stream = torch.Generator().manual_seed(5)
    direction = torch.randn(n_sequences, 3, generator=stream).double()
    direction = direction / direction.norm(dim=1, keepdim=True)
    expected = torch.zeros(n_sequences, n_steps, dtype=torch.float64)
    for row in range(n_sequences):
        states = [cell.initial_state(1)]
        for t in range(n_steps):
            states.append(cell(inputs[row : row + 1, t], states[-1]))
        for t in range(n_steps):

            def last_hidden(state, row=row, t=t):
                state = state.view(cell.n_states, 1, 3).unbind()
                for later in range(t + 1, n_steps):
                    state = cell(inputs[row : row + 1, later], state)
                return state[0][0]

            state = torch.cat(states[t + 1], dim=1)[0].detach()
            jacobian = torch.autograd.functional.jacobian(last_hidden, state)
            expected[row, t] = (direction[row] @ jacobian).norm()
    assert_close(norms, expected.mean(dim=0), 1e-6)


@pytest.mark.parametrize("scale", (0.7, 1.0, 1.3))
def test_the_factor_of_a_scaled_rotation_is_its_scale(scale):
    """At hidden state 0 the slope of tanh is 1, so each step multiplies by the matrix alone."""
    cell = RNNCell(D_INPUT, D_HIDDEN).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        nn.init.orthogonal_(cell.weight_hh, gain=scale)
    inputs = torch.randn(3, TIME, D_INPUT, dtype=torch.float64)
    norms = gradient_norms(cell, inputs, torch.Generator())
    expected = scale ** torch.arange(TIME - 1, -1, -1, dtype=torch.float64)
    assert_close(norms, expected, 1e-6)
    assert decay_per_step(norms) == pytest.approx(scale, abs=1e-6)


def test_the_factor_of_a_cell_state_is_its_forget_gate():
    """Weights 0: the last hidden state, 1/2 tanh(cell), knows earlier ones by the cell alone."""
    cell = LSTMCell(D_INPUT, D_HIDDEN).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
    cell.open_forget_gates(2)
    inputs = torch.randn(3, TIME, D_INPUT, dtype=torch.float64)
    norms = gradient_norms(cell, inputs, torch.Generator())
    forget = 1 / (1 + math.exp(-2))
    assert norms[-1].item() == pytest.approx(1, abs=1e-6)
    expected = [forget**steps / 2 for steps in range(TIME - 1, 0, -1)]
    assert norms[:-1].tolist() == pytest.approx(expected, abs=1e-6)


def test_decay_per_step_is_the_geometric_mean():
    assert decay_per_step(torch.tensor([8.0, 0.1, 1.0])) == pytest.approx(8**0.5)
    assert decay_per_step(torch.tensor([1e-12, 1.0])) == pytest.approx(1e-12)


# ---- errors and appearance -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RNNCell(0, 5), "d_input=0 and d_hidden=5; both must be at least 1"),
        (lambda: GRU(4, -1), "d_input=4 and d_hidden=-1; both must be at least 1"),
        (lambda: LSTM(4, 5, 0), "n_layers=0; there must be at least 1"),
        (lambda: RNNLanguageModel(1, GRU(4, 5)), "vocab_size=1; <s> and </s> alone"),
        (
            lambda: language_model(RNN)(torch.tensor([[0, 11]])),
            r"token id 11 is outside 0 \.\. 10",
        ),
        (
            lambda: GRU(4, 5)(torch.zeros(2, 7, 4), lengths=torch.tensor([7, 0])),
            r"lengths=\[7, 0\] for 2 sequences of 7 inputs; give one length from 1 to 7",
        ),
        (
            lambda: GRU(4, 5)(torch.zeros(2, 7, 4), lengths=torch.tensor([8, 1])),
            r"lengths=\[8, 1\] for 2 sequences of 7 inputs",
        ),
        (
            lambda: truncated_backward(language_model(GRU), torch.tensor([[0, 2]]), 0),
            "chunk_length=0, 1 tokens to predict; both must be at least 1",
        ),
        (
            lambda: truncated_backward(language_model(GRU), torch.tensor([[0]]), 3),
            "chunk_length=3, 0 tokens to predict",
        ),
        (
            lambda: decay_per_step(torch.tensor([0.0, 1.0])),
            r"2 norms, \[0.0\] to \[1.0\]; at least 2 are needed, above 0 at both ends",
        ),
        (lambda: decay_per_step(torch.tensor([1.0])), "1 norms"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (nn.GRU(4, 6), r"weight_ih_l0 has shape \(18, 4\) and should have \(15, 4\)"),
        (nn.LSTM(4, 5), r"weight_ih_l0 has shape \(20, 4\) and should have \(15, 4\)"),
        (
            nn.GRU(4, 5, bias=False),
            r"bias_ih_l0 has shape None and should have \(15,\)",
        ),
        (nn.GRU(4, 5, 2), r"weight_ih_l1 has shape \(15, 5\) and should have None"),
        (nn.GRU(4, 5, bidirectional=True), "weight_ih_l0_reverse has shape"),
    ],
)
def test_a_state_dict_that_does_not_fit_changes_nothing(theirs, message):
    layers = GRU(4, 5)
    before = copy.deepcopy(layers.state_dict())
    with pytest.raises(ValueError, match=message):
        layers.load_torch_state_dict(theirs.state_dict())
    for name, parameter in layers.state_dict().items():
        assert torch.equal(parameter, before[name])


def test_cells_show_their_sizes():
    assert repr(LSTMCell(4, 5)) == "LSTMCell(d_input=4, d_hidden=5)"
    assert repr(GRU(4, 5, 2).cells[1]) == "GRUCell(d_input=5, d_hidden=5)"
