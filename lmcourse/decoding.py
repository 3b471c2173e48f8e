"""Decoding: from the scores of the next token to a text.

Greedy decoding takes the most probable token. Sampling draws one; temperature, top-k (Fan et al.,
2018, *Hierarchical Neural Story Generation*) and top-p (Holtzman et al., 2020, *The Curious Case of
Neural Text Degeneration*) say how bold the draw is.
One `generate` serves every model of the course.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lmcourse.language_models import LanguageModel

ROUNDING = 1e-9  # sums of probabilities that differ by less count as equal


def greedy(logits: Float[Tensor, " vocab_size"]) -> int:
    """The most probable token; the first of them, where several are.

    >>> greedy(torch.tensor([0.1, 2.0, 0.3]))
    1
    """
    return int(logits.argmax())


def filter_logits(
    logits: Float[Tensor, "*batch vocab_size"],
    temperature: float | int = 1.0,
    top_k: int | None = None,
    top_p: float | int | None = None,
) -> Float[Tensor, "*batch vocab_size"]:
    """Prepare scores for a draw: first temperature, then top-k, then top-p.

    Args:
        logits: scores of the next token.
        temperature: logits are divided by it; below 1 the likely become likelier.
        top_k: keep this many tokens, the most probable ones.
        top_p: keep the fewest most probable tokens that hold at least this much probability.

    Returns:
        The logits, those of dropped tokens -inf.

    Raises:
        ValueError: temperature is not finite and above 0, top_k below 1, or top_p not in (0, 1].

    >>> logits = torch.tensor([0.5, 0.3, 0.2]).log()
    >>> filter_logits(logits, top_k=2).softmax(dim=-1)
    tensor([0.6250, 0.3750, 0.0000])
    >>> filter_logits(logits, top_p=0.6).softmax(dim=-1)
    tensor([0.6250, 0.3750, 0.0000])
    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature={temperature}; a draw needs a finite temperature > 0"
        )
    logits = logits / temperature
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return logits


def keep_top_k(
    logits: Float[Tensor, "*batch vocab_size"], top_k: int
) -> Float[Tensor, "*batch vocab_size"]:
    """Keep the `top_k` highest logits; a tie with the last of them is kept too.

    >>> keep_top_k(torch.tensor([1.0, 3.0, 2.0]), 2)
    tensor([-inf, 3., 2.])
    """
    if top_k < 1:
        raise ValueError(f"top_k={top_k}; at least 1 token must be kept")
    last = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < last, -torch.inf)


def keep_top_p(
    logits: Float[Tensor, "*batch vocab_size"], top_p: float | int
) -> Float[Tensor, "*batch vocab_size"]:
    """Keep the most probable tokens until together they hold at least `top_p`.

    A token on the edge is dropped where those before it hold `top_p` up to rounding (1e-9). Of
    equally probable tokens the sort decides. With 1 nothing is dropped.

    >>> keep_top_p(torch.tensor([0.2, 0.5, 0.3]).log(), 0.6).softmax(dim=-1)
    tensor([0.0000, 0.6250, 0.3750])
    """
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p}; it must be above 0 and at most 1")
    if top_p == 1:
        return logits
    probs, order = logits.double().softmax(dim=-1).sort(dim=-1, descending=True)
    # `before`: the probability of all that is more probable
    before = probs.cumsum(dim=-1) - probs
    beyond = before >= top_p - ROUNDING
    dropped = torch.empty_like(beyond).scatter(-1, order, beyond)
    return logits.masked_fill(dropped, -torch.inf)


@torch.no_grad()
def generate(
    model: LanguageModel,
    token_ids: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float | int = 1.0,
    top_k: int | None = None,
    top_p: float | int | None = None,
    generator: torch.Generator | None = None,
    eos_id: int = 1,
) -> list[int]:
    """Continue a text token by token, until `</s>` or until `max_new_tokens` are added.

    The model is switched to evaluation while it writes, and back after.

    Args:
        model: any language model.
        token_ids: the beginning; it starts with `<s>`, id 0, and does not hold the end.
        max_new_tokens: the most tokens to add, 0 or more.
        temperature: 0 decodes greedily; otherwise as in `filter_logits`.
        top_k: as in `filter_logits`.
        top_p: as in `filter_logits`.
        generator: the source of chance; the same seed gives the same text.
        eos_id: the token that ends the text.

    Returns:
        The beginning and what was added to it, `</s>` included where it came.

    Raises:
        ValueError: the beginning or a setting is not as above, or the model's scores give no
            token any probability.

    >>> from lmcourse.language_models import Unigram
    >>> generate(Unigram([0, 1, 5, 2]), [0], max_new_tokens=4, temperature=0)
    [0, 2, 2, 2, 2]
    """
    token_ids = list(token_ids)
    if token_ids[:1] != [0] or eos_id in token_ids or max_new_tokens < 0:
        raise ValueError(
            f"token_ids={token_ids}, max_new_tokens={max_new_tokens}; the beginning must start "
            f"with <s> (id 0) and not hold the end (id {eos_id}), and 0 or more tokens are added"
        )
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            logits = model(torch.tensor([token_ids]))[0, -1]
            token = choose(logits, temperature, top_k, top_p, generator)
            token_ids.append(token)
            if token == eos_id:
                break
    finally:
        model.train(was_training)
    return token_ids


def choose(
    logits: Float[Tensor, " vocab_size"],
    temperature: float | int = 1.0,
    top_k: int | None = None,
    top_p: float | int | None = None,
    generator: torch.Generator | None = None,
) -> int:
    """The next token: the most probable one at temperature 0, otherwise a draw. Never `<s>`.

    Raises:
        ValueError: a setting is out of range (see `filter_logits`), or the scores give no token
            any probability.

    >>> choose(torch.tensor([9.0, 1.0, 3.0]), temperature=0)
    2
    """
    logits = logits.clone()
    logits[0] = -torch.inf  # <s> never comes next, whatever an untrained model says
    scores = filter_logits(logits, temperature or 1.0, top_k, top_p)
    probs = scores.softmax(dim=-1)
    if probs.isnan().any():
        raise ValueError(
            f"the scores give all {len(logits)} tokens probability 0, or one of them is NaN "
            f"(temperature={temperature}); at least one token must be possible to go on"
        )
    if temperature == 0:
        return greedy(scores)
    return int(torch.multinomial(probs, 1, generator=generator))
