"""The command that trains a language model of the course on any text.

    python -m lmcourse.training lstm --text names.txt --lines

It reads the text as `lmcourse.data.documents` says, trains with `train`, and saves as it goes. At
the end it prints figures on a part of the text that no model has seen, beside those of an n-gram
model, and samples. The same command again goes on where it was stopped. Started by torchrun, it
trains in several processes (`lmcourse.training.distributed`).
"""

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from lmcourse.data.documents import (
    PARTS,
    cut,
    documents,
    most_frequent,
    part_of,
    sha256_of,
)
from lmcourse.decoding import generate
from lmcourse.experiments import versions
from lmcourse.experiments.self_attention import one_layer
from lmcourse.language_models import LanguageModel, perplexity
from lmcourse.markov import Additive, ModifiedKneserNey
from lmcourse.multi_head_attention import attention_only_model
from lmcourse.rnn import GRU, LSTM, RNN, RecurrentLayers, RNNLanguageModel
from lmcourse.tokenizers import CharTokenizer, Tokenizer, WordTokenizer
from lmcourse.training import (
    History,
    best_device,
    generator,
    initialised,
    mean_bits,
    train,
    write_whole,
)
from lmcourse.training.distributed import (
    MEASURED_AT_ONCE,
    Bfloat16,
    Replica,
    ToldByFirst,
    check_agreed,
    from_first,
    joined,
    rank,
    shard,
    shared_checkpoint,
    together,
    world_size,
)
from lmcourse.transformer import (
    CachedLanguageModel,
    TransformerLanguageModel,
    small_transformer,
)

PROGRAM = "python -m lmcourse.training"
WARM_UP, WEIGHT_DECAY, MAX_NORM = 100, 0.01, 1.0
LONGEST_ORDER = 8  # of the n-gram models that are tried
BAR_TOKENS = 10_000_000  # the n-gram model that is the bar learns from no more
CHECKPOINT, RECORD = "checkpoint.safetensors", "run.json"
TOKENIZERS = {"characters": CharTokenizer, "words": WordTokenizer}

# --------------------------------------------------------------------------------- the models


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        make: makes an untrained one from vocab_size and sizes; None for a counted model.
        sizes: the sizes that it takes, and their defaults.
        lr: the highest learning rate where none is given.
    """

    make: Callable[..., LanguageModel] | None = None
    sizes: dict[str, float | int | None] = field(default_factory=dict)
    lr: float = 0.0


def recurrent(layers: type[RecurrentLayers]) -> Callable[..., RNNLanguageModel]:
    """A way to make a recurrent language model, with cells that begin as in chapter 3."""

    def make(
        vocab_size: int,
        d_input: int,
        d_hidden: int,
        n_layers: int,
        dropout: float | int,
    ) -> RNNLanguageModel:
        made = layers(d_input, d_hidden, n_layers)
        for cell in made.cells:
            if layers is RNN:
                nn.init.orthogonal_(cell.weight_hh)
            if layers is LSTM:
                cell.open_forget_gates()
        return RNNLanguageModel(vocab_size, made, dropout)

    return make


def recurrent_sizes(d_hidden: int) -> dict[str, float | int]:
    return {"d_input": 64, "d_hidden": d_hidden, "n_layers": 1, "dropout": 0.2}


KINDS = {
    "unigram": Kind(),
    "n-gram": Kind(sizes={"order": None}),
    "rnn": Kind(recurrent(RNN), recurrent_sizes(448), 1e-3),
    "lstm": Kind(recurrent(LSTM), recurrent_sizes(256), 4e-3),
    "gru": Kind(recurrent(GRU), recurrent_sizes(300), 3e-3),
    "self-attention": Kind(
        partial(one_layer, positions="sinusoidal"), {"d_model": 64}, 4e-3
    ),
    "multi-head-attention": Kind(
        attention_only_model, {"d_model": 64, "n_heads": 4, "n_layers": 2}, 4e-3
    ),
    "transformer": Kind(
        small_transformer,
        {"d_model": 128, "n_heads": 4, "n_layers": 2, "dropout": 0.1},
        2e-3,
    ),
}

TRAINING = {  # of trained models only, and their defaults; the learning rate is the kind's
    "steps": 2_000,
    "lr": None,
    "batch_size": 32,
    "evaluate_every": 250,
    "patience": None,
    "save_every": 100,
    "device": None,
    "bf16": False,
    "compile": False,
}


def chosen_n_gram(
    train_pieces: Sequence, dev: Sequence, vocab_size: int
) -> ModifiedKneserNey:
    """The modified Kneser-Ney model whose order suits the dev pieces: longer while that helps."""
    best, best_bits = None, math.inf
    for order in range(1, LONGEST_ORDER + 1):
        model = ModifiedKneserNey(order, vocab_size).fit(train_pieces)
        bits = mean_bits(model, dev)
        if bits >= best_bits:
            break
        best, best_bits = model, bits
    return best


# -------------------------------------------------------------------------------- the options


def at_least(lowest: int) -> Callable[[str], int]:
    """A type for argparse: a whole number that is not too small."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(
                f"{text!r}; it must be a whole number, at least {lowest}"
            )
        return int(text)

    return number


