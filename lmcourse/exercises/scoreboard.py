"""Exercises of chapter 10: what can be compared, what it costs, and how processes share a job."""

import math
import statistics
from collections import Counter

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

two_speeds = Number(
    name="scoreboard.two_speeds",
    title="Who is through the book first?",
    minutes=3,
    difficulty=1,
    question=(
        "Model A reads 20,000 tokens a second; its tokens are words. Model B reads 60,000 tokens a "
        "second; its tokens are characters. In this text a word, with the space behind it, has 6 "
        "characters. Divide the seconds that B needs for the text by the seconds that A needs."
    ),
    answer=2,
    tolerance=0.01,
    unit="times",
    why=(
        "A book of 600,000 characters has 100,000 words: 5 seconds for A, 10 seconds for B. Tokens "
        "a second are like bits per token: they compare models that cut the text in the same way."
    ),
    wrong=(
        WrongAnswer(
            0.5,
            "That is A's time over B's. Asked for is B's time over A's.",
        ),
        WrongAnswer(
            3,
            "That is 60,000 over 20,000, as if the tokens were of one kind. One of A is as long "
            "as six of B.",
        ),
        WrongAnswer(
            1 / 3,
            "That is 20,000 over 60,000, as if the tokens were of one kind. One of A is as long "
            "as six of B.",
        ),
        WrongAnswer(
            6,
            "B has six times as many tokens to read. It also reads more of them a second.",
        ),
        WrongAnswer(
            18,
            "You multiply the two. B has six times as many tokens, and is *faster* with each.",
        ),
        WrongAnswer(
            1 / 18,
            "You divide by both. A's tokens are larger, but it reads *fewer* of them a second.",
        ),
        WrongAnswer(
            7 / 3,
            "You count the space once more. It is among the six.",
        ),
        WrongAnswer(
            5 / 3,
            "You leave the space out. It is a token of B, too, and must be read.",
        ),
    ),
)

_DRAW = "every process draws its own sentences"
_READ = "every process computes log P of its own tokens"
_WEIGH = (
    "the processes tell each other how many tokens they have; each divides its sum of minus "
    "log P by the mean of these numbers"
)
_BACK = "every process computes the gradient of what it has now"
_JOIN = "in every process the mean of all gradients takes the place of its own"
_CLIP = "every process shortens the gradient, if it is longer than allowed"
_ADAM = "every process changes its weights with Adam"

joined_step = Order(
    name="scoreboard.joined_step",
    title="One step, several processes",
    minutes=3,
    difficulty=2,
    question=(
        "Several processes train one model together. Each holds all weights. Put one step in "
        "order, so that all do what one process would do with all the sentences."
    ),
    items=(_DRAW, _READ, _WEIGH, _BACK, _JOIN, _CLIP, _ADAM),
    why=(
        "Only two of these steps need the others: a few numbers of tokens, and the gradient, which "
        "is as long as the model is large. All the rest is the same code as before. As "
        "all begin with the same weights and take the same step, they need not be sent again."
    ),
    wrong=(
        WrongAnswer(
            (_DRAW, _READ, _WEIGH, _BACK, _CLIP, _JOIN, _ADAM),
            "One process would shorten the gradient of *all* sentences. If each shortens its own "
            "first, the mean has another length and another direction.",
        ),
        WrongAnswer(
            (_DRAW, _READ, _WEIGH, _BACK, _CLIP, _ADAM, _JOIN),
            "The gradient is joined after it was used. By then every process has weights of its "
            "own, and they drift apart.",
        ),
        WrongAnswer(
            (_DRAW, _READ, _WEIGH, _BACK, _JOIN, _ADAM, _CLIP),
            "The gradient is shortened after it was used.",
        ),
        WrongAnswer(
            (_DRAW, _READ, _BACK, _WEIGH, _JOIN, _CLIP, _ADAM),
            "What is divided after the gradient was computed does not change the gradient.",
        ),
        WrongAnswer(
            (_DRAW, _WEIGH, _READ, _BACK, _JOIN, _CLIP, _ADAM),
            "There is no sum of minus log P to divide yet.",
        ),
        WrongAnswer(
            (_DRAW, _READ, _WEIGH, _JOIN, _BACK, _CLIP, _ADAM),
            "There is no gradient yet that could be joined.",
        ),
    ),
)

what_may_be_lost = Choice(
    name="scoreboard.what_may_be_lost",
    title="A run that is killed",
    minutes=3,
    difficulty=2,
    question=(
        "A training run is killed after 700 of 1,000 steps. It goes on from its checkpoint, and "
        "should end with exactly the weights of a run that was never killed. The weights and the "
        "number of the step are in the checkpoint. What else can be *left out*?"
    ),
    options=(
        Option(
            "the gradients of step 700",
            correct=True,
            why=(
                "Step 700 has used them. Step 701 sets them to zero and computes its own, from the "
                "weights and the next sentences. What they leave behind is in Adam's two averages."
            ),
        ),
        Option(
            "Adam's two running averages of the gradients",
            why=(
                "They hold what the earlier steps have left. From zero, step 701 would go another "
                "way and another distance."
            ),
        ),
        Option(
            "the state of the generator that shuffles the sentences",
            why=(
                "Then the run begins the text anew in another order. It reads some sentences a "
                "second time, and others not at all."
            ),
        ),
        Option(
            "the weights that were best on the development text so far",
            why=(
                "If step 500 was the best of all, the finished run gives back the weights of step "
                "500. After step 700 they stand nowhere else."
            ),
        ),
    ),
)

chosen_on_the_test = Choice(
    name="scoreboard.chosen_on_the_test",
    title="The bar, and how it was chosen",
    minutes=3,
    difficulty=2,
    question=(
        "Somebody fits eight n-gram models, of order 1 to 8. The one with the fewest bits on the "
        "*test* text enters the scoreboard, with these bits. The LSTM beside it was stopped where "
        "it was best on the *development* text. What is wrong with this comparison?"
    ),
    options=(
        Option(
            "The n-gram's number is too good.",
            correct=True,
            why=(
                "Each of the eight numbers is partly luck: this test text, and no other. The "
                "smallest of eight tends to be one that was lucky. With eight orders the error "
                "is small; with a thousand settings it is not. Choose on the development text, "
                "and look at the test text once."
            ),
        ),
        Option(
            "The LSTM's number is too good.",
            why=(
                "It was stopped without a look at the test text. The bits on the *development* "
                "text would be too good. These are not shown."
            ),
        ),
        Option(
            "Nothing: the n-gram model counts in the training text only.",
            why=(
                "The counts come from there. The order does not: it is a setting, and the test "
                "text has set it."
            ),
        ),
        Option(
            "The n-gram model has one seed, and the LSTM has several.",
            why=(
                "Counting has no chance in it: on the same text one run says all. That cannot make "
                "a number better or worse."
            ),
        ),
    ),
)

lost_in_bfloat16 = Predict(
    name="scoreboard.lost_in_bfloat16",
    title="A small step in sixteen bits",
    minutes=4,
    difficulty=2,
    question=(
        "`bfloat16` keeps 8 binary digits of a number. So the numbers that it has between 1 and 2 "
        "lie 1/128 apart. Every result is rounded to the nearest one. What does this print?"
    ),
    code=(
        "import torch\n"
        "\n"
        "for dtype in (torch.float32, torch.bfloat16):\n"
        "    weight = torch.tensor(1.0, dtype=dtype)\n"
        "    for _ in range(256):\n"
        "        weight += 1 / 1024\n"
        "    print(weight.item())"
    ),
    why=(
        "256 / 1024 is 1/4, and `float32` has room for every step of it. In `bfloat16` 1 + 1/1024 "
        "is nearer to 1 than to 1 + 1/128. So it is 1 again, 256 times. Training takes small "
        "steps: that is why the weights stay in `float32`, and only the products are made in "
        "`bfloat16`."
    ),
    wrong=(
        WrongAnswer(
            "1.25\n1.25",
            "1.25 itself is a `bfloat16`. But the sum is rounded after *every* step. What is the "
            "first one rounded to?",
        ),
        WrongAnswer(
            "1.25\n3.0",
            "You round every step up, to 1/128. 1 + 1/1024 is rounded to the *nearest* number.",
        ),
        WrongAnswer(
            "1.25\n1.0078125",
            "That is one step of 1/128. 1 + 1/1024 is rounded down, and the next sum begins at 1 "
            "again: it never gets there.",
        ),
        WrongAnswer(
            "0.25\n0.0",
            "The weight begins at 1.",
        ),
        WrongAnswer(
            "0.25\n0.25",
            "The weight begins at 1. And the second one is rounded after every step.",
        ),
        WrongAnswer(
            "1.0\n1.25",
            "The other way round: `float32` comes first.",
        ),
        WrongAnswer(
            "1.0\n1.0",
            "`float32` keeps 24 binary digits. A step of 1/1024 is large for it.",
        ),
        WrongAnswer(
            "1.25\n1.2421875",
            "You let some of the steps count. Each begins at 1, and ends there: none counts.",
        ),
    ),
)

four_processes = Number(
    name="scoreboard.four_processes",
    title="Four processes, how much faster?",
    minutes=3,
    difficulty=2,
    question=(
        "Suppose that one process needs 240 milliseconds for a step with 64 sentences. Four "
        "processes share the 64: each computes with 16 of them, in a quarter of the time. Then it "
        "takes 40 milliseconds more until all gradients are joined. The *speed-up* is the old "
        "time of a step over the new one. The *efficiency* is the speed-up over the number of "
        "processes. What is the efficiency?"
    ),
    answer=0.6,
    tolerance=0.004,
    why=(
        "240 / 4 + 40 = 100 milliseconds. The speed-up is 2.4, and 2.4 / 4 = 0.6: six tenths of "
        "what four processes could do at best. If joining takes the same 40 for sixteen processes, "
        "a step takes 55, and the efficiency falls to 0.27. More sentences a step would help, but "
        "that is another training run."
    ),
    wrong=(
        WrongAnswer(2.4, "That is the speed-up. Divide it by the number of processes."),
        WrongAnswer(
            0.4,
            "That is the share of a step that goes into joining: 40 of 100 milliseconds. Asked "
            "for is what remains.",
        ),
        WrongAnswer(
            240 / 280,
            "That comes out if a step takes 240 + 40, or if it takes (240 + 40) / 4. The four "
            "share the computing: 60. Nobody shares the waiting: the 40 stay 40.",
        ),
        WrongAnswer(
            240 / 280 / 4,
            "You leave the work as it is: 240 + 40. Each process has a quarter of the sentences.",
        ),
        WrongAnswer(
            1,
            "That would be so if joining the gradients took no time.",
        ),
        WrongAnswer(
            4,
            "That would be the speed-up if joining the gradients took no time.",
        ),
        WrongAnswer(
            100 / 240,
            "That is the new time over the old one. The speed-up is the other way round.",
        ),
        WrongAnswer(
            240 / 70,
            "You divide the 40 milliseconds by 4 as well. All four wait for the joined gradient, "
            "the whole 40. And then divide the speed-up by the number of processes.",
        ),
        WrongAnswer(
            1.5,
            "That is computing over joining, 60 / 40. Find the new time of a step first: 60 + 40.",
        ),
    ),
)

