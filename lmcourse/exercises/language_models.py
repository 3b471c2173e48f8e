"""Exercises of chapter 1: bits, cross-entropy, decoding, and the most probable sentence."""

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
from lmcourse.exercises.compare import show

# ------------------------------------------------------------------------------------ 1. bits

surprise_in_bits = Number(
    name="language_models.surprise_in_bits",
    title="One surprise",
    minutes=2,
    difficulty=1,
    question=(
        "A model gave the word that came next a probability of 1/16. "
        "How large is its surprise, in bits?"
    ),
    answer=4.0,
    unit="bits",
    tolerance=0.01,
    why="1/16 is 1/2 multiplied four times by itself, and each halving costs one bit.",
    wrong=(
        WrongAnswer(
            16.0, "16 is the perplexity at this word; bits are its logarithm to base 2."
        ),
        WrongAnswer(8.0, "Count the halvings, not half of 16: 1/2, 1/4, 1/8, 1/16."),
        WrongAnswer(
            5.0, "One too many: 1/2 is one halving, 1/4 two, 1/8 three, 1/16 four."
        ),
        WrongAnswer(
            3.0, "One too few: 1/2 is one halving, 1/4 two, 1/8 three, 1/16 four."
        ),
        WrongAnswer(
            math.log(16), "That is in nats: the natural logarithm. Divide by ln 2."
        ),
        WrongAnswer(
            -4.0, "The logarithm of 1/16 is -4. Surprise has a minus sign in front."
        ),
        WrongAnswer(1 / 16, "That is the probability itself. Take its logarithm."),
    ),
)


def _probability_from_bits(bits_per_token, n_tokens):
    # The bits of the tokens add up. Each bit halves the probability.
    bits = bits_per_token * n_tokens
    return 2.0**-bits


def _one_token_only(bits_per_token, n_tokens):
    return 2.0**-bits_per_token


def _base_e(bits_per_token, n_tokens):
    return math.exp(-bits_per_token * n_tokens)


def _no_minus(bits_per_token, n_tokens):
    return 2.0 ** (bits_per_token * n_tokens)


def _one_perplexity_shared(bits_per_token, n_tokens):
    return 1 / (2.0**bits_per_token * n_tokens)


def _bits_divided(bits_per_token, n_tokens):
    return 2.0 ** (-bits_per_token / n_tokens)


def _one_over_bits(bits_per_token, n_tokens):
    return (1 / bits_per_token) ** n_tokens


probability_from_bits = CodeExercise(
    name="language_models.probability_from_bits",
    title="From bits back to a probability",
    minutes=10,
    difficulty=1,
    statement=(
        "The chapter goes from a sentence to its bits per token. Go back: a report says that a "
        "model needed `bits_per_token` bits per token on a sentence of `n_tokens` predicted "
        "tokens. Return the probability that the model gave to the whole sentence."
    ),
    stub='''def probability_from_bits(bits_per_token, n_tokens):
    """Return the probability of a whole sentence.

    bits_per_token: float, the mean surprise of the sentence's tokens, 0 or more.
    n_tokens: int, how many tokens were predicted, at least 1.
    Returns a float between 0 and 1.
    """
    ...
''',
    reference=_probability_from_bits,
    make_inputs=lambda generator: (
        0.3 + 0.5 * torch.rand((), generator=generator).item(),
        int(torch.randint(2, 6, (), generator=generator)),
    ),
    hints=(
        "Try it by hand: 2 tokens with 3 bits each. Which probability has each of them, and which "
        "have both together?",
        "How many bits does the whole sentence cost?",
        "b bits are b halvings: the probability is (1/2) to the power of b.",
    ),
    misconceptions=(
        Misconception(
            "one_token_only",
            _one_token_only,
            "Your answer does not change with the length of the sentence: it is the probability "
            "of one average token. Every token multiplies in another factor.",
        ),
        Misconception(
            "base_e",
            _base_e,
            "You raise e to a power. That undoes nats; the report is in bits, so the base is 2.",
        ),
        Misconception(
            "no_minus",
            _no_minus,
            "Your probability is above 1. Surprise is the logarithm with a minus sign, and the "
            "way back needs that minus too.",
        ),
        Misconception(
            "divided_by_length",
            _one_perplexity_shared,
            "You divide by the number of tokens. Probabilities of tokens are multiplied: the "
            "perplexity enters once for each token, as a power.",
        ),
        Misconception(
            "bits_divided",
            _bits_divided,
            "You divide the bits by the number of tokens. They are already bits per token; the "
            "whole sentence costs that many for each of its tokens.",
        ),
        Misconception(
            "one_over_bits",
            _one_over_bits,
            "You take 1 divided by the bits for the probability of a token. Bits are a logarithm: "
            "3 bits are not 1/3 but three halvings, 1/8.",
        ),
    ),
    edge_cases=((0.0, 7),),
)

