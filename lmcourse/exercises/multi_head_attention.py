"""Exercises of chapter 7: heads cut, shared, measured, taken apart, and built by hand."""

import math
from functools import partial

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
from lmcourse.exercises.compare import show
from lmcourse.self_attention import causal_mask, scaled_dot_product_attention

# ------------------------------------------------------------------------------------ quizzes

_PROJECT = (
    "the input projection makes queries, keys and values of the full size, d_model"
)
_CUT = "cut them into heads of size d_head"
_SCORES = (
    "every head compares its queries with its keys and divides by the root of d_head"
)
_MASK = "hide the future: its scores become minus infinity"
_SOFTMAX = "softmax: every head has attention weights of its own"
_GATHER = "every head takes the weighted means of its values"
_JOIN = "put the results of all heads end to end"
_OUT = "the output projection mixes what the heads have found"

in_and_out = Order(
    name="multi_head_attention.in_and_out",
    title="Through one layer",
    minutes=2,
    difficulty=1,
    question="A causal layer of multi-head attention reads some tokens. Put its steps in order.",
    items=(_PROJECT, _CUT, _SCORES, _MASK, _SOFTMAX, _GATHER, _JOIN, _OUT),
    why=(
        "Between the cut and the join no head knows what the others do. Only the last step mixes "
        "what they have found."
    ),
    wrong=(
        WrongAnswer(
            (_CUT, _PROJECT, _SCORES, _MASK, _SOFTMAX, _GATHER, _JOIN, _OUT),
            "If the vectors were cut first, each head would see only a part of every token. The "
            "input projection reads whole vectors; what it makes is cut.",
        ),
        WrongAnswer(
            (_PROJECT, _CUT, _SCORES, _SOFTMAX, _MASK, _GATHER, _JOIN, _OUT),
            "After the softmax it is too late: the future has its share of the 1 already.",
        ),
        WrongAnswer(
            (_PROJECT, _CUT, _SCORES, _MASK, _SOFTMAX, _GATHER, _OUT, _JOIN),
            "The output projection reads the results of *all* heads as one vector. So they are "
            "put together before.",
        ),
    ),
)

how_many_weights = Number(
    name="multi_head_attention.how_many_weights",
    title="How many weights?",
    minutes=2,
    difficulty=1,
    question=(
        "A layer has d_model = 64 and 8 heads. It reads one sentence of 10 tokens, with the causal "
        "mask. How many of its attention weights are larger than 0?"
    ),
    answer=440,
    tolerance=0.1,
    unit="weights",
    why=(
        "Token number 1 may attend to 1 token, number 2 to 2, and so on: 1 + 2 + ... + 10 = 55 "
        "for one head. Each of the 8 heads has attention weights of its own."
    ),
    wrong=(
        WrongAnswer(800, "Without a mask it would be 8 times 10 times 10."),
        WrongAnswer(
            55, "That is one head. The others have attention weights of their own."
        ),
        WrongAnswer(360, "A token may attend to itself as well: the diagonal counts."),
        WrongAnswer(
            3520,
            "You count one set of attention weights for each of the 64 features. There is one "
            "for each head: the 8 features of a head share it.",
        ),
        WrongAnswer(
            80, "Those are the rows. In a row, all places up to the token itself count."
        ),
    ),
)

cut_and_cut = Predict(
    name="multi_head_attention.cut_and_cut",
    title="Two ways to cut",
    minutes=4,
    difficulty=2,
    question=(
        "Three tokens with four features each. They are cut into two heads of two features, in a "
        "right way and in a wrong one. What does this print?"
    ),
    code=(
        "import torch\n"
        "\n"
        "tokens = torch.tensor(\n"
        "    [[11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34]]\n"
        ")\n"
        "right = tokens.view(3, 2, 2).transpose(0, 1)  # (head, token, feature)\n"
        "wrong = tokens.view(2, 3, 2)\n"
        "print(right[0].tolist())\n"
        "print(wrong[0].tolist())"
    ),
    why=(
        "`view` never moves a number: it reads them row by row, 11, 12, 13, 14, 21, ... So the "
        "wrong cut gives head 0 the whole first token and half of the second. Both have the same "
        "shape. Nothing complains, and the layer even trains."
    ),
    wrong=(
        WrongAnswer(
            "[[11, 12], [21, 22], [31, 32]]\n[[11, 12], [21, 22], [31, 32]]",
            "The first line is right. In the second, nothing skips 13 and 14: `view` reads the "
            "numbers in their order.",
        ),
        WrongAnswer(
            "[[11, 12], [13, 14], [21, 22]]\n[[11, 12], [21, 22], [31, 32]]",
            "It is the other way round.",
        ),
        WrongAnswer(
            "[[11, 12], [13, 14], [21, 22]]\n[[11, 12], [13, 14], [21, 22]]",
            "The second line is right. In the first, `view(3, 2, 2)` keeps the tokens as the first "
            "axis, and `transpose` brings the heads to the front.",
        ),
        WrongAnswer(
            "[[11, 12], [13, 14]]\n[[11, 12], [13, 14], [21, 22]]",
            "The first line shows the two heads of token 0. After `transpose(0, 1)` the first axis "
            "is the head: all three tokens of head 0.",
        ),
        WrongAnswer(
            "[[11, 13], [21, 23], [31, 33]]\n[[11, 12], [13, 14], [21, 22]]",
            "Features that lie side by side belong to the same head: 11 and 12.",
        ),
    ),
)

one_or_eight = Choice(
    name="multi_head_attention.one_or_eight",
    title="One head or eight",
    minutes=3,
    difficulty=2,
    question=(
        "`MultiHeadAttention(d_model=64, n_heads=1)` and `MultiHeadAttention(d_model=64, "
        "n_heads=8)` read the same sentence. What does the second one have more of?"
    ),
    options=(
        Option(
            "attention weights: eight times as many, from as many parameters",
            correct=True,
            why=(
                "Each head has a softmax of its own. Both matrices keep their sizes, 3 · 64 × 64 "
                "and 64 × 64: they are only read in other pieces. The price is that a head "
                "compares tokens by 8 numbers instead of 64."
            ),
        ),
        Option(
            "parameters: each head has its own queries, keys and values",
            why=(
                "It has, but each of them is an eighth as long. 8 heads of 8 features are 64 "
                "features, as before."
            ),
        ),
        Option(
            "multiplications: a score for each pair of tokens, in each head",
            why=(
                "There are eight times as many scores, but each takes 8 multiplications instead "
                "of 64. In the matrix products that makes no difference."
            ),
        ),
        Option(
            "speed: the heads work in parallel, so it takes an eighth of the time",
            why=(
                "It is the *tokens* that no longer wait for each other, and with one head they "
                "do not wait either. The matrix products are as much work as before."
            ),
        ),
    ),
)

after_pruning = Number(
    name="multi_head_attention.after_pruning",
    title="What is left",
    minutes=5,
    difficulty=3,
    question=(
        "`MultiHeadAttention(d_model=64, n_heads=8)` loses three heads by `prune_heads`. How many "
        "parameters are left, biases included?"
    ),
    answer=10424,
    tolerance=0.1,
    unit="parameters",
    why=(
        "5 heads of 8 features are 40. The input projection keeps 3 · 40 = 120 rows of 64, and "
        "120 biases: 7800. The output projection keeps 64 rows of 40, and *all* 64 biases, "
        "because what comes out is as long as before: 2624."
    ),
    wrong=(
        WrongAnswer(
            16640, "That is the layer before: 4 matrices of 64 × 64, and 256 biases."
        ),
        WrongAnswer(
            10400,
            "Nearly: five eighths of all. But the biases of the output projection belong to no "
            "head. All 64 stay.",
        ),
        WrongAnswer(10240, "You have left out the biases: 120 and 64."),
        WrongAnswer(
            11960,
            "You have cut the input projection only. Its results are what the output projection "
            "reads, so that loses columns.",
        ),
        WrongAnswer(
            6560,
            "The vectors that come in and go out still have 64 numbers. Only what is between is "
            "shorter.",
        ),
        WrongAnswer(6216, "That is what has been taken away. What is left?"),
        WrongAnswer(
            7800,
            "That is the input projection with its biases. There is an output projection, too.",
        ),
    ),
)

