"""Exercises of chapter 5: where the weights come from, and what can be read off them."""

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

one_word = Order(
    name="attention.one_word",
    title="From one word to the next",
    minutes=2,
    difficulty=1,
    question="The decoder with attention has just written a word. Put what it does next in order.",
    items=(
        "compare the hidden state with every key: one score for each",
        "set the scores of the padding to minus infinity",
        "softmax: the scores become weights that sum to 1",
        "take the weighted mean of the encoder's outputs: the context vector",
        "the cell reads the word and the context vector: a new hidden state",
        "score every word of the target vocabulary",
    ),
    why=(
        "In this decoder the *old* hidden state asks, and what it finds goes into the new one. "
        "(Luong's decoder asks with the new state. Both orders are in use.)"
    ),
    wrong=(
        WrongAnswer(
            (
                "compare the hidden state with every key: one score for each",
                "softmax: the scores become weights that sum to 1",
                "set the scores of the padding to minus infinity",
                "take the weighted mean of the encoder's outputs: the context vector",
                "the cell reads the word and the context vector: a new hidden state",
                "score every word of the target vocabulary",
            ),
            "After the softmax it is too late: the padding already has its share of the 1.",
        ),
        WrongAnswer(
            (
                "the cell reads the word and the context vector: a new hidden state",
                "compare the hidden state with every key: one score for each",
                "set the scores of the padding to minus infinity",
                "softmax: the scores become weights that sum to 1",
                "take the weighted mean of the encoder's outputs: the context vector",
                "score every word of the target vocabulary",
            ),
            "The cell reads the context vector of *this* step. So it must have been made before.",
        ),
    ),
)

_E9 = math.exp(9)

a_context = Number(
    name="attention.a_context",
    title="A context by hand",
    minutes=5,
    difficulty=2,
    question=(
        "Three places of the source have the scores 0, ln 3 and 9. The values are single numbers: "
        "2, 6 and 50. The third place is padding and masked. What is the context?"
    ),
    answer=5,
    tolerance=0.005,
    unit="",
    why=(
        "The first two powers are 1 and 3, so the weights are 1/4 and 3/4; the third is 0. "
        "2 * 1/4 + 6 * 3/4 = 5."
    ),
    wrong=(
        WrongAnswer(
            (20 + 50 * _E9) / (4 + _E9),
            "Without the mask nearly all the weight goes to the padding. Its weight must be 0.",
        ),
        WrongAnswer(
            14,
            "You set the masked *score* to 0. But e to the power 0 is 1, so the padding still "
            "gets weight. Its score must be minus infinity.",
        ),
        WrongAnswer(
            20 / (4 + _E9),
            "You mask after the softmax. Then the weights no longer sum to 1.",
        ),
        WrongAnswer(
            6 * math.log(3),
            "You multiply the values by the scores. The softmax turns scores into weights first.",
        ),
        WrongAnswer(4, "That is the plain mean of 2 and 6. Their weights differ."),
        WrongAnswer(20, "You forgot to divide by the sum of the powers, 1 + 3."),
    ),
)

shift_and_stretch = Predict(
    name="attention.shift_and_stretch",
    title="Shift the scores, stretch the scores",
    minutes=4,
    difficulty=2,
    question=(
        "A softmax, with powers of 2 instead of e, so that you can do it in your head. What does "
        "this print?"
    ),
    code=(
        "def weights(scores):\n"
        "    powers = [2**score for score in scores]\n"
        "    return [power / sum(powers) for power in powers]\n"
        "\n"
        "print(weights([0, 0, 1]))\n"
        "print(weights([7, 7, 8]))\n"
        "print(weights([0, 0, 3]))"
    ),
    why=(
        "The same number added to all scores changes nothing: it multiplies every power by the "
        "same factor. Scores that are multiplied do change: the weights get more decided."
    ),
    wrong=(
        WrongAnswer(
            "[0.25, 0.25, 0.5]\n[0.25, 0.25, 0.5]\n[0.25, 0.25, 0.5]",
            "Adding 7 changes nothing, but multiplying does: 2 to the power 3 is 8, not 2.",
        ),
        WrongAnswer(
            "[0.0, 0.0, 1.0]\n[0.0, 0.0, 1.0]\n[0.0, 0.0, 1.0]",
            "2 to the power 0 is 1, not 0. No weight is ever 0 here.",
        ),
        WrongAnswer(
            "[1.0, 1.0, 2.0]\n[128.0, 128.0, 256.0]\n[1.0, 1.0, 8.0]",
            "Those are the powers. They are divided by their sum.",
        ),
        WrongAnswer(
            "[0.33, 0.33, 0.33]\n[0.33, 0.33, 0.33]\n[0.33, 0.33, 0.33]",
            "Equal weights come from equal scores. The third score is larger.",
        ),
    ),
)

