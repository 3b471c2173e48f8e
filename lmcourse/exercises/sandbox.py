"""Run a reader's function safely: in a thread, with a time limit, its prints caught.

An endless loop is stopped by an exception that is raised inside the thread, which works on every
system. Code that does not come back to Python (one call into C that never ends) cannot be stopped;
it is left behind, and the check still answers.
"""

import contextlib
import ctypes
import io
import linecache
import sys
import threading
import time
from dataclasses import dataclass
from types import CodeType, TracebackType

MAX_PRINTED = 1000  # characters kept of what a function prints
GRACE = 1.0  # seconds to wait for a stopped thread


class TimeIsUp(BaseException):
    """Raised inside the reader's function when its time is over."""


@dataclass
class Run:
    """What one call did.

    Attributes:
        value: what it returned, unless there is an error.
        error: the exception, `TimeIsUp` included.
        place: the reader's own line, `line 3: return x + 1`, where an error was raised or, with
            `trace`, where the function returned; empty where there is none.
        printed: the start of what it printed.
    """

    value: object = None
    error: BaseException | None = None
    place: str = ""
    printed: str = ""


class ShortBuffer(io.TextIOBase):
    """A text stream that keeps its first characters and forgets the rest."""

    def __init__(self, limit: int):
        self.limit = limit
        self.kept = ""
        self.dropped = False

    def writable(self) -> bool:
        """True: it is a stream to write to."""
        return True

    def write(self, text: str) -> int:
        """Keep what there is room for. Returns the length of all."""
        room = self.limit - len(self.kept)
        self.kept += text[:room]
        self.dropped = self.dropped or len(text) > room
        return len(text)

    def text(self) -> str:
        """What was kept, and a mark where something was forgotten."""
        return self.kept.rstrip() + ("\n... (and more)" if self.dropped else "")


def call(
    function, arguments: tuple, time_limit: float | int, *, trace: bool = False
) -> Run:
    """Call `function(*arguments)` and return what came of it. Nothing escapes.

    Args:
        function: anything callable.
        arguments: copies, which the function may change.
        time_limit: seconds.
        trace: note the line on which the function returns, too. This slows it down.

    >>> call(lambda x: x + 1, (1,), time_limit=5.0).value
    2
    >>> call(lambda x: x / 0, (1,), time_limit=5.0).error
    ZeroDivisionError('division by zero')
    """
    run = Run()
    code = code_of(function)

    def work():
        last_line = _remember_last_line(code) if trace else []
        try:
            run.value = function(*arguments)
            if last_line:
                run.place = _describe(code.co_filename, last_line[-1])
        except BaseException as error:  # the reader's SystemExit is a wrong answer, too
            run.error = error
            run.place = place_of(error.__traceback__, code)

    def work_until_stopped():
        with contextlib.suppress(
            TimeIsUp
        ):  # it may arrive when the work has just ended
            work()

    thread = threading.Thread(target=work_until_stopped, daemon=True)
    buffer = ShortBuffer(MAX_PRINTED)
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = buffer
    try:
        thread.start()
        thread.join(time_limit)
        if thread.is_alive():
            stuck = _current_place(thread, code)
            _stop(thread)
            run = Run(error=TimeIsUp(), place=stuck)
    except BaseException:  # the reader pressed stop: end the function first
        _stop(thread)
        raise
    finally:
        sys.stdout, sys.stderr = stdout, stderr
    run.printed = buffer.text()
    return run


def code_of(function) -> CodeType | None:
    """The code object of a function, a method, or a class with `__call__` or `__init__`."""
    if isinstance(function, type):
        function = function.__init__
    elif not hasattr(function, "__code__") and not hasattr(function, "__func__"):
        function = type(function).__call__
    return getattr(getattr(function, "__func__", function), "__code__", None)


def place_of(traceback: TracebackType | None, code: CodeType | None) -> str:
    """The reader's own innermost line of a traceback."""
    place = ""
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if code is not None and filename == code.co_filename:
            place = _describe(filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def _describe(filename: str, line: int) -> str:
    text = linecache.getline(filename, line).strip()
    return f"line {line}: `{text}`" if text else f"line {line}"


def _remember_last_line(code: CodeType | None) -> list[int]:
    """Note where the function returns, so that a message can point there."""
    lines: list[int] = []
    if code is None:
        return lines

    def on_return(frame, event, _):
        if event == "return":
            lines[:] = [frame.f_lineno]
        return on_return

    def on_call(frame, _event, _):
        if frame.f_code is code:
            frame.f_trace_lines = False
            return on_return
        return None

    sys.settrace(on_call)  # of this thread only
    return lines


def _current_place(thread: threading.Thread, code: CodeType | None) -> str:
    """The reader's line that a running thread is at."""
    frame = sys._current_frames().get(thread.ident)
    while frame is not None:
        if code is not None and frame.f_code.co_filename == code.co_filename:
            return _describe(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return ""


def _stop(thread: threading.Thread) -> None:
    """Raise `TimeIsUp` in the thread, again if its code catches it, for a moment."""
    deadline = time.monotonic() + GRACE
    while thread.is_alive() and time.monotonic() < deadline:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(TimeIsUp)
        )
        thread.join(0.02)
