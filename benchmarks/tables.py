"""Figures as a table for people, on stdout."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from wordsight.benchmarks.accuracy import Group

_WIDE = 120  # columns of a terminal, from which on meanings have room beside the figures
_NAME = 34


def print_figures(title: str, figures: Iterable[Figure], meaning: Mapping[str, str]) -> None:
    """Name, value, low to high, number, and what each figure means or why it is missing.

    Where a line has no room for the last, it stands below the table.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    console = Console()
    wide = console.width >= _WIDE
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for column in ("value", "low ... high", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    if wide:
        table.add_column("meaning")
    below = Table(box=None, pad_edge=False, show_header=False)
    below.add_column(max_width=_NAME)
    below.add_column()
    for figure in figures:
        said = escape((figure.reason if figure.value is None else meaning.get(figure.name, "")) or "")
        row = (figure.name, number(figure.value, figure.unit), span(figure), str(figure.n or ""))
        table.add_row(*row, *([said] if wide else []))
        if said:
            below.add_row(figure.name, said)
    console.print(table)
    if not wide and below.row_count:
        console.print(Padding(below, (1, 0, 1, 0)))


def of_further(figures: Iterable[Figure], stem: str) -> list[Figure]:
    """Figures of a file that is not a command's first: the contract's names are that one's, these carry their own."""
    return [Figure(f"{one.name}.{stem}", one.value, one.unit, one.low, one.high, one.n) for one in figures]


def print_groups(title: str, groups: "Iterable[Group]") -> None:
    """AUROC by noun, or by kind of defect."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("", "defective", "s_pr", "s_fnn", "score"):
        table.add_column(column, justify="left" if not column else "right")
    for group in groups:
        table.add_row(escape(group.name), str(group.defective),
                      *(f"{area:.3f}" for area in (group.s_pr, group.s_fnn, group.score)))  # fmt: skip
    Console().print(table)


def number(value: float | None, unit: str = "") -> str:
    """A value with four significant digits at least where it is small, and its unit; "none" where there is none.

    Whole numbers are counts and stay whole.
    """
    if value is None:
        return "none"
    if isinstance(value, int):
        return f"{value:,} {unit}".strip()
    text = f"{value:.2e}" if value and abs(value) < 1e-3 else f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{text} {unit}".strip()


def span(figure: Figure) -> str:
    """Low and high of a figure, or nothing."""
    return "" if figure.low is None or figure.high is None else f"{number(figure.low)} ... {number(figure.high)}"