steps_that_wait = Number(
    name="attention.steps_that_wait",
    title="Steps that wait for one another",
    minutes=3,
    difficulty=2,
    question=(
        "A bidirectional encoder reads 20 tokens. Then a decoder with attention predicts 15, with "
        "teacher forcing. A step of a recurrent cell can begin when all that it needs is there. "
        "As many steps as you like may run at the same time. How many of them come one after "
        "another?"
    ),
    answer=35,
    tolerance=0.1,
    unit="steps",
    why=(
        "The two directions of the encoder run side by side: 20. Then the decoder, 15: each "
        "hidden state needs the one before. Attention takes no step away."
    ),
    wrong=(
        WrongAnswer(
            300,
            "That is the number of scores, 15 for each of 20. All 20 scores of a step are "
            "computed at the same time.",
        ),
        WrongAnswer(
            55,
            "The two directions of the encoder do not need each other: they run side by side.",
        ),
        WrongAnswer(
            21,
            "The true words are all known, but the hidden states are not: each needs the one "
            "before. So the decoder does not run in one step.",
        ),
        WrongAnswer(
            20,
            "The decoder cannot begin before the encoder has ended: it needs the last outputs.",
        ),
        WrongAnswer(15, "The encoder has to read first, one token after another."),
    ),
)

what_a_weight_says = Choice(
    name="attention.what_a_weight_says",
    title="What does a weight of 0.9 say?",
    minutes=3,
    difficulty=3,
    question=(
        "While a translator writes *토끼*, its attention has the weight 0.9 at the source word "
        "*rabbit*. What is certain?"
    ),
    options=(
        Option(
            "the context vector is 0.9 times the encoder's output at *rabbit*, and 0.1 times "
            "a mean of the others",
            correct=True,
            why=(
                "That is what the weight is: a factor in a mean. The output at *rabbit* also knows "
                "of the words around it. And the decoder has its hidden state besides. So it is a "
                "hint at the reason, no proof. To know more, change the input and look."
            ),
        ),
        Option(
            "without *rabbit* it would not write *토끼*",
            why=(
                "That would be a claim about another input. One would have to try it: the outputs "
                "at the other words may tell of the rabbit as well."
            ),
        ),
        Option(
            "the other source words have a tenth of the influence",
            why=(
                "They also speak through the output at *rabbit*, as the encoder has read them, and "
                "through the hidden state that made the weights."
            ),
        ),
        Option(
            "the probability that *토끼* is right is 0.9",
            why="The weights are shares of places in the source. No target word is in them.",
        ),
    ),
)

# ----------------------------------------------------------------------- 1 two mistakes at once


def _scores_and_mask(generator):
    scores = 2 * torch.randn(3, 5, 7, generator=generator, dtype=torch.float64)
    lengths = 2 + torch.randperm(6, generator=generator)[:3]
    mask = torch.arange(7) < lengths[:, None]
    mask[1] = mask[1].flip(0)  # what may be attended to need not be the beginning
    return scores, mask


def _mend_weights(scores, mask):
    return scores.masked_fill(~mask[:, None, :], -math.inf).softmax(dim=2)


def _mw_as_it_was(scores, mask):
    return scores.softmax(dim=1) * mask[:, None, :]


def _mw_only_axis(scores, mask):
    return scores.softmax(dim=2) * mask[:, None, :]


def _mw_only_mask(scores, mask):
    return scores.masked_fill(~mask[:, None, :], -math.inf).softmax(dim=1)


def _mw_both_axes(scores, mask):
    filled = scores.masked_fill(~mask[:, None, :], -math.inf)
    return filled.flatten(1).softmax(dim=1).view_as(scores)


def _mw_zero_scores(scores, mask):
    return (scores * mask[:, None, :]).softmax(dim=2)


def _mw_zero_scores_and_weights(scores, mask):
    return (scores * mask[:, None, :]).softmax(dim=2) * mask[:, None, :]


def _mw_flipped(scores, mask):
    return scores.masked_fill(mask[:, None, :], -math.inf).softmax(dim=2)


def _mw_afterwards(scores, mask):
    weights = scores.softmax(dim=2) * mask[:, None, :]
    return weights / weights.sum(dim=2, keepdim=True)


def _mw_finite(scores, mask):
    return scores.masked_fill(~mask[:, None, :], -100.0).softmax(dim=2)


def _mw_own_powers(scores, mask):
    powers = scores.exp() * mask[:, None, :]
    return powers / powers.sum(dim=2, keepdim=True)


def _mw_no_mask(scores, mask):
    return scores.softmax(dim=2)


_NOT_THE_FIRST = torch.tensor([[False, True, True]])