does_it_fit = Number(
    name="scoreboard.does_it_fit",
    title="Does it fit on one GPU?",
    minutes=4,
    difficulty=2,
    question=(
        "A model of 7 billion parameters is trained with Adam. Every number is a `float32`, of 4 "
        "bytes. How many gigabytes ($10^9$ bytes) do the weights, their gradients and what Adam "
        "keeps need, before a single sentence is read?"
    ),
    answer=112,
    tolerance=0.5,
    unit="GB",
    why=(
        "Each parameter needs four numbers: the weight, its gradient, and Adam's running averages "
        "of the gradient and of its square. 7 * 4 * 4 = 112. A GPU of 80 GB cannot hold that, so "
        "such models share it out over several. Autocast with `bfloat16` changes nothing here: it "
        "keeps these four in `float32`, and saves at the products."
    ),
    wrong=(
        WrongAnswer(28, "That holds the weights alone. It is enough for writing text."),
        WrongAnswer(56, "Weights and gradients. Adam keeps numbers of its own."),
        WrongAnswer(
            84,
            "One number is missing. Adam keeps *two* running averages for every parameter: of the "
            "gradient, and of its square.",
        ),
        WrongAnswer(7, "That is one byte for every parameter. A `float32` has 4."),
        WrongAnswer(
            14,
            "That is what the weights need in 16 bits. Here they have 32, and are not alone.",
        ),
        WrongAnswer(896, "Those are gigabits: a byte has 8 bits."),
        WrongAnswer(
            140,
            "You count five numbers for every parameter. Adam's averages are two, with the weight "
            "and its gradient four.",
        ),
    ),
)

hours_of_training = Number(
    name="scoreboard.hours_of_training",
    title="What a larger model would take",
    minutes=5,
    difficulty=3,
    question=(
        "Two rules of thumb. To train a Transformer takes about 6 operations for each parameter "
        "and each token that is read: 2 on the way up, 4 on the way back (Kaplan et al., 2020). "
        "And it pays to read about 20 tokens for each parameter (Hoffmann et al., 2022). A GPU "
        "does $10^{14}$ operations a second, if it is used well. How many hours does it need to "
        "train a model of 1 billion ($10^9$) parameters?"
    ),
    answer=6 * 1e9 * 20e9 / 1e14 / 3600,
    tolerance=2,
    unit="hours",
    why=(
        "6 * `1e9` * `20e9` = `1.2e20` operations, `1.2e6` seconds, 333 hours: two weeks. Twice "
        "the parameters ask for twice the tokens, so the work is four times as much. Read the rule "
        "backwards: 100 times the work is best spent on 10 times the parameters *and* 10 times "
        "the text."
    ),
    wrong=(
        WrongAnswer(
            2 * 1e9 * 20e9 / 1e14 / 3600,
            "That is the way up alone. Training also goes back: 6 operations, not 2.",
        ),
        WrongAnswer(
            4 * 1e9 * 20e9 / 1e14 / 3600,
            "That is the way back alone. The way up takes 2 more.",
        ),
        WrongAnswer(
            8 * 1e9 * 20e9 / 1e14 / 3600,
            "The 6 are the sum of 2 and 4. There is nothing to add.",
        ),
        WrongAnswer(
            1e9 * 20e9 / 1e14 / 3600,
            "You have parameters times tokens. Each pair takes 6 operations.",
        ),
        WrongAnswer(
            6 * 1e9 * 1e9 / 1e14 / 3600,
            "You read one token for each parameter. The rule says 20.",
        ),
        WrongAnswer(
            6 * 20e9 / 1e14 * 1e9 / 60,
            "Those are minutes. Divide by 60 once more.",
        ),
        WrongAnswer(1.2e6, "Those are seconds. An hour has 3,600."),
        WrongAnswer(6 * 1e9 * 20e9 / 1e14 / 3600 / 24, "Those are days. Give hours."),
    ),
)

# ------------------------------------------------------------------------ 1 who is not beaten


def _seconds_and_bits(generator):
    def up_to(n):
        return int(torch.randint(n, (), generator=generator))

    time, low = 2 + up_to(3), 1 + up_to(2) / 2
    entrants = [
        (time, low + 2),  # not beaten: the fastest
        (time, low + 3),
        (time + 3, low + 1),  # not beaten, and there twice
        (time + 3, low + 1),
        (time + 5, low + 1),
        (time + 4, low + 2.5),
        (time + 6, low + 1.25),
        (time + 7, low + 2.75),
        (time + 9, low),  # not beaten: the best
        (time + 12, low),
        (time + 10 + up_to(2), low + 0.5),
        (time + 1 + up_to(2), low + 1.5 + up_to(4) / 8),
    ]
    shuffled = [entrants[i] for i in torch.randperm(len(entrants), generator=generator)]
    return [float(time) for time, _ in shuffled], [bits for _, bits in shuffled]


def _not_beaten(seconds, bits):
    entrants = list(zip(seconds, bits, strict=True))
    return [
        index
        for index, (time, score) in enumerate(entrants)
        if not any(
            other_time <= time
            and other_score <= score
            and (other_time, other_score) != (time, score)
            for other_time, other_score in entrants
        )
    ]


def _nb_with(beats, first=1, second=1, keep=lambda beaten: not beaten, itself=False):
    """`beats` compares an entrant with another; a factor of -1 turns the direction round."""

    def not_beaten(seconds, bits):
        entrants = [(first * t, second * b) for t, b in zip(seconds, bits, strict=True)]
        return [
            place
            for place, mine in enumerate(entrants)
            if keep(
                any(
                    beats(other, mine)
                    for number, other in enumerate(entrants)
                    if itself or number != place
                )
            )
        ]

    return not_beaten


def _nb_better(other, mine):
    return other[0] <= mine[0] and other[1] <= mine[1] and other != mine


def _nb_first_of_equals(seconds, bits):
    places = sorted(range(len(bits)), key=lambda i: (seconds[i], bits[i], i))
    kept, best = [], math.inf
    for place in places:
        if bits[place] < best:
            best = bits[place]
            kept.append(place)
    return sorted(kept)


def _nb_previous_only(seconds, bits):
    places = sorted(range(len(bits)), key=lambda i: (seconds[i], bits[i]))
    kept = places[:1]
    for before, place in zip(places, places[1:], strict=False):
        if bits[place] < bits[before]:
            kept.append(place)
    return sorted(kept)


def _nb_winners(seconds, bits):
    return [
        i
        for i in range(len(bits))
        if seconds[i] == min(seconds) or bits[i] == min(bits)
    ]


def _nb_product(seconds, bits):
    products = [t * b for t, b in zip(seconds, bits, strict=True)]
    return [i for i, product in enumerate(products) if product == min(products)]


