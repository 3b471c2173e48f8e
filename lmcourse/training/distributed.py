"""Training beyond one process: every process has all weights and reads its own part of the data.

The loop is `train`, as it is. It runs in every process, on a `Replica` of the model, and on the
process's own `shard` of the examples. Whenever gradients are made, torch's
`DistributedDataParallel` puts their mean over the processes in their place (Li et al., 2020,
*PyTorch Distributed: Experiences on Accelerating Data Parallel Training*). So all optimizers do
the same, and the weights stay the same.

`torchrun` starts the processes, on one machine or on several. With one process nothing is sent.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lmcourse.language_models import LanguageModel
from lmcourse.training import generator, predicted_log_probs

MEASURED_AT_ONCE = 32  # examples: the logits of a large vocabulary take much memory

# ------------------------------------------------------------------------------- the processes


@contextmanager
def joined(device: str = "cpu") -> Iterator[None]:
    """Be one of the processes that torchrun has started, and leave them at the end.

    Without torchrun this is the only process, and nothing is done.

    Args:
        device: "cuda" talks through NCCL, one GPU a process; all others through gloo.

    Raises:
        ValueError: this machine has fewer GPUs than processes.

    >>> with joined():
    ...     rank(), world_size()
    (0, 1)
    """
    if "RANK" not in os.environ:
        yield
        return
    if device == "cuda":
        local_rank, n_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local_rank >= n_gpus:
            raise ValueError(
                f"process {local_rank} of this machine has no GPU of its own, there are {n_gpus}; "
                f"start as many processes as GPUs: --nproc-per-node {n_gpus}"
            )
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


class ToldByFirst(Exception):
    """Raised in all processes but 0: something went wrong, and process 0 says what."""


def together(do: Callable[[], object]) -> object:
    """Do something that may fail in some processes; if it does, stop in all of them.

    Returns:
        What `do` gives.

    Raises:
        ValueError, OSError: in process 0, what was raised there, or what the first process says
            that failed.
        ToldByFirst: in the others.

    >>> together(lambda: 1 + 1)
    2
    """
    result = error = None
    try:
        result = do()
    except (ValueError, OSError) as caught:
        error = caught
    if world_size() == 1:
        if error is not None:
            raise error
        return result
    messages = [None] * world_size()
    dist.all_gather_object(messages, error and str(error))
    for number, message in enumerate(messages):
        if message is not None:
            if rank() > 0:
                raise ToldByFirst(message)
            raise error or ValueError(f"process {number}: {message}")
    return result


def from_first(do: Callable[[], object]) -> object:
    """What `do` gives in process 0, in all processes. Errors are as of `together`.

    >>> from_first(lambda: 1 + 1)
    2
    """
    result = [together(lambda: do() if rank() == 0 else None)]
    if world_size() > 1:
        dist.broadcast_object_list(result, src=0)
    return result[0]


def check_agreed(name: str, value: object) -> None:
    """Raise a ValueError where the processes do not have the same value; see `together`.

    >>> check_agreed("the text", "e3b0c442")
    """

    def check() -> None:
        for number, other in enumerate(values):
            if other != values[0]:
                raise ValueError(
                    f"{name} is {values[0]} in process 0 and {other} in process {number}; all "
                    "processes must have the same"
                )

    if world_size() > 1:
        values = [None] * world_size()
        dist.all_gather_object(values, value)
        together(check)


# ------------------------------------------------------------------------------------ the data


def shard(examples: Iterable, rank: int, world_size: int) -> list:
    """The examples of one process: every `world_size`-th. All processes get equally many.

    The examples may be a stream; only those of the process are kept. At most world_size - 1 at the
    end go to nobody.

    Raises:
        ValueError: rank is not in 0 .. world_size - 1, or there are fewer examples than processes.

    >>> [shard("abcdefgh", rank, world_size=3) for rank in range(3)]
    [['a', 'd'], ['b', 'e'], ['c', 'f']]
    """
    if not 0 <= rank < world_size:
        raise ValueError(
            f"rank={rank}, world_size={world_size}; ranks are 0 .. {world_size - 1}"
        )
    kept, n_examples = [], 0
    for n_examples, example in enumerate(examples, start=1):
        if (n_examples - 1) % world_size == rank:
            kept.append(example)
    if n_examples < world_size:
        raise ValueError(
            f"{n_examples} examples for {world_size} processes; each needs one at least"
        )
    return kept[: n_examples // world_size]


# ------------------------------------------------------------------------------------ the step


class Prediction(nn.Module):
    """`predicted_log_probs` as a module: what `DistributedDataParallel` can be put around."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, examples: Sequence) -> Float[Tensor, " predicted"]:
        """Log P of every predicted token, in nats."""
        return predicted_log_probs(self.model, examples)


