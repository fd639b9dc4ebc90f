"""What a picture costs as an archive grows, and what all processes hold meanwhile, as one PNG."""

from typing import Any

from wordsight.benchmarks.scale.archive import FIRST, stretches_of
from wordsight.benchmarks.scale.archive_run import Seen


def growth(seen: Seen) -> Any:
    """Cost of a picture over the number of pictures, and memory below; both should be flat."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    stretches = stretches_of(seen)
    costs = [1000 / stretch.frames_per_s for stretch in stretches]
    middle = sorted(costs)[len(costs) // 2]
    top.axhspan(0.95 * middle, 1.05 * middle, color="#2b6f8a", alpha=0.12, label="10% in all")
    top.plot([stretch.end for stretch in stretches], costs, color="#2b6f8a", marker="o")
    top.set(ylabel="ms a picture", ylim=(0, 1.3 * max(costs)), xscale="log")
    top.legend(frameon=False)
    top.set_title("An archive as it grows", loc="left", fontsize=11)
    done = [(count, held / 1e6) for count, held in seen.memory if count >= FIRST]
    bottom.plot([count for count, _ in done], [held for _, held in done], color="#d0562f")
    bottom.set(xlabel="pictures scored", ylabel="MB, all processes", ylim=(0, None))
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
