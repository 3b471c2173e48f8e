"""Exercises of chapter 6: who may look at whom, where the order comes from, and what it costs."""

import math
import weakref

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
from lmcourse.self_attention import causal_mask, sinusoidal_positions

# ------------------------------------------------------------------------------------ quizzes

soft_look_up = Predict(
    name="self_attention.soft_look_up",
    title="A dictionary that answers softly",
    minutes=4,
    difficulty=1,
    question=(
        "Attention with numbers in place of vectors, and with powers of 2 in place of e, so that "
        "you can do it in your head. What does this print?"
    ),
    code=(
        "def look(query, keys, values):\n"
        "    powers = [2 ** (query * key) for key in keys]\n"
        "    return sum(p * v for p, v in zip(powers, values)) / sum(powers)\n"
        "\n"
        "print(look(1, [0, 1], [3, 9]))\n"
        "print(look(1, [1, 0], [9, 3]))\n"
        "print(look(1, [0, 1, 1], [3, 9, 9]))\n"
        "print(look(-1, [0, 1], [3, 9]))"
    ),
    why=(
        "The weights of the first line are 1/3 and 2/3. Keys and values that change places "
        "together change nothing. An entry that is there twice counts twice: 1/5 and two times "
        "2/5. A query of the other sign prefers the other key: 2/3 and 1/3."
    ),
    wrong=(
        WrongAnswer(
            "7.0\n7.0\n7.0\n5.0",
            "Look at the third line again. A Python dictionary has each key once. Here the key 1 "
            "is there twice, and both entries take weight.",
        ),
        WrongAnswer(
            "7.0\n5.0\n7.8\n5.0",
            "In the second line keys and values change places *together*. Each value still has "
            "its own key.",
        ),
        WrongAnswer(
            "9.0\n9.0\n9.0\n3.0",
            "A Python dictionary would give the one best entry. This one takes a mean: the other "
            "entry has weight, too.",
        ),
        WrongAnswer(
            "6.0\n6.0\n7.0\n6.0",
            "Those are plain means. The query gives the keys different weights.",
        ),
        WrongAnswer(
            "21.0\n21.0\n39.0\n7.5",
            "You forgot to divide by the sum of the powers.",
        ),
        WrongAnswer(
            "7.0\n7.0\n7.8\n7.0",
            "In the last line the query is -1. 2 to the power -1 is 1/2, so the key 0 wins.",
        ),
    ),
)

_QUERY = "the query of token 2 alone"
_VALUE = "the value of token 7 alone"
_KEY = "the key of token 4 alone"
_TOKEN = "token 1 itself: another word stands there"

who_notices = Order(
    name="self_attention.who_notices",
    title="Who notices the change?",
    minutes=4,
    difficulty=2,
    question=(
        "One layer of self-attention with a causal mask reads ten tokens, numbered from 0 to 9. "
        "Each of these changes is made without the others. How many output vectors may be "
        "different after it? Begin with the change that the fewest notice."
    ),
    items=(_QUERY, _VALUE, _KEY, _TOKEN),
    why=(
        "A query serves its own token only: 1 output. A value or a key is read by its own token "
        "and by all that come after: 3 outputs for token 7, 6 for token 4. Another word changes "
        "all three, and the outputs 1 to 9 notice: 9 of them."
    ),
    wrong=(
        WrongAnswer(
            (_QUERY, _TOKEN, _KEY, _VALUE),
            "You let the tokens *before* the change notice it. The causal mask hides the future: "
            "token 3 does not see token 4, but token 5 does.",
        ),
        WrongAnswer(
            (_VALUE, _KEY, _QUERY, _TOKEN),
            "Nobody reads the query of another token. It says what its own token looks for.",
        ),
        WrongAnswer(
            (_TOKEN, _KEY, _VALUE, _QUERY),
            "That is the way from most to fewest.",
        ),
        WrongAnswer(
            (_QUERY, _KEY, _VALUE, _TOKEN),
            "Keys and values are read by the same tokens. So only the place counts: how many "
            "tokens come after token 4, and how many after token 7?",
        ),
    ),
)

spread_of_scores = Number(
    name="self_attention.spread_of_scores",
    title="How large are the scores?",
    minutes=4,
    difficulty=2,
    question=(
        "Queries and keys have 100 numbers each. All numbers are independent and have the mean 0. "
        "Those of the keys have the standard deviation 1, and those of the queries 3. What is the "
        "standard deviation of a score, after the division by $\\sqrt{100}$?"
    ),
    answer=3,
    tolerance=0.005,
    why=(
        "One product has the variance 9 * 1. The sum of 100 of them has the variance 900, so the "
        "standard deviation 30; divided by 10 that is 3. The root takes the number of features "
        "out, but not the size of the vectors. Layers that grow in training can still saturate."
    ),
    wrong=(
        WrongAnswer(30, "That is right *before* the division. Now divide by 10."),
        WrongAnswer(
            9,
            "That is the variance. The standard deviation is its square root.",
        ),
        WrongAnswer(
            0.3,
            "You divide by 100. The standard deviation of a sum grows with the *root* of the "
            "number of terms.",
        ),
        WrongAnswer(
            1,
            "That would be so if both had the standard deviation 1. The queries have 3.",
        ),
        WrongAnswer(
            90,
            "You divide the *variance*, 900, by 10. Take its root first, then divide.",
        ),
        WrongAnswer(
            0.9,
            "You take 9 for the standard deviation of one product, and 10 times less for the sum. "
            "Variances add: 100 times 9. Take the root at the end.",
        ),
    ),
)

reach_of_windows = Number(
    name="self_attention.reach_of_windows",
    title="Windows on top of each other",
    minutes=4,
    difficulty=2,
    question=(
        "In a layer with a *window*, each token may look at itself and at the 7 tokens before it, "
        "no further. Four such layers are stacked: each reads the outputs of the one below. On "
        "how many tokens, at most, does one output of the top layer depend? Its own token counts."
    ),
    answer=29,
    tolerance=0.1,
    unit="tokens",
    why=(
        "Each layer reaches 7 tokens further back: 4 * 7, and the token itself. In this way a "
        "token is heard at places where nobody looks at it directly. It takes a layer for every 7 "
        "tokens, as it takes a recurrent network a step for each."
    ),
    wrong=(
        WrongAnswer(
            32,
            "You count the token itself in each of the four layers. It is always the same one.",
        ),
        WrongAnswer(28, "You forgot the token itself."),
        WrongAnswer(
            8,
            "That is one layer. What the top layer reads at a token already holds what that token "
            "has gathered one layer below.",
        ),
        WrongAnswer(
            4096,
            "8 to the power 4 counts the *paths*. Nearly all of them end at the same few tokens.",
        ),
        WrongAnswer(
            57,
            "That would be a window to both sides. Here nobody looks ahead.",
        ),
    ),
)

dearer_than_an_lstm = Number(
    name="self_attention.dearer_than_an_lstm",
    title="From which length on does it cost more?",
    minutes=6,
    difficulty=3,
    question=(
        "All sizes are 64. An LSTM layer multiplies by eight square matrices for each token: four "
        "gates, each for the word and for the hidden state. Self-attention with one head "
        "multiplies by three for each token. Then it compares all pairs, and takes the weighted "
        "sums. At which number of tokens do both take the same number of multiply-adds?"
    ),
    answer=160,
    tolerance=0.1,
    unit="tokens",
    why=(
        "With T tokens and size d: 8 T d² = 3 T d² + 2 T² d. Divide by T d, and 5 d = 2 T is "
        "left. Below 160 tokens self-attention multiplies less *and* needs no step to wait. Above, "
        "it multiplies more, and still nothing waits."
    ),
    wrong=(
        WrongAnswer(
            320,
            "You count the scores, but not the weighted sums. Each pair takes d multiply-adds "
            "twice.",
        ),
        WrongAnswer(
            256,
            "You forgot the three matrices that make queries, keys and values.",
        ),
        WrongAnswer(
            32,
            "You count four matrices in the LSTM. Each gate has two: for the word, and for the "
            "hidden state.",
        ),
        WrongAnswer(
            96,
            "That is right for a GRU, which has six matrices. An LSTM has eight.",
        ),
        WrongAnswer(
            512,
            "You forgot the three matrices for each token, and the weighted sums.",
        ),
        WrongAnswer(
            64,
            "T = d makes T² d and T d² equal. But how many of each are there? Write both sums "
            "down.",
        ),
    ),
)

