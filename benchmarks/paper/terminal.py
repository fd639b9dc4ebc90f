"""The paper's tables on stdout, ours below each printed cell."""

from collections.abc import Sequence

from wordsight.benchmarks.paper.compare import Pair, made_with, reasons
from wordsight.benchmarks.paper.layout import Grid, grids, ours, printed

_WIDTH = 200  # columns where nothing says how wide the terminal is: ten setups side by side


def print_tables(pairs: Sequence[Pair]) -> None:
    """Tables 1 to 10, each followed by how many cells are blank, and why."""
    import sys

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    console.print(
        "Percent; first the paper's, below it ours with the difference in points, and whether it lies within the "
        "paper's one std. †: put together again from a text that lost the decimal point or the sign."
    )
    for line in made_with(pairs):
        console.print(f"ours: {line}", markup=False, highlight=False)
    for grid in grids(pairs):
        console.print()
        console.print(_table(grid))
        for reason, count in reasons(grid.at.values()).items():
            console.print(f"  ours blank in {count} cells: {reason}", markup=False, highlight=False)


def _table(grid: Grid):  # type: ignore[no-untyped-def]
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(grid.title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for _ in grid.lines[0]:
        table.add_column("")
    for column in grid.columns:
        table.add_column(escape("\n".join(column)), justify="right")
    for line in grid.lines:
        table.add_row(*map(escape, line), *(_cell(pair) for pair in grid.row(line)))
    return table


def _cell(pair: Pair | None) -> str:
    if pair is None:
        return ""
    return "\n".join([printed(pair.cell), *(f"[bold]{line}[/bold]" for line in ours(pair))])
