"""Recurrent networks: read word by word, and carry along what matters.

Adds to `markov` a state that is learned: a vector that each word changes. Three cells say how:
the plain RNN (Elman, 1990, *Finding Structure in Time*), the LSTM (Hochreiter & Schmidhuber, 1997,
*Long Short-Term Memory*; the forget gate is by Gers et al., 2000) and the GRU (Cho et al., 2014,
*Learning Phrase Representations using RNN Encoder-Decoder*). Parameters have the names, shapes and
beginnings of torch's cells.

A state is a tuple of tensors, each (batch, d_hidden). Its first one is the hidden state, which is
also the output. The LSTM has a second one, the cell state.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcourse.language_models import LanguageModel, check_token_ids

State = tuple[Tensor, ...]


# ---------------------------------------------------------------------------------------- cells


class Cell(nn.Module):
    """One step of a recurrent network: the state before and an input give the state after.

    The input's share of the work does not depend on the state. `project` does it, for all steps
    at once; `step` does the rest, one step after the other.

    Args:
        d_input: the size of an input.
        d_hidden: the size of the state.

    Raises:
        ValueError: a size is below 1.
    """

    n_gates: int
    n_states = 1

    def __init__(self, d_input: int, d_hidden: int):
        super().__init__()
        if min(d_input, d_hidden) < 1:
            raise ValueError(
                f"d_input={d_input} and d_hidden={d_hidden}; both must be at least 1"
            )
        self.d_input, self.d_hidden = d_input, d_hidden
        n_rows = self.n_gates * d_hidden
        self.weight_ih = nn.Parameter(torch.empty(n_rows, d_input))
        self.weight_hh = nn.Parameter(torch.empty(n_rows, d_hidden))
        self.bias_ih = nn.Parameter(torch.empty(n_rows))
        self.bias_hh = nn.Parameter(torch.empty(n_rows))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(d_hidden**-0.5), d_hidden**-0.5)

    def extra_repr(self) -> str:
        return f"d_input={self.d_input}, d_hidden={self.d_hidden}"

    def initial_state(self, batch_size: int) -> State:
        """Nothing read yet: zeros."""
        zeros = self.bias_hh.new_zeros(batch_size, self.d_hidden)
        return (zeros,) * self.n_states

    def project(
        self, inputs: Float[Tensor, "*batch d_input"]
    ) -> Float[Tensor, "*batch n_rows"]:
        """What the inputs contribute to each gate, with both biases."""
        return F.linear(inputs, self.weight_ih, self.bias_ih + self.bias_hh)

    def step(self, projected: Float[Tensor, "batch n_rows"], state: State) -> State:
        """The state after one more input, which was projected before."""
        raise NotImplementedError

    def forward(
        self, inputs: Float[Tensor, "batch d_input"], state: State | None = None
    ) -> State:
        """The state after one more input.

        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <torch._C.Generator object at ...>
        >>> (hidden,) = RNNCell(d_input=3, d_hidden=2)(torch.ones(1, 3))
        >>> hidden.shape
        torch.Size([1, 2])
        """
        if state is None:
            state = self.initial_state(len(inputs))
        return self.step(self.project(inputs), state)


class RNNCell(Cell):
    """The plain cell: hidden' = tanh(W_ih input + b_ih + W_hh hidden + b_hh)."""

    n_gates = 1

    def step(self, projected: Float[Tensor, "batch n_rows"], state: State) -> State:
        (hidden,) = state
        return (torch.addmm(projected, hidden, self.weight_hh.t()).tanh(),)


class LSTMCell(Cell):
    """Long short-term memory: a cell state that gates keep, fill and show.

    Each gate is made of the input and of the hidden state::

        input, forget, output = sigmoid(...), candidate = tanh(...)
        cell' = forget * cell + input * candidate
        hidden' = output * tanh(cell')
    """

    n_gates = 4  # input, forget, candidate, output: torch's order
    n_states = 2

    def step(self, projected: Float[Tensor, "batch n_rows"], state: State) -> State:
        hidden, cell = state
        gates = torch.addmm(projected, hidden, self.weight_hh.t())
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
        kept = forget_gate.sigmoid() * cell
        cell = kept + input_gate.sigmoid() * candidate.tanh()
        return output_gate.sigmoid() * cell.tanh(), cell

    @torch.no_grad()
    def open_forget_gates(self, bias: float | int = 1.0) -> None:
        """Let the forget gates begin with this bias: the more, the more is kept.

        Jozefowicz et al. (2015), *An Empirical Exploration of Recurrent Network Architectures*.
        """
        forget_rows = slice(self.d_hidden, 2 * self.d_hidden)
        self.bias_ih[forget_rows] = 0
        self.bias_hh[forget_rows] = bias


