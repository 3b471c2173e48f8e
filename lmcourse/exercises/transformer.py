"""Exercises of chapter 8: what a block adds, what a cache keeps, and what goes back down."""

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

# ------------------------------------------------------------------------------------ quizzes

_LOOK_UP = "look up the token's vector, and add its position"
_NORM = "layer norm"
_PROJECT = "make the token's query, key and value"
_APPEND = "append the key and the value to the cache"
_GATHER = "compare the query with the keys; take the weighted mean of the values"
_ADD = "project what was gathered, and add it to the token's vector"
_THINK = "second layer norm, then the feed-forward network; add its result"
_SCORE = "last layer norm, then one score for every token of the vocabulary"

one_token = Order(
    name="transformer.one_token",
    title="One new token, with a cache",
    minutes=3,
    difficulty=1,
    question=(
        "A pre-norm language model of one block has read a text. Its cache holds the keys and the "
        "values. Now it reads one more token. Put the steps in order."
    ),
    items=(_LOOK_UP, _NORM, _PROJECT, _APPEND, _GATHER, _ADD, _THINK, _SCORE),
    why=(
        "The norm stands before each part. The sum is never normalised on its way, only at the "
        "very end. The token's own key must be in the cache before the look: a token may attend to "
        "itself."
    ),
    wrong=(
        WrongAnswer(
            (_LOOK_UP, _NORM, _PROJECT, _GATHER, _APPEND, _ADD, _THINK, _SCORE),
            "Then the token would not find itself: its key and its value come too late. The causal "
            "mask lets a token attend to itself.",
        ),
        WrongAnswer(
            (_LOOK_UP, _PROJECT, _APPEND, _GATHER, _ADD, _NORM, _THINK, _SCORE),
            "There the first norm comes after the sum, as in a post-norm block. In a pre-norm "
            "block it comes before the query, the key and the value.",
        ),
        WrongAnswer(
            (_LOOK_UP, _PROJECT, _NORM, _APPEND, _GATHER, _ADD, _THINK, _SCORE),
            "The norm is for the token's vector. Query, key and value are made from what it gives.",
        ),
        WrongAnswer(
            (_LOOK_UP, _NORM, _PROJECT, _APPEND, _ADD, _GATHER, _THINK, _SCORE),
            "Before the look nothing has been gathered, so there is nothing to add.",
        ),
        WrongAnswer(
            (_LOOK_UP, _NORM, _THINK, _PROJECT, _APPEND, _GATHER, _ADD, _SCORE),
            "In a block the attention comes first. The feed-forward network works on what was "
            "gathered.",
        ),
    ),
)

what_a_norm_forgets = Predict(
    name="transformer.what_a_norm_forgets",
    title="What a layer norm forgets",
    minutes=4,
    difficulty=2,
    question=(
        "A layer norm of vectors with only two features, rounded. It has no weight and no bias. "
        "What does this print?"
    ),
    code=(
        "def layer_norm(vector):\n"
        "    mean = sum(vector) / len(vector)\n"
        "    variance = sum((x - mean) ** 2 for x in vector) / len(vector)\n"
        "    return [round((x - mean) / (variance + 1e-5) ** 0.5, 2) for x in vector]\n"
        "\n"
        "print(layer_norm([1, 3]))\n"
        "print(layer_norm([100, 300]))\n"
        "print(layer_norm([7, 5]))\n"
        "print(layer_norm([4, 4]))"
    ),
    why=(
        "What is left of two features is which of them is larger. (Where they are almost equal, "
        "`1e-5` keeps the numbers small.) The mean and the size are gone: a layer norm takes away "
        "two numbers of each vector. From 64 features that is little, from 2 it is all but a sign. "
        "The residual connection goes round the norm, and forgets nothing."
    ),
    wrong=(
        WrongAnswer(
            "[-1.0, 1.0]\n[-100.0, 100.0]\n[1.0, -1.0]\n[0.0, 0.0]",
            "You take the mean away, but do not divide. The second vector has a larger variance, "
            "and is divided by its root.",
        ),
        WrongAnswer(
            "[-1.0, 1.0]\n[-0.01, 0.01]\n[1.0, -1.0]\n[0.0, 0.0]",
            "You divide by the variance. It is the *root* of the variance.",
        ),
        WrongAnswer(
            "[-1.0, 1.0]\n[-1.0, 1.0]\n[-1.0, 1.0]\n[0.0, 0.0]",
            "In the third vector the first feature is the larger one. The signs tell.",
        ),
        WrongAnswer(
            "[-1.0, 1.0]\n[-1.0, 1.0]\n[1.0, -1.0]\n[nan, nan]",
            "`1e-5` is added to the variance, so that the last line does not divide by 0.",
        ),
        WrongAnswer(
            "[-1.0, 1.0]\n[-1.0, 1.0]\n[1.0, -1.0]\n[1.0, 1.0]",
            "Two equal features are both at the mean, so nothing is left of them: 0.",
        ),
        WrongAnswer(
            "[-0.71, 0.71]\n[-0.71, 0.71]\n[0.71, -0.71]\n[0.0, 0.0]",
            "You divide the sum of squares by 1, as statistics often does. Here it is divided by "
            "the number of features, 2.",
        ),
    ),
)

block_parameters = Number(
    name="transformer.block_parameters",
    title="Count the numbers of a block",
    minutes=5,
    difficulty=2,
    question=(
        "How many parameters does `EncoderBlock(d_model=10, n_heads=2, d_ff=40)` have? Every "
        "linear layer has a bias."
    ),
    answer=4 * (10 * 10 + 10) + (10 * 40 + 40) + (40 * 10 + 10) + 2 * 2 * 10,
    tolerance=0.5,
    unit="parameters",
    why=(
        "Attention: four matrices of 10 x 10 with a bias each, 440. Feed-forward: 400 + 40 and 400 "
        "+ 10, together 850. Two layer norms with weight and bias: 40. So nearly two thirds are in "
        "the network that sees one token at a time."
    ),
    wrong=(
        WrongAnswer(
            1200, "Those are the matrices. The biases and the layer norms are missing."
        ),
        WrongAnswer(1290, "The two layer norms have a weight and a bias of 10 each."),
        WrongAnswer(
            1310,
            "Half of the layer norms is missing. There are two of them, and each has a weight "
            "*and* a bias.",
        ),
        WrongAnswer(1240, "The biases of the linear layers are missing."),
        WrongAnswer(
            1220,
            "The attention has four matrices: query, key, value, and the one that projects what "
            "all heads have gathered.",
        ),
        WrongAnswer(
            1770,
            "You count the attention once for each head. The heads share its 10 features: each "
            "works on 5 of them.",
        ),
        WrongAnswer(
            1180,
            "You give each head matrices of 5 x 5 for query, key and value. Each head makes its 5 "
            "features from all 10.",
        ),
        WrongAnswer(890, "The attention is missing: four matrices with their biases."),
        WrongAnswer(
            480, "The feed-forward network is missing: two matrices with their biases."
        ),
    ),
)

