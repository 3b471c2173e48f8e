"""Exercises of chapter 2: counting, smoothing, and what a transition matrix can tell."""

import math
from collections import Counter, defaultdict

import torch

from lmcourse.data.rabbits import RABBITS
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
from lmcourse.language_models import cross_entropy, perplexity
from lmcourse.markov import MaximumLikelihood
from lmcourse.tokenizers import WordTokenizer

# ------------------------------------------------------------------------------------ quizzes

what_order_sees = Choice(
    name="markov.what_order_sees",
    title="What a trigram model sees",
    minutes=1,
    difficulty=1,
    question=(
        "A model of order 3 is about to predict the last word of *she says that the small cat "
        "sleeps*. Which words does the prediction depend on?"
    ),
    options=(
        Option(
            "*small cat*",
            correct=True,
            why="Order 3 means that an n-gram has three tokens: two that are seen, one predicted.",
        ),
        Option(
            "*the small cat*",
            why="Those are three words, so the n-gram would have four tokens: that is order 4.",
        ),
        Option(
            "*cat*",
            why="One word before the predicted one: that is a bigram model, order 2.",
        ),
        Option(
            "all the words before",
            why="The chain rule allows that. The Markov assumption is what gives it up.",
        ),
    ),
)


def _rabbits_perplexity() -> float:
    tokenizer = WordTokenizer.train(RABBITS)
    corpus = [tokenizer.encode(sentence) for sentence in RABBITS]
    model = MaximumLikelihood(order=2, vocab_size=tokenizer.vocab_size).fit(corpus)
    return perplexity(cross_entropy(model, corpus))


rabbits_perplexity = Number(
    name="markov.rabbits_perplexity",
    title="Predict a perplexity before you run it",
    minutes=8,
    difficulty=2,
    question=(
        "With paper and a calculator: what is the perplexity of the bigram model of the rabbits "
        "on its own three sentences? `</s>` counts as a token. (Most steps of a walk are certain. "
        "How many are not, and what do they cost?)"
    ),
    answer=_rabbits_perplexity(),
    tolerance=0.01,
    unit="",
    why=(
        "The sentences have probability 2/3 * 1/3, 2/3 * 1/3 and 1/3 * 1/3: together 4/729. There "
        "are 4 + 4 + 5 = 13 predictions. The perplexity is the 13th root of 729/4."
    ),
    wrong=(
        WrongAnswer(
            (729 / 4) ** (1 / 10),
            "The 10th root: you left out the three predictions of `</s>`.",
        ),
        WrongAnswer((729 / 4) ** (1 / 16), "The 16th root: `<s>` is never predicted."),
        WrongAnswer(
            (729 / 4) ** (1 / 3),
            "That is the perplexity per sentence. Asked for is the one per token: there are 13.",
        ),
        WrongAnswer(
            math.log2(729 / 4) / 13,
            "Those are the bits per token. Perplexity is 2 to the bits.",
        ),
    ),
)

zero_count = Choice(
    name="markov.zero_count",
    title="What a zero says",
    minutes=2,
    difficulty=1,
    question=(
        "A bigram was never seen in the training text, and it occurs once in a held-out text of "
        "10,000 words. What is the cross-entropy of the maximum likelihood bigram model there?"
    ),
    options=(
        Option(
            "infinite",
            correct=True,
            why=(
                "The token has probability 0, and -log 0 is infinite. One such token outweighs "
                "all the others: the mean is infinite too."
            ),
        ),
        Option(
            "a little higher than without that bigram",
            why="It would be, were the probability small. It is zero, and -log 0 is infinite.",
        ),
        Option(
            "it cannot be computed",
            why="It can: the sum has one infinite term, so it is infinite.",
        ),
        Option(
            "0, because the model has nothing to say about it",
            why="The model says something: that this cannot happen. That is as wrong as can be.",
        ),
    ),
)

how_many_numbers = Number(
    name="markov.how_many_numbers",
    title="How many numbers in a table?",
    minutes=4,
    difficulty=2,
    question=(
        "A vocabulary has 100 tokens, all of which can stand anywhere in a context, and all of "
        "which can be predicted. How many probabilities does a trigram model have to choose "
        "freely? (The last number of a row is not free: the row sums to one.) Write the number "
        "without commas."
    ),
    answer=100 * 100 * 99,
    tolerance=0.5,
    unit="",
    why="There are 100 * 100 contexts, and each has a row with 99 free numbers.",
    wrong=(
        WrongAnswer(
            100**3,
            "All the numbers of the table. In each row the last one is not free.",
        ),
        WrongAnswer(
            100 * 99, "That is the bigram model. A context of a trigram has two tokens."
        ),
        WrongAnswer(
            100**3 - 1,
            "Each *row* sums to one, so one number per row is lost, not one in all.",
        ),
        WrongAnswer(
            3 * 99,
            "Every context has a row of its own, and there are 100 * 100 contexts.",
        ),
    ),
)

