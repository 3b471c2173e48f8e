"""Code exercises: a stub to fill in, a reference to compare with, misconceptions to recognise."""

import dis
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch

from lmcourse.exercises import compare, sandbox
from lmcourse.exercises.outcome import CORRECT, NOT_ATTEMPTED, NOT_YET, Outcome
from lmcourse.source import show_source

N_INPUTS = 6  # fresh inputs of one check


@dataclass(frozen=True)
class Misconception:
    """A typical mistake.

    Attributes:
        name: a short name, for tests and for those who teach.
        wrong: the function that somebody with this idea writes.
        explanation: what to say to them, CommonMark.
    """

    name: str
    wrong: Callable
    explanation: str


@dataclass(frozen=True, eq=False, kw_only=True)
class CodeExercise:
    """A function to write.

    Attributes:
        name: `module.variable`.
        title: a few words.
        statement: the task, CommonMark.
        minutes: how long it may take.
        difficulty: 1 (everyone) to 5 (worth an evening).
        stub: the notebook's cell: signature, contract as docstring, and `...`.
        reference: a function of the same arguments that is right; its source is the solution.
        make_inputs: a function of a `torch.Generator` that returns a tuple of arguments. Every
            axis has a size of its own, so that a transposed axis cannot pass.
        hints: at least two, from gentle to nearly all.
        misconceptions: at least three typical mistakes.
        edge_cases: further tuples of arguments, tried after the drawn ones.
        tolerance: numbers may differ by `tolerance * max(1, |expected|)`.
        time_limit: seconds for one call.
        judge: `judge(arguments, expected, answer)` returns None, or a sentence that says what is
            wrong. For tasks where more than one answer is right.
    """

    name: str
    title: str
    statement: str
    minutes: int
    difficulty: int
    stub: str
    reference: Callable
    make_inputs: Callable[[torch.Generator], tuple]
    hints: tuple[str, ...]
    misconceptions: tuple[Misconception, ...]
    edge_cases: tuple[tuple, ...] = ()
    tolerance: float | int = 1e-6
    time_limit: float | int = 5.0
    judge: Callable | None = None

    def __post_init__(self):
        if not 1 <= self.difficulty <= 5:
            raise ValueError(
                f"{self.name}: difficulty={self.difficulty} is not in 1 to 5"
            )
        if len(self.hints) < 2 or len(self.misconceptions) < 3:
            raise ValueError(
                f"{self.name}: {len(self.hints)} hints and {len(self.misconceptions)} "
                "misconceptions; an exercise has at least 2 and 3"
            )

    def __repr__(self) -> str:
        return f"CodeExercise({self.name!r})"

    @property
    def solution(self) -> str:
        """The source text of the reference, under the name that the stub has."""
        source = show_source(self.reference).pieces[0][1]
        return re.sub(rf"\b{self.reference.__name__}\b", self._function_name(), source)

    def to_dict(self) -> dict:
        """What a card shows, json-able."""
        return {
            "kind": "code",
            "name": self.name,
            "title": self.title,
            "statement": self.statement,
            "minutes": self.minutes,
            "difficulty": self.difficulty,
            "stub": self.stub,
            "hints": list(self.hints),
            "solution": self.solution,
        }

    def inputs(self) -> list[tuple]:
        """Tuples of arguments: fresh ones, then the edge cases. The same in every run."""
        generators = [torch.Generator().manual_seed(seed) for seed in range(N_INPUTS)]
        drawn = [self.make_inputs(generator) for generator in generators]
        return drawn + [compare.copied(case) for case in self.edge_cases]

    def check(self, answer) -> Outcome:
        """Compare an answer with the reference on all inputs. Nothing escapes."""
        if answer is ... or answer is NotImplemented:
            return self._not_attempted()
        if not callable(answer):
            given = compare.show(answer)
            return Outcome(
                NOT_YET,
                f"`check` was given {_code(given)}, which is no function. Give it the function's "
                f'name without brackets: `check("{self.name}", {self._function_name()})`.',
            )
        if _is_stub(answer):
            return self._not_attempted()
        inputs = self.inputs()
        complaint = _wrong_signature(answer, inputs[0])
        if complaint:
            return Outcome(NOT_YET, complaint)
        trials = []
        for arguments in inputs:
            trial = self._try(answer, arguments)
            if trial.left_open:
                return self._not_attempted(trial.run.place, trial.run.printed)
            trials.append(trial)
            if isinstance(trial.run.error, sandbox.TimeIsUp):
                break
        wrong = next((trial for trial in trials if trial.complaint), None)
        printed = (wrong or trials[0]).run.printed
        if wrong is None:
            return Outcome(
                CORRECT,
                f"It agrees with the reference on {len(trials)} inputs.",
                printed,
            )
        misconception = self._recognise(trials)
        if misconception is not None:
            return Outcome(
                NOT_YET, misconception.explanation, printed, misconception.name
            )
        if wrong.wrong_value:
            given = compare.copied(wrong.arguments)
            place = sandbox.call(answer, given, self.time_limit, trace=True).place
            at = f" (your {place})" if place else ""
            wrong.complaint += f"{at}.{_inputs_in_words(wrong.arguments)}"
        if not any(trial.complaint for trial in trials[:N_INPUTS]):
            wrong.complaint = (
                f"Ordinary inputs are right. A special case: {wrong.complaint}"
            )
        return Outcome(NOT_YET, wrong.complaint, printed)

    def _not_attempted(self, place: str = "", printed: str = "") -> Outcome:
        where = f" There is still one on {place}." if place else ""
        return Outcome(
            NOT_ATTEMPTED, f"Replace the `...` with your code.{where}", printed
        )

    def _function_name(self) -> str:
        match = re.search(r"(?:def|class)\s+(\w+)", self.stub)
        return match.group(1) if match else "your_function"

    def _try(self, function: Callable, arguments: tuple) -> "Trial":
        given = compare.copied(arguments)
        run = sandbox.call(function, given, self.time_limit)
        trial = Trial(arguments, run)
        if _leaves_open(run):
            trial.left_open = True
            return trial
        at = f" (your {run.place})" if run.place else ""
        if isinstance(run.error, sandbox.TimeIsUp):
            trial.complaint = (
                f"Your function did not finish within {self.time_limit:g} seconds{at}. "
                "Is there a loop that never ends?"
            )
            return trial
        if run.error is not None:
            error, inputs = _error_in_words(run.error), _inputs_in_words(arguments)
            trial.complaint = f"Your function stopped with {error}{at}.{inputs}"
            return trial
        trial.changed = compare.changed_argument(arguments, given)
        expected = self.reference(*compare.copied(arguments))
        complaint = self._compare(arguments, expected, run.value)
        if complaint:
            trial.complaint = complaint[0].upper() + complaint[1:].rstrip(".")
            trial.wrong_value = True
        elif trial.changed is not None:
            name = _argument_names(self.reference, len(arguments))[trial.changed]
            trial.complaint = (
                f"The result is right, but your function has changed its argument `{name}`. "
                "Work on a copy: whoever calls it still needs the original."
            )
        return trial

    def _compare(self, arguments: tuple, expected, value) -> str:
        try:
            if self.judge is not None:
                return self.judge(compare.copied(arguments), expected, value) or ""
            return compare.difference(expected, value, self.tolerance)
        except Exception:  # an answer so odd that comparing it fails
            return f"the result is {compare.show(value)}, which cannot be compared"

    def _recognise(self, trials: list["Trial"]) -> Misconception | None:
        """The misconception that behaves as the answer does, on every input. Where the answer is
        wrong on ordinary inputs these suffice: on a special case it may fail in a way of its own.
        """
        ordinary = trials[:N_INPUTS]
        wrong_there = any(trial.complaint for trial in ordinary)
        for part in (trials, ordinary) if wrong_there else (trials,):
            for misconception in self.misconceptions:
                if all(self._same(trial, misconception.wrong) for trial in part):
                    return misconception
        return None

    def _same(self, trial: "Trial", wrong: Callable) -> bool:
        given = compare.copied(trial.arguments)
        run = sandbox.call(wrong, given, self.time_limit)
        if isinstance(run.error, sandbox.TimeIsUp):  # a busy machine can cause that
            return False
        if run.error is not None or trial.run.error is not None:
            return type(run.error) is type(trial.run.error)
        if compare.changed_argument(trial.arguments, given) != trial.changed:
            return False
        try:
            return not compare.difference(run.value, trial.run.value, self.tolerance)
        except Exception:  # an odd answer is nobody's misconception
            return False