a_bias_for_nothing = Choice(
    name="self_attention.a_bias_for_nothing",
    title="A bias for nothing",
    minutes=5,
    difficulty=3,
    question=(
        "The three linear layers of `SelfAttention` have a bias each. One of the three can be set "
        "to 0, and no output changes, whatever the tokens, the mask and the other parameters "
        "are. Which?"
    ),
    options=(
        Option(
            "the bias of the key",
            correct=True,
            why=(
                "It adds query · bias to all scores of a row: the same number for every key. The "
                "softmax does not see that. So its gradient is 0, and it learns nothing. Some "
                "published models leave it out."
            ),
        ),
        Option(
            "the bias of the query",
            why=(
                "It adds bias · key to a score. That is another number for every key, so the "
                "weights change: some keys become more attractive for all who look."
            ),
        ),
        Option(
            "the bias of the value",
            why=(
                "The weights do not change, but the outputs do: a row of weights sums to 1, so the "
                "bias is added to every output as it is."
            ),
        ),
        Option(
            "none: what does nothing would not have been learned",
            why=(
                "Parameters are there from the start, learned or not. Write the score out as "
                "(q + b) · (k + c): which of the four products is the same for all keys?"
            ),
        ),
    ),
)

order_without_positions = Choice(
    name="self_attention.order_without_positions",
    title="No positions, but a mask",
    minutes=6,
    difficulty=4,
    question=(
        "A causal language model has no positions at all (`NoPositions`). It reads *a b c*, and "
        "then *b a c*. Look at its prediction after *c*, with one layer of self-attention, and "
        "with a second layer that reads the outputs of the first. Which can be said without "
        "knowing the parameters?"
    ),
    options=(
        Option(
            "with one layer both predictions are the same; with two they may differ",
            correct=True,
            why=(
                "In the first layer *c* sees the same three vectors, in another order, and a sum "
                "has no order. But *a* saw only itself in the first sentence, and *b* too in the "
                "second. So their outputs differ, and the second layer reads these. The mask "
                "itself tells of the order (Haviv et al., 2022)."
            ),
        ),
        Option(
            "both predictions are the same, with one layer and with two",
            why=(
                "Without a mask that would be so. With it, *a* and *b* gather from different "
                "words in the two sentences. Who reads what they have gathered?"
            ),
        ),
        Option(
            "they may differ with one layer already: the mask shows *a* and *b* other words",
            why=(
                "It does, so the *outputs* at *a* and *b* differ. But in one layer *c* reads the "
                "vectors that went in, not these outputs."
            ),
        ),
        Option(
            "they may differ with one layer already: the weights come in another order",
            why=(
                "The weights come in another order, and so do the values they belong to. The "
                "weighted sum is the same."
            ),
        ),
    ),
)

# ----------------------------------------------------------------------- 1 a window for a mask


def _tokens_and_window(generator):
    places = torch.arange(9)
    first = torch.randint(0, 3, (2, 1), generator=generator)
    last = torch.randint(5, 9, (2, 1), generator=generator)
    window = int(torch.randint(2, 5, (), generator=generator))
    return (first <= places) & (places <= last), window


def _window_mask(real, window):
    places = torch.arange(real.shape[1])
    back = places[:, None] - places  # how far the key lies behind the query
    near = (0 <= back) & (back < window)
    return near & real[:, None, :] | (back == 0)


def _wm_window_and_itself(real, window):
    return _window_mask(real, window + 1)


def _wm_one_short(real, window):
    return _window_mask(real, window - 1)


def _wm_both_sides(real, window):
    back = torch.arange(real.shape[1])[:, None] - torch.arange(real.shape[1])
    return (back.abs() < window) & real[:, None, :] | (back == 0)


def _wm_ahead(real, window):
    back = torch.arange(real.shape[1])[:, None] - torch.arange(real.shape[1])
    return (back <= 0) & (-back < window) & real[:, None, :] | (back == 0)


def _wm_no_window(real, window):
    return _window_mask(real, real.shape[1])


def _wm_the_far_ones(real, window):
    back = torch.arange(real.shape[1])[:, None] - torch.arange(real.shape[1])
    return (back >= window) & real[:, None, :] | (back == 0)


def _wm_no_padding(real, window):
    return _window_mask(torch.ones_like(real), window)


def _wm_empty_rows(real, window):
    return _window_mask(real, window) & real[:, None, :]


def _wm_padding_is_silent(real, window):
    return _window_mask(real, window) & real[:, None, :] & real[:, :, None]


def _wm_queries(real, window):
    near = _window_mask(torch.ones_like(real), window)
    return near & real[:, :, None] | torch.eye(real.shape[1], dtype=torch.bool)


def _wm_both(real, window):
    near = _window_mask(real, window) & real[:, :, None]
    return near | torch.eye(real.shape[1], dtype=torch.bool)


def _wm_round_the_end(real, window):
    time = real.shape[1]
    back = (torch.arange(time)[:, None] - torch.arange(time)) % time
    return (back < window) & real[:, None, :] | (back == 0)


def _wm_flipped(real, window):
    return ~_window_mask(real, window)