not_beaten = CodeExercise(
    name="scoreboard.not_beaten",
    title="Who is not beaten?",
    minutes=10,
    difficulty=1,
    statement="""A scoreboard with two columns has no single winner. One model is fast, another is
good. But a model that is slower *and* worse than another one has no place of its own: nobody would
choose it.

Find the entrants that are not beaten. An entrant is **beaten** if some other one is at least as
good in both columns and better in at least one of them. In both columns less is better. Two
entrants with the same two numbers do not beat each other. (The entrants that are left are called
the *Pareto front*.)""",
    stub='''def not_beaten(seconds, bits):
    """Find the entrants that no other entrant beats.

    seconds: list[float], one for each entrant, at least one entrant; less is better.
    bits: list[float], of the same length; less is better.
    Returns list[int], the places of the entrants that are not beaten, from 0, in
        ascending order.
    """
    ...
''',
    reference=_not_beaten,
    make_inputs=_seconds_and_bits,
    hints=(
        "For each entrant ask: is there *any* other that beats it? Write down when one pair of "
        "numbers beats another pair. That takes three comparisons.",
        "The pair (t2, b2) beats (t1, b1) if `t2 <= t1 and b2 <= b1 and (t2, b2) != (t1, b1)`. "
        "Keep the entrant unless `any(...)` of the others does.",
    ),
    misconceptions=(
        Misconception(
            "equals_beat_each_other",
            _nb_with(lambda other, mine: other[0] <= mine[0] and other[1] <= mine[1]),
            "Two entrants with the same two numbers throw each other out. One that beats another "
            "must be *better* in at least one column.",
        ),
        Misconception(
            "beats_itself",
            _nb_with(
                lambda other, mine: other[0] <= mine[0] and other[1] <= mine[1],
                itself=True,
            ),
            "Nobody is left: every entrant is at least as good as itself. It must be beaten by one "
            "that is better in at least one column.",
        ),
        Misconception(
            "better_in_both",
            _nb_with(lambda other, mine: other[0] < mine[0] and other[1] < mine[1]),
            "You ask for one that is better in *both* columns. Who is equally fast and worse is "
            "beaten, too.",
        ),
        Misconception(
            "must_be_better",
            _nb_with(lambda other, mine: other[0] <= mine[0] and other[1] < mine[1]),
            "You ask for one that needs fewer *bits*, and is not slower. Who needs the same bits "
            "and more seconds is beaten, too.",
        ),
        Misconception(
            "must_be_faster",
            _nb_with(lambda other, mine: other[0] < mine[0] and other[1] <= mine[1]),
            "You ask for one that is *faster*, and needs no more bits. Who takes the same seconds "
            "and more bits is beaten, too.",
        ),
        Misconception(
            "better_in_one",
            _nb_with(lambda other, mine: other[0] < mine[0] or other[1] < mine[1]),
            "Being better in one column is not enough to beat another. It must not be worse in the "
            "other column.",
        ),
        Misconception(
            "more_bits_are_better",
            _nb_with(_nb_better, second=-1),
            "You look for many bits. Bits are what a model needs: less is better.",
        ),
        Misconception(
            "more_seconds_are_better",
            _nb_with(_nb_better, first=-1),
            "You look for many seconds. Less is better in both columns.",
        ),
        Misconception(
            "beats_nobody",
            _nb_with(_nb_better, first=-1, second=-1),
            "The comparison is the wrong way round: you have found those who *beat nobody*.",
        ),
        Misconception(
            "the_beaten",
            _nb_with(_nb_better, keep=bool),
            "Those are the ones that are beaten. Asked for are the others.",
        ),
        Misconception(
            "the_two_winners",
            _nb_winners,
            "Those are the best of each column, with those who are as good there. One that is "
            "second in both can still be beaten by nobody. And one that shares a best number can "
            "be beaten.",
        ),
        Misconception(
            "first_of_equals",
            _nb_first_of_equals,
            "Almost. Of two entrants with the same two numbers you keep one. Neither beats the "
            "other, so both stay.",
        ),
        Misconception(
            "previous_only",
            _nb_previous_only,
            "You sort by seconds and compare each with the one before it. It must be compared with "
            "the best of *all* that are before it.",
        ),
        Misconception(
            "product",
            _nb_product,
            "You multiply the columns, and take the smallest product. That makes one column of "
            "two, and with it a decision that is not asked for: how many seconds a bit is worth.",
        ),
        Misconception(
            "fastest_first",
            lambda seconds, bits: sorted(
                _not_beaten(seconds, bits), key=lambda place: seconds[place]
            ),
            "The right entrants, sorted by their seconds. Give their places in ascending order.",
        ),
        Misconception(
            "pairs",
            lambda seconds, bits: [
                (seconds[place], bits[place]) for place in _not_beaten(seconds, bits)
            ],
            "The right entrants, by their numbers. Give their places in the lists, from 0.",
        ),
        Misconception(
            "from_one",
            lambda seconds, bits: [place + 1 for place in _not_beaten(seconds, bits)],
            "The right entrants, counted from 1. The first place of a list is 0.",
        ),
    ),
    edge_cases=(
        ([3.0], [1.5]),
        ([2.0, 2.0, 2.0], [1.0, 1.0, 1.0]),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
    ),
)

# ----------------------------------------------------------------------- 2 seed against seed


def _bits_by_seed(generator):
    n_seeds = 5 + int(torch.randint(3, (), generator=generator))
    seeds = torch.randperm(20, generator=generator)[: n_seeds + 3].tolist()
    draw = torch.randn(3, n_seeds + 3, generator=generator, dtype=torch.float64)
    level = 2.5 + 0.3 * draw[0]
    ours = (level + 0.08 * draw[1]).tolist()
    theirs = (level + 0.06 + 0.08 * draw[2]).tolist()
    of_ours = dict(zip(seeds[:-2], ours[:-2], strict=True))
    shuffled = torch.randperm(n_seeds + 2, generator=generator).tolist()
    of_theirs = {seeds[1 + i]: theirs[1 + i] for i in shuffled}
    return of_ours, of_theirs


def _paired_gap(ours, theirs):
    gaps = [theirs[seed] - ours[seed] for seed in ours if seed in theirs]
    return statistics.fmean(gaps), statistics.stdev(gaps) / math.sqrt(len(gaps))


def _pg_with(
    pairs=lambda ours, theirs: [(ours[s], theirs[s]) for s in ours if s in theirs],
    gap=lambda left, right: right - left,
    mean=statistics.fmean,
    error=lambda gaps, ours, theirs: statistics.stdev(gaps) / math.sqrt(len(gaps)),
    answer=lambda mean, error: (mean, error),
):
    """Mean and error with one thing changed."""

    def paired_gap(ours, theirs):
        gaps = [gap(left, right) for left, right in pairs(ours, theirs)]
        return answer(mean(gaps), error(gaps, ours, theirs))

    return paired_gap


def _pg_by_position(ours, theirs):
    return list(zip(ours.values(), theirs.values(), strict=False))


def _pg_sorted(ours, theirs):
    return [
        (ours[left], theirs[right])
        for left, right in zip(sorted(ours), sorted(theirs), strict=False)
    ]


def _pg_two_errors(left, right):
    return math.sqrt(
        statistics.variance(left) / len(left) + statistics.variance(right) / len(right)
    )


def _pg_unpaired(gaps, ours, theirs):
    shared = [seed for seed in ours if seed in theirs]
    return _pg_two_errors([ours[s] for s in shared], [theirs[s] for s in shared])


def _pg_all_seeds(ours, theirs):
    left, right = list(ours.values()), list(theirs.values())
    mean = statistics.fmean(right) - statistics.fmean(left)
    return mean, _pg_two_errors(left, right)


paired_gap = CodeExercise(
    name="scoreboard.paired_gap",
    title="Seed against seed",
    minutes=15,
    difficulty=2,
    statement="""Two models were trained from several seeds. A seed moves the data and the
beginning, so one seed may be hard for *both*. If we compare the two means, this shared luck hides
the difference. So we compare seed by seed, and keep only the difference of each pair.

Some runs were lost, others at other seeds. Use the seeds that both models have. Return two numbers:

- the **gap**: the mean of (bits of theirs - bits of ours). It is above 0 if ours needs fewer bits.
- the **standard error** of this mean: how far it would typically move if all seeds were drawn
  anew. It is the standard deviation of the differences over the square root of their number. The
  standard deviation of $n$ numbers is estimated from a sample here, so its divisor is $n - 1$.

A gap of less than two standard errors may well be luck.""",
    stub='''def paired_gap(ours, theirs):
    """How many bits ours needs less than theirs, and how sure that is.

    ours: dict[int, float], the bits of our model by seed.
    theirs: dict[int, float], the bits of their model by seed; in any order. At least two
        seeds are in both; either may have seeds that the other has not.
    Returns (gap, standard error): two floats, in bits.
    """
    ...
''',
    reference=_paired_gap,
    make_inputs=_bits_by_seed,
    hints=(
        "Make a list first: one difference for each seed that is in both dictionaries. Both "
        "numbers come from this list alone.",
        "`[theirs[seed] - ours[seed] for seed in ours if seed in theirs]`. Then `statistics.fmean` "
        "and `statistics.stdev`, which has the divisor n - 1; and `math.sqrt(len(...))`.",
    ),
    misconceptions=(
        Misconception(
            "sign",
            _pg_with(gap=lambda left, right: left - right),
            "The sign is turned round. The gap is theirs minus ours: above 0 if *ours* needs fewer "
            "bits.",
        ),
        Misconception(
            "unpaired_error",
            _pg_with(error=_pg_unpaired),
            "The gap is right. Its error is that of two separate means. That holds if the seeds of "
            "the two have nothing in common. Here they share their luck, and it cancels in each "
            "difference: take the standard deviation of the *differences*.",
        ),
        Misconception(
            "all_seeds",
            _pg_all_seeds,
            "You compare the mean of all of theirs with the mean of all of ours. Then an easy seed "
            "that only one of them has moves the gap. Use the seeds that both have, pair by pair.",
        ),
        Misconception(
            "by_position",
            _pg_with(pairs=_pg_by_position),
            "You pair the first with the first, the second with the second. The dictionaries have "
            "different orders and different seeds. Pair by the key.",
        ),
        Misconception(
            "sorted_by_seed",
            _pg_with(pairs=_pg_sorted),
            "You sort both by seed and pair them off. As soon as one of them lacks a seed, all "
            "later pairs are of two different seeds. Pair by the key.",
        ),
        Misconception(
            "population",
            _pg_with(
                error=lambda gaps, *_: statistics.pstdev(gaps) / math.sqrt(len(gaps))
            ),
            "The gap is right. The standard deviation has the divisor n. The mean was taken from "
            "the same few numbers, so they lie too near to it: the divisor is n - 1.",
        ),
        Misconception(
            "no_root",
            _pg_with(error=lambda gaps, *_: statistics.stdev(gaps)),
            "The gap is right. The second number says how far one *seed* lies from the mean. A "
            "mean of n numbers is steadier: divide by the root of n.",
        ),
        Misconception(
            "no_square_root",
            _pg_with(error=lambda gaps, *_: statistics.stdev(gaps) / len(gaps)),
            "The gap is right. You divide the standard deviation by n. Divide by its square root: "
            "four times the seeds make the error half as large.",
        ),
        Misconception(
            "variance",
            _pg_with(error=lambda gaps, *_: statistics.variance(gaps) / len(gaps)),
            "The gap is right. The second number is the square of the standard error, in bits "
            "squared. Take the root.",
        ),
        Misconception(
            "root_of_all_seeds",
            _pg_with(
                error=lambda gaps, ours, theirs: (
                    statistics.stdev(gaps) / math.sqrt(len(ours))
                )
            ),
            "Almost. The number under the root is the number of *differences*. `ours` also has "
            "seeds that `theirs` lacks.",
        ),
        Misconception(
            "size_of_the_gap",
            _pg_with(gap=lambda left, right: abs(right - left)),
            "You take the size of each difference. Then two equal models would seem to be apart. "
            "Differences above and below 0 must cancel.",
        ),
        Misconception(
            "median",
            _pg_with(mean=statistics.median),
            "The first number is the median of the differences. Asked for is the mean; the error "
            "belongs to it.",
        ),
        Misconception(
            "sum",
            _pg_with(mean=math.fsum),
            "The first number is the sum of the differences. Divide it by their number.",
        ),
        Misconception(
            "in_errors",
            _pg_with(answer=lambda mean, error: (mean / error, error)),
            "The first number is the gap in standard errors. That is worth a look, but asked for "
            "is the gap in bits.",
        ),
        Misconception(
            "turned_round",
            _pg_with(answer=lambda mean, error: (error, mean)),
            "The right numbers in the wrong order: the gap first, then its error.",
        ),
        Misconception(
            "gap_only",
            _pg_with(answer=lambda mean, error: mean),
            "The gap is right. Return its standard error as well: `return gap, error`.",
        ),
    ),
    edge_cases=(
        ({3: 2.0, 1: 1.5}, {1: 1.75, 3: 2.5}),
        ({0: 1.0, 1: 2.0, 2: 1.25}, {2: 1.5, 1: 2.25, 0: 1.25, 7: 9.0}),
    ),
)