which_fits = Choice(
    name="markov.which_fits",
    title="Often, but after how many words?",
    minutes=3,
    difficulty=2,
    question=(
        "In a text, *dollars* follows five hundred different words, each time once. *Aires* occurs "
        "a thousand times, always after *Buenos*. After a word that was never seen, what does "
        "Kneser-Ney smoothing prefer?"
    ),
    options=(
        Option(
            "*dollars*",
            correct=True,
            why=(
                "After an unseen word the lower order decides, and it asks after how many "
                "different words each word was seen: five hundred against one."
            ),
        ),
        Option(
            "*Aires*",
            why=(
                "It is the more frequent one, and interpolation or back-off would take "
                "it. Kneser-Ney counts the different words before, and there is only one."
            ),
        ),
        Option(
            "both are equally likely, the context is unknown",
            why="The lower order still has an opinion. That is what it is there for.",
        ),
    ),
)

smoothing_order = Order(
    name="markov.smoothing_order",
    title="Put the steps of an experiment in order",
    minutes=2,
    difficulty=1,
    question="You want to report how good n-gram models are. Put the steps in order.",
    items=(
        "split the text into training, development and test text",
        "count the n-grams of the training text",
        "measure every order and smoothing on the development text",
        "choose the best order and smoothing",
        "measure the chosen model on the test text, once",
    ),
    why=(
        "The test text may decide nothing. If it did, its number would be the best of many tries "
        "and no longer that of a text that nobody has seen."
    ),
    wrong=(
        WrongAnswer(
            (
                "count the n-grams of the training text",
                "split the text into training, development and test text",
                "measure every order and smoothing on the development text",
                "choose the best order and smoothing",
                "measure the chosen model on the test text, once",
            ),
            "Then the n-grams of the test text are counted too: the model has seen the answers.",
        ),
    ),
)

add_a_lot = Predict(
    name="markov.add_a_lot",
    title="Add one, add a million",
    minutes=3,
    difficulty=2,
    question="What does this print?",
    code=(
        "counts = [4, 2, 0, 0]\n"
        "for alpha in (0, 1, 1_000_000):\n"
        "    total = sum(count + alpha for count in counts)\n"
        "    print([round((count + alpha) / total, 2) for count in counts])"
    ),
    why=(
        "With alpha = 0 the shares are those of the counts. With a huge alpha the counts no longer "
        "matter and every token gets the same: smoothing is a choice between the two."
    ),
    wrong=(
        WrongAnswer(
            "[0.67, 0.33, 0.0, 0.0]\n[0.71, 0.43, 0.14, 0.14]\n[0.25, 0.25, 0.25, 0.25]",
            "The second line sums to more than one: the total grows by alpha for *every* token.",
        ),
        WrongAnswer(
            "[0.67, 0.33, 0.0, 0.0]\n[0.5, 0.3, 0.1, 0.1]\n[0.67, 0.33, 0.0, 0.0]",
            "A huge alpha drowns the counts. The last line is the uniform distribution.",
        ),
    ),
)

# ----------------------------------------------------------------------- 1 a broken normalisation


def _counts(generator, n_tokens=5):
    counts = torch.randint(0, 6, (n_tokens, n_tokens), generator=generator).double()
    counts[1] = 0  # a token that nothing ever followed
    counts[3, 0] += 1
    return (counts,)


def _mend_rows(counts):
    counts = counts.double()
    totals = counts.sum(dim=1, keepdim=True)
    shares = counts / torch.where(totals > 0, totals, 1)
    return torch.where(totals > 0, shares, 1 / counts.shape[1])


def _only_the_empty_row(counts):
    uniform = torch.full_like(counts, 1 / counts.shape[1])
    empty = counts.sum(dim=1, keepdim=True) == 0
    return torch.where(empty, uniform, counts / counts.sum(dim=1))


def _only_the_empty_row_clamped(counts):
    uniform = torch.full_like(counts, 1 / counts.shape[1])
    empty = counts.sum(dim=1, keepdim=True) == 0
    return torch.where(empty, uniform, counts / counts.sum(dim=1).clamp(min=1))


def _nan_to_num_columns(counts):
    return (counts / counts.sum(dim=1)).nan_to_num()


def _rows_by_column_totals(counts):
    return counts / counts.sum(dim=1)


def _columns_sum_to_one(counts):
    return counts / counts.sum(dim=0)


def _all_sum_to_one(counts):
    return counts / counts.sum()


def _empty_rows_nan(counts):
    return counts / counts.sum(dim=1, keepdim=True)


def _empty_rows_zero(counts):
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)


def _softmax_rows(counts):
    return counts.softmax(dim=1)


def _add_one_rows(counts):
    return (counts + 1) / (counts + 1).sum(dim=1, keepdim=True)


