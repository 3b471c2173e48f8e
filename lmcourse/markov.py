"""Markov models: the next token depends on the last few tokens only, and all we do is count.

Adds to `language_models` what counting can give: the transition matrix of a Markov chain, n-gram
models of any order, and six answers to the question what to do about n-grams never seen
(Chen & Goodman, 1998, *An Empirical Study of Smoothing Techniques for Language Modeling*).
At the end the bridge to neural models: one linear layer, trained, finds the table that we counted.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from lmcourse.language_models import LanguageModel, check_sentences, check_token_ids

BOS_ID = 0


# ------------------------------------------------------------------------------- Markov chain


def transition_counts(
    sentences: Sequence[Sequence[int]], vocab_size: int
) -> Int[Tensor, "vocab_size vocab_size"]:
    """How often each token (column) follows each token (row).

    The sentences are read one after the other, in a circle: after `</s>` comes `<s>`. This
    restart rule makes the chain run on for ever.

    Raises:
        ValueError: there is no sentence, or one does not run from `<s>` to `</s>`.

    >>> transition_counts([[0, 2, 1], [0, 2, 2, 1]], vocab_size=3)
    tensor([[0, 0, 2],
            [2, 0, 0],
            [0, 2, 1]])
    """
    check_sentences(sentences, vocab_size)
    tokens = torch.tensor(list(chain.from_iterable(sentences)))
    pairs = tokens * vocab_size + tokens.roll(-1)
    return pairs.bincount(minlength=vocab_size**2).view(vocab_size, vocab_size)


def transition_matrix(
    counts: Int[Tensor, "vocab_size vocab_size"],
) -> Float[Tensor, "vocab_size vocab_size"]:
    """P(column | row): every row of counts divided by its sum. A row never seen goes to `<s>`.

    Raises:
        ValueError: the table is not square, or holds a negative number.

    >>> transition_matrix(torch.tensor([[0, 0, 2], [2, 0, 0], [0, 2, 2]]))
    tensor([[0.0000, 0.0000, 1.0000],
            [1.0000, 0.0000, 0.0000],
            [0.0000, 0.5000, 0.5000]], dtype=torch.float64)
    """
    if counts.dim() != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(
            f"counts have shape {tuple(counts.shape)}; they must be square"
        )
    if (counts < 0).any():
        raise ValueError(f"the smallest count is {counts.min()}; none may be below 0")
    counts = counts.to(torch.float64, copy=True)
    counts[counts.sum(dim=1) == 0, BOS_ID] = 1  # nothing known: begin again
    return counts / counts.sum(dim=1, keepdim=True)


def stationary_distribution(
    matrix: Float[Tensor, "vocab_size vocab_size"],
) -> Float[Tensor, " vocab_size"]:
    """The share of time that the chain spends at each token: the `p` with `p @ matrix = p`.

    Raises:
        ValueError: the matrix is not square, a row is no distribution, or there is more than
            one such `p`.

    >>> matrix = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    >>> stationary_distribution(matrix)
    tensor([0.2500, 0.2500, 0.5000], dtype=torch.float64)
    """
    size = len(matrix)
    if matrix.shape != (size, size) or size == 0:
        raise ValueError(
            f"the matrix has shape {tuple(matrix.shape)}; it must be square"
        )
    matrix = matrix.double()
    for row, probs in enumerate(matrix):
        if not abs(probs.sum() - 1) <= 1e-6:
            raise ValueError(
                f"row {row} of the matrix sums to {probs.sum():g}; every row must sum to 1"
            )
        if probs.min() < 0:
            raise ValueError(
                f"row {row} of the matrix holds {probs.min():g}; no number may be below 0"
            )
    equations = matrix.T - torch.eye(size, dtype=torch.float64)
    if torch.linalg.matrix_rank(equations) < size - 1:
        raise ValueError(
            "more than one stationary distribution: the chain falls into parts"
        )
    equations[-1] = 1  # one equation follows from the others; in its place: p sums to 1
    return torch.linalg.solve(equations, torch.eye(size, dtype=torch.float64)[-1])


# ------------------------------------------------------------------------------------ counting


class NGramCounts:
    """Which n-grams of 1 to `order` tokens occur in the sentences, and how often.

    The k-grams are numbered. A k-gram is a (k - 1)-gram, its prefix, and one token more, so
    `prefix * vocab_size + token` is a key of its own. The keys of one length are a sorted array;
    the number of a k-gram is its place there. So a whole text is looked up at once, and all
    k-grams with the same prefix lie side by side. The empty n-gram has number 0.

    Args:
        sentences: lists `[0, ..., 1]`. A single `<s>` begins each.
        order: the length of the longest n-grams.
        vocab_size: the number of tokens.

    Raises:
        ValueError: order is below 1, there is no sentence, or one does not run from `<s>` to
            `</s>`.

    Attributes:
        keys: of the k-grams, at `keys[k]`; a last key, never met, ends each array.
        counts: how often each k-gram occurs. `<s>` alone counts 0: it is never predicted.
        prefixes: the number of each k-gram without its last token.
        suffixes: the number of each k-gram without its first token.

    >>> ngrams = NGramCounts([[0, 2, 3, 1], [0, 2, 1]], order=2, vocab_size=4)
    >>> ngrams.counts[2]  # of <s> 2, 2 </s>, 2 3, 3 </s>
    array([2, 1, 1, 1])
    """

    def __init__(self, sentences: Sequence[Sequence[int]], order: int, vocab_size: int):
        check_order(order)
        check_sentences(sentences, vocab_size)
        self.order, self.vocab_size = order, vocab_size
        self.keys = [np.zeros(1, np.int64)]
        self.counts, self.prefixes, self.suffixes = [None], [None], [None]
        lengths = np.array([len(sentence) for sentence in sentences])
        tokens = np.fromiter(chain.from_iterable(sentences), np.int64, lengths.sum())
        place = np.arange(len(tokens)) - np.repeat(lengths.cumsum() - lengths, lengths)
        ends = np.zeros(len(tokens), np.int64)  # the (k - 1)-gram that ends there
        for k in range(1, order + 1):
            ends = self._count(k, tokens, np.flatnonzero(place >= k - 1), ends)
        self.counts[1][0] = 0  # <s>, the first of the sorted tokens

    def _count(
        self, k: int, tokens: np.ndarray, where: np.ndarray, ends: np.ndarray
    ) -> np.ndarray:
        """Count the k-grams that end at the places `where`; return the k-gram at each token."""
        keys, number, counts = np.unique(
            ends[where - 1] * self.vocab_size + tokens[where],
            return_inverse=True,
            return_counts=True,
        )
        suffixes = np.zeros(len(keys), np.int64)
        suffixes[number] = ends[where]
        self.keys.append(np.append(keys, np.iinfo(np.int64).max))
        self.counts.append(counts)
        self.prefixes.append(keys // self.vocab_size)
        self.suffixes.append(suffixes)
        ends = np.full(len(tokens), -1)
        ends[where] = number
        return ends

    def __len__(self) -> int:
        return sum(map(len, self.counts[1:]))

    def count(self, ngram: Sequence[int]) -> int:
        """How often these tokens stand side by side.

        Raises:
            ValueError: they are none, or more than `order`, or one is no id of the vocabulary.

        >>> NGramCounts([[0, 2, 3, 2, 3, 1]], order=2, vocab_size=4).count([2, 3])
        2
        """
        if not 1 <= len(ngram) <= self.order:
            raise ValueError(
                f"{len(ngram)} tokens; from 1 to order={self.order} were counted"
            )
        check_token_ids(torch.tensor([list(ngram)]), self.vocab_size)
        number = np.zeros(1, np.int64)
        for k, token in enumerate(ngram, start=1):
            number = self.find(k, number, np.array([token]))
        return int(self.counts[len(ngram)][number[0]]) if number[0] >= 0 else 0

    def find(
        self,
        k: int,
        prefix: Int[np.ndarray, "*places"],
        token: Int[np.ndarray, "*places"],
    ) -> Int[np.ndarray, "*places"]:
        """The numbers of the k-grams `prefix token`, all at once; -1 for what never occurred."""
        key = prefix * self.vocab_size + token
        number = np.searchsorted(self.keys[k], key)
        return np.where(self.keys[k][number] == key, number, -1)

    def children(
        self, k: int, prefix: Int[np.ndarray, " prefixes"]
    ) -> tuple[Int[np.ndarray, " children"], Int[np.ndarray, " children"]]:
        """All k-grams with these prefixes: the place of each one's prefix, and its number."""
        first = np.searchsorted(self.keys[k], prefix * self.vocab_size)
        after = np.searchsorted(self.keys[k], (prefix + 1) * self.vocab_size)
        n_children = after - first
        row = np.repeat(np.arange(len(prefix)), n_children)
        number = np.arange(len(row)) + np.repeat(
            after - n_children.cumsum(), n_children
        )
        return row, number

    def sum_by_prefix(
        self, k: int, values: Shaped[np.ndarray, " kgrams"]
    ) -> Float[np.ndarray, " prefixes"]:
        """Sum a value of each k-gram over those with the same prefix: one sum a prefix."""
        n_prefixes = 1 if k == 1 else len(self.counts[k - 1])
        sums = np.bincount(self.prefixes[k], weights=values, minlength=n_prefixes)
        return sums.astype(np.float64)  # bincount of nothing gives whole numbers

    def begins_sentence(self, k: int) -> Bool[np.ndarray, " kgrams"]:
        """Whether each k-gram begins with `<s>`."""
        if k == 1:
            return self.keys[1][:-1] == BOS_ID
        return self.begins_sentence(k - 1)[self.prefixes[k]]

    def continuation_counts(self, k: int) -> Int[np.ndarray, " kgrams"]:
        """How many different tokens stand before each k-gram; its count where it begins a sentence.

        The longest n-grams keep their counts too: nothing longer is known about them. So does
        an n-gram that begins with `<s>`: nothing can stand before it (Heafield et al., 2013).
        """
        if k == self.order:
            return self.counts[k]
        different = np.bincount(self.suffixes[k + 1], minlength=len(self.counts[k]))
        return np.where(self.begins_sentence(k), self.counts[k], different)