one_head_out = Choice(
    name="multi_head_attention.one_head_out",
    title="Without this head",
    minutes=3,
    difficulty=3,
    question=(
        "We take one head out of a trained model. On many held-out sentences the loss stays the "
        "same. What do we know?"
    ),
    options=(
        Option(
            "on such sentences, what is left of this model does as well",
            correct=True,
            why=(
                "Nothing more. It speaks of this model, these sentences, and one head alone. Each "
                "of the other statements needs an experiment of its own."
            ),
        ),
        Option(
            "the head did nothing",
            why=(
                "Another head may do the same work. Then each of the two can go, as long as the "
                "other stays."
            ),
        ),
        Option(
            "of two heads with this result, both can go at once",
            why=(
                "Not if each of them stands in for the other. The two have to be taken out "
                "together to see that."
            ),
        ),
        Option(
            "a model that is trained with one head less does as well",
            why=(
                "Perhaps it does. But a head that is not needed *in the end* may have helped while "
                "the model was learning. One would have to train it."
            ),
        ),
    ),
)

# ------------------------------------------------------------------- 1 three mistakes at once


def _uncut(generator):
    # Sometimes as many queries as keys: mistakes that stop elsewhere give numbers there.
    n_queries = (5, 7)[int(torch.randint(2, (), generator=generator))]
    query = torch.randn(2, n_queries, 12, generator=generator, dtype=torch.float64)
    key = torch.randn(2, 7, 12, generator=generator, dtype=torch.float64)
    value = torch.randn(2, 7, 12, generator=generator, dtype=torch.float64)
    return query, key, value, 3


def _mend_heads(query, key, value, n_heads):
    d_head = query.shape[2] // n_heads

    # (batch, time, d_model) -> (batch, n_heads, time, d_head)
    def cut(part):
        return part.unflatten(2, (n_heads, d_head)).transpose(1, 2)

    scores = cut(query) @ cut(key).transpose(2, 3) / math.sqrt(d_head)
    gathered = scores.softmax(dim=3) @ cut(value)
    # (batch, n_heads, queries, d_head) -> (batch, queries, d_model)
    return gathered.transpose(1, 2).flatten(2)


def _heads_with(query, key, value, n_heads, *, cut=True, join=True, scale=None, dim=3):
    """The three places that can be wrong; `scale` is a function of d_model and d_head."""
    batch, n_queries, d_model = query.shape
    d_head = d_model // n_heads

    def heads(part):
        if cut:
            return part.view(batch, -1, n_heads, d_head).transpose(1, 2)
        return part.view(batch, n_heads, -1, d_head)

    root = math.sqrt(d_head) if scale is None else scale(d_model, d_head)
    scores = heads(query) @ heads(key).transpose(2, 3) / root
    gathered = scores.softmax(dim=dim) @ heads(value)
    gathered = gathered.transpose(1, 2) if join else gathered
    return gathered.reshape(batch, n_queries, d_model)


def _root_of_d_model(d_model, d_head):
    return math.sqrt(d_model)


def _mh_interleaved(query, key, value, n_heads):
    d_head = query.shape[2] // n_heads

    def cut(part):
        return part.unflatten(2, (d_head, n_heads)).permute(0, 3, 1, 2)

    scores = cut(query) @ cut(key).transpose(2, 3) / math.sqrt(d_head)
    return (scores.softmax(dim=3) @ cut(value)).permute(0, 2, 3, 1).flatten(2)


def _mh_one_head(query, key, value, n_heads):
    scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[2] // n_heads)
    return scores.softmax(dim=2) @ value


def _mh_heads_as_tokens(query, key, value, n_heads, root=math.sqrt):
    query, key, value = (
        part.unflatten(2, (n_heads, -1)) for part in (query, key, value)
    )
    scores = query @ key.transpose(2, 3) / root(query.shape[3])
    return (scores.softmax(dim=3) @ value).flatten(2)


def _mh_queries_for_keys(query, key, value, n_heads):
    batch, n_queries, d_model = query.shape
    d_head = d_model // n_heads
    query, key, value = (
        part.reshape(batch, n_queries, n_heads, d_head).transpose(1, 2)
        for part in (query, key, value)
    )
    scores = query @ key.transpose(2, 3) / math.sqrt(d_head)
    return (scores.softmax(dim=3) @ value).transpose(1, 2).flatten(2)


mend_heads = CodeExercise(
    name="multi_head_attention.mend_heads",
    title="Mend broken heads",
    minutes=10,
    difficulty=1,
    statement="""This function should be the middle of a layer with several heads: between the input
projection and the output projection. It runs, it raises nothing, the shape is right, and it is
wrong three times:

```python
def mend_heads(query, key, value, n_heads):
    batch, n_queries, d_model = query.shape
    d_head = d_model // n_heads
    query, key, value = (
        part.reshape(batch, n_heads, -1, d_head)
        for part in (query, key, value)
    )
    scores = query @ key.transpose(2, 3) / math.sqrt(d_model)
    gathered = scores.softmax(dim=3) @ value
    return gathered.reshape(batch, n_queries, d_model)
```

Mend it. As in the chapter, the first `d_head` features of a token belong to head 0, the next to
head 1, and so on, before and after.""",
    stub='''def mend_heads(query, key, value, n_heads):
    """Cut into heads, attend in each, and put the results end to end.

    query: Float[Tensor, "batch queries d_model"].
    key, value: Float[Tensor, "batch keys d_model"].
    n_heads: int, which divides d_model.
    Returns Float[Tensor, "batch queries d_model"]; there is no mask.
    """
    ...
''',
    reference=_mend_heads,
    make_inputs=_uncut,
    hints=(
        "`reshape` moves no number, it only reads them in other pieces. So which axis may be cut "
        "in two, and in which order do the axes stand then? And how many numbers does one head "
        "multiply for a score?",
        "Cut the last axis, then move the heads: `part.unflatten(2, (n_heads, d_head))"
        ".transpose(1, 2)`. At the end the same way back: `.transpose(1, 2)`, then `.flatten(2)`. "
        "The root is that of d_head.",
    ),
    misconceptions=(
        Misconception(
            "as_it_was",
            partial(_heads_with, cut=False, join=False, scale=_root_of_d_model),
            "Those are the broken heads as they were. Look at the cut, at the root, and at how the "
            "heads come together again.",
        ),
        Misconception(
            "only_the_root",
            partial(_heads_with, cut=False, join=False),
            "One mistake is mended, the root. But the two `reshape`s still mix tokens: they read "
            "the numbers in their order, token by token, and call the first piece head 0.",
        ),
        Misconception(
            "only_the_cut",
            partial(_heads_with, join=False, scale=_root_of_d_model),
            "One mistake is mended, the cut. Two are left: the root, and the way back, where the "
            "heads have to move behind the tokens before they are joined.",
        ),
        Misconception(
            "only_the_way_back",
            partial(_heads_with, cut=False, scale=_root_of_d_model),
            "One mistake is mended, the way back. Two are left: the root, and the cut, where the "
            "last axis alone may be cut.",
        ),
        Misconception(
            "cut_is_left",
            partial(_heads_with, cut=False),
            "Two mistakes are mended. The cut is left: `reshape(batch, n_heads, -1, d_head)` gives "
            "head 0 the first *tokens*, not the first features.",
        ),
        Misconception(
            "way_back_is_left",
            partial(_heads_with, join=False),
            "Two mistakes are mended. The way back is left: the heads stand before the tokens, so "
            "`reshape` fills the first rows with head 0 alone. Transpose first.",
        ),
        Misconception(
            "root_is_left",
            partial(_heads_with, scale=_root_of_d_model),
            "Two mistakes are mended. The root is left: a head adds up d_head products, not "
            "d_model. With the larger root its attention weights are too even.",
        ),
        Misconception(
            "no_root",
            partial(_heads_with, scale=lambda d_model, d_head: 1),
            "Cut and way back are right, but nothing is divided. A score is divided by the root "
            "of d_head.",
        ),
        Misconception(
            "divided_by_d_head",
            partial(_heads_with, scale=lambda d_model, d_head: d_head),
            "You divide by d_head. It should be the square *root* of d_head.",
        ),
        Misconception(
            "softmax_over_queries",
            partial(_heads_with, dim=2),
            "Your softmax runs over the queries. Each query spreads a weight of 1 over the *keys*, "
            "the last axis of the scores.",
        ),
        Misconception(
            "interleaved",
            _mh_interleaved,
            "You deal the features out like cards: head 0 gets every third or so. Features that "
            "lie side by side belong to one head: `(n_heads, d_head)`, not `(d_head, n_heads)`.",
        ),
        Misconception(
            "one_head",
            _mh_one_head,
            "That is one head that reads all features. There should be one set of attention "
            "weights for each head.",
        ),
        Misconception(
            "heads_as_tokens",
            _mh_heads_as_tokens,
            "Your heads look at heads, not at tokens: after the cut the last two axes are "
            "`(n_heads, d_head)`, and those are multiplied. First move the heads before the "
            "tokens: `.transpose(1, 2)`, and back at the end.",
        ),
        Misconception(
            "heads_as_tokens_and_root",
            partial(_mh_heads_as_tokens, root=lambda d_head: math.sqrt(3 * d_head)),
            "Your heads look at heads, not at tokens: first move the heads before the tokens, "
            "`.transpose(1, 2)`, and back at the end. And the root is still that of d_model.",
        ),
        Misconception(
            "queries_for_keys",
            _mh_queries_for_keys,
            "This is right only where there are as many keys as queries. You cut the keys and the "
            "values with the number of queries, `n_queries`. Write -1 there, or use `unflatten`.",
        ),
    ),
)