without_attention = Choice(
    name="transformer.without_attention",
    title="A stack that never looks aside",
    minutes=3,
    difficulty=2,
    question=(
        "Take the attention out of all six blocks of a causal language model. Positions, norms, "
        "residual connections and feed-forward networks stay. Train it as long as you like. What "
        "is the most that it can become?"
    ),
    options=(
        Option(
            "a bigram model that also knows the position",
            correct=True,
            why=(
                "All that is left works on one token at a time. So a prediction depends on the "
                "last token and on its position. Attention is the only part in which a token "
                "learns of another."
            ),
        ),
        Option(
            "a unigram model: the same prediction everywhere",
            why=(
                "The last token itself goes in at the bottom. Its vector goes up through all six "
                "blocks, so the prediction may depend on it."
            ),
        ),
        Option(
            "a 7-gram model: each block sees one token further back",
            why=(
                "No block sees any token further back. Six feed-forward networks on top of each "
                "other are still a network on one token."
            ),
        ),
        Option(
            "an RNN: the residual connections carry the past along",
            why=(
                "They carry a token's vector from block to block: upwards. An RNN carries its "
                "state from token to token: sideways."
            ),
        ),
    ),
)

computed_twice = Number(
    name="transformer.computed_twice",
    title="What a cache saves",
    minutes=4,
    difficulty=2,
    question=(
        "A model reads a prompt of 5 tokens and writes 10 more, greedily. Without a cache it reads "
        "the whole text anew for each of the 10. Each read computes one vector for each token of "
        "the text so far. With a cache no vector is computed twice. How many vectors, in one "
        "block, does the cache save?"
    ),
    answer=sum(range(5, 15)) - 14,
    tolerance=0.5,
    unit="vectors",
    why=(
        "Without a cache: 5 + 6 + ... + 14 = 95. With it: the prompt's 5, then one for each of the "
        "first 9 new tokens, 14. The tenth is written and never read. 95 - 14 = 81. The longer the "
        "text, the more: without a cache the sum grows with the square of the length."
    ),
    wrong=(
        WrongAnswer(
            95,
            "95 are computed without a cache. With it there are still some. (Or do you let the "
            "last token be read? Nothing is asked after it.)",
        ),
        WrongAnswer(
            80,
            "With a cache you count 15. But the last token is written and never read.",
        ),
        WrongAnswer(
            90,
            "You begin with 6 and end with 15. The first new token is chosen after the 5 of the "
            "prompt, and the last one after 14.",
        ),
        WrongAnswer(
            136,
            "You read the text 10 times at its full length of 15, without a cache. At the first "
            "time it has 5 tokens.",
        ),
        WrongAnswer(14, "That many are computed *with* a cache."),
        WrongAnswer(
            85,
            "With a cache you count 10, one for each new token. But the prompt's 5 are read as "
            "well, and the last new token is not.",
        ),
    ),
)

cache_memory = Number(
    name="transformer.cache_memory",
    title="How much memory does a cache take?",
    minutes=4,
    difficulty=3,
    question=(
        "A language model has 24 blocks, `d_model` 1024 and 16 heads. It has read one text of 2048 "
        "tokens. A number takes 2 bytes. How much memory does the cache of keys and values take? "
        "(1 MiB is 1024 x 1024 bytes.)"
    ),
    answer=2 * 24 * 1024 * 2048 * 2 / 2**20,
    tolerance=0.5,
    unit="MiB",
    why=(
        "For each token and each block a key and a value of 1024 numbers: 4 KiB of 2 bytes a "
        "number. 24 blocks make 96 KiB a token, 2048 tokens 192 MiB. For 32 texts at the same time "
        "it is 6 GiB. The number of heads does not matter: together they have `d_model` numbers."
    ),
    wrong=(
        WrongAnswer(
            96,
            "Half of it. There are keys *and* values, and a number takes *two* bytes.",
        ),
        WrongAnswer(
            48,
            "A quarter of it. There are keys *and* values, and a number takes *two* bytes.",
        ),
        WrongAnswer(
            3072,
            "A head has 1024 / 16 = 64 numbers. All heads of a block together have 1024.",
        ),
        WrongAnswer(12, "That is one head of each block. There are 16."),
        WrongAnswer(
            8, "That is one block. Each of the 24 has keys and values of its own."
        ),
        WrongAnswer(
            288, "The queries are not kept. No later token asks with them again."
        ),
        WrongAnswer(384, "A number takes 2 bytes here, not 4."),
        WrongAnswer(
            201.326592,
            "You divide by a million. A MiB has 1024 x 1024 bytes.",
        ),
    ),
)

_SPREAD = 0.625 / 4  # over the four other tokens alone

smoothed_loss = Number(
    name="transformer.smoothed_loss",
    title="The best smoothed loss",
    minutes=6,
    difficulty=3,
    question=(
        "A vocabulary has 5 tokens. The label smoothing is 0.625: far too much, but it makes the "
        "numbers easy. As in the chapter it is spread over the whole vocabulary, the right token "
        "included. What is the lowest loss that a model can reach on a token?"
    ),
    answer=2,
    tolerance=0.005,
    unit="bits",
    why=(
        "The target is 0.375 + 0.125 = 1/2 for the right token and 1/8 for each of the four "
        "others. A cross-entropy is lowest where the model says just that. What is left is the "
        "entropy of the target: 1/2 * 1 + 4 * 1/8 * 3 = 2 bits. So a smoothed loss does not go to "
        "0, and says little beside one that is not smoothed."
    ),
    wrong=(
        WrongAnswer(
            0,
            "A model that is certain gives the other tokens probability 0. The target gives them "
            "something, so the loss would be infinite.",
        ),
        WrongAnswer(
            1,
            "That is minus the logarithm of the right token's 1/2. The other tokens count as well, "
            "as much as the target gives them.",
        ),
        WrongAnswer(0.5, "The four other tokens add something as well."),
        WrongAnswer(
            1.5, "That is what the four other tokens add. The right one is missing."
        ),
        WrongAnswer(2 * math.log(2), "You work in nats. Take logarithms to base 2."),
        WrongAnswer(
            math.log2(5),
            "That is the loss of a model that finds all tokens equally probable. It can do better.",
        ),
        WrongAnswer(
            -0.375 * math.log2(0.375) - 4 * _SPREAD * math.log2(_SPREAD),
            "You spread the 0.625 over the four *other* tokens. The right one gets its fifth too.",
        ),
        WrongAnswer(
            -math.log2(0.375),
            "That is the logarithm of 1 - 0.625 alone. The right token also gets a fifth of the "
            "0.625, and all the others count.",
        ),
    ),
)

# ------------------------------------------------------------------------ 1 a parallel block


def _tokens_and_parts(generator):
    def randn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    hidden, mixing, matrix = randn(2, 5, 3), randn(5, 5).softmax(dim=1), randn(3, 3)
    inner, outer, weight, bias = randn(3, 7), randn(7, 3), randn(3), randn(3)

    def attend(hidden):
        return mixing @ hidden @ matrix

    def think(hidden):
        return (hidden @ inner).relu() @ outer

    def norm(hidden):
        return torch.nn.functional.layer_norm(hidden, (3,), weight, bias)

    return hidden, attend, think, norm


def _parallel_block(hidden, attend, think, norm):
    normed = norm(hidden)
    return hidden + attend(normed) + think(normed)


def _pb_as_it_was(hidden, attend, think, norm):
    hidden = norm(hidden)
    hidden = hidden + attend(hidden)
    return hidden + think(norm(hidden))


def _pb_one_after_the_other(hidden, attend, think, norm):
    hidden = hidden + attend(norm(hidden))
    return hidden + think(norm(hidden))


def _pb_normed_sum(hidden, attend, think, norm):
    normed = norm(hidden)
    return normed + attend(normed) + think(normed)