def between(
    lowest: float | int, highest: float | int, *, open_below: bool = False
) -> Callable[[str], float]:
    """A type for argparse: a number from `lowest` on and below `highest`."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value < highest or (open_below and value == lowest):
            rule = f"{'above' if open_below else 'at least'} {lowest:g}"
            rule += f" and below {highest:g}" if highest < math.inf else ", and finite"
            raise argparse.ArgumentTypeError(f"{text!r}; it must be a number {rule}")
        return value

    return number


def kind_name(text: str) -> str:
    """A type for argparse: the name of a kind of model."""
    if text == "bert":
        raise argparse.ArgumentTypeError(
            "bert fills blanks and continues no text, so it has no place here; take transformer, "
            "the same blocks read from left to right (chapter 9 trains a BERT)"
        )
    if text not in KINDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no model; there are: {', '.join(KINDS)}"
        )
    return text


def parser() -> argparse.ArgumentParser:
    """The options of the command, and their help."""
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train a language model of the course on a text of your own.",
        epilog="The same command again goes on where it was stopped, or prints the figures of a "
        "finished run. To train in several processes, put 'torchrun --nproc-per-node 2 -m' in the "
        "place of 'python -m'.",
    )
    made.add_argument(
        "model", type=kind_name, metavar="MODEL", help=f"of {', '.join(KINDS)}"
    )

    text = made.add_argument_group("text")
    add = text.add_argument
    add(
        "--text", type=Path, required=True, metavar="FILE", help="a text file, in UTF-8"
    )
    add(
        "--lines",
        action="store_true",
        help="every line stands for itself, as in a list of names; else paragraphs do, with empty "
        "lines between them",
    )
    add(
        "--tokens",
        choices=TOKENIZERS,
        default="characters",
        help="what is predicted (%(default)s)",
    )
    add(
        "--vocab-size",
        type=at_least(4),
        default=10_000,
        metavar="N",
        help="so many tokens are known at most, the most frequent ones; <s>, </s> and <unk> count "
        "(%(default)s)",
    )
    add(
        "--context-length",
        type=at_least(1),
        default=256,
        metavar="N",
        help="longer paragraphs are cut into pieces of so many tokens (%(default)s)",
    )

    sizes = made.add_argument_group("size of the model")

    def add_size(name: str, type: Callable, about: str) -> None:
        defaults = ", ".join(
            f"{kind} {KINDS[kind].sizes[name] or 'the best on dev'}"
            for kind in kinds_with(name)
        )
        sizes.add_argument(
            option(name), type=type, metavar="N", help=f"{about} ({defaults})"
        )

    add_size("order", at_least(1), "length of the n-grams")
    add_size("d_input", at_least(1), "size of a token's vector")
    add_size("d_hidden", at_least(1), "size of the state")
    add_size("d_model", at_least(2), "size of a token's vector")
    add_size("n_heads", at_least(1), "heads of a layer; they divide d-model")
    add_size("n_layers", at_least(1), "layers")
    add_size("dropout", between(0, 1), "share of numbers set to 0 in training")

    training = made.add_argument_group("training (not of unigram and n-gram)")

    def add_training(name: str, type: Callable, about: str, metavar: str = "N") -> None:
        default = "" if TRAINING[name] is None else f" ({TRAINING[name]})"
        training.add_argument(
            option(name), type=type, metavar=metavar, help=f"{about}{default}"
        )

    add_training("steps", at_least(1), "training steps")
    rates = ", ".join(f"{name} {kind.lr:g}" for name, kind in KINDS.items() if kind.lr)
    add_training(
        "lr", between(0, math.inf, open_below=True), f"highest learning rate ({rates})"
    )
    add_training("batch_size", at_least(1), "pieces of a step, in each process")
    add_training("evaluate_every", at_least(1), "steps between measurements on dev")
    add_training(
        "patience",
        at_least(1),
        "end after so many measurements without a better one (never)",
    )
    add_training("save_every", at_least(1), "steps between checkpoints")
    training.add_argument(
        "--device",
        choices=("cpu", "cuda", "mps"),
        help="where to train (the fastest there is)",
    )
    training.add_argument(
        "--bf16",
        action="store_true",
        default=None,
        help="matrix products of 16 bits; meant for a GPU, a CPU may get slower",
    )
    training.add_argument(
        "--compile",
        action="store_true",
        default=None,
        help="let torch.compile translate the model first; not of rnn, lstm and gru. Meant for a "
        "GPU and long runs, needs a C++ compiler on a CPU",
    )

    end = made.add_argument_group("folder, chance and samples")
    add = end.add_argument
    add(
        "--folder",
        type=Path,
        help="where checkpoint and figures go (runs/MODEL-NAME, with the name of the text)",
    )
    add("--seed", type=at_least(0), default=0, metavar="N", help="(%(default)s)")
    add(
        "--samples",
        type=at_least(0),
        default=3,
        metavar="N",
        help="texts that are written at the end (%(default)s)",
    )
    add("--prompt", default="", help="how they begin (nothing)")
    add(
        "--temperature",
        type=between(0, math.inf),
        default=1.0,
        metavar="T",
        help="0 always takes the likeliest token (%(default)s)",
    )
    add(
        "--max-new-tokens",
        type=at_least(0),
        metavar="N",
        help="their length at most (that of a piece)",
    )
    return made


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def kinds_with(size: str) -> list[str]:
    """The kinds of models that have this size."""
    return [name for name, kind in KINDS.items() if size in kind.sizes]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, refuse what does not fit the model, and fill in the defaults."""
    made = parser()
    options = made.parse_args(arguments)
    kind = KINDS[options.model]
    every_size = dict.fromkeys(size for kind in KINDS.values() for size in kind.sizes)
    for name in every_size:
        if name in kind.sizes:
            if getattr(options, name) is None:
                setattr(options, name, kind.sizes[name])
        elif getattr(options, name) is not None:
            made.error(
                f"{option(name)}: {options.model} has no such size; those that have: "
                f"{', '.join(kinds_with(name))}"
            )
    for name, default in TRAINING.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
        elif kind.make is None:
            made.error(
                f"{option(name)}: {options.model} is counted, not trained; leave it out"
            )
    if options.compile and "d_hidden" in kind.sizes:
        made.error(
            f"--compile: {options.model} reads step by step, and every length would be translated "
            "anew; leave it out"
        )
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if several and kind.make is None:
        made.error(
            f"{options.model} is counted in one process; start it with {PROGRAM}, not torchrun"
        )
    if options.lr is None:
        options.lr = kind.lr
    if options.device is None:
        options.device = best_device()
        if several and options.device == "mps":
            options.device = "cpu"  # nothing talks between processes there
    if options.folder is None:
        options.folder = Path("runs") / f"{options.model}-{options.text.stem}"
    if options.max_new_tokens is None:
        options.max_new_tokens = options.context_length
    return options


