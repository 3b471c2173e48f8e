"""Exercises of chapter 3: what a state carries, and what goes back through it."""

import itertools
import math

import torch

from lmcourse.exercises import (
    Choice,
    CodeExercise,
    Misconception,
    Number,
    Option,
    Order,
    Predict,
    WrongAnswer,
)
from lmcourse.exercises.compare import difference, show

# ------------------------------------------------------------------------------------ quizzes

echo = Predict(
    name="rnn.echo",
    title="An echo",
    minutes=2,
    difficulty=1,
    question="A recurrence with one number as its state. What does this print?",
    code=(
        "hidden = 0\n"
        "for number in [1, 0, 0, 2]:\n"
        "    hidden = 0.5 * hidden + number\n"
        "    print(hidden)"
    ),
    why=(
        "Each number sounds on, and is halved with each step. In the last line an eighth of the 1 "
        "is still there. So the state is a mixture of all that was read, and the old is faint."
    ),
    wrong=(
        WrongAnswer(
            "1.0\n0.0\n0.0\n2.0",
            "Those are the inputs. `0.5 * hidden` carries the past along.",
        ),
        WrongAnswer(
            "1.0\n1.0\n1.0\n3.0",
            "That is the running sum. Here the state is halved in every step.",
        ),
        WrongAnswer(
            "0.5\n0.25\n0.125\n1.0625",
            "You halve the new number too. Only the old state is halved.",
        ),
        WrongAnswer(
            "1.0\n0.5\n0.0\n2.0",
            "You look back one step only. The state of the third step still holds a quarter: "
            "half of the half.",
        ),
        WrongAnswer(
            "0.0\n1.0\n0.5\n0.25",
            "That is the state *before* each step. It is printed after the step.",
        ),
    ),
)

what_is_markov = Choice(
    name="rnn.what_is_markov",
    title="In what sense is it Markov?",
    minutes=2,
    difficulty=2,
    question=(
        "An RNN language model writes a sentence. A Markov chain forgets all but its present "
        "state. What of the RNN is a Markov chain?"
    ),
    options=(
        Option(
            "the sequence of its hidden states",
            correct=True,
            why=(
                "The hidden state says how probable each next word is. State and word together "
                "give the next hidden state. Nothing older is asked. The words alone are no "
                "Markov chain of any order: an old word can still act through the state."
            ),
        ),
        Option(
            "the sequence of its words",
            why=(
                "Then the last word alone would say what comes next, as in a bigram model. Here "
                "two sentences with the same last word can go on differently."
            ),
        ),
        Option(
            "both, the words and the hidden states",
            why=(
                "The states are. The words are not: the last word does not tell what the state "
                "is, and the state decides."
            ),
        ),
        Option(
            "neither: every step depends on all the words before",
            why=(
                "It does, but only through the hidden state. Whoever knows the state needs no "
                "older word to go on."
            ),
        ),
    ),
)

gru_parameters = Number(
    name="rnn.gru_parameters",
    title="Count the numbers of a GRU",
    minutes=4,
    difficulty=2,
    question="How many parameters does `GRU(d_input=3, d_hidden=5)` have, in its one layer?",
    answer=3 * (5 * 3 + 5 * 5 + 5 + 5),
    tolerance=0.5,
    why=(
        "Reset, update and candidate each have 5 * 3 weights of the input, 5 * 5 weights of the "
        "hidden state and two biases of 5: 3 * (15 + 25 + 10)."
    ),
    wrong=(
        WrongAnswer(
            5 * 3 + 5 * 5 + 5 + 5,
            "That is a plain RNN. A GRU computes three vectors so: reset, update, candidate.",
        ),
        WrongAnswer(
            4 * (5 * 3 + 5 * 5 + 5 + 5),
            "Four times: that is the LSTM. A GRU has three parts.",
        ),
        WrongAnswer(
            2 * (5 * 3 + 5 * 5 + 5 + 5),
            "You counted the two gates. The candidate has weights of its own.",
        ),
        WrongAnswer(
            3 * (5 * 3 + 5 * 5 + 5),
            "One bias each. As in torch there are two, one beside each matrix. (For the "
            "candidate the second one stands under the reset gate, so the two differ.)",
        ),
        WrongAnswer(3 * (5 * 3 + 5 * 5), "The biases are missing."),
        WrongAnswer(
            3 * (5 * 3 + 3 * 3 + 5 + 5),
            "The hidden state has 5 numbers before a step and 5 after: its matrix is 5 by 5.",
        ),
        WrongAnswer(
            3 * (5 * 3 + 5 + 5), "The matrix of the hidden state, 5 by 5, is missing."
        ),
    ),
)

fading_gradient = Number(
    name="rnn.fading_gradient",
    title="How far back?",
    minutes=3,
    difficulty=2,
    question=(
        "With each step back, a gradient is multiplied by 0.8. After how many steps is it below a "
        "thousandth of what it was, for the first time?"
    ),
    answer=math.ceil(math.log(1 / 1000) / math.log(0.8)),
    tolerance=0.4,
    why=(
        "After k steps, 0.8 to the power k is left. That is 1/1000 at k = ln(1000) / ln(1/0.8), "
        "which is just below 31."
    ),
    wrong=(
        WrongAnswer(
            30,
            "Nearly: after 30 steps a little more than a thousandth is left. One step more.",
        ),
        WrongAnswer(
            5,
            "You take 0.2 away with each step. Each step takes a fifth *of what is left*.",
        ),
        WrongAnswer(
            10, "Ten steps would do it if the factor were one half. It is 0.8."
        ),
        WrongAnswer(
            21, "Then it is below a *hundredth*. A thousandth takes half as long again."
        ),
        WrongAnswer(
            800,
            "Not 0.8 times 1000. Each step multiplies once more: what power of 0.8 is 1/1000?",
        ),
    ),
)