def _pb_twice(hidden, attend, think, norm):
    normed = norm(hidden)
    return (hidden + attend(normed)) + (hidden + think(normed))


def _pb_no_residual(hidden, attend, think, norm):
    normed = norm(hidden)
    return attend(normed) + think(normed)


def _pb_no_norm(hidden, attend, think, norm):
    return hidden + attend(hidden) + think(hidden)


def _pb_norm_at_the_end(hidden, attend, think, norm):
    return norm(hidden + attend(hidden) + think(hidden))


def _pb_half_normed(hidden, attend, think, norm):
    return hidden + attend(norm(hidden)) + think(hidden)


def _pb_second_norm_only(hidden, attend, think, norm):
    return hidden + attend(hidden) + think(norm(hidden))


def _pb_think_of_gathered(hidden, attend, think, norm):
    gathered = attend(norm(hidden))
    return hidden + gathered + think(norm(gathered))


def _pb_not_normed_again(hidden, attend, think, norm):
    normed = norm(hidden)
    gathered = hidden + attend(normed)
    return gathered + think(gathered)


def _pb_in_place(hidden, attend, think, norm):
    normed = norm(hidden)
    hidden += attend(normed)
    hidden += think(normed)
    return hidden


parallel_block = CodeExercise(
    name="transformer.parallel_block",
    title="Mend a parallel block",
    minutes=10,
    difficulty=1,
    statement="""In a block of the chapter the feed-forward network waits for the attention. The
language models GPT-J (Wang & Komatsuzaki, 2021) and PaLM (Chowdhery et al., 2022) let them work *at
the same time*: both read the same normed vectors, and both results are added to the block's input.
There is one norm, before both.

This function should be such a block. It runs, it raises nothing, the shape is right, and it is
wrong twice:

```python
def parallel_block(hidden, attend, think, norm):
    hidden = norm(hidden)
    hidden = hidden + attend(hidden)
    return hidden + think(norm(hidden))
```

Mend it. Leave the tensor `hidden` that you are given as it is.""",
    stub='''def parallel_block(hidden, attend, think, norm):
    """A pre-norm block whose two parts work at the same time.

    hidden: Float[Tensor, "batch time d_model"], the tokens.
    attend, think, norm: functions that take such a tensor and return a new one of the
        same shape: attention, feed-forward network, layer norm.
    Returns Float[Tensor, "batch time d_model"].
    """
    ...
''',
    reference=_parallel_block,
    make_inputs=_tokens_and_parts,
    hints=(
        "Draw it. How many arrows come out of the norm, and where do they go? What must be added "
        "at the end so that the input gets through untouched?",
        "Give what the norm returns a name of its own, `normed`, so that `hidden` is still there "
        "at the end. The result is a sum of three: `hidden`, and what each part makes of `normed`.",
    ),
    misconceptions=(
        Misconception(
            "as_it_was",
            _pb_as_it_was,
            "That is the broken block as it was. What does `hidden` mean after its first line? And "
            "what does the feed-forward network read?",
        ),
        Misconception(
            "one_after_the_other",
            _pb_one_after_the_other,
            "One mistake is mended: the input gets through untouched. The other is still there. "
            "Your feed-forward network waits for the attention, as in the chapter's block. It "
            "should read the same as the attention.",
        ),
        Misconception(
            "the_normed_is_added",
            _pb_normed_sum,
            "One mistake is mended: both parts read the same. The other is still there. You add "
            "to the *normed* vectors. Then every block rescales all that the blocks below have "
            "added.",
        ),
        Misconception(
            "input_twice",
            _pb_twice,
            "The input is in your sum twice, once for each part. So it doubles in each block.",
        ),
        Misconception(
            "no_residual",
            _pb_no_residual,
            "The input is not in your sum. Both parts only *add* something to it: that is the "
            "residual connection.",
        ),
        Misconception(
            "no_norm",
            _pb_no_norm,
            "The parts read the input as it is. They should read what the norm makes of it.",
        ),
        Misconception(
            "norm_at_the_end",
            _pb_norm_at_the_end,
            "You normalise the sum. That would be a post-norm block. Here the norm stands before "
            "the parts, and the sum is left alone.",
        ),
        Misconception(
            "only_attention_is_normed",
            _pb_half_normed,
            "Your feed-forward network reads the input as it is. The norm stands before *both* "
            "parts.",
        ),
        Misconception(
            "only_thinking_is_normed",
            _pb_second_norm_only,
            "Your attention reads the input as it is. The norm stands before *both* parts.",
        ),
        Misconception(
            "thinks_of_what_was_gathered",
            _pb_think_of_gathered,
            "Your feed-forward network reads what the attention has gathered. So it waits for it. "
            "It should read the same as the attention.",
        ),
        Misconception(
            "thinks_of_the_sum",
            _pb_not_normed_again,
            "Your feed-forward network reads the sum of input and attention. So it waits for the "
            "attention. It should read the same as the attention.",
        ),
        Misconception(
            "in_place",
            _pb_in_place,
            "The result is right, but `+=` changes the tensor that you were given. Whoever called "
            "may still need it. `hidden + ...` makes a new one.",
        ),
    ),
)

# -------------------------------------------------------------------------------- 2 RMS norm


def _vectors_to_norm(generator):
    hidden = 1 + torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    weight = 0.5 + torch.rand(3, generator=generator, dtype=torch.float64)
    eps = 0.1 + 0.4 * float(torch.rand((), generator=generator))
    return hidden, weight, eps


def _rms_norm(hidden, weight, eps):
    mean_square = hidden.square().mean(dim=-1, keepdim=True)
    return hidden / (mean_square + eps).sqrt() * weight


def _rn_layer_norm(hidden, weight, eps):
    return _rms_norm(hidden - hidden.mean(dim=-1, keepdim=True), weight, eps)


def _rn_deviation(hidden, weight, eps):
    variance = hidden.var(dim=-1, correction=0, keepdim=True)
    return hidden / (variance + eps).sqrt() * weight


def _rn_sum(hidden, weight, eps):
    square = hidden.square().sum(dim=-1, keepdim=True)
    return hidden / (square + eps).sqrt() * weight


def _rn_no_root(hidden, weight, eps):
    mean_square = hidden.square().mean(dim=-1, keepdim=True)
    return hidden / (mean_square + eps) * weight


def _rn_outside(hidden, weight, eps):
    mean_square = hidden.square().mean(dim=-1, keepdim=True)
    return hidden / (mean_square.sqrt() + eps) * weight


def _rn_no_eps(hidden, weight, eps):
    return _rms_norm(hidden, weight, 0)


def _rn_mean_of_sizes(hidden, weight, eps):
    return hidden / (hidden.abs().mean(dim=-1, keepdim=True) + eps) * weight


def _rn_square_of_mean(hidden, weight, eps):
    square = hidden.mean(dim=-1, keepdim=True).square()
    return hidden / (square + eps).sqrt() * weight


def _rn_over_time(hidden, weight, eps):
    mean_square = hidden.square().mean(dim=-2, keepdim=True)
    return hidden / (mean_square + eps).sqrt() * weight


def _rn_over_all(hidden, weight, eps):
    return hidden / (hidden.square().mean() + eps).sqrt() * weight


def _rn_no_weight(hidden, weight, eps):
    return _rms_norm(hidden, torch.ones_like(weight), eps)


def _rn_weight_first(hidden, weight, eps):
    return _rms_norm(hidden * weight, torch.ones_like(weight), eps)


