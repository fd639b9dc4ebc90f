"""The soak as a picture: memory, open files and threads over time, and how regularly frames came."""

from typing import Any

import numpy as np

from wordsight.benchmarks.line.soak import FPS, Soak


def soak(found: Soak) -> Any:
    """Three panels over time; the dashed line is where settling is taken to end."""
    from matplotlib.figure import Figure as Drawing

    from wordsight.benchmarks.line.soak import SETTLED

    figure = Drawing(figsize=(8.4, 6.4), layout="constrained")
    memory, counts, frames = figure.subplots(3, 1)
    minutes = np.array([sample.at_s for sample in found.samples]) / 60
    memory.plot(minutes, [sample.resident_mb for sample in found.samples], color="#2b6f8a")
    memory.set(ylabel="memory, MB", ylim=(0, 1.15 * max(sample.resident_mb for sample in found.samples)))
    memory.set_title("One healthy, one flapping and one offline camera", loc="left", fontsize=10)
    counts.plot(minutes, [sample.files for sample in found.samples], color="#d0562f", label="open files")
    counts.plot(minutes, [sample.threads for sample in found.samples], color="#5b5b8f", label="threads")
    counts.set(ylabel="number", ylim=(0, None))
    counts.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    at = np.cumsum(found.intervals_s) / 60
    frames.plot(at, 1000 * np.asarray(found.intervals_s), ".", markersize=2, color="#3d8a4e")
    frames.axhline(2000 / FPS, color="#a0487a", linewidth=0.8)
    frames.text(at[-1], 2000 / FPS, "counts as lost above ", ha="right", va="bottom", fontsize=8, color="#a0487a")
    frames.set(ylabel="healthy: interval, ms", xlabel="minutes", ylim=(0, None))
    for axes in (memory, counts, frames):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, minutes[-1])
    for axes in (memory, counts):
        axes.axvline(SETTLED * found.seconds / 60, color="#bbb", linewidth=0.8, linestyle="--")
    return figure
