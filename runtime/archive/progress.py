"""How far a run is: a bar with the time that is left on a terminal, a line a minute in a log."""

import time
from types import TracebackType
from typing import Any

_EVERY_S = 60.0


class Progress:
    """Pictures listed, then pictures done; use it as a context manager."""

    def __init__(self, console: Any) -> None:
        """Show nothing yet.

        Args:
            console: of rich, for stderr.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = console
        self._bars = Bars(
            TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False),
            console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=120,
        )  # fmt: skip
        self._task: Any = None
        self._said = self._began = time.monotonic()
        self._total = self._done = self._before = 0

    def listed(self, count: int) -> None:
        """Say how many pictures were found so far."""
        if self._task is None:
            self._task = self._bars.add_task("listing", total=None, rate="")
        self._bars.update(self._task, completed=count)
        self._say(f"{count:,} pictures listed")

    def begin(self, total: int, done: int) -> None:
        """Begin to score.

        Args:
            total: pictures of this run.
            done: pictures of shards that were finished before.
        """
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task("scoring", total=total, completed=done, rate="")
        self._began = time.monotonic()
        self._total, self._done, self._before = total, done, done

    def advance(self, count: int) -> None:
        """Count more pictures, or fewer, where a shard begins again."""
        self._done += count
        rate = self.rate
        self._bars.update(self._task, completed=self._done, rate=f"{rate:,.0f}/s" if rate else "")
        left = f", {_span((self._total - self._done) / rate)} left" if rate else ""
        self._say(f"{self._done:,} of {self._total:,} pictures, {rate:,.1f}/s{left}")

    @property
    def rate(self) -> float:
        """Pictures a second since `begin`, those done before not counted."""
        return max(0, self._done - self._before) / max(1e-9, time.monotonic() - self._began)

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= _EVERY_S:
            self._said = now
            self._console.print(text, soft_wrap=True, markup=False)

    def __enter__(self) -> "Progress":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    told = [f"{days} d"] if days else []
    return " ".join([*told, f"{hours} h {minutes % 60} min" if hours or days else f"{minutes} min"])