# ---------------------------------------------------------------------- 3 reaching the bar


def _curve_and_bar(generator):
    def up_to(n):
        return int(torch.randint(n, (), generator=generator))

    levels = [
        3.1,
        2.5,
        2.2,
        2.35,
        1.8,
        1.7,
        2.1,
        1.6,
        1.75,
    ]  # reached twice, with a rise before
    bits = [level + (up_to(101) - 50) / 1000 for level in levels]
    seconds, now = [], 0.0
    for _ in levels:
        now += (1 + now) * (2 + up_to(7)) / 5
        seconds.append(round(now, 2))
    return seconds, bits, 1.9 + up_to(11) / 100


def _reaches_the_bar(seconds, bits, bar):
    if bits[0] <= bar:
        return seconds[0]
    for late in range(1, len(bits)):
        early = late - 1
        if bits[late] <= bar:
            share = (bits[early] - bar) / (bits[early] - bits[late])
            return seconds[early] * (seconds[late] / seconds[early]) ** share
    return None


def _rb_with(
    places=lambda bits, bar: range(1, len(bits)),
    reached=lambda bits, place, bar: bits[place] <= bar,
    high=lambda bits, place: bits[place - 1],
    share_of=lambda high, low, bar: (high - bar) / (high - low),
    between=lambda early, late, share: early * (late / early) ** share,
    at_once=lambda seconds, bits, bar: seconds[0] if bits[0] <= bar else None,
    never=lambda seconds: None,
):
    """The time with one thing changed."""

    def reaches_the_bar(seconds, bits, bar):
        first = at_once(seconds, bits, bar)
        if first is not None:
            return first
        for place in places(bits, bar):
            if reached(bits, place, bar):
                share = share_of(high(bits, place), bits[place], bar)
                return between(seconds[place - 1], seconds[place], share)
        return never(seconds)

    return reaches_the_bar


def _rb_for_good(seconds, bits, bar):
    if bits[-1] > bar:
        return None
    for place in reversed(range(1, len(bits))):
        if bits[place - 1] > bar:
            share = (bits[place - 1] - bar) / (bits[place - 1] - bits[place])
            return seconds[place - 1] * (seconds[place] / seconds[place - 1]) ** share
    return seconds[0]


def _rb_at_the_best(seconds, bits, bar):
    best = min(bits)
    return seconds[bits.index(best)] if best <= bar else None


def _rb_bits_not_seconds(seconds, bits, bar):
    for value in bits:
        if value <= bar:
            return value
    return None


def _rb_nearest_point(seconds, bits, bar):
    if min(bits) > bar:
        return None
    return min(zip(seconds, bits, strict=True), key=lambda p: abs(p[1] - bar))[0]


reaches_the_bar = CodeExercise(
    name="scoreboard.reaches_the_bar",
    title="When does it reach the bar?",
    minutes=20,
    difficulty=2,
    statement="""The n-gram model is the bar: counted in seconds, and not bad. A network begins far
above it and gets better. *When* is it as good? It was measured only now and then, so the answer
lies between two measurements.

Draw the curve as a picture with a logarithmic time axis shows it: straight lines between the
points, where equal steps to the right *multiply* the seconds. In the middle between 10 and 40
seconds stand 20. Return the seconds at which this curve is at the bar, or below, for the first
time. The bits may rise in between, and the curve may leave the bar again later.

If the first point is at the bar or below, the answer is its time. If the curve never gets there,
the answer is `None`: nobody knows when it would.""",
    stub='''def reaches_the_bar(seconds, bits, bar):
    """When a learning curve is as good as the bar for the first time.

    seconds: list[float], when the model was measured, at least one; above 0, each larger
        than the one before.
    bits: list[float], what was measured, one for each time; less is better.
    bar: float, in bits.
    Returns the seconds, a float, or None if the curve does not reach the bar.
    """
    ...
''',
    reference=_reaches_the_bar,
    make_inputs=_curve_and_bar,
    hints=(
        "Find the first measurement at the bar or below. The one before it is above. Which share "
        "of the way down from one to the other is the bar? 0 is the earlier one, 1 the later.",
        "share = (bits before - bar) / (bits before - bits now). On a logarithmic axis the same "
        "share of the way in time is `early * (late / early) ** share`. Take care of a first point "
        "that is good already, and return `None` at the end.",
    ),
    misconceptions=(
        Misconception(
            "straight_seconds",
            _rb_with(between=lambda early, late, share: early + share * (late - early)),
            "You take the share of the seconds themselves. On a logarithmic axis they multiply: in "
            "the middle between 10 and 40 stand 20, not 25.",
        ),
        Misconception(
            "wrong_end",
            _rb_with(between=lambda early, late, share: late * (early / late) ** share),
            "You measure the share from the later point. A bar just below the earlier point is "
            "reached shortly after it.",
        ),
        Misconception(
            "straight_and_wrong_end",
            _rb_with(between=lambda early, late, share: late + share * (early - late)),
            "You measure the share from the later point, and in seconds. Begin at the earlier one, "
            "and let the seconds multiply.",
        ),
        Misconception(
            "next_measurement",
            _rb_with(between=lambda early, late, share: late),
            "That is the first *measurement* at the bar or below. The curve got there before: "
            "somewhere between this point and the one before it.",
        ),
        Misconception(
            "measurement_before",
            _rb_with(between=lambda early, late, share: early),
            "That is the last measurement above the bar. The curve gets there after it.",
        ),
        Misconception(
            "middle",
            _rb_with(between=lambda early, late, share: math.sqrt(early * late)),
            "You take the middle between the two measurements. Where the line meets the bar "
            "depends on the bits at its two ends.",
        ),
        Misconception(
            "nearest_point",
            _rb_nearest_point,
            "That is the measurement whose bits are nearest to the bar, maybe from above, maybe "
            "much later. Go along the curve, and stop where it meets the bar.",
        ),
        Misconception(
            "for_good",
            _rb_for_good,
            "That is where the curve goes below the bar for good. Asked for is the *first* time, "
            "even if it rises again later.",
        ),
        Misconception(
            "last_time",
            _rb_with(
                places=lambda bits, bar: [
                    place
                    for place in reversed(range(1, len(bits)))
                    if bits[place - 1] > bar
                ],
            ),
            "That is the *last* time that the curve comes down to the bar. Asked for is the first.",
        ),
        Misconception(
            "best_so_far",
            _rb_with(high=lambda bits, place: min(bits[:place])),
            "You go down from the best measurement so far. The line begins at the measurement just "
            "before, and that one may have been worse.",
        ),
        Misconception(
            "logarithm_of_bits",
            _rb_with(
                share_of=lambda high, low, bar: (
                    math.log(high / bar) / math.log(high / low)
                )
            ),
            "You take the logarithm of the bits as well. Only the time axis is logarithmic.",
        ),
        Misconception(
            "best_measurement",
            _rb_at_the_best,
            "That is when the model was best. It reached the bar earlier.",
        ),
        Misconception(
            "bits_of_the_point",
            _rb_bits_not_seconds,
            "Those are bits. Asked for is the time, in seconds.",
        ),
        Misconception(
            "strictly_below",
            _rb_with(
                reached=lambda bits, place, bar: bits[place] < bar,
                at_once=lambda seconds, bits, bar: (
                    seconds[0] if bits[0] < bar else None
                ),
            ),
            "Almost. A curve that touches the bar is as good as the bar: `<=`.",
        ),
        Misconception(
            "first_point_forgotten",
            _rb_with(at_once=lambda seconds, bits, bar: None),
            "Almost. The first point may be at the bar, or below it, and there is none before it. "
            "Then the answer is its time.",
        ),
        Misconception(
            "never_is_the_end",
            _rb_with(never=lambda seconds: seconds[-1]),
            "Almost. A curve that never gets there has no such time. Its last measurement is not "
            "one: return `None`.",
        ),
        Misconception(
            "never_is_infinite",
            _rb_with(never=lambda seconds: math.inf),
            "Almost. Where the curve ends above the bar, return `None`. We do not know that it "
            "would never get there.",
        ),
    ),
    edge_cases=(
        ([1.0, 10.0, 100.0], [3.0, 2.5, 2.25], 2.0),
        ([2.0, 8.0, 32.0], [1.75, 2.5, 1.5], 2.0),
        ([2.0, 8.0, 32.0, 64.0], [3.0, 2.0, 2.5, 1.5], 2.0),
        ([5.0], [2.0], 2.0),
        ([10.0, 40.0], [3.0, 1.0], 2.0),
    ),
)

# --------------------------------------------------------------------- 4 what was not said

_WORDS = ("if", "loop", "yield", "a", "tuple", "del", "lambda", "is")


def _words_and_spelling(generator):
    def drawn(n):
        return torch.rand(n, generator=generator, dtype=torch.float64).tolist()

    order = torch.randperm(len(_WORDS), generator=generator).tolist()
    words = [_WORDS[i] for i in order]
    known, unknown = words[:4], words[4:]
    sentences = [
        [known[0], unknown[0], known[1]],
        [unknown[1], unknown[0], known[2], known[0], unknown[1]],
        [known[3], known[1]],
        [unknown[2], known[0], known[2], unknown[3]],
    ]
    log_probs = [
        [-0.3 - 3 * share for share in drawn(len(sentence) + 1)]
        for sentence in sentences
    ]
    spelling = {
        word: -2.0 * (len(word) + 1) * (0.6 + share)
        for word, share in zip(words, drawn(len(words)), strict=True)
    }
    return sentences, log_probs, set(known), spelling


