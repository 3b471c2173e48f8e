"""Training: small steps down the slope of the loss, the same loop for every model.

A model is trained on examples: sentences for a language model, pairs of sentences for a
translator. All that the loop asks of a model is the log probability of what it should predict.

The seed of a run moves data and initialisation through named generators, so a new source of
chance never shifts the others. Training length is in steps, never in seconds.
"""

import copy
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from lmcourse.language_models import LanguageModel, check_sentences, pad_sentences

# ------------------------------------------------------------------------- chance and machine


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


def initialised(make: Callable[[], nn.Module], seed: int, name: str) -> nn.Module:
    """Make a model whose random beginning depends on the seed and the name alone.

    >>> first, second = (initialised(lambda: nn.Linear(2, 3), 0, "linear") for _ in range(2))
    >>> torch.equal(first.weight, second.weight)
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, name).initial_seed())
        return make()


def best_device() -> str:
    """The fastest kind of device that this machine has: "cuda", "mps" (Apple) or "cpu".

    >>> best_device() in ("cuda", "mps", "cpu")
    True
    """
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


# -------------------------------------------------------------------------------- the loss


def predicted_log_probs(
    model: nn.Module, examples: Sequence
) -> Float[Tensor, " predicted"]:
    """log P of every token that the model should predict in these examples, in nats.

    A model with a `predicted_log_probs` of its own (a translator) says what it predicts. A
    language model predicts every token of a sentence but the first.

    >>> from lmcourse.language_models import Uniform
    >>> predicted_log_probs(Uniform(5), [[0, 3, 1], [0, 1]]).exp()
    tensor([0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """
    if not isinstance(model, LanguageModel):
        return model.predicted_log_probs(examples)
    token_ids, mask = (part.to(device_of(model)) for part in pad_sentences(examples))
    return model.log_prob(token_ids)[mask[:, 1:]]


@torch.no_grad()
def mean_bits(model: nn.Module, examples: Sequence, batch_size: int = 250) -> float:
    """Bits that the model needs for a token of the examples, on average.

    >>> from lmcourse.language_models import Uniform
    >>> mean_bits(Uniform(5), [[0, 3, 1], [0, 1]])
    2.0
    """
    by_length = sorted(examples, key=n_tokens)
    with evaluating(model):
        log_probs = [
            predicted_log_probs(model, by_length[start : start + batch_size]).cpu()
            for start in range(0, len(by_length), batch_size)
        ]
    return -torch.cat(log_probs).double().mean().item() / math.log(2)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch a model to evaluation (no dropout), and back after.

    >>> model = nn.Dropout()
    >>> with evaluating(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters lie; "cpu" for a model that has none.

    >>> device_of(nn.Linear(2, 3))
    device(type='cpu')
    """
    return next((part.device for part in model.parameters()), torch.device("cpu"))


def clip_gradients(
    parameters: Iterable[nn.Parameter], max_norm: float | int
) -> Float[Tensor, ""]:
    """Shorten the gradient to `max_norm` where it is longer. Its direction stays.

    All parameters together are one long vector, and its length is what is limited (Pascanu et
    al., 2013, *On the Difficulty of Training Recurrent Neural Networks*).

    Args:
        parameters: their `grad` is changed in place; those without one are left alone.
        max_norm: the greatest length that stays as it is.

    Returns:
        The length before.

    Raises:
        ValueError: max_norm is not above 0.

    >>> weight = nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> clip_gradients([weight], max_norm=1), weight.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm={max_norm}; it must be above 0")
    gradients = [part.grad for part in parameters if part.grad is not None]
    if not gradients:
        return torch.tensor(0.0)
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
    return norm


# -------------------------------------------------------------------------------- the batches


def n_tokens(example: Sequence) -> int:
    """The number of tokens of a sentence, or of all sentences of a pair.

    >>> n_tokens([0, 5, 1]), n_tokens(([0, 5, 1], [0, 7, 8, 1]))
    (3, 7)
    """
    return len(example) if isinstance(example[0], int) else sum(map(len, example))


class Batches:
    """Endless batches of examples of similar length, so that little of a batch is padding.

    An epoch shuffles the examples, sorts them by length within groups of 32 batches, and shuffles
    the batches. Each example comes once an epoch. Where a run was, the number of its next batch
    tells: `skip` goes there.

    Args:
        examples: what to draw from.
        batch_size: examples a batch; None takes all of them every time, in their order.
        generator: the source of chance; None makes one from torch's.

    Attributes:
        start: the state of the generator before the first batch.

    >>> batches = Batches([[0, 2, 1], [0, 1]], batch_size=1, generator=generator(0, "batches"))
    >>> sorted([next(batches), next(batches)])
    [[[0, 1]], [[0, 2, 1]]]
    """

    GROUP = 32

    def __init__(
        self,
        examples: Sequence,
        batch_size: int | None = None,
        generator: torch.Generator | None = None,
    ):
        self.examples, self.batch_size = examples, batch_size
        if generator is None:
            generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self.generator, self.start = generator, generator.get_state()
        self.epoch: Iterator[Sequence] = iter(())

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> Sequence:
        if self.batch_size is None:
            return self.examples
        indices = next(self.epoch, None)
        if indices is None:
            self.epoch = iter(self._shuffled())
            indices = next(self.epoch)
        return [self.examples[index] for index in indices]

    def skip(self, n_batches: int) -> None:
        """Pass over batches without making them."""
        if self.batch_size is not None:
            for _ in range(n_batches):
                if next(self.epoch, None) is None:
                    self.epoch = iter(self._shuffled())
                    next(self.epoch)

    def _shuffled(self) -> list[list[int]]:
        order = self._permutation(len(self.examples))
        batches = []
        for start in range(0, len(order), self.batch_size * self.GROUP):
            group = order[start : start + self.batch_size * self.GROUP]
            group.sort(key=lambda index: n_tokens(self.examples[index]))
            batches += [
                group[first : first + self.batch_size]
                for first in range(0, len(group), self.batch_size)
            ]
        return [batches[index] for index in self._permutation(len(batches))]

    def _permutation(self, size: int) -> list[int]:
        return torch.randperm(size, generator=self.generator).tolist()


# -------------------------------------------------------------------------------- the loop


@dataclass(repr=False)
class History:
    """What a training run has seen.

    Attributes:
        losses: the loss before each step, in bits per token.
        dev_bits: bits per token on the development examples, by the number of steps taken.
        n_tokens: how many tokens were predicted in training.
    """

    losses: list[float] = field(default_factory=list)
    dev_bits: dict[int, float] = field(default_factory=dict)
    n_tokens: int = 0

    @property
    def best_step(self) -> int | None:
        """After how many steps the model was best on the development examples."""
        return min(self.dev_bits, key=self.dev_bits.get, default=None)

    def __repr__(self) -> str:
        return f"History({len(self.losses)} steps, {self.n_tokens:,} tokens)"


def train(
    model: nn.Module,
    examples: Sequence,
    *,
    steps: int,
    lr: float | int,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
    warm_up: int = 0,
    weight_decay: float | int = 0.0,
    max_norm: float | int = math.inf,
    dev: Sequence | None = None,
    evaluate_every: int = 250,
    patience: int | None = None,
    checkpoint: Path | str | None = None,
    save_every: int = 500,
    device: str | torch.device = "cpu",
) -> History:
    """Lower the cross-entropy of the model on the examples, step by step, with Adam.

    Args:
        model: the model; its parameters are changed. It comes back to where it was, on the CPU.
        examples: sentences, or what else `predicted_log_probs` takes.
        steps: how many steps.
        lr: the highest learning rate. It rises to it on a line in the first `warm_up` steps, and
            falls to 0 along half a cosine.
        batch_size: examples of a step; None takes all of them every time.
        generator: the source of chance of the draw; None makes one from torch's.
        warm_up: in steps.
        weight_decay: how much all parameters are drawn to 0 (AdamW).
        max_norm: a longer gradient is shortened to this length.
        dev: development examples. The model ends as it was when it was best on them.
        evaluate_every: after so many steps, and at the end, the dev examples are measured.
        patience: stop when so many measurements in a row brought no better one.
        checkpoint: a file. The run is saved there, and goes on from there where it exists.
        save_every: in steps; the run is saved at its end, too.
        device: where to train: "cpu", "cuda", "mps", or what `best_device` finds.

    Returns:
        The losses, and what was measured on the dev examples.

    Raises:
        ValueError: there is no example, a sentence does not run from `<s>` to `</s>`, a setting is
            out of range, the model has nothing to train, the loss is no longer a number, or
            the checkpoint is of another run.

    >>> from lmcourse.markov import SoftmaxBigram
    >>> history = train(SoftmaxBigram(vocab_size=4), [[0, 2, 1], [0, 3, 1]], steps=50, lr=0.5)
    >>> round(history.losses[0], 2), round(history.losses[-1], 2)  # the first word stays open
    (2.0, 0.5)
    """
    check_run(
        model,
        examples,
        dev,
        warm_up,
        steps=steps,
        lr=lr,
        batch_size=batch_size,
        evaluate_every=evaluate_every,
        patience=patience,
        save_every=save_every,
    )
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=weight_decay)
    batches = Batches(examples, batch_size, generator)
    run = Run(
        model,
        optimizer,
        batches,
        steps=steps,
        lr=lr,
        batch_size=batch_size,
        warm_up=warm_up,
        weight_decay=weight_decay,
        max_norm=max_norm,
        n_examples=len(examples),
        device=torch.device(device).type,
        seed=None if generator is None else generator.initial_seed(),
    )
    if checkpoint is not None and Path(checkpoint).exists():
        run.load(checkpoint)
    history = run.history
    n_tokens_before = history.n_tokens
    with tqdm(total=steps, initial=run.step, unit="step", leave=False) as bar:
        while run.step < steps and not run.out_of_patience(patience):
            for group in optimizer.param_groups:
                group["lr"] = lr * learning_rate_factor(run.step, steps, warm_up)
            loss, n_predicted = take_step(model, next(batches), optimizer, max_norm)
            if not math.isfinite(loss):
                raise ValueError(
                    f"the loss is {loss} at step {run.step}; a lower lr than {lr}, or a lower "
                    f"max_norm than {max_norm}, keeps it finite"
                )
            history.losses.append(loss)
            history.n_tokens += n_predicted
            if dev is not None and is_due(run.step, evaluate_every, steps):
                run.keep_if_best(mean_bits(model, dev))
            ends = run.step == steps or run.out_of_patience(patience)
            if checkpoint is not None and (ends or run.step % save_every == 0):
                run.save(checkpoint)
            show_progress(bar, loss, history.n_tokens - n_tokens_before)
    if run.best is not None:
        model.load_state_dict(run.best)
    model.to("cpu")
    return history


def take_step(
    model: nn.Module,
    examples: Sequence,
    optimizer: torch.optim.Optimizer,
    max_norm: float | int = math.inf,
) -> tuple[float, int]:
    """Make the examples a little more probable: one step down the slope of the loss.

    Returns:
        The loss before the step, in bits per token, and how many tokens were predicted.

    >>> from lmcourse.markov import SoftmaxBigram
    >>> model = SoftmaxBigram(vocab_size=4)
    >>> take_step(model, [[0, 2, 1]], torch.optim.Adam(model.parameters(), lr=0.1))
    (2.0, 2)
    """
    log_probs = predicted_log_probs(model, examples)
    loss = -log_probs.mean()
    optimizer.zero_grad()
    loss.backward()
    if max_norm != math.inf:
        clip_gradients(model.parameters(), max_norm)
    optimizer.step()
    return loss.item() / math.log(2), len(log_probs)


def is_due(step: int, every: int, steps: int) -> bool:
    """Whether something is done after this step: after `every` so many, and after the last.

    >>> [step for step in range(1, 8) if is_due(step, every=3, steps=7)]
    [3, 6, 7]
    """
    return step % every == 0 or step == steps


def learning_rate_factor(step: int, steps: int, warm_up: int = 0) -> float:
    """The share of the highest learning rate that a step takes: up a line, down half a cosine.

    >>> [round(learning_rate_factor(step, steps=4, warm_up=2), 2) for step in range(5)]
    [0.5, 0.85, 0.5, 0.15, 0.0]
    """
    falling = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min((step + 1) / warm_up, falling) if warm_up else falling


def show_progress(bar: tqdm, loss: float, n_tokens: int) -> None:
    """One step further, with the loss and the tokens per second since the bar began."""
    rate = bar.format_dict["elapsed"] and n_tokens / bar.format_dict["elapsed"]
    bar.set_postfix_str(f"{loss:.3f} bits, {rate:,.0f} tokens/s", refresh=False)
    bar.update()


def check_run(
    model: nn.Module,
    examples: Sequence,
    dev: Sequence | None,
    warm_up: int,
    **settings: float | int | None,
) -> None:
    """Raise a ValueError where a training run cannot be made (see `train`).

    Args:
        settings: numbers that must be above 0 where they are given.
    """
    for part in [examples] if dev is None else [examples, dev]:
        if isinstance(model, LanguageModel):
            check_sentences(part, model.vocab_size)
        elif len(part) == 0:
            raise ValueError("0 examples; at least 1 is needed")
    if warm_up < 0:
        raise ValueError(f"warm_up={warm_up}; it must be at least 0")
    for name, value in settings.items():
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name}={value}; it must be above 0, and finite")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"{model} has 0 parameters to train; a counted model needs fit"
        )


# -------------------------------------------------------------------------------- checkpoints


class Run:
    """Everything that changes while a model is trained: what a checkpoint must hold.

    Args:
        model, optimizer, batches: the parts of the run.
        settings: what a run that goes on must share with the one that was saved.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        batches: Batches,
        **settings: float | int | str | None,
    ):
        self.model, self.optimizer, self.batches = model, optimizer, batches
        self.settings = settings
        self.history = History()
        self.best: dict[str, Tensor] | None = None

    @property
    def step(self) -> int:
        """How many steps were taken."""
        return len(self.history.losses)

    def keep_if_best(self, bits: float) -> None:
        """Note a measurement; keep the parameters where it is the best so far."""
        self.history.dev_bits[self.step] = bits
        if self.history.best_step == self.step:
            self.best = copy.deepcopy(self.model.state_dict())

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether the last `patience` measurements brought nothing better."""
        if patience is None or self.best is None:
            return False
        later = [
            step for step in self.history.dev_bits if step > self.history.best_step
        ]
        return len(later) >= patience

    def save(self, path: Path | str) -> None:
        """Write the run to a file, whole or not at all."""
        tensors = {
            f"model.{name}": part for name, part in self.model.state_dict().items()
        }
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{index}.{name}": part for name, part in state.items()
            }
        if self.best is not None:
            tensors |= {f"best.{name}": part for name, part in self.best.items()}
        for device, source in sources_of_chance(device_of(self.model)).items():
            tensors[f"chance.{device}"] = source.get_rng_state()
        tensors["chance.batches"] = self.batches.start
        facts = {
            "settings": self.settings,
            "losses": self.history.losses,
            "dev_bits": list(self.history.dev_bits.items()),
            "n_tokens": self.history.n_tokens,
        }
        apart = {  # a file cannot hold one tensor under two names
            name: part.clone(memory_format=torch.contiguous_format)
            for name, part in tensors.items()
        }
        write_whole(
            Path(path),
            lambda partial: save_file(apart, partial, {"run": json.dumps(facts)}),
        )

    def load(self, path: Path | str) -> None:
        """Go on where the file was saved.

        Raises:
            ValueError: the file is no checkpoint, or one of another model or other settings.
        """
        try:
            with safe_open(path, "pt") as file:
                facts = json.loads((file.metadata() or {})["run"])
            tensors = load_file(path)
        except Exception as error:
            raise ValueError(
                f"{path} is no checkpoint of a training run; give another file, or remove it"
            ) from error
        if facts["settings"] != self.settings:
            raise ValueError(
                f"{path} was saved with {facts['settings']}, this run has {self.settings}; "
                "they must agree: give another file, or remove it"
            )
        shapes, saved = (
            {name: tuple(part.shape) for name, part in parts.items()}
            for parts in (self.model.state_dict(), part_of(tensors, "model."))
        )
        if shapes != saved:
            name = next(n for n in {**shapes, **saved} if shapes.get(n) != saved.get(n))
            raise ValueError(
                f"{path} is of another model: {name} has shape {saved.get(name)} there and "
                f"{shapes.get(name)} here; give another file, or remove it"
            )
        self.model.load_state_dict(part_of(tensors, "model."))
        state = self.optimizer.state_dict()
        state["state"] = {
            index: part_of(tensors, f"optimizer.{index}.")
            for index in range(len(list(self.model.parameters())))
            if f"optimizer.{index}.step" in tensors
        }
        self.optimizer.load_state_dict(state)
        self.best = part_of(tensors, "best.") or None
        self.history = History(
            facts["losses"], dict(map(tuple, facts["dev_bits"])), facts["n_tokens"]
        )
        self.batches.generator.set_state(tensors["chance.batches"])
        self.batches.skip(self.step)
        for device, source in sources_of_chance(device_of(self.model)).items():
            source.set_rng_state(tensors[f"chance.{device}"])


def sources_of_chance(device: torch.device) -> dict[str, ModuleType]:
    """What dropout draws from on this device, by name: the CPU's source and the device's own.

    >>> list(sources_of_chance(torch.device("cpu")))
    ['cpu']
    """
    own = {"cuda": torch.cuda, "mps": torch.mps}
    return {"cpu": torch} | {
        name: module for name, module in own.items() if name == device.type
    }


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name begins with the prefix, without it.

    >>> part_of({"model.weight": torch.ones(1), "best.weight": torch.ones(1)}, "best.")
    {'weight': tensor([1.])}
    """
    return {
        name.removeprefix(prefix): part
        for name, part in tensors.items()
        if name.startswith(prefix)
    }


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside the path and put it in place: whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