mend_rows = CodeExercise(
    name="markov.mend_rows",
    title="Mend a broken normalisation",
    minutes=8,
    difficulty=1,
    statement="""This function should turn counts into a transition matrix. It runs, it raises
nothing, the shape is right, and it is wrong twice:

```python
def mend_rows(counts):
    return counts / counts.sum(dim=1)
```

Mend it. Row `u` holds the probabilities of the tokens after `u`. Where nothing ever followed `u`,
the row should be uniform: every token gets the same probability.""",
    stub='''def mend_rows(counts):
    """Turn counts into probabilities.

    counts: Float[Tensor, "n_tokens n_tokens"]; counts[u, v] says how often v followed u.
    Returns the same shape. Every row sums to 1; where a row has no counts, it is
        uniform.
    """
    ...
''',
    reference=_mend_rows,
    make_inputs=_counts,
    hints=(
        "Print the sums of the rows. Then look up what `keepdim=True` does: dividing a matrix by "
        "a vector lines the vector up with the *columns*.",
        "0/0 is `nan`. `torch.where(totals > 0, shares, 1 / n_tokens)` picks row by row; divide "
        "by `torch.where(totals > 0, totals, 1)`, so that no 0/0 arises.",
    ),
    misconceptions=(
        Misconception(
            "vector_lines_up_with_columns",
            _rows_by_column_totals,
            "You divide *column* j by the total of *row* j: a vector of shape (n,) lines up with "
            "the last axis. `keepdim=True` keeps the shape (n, 1), which lines up with the rows.",
        ),
        Misconception(
            "columns_sum_to_one",
            _columns_sum_to_one,
            "Your columns sum to one. That answers another question: which token stood *before*?",
        ),
        Misconception(
            "everything_sums_to_one",
            _all_sum_to_one,
            "Your whole matrix sums to one. That is the probability of a pair, P(u and v), not of "
            "v given u.",
        ),
        Misconception(
            "nan_in_empty_rows",
            _empty_rows_nan,
            "The rows with counts are right. The empty row holds nan, because 0/0 is not a number.",
        ),
        Misconception(
            "zeros_in_empty_rows",
            _empty_rows_zero,
            "The rows with counts are right. The empty row sums to 0; it should be uniform.",
        ),
        Misconception(
            "one_of_two",
            _only_the_empty_row,
            "One mistake is mended, the empty row. The other is still there: what do you "
            "divide by?",
        ),
        Misconception(
            "one_of_two_clamped",
            _only_the_empty_row_clamped,
            "The empty row is mended. The other mistake is still there: you divide each *column* "
            "by a total of a row.",
        ),
        Misconception(
            "nan_to_num",
            _nan_to_num_columns,
            "`nan_to_num` hides nan and infinity, it does not mend them. Both mistakes are still "
            "there: print the sums of your rows.",
        ),
        Misconception(
            "softmax",
            _softmax_rows,
            "Softmax takes e to the power of each count. Counts are not scores: divide by the sum.",
        ),
        Misconception(
            "add_one",
            _add_one_rows,
            "You add one to every count. The empty row is then uniform, but the others are "
            "smoothed, and nobody asked for that.",
        ),
    ),
)

# ------------------------------------------------------------------------------- 2 Good-Turing


def _some_ngrams(generator):
    weights = 1 / torch.arange(1, 40).double()
    draw = torch.multinomial(weights, 120, replacement=True, generator=generator)
    return ([(int(token) % 7, int(token)) for token in draw],)


def _unseen_share(ngrams):
    counts = Counter(ngrams)
    seen_once = sum(count == 1 for count in counts.values())
    return seen_once / len(ngrams)


def _once_among_kinds(ngrams):
    counts = Counter(ngrams)
    return sum(count == 1 for count in counts.values()) / len(counts)


def _kinds_among_all(ngrams):
    return len(set(ngrams)) / len(ngrams)


def _more_than_once(ngrams):
    counts = Counter(ngrams)
    return sum(count > 1 for count in counts.values()) / len(ngrams)


def _never_unseen(ngrams):
    return 0.0


unseen_share = CodeExercise(
    name="markov.unseen_share",
    title="Predict the unseen from the seen",
    minutes=10,
    difficulty=1,
    statement="""How many n-grams of a new text will you never have seen? Good and Turing found a
way to know it beforehand, from the training text alone. Take one place out of the training text.
Its n-gram is now unseen *exactly if it occurred once*. So the number of n-grams that occur exactly
once, divided by the number of all places, says how often something unseen comes.

Write this estimate. Then try it on the teaching language. These lines cut the training text of
the chapter into n-grams:

```python
ngrams = [
    tuple(sentence[start : start + order])
    for sentence in train_text
    for start in range(len(sentence) - order + 1)
]
```

For orders 4, 5 and 6 you should find the shares of the table in "Where it fails", and beside them
what was really never seen in the test text.""",
    stub='''def unseen_share(ngrams):
    """Estimate how probable it is that the next n-gram was never seen.

    ngrams: list of tuples: the n-grams of a text in order, with repetitions.
    Returns a float: how many n-grams occur exactly once / how many places there are.
    """
    ...
''',
    reference=_unseen_share,
    make_inputs=_some_ngrams,
    hints=(
        "`collections.Counter(ngrams)` counts the repetitions. Its `.values()` are what you need.",
        "Count how many of the values equal 1. Divide by `len(ngrams)`, not by the size of the "
        "Counter.",
    ),
    misconceptions=(
        Misconception(
            "kinds_instead_of_places",
            _once_among_kinds,
            "You divide by the number of *different* n-grams. A text is a sequence of places: "
            "divide by how many there are.",
        ),
        Misconception(
            "all_kinds",
            _kinds_among_all,
            "You count every different n-gram. One that came back again and again is no "
            "surprise any more: count those that occur exactly once.",
        ),
        Misconception(
            "seen_again",
            _more_than_once,
            "You count the n-grams that came back. Those that did *not* come back show how often "
            "something is new.",
        ),
        Misconception(
            "maximum_likelihood",
            _never_unseen,
            "Zero for everything unseen: that is maximum likelihood, and the chapter has shown "
            "where it leads.",
        ),
    ),
    edge_cases=(([(1, 2)],), ([(1, 2), (1, 2)],)),
)

