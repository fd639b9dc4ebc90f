"""What `wordsight export` tells at its end: how far the file is from torch, and how much of a frame it sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordsight.export.parity import ParityReport

FULL_HD = (1080, 1920)
"""Height and width of the frame that the share is stated for."""


def print_report(report: ParityReport, output: Path, size: int) -> None:
    """Print the differences output by output, the verdict, and the file with its size in bytes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if report.frames:
        table = Table(title=f"{report.backend} against torch, {report.frames} frames")
        table.add_column("output")
        table.add_column("max difference", justify="right")
        table.add_column("mean difference", justify="right")
        for name, largest in report.max.items():
            table.add_row(name, f"{largest:.1e}", f"{report.mean[name]:.1e}")
        console.print(table)
        console.print(f"parity: {report.status}, allowed is {report.tolerance:.0e}")
    else:
        console.print("[yellow]parity: not run[/]; nothing on this machine can run the file, and it says so inside")
    console.print(f"wrote {escape(str(output))}, {size / 1e6:.1f} MB", soft_wrap=True)


def print_share(seen: float, fit: str, height: int, width: int) -> None:
    """Print the share of a frame, 0 to 1, that is seen; less than all of it is a warning."""
    from rich.console import Console

    text = f"--fit {fit}: {seen:.1%} of a {width}x{height} frame is seen"
    if seen < 1:
        Console(stderr=True).print(
            f"[yellow]warning:[/] {text}; --fit pad, squash or tiles shows all of it", highlight=False
        )
    else:
        Console().print(text, highlight=False)


def write_json(path: Path, report: ParityReport, precision: str, size: int | None, seen: float | None) -> None:
    """Write the differences as figures; `size` in bytes and the share seen are None where no file was written."""
    import math

    from wordsight.runtime.figures import Figure, write_figures

    def figure(name: str, value: float | None, reason: str, unit: str = "") -> Figure:
        known = value is not None and math.isfinite(value)
        frames = report.frames if name.startswith("drift") else None
        return Figure(name, value if known else None, unit, n=frames, reason=None if known else reason)

    absent = "no backend at hand can run the graph" if not report.frames else "the difference is not a number"
    figures = [figure(f"drift.{precision}.tolerance", report.tolerance, "")]
    for kind, differences in (("max", report.max), ("mean", report.mean)):
        figures.append(figure(f"drift.{precision}.{kind}", differences.get("score"), absent))
        for name in differences:
            figures.append(figure(f"drift.{precision}.{kind}.{name}", differences[name], absent))
    figures.append(figure("file.size", size, "over tolerance, no file was written", "bytes"))
    figures.append(figure("seen_share.1920x1080", seen, "over tolerance, no file was written"))
    write_figures(path, "export", figures)