perplexity_of_half_the_bits = Number(
    name="language_models.perplexity_of_half_the_bits",
    title="Half the bits",
    minutes=3,
    difficulty=1,
    question=(
        "On the same tokens model A needs 6 bits per token, and model B needs half of that. "
        "By which factor is B's perplexity smaller than A's?"
    ),
    answer=8.0,
    tolerance=0.01,
    why="A's perplexity is 2 to the 6, which is 64. B's is 2 to the 3, which is 8. 64 / 8 = 8.",
    wrong=(
        WrongAnswer(
            2.0,
            "The bits are halved, the perplexity is not. It is 2 to the power of the bits: "
            "compare `2**6` with `2**3`.",
        ),
        WrongAnswer(
            1 / 8,
            "You give B's perplexity divided by A's. How many times smaller is asked: 1 divided "
            "by that.",
        ),
        WrongAnswer(
            32.0, "Half of 64 is 32. But the bits are halved: B's perplexity is `2**3`."
        ),
        WrongAnswer(
            3.0, "The difference is 3 bits, and each bit is a factor of 2: 2 * 2 * 2."
        ),
        WrongAnswer(64.0, "64 is A's perplexity. Divide it by B's."),
    ),
)

# -------------------------------------------------------------------------- 2. measuring models


def _corpus_bits(log_probs):
    # One sum over all tokens, one division: so every token has the same weight.
    n_tokens = sum(len(sentence) for sentence in log_probs)
    nats = -sum(sum(sentence) for sentence in log_probs)
    return nats / n_tokens / math.log(2)


def _mean_of_means(log_probs):
    means = [sum(sentence) / len(sentence) for sentence in log_probs]
    return -sum(means) / len(means) / math.log(2)


def _in_nats(log_probs):
    return _corpus_bits(log_probs) * math.log(2)


def _both_faults(log_probs):
    return _mean_of_means(log_probs) * math.log(2)


def _per_sentence(log_probs):
    return -sum(sum(sentence) for sentence in log_probs) / len(log_probs) / math.log(2)


def _negative_bits(log_probs):
    return -_corpus_bits(log_probs)


def _times_ln_2(log_probs):
    return _corpus_bits(log_probs) * math.log(2) ** 2


def _means_times_ln_2(log_probs):
    return _mean_of_means(log_probs) * math.log(2) ** 2


def _ragged_log_probs(generator):
    lengths = torch.randperm(9, generator=generator)[:5] + 1
    return (
        [
            (
                -0.2
                - 4 * torch.rand(int(length), generator=generator, dtype=torch.float64)
            ).tolist()
            for length in lengths
        ],
    )


mend_corpus_bits = CodeExercise(
    name="language_models.mend_corpus_bits",
    title="Mend a broken measure",
    minutes=15,
    difficulty=2,
    statement=(
        "A colleague measures models with this function. It runs, but its numbers do not agree "
        "with `cross_entropy`. It has two faults.\n\n"
        "```python\n"
        "def corpus_bits(log_probs):\n"
        "    means = [sum(sentence) / len(sentence) for sentence in log_probs]\n"
        "    return -sum(means) / len(means)\n"
        "```\n\n"
        "`log_probs` holds a list for each sentence: the log probability of each of its tokens, "
        "in nats. Write it so that it returns bits per token."
    ),
    stub='''def corpus_bits(log_probs):
    """Return the cross-entropy of a text.

    log_probs: list of lists of floats; one list a sentence, one log probability
        a token, in nats. No list is empty.
    Returns a float, bits per token: every token of the text has the same weight.
    """
    ...
''',
    reference=_corpus_bits,
    make_inputs=_ragged_log_probs,
    hints=(
        "Try it by hand on two sentences, `[[-1], [-3, -3, -3]]`. What is the mean of the four "
        "numbers, and what does the broken function say?",
        "A token of a short sentence weighs more in the broken function than one of a long "
        "sentence. And which unit does it return?",
        "Sum the log probabilities of the whole text, divide once by the number of all tokens, "
        "then by math.log(2); change the sign.",
    ),
    misconceptions=(
        Misconception(
            "both_faults",
            _both_faults,
            "This is the broken function as it was. One fault is the unit, the other is the "
            "weight of the tokens.",
        ),
        Misconception(
            "mean_of_means",
            _mean_of_means,
            "The unit is right. But you still average within each sentence first, so a token of a "
            "short sentence counts more than a token of a long one.",
        ),
        Misconception(
            "in_nats",
            _in_nats,
            "Every token weighs the same now. But the result is in nats: divide by math.log(2).",
        ),
        Misconception(
            "per_sentence",
            _per_sentence,
            "You divide by the number of sentences: that is bits per sentence. Divide by the "
            "number of tokens.",
        ),
        Misconception(
            "negative",
            _negative_bits,
            "Your cross-entropy is negative. Surprise is the logarithm with a minus sign.",
        ),
        Misconception(
            "times_ln_2",
            _times_ln_2,
            "You multiply by ln 2. One nat is *more* than one bit (1.44 bits), so the number of "
            "bits is the larger one: divide by ln 2.",
        ),
        Misconception(
            "means_times_ln_2",
            _means_times_ln_2,
            "Two things. You multiply by ln 2; one nat is more than one bit, so divide. And you "
            "average within each sentence first, so tokens of short sentences count more.",
        ),
    ),
)

