"""Exercises of chapter 1: bits, cross-entropy, decoding, and the most probable sentence."""

import heapq
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
from lmcourse.widgets.shannon_game import shannon_bounds as shannon_bounds_of

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
    return 2.0 ** (-bits_per_token * n_tokens)


def _one_token_only(bits_per_token, n_tokens):
    return 2.0**-bits_per_token


def _base_e(bits_per_token, n_tokens):
    return math.exp(-bits_per_token * n_tokens)


def _no_minus(bits_per_token, n_tokens):
    return 2.0 ** (bits_per_token * n_tokens)


def _one_perplexity_shared(bits_per_token, n_tokens):
    return 1 / (2.0**bits_per_token * n_tokens)


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
            "The bits are halved. Perplexity is 2 to the bits: compare 2**6 and 2**3.",
        ),
        WrongAnswer(
            3.0, "The difference is 3 bits, and each bit is a factor of 2: 2 * 2 * 2."
        ),
        WrongAnswer(64.0, "64 is A's perplexity. Divide it by B's."),
    ),
)

# -------------------------------------------------------------------------- 2. measuring models


def _corpus_bits(log_probs):
    n_tokens = sum(len(sentence) for sentence in log_probs)
    return -sum(sum(sentence) for sentence in log_probs) / n_tokens / math.log(2)


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
        "A token of a short sentence weighs more in the broken function than one of a long "
        "sentence. And which unit does it return?",
        "Sum the log probabilities of the whole text, divide once by the number of all tokens, "
        "then by math.log(2); the sign turns round.",
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
        "Which model is better at this text?"
    ),
    options=(
        Option(
            "The word model",
            correct=True,
            why="6 bits for 6 characters (the space is one) are 1 bit per character, below 1.5.",
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
            "Remove the sentences that also stand in the training text",
            why=(
                "Short, probable sentences stand in both by chance. Without them the test text is "
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
    question="What does this print? Work it out on paper first.",
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
    kept = probs * (probs >= threshold * probs.max())
    return kept / kept.sum()


def _absolute_threshold(probs, threshold):
    kept = probs * (probs >= threshold)
    return kept / kept.sum().clamp(min=1e-9)


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
        "keeps every token whose probability is at least `threshold` times that of the most "
        "probable token. Where the model is sure, few tokens survive; where it is unsure, many "
        "do. Write it for one distribution."
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
        0.1 + 0.3 * torch.rand((), generator=generator).item(),
    ),
    hints=(
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
        (torch.tensor([0.05, 0.2, 0.05, 0.1, 0.2, 0.1, 0.3], dtype=torch.float64), 0.5),
        (torch.full((4,), 0.25, dtype=torch.float64), 1.0),
    ),
)


def _find_temperature(before, after):
    logits, cooled = before.log(), after.log()
    return ((logits.max() - logits.min()) / (cooled.max() - cooled.min())).item()


def _inverse_temperature(before, after):
    return 1 / _find_temperature(before, after)


def _ratio_of_logs(before, after):
    return (before.log()[0] / after.log()[0]).item()


def _ratio_of_probs(before, after):
    return (before.max() / after.max()).item()


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
            "You divide log probabilities of one token. But softmax has added a constant to each "
            "of the two distributions; only differences between two tokens are free of it.",
        ),
        Misconception(
            "ratio_of_probs",
            _ratio_of_probs,
            "You divide probabilities. Temperature divides logits: take logarithms first.",
        ),
    ),
)

# ------------------------------------------------------------------------- 4. Shannon's bounds


def _shares(rank_counts):
    total = sum(rank_counts)
    return [count / total for count in rank_counts] + [0.0]


def _swapped_bounds(rank_counts):
    lower, upper = shannon_bounds_of(rank_counts)
    return upper, lower


def _bounds_in_nats(rank_counts):
    lower, upper = shannon_bounds_of(rank_counts)
    return lower * math.log(2), upper * math.log(2)


def _mean_log_rank(rank_counts):
    shares = _shares(rank_counts)
    lower = sum(share * math.log2(i) for i, share in enumerate(shares, start=1))
    return lower, shannon_bounds_of(rank_counts)[1]


def _without_last_step(rank_counts):
    last = rank_counts[-1] / sum(rank_counts)
    lower, upper = shannon_bounds_of(rank_counts)
    return lower - len(rank_counts) * last * math.log2(len(rank_counts)), upper