class GRUCell(Cell):
    """The gated recurrent unit: one gate says how much is new, one how much of the old it sees.

    Both gates are made of the input and of the hidden state::

        reset, update = sigmoid(...)
        candidate = tanh(W_in input + b_in + reset * (W_hn hidden + b_hn))
        hidden' = (1 - update) * candidate + update * hidden
    """

    n_gates = 3  # reset, update, candidate: torch's order

    def project(
        self, inputs: Float[Tensor, "*batch d_input"]
    ) -> Float[Tensor, "*batch n_rows"]:
        """What the inputs contribute; b_hn stays with hidden, where the reset gate reaches it."""
        return F.linear(inputs, self.weight_ih, self.bias_ih)

    def step(self, projected: Float[Tensor, "batch n_rows"], state: State) -> State:
        (hidden,) = state
        of_hidden = torch.addmm(self.bias_hh, hidden, self.weight_hh.t())
        both = 2 * self.d_hidden
        gates = (projected[:, :both] + of_hidden[:, :both]).sigmoid()
        reset, update = gates.chunk(2, dim=1)
        candidate = (projected[:, both:] + reset * of_hidden[:, both:]).tanh()
        return (candidate + update * (hidden - candidate),)


# --------------------------------------------------------------------------------------- layers


def read(
    cell: Cell,
    inputs: Float[Tensor, "batch time d_input"],
    state: State,
    lengths: Int[Tensor, " batch"] | None = None,
) -> tuple[Float[Tensor, "batch time d_hidden"], State]:
    """Read a batch of sequences from left to right with one cell.

    Args:
        cell: the cell.
        inputs: the sequences.
        state: the state before the first input.
        lengths: how many inputs of each sequence are real. What lies behind is not read: the
            state stays as it is after the last real input, and the outputs are 0.

    Returns:
        The hidden state after each input, and the state after the last.
    """
    if lengths is not None:
        return read_packed(cell, inputs, state, lengths)
    outputs = []
    for projected in cell.project(inputs).unbind(dim=1):
        state = cell.step(projected, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1), state


def read_packed(
    cell: Cell,
    inputs: Float[Tensor, "batch time d_input"],
    state: State,
    lengths: Int[Tensor, " batch"],
) -> tuple[Float[Tensor, "batch time d_hidden"], State]:
    """Read sequences of different lengths, and compute nothing for the padding.

    The longest sequence comes first. Then those that are still running at a step are the first
    rows of the batch, and the step takes only these.

    Raises:
        ValueError: there is not one length for each sequence, or one is not in 1 .. time.
    """
    batch_size, time, _ = inputs.shape
    if (
        lengths.shape != (batch_size,)
        or not 1 <= lengths.min() <= lengths.max() <= time
    ):
        raise ValueError(
            f"lengths={lengths.tolist()} for {batch_size} sequences of {time} inputs; give one "
            f"length from 1 to {time} for each sequence"
        )
    order = lengths.argsort(descending=True, stable=True)
    real = torch.arange(time, device=lengths.device)[:, None] < lengths[order]
    n_running = real.sum(dim=1).tolist()
    packed = inputs[order].transpose(0, 1)[real]  # (n_real, d_input), step by step
    state = tuple(part[order] for part in state)
    outputs, finished = [], []
    for projected in cell.project(packed).split(n_running):
        if len(projected) < len(state[0]):
            finished.append(tuple(part[len(projected) :] for part in state))
            state = tuple(part[: len(projected)] for part in state)
        if len(projected):
            state = cell.step(projected, state)
            outputs.append(state[0])
    back = order.argsort()
    parts = zip(state, *reversed(finished), strict=True)  # of each row, where it ended
    state = tuple(torch.cat(part)[back] for part in parts)
    padded = inputs.new_zeros(time, batch_size, cell.d_hidden)
    padded[real] = torch.cat(outputs)
    return padded.transpose(0, 1)[back], state


