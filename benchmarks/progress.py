"""Progress bars on stderr, so that stdout carries results alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tick = Callable[[], None]
"""Says that one more is done."""


@contextmanager
def bar(title: str, total: int) -> Iterator[Tick]:
    """A bar that lives as long as the block; call what it yields once for each thing done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)
