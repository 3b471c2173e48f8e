"""Comparisons: run once for ten seeds, stored with the package, drawn by the notebooks.

A notebook trains one model live. Everything else (rivals, ablations, lengths, seeds) is a
function of this folder, one module a chapter, marked with `@experiment`. `make experiments` runs
what is out of date. The stored file holds one row a seed, the versions, the machine and a
fingerprint of the code (`code_hash`): when that code changes, a test fails until the experiment
has been run again.
"""

import argparse
import importlib
import inspect
import json
import math
import multiprocessing
import os
import pkgutil
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from lmcourse.experiments import code_hash as _code_hash

FOLDER = Path(__file__).parent / "results"
PARTIAL = (
    FOLDER / ".lmcourse"
)  # rows of seeds that are done, until all of them are; not in git
BENCHMARKS = Path(__file__).with_name("benchmarks.json")
DIGITS = 6  # significant digits of a stored number


@dataclass(frozen=True)
class Experiment:
    """A function of a seed whose results are stored. Calling it runs one seed."""

    function: Callable[[int], dict]
    seeds: tuple[int, ...]

    def __call__(self, seed: int) -> dict:
        return self.function(seed)

    def __repr__(self) -> str:
        return f"Experiment({self.name!r}, {len(self.seeds)} seeds)"

    @property
    def name(self) -> str:
        """`markov.smoothing` for the function `smoothing` of `lmcourse.experiments.markov`."""
        return f"{self.function.__module__.rpartition('.')[2]}.{self.function.__name__}"

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def path(self) -> Path:
        """Where the results are stored."""
        return FOLDER / f"{self.name}.json"

    def code_hash(self) -> str:
        """The fingerprint of the code that the results depend on, as it is now."""
        return _code_hash.of_lmcourse().of(
            self.function.__module__, self.function.__name__
        )

    def complaint(self) -> str:
        """What is wrong with the stored results, in one sentence; empty where they are fresh."""
        if not self.path.exists():
            return f"the experiment {self.name} has no stored results"
        stored = _read(self.path)
        now = self.code_hash()
        if stored["code_hash"] != now:
            return (
                f"the results of {self.name} were made by other code "
                f"(stored {stored['code_hash']}, now {now})"
            )
        if stored["seeds"] != list(self.seeds):
            return f"{self.name} has results for seeds {stored['seeds']}, wanted {list(self.seeds)}"
        return ""


def experiment(seeds: Iterable[int]) -> Callable[[Callable[[int], dict]], Experiment]:
    """Mark a function `seed -> dict` as an experiment.

    The dictionary holds numbers, strings, lists and dictionaries. Random numbers come from
    `training.generator(seed, name)` and lengths are in steps, so that a seed gives one result.

    Raises:
        ValueError: if there is no seed, or one occurs twice.

    >>> @experiment(seeds=range(10))
    ... def coin(seed: int) -> dict:
    ...     return {"heads": seed % 2}
    >>> len(coin.seeds), coin(3)
    (10, {'heads': 1})
    """
    seeds = tuple(seeds)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds={list(seeds)}: give at least one seed, and each once")
    return lambda function: Experiment(function, seeds)


def chapters() -> list[str]:
    """The modules of this folder that hold experiments, by name."""
    names = [
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])
    ]
    return sorted(name for name in names if name not in ("code_hash", "__main__"))


def all_experiments() -> list[Experiment]:
    """Every declared experiment, module by module, in the order of the files."""
    found = []
    for chapter in chapters():
        module = importlib.import_module(f"{__name__}.{chapter}")
        found += [
            item
            for item in vars(module).values()
            if isinstance(item, Experiment)
            and item.function.__module__ == module.__name__
        ]
    return found


def get(name: str) -> Experiment:
    """Return a declared experiment.

    Raises:
        ValueError: if there is none of this name; the message lists those there are.
    """
    chapter, _, function = name.partition(".")
    if chapter in chapters():
        item = getattr(importlib.import_module(f"{__name__}.{chapter}"), function, None)
        if isinstance(item, Experiment):
            return item
    known = ", ".join(item.name for item in all_experiments()) or "none"
    raise ValueError(f"no experiment is called {name!r}; declared: {known}")