words_against_characters = Choice(
    name="language_models.words_against_characters",
    title="Two models, two kinds of token",
    minutes=4,
    difficulty=2,
    question=(
        "On the same text, a word model needs 6 bits per word and a character model needs 1.5 "
        "bits per character. A word has 5 characters on average, and a space follows it. "
        "Neither model has `<unk>`: both give a probability to the whole text. "
        "Which one is better at it?"
    ),
    options=(
        Option(
            "The word model",
            correct=True,
            why=(
                "6 bits for 6 characters (the space is one) are 1 bit per character, below 1.5."
            ),
        ),
        Option(
            "The character model, because 1.5 is less than 6",
            why="The two numbers have different units. A word costs once what six characters cost.",
        ),
        Option(
            "It cannot be said, because the tokens differ",
            why="Bits per token cannot be compared. Bits per character of the same text can.",
        ),
        Option(
            "They are equally good",
            why="Six characters at 1.5 bits are 9 bits, against 6 bits for the word.",
        ),
    ),
)

below_the_floor = Choice(
    name="language_models.below_the_floor",
    title="Below the floor",
    minutes=4,
    difficulty=2,
    question=(
        "A model trained on the teaching language is measured on 200 held-out sentences. It comes "
        "out 0.02 bits per token *below* the exact entropy of the grammar. What should be done "
        "first?"
    ),
    options=(
        Option(
            "Measure the true model on the same 200 sentences and compare",
            correct=True,
            why=(
                "These sentences may be easier than most. Then the true model comes out lower "
                "still, and the paired difference shows the gap without that luck."
            ),
        ),
        Option(
            "Announce a model that is better than the truth",
            why="Gibbs' inequality allows that on a lucky sample only, never in the long run.",
        ),
        Option(
            "Conclude that the entropy was computed wrongly",
            why=(
                "The entropy is exact; the 200 sentences are a sample. A small difference to "
                "either side is what sampling does."
            ),
        ),
        Option(
            "Remove the sentences that also occur in the training text",
            why=(
                "Short, probable sentences occur in both by chance. Without them the test text is "
                "no longer a draw from the language, and the floor no longer applies."
            ),
        ),
    ),
)

# ------------------------------------------------------------------------------- 3. decoding

bolder_and_bolder = Order(
    name="language_models.bolder_and_bolder",
    title="Bolder and bolder",
    minutes=3,
    difficulty=1,
    question=(
        "A model's next-token distribution is not flat, and no two tokens are equally probable. "
        "Order these ways to draw from it, the one with the least entropy first."
    ),
    items=(
        "greedy decoding",
        "temperature 0.5",
        "temperature 1",
        "temperature 2",
        "the uniform model",
    ),
    why=(
        "Greedy decoding has no choice at all: 0 bits. A higher temperature flattens the "
        "distribution, and the uniform one is the limit: nothing has more entropy."
    ),
    wrong=(
        WrongAnswer(
            (
                "the uniform model",
                "temperature 2",
                "temperature 1",
                "temperature 0.5",
                "greedy decoding",
            ),
            "That is the other way round: a flat distribution has the most entropy.",
        ),
        WrongAnswer(
            (
                "greedy decoding",
                "temperature 2",
                "temperature 1",
                "temperature 0.5",
                "the uniform model",
            ),
            "Logits are divided by the temperature: 2 makes their differences smaller, so the "
            "distribution gets flatter.",
        ),
    ),
)

