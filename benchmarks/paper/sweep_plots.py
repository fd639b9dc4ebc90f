"""The sweep as one picture: AUROC over N_p on the left, the grid of words on the right."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wordsight.benchmarks.paper.sweep import Point

_SUM, _ALONE, _PR = "#2b6f8a", "#d0562f", "#777777"


def sweep_figure(curve: Sequence[Point], grid: Sequence[Point], title: str) -> Any:
    """A `matplotlib.figure.Figure`: mean and std over seeds at every N_p, and s_pr + s_fnn for every pair of words.

    Args:
        curve: points of one pair of words, by N_p.
        grid: points of one N_p; may be empty, and then there is no grid.
        title: above both.
    """
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(11.2 if grid else 6.0, 4.3), dpi=110, layout="constrained")
    axes = drawing.subplots(1, 2 if grid else 1, squeeze=False)[0]
    _curve(axes[0], curve)
    if grid:
        _grid(drawing, axes[1], grid)
    drawing.suptitle(title, fontsize=11)
    return drawing


def _curve(ax: Any, curve: Sequence[Point]) -> None:
    at = [point.num_pairs for point in curve]
    for name, colour, rows in (
        ("s_pr + s_fnn", _SUM, [point.summed for point in curve]),
        ("s_fnn alone", _ALONE, [point.alone for point in curve]),
    ):
        means = [100 * float(np.mean(row)) for row in rows]
        stds = [100 * float(np.std(row, ddof=1)) if len(row) > 1 else 0.0 for row in rows]
        ax.errorbar(at, means, yerr=stds, color=colour, marker="o", markersize=5, capsize=3, linewidth=1.6, label=name)
    ax.axhline(100 * curve[0].s_pr, color=_PR, linestyle="--", linewidth=1.2, label="s_pr, which no head decides")
    ax.set(xscale="log", xlabel="pairs of training prompts, N_p", ylabel="AUROC, %")
    ax.set_xticks(at, [f"{n // 1000}k" if n >= 1000 else f"{n}" for n in at])
    ax.minorticks_off()
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    seeds = len(curve[0].summed)
    ax.set_title(f"{curve[0].pair.normal} / {curve[0].pair.anomalous}; mean ± std of {seeds} seeds", fontsize=10)
    ax.legend(frameon=False, fontsize=9)


def _grid(drawing: Any, ax: Any, grid: Sequence[Point]) -> None:
    normals = list(dict.fromkeys(point.pair.normal for point in grid))
    anomalous = list(dict.fromkeys(point.pair.anomalous for point in grid))
    cells = np.full((len(normals), len(anomalous)), np.nan)
    for point in grid:
        cells[normals.index(point.pair.normal), anomalous.index(point.pair.anomalous)] = 100 * np.mean(point.summed)
    image = ax.imshow(cells, cmap="YlGnBu", aspect="auto")
    low, high = image.get_clim()
    for point in grid:
        row, column = normals.index(point.pair.normal), anomalous.index(point.pair.anomalous)
        spread = f"\n± {100 * np.std(point.summed, ddof=1):.1f}" if len(point.summed) > 1 else ""
        # Dark cells take light letters.
        dark = cells[row, column] > low + 0.6 * (high - low)
        ax.text(column, row, f"{cells[row, column]:.1f}{spread}", ha="center", va="center", fontsize=10,
                color="white" if dark else "#1d1d1f")  # fmt: skip
    ax.set_xticks(range(len(anomalous)), anomalous)
    ax.set_yticks(range(len(normals)), normals)
    ax.tick_params(length=0)
    ax.set(xlabel="word for anomalous", ylabel="word for normal")
    ax.set_title(f"s_pr + s_fnn, N_p = {grid[0].num_pairs:,}", fontsize=10)
    ax.spines[:].set_visible(False)
    drawing.colorbar(image, ax=ax, label="AUROC, %")