def settings_of(options: argparse.Namespace, sha256: str) -> dict:
    """What makes a run what it is: a run that goes on must have the same."""
    kind = KINDS[options.model]
    names = ["model", "tokens", "lines", "vocab_size", "context_length", "seed"]
    names += kind.sizes
    settings = {name: getattr(options, name) for name in names}
    if kind.make is not None:
        settings |= {n: getattr(options, n) for n in TRAINING if n != "save_every"}
        settings["processes"] = world_size()
    return settings | {"sha256": sha256}


# ------------------------------------------------------------------------------------ the text


class Text(NamedTuple):
    """What a process needs of the text.

    Attributes:
        tokenizer: made from the training part.
        train: the pieces that this process trains on.
        dev: all pieces to choose with.
        test: all pieces to report on; none but in process 0.
        n_documents: of each part.
        n_characters: of the test documents, each with one more for its end.
    """

    tokenizer: Tokenizer
    train: list[list[int]]
    dev: list[list[int]]
    test: list[list[int]]
    n_documents: dict[str, int]
    n_characters: int


def documents_of(options: argparse.Namespace, part: str) -> Iterator[str]:
    """Read the documents of one part of the text."""
    for document in documents(options.text, options.lines):
        if part_of(document) == part:
            yield document


def pieces(
    options: argparse.Namespace, tokenizer: Tokenizer, part: str
) -> Iterator[list[int]]:
    """Read the pieces of one part of the text."""
    for document in documents_of(options, part):
        yield from cut(tokenizer.encode(document), options.context_length)