def _rn_in_place(hidden, weight, eps):
    hidden /= (hidden.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    return hidden * weight


_TWO_VECTORS = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, -4.0]]).double()
_WEIGHT = torch.tensor([1.0, 2.0, 0.5]).double()

rms_norm = CodeExercise(
    name="transformer.rms_norm",
    title="A norm without a mean",
    minutes=10,
    difficulty=2,
    statement="""Does a layer norm need to take the mean away? Zhang & Sennrich (2019) leave it out,
and the bias too. Many language models do as they did. What stays is the division, now by the
root of the mean *square*, hence RMS norm. For one vector $h$ of $d$ numbers,

$$\\text{rms}(h) = \\sqrt{\\epsilon + \\frac{1}{d} \\sum_{i=1}^{d} h_i^2}, \\quad
y_i = w_i \\, \\frac{h_i}{\\text{rms}(h)}.$$

$w$ is a learned vector of $d$ numbers. $\\epsilon$ is small and keeps the root above 0. (The tests
take a large one, so that you see whether it is in its place.) Write it for tensors with any number
of axes: the last one holds the features, and every vector is normalised alone.""",
    stub='''def rms_norm(hidden, weight, eps):
    """Divide each vector by the root of its mean square, then scale each feature.

    hidden: Float[Tensor, "*batch d_model"]; it may have one axis only.
    weight: Float[Tensor, "d_model"].
    eps: float, above 0.
    Returns Float[Tensor, "*batch d_model"]; a vector of zeros
        stays a vector of zeros.
    """
    ...
''',
    reference=_rms_norm,
    make_inputs=_vectors_to_norm,
    hints=(
        "Square, then mean, then root: the name says it backwards. The mean runs over the last "
        "axis, `dim=-1`.",
        "With `keepdim=True` the mean keeps an axis of size 1, and `hidden` can be divided by it. "
        "`eps` is added to the mean square, before the root. The weight comes last.",
    ),
    misconceptions=(
        Misconception(
            "layer_norm",
            _rn_layer_norm,
            "You take the mean away first. That is a layer norm; here the mean stays.",
        ),
        Misconception(
            "deviation",
            _rn_deviation,
            "You divide by the standard deviation, the distance from the *mean*. Divide by the "
            "root of the mean square, the distance from 0.",
        ),
        Misconception(
            "length",
            _rn_sum,
            "You divide by the length of the vector: the root of the *sum* of squares. Take their "
            "mean. Then a typical feature has size 1, however many there are.",
        ),
        Misconception(
            "no_root",
            _rn_no_root,
            "You divide by the mean square. The root is missing: twice the vector should give "
            "almost the same result, and with you it gives about half.",
        ),
        Misconception(
            "eps_outside",
            _rn_outside,
            "`eps` is added to the root. It stands under the root.",
        ),
        Misconception(
            "no_eps",
            _rn_no_eps,
            "`eps` is missing. A vector of zeros would give 0/0.",
        ),
        Misconception(
            "mean_size",
            _rn_mean_of_sizes,
            "You divide by the mean of the absolute values. Square first, and take the root of "
            "the mean.",
        ),
        Misconception(
            "square_of_the_mean",
            _rn_square_of_mean,
            "You take the mean first and square it. Square first: positive and negative features "
            "must not cancel.",
        ),
        Misconception(
            "over_time",
            _rn_over_time,
            "Your mean runs over the tokens. Every token is normalised alone: take the last axis.",
        ),
        Misconception(
            "over_all",
            _rn_over_all,
            "You take one mean for all vectors together. Each vector has its own: `dim=-1`, "
            "`keepdim=True`.",
        ),
        Misconception(
            "no_weight",
            _rn_no_weight,
            "The division is right. Each feature is then multiplied by its weight.",
        ),
        Misconception(
            "weight_first",
            _rn_weight_first,
            "You multiply by the weight first. Then the mean square depends on the weight. Divide "
            "first.",
        ),
        Misconception(
            "in_place",
            _rn_in_place,
            "The result is right, but `/=` changes the tensor that you were given. The residual "
            "connection still needs it. `hidden / ...` makes a new one.",
        ),
    ),
    edge_cases=(
        (_TWO_VECTORS, _WEIGHT, 1e-5),
        (torch.tensor([1.0, 7.0, -5.0]).double(), _WEIGHT, 1e-5),
    ),
)

# ------------------------------------------------------------------------------ 3 fold a norm


def _norm_and_linear(generator):
    norm_weight = 0.5 + torch.rand(4, generator=generator, dtype=torch.float64)
    norm_bias = torch.randn(4, generator=generator, dtype=torch.float64)
    weight = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    bias = torch.randn(6, generator=generator, dtype=torch.float64)
    return norm_weight, norm_bias, weight, bias


def _fold_norm(norm_weight, norm_bias, weight, bias):
    return weight * norm_weight, bias + weight @ norm_bias


def _fn_no_bias(norm_weight, norm_bias, weight, bias):
    return weight * norm_weight, bias


def _fn_no_weight(norm_weight, norm_bias, weight, bias):
    return weight, bias + weight @ norm_bias


def _fn_scaled_twice(norm_weight, norm_bias, weight, bias):
    folded = weight * norm_weight
    return folded, bias + folded @ norm_bias


def _fn_forgets_bias(norm_weight, norm_bias, weight, bias):
    return weight * norm_weight, weight @ norm_bias


def _fn_divides(norm_weight, norm_bias, weight, bias):
    return weight / norm_weight, bias + weight @ norm_bias


def _fn_sign(norm_weight, norm_bias, weight, bias):
    return weight * norm_weight, bias - weight @ norm_bias


def _fn_number(norm_weight, norm_bias, weight, bias):
    return weight * norm_weight, bias + norm_bias.sum()


def _fn_transposed(norm_weight, norm_bias, weight, bias):
    return (weight * norm_weight).T, bias + weight @ norm_bias


def _fn_in_place(norm_weight, norm_bias, weight, bias):
    bias = bias + weight @ norm_bias
    weight *= norm_weight
    return weight, bias