# -------------------------------------------------------------------------------- 3 Witten-Bell


def _row_and_lower(generator):
    counts = torch.randint(0, 5, (6,), generator=generator).double()
    counts[0], counts[1], counts[2] = 0, 4, 1
    lower = torch.rand(6, generator=generator, dtype=torch.float64) + 0.1
    return counts, lower / lower.sum()


def _witten_bell(counts, lower):
    n_kinds = (counts > 0).sum()
    if n_kinds == 0:
        return lower
    return (counts + n_kinds * lower) / (counts.sum() + n_kinds)


def _wb_only_unseen(counts, lower):
    n_kinds = (counts > 0).sum()
    if n_kinds == 0:
        return lower
    rest = torch.where(counts > 0, 0.0, lower)
    if rest.sum() > 0:
        rest = rest / rest.sum()
    return (counts + n_kinds * rest) / (counts.sum() + n_kinds)


def _wb_not_normalised(counts, lower):
    n_kinds = (counts > 0).sum()
    return (counts + n_kinds * lower) / counts.sum().clamp(min=1)


def _wb_tokens(counts, lower):
    total = counts.sum()
    if total == 0:
        return lower
    return (counts + total * lower) / (2 * total)


def _wb_vocab(counts, lower):
    return (counts + len(counts) * lower) / (counts.sum() + len(counts))


def _wb_values(counts, lower):
    n_values = len(set(counts.tolist()))
    return (counts + n_values * lower) / (counts.sum() + n_values)


def _wb_once(counts, lower):
    n_once = (counts == 1).sum()
    if counts.sum() == 0:
        return lower
    return (counts + n_once * lower) / (counts.sum() + n_once)


def _wb_uniform(counts, lower):
    n_kinds = (counts > 0).sum()
    uniform = torch.full_like(lower, 1 / len(lower))
    if n_kinds == 0:
        return uniform
    return (counts + n_kinds * uniform) / (counts.sum() + n_kinds)


witten_bell = CodeExercise(
    name="markov.witten_bell",
    title="Another smoothing: Witten and Bell",
    minutes=15,
    difficulty=2,
    statement="""Witten and Bell (1991) ask of a context: how often was I surprised here? Each
*different* token that followed it was a surprise once. So they give the shorter context as many
extra counts as there were different followers, $T$:

$$P(v \\mid h) = \\frac{c(h, v) + T \\, P_{\\text{lower}}(v)}{c(h) + T}$$

Here $c(h, v)$ is how often $v$ followed the context $h$, and $c(h)$ is their sum. A context that
nothing ever followed leaves everything to the lower order. Write it for one row.""",
    stub='''def witten_bell(counts, lower):
    """Smooth one row of counts.

    counts: Float[Tensor, "vocab_size"]: how often each token followed.
    lower: Float[Tensor, "vocab_size"]: probabilities after the shorter context.
    Returns Float[Tensor, "vocab_size"], which sums to 1; `lower` if all counts are 0.
    """
    ...
''',
    reference=_witten_bell,
    make_inputs=_row_and_lower,
    hints=(
        "`(counts > 0).sum()` is the number of different tokens that followed.",
        "Where that number is 0 return `lower`. Otherwise one line: numerator and denominator "
        "both grow by it.",
    ),
    misconceptions=(
        Misconception(
            "counts_places",
            _wb_tokens,
            "You took the sum of the counts for T. Then the context and the lower order always "
            "weigh the same. T is the number of *different* tokens that followed.",
        ),
        Misconception(
            "whole_vocabulary",
            _wb_vocab,
            "You took the size of the vocabulary for T. T differs from context to context: it is "
            "the number of different tokens that followed this one.",
        ),
        Misconception(
            "different_counts",
            _wb_values,
            "You counted the different *numbers* in `counts`. T is the number of tokens that "
            "followed at all: those with a count above 0.",
        ),
        Misconception(
            "seen_once",
            _wb_once,
            "You took the tokens that followed exactly once. T counts every token that followed, "
            "however often.",
        ),
        Misconception(
            "not_normalised",
            _wb_not_normalised,
            "Your row sums to more than one: the T extra counts belong in the denominator too.",
        ),
        Misconception(
            "only_the_unseen",
            _wb_only_unseen,
            "You share the T extra counts among the unseen tokens only. That is back-off. "
            "Here it is interpolation, where every token gets its part of the lower order.",
        ),
        Misconception(
            "forgets_lower",
            _wb_uniform,
            "You share the extra counts evenly. They should go where the lower order expects them.",
        ),
    ),
    edge_cases=(
        (torch.zeros(3, dtype=torch.float64), torch.tensor([0.5, 0.3, 0.2]).double()),
    ),
)

# ------------------------------------------------------------------------------- 4 choose lambda


def _dev_probs(generator):
    zeros, strong_low, with_one = torch.randint(
        0, 2, (3,), generator=generator
    ).tolist()
    high = 0.02 + 0.9 * torch.rand(30, generator=generator, dtype=torch.float64)
    if zeros:
        high[::3] = 0  # n-grams that were never seen
    low = 0.3 * torch.rand(30, generator=generator, dtype=torch.float64)
    low = low + (0.4 if strong_low else 0.02)
    return high, low, [0.1, 0.3, 0.5, 0.7, 0.9] + [1.0] * with_one