class Replica(nn.Module):
    """The model of one process, which learns from the batches of all processes.

    `train` takes the mean of the log probabilities that it gets. Here they come from all
    processes: as many as there are tokens in the joined batch, each with the mean of all. So the
    loss, the number of tokens and what is measured on dev are those of the joined batch, and the
    same number in every process.

    Gradients need care. `DistributedDataParallel` takes the mean over processes. Say that one
    process predicts 1 token and another 3. Then the mean of their two means counts the first token
    three times as much as each of the others. So each process divides the sum of its own log
    probabilities by what one process has on average, here by 2, and not by its own 1 or 3::

        (sum_1 / 2 + sum_2 / 2) / 2 = (sum_1 + sum_2) / 4

    That is the mean of the joined batch, and so is its gradient.

    In training every process draws its own chance (dropout) at each step, from the seed, its rank
    and the number of the step. The number is saved with the weights: a run that goes on draws what
    it would have drawn.

    A replica is for one training run.

    Args:
        model: a language model, or what else `predicted_log_probs` takes. In training each of its
            parameters must have a part in each loss.
        seed: of the chance of all processes.

    Attributes:
        step: how many steps were taken.
        n_tokens: how many tokens were predicted in training since this object was made.

    >>> from lmcourse.markov import SoftmaxBigram
    >>> from lmcourse.training import train
    >>> model = SoftmaxBigram(vocab_size=4)
    >>> train(Replica(model, seed=0), [[0, 2, 1], [0, 3, 1]], steps=50, lr=0.5)
    History(50 steps, 200 tokens)
    """

    step: Int[Tensor, ""]

    def __init__(self, model: nn.Module, seed: int):
        super().__init__()
        self.model, self.seed, self.n_tokens = model, seed, 0
        self.register_buffer("step", torch.tensor(0))
        self.predict: Callable[[Sequence], Tensor] | None = None

    def predicted_log_probs(self, examples: Sequence) -> Float[Tensor, " predicted"]:
        """Log P of every predicted token of the joined batch: their mean, once for each of them.

        Args:
            examples: in training those of this process. In evaluation those of all: each process
                reads its share.
        """
        if self.training:
            log_probs = joined_log_probs(self._in_training(examples))
            self.n_tokens += len(log_probs)
            return log_probs
        share = examples[rank() :: world_size()]
        parts = [
            predicted_log_probs(self.model, share[start : start + MEASURED_AT_ONCE])
            for start in range(0, len(share), MEASURED_AT_ONCE)
        ]
        nothing = next(self.parameters()).new_zeros(0)
        return joined_log_probs(torch.cat([nothing, *parts]))

    def _in_training(self, examples: Sequence) -> Float[Tensor, " predicted"]:
        if self.predict is None:  # not before: train has moved the model by now
            prediction = Prediction(self.model)
            if world_size() > 1:
                prediction = DistributedDataParallel(prediction)
            # A method, not the module: the parameters must not be registered twice.
            self.predict = prediction.__call__
        purpose = f"dropout, process {rank()}, step {int(self.step)}"
        torch.manual_seed(generator(self.seed, purpose).initial_seed())
        self.step += 1
        return self.predict(examples)


def joined_log_probs(
    own: Float[Tensor, " own"],
) -> Float[Tensor, " predicted"]:
    """The mean log probability of all processes, once for each of their tokens; see `Replica`."""
    if world_size() == 1:
        return own
    facts = torch.stack([own.new_tensor(len(own)), own.detach().sum()]).double()
    of_all = [torch.empty_like(facts) for _ in range(world_size())]
    dist.all_gather(of_all, facts)
    n_tokens, total = torch.stack(of_all).sum(dim=0).tolist()
    part = own.sum() * (world_size() / n_tokens)
    # The value is that of all processes, the gradient that of the own tokens.
    mean = total / n_tokens + (part - part.detach())
    return mean.expand(int(n_tokens))


# ---------------------------------------------------------------------------------- checkpoints


@contextmanager
def shared_checkpoint(path: Path | str) -> Iterator[Path | None]:
    """The checkpoint that `train` is given in this process.

    Process 0 has the file itself, and is the only one that keeps one. It sends what stands there to
    the others, which need not share its disk: they read it from a temporary folder. Where there is
    no file yet, they need none.

    >>> with shared_checkpoint("run.safetensors") as path:
    ...     path
    PosixPath('run.safetensors')
    """
    path = Path(path)
    if world_size() == 1:
        yield path
        return
    content = from_first(lambda: path.read_bytes() if path.exists() else None)
    if rank() == 0:
        yield path
    elif content is None:
        yield None
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(content)
            yield copy


# ---------------------------------------------------------------------------------------- speed


class Bfloat16(LanguageModel):
    """A language model whose matrix products are made of numbers of 16 bits (bfloat16).

    The weights keep their 32 bits, and so do softmax and loss: torch's autocast changes numbers
    where a product needs them (Micikevicius et al., 2018, *Mixed Precision Training*). GPUs have
    units for such products. bfloat16 has the range of 32 bits and fewer digits, so the loss needs
    no scaling.

    Args:
        model: the language model; its parameters are trained.

    >>> from lmcourse.transformer import small_transformer
    >>> Bfloat16(small_transformer(vocab_size=7))(torch.tensor([[0, 3]])).dtype
    torch.float32
    """

    def __init__(self, model: LanguageModel):
        super().__init__()
        self.model, self.vocab_size = model, model.vocab_size

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        with torch.autocast(token_ids.device.type, torch.bfloat16):
            return self.model(token_ids).float()