# ------------------------------------------------------------------------------ n-gram models


def check_vocab_size(vocab_size: int) -> None:
    """Raise a ValueError unless the vocabulary has room for `<s>` and `</s>`.

    >>> check_vocab_size(1)
    Traceback (most recent call last):
    ValueError: vocab_size=1; <s> and </s> alone make 2
    """
    if vocab_size < 2:
        raise ValueError(f"vocab_size={vocab_size}; <s> and </s> alone make 2")


def check_order(order: int) -> None:
    """Raise a ValueError unless an n-gram can have `order` tokens.

    >>> check_order(0)
    Traceback (most recent call last):
    ValueError: order=0; an n-gram has at least 1 token
    """
    if order < 1:
        raise ValueError(f"order={order}; an n-gram has at least 1 token")


class NGramModel(LanguageModel):
    """P(token | the last `order` - 1 tokens), the base of all models that count.

    Most methods have one form. What the counts of a context leave over, its *rest*, goes to the
    context that is one token shorter, and in the end to all tokens alike::

        P(token | context) = own(context token) + rest(context) * P(token | shorter context)

    A method says what `own` is for each n-gram and `rest` for each context (`estimate`). Two
    methods put them together in their own way (`lengthen`): `Additive` gives the rest to all
    tokens alike, `BackOff` only to tokens that were not seen.
    At the beginning of a sentence the context is shorter. A context that never occurred has no
    counts: its rest is 1.

    Args:
        order: the length of the n-grams: 1 looks at no token before, 2 at one, ...
        vocab_size: the number of tokens, `<s>` and `</s>` among them.

    Raises:
        ValueError: order is below 1, or vocab_size below 2.
    """

    rest_of_unseen = 1.0

    def __init__(self, order: int, vocab_size: int):
        super().__init__()
        check_order(order)
        check_vocab_size(vocab_size)
        self.order, self.vocab_size = order, vocab_size
        self.ngrams: NGramCounts | None = None

    def extra_repr(self) -> str:
        return f"order={self.order}, vocab_size={self.vocab_size}"

    def estimate(
        self, k: int
    ) -> tuple[Float[np.ndarray, " kgrams"], Float[np.ndarray, " contexts"]]:
        """What the counts say: `own` of each k-gram, `rest` of each (k - 1)-gram as a context."""
        raise NotImplementedError

    def fit(self, sentences: Sequence[Sequence[int]]) -> "NGramModel":
        """Count the sentences. Returns the model itself.

        Raises:
            ValueError: there is no sentence, or one does not run from `<s>` to `</s>`.
        """
        return self.fit_counts(NGramCounts(sentences, self.order, self.vocab_size))

    def fit_counts(self, ngrams: NGramCounts) -> "NGramModel":
        """Take n-grams that are counted already: several models can share them.

        Raises:
            ValueError: they were counted with another order or vocab_size.

        >>> ngrams = NGramCounts([[0, 2, 1]], order=2, vocab_size=4)
        >>> KneserNey(order=2, vocab_size=4).fit_counts(ngrams)
        KneserNey(order=2, vocab_size=4)
        """
        if (ngrams.order, ngrams.vocab_size) != (self.order, self.vocab_size):
            raise ValueError(
                f"counted with order={ngrams.order}, vocab_size={ngrams.vocab_size}; "
                f"{self} needs its own"
            )
        self.ngrams = ngrams
        self.own, self.rest = [None], [None]
        for k in range(1, self.order + 1):
            own, rest = self.estimate(k)
            self.own.append(np.append(own, 0.0))  # the last: what never occurred
            self.rest.append(np.append(rest, self.rest_of_unseen))
        return self

    def lengthen(
        self,
        k: int,
        ngram: Int[np.ndarray, "*#places"],
        context: Int[np.ndarray, "*#places"],
        shorter: Float[np.ndarray, "*#places"],
    ) -> Float[np.ndarray, "*#places"]:
        """P(token | k - 1 tokens) from P(token | k - 2 tokens), `shorter`."""
        return self.own[k][ngram] + self.rest[k][context] * shorter

    def log_prob(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time-1"]:
        """log P of the tokens that occur, in nats: looks up their n-grams and no others."""
        tokens, ends = self._look_up(token_ids)
        probs = np.full(tokens[:, 1:].shape, 1 / (self.vocab_size - 1))
        for k in range(1, self.order + 1):
            reach = max(k - 2, 0)  # the first place with k - 1 tokens of context
            ngram, context = ends[k][:, reach + 1 :], ends[k - 1][:, reach:-1]
            probs[:, reach:] = self.lengthen(k, ngram, context, probs[:, reach:])
        probs[tokens[:, 1:] == BOS_ID] = 0
        return torch.from_numpy(probs).log()

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        """log P of every token, in nats, -inf for the impossible; `<s>` always is."""
        tokens, ends = self._look_up(token_ids)
        probs = np.full((*tokens.shape, self.vocab_size), 1 / (self.vocab_size - 1))
        for k in range(1, self.order + 1):
            reach = max(k - 2, 0)
            context = ends[k - 1][:, reach:]
            ngram = self._all_next(k, context)
            probs[:, reach:] = self.lengthen(
                k, ngram, context[..., None], probs[:, reach:]
            )
        probs[..., BOS_ID] = 0
        return torch.from_numpy(probs).log()

    def next_token_probs(self, context: Sequence[int]) -> Float[Tensor, " vocab_size"]:
        """P(token | context) of every token.

        Raises:
            ValueError: the context is empty, or holds an id outside the vocabulary.
        """
        if len(context) == 0:
            raise ValueError(
                "the context has 0 tokens; it needs 1 at least, as [0] for <s>"
            )
        return self(torch.tensor([list(context)]))[0, -1].exp()

    def _check_fitted(self) -> None:
        if self.ngrams is None:
            raise ValueError(
                f"{self} has counted 0 sentences; call fit(sentences) first"
            )

    def _look_up(self, token_ids: Tensor) -> tuple[np.ndarray, list[np.ndarray]]:
        """The tokens, and for each k the number of the k-gram that ends at each token."""
        self._check_fitted()
        check_token_ids(token_ids, self.vocab_size)
        tokens = token_ids.long().numpy()
        ends = [np.zeros_like(tokens)]
        for k in range(1, self.order + 1):
            prefix = np.full_like(tokens, -1 if k > 1 else 0)
            prefix[:, 1:] = ends[k - 1][:, :-1]
            ends.append(self.ngrams.find(k, prefix, tokens))
        return tokens, ends

    def _all_next(self, k: int, context: np.ndarray) -> np.ndarray:
        """The number of the k-gram `context token` for every token: (batch, time, vocab_size)."""
        row, number = self.ngrams.children(k, context.ravel())
        ngram = np.full((context.size, self.vocab_size), -1)
        ngram[row, self.ngrams.keys[k][number] % self.vocab_size] = number
        return ngram.reshape(*context.shape, self.vocab_size)


class MaximumLikelihood(NGramModel):
    """P(token | context) = count(context token) / count(context): exactly what was seen.

    What was never seen is impossible. After a context that was never seen everything is: the
    probabilities there are all 0.

    >>> model = MaximumLikelihood(order=2, vocab_size=5).fit([[0, 2, 3, 1], [0, 2, 4, 1]])
    >>> model.next_token_probs([0, 2])
    tensor([0.0000, 0.0000, 0.0000, 0.5000, 0.5000], dtype=torch.float64)
    """

    rest_of_unseen = 0.0

    def estimate(
        self, k: int
    ) -> tuple[Float[np.ndarray, " kgrams"], Float[np.ndarray, " contexts"]]:
        counts = self.ngrams.counts[k]
        total = self.ngrams.sum_by_prefix(k, counts)
        return counts / total[self.ngrams.prefixes[k]], np.zeros(len(total))


class Additive(NGramModel):
    """Add `alpha` to every count (Laplace: 1): P = (count + alpha) / (total + alpha * n_tokens).

    `n_tokens` is vocab_size - 1: every token but `<s>`. In our form: the rest goes to all tokens
    alike, and not to a shorter context.

    Raises:
        ValueError: alpha is not above 0.

    >>> model = Additive(order=2, vocab_size=5).fit([[0, 2, 3, 1], [0, 2, 4, 1]])
    >>> model.next_token_probs([0, 2]) * 6
    tensor([0., 1., 1., 2., 2.], dtype=torch.float64)
    """

    def __init__(self, order: int, vocab_size: int, alpha: float | int = 1.0):
        super().__init__(order, vocab_size)
        if not 0 < alpha < np.inf:
            raise ValueError(f"alpha={alpha}; it must be a number above 0")
        self.alpha = alpha

    def estimate(
        self, k: int
    ) -> tuple[Float[np.ndarray, " kgrams"], Float[np.ndarray, " contexts"]]:
        counts = self.ngrams.counts[k]
        added = self.alpha * (self.vocab_size - 1)
        total = self.ngrams.sum_by_prefix(k, counts) + added
        return counts / total[self.ngrams.prefixes[k]], added / total

    def lengthen(
        self,
        k: int,
        ngram: Int[np.ndarray, "*#places"],
        context: Int[np.ndarray, "*#places"],
        shorter: Float[np.ndarray, "*#places"],
    ) -> Float[np.ndarray, "*#places"]:
        return self.own[k][ngram] + self.rest[k][context] / (self.vocab_size - 1)


class Interpolated(NGramModel):
    """A mixture of all orders with fixed weights: the simplest form of Jelinek & Mercer (1980).

    (They let the weights depend on how often the context was seen.) Where a context is shorter
    or never occurred, the weights of the orders that are left keep their proportions.

    Args:
        order: the length of the longest n-grams.
        vocab_size: the number of tokens.
        lambdas: `order` + 1 weights: of the uniform distribution, of order 1, of order 2, ...

    Raises:
        ValueError: the weights are not `order` + 1, do not sum to 1, or one is negative, or that
            of the uniform distribution is 0.

    >>> model = Interpolated(order=1, vocab_size=5, lambdas=(0.4, 0.6)).fit([[0, 2, 3, 1]])
    >>> model.next_token_probs([0])  # 0.4 / 4 + 0.6 / 3 for what was seen
    tensor([0.0000, 0.3000, 0.3000, 0.3000, 0.1000], dtype=torch.float64)
    """

    def __init__(self, order: int, vocab_size: int, lambdas: Sequence[float | int]):
        super().__init__(order, vocab_size)
        if len(lambdas) != order + 1:
            raise ValueError(
                f"{len(lambdas)} lambdas for order={order}; it takes order + 1 = {order + 1}: "
                "of the uniform distribution, then of each order from 1"
            )
        if not abs(sum(lambdas) - 1) <= 1e-9:
            raise ValueError(
                f"lambdas={tuple(lambdas)} sum to {sum(lambdas):g}; they must sum to 1"
            )
        if min(lambdas) < 0 or lambdas[0] == 0:
            raise ValueError(
                f"lambdas={tuple(lambdas)}; all must be >= 0 and the first above 0"
            )
        self.lambdas = tuple(lambdas)

    def estimate(
        self, k: int
    ) -> tuple[Float[np.ndarray, " kgrams"], Float[np.ndarray, " contexts"]]:
        counts = self.ngrams.counts[k]
        share = self.lambdas[k] / sum(self.lambdas[: k + 1])  # among the orders to k
        total = self.ngrams.sum_by_prefix(k, counts)
        own = share * counts / total[self.ngrams.prefixes[k]]
        return own, np.where(total > 0, 1 - share, 1.0)


class KneserNey(NGramModel):
    """Interpolated Kneser-Ney: take a discount off every count and give it to shorter contexts.

    Below the highest order an n-gram counts by how many different tokens stand before it, not
    by how often it occurs: "Francisco" is frequent, but only ever after "San"
    (Kneser & Ney, 1995; interpolated as in Chen & Goodman, 1998).

    >>> model = KneserNey(order=2, vocab_size=5).fit([[0, 2, 3, 1], [0, 2, 4, 1]])
    >>> model.next_token_probs([0, 2]).sum()
    tensor(1., dtype=torch.float64)
    """

    def counts_of_counts(self, k: int) -> Int[np.ndarray, " 5"]:
        """How many k-grams count 0, 1, 2, 3 and 4; below `order`, continuation counts.

        Raises:
            ValueError: the model is not fitted, or k is outside 1 .. order.

        >>> KneserNey(1, vocab_size=4).fit([[0, 2, 2, 3, 1]]).counts_of_counts(1).tolist()
        [1, 2, 1, 0, 0]
        """
        self._check_fitted()
        if not 1 <= k <= self.order:
            raise ValueError(f"k={k}; from 1 to order={self.order} were counted")
        counts = self.ngrams.continuation_counts(k)
        return np.bincount(counts[counts <= 4], minlength=5)

    def discounts(self, k: int) -> tuple[float, float, float]:
        """What is taken off a k-gram that counts 1, 2, and 3 or more: here always the same.

        With n1 and n2 the numbers of k-grams that count 1 and 2, it is n1 / (n1 + 2 n2).
        Where one of them is 0 that says nothing: then it is 0.5.

        Raises:
            ValueError: the model is not fitted, or k is outside 1 .. order.
        """
        _, n1, n2, _, _ = self.counts_of_counts(k)
        discount = n1 / (n1 + 2 * n2) if n1 * n2 > 0 else 0.5
        return discount, discount, discount

    def estimate(
        self, k: int
    ) -> tuple[Float[np.ndarray, " kgrams"], Float[np.ndarray, " contexts"]]:
        counts = self.ngrams.continuation_counts(k)
        discount = np.array([0, *self.discounts(k)])[np.minimum(counts, 3)]
        total = self.ngrams.sum_by_prefix(k, counts)
        taken = self.ngrams.sum_by_prefix(k, discount)
        own = (counts - discount) / total[self.ngrams.prefixes[k]]
        return own, np.where(total > 0, taken / np.maximum(total, 1), 1.0)


class ModifiedKneserNey(KneserNey):
    """Kneser-Ney with three discounts, for counts of 1, of 2 and of 3 or more.

    Chen & Goodman (1998), with the conventions of KenLM (Heafield et al., 2013): the model that
    everything in this course has to beat.

    >>> model = ModifiedKneserNey(order=2, vocab_size=5).fit([[0, 2, 3, 1], [0, 2, 4, 1]])
    >>> model.discounts(2)  # too few counts to say: the fall-back
    (0.5, 1.0, 1.5)
    """

    def discounts(self, k: int) -> tuple[float, float, float]:
        """What is taken off a k-gram that counts 1, 2, and 3 or more.

        With n_c the number of k-grams that count c, and Y = n1 / (n1 + 2 n2), a count c loses
        c - (c + 1) Y n_(c+1) / n_c. Where n_1, n_2 or n_3 is 0, or a discount falls below 0,
        these numbers mean nothing: then the three are 0.5, 1 and 1.5, KenLM's fall-back.
        """
        n = self.counts_of_counts(k)
        if n[1:4].min() == 0:
            return 0.5, 1.0, 1.5
        y = n[1] / (n[1] + 2 * n[2])
        discounts = tuple(float(c - (c + 1) * y * n[c + 1] / n[c]) for c in (1, 2, 3))
        return discounts if min(discounts) >= 0 else (0.5, 1.0, 1.5)


class BackOff(NGramModel):
    """Use the longest context that has seen the token; only for the others go to a shorter one.

    Absolute discounting (Ney, Essen & Kneser, 1994), backed off as in Katz (1987): `discount`
    is taken off every count, and shared among the tokens that never followed the context, in
    proportion to their probability after the shorter context. Where every token has followed,
    nothing is taken.

    Raises:
        ValueError: the discount is not between 0 and 1.

    >>> model = BackOff(order=2, vocab_size=5).fit([[0, 2, 3, 1], [0, 2, 4, 1]])
    >>> model.next_token_probs([0, 2])
    tensor([0.0000, 0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """

    def __init__(self, order: int, vocab_size: int, discount: float | int = 0.5):
        super().__init__(order, vocab_size)
        if not 0 < discount < 1:
            raise ValueError(f"discount={discount}; it must be above 0 and below 1")
        self.discount = discount

    def estimate(
        self, k: int
    ) -> tuple[Float[np.ndarray, " kgrams"], Float[np.ndarray, " contexts"]]:
        counts, prefix = self.ngrams.counts[k], self.ngrams.prefixes[k]
        total = self.ngrams.sum_by_prefix(k, counts)
        full = self.ngrams.sum_by_prefix(k, counts > 0) == self.vocab_size - 1
        discount = np.where(full[prefix], 0, np.minimum(self.discount, counts))
        own = (counts - discount) / total[prefix]
        shorter = 1 / (self.vocab_size - 1)
        if k > 1:
            shorter = self.own[k - 1][self.ngrams.suffixes[k]]
        unseen = 1 - self.ngrams.sum_by_prefix(k, np.where(counts > 0, shorter, 0))
        taken = self.ngrams.sum_by_prefix(k, discount)
        left = np.maximum(total * unseen, np.finfo(np.float64).tiny)  # not 0: we divide
        return own, np.where(total > 0, taken / left, 1.0)

    def lengthen(
        self,
        k: int,
        ngram: Int[np.ndarray, "*#places"],
        context: Int[np.ndarray, "*#places"],
        shorter: Float[np.ndarray, "*#places"],
    ) -> Float[np.ndarray, "*#places"]:
        return np.where(ngram >= 0, self.own[k][ngram], self.rest[k][context] * shorter)


# ----------------------------------------------------------------------- the bridge to learning


class SoftmaxBigram(LanguageModel):
    """One linear layer and softmax: a bigram model that is not counted but trained.

    The input is one-hot, so the layer picks one row of its weights: the logits of what follows.
    They start at 0, where every token is equally likely.

    Raises:
        ValueError: vocab_size is below 2.

    >>> model = SoftmaxBigram(vocab_size=4)
    >>> model(torch.tensor([[0, 2]])).softmax(dim=-1)[0, -1]
    tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64, grad_fn=<SelectBackward0>)
    """

    def __init__(self, vocab_size: int):
        super().__init__()
        check_vocab_size(vocab_size)
        self.vocab_size = vocab_size
        self.linear = nn.Linear(vocab_size, vocab_size, bias=False, dtype=torch.float64)
        nn.init.zeros_(self.linear.weight)

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        check_token_ids(token_ids, self.vocab_size)
        one_hot = nn.functional.one_hot(token_ids, self.vocab_size).double()
        return self.linear(one_hot)