# --------------------------------------------------------------------------- 2 tokens in view


def _maps_and_mask(generator):
    lengths = 2 + torch.randperm(5, generator=generator)[:3]
    mask = torch.arange(6) < lengths[:, None]
    scores = 2 * torch.randn(3, 2, 6, 6, generator=generator, dtype=torch.float64)
    visible = causal_mask(6) & mask[:, None, None, :]
    return scores.masked_fill(~visible, -math.inf).softmax(dim=3), mask


def _tokens_in_view(weights, mask):
    surprise = torch.where(weights > 0, -weights.log2(), 0.0)
    bits = (weights * surprise).sum(dim=3)  # (batch, n_heads, time)
    real = bits.transpose(1, 2)[mask]  # (real tokens, n_heads)
    return 2 ** real.mean(dim=0)


def _bits_in_view(weights, mask, dim=3):
    surprise = torch.where(weights > 0, -weights.log2(), 0.0)
    return (weights * surprise).sum(dim=dim).transpose(1, 2)


def _tv_no_zero(weights, mask):
    bits = -(weights * weights.log2()).sum(dim=3)
    return 2 ** bits.transpose(1, 2)[mask].mean(dim=0)


def _tv_bits(weights, mask):
    return _bits_in_view(weights, mask)[mask].mean(dim=0)


def _tv_two_to_the_nats(weights, mask):
    return 2 ** (math.log(2) * _bits_in_view(weights, mask)[mask].mean(dim=0))


def _tv_e_to_the_bits(weights, mask):
    return _bits_in_view(weights, mask)[mask].mean(dim=0).exp()


def _tv_powers_first(weights, mask):
    return (2 ** _bits_in_view(weights, mask)[mask]).mean(dim=0)


def _tv_padding(weights, mask):
    return _tokens_in_view(weights, torch.ones_like(mask))


def _tv_padding_as_zero(weights, mask):
    bits = _bits_in_view(weights, mask) * mask[:, :, None]
    return 2 ** bits.mean(dim=(0, 1))


def _tv_sentence_by_sentence(weights, mask):
    bits = _bits_in_view(weights, mask) * mask[:, :, None]
    means = bits.sum(dim=1) / mask.sum(dim=1, keepdim=True)
    return 2 ** means.mean(dim=0)


def _tv_columns(weights, mask):
    return 2 ** _bits_in_view(weights, mask, dim=2)[mask].mean(dim=0)


def _tv_mean_map(weights, mask):
    mean = weights.transpose(1, 2)[mask].mean(dim=0)  # (n_heads, time)
    return 2 ** torch.where(mean > 0, -mean * mean.log2(), 0.0).sum(dim=1)


def _tv_sign(weights, mask):
    return 1 / _tokens_in_view(weights, mask)


def _tv_above_zero(weights, mask):
    return (weights > 0).sum(dim=3).transpose(1, 2)[mask].double().mean(dim=0)


def _tv_flipped(weights, mask):
    return _tokens_in_view(weights, ~mask)


_NARROW_AND_WIDE = torch.stack(
    [torch.eye(4, dtype=torch.float64), torch.full((4, 4), 0.25, dtype=torch.float64)]
)[None]