window_mask = CodeExercise(
    name="self_attention.window_mask",
    title="A mask that looks back a little",
    minutes=10,
    difficulty=1,
    statement="""In a long text, comparing every token with every token before it costs much work.
So some models let each token look back at a *window* only: at itself and at the few tokens before
it (Beltagy et al., 2020). Make the mask for a batch of sentences with padding.

Token $i$ may attend to token $j$ if

- $j$ is not later than $i$, and $j$ is one of the `window` tokens that end with $i$ itself, and
- token $j$ is no padding.

One exception: every token may attend to itself, padding too. Otherwise some rows would be False
everywhere, and a softmax over nothing is not defined.""",
    stub='''def window_mask(real, window):
    """Which token may attend to which.

    real: Bool[Tensor, "batch time"], True for a word, False for padding. Padding may
        stand before the words or after them.
    window: int, at least 1: the number of tokens in a window, its own token included.
    Returns Bool[Tensor, "batch time time"]; [b, i, j] is True where token i may attend
        to token j.
    """
    ...
''',
    reference=_window_mask,
    make_inputs=_tokens_and_window,
    hints=(
        "Make a table of distances first: `places = torch.arange(time)`, then "
        "`places[:, None] - places`. Row i, column j holds i - j. Which distances are allowed?",
        "Three tables of True and False: the distance is in `0 ... window - 1`; "
        "`real[:, None, :]`, which is about the *keys*; the distance is 0. Join them with `&` and "
        "`|`.",
    ),
    misconceptions=(
        Misconception(
            "window_and_itself",
            _wm_window_and_itself,
            "Your window is one token too long. Its own token counts: with `window=1` each token "
            "sees itself alone.",
        ),
        Misconception(
            "one_short",
            _wm_one_short,
            "Your window is one token too short. With `window=2` a token sees itself and one "
            "more.",
        ),
        Misconception(
            "both_sides",
            _wm_both_sides,
            "Your window reaches to both sides. The tokens that come later must stay hidden.",
        ),
        Misconception(
            "looks_ahead",
            _wm_ahead,
            "Your tokens look ahead. Rows are queries and columns are keys: row i may be True at "
            "columns up to i.",
        ),
        Misconception(
            "round_the_end",
            _wm_round_the_end,
            "Your first tokens see the end of the sentence. Before token 0 there is nothing, but "
            "Python counts a negative index from the end: `real[b, -1]` is the *last* token. Begin "
            "with `max(0, i - window + 1)`.",
        ),
        Misconception(
            "no_window",
            _wm_no_window,
            "Your mask hides the future and the padding. The window is missing: far tokens must "
            "be hidden as well.",
        ),
        Misconception(
            "far_ones",
            _wm_the_far_ones,
            "You allow what lies *outside* the window.",
        ),
        Misconception(
            "no_padding",
            _wm_no_padding,
            "The window is right. The padding is not hidden: where `real` is False, nobody else "
            "may look.",
        ),
        Misconception(
            "empty_rows",
            _wm_empty_rows,
            "Nearly right. A padding token must still be allowed to attend to itself. You have "
            "rows without any True.",
        ),
        Misconception(
            "padding_is_silent",
            _wm_padding_is_silent,
            "You hide the padding's rows and its columns. The rows may stay: nobody reads what "
            "padding gathers. But a row that is False everywhere makes the softmax fail.",
        ),
        Misconception(
            "hides_queries",
            _wm_queries,
            "You apply `real` to the queries. It is the *keys* that must be real: the last axis, "
            "`real[:, None, :]`.",
        ),
        Misconception(
            "hides_both",
            _wm_both,
            "You apply `real` to the keys, which is right, and to the queries as well. A padding "
            "token may attend to the words in its window like any other token.",
        ),
        Misconception(
            "flipped",
            _wm_flipped,
            "Your mask is the opposite. In this book True means *may attend*. "
            "(`nn.MultiheadAttention` wants it your way.)",
        ),
    ),
    edge_cases=(
        (torch.tensor([[True, True, True, False]]), 1),
        (torch.tensor([[False, True, True]]), 50),
        (torch.tensor([[True], [False]]), 1),
    ),
)

# ---------------------------------------------------------------------- 2 mend a reading-on


def _last_queries(generator):
    def draw(*shape):
        return 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw(2, 3, 5), draw(2, 7, 5), draw(2, 7, 4)


def _mend_reading_on(query, key, value):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    new, time = scores.shape[-2:]
    mask = torch.ones(new, time, dtype=torch.bool).tril(diagonal=time - new)
    scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1) @ value


def _ro_with(root=None, first=None, hidden=None):
    """Reading on with some of its lines changed."""

    def read_on(query, key, value):
        scores = query @ key.transpose(-2, -1)
        new, time = scores.shape[-2:]
        scores = scores / (root or _root_of_features)(query)
        first_key = (first or _behind_the_old)(new, time)
        mask = torch.ones(new, time, dtype=torch.bool).tril(first_key)
        scores = scores.masked_fill((hidden or _not_allowed)(mask), -torch.inf)
        return scores.softmax(dim=-1) @ value

    return read_on


def _root_of_features(query):
    return query.shape[-1] ** 0.5


def _root_of_queries(query):
    return query.shape[-2] ** 0.5


def _behind_the_old(new, time):
    return time - new


def _at_the_start(new, time):
    return 0


def _not_allowed(mask):
    return ~mask


def _allowed(mask):
    return mask


def _ro_everything(query, key, value):
    return _ro_with(first=lambda new, time: time)(query, key, value)


def _ro_mask_afterwards(query, key, value):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool)
    mask = mask.tril(key.shape[-2] - query.shape[-2])
    return (scores.softmax(dim=-1) * mask) @ value


def _ro_score_zero(query, key, value):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool)
    mask = mask.tril(key.shape[-2] - query.shape[-2])
    return (scores * mask).softmax(dim=-1) @ value


def _ro_new_keys_only(query, key, value):
    new = query.shape[-2]
    return _mend_reading_on(query, key[..., -new:, :], value[..., -new:, :])


def _ro_root_of_keys(query, key, value):
    root = query.shape[-1] ** 0.5
    return _mend_reading_on(query * root / key.shape[-2] ** 0.5, key, value)


def _ro_over_the_queries(query, key, value):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool)
    mask = mask.tril(key.shape[-2] - query.shape[-2])
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=1) @ value


mend_reading_on = CodeExercise(
    name="self_attention.mend_reading_on",
    title="Mend attention that reads on",
    minutes=15,
    difficulty=2,
    statement="""A model has read some tokens, and a few new ones arrive. Only the new tokens need
outputs, so only they have queries. But they look back at the old tokens as well, so there are keys
and values for all. This function should do that, with a causal mask. It raises nothing, the shape
is right, and it is wrong three times:

```python
def mend_reading_on(query, key, value):
    scores = query @ key.transpose(-2, -1) / query.shape[-2] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    scores = scores.masked_fill(mask, -torch.inf)
    return scores.softmax(dim=-1) @ value
```

Mend it. The outputs must be those that the new tokens get when the whole text is read at
once.""",
    stub='''def mend_reading_on(query, key, value):
    """Causal self-attention for the last tokens of a text.

    query: Float[Tensor, "batch new d_key"], of the last `new` tokens, in order.
    key: Float[Tensor, "batch time d_key"], of all tokens; time is at least new.
    value: Float[Tensor, "batch time d_value"], of all tokens.
    Returns Float[Tensor, "batch new d_value"]: the outputs of the last `new` tokens.
    """
    ...
''',
    reference=_mend_reading_on,
    make_inputs=_last_queries,
    hints=(
        "Take three old tokens and two new ones. Write the mask down by hand: two rows, five "
        "columns. How many Trues has the first row? Then ask of each of the other two lines: is "
        "that the right axis, and what does `masked_fill` fill?",
        "The first new token sees all old ones and itself: `tril(diagonal=time - new)`. "
        "`masked_fill` fills where its mask is True, so it needs `~mask`. And the root is that of "
        "the number of *features*, `query.shape[-1]`.",
    ),
    misconceptions=(
        Misconception(
            "as_it_was",
            _ro_with(_root_of_queries, _at_the_start, _allowed),
            "Those are the broken outputs as they were. Look at three things: the root, where "
            "the triangle of the mask begins, and what `masked_fill` fills.",
        ),
        Misconception(
            "only_the_root",
            _ro_with(_root_of_features, _at_the_start, _allowed),
            "One mistake is mended, the root. Two are left, and both are about the mask: where "
            "the triangle begins, and what is filled.",
        ),
        Misconception(
            "only_the_triangle",
            _ro_with(_root_of_queries, _behind_the_old, _allowed),
            "One mistake is mended, the triangle. Two are left: `masked_fill` hides what is True, "
            "and the root is taken of the wrong axis.",
        ),
        Misconception(
            "only_the_fill",
            _ro_with(_root_of_queries, _at_the_start, _not_allowed),
            "One mistake is mended: what may be attended to is no longer hidden. Two are left. "
            "Which tokens does the first new token see? And of what is the root taken?",
        ),
        Misconception(
            "root_left",
            _ro_with(root=_root_of_queries),
            "The mask is right now. One mistake is left: the root is taken of the number of "
            "queries. What makes scores large is the number of *features*.",
        ),
        Misconception(
            "triangle_left",
            _ro_with(first=_at_the_start),
            "One mistake is left: your first new token sees only the very first token of the "
            "text. It should see all old ones, and itself.",
        ),
        Misconception(
            "fill_left",
            _ro_with(hidden=_allowed),
            "One mistake is left: `masked_fill` fills where its mask is True, and your mask is "
            "True where a token *may* attend. The last row has nothing left: nan.",
        ),
        Misconception(
            "one_ahead",
            _ro_with(first=lambda new, time: time - new + 1),
            "Nearly: each of your tokens sees one token of its future.",
        ),
        Misconception(
            "not_itself",
            _ro_with(first=lambda new, time: time - new - 1),
            "Nearly: your tokens do not see themselves.",
        ),
        Misconception(
            "sees_everything",
            _ro_everything,
            "Your new tokens see all tokens, those after them included.",
        ),
        Misconception(
            "new_keys_only",
            _ro_new_keys_only,
            "Your new tokens see each other, but not the old ones.",
        ),
        Misconception(
            "root_of_keys",
            _ro_root_of_keys,
            "The mask is right. But you take the root of the number of *keys*, `key.shape[-2]`. "
            "What makes scores large is the number of features, the last axis.",
        ),
        Misconception(
            "over_the_queries",
            _ro_over_the_queries,
            "Your softmax runs over the queries. There is a batch axis in front: axis 1 holds the "
            "queries, and the keys stand on the last axis, `dim=-1`.",
        ),
        Misconception(
            "no_square_root",
            _ro_with(root=lambda query: query.shape[-1]),
            "The mask is right. But you divide by the number of features. Divide by its square "
            "root.",
        ),
        Misconception(
            "no_division",
            _ro_with(root=lambda query: 1.0),
            "The mask is right. The division by the root of the number of features is missing.",
        ),
        Misconception(
            "mask_afterwards",
            _ro_mask_afterwards,
            "You mask after the softmax. By then the future has taken its share: the rows sum to "
            "less than 1.",
        ),
        Misconception(
            "score_zero",
            _ro_score_zero,
            "You set the hidden scores to 0. But e to the power 0 is 1, so the future still gets "
            "weight.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[[1.0, 0.5]]]).double(),
            torch.tensor([[[1.0, 2.0], [0.0, -1.0], [3.0, 0.0]]]).double(),
            torch.tensor([[[1.0], [2.0], [5.0]]]).double(),
        ),
        (
            torch.eye(3).double()[None],
            2 * torch.eye(3).double()[None],
            torch.tensor([[[1.0], [2.0], [5.0]]]).double(),
        ),
    ),
)