what_top_p_keeps = Predict(
    name="language_models.what_top_p_keeps",
    title="What top-p keeps",
    minutes=4,
    difficulty=2,
    question=(
        "What does this print? Work it out on paper first: four numbers with at most two digits "
        "after the point."
    ),
    code=(
        "import torch\n"
        "from lmcourse.decoding import filter_logits\n"
        "probs = torch.tensor([0.1, 0.4, 0.2, 0.3])\n"
        "kept = filter_logits(probs.log(), top_p=0.75).softmax(dim=-1)\n"
        "print([round(p, 2) for p in kept.tolist()])"
    ),
    why=(
        "0.4 and 0.3 hold 0.7, which is not yet 0.75, so 0.2 is kept as well. The three together "
        "hold 0.9, and softmax divides each by that."
    ),
    wrong=(
        WrongAnswer(
            "[0.0, 0.57, 0.0, 0.43]",
            "0.4 and 0.3 hold only 0.7 together. Top-p keeps tokens until at least 0.75 is held.",
        ),
        WrongAnswer(
            "[0.0, 0.4, 0.2, 0.3]",
            "The right tokens. But what is kept must sum to one again: divide by 0.9.",
        ),
        WrongAnswer(
            "[0.0, 0.0, 0.0, 0.0]",
            "Top-p is no threshold for single tokens; it adds them up, the most probable first.",
        ),
    ),
)


def _min_p(probs, threshold):
    # A comparison gives True and False; multiplied, they count as 1 and 0.
    # What is left must sum to 1 again.
    kept = probs * (probs >= threshold * probs.max())
    return kept / kept.sum()


def _absolute_threshold(probs, threshold):
    kept = probs * (probs >= threshold)
    return kept / kept.sum()


def _strict_threshold(probs, threshold):
    kept = probs * (probs > threshold * probs.max())
    return kept / kept.sum()


def _not_renormalised(probs, threshold):
    return probs * (probs >= threshold * probs.max())


def _softmax_of_kept(probs, threshold):
    kept = probs * (probs >= threshold * probs.max())
    return kept.softmax(dim=-1)


def _top_p_instead(probs, threshold):
    ordered, order = probs.sort(descending=True)
    keep = torch.zeros_like(probs, dtype=torch.bool)
    keep[order] = ordered.cumsum(dim=-1) - ordered < threshold
    kept = probs * keep
    return kept / kept.sum()


min_p = CodeExercise(
    name="language_models.min_p",
    title="Another filter: min-p",
    minutes=15,
    difficulty=2,
    statement=(
        "Top-k keeps a fixed number of tokens, top-p a fixed share of probability. **Min-p** "
        "(Nguyen et al., 2024) keeps every token whose probability is at least `threshold` times "
        "that of the most probable token. Where the model is sure, few tokens survive; where it "
        "is unsure, many do. Write it for one distribution."
    ),
    stub='''def min_p(probs, threshold):
    """Keep what is not far less probable than the best token.

    probs: Float[Tensor, "vocab_size"], a distribution: 0 or more, sums to 1.
    threshold: float, above 0 and at most 1.
    Returns Float[Tensor, "vocab_size"], a distribution; dropped tokens have 0.
    """
    ...
''',
    reference=_min_p,
    make_inputs=lambda generator: (
        (2 * torch.randn(7, generator=generator, dtype=torch.float64)).softmax(dim=-1),
        0.05 + 0.2 * torch.rand((), generator=generator).item(),
    ),
    hints=(
        "Try it by hand: probabilities 0.5, 0.3, 0.15 and 0.05 with the threshold 0.5. Which two "
        "survive, and what are their probabilities then?",
        "What is the smallest probability that survives? It depends on the largest one.",
        "Multiply probs with the comparison probs >= threshold * probs.max(), then divide by "
        "the sum.",
    ),
    misconceptions=(
        Misconception(
            "absolute",
            _absolute_threshold,
            "You compare with the threshold itself. Min-p compares with the threshold times the "
            "largest probability.",
        ),
        Misconception(
            "strict",
            _strict_threshold,
            "You drop a token that stands exactly at the threshold. *At least* is `>=`.",
        ),
        Misconception(
            "not_renormalised",
            _not_renormalised,
            "The right tokens survive, but their probabilities do not sum to one any more.",
        ),
        Misconception(
            "softmax_of_kept",
            _softmax_of_kept,
            "You took the softmax of probabilities. Softmax is for logits; a dropped token, with "
            "0, gets probability back from it. Divide by the sum.",
        ),
        Misconception(
            "top_p",
            _top_p_instead,
            "This is top-p: you add probabilities up until they reach the threshold. Min-p looks "
            "at each token alone.",
        ),
    ),
    edge_cases=(
        (torch.tensor([0.125, 0.0, 0.25, 0.125, 0.5], dtype=torch.float64), 0.5),
        (torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), 1.0),
    ),
)