@dataclass(frozen=True)
class Results:
    """The stored rows of one experiment, a row a seed.

    A path of keys and indices reaches into the rows: `values("bits", "kneser_ney", 2)`.

    >>> run = Results("toy", "A toy.", [0, 1], [{"bits": [3.0, 2.0]}, {"bits": [3.5, 2.5]}],
    ...               [0.1, 0.1], {}, {})
    >>> run.values("bits", 0), run.mean("bits", 1)
    ([3.0, 3.5], 2.25)
    """

    name: str
    summary: str
    seeds: list[int]
    rows: list[dict]
    seconds: list[float]
    versions: dict
    machine: dict

    def __repr__(self) -> str:
        return f"Results({self.name!r}, {len(self.seeds)} seeds)"

    def values(self, *path) -> list:
        """The entry at this path, for every seed.

        Raises:
            ValueError: if a row has no such entry; the message says what there is.
        """
        return [self._entry(row, path) for row in self.rows]

    def _entry(self, row, path: tuple):
        for depth, key in enumerate(path):
            try:
                row = row[key]
            except (KeyError, IndexError, TypeError) as error:
                if isinstance(row, dict):
                    there = f"keys are {list(row)}"
                else:
                    there = (
                        f"{len(row)} entries"
                        if isinstance(row, list)
                        else f"only {row!r}"
                    )
                raise ValueError(
                    f"{self.name}: no {key!r} at {path[:depth]}; {there}"
                ) from error
        return row

    def mean(self, *path) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.values(*path))

    def std(self, *path) -> float:
        """The sample standard deviation over the seeds (divided by their number less one)."""
        return statistics.stdev(self.values(*path))

    def difference(self, first, second) -> list[float]:
        """The entry at path `first` less the one at path `second`, paired by seed.

        >>> run = Results("toy", "", [0, 1], [{"a": 3.0, "b": 1.0}, {"a": 4.0, "b": 1.5}],
        ...               [], {}, {})
        >>> run.difference("a", "b")
        [2.0, 2.5]
        """
        paths = [(path,) if isinstance(path, str) else path for path in (first, second)]
        pairs = zip(*(self.values(*path) for path in paths), strict=True)
        return [left - right for left, right in pairs]

    def keys(self, *path) -> list:
        """The keys of the dictionary at this path, in the first row's order."""
        return list(self._entry(self.rows[0], path))

    def series(self, *path) -> list[list]:
        """A list at this path, turned round: for each of its entries the values of all seeds."""
        return [list(entry) for entry in zip(*self.values(*path), strict=True)]


def results(name: str) -> Results:
    """Return the stored results of an experiment.

    Args:
        name: module and function, such as "markov.smoothing".

    Raises:
        ValueError: if there is no such experiment, or its results are missing or were made by
            other code; the message holds the command that makes them.
    """
    item = get(name)
    complaint = item.complaint()
    if complaint:
        chapter = name.partition(".")[0]
        raise ValueError(
            f"{complaint}; run: python -m lmcourse.experiments --chapter {chapter}"
        )
    stored = _read(item.path)
    return Results(
        name,
        item.summary,
        stored["seeds"],
        stored["rows"],
        stored["seconds"],
        stored["versions"],
        stored["machine"],
    )


def benchmarks() -> dict:
    """Return what `make bench` measured: our code beside other libraries.

    Returns:
        `rows`, a figure each with its section, unit and what was promised, and `about`, which
        holds for each section the library, the machine, the versions and the sizes.

    >>> sorted(benchmarks())
    ['about', 'rows']
    """
    return _read(BENCHMARKS)


# ------------------------------------------------------------------------------------- running


def rounded(value):
    """Return a json-able copy, every float with six significant digits.

    Raises:
        ValueError: if something is neither a number, string, bool, None, list nor dictionary, or
            a number is not finite.

    >>> rounded({"bits": (1.23456789, 2), "steps": 300})
    {'bits': [1.23457, 2], 'steps': 300}
    """
    if hasattr(value, "tolist"):  # tensors, arrays and their numbers
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be stored; a result is a finite number")
        return float(f"{value:.{DIGITS}g}")
    if value is None or isinstance(value, str | bool | int):
        return value
    raise ValueError(
        f"{value!r} of type {type(value).__name__} cannot be stored; "
        "use numbers, strings, lists and dictionaries"
    )


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, content: dict) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def _partial_path(name: str, code: str, seed: int) -> Path:
    return PARTIAL / f"{name}.{code}.{seed}.json"


def _run_seed(module: str, function: str, seed: int, partial: Path) -> None:
    """Run one seed in a worker process and keep its row."""
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    row = rounded(getattr(importlib.import_module(module), function)(seed))
    seconds = float(f"{time.perf_counter() - start:.3g}")
    _write(partial, {"row": row, "seconds": seconds})


