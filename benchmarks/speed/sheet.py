"""Figures of several configurations, for the JSON file and as one table for people: a row a configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wordsight.benchmarks.tables import number
from wordsight.runtime.figures import Figure


@dataclass
class Sheet:
    """Figures named `COLUMN.LABEL`, and those of the machine, which belong to no row.

    Attributes:
        labels: rows, in order.
        columns: what the table shows: the figures' names without label, and the head of the column.
        figures: all of them, in order.
        notes: lines for people below the table.
        absent: what stands for a figure that could not be had.
    """

    labels: Sequence[str]
    columns: Mapping[str, str]
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    absent: str = "none"

    def add(
        self, column: str, label: str, value: float | None, unit: str = "", *, low: float | None = None,
        high: float | None = None, n: int | None = None, reason: str | None = None,
    ) -> None:  # fmt: skip
        """Keep a figure of a row."""
        self.figures.append(Figure(f"{column}.{label}", value, unit, low, high, n, reason))

    def print(self, title: str) -> None:
        """The table, then the figures of no row, the notes, and what is missing and why, each reason once."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console()
        by_name = {figure.name: figure for figure in self.figures}
        table = Table(title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("", overflow="fold")
        for head in self.columns.values():
            table.add_column(head, justify="right")
        for label in self.labels:
            cells = []
            for column in self.columns:
                cells.append(_cell(by_name.get(f"{column}.{label}"), self.absent))
            table.add_row(escape(label), *cells)
        console.print(table)
        for figure in self.figures:
            in_a_row = any(figure.name.endswith(f".{label}") or f".{label}." in figure.name for label in self.labels)
            if not in_a_row and figure.value is not None:
                extra = f" ({number(figure.low)} ... {number(figure.high)})" if figure.low is not None else ""
                console.print(escape(f"{figure.name}: {number(figure.value, figure.unit)}{extra}"))
        for note in self.notes:
            console.print(escape(note))
        reasons: dict[str, list[str]] = {}
        for figure in self.figures:
            if figure.reason is not None:
                reasons.setdefault(figure.reason, []).append(figure.name)
        for reason, names in reasons.items():
            named = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            console.print(escape(f"{self.absent} for {named}: {reason}"), style="dim")


def _cell(figure: Figure | None, absent: str) -> str:
    if figure is None or figure.value is None:
        return absent
    if figure.unit == "score":
        return number(figure.value)
    if figure.unit in ("", "batch"):
        return f"{figure.value:.0%}" if figure.unit == "" else f"{figure.value:.0f}"
    return f"{figure.value:,.1f}" if abs(figure.value) < 100 else f"{figure.value:,.0f}"
