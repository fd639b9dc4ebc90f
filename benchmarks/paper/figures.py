"""The printed cells of the paper's Tables 1 to 10, transcribed once in `figures.csv` beside this module.

The text at hand is an OCR that loses decimal points and reads the plus-minus sign as a digit, mostly as 4. A cell
whose digits had to be put back together is `reconstructed`, and `ocr` keeps what the OCR has. The check is that a
column of Tables 5 to 10 averages to its cell of Table 1. Where that fails, or nothing can check a doubtful cell, `note`
says so:

- Table 9, PCB4, WinCLIP: the OCR's 71.7 is kept as 77.7, which the column's mean demands.
- Table 1, VisA, 1-shot, CLIP + ours, AUROC: legible as 83.4 while Table 8 averages 84.0; both are kept as read.
- Table 1, VisA, AUPR of WinCLIP: Table 9 averages 0.1 to 0.2 less in all four setups; both sides are quoted.
- 71.7 in Tables 3 and 4 may be 77.7 as well; no mean can tell.
- Table 3 prints "an" where the text's default word is "a"; its first cells repeat those of Table 1.

A "-" of the paper (RegAD) is no cell. Figure 4's values are not in the text at all.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast, get_args

Origin = Literal["paper", "quoted", "reconstructed"]
Key = tuple[int, str, str, str, str]
"""Table, row, setup, method, metric: one cell."""

UNKNOWN, KNOWN = "0-shot unknown object", "0-shot known object"
SINGLE_CROP = f"{KNOWN}, single crop"
METRICS = ("AUROC", "AUPR", "F1-max")
CLIP, OURS, SUM, WINCLIP = "CLIP", "Ours", "CLIP + ours", "WinCLIP"
"""s_pr alone, s_fnn alone, their sum (plus s_img with references), and the baseline that can be run here."""

TITLES = {
    1: "Comparison against other methods",
    2: "Without multiple crops, MVTec-AD, known object",
    3: "AUROC by word pair, MVTec-AD, unknown object",
    4: "SewerML",
    5: "AUROC by class, MVTec-AD",
    6: "AUPR by class, MVTec-AD",
    7: "F1-max by class, MVTec-AD",
    8: "AUROC by class, VisA",
    9: "AUPR by class, VisA",
    10: "F1-max by class, VisA",
}

_OWN = frozenset({CLIP, OURS, SUM})
_COLUMNS = ["table", "dataset", "class", "row", "setup", "method", "metric", "mean", "std", "origin", "ocr", "note"]


@dataclass(frozen=True)
class Cell:
    """One printed number, in percent."""

    table: int
    dataset: str
    category: str
    """The class of Tables 5 to 10; "" where the cell is a mean over classes or the set has none."""
    row: str
    """The class, the word pair "normal / anomalous" (Table 3), or the data set."""
    setup: str
    method: str
    metric: str
    mean: float
    std: float | None
    """Over 10 seeds; None where none is printed."""
    origin: Origin
    ocr: str = ""
    """What the OCR has, given exactly for reconstructed cells."""
    note: str = ""

    @property
    def key(self) -> Key:
        """What no two cells share."""
        return self.table, self.row, self.setup, self.method, self.metric

    @property
    def quoted(self) -> bool:
        """Whether the row is another system's, which the paper quotes; a reconstructed cell can be of such a row."""
        return self.method not in _OWN


@cache
def load() -> tuple[Cell, ...]:
    """All cells, in the paper's order.

    Raises:
        ValueError: the file has other columns, a cell twice, an unknown origin, or a reconstructed cell without `ocr`.
    """
    text = resources.files(__package__).joinpath("figures.csv").read_text(encoding="utf-8")
    return parse(text.splitlines())


def parse(lines: Iterable[str]) -> tuple[Cell, ...]:
    """The cells of the lines of such a file; raises as `load` does."""
    reader = csv.DictReader(lines)
    if reader.fieldnames != _COLUMNS:
        raise ValueError(f"expected the columns {_COLUMNS}, got {reader.fieldnames}")
    cells = tuple(_cell(row) for row in reader)
    seen: set[Key] = set()
    for cell in cells:
        if cell.key in seen:
            raise ValueError(f"a cell stands twice: {cell.key}")
        seen.add(cell.key)
        if cell.origin not in get_args(Origin) or (cell.origin == "reconstructed") != bool(cell.ocr):
            raise ValueError(f"origin {cell.origin!r} with ocr {cell.ocr!r}: {cell.key}")
    return cells


def classes(dataset: str) -> tuple[str, ...]:
    """The classes of a data set in the paper's order; a set without classes has one, "".

    Raises:
        ValueError: the paper has no such data set.
    """
    found = dict.fromkeys(cell.category for cell in load() if cell.dataset == dataset)
    if not found:
        raise ValueError(f"the paper has no data set {dataset!r}")
    return tuple(name for name in found if name) or ("",)


def _cell(row: dict[str, str]) -> Cell:
    return Cell(
        int(row["table"]), row["dataset"], row["class"], row["row"], row["setup"], row["method"], row["metric"],
        float(row["mean"]), float(row["std"]) if row["std"] else None, cast(Origin, row["origin"]), row["ocr"],
        row["note"],
    )  # fmt: skip