def read_text(options: argparse.Namespace) -> Text:
    """Read the file as often as it takes to hold little of it.

    Raises:
        OSError, ValueError: the file cannot be read, is no text, or is too short.
    """
    counts = Counter(map(part_of, documents(options.text, options.lines)))
    n_documents = {part: counts[part] for part in PARTS}
    empty = [part for part in PARTS if n_documents[part] == 0]
    if empty:
        unit = "lines" if options.lines else "paragraphs"
        hint = "" if options.lines else ", or --lines where each line stands for itself"
        raise ValueError(
            f"{options.text} has {sum(counts.values())} {unit}, which leave nothing for "
            f"{' and '.join(empty)}; take a longer text{hint}"
        )
    tokenizer = most_frequent(
        TOKENIZERS[options.tokens], documents_of(options, "train"), options.vocab_size
    )
    return Text(
        tokenizer,
        shard(pieces(options, tokenizer, "train"), rank(), world_size()),
        list(pieces(options, tokenizer, "dev")),
        list(pieces(options, tokenizer, "test")) if rank() == 0 else [],
        n_documents,
        sum(len(document) + 1 for document in documents_of(options, "test")),
    )


# ------------------------------------------------------------------------------------- the run


def made_model(options: argparse.Namespace, vocab_size: int) -> LanguageModel:
    """The untrained model."""
    kind = KINDS[options.model]
    sizes = {name: getattr(options, name) for name in kind.sizes}
    return initialised(
        lambda: kind.make(vocab_size, **sizes), options.seed, options.model
    )


def counted(options: argparse.Namespace, text: Text) -> LanguageModel:
    """The model that counts, fitted."""
    vocab_size = text.tokenizer.vocab_size
    if options.model == "unigram":
        return unigram(text)
    if options.order is None:
        return chosen_n_gram(text.train, text.dev, vocab_size)
    return ModifiedKneserNey(options.order, vocab_size).fit(text.train)


def unigram(text: Text) -> Additive:
    """Frequencies, each token counted once more, so that one that never came is possible."""
    return Additive(1, text.tokenizer.vocab_size).fit(text.train)


