"""Training: small steps down the slope of the loss, the same loop for every model.

The seed of a run moves data and initialisation through named generators, so a new source of
chance never shifts the others. Training length is in steps, never in seconds.
"""

import hashlib
import math
from collections.abc import Sequence

import torch

from lmcourse.language_models import LanguageModel, check_sentences, pad_sentences


def generator(seed: int, name: str) -> torch.Generator:
    """A source of chance of its own for each purpose: the same seed and name, the same stream.

    >>> torch.rand(2, generator=generator(0, "data"))
    tensor([0.4620, 0.5262])
    """
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") % 2**63)


def set_threads(n_threads: int = 2) -> None:
    """Fix the number of threads: sums in another order round otherwise, and training drifts.

    >>> set_threads(2)
    >>> torch.get_num_threads()
    2
    """
    torch.set_num_threads(n_threads)


def train(
    model: LanguageModel,
    sentences: Sequence[Sequence[int]],
    *,
    steps: int,
    lr: float | int,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
) -> list[float]:
    """Lower the cross-entropy of the model on the sentences, step by step, with Adam.

    Args:
        model: the model; its parameters are changed.
        sentences: lists of token ids `[0, ..., 1]`.
        steps: how many steps.
        lr: the learning rate of the first step; it falls to 0 along half a cosine.
        batch_size: sentences drawn for each step; None takes all of them every time.
        generator: the source of chance of the draw.

    Returns:
        The loss before each step, in bits per token.

    Raises:
        ValueError: there is no sentence, one does not run from `<s>` to `</s>`, steps, lr or
            batch_size is no number above 0, or the model has nothing to train.

    >>> from lmcourse.markov import SoftmaxBigram
    >>> losses = train(SoftmaxBigram(vocab_size=4), [[0, 2, 1], [0, 3, 1]], steps=50, lr=0.5)
    >>> [round(losses[0], 2), round(losses[-1], 2)]  # only the first token stays uncertain
    [2.0, 0.5]
    """
    check_sentences(sentences, model.vocab_size)
    for name, value in {"steps": steps, "lr": lr, "batch_size": batch_size}.items():
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name}={value}; it must be above 0, and finite")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"{model} has 0 parameters to train; a counted model needs fit"
        )
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    model.train()
    losses = []
    for _ in range(steps):
        token_ids, mask = pad_sentences(draw(sentences, batch_size, generator))
        loss = -model.log_prob(token_ids)[mask[:, 1:]].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item() / math.log(2))
    return losses


def draw(
    sentences: Sequence[Sequence[int]],
    batch_size: int | None,
    generator: torch.Generator | None = None,
) -> Sequence[Sequence[int]]:
    """Draw a batch of sentences, with replacement; None takes them all.

    >>> draw([[0, 2, 1]], batch_size=2)
    [[0, 2, 1], [0, 2, 1]]
    """
    if batch_size is None:
        return sentences
    drawn = torch.randint(len(sentences), (batch_size,), generator=generator)
    return [sentences[index] for index in drawn.tolist()]
