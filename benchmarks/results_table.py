"""Every method on every set: figures over seeds with intervals over pictures, as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wordsight.benchmarks.methods import METHODS, Method, Outputs
from wordsight.benchmarks.shots import CannotFill
from wordsight.benchmarks.tabled import METRICS, Cell, measure_class
from wordsight.runtime.figures import Figure, machine
from wordsight.runtime.files import whole_file

HEADINGS = {"auroc": "AUROC", "aupr": "AUPR", "f1_max": "F1-max"}
KEY = (
    "Percent: mean ± standard deviation over seeds (heads, or draws of references; none where no seed decides), and "
    "below it the 95% bootstrap interval over pictures of that mean. crops: which squares of a frame are scored."
)
COLUMNS = ("dataset", "setup", "method", "crops", "metric", "mean", "std", "low", "high", "seeds", "pictures", "reason")


@dataclass(frozen=True)
class Row:
    """One method on one set: its cells by metric, or the reason why there are none."""

    dataset: str
    setup: str
    method: str
    crops: str
    cells: dict[str, Cell] | None
    reason: str = ""


def rows(dataset: str, crops: str, outputs: Outputs, methods: Sequence[Method] = METHODS) -> Iterator[Row]:
    """The rows of one set scored with one crop set, in the order of `methods`.

    Raises:
        OneClassError: the set's pictures are all good or all defective.
    """
    for method in methods:
        if crops != "single" and not method.multi_crop:
            continue
        head = (dataset, method.setup, method.name, crops)
        try:
            measured = measure_class(outputs.labels, method.scores(outputs))
        except CannotFill as reason:
            yield Row(*head, None, str(reason))
        else:
            yield Row(*head, {metric: measured.cell(metric) for metric in METRICS})


def write(folder: Path, table: Sequence[Row]) -> list[Path]:
    """Write results.md, results.csv and results.json; each appears whole or not at all."""
    lines = [line for row in table for line in _lines(row)]
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows([{name: value for name, value in line.items() if value is not None} for line in lines])
    figures = [figure.as_json() for row in table for figure in _figures(row)]
    document = {"command": "bench results", "machine": machine(), "figures": figures}
    texts = {
        "results.md": markdown(table),
        "results.csv": sheet.getvalue(),
        "results.json": json.dumps(document, indent=1, allow_nan=False) + "\n",
    }
    for name, text in texts.items():
        with whole_file(folder / name, "w") as file:
            file.write(text)
    return [folder / name for name in texts]


def markdown(table: Sequence[Row]) -> str:
    """The table, a section a set."""
    parts = [KEY, ""]
    for dataset in dict.fromkeys(row.dataset for row in table):
        chosen = [row for row in table if row.dataset == dataset]
        pictures = next((c.pictures for row in chosen for c in (row.cells or {}).values()), 0)
        parts += [f"### {dataset}, {pictures:,} pictures", ""]
        parts += ["| setup | method | crops | " + " | ".join(HEADINGS.values()) + " |", "|---|---|---|---:|---:|---:|"]
        for row in chosen:
            cells = [row.reason, "", ""] if row.cells is None else [_text(row.cells[metric]) for metric in METRICS]
            parts.append("| " + " | ".join([row.setup, row.method, row.crops, *cells]) + " |")
        parts.append("")
    return "\n".join(parts)


def _text(cell: Cell) -> str:
    spread = "" if cell.std is None else f" ± {100 * cell.std:.1f}"
    return f"{100 * cell.mean:.1f}{spread}<br>{100 * cell.low:.1f} to {100 * cell.high:.1f}"


def _lines(row: Row) -> Iterator[dict[str, str | float | int | None]]:
    for metric in METRICS:
        head = {"dataset": row.dataset, "setup": row.setup, "method": row.method, "crops": row.crops, "metric": metric}
        if row.cells is None:
            yield {**head, "reason": row.reason}
        else:
            cell = row.cells[metric]
            yield {**head, "mean": cell.mean, "std": cell.std, "low": cell.low, "high": cell.high,
                   "seeds": cell.seeds, "pictures": cell.pictures}  # fmt: skip


def _figures(row: Row) -> Iterator[Figure]:
    for metric in METRICS:
        name = "/".join((row.dataset, row.setup, row.method, row.crops, metric))
        if row.cells is None:
            yield Figure(name, None, reason=row.reason)
        else:
            cell = row.cells[metric]
            yield Figure(name, cell.mean, "", cell.low, cell.high, cell.pictures)