mend_weights = CodeExercise(
    name="attention.mend_weights",
    title="Mend broken weights",
    minutes=10,
    difficulty=1,
    statement="""With teacher forcing the scores of all steps of the decoder are sometimes there at
once, one row for each target token. This function should turn them into weights. It runs, it raises
nothing, the shape is right, and it is wrong twice:

```python
def mend_weights(scores, mask):
    return scores.softmax(dim=1) * mask[:, None, :]
```

Mend it. Every target token spreads a weight of 1 over the source tokens of its own sentence that
may be attended to. All others get exactly 0, however large their scores are.""",
    stub='''def mend_weights(scores, mask):
    """Turn scores into weights.

    scores: Float[Tensor, "batch target source"]; scores[b, t, s] compares step t of the
        decoder with source token s, in sentence b.
    mask: Bool[Tensor, "batch source"], True where a source token may be attended to.
        Each row has at least one True.
    Returns the same shape as `scores`.
    """
    ...
''',
    reference=_mend_weights,
    make_inputs=_scores_and_mask,
    hints=(
        "Which sums should be 1? Print `.sum(dim=1)` and `.sum(dim=2)` of the result. First mend "
        "the axis, then look again at the rows of a sentence with padding.",
        "The mask must act *before* the softmax: `scores.masked_fill(~mask[:, None, :], "
        "-math.inf)`. e to the power of minus infinity is exactly 0.",
    ),
    misconceptions=(
        Misconception(
            "as_it_was",
            _mw_as_it_was,
            "Those are the broken weights as they were. Look at the axis of the softmax, and at "
            "when the mask acts.",
        ),
        Misconception(
            "only_the_axis",
            _mw_only_axis,
            "One mistake is mended, the axis. The other is still there: the padding first gets a "
            "share of the 1, and then loses it. So the rows sum to less than 1.",
        ),
        Misconception(
            "only_the_mask",
            _mw_only_mask,
            "One mistake is mended, the mask. The other is still there: `dim=1` runs over the "
            "target tokens. At the padding all of them are minus infinity, and the result is nan.",
        ),
        Misconception(
            "both_axes",
            _mw_both_axes,
            "All weights of a sentence together sum to 1. Each *row* should: every target token "
            "has a weight of 1 to spread.",
        ),
        Misconception(
            "score_zero",
            _mw_zero_scores,
            "You set masked scores to 0 (1e-9 is the same). But e to the power 0 is 1, so the "
            "padding still gets weight. It must be minus infinity.",
        ),
        Misconception(
            "score_zero_weight_zero",
            _mw_zero_scores_and_weights,
            "You set masked scores to 0, and their weights as well. In between, in the softmax, "
            "they have taken a share all the same. The rows sum to less than 1.",
        ),
        Misconception(
            "flipped",
            _mw_flipped,
            "You hide what may be attended to: True means *may attend*. `masked_fill` fills where "
            "its mask is True, so it needs `~mask`.",
        ),
        Misconception(
            "no_mask",
            _mw_no_mask,
            "The axis is right, and the mask is gone: the padding gets weight.",
        ),
        Misconception(
            "divides_afterwards",
            _mw_afterwards,
            "Right for ordinary scores. But if a masked score is far larger than all others, it "
            "takes the whole 1, and after masking 0/0 is left: nan. Mask before the softmax.",
        ),
        Misconception(
            "not_quite_infinite",
            _mw_finite,
            "Right for ordinary scores. But a large negative number is not minus infinity: where "
            "the others are smaller still, the padding wins.",
        ),
        Misconception(
            "own_powers",
            _mw_own_powers,
            "Right for ordinary scores. But `exp` of a very large score is infinite, and of a very "
            "small one 0. `softmax` first takes the largest score away from all.",
        ),
    ),
    edge_cases=(
        (torch.tensor([[[900.0, 1.0, 2.0], [0.0, 0.0, 0.0]]]).double(), _NOT_THE_FIRST),
        (torch.tensor([[[0.0, -300.0, -301.0]]]).double(), _NOT_THE_FIRST),
        (torch.tensor([[[1.0, 2000.0, 2001.0]]]).double(), _NOT_THE_FIRST),
    ),
)

# ---------------------------------------------------------------------------------- 2 coverage


def _weights_and_masks(generator):
    source_mask = torch.arange(4) < 2 + torch.randperm(3, generator=generator)[:2, None]
    target_mask = torch.arange(6) < 2 + torch.randperm(5, generator=generator)[:2, None]
    scores = 1.5 * torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    scores = scores.masked_fill(~source_mask[:, None, :], -math.inf)
    return scores.softmax(dim=2), source_mask, target_mask


def _coverage(weights, source_mask, target_mask):
    looked_at = (weights * target_mask[:, :, None]).sum(dim=1)
    logs = looked_at.clamp(max=1).log()
    return torch.where(source_mask, logs, 0.0).sum(dim=1)


def _cov_target_padding(weights, source_mask, target_mask):
    return _coverage(weights, source_mask, torch.ones_like(target_mask))


def _cov_source_padding(weights, source_mask, target_mask):
    return _coverage(weights, torch.ones_like(source_mask), target_mask)


def _cov_no_limit(weights, source_mask, target_mask):
    looked_at = (weights * target_mask[:, :, None]).sum(dim=1)
    return torch.where(source_mask, looked_at.log(), 0.0).sum(dim=1)


def _cov_wrong_axis(weights, source_mask, target_mask):
    spread = (weights * source_mask[:, None, :]).sum(dim=2)
    return torch.where(target_mask, spread.clamp(max=1).log(), 0.0).sum(dim=1)


def _cov_mean(weights, source_mask, target_mask):
    return _coverage(weights, source_mask, target_mask) / source_mask.sum(dim=1)


def _cov_logs_first(weights, source_mask, target_mask):
    both = target_mask[:, :, None] & source_mask[:, None, :]
    return torch.where(both, weights.log(), 0.0).sum(dim=(1, 2))


def _cov_no_log(weights, source_mask, target_mask):
    looked_at = (weights * target_mask[:, :, None]).sum(dim=1).clamp(max=1)
    return torch.where(source_mask, looked_at, 0.0).sum(dim=1)