# --------------------------------------------------------------------- 3 looking at nothing


def _scores_and_mask(generator):
    scores = 2 * torch.randn(4, 6, generator=generator, dtype=torch.float64)
    mask = torch.rand(4, 6, generator=generator) < 0.6
    mask[torch.arange(4), torch.randint(6, (4,), generator=generator)] = True
    return scores, mask


def _look_nowhere(scores, mask):
    scores = scores.masked_fill(~mask, -torch.inf)
    nothing = torch.zeros_like(scores[:, :1])  # one more key, with the score 0
    return torch.cat([scores, nothing], dim=1).softmax(dim=1)[:, :-1]


def _ln_plain(scores, mask):
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=1)


def _ln_one_after_the_shift(scores, mask):
    scores = scores.masked_fill(~mask, -torch.inf)
    powers = (scores - scores.amax(dim=1, keepdim=True)).exp()
    return powers / (1 + powers.sum(dim=1, keepdim=True))


def _ln_score_zero(scores, mask):
    return _look_nowhere(scores * mask, torch.ones_like(mask))


def _ln_no_mask(scores, mask):
    return _look_nowhere(scores, torch.ones_like(mask))


def _ln_mask_afterwards(scores, mask):
    return _ln_no_mask(scores, mask) * mask


def _ln_flipped(scores, mask):
    return _look_nowhere(scores, ~mask)


def _ln_keeps_nothing(scores, mask):
    scores = scores.masked_fill(~mask, -torch.inf)
    nothing = torch.zeros_like(scores[:, :1])
    return torch.cat([scores, nothing], dim=1).softmax(dim=1)


def _ln_columns(scores, mask):
    return _look_nowhere(scores.T, mask.T).T


def _ln_each_alone(scores, mask):
    return scores.sigmoid() * mask


def _ln_one_for_each_key(scores, mask):
    powers = scores.exp() * mask
    return powers / (powers + 1).sum(dim=1, keepdim=True)


def _ln_powers(scores, mask):
    powers = scores.masked_fill(~mask, -torch.inf).exp()
    return powers / (1 + powers.sum(dim=1, keepdim=True))


def _ln_cut_off(scores, mask):
    return _ln_powers(scores.clamp(max=700), mask)


def _ln_shifted_by_largest(scores, mask):
    scores = scores.masked_fill(~mask, -torch.inf)
    largest = scores.amax(dim=1, keepdim=True)
    powers = (scores - largest).exp()
    return powers / ((-largest).exp() + powers.sum(dim=1, keepdim=True))


look_nowhere = CodeExercise(
    name="self_attention.look_nowhere",
    title="A token that need not look",
    minutes=15,
    difficulty=3,
    statement="""A softmax must give away a weight of 1, even where no token has anything to say.
Large models often put it on the first token then, whatever that is (Xiao et al., 2024). Miller
(2023) proposed a softmax that may keep a part for itself:

$$w_{ij} = \\frac{e^{s_{ij}}}{1 + \\sum_{k} e^{s_{ik}}}.$$

Here $s_{ij}$ is the score of key $j$ for query $i$, and the sum goes over the keys $k$ that the
mask allows. A masked key has weight 0. Where all scores are far below zero, all weights come
near 0. A row may even be masked everywhere: then the token looks at nothing.

Write it so that scores of any size are right. In 64-bit numbers `exp(710)` is infinite, and
infinity divided by infinity is nan.""",
    stub='''def look_nowhere(scores, mask):
    """Weights of which a row may sum to less than 1.

    scores: Float[Tensor, "queries keys"], finite, of any size.
    mask: Bool[Tensor, "queries keys"], True = may attend. A row may be False
        everywhere; its weights are 0.
    Returns Float[Tensor, "queries keys"].
    """
    ...
''',
    reference=_look_nowhere,
    make_inputs=_scores_and_mask,
    hints=(
        "Where have you seen that 1 before? It is e to the power of what? Read the formula as an "
        "ordinary softmax, with one more key. (If you sum by hand, `sum(1, keepdim=True)` gives a "
        "column, one sum for each row. Without `keepdim` the sizes do not fit.)",
        "Fill the masked scores with minus infinity. Append one column with the score 0 "
        "(`torch.cat`). Use `softmax`, which is safe for large scores. Then leave the last column "
        "out.",
    ),
    misconceptions=(
        Misconception(
            "plain_softmax",
            _ln_plain,
            "That is the ordinary softmax: your rows sum to 1. The 1 below the line is missing.",
        ),
        Misconception(
            "one_after_the_shift",
            _ln_one_after_the_shift,
            "You take the largest score away first, as a safe softmax does. Then the 1 must "
            "shrink along with the others: it becomes e to the power of minus the largest score.",
        ),
        Misconception(
            "one_for_each_key",
            _ln_one_for_each_key,
            "You add a 1 for every key. There is one 1 for the whole row.",
        ),
        Misconception(
            "each_alone",
            _ln_each_alone,
            "That is a sigmoid of each score. The keys of a row share one sum.",
        ),
        Misconception(
            "score_zero",
            _ln_score_zero,
            "You set masked scores to 0. But e to the power 0 is 1, so they take weight. Fill "
            "them with minus infinity.",
        ),
        Misconception(
            "no_mask",
            _ln_no_mask,
            "The formula is right, and the mask is not used.",
        ),
        Misconception(
            "mask_afterwards",
            _ln_mask_afterwards,
            "You mask at the end. The masked keys are still in the sum below the line.",
        ),
        Misconception(
            "flipped",
            _ln_flipped,
            "You hide what may be attended to. True means *may attend*.",
        ),
        Misconception(
            "keeps_nothing",
            _ln_keeps_nothing,
            "One column too many: you give the weight of *nothing* back as well. Leave it out.",
        ),
        Misconception(
            "columns",
            _ln_columns,
            "You sum over the queries. Each row has a sum of its own, over its keys.",
        ),
        Misconception(
            "own_powers",
            _ln_powers,
            "Right for ordinary scores. But `exp` of a large score is infinite, and the division "
            "gives nan. Let `softmax` do it, which is safe.",
        ),
        Misconception(
            "cut_off",
            _ln_cut_off,
            "You cut large scores off, so 900 and 899 become equal. Nothing is infinite then, but "
            "their weights are wrong.",
        ),
        Misconception(
            "nan_where_all_is_masked",
            _ln_shifted_by_largest,
            "Right wherever something may be attended to. In a row that is masked everywhere the "
            "largest score is minus infinity, and minus infinity less minus infinity is nan.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[900.0, 899.0, 0.0]]).double(),
            torch.tensor([[True, True, True]]),
        ),
        (
            torch.tensor([[1.0, 2.0], [-900.0, -901.0]]).double(),
            torch.tensor([[False, False], [True, True]]),
        ),
    ),
)