fold_norm = CodeExercise(
    name="transformer.fold_norm",
    title="Fold a norm away",
    minutes=15,
    difficulty=2,
    statement="""In a pre-norm block a linear layer follows each layer norm, and nobody else reads
what the norm returns. Then the norm's own weight and bias are not needed any more, once the
model is trained. For one token, let $n$ be its vector, moved and scaled to mean 0 and variance 1.
The norm returns $g * n + b$, feature by feature. The linear layer makes of it

$$y = W (g * n + b) + c.$$

Find $W'$ and $c'$ with $W' n + c' = y$ for every $n$. Those who look into trained models do this
first: then the matrix alone says what is read. (In a post-norm block it cannot be done in this
way: the residual connection reads what the norm returns, too.)""",
    stub='''def fold_norm(norm_weight, norm_bias, weight, bias):
    """Fold a layer norm's weight and bias into the linear layer that follows.

    norm_weight: Float[Tensor, "d_model"], g.
    norm_bias: Float[Tensor, "d_model"], b.
    weight: Float[Tensor, "d_out d_model"], W, as in nn.Linear.
    bias: Float[Tensor, "d_out"], c.
    Returns the new weight W', Float[Tensor, "d_out d_model"], and the new bias c',
        Float[Tensor, "d_out"].
    """
    ...
''',
    reference=_fold_norm,
    make_inputs=_norm_and_linear,
    hints=(
        "Multiply out: y = W (g * n) + W b + c. Which parts depend on n?",
        "In W (g * n) feature i of n is multiplied by g[i] and then by column i of W. So every "
        "*column* of W is multiplied by its g. The rest, W b + c, is the new bias.",
    ),
    misconceptions=(
        Misconception(
            "no_bias",
            _fn_no_bias,
            "The weight is right. The norm's bias goes through the matrix as well, and adds the "
            "same to every token: it belongs to the new bias.",
        ),
        Misconception(
            "no_weight",
            _fn_no_weight,
            "The bias is right. The norm's weight scales each feature before the matrix reads it: "
            "it belongs to the new matrix.",
        ),
        Misconception(
            "scaled_twice",
            _fn_scaled_twice,
            "Your new bias comes from the *new* matrix. The norm adds its bias after it has "
            "scaled, so b meets W without g.",
        ),
        Misconception(
            "old_bias_lost",
            _fn_forgets_bias,
            "The linear layer's own bias is lost. The new bias is c and something more.",
        ),
        Misconception(
            "divides",
            _fn_divides,
            "You divide by the norm's weight. That would undo the scaling; it should be done here "
            "instead of there.",
        ),
        Misconception(
            "sign",
            _fn_sign,
            "The sign of the new part of the bias is wrong. The norm adds b, so W b is added.",
        ),
        Misconception(
            "sum_of_biases",
            _fn_number,
            "You add the sum of the norm's biases. On its way each of them is multiplied by the "
            "matrix: W b.",
        ),
        Misconception(
            "transposed",
            _fn_transposed,
            "The numbers are right, the matrix is transposed. `nn.Linear` keeps (d_out, d_model).",
        ),
        Misconception(
            "in_place",
            _fn_in_place,
            "The result is right, but `*=` changes the matrix that you were given. Fold it a "
            "second time, and it is scaled twice.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([0.0, 2.0]).double(),
            torch.tensor([1.0, 3.0]).double(),
            torch.tensor([[1.0, 10.0], [100.0, 1000.0], [0.0, 0.0]]).double(),
            torch.tensor([0.0, 0.5, 0.25]).double(),
        ),
    ),
)

# ------------------------------------------------------------------- 4 a cache with a window


def _new_and_old(generator):
    def randn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    window = int(torch.randint(4, 6, (), generator=generator))
    n_new = int(torch.randint(2, 8, (), generator=generator))
    query, key, value = 2 * randn(n_new, 3), 2 * randn(n_new, 3), randn(n_new, 2)
    return query, key, value, 2 * randn(window - 1, 3), randn(window - 1, 2), window


def _window_cache(query, key, value, old_key, old_value, window):
    n_old = len(old_key)
    key, value = torch.cat([old_key, key]), torch.cat([old_value, value])
    places = torch.arange(len(key))
    steps_back = places[n_old:, None] - places
    mask = (steps_back >= 0) & (steps_back < window)
    scores = query @ key.T / math.sqrt(query.shape[1])
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=1)
    first = max(len(key) - (window - 1), 0)
    return weights @ value, key[first:], value[first:]


def _wc_with(
    sees=lambda steps_back, window: (steps_back >= 0) & (steps_back < window),
    keeps=lambda rows, n_old, window: rows[max(len(rows) - window + 1, 0) :],
    first_place=lambda n_old: n_old,
    root=math.sqrt,
):
    """A cache with one thing changed."""

    def window_cache(query, key, value, old_key, old_value, window):
        n_old = len(old_key)
        key, value = torch.cat([old_key, key]), torch.cat([old_value, value])
        places = torch.arange(len(key))
        rows = first_place(n_old) + torch.arange(len(query))
        mask = sees(rows[:, None] - places, window)
        scores = query @ key.T / root(query.shape[1])
        weights = scores.masked_fill(~mask, -math.inf).softmax(dim=1)
        kept = (keeps(part, n_old, window) for part in (key, value))
        return weights @ value, *kept

    return window_cache


def _wc_new_only(query, key, value, old_key, old_value, window):
    gathered, _, _ = _window_cache(query, key, value, key[:0], value[:0], window)
    _, *kept = _window_cache(query, key, value, old_key, old_value, window)
    return gathered, *kept


def _wc_cut_first(query, key, value, old_key, old_value, window):
    n_all = len(old_key) + len(key)
    key = torch.cat([old_key, key])[-window:]
    value = torch.cat([old_value, value])[-window:]
    rows = n_all - len(query) + torch.arange(len(query))
    places = n_all - len(key) + torch.arange(len(key))
    scores = query @ key.T / math.sqrt(query.shape[1])
    scores = scores.masked_fill(places > rows[:, None], -math.inf)
    first = max(len(key) - (window - 1), 0)
    return scores.softmax(dim=1) @ value, key[first:], value[first:]


_SHORT = (
    torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]).double(),
    torch.tensor([[0.5, 0.0], [0.0, 1.0], [1.0, 0.0]]).double(),
    torch.tensor([[1.0], [10.0], [100.0]]).double(),
)
_NOTHING = (torch.zeros(0, 2).double(), torch.zeros(0, 1).double())