tokens_in_view = CodeExercise(
    name="multi_head_attention.tokens_in_view",
    title="How many tokens has a head in view?",
    minutes=15,
    difficulty=2,
    statement="""Some heads look at one token, others spread their attention weights over many. Put
a number on it. A row of weights is a probability distribution, so it has an entropy, in bits:
$H = -\\sum_k w_k \\log_2 w_k$. Two to that power is the perplexity of the row, as in chapter 1.
For a row that looks at one token alone it is 1. For a row that looks at four tokens evenly it is 4.

For each head, take the mean of $H$ over all real tokens of the batch. Then give 2 to the power of
this mean. A weight may be exactly 0, behind a mask; then $w \\log_2 w$ counts as 0. The rows of
padding tokens sum to 1 as well, but nobody should count them.""",
    stub='''def tokens_in_view(weights, mask):
    """How many tokens each head looks at: 2 to the power of its mean entropy in bits.

    weights: Float[Tensor, "batch n_heads time time"], 0 to 1; each row (last axis)
        sums to 1.
    mask: Bool[Tensor, "batch time"], True for a real token; at least one is.
    Returns Float[Tensor, "n_heads"], from 1 to time.
    """
    ...
''',
    reference=_tokens_in_view,
    make_inputs=_maps_and_mask,
    hints=(
        "First the entropy of each row: one number for each sentence, head and token. What is "
        "`0 * torch.tensor(0.0).log2()`? `torch.where(weights > 0, ..., 0.0)` helps.",
        "Then bring the heads to the end, `bits.transpose(1, 2)`, so that `[mask]` picks the rows "
        "of the real tokens: (real tokens, n_heads). Their mean over `dim=0`, then `2 ** ...`.",
    ),
    misconceptions=(
        Misconception(
            "logarithm_of_zero",
            _tv_no_zero,
            "The formula is right, but the logarithm of 0 is minus infinity, and 0 times that is "
            "nan. Every masked place has weight 0. Put a 0 there.",
        ),
        Misconception(
            "bits",
            _tv_bits,
            "That is the mean entropy, in bits. Asked for is 2 to this power: a number of tokens.",
        ),
        Misconception(
            "two_to_the_nats",
            _tv_two_to_the_nats,
            "`log` is the natural logarithm; its power needs the base e. For the base 2, take "
            "`log2`.",
        ),
        Misconception(
            "e_to_the_bits",
            _tv_e_to_the_bits,
            "You measure in bits, and then take a power of e. Powers and logarithms need the same "
            "base: `2 ** ...`.",
        ),
        Misconception(
            "powers_first",
            _tv_powers_first,
            "You take the power of each row, and then the mean. First the mean of the entropies, "
            "then one power: as a perplexity is made.",
        ),
        Misconception(
            "padding",
            _tv_padding,
            "The rows of the padding count as well. Pick the real tokens with the mask.",
        ),
        Misconception(
            "padding_as_zero",
            _tv_padding_as_zero,
            "The rows of the padding are 0 now, but they still count in the mean: you divide by "
            "the number of all rows. Divide by the number of real tokens, or pick their rows.",
        ),
        Misconception(
            "padding_only",
            _tv_flipped,
            "You pick the padding: True is a *real* token.",
        ),
        Misconception(
            "sentence_by_sentence",
            _tv_sentence_by_sentence,
            "You take a mean for each sentence, and the mean of these. Then a token of a short "
            "sentence counts more. All real tokens count the same.",
        ),
        Misconception(
            "columns",
            _tv_columns,
            "You sum over the columns. A *row* is a distribution: the last axis sums to 1.",
        ),
        Misconception(
            "mean_map",
            _tv_mean_map,
            "You take the mean of the weights first, and then its entropy. A head that always "
            "looks at one token, but each time at another, would look wide.",
        ),
        Misconception(
            "sign",
            _tv_sign,
            "The sign is lost: the logarithm of a weight is negative, and the entropy is not.",
        ),
        Misconception(
            "above_zero",
            _tv_above_zero,
            "You count the places with a weight above 0. A place with a weight of 0.001 is hardly "
            "in view.",
        ),
    ),
    edge_cases=(
        (_NARROW_AND_WIDE, torch.ones(1, 4, dtype=torch.bool)),
        (torch.ones(1, 3, 1, 1, dtype=torch.float64), torch.tensor([[True]])),
    ),
)

# ---------------------------------------------------------------------------- 3 shared keys


def _shared(generator):
    # A mask without an axis for the heads stops in a batch of 2, and is right in one of 1.
    batch = 1 + int(torch.randint(2, (), generator=generator))
    query = torch.randn(batch, 6, 5, 4, generator=generator, dtype=torch.float64)
    key = torch.randn(batch, 3, 7, 4, generator=generator, dtype=torch.float64)
    value = torch.randn(batch, 3, 7, 4, generator=generator, dtype=torch.float64)
    mask = torch.rand(batch, 5, 7, generator=generator) < 0.6
    mask[:, :, 2] |= ~mask.any(dim=2)  # each query may attend to something
    return query, key, value, mask


def _grouped_attention(query, key, value, mask):
    n_shared = query.shape[1] // key.shape[1]
    key = key.repeat_interleave(n_shared, dim=1)
    value = value.repeat_interleave(n_shared, dim=1)
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(dim=3)
    return weights @ value


def _grouped_with(
    query, key, value, mask, *, keys="consecutive", values="consecutive", root=None
):
    """Which key and value each head takes, and the root, can be wrong."""
    n_shared = query.shape[1] // key.shape[1]

    def spread(part, how):
        if how == "consecutive":
            return part.repeat_interleave(n_shared, dim=1)
        if how == "in turn":
            return part.repeat(1, n_shared, 1, 1)
        if how == "mean":
            return part.mean(dim=1, keepdim=True)
        return part[:, :1]  # first

    root = math.sqrt(query.shape[3]) if root is None else root(query, n_shared)
    scores = query @ spread(key, keys).transpose(2, 3) / root
    weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(dim=3)
    return weights @ spread(value, values)


def _ga_mean_query(query, key, value, mask):
    n_shared = query.shape[1] // key.shape[1]
    mean = query.unflatten(1, (key.shape[1], n_shared)).mean(dim=2)
    return _grouped_attention(mean.repeat_interleave(n_shared, dim=1), key, value, mask)


def _ga_one_for_each_group(query, key, value, mask):
    n_shared = query.shape[1] // key.shape[1]
    mean = query.unflatten(1, (key.shape[1], n_shared)).mean(dim=2)
    return _grouped_attention(mean, key, value, mask)


def _ga_no_mask(query, key, value, mask):
    return _grouped_attention(query, key, value, torch.ones_like(mask))


def _ga_flipped(query, key, value, mask):
    return _grouped_attention(query, key, value, ~mask)


def _ga_mask_afterwards(query, key, value, mask):
    n_shared = query.shape[1] // key.shape[1]
    key = key.repeat_interleave(n_shared, dim=1)
    value = value.repeat_interleave(n_shared, dim=1)
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    return (scores.softmax(dim=3) * mask[:, None]) @ value


def _ga_mask_without_heads(query, key, value, mask):
    n_shared = query.shape[1] // key.shape[1]
    key = key.repeat_interleave(n_shared, dim=1)
    value = value.repeat_interleave(n_shared, dim=1)
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    return scores.masked_fill(~mask, -math.inf).softmax(dim=3) @ value


def _ga_softmax_over_queries(query, key, value, mask):
    n_shared = query.shape[1] // key.shape[1]
    key = key.repeat_interleave(n_shared, dim=1)
    value = value.repeat_interleave(n_shared, dim=1)
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(dim=2)
    return weights @ value


def _shared_by(n_heads, n_groups):
    generator = torch.Generator().manual_seed(n_groups)
    query, key, value = (
        torch.randn(2, n, time, 4, generator=generator, dtype=torch.float64)
        for n, time in ((n_heads, 5), (n_groups, 7), (n_groups, 7))
    )
    return query, key, value, torch.ones(2, 5, 7, dtype=torch.bool)