def _long_dev_probs(n_tokens):
    places = torch.arange(n_tokens)
    high = torch.where(places % 3 == 0, 0.0, 0.3 + 0.1 * (places % 2)).double()
    low = (0.05 + 0.1 * (places % 4)).double()
    return high, low, [0.1, 0.3, 0.5, 0.7, 0.9]


def _log_likelihoods(high, low, grid):
    return [(weight * high + (1 - weight) * low).log().sum() for weight in grid]


def _best_weight(high, low, grid):
    def log_likelihood(weight):
        return (weight * high + (1 - weight) * low).log().sum()

    return max(grid, key=log_likelihood)


def _bw_product(high, low, grid):
    def likelihood(weight):
        return (weight * high + (1 - weight) * low).prod()

    return max(grid, key=likelihood)


def _bw_product_from_zero(high, low, grid):
    best, best_weight = 0.0, None
    for weight in grid:
        likelihood = float((weight * high + (1 - weight) * low).prod())
        if likelihood > best:
            best, best_weight = likelihood, weight
    return best_weight


def _bw_mean_prob(high, low, grid):
    return max(grid, key=lambda weight: (weight * high + (1 - weight) * low).mean())


def _bw_mix_logs(high, low, grid):
    def score(weight):
        return (weight * high.clamp(min=1e-12).log() + (1 - weight) * low.log()).sum()

    return max(grid, key=score)


def _bw_swapped(high, low, grid):
    return _best_weight(low, high, grid)


def _bw_index(high, low, grid):
    return int(torch.stack(_log_likelihoods(high, low, grid)).argmax())


def _bw_worst(high, low, grid):
    return grid[int(torch.stack(_log_likelihoods(high, low, grid)).argmin())]


best_weight = CodeExercise(
    name="markov.best_weight",
    title="Choose lambda on the development text",
    minutes=15,
    difficulty=2,
    statement="""A bigram model and a unigram model have read the development text. For each of its
tokens you know the probability that either gave it. Mix them,

$$P(w) = \\lambda \\, P_{\\text{high}}(w) + (1 - \\lambda) \\, P_{\\text{low}}(w),$$

and find the $\\lambda$ of a grid under which the *text* is most probable.""",
    stub='''def best_weight(high, low, grid):
    """Choose the weight of a mixture.

    high: Float[Tensor, "n_tokens"]: what the higher order gave each token; may be 0.
    low: Float[Tensor, "n_tokens"]: what the lower order gave it; never 0.
    grid: list of floats from 0 to 1: the weights of `high` to try.
    Returns the float of the grid under which the text is most probable.
    """
    ...
''',
    reference=_best_weight,
    make_inputs=_dev_probs,
    hints=(
        "The probability of the text is a product over its tokens, so the sum of the logarithms "
        "of the mixed probabilities is what must be largest.",
        "`max(grid, key=...)` returns the best entry. Mix first, then take the logarithm.",
    ),
    misconceptions=(
        Misconception(
            "product",
            _bw_product,
            "Right for a short text. For a long one the product underflows to 0 for every weight, "
            "and the first one wins. Add logarithms instead.",
        ),
        Misconception(
            "product_from_zero",
            _bw_product_from_zero,
            "Right for a short text. For a long one the product underflows to 0, no weight beats "
            "0, and nothing is returned. Add logarithms instead.",
        ),
        Misconception(
            "mean_of_probabilities",
            _bw_mean_prob,
            "You maximise the mean of the probabilities. That ignores disasters: one token with "
            "probability 0 makes the whole text impossible. Sum the logarithms.",
        ),
        Misconception(
            "mixes_logarithms",
            _bw_mix_logs,
            "You mix the logarithms. Lambda mixes the probabilities: first mix, then log.",
        ),
        Misconception(
            "swapped",
            _bw_swapped,
            "Your lambda is the weight of `low`. It should be that of `high`.",
        ),
        Misconception(
            "index",
            _bw_index,
            "You return the place of the best weight in the grid. Return the weight itself.",
        ),
        Misconception(
            "smallest",
            _bw_worst,
            "You return the weight under which the text is *least* probable. The log probability "
            "should be largest; it is the cross-entropy that should be smallest.",
        ),
    ),
    edge_cases=(_long_dev_probs(3_000),),
)

# -------------------------------------------------------------------------------- 5 who wrote it


def _two_writers(generator):
    def matrix():
        rows = torch.rand(6, 6, generator=generator, dtype=torch.float64) + 0.2
        return rows / rows.sum(dim=1, keepdim=True)

    text = [0, *torch.randint(2, 6, (4,), generator=generator).tolist(), 1]
    return text, matrix(), matrix(), 0.2


def _log_text(token_ids, matrix):
    return sum(
        math.log(matrix[before, after])
        for before, after in zip(token_ids, token_ids[1:], strict=False)
    )


def _who_wrote_it(token_ids, first, second, prior):
    pairs = list(zip(token_ids, token_ids[1:], strict=False))
    log_odds = math.log(prior) - math.log(1 - prior)
    log_odds += sum(math.log(first[u, v]) - math.log(second[u, v]) for u, v in pairs)
    return float(torch.sigmoid(torch.tensor(log_odds, dtype=torch.float64)))