# ------------------------------------------------------------------------ 4 move every clock


def _size_and_offset(generator):
    d_model = 2 * int(torch.randint(2, 6, (), generator=generator))
    offset = int(torch.randint(1, 12, (), generator=generator))
    sign = 2 * int(torch.randint(2, (), generator=generator)) - 1
    return d_model, sign * offset


def _move_clocks(d_model, offset):
    sines = torch.arange(0, d_model, 2)
    angles = offset * 10_000 ** (-sines / d_model)
    matrix = torch.zeros(d_model, d_model)
    matrix[sines, sines] = matrix[sines + 1, sines + 1] = angles.cos()
    matrix[sines, sines + 1] = angles.sin()
    matrix[sines + 1, sines] = -angles.sin()
    return matrix


def _blocks(angles, block):
    """The matrix with a 2 x 2 block on its diagonal for each angle."""
    parts = [
        torch.tensor(block(math.cos(angle), math.sin(angle)))
        for angle in angles.tolist()
    ]
    return torch.block_diag(*parts)


def _moving(cos, sin):
    return [[cos, sin], [-sin, cos]]


def _clock_angles(d_model, offset):
    rates = 10_000 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    return offset * rates


def _mc_backwards(d_model, offset):
    return _move_clocks(d_model, offset).T