def _cov_strongest(weights, source_mask, target_mask):
    strongest = (weights * target_mask[:, :, None]).amax(dim=1)
    return torch.where(source_mask, strongest.log(), 0.0).sum(dim=1)


def _cov_sign(weights, source_mask, target_mask):
    return -_coverage(weights, source_mask, target_mask)


def _cov_limit_at_the_end(weights, source_mask, target_mask):
    looked_at = (weights * target_mask[:, :, None]).sum(dim=1)
    return torch.where(source_mask, looked_at.log(), 0.0).sum(dim=1).clamp(max=0)


def _cov_never_infinite(weights, source_mask, target_mask):
    looked_at = (weights * target_mask[:, :, None]).sum(dim=1).clamp(1e-9, 1)
    return torch.where(source_mask, looked_at.log(), 0.0).sum(dim=1)


coverage = CodeExercise(
    name="attention.coverage",
    title="Was every word looked at?",
    minutes=15,
    difficulty=2,
    statement="""A translator may forget a word of the source. Does its attention show that? For
each source word, add up the weights that it got while the target was written. If the sum is near
0, nobody looked. Wu et al. (2016) let this speak when the beam search chooses. With $w_{ts}$ the
weight of source token $s$ at step $t$,

$$c = \\sum_{s} \\log \\, \\min\\Big(1, \\, \\sum_{t} w_{ts}\\Big).$$

A word that was looked at once in all, or more, costs nothing: $\\log 1 = 0$. A word that was never
looked at costs infinitely much.

Write this for a batch. Both sides have padding. The rows of `weights` that belong to target padding
sum to 1 like the others, but nobody wrote anything there.""",
    stub='''def coverage(weights, source_mask, target_mask):
    """How well each source sentence was looked at, in natural logarithms; 0 is best.

    weights: Float[Tensor, "batch target source"]; each row sums to 1, and source
        padding has weight 0.
    source_mask: Bool[Tensor, "batch source"], True for a real token.
    target_mask: Bool[Tensor, "batch target"], True for a real token.
    Returns Float[Tensor, "batch"]: a sum over the real source tokens.
    """
    ...
''',
    reference=_coverage,
    make_inputs=_weights_and_masks,
    hints=(
        "Which axis is summed first? The inner sum runs over the target, and one number per "
        "source token is left. Multiply by `target_mask[:, :, None]` before.",
        "`.clamp(max=1).log()` comes next. At source padding that is log 0, minus infinity: put a "
        "0 there with `torch.where(source_mask, ..., 0.0)`, then sum over the source.",
    ),
    misconceptions=(
        Misconception(
            "target_padding",
            _cov_target_padding,
            "The rows of the target padding count as well. Nobody wrote a word there.",
        ),
        Misconception(
            "source_padding",
            _cov_source_padding,
            "The source padding was never looked at, so it costs you log 0, which is minus "
            "infinity. Leave it out.",
        ),
        Misconception(
            "no_limit",
            _cov_no_limit,
            "A word that was looked at more than once should not earn anything. Limit its sum to "
            "1 before the logarithm.",
        ),
        Misconception(
            "limit_at_the_end",
            _cov_limit_at_the_end,
            "You limit the whole sentence. Then a word that was looked at too much makes up for "
            "one that was forgotten. Limit each word.",
        ),
        Misconception(
            "wrong_axis",
            _cov_wrong_axis,
            "You sum each row over the source. That is always 1: each step spreads a weight of 1. "
            "Sum over the *target*.",
        ),
        Misconception(
            "logarithm_first",
            _cov_logs_first,
            "You take the logarithm of each weight, and add. First add up the weights of a source "
            "word, then take one logarithm.",
        ),
        Misconception(
            "no_logarithm",
            _cov_no_log,
            "The logarithm is missing. Without it, a word that was forgotten hardly costs more "
            "than one that was half looked at.",
        ),
        Misconception(
            "strongest_weight",
            _cov_strongest,
            "You take the strongest weight that each source word got. Many weak ones count as "
            "well: add them up.",
        ),
        Misconception(
            "mean",
            _cov_mean,
            "You divide by the number of source words. The formula is a sum.",
        ),
        Misconception(
            "sign",
            _cov_sign,
            "The sign is wrong: the best is 0, and all others are below.",
        ),
        Misconception(
            "never_infinite",
            _cov_never_infinite,
            "Right where every word was looked at. One that never was should cost infinitely "
            "much. You give it a small number first.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.0, 0.5]]]).double(),
            torch.tensor([[True, True, True]]),
            torch.tensor([[True, True]]),
        ),
        (
            torch.eye(3).double()[None],
            torch.tensor([[True, True, True]]),
            torch.tensor([[True, True, True]]),
        ),
    ),
)

# ------------------------------------------------------------------------ 3 alignments that grow