window_cache = CodeExercise(
    name="transformer.window_cache",
    title="A cache that forgets",
    minutes=30,
    difficulty=3,
    statement="""The cache of the chapter grows with the text. It need not if every token attends
only to the last few (Beltagy et al., 2020): with a window of 4, to itself and to the 3 before it.
Then most keys can be thrown away.

Write one head of such attention for a text that comes in pieces. A call gets the queries, keys
and values of the *new* tokens, one or more, and what the call before has kept. It returns what each
new token gathers, and what the next call will need: the keys and the values of the last
`window - 1` tokens, or of all tokens where there are fewer. The scores are dot products divided by
$\\sqrt{d_{key}}$, as ever.

Whether the text comes in one piece, token by token or in any other way, every token must gather
the same.""",
    stub='''def window_cache(query, key, value, old_key, old_value, window):
    """Attend to the last tokens only, and keep no more than that.

    query, key: Float[Tensor, "new d_key"]; value: Float[Tensor, "new d_value"]; one row
        for each new token, in the order of the text; at least one.
    old_key: Float[Tensor, "old d_key"]; old_value: Float[Tensor, "old d_value"]; what the
        call before kept, oldest first; no rows at the first call, and never more than
        window - 1.
    window: int, at least 1: how many tokens a token attends to, itself included.
    Returns what was gathered, Float[Tensor, "new d_value"], and the keys and values to
        keep, oldest first, as in the arguments.
    """
    ...
''',
    reference=_window_cache,
    make_inputs=_new_and_old,
    hints=(
        "Join old and new first, with `torch.cat`. Then number all of them. The new tokens do not "
        "have the numbers 0, 1, ...: they begin after the old ones. Cut off only at the very end: "
        "the first new tokens still need old keys that nobody will need later.",
        "`steps_back = places[n_old:, None] - places` has a row for each new token and a column "
        "for each key. It may attend where that is at least 0 and below `window`. For the end: "
        "`rows[-0:]` is everything; count from the front instead.",
    ),
    misconceptions=(
        Misconception(
            "no_window",
            _wc_with(sees=lambda steps_back, window: steps_back >= 0),
            "What you keep is right. But inside one call your tokens see everything before them. "
            "A long piece is longer than the window: mask what is too far back.",
        ),
        Misconception(
            "one_too_far",
            _wc_with(
                sees=lambda steps_back, window: (
                    (steps_back >= 0) & (steps_back <= window)
                )
            ),
            "Your window is one too wide: it counts the token itself, too.",
        ),
        Misconception(
            "one_too_near",
            _wc_with(
                sees=lambda steps_back, window: (
                    (steps_back >= 0) & (steps_back < max(window - 1, 1))
                )
            ),
            "Your window is one too narrow: the token itself and `window - 1` before it.",
        ),
        Misconception(
            "sees_the_future",
            _wc_with(sees=lambda steps_back, window: steps_back < window),
            "Your tokens attend to those after them in the same piece. Written token by token, "
            "these would not be there yet.",
        ),
        Misconception(
            "numbers_from_0",
            _wc_with(first_place=lambda n_old: 0),
            "You number the new tokens from 0, as if there were no old ones. So each of them sees "
            "too far into the past, and not itself.",
        ),
        Misconception(
            "new_only",
            _wc_new_only,
            "Your tokens attend to the new ones only. What was kept is kept for them.",
        ),
        Misconception(
            "cuts_first",
            _wc_cut_first,
            "You cut off old keys *before* the attention. The last new token does not need them, "
            "but the first ones do. Attend first, then cut.",
        ),
        Misconception(
            "keeps_one_more",
            _wc_with(
                keeps=lambda rows, n_old, window: rows[max(len(rows) - window, 0) :]
            ),
            "You keep `window` tokens. The next token is itself one of its window: `window - 1` "
            "are enough.",
        ),
        Misconception(
            "keeps_all",
            _wc_with(keeps=lambda rows, n_old, window: rows),
            "What is gathered is right, but you keep everything. The cache should not grow beyond "
            "`window - 1`.",
        ),
        Misconception(
            "keeps_the_oldest",
            _wc_with(keeps=lambda rows, n_old, window: rows[: window - 1]),
            "You keep the oldest tokens. The next token needs the newest.",
        ),
        Misconception(
            "keeps_new_only",
            _wc_with(
                keeps=lambda rows, n_old, window: rows[
                    max(n_old, len(rows) - window + 1) :
                ]
            ),
            "You keep new tokens only. Where these are few, some of the old ones are still inside "
            "the next window.",
        ),
        Misconception(
            "no_root",
            _wc_with(root=lambda size: 1),
            "The scores are not divided by the root of the key's size.",
        ),
        Misconception(
            "divides_by_the_size",
            _wc_with(root=lambda size: size),
            "You divide the scores by the key's size. It is its root.",
        ),
        Misconception(
            "minus_zero",
            _wc_with(keeps=lambda rows, n_old, window: rows[-(window - 1) :]),
            "Right for ordinary windows. With a window of 1 nothing should be kept, but "
            "`rows[-0:]` is `rows[0:]`: everything.",
        ),
    ),
    edge_cases=(
        (*_SHORT, *_NOTHING, 1),
        (*_SHORT, *_NOTHING, 7),
        (*_SHORT, _SHORT[1][:1], _SHORT[2][:1], 2),
        (*(part[:1] for part in _SHORT), *(-part for part in _SHORT[1:]), 4),
    ),
)

# ------------------------------------------------------------------------- 5 guess and check


def _drafts(generator):
    logits = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    noise = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    draft_probs = logits[:4].softmax(dim=1)
    model_probs = (logits + 0.5 * noise).softmax(dim=1)
    draft_ids = torch.multinomial(draft_probs, 1, generator=generator)[:, 0]
    chances = torch.rand(4, generator=generator, dtype=torch.float64)
    return draft_ids, draft_probs, model_probs, chances


def _check_drafts(draft_ids, draft_probs, model_probs, chances):
    for place, token in enumerate(draft_ids.tolist()):
        guessed, wanted = draft_probs[place], model_probs[place]
        if chances[place] * guessed[token] >= wanted[token]:
            missing = (wanted - guessed).clamp(min=0)
            return place, missing / missing.sum()
    return len(draft_ids), model_probs[-1]


def _missing(guessed, wanted, token):
    missing = (wanted - guessed).clamp(min=0)
    return missing / missing.sum()


def _cd_with(
    accepts=lambda guessed, wanted, token, chance: (
        chance * guessed[token] < wanted[token]
    ),
    after=_missing,
    goes_on=False,
    row_after=lambda place: place,
):
    """A check with one thing changed."""

    def check_drafts(draft_ids, draft_probs, model_probs, chances):
        accepted = [
            bool(accepts(draft_probs[i], model_probs[i], int(draft_ids[i]), chances[i]))
            for i in range(len(draft_ids))
        ]
        if all(accepted):
            return len(accepted), model_probs[-1]
        place = accepted.index(False)
        wanted = model_probs[row_after(place)]
        next_probs = after(draft_probs[place], wanted, int(draft_ids[place]))
        return sum(accepted) if goes_on else place, next_probs

    return check_drafts


def _cd_without_the_token(guessed, wanted, token):
    others = wanted.clone()
    others[token] = 0
    return others / others.sum()


def _cd_sizes(guessed, wanted, token):
    return (wanted - guessed).abs() / (wanted - guessed).abs().sum()


def _cd_counts_the_next(draft_ids, draft_probs, model_probs, chances):
    place, next_probs = _check_drafts(draft_ids, draft_probs, model_probs, chances)
    return place + 1, next_probs


def _cd_last_draft(draft_ids, draft_probs, model_probs, chances):
    place, next_probs = _check_drafts(draft_ids, draft_probs, model_probs, chances)
    return place, model_probs[-2] if place == len(draft_ids) else next_probs


_DRAFT_ROWS = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]).double()
_MODEL_ROWS = torch.tensor(
    [[0.75, 0.0, 0.25], [0.0, 0.5, 0.5], [0.125, 0.25, 0.625]]
).double()