def _wwi_no_prior(token_ids, first, second, prior):
    return _who_wrote_it(token_ids, first, second, 0.5)


def _wwi_product(token_ids, first, second, prior):
    of_first, of_second = prior, 1 - prior
    for u, v in zip(token_ids, token_ids[1:], strict=False):
        of_first *= float(first[u, v])
        of_second *= float(second[u, v])
    return of_first / (of_first + of_second) if of_first + of_second > 0 else math.nan


def _wwi_sum(token_ids, first, second, prior):
    pairs = list(zip(token_ids, token_ids[1:], strict=False))
    of_first = prior * sum(float(first[u, v]) for u, v in pairs)
    of_second = (1 - prior) * sum(float(second[u, v]) for u, v in pairs)
    return of_first / (of_first + of_second)


def _wwi_ratio_of_logs(token_ids, first, second, prior):
    of_first = math.log(prior) + _log_text(token_ids, first)
    of_second = math.log(1 - prior) + _log_text(token_ids, second)
    return of_first / (of_first + of_second)


def _wwi_likelihood(token_ids, first, second, prior):
    return prior * math.exp(_log_text(token_ids, first))


def _wwi_per_token(token_ids, first, second, prior):
    n_pairs = len(token_ids) - 1
    of_first = prior * math.exp(_log_text(token_ids, first) / n_pairs)
    of_second = (1 - prior) * math.exp(_log_text(token_ids, second) / n_pairs)
    return of_first / (of_first + of_second)


def _wwi_transposed(token_ids, first, second, prior):
    return _who_wrote_it(token_ids, first.T, second.T, prior)


_LIKELY = torch.tensor([[0.1, 0.1, 0.8], [0.4, 0.3, 0.3], [0.02, 0.48, 0.5]]).double()
_UNLIKELY = torch.tensor(
    [[0.1, 0.3, 0.6], [0.3, 0.4, 0.3], [0.01, 0.50, 0.49]]
).double()

_OFTEN = torch.tensor([[0.1, 0.1, 0.8], [0.4, 0.3, 0.3], [0.05, 0.05, 0.9]]).double()
_SELDOM = torch.tensor([[0.1, 0.1, 0.8], [0.4, 0.3, 0.3], [0.59, 0.40, 0.01]]).double()

who_wrote_it = CodeExercise(
    name="markov.who_wrote_it",
    title="Who wrote it?",
    minutes=25,
    difficulty=3,
    statement="""Two writers, or two languages, have a transition matrix each. A text turns up. How
probable is it that the first of them wrote it? By Bayes' rule,

$$P(\\text{first} \\mid \\text{text}) = \\frac{p \\, P(\\text{text} \\mid \\text{first})}
{p \\, P(\\text{text} \\mid \\text{first}) + (1 - p) \\, P(\\text{text} \\mid \\text{second})},$$

where the prior $p$ is what you believed before you read the text. Your function must also work for
a text of two thousand tokens, and when one writer is out of the question. (Afterwards try it with
characters: train one matrix on English and one on a text in another language.)""",
    stub='''def who_wrote_it(token_ids, first, second, prior):
    """The probability that a text comes from the first of two Markov chains.

    token_ids: list of ints; it begins with `<s>` (0), which is context only.
    first, second: Float[Tensor, "vocab_size vocab_size"], transition matrices
        without zeros.
    prior: float above 0 and below 1, the probability of the first before reading.
    Returns a float between 0 and 1.
    """
    ...
''',
    reference=_who_wrote_it,
    make_inputs=_two_writers,
    hints=(
        "Work with the *log odds*: log of P(first) / P(second). Each pair of tokens adds "
        "log first[u, v] - log second[u, v] to it. Nothing underflows.",
        "Start with log(prior / (1 - prior)). At the end the sigmoid, 1 / (1 + e^-x), turns log "
        "odds into a probability; `torch.sigmoid` does it without overflow.",
    ),
    misconceptions=(
        Misconception(
            "underflow",
            _wwi_product,
            "Right for a short text. For a long one the product of the probabilities underflows "
            "to 0, and 0/0 is nan. Add logarithms instead.",
        ),
        Misconception(
            "no_prior",
            _wwi_no_prior,
            "You leave out the prior: your answer is right only when both are equally likely "
            "before the text is read.",
        ),
        Misconception(
            "sums_probabilities",
            _wwi_sum,
            "You add the probabilities of the pairs. By the chain rule they are multiplied.",
        ),
        Misconception(
            "ratio_of_logarithms",
            _wwi_ratio_of_logs,
            "You divide logarithms. Bayes' rule divides probabilities; a quotient of "
            "probabilities is a *difference* of logarithms.",
        ),
        Misconception(
            "joint",
            _wwi_likelihood,
            "That is P(text and first). Divide by P(text), which is the sum over both writers.",
        ),
        Misconception(
            "per_token",
            _wwi_per_token,
            "You take the mean log probability of a token. Then a long text convinces you no more "
            "than a short one. Evidence adds up: take the sum.",
        ),
        Misconception(
            "transposed",
            _wwi_transposed,
            "You read the matrix the wrong way round: row = token before, column = token after.",
        ),
    ),
    edge_cases=(
        ([0, *[2] * 2000, 1], _LIKELY, _UNLIKELY, 0.5),
        ([0, *[2] * 2000, 1], _UNLIKELY, _LIKELY, 0.5),
        ([0, *[2] * 250, 1], _OFTEN, _SELDOM, 0.5),
        ([0, *[2] * 250, 1], _SELDOM, _OFTEN, 0.5),
    ),
)

