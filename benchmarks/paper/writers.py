"""The comparison as files: CSV for machines, Markdown for documents, JSON with the machine it was made on."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wordsight.benchmarks.paper.compare import Pair, made_with, reasons
from wordsight.benchmarks.paper.layout import Grid, grids, ours, printed
from wordsight.runtime.figures import Figure, machine
from wordsight.runtime.files import whole_file

CSV_COLUMNS = ("table", "row", "setup", "method", "metric", "mean", "std", "ours_mean", "ours_std")

KEY = (
    "Percent. In each cell first the paper's, below it ours with the difference in points and whether it lies within "
    "the paper's one std. †: the text at hand has lost this cell's decimal point or sign; see figures.csv. "
    "(quoted): another system's row."
)


def write_csv(path: Path, pairs: Sequence[Pair]) -> None:
    """One line a printed cell; std and ours are empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for pair in pairs:
        writer.writerow([*pair.cell.key, *map(_number, (pair.cell.mean, pair.cell.std, pair.ours.mean, pair.ours.std))])
    _write(path, text.getvalue())


def write_json(path: Path, pairs: Sequence[Pair]) -> None:
    """The figures of the command as every command writes them, each with the paper's cell beside ours."""
    document = {"command": "bench paper", "machine": machine(), "figures": [_figure(pair) for pair in pairs]}
    _write(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def write_markdown(path: Path, pairs: Sequence[Pair]) -> None:
    """All tables, each with why its blank cells are blank."""
    parts = ["# The paper's tables, and ours", "", KEY, ""]
    parts += [f"- ours: {line}" for line in made_with(pairs)] + [""]
    for grid in grids(pairs):
        parts += [f"## {grid.title}", "", *_table(grid), ""]
        parts += [f"- not run, {count} cells: {reason}" for reason, count in reasons(grid.at.values()).items()]
        parts += [f"- {pair.cell.row}, {pair.cell.setup}, {pair.cell.method}, {pair.cell.metric}: {pair.cell.note}"
                  for pair in grid.at.values() if pair.cell.note]  # fmt: skip
        parts.append("")
    _write(path, "\n".join(parts).rstrip("\n") + "\n")


def _table(grid: Grid) -> list[str]:
    width = len(grid.lines[0])
    head = [""] * width + ["<br>".join(column) for column in grid.columns]
    rows = [head, ["---"] * width + ["---:"] * len(grid.columns)]
    for line in grid.lines:
        rows.append([*line, *("" if pair is None else _cell(pair) for pair in grid.row(line))])
    return ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in rows]


def _cell(pair: Pair) -> str:
    return "<br>".join([printed(pair.cell), *(f"**{line}**" for line in ours(pair))])


def _figure(pair: Pair) -> dict[str, Any]:
    cell, mine = pair.cell, pair.ours
    table, row, setup, method, metric = cell.key
    low, high = (None, None)
    if mine.mean is not None and mine.std is not None:
        low, high = mine.mean - mine.std, mine.mean + mine.std
    name = f"paper.table{table}/{row}/{setup}/{method}/{metric}"
    figure = Figure(name, mine.mean, "%", low, high, mine.seeds or None, mine.reason or None)
    return {
        **figure.as_json(), "table": table, "dataset": cell.dataset, "row": row, "setup": setup, "method": method,
        "metric": metric, "std": mine.std, "paper_mean": cell.mean, "paper_std": cell.std, "origin": cell.origin,
        "quoted": cell.quoted, "note": cell.note, "difference": pair.difference, "within_one_std": pair.within,
        "encoder": mine.encoder or None, "crops": mine.crops or None,
    }  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _write(path: Path, text: str) -> None:
    with whole_file(path, "w") as file:
        file.write(text)