check_drafts = CodeExercise(
    name="transformer.check_drafts",
    title="A small model guesses, a large one checks",
    minutes=40,
    difficulty=4,
    statement="""A Transformer writes one token after another, but it can *read* many at once. So
let a small, fast model write a few tokens ahead, the drafts. Then the large model reads them all in
one go, and says what it would have written at each place. Leviathan et al. (2023) keep the drafts
in such a way that the text comes out as if the large model had written every token alone: not
nearly, but with exactly the same probabilities.

Go through the drafts from left to right. At a place let $q$ be the probabilities of the small
model, from which the draft $x$ was drawn, and $p$ those of the large model.

- Accept $x$ with probability $\\min(1, \\, p_x / q_x)$: accept it if the number `chances[i]`, drawn
  evenly between 0 and 1, is *below* $p_x / q_x$. Then go on with the next place.
- At the first draft that is not accepted, stop. All drafts from there on are thrown away. A token
  is drawn in its place, with probabilities in proportion to $\\max(0, \\, p_v - q_v)$ for each
  token $v$ of the vocabulary.
- If all drafts are accepted, the large model has also said what comes after the last of them.
  The next token is drawn from that.

Return how many drafts are accepted, and the probabilities from which the next token is to be
drawn. When it works, take pen and paper. One place, any $p$ and $q$: with which probability does
the token $v$ end there, as an accepted draft or drawn anew?""",
    stub='''def check_drafts(draft_ids, draft_probs, model_probs, chances):
    """Which drafts may stay, and from what the token after them is drawn.

    draft_ids: Int[Tensor, "drafts"]; draft i was drawn from draft_probs[i], so its
        probability there is above 0. There is at least one.
    draft_probs: Float[Tensor, "drafts vocab_size"], of the small model; rows sum to 1.
    model_probs: Float[Tensor, "drafts+1 vocab_size"], of the large model; row i is for the
        place of draft i, the last row for the place after all drafts; rows sum to 1.
    chances: Float[Tensor, "drafts"], at least 0 and below 1; chances[i] decides on draft i.
    Returns the number of accepted drafts, an int, and the next token's probabilities,
        Float[Tensor, "vocab_size"], which sum to 1.
    """
    ...
''',
    reference=_check_drafts,
    make_inputs=_drafts,
    hints=(
        "A loop over the places with an early `return`. Three cases: accepted, so go on; not "
        "accepted, so return at once; the loop has ended, so all are accepted.",
        "Where draft i is not accepted: `missing = (model_probs[i] - draft_probs[i])"
        ".clamp(min=0)`, divided by its sum. After the loop: `len(draft_ids), model_probs[-1]`.",
    ),
    misconceptions=(
        Misconception(
            "probability_not_ratio",
            _cd_with(
                accepts=lambda guessed, wanted, token, chance: chance < wanted[token]
            ),
            "You accept with probability p. The draft was already drawn with probability q: "
            "compare with the *ratio* p / q. Where both models agree, every draft stays.",
        ),
        Misconception(
            "only_where_larger",
            _cd_with(
                accepts=lambda guessed, wanted, token, chance: (
                    wanted[token] >= guessed[token]
                )
            ),
            "You accept a draft only where p is at least q. Where it is smaller, the draft still "
            "stays sometimes: `chances[i]` decides.",
        ),
        Misconception(
            "most_probable_only",
            _cd_with(
                accepts=lambda guessed, wanted, token, chance: token == wanted.argmax()
            ),
            "You accept a draft where it is the large model's most probable token. That fits "
            "greedy decoding. Here the text is sampled.",
        ),
        Misconception(
            "ratio_turned_round",
            _cd_with(
                accepts=lambda guessed, wanted, token, chance: (
                    chance * wanted[token] < guessed[token]
                )
            ),
            "You compare with q / p. A draft should stay if the *large* model likes it: p / q.",
        ),
        Misconception(
            "at_most",
            _cd_with(
                accepts=lambda guessed, wanted, token, chance: (
                    chance * guessed[token] <= wanted[token]
                )
            ),
            "Right for ordinary numbers. But `chances[i]` may be 0. Then a token that the large "
            "model never writes is accepted. It should be *below* the ratio.",
        ),
        Misconception(
            "goes_on",
            _cd_with(goes_on=True),
            "You count all drafts that pass. But the ones behind a rejected draft were guessed "
            "and checked after a token that is not there any more. Stop at the first.",
        ),
        Misconception(
            "plain_row",
            _cd_with(after=lambda guessed, wanted, token: wanted),
            "After a rejection you draw from p. But part of p has already come in through accepted "
            "drafts. Draw from what is still missing: p - q where it is positive.",
        ),
        Misconception(
            "without_the_token",
            _cd_with(after=_cd_without_the_token),
            "After a rejection you draw from p without the rejected token. But the other tokens "
            "get part of their share as drafts. Draw from p - q where it is positive.",
        ),
        Misconception(
            "no_division",
            _cd_with(
                after=lambda guessed, wanted, token: (wanted - guessed).clamp(min=0)
            ),
            "The differences are right. Divide them by their sum: these are probabilities.",
        ),
        Misconception(
            "sizes",
            _cd_with(after=_cd_sizes),
            "You draw from the sizes of p - q. Where q is larger than p, the token has come often "
            "enough as a draft: it gets 0.",
        ),
        Misconception(
            "too_often_again",
            _cd_with(
                after=lambda guessed, wanted, token: _missing(wanted, guessed, token)
            ),
            "You draw from q - p: the tokens that the small model writes too often. Draw what it "
            "writes too seldom.",
        ),
        Misconception(
            "one_row_on",
            _cd_with(row_after=lambda place: place + 1),
            "After a rejection you use the large model's row *after* the rejected draft. The "
            "token is drawn in its place: use the same row.",
        ),
        Misconception(
            "counts_the_next",
            _cd_counts_the_next,
            "You count the token that is drawn anew. Asked for is the number of accepted drafts.",
        ),
        Misconception(
            "last_draft_again",
            _cd_last_draft,
            "Where all drafts are accepted you return the row of the last draft. Its place is "
            "taken. The last row of `model_probs` is for the place after it.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([0, 1]),
            _DRAFT_ROWS,
            _MODEL_ROWS,
            torch.tensor([0.99, 0.99]).double(),
        ),
        (
            torch.tensor([0, 0]),
            _DRAFT_ROWS,
            _MODEL_ROWS,
            torch.tensor([0.5, 0.0]).double(),
        ),
        (
            torch.tensor([1, 2]),
            _DRAFT_ROWS,
            _MODEL_ROWS,
            torch.tensor([0.0, 0.0]).double(),
        ),
    ),
)

# --------------------------------------------------------------------- 6 back down the stack


def _stack_and_gradient(generator):
    def randn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    eps = 0.1 + 0.4 * float(torch.rand((), generator=generator))
    return randn(5, 4), 0.6 * randn(3, 4, 4), eps, randn(5, 4)


def _down_the_stack(hidden, weights, eps, gradient):
    normed, deviations = [], []
    for weight in weights:  # up, keeping what the way back needs
        centred = hidden - hidden.mean(dim=1, keepdim=True)
        deviations.append((centred.square().mean(dim=1, keepdim=True) + eps).sqrt())
        normed.append(centred / deviations[-1])
        hidden = hidden + normed[-1] @ weight.T
    weight_gradients = torch.zeros_like(weights)
    for layer in reversed(range(len(weights))):
        n = normed[layer]
        weight_gradients[layer] = gradient.T @ n
        of_n = gradient @ weights[layer]  # what comes down to the norm's output
        mean = of_n.mean(dim=1, keepdim=True)
        along_n = (of_n * n).mean(dim=1, keepdim=True)
        of_branch = (of_n - mean - n * along_n) / deviations[layer]
        gradient = gradient + of_branch
    return gradient, weight_gradients


def _ds_with(
    through_norm=lambda of_n, n, deviation: (
        (of_n - _row_mean(of_n) - n * _row_mean(of_n * n)) / deviation
    ),
    joins=lambda gradient, of_branch: gradient + of_branch,
    through_weight=lambda gradient, weight: gradient @ weight,
    of_weight=lambda gradient, n, inside: gradient.T @ n,
    norm_of=lambda hiddens, layer: hiddens[layer],
    eps_used=lambda eps: eps,
    weight_before=True,
):
    """A way down with one thing changed."""

    def down_the_stack(hidden, weights, eps, gradient):
        hiddens = [hidden]
        for weight in weights:
            n, _ = _ds_norm(hiddens[-1], eps)
            hiddens.append(hiddens[-1] + n @ weight.T)
        of_weights = torch.zeros_like(weights)
        for layer in reversed(range(len(weights))):
            inside = norm_of(hiddens, layer)
            n, deviation = _ds_norm(inside, eps_used(eps))
            of_n = through_weight(gradient, weights[layer])
            below = joins(gradient, through_norm(of_n, n, deviation))
            here = gradient if weight_before else below
            of_weights[layer] = of_weight(here, n, inside)
            gradient = below
        return gradient, of_weights

    return down_the_stack