grouped_attention = CodeExercise(
    name="multi_head_attention.grouped_attention",
    title="Many queries, few keys",
    minutes=20,
    difficulty=2,
    statement="""A model that writes a long text keeps the keys and the values of all tokens so far.
With many heads that takes much memory. Do all heads need keys of their own? Ainslie et al. (2023)
let neighbouring heads share: each head has its own queries, but a *group* of heads has one set of
keys and one set of values. With 6 heads and 3 groups, heads 0 and 1 use group 0, heads 2 and 3 use
group 1, heads 4 and 5 use group 2.

Write the attention. With as many groups as heads it is the chapter's. With one group it is what
Shazeer (2019) called multi-query attention. Otherwise nothing is new: scores, root, mask, softmax,
weighted mean.""",
    stub='''def grouped_attention(query, key, value, mask):
    """Attention in which neighbouring heads share keys and values.

    query: Float[Tensor, "batch n_heads queries d_head"].
    key, value: Float[Tensor, "batch n_groups keys d_head"]; n_groups divides n_heads.
    mask: Bool[Tensor, "batch queries keys"], True = may attend, the same for all
        heads. Each row (last axis) has at least one True.
    Returns Float[Tensor, "batch n_heads queries d_head"].
    """
    ...
''',
    reference=_grouped_attention,
    make_inputs=_shared,
    hints=(
        "Give every head its keys, and the rest is what you know. Group g is needed n_heads / "
        "n_groups times in a row. What is the difference between `repeat` and "
        "`repeat_interleave`?",
        "`key.repeat_interleave(n_heads // n_groups, dim=1)` has the shape of the keys of all "
        "heads; the values alike. The mask needs an axis for the heads: `mask[:, None]`. Fill the "
        "scores where it is False.",
    ),
    misconceptions=(
        Misconception(
            "in_turn",
            partial(_grouped_with, keys="in turn", values="in turn"),
            "You hand the groups out in turn: heads 0, 1, 2 get groups 0, 1, 2, and so on again. "
            "Neighbours should share: that is `repeat_interleave`, not `repeat`.",
        ),
        Misconception(
            "values_in_turn",
            partial(_grouped_with, values="in turn"),
            "The keys are right, but the values are handed out in turn. Head 1 belongs to group 0 "
            "for both.",
        ),
        Misconception(
            "keys_in_turn",
            partial(_grouped_with, keys="in turn"),
            "The values are right, but the keys are handed out in turn. Head 1 belongs to group 0 "
            "for both.",
        ),
        Misconception(
            "mean_of_groups",
            partial(_grouped_with, keys="mean", values="mean"),
            "All your heads share the mean of all groups. Each group has keys and values of its "
            "own.",
        ),
        Misconception(
            "first_group",
            partial(_grouped_with, keys="first", values="first"),
            "All your heads use group 0. The others have groups of their own.",
        ),
        Misconception(
            "mean_of_queries",
            _ga_mean_query,
            "You take the mean of the queries in a group, so its heads all find the same. Each "
            "head keeps its own queries; only keys and values are shared.",
        ),
        Misconception(
            "one_for_each_group",
            _ga_one_for_each_group,
            "One result for each group comes out. There should be one for each *head*: the "
            "queries are not shared.",
        ),
        Misconception(
            "no_root",
            partial(_grouped_with, root=lambda query, n_shared: 1),
            "Nothing is divided: a score is divided by the root of d_head.",
        ),
        Misconception(
            "larger_root",
            partial(
                _grouped_with,
                root=lambda query, n_shared: math.sqrt(query.shape[3] * n_shared),
            ),
            "Your root grows with the size of the group. A score is still a sum of d_head "
            "products.",
        ),
        Misconception(
            "no_mask",
            _ga_no_mask,
            "The mask is not used. Fill the scores before the softmax.",
        ),
        Misconception(
            "flipped",
            _ga_flipped,
            "You hide what may be attended to: True means *may attend*. `masked_fill` fills where "
            "its mask is True, so it needs `~mask`.",
        ),
        Misconception(
            "mask_afterwards",
            _ga_mask_afterwards,
            "You mask after the softmax: the hidden keys have taken their share, and the rows sum "
            "to less than 1.",
        ),
        Misconception(
            "softmax_over_queries",
            _ga_softmax_over_queries,
            "Your softmax runs over the queries. Each query spreads a weight of 1 over the *keys*.",
        ),
        Misconception(
            "mask_without_heads",
            _ga_mask_without_heads,
            "With one sentence it is right, with two it stops: the mask is (batch, queries, keys), "
            "so torch takes its sentences for heads. Give it an axis for the heads: "
            "`mask[:, None]`.",
        ),
    ),
    edge_cases=(_shared_by(3, 3), _shared_by(6, 1)),
)

# ------------------------------------------------------------------------- 4 the pattern score


def _maps_and_tokens(generator):
    lengths = 5 + torch.randperm(5, generator=generator)[:3]
    mask = torch.arange(9) < lengths[:, None]
    token_ids = torch.randint(4, (3, 9), generator=generator)
    scores = 2 * torch.randn(3, 2, 9, 9, generator=generator, dtype=torch.float64)
    scores = scores.masked_fill(~causal_mask(9), -math.inf)
    return scores.softmax(dim=3), token_ids, mask


def _pattern_score(weights, token_ids, mask):
    found = []
    sentences = zip(weights, token_ids.tolist(), mask, strict=True)
    for maps, ids, real in sentences:
        last_seen = {}
        for place, token in enumerate(ids[: int(real.sum())]):
            if token in last_seen:
                found.append(maps[:, place, last_seen[token] + 1])
            last_seen[token] = place
    return torch.stack(found).mean(dim=0)


def _pattern_with(weights, token_ids, mask, *, pick, over=None, padding=False):
    """`pick` gives the weights at a place whose token stood at `earlier` places before."""
    found, sentences, n_tokens = [], [], 0
    for maps, ids, real in zip(weights, token_ids.tolist(), mask, strict=True):
        ids = ids if padding else ids[: int(real.sum())]
        own = []
        for place, token in enumerate(ids):
            earlier = [s for s in range(place) if ids[s] == token]
            if earlier:
                own.append(pick(maps, place, earlier))
        n_tokens += len(ids)
        found += own
        sentences += [torch.stack(own).mean(dim=0)] if own else []
    if over == "sentences":
        return torch.stack(sentences).mean(dim=0)
    n_summed = {"tokens": n_tokens, "nothing": 1}.get(over, len(found))
    return torch.stack(found).sum(dim=0) / n_summed


def _ps_writes_first(weights, token_ids, mask):
    found = []
    for maps, ids, real in zip(weights, token_ids.tolist(), mask, strict=True):
        last_seen = {}
        for place, token in enumerate(ids[: int(real.sum())]):
            last_seen[token] = place
            if token in last_seen:
                found.append(maps[:, place, last_seen[token] + 1])
    return torch.stack(found).mean(dim=0)


def _ps_not_twice_in_a_row(weights, token_ids, mask):
    found = []
    for maps, ids, real in zip(weights, token_ids.tolist(), mask, strict=True):
        last_seen = {}
        for place, token in enumerate(ids[: int(real.sum())]):
            if last_seen.get(token, place - 1) != place - 1:
                found.append(maps[:, place, last_seen[token] + 1])
            last_seen[token] = place
    return torch.stack(found).mean(dim=0)


def _after_last(maps, place, earlier):
    return maps[:, place, earlier[-1] + 1]