class RecurrentLayers(nn.Module):
    """Cells on top of each other: the outputs of one are the inputs of the next.

    Args:
        d_input: the size of an input.
        d_hidden: the size of the state of each layer.
        n_layers: how many layers.

    Raises:
        ValueError: a size, or the number of layers, is below 1.
    """

    cell_class: type[Cell]

    def __init__(self, d_input: int, d_hidden: int, n_layers: int = 1):
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"n_layers={n_layers}; there must be at least 1")
        self.d_input, self.d_hidden, self.d_output = d_input, d_hidden, d_hidden
        sizes = [d_input] + [d_hidden] * (n_layers - 1)
        self.cells = nn.ModuleList(self.cell_class(size, d_hidden) for size in sizes)

    def forward(
        self,
        inputs: Float[Tensor, "batch time d_input"],
        states: Sequence[State] | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch time d_hidden"], list[State]]:
        """Read a batch of sequences.

        Args:
            inputs: the sequences.
            states: a state for each layer; zeros where nothing was read before.
            lengths: how many inputs of each sequence are real; all where not given.

        Returns:
            The hidden states of the last layer, and the last state of every layer.

        >>> outputs, states = LSTM(d_input=3, d_hidden=5, n_layers=2)(torch.zeros(4, 7, 3))
        >>> outputs.shape, len(states)
        (torch.Size([4, 7, 5]), 2)
        """
        if states is None:
            states = [cell.initial_state(len(inputs)) for cell in self.cells]
        after = []
        for cell, state in zip(self.cells, states, strict=True):
            inputs, state = read(cell, inputs, state, lengths)
            after.append(state)
        return inputs, after

    def to_torch_state_dict(self) -> dict[str, Tensor]:
        """The parameters under the names that torch.nn.RNN, LSTM and GRU give them.

        >>> sorted(GRU(3, 5).to_torch_state_dict())
        ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
        """
        return {
            f"{name}_l{layer}": parameter
            for layer, cell in enumerate(self.cells)
            for name, parameter in cell.state_dict().items()
        }

    def load_torch_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Take the parameters of a torch.nn.RNN, LSTM or GRU of the same sizes.

        Raises:
            ValueError: a parameter is missing or too much, or has another shape.

        >>> GRU(3, 5).load_torch_state_dict(nn.GRU(3, 5).state_dict())
        """
        own = self.to_torch_state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        for name in own | shapes:
            wanted = tuple(own[name].shape) if name in own else None
            if shapes.get(name) != wanted:
                raise ValueError(
                    f"{name} has shape {shapes.get(name)} and should have {wanted}; the torch "
                    "layer must have the same sizes, biases and one direction"
                )
        for name, parameter in own.items():
            with torch.no_grad():
                parameter.copy_(tensors[name])


class RNN(RecurrentLayers):
    """Layers of plain cells, as torch.nn.RNN."""

    cell_class = RNNCell


class LSTM(RecurrentLayers):
    """Layers of LSTM cells, as torch.nn.LSTM."""

    cell_class = LSTMCell


class GRU(RecurrentLayers):
    """Layers of GRU cells, as torch.nn.GRU."""

    cell_class = GRUCell


# ------------------------------------------------------------------------------- language model


class RNNLanguageModel(LanguageModel):
    """Embedding, recurrent layers, and one linear layer from the hidden state to the logits.

    Args:
        vocab_size: the number of tokens.
        layers: an `RNN`, `LSTM` or `GRU`; the embedding has the size of its inputs.
        dropout: the share of numbers set to 0 in training, before and after the layers
            (Zaremba et al., 2014, *Recurrent Neural Network Regularization*).

    Raises:
        ValueError: vocab_size is below 2.

    >>> model = RNNLanguageModel(vocab_size=7, layers=LSTM(d_input=4, d_hidden=5))
    >>> model(torch.tensor([[0, 3, 2]])).shape
    torch.Size([1, 3, 7])
    """

    def __init__(
        self, vocab_size: int, layers: RecurrentLayers, dropout: float | int = 0.0
    ):
        super().__init__()
        if vocab_size < 2:
            raise ValueError(f"vocab_size={vocab_size}; <s> and </s> alone make 2")
        self.vocab_size = vocab_size
        self.embedding = nn.Embedding(vocab_size, layers.d_input)
        nn.init.normal_(self.embedding.weight, std=layers.d_input**-0.5)
        self.layers = layers
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(layers.d_output, vocab_size)

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        logits, _ = self.read(token_ids)
        return logits

    def read(
        self,
        token_ids: Int[Tensor, "batch time"],
        states: Sequence[State] | None = None,
    ) -> tuple[Float[Tensor, "batch time vocab_size"], list[State]]:
        """Go on reading from a state. Returns the logits and the state after the last token."""
        check_token_ids(token_ids, self.vocab_size)
        embedded = self.dropout(self.embedding(token_ids))
        hidden, states = self.layers(embedded, states)
        return self.output(self.dropout(hidden)), states


# --------------------------------------------------------------- gradients through many steps


def truncated_backward(
    model: RNNLanguageModel, token_ids: Int[Tensor, "batch time"], chunk_length: int
) -> float:
    """Back-propagation through time that is cut off: the state goes on, its gradient does not.

    The tokens are read in chunks. After each chunk the gradient is added up and the graph is
    forgotten, so memory stays that of one chunk, however long the text (Williams & Peng, 1990,
    *An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network
    Trajectories*).

    Args:
        model: its parameters' `grad` grows.
        token_ids: all real, no padding.
        chunk_length: predictions a chunk; the gradient reaches back no further than its start.

    Returns:
        The mean loss of all predictions, in nats a token.

    Raises:
        ValueError: chunk_length is below 1, or there is nothing to predict.

    >>> model = RNNLanguageModel(vocab_size=7, layers=GRU(d_input=4, d_hidden=5))
    >>> loss = truncated_backward(model, torch.tensor([[0, 3, 2, 6, 1]]), chunk_length=2)
    >>> model.output.bias.grad.shape
    torch.Size([7])
    """
    n_predictions = token_ids.shape[1] - 1
    if chunk_length < 1 or n_predictions < 1:
        raise ValueError(
            f"chunk_length={chunk_length}, {n_predictions} tokens to predict; both must be at "
            "least 1"
        )
    states, total = None, 0.0
    for start in range(0, n_predictions, chunk_length):
        chunk = token_ids[:, start : start + chunk_length + 1]
        logits, states = model.read(chunk[:, :-1], states)
        log_probs = logits.log_softmax(dim=-1).gather(-1, chunk[:, 1:, None])
        loss = -log_probs.sum() / (len(token_ids) * n_predictions)
        loss.backward()
        total += loss.item()
        states = [tuple(part.detach() for part in state) for state in states]
    return total


def gradient_norms(
    cell: Cell, inputs: Float[Tensor, "batch time d_input"], generator: torch.Generator
) -> Float[Tensor, " time"]:
    """How strongly the last hidden state depends on the state after each step.

    A random direction of the last hidden state is chosen for each sequence, and its gradient
    with respect to every earlier state is measured: hidden and cell state together.

    Args:
        cell: the cell.
        inputs: what it reads.
        generator: the source of chance.

    Returns:
        At place t the mean length of the gradient at the state after step t. The last one is 1.

    >>> norms = gradient_norms(RNNCell(3, 5), torch.randn(2, 9, 3), torch.Generator())
    >>> norms.shape, round(norms[-1].item(), 4)
    (torch.Size([9]), 1.0)
    """
    state, states = cell.initial_state(len(inputs)), []
    for projected in cell.project(inputs).unbind(dim=1):
        # A copy is what the next step reads, and nothing else: a cell state's gradient must not
        # also count the hidden state that was made from it.
        state = tuple(part.clone() for part in cell.step(projected, state))
        states.append(state)
    direction = torch.randn(state[0].shape, generator=generator)
    objective = (state[0] * F.normalize(direction, dim=1)).sum()
    flat = [part for state in states for part in state]
    gradients = torch.autograd.grad(
        objective, flat, allow_unused=True, materialize_grads=True
    )
    by_state = torch.stack(gradients).unflatten(0, (len(states), cell.n_states))
    # (time, n_states, batch, d_hidden) -> (time, batch)
    return by_state.square().sum(dim=(1, 3)).sqrt().mean(dim=1)


def decay_per_step(norms: Float[Tensor, " time"]) -> float:
    """The factor by which the gradient shrinks (or grows) with each step back, on average.

    Raises:
        ValueError: there are fewer than 2 norms, or the first or the last is 0.

    >>> round(decay_per_step(torch.tensor([0.125, 0.25, 0.5, 1.0])), 4)
    0.5
    """
    if len(norms) < 2 or not (norms[0] > 0 and norms[-1] > 0):
        raise ValueError(
            f"{len(norms)} norms, {norms[:1].tolist()} to {norms[-1:].tolist()}; at least 2 are "
            "needed, above 0 at both ends"
        )
    return math.exp(math.log(norms[0] / norms[-1]) / (len(norms) - 1))