open_forget_gate = Choice(
    name="rnn.open_forget_gate",
    title="A gate that is nearly open",
    minutes=3,
    difficulty=2,
    question=(
        "An LSTM reads twenty words. At each of them its forget gate is 0.95, whatever the hidden "
        "state says. A gradient goes from the cell state after them to the cell state before "
        "them, from cell state to cell state. How much of it arrives?"
    ),
    options=(
        Option(
            "about a third",
            correct=True,
            why=(
                "Each step multiplies by the forget gate, 0.95, and by nothing else. 0.95 to the "
                "power 20 is about 0.36. The gradient does fade, but slowly."
            ),
        ),
        Option(
            "all of it: an LSTM's gradient does not vanish",
            why=(
                "Only where the forget gate is exactly 1. Below that, the gradient shrinks by the "
                "gate with each step. The gate decides how fast."
            ),
        ),
        Option(
            "next to nothing: each step also multiplies by the slope of a tanh and by weights",
            why=(
                "That is the plain RNN. From cell state to cell state there is no tanh and no "
                "matrix, only the product with the gate."
            ),
        ),
        Option(
            "about a twentieth",
            why=(
                "Then the gate would be about 0.86. Here each step loses a twentieth of what is "
                "left, twenty times in a row."
            ),
        ),
        Option(
            "none: twenty times 0.05 is lost",
            why="The losses do not add up. Each step takes 0.05 of what is *left*.",
        ),
    ),
)

one_step_of_training = Order(
    name="rnn.one_step_of_training",
    title="One step of training",
    minutes=2,
    difficulty=1,
    question=(
        "An RNN is trained by back-propagation through time, with gradient clipping. Put one step "
        "of training in order."
    ),
    items=(
        "read the words from left to right and keep every hidden state",
        "add up the losses of all predictions",
        "go from the last word to the first and add up the gradient of the weights",
        "shorten the gradient if it is too long",
        "change the weights",
    ),
    why=(
        "Every step of the reading uses the same weights, so each adds its share to *one* "
        "gradient. Only the whole of it is measured and shortened, just before it is used."
    ),
    wrong=(
        WrongAnswer(
            (
                "read the words from left to right and keep every hidden state",
                "add up the losses of all predictions",
                "go from the last word to the first and add up the gradient of the weights",
                "change the weights",
                "shorten the gradient if it is too long",
            ),
            "Too late: one step along a gradient that exploded has ruined the weights already.",
        ),
        WrongAnswer(
            (
                "read the words from left to right and keep every hidden state",
                "add up the losses of all predictions",
                "shorten the gradient if it is too long",
                "go from the last word to the first and add up the gradient of the weights",
                "change the weights",
            ),
            "There is nothing to shorten yet. The gradient grows while you go back.",
        ),
        WrongAnswer(
            (
                "read the words from left to right and keep every hidden state",
                "go from the last word to the first and add up the gradient of the weights",
                "add up the losses of all predictions",
                "shorten the gradient if it is too long",
                "change the weights",
            ),
            "The gradient of what? The way back starts at the loss.",
        ),
    ),
)

# ------------------------------------------------------------------------------- 1 a broken step


def _step_inputs(generator):
    shapes = ((2, 3), (2, 5), (5, 3), (5, 5), (5,))
    return tuple(
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )


def _mend_step(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + hidden @ weight_hh.T + bias)


def _step_as_it_was(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + hidden @ weight_hh) + bias


def _step_only_transposed(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + hidden @ weight_hh.T) + bias


def _step_only_bias(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + hidden @ weight_hh + bias)


def _step_no_tanh(inputs, hidden, weight_ih, weight_hh, bias):
    return inputs @ weight_ih.T + hidden @ weight_hh.T + bias


def _step_two_tanhs(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + bias) + torch.tanh(hidden @ weight_hh.T)


def _step_hidden_outside(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + bias) + hidden @ weight_hh.T


def _step_no_bias(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + hidden @ weight_hh.T)


def _step_bias_twice(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + hidden @ weight_hh.T + 2 * bias)


def _step_no_hidden(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + bias)