def _two_directions(generator):
    def near(place, n_from, n_to):
        noise = int(torch.randint(-1, 2, (), generator=generator))
        return min(max(place * n_to // n_from + noise, 0), n_to - 1)

    forwards = {(near(j, 8, 6), j) for j in range(8)}
    backwards = {(i, near(i, 6, 8)) for i in range(6)}
    return forwards, backwards


def _grow_alignment(forwards, backwards):
    links = forwards & backwards
    grown = True
    while grown:
        grown = False
        for i, j in sorted((forwards | backwards) - links):
            touches = any(abs(i - a) <= 1 and abs(j - b) <= 1 for a, b in links)
            free = all(i != a for a, _ in links) or all(j != b for _, b in links)
            if touches and free:
                links.add((i, j))
                grown = True
    return sorted(links)


def _grow_with(free=None, touches=None, once=False, anchors=False):
    """Growing with one thing changed."""

    def grow(forwards, backwards):
        start = forwards & backwards
        links = set(start)
        while True:
            n_before = len(links)
            for i, j in sorted((forwards | backwards) - links):
                known = start if anchors else links
                near = any((touches or _corners_too)(i - a, j - b) for a, b in known)
                new_source = all(i != a for a, _ in links)
                new_target = all(j != b for _, b in links)
                if near and (free or _or)(new_source, new_target):
                    links.add((i, j))
            if once or len(links) == n_before:
                return sorted(links)

    return grow


def _corners_too(rows, columns):
    return abs(rows) <= 1 and abs(columns) <= 1


def _sides_only(rows, columns):
    return abs(rows) + abs(columns) <= 1


def _or(new_source, new_target):
    return new_source or new_target


def _ga_intersection(forwards, backwards):
    return sorted(forwards & backwards)


def _ga_union(forwards, backwards):
    return sorted(forwards | backwards)


def _ga_targets(forwards, backwards):
    return _grow_with(free=lambda new_source, new_target: new_target)(
        forwards, backwards
    )


def _ga_changes_argument(forwards, backwards):
    links = _grow_alignment(forwards, backwards)
    forwards &= backwards
    return links


grow_alignment = CodeExercise(
    name="attention.grow_alignment",
    title="Two directions, one alignment",
    minutes=25,
    difficulty=3,
    statement="""Train one translator from English to Korean and one from Korean to English. Each
links every word that it writes to one word that it reads. So the two alignments differ. Links that
both have are mostly right, but there are few of them. Links that one of them has are many, but not
all are right. Koehn, Och & Marcu (2003) start with the first kind and grow. In a simple form:

1. Accept the links that both directions have.
2. Go through the other links of both directions together, in sorted order. Accept a link if it is
   the *neighbour* of an accepted one, and if its source word or its target word (or both) has no
   accepted link yet. A link that has just been accepted counts at once.
3. Repeat 2 until a whole pass accepts nothing.

The eight neighbours of $(i, j)$ are those that differ from it by at most 1 in $i$ and by at most 1
in $j$, corners included.""",
    stub='''def grow_alignment(forwards, backwards):
    """Join the alignments of two directions.

    forwards, backwards: sets of links (source position, target position), ints; both
        in the same order, source first.
    Returns a sorted list of links.
    """
    ...
''',
    reference=_grow_alignment,
    make_inputs=_two_directions,
    hints=(
        "Sets know the first steps: `forwards & backwards` are the links of both, and "
        "`(forwards | backwards) - links` are those still to be looked at.",
        "For a link (i, j): is there an accepted (a, b) with `abs(i - a) <= 1` and "
        "`abs(j - b) <= 1`? And is there none with a == i, *or* none with b == j? Add it at once, "
        "and note that the pass has changed something.",
    ),
    misconceptions=(
        Misconception(
            "intersection",
            _ga_intersection,
            "Those are the links of both directions: the start. Now they should grow.",
        ),
        Misconception(
            "union",
            _ga_union,
            "You accept every link of either direction. A link must touch an accepted one, and "
            "one of its words must be free.",
        ),
        Misconception(
            "nobody_need_be_free",
            _grow_with(free=lambda new_source, new_target: True),
            "You accept every neighbour. One of the two words must have no link yet.",
        ),
        Misconception(
            "both_free",
            _grow_with(free=lambda new_source, new_target: new_source and new_target),
            "You ask that *both* words are free. One of them is enough.",
        ),
        Misconception(
            "target_free",
            _ga_targets,
            "You ask that the target word is free. It is enough if the source word is.",
        ),
        Misconception(
            "no_corners",
            _grow_with(touches=_sides_only),
            "Your neighbours share a row or a column. The corners count as well: (1, 1) is a "
            "neighbour of (2, 2).",
        ),
        Misconception(
            "no_need_to_touch",
            _grow_with(touches=lambda rows, columns: True),
            "You accept links that touch no accepted link. They must be neighbours.",
        ),
        Misconception(
            "one_pass",
            _grow_with(once=True),
            "You go through the links once. One that was refused may be a neighbour later on: "
            "repeat until nothing changes.",
        ),
        Misconception(
            "only_the_start_has_neighbours",
            _grow_with(anchors=True),
            "Your links must touch one that *both* directions have. They may also touch one that "
            "was accepted later.",
        ),
        Misconception(
            "changes_argument",
            _ga_changes_argument,
            "The links are right, but your function has changed `forwards`: `&=` and `.add` work "
            "on the caller's set. `forwards & backwards` makes a new one.",
        ),
    ),
    edge_cases=(
        ({(0, 0), (1, 1), (2, 2), (3, 3)}, {(3, 3)}),
        ({(0, 0), (2, 1)}, {(0, 1), (2, 0)}),
        ({(0, 1), (1, 0)}, {(0, 1), (1, 0)}),
        ({(4, 4), (4, 5), (4, 6), (0, 6)}, {(4, 4), (3, 5), (0, 6)}),
    ),
)

# --------------------------------------------------------------------- 4 the score's gradient


def _scores_values_gradient(generator):
    scores = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    values = torch.randn(3, 6, 4, generator=generator, dtype=torch.float64)
    lengths = 2 + torch.randperm(5, generator=generator)[:3]
    mask = torch.arange(6) < lengths[:, None]
    context_gradient = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    return scores, values, mask, context_gradient


def _score_gradient(scores, values, mask, context_gradient):
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=1)
    # (batch, source, d_value) @ (batch, d_value, 1) -> (batch, source)
    weight_gradient = (values @ context_gradient[:, :, None]).squeeze(2)
    mean = (weights * weight_gradient).sum(dim=1, keepdim=True)
    return weights * (weight_gradient - mean)


def _weights_and_gradient(scores, values, mask, context_gradient):
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=1)
    return weights, (values @ context_gradient[:, :, None]).squeeze(2)


