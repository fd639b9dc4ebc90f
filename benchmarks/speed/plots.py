"""Three plots as PNG: how latencies lie, where a frame's time goes, and frames a second against the batch."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wordsight.benchmarks.speed.split import PARTS
from wordsight.runtime.files import whole_file

_COLOURS = ("#2b6f8a", "#d0562f", "#8a6d2b", "#5b5b8f", "#3d8a4e", "#a0487a", "#1d1d1f", "#7a99a8")
_PARTS = {"decode": "#8a6d2b", "preprocess": "#d0562f", "inference": "#2b6f8a", "decision": "#1d1d1f"}


def latency(seconds: Mapping[str, Sequence[float]]) -> Any:
    """Share of the queries done by each latency: the higher and the further left, the better."""
    figure, axes = _figure(7.2, 4.2)
    for (label, values), colour in zip(seconds.items(), _cycled(), strict=False):
        ordered = 1000 * np.sort(np.asarray(values))
        shares = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
        axes.step(ordered, shares, where="post", color=colour, label=f"{label} ({len(ordered)})")
    for percent in (50, 90, 99):
        axes.axhline(percent, color="#bbb", linewidth=0.7, linestyle=(0, (2, 4)), zorder=0)
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis)
    axes.set(xlabel="latency of one frame, ms", ylabel="queries done by then, %", ylim=(0, 101))
    axes.set_title("Single stream: one frame at a time (queries)", loc="left", fontsize=10)
    # Below: a curve may lie anywhere in the field.
    figure.legend(frameon=False, fontsize=8, ncols=2, loc="outside lower center")
    return figure


def parts(found: Mapping[str, Mapping[str, float]]) -> Any:
    """A bar a configuration and kind of picture, from encoded bytes to the decision; median ms."""
    figure, axes = _figure(8.4, 1.7 + 0.34 * len(found))
    names = list(found)
    left = np.zeros(len(names))
    for part in PARTS:
        values = np.array([1000 * found[name][part] for name in names])
        axes.barh(names, values, left=left, color=_PARTS[part], label=part, height=0.62)
        left += values
    for at, total in enumerate(left):
        axes.text(total, at, f" {total:.1f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * left.max())
    axes.set(xlabel="ms a frame, 1080p")
    axes.set_title("From the camera's bytes to the decision", loc="left", fontsize=10)
    figure.legend(frameon=False, fontsize=8, ncols=4, loc="outside lower center")
    return figure


def batches(rates: Mapping[str, Mapping[int, float]]) -> Any:
    """Frames a second against the batch, that axis logarithmic."""
    figure, axes = _figure(7.2, 4.2)
    for (label, found), colour in zip(rates.items(), _cycled(), strict=False):
        axes.plot(list(found), list(found.values()), marker="o", markersize=4, color=colour, label=label)
    axes.set_xscale("log", base=2)
    ticks = sorted({batch for found in rates.values() for batch in found})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(bottom=0)
    axes.set(xlabel="frames a query", ylabel="frames/s")
    axes.set_title("Offline: frames a second against the batch", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    return figure


def write(folder: Path, name: str, drawing: Any) -> Path:
    """Write a figure as `folder/name`, whole or not at all; its path."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=150)
    with whole_file(folder / name) as file:
        file.write(buffer.getvalue())
    return folder / name


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _plain_ticks(axis: Any) -> None:
    """Numbers such as 20 and 500 on a logarithmic axis, that of powers of ten would leave bare."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _cycled() -> list[str]:
    return list(_COLOURS) * 8