def _find_temperature(before, after):
    # log p = logit + constant. A difference of two of them is free of the constant,
    # and the temperature divides it. The most and the least probable token differ for sure.
    spread_before = before.log().max() - before.log().min()
    spread_after = after.log().max() - after.log().min()
    return (spread_before / spread_after).item()


def _inverse_temperature(before, after):
    return 1 / _find_temperature(before, after)


def _first_two(before, after):
    return ((before[0] / before[1]).log() / (after[0] / after[1]).log()).item()


def _first_two_in_python(before, after):
    before, after = before.tolist(), after.tolist()
    return math.log(before[0] / before[1]) / math.log(after[0] / after[1])


def _ratio_of_logs(before, after):
    return (before.log()[0] / after.log()[0]).item()


def _ratio_of_logs_at_best(before, after):
    return (before.max().log() / after.max().log()).item()


def _mean_ratio_of_logs(before, after):
    return (before.log() / after.log()).mean().item()


def _ratio_of_mean_logs(before, after):
    return (before.log().mean() / after.log().mean()).item()


def _ratio_of_probs(before, after):
    return (before.max() / after.max()).item()


_DIVIDED_LOGS = (
    "You divide log probabilities{which}. But softmax has added a constant to each of the two "
    "distributions; only differences between two tokens are free of it."
)


def _at_temperature(logits, temperature):
    logits = torch.tensor(logits, dtype=torch.float64)
    return logits.softmax(dim=-1), (logits / temperature).softmax(dim=-1)


def _temperature_pair(generator):
    logits = torch.randn(6, generator=generator, dtype=torch.float64)
    temperature = 0.4 + 2 * torch.rand((), generator=generator).item()
    return logits.softmax(dim=-1), (logits / temperature).softmax(dim=-1)


find_temperature = CodeExercise(
    name="language_models.find_temperature",
    title="Which temperature was it?",
    minutes=25,
    difficulty=3,
    statement=(
        "A service shows you the distribution of the next token twice: `before`, at temperature 1, "
        "and `after`, at a temperature that it keeps secret. Find that temperature."
    ),
    stub='''def find_temperature(before, after):
    """Return the temperature that turned one distribution into the other.

    before: Float[Tensor, "vocab_size"], probabilities at temperature 1; all are
        above 0, and they are not all equal.
    after: Float[Tensor, "vocab_size"], the same at an unknown temperature.
    Returns a float above 0.
    """
    ...
''',
    reference=_find_temperature,
    make_inputs=_temperature_pair,
    hints=(
        "Try it on two tokens with logits 2 and 0 and temperature 2. What are the log "
        "probabilities before and after, and what do the two pairs have in common with the logits?",
        "Log probabilities are logits up to a constant. What do you take from two of them, so that "
        "the constant drops out?",
        "The difference of two log probabilities is divided by the temperature. So the "
        "temperature is the difference before, divided by the same difference after.",
    ),
    misconceptions=(
        Misconception(
            "inverse",
            _inverse_temperature,
            "You found one divided by the temperature. Logits are divided by it, so the "
            "differences before are the larger ones when the temperature is above 1.",
        ),
        Misconception(
            "ratio_of_logs",
            _ratio_of_logs,
            _DIVIDED_LOGS.format(which=" of one token"),
        ),
        Misconception(
            "ratio_of_logs_at_best",
            _ratio_of_logs_at_best,
            _DIVIDED_LOGS.format(which=" of the most probable token"),
        ),
        Misconception(
            "mean_ratio_of_logs",
            _mean_ratio_of_logs,
            _DIVIDED_LOGS.format(which=", token by token, and take the mean"),
        ),
        Misconception(
            "ratio_of_mean_logs",
            _ratio_of_mean_logs,
            _DIVIDED_LOGS.format(which=", averaged over the tokens"),
        ),
        Misconception(
            "first_two",
            _first_two,
            "You compare tokens 0 and 1. If they happen to be equally probable, both logarithms "
            "are 0. Choose two tokens that differ: the most and the least probable.",
        ),
        Misconception(
            "first_two_in_python",
            _first_two_in_python,
            "You compare tokens 0 and 1. If they happen to be equally probable, you divide 0 by "
            "0. Choose two tokens that differ: the most and the least probable.",
        ),
        Misconception(
            "ratio_of_probs",
            _ratio_of_probs,
            "You divide probabilities. Temperature divides logits: take logarithms first.",
        ),
    ),
    edge_cases=(
        _at_temperature([0.0, 0.0, 1.0], 2.0),
        _at_temperature([-1.0, 0.5, 2.0, 0.0], 0.5),
        _at_temperature([1.0, 0.0, -2.0], 1.0),
    ),
)