# ----------------------------------------------------------------------------- 6 expected length


def _absorbing(generator):
    matrix = torch.rand(6, 6, generator=generator, dtype=torch.float64) + 0.05
    matrix[:, 0] = 0  # nothing leads to <s>
    matrix[0, 1] = 0  # no empty sentence
    matrix = matrix / matrix.sum(dim=1, keepdim=True)
    matrix[1] = 0
    matrix[1, 0] = 1  # the restart rule
    return (matrix,)


def _expected_words(matrix):
    inside = [token for token in range(len(matrix)) if token != 1]
    among = matrix[inside][:, inside]
    identity = torch.eye(len(inside), dtype=matrix.dtype)
    steps = torch.linalg.solve(
        identity - among, torch.ones(len(inside), dtype=matrix.dtype)
    )
    return float(steps[0]) - 1  # the last step leads to </s>, which is no word


def _ew_counts_end(matrix):
    return _expected_words(matrix) + 1


def _ew_counts_both(matrix):
    return _expected_words(matrix) + 2


def _ew_most_likely(matrix):
    token, words = 0, 0
    while words < 1000:
        token = int(matrix[token].argmax())
        if token == 1:
            return float(words)
        words += 1
    return math.inf


def _ew_mean_end(matrix):
    return float(1 / matrix[2:, 1].mean())


def _ew_ten_steps(matrix):
    alive, total = torch.zeros(len(matrix), dtype=matrix.dtype), 0.0
    alive[0] = 1
    for _ in range(10):
        alive = alive @ matrix
        alive[1] = 0
        total += float(alive.sum())
    return total


expected_words = CodeExercise(
    name="markov.expected_words",
    title="How long is a sentence, on average?",
    minutes=30,
    difficulty=4,
    statement="""A walk starts at `<s>` (token 0) and ends when it reaches `</s>` (token 1). How
many words does it say on average? Do not simulate: compute it from the matrix.

Let $t_u$ be the expected number of steps from token $u$ to `</s>`. One step is always needed, and
then we stand on $v$ with probability $A_{uv}$:

$$t_u = 1 + \\sum_{v \\neq \\text{</s>}} A_{uv} \\, t_v .$$

These are linear equations. The row of `</s>` in the matrix follows the restart rule; take care
that it does not disturb you. As a check: the three sentences of the rabbits corpus have ten words
in all.""",
    stub='''def expected_words(matrix):
    """The expected number of words of a sentence.

    matrix: Float[Tensor, "vocab_size vocab_size"], dtype float64; 0 is <s>, 1 is
        </s>; from </s> the walk restarts at <s>, with probability 1.
    Returns a float. Neither <s> nor </s> is a word.
    """
    ...
''',
    reference=_expected_words,
    make_inputs=_absorbing,
    hints=(
        "Leave out row and column 1. What is left, Q, says how the walk moves before it ends. The "
        "equations read t = 1 + Q t.",
        "`torch.linalg.solve(eye - Q, ones)` gives t. From <s>, the steps are the words and one "
        "more step to </s>.",
    ),
    misconceptions=(
        Misconception(
            "counts_the_end",
            _ew_counts_end,
            "Off by one: the last step leads to </s>, which is not a word.",
        ),
        Misconception(
            "counts_both_marks",
            _ew_counts_both,
            "Off by two: neither <s> nor </s> is a word. (Every token of a round, marks "
            "included: that is the mean time between two visits to </s>.)",
        ),
        Misconception(
            "most_likely_path",
            _ew_most_likely,
            "You follow the most probable step each time and count. That is the length of *one* "
            "sentence, the greedy one. We want the mean over all.",
        ),
        Misconception(
            "one_over_mean_end",
            _ew_mean_end,
            "You take one over the mean probability to end. Not all words are visited equally "
            "often, so this mean has the wrong weights.",
        ),
        Misconception(
            "stops_counting",
            _ew_ten_steps,
            "You add up the first steps and stop. The sum has no end; the linear equations give "
            "all of it at once.",
        ),
    ),
)

# ------------------------------------------------------------------ 7 a corpus with given counts


def _pairs_of(sentences):
    pairs = Counter()
    for sentence in sentences:
        tokens = ["<s>", *sentence, "</s>"]
        pairs.update(zip(tokens, tokens[1:], strict=False))
    return dict(pairs)


def _wanted_counts(generator):
    words = ["sun", "rain", "wind", "snow"]
    sentences = []
    for _ in range(6):
        length = int(torch.randint(1, 6, (), generator=generator))
        draw = torch.randint(0, len(words), (length,), generator=generator)
        sentences.append([words[int(token)] for token in draw])
    pairs = _pairs_of(sentences)
    order = torch.randperm(len(pairs), generator=generator).tolist()
    items = list(pairs.items())
    return ({items[i][0]: items[i][1] for i in order},)


