"""`wordsight bench paper --cost`: the work of the paper's tables, stage by stage, timed here."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordsight.benchmarks.paper.cost import Counts, Line


def print_cost(encoder: str | None, seeds: int, json: Path | None) -> None:
    """Measure, print the table, and write the figures where `json` says.

    Args:
        encoder: as `load_encoder` takes it; None for the paper's architecture with random weights.
        seeds: heads, and draws of references.
        json: a file, or None.
    """
    from rich.console import Console

    from wordsight.benchmarks.fold import RANDOM, random_checkpoint
    from wordsight.benchmarks.paper import cost
    from wordsight.runtime.figures import write_figures
    from wordsight.train.encoders import load_encoder

    errors = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch, errors.status("loading the encoder") as status:
        folder = Path(scratch)
        loaded = load_encoder(encoder or random_checkpoint(RANDOM, folder))
        title = encoder or f"{RANDOM}, random weights (they do not change times)"

        def say(line: str) -> None:
            status.update(line)
            if not errors.is_terminal:
                errors.print(line)

        units = cost.measure(loaded, folder, say)
    counts = cost.count(seeds)
    found = cost.lines(units, counts)
    disk_gib = cost.disk_bytes(units, counts, seeds) / cost.GIB
    _print(title, found, counts, disk_gib, seeds)
    if json is not None:
        write_figures(json, "bench paper --cost", cost.figures(found, units, counts, seeds))


def _print(title: str, found: "list[Line]", counts: "Counts", disk_gib: float, seeds: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from wordsight.runtime.figures import cpu_name, usable_cores

    table = Table(title=escape(f"Tables 1 to 10 and Figure 4 with {seeds} seeds: {title}"), title_justify="left",
                  title_style="bold", box=None, pad_edge=False)  # fmt: skip
    table.add_column("stage")
    for column in ("unit cost", "count"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("of")
    table.add_column("hours here", justify="right", no_wrap=True)
    for line in found:
        unit = f"{line.unit_s:,.2f} s" if line.unit_s >= 1 else f"{1000 * line.unit_s:,.2f} ms"
        table.add_row(line.stage, unit, f"{line.count:,}", line.of, f"{line.hours:,.1f}")
    total = sum(line.hours for line in found)
    table.add_row("total", "", "", "", f"{total:,.1f}", style="bold")
    sewer = sum(line.hours for line in found if line.stage.startswith("SewerML"))
    table.add_row("without Sewer-ML's pictures", "", "", "", f"{total - sewer:,.1f}")
    console = Console()
    console.print(table)
    console.print(f"measured on {cpu_name()}, {usable_cores()} cores, each stage on a small sample", highlight=False)
    console.print(f"disk: {disk_gib:,.1f} GiB for files and kept scores, beside the data sets", highlight=False)
    console.print(
        f"{counts.settings} settings share {counts.passes} passes: what a file says of a class is collected once",
        highlight=False,
    )