# ------------------------------------------------------------------------- 4. Shannon's bounds


def _shannon_bounds(rank_counts):
    # Shares, and a 0 after the last one: the last drop counts too.
    total = sum(rank_counts)
    q = [count / total for count in rank_counts] + [0.0]
    lower, upper = 0.0, 0.0
    for i, (share, after) in enumerate(zip(q, q[1:], strict=False), start=1):
        lower += i * (share - after) * math.log2(i)
        if share > 0:  # 0 * log 0 counts as 0
            upper -= share * math.log2(share)
    return lower, upper


def _swapped_bounds(rank_counts):
    return _shannon_bounds(rank_counts)[::-1]


def _bounds_in_nats(rank_counts):
    lower, upper = _shannon_bounds(rank_counts)
    return lower * math.log(2), upper * math.log(2)


def _drops(rank_counts):
    """`(rank, share, drop to the next share)` of every rank."""
    shares = [count / sum(rank_counts) for count in rank_counts]
    steps = zip(shares, [*shares[1:], 0.0], strict=True)
    return [
        (i, share, share - after) for i, (share, after) in enumerate(steps, start=1)
    ]


def _mean_log_rank(rank_counts):
    lower = sum(share * math.log2(i) for i, share, _ in _drops(rank_counts))
    return lower, _shannon_bounds(rank_counts)[1]


def _without_last_step(rank_counts):
    lower = sum(i * drop * math.log2(i) for i, _, drop in _drops(rank_counts)[:-1])
    return lower, _shannon_bounds(rank_counts)[1]


def _index_as_rank(rank_counts):
    drops = _drops(rank_counts)[1:]
    lower = sum((i - 1) * drop * math.log2(i - 1) for i, _, drop in drops)
    return lower, _shannon_bounds(rank_counts)[1]


def _without_factor(rank_counts):
    lower = sum(drop * math.log2(i) for i, _, drop in _drops(rank_counts))
    return lower, _shannon_bounds(rank_counts)[1]


def _counts_not_shares(rank_counts):
    upper = -sum(count * math.log2(count) for count in rank_counts if count)
    return _shannon_bounds(rank_counts)[0] * sum(rank_counts), upper


def _log_of_zero(rank_counts):
    upper = -sum(share * math.log2(share) for _, share, _ in _drops(rank_counts))
    return _shannon_bounds(rank_counts)[0], upper


def _rank_zero(rank_counts):
    drops = _drops(rank_counts)
    lower = sum((i - 1) * drop * math.log2(i - 1) for i, _, drop in drops)
    return lower, _shannon_bounds(rank_counts)[1]


shannon_bounds = CodeExercise(
    name="language_models.shannon_bounds",
    title="Shannon's bounds",
    minutes=40,
    difficulty=4,
    statement=(
        "In the guessing game a player notes only *how many guesses* each symbol took. From these "
        "ranks Shannon (1951) bounds $H$, the entropy of the next symbol, given what stands before "
        "it. Let $q_i$ be the share of symbols that took $i$ guesses, and $q_{k+1} = 0$ after the "
        "last rank $k$:\n\n"
        "$$\\sum_{i=1}^{k} i \\, (q_i - q_{i+1}) \\log_2 i \\;\\le\\; H \\;\\le\\; "
        "-\\sum_{i=1}^{k} q_i \\log_2 q_i.$$\n\n"
        "Compute both bounds from the counts. An example: the counts `[4, 4]` are the shares "
        "1/2 and 1/2, and both bounds are 1 bit."
    ),
    stub='''def shannon_bounds(rank_counts):
    """Return the lower and the upper bound, in bits per symbol.

    rank_counts: list of ints; rank_counts[0] symbols took one guess, rank_counts[1]
        took two, and so on. No count is larger than the one before; the last ones
        may be 0.
    Returns a tuple of two floats (lower, upper).
    """
    ...
''',
    reference=_shannon_bounds,
    make_inputs=lambda generator: (
        torch.randint(1, 40, (6,), generator=generator)
        .sort(descending=True)
        .values.tolist(),
    ),
    hints=(
        "Do it by hand for the counts `[3, 1]`. The shares are 3/4 and 1/4, then 0. The drops "
        "are 1/2 and 1/4. The lower bound is 0.5, the upper one 0.811.",
        "Turn counts into shares first. 0 * log 0 counts as 0. Ranks start at 1, lists at 0.",
        "Append a 0 to the shares, walk over neighbouring pairs with enumerate(..., start=1), and "
        "do not leave out the pair of the last share and that 0.",
    ),
    misconceptions=(
        Misconception(
            "swapped",
            _swapped_bounds,
            "Right numbers, wrong order: the lower bound comes first.",
        ),
        Misconception(
            "nats",
            _bounds_in_nats,
            "Both bounds are in nats. Use math.log2, or divide by math.log(2).",
        ),
        Misconception(
            "mean_log_rank",
            _mean_log_rank,
            "The upper bound is right. Your lower bound is the mean of log2(rank); the formula "
            "weighs i log2(i) with the *drop* from one share to the next.",
        ),
        Misconception(
            "last_step",
            _without_last_step,
            "The upper bound is right. In the lower one the last drop is missing: from the last "
            "share to 0.",
        ),
        Misconception(
            "index_as_rank",
            _index_as_rank,
            "The upper bound is right. In the lower one every rank is one too small: lists start "
            "at 0, ranks at 1.",
        ),
        Misconception(
            "without_factor",
            _without_factor,
            "The upper bound is right. In the lower one the factor i before the drop is missing.",
        ),
        Misconception(
            "counts_not_shares",
            _counts_not_shares,
            "You use the counts themselves. The formula is about shares: divide each count by "
            "their sum first.",
        ),
        Misconception(
            "log_of_zero",
            _log_of_zero,
            "It works where every rank occurs. But a share of 0 has no logarithm. Ranks that "
            "never occur add nothing to the sum: leave them out.",
        ),
        Misconception(
            "rank_zero",
            _rank_zero,
            "You take the logarithm of 0. Is the first rank 0 in your loop? Lists start at 0, "
            "ranks at 1. (If it is a share of 0: it adds nothing, leave it out.)",
        ),
    ),
    edge_cases=(([12, 0, 0],), ([5, 5, 5, 5],)),
    tolerance=1e-6,
)