def _spell_the_unknown(sentences, log_probs, vocabulary, spelling):
    total, n_characters = 0.0, 0
    for words, of_tokens in zip(sentences, log_probs, strict=True):
        total += sum(of_tokens)
        total += sum(spelling[word] for word in words if word not in vocabulary)
        n_characters += len(" ".join(words)) + 1
    return -total / math.log(2) / n_characters


_LOG_2 = math.log(2)


def _su_with(
    of_tokens=lambda words, log_probs, vocabulary: sum(log_probs),
    of_letters=lambda words, vocabulary, spelling: sum(
        spelling[word] for word in words if word not in vocabulary
    ),
    count=lambda words, vocabulary: len(" ".join(words)) + 1,
    unit=_LOG_2,
    mean=lambda totals, counts: sum(totals) / sum(counts),
):
    """Bits a character with one thing changed."""

    def spell_the_unknown(sentences, log_probs, vocabulary, spelling):
        totals, counts = [], []
        for words, parts in zip(sentences, log_probs, strict=True):
            total = of_tokens(words, parts, vocabulary)
            total += of_letters(words, vocabulary, spelling)
            totals.append(-total / unit)
            counts.append(count(words, vocabulary))
        return mean(totals, counts)

    return spell_the_unknown


def _su_known(words, log_probs, vocabulary):
    """The words of the vocabulary, and the end."""
    kept = [
        part for word, part in zip(words, log_probs, strict=False) if word in vocabulary
    ]
    return sum(kept) + log_probs[-1]


def _su_once(sentences, log_probs, vocabulary, spelling):
    kinds = {word for words in sentences for word in words} - vocabulary
    total = sum(map(sum, log_probs)) + sum(spelling[word] for word in kinds)
    count = sum(len(" ".join(words)) + 1 for words in sentences)
    return -total / math.log(2) / count


def _su_no_letters(words, vocabulary, spelling):
    return 0.0


_FREE = (
    "You let the model off with `<unk>`. It has not said *which* word stands there: add what the "
    "letters cost."
)

spell_the_unknown = CodeExercise(
    name="scoreboard.spell_the_unknown",
    title="The unknown must pay",
    minutes=25,
    difficulty=3,
    statement="""A word model with `<unk>` looks better than it is. For a rare word it says "some
word that I do not know", which is cheap, and never says which one. So it cannot be compared with
a model that knows every word, or with one that writes characters.

Here is a remedy. Whenever a word is not in the vocabulary, the model must say `<unk>` *and then
spell the word*, letter by letter, with a small character model:

$$P(\\text{word}) = P(\\text{unknown}) \\cdot P(\\text{its letters and their end}).$$

Now the whole text has a probability. Return the bits a character of the whole text: all bits over
all characters. The characters are the letters of the words, a space between two words, and one
end for each sentence. (This is never too good: the letters could also spell a word that
is in the vocabulary, and that probability is wasted.)""",
    stub='''def spell_the_unknown(sentences, log_probs, vocabulary, spelling):
    """Bits a character of a word model that must spell the words it does not know.

    sentences: list of list[str], the words of each sentence, without its ends; at least
        one sentence, and at least one word in each.
    log_probs: list of list[float], for each sentence log P of every word, and of </s>
        at the end, in nats: one more than words. For a word that is not in the
        vocabulary it is log P of <unk>.
    vocabulary: set[str], the words that the model knows.
    spelling: dict[str, float], log P of the letters of a word and their end, in nats.
        It has every word of the sentences.
    Returns a float: bits for each letter, space and end of a sentence.
    """
    ...
''',
    reference=_spell_the_unknown,
    make_inputs=_words_and_spelling,
    hints=(
        "Two sums. The first is log P of everything: all of `log_probs`, and `spelling[word]` "
        "for each word that is not in the vocabulary, each time that it stands there. The second "
        "is the number of characters.",
        'A sentence has `len(" ".join(words)) + 1` characters. Divide once, at the end: minus the '
        "first sum, over log 2, over the second sum.",
    ),
    misconceptions=(
        Misconception("unknown_is_free", _su_with(of_letters=_su_no_letters), _FREE),
        Misconception(
            "letters_only",
            _su_with(of_tokens=_su_known),
            "The letters are paid, but `<unk>` itself is not. That there is an unknown word here, "
            "and not a known one, must be said as well: the two probabilities multiply.",
        ),
        Misconception(
            "spells_all",
            _su_with(
                of_letters=lambda words, vocabulary, spelling: sum(
                    spelling[word] for word in words
                )
            ),
            "You spell every word. A known word has its token, which says all.",
        ),
        Misconception(
            "spells_the_known",
            _su_with(
                of_letters=lambda words, vocabulary, spelling: sum(
                    spelling[word] for word in words if word in vocabulary
                )
            ),
            "You spell the words that are *in* the vocabulary. Spell the others.",
        ),
        Misconception(
            "leaves_them_out",
            _su_with(
                of_tokens=_su_known,
                of_letters=_su_no_letters,
                count=lambda words, vocabulary: sum(
                    len(word) + 1 for word in words if word in vocabulary
                ),
            ),
            "You leave the unknown words out, bits and characters. Then a model is measured on the "
            "words that it chose to know.",
        ),
        Misconception(
            "each_kind_once",
            _su_once,
            "You spell each *different* unknown word once. The model does not remember it: it is "
            "spelled each time that it stands there.",
        ),
        Misconception(
            "nats",
            _su_with(unit=1.0),
            "Those are nats a character. A bit is log 2 nats.",
        ),
        Misconception(
            "times_log_2",
            _su_with(unit=1 / math.log(2)),
            "From nats to bits you divide by log 2. You multiply.",
        ),
        Misconception(
            "letters_counted_alone",
            _su_with(count=lambda words, vocabulary: sum(map(len, words))),
            "You count the letters only. The spaces and the ends of the sentences belong to the "
            "text: the model has to say where a word ends.",
        ),
        Misconception(
            "no_end_counted",
            _su_with(count=lambda words, vocabulary: len(" ".join(words))),
            "Almost. The bits of `</s>` are in your sum, so the end of each sentence counts as a "
            "character, too.",
        ),
        Misconception(
            "no_spaces_counted",
            _su_with(count=lambda words, vocabulary: sum(map(len, words)) + 1),
            "You do not count the spaces between the words. They are characters of the text.",
        ),
        Misconception(
            "counts_unk_as_letters",
            _su_with(
                count=lambda words, vocabulary: (
                    len(" ".join(w if w in vocabulary else "<unk>" for w in words)) + 1
                )
            ),
            "You count the five characters of `<unk>` in place of those of the word. Count the "
            "characters of the text.",
        ),
        Misconception(
            "end_is_free",
            _su_with(
                of_tokens=lambda words, log_probs, vocabulary: sum(log_probs[:-1])
            ),
            "You leave out log P of `</s>`. Where a sentence ends must be said, too.",
        ),
        Misconception(
            "a_token",
            _su_with(count=lambda words, vocabulary: len(words) + 1),
            "Those are bits a *token*. Divide by the number of characters.",
        ),
        Misconception(
            "mean_of_sentences",
            _su_with(
                mean=lambda totals, counts: statistics.fmean(
                    total / count for total, count in zip(totals, counts, strict=True)
                )
            ),
            "You take the bits a character of each sentence, and the mean of these. Then a "
            "character of a short sentence counts more. All bits over all characters.",
        ),
        Misconception(
            "sign",
            _su_with(unit=-math.log(2)),
            "Almost. log P is below 0. Bits are *minus* log P.",
        ),
    ),
    edge_cases=(
        (
            [["a", "b"], ["b"]],
            [[-1.0, -2.0, -0.5], [-1.5, -0.25]],
            {"a", "b"},
            {"a": -4.0, "b": -5.0},
        ),
        ([["loops"]], [[-0.125, -0.5]], set(), {"loops": -12.0}),
    ),
)

# ------------------------------------------------------------------- 5 every process its part


def _documents_and_process(generator):
    def up_to(n):
        return int(torch.randint(n, (), generator=generator))

    world_size = 4 + up_to(3)
    n_documents = world_size * (2 + up_to(3)) + 1 + up_to(2)
    rank = (0, 2, world_size - 1, world_size - 1)[up_to(4)]
    return n_documents, rank, world_size, 2 + up_to(8), 3 + up_to(90)


def _who_reads_what(n_documents, rank, world_size, epoch, seed):
    chance = torch.Generator().manual_seed(seed + epoch)
    order = torch.randperm(n_documents, generator=chance).tolist()
    n_each = math.ceil(n_documents / world_size)
    return [
        order[place % n_documents]
        for place in range(rank, n_each * world_size, world_size)
    ]


def _permuted(n, seed):
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()


def _wr_with(
    seed_of=lambda seed, epoch, rank: seed + epoch,
    order_of=_permuted,
    fill=lambda order, missing: [order[i % len(order)] for i in range(missing)],
    take=lambda order, rank, world_size: order[rank::world_size],
):
    """The documents of a process with one thing changed."""

    def who_reads_what(n_documents, rank, world_size, epoch, seed):
        order = order_of(n_documents, seed_of(seed, epoch, rank))
        order = order + fill(order, -n_documents % world_size)
        return take(order, rank, world_size)

    return who_reads_what


def _wr_block(order, rank, world_size):
    size = len(order) // world_size
    return order[rank * size : (rank + 1) * size]


def _wr_own_part_shuffled(n_documents, rank, world_size, epoch, seed):
    n_each = math.ceil(n_documents / world_size)
    own = [i % n_documents for i in range(rank, n_each * world_size, world_size)]
    return [own[i] for i in _permuted(n_each, seed + epoch)]


def _wr_filled_first(n_documents, rank, world_size, epoch, seed):
    n_all = math.ceil(n_documents / world_size) * world_size
    filled = [place % n_documents for place in range(n_all)]
    return [filled[i] for i in _permuted(n_all, seed + epoch)][rank::world_size]