shannon_bounds = CodeExercise(
    name="language_models.shannon_bounds",
    title="Shannon's bounds",
    minutes=40,
    difficulty=4,
    statement=(
        "In the guessing game a player notes only *how many guesses* each symbol took. From these "
        "ranks Shannon (1951) bounds the player's entropy. Let $q_i$ be the share of symbols that "
        "took $i$ guesses, and $q_{k+1} = 0$ after the last rank $k$:\n\n"
        "$$\\sum_{i=1}^{k} i \\, (q_i - q_{i+1}) \\log_2 i \\;\\le\\; H \\;\\le\\; "
        "-\\sum_{i=1}^{k} q_i \\log_2 q_i.$$\n\n"
        "Compute both bounds from the counts."
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
    reference=shannon_bounds_of,
    make_inputs=lambda generator: (
        torch.randint(1, 40, (6,), generator=generator)
        .sort(descending=True)
        .values.tolist(),
    ),
    hints=(
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
    ),
    edge_cases=(([12, 0, 0],), ([5, 5, 5, 5],)),
    tolerance=1e-6,
)

# --------------------------------------------------------------- 5. the most probable sentence


def _most_probable_sentence(chain):
    frontier = [(0.0, ["<s>"])]
    finished = set()
    while frontier:
        surprise, words = heapq.heappop(frontier)
        if words[-1] == "</s>":
            return words[1:-1]
        if words[-1] in finished:
            continue
        finished.add(words[-1])
        for word, prob in chain[words[-1]].items():
            heapq.heappush(frontier, (surprise - math.log(prob), [*words, word]))


def _greedy_sentence(chain):
    words = ["<s>"]
    while words[-1] != "</s>" and len(words) < 20:
        words.append(max(chain[words[-1]], key=chain[words[-1]].get))
    return words[1:-1] if words[-1] == "</s>" else words[1:]


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
    frontier = [(0.0, ["<s>"])]
    while frontier:
        surprise, words = heapq.heappop(frontier)
        if "</s>" in chain[words[-1]]:
            return words[1:]
        for word, prob in chain[words[-1]].items():
            heapq.heappush(frontier, (surprise - math.log(prob), [*words, word]))


def _random_chain(generator):
    words = ["rain", "wind", "sun", "snow", "fog"]
    chain = {}
    for context in ["<s>", *words]:
        options = words if context == "<s>" else [*words, "</s>"]
        probs = (
            1.5 * torch.randn(len(options), generator=generator, dtype=torch.float64)
        ).softmax(-1)
        chain[context] = dict(zip(options, probs.tolist(), strict=True))
    return (chain,)


_GARDEN_PATH = {
    "<s>": {"wind": 0.5, "rain": 0.3, "sun": 0.2},
    "wind": {"rain": 0.34, "sun": 0.33, "snow": 0.25, "</s>": 0.08},
    "rain": {"snow": 0.85, "wind": 0.1, "</s>": 0.05},
    "sun": {"wind": 0.7, "</s>": 0.3},
    "snow": {"</s>": 0.8, "wind": 0.2},
}
_STEADY_END = {
    "<s>": {"sun": 0.6, "fog": 0.4},
    "sun": {"</s>": 0.35, "fog": 0.65},
    "fog": {"rain": 0.9, "</s>": 0.1},
    "rain": {"fog": 0.55, "</s>": 0.45},
}
_ROUND_AND_ROUND = {
    "<s>": {"fog": 0.9, "sun": 0.1},
    "fog": {"rain": 0.95, "</s>": 0.05},
    "rain": {"fog": 0.97, "</s>": 0.03},
    "sun": {"</s>": 0.7, "rain": 0.3},
}
_LATE_END = {
    "<s>": {"wind": 0.9, "sun": 0.1},
    "wind": {"rain": 0.9, "sun": 0.1},
    "rain": {"wind": 0.9, "</s>": 0.1},
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

    chain: dict[str, dict[str, float]]; chain["<s>"] and chain[word] hold the
        probabilities of the next word, "</s>" among them. All are above 0.
        Exactly one sentence is the most probable.
    Returns a list of words, without "<s>" and "</s>".
    """
    ...
''',
    reference=_most_probable_sentence,
    make_inputs=_random_chain,
    hints=(
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
    edge_cases=((_GARDEN_PATH,), (_STEADY_END,), (_ROUND_AND_ROUND,), (_LATE_END,)),
)