def _end_with_parent() -> None:
    """Let a worker end when the run that started it was killed, instead of computing on."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def machine() -> dict:
    """The processor and its number of cores. Nothing that tells whose machine it is."""
    model = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [
            line.partition(":")[2].strip()
            for line in lines
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {"cores": os.cpu_count(), "processor": model, "threads_per_run": 1}


def versions() -> dict:
    """The versions that results can depend on."""
    import numpy
    import torch

    return {
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
    }


def run(selected: list[Experiment], workers: int = 2) -> list[str]:
    """Run the seeds that are not done yet and store what is complete.

    Args:
        selected: experiments to run.
        workers: processes at a time, each with one thread.

    Returns:
        One sentence for each seed that failed.
    """
    from tqdm import tqdm

    codes = {item.name: item.code_hash() for item in selected}
    for item in selected:
        _reuse_rows(item, codes[item.name])
    jobs = [
        (item, seed)
        for item in selected
        for seed in item.seeds
        if not _partial_path(item.name, codes[item.name], seed).exists()
    ]
    failures = []
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
    )
    before = {name: os.environ.get(name) for name in threads}
    os.environ.update(threads)  # read by torch and numpy when a worker imports them
    try:
        spawn = multiprocessing.get_context("spawn")  # the same on every system
        with (
            ProcessPoolExecutor(workers, spawn, initializer=_end_with_parent) as pool,
            tqdm(total=len(jobs), desc="experiments", unit="seed") as bar,
        ):
            futures = {
                pool.submit(
                    _run_seed,
                    item.function.__module__,
                    item.function.__name__,
                    seed,
                    _partial_path(item.name, codes[item.name], seed),
                ): (item, seed)
                for item, seed in jobs
            }
            for future in as_completed(futures):
                item, seed = futures[future]
                bar.set_postfix_str(f"{item.name}, seed {seed}")
                bar.update()
                if future.exception() is not None:
                    error = future.exception()
                    failures.append(
                        f"{item.name}, seed {seed}: {type(error).__name__}: {error}"
                    )
                else:
                    _store_if_complete(item, codes[item.name])
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    for item in selected:
        _store_if_complete(item, codes[item.name])
    return failures


def _reuse_rows(item: Experiment, code: str) -> None:
    """Where only the list of seeds has changed, keep the rows that are stored."""
    if not item.path.exists():
        return
    stored = _read(item.path)
    if stored["code_hash"] != code or stored["seeds"] == list(item.seeds):
        return
    for seed, row, seconds in zip(
        stored["seeds"], stored["rows"], stored["seconds"], strict=True
    ):
        _write(_partial_path(item.name, code, seed), {"row": row, "seconds": seconds})


def _store_if_complete(item: Experiment, code: str) -> None:
    """Join the rows of all seeds into the stored file, once each is there."""
    paths = [_partial_path(item.name, code, seed) for seed in item.seeds]
    if not all(path.exists() for path in paths):
        return
    parts = [_read(path) for path in paths]
    content = {
        "name": item.name,
        "code_hash": code,
        "seeds": list(item.seeds),
        "rows": [part["row"] for part in parts],
        "seconds": [part["seconds"] for part in parts],
        "versions": versions(),
        "machine": machine(),
    }
    _write(item.path, content)
    for path in PARTIAL.glob(f"{item.name}.*.json"):
        path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Run the experiments that are out of date, resuming where an earlier run stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcourse.experiments", description=main.__doc__
    )
    parser.add_argument(
        "--chapter", help="only this chapter: a module's name or its number, 02"
    )
    parser.add_argument(
        "--all", action="store_true", help="run again what is up to date, too"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="processes at a time (2)"
    )
    parser.add_argument(
        "--list", action="store_true", help="say what is out of date and stop"
    )
    options = parser.parse_args(arguments)
    selected = all_experiments()
    if options.chapter:
        chapter = _chapter_name(options.chapter)
        selected = [item for item in selected if item.name.partition(".")[0] == chapter]
        if not selected:
            parser.error(
                f"chapter {options.chapter!r} has no experiments; there are {chapters()}"
            )
    if options.list:
        for item in selected:
            print(f"{item.name:40} {item.complaint() or 'up to date'}")
        return 0
    if not options.all:
        selected = [item for item in selected if item.complaint()]
    if not selected:
        print("All stored results are up to date.")
        return 0
    failures = run(selected, options.workers)
    for failure in failures:
        print(failure, file=sys.stderr)
    return int(bool(failures))


def _chapter_name(chapter: str) -> str:
    """A chapter's module, from its name, its number or its notebook's name."""
    number, _, name = chapter.partition("_")
    if not number.isdigit():
        return chapter
    return name or CHAPTERS.get(int(number), chapter)


CHAPTERS = dict(
    enumerate(
        (
            "language_models",
            "markov",
            "rnn",
            "seq2seq",
            "attention",
            "self_attention",
            "multi_head_attention",
            "transformer",
            "bert",
            "scoreboard",
        ),
        start=1,
    )
)