def _wr_cut(n_documents, rank, world_size, epoch, seed):
    order = _permuted(n_documents, seed + epoch)
    return order[: n_documents // world_size * world_size][rank::world_size]


who_reads_what = CodeExercise(
    name="scoreboard.who_reads_what",
    title="Who reads what?",
    minutes=30,
    difficulty=3,
    statement="""Several processes train together. Before each round through the text (an *epoch*)
each of them must know which documents it reads, and in which order. They do not ask each other:
each computes its own list, so that together the lists make sense.

- All begin with the same order of all documents, another one in each epoch:
  `torch.randperm(n_documents, generator=torch.Generator().manual_seed(seed + epoch))`.
- All lists have the same length, as short as is possible if no document is left out. A step joins
  the gradients of all processes. If one process had a document less, the others would wait for it
  for ever.
- So the order is filled up until it can be shared out: after its end it begins again with its own
  first document, then its second, and so on.
- Deal it out like cards: the first document to process 0, the second to process 1, and so on,
  round after round.

`shard` of the chapter does it more simply: it deals once, and leaves a rest that nobody reads. Here
somebody reads everything, a few documents are read twice, and the next epoch mixes anew.""",
    stub='''def who_reads_what(n_documents, rank, world_size, epoch, seed):
    """The documents that one process reads in one epoch.

    n_documents: int, at least 1; it may be smaller than world_size.
    rank: int, the number of the process, from 0 to world_size - 1.
    world_size: int, the number of processes, at least 1.
    epoch: int, from 0.
    seed: int, from 0, the same in all processes.
    Returns list[int], the numbers of the documents, from 0, in the order of reading.
    """
    ...
''',
    reference=_who_reads_what,
    make_inputs=_documents_and_process,
    hints=(
        "Write down the lists of all processes for 5 documents in the order 3, 0, 4, 1, 2 and 3 "
        "processes. How long is each? Which document is read twice, and by whom?",
        "The filled order has `math.ceil(n_documents / world_size) * world_size` places, and at "
        "`place` stands `order[place % n_documents]`. A process takes the places `rank`, `rank + "
        "world_size`, and so on: `range(rank, end, world_size)`.",
    ),
    misconceptions=(
        Misconception(
            "same_in_each_epoch",
            _wr_with(seed_of=lambda seed, epoch, rank: seed),
            "The epoch plays no part: every epoch has the same order, and always the same "
            "documents meet in one step.",
        ),
        Misconception(
            "epoch_alone",
            _wr_with(seed_of=lambda seed, epoch, rank: epoch),
            "The seed plays no part. Then another run reads in the same order, and it is no other "
            "run.",
        ),
        Misconception(
            "chance_of_its_own",
            _wr_with(seed_of=lambda seed, epoch, rank: seed + epoch + rank),
            "Each process shuffles in its own way, because `rank` is in the seed. Then some "
            "documents are read by several, and others by nobody. All need the same order.",
        ),
        Misconception(
            "seed_times_epoch",
            _wr_with(seed_of=lambda seed, epoch, rank: seed * epoch),
            "You multiply seed and epoch. Then in epoch 0 all seeds are the same. Add them.",
        ),
        Misconception(
            "not_shuffled",
            _wr_with(order_of=lambda n, seed: list(range(n))),
            "The documents come in the order of the text. Shuffle them first, all processes in the "
            "same way.",
        ),
        Misconception(
            "blocks",
            _wr_with(take=_wr_block),
            "Each process takes a block: the first the beginning of the order, the last its end. "
            "Deal it out like cards: every `world_size`-th document from `rank` on.",
        ),
        Misconception(
            "own_part_shuffled",
            _wr_own_part_shuffled,
            "You deal first and shuffle each part. Then a process has the same documents in each "
            "epoch. Shuffle all, then deal.",
        ),
        Misconception(
            "rest_is_left",
            _wr_cut,
            "You leave out the rest that cannot be shared out, as `shard` does. Here every "
            "document must be read: fill the order up.",
        ),
        Misconception(
            "unequal_lists",
            _wr_with(fill=lambda order, missing: []),
            "The lists are not equally long. The last processes end a step earlier, and the others "
            "wait for their gradients for ever. Fill the order up.",
        ),
        Misconception(
            "always_one_more",
            _wr_with(
                fill=lambda order, missing: [
                    order[i % len(order)] for i in range(missing or len(order))
                ]
            ),
            "Almost. Where the documents can be shared out without a rest, nothing is filled up.",
        ),
        Misconception(
            "filled_with_the_last",
            _wr_with(fill=lambda order, missing: order[-1:] * missing),
            "You fill up with the last document again and again. Begin the order once more from "
            "its start.",
        ),
        Misconception(
            "filled_with_the_first",
            _wr_with(fill=lambda order, missing: order[:1] * missing),
            "You fill up with the first document of the order again and again. After the first "
            "comes the second.",
        ),
        Misconception(
            "filled_from_the_end",
            _wr_with(fill=lambda order, missing: order[len(order) - missing :]),
            "You fill up with the last documents of the order. Begin it once more from its start.",
        ),
        Misconception(
            "filled_with_numbers",
            _wr_with(
                fill=lambda order, missing: [i % len(order) for i in range(missing)]
            ),
            "You fill up with documents 0, 1, 2, ... These are the first of the *text*. Take the "
            "first of the *order*: otherwise the same few are always read twice.",
        ),
        Misconception(
            "filled_first",
            _wr_filled_first,
            "You fill up first and shuffle then. Shuffle the documents, and begin the *shuffled* "
            "order again at its end.",
        ),
        Misconception(
            "filled_once",
            _wr_with(fill=lambda order, missing: order[:missing]),
            "Almost. With fewer documents than processes the order must be begun again more than "
            "once.",
        ),
    ),
    edge_cases=(
        (12, 1, 4, 3, 7),
        (2, 4, 5, 1, 3),
        (5, 0, 1, 0, 11),
        (7, 0, 3, 2, 5),
        (7, 2, 3, 2, 5),
        (8, 2, 3, 1, 5),
    ),
)

# ---------------------------------------------------------------------- 6 round and round


def _vectors_in_parts(generator):
    n_processes = 3 + int(torch.randint(3, (), generator=generator))
    shape = (n_processes, n_processes, 2)
    return (torch.randn(shape, generator=generator, dtype=torch.float64),)


def _ring(vectors):
    n_processes, states = len(vectors), [vectors]
    for number in range(2 * (n_processes - 1)):
        before, now = states[-1], states[-1].clone()
        for process in range(n_processes):
            receiver = (process + 1) % n_processes
            part = (process - number) % n_processes
            if number < n_processes - 1:
                now[receiver, part] += before[process, part]
            else:
                now[receiver, part] = before[process, part]
        states.append(now)
    return torch.stack(states)


def _rg_with(
    n_rounds=lambda n: 2 * (n - 1),
    receiver_of=lambda process, n: (process + 1) % n,
    part_of=lambda process, number, n: (process - number) % n,
    adds=lambda number, n: number < n - 1,
    answer=torch.stack,
):
    """The states with one thing changed."""

    def ring(vectors):
        n, states = len(vectors), [vectors]
        for number in range(n_rounds(n)):
            before, now = states[-1], states[-1].clone()
            for process in range(n):
                receiver, part = receiver_of(process, n), part_of(process, number, n)
                kept = now[receiver, part] if adds(number, n) else 0
                now[receiver, part] = kept + before[process, part]
            states.append(now)
        return answer(states)

    return ring


def _rg_anew(process, number, n):
    return (process - number % max(n - 1, 1)) % n


def _rg_whole_vectors(vectors):
    n, states = len(vectors), [vectors]
    for _ in range(2 * (n - 1)):
        states.append(states[-1] + states[-1].roll(1, dims=0))
    return torch.stack(states)


def _rg_writes_into_vectors(vectors):
    states = _ring(vectors)
    vectors[:] = states[-1]
    return torch.stack([vectors] * len(states))


def _rg_mean(states):
    return torch.stack([*states[:-1], states[-1] / len(states[-1])])


def _rg_running_mean(states):
    return torch.stack(states) / len(states[0])


ring = CodeExercise(
    name="scoreboard.ring",
    title="Add up in a ring",
    minutes=40,
    difficulty=4,
    statement="""Each of $n$ processes has a gradient, and all need the sum. If all sent theirs to
process 0, that one would receive $n - 1$ vectors, and the others would wait. There is a better way
(Patarasuk & Yuan, 2009). It is what the libraries below `DistributedDataParallel` often do.

The processes stand in a ring: process $p$ sends to $p + 1$ only, and the last one sends to 0. Each
cuts its vector into $n$ parts, numbered from 0. There are $2(n - 1)$ rounds, with numbers
$t = 0, 1, \\dots$ In round $t$ all processes send at the same time, each **one part**: process $p$
sends what it holds now of the part with number $(p - t)$, counted round the ring: -1 is the last
part.

- In the first $n - 1$ rounds the receiver **adds** what comes to its own part of that number.
- In the other $n - 1$ rounds it **puts it in the place** of its own.

Write it, and keep what all processes hold: at the beginning, and after each round. After $n - 1$
rounds each process has one part that is complete; find out which. In the second half these parts go
round.

At the end count: how many numbers has each process sent, if its vector has a million? Why does that
hardly grow with the number of processes?""",
    stub='''def ring(vectors):
    """Add the vectors of all processes in a ring, and keep every state on the way.

    vectors: Float[Tensor, "n n size"]: for each process, at least one, the n parts of its
        vector, of `size` numbers each. It stays as it is.
    Returns Float[Tensor, "rounds_and_one n n size"], rounds_and_one = 2 * (n - 1) + 1:
        what each process holds of each part, at the beginning and after each round. For
        n = 1 there is no round.
    """
    ...
''',
    reference=_ring,
    make_inputs=_vectors_in_parts,
    hints=(
        "Take three processes and one number a part, on paper. In round 0 process 0 sends part 0 "
        "to process 1, 1 sends part 1 to 2, and 2 sends part 2 to 0. In round 1 process 1 sends "
        "part 0 on: now it has the part 0 of two processes in it.",
        "Keep a list of states. In each round clone the last one; for each process the receiver is "
        "`(process + 1) % n` and the part `(process - number) % n`. Read from the state before, "
        "write into the clone: `+=` while `number < n - 1`, then `=`. `torch.stack` at the end.",
    ),
    misconceptions=(
        Misconception(
            "always_adds",
            _rg_with(adds=lambda number, n: True),
            "You add in the second half, too. There the parts are complete: who adds a complete "
            "part to its own counts some gradients twice. Put it in the place of the old one.",
        ),
        Misconception(
            "never_adds",
            _rg_with(adds=lambda number, n: False),
            "You put every part in the place of the old one. Then nothing is ever added up: in the "
            "first half the receiver adds.",
        ),
        Misconception(
            "adds_once_too_often",
            _rg_with(adds=lambda number, n: number < n),
            "You add for n rounds. A part visits n processes, and begins at one of them: "
            "that makes n - 1 additions.",
        ),
        Misconception(
            "adds_once_too_few",
            _rg_with(adds=lambda number, n: number < n - 2),
            "You stop adding one round too early. A part must collect from n - 1 others, so the "
            "first n - 1 rounds add.",
        ),
        Misconception(
            "the_other_way_round",
            _rg_with(receiver_of=lambda process, n: (process - 1) % n),
            "You send to the process *before*. Process p sends to p + 1. With the parts of this "
            "exercise the other direction does not add up.",
        ),
        Misconception(
            "part_counts_up",
            _rg_with(part_of=lambda process, number, n: (process + number) % n),
            "Your part is (p + t). What a process has just received is the part (p - 1): that is "
            "what it must send on in the next round. So the number goes down: (p - t).",
        ),
        Misconception(
            "always_its_own_part",
            _rg_with(part_of=lambda process, number, n: process),
            "Every process sends the same part in each round, the one with its own number. It must "
            "send on what it has just received: (p - t).",
        ),
        Misconception(
            "all_the_same_part",
            _rg_with(part_of=lambda process, number, n: number % n),
            "In your round t all send the part t. Then what was just added does not travel on. "
            "Process p sends the part (p - t).",
        ),
        Misconception(
            "second_half_anew",
            _rg_with(part_of=_rg_anew),
            "The second half begins with part p again. But that part is not complete at process p. "
            "The number just goes on: (p - t), with t counted through both halves.",
        ),
        Misconception(
            "whole_vectors",
            _rg_whole_vectors,
            "You send the whole vector in every round. Each process sends *one part*: that is what "
            "makes the ring cheap. (And your sums count some gradients many times.)",
        ),
        Misconception(
            "half_of_the_way",
            _rg_with(n_rounds=lambda n: n - 1),
            "That is the first half. Each process has one complete part now. In n - 1 more rounds "
            "these go round.",
        ),
        Misconception(
            "a_round_too_many",
            _rg_with(n_rounds=lambda n: 2 * n - 1),
            "One round too many. n - 1 rounds make the parts complete, and n - 1 send them round.",
        ),
        Misconception(
            "without_the_beginning",
            _rg_with(answer=lambda states: torch.stack(states[1:] or states)),
            "The first state is missing: what all hold before the first round.",
        ),
        Misconception(
            "end_only",
            _rg_with(answer=lambda states: states[-1]),
            "That is the last state. Keep all of them, and stack them.",
        ),
        Misconception(
            "one_tensor",
            _rg_with(answer=lambda states: torch.stack(states[-1:] * len(states))),
            "All your states are the last one. A list that holds one tensor many times shows its "
            "newest values everywhere: clone it before each round.",
        ),
        Misconception(
            "writes_into_vectors",
            _rg_writes_into_vectors,
            "You write into `vectors` itself. So whoever called you has lost it, and all your "
            "states are this one tensor, as it is at the end. Clone it before each round.",
        ),
        Misconception(
            "mean_at_the_end",
            _rg_with(answer=_rg_mean),
            "You divide the last state by n. That is what training needs afterwards. Asked for is "
            "the sum.",
        ),
        Misconception(
            "divided",
            _rg_with(answer=_rg_running_mean),
            "You divide by n. Asked for is the sum, and what is held on the way to it.",
        ),
    ),
    edge_cases=(
        (torch.tensor([[[1.0], [2.0]], [[10.0], [20.0]]]),),
        (torch.tensor([[[3.0, 4.0]]]),),
    ),
)

# -------------------------------------------------------------------------------- 7 BLEU


def _written_and_references(generator):
    def up_to(n):
        return int(torch.randint(n, (), generator=generator))

    words = ("토끼", "는", "곰", "을", "본다", "큰")
    written, references, cut = [], [], 1 + up_to(2)
    for length in [4 + i for i in torch.randperm(5, generator=generator).tolist()]:
        gold = [words[up_to(6)] for _ in range(length)]
        other = gold[:2] + [words[up_to(6)] for _ in range(up_to(6))] + gold[-2:]
        ours = list(gold)
        ours[up_to(length)] = words[up_to(6)]
        ours = ours[: length - up_to(2) * cut]
        if up_to(5) < 2:
            ours = [*ours, ours[0], ours[0]]
        written.append(" ".join(ours))
        references.append([" ".join(gold), " ".join(other)])
    return written, references


def _bleu(written, references):
    right, total = Counter(), Counter()
    n_written = n_gold = 0
    for text, golds in zip(written, references, strict=True):
        ours, golds = text.split(), [gold.split() for gold in golds]
        n_written += len(ours)
        n_gold += min(
            (len(gold) for gold in golds), key=lambda n: (abs(n - len(ours)), n)
        )
        for n in range(1, 5):
            counted, *allowed = (
                Counter(zip(*(words[i:] for i in range(n)), strict=False))
                for words in [ours, *golds]
            )
            total[n] += counted.total()
            right[n] += sum(
                min(count, max(gold[ngram] for gold in allowed))
                for ngram, count in counted.items()
            )
    if right[1] == 0 or total[4] == 0:
        return 0.0
    log_precision, without = 0.0, 0
    for n in range(1, 5):
        without += right[n] == 0
        log_precision += math.log((right[n] or 0.5**without) / total[n]) / 4
    penalty = min(0.0, 1 - n_gold / n_written)
    return 100 * math.exp(penalty + log_precision)


def _bl_ngrams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _bl_nearest(lengths, n_written):
    return min(lengths, key=lambda n: (abs(n - n_written), n))


def _bl_with(
    count=Counter,
    allowed=lambda counters, ngram: max(counter[ngram] for counter in counters),
    length=_bl_nearest,
    denominator=lambda counted, counters: counted.total(),
    orders=(1, 2, 3, 4),
    penalty=lambda n_gold, n_written: min(0.0, 1 - n_gold / n_written),
    precision=lambda right, total, without: (right or 0.5**without) / total,
    mean=lambda values: math.exp(math.fsum(map(math.log, values)) / len(values)),
    scale=100,
    enough=lambda right, total: right[0] > 0 and total[-1] > 0,
):
    """BLEU with one thing changed."""

    def bleu(written, references):
        right, total = [0] * len(orders), [0] * len(orders)
        n_written = n_gold = 0
        for text, golds in zip(written, references, strict=True):
            ours, golds = text.split(), [gold.split() for gold in golds]
            n_written += len(ours)
            n_gold += length([len(gold) for gold in golds], len(ours))
            for place, n in enumerate(orders):
                counted = count(_bl_ngrams(ours, n))
                counters = [count(_bl_ngrams(gold, n)) for gold in golds]
                total[place] += denominator(counted, counters)
                right[place] += sum(
                    min(number, allowed(counters, ngram))
                    for ngram, number in counted.items()
                )
        if not enough(right, total):
            return 0.0
        values, without = [], 0
        for ours, every in zip(right, total, strict=True):
            without += ours == 0
            values.append(precision(ours, every, without))
        if min(values) == 0:
            return 0.0
        return scale * math.exp(penalty(n_gold, n_written)) * mean(values)

    return bleu


def _bl_kinds(ngrams):
    return Counter(set(ngrams))


def _bl_mean_of_sentences(written, references):
    return statistics.fmean(
        _bleu([text], [golds]) for text, golds in zip(written, references, strict=True)
    )


def _bl_one_long_text(written, references):
    n_golds = min(map(len, references))
    golds = [" ".join(golds[i] for golds in references) for i in range(n_golds)]
    return _bleu([" ".join(written)], [golds])


def _bl_penalty_by_sentence(written, references):
    without = _bl_with(penalty=lambda n_gold, n_written: 0.0)(written, references)
    penalties = []
    for text, golds in zip(written, references, strict=True):
        ours = len(text.split())
        gold = _bl_nearest([len(gold.split()) for gold in golds], ours)
        penalties.append(math.exp(min(0.0, 1 - gold / ours)))
    return without * statistics.fmean(penalties)


def _bl_characters(written, references):
    return _bleu(
        [" ".join(text.replace(" ", "")) for text in written],
        [[" ".join(gold.replace(" ", "")) for gold in golds] for golds in references],
    )


def _bl_shorter_orders(written, references):
    longest = max(len(text.split()) for text in written)
    orders = tuple(range(1, min(longest, 4) + 1))
    return _bl_with(orders=orders)(written, references)


def _bl_pooled(written, references):
    """The counts of all sentences are compared, not those of each sentence."""
    right, total = [0] * 4, [0] * 4
    lengths = [
        (
            len(text.split()),
            _bl_nearest([len(g.split()) for g in golds], len(text.split())),
        )
        for text, golds in zip(written, references, strict=True)
    ]
    for n in range(1, 5):
        ours, allowed = Counter(), Counter()
        for text, golds in zip(written, references, strict=True):
            ours.update(_bl_ngrams(text.split(), n))
            most = Counter()
            for gold in golds:
                most |= Counter(_bl_ngrams(gold.split(), n))
            allowed.update(most)
        right[n - 1], total[n - 1] = (ours & allowed).total(), ours.total()
    if right[0] == 0 or total[3] == 0:
        return 0.0
    n_written, n_gold = map(sum, zip(*lengths, strict=True))
    value, without = min(0.0, 1 - n_gold / n_written), 0
    for ours, every in zip(right, total, strict=True):
        without += ours == 0
        value += math.log((ours or 0.5**without) / every) / 4
    return 100 * math.exp(value)


def _bl_first_reference(written, references):
    return _bleu(written, [golds[:1] for golds in references])


def _bl_best_reference(written, references):
    best = []
    for text, golds in zip(written, references, strict=True):
        scores = [_bleu([text], [[gold]]) for gold in golds]
        best.append([golds[scores.index(max(scores))]])
    return _bleu(written, best)


bleu = CodeExercise(
    name="scoreboard.bleu",
    title="BLEU, to the last digit",
    minutes=90,
    difficulty=5,
    statement="""The scoreboard's BLEU (Papineni et al., 2002) came from a library. Write it, so
that it gives the same number as `sacrebleu` does. It is one score for *all* sentences together.

**Right n-grams.** For $n$ = 1, 2, 3, 4: $t_n$ is the number of n-grams of tokens in what was
written, all sentences together. $r_n$ says how many of them are right. Within a sentence an n-gram
is right as often as it was written, but at most as often as it stands in *that one of its
references which has it most often*. So `는 는 는 는` cannot win with one `는`.

**Precision.** $p_n = r_n / t_n$. For some $n$ there may be no right n-gram. The first such $n$
counts as if half an n-gram were right: $p_n = 1 / (2 \\, t_n)$. The next one as a quarter,
$1 / (4 \\, t_n)$, and so on. If no single token is right, or if no sentence has four tokens, the
score is 0.

**Length.** A short translation has few n-grams to be wrong with. So let $c$ be the number of tokens
written, in all sentences. Let $r$ be the sum over the sentences of the length of that reference
which is nearest in length to what was written; of two that are equally near, the shorter one. The
penalty is $b = e^{1 - r/c}$ if $c < r$, and 1 otherwise.

$$\\text{BLEU} = 100 \\; b \\; (p_1 \\, p_2 \\, p_3 \\, p_4)^{1/4}$$

When it is right, compare it with `sacrebleu.corpus_bleu(..., tokenize="none")` on the translations
of the chapter. (Its references come the other way round: one list for each *place*, as long as the
list of translations.) Then let one model translate and another one shuffle the tokens of its
sentences. What do BLEU, chrF and exact match say of both?""",
    stub='''def bleu(written, references):
    """BLEU of a list of translations, as sacrebleu computes it.

    written: list[str], at least one; each at least one token, tokens with a space between.
    references: list of list[str], for each translation one or more gold translations, in
        tokens likewise. Not all need to have equally many.
    Returns a float from 0 to 100.
    """
    ...
''',
    reference=_bleu,
    make_inputs=_written_and_references,
    hints=(
        "Go through the sentences, and add up ten numbers: r and t for each n, and the two "
        "lengths. Only at the end divide, and only once. For an n-gram of a sentence you need "
        "`min(count in what was written, max(count in each reference))`.",
        "`Counter(zip(*(words[i:] for i in range(n))))` counts n-grams. The nearest length: "
        "`min(lengths, key=lambda n: (abs(n - len(ours)), n))`. At the end add logarithms: the "
        "mean of the four log p, and `min(0, 1 - r / c)`; then `100 * math.exp(...)`.",
    ),
    misconceptions=(
        Misconception(
            "mean_of_sentences",
            _bl_mean_of_sentences,
            "You compute BLEU for each sentence, and take the mean. Add the counts of all "
            "sentences first, and divide once.",
        ),
        Misconception(
            "no_limit",
            _bl_with(
                allowed=lambda counters, ngram: (
                    math.inf if any(ngram in counter for counter in counters) else 0
                )
            ),
            "An n-gram is right in your count as often as it was written, if it stands in a "
            "reference at all. It is right at most as often as it stands *there*.",
        ),
        Misconception(
            "sum_of_references",
            _bl_with(allowed=lambda counters, ngram: sum(c[ngram] for c in counters)),
            "You add up how often an n-gram stands in all references. The limit is the one "
            "reference that has it most often.",
        ),
        Misconception(
            "in_all_references",
            _bl_with(allowed=lambda counters, ngram: min(c[ngram] for c in counters)),
            "Your limit is the reference that has the n-gram *least* often. One that has it most "
            "often is enough.",
        ),
        Misconception(
            "first_reference",
            _bl_first_reference,
            "You use the first reference of each sentence only.",
        ),
        Misconception(
            "best_reference",
            _bl_best_reference,
            "You choose one reference for each sentence. Each n-gram may find its own: one in the "
            "first reference, another in the second.",
        ),
        Misconception(
            "each_kind_once",
            _bl_with(count=_bl_kinds),
            "You count each *different* n-gram of a sentence once. One that was written twice, and "
            "stands in a reference twice, is right twice.",
        ),
        Misconception(
            "recall",
            _bl_with(
                denominator=lambda counted, counters: counters[0].total(),
                enough=lambda right, total: min(right[0], *total) > 0,
            ),
            "You divide by the number of n-grams in the reference. That is recall. BLEU divides by "
            "the number that was *written*, and has the penalty for what is too short.",
        ),
        Misconception(
            "one_long_text",
            _bl_one_long_text,
            "You put all sentences one behind the other. Then there are n-grams across the ends of "
            "the sentences, and a token may be right in another sentence than its own.",
        ),
        Misconception(
            "pooled",
            _bl_pooled,
            "You add up the counts first and compare them then. So a token may be right because it "
            "stands in the reference of *another* sentence. Compare sentence by sentence, and add "
            "up what is right.",
        ),
        Misconception(
            "arithmetic_mean",
            _bl_with(mean=statistics.fmean),
            "You take the arithmetic mean of the four precisions. It is the geometric one: their "
            "product, to the power of 1/4.",
        ),
        Misconception(
            "product",
            _bl_with(mean=math.prod),
            "You multiply the four precisions, and take no root.",
        ),
        Misconception(
            "four_grams_only",
            _bl_with(orders=(4,), enough=lambda right, total: total[0] > 0),
            "You count n-grams of four tokens only. BLEU looks at 1, 2, 3 and 4.",
        ),
        Misconception(
            "up_to_three",
            _bl_with(orders=(1, 2, 3)),
            "You stop at n = 3: `range(1, 4)` ends before 4.",
        ),
        Misconception(
            "no_penalty",
            _bl_with(penalty=lambda n_gold, n_written: 0.0),
            "The penalty for what is too short is missing.",
        ),
        Misconception(
            "reward_for_length",
            _bl_with(penalty=lambda n_gold, n_written: 1 - n_gold / n_written),
            "Your penalty becomes a reward where more was written than the references have. It is "
            "at most 1.",
        ),
        Misconception(
            "penalty_for_length",
            _bl_with(
                penalty=lambda n_gold, n_written: min(0.0, 1 - n_written / n_gold)
            ),
            "You punish what is too *long*, because r and c have changed places. What is too long "
            "has wrong n-grams already.",
        ),
        Misconception(
            "penalty_in_proportion",
            _bl_with(
                penalty=lambda n_gold, n_written: min(0.0, math.log(n_written / n_gold))
            ),
            "Your penalty is c / r. It is e to the power of 1 - r / c.",
        ),
        Misconception(
            "penalty_by_sentence",
            _bl_penalty_by_sentence,
            "You take a penalty for each sentence, and the mean of them. A sentence may be short "
            "if another is long: the penalty comes once, from the lengths of all.",
        ),
        Misconception(
            "shortest_reference",
            _bl_with(length=lambda lengths, n_written: min(lengths)),
            "You take the length of the shortest reference. Take the one *nearest* to what was "
            "written.",
        ),
        Misconception(
            "longest_reference",
            _bl_with(length=lambda lengths, n_written: max(lengths)),
            "You take the length of the longest reference. Take the one *nearest* to what was "
            "written.",
        ),
        Misconception(
            "mean_length",
            _bl_with(length=lambda lengths, n_written: statistics.fmean(lengths)),
            "You take the mean length of the references. Take the one *nearest* to what was "
            "written.",
        ),
        Misconception(
            "length_of_the_first",
            _bl_with(length=lambda lengths, n_written: lengths[0]),
            "You take the length of the first reference. Take the one *nearest* to what was "
            "written.",
        ),
        Misconception(
            "characters",
            _bl_characters,
            "You count n-grams of characters, as chrF does. BLEU counts n-grams of tokens.",
        ),
        Misconception(
            "from_0_to_1",
            _bl_with(scale=1),
            "A hundred times too small: the score runs from 0 to 100.",
        ),
        Misconception(
            "longer_of_two",
            _bl_with(
                length=lambda lengths, n_written: min(
                    lengths, key=lambda n: (abs(n - n_written), -n)
                )
            ),
            "Almost. Where two references are equally near in length, the *shorter* one counts.",
        ),
        Misconception(
            "zero_stays_zero",
            _bl_with(precision=lambda right, total, without: right / total),
            "Almost. Where there is no right n-gram for some n, your score is 0. The first such n "
            "counts as half a right n-gram, the next as a quarter.",
        ),
        Misconception(
            "always_half",
            _bl_with(precision=lambda right, total, without: (right or 0.5) / total),
            "Almost. Only the *first* n without a right n-gram counts as half of one. The next "
            "counts as a quarter, the next as an eighth.",
        ),
        Misconception(
            "by_n",
            _bl_with(
                precision=lambda right, total, without: (
                    (right or (0.5 if without == 1 else 0.25)) / total
                )
            ),
            "Almost. After the half and the quarter comes an eighth.",
        ),
        Misconception(
            "adds_one",
            _bl_with(precision=lambda right, total, without: (right + 1) / (total + 1)),
            "You add one to what is right, and to all. That is another way out for n without a "
            "right n-gram. Here a precision that is above 0 stays as it is.",
        ),
        Misconception(
            "short_is_enough",
            _bl_shorter_orders,
            "Almost. Where no sentence has four tokens you stop at a smaller n. The score is 0 "
            "there: BLEU asks for n-grams of four.",
        ),
        Misconception(
            "nothing_is_right",
            _bl_with(enough=lambda right, total: total[-1] > 0),
            "Almost. Where not a single token is right, the score is 0, not half of something.",
        ),
    ),
    edge_cases=(
        (["a b c d"], [["a b c d"]]),
        (["a b c x", "c"], [["a b c d e", "a b"], ["c d"]]),
        (["a b x c"], [["a b y c"]]),
        (["a x b y"], [["b z z a"]]),
        (["x x x x x"], [["a b c d"]]),
        (["a b c"], [["a b c"]]),
        (["a b c d"], [["a b c", "a b c d e"]]),
        (["a b c d"], [["a b c d e f g h", "a b c d e"]]),
        (["a b c d e"], [["a b c", "a b c d e f"]]),
        (["a b c d e", "a a a a a"], [["a b c d e"], ["a", "a a b b c c d"]]),
    ),
)
