"""Processes that a bench starts: none outlives it, whenever it is ended."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Have signals that end this process wait: one within a start would lose the process that was just started."""
    if threading.current_thread() is not threading.main_thread():  # no signal interrupts another
        yield
        return
    came: list[int] = []
    before = {
        which: signal.signal(which, lambda number, frame: came.append(number))
        for which in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        for number in came:
            signal.raise_signal(number)


@contextlib.contextmanager
def running(
    words: Sequence[str], *, stdin: int | IO[Any] = subprocess.DEVNULL, **options: Any
) -> Iterator["subprocess.Popen[Any]"]:
    """Within it, a process runs; it is killed at the end, if it did not end before.

    Args:
        words: the command.
        stdin: of the process; nothing, if not told.
        **options: of `subprocess.Popen`.
    """
    process: subprocess.Popen[Any] | None = None
    try:
        with held_back():
            process = subprocess.Popen(words, stdin=stdin, **options)
        yield process
    finally:
        if process is not None:
            process.kill()
            process.wait()