# --------------------------------------------------------------- 5. the most probable sentence


def _most_probable_sentence(chain):
    import heapq

    beginnings = [(0.0, ["<s>"])]  # (surprise, words): the heap keeps the least first
    finished = set()
    while True:
        surprise, words = heapq.heappop(beginnings)
        last = words[-1]
        # All others are more surprising already, and going on only adds surprise.
        if last == "</s>":
            return words[1:-1]
        # What can follow depends on `last` only. The first beginning that ends with it
        # was the least surprising one; later ones can never overtake it.
        if last in finished:
            continue
        finished.add(last)
        for word, prob in chain[last].items():
            heapq.heappush(beginnings, (surprise - math.log(prob), [*words, word]))


def _greedy_sentence(chain):
    words = ["<s>"]
    while words[-1] != "</s>" and len(words) < 50:
        words.append(max(chain[words[-1]], key=chain[words[-1]].get))
    return words[1:-1]


def _shortest_sentence(chain):
    queue = [["<s>"]]
    while queue:
        words = queue.pop(0)
        if words[-1] == "</s>":
            return words[1:-1]
        queue += [
            [*words, word]
            for word in sorted(chain[words[-1]], key=chain[words[-1]].get)[::-1]
        ]


def _best_mean_sentence(chain):
    best, queue = (math.inf, []), [(0.0, ["<s>"])]
    while queue:
        surprise, words = queue.pop()
        if words[-1] == "</s>":
            best = min(best, (surprise / (len(words) - 1), words[1:-1]))
        elif len(words) < 7:
            queue += [
                (surprise - math.log(p), [*words, w])
                for w, p in chain[words[-1]].items()
            ]
    return best[1]


def _forgets_the_end(chain):
    beginnings = [(0.0, ["<s>"])]
    while True:
        surprise, words = min(beginnings)
        if "</s>" in chain[words[-1]]:
            return words[1:]
        beginnings.remove((surprise, words))
        for word, prob in chain[words[-1]].items():
            beginnings.append((surprise - math.log(prob), [*words, word]))


def _random_chain(generator):
    """A chain with many circles in which greedy decoding ends all the same."""
    words = ["rain", "wind", "sun", "snow", "fog"]
    chain = {}
    for context in ["<s>", *words]:
        options = words if context == "<s>" else [*words, "</s>"]
        probs = (
            1.5 * torch.randn(len(options), generator=generator, dtype=torch.float64)
        ).softmax(-1)
        chain[context] = dict(zip(options, probs.tolist(), strict=True))
    if len(_greedy_sentence(chain)) > len(words):
        return _random_chain(generator)
    return (chain,)