pattern_score = CodeExercise(
    name="multi_head_attention.pattern_score",
    title="Which head continues a pattern?",
    minutes=25,
    difficulty=3,
    statement="""Somebody reads `ant bee cat ant` and has to say what comes next. A good guess is
`bee`: it came after `ant` before. A head that helps here stands at the second `ant` and looks at
`bee`. Olsson et al. (2022) call it an *induction head*. Note where it looks: not at the earlier
`ant`, but one place behind it.

Measure how much each head does this. Take every real token that has occurred before in its
sentence. Find its *latest* earlier occurrence, and take the weight at the token after that. The
score of a head is the mean of these weights over all such tokens of the batch. (When a token stands
twice in a row, the token after its earlier occurrence is the token itself. It counts, too.)

Then run it on the chapter's trained model: `attention_maps` gives the weights, layer by layer. To
know what is much, also compute the score of a head that spreads its attention weights evenly.""",
    stub='''def pattern_score(weights, token_ids, mask):
    """The mean weight of each head on the token that followed last time.

    weights: Float[Tensor, "batch n_heads time time"]; row t says where token t looks.
    token_ids: Int[Tensor, "batch time"].
    mask: Bool[Tensor, "batch time"], True for a real token. Padding stands at the end,
        and its ids may be any.
    At least one real token of the batch has occurred before in its sentence.
    Returns Float[Tensor, "n_heads"], from 0 to 1.
    """
    ...
''',
    reference=_pattern_score,
    make_inputs=_maps_and_tokens,
    hints=(
        "Two loops: over the sentences, and over the places of one. Keep a dictionary that knows "
        "for each token where it was seen last. Look into it *before* you write into it. Take "
        "numbers as keys, `token_ids.tolist()` or `.item()`: two tensors that hold 3 are two "
        "different keys. Then nothing is found, and `stack expects a non-empty TensorList`.",
        "At place t with token x: if x is in the dictionary, at s, collect `weights[b, :, t, s + "
        "1]`, one number for each head. At the end `torch.stack(found).mean(dim=0)`. Stop at the "
        "padding.",
    ),
    misconceptions=(
        Misconception(
            "at_the_copy",
            partial(
                _pattern_with, pick=lambda maps, t, earlier: maps[:, t, earlier[-1]]
            ),
            "That is the weight at the earlier copy of the token. One place behind it stands what "
            "came next.",
        ),
        Misconception(
            "first_occurrence",
            partial(
                _pattern_with, pick=lambda maps, t, earlier: maps[:, t, earlier[0] + 1]
            ),
            "You take the first occurrence. If a token has occurred several times, the latest one "
            "counts.",
        ),
        Misconception(
            "all_occurrences",
            partial(
                _pattern_with,
                pick=lambda maps, t, earlier: sum(maps[:, t, s + 1] for s in earlier),
            ),
            "You add up the weights after all earlier occurrences. Only the latest one counts.",
        ),
        Misconception(
            "all_pairs",
            lambda weights, token_ids, mask: torch.stack(
                [
                    maps[:, t, s + 1]
                    for maps, ids, real in zip(weights, token_ids, mask, strict=True)
                    for t in range(int(real.sum()))
                    for s in range(t)
                    if ids[s] == ids[t]
                ]
            ).mean(dim=0),
            "Your mean runs over all pairs of equal tokens. Each token counts once, with its "
            "latest earlier occurrence.",
        ),
        Misconception(
            "token_before",
            partial(_pattern_with, pick=lambda maps, t, earlier: maps[:, t, t - 1]),
            "That is the weight at the token before. Find the latest earlier occurrence of this "
            "token, and take the place behind it.",
        ),
        Misconception(
            "rows_and_columns",
            partial(
                _pattern_with, pick=lambda maps, t, earlier: maps[:, earlier[-1] + 1, t]
            ),
            "Row and column are swapped: `weights[b, h, t, s]` is how much token t looks at s. "
            "Yours looks into the future, where a causal head has weight 0.",
        ),
        Misconception(
            "padding",
            partial(_pattern_with, pick=_after_last, padding=True),
            "The padding counts as well. Its ids say nothing: stop before it.",
        ),
        Misconception(
            "all_tokens",
            partial(_pattern_with, pick=_after_last, over="tokens"),
            "You divide by the number of all tokens. Divide by the number of those that have "
            "occurred before.",
        ),
        Misconception(
            "sentence_by_sentence",
            partial(_pattern_with, pick=_after_last, over="sentences"),
            "You take a mean for each sentence, and the mean of these. All tokens that have "
            "occurred before count the same.",
        ),
        Misconception(
            "sum",
            partial(_pattern_with, pick=_after_last, over="nothing"),
            "That is the sum. A score is the *mean*: divide by the number of tokens that have "
            "occurred before.",
        ),
        Misconception(
            "writes_first",
            _ps_writes_first,
            "You write a token into the dictionary before you look into it. So every token is "
            "found at its own place, and the place behind it is the future, or behind the end. "
            "Look first, then write.",
        ),
        Misconception(
            "not_twice_in_a_row",
            _ps_not_twice_in_a_row,
            "You leave out a token that stands twice in a row. It counts, too: the token after "
            "its earlier occurrence is the token itself.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[[[1.0, 0.0], [0.3, 0.7]]]]).double(),
            torch.tensor([[5, 5]]),
            torch.tensor([[True, True]]),
        ),
    ),
)

# -------------------------------------------------------------------------- 5 a head, taken apart


def _layer_parameters(generator):
    in_weight = torch.randn(36, 12, generator=generator, dtype=torch.float64)
    in_bias = torch.randn(36, generator=generator, dtype=torch.float64)
    out_weight = torch.randn(12, 12, generator=generator, dtype=torch.float64)
    return in_weight, in_bias, out_weight, 3


def _what_heads_add(in_weight, in_bias, out_weight, n_heads):
    d_model = out_weight.shape[0]
    d_head = d_model // n_heads
    value_weight = in_weight[2 * d_model :].unflatten(0, (n_heads, d_head))
    value_bias = in_bias[2 * d_model :].unflatten(0, (n_heads, d_head))
    # (d_model, n_heads * d_head) -> (n_heads, d_model, d_head)
    out = out_weight.unflatten(1, (n_heads, d_head)).transpose(0, 1)
    return out @ value_weight, (out @ value_bias[:, :, None]).squeeze(2)


def _heads_add_with(in_weight, in_bias, out_weight, n_heads, *, part=2, rows=False):
    """Another part of the first matrix, or rows of the second, can be taken."""
    d_model = out_weight.shape[0]
    d_head = d_model // n_heads
    chosen = slice(part * d_model, (part + 1) * d_model)
    weight = in_weight[chosen].unflatten(0, (n_heads, d_head))
    bias = in_bias[chosen].unflatten(0, (n_heads, d_head))
    out = (out_weight.T if rows else out_weight).unflatten(1, (n_heads, d_head))
    out = out.transpose(0, 1)
    return out @ weight, (out @ bias[:, :, None]).squeeze(2)


def _ha_transposed(*layer):
    matrices, vectors = _what_heads_add(*layer)
    return matrices.transpose(1, 2), vectors


def _ha_no_bias(*layer):
    matrices, vectors = _what_heads_add(*layer)
    return matrices, torch.zeros_like(vectors)


def _ha_divided_bias(*layer):
    matrices, vectors = _what_heads_add(*layer)
    return matrices, vectors / layer[3]


def _ha_whole_bias(in_weight, in_bias, out_weight, n_heads):
    matrices, _ = _what_heads_add(in_weight, in_bias, out_weight, n_heads)
    bias = out_weight @ in_bias[2 * len(out_weight) :]
    return matrices, bias.expand(n_heads, -1).clone()


def _ha_whole(in_weight, in_bias, out_weight, n_heads):
    d_model = len(out_weight)
    matrix = out_weight @ in_weight[2 * d_model :]
    bias = out_weight @ in_bias[2 * d_model :]
    return matrix.repeat(n_heads, 1, 1), bias.repeat(n_heads, 1)


def _ha_head_by_head(in_weight, in_bias, out_weight, n_heads):
    d_model = len(out_weight)
    d_head = d_model // n_heads
    value_weight = in_weight.unflatten(0, (n_heads, 3, d_head))[:, 2]
    value_bias = in_bias.unflatten(0, (n_heads, 3, d_head))[:, 2]
    out = out_weight.unflatten(1, (n_heads, d_head)).transpose(0, 1)
    return out @ value_weight, (out @ value_bias[:, :, None]).squeeze(2)


def _ha_interleaved(in_weight, in_bias, out_weight, n_heads):
    d_model = len(out_weight)
    value_weight, value_bias = in_weight[2 * d_model :], in_bias[2 * d_model :]
    pieces = [slice(head, None, n_heads) for head in range(n_heads)]
    matrices = [out_weight[:, piece] @ value_weight[piece] for piece in pieces]
    vectors = [out_weight[:, piece] @ value_bias[piece] for piece in pieces]
    return torch.stack(matrices), torch.stack(vectors)