def _ds_norm(hidden, eps):
    centred = hidden - _row_mean(hidden)
    deviation = (_row_mean(centred.square()) + eps).sqrt()
    return centred / deviation, deviation


def _row_mean(numbers):
    return numbers.mean(dim=1, keepdim=True)


def _ds_wrong_order(hidden, weights, eps, gradient):
    gradient, of_weights = _down_the_stack(hidden, weights, eps, gradient)
    return gradient, of_weights.flip(0)


def _ds_mean_over_tokens(hidden, weights, eps, gradient):
    n_tokens = len(hidden)
    gradient, of_weights = _down_the_stack(hidden, weights, eps, gradient)
    return gradient, of_weights / n_tokens


_STACK = _stack_and_gradient(torch.Generator().manual_seed(100))

down_the_stack = CodeExercise(
    name="transformer.down_the_stack",
    title="Back down the stack by hand",
    minutes=75,
    difficulty=5,
    statement="""Why does a gradient reach the lowest block of a pre-norm stack? Follow it down,
without autograd. The blocks here have one part only, a matrix, so that there is less to write. With
$N$ blocks, $d$ features, and $h^0$ the vector of a token at the bottom,

$$n^l = \\text{norm}(h^l), \\quad h^{l+1} = h^l + W^l n^l, \\quad l = 0, 1, \\ldots, N - 1.$$

The norm has no weight and no bias. With $m$ the mean of the features of $h$,

$$\\text{norm}(h)_i = \\frac{h_i - m}{\\sigma}, \\quad
\\sigma = \\sqrt{\\epsilon + \\frac{1}{d} \\sum_i (h_i - m)^2}.$$

Somebody gives you the gradient of a loss at the top: at $h^N$, for every token. Return the gradient
at the bottom, at $h^0$, and that of each matrix. Every token goes up alone, but all use the same
matrices: there their gradients add up.

When it is right, look at your loop. Which term would be left if all matrices were 0? Then leave
out the residual connection, on the way up and on the way down. Draw the size of the gradient at the
bottom against the number of blocks, for both.""",
    stub='''def down_the_stack(hidden, weights, eps, gradient):
    """The gradients of a pre-norm stack, whose blocks are matrices.

    hidden: Float[Tensor, "tokens d_model"], the tokens at the bottom, h^0.
    weights: Float[Tensor, "n_layers d_model d_model"], the lowest block first; block l
        adds `normed @ weights[l].T`, as nn.Linear does.
    eps: float, above 0: stands under the root of the norm, beside the variance.
    gradient: Float[Tensor, "tokens d_model"], of the loss at the top.
    Returns the gradient of the loss at the bottom, Float[Tensor, "tokens d_model"], and at
        the weights, Float[Tensor, "n_layers d_model d_model"].
    """
    ...
''',
    reference=_down_the_stack,
    make_inputs=_stack_and_gradient,
    hints=(
        "Go up first, and keep the normed vectors and the deviations of every block. On the way "
        "down, with g the gradient above a block: it goes down on two paths and is added below. "
        "One path is the sum: g itself. On the other it passes the matrix, `a = g @ weight`, and "
        "then the norm. The matrix gets `g.T @ normed`.",
        "Back through the norm, for one token: a change of h_i moves n_i, and through m and sigma "
        "all the others too. Together: (a - mean of a - n * mean of (a * n)) / sigma, means over "
        "the features.",
    ),
    misconceptions=(
        Misconception(
            "no_residual",
            _ds_with(joins=lambda gradient, of_branch: of_branch),
            "The gradient goes down through the matrix only. The sum has two parts: the gradient "
            "also goes down past the block, unchanged, and both are added.",
        ),
        Misconception(
            "only_residual",
            _ds_with(joins=lambda gradient, of_branch: gradient),
            "The gradient goes down past the blocks only. It also goes down *through* each of "
            "them: matrix, then norm, and is added.",
        ),
        Misconception(
            "no_norm",
            _ds_with(through_norm=lambda of_n, n, deviation: of_n),
            "The gradient passes the matrix, but not the norm.",
        ),
        Misconception(
            "norm_is_a_constant",
            _ds_with(through_norm=lambda of_n, n, deviation: of_n / deviation),
            "You take mean and deviation for constants. But each feature moves both, and with them "
            "all the other features: two more terms.",
        ),
        Misconception(
            "mean_is_a_constant",
            _ds_with(
                through_norm=lambda of_n, n, deviation: (
                    (of_n - n * _row_mean(of_n * n)) / deviation
                )
            ),
            "The term of the deviation is there, that of the mean is missing. Each feature moves "
            "the mean, which is taken away from all.",
        ),
        Misconception(
            "deviation_is_a_constant",
            _ds_with(
                through_norm=lambda of_n, n, deviation: (
                    (of_n - _row_mean(of_n)) / deviation
                )
            ),
            "The term of the mean is there, that of the deviation is missing. Each feature also "
            "moves sigma, by which all are divided.",
        ),
        Misconception(
            "no_division",
            _ds_with(
                through_norm=lambda of_n, n, deviation: (
                    of_n - _row_mean(of_n) - n * _row_mean(of_n * n)
                )
            ),
            "Going up, the norm divides by sigma. The gradient going down is divided by it, too.",
        ),
        Misconception(
            "not_transposed",
            _ds_with(through_weight=lambda gradient, weight: gradient @ weight.T),
            "Going down, the gradient meets each matrix the same way round as the vectors going "
            "up. It must be the other way: up `@ weight.T`, down `@ weight`.",
        ),
        Misconception(
            "weights_transposed",
            _ds_with(of_weight=lambda gradient, n, inside: n.T @ gradient),
            "The gradients of your matrices are transposed. Row i of a matrix makes feature i of "
            "what is added, so row i of its gradient has the gradient at feature i.",
        ),
        Misconception(
            "weights_read_the_hidden",
            _ds_with(of_weight=lambda gradient, n, inside: gradient.T @ inside),
            "For the matrices you use the vectors before the norm. A matrix is multiplied with the "
            "*normed* vectors.",
        ),
        Misconception(
            "gradient_from_below",
            _ds_with(weight_before=False),
            "For the matrices you use the gradient *below* their block. A matrix acts on the sum "
            "above it: take the gradient before you send it down.",
        ),
        Misconception(
            "norm_of_the_block_above",
            _ds_with(norm_of=lambda hiddens, layer: hiddens[layer + 1]),
            "One block off: you use the normed vectors of the block above. Block l normalises "
            "h^l, the vectors that go into it.",
        ),
        Misconception(
            "no_eps",
            _ds_with(eps_used=lambda eps: 0.0),
            "On the way back your deviation is without `eps`. Use the one from the way up.",
        ),
        Misconception(
            "mean_over_tokens",
            _ds_mean_over_tokens,
            "The gradients of your matrices are means over the tokens. All tokens use the same "
            "matrix: their gradients add up.",
        ),
        Misconception(
            "wrong_order",
            _ds_wrong_order,
            "The numbers are right, the order is turned round: the way down meets the highest "
            "block first, but the lowest is asked for first.",
        ),
    ),
    edge_cases=(
        (_STACK[0], torch.zeros(2, 4, 4).double(), 1e-5, _STACK[3]),
        (torch.full((1, 4), 3.0).double(), _STACK[1], 1e-5, _STACK[3][:1]),
    ),
)