def _sg_of_weights(scores, values, mask, context_gradient):
    return _weights_and_gradient(scores, values, mask, context_gradient)[1]


def _sg_no_mean(scores, values, mask, context_gradient):
    weights, gradient = _weights_and_gradient(scores, values, mask, context_gradient)
    return weights * gradient


def _sg_only_diagonal(scores, values, mask, context_gradient):
    weights, gradient = _weights_and_gradient(scores, values, mask, context_gradient)
    return weights * (1 - weights) * gradient


def _sg_plain_mean(scores, values, mask, context_gradient):
    weights, gradient = _weights_and_gradient(scores, values, mask, context_gradient)
    n_keys = mask.sum(dim=1, keepdim=True)
    mean = torch.where(mask, gradient, 0.0).sum(dim=1, keepdim=True) / n_keys
    return weights * (gradient - mean)


def _sg_no_weight(scores, values, mask, context_gradient):
    weights, gradient = _weights_and_gradient(scores, values, mask, context_gradient)
    return gradient - (weights * gradient).sum(dim=1, keepdim=True)


def _sg_no_weight_masked(scores, values, mask, context_gradient):
    gradient = _sg_no_weight(scores, values, mask, context_gradient)
    return torch.where(mask, gradient, 0.0)


def _sg_no_mask(scores, values, mask, context_gradient):
    every = torch.ones_like(mask)
    return _score_gradient(scores, values, every, context_gradient)


def _sg_mask_afterwards(scores, values, mask, context_gradient):
    return _sg_no_mask(scores, values, mask, context_gradient) * mask


def _sg_downhill(scores, values, mask, context_gradient):
    return -_score_gradient(scores, values, mask, context_gradient)


def _sg_sum_of_values(scores, values, mask, context_gradient):
    return _score_gradient(scores, values, mask, torch.ones_like(context_gradient))