def _step_sigmoid(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.sigmoid(inputs @ weight_ih.T + hidden @ weight_hh.T + bias)


mend_step = CodeExercise(
    name="rnn.mend_step",
    title="Mend a broken step",
    minutes=8,
    difficulty=1,
    statement="""This function should take one step of a plain RNN. It runs, it raises nothing, the
shape is right, and it is wrong twice:

```python
def mend_step(inputs, hidden, weight_ih, weight_hh, bias):
    return torch.tanh(inputs @ weight_ih.T + hidden @ weight_hh) + bias
```

Mend it. Row $i$ of either matrix holds the weights of unit $i$, as in the chapter. Every number of
the new hidden state lies between -1 and 1.""",
    stub='''def mend_step(inputs, hidden, weight_ih, weight_hh, bias):
    """One step of a plain RNN.

    inputs: Float[Tensor, "batch d_input"].
    hidden: Float[Tensor, "batch d_hidden"], the state before.
    weight_ih: Float[Tensor, "d_hidden d_input"].
    weight_hh: Float[Tensor, "d_hidden d_hidden"].
    bias: Float[Tensor, "d_hidden"].
    Returns Float[Tensor, "batch d_hidden"], the state after.
    """
    ...
''',
    reference=_mend_step,
    make_inputs=_step_inputs,
    hints=(
        "Print the largest number of the result. What can a tanh return? So something is added "
        "behind it. Then compare how the two matrices are used.",
        "`weight_ih` is transposed, so that row i meets the inputs. `weight_hh` is square: without "
        "`.T` the shapes still fit, but column i meets the hidden state.",
    ),
    misconceptions=(
        Misconception(
            "as_it_was",
            _step_as_it_was,
            "That is the broken step as it was. Look at what is added last, and at the square "
            "matrix.",
        ),
        Misconception(
            "only_transposed",
            _step_only_transposed,
            "One mistake is mended, the matrix. The other is still there: the bias is added "
            "behind the tanh, so the state leaves the range from -1 to 1.",
        ),
        Misconception(
            "only_bias",
            _step_only_bias,
            "One mistake is mended, the bias. The other is still there: `hidden @ weight_hh` takes "
            "the *columns* as the weights of the units. As the matrix is square, no error tells.",
        ),
        Misconception(
            "no_tanh",
            _step_no_tanh,
            "The sum is right, but the tanh is gone. Without it many steps are one matrix product, "
            "and the state may grow without end.",
        ),
        Misconception(
            "two_tanhs",
            _step_two_tanhs,
            "You take a tanh of each part and add. The parts are added first; one tanh follows.",
        ),
        Misconception(
            "hidden_outside",
            _step_hidden_outside,
            "The hidden state's part is added behind the tanh. It belongs inside, with the rest.",
        ),
        Misconception(
            "no_bias",
            _step_no_bias,
            "The bias is gone. It belongs inside the tanh.",
        ),
        Misconception(
            "bias_twice",
            _step_bias_twice,
            "You add the bias twice, once to each part. The chapter's cell has two biases; here "
            "there is one.",
        ),
        Misconception(
            "no_memory",
            _step_no_hidden,
            "The hidden state is not used, so the step remembers nothing.",
        ),
        Misconception(
            "sigmoid",
            _step_sigmoid,
            "You take the sigmoid, which the gates use. The plain cell uses the tanh, and its "
            "numbers may be negative.",
        ),
    ),
)

# --------------------------------------------------------------- 2 how deep are the brackets


def _bracket_tokens(generator):
    words = ["rain", "wind", "snow", "sun", "hail"]
    n_words = int(torch.randint(1, len(words) + 1, (), generator=generator))
    tokens = ["(", ")", "[", "]", *words[:n_words]]
    order = torch.randperm(len(tokens), generator=generator).tolist()
    return ([tokens[i] for i in order],)


def _bracket_depth(tokens):
    effects = {"(": (1, 0), ")": (-1, 0), "[": (0, 1), "]": (0, -1)}
    columns = [effects.get(token, (0, 0)) for token in tokens]
    weight_ih = torch.tensor(columns, dtype=torch.float64).T
    weight_hh = torch.eye(2, dtype=torch.float64)
    return weight_ih, weight_hh


def _bd_forgets(tokens):
    weight_ih, weight_hh = _bracket_depth(tokens)
    return weight_ih, torch.zeros_like(weight_hh)


def _bd_mixes(tokens):
    weight_ih, weight_hh = _bracket_depth(tokens)
    return weight_ih, torch.ones_like(weight_hh)


def _bd_no_closing(tokens):
    weight_ih, weight_hh = _bracket_depth(tokens)
    return weight_ih.clamp(min=0), weight_hh


def _bd_counts_brackets(tokens):
    weight_ih, weight_hh = _bracket_depth(tokens)
    return weight_ih.abs(), weight_hh


def _bd_one_kind(tokens):
    weight_ih, weight_hh = _bracket_depth(tokens)
    return weight_ih.sum(dim=0, keepdim=True).repeat(2, 1), weight_hh


def _bd_swapped(tokens):
    weight_ih, weight_hh = _bracket_depth(tokens)
    return weight_ih.flip(0), weight_hh


def _bd_transposed(tokens):
    weight_ih, weight_hh = _bracket_depth(tokens)
    return weight_ih.T, weight_hh


def _bd_one_order(tokens):
    weight_ih = torch.zeros(2, len(tokens), dtype=torch.float64)
    weight_ih[0, 0], weight_ih[0, 1], weight_ih[1, 2], weight_ih[1, 3] = 1, -1, 1, -1
    return weight_ih, torch.eye(2, dtype=torch.float64)


def _bd_fades(tokens):
    weight_ih, weight_hh = _bracket_depth(tokens)
    return weight_ih, 0.5 * weight_hh


def _judge_depth(arguments, expected, answer):
    complaint = difference(expected, answer, tolerance=1e-6)
    if not complaint:
        return None
    parts = [
        part.detach().double() if isinstance(part, torch.Tensor) else None
        for part in (answer if isinstance(answer, list | tuple) else ())
    ]
    shapes = [None if part is None else part.shape for part in parts]
    if shapes != [part.shape for part in expected]:
        return complaint
    (tokens,) = arguments
    for n_read in (1, 2):
        for text in itertools.product(tokens, repeat=n_read):
            wanted = _read_linear(*expected, [tokens.index(token) for token in text])
            got = _read_linear(*parts, [tokens.index(token) for token in text])
            if difference(wanted, got, tolerance=1e-6):
                return (
                    f"after `{' '.join(text)}` your hidden state is {show(got)}; it should be "
                    f"{show(wanted)}"
                )
    return complaint


def _read_linear(weight_ih, weight_hh, token_ids):
    hidden = weight_hh.new_zeros(len(weight_hh))
    for token_id in token_ids:
        hidden = weight_ih[:, token_id] + weight_hh @ hidden
    return hidden


bracket_depth = CodeExercise(
    name="rnn.bracket_depth",
    title="Weights by hand: how deep are the brackets?",
    minutes=12,
    difficulty=2,
    statement="""Choose the weights of an RNN yourself, without training. It has two units, no bias
and no tanh, and starts with zeros. A token is a one-hot vector $x_t$ (1 at its own place, 0
elsewhere):

$$h_t = W_{ih} \\, x_t + W_{hh} \\, h_{t-1}$$

After each token, $h_t[0]$ should say how many round brackets are open, and $h_t[1]$ how many
square ones. After the six tokens `( [ rain ( ) snow` that is `[1, 1]`. The words do not matter.
(No n-gram model can do this: the first bracket may be any number of words ago.)""",
    stub='''def bracket_depth(tokens):
    """The weights of a linear RNN that counts open brackets.

    tokens: list of different strings, the vocabulary: token i has its 1 at place i.
        "(", ")", "[" and "]" are among them, anywhere. The others are words.
    Returns weight_ih, Float[Tensor, "2 n_tokens"], and weight_hh,
        Float[Tensor, "2 2"].
    """
    ...
''',
    reference=_bracket_depth,
    make_inputs=_bracket_tokens,
    judge=_judge_depth,
    hints=(
        "Column i of `weight_ih` is what token i adds to the state. `weight_hh` says what becomes "
        "of the old state: it should simply stay, each number in its own place.",
        'Start with `torch.zeros(2, len(tokens))` and set `weight_ih[0, tokens.index("(")] = 1`. '
        'What does ")" add? `weight_hh` is `torch.eye(2)`.',
    ),
    misconceptions=(
        Misconception(
            "forgets",
            _bd_forgets,
            "Your state is only what the last token adds: `weight_hh` is 0, so all that was "
            "before is lost.",
        ),
        Misconception(
            "mixes",
            _bd_mixes,
            "Your `weight_hh` is full of ones: each unit then takes the other one's count too. "
            "Each should keep its own.",
        ),
        Misconception(
            "fades",
            _bd_fades,
            "Your state is halved with each token, so an old bracket fades. It should count in "
            "full until it is closed.",
        ),
        Misconception(
            "never_closes",
            _bd_no_closing,
            "You count the brackets that were opened. A closing bracket should take one away.",
        ),
        Misconception(
            "counts_all_brackets",
            _bd_counts_brackets,
            "You count the brackets, whichever way they face. A closing one should add -1.",
        ),
        Misconception(
            "one_kind",
            _bd_one_kind,
            "Both units count both kinds. The first should see only the round ones, the second "
            "only the square ones.",
        ),
        Misconception(
            "swapped",
            _bd_swapped,
            "Your units have changed places: the first one is for the round brackets.",
        ),
        Misconception(
            "transposed",
            _bd_transposed,
            "Your `weight_ih` is the wrong way round: it has one row for each *unit* and one "
            "column for each token.",
        ),
        Misconception(
            "one_order",
            _bd_one_order,
            "You take the brackets to be the first four tokens. They may stand anywhere in the "
            "vocabulary: `tokens.index` tells where.",
        ),
    ),
    edge_cases=((["]", "[", ")", "("],),),
)

# ------------------------------------------------------------------------------ 3 coupled gates


def _gates_and_cell(generator):
    gates = 1.5 * torch.randn(2, 3 * 5, generator=generator, dtype=torch.float64)
    return gates, 1.5 * torch.randn(2, 5, generator=generator, dtype=torch.float64)


def _coupled_step(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    forget_gate = forget_gate.sigmoid()
    cell = forget_gate * cell + (1 - forget_gate) * candidate.tanh()
    return output_gate.sigmoid() * cell.tanh(), cell


def _cs_swapped(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    forget_gate = forget_gate.sigmoid()
    cell = (1 - forget_gate) * cell + forget_gate * candidate.tanh()
    return output_gate.sigmoid() * cell.tanh(), cell


def _cs_same_gate(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    cell = forget_gate.sigmoid() * (cell + candidate.tanh())
    return output_gate.sigmoid() * cell.tanh(), cell


def _cs_open_input(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    cell = forget_gate.sigmoid() * cell + candidate.tanh()
    return output_gate.sigmoid() * cell.tanh(), cell


def _cs_one_minus_first(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    input_gate = (1 - forget_gate).sigmoid()
    cell = forget_gate.sigmoid() * cell + input_gate * candidate.tanh()
    return output_gate.sigmoid() * cell.tanh(), cell


def _cs_no_sigmoid(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    cell = forget_gate * cell + (1 - forget_gate) * candidate.tanh()
    return output_gate * cell.tanh(), cell


def _cs_candidate_sigmoid(gates, cell):
    forget_gate, candidate, output_gate = gates.sigmoid().chunk(3, dim=1)
    cell = forget_gate * cell + (1 - forget_gate) * candidate
    return output_gate * cell.tanh(), cell


def _cs_candidate_raw(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    forget_gate = forget_gate.sigmoid()
    cell = forget_gate * cell + (1 - forget_gate) * candidate
    return output_gate.sigmoid() * cell.tanh(), cell


def _cs_cell_shown_raw(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    forget_gate = forget_gate.sigmoid()
    cell = forget_gate * cell + (1 - forget_gate) * candidate.tanh()
    return output_gate.sigmoid() * cell, cell


def _cs_shows_old(gates, cell):
    forget_gate, candidate, output_gate = gates.chunk(3, dim=1)
    forget_gate = forget_gate.sigmoid()
    new_cell = forget_gate * cell + (1 - forget_gate) * candidate.tanh()
    return output_gate.sigmoid() * cell.tanh(), new_cell


def _cs_other_order(gates, cell):
    forget_gate, output_gate, candidate = gates.chunk(3, dim=1)
    return _coupled_step(torch.cat([forget_gate, candidate, output_gate], dim=1), cell)


def _cs_cell_first(gates, cell):
    return tuple(reversed(_coupled_step(gates, cell)))


coupled_step = CodeExercise(
    name="rnn.coupled_step",
    title="An LSTM with one gate less",
    minutes=12,
    difficulty=2,
    statement="""An LSTM may forget and take in at the same time, or do neither: it has two gates
for that. Greff et al. (2017) tried one gate for both. Where the old is kept, nothing new comes in.
Where something new comes in, the old makes room:

$$i_t = 1 - f_t$$

All the rest is as in the chapter. (They found that it does about as well.) Write the step. You get
what stands *inside* the sigmoids and the tanh: the shares of the input and of the hidden state are
already added up.""",
    stub='''def coupled_step(gates, cell):
    """One step of an LSTM whose input gate is 1 - its forget gate.

    gates: Float[Tensor, "batch 3*d_hidden"], before sigmoid and tanh: first the
        d_hidden columns of the forget gate, then the candidate, then the output gate.
    cell: Float[Tensor, "batch d_hidden"], the cell state before.
    Returns the hidden state and the cell state after, in this order, each
        Float[Tensor, "batch d_hidden"].
    """
    ...
''',
    reference=_coupled_step,
    make_inputs=_gates_and_cell,
    hints=(
        "`gates.chunk(3, dim=1)` cuts the columns into three parts. Gates go through the sigmoid, "
        "the candidate through the tanh. Take the sigmoid of the forget gate first, then 1 minus "
        "it.",
        "The new cell is `forget * cell + (1 - forget) * candidate`. The hidden state is the "
        "output gate times the tanh of the *new* cell.",
    ),
    misconceptions=(
        Misconception(
            "swapped",
            _cs_swapped,
            "Your gate is the wrong way round: a forget gate of 1 should *keep* the old cell. The "
            "name misleads, it is a gate for keeping.",
        ),
        Misconception(
            "same_gate",
            _cs_same_gate,
            "Your input gate equals the forget gate, so old and new are kept or dropped together. "
            "It is 1 minus the forget gate.",
        ),
        Misconception(
            "input_always_open",
            _cs_open_input,
            "Your candidate comes in whole. Only the share 1 - forget of it should.",
        ),
        Misconception(
            "one_minus_before_sigmoid",
            _cs_one_minus_first,
            "You take 1 minus the number that stands *inside* the sigmoid. First the sigmoid, "
            "then 1 minus that: the two gates should sum to 1.",
        ),
        Misconception(
            "no_sigmoid",
            _cs_no_sigmoid,
            "Your gates are the raw numbers, which may be negative or above 1. A gate is a share: "
            "take the sigmoid.",
        ),
        Misconception(
            "candidate_sigmoid",
            _cs_candidate_sigmoid,
            "You take the sigmoid of all three. The candidate goes through the tanh: it must be "
            "able to be negative, or nothing could bring the cell below zero.",
        ),
        Misconception(
            "candidate_raw",
            _cs_candidate_raw,
            "Your candidate did not go through the tanh.",
        ),
        Misconception(
            "cell_shown_raw",
            _cs_cell_shown_raw,
            "The cell is right. The hidden state shows the *tanh* of the cell, through the output "
            "gate.",
        ),
        Misconception(
            "shows_the_old_cell",
            _cs_shows_old,
            "The cell is right. The hidden state should show the new cell; yours shows the one "
            "before.",
        ),
        Misconception(
            "other_order",
            _cs_other_order,
            "You took the parts in another order. They stand so: forget gate, candidate, output "
            "gate.",
        ),
        Misconception(
            "cell_first",
            _cs_cell_first,
            "Both are right, but the wrong way round: the hidden state comes first.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[60.0, -60.0, 0.3, 0.7, 1.0, -1.0]]).double(),
            torch.tensor([[2.0, -3.0]]).double(),
        ),
    ),
)

# ---------------------------------------------------------------------- 4 what is left of the start


def _scalar_rnn(generator):
    n_inputs = int(torch.randint(4, 8, (), generator=generator))
    inputs = torch.randn(n_inputs, generator=generator, dtype=torch.float64).tolist()
    w, b = (0.7 * torch.randn(2, generator=generator, dtype=torch.float64)).tolist()
    size, sign = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    return inputs, w, (0.6 + size) * (1 if sign > 0.4 else -1), b


def _sensitivities(inputs, w, u, b):
    hidden, factors = 0.0, []
    for number in inputs:
        hidden = math.tanh(w * number + u * hidden + b)
        factors.append(u * (1 - hidden**2))
    products = [1.0]
    for factor in reversed(factors):
        products.append(factor * products[-1])
    return products[::-1]


def _states(inputs, w, u, b):
    states = [0.0]
    for number in inputs:
        states.append(math.tanh(w * number + u * states[-1] + b))
    return states


def _backwards(factors):
    products = [1.0]
    for factor in reversed(factors):
        products.append(factor * products[-1])
    return products[::-1]


def _sn_no_slope(inputs, w, u, b):
    return _backwards([u for _ in inputs])


def _sn_no_weight(inputs, w, u, b):
    return _backwards([1 - state**2 for state in _states(inputs, w, u, b)[1:]])


def _sn_input_weight(inputs, w, u, b):
    return _backwards([w * (1 - state**2) for state in _states(inputs, w, u, b)[1:]])


def _sn_state_before(inputs, w, u, b):
    return _backwards([u * (1 - state**2) for state in _states(inputs, w, u, b)[:-1]])


def _sn_no_square(inputs, w, u, b):
    return _backwards([u * (1 - state) for state in _states(inputs, w, u, b)[1:]])


def _sn_tanh_of_state(inputs, w, u, b):
    states = _states(inputs, w, u, b)[1:]
    return _backwards([u * (1 - math.tanh(state) ** 2) for state in states])


def _sn_of_the_first(inputs, w, u, b):
    products = [1.0]
    for state in _states(inputs, w, u, b)[1:]:
        products.append(u * (1 - state**2) * products[-1])
    return products


def _sn_last_first(inputs, w, u, b):
    return _sensitivities(inputs, w, u, b)[::-1]


def _sn_single_steps(inputs, w, u, b):
    states = _states(inputs, w, u, b)[1:]
    return [*(u * (1 - state**2) for state in states), 1.0]


def _sn_from_first_state(inputs, w, u, b):
    return _sensitivities(inputs, w, u, b)[1:]


def _sn_whole_way(inputs, w, u, b):
    return _sensitivities(inputs, w, u, b)[0]


sensitivities = CodeExercise(
    name="rnn.sensitivities",
    title="What is left of an early state?",
    minutes=20,
    difficulty=3,
    statement="""An RNN has a single unit. Its weights are plain numbers. It starts with $h_0 = 0$:

$$h_t = \\tanh(w \\, x_t + u \\, h_{t-1} + b)$$

There are $T$ inputs, so $t$ runs from 1 to $T$. If $h_t$ were a little larger, by how much would
the last state $h_T$ change? Compute the derivative of $h_T$ with respect to $h_t$ for every $t$
from 0 to $T$, *without* autograd. The derivative of $\\tanh(z)$ is $1 - \\tanh(z)^2$.

Afterwards look for a way to make the derivative of $h_T$ with respect to $h_0$ larger than 1, and
for one to make it vanish although $u = 3$.""",
    stub='''def sensitivities(inputs, w, u, b):
    """How strongly the last state depends on each state.

    inputs: list of T floats, x_1 to x_T; T may be 0.
    w, u, b: floats, the weight of the input, the weight of the state before, the bias.
    Returns a list of T + 1 floats: the derivative of h_T with respect to h_0, to h_1,
        ..., to h_T. The last one is 1.
    """
    ...
''',
    reference=_sensitivities,
    make_inputs=_scalar_rnn,
    hints=(
        "One step first. The derivative of `h_t` with respect to `h_(t-1)` is u times the slope of "
        "the tanh there, `1 - h_t * h_t`. By the chain rule, several steps are a product.",
        "Go forward once and note the factor `u * (1 - h_t * h_t)` of each step. Then go backward: "
        "begin with 1, multiply by the factor of step T, then of step T - 1, and so on.",
    ),
    misconceptions=(
        Misconception(
            "no_slope",
            _sn_no_slope,
            "You multiply by u only. Each step also goes through a tanh, and its slope, 1 minus "
            "the square of the state, makes the factor smaller.",
        ),
        Misconception(
            "no_weight",
            _sn_no_weight,
            "You multiply the slopes of the tanh. The state before enters with the weight u, so "
            "each step brings a factor u too.",
        ),
        Misconception(
            "weight_of_the_input",
            _sn_input_weight,
            "You multiply by w, the weight of the input. The way back goes from state to state, "
            "and there the weight is u.",
        ),
        Misconception(
            "slope_at_the_state_before",
            _sn_state_before,
            "One step off: your slopes are those of the state *before*. The step to `h_t` goes "
            "through the tanh that gave `h_t`.",
        ),
        Misconception(
            "no_square",
            _sn_no_square,
            "The slope is 1 minus the *square* of the state. A negative state flattens the tanh "
            "as much as a positive one.",
        ),
        Misconception(
            "tanh_twice",
            _sn_tanh_of_state,
            "You take the tanh of the state again. The state *is* the tanh: its square is enough.",
        ),
        Misconception(
            "from_the_first",
            _sn_of_the_first,
            "You multiply from the first step on. That gives the derivative of each state with "
            "respect to `h_0`. Asked for is that of the *last* state with respect to each.",
        ),
        Misconception(
            "last_first",
            _sn_last_first,
            "The numbers are right and stand the wrong way round: the one of `h_0` comes first.",
        ),
        Misconception(
            "single_steps",
            _sn_single_steps,
            "Those are the factors of single steps. From `h_t` to `h_T` there are several: "
            "multiply them.",
        ),
        Misconception(
            "without_h0",
            _sn_from_first_state,
            "One is missing: there are T + 1 states, and the first is `h_0`.",
        ),
        Misconception(
            "only_the_whole_way",
            _sn_whole_way,
            "That is the derivative with respect to `h_0` alone. Return one number for each state.",
        ),
    ),
    edge_cases=(([], 0.5, 0.5, 0.1), ([0.0] * 40, 1.0, 1.5, 0.0)),
)

# ----------------------------------------------------------------------------- 5 counting modulo k


def _a_modulus(generator):
    return (int(torch.randint(2, 8, (), generator=generator)),)


def _count_modulo(k):
    levels = torch.arange(1, k + 1, dtype=torch.float64)
    weight_out = torch.ones(k, dtype=torch.float64)
    weight_out[-1] = 1 - k  # all k units on: the count starts anew
    weight_ih = torch.ones(k, dtype=torch.float64)
    weight_hh = weight_out.repeat(k, 1)  # each unit reads the count
    bias = 0.5 - levels  # unit i is on where the count reaches i
    return weight_ih, weight_hh, bias, weight_out


def _cm_no_memory(k):
    weight_ih, weight_hh, bias, weight_out = _count_modulo(k)
    return weight_ih, torch.zeros_like(weight_hh), bias, weight_out


def _cm_one_unit(k):
    one = torch.ones(1, dtype=torch.float64)
    return one, one[:, None], -0.5 * one, one


def _cm_no_restart(k):
    weight_ih, weight_hh, bias, weight_out = _count_modulo(k)
    ones = torch.ones_like(weight_out)
    return weight_ih, torch.ones_like(weight_hh), bias, ones


def _cm_one_less(k):
    weight_ih, weight_hh, bias, _ = _count_modulo(k)
    ones = torch.ones(k - 1, dtype=torch.float64)
    return weight_ih[:-1], torch.ones_like(weight_hh)[:-1, :-1], bias[:-1], ones


def _cm_only_state_restarts(k):
    weight_ih, weight_hh, bias, weight_out = _count_modulo(k)
    return weight_ih, weight_hh, bias, torch.ones_like(weight_out)


def _cm_only_output_restarts(k):
    weight_ih, weight_hh, bias, weight_out = _count_modulo(k)
    return weight_ih, torch.ones_like(weight_hh), bias, weight_out


def _cm_minus_k(k):
    weight_ih, weight_hh, bias, weight_out = _count_modulo(k)
    weight_out[-1] = -k
    return weight_ih, weight_out.repeat(k, 1), bias, weight_out


def _cm_transposed(k):
    weight_ih, weight_hh, bias, weight_out = _count_modulo(k)
    return weight_ih, weight_hh.T, bias, weight_out


def _cm_counts_steps(k):
    weight_ih, weight_hh, bias, weight_out = _count_modulo(k)
    return torch.zeros_like(weight_ih), weight_hh, bias + 1, weight_out


MAX_STATES = 2000  # that a judge follows


def _judge_modulo(arguments, expected, answer):
    (k,) = arguments
    if not isinstance(answer, list | tuple) or len(answer) != 4:
        return (
            f"the result is {show(answer)}; give weight_ih, weight_hh, bias, weight_out"
        )
    weight_ih, weight_hh, bias, weight_out = (
        torch.as_tensor(part, dtype=torch.float64).detach() for part in answer
    )
    d = weight_ih.numel()
    shapes = [tuple(part.shape) for part in (weight_ih, weight_hh, bias, weight_out)]
    if shapes != [(d,), (d, d), (d,), (d,)]:
        return (
            f"the shapes are {', '.join(map(str, shapes))}; for d units they should be (d,), "
            "(d, d), (d,), (d,)"
        )
    start = (torch.zeros(d, dtype=torch.float64), "")
    seen, waiting = {((0.0,) * d, 0)}, [start]
    for hidden, bits in waiting:  # each state that can be reached, shortest text first
        count = bits.count("1") % k
        said = float(weight_out @ hidden)
        if not abs(said - count) <= 1e-6:
            return (
                f"with k = {k}, after the bits `{bits or 'none'}` the output is {show(said)}; "
                f"it should be {count}"
            )
        for bit in (0, 1):
            after = weight_ih * bit + weight_hh @ hidden + bias
            after = (after > 0).double()
            key = (tuple(after.tolist()), (count + bit) % k)
            if key not in seen and len(seen) < MAX_STATES:
                seen.add(key)
                waiting.append((after, f"{bits}{bit}"))
    return None


count_modulo = CodeExercise(
    name="rnn.count_modulo",
    title="Weights by hand: count modulo k",
    minutes=40,
    difficulty=4,
    statement="""Is the number of ones so far even or odd? The last $n - 1$ bits do not tell,
however large $n$ is: no n-gram model can know. An RNN can. Here its units are switches, on (1) or
off (0). They read a bit $x_t$, 0 or 1, and all are off before the first:

$$z_t[i] = w_{ih}[i] \\, x_t + \\sum_j W_{hh}[i, j] \\, h_{t-1}[j] + b[i]$$

Unit $i$ is on, $h_t[i] = 1$, where $z_t[i] > 0$. Otherwise it is off. The output is the sum
$\\sum_i w_{out}[i] \\, h_t[i]$. Choose the weights so that after every bit it is the number of ones
so far *modulo k*: 0, 1, ..., k - 1, and 0 again. With k = 2 that is the parity. You decide how many
units there are. Several answers are right, and any is accepted: the states that your network can
reach are tried one by one.""",
    stub='''def count_modulo(k):
    """The weights of an RNN of switches that counts ones modulo k.

    k: int, at least 2.
    Returns for d units, d of your choice: weight_ih, Float[Tensor, "d"]; weight_hh,
        Float[Tensor, "d d"], row i for unit i; bias, Float[Tensor, "d"]; and
        weight_out, Float[Tensor, "d"].
    """
    ...
''',
    reference=_count_modulo,
    make_inputs=_a_modulus,
    judge=_judge_modulo,
    hints=(
        "First count without starting again: unit i (1, 2, ...) is on where the count has reached "
        "i, and the count is the sum of the units. So unit i asks: old count + new bit > i - 1/2?",
        "Then take k units. If the last one is on, all are, and the count should be 0. So the last "
        "one is read with another weight, here and in `weight_hh`: k - 1 ones and it make 0.",
    ),
    misconceptions=(
        Misconception(
            "no_memory",
            _cm_no_memory,
            "Your `weight_hh` is 0: the units see the new bit only, and not what they were before.",
        ),
        Misconception(
            "one_unit",
            _cm_one_unit,
            "One switch, once on, stays on: it says that there was a one, not how many. More units "
            "are needed.",
        ),
        Misconception(
            "never_starts_again",
            _cm_no_restart,
            "You count up to k and stay there. At k the count should start again with 0.",
        ),
        Misconception(
            "one_unit_less",
            _cm_one_less,
            "k - 1 units can show the numbers 0 to k - 1, and there your count stays. One more "
            "unit must notice that the count is full.",
        ),
        Misconception(
            "only_the_state_starts_again",
            _cm_only_state_restarts,
            "The units are right: when all are on, the next step begins anew. But your output "
            "says k there. It should read the last unit as the units themselves do.",
        ),
        Misconception(
            "only_the_output_starts_again",
            _cm_only_output_restarts,
            "Your output is 0 when all units are on, but the units do not know it: they read "
            "each other with ones and stay on for ever.",
        ),
        Misconception(
            "minus_k",
            _cm_minus_k,
            "When all k units are on, the other k - 1 add k - 1. With -k for the last one the sum "
            "is -1; it should be 0.",
        ),
        Misconception(
            "transposed",
            _cm_transposed,
            "Your `weight_hh` is the wrong way round: row i holds the weights with which unit i "
            "reads all the units.",
        ),
        Misconception(
            "counts_steps",
            _cm_counts_steps,
            "You count the steps. Only the ones should count: a 0 must leave everything as it is.",
        ),
    ),
    edge_cases=((2,), (11,)),
)

# ------------------------------------------------------------------ 6 back through time, so far


def _short_sequence(generator):
    n_steps = int(torch.randint(2, 4, (), generator=generator))
    shapes = ((7, 3), (7, 4), (4, 3), (4, 4), (4,))
    inputs, targets, weight_ih, weight_hh, bias = (
        0.7 * torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in shapes
    )
    return inputs, targets, weight_ih, weight_hh, bias, n_steps


def _through_time(inputs, targets, weight_ih, weight_hh, bias, n_steps):
    states = [torch.zeros_like(bias)]
    for vector in inputs:
        states.append(torch.tanh(weight_ih @ vector + weight_hh @ states[-1] + bias))
    of_ih, of_hh, of_bias = map(torch.zeros_like, (weight_ih, weight_hh, bias))
    for last in range(1, len(states)):
        of_state = states[last] - targets[last - 1]
        for step in range(last, max(last - n_steps, 0), -1):
            of_sum = of_state * (1 - states[step] ** 2)  # back through the tanh
            of_ih += torch.outer(of_sum, inputs[step - 1])
            of_hh += torch.outer(of_sum, states[step - 1])
            of_bias += of_sum
            of_state = weight_hh.T @ of_sum  # one step back
    return of_ih, of_hh, of_bias


def _tt_full(inputs, targets, weight_ih, weight_hh, bias, n_steps):
    return _through_time(inputs, targets, weight_ih, weight_hh, bias, len(inputs))


def _tt_one_step(inputs, targets, weight_ih, weight_hh, bias, n_steps):
    return _through_time(inputs, targets, weight_ih, weight_hh, bias, 1)


def _tt_one_more(inputs, targets, weight_ih, weight_hh, bias, n_steps):
    return _through_time(inputs, targets, weight_ih, weight_hh, bias, n_steps + 1)


def _tt_mean(inputs, targets, weight_ih, weight_hh, bias, n_steps):
    gradients = _through_time(inputs, targets, weight_ih, weight_hh, bias, n_steps)
    return tuple(gradient / len(inputs) for gradient in gradients)


def _tt_twice(inputs, targets, weight_ih, weight_hh, bias, n_steps):
    gradients = _through_time(inputs, targets, weight_ih, weight_hh, bias, n_steps)
    return tuple(2 * gradient for gradient in gradients)


def _tt_uphill(inputs, targets, weight_ih, weight_hh, bias, n_steps):
    gradients = _through_time(inputs, targets, weight_ih, weight_hh, bias, n_steps)
    return tuple(-gradient for gradient in gradients)


def _tt_with(
    weight_back=None, slope=None, state_after=False, cut=None, only_last=False
):
    """A way back with one thing changed."""

    def way_back(inputs, targets, weight_ih, weight_hh, bias, n_steps):
        states = [torch.zeros_like(bias)]
        for vector in inputs:
            before = weight_ih @ vector + weight_hh @ states[-1] + bias
            states.append(torch.tanh(before))
        of_ih, of_hh, of_bias = map(torch.zeros_like, (weight_ih, weight_hh, bias))
        for last in range(len(inputs) if only_last else 1, len(states)):
            of_state = states[last] - targets[last - 1]
            first = cut(last, n_steps) if cut else max(last - n_steps, 0)
            for step in range(last, first, -1):
                of_sum = of_state * (
                    slope(states, step) if slope else 1 - states[step] ** 2
                )
                of_ih += torch.outer(of_sum, inputs[step - 1])
                of_hh += torch.outer(of_sum, states[step if state_after else step - 1])
                of_bias += of_sum
                of_state = (weight_back or _transposed)(weight_hh) @ of_sum
        return of_ih, of_hh, of_bias

    return way_back


def _transposed(weight_hh):
    return weight_hh.T


_tt_not_transposed = _tt_with(weight_back=lambda weight_hh: weight_hh)
_tt_no_weight = _tt_with(
    weight_back=lambda weight_hh: torch.eye(len(weight_hh)).double()
)
_tt_no_slope = _tt_with(slope=lambda states, step: 1)
_tt_slope_before = _tt_with(slope=lambda states, step: 1 - states[step - 1] ** 2)
_tt_state_after = _tt_with(state_after=True)
_tt_last_loss = _tt_with(only_last=True)
_tt_chunks = _tt_with(cut=lambda last, n_steps: (last - 1) // n_steps * n_steps)


_LONG_WAY = _short_sequence(torch.Generator().manual_seed(100))[:-1]

through_time = CodeExercise(
    name="rnn.through_time",
    title="Back through time by hand, and not too far",
    minutes=75,
    difficulty=5,
    statement="""Write what `backward()` does for an RNN, without autograd. With $h_0 = 0$,

$$h_t = \\tanh(W_{ih} \\, x_t + W_{hh} \\, h_{t-1} + b)$$

$$L = \\sum_{t=1}^{T} L_t, \\quad L_t = \\frac{1}{2} \\sum_i (h_t[i] - y_t[i])^2$$

Here $x_t$ has `d_input` numbers, $h_t$ and the target $y_t$ have `d_hidden`. Return the gradients
of $W_{ih}$, $W_{hh}$ and $b$.

The chapter cuts the text into pieces, so a loss early in a piece hardly looks back at all. Cut
more evenly: *every* loss goes back through `n_steps` steps of reading. With `n_steps` 3, $L_t$
contributes through its own step $t$ and through the steps $t - 1$ and $t - 2$, as far as there are
such. What lies before counts as a constant. With `n_steps` at least $T$ this is the whole gradient,
and autograd shows whether you are right.""",
    stub='''def through_time(inputs, targets, weight_ih, weight_hh, bias, n_steps):
    """Gradients of an RNN's squared loss; each loss goes back n_steps steps.

    inputs: Float[Tensor, "time d_input"], x_1 to x_T.
    targets: Float[Tensor, "time d_hidden"], y_1 to y_T.
    weight_ih: Float[Tensor, "d_hidden d_input"].
    weight_hh: Float[Tensor, "d_hidden d_hidden"].
    bias: Float[Tensor, "d_hidden"].
    n_steps: int, at least 1; it may be larger than time.
    Returns the gradients of weight_ih, weight_hh and bias, each of the same shape as
        its parameter.
    """
    ...
''',
    reference=_through_time,
    make_inputs=_short_sequence,
    hints=(
        "Go forward and keep every state, `h_0` too. Then take one loss at a time. Its gradient at "
        "`h_t` is `h_t - y_t`. Through the tanh: multiply by `1 - h_t * h_t`, number by number. "
        "Call it d. The gradient of the bias grows by d.",
        "The gradient of `weight_ih` grows by `torch.outer(d, x_t)`, that of `weight_hh` by "
        "`torch.outer(d, h_(t-1))`. At the state before, the gradient is `weight_hh.T @ d`. Go on "
        "from there with t - 1, n_steps times in all, but not beyond step 1.",
    ),
    misconceptions=(
        Misconception(
            "all_the_way",
            _tt_full,
            "That is the whole gradient, and as such it is right. But each loss should go back "
            "`n_steps` steps only.",
        ),
        Misconception(
            "own_step_only",
            _tt_one_step,
            "Each of your losses reaches its own step only, so nothing goes back through time. "
            "Carry the gradient on to the state before.",
        ),
        Misconception(
            "one_step_too_far",
            _tt_one_more,
            "One step too far: `n_steps` counts the loss's own step.",
        ),
        Misconception(
            "pieces",
            _tt_chunks,
            "You cut the sequence into pieces, as the chapter does. Then a loss at the start of a "
            "piece goes back one step only. Here every loss goes back `n_steps` steps.",
        ),
        Misconception(
            "last_loss_only",
            _tt_last_loss,
            "Your gradient is that of the last loss. Every step has a loss, and all add up.",
        ),
        Misconception(
            "not_transposed",
            _tt_not_transposed,
            "On the way back you multiply by `weight_hh` as on the way forward. Back, each unit "
            "collects from those that it fed: that is the transposed matrix.",
        ),
        Misconception(
            "no_matrix_on_the_way_back",
            _tt_no_weight,
            "From one state to the one before, your gradient does not go through `weight_hh`.",
        ),
        Misconception(
            "no_slope",
            _tt_no_slope,
            "The way back goes through every tanh: multiply by its slope, 1 minus the square of "
            "the state.",
        ),
        Misconception(
            "slope_at_the_state_before",
            _tt_slope_before,
            "One step off: you take the slope of the tanh at the state *before*. It is 1 minus "
            "the square of the state that this tanh gave.",
        ),
        Misconception(
            "state_after",
            _tt_state_after,
            "The gradient of `weight_hh` uses the state that the matrix was multiplied with: the "
            "one *before* the step. Yours is the one after.",
        ),
        Misconception(
            "mean",
            _tt_mean,
            "You divide by the number of steps. The loss is the sum over the steps.",
        ),
        Misconception(
            "factor_two",
            _tt_twice,
            "Twice too much: the loss has a half in front, which takes away the 2 of the square.",
        ),
        Misconception(
            "uphill",
            _tt_uphill,
            "All signs are turned round. The gradient at `h_t` is `h_t - y_t`; it points uphill, "
            "and training goes against it.",
        ),
    ),
    edge_cases=((*_LONG_WAY, 100), (*_LONG_WAY, 1)),
)
