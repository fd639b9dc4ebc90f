"""What `wordsight export` tells at its end: how far the file is from torch, and how much of a frame it sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordsight.export.parity import ParityReport
    from wordsight.export.reduced import DriftReport

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


def print_drift(report: DriftReport) -> None:
    """Print how far a reduced precision scores from fp32, what was left out, and the verdict."""
    from rich.console import Console
    from rich.table import Table

    from wordsight.export.drift import LIMITS

    drift, limits = report.drift, LIMITS[report.precision]
    console = Console()
    if report.sensitivity:
        table = Table(title=f"{report.precision} in one group of layers alone: what it does to scores, the worst first")
        table.add_column("group")
        table.add_column("mean |score difference|", justify="right")
        table.add_column("")
        for name, apart in sorted(report.sensitivity.items(), key=lambda item: -item[1]):
            table.add_row(name, f"{apart:.1e}", "stays fp32" if name in report.left_out else "")
        console.print(table)
    table = Table(
        title=f"{report.precision} in {report.backend} against fp32, {drift.frames} frames: {report.pictures}"
    )
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("allowed", justify="right")
    table.add_row("mean |score difference|", f"{drift.mean:.1e}", f"{limits.mean:g}")
    table.add_row("99th percentile", f"{drift.p99:.1e}", "")
    table.add_row("largest", f"{drift.max:.1e}", "")
    rank, auroc = drift.rank_correlation, drift.auroc_change
    table.add_row("rank correlation", "-" if rank is None else f"{rank:.5f}", f"{limits.rank_correlation:g}")
    table.add_row("change of AUROC", "no labels" if auroc is None else f"{auroc:+.4f}", f"{limits.auroc_change:g}")
    table.add_row("smallest cosine of embeddings", f"{drift.cosine_min:.6f}", "")
    console.print(table)
    if report.calibration != "none":
        left = f"{len(report.left_out)} groups stay fp32" if report.left_out else "no layer left out: not needed"
        console.print(f"scales from {report.calibration_frames} {report.calibration} frames; {left}", highlight=False)
    for line in report.beyond:
        Console(stderr=True).print(f"[yellow]warning:[/] {line}; allowed by --allow-drift", highlight=False)


def write_json(
    path: Path,
    report: ParityReport,
    precision: str,
    drift: DriftReport | None = None,
    size: int | None = None,
    seen: float | None = None,
) -> None:
    """Write the differences as figures.

    Of fp32, `drift.fp32.*` are those from torch. Of a reduced precision `drift.*` are those from fp32, and
    `parity.*` those from torch. `size` in bytes and the share seen are None where no file was written.
    """
    from wordsight.runtime.figures import Figure, write_figures

    figure = Figure.or_reason
    absent = "no backend at hand can run the graph" if not report.frames else "the difference is not a number"
    kind = "drift" if precision == "fp32" else "parity"
    figures = [figure(f"{kind}.{precision}.tolerance", report.tolerance, "", n=report.frames)]
    for what, differences in (("max", report.max), ("mean", report.mean)):
        figures.append(figure(f"{kind}.{precision}.{what}", differences.get("score"), absent, n=report.frames))
        for name, difference in differences.items():
            figures.append(figure(f"{kind}.{precision}.{what}.{name}", difference, absent, n=report.frames))
    if drift is not None:
        found, n = drift.drift, drift.drift.frames
        for what in ("mean", "p99", "max"):
            figures.append(figure(f"drift.{precision}.{what}", getattr(found, what), "not a number", n=n))
        figures.append(figure(f"rank_correlation.{precision}", found.rank_correlation, "all scores are alike", n=n))
        figures.append(figure(f"auroc_change.{precision}", found.auroc_change, "the frames have no labels", n=n))
        figures.append(figure(f"cosine.{precision}.min", found.cosine_min, "not a number", n=n))
    figures.append(figure("file.size", size, "over tolerance, no file was written", "bytes"))
    figures.append(figure("seen_share.1920x1080", seen, "over tolerance, no file was written"))
    write_figures(path, "export", figures)