def _write_corpus(counts):
    unused = defaultdict(list)  # the arrows that still leave each token
    for (before, after), count in counts.items():
        unused[before] += [after] * count
    unused["</s>"] = ["<s>"] * len(unused["<s>"])  # the restart rule closes the walk

    walk, stack = [], ["<s>"]  # Hierholzer (1873): go on until stuck, then step back
    while stack:
        if unused[stack[-1]]:
            stack.append(unused[stack[-1]].pop())
        else:
            walk.append(stack.pop())
    walk.reverse()

    sentences = []
    for token in walk[:-1]:  # the walk ends where it began, at <s>
        if token == "<s>":
            sentences.append([])
        elif token != "</s>":
            sentences[-1].append(token)
    return sentences


def _wc_greedy(counts):
    left = dict(counts)
    sentences = []
    while any(left.get(("<s>", after), 0) for _, after in list(left)):
        token, sentence = "<s>", []
        while token != "</s>":
            choices = [
                after for (before, after), n in left.items() if before == token and n
            ]
            if not choices:
                break
            after = "</s>" if "</s>" in choices else choices[0]
            left[token, after] -= 1
            token = after
            if token != "</s>":
                sentence.append(token)
        sentences.append(sentence)
    return sentences


def _wc_one_pair_a_sentence(counts):
    sentences = []
    for (before, after), count in counts.items():
        sentences += [
            [token for token in (before, after) if token not in ("<s>", "</s>")]
        ] * count
    return sentences


def _wc_each_once(counts):
    distinct = []
    for sentence in _write_corpus(counts):
        if sentence not in distinct:
            distinct.append(sentence)
    return distinct


def _wc_with_marks(counts):
    return [["<s>", *sentence, "</s>"] for sentence in _write_corpus(counts)]


_LEFT_OVER = (
    "You take any free arrow and stop when you reach </s>. So arrows are left over: loops that "
    "hang on a word which you have passed. A walk must go back and put them in."
)
_MARKS = "The marks <s> and </s> are no words: leave them out of your sentences."


def _judge_corpus(arguments, expected, answer):
    (counts,) = arguments
    if not isinstance(answer, list) or not all(
        isinstance(sentence, (list, tuple))
        and all(isinstance(token, str) for token in sentence)
        for sentence in answer
    ):
        return 'The answer must be a list of sentences, each a list of words: [["we", "climb"]].'
    if any(mark in sentence for sentence in answer for mark in ("<s>", "</s>")):
        return _MARKS
    pairs = _pairs_of(answer)
    for (before, after), n in sorted(pairs.items()):
        if n > counts.get((before, after), 0):
            return (
                f"In your sentences {after!r} follows {before!r} {n} times; it should do so "
                f"{counts.get((before, after), 0)} times."
            )
    left = {pair: n - pairs.get(pair, 0) for pair, n in counts.items()}
    left = {pair: n for pair, n in left.items() if n > 0}
    if left:
        (before, after), n = min(left.items())
        return (
            f"All that you wrote is right, but {sum(left.values())} arrows are left over, one of "
            f"them from {before!r} to {after!r}. A walk that is stuck must go back and put them in."
        )
    return None


write_corpus = CodeExercise(
    name="markov.write_corpus",
    title="Write the corpus that belongs to a matrix",
    minutes=60,
    difficulty=5,
    statement="""The chapter goes from sentences to counts. Go back: given how often each token
follows each other token, write sentences that have *exactly* these counts. Several answers are
right, and any of them is accepted.

The counts come from a real corpus, so an answer exists. But a walk that takes any free arrow can
get stuck: it reaches `</s>` while arrows are left over that it can no longer get to. (Think of the
graph. With the restart rule, every token has as many arrows in as out. Who walked over the bridges
of Königsberg?)""",
    stub='''def write_corpus(counts):
    """Write sentences with given transition counts.

    counts: dict from (token before, token after) to a whole number above 0; tokens
        are strings, "<s>" and "</s>" among them.
    Returns a list of sentences; a sentence is a list of words, without the marks
        "<s>" and "</s>".
    """
    ...
''',
    reference=_write_corpus,
    make_inputs=_wanted_counts,
    judge=_judge_corpus,
    hints=(
        "Add the restart arrows </s> -> <s>, as many as there are sentences. Now you look for one "
        "round trip that uses every arrow exactly once: an Eulerian circuit. Cut it at <s>.",
        "Hierholzer's way: keep a stack, start with <s>. While an unused arrow leaves the top, "
        "take it and push its end; otherwise pop the top and write it down. What you have "
        "written, read backwards, is the round trip.",
    ),
    misconceptions=(
        Misconception(
            "gets_stuck",
            _wc_greedy,
            _LEFT_OVER,
        ),
        Misconception(
            "one_pair_a_sentence",
            _wc_one_pair_a_sentence,
            "You write every pair as a sentence of its own. But a sentence also has pairs with "
            "<s> and </s>, and these are counted too.",
        ),
        Misconception(
            "with_marks",
            _wc_with_marks,
            _MARKS,
        ),
        Misconception(
            "each_sentence_once",
            _wc_each_once,
            "You write each sentence once only. A sentence that is needed twice must stand there "
            "twice, or its pairs are missing.",
        ),
    ),
    edge_cases=(
        ({("<s>", "go"): 2, ("go", "</s>"): 2},),
        ({("<s>", "a"): 1, ("a", "b"): 1, ("b", "a"): 1, ("a", "</s>"): 1},),
    ),
)
