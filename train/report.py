"""What a training run tells: a table for people, figures for machines."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from wordsight.train.files import whole_file

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder
    from wordsight.train.head import Head

__all__ = ["print_summary", "write_figures"]


def print_summary(path: Path, heads: Sequence["Head"], seeds: Sequence[int], encoder: "Encoder") -> None:
    """Print a row a seed, where the heads lie, and what to type next."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    table = Table("seed", "loss", "prompts told apart", title=f"{encoder.spec}: {_plural(len(heads), 'head')}")
    for column in table.columns:
        column.justify = "right"
    for seed, head in zip(seeds, heads, strict=True):
        if head.history:
            table.add_row(str(seed), f"{head.history.final_loss:.4f}", f"{head.history.accuracy:.2%}")
    console.print(table)
    if encoder.note:
        console.print(f"Note: {encoder.note}", markup=False, highlight=False)
    console.print(f"Saved {path}", markup=False, highlight=False)
    console.print(f"Next: wordsight export {path} -o {path.with_suffix('.onnx').name}", markup=False, highlight=False)


def write_figures(path: Path, heads: Sequence["Head"], seeds: Sequence[int], device: str) -> None:
    """Write loss and accuracy on the training prompts, of every seed and on average, as JSON.

    `low` and `high` of an average are the least and the greatest of the seeds, `n` their number.
    """
    figures: list[dict[str, Any]] = []
    for name, unit in (("final_loss", ""), ("accuracy", "fraction")):
        values = [getattr(head.history, name) for head in heads if head.history]
        figures.append(_figure(f"train.{name}", mean(values), unit, min(values), max(values), len(values)))
        figures += [_figure(f"train.{name}.seed{seed}", value, unit) for seed, value in zip(seeds, values, strict=True)]
    content = {"command": "train", "machine": _machine(device), "figures": figures}
    with whole_file(path) as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")


def _figure(
    name: str, value: float, unit: str, low: float | None = None, high: float | None = None, n: int | None = None
) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "low": low, "high": high, "n": n}


def _machine(device: str) -> dict[str, Any]:
    versions: dict[str, str | None] = {}
    for name in ("wordsight", "torch", "open_clip_torch", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "os": platform.platform(),
        "cpu": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "device": device,
        "versions": versions,
    }


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