score_gradient = CodeExercise(
    name="attention.score_gradient",
    title="What gradient descent tells a score",
    minutes=25,
    difficulty=4,
    statement="""The last of the five steps is gradient descent on the score layer. What reaches a
single score? For one sentence, the forward pass is

$$w = \\text{softmax}(s), \\quad c = \\sum_k w_k \\, v_k.$$

Here $s_k$ is the score of key $k$, $w_k$ its weight, and $v_k$ its value, a vector. $c$ is the
context vector. Back-propagation has come as far as $c$: you know $g = \\partial L / \\partial c$,
the gradient of the loss $L$, a vector as long as a value. Give $\\partial L / \\partial s_k$ for
every key, by formula, without autograd. A masked key has weight 0, and its gradient is 0.

When you have it, look at the signs. When does a score rise in gradient descent? (Then compare
with autograd: `torch.autograd.grad((context * g).sum(), scores)`.)""",
    stub='''def score_gradient(scores, values, mask, context_gradient):
    """The gradient of the loss with respect to every score.

    scores: Float[Tensor, "batch source"], before mask and softmax.
    values: Float[Tensor, "batch source d_value"].
    mask: Bool[Tensor, "batch source"], True = may be attended to; each row has at
        least one True.
    context_gradient: Float[Tensor, "batch d_value"], the gradient of the loss with
        respect to the context vectors.
    Returns Float[Tensor, "batch source"].
    """
    ...
''',
    reference=_score_gradient,
    make_inputs=_scores_values_gradient,
    hints=(
        "Two steps back. First to the weights: c depends on w_k by v_k, so the gradient there is "
        "a_k, the dot product of g and v_k.",
        "Then through the softmax. A higher s_k raises w_k and lowers all other weights: the "
        "derivative of w_j by s_k is w_j (1 - w_k) where j is k, and -w_j w_k elsewhere. Sum "
        "over j: w_k (a_k - the weighted mean of all a_j).",
    ),
    misconceptions=(
        Misconception(
            "stops_at_the_weights",
            _sg_of_weights,
            "That is the gradient of the *weights*. One step is missing: back through the softmax.",
        ),
        Misconception(
            "no_mean",
            _sg_no_mean,
            "A higher score raises its own weight and lowers all the others. You leave out the "
            "others: take the weighted mean away. Your rows should sum to 0.",
        ),
        Misconception(
            "own_weight_only",
            _sg_only_diagonal,
            "w (1 - w) is how a weight depends on its *own* score, as in a sigmoid. Each score "
            "also moves all the other weights.",
        ),
        Misconception(
            "plain_mean",
            _sg_plain_mean,
            "You take the plain mean over the keys away. It is the *weighted* mean: then the rows "
            "sum to 0.",
        ),
        Misconception(
            "no_weight",
            _sg_no_weight,
            "The difference to the weighted mean is right, but the weight in front is missing. A "
            "key that nobody looks at learns nothing.",
        ),
        Misconception(
            "no_weight_but_masked",
            _sg_no_weight_masked,
            "The difference to the weighted mean and the mask are right. The weight in front is "
            "missing: a key with a small weight learns little.",
        ),
        Misconception(
            "no_mask",
            _sg_no_mask,
            "The formula is right, but the mask is not used: the masked keys take weight.",
        ),
        Misconception(
            "mask_afterwards",
            _sg_mask_afterwards,
            "You mask the result. The masked keys have taken weight in the softmax all the same. "
            "Mask the scores, before it.",
        ),
        Misconception(
            "downhill",
            _sg_downhill,
            "The sign is wrong. That is the way down, which gradient descent goes. Asked for is "
            "the gradient, which points up.",
        ),
        Misconception(
            "forgets_the_gradient",
            _sg_sum_of_values,
            "You add up the numbers of each value. The gradient that comes from above says how "
            "much each of them matters: take the dot product with it.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[0.3, 5.0, -1.0]]).double(),
            torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]).double(),
            torch.tensor([[False, False, True]]),
            torch.tensor([[1.0, -2.0]]).double(),
        ),
        (
            torch.tensor([[900.0, 0.0]]).double(),
            torch.tensor([[[1.0], [3.0]]]).double(),
            torch.tensor([[True, True]]),
            torch.tensor([[7.0]]).double(),
        ),
    ),
)

# ----------------------------------------------------------------------- 5 only to the right


def _stop_probs(generator):
    return (torch.rand(4, 6, generator=generator, dtype=torch.float64) * 0.9 + 0.05,)


def _walk_right(stop_probs):
    weights = torch.zeros_like(stop_probs)
    start = torch.zeros_like(stop_probs[0])
    start[0] = 1
    for step, probs in enumerate(stop_probs):
        walking = 0.0  # the probability of coming to this place, still undecided
        for place, prob in enumerate(probs):
            walking = walking + start[place]
            weights[step, place] = prob * walking
            walking = (1 - prob) * walking
        start = weights[step]
    return weights


def _wr_again_from_the_start(stop_probs):
    return torch.cat([_walk_right(row[None]) for row in stop_probs])


def _wr_must_move(stop_probs):
    weights = torch.zeros_like(stop_probs)
    start = torch.zeros_like(stop_probs[0])
    start[0] = 1
    for step, probs in enumerate(stop_probs):
        walking = 0.0
        for place, prob in enumerate(probs):
            walking = walking + start[place]
            weights[step, place] = prob * walking
            walking = (1 - prob) * walking
        start = torch.cat([start.new_zeros(1), weights[step, :-1]])
    return weights


def _wr_shares(stop_probs):
    return stop_probs / stop_probs.sum(dim=1, keepdim=True)


def _wr_rows_sum_to_one(stop_probs):
    weights = _walk_right(stop_probs)
    return weights / weights.sum(dim=1, keepdim=True)


def _wr_nobody_leaves(stop_probs):
    weights = torch.zeros_like(stop_probs)
    start = torch.zeros_like(stop_probs[0])
    start[0] = 1
    for step, probs in enumerate(stop_probs):
        last = torch.cat([probs[:-1], probs.new_ones(1)])  # nobody walks off the end
        row = torch.zeros_like(probs)
        walking = 0.0
        for place, prob in enumerate(last):
            walking = walking + start[place]
            row[place] = prob * walking
            walking = (1 - prob) * walking
        weights[step] = start = row
    return weights


def _wr_nobody_stops(stop_probs):
    weights = torch.zeros_like(stop_probs)
    start = torch.zeros_like(stop_probs[0])
    start[0] = 1
    for step, probs in enumerate(stop_probs):
        weights[step] = start = probs * start.cumsum(dim=0)
    return weights


def _wr_one_step(stop_probs):
    weights = torch.zeros_like(stop_probs)
    start = torch.zeros_like(stop_probs[0])
    start[0] = 1
    for step, probs in enumerate(stop_probs):
        passed = torch.cat([start.new_zeros(1), ((1 - probs) * start)[:-1]])
        weights[step] = start = probs * (start + passed)
    return weights


def _wr_most_likely(stop_probs):
    weights = torch.zeros_like(stop_probs)
    place = 0
    for step, probs in enumerate(stop_probs):
        while place < len(probs) and probs[place] <= 0.5:
            place += 1
        if place < len(probs):
            weights[step, place] = 1
    return weights