@dataclass
class Trial:
    """What an answer did on one input."""

    arguments: tuple
    run: sandbox.Run
    complaint: str = ""
    wrong_value: bool = False
    changed: int | None = None
    left_open: bool = False


def _is_stub(function) -> bool:
    """Whether a function's body is empty but for a docstring, `...` or `pass`."""
    code = getattr(function, "__code__", None)
    if (
        code is None or code.co_name == "<lambda>"
    ):  # `lambda: None` was written by somebody
        return False
    steps = [
        step
        for step in dis.get_instructions(code)
        if step.opname not in ("RESUME", "NOP")
    ]
    if not all(
        step.opname in ("LOAD_CONST", "RETURN_VALUE", "RETURN_CONST") for step in steps
    ):
        return False
    loaded = [
        step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")
    ]
    return all(value is None or value is ... for value in loaded) and not _returns_none(
        function
    )


def _returns_none(function) -> bool:
    """A written `return None` is an attempt."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return False
    return (
        re.search(r"^\s*return\s*(None)?\s*(#.*)?$", source, re.MULTILINE) is not None
    )


def _leaves_open(run: sandbox.Run) -> bool:
    """Whether a `...` or NotImplementedError is left in the code that ran."""
    if run.error is not None:
        return (
            isinstance(run.error, NotImplementedError)
            or "ellipsis" in str(run.error).lower()
        )
    return run.value is ... or run.value is NotImplemented


def _wrong_signature(function, arguments: tuple) -> str:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""  # some built-ins do not tell
    try:
        signature.bind(*arguments)
    except TypeError:
        names = ", ".join(signature.parameters) or "nothing"
        plural = "argument" if len(arguments) == 1 else "arguments"
        return (
            f"Your function takes `({names})`, but it is called with {len(arguments)} {plural}. "
            "Keep the signature of the stub."
        )
    return ""


def _argument_names(function: Callable, n_arguments: int) -> list[str]:
    names = list(inspect.signature(function).parameters)
    return names[:n_arguments] + [
        f"number {i + 1}" for i in range(len(names), n_arguments)
    ]


def _error_in_words(error: BaseException) -> str:
    try:
        text = str(error).strip().splitlines()
    except Exception:  # a reader's exception may be broken
        text = []
    message = re.sub(r" at 0x[0-9a-fA-F]+", "", text[0]) if text else ""
    if len(message) > compare.SHORT:
        message = message[: compare.SHORT - 3] + "..."
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _inputs_in_words(arguments: tuple) -> str:
    text = ", ".join(compare.show(argument, compare.LONG) for argument in arguments)
    return f" The input was {_code(text)}." if len(text) <= compare.LONG else ""


def _code(text: str) -> str:
    """Text in backticks, on one line."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"