def _judge_sentence(arguments, expected, answer):
    (chain,) = arguments
    if not isinstance(answer, list | tuple) or not all(
        isinstance(word, str) for word in answer
    ):
        return f"the result is {show(answer)}; a list of words is wanted"
    if list(answer) == list(expected):
        return None
    if {"<s>", "</s>"} & set(answer):
        return f"the result is {list(answer)}; leave out <s> and </s>"
    best = _sentence_prob(chain, expected)
    mine = _sentence_prob(chain, answer)
    return (
        f"you return '{' '.join(answer)}' with probability {mine:.3g}; "
        f"'{' '.join(expected)}' has {best:.3g}"
    )


def _sentence_prob(chain, sentence):
    words = ["<s>", *sentence, "</s>"]
    return math.prod(
        chain.get(before, {}).get(after, 0.0)
        for before, after in zip(words, words[1:], strict=False)
    )


_GARDEN_PATH = {
    "<s>": {"wind": 0.5, "rain": 0.3, "sun": 0.2},
    "wind": {"rain": 0.34, "sun": 0.33, "snow": 0.25, "</s>": 0.08},
    "rain": {"snow": 0.85, "wind": 0.1, "</s>": 0.05},
    "sun": {"wind": 0.7, "</s>": 0.3},
    "snow": {"</s>": 0.8, "wind": 0.2},
}
_LONG_BUT_STEADY = {
    "<s>": {"fog": 0.6, "sun": 0.4},
    "fog": {"rain": 0.95, "</s>": 0.05},
    "rain": {"snow": 0.95, "fog": 0.05},
    "snow": {"</s>": 0.9, "rain": 0.1},
    "sun": {"</s>": 0.55, "fog": 0.45},
}
_NEVER_THE_END = {  # neither <s> nor "wind" can be followed by </s>
    "<s>": {"wind": 0.8, "sun": 0.2},
    "wind": {"rain": 0.6, "fog": 0.4},
    "rain": {"</s>": 0.3, "wind": 0.25, "fog": 0.25, "sun": 0.2},
    "fog": {"</s>": 0.9, "rain": 0.1},
    "sun": {"</s>": 1.0},
}

most_probable_sentence = CodeExercise(
    name="language_models.most_probable_sentence",
    title="The most probable sentence, for certain",
    minutes=90,
    difficulty=5,
    statement=(
        "Greedy decoding does not find the most probable sentence. Find it, without trying all "
        "sentences: there are infinitely many, because the model below may go round in circles.\n\n"
        "To keep it small, the next word depends on the last word only. `chain[word]` holds the "
        "distribution of the word after `word`. A sentence starts after `<s>` and ends with "
        "`</s>`, and the probability of `</s>` counts."
    ),
    stub='''def most_probable_sentence(chain):
    """Return the sentence with the highest probability.

    chain: dict[str, dict[str, float]]; chain["<s>"] and chain[word] hold each word
        that can come next and its probability, above 0. "</s>" is among them for
        some words, not for all; it never follows "<s>". Every word can lead to
        "</s>" in the end. Exactly one sentence is the most probable.
    Returns a list of words, without "<s>" and "</s>".
    """
    ...
''',
    reference=_most_probable_sentence,
    make_inputs=_random_chain,
    hints=(
        'Do this one by hand: `{"<s>": {"we": 0.5, "it": 0.5}, "we": {"</s>": 0.4, "it": 0.6}, '
        '"it": {"</s>": 1.0}}`. List the beginnings of one word, then extend the best. When can '
        "you stop and be sure?",
        "A longer beginning is never more probable than a shorter one. So if you always extend "
        "the most probable beginning you know of, what do you know when one of them ends?",
        "Keep beginnings in a heap (heapq) with their surprise. Take the least surprising one out; "
        "if it ends with </s>, return it; else put all its extensions in. This is Dijkstra's "
        "shortest path, with surprises as lengths.",
    ),
    misconceptions=(
        Misconception(
            "greedy",
            _greedy_sentence,
            "You take the most probable word at each step. A good first word can lead to many "
            "weak sentences, and a weaker first word to one strong sentence.",
        ),
        Misconception(
            "shortest",
            _shortest_sentence,
            "You return the first sentence that ends, which is the shortest. A longer one can be "
            "more probable, when each of its steps is.",
        ),
        Misconception(
            "best_mean",
            _best_mean_sentence,
            "You compare surprise per token. That favours long sentences; the probability of a "
            "sentence is the product over all its tokens.",
        ),
        Misconception(
            "no_end",
            _forgets_the_end,
            "You stop as soon as a sentence could end and leave out the probability that it does. "
            "</s> is a token like any other.",
        ),
    ),
    edge_cases=((_GARDEN_PATH,), (_LONG_BUT_STEADY,), (_NEVER_THE_END,)),
    judge=_judge_sentence,
)