what_heads_add = CodeExercise(
    name="multi_head_attention.what_heads_add",
    title="What does one head add?",
    minutes=30,
    difficulty=4,
    statement="""The output projection reads the results of all heads end to end. So what comes
out is a *sum*: one part from each head, and a bias. Elhage et al. (2021) write the part of a head
$h$ like this, without biases. With them it is

$$\\sum_k w_{hk} \\, (M_h \\, x_k) + b_h.$$

Here $x_k$ is the vector of token $k$, $(d_{model})$, and $w_{hk}$ the attention weight of head $h$
on it. The matrix $M_h$, $(d_{model}, d_{model})$, says what the head *does* with a token that it
looks at; queries and keys only say where it looks. The vector $b_h$, $(d_{model})$, is what the
bias of the values becomes.

Compute $M_h$ and $b_h$ of every head from the parameters of a `MultiHeadAttention`. Why does no
weight stand before $b_h$?

Then test yourself: with a layer's `weights(hidden)` and your matrices you can compute its output,
without its `forward`. The bias of `out_projection` comes on top.""",
    stub='''def what_heads_add(in_weight, in_bias, out_weight, n_heads):
    """What each head makes of the tokens it looks at.

    in_weight: Float[Tensor, "3*d_model d_model"], as `in_projection.weight`: the rows of
        the queries of all heads, then of their keys, then of their values.
    in_bias: Float[Tensor, "3*d_model"], in the same order.
    out_weight: Float[Tensor, "d_model d_model"], as `out_projection.weight`.
    n_heads: int, which divides d_model; heads follow each other, as in the chapter.
    Returns two tensors: Float[Tensor, "n_heads d_model d_model"], the matrices, which act
        on a token from the left, M x; and Float[Tensor, "n_heads d_model"], the vectors.
    """
    ...
''',
    reference=_what_heads_add,
    make_inputs=_layer_parameters,
    hints=(
        "Follow one token x through one head. Which rows of the input projection make its value? "
        "Which columns of the output projection meet that value? Two linear maps, one after the "
        "other, are one matrix.",
        "With `rows` from `2 * d_model + h * d_head` on, d_head of them, and `columns` from "
        "`h * d_head` on: M is `out_weight[:, columns] @ in_weight[rows]`, and b is "
        "`out_weight[:, columns] @ in_bias[rows]`. The attention weights of a row sum to 1, "
        "so all of b arrives.",
    ),
    misconceptions=(
        Misconception(
            "transposed",
            _ha_transposed,
            "Your matrices are transposed: they act from the right, `x @ M`. Asked for is M x.",
        ),
        Misconception(
            "queries",
            partial(_heads_add_with, part=0),
            "You take the first third of the rows. Those make the queries. The values are last.",
        ),
        Misconception(
            "keys",
            partial(_heads_add_with, part=1),
            "You take the second third of the rows. Those make the keys. The values are last.",
        ),
        Misconception(
            "rows_of_the_second",
            partial(_heads_add_with, rows=True),
            "You take the *rows* of the output projection that belong to the head. It is the "
            "columns: they meet what the head has gathered.",
        ),
        Misconception(
            "whole_product",
            _ha_whole,
            "You multiply the whole matrices: that is the sum over all heads. Each head has its "
            "own rows of the input projection and its own columns of the output projection.",
        ),
        Misconception(
            "no_bias",
            _ha_no_bias,
            "The matrices are right. But the bias of the values is lost: it goes through the "
            "output projection like the values.",
        ),
        Misconception(
            "whole_bias",
            _ha_whole_bias,
            "The matrices are right. But each of your vectors holds the bias of all heads: take "
            "the head's own columns and numbers.",
        ),
        Misconception(
            "divided_bias",
            _ha_divided_bias,
            "The matrices are right. But you divide the vectors by the number of heads. The heads "
            "are summed, there is no mean.",
        ),
        Misconception(
            "head_by_head",
            _ha_head_by_head,
            "You read the rows head by head, as if each head had its query, key and value "
            "together. (Some published models do.) Here all queries come first, then all keys.",
        ),
        Misconception(
            "interleaved",
            _ha_interleaved,
            "You deal the features out like cards, every third or so to a head. A head's features "
            "lie side by side.",
        ),
    ),
)

# --------------------------------------------------------------------------- 6 heads by hand


def _sizes(generator):
    vocab_size = 4 + int(torch.randint(4, (), generator=generator))
    return vocab_size, vocab_size + 4 + int(torch.randint(3, (), generator=generator))


def _heads_by_hand(vocab_size, context_length):
    slots = [vocab_size, context_length, vocab_size, vocab_size]
    # Each of the four reads its slot of a vector, (slot, d_model);
    # transposed, it writes there.
    token, place, before, after = torch.eye(sum(slots)).split(slots)
    sharp = 1000.0
    # Rolled: a token at place t asks for place t - 1.
    # (The first asks for the last, which the mask hides.)
    first = sharp * place.roll(-1, dims=0), place, token, before.T
    second = sharp * token, before, token, after.T
    return first, second


def _by_hand_with(vocab_size, context_length, **changes):
    """One matrix, or the sharpness, can be wrong; names of slots stand for the slots."""
    slots = [vocab_size, context_length, vocab_size, vocab_size]
    token, place, before, after = torch.eye(sum(slots)).split(slots)
    named = {"token": token, "place": place, "before": before, "after": after}
    how = {
        "roll": -1,
        "sharp": 1000.0,
        "write_1": "before",
        "query_2": "token",
        "key_2": "before",
        "value_2": "token",
        "write_2": "after",
    } | changes
    rolled = place.roll(how["roll"], dims=0)
    first = how["sharp"] * rolled, place, token, named[how["write_1"]].T
    query, key, value = (named[how[name]] for name in ("query_2", "key_2", "value_2"))
    return first, (how["sharp"] * query, key, value, named[how["write_2"]].T)


def _through_two_heads(heads, token_ids, vocab_size, context_length):
    """What stands in the last slot in the end, (time, vocab_size)."""
    time = len(token_ids)
    token = torch.eye(vocab_size, dtype=torch.float64)[token_ids]
    place = torch.eye(context_length, dtype=torch.float64)[:time]
    empty = torch.zeros(time, 2 * vocab_size, dtype=torch.float64)
    hidden = torch.cat([token, place, empty], dim=1)
    for head in heads:
        query, key, value, out = (matrix.detach().double() for matrix in head)
        gathered, _ = scaled_dot_product_attention(
            hidden @ query.T, hidden @ key.T, hidden @ value.T, causal_mask(time)
        )
        hidden = hidden + gathered @ out.T
    return hidden[:, -vocab_size:]


def _followers(token_ids, vocab_size):
    """For each place whose token has occurred before: the shares of what came next."""
    wanted = {}
    for place, token in enumerate(token_ids):
        after = [token_ids[s + 1] for s in range(place) if token_ids[s] == token]
        if after:
            counts = torch.bincount(torch.tensor(after), minlength=vocab_size)
            wanted[place] = counts.double() / len(after)
    return wanted


def _misshapen(heads, d_model):
    """What is wrong with the form of an answer; empty if nothing is."""
    if not isinstance(heads, list | tuple) or len(heads) != 2:
        return f"the result is {show(heads)}; give two heads: `return first, second`"
    for name, head in zip(("first", "second"), heads, strict=True):
        if (
            not isinstance(head, list | tuple)
            or len(head) != 4
            or not all(isinstance(matrix, torch.Tensor) for matrix in head)
        ):
            return (
                f"the {name} head is {show(head)}; give four tensors: query, key, value and "
                "output matrix"
            )
        shapes = [tuple(matrix.shape) for matrix in head]
        if not all(len(shape) == 2 for shape in shapes):
            return f"the {name} head has the shapes {shapes}; each should have two axes"
        query, key, value, out = shapes
        if not query[1] == key[1] == value[1] == out[0] == d_model:
            return (
                f"the {name} head has the shapes {shapes}; the last axis of query, key and value "
                f"and the first of the output should be d_model={d_model}"
            )
        if query[0] != key[0] or value[0] != out[1] or not query[0]:
            return (
                f"the {name} head has the shapes {shapes}; queries and keys should be equally "
                "long (at least 1), and the output should read as many numbers as a value has"
            )
        if any(matrix.is_complex() or not matrix.isfinite().all() for matrix in head):
            return f"the {name} head holds nan, infinite or complex numbers"
    return ""


