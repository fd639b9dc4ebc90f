"""Ours beside the paper's, cell by cell: the difference, and whether it lies within the paper's one std."""

from collections.abc import Iterable
from dataclasses import dataclass

from wordsight.benchmarks.paper.figures import Cell, Key, load

NOT_GIVEN = "no result was given for it"


@dataclass(frozen=True)
class Record:
    """What we measured for a cell, in percent, or why there is nothing.

    Raises:
        ValueError: neither a mean nor a reason, or both.
    """

    table: int
    row: str
    setup: str
    method: str
    metric: str
    mean: float | None = None
    std: float | None = None
    """Over seeds; None for one seed or a method without."""
    reason: str = ""
    seeds: int = 0
    encoder: str = ""
    crops: str = ""
    """The crop set that every view of this cell was cut by."""

    def __post_init__(self) -> None:
        """A blank has a reason; a number has none."""
        if (self.mean is None) != bool(self.reason):
            raise ValueError(f"{self.key}: a mean, or a reason why there is none (mean {self.mean})")

    @property
    def key(self) -> Key:
        """The cell it answers to."""
        return self.table, self.row, self.setup, self.method, self.metric


@dataclass(frozen=True)
class Pair:
    """A printed cell and ours."""

    cell: Cell
    ours: Record

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, in points, both at the paper's one decimal; None where ours is blank."""
        if self.ours.mean is None:
            return None
        return round(round(self.ours.mean, 1) - self.cell.mean, 1) + 0.0  # + 0.0: never "-0.0"

    @property
    def within(self) -> bool | None:
        """Whether the difference is at most the paper's std; None where ours is blank or the paper prints no std."""
        if self.difference is None or self.cell.std is None:
            return None
        return abs(self.difference) <= self.cell.std


def compare(records: Iterable[Record], cells: Iterable[Cell] | None = None) -> list[Pair]:
    """Every printed cell with the record that answers to it; cells without one stay blank with a reason.

    Args:
        records: ours, at most one a cell.
        cells: the paper's; all of them by default.

    Raises:
        ValueError: two records for one cell, or a record for no cell.
    """
    printed = load() if cells is None else tuple(cells)
    known = {cell.key for cell in printed}
    given: dict[Key, Record] = {}
    for record in records:
        if record.key not in known:
            raise ValueError(f"the paper has no cell {record.key}")
        if record.key in given:
            raise ValueError(f"two results for the cell {record.key}")
        given[record.key] = record
    return [Pair(cell, given.get(cell.key) or Record(*cell.key, reason=NOT_GIVEN)) for cell in printed]


def made_with(pairs: Iterable[Pair]) -> list[str]:
    """Which encoder and crop sets our numbers come from, in words; nothing where all are blank."""
    found = dict.fromkeys((p.ours.encoder, p.ours.crops) for p in pairs if p.ours.mean is not None)
    return [f"encoder {encoder}, crops: {crops}" for encoder, crops in found]


def reasons(pairs: Iterable[Pair]) -> dict[str, int]:
    """Why cells are blank, and how many for each reason, the most frequent first."""
    counts: dict[str, int] = {}
    for pair in pairs:
        if pair.ours.mean is None:
            counts[pair.ours.reason] = counts.get(pair.ours.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
