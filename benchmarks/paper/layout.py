"""The paper's tables as grids: which cells share a line and which a column, as printed."""

from collections.abc import Iterable
from dataclasses import dataclass

from wordsight.benchmarks.paper.compare import Pair
from wordsight.benchmarks.paper.figures import TITLES, Cell


@dataclass(frozen=True)
class Grid:
    """One table: labels of lines and columns, and the pair at each crossing, if the paper has one there."""

    table: int
    title: str
    lines: list[tuple[str, ...]]
    columns: list[tuple[str, ...]]
    at: dict[tuple[tuple[str, ...], tuple[str, ...]], Pair]

    def row(self, line: tuple[str, ...]) -> list[Pair | None]:
        """The pairs of a line, None where the paper has no cell."""
        return [self.at.get((line, column)) for column in self.columns]


def grids(pairs: Iterable[Pair]) -> list[Grid]:
    """Tables in the order of their numbers, lines and columns in the order of the cells."""
    found: dict[int, Grid] = {}
    for pair in pairs:
        number = pair.cell.table
        grid = found.setdefault(number, Grid(number, f"Table {number}. {TITLES[number]}", [], [], {}))
        line, column = _place(pair.cell)
        if line not in grid.lines:
            grid.lines.append(line)
        if column not in grid.columns:
            grid.columns.append(column)
        grid.at[line, column] = pair
    return [found[number] for number in sorted(found)]


def printed(cell: Cell) -> str:
    """The paper's number, with a dagger where the OCR's digits had to be put back together."""
    return f"{_spread(cell.mean, cell.std)}{'†' if cell.origin == 'reconstructed' else ''}"


def ours(pair: Pair) -> list[str]:
    """Our number, then the difference and whether it lies within one std; nothing where it was not run."""
    if pair.ours.mean is None or pair.difference is None:
        return []
    verdict = {True: ", within", False: ", outside", None: ""}[pair.within]
    return [_spread(pair.ours.mean, pair.ours.std), f"{pair.difference:+.1f}{verdict}"]


def _spread(mean: float, std: float | None) -> str:
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


def _place(cell: Cell) -> tuple[tuple[str, ...], tuple[str, ...]]:
    method = f"{cell.method} (quoted)" if cell.quoted else cell.method
    if cell.table == 1:
        return (cell.setup, method), (cell.dataset, cell.metric)
    if cell.table == 3:
        normal, anomalous = cell.row.split(" / ")
        return (normal,), (anomalous, method)
    if cell.category:
        return (cell.category,), (cell.setup, method)
    return (method,), (cell.metric,)
