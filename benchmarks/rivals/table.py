"""The table of the rivals: mean and standard deviation over draws, classes of a set averaged within each draw first."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordsight.benchmarks.rivals.measure import FIGURES, HEADINGS
from wordsight.benchmarks.rivals.methods import METHODS
from wordsight.benchmarks.rivals.results import Result
from wordsight.runtime.figures import Figure, machine
from wordsight.runtime.files import whole_file

KEY = (
    "Percent: mean ± standard deviation over draws of good pictures, and of the head that goes with each draw; none "
    "where no draw decides. Pixel figures: maps against masks, where the method gives a map."
)
COLUMNS = ("dataset", "class", "setup", "method", "metric", "mean", "std", "draws", "good", "defective", "reason")
TITLES = {method.key: method.title for method in METHODS}


@dataclass(frozen=True)
class Value:
    """A figure over D draws, as a fraction; std with ddof = 1, None for one draw."""

    mean: float
    std: float | None
    draws: int


@dataclass(frozen=True)
class Row:
    """One method with one number of shots, on one class or on all classes of a set."""

    section: str
    category: str
    """"" for the mean over all classes of the set."""
    method: str
    shots: int
    values: dict[str, Value]
    """By the figure's name; what the method does not give is left out."""
    good: int
    defective: int
    reason: str

    @property
    def setup(self) -> str:
        """As the paper's tables say it."""
        return f"{self.shots}-shot"


def rows(results: Sequence[Result], category: str | None = None) -> list[Row]:
    """A row a set, method and number of shots: by set, by shots, in the order of the methods.

    Args:
        results: of all cells.
        category: of one class alone; None for the mean over classes.
    """
    order = list(TITLES)
    found = []
    for section in dict.fromkeys(result.cell.section for result in results):
        here = [r for r in results if r.cell.section == section and category in (None, r.cell.category)]
        kinds = sorted({(r.cell.shots, order.index(r.cell.method)) for r in here})
        found += [_row(section, category or "", shots, order[place], here) for shots, place in kinds]
    return found


def _row(section: str, category: str, shots: int, method: str, results: Sequence[Result]) -> Row:
    mine = [r for r in results if (r.cell.shots, r.cell.method) == (shots, method)]
    classes = {r.cell.category for r in mine}
    values = {}
    for figure in FIGURES:
        by_draw: dict[int, list[float]] = {}
        for result in mine:
            value = (result.figures or {}).get(figure)
            if value is not None:
                by_draw.setdefault(result.cell.draw, []).append(value)
        # A draw that some class lacks has no mean over classes.
        means = [float(np.mean(found)) for found in by_draw.values() if len(found) == len(classes)]
        if means:
            std = float(np.std(means, ddof=1)) if len(means) > 1 else None
            values[figure] = Value(float(np.mean(means)), std, len(means))
    first = {r.cell.category: r for r in mine if r.figures is not None}
    good, defective = sum(r.good for r in first.values()), sum(r.defective for r in first.values())
    reason = next((r.reason for r in mine if r.reason), "")
    return Row(section, category, method, shots, values, good, defective, reason)


def markdown(results: Sequence[Result], about: str) -> str:
    """The table, a section a set; `about` says what it was made with."""
    parts = [f"{KEY} {about}", ""]
    table = rows(results)
    for section in dict.fromkeys(row.section for row in table):
        here = [row for row in table if row.section == section]
        parts += [f"### {heading(here, results)}", ""]
        parts += ["| setup | method | " + " | ".join(HEADINGS.values()) + " |", "|---|---|" + "---:|" * len(HEADINGS)]
        for row in here:
            parts.append("| " + " | ".join([row.setup, TITLES[row.method], *row_cells(row)]) + " |")
        parts.append("")
    return "\n".join(parts)


def heading(here: Sequence[Row], results: Sequence[Result]) -> str:
    """What a section shows: set, classes, pictures."""
    section = here[0].section
    classes = {result.cell.category for result in results if result.cell.section == section}
    good, defective = max((row.good, row.defective) for row in here)
    means = f", mean of {len(classes)} classes" if len(classes) > 1 else ""
    return f"{section}{means}, {good:,} good and {defective:,} defective pictures"


def row_cells(row: Row) -> list[str]:
    """The figures of a row as text; in the first the reason where there are none."""
    if not row.values:
        return [row.reason] + [""] * (len(FIGURES) - 1)
    return [_text(row.values.get(figure)) for figure in FIGURES]


def _text(value: Value | None) -> str:
    if value is None:
        return ""
    return f"{100 * value.mean:.1f}" + ("" if value.std is None else f" ± {100 * value.std:.1f}")


def print_table(results: Sequence[Result], about: str) -> None:
    """The table for people, on stdout."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = rows(results)
    for section in dict.fromkeys(row.section for row in table):
        here = [row for row in table if row.section == section]
        shown = Table(title=escape(heading(here, results)), title_justify="left", title_style="bold", box=None,
                      pad_edge=False)  # fmt: skip
        for column in ("setup", "method", *HEADINGS.values()):
            named = column in ("setup", "method")
            shown.add_column(column, justify="left" if named else "right", no_wrap=named)
        for row in here:
            shown.add_row(row.setup, TITLES[row.method], *map(escape, row_cells(row)))
        console.print(shown)
        console.print()
    console.print(f"{KEY} {about}", markup=False, highlight=False)


def write(folder: Path, results: Sequence[Result], about: str, json_path: Path | None = None) -> list[Path]:
    """Write rivals.md, rivals.csv and rivals.json, and the last at `json_path` too; each whole or not at all."""
    every = rows(results)
    categories = list(dict.fromkeys(result.cell.category for result in results))
    by_class = [row for name in categories for row in rows(results, name) if row.values or row.reason]
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in [*every, *by_class]:
        for figure in FIGURES:
            value = row.values.get(figure)
            numbers = (
                ("", "", "") if value is None else (value.mean, "" if value.std is None else value.std, value.draws)
            )
            head = (row.section, row.category, row.setup, TITLES[row.method], figure)
            writer.writerow([*head, *numbers, row.good, row.defective, "" if value else _why(row, figure)])
    figures = [_figure(row, figure).as_json() for row in every for figure in FIGURES]
    document = {"command": "bench rivals", "machine": machine(), "figures": figures}
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    texts = {folder / "rivals.md": markdown(results, about), folder / "rivals.csv": sheet.getvalue(),
             folder / "rivals.json": text}  # fmt: skip
    if json_path is not None:
        texts[json_path] = text
    for path, content in texts.items():
        with whole_file(path, "w") as file:
            file.write(content)
    return list(texts)


def _figure(row: Row, figure: str) -> Figure:
    name = "/".join(("rivals", row.section, row.setup, row.method, figure))
    value = row.values.get(figure)
    if value is None:
        return Figure(name, None, reason=_why(row, figure))
    low, high = (None, None) if value.std is None else (value.mean - value.std, value.mean + value.std)
    return Figure(name, value.mean, "", low, high, value.draws)


def _why(row: Row, figure: str) -> str:
    return row.reason or "the method gives no map, or defective pictures have no masks"