def _mc_same_rate(d_model, offset):
    return _blocks(torch.full((d_model // 2,), float(offset)), _moving)


def _mc_halves(d_model, offset):
    order = torch.cat([torch.arange(0, d_model, 2), torch.arange(1, d_model, 2)])
    return _move_clocks(d_model, offset)[order][:, order]


def _mc_slow(d_model, offset):
    rates = 10_000 ** (-torch.arange(d_model // 2) / d_model)
    return _blocks(offset * rates, _moving)


def _mc_faster_and_faster(d_model, offset):
    rates = 10_000 ** (torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    return _blocks(offset * rates, _moving)


def _mc_no_minus(d_model, offset):
    angles = _clock_angles(d_model, offset)
    return _blocks(angles, lambda cos, sin: [[cos, sin], [sin, cos]])


def _mc_swapped(d_model, offset):
    angles = _clock_angles(d_model, offset)
    return _blocks(angles, lambda cos, sin: [[sin, cos], [-cos, sin]])


def _mc_rolled(d_model, offset):
    return torch.eye(d_model).roll(offset, dims=0)


def _mc_diagonal(d_model, offset):
    return torch.diag(sinusoidal_positions(abs(offset) + 1, d_model)[abs(offset)])


def _mc_one_pair(d_model, offset):
    matrix = torch.eye(d_model)
    matrix[:2, :2] = _move_clocks(d_model, offset)[:2, :2]
    return matrix


def _mc_ahead_only(d_model, offset):
    return _move_clocks(d_model, abs(offset))


def _mc_identity(d_model, offset):
    return torch.eye(d_model)


move_clocks = CodeExercise(
    name="self_attention.move_clocks",
    title="One matrix moves every clock",
    minutes=25,
    difficulty=3,
    statement="""Let $p_t$ be row $t$ of `sinusoidal_positions(time, d_model)`, a vector of size
`d_model`. Is there one matrix $M$ that takes *every* position to the one `offset` places later, so
that for all $t$

$$M \\, p_t = p_{t + \\text{offset}} \\;?$$

There is. Give it in sines and cosines; do not fit it. A minus sign goes the other way: with
`offset=-2` it leads two places back.

This is why a layer can learn to look at "the token two places back". In a `SelfAttention` whose
biases you have set to 0, let $W_{\\text{key}}$ be $c$ times the identity, let
$W_{\\text{query}}$ be $c$ times your matrix for `offset=-2`, and feed it with positions alone.
Print its weights for a few $c$. Which is large enough?""",
    stub='''def move_clocks(d_model, offset):
    """The matrix that moves sinusoidal positions.

    d_model: int, even, at least 2.
    offset: int, positive, negative or 0.
    Returns Float[Tensor, "d_model d_model"], a matrix M with
        M @ sinusoidal_positions(time, d_model)[t] equal to row t + offset, wherever
        both rows are there; correct to 4 digits behind the point.
    """
    ...
''',
    reference=_move_clocks,
    make_inputs=_size_and_offset,
    tolerance=1e-4,
    hints=(
        "Begin with one clock. Its two numbers at position t are sin(a t) and cos(a t), in this "
        "order. The addition theorems are sin(x + b) = sin x cos b + cos x sin b and "
        "cos(x + b) = cos x cos b - sin x sin b. Put x = a t. Which four numbers stand in front of "
        "sin(a t) and cos(a t)?",
        "Each clock has a block of two rows. The first row is [cos b, sin b]: it makes the new "
        "sine. The second makes the new cosine. Here b is `offset` times the clock's rate, 10000 "
        "to the power -2i / d_model for clock i. Put the blocks on the diagonal; "
        "`torch.block_diag` can do it.",
    ),
    misconceptions=(
        Misconception(
            "backwards",
            _mc_backwards,
            "Your matrix leads `offset` places *back*. In most books a rotation turns (cos, sin). "
            "Here the sine comes first, so the minus sign changes its place.",
        ),
        Misconception(
            "same_rate",
            _mc_same_rate,
            "You turn all clocks by the same angle. Each has a rate of its own.",
        ),
        Misconception(
            "halves",
            _mc_halves,
            "That would be right if all sines came first and then all cosines. Here they "
            "alternate: a sine, its cosine, the next sine.",
        ),
        Misconception(
            "slow_exponent",
            _mc_slow,
            "The blocks are right, but the rates fall too slowly: clock i has the exponent "
            "-2i / d_model. You have -i / d_model.",
        ),
        Misconception(
            "faster_and_faster",
            _mc_faster_and_faster,
            "The blocks are right, but your clocks get faster and faster. The sign of the "
            "exponent is wrong.",
        ),
        Misconception(
            "no_minus",
            _mc_no_minus,
            "A minus is missing in each block: cos(a + b) = cos a cos b - sin a sin b.",
        ),
        Misconception(
            "swapped",
            _mc_swapped,
            "Sine and cosine have changed places in your blocks. With offset 0 the matrix must be "
            "the identity.",
        ),
        Misconception(
            "rolled",
            _mc_rolled,
            "Your matrix moves the *features*: number 3 goes to place 4, and so on. Each clock "
            "stays in its place, and its hand turns.",
        ),
        Misconception(
            "diagonal",
            _mc_diagonal,
            "You multiply by the position's own numbers, one by one. Sine and cosine of a clock "
            "must mix: both new numbers need both old ones.",
        ),
        Misconception(
            "one_clock",
            _mc_one_pair,
            "The first clock moves as it should. All others stand still.",
        ),
        Misconception(
            "ahead_only",
            _mc_ahead_only,
            "Right for a positive offset. With a negative one your matrix leads ahead as well. "
            "Leave the sign of `offset` in the angle.",
        ),
        Misconception(
            "identity",
            _mc_identity,
            "That is the identity: every position stays where it is. It is right for offset 0 "
            "alone.",
        ),
    ),
    edge_cases=((2, 1), (6, 0), (4, -40)),
)

# ------------------------------------------------------------------------ 5 rotary positions


def _vectors_and_positions(generator):
    query = 2 * torch.randn(2, 5, 6, generator=generator)
    key = 2 * torch.randn(2, 5, 6, generator=generator)
    value = torch.randn(2, 5, 6, generator=generator)
    steps = torch.randint(1, 6, (5,), generator=generator)
    return query, key, value, steps.cumsum(dim=0)


def _rotary_attention(query, key, value, positions):
    d_key = query.shape[-1]
    rates = 10_000 ** (-torch.arange(0, d_key, 2) / d_key)
    angles = positions[:, None] * rates  # (time, d_key / 2)
    rotated = []
    for vectors in (query, key):
        x, y = vectors[..., 0::2], vectors[..., 1::2]
        new_x = x * angles.cos() - y * angles.sin()
        new_y = x * angles.sin() + y * angles.cos()
        rotated.append(torch.stack([new_x, new_y], dim=-1).flatten(-2))
    scores = rotated[0] @ rotated[1].transpose(-2, -1) / d_key**0.5
    return scores.softmax(dim=-1) @ value


def _falling_rates(d_key):
    return 10_000 ** (-torch.arange(0, d_key, 2) / d_key)


def _turned(vectors, positions, rates=_falling_rates):
    angles = positions[:, None] * rates(vectors.shape[-1])
    x, y = vectors[..., 0::2], vectors[..., 1::2]
    new_x = x * angles.cos() - y * angles.sin()
    new_y = x * angles.sin() + y * angles.cos()
    return torch.stack([new_x, new_y], dim=-1).flatten(-2)


def _attended(query, key, value):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    return scores.softmax(dim=-1) @ value


def _ra_not_at_all(query, key, value, positions):
    return _attended(query, key, value)


def _ra_query_only(query, key, value, positions):
    return _attended(_turned(query, positions), key, value)


def _ra_key_only(query, key, value, positions):
    return _attended(query, _turned(key, positions), value)


def _ra_value_too(query, key, value, positions):
    return _rotary_attention(query, key, _turned(value, positions), positions)


def _ra_key_backwards(query, key, value, positions):
    return _attended(_turned(query, positions), _turned(key, -positions), value)


def _ra_both_backwards(query, key, value, positions):
    return _rotary_attention(query, key, value, -positions)


def _ra_places(query, key, value, positions):
    return _rotary_attention(query, key, value, torch.arange(len(positions)))


def _ra_halves(query, key, value, positions):
    d_key = query.shape[-1]
    order = torch.arange(d_key).view(2, -1).T.flatten()  # 0, d/2, 1, d/2 + 1, ...
    return _rotary_attention(query[..., order], key[..., order], value, positions)


def _ra_with_rates(rates):
    def attend(query, key, value, positions):
        turned = [_turned(vectors, positions, rates) for vectors in (query, key)]
        return _attended(*turned, value)

    return attend


def _ra_overwrites(query, key, value, positions):
    turned = []
    for vectors in (query, key):
        angles = positions[:, None] * _falling_rates(vectors.shape[-1])
        x, y = vectors[..., 0::2], vectors[..., 1::2]
        x = x * angles.cos() - y * angles.sin()
        y = x * angles.sin() + y * angles.cos()
        turned.append(torch.stack([x, y], dim=-1).flatten(-2))
    return _attended(*turned, value)


def _ra_no_minus(query, key, value, positions):
    turned = []
    for vectors in (query, key):
        angles = positions[:, None] * _falling_rates(vectors.shape[-1])
        x, y = vectors[..., 0::2], vectors[..., 1::2]
        new_x = x * angles.cos() + y * angles.sin()
        new_y = x * angles.sin() + y * angles.cos()
        turned.append(torch.stack([new_x, new_y], dim=-1).flatten(-2))
    return _attended(*turned, value)


def _ra_added(query, key, value, positions):
    table = sinusoidal_positions(int(positions.max()) + 1, query.shape[-1])[positions]
    return _attended(query + table, key + table, value)


def _ra_no_root(query, key, value, positions):
    return _rotary_attention(query * query.shape[-1] ** 0.5, key, value, positions)


def _ra_causal(query, key, value, positions):
    query, key = _turned(query, positions), _turned(key, positions)
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    scores = scores.masked_fill(~causal_mask(len(positions)), -torch.inf)
    return scores.softmax(dim=-1) @ value


def _plain_example(positions):
    vectors = torch.tensor([[[1.0, 0.0], [0.5, 2.0], [-1.0, 1.0]]])
    return vectors, 2 * vectors.flip(1), torch.eye(3)[None], torch.tensor(positions)


rotary_attention = CodeExercise(
    name="self_attention.rotary_attention",
    title="Positions that turn instead of adding",
    minutes=35,
    difficulty=4,
    statement="""A position that is *added* to a token mixes two things in one vector: what the
token is, and where it stands. Su et al. (2021) add nothing. They *turn* queries and keys. This is
called **rotary position embedding** (회전 위치 임베딩), and many large language models do it.

Take the features in pairs: 0 and 1, 2 and 3, and so on. Pair $i$ is a point $(x, y)$. For a token
at position $t$ it is turned by the angle $a = t \\cdot 10000^{-2i / d_{\\text{key}}}$:

$$(x, y) \\; \\to \\; (x \\cos a - y \\sin a, \\;\\; x \\sin a + y \\cos a).$$

The rest is scaled dot-product attention without a mask, as you know it.

Why is that good? A dot product does not change when both vectors are turned by the same angle. So
a score knows how far two tokens are *apart*, and not where they stand. Try it when you are done:
add 100 to all positions. The outputs stay as they are, but for rounding.""",
    stub='''def rotary_attention(query, key, value, positions):
    """Self-attention with turned queries and keys.

    query, key: Float[Tensor, "batch time d_key"], 32-bit; d_key is even.
    value: Float[Tensor, "batch time d_value"], 32-bit.
    positions: Int[Tensor, "time"], where the tokens stand; there may be gaps, and they
        need not begin at 0.
    Returns Float[Tensor, "batch time d_value"], correct to 4 digits behind the point.
    """
    ...
''',
    reference=_rotary_attention,
    make_inputs=_vectors_and_positions,
    tolerance=1e-4,
    hints=(
        "Write a small function that turns one tensor, and use it twice. The angles are a table of "
        "shape (time, d_key / 2): `positions[:, None]` times the rates. All x of a tensor are "
        "`vectors[..., 0::2]`.",
        "Compute both new features before you store either of them. Put the pairs together again "
        "with `torch.stack([new_x, new_y], dim=-1).flatten(-2)`. The values stay as they are. "
        "Divide the scores by the root of d_key.",
    ),
    misconceptions=(
        Misconception(
            "not_at_all",
            _ra_not_at_all,
            "That is attention without any position: nothing is turned.",
        ),
        Misconception(
            "query_only",
            _ra_query_only,
            "You turn the queries only. Then a score depends on where the query stands, and not "
            "on the distance. Turn the keys as well.",
        ),
        Misconception(
            "key_only",
            _ra_key_only,
            "You turn the keys only. Then a score depends on where the key stands, and not on the "
            "distance. Turn the queries as well.",
        ),
        Misconception(
            "value_too",
            _ra_value_too,
            "You turn the values as well. They are what is handed over, and nobody compares them "
            "with anything: leave them as they are.",
        ),
        Misconception(
            "key_backwards",
            _ra_key_backwards,
            "You turn the keys the other way. Then a score depends on the *sum* of two positions. "
            "If both turn the same way, the difference is left.",
        ),
        Misconception(
            "both_backwards",
            _ra_both_backwards,
            "You turn both the other way, with the minus sign in the second line. The scores still "
            "depend on the distance alone, but a token before looks like a token after.",
        ),
        Misconception(
            "places",
            _ra_places,
            "You count the tokens, 0, 1, 2, ... The positions are given, and they have gaps.",
        ),
        Misconception(
            "halves",
            _ra_halves,
            "You pair feature i with feature i + d_key / 2. Many models do so, and it is as good "
            "(the learned projections do not care), but the numbers differ. Here neighbours are "
            "pairs: 0 and 1, 2 and 3.",
        ),
        Misconception(
            "same_rate",
            _ra_with_rates(lambda d_key: torch.ones(d_key // 2)),
            "You turn all pairs by the same angle. Each has a rate of its own, and each is slower "
            "than the one before.",
        ),
        Misconception(
            "slow_exponent",
            _ra_with_rates(lambda d_key: 10_000 ** (-torch.arange(d_key // 2) / d_key)),
            "The rates fall too slowly: pair i has the exponent -2i / d_key. You have "
            "-i / d_key.",
        ),
        Misconception(
            "slowest_first",
            _ra_with_rates(lambda d_key: _falling_rates(d_key).flip(0)),
            "You give the slowest rate to the first pair. The first pair is the fastest: its rate "
            "is 1.",
        ),
        Misconception(
            "overwrites",
            _ra_overwrites,
            "You store the new x, and then compute the new y with it. The second line needs the "
            "*old* x.",
        ),
        Misconception(
            "no_minus",
            _ra_no_minus,
            "A minus is missing in the first line. Without it nothing is turned: the vectors "
            "change their length.",
        ),
        Misconception(
            "added",
            _ra_added,
            "You *add* sines and cosines. Here the vectors are turned by multiplying.",
        ),
        Misconception(
            "no_root",
            _ra_no_root,
            "The turning is right. The division of the scores by the root of d_key is missing.",
        ),
        Misconception(
            "causal",
            _ra_causal,
            "The turning is right, but you hide the future. There is no mask in this exercise.",
        ),
    ),
    edge_cases=(
        _plain_example([0, 1, 2]),
        _plain_example([7, 3, 3]),
    ),
)

# ------------------------------------------------------------------------ 6 piece by piece


class Watched(torch.Tensor):
    """A tensor; what is computed from it is watched as long as it is kept."""

    alive = weakref.WeakValueDictionary()

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), keywords=None):
        result = super().__torch_function__(function, types, arguments, keywords)
        if isinstance(result, cls):
            cls.alive[id(result)] = result
        return result


class Pieces:
    """Keys, values and masks that come piece by piece, once.

    When the next piece is asked for, the tensors of the one before are filled with NaN and False.
    Whoever keeps as many numbers as 20 pieces have, copied or computed, is stopped.
    """

    def __init__(self, *pieces: tuple):
        self.pieces = pieces
        self.read = False

    def __repr__(self) -> str:
        return f"{len(self.pieces)} pieces"

    def __iter__(self):
        if self.read:
            raise ValueError("the pieces were read before; they come only once")
        self.read = True
        Watched.alive.clear()
        sizes = [sum(tensor.numel() for tensor in piece) for piece in self.pieces]
        for piece in self.pieces:
            key, value, mask = (tensor.clone().as_subclass(Watched) for tensor in piece)
            yield key, value, mask
            key.fill_(math.nan)
            value.fill_(math.nan)
            mask.fill_(False)
            kept = sum(tensor.numel() for tensor in list(Watched.alive.values()))
            if kept > 20 * max(sizes):
                raise MemoryError(f"you keep {kept} numbers of the pieces before")


def _query_and_pieces(generator):
    def draw(*shape):
        return 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = 2 + torch.randperm(4, generator=generator)
    pieces = []
    for size in sizes.tolist():
        mask = torch.rand(3, size, generator=generator) < 0.6
        mask[torch.arange(3), torch.randint(size, (3,), generator=generator)] = True
        pieces.append((draw(size, 4), draw(size, 7), mask))
    return draw(3, 4), Pieces(*pieces)


def _attend_in_pieces(query, pieces):
    largest = torch.full_like(query[:, :1], -torch.inf)  # score so far, for each query
    total, gathered = torch.zeros_like(largest), 0.0
    for key, value, mask in pieces:
        scores = query @ key.T / query.shape[1] ** 0.5
        scores = scores.masked_fill(~mask, -torch.inf)
        before = largest
        largest = torch.maximum(before, scores.amax(dim=1, keepdim=True))
        shift = largest.masked_fill(largest == -torch.inf, 0.0)  # nothing seen so far
        shrink, powers = (before - shift).exp(), (scores - shift).exp()
        total = shrink * total + powers.sum(dim=1, keepdim=True)
        gathered = shrink * gathered + powers @ value
    return gathered / total


def _piece_scores(query, key, mask):
    return (query @ key.T / query.shape[1] ** 0.5).masked_fill(~mask, -torch.inf)


def _ap_running(shrink_total=True, shrink_gathered=True, scores_of=_piece_scores):
    """With a running maximum that is not made safe, and perhaps without shrinking."""

    def attend(query, pieces):
        largest = torch.full_like(query[:, :1], -torch.inf)
        total, gathered = torch.zeros_like(largest), 0.0
        for key, value, mask in pieces:
            scores = scores_of(query, key, mask)
            before = largest
            largest = torch.maximum(before, scores.amax(dim=1, keepdim=True))
            shrink, powers = (before - largest).exp(), (scores - largest).exp()
            if shrink_total:
                total = shrink * total
            if shrink_gathered:
                gathered = shrink * gathered
            total = total + powers.sum(dim=1, keepdim=True)
            gathered = gathered + powers @ value
        return gathered / total

    return attend


def _ap_summed(shift):
    """Powers and powers times values are summed, after `shift(scores)` is taken away."""

    def attend(query, pieces):
        total = gathered = 0.0
        for key, value, mask in pieces:
            scores = _piece_scores(query, key, mask)
            powers = (scores - shift(scores)).exp()
            total = total + powers.sum(dim=1, keepdim=True)
            gathered = gathered + powers @ value
        return gathered / total

    return attend


def _ap_one_maximum(query, pieces):
    largest, total, gathered = query.new_tensor(-torch.inf), 0.0, 0.0
    for key, value, mask in pieces:
        scores = _piece_scores(query, key, mask)
        before, largest = largest, torch.maximum(largest, scores.max())
        shrink, powers = (before - largest).exp(), (scores - largest).exp()
        total = shrink * total + powers.sum(dim=1, keepdim=True)
        gathered = shrink * gathered + powers @ value
    return gathered / total


def _ap_mean_of_pieces(query, pieces):
    outputs = [
        _piece_scores(q, k, m).softmax(dim=1) @ v for q, k, v, m in _all(query, pieces)
    ]
    return sum(outputs) / len(outputs)


def _all(query, pieces):
    for key, value, mask in pieces:
        yield query, key, value, mask


def _ap_weighted_by_count(query, pieces):
    total = gathered = 0.0
    for key, value, mask in pieces:
        count = mask.sum(dim=1, keepdim=True)
        output = _piece_scores(query, key, mask).softmax(dim=1) @ value
        gathered, total = gathered + count * output, total + count
    return gathered / total


def _ap_sum_of_pieces(query, pieces):
    return sum(
        _piece_scores(query, key, mask).softmax(dim=1) @ value
        for key, value, mask in pieces
    )


def _ap_last_piece(query, pieces):
    for key, value, mask in pieces:
        output = _piece_scores(query, key, mask).softmax(dim=1) @ value
    return output


def _ap_keeps_the_pieces(query, pieces):
    keys, values, masks = zip(*pieces, strict=True)
    scores = _piece_scores(query, torch.cat(keys), torch.cat(masks, dim=1))
    return scores.softmax(dim=1) @ torch.cat(values)


def _ap_copies_the_pieces(query, pieces):
    copies = ([tensor.clone() for tensor in piece] for piece in pieces)
    return _ap_keeps_the_pieces(query, copies)


def _no_mask(query, key, mask):
    return query @ key.T / query.shape[1] ** 0.5


def _score_zero(query, key, mask):
    return _no_mask(query, key, mask) * mask


def _no_root(query, key, mask):
    return (query @ key.T).masked_fill(~mask, -torch.inf)


def _small_pieces(*masks):
    """Two queries, two keys in each piece."""
    return Pieces(
        *(
            (
                torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double() + number,
                torch.tensor([[3.0], [5.0]]).double() * (number + 1),
                torch.tensor(mask),
            )
            for number, mask in enumerate(masks)
        )
    )


def _many_pieces():
    """40 pieces of ten keys."""
    generator = torch.Generator().manual_seed(40)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mask = torch.ones(2, 10, dtype=torch.bool)
    return draw(2, 2), Pieces(*((draw(10, 2), draw(10, 1), mask) for _ in range(40)))


_ALL, _NONE = [[True, True], [True, True]], [[False, False], [False, False]]
_SECOND_QUERY = [[False, False], [True, False]]

attend_in_pieces = CodeExercise(
    name="self_attention.attend_in_pieces",
    title="A long memory, read once and forgotten",
    minutes=60,
    difficulty=5,
    statement="""The weights of a text of $T$ tokens are a table of $T \\times T$ numbers. They are
not needed at the end: only the outputs are. So do not keep them. Go through keys and values piece
by piece, each piece once, and keep only a few numbers for each query. The outputs must be those of
ordinary scaled dot-product attention over all keys at once. (Milakov and Gimelshein, 2018, found
how a softmax can be summed in this way. FlashAttention is built on it: Dao et al., 2022.)

The difficulty is the softmax. It divides by a sum over *all* keys, and you know it only at the
end. And it must be safe: scores may be larger than 1000, where `exp` is infinite, so the largest
score has to be taken away from all. But a later piece may have a larger one.

What do you have to keep of the past, and what happens to it when a larger score arrives? Mind that
a piece may have nothing at all for a query.""",
    stub='''def attend_in_pieces(query, pieces):
    """Scaled dot-product attention over keys that come in pieces.

    query: Float[Tensor, "queries d_key"].
    pieces: go through them with `for key, value, mask in pieces:`, once; there is at
        least one piece. As soon as you ask for the next piece, the tensors of the one
        before are filled with NaN and False: do not keep them.
        key: Float[Tensor, "keys d_key"]; the number of keys may differ from piece to
            piece, and is at least 1.
        value: Float[Tensor, "keys d_value"].
        mask: Bool[Tensor, "queries keys"], True = may attend. A query may attend to
            nothing in one piece, but to something in all pieces together.
    Returns Float[Tensor, "queries d_value"].
    """
    ...
''',
    reference=_attend_in_pieces,
    make_inputs=_query_and_pieces,
    hints=(
        "First without safety. Keep two things for each query: the sum of the powers, and the sum "
        "of the powers times their values. Divide at the end. Check that this is right for small "
        "scores.",
        "Now keep a third thing: the largest score so far, m. All powers are e to the power of "
        "(score - m). When m grows from m1 to m2, multiply *both* sums by e to the power of "
        "(m1 - m2). As long as a query has seen nothing, m is minus infinity: take 0 away instead.",
    ),
    misconceptions=(
        Misconception(
            "keeps_the_pieces",
            _ap_keeps_the_pieces,
            "You collect the pieces and work on them at the end. By then they are overwritten. Do "
            "what there is to do with a piece while you have it.",
        ),
        Misconception(
            "copies_the_pieces",
            _ap_copies_the_pieces,
            "The outputs are right, but you keep a copy of every piece, or its scores. The memory "
            "that takes grows with the text. Keep a few numbers for each query, and go on from "
            "them.",
        ),
        Misconception(
            "mean_of_pieces",
            _ap_mean_of_pieces,
            "You attend to each piece alone, and take the plain mean. But a piece with large "
            "scores should count more: by the sum of its powers.",
        ),
        Misconception(
            "weighted_by_count",
            _ap_weighted_by_count,
            "You weight each piece by the number of its keys. What counts is the sum of their "
            "*powers*: ten keys with small scores may count less than a single one.",
        ),
        Misconception(
            "sum_of_pieces",
            _ap_sum_of_pieces,
            "You attend to each piece alone, and add the outputs. So each piece gives away a "
            "weight of 1. All pieces together have one.",
        ),
        Misconception(
            "last_piece",
            _ap_last_piece,
            "Your output is that of the last piece alone. What became of those before?",
        ),
        Misconception(
            "never_shrinks",
            _ap_running(shrink_total=False, shrink_gathered=False),
            "You follow the largest score, but what you have summed before stays as it is. It was "
            "made with a smaller maximum: shrink it whenever the maximum grows.",
        ),
        Misconception(
            "total_not_shrunk",
            _ap_running(shrink_total=False),
            "You shrink the sum of the values. The sum of the powers was made with the old "
            "maximum, too: shrink both.",
        ),
        Misconception(
            "gathered_not_shrunk",
            _ap_running(shrink_gathered=False),
            "You shrink the sum of the powers. The sum of the values was made with the old "
            "maximum, too: shrink both.",
        ),
        Misconception(
            "own_maximum",
            _ap_summed(lambda scores: scores.amax(dim=1, keepdim=True)),
            "You take the largest score of *this* piece away. So each piece has a scale of its "
            "own, and the sums cannot be added.",
        ),
        Misconception(
            "no_mask",
            _ap_running(scores_of=_no_mask),
            "The pieces are joined well, but the mask is not used.",
        ),
        Misconception(
            "score_zero",
            _ap_running(scores_of=_score_zero),
            "The pieces are joined well, but you set masked scores to 0. e to the power 0 is 1: "
            "they take weight.",
        ),
        Misconception(
            "no_root",
            _ap_running(scores_of=_no_root),
            "The pieces are joined well. The division of the scores by the root of d_key is "
            "missing.",
        ),
        Misconception(
            "own_powers",
            _ap_summed(lambda scores: 0.0),
            "Right for small scores. But `exp` of a score near 1000 is infinite, and one near "
            "-1000 is 0. Take the largest score away, and mind that it may grow later.",
        ),
        Misconception(
            "one_maximum",
            _ap_one_maximum,
            "Right for ordinary scores. But you keep one maximum for all queries. Where another "
            "query has much larger scores, all powers of this one become 0. Each query needs its "
            "own.",
        ),
        Misconception(
            "nan_where_nothing_is",
            _ap_running(),
            "Nearly there. Where a query has seen nothing so far, its maximum is minus infinity, "
            "and minus infinity less minus infinity is nan. Take 0 away as long as that is so.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[900.0, 0.0], [-900.0, 1.0]]).double(),
            _small_pieces(_ALL, _ALL),
        ),
        (
            torch.tensor([[1.0, 0.5], [-2.0, 1.0]]).double(),
            _small_pieces(_SECOND_QUERY, _ALL, _NONE),
        ),
        (torch.tensor([[1.0, 0.5], [-2.0, 1.0]]).double(), _small_pieces(_ALL)),
        _many_pieces(),
    ),
)