def _last_slots(heads, vocab_size, context_length):
    """Where a token occurs again: the tokens so far, what stands in the last slot, what should."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for time in (4, context_length - 1, context_length, context_length):
        drawn = torch.randint(1, vocab_size, (time - 1,), generator=generator)
        token_ids = [0, *drawn.tolist()]
        after = _through_two_heads(heads, token_ids, vocab_size, context_length)
        for place, wanted in _followers(token_ids, vocab_size).items():
            found.append((token_ids[: place + 1], after[place], wanted))
    return found


def _apart(one, other):
    return not (one - other).abs().max() <= 0.01  # nan is apart, too


def _judge_heads(arguments, expected, answer):
    vocab_size, context_length = arguments
    complaint = _misshapen(answer, 3 * vocab_size + context_length)
    if complaint:
        return complaint
    slots = _last_slots(answer, vocab_size, context_length)
    unlike = [slot for slot in slots if _apart(*slot[1:])]
    if not unlike:
        return None
    token_ids, after, wanted = unlike[0]
    complaint = (
        f"after the tokens {token_ids} your last slot is {show(after.round(decimals=2))}, "
        f"expected {show(wanted.round(decimals=2))}"
    )
    sharper = [(1000 * query, *others) for query, *others in answer]
    sharp = _last_slots(sharper, vocab_size, context_length)
    if not any(_apart(*slot[1:]) for slot in sharp):
        return (
            f"your attention weights are too even: multiply the queries by a large number, and "
            f"all is right. Now, {complaint}"
        )
    if any(_apart(one[1], other[1]) for one, other in zip(slots, sharp, strict=True)):
        return (
            f"{complaint}. Your attention weights are too even: multiply the queries by a large "
            "number. Something else is wrong as well; it is easier to see then"
        )
    if all(after.abs().max() <= 0.01 for _, after, _ in unlike):
        return f"{complaint}: nobody has written there"
    if all(after[tokens[-1]] >= 0.99 for tokens, after, _ in unlike):
        return (
            f"{complaint}. You find the token itself. What stands in *before* after the first "
            "head? If that is right, look at where the second head looks"
        )
    return complaint


heads_by_hand = CodeExercise(
    name="multi_head_attention.heads_by_hand",
    title="Two heads, built by hand",
    minutes=75,
    difficulty=5,
    statement="""How can attention know what came next last time? One head cannot: the token that it
should look at says nothing about the token before it. Two layers can, and you can build them
yourself, without training (after Elhage et al., 2021).

The vector of a token has four slots, one behind the other. In the beginning only two are filled:

- *token*, `vocab_size` numbers: one-hot, which token
- *place*, `context_length` numbers: one-hot, at which place, from 0
- *before*, `vocab_size` numbers: zeros
- *after*, `vocab_size` numbers: zeros

Two heads work, one after the other, each in a layer of its own, with a causal mask:

```python
for query_weight, key_weight, value_weight, out_weight in heads:
    query, key = hidden @ query_weight.T, hidden @ key_weight.T
    value, mask = hidden @ value_weight.T, causal_mask(len(hidden))
    gathered, _ = scaled_dot_product_attention(query, key, value, mask)
    hidden = hidden + gathered @ out_weight.T
```

In the end, at each token that has occurred before, the slot *after* should hold what came next
after its earlier occurrences. After the tokens 0, 3, 1, 2, 3 that is token 1: a one-hot vector. If
different tokens came next, it holds their shares. After 0, 3, 1, 3, 2, 3 that is one half at 1 and
one half at 2. Each number may be wrong by 0.01.

Token 0 is the start of the sentence. It stands at place 0 and nowhere else. At tokens that have not
occurred before, the slot may hold anything. So may the other slots.""",
    stub='''def heads_by_hand(vocab_size, context_length):
    """Two heads that together find what came next last time.

    vocab_size: int, at least 2.
    context_length: int, at least 2; no sentence is longer.
    With d_model = 3 * vocab_size + context_length, returns two heads, first and second.
    Each is a tuple of four tensors:
        query_weight, key_weight: Float[Tensor, "d_head d_model"].
        value_weight: Float[Tensor, "d_value d_model"].
        out_weight: Float[Tensor, "d_model d_value"].
    You choose d_head and d_value, and they may differ from head to head.
    """
    ...
''',
    reference=_heads_by_hand,
    make_inputs=_sizes,
    hints=(
        "Two small jobs. The first head looks at the place before and copies the *token* there "
        "into the slot *before*. Then the second head can ask: where does *before* hold my own "
        "token? At such a place stands what came next.",
        "`torch.eye(d_model).split([...])` gives four matrices, each of which reads one slot; "
        "transposed, it writes there: `token @ x` is what stands in the slot *token* of a vector "
        "x, and `before.T @ v` is a vector with v in the slot *before* and zeros elsewhere. First "
        "head: key is `place`, query is `place.roll(-1, dims=0)`, value `token`, output "
        "`before.T`. (Rolled by -1, each row moves up by one, the first to the end: place t then "
        "asks for place t - 1.) Second: query `token`, key `before`, value `token`, output "
        "`after.T`. Multiply both queries by a large number.",
    ),
    misconceptions=(
        Misconception(
            "looks_at_itself",
            partial(_by_hand_with, roll=0),
            "Your first head asks for its own place, so *before* holds the token itself. Move the "
            "rows of its query by one: place t asks for place t - 1.",
        ),
        Misconception(
            "looks_ahead",
            partial(_by_hand_with, roll=1),
            "Your first head asks for the place after. The mask hides that, and it looks at "
            "everything evenly. Move the rows the other way.",
        ),
        Misconception(
            "too_soft",
            partial(_by_hand_with, sharp=1.0),
            "The plan is right, but the scores are small: one at the right place, zero elsewhere. "
            "So all places get nearly the same weight. Multiply the queries by a large number.",
        ),
        Misconception(
            "finds_the_copy",
            partial(_by_hand_with, key_2="token"),
            "Your second head compares its token with the *tokens*, so it finds the earlier copy. "
            "It should find the place behind: there the slot *before* holds the token.",
        ),
        Misconception(
            "asks_with_before",
            partial(_by_hand_with, query_2="before", key_2="token"),
            "Query and key of your second head are swapped: it asks with the token before, and "
            "finds that. It should ask with its own token, and look for it in *before*.",
        ),
        Misconception(
            "both_before",
            partial(_by_hand_with, query_2="before"),
            "Your second head compares *before* with *before*. So it finds places whose "
            "neighbours to the left are the same, and those hold tokens like its own. It should "
            "ask with its own token.",
        ),
        Misconception(
            "copies_the_token_before",
            partial(_by_hand_with, value_2="before"),
            "Your second head looks at the right place, but copies the slot *before* from there: "
            "that is the token it has asked with. Copy *token*.",
        ),
        Misconception(
            "writes_over_the_token",
            partial(_by_hand_with, write_1="token"),
            "Your first head writes into the slot *token*, which is filled already. Then the two "
            "cannot be told apart, and *before* stays empty.",
        ),
        Misconception(
            "writes_elsewhere",
            partial(_by_hand_with, write_2="token"),
            "Your second head finds the right thing, but writes it into the slot *token*. *after* "
            "stays empty.",
        ),
    ),
    judge=_judge_heads,
)