def trained(
    options: argparse.Namespace, text: Text
) -> tuple[LanguageModel, History, dict]:
    """Train, or go on, or find that everything is done.

    Returns:
        The model with its best weights, what was seen, and how fast it went.
    """
    model = together(lambda: made_model(options, text.tokenizer.vocab_size))
    if options.compile:
        model.compile(dynamic=True)
    replica = Replica(Bfloat16(model) if options.bf16 else model, options.seed)
    start = time.perf_counter()
    if rank() == 0 and (options.folder / CHECKPOINT).exists():
        print(f"{PROGRAM}: goes on from {options.folder / CHECKPOINT}", file=sys.stderr)
    with shared_checkpoint(options.folder / CHECKPOINT) as checkpoint, told_once():
        history = train(
            replica,
            text.train,
            steps=options.steps,
            lr=options.lr,
            batch_size=options.batch_size,
            generator=generator(options.seed, "batches"),
            warm_up=min(WARM_UP, options.steps // 10),
            weight_decay=WEIGHT_DECAY,
            max_norm=MAX_NORM,
            dev=text.dev,
            evaluate_every=options.evaluate_every,
            patience=options.patience,
            checkpoint=checkpoint,
            save_every=options.save_every if rank() == 0 else options.steps,
            device=options.device,
        )
    speed = {"tokens": replica.n_tokens, "seconds": time.perf_counter() - start}
    if options.compile:  # what is measured and sampled from need not be translated
        weights = model.state_dict()
        model = made_model(options, text.tokenizer.vocab_size)
        model.load_state_dict(weights)
    return model, history, speed


@contextmanager
def told_once() -> Iterator[None]:
    """Only process 0 shows a bar, and what is wrong with the run: all find it at once."""
    if rank() == 0:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        try:
            yield
        except ValueError as error:
            raise ToldByFirst(str(error)) from error


def stored_run(folder: Path, settings: dict) -> dict:
    """What the folder holds of this run; nothing, where it begins.

    Raises:
        ValueError: the folder holds another run, or its record cannot be read.
    """
    path = folder / RECORD
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        there = dict(stored["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no record of a run; give another --folder, or remove it"
        ) from error
    differences = [
        f"{'the SHA-256 of the text' if name == 'sha256' else name} is {there.get(name)} there "
        f"and {settings.get(name)} here"
        for name in {**there, **settings}
        if there.get(name) != settings.get(name)
    ]
    if differences:
        raise ValueError(
            f"{folder} holds another run: {', '.join(differences)}; give another --folder, or "
            "remove it"
        )
    return stored


def write_record(folder: Path, record: dict) -> None:
    """Write what is known of the run, whole or not at all."""
    content = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    write_whole(
        folder / RECORD,
        lambda path: path.write_text(content, encoding="utf-8", newline="\n"),
    )


def run(options: argparse.Namespace) -> None:
    """Train and report.

    Raises:
        OSError, ValueError, ToldByFirst: something is wrong with the text, the options, or the run.
    """
    sha256 = together(lambda: sha256_of(options.text))
    settings = settings_of(options, sha256)
    for name, value in settings.items():
        check_agreed(f"the text's {name}" if name == "sha256" else name, value)
    record = from_first(lambda: stored_run(options.folder, settings))
    text = together(lambda: read_text(options))
    if not record:
        record = {
            "settings": settings,
            "versions": versions(),
            "documents": text.n_documents,
            "vocabulary": text.tokenizer.tokens,
            "figures": None,
        }
        from_first(lambda: write_record(options.folder, record))
    if KINDS[options.model].make is None:
        model, facts = counted(options, text), {}
    else:
        model, history, speed = trained(options, text)
        facts = {
            "steps": len(history.losses),
            "best_step": history.best_step,
            "tokens": history.n_tokens,
            "speed": speed,
        }
    if rank() > 0:
        return
    if record["figures"] is None:
        record["figures"] = measured(options, text, model) | facts
        write_record(options.folder, record)
    print(described(options, record))
    show_samples(options, text.tokenizer, model)


# ------------------------------------------------------------------------------------- the end


def measured(options: argparse.Namespace, text: Text, model: LanguageModel) -> dict:
    """The figures of the model, and of the bar beside it, on the test part."""
    n_predicted = sum(len(piece) - 1 for piece in text.test)
    n_unknown = sum(piece.count(text.tokenizer.unk_id) for piece in text.test)

    def row(some: LanguageModel, device: str = "cpu") -> dict:
        bits = mean_bits(some.to(device), text.test, MEASURED_AT_ONCE)
        some.to("cpu")
        size = sum(parameter.numel() for parameter in some.parameters())
        return {
            "name": name_of(options, some),
            "parameters": size or len(some.ngrams),
            "bits_per_token": bits,
            "bits_per_character": bits * n_predicted / text.n_characters,
            "perplexity": perplexity(bits),
        }

    bar, bar_tokens = bar_beside(options, text)
    return {
        "model": row(model, options.device),
        "bar": row(bar),
        "bar_tokens": bar_tokens,
        "unknown": n_unknown / n_predicted,
    }


def bar_beside(
    options: argparse.Namespace, text: Text
) -> tuple[LanguageModel, int | None]:
    """The model to compare with, and how many tokens it read; None where it read them all."""
    if options.model == "n-gram":
        return unigram(text), None
    kept, n_tokens = [], 0
    for piece in pieces(options, text.tokenizer, "train"):
        if n_tokens + len(piece) - 1 > BAR_TOKENS:
            return chosen_n_gram(kept, text.dev, text.tokenizer.vocab_size), n_tokens
        n_tokens += len(piece) - 1
        kept.append(piece)
    return chosen_n_gram(kept, text.dev, text.tokenizer.vocab_size), None


def name_of(options: argparse.Namespace, model: LanguageModel) -> str:
    if isinstance(model, Additive):
        return "unigram"
    if isinstance(model, ModifiedKneserNey):
        return f"n-gram, order {model.order}"
    return options.model


def described(options: argparse.Namespace, record: dict) -> str:
    """The figures as a small table."""
    figures = record["figures"]
    model, bar = figures["model"], figures["bar"]
    rows = [
        ("", model["name"], bar["name"]),
        ("parameters (n-grams: counts)", *by_row(figures, "parameters", ",d")),
        ("bits per token", *by_row(figures, "bits_per_token", ".3f")),
        ("bits per character", *by_row(figures, "bits_per_character", ".3f")),
        ("perplexity", *by_row(figures, "perplexity", ",.2f")),
    ]
    lines = [f"{name:<30}{ours:>22}{theirs:>22}" for name, ours, theirs in rows]
    n_documents = record["documents"]
    unit = "lines" if options.lines else "paragraphs"
    notes = [
        f"Measured on {n_documents['test']:,} {unit} that no model has seen. They learned from "
        f"{n_documents['train']:,}; {n_documents['dev']:,} served to choose.",
        f"<unk>: {figures['unknown']:.2%} of the {options.tokens}.",
    ]
    if figures["bar_tokens"] is not None:
        notes.append(
            f"The {bar['name']} learned from the first {figures['bar_tokens']:,} tokens only."
        )
    if "steps" in figures:
        notes.append(
            f"{figures['steps']:,} steps, {figures['tokens']:,} tokens; best on dev after step "
            f"{figures['best_step']:,}."
        )
        speed = figures["speed"]
        if speed["tokens"]:
            notes.append(
                f"In the last call: {speed['seconds']:,.1f} s, "
                f"{speed['tokens'] / speed['seconds']:,.0f} tokens/s, measurements included."
            )
    return "\n".join([*lines, "", *notes])


def by_row(figures: dict, name: str, form: str) -> list[str]:
    return [format(figures[side][name], form) for side in ("model", "bar")]


def show_samples(
    options: argparse.Namespace, tokenizer: Tokenizer, model: LanguageModel
) -> None:
    """Print what the model writes."""
    beginning = tokenizer.encode(options.prompt)[:-1]
    if tokenizer.unk_id in beginning:
        print(
            f"--prompt: what the model does not know is read as <unk>: "
            f"{tokenizer.decode(beginning)!r}",
            file=sys.stderr,
        )
    if isinstance(model, TransformerLanguageModel):
        model = CachedLanguageModel(model)
    stream = generator(options.seed, "samples")
    for number in range(1, options.samples + 1):
        token_ids = generate(
            model,
            beginning,
            options.max_new_tokens,
            temperature=options.temperature,
            generator=stream,
        )
        print(f"\nSample {number}: {tokenizer.decode(token_ids)}")


# ----------------------------------------------------------------------------------- the command


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says. Returns the exit status."""
    number = int(os.environ.get("RANK", 0))
    try:
        with ExitStack() as silent:
            if number > 0:  # process 0 speaks for all
                nowhere = silent.enter_context(open(os.devnull, "w", encoding="utf-8"))
                silent.enter_context(redirect_stdout(nowhere))
                silent.enter_context(redirect_stderr(nowhere))
            options = parse(arguments)
    except SystemExit:
        let_first_speak(number)
        raise
    try:
        check_device(options.device)
        with joined(options.device):
            run(options)
    except ToldByFirst:
        let_first_speak(number)
        return 2
    except (ValueError, OSError) as error:
        where = f", process {number}" if number else ""
        print(f"{PROGRAM}: error{where}: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if not is_lost_neighbour(error):
            raise
        print(
            f"{PROGRAM}: process {number} ends, because another one ended first; that one says "
            "why, unless it was killed",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        if number == 0:
            print(f"\n{PROGRAM}: {after_interruption(options)}", file=sys.stderr)
        return 130
    return 0


def check_device(device: str) -> None:
    """Raise a ValueError where this machine has no such device."""
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device]:
        raise ValueError(
            f"--device {device}: this machine has none that torch can use; leave the option out"
        )


def after_interruption(options: argparse.Namespace) -> str:
    """How to go on."""
    if KINDS[options.model].make is None:
        return "stopped; the same command begins anew"
    if (options.folder / CHECKPOINT).exists():
        return f"stopped; the same command goes on from the last checkpoint in {options.folder}"
    return (
        f"stopped before the first checkpoint (one every {options.save_every} steps); the same "
        "command begins anew"
    )


def let_first_speak(number: int) -> None:
    """Wait a little: when one process ends, torchrun ends the others, in mid-sentence too."""
    if number > 0:
        time.sleep(1)


def is_lost_neighbour(error: RuntimeError) -> bool:
    """Whether this is what is raised where another process is gone."""
    lost = (torch.distributed.DistError, torch.distributed.DistBackendError)
    return isinstance(error, lost) or "gloo" in str(error)
