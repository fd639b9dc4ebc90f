"""A table for people: every frame when they are few, the highest scores when they are many."""

import heapq
from typing import TYPE_CHECKING

from wordsight.runtime.sinks.result import Result

if TYPE_CHECKING:
    from rich.console import Console

ALL_UP_TO = 40  # rows
TOP = 10
_STYLES = {"good": "green", "defect": "bold red", "unsure": "yellow"}

# Score, place, name, the scores it is summed of, decision, why it is that although the score says otherwise.
Row = tuple[float, int, str, tuple[float, ...], str | None, str | None]


class Table:
    """Collects rows and prints them at the end; memory does not grow with the number of frames."""

    def __init__(self) -> None:
        """Begin empty."""
        self.count = 0
        self.decisions: dict[str, int] = {}
        self._first: list[Row] = []
        self._top: list[Row] = []

    def write(self, result: Result) -> None:
        """Take one result."""
        name = result.frame.name + (f" #{result.frame.index}" if result.frame.fps is not None else "")
        parts = (result.s_pr, result.s_fnn, *(() if result.s_img is None else (result.s_img,)))
        row = (result.score, -self.count, name, parts, result.decision, result.reason)
        self.count += 1
        if result.decision:
            self.decisions[result.decision] = self.decisions.get(result.decision, 0) + 1
        if len(self._first) < ALL_UP_TO:
            self._first.append(row)
        # Of equal scores the earlier frame stays: its place, negated, is the larger.
        (heapq.heappush if len(self._top) < TOP else heapq.heappushpop)(self._top, row)

    def close(self) -> None:
        """Nothing is open."""

    def show(self, console: "Console", rows: int | None = None) -> None:
        """Print all rows in their order, or the ten highest scores when there are more than forty.

        Args:
            console: where to.
            rows: most rows, one line each below a line of titles, where space is short; the highest scores are kept.
        """
        from rich.table import Table as RichTable
        from rich.text import Text

        if not self.count or (rows is not None and rows < 1):
            return
        few = self.count <= (ALL_UP_TO if rows is None else rows)
        shown = self._first if few else sorted(self._top, reverse=True)[:rows]
        title = (
            None if few or rows is not None else f"The {TOP} highest of {self.count} scores (--jsonl FILE keeps all)"
        )
        table = RichTable(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        first = "frame" if few or rows is None else f"frame, highest of {self.count}"
        table.add_column(first, overflow="fold" if rows is None else "ellipsis", no_wrap=rows is not None)
        for name in ("score", "s_pr", "s_fnn", "s_img")[: 1 + len(shown[0][3])]:
            table.add_column(name, justify="right", no_wrap=True)
        decided = bool(self.decisions)
        if decided:
            table.add_column("decision", no_wrap=True)
        for score, _, name, parts, decision, reason in shown:
            cells = [Text(name), Text(f"{score:.4f}", "bold"), *(Text(f"{part:.4f}") for part in parts)]
            told = f"{decision}: {reason}" if reason else decision or ""
            table.add_row(*cells, *([Text(told, _STYLES.get(decision or "", ""))] if decided else []))
        console.print(table)