def _wr_stop_swapped(stop_probs):
    return _walk_right(1 - stop_probs)


def _wr_divides(stop_probs):
    weights = torch.zeros_like(stop_probs)
    start = torch.zeros_like(stop_probs[0])
    start[0] = 1
    for step, probs in enumerate(stop_probs):
        passed = torch.cat([probs.new_ones(1), (1 - probs)[:-1].cumprod(dim=0)])
        weights[step] = start = probs * passed * (start / passed).cumsum(dim=0)
    return weights


def _wr_arrivals(stop_probs):
    weights = torch.zeros_like(stop_probs)
    start = torch.zeros_like(stop_probs[0])
    start[0] = 1
    for step, probs in enumerate(stop_probs):
        walking = 0.0
        arrived = torch.zeros_like(probs)
        for place, prob in enumerate(probs):
            arrived[place] = walking + start[place]
            walking = (1 - prob) * arrived[place]
        weights[step] = arrived
        start = probs * arrived
    return weights


walk_right = CodeExercise(
    name="attention.walk_right",
    title="Attention that only walks to the right",
    minutes=45,
    difficulty=5,
    statement="""When somebody speaks and somebody writes it down, nothing changes its order.
Attention may then walk from left to right, and read while the source is still coming in. Raffel
et al. (2017) built it so:

- At each step $t$ of the decoder the walk begins where it stopped at the step before; at the first
  step it begins at place 0.
- At a place $s$ it stops with probability $p_{ts}$. Otherwise it goes one place to the right, and
  decides anew there.
- Where it stops, there the decoder looks: at this place alone. It may stop where it began.
- Whoever walks off the right end looks at nothing, at this step and at all later ones.

Such a walk has no gradient. So train with what it does *on average*: let $w_{ts}$ be the
probability that the walk stops at place $s$ at step $t$. Compute all of them, exactly, without
simulating. The stopping probabilities may be 0 or 1. The number of your operations should grow
with steps times places: trying all paths is out of the question.""",
    stub='''def walk_right(stop_probs):
    """Where a walk that only goes to the right stops, on average.

    stop_probs: Float[Tensor, "target source"], from 0 to 1; stop_probs[t, s] is the
        probability of stopping at place s at step t, if the walk comes there.
    Returns Float[Tensor, "target source"]; row t sums to the probability that the walk
        has not left the right end by step t.
    """
    ...
''',
    reference=_walk_right,
    make_inputs=_stop_probs,
    hints=(
        "Keep q, the probability that the walk *comes to* a place at this step. It comes there in "
        "one of two ways: it begins there, or it was one place to the left and did not stop.",
        "In symbols: q(t, s) = w(t-1, s) + (1 - p(t, s-1)) q(t, s-1), and w(t, s) = p(t, s) "
        "q(t, s). Before the first step w is 1 at place 0. Two loops, steps outside and places "
        "inside.",
    ),
    misconceptions=(
        Misconception(
            "again_from_the_start",
            _wr_again_from_the_start,
            "Each of your steps begins at place 0. A walk begins where it stopped before: start "
            "from the row above.",
        ),
        Misconception(
            "must_move",
            _wr_must_move,
            "Your walk goes on by at least one place at each step. It may stop where it began.",
        ),
        Misconception(
            "shares",
            _wr_shares,
            "You divide each row by its sum. The walk decides place by place: a place far to the "
            "right is only reached by those who did not stop before.",
        ),
        Misconception(
            "rows_sum_to_one",
            _wr_rows_sum_to_one,
            "Nearly: you divide each row by its sum. But some walks have left the right end, and "
            "they look at nothing.",
        ),
        Misconception(
            "nobody_leaves",
            _wr_nobody_leaves,
            "Your walk always stops at the last place. It should walk off the end there unless it "
            "stops.",
        ),
        Misconception(
            "those_who_stopped_go_on",
            _wr_nobody_stops,
            "You add up all who began to the left. Those among them who have stopped on the way "
            "do not come here.",
        ),
        Misconception(
            "one_place_a_step",
            _wr_one_step,
            "Your walk goes on by at most one place at each step. It may go on for as long as it "
            "does not stop.",
        ),
        Misconception(
            "most_likely",
            _wr_most_likely,
            "You follow one walk, which stops where that is more likely than not. Asked for is "
            "the average of all walks.",
        ),
        Misconception(
            "stop_and_go",
            _wr_stop_swapped,
            "You go on with the probability of stopping. It is the other way round.",
        ),
        Misconception(
            "arrivals",
            _wr_arrivals,
            "Those are the probabilities of *coming to* a place. Multiply by that of stopping "
            "there.",
        ),
        Misconception(
            "divides",
            _wr_divides,
            "Right for ordinary probabilities. Where one is exactly 1, nobody passes, and you "
            "divide by 0. Go from place to place instead.",
        ),
    ),
    edge_cases=(
        (torch.tensor([[1.0, 0.3, 0.6], [0.5, 1.0, 0.2], [0.0, 0.5, 1.0]]).double(),),
        (torch.tensor([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]).double(),),
        (torch.ones(3, 2, dtype=torch.float64),),
    ),
)
