"""Linear cost: the hundred-thousandth frame takes as long as the first, and memory stays flat."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import progress
from wordsight.benchmarks.speed.memory import resident_bytes
from wordsight.runtime.errors import SettingError
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from wordsight.runtime.model import Model

Frames = NDArray[np.uint8]
FIRST = 1000
"""Frames of the first stretch."""
RING = 256
"""Different frames, scored again and again: more would only fill the memory that is watched."""
BATCH = 25
"""Most frames a call; it divides every stretch but the last."""
SPREAD = 0.10
"""Most that the rates of the stretches may differ."""


@dataclass(frozen=True)
class Stretch:
    """Frames up to `end`, since the stretch before.

    Attributes:
        end: frames scored by then, since the start.
        frames_per_s: over this stretch alone.
        resident_mb: memory at its end, in MB of 1e6 bytes.
    """

    end: int
    frames_per_s: float
    resident_mb: float


def ends(frames: int) -> list[int]:
    """Where stretches end: 1,000, 2,000, 5,000, 10,000, ... and `frames`."""
    marks = [FIRST * step * 10**power for power in range(len(str(frames))) for step in (1, 2, 5)]
    return [mark for mark in marks if mark < frames] + [frames]


def measure(
    score: Callable[[Sequence[Frames]], object],
    ring: Sequence[Frames],
    frames: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    resident: Callable[[], float] = resident_bytes,
) -> tuple[list[Stretch], list[tuple[int, float]]]:
    """Score `frames` frames, `BATCH` a call; the stretches, and resident bytes some 400 times on the way.

    Args:
        score: what scores a batch, such as `Model.score`.
        ring: frames, taken in turn.
        frames: how many, at least 2,000.
        clock: seconds.
        resident: bytes of memory held now.

    Raises:
        SettingError: too few frames to have two stretches.
    """
    if frames < 2 * FIRST:
        raise SettingError(f"--frames must be at least {2 * FIRST:,}, got {frames:,}: two stretches are compared")
    for at in range(0, FIRST, BATCH):  # caches, clocks and the allocator settle
        score(_batch(ring, at, BATCH))
    stretches: list[Stretch] = []
    memory: list[tuple[int, float]] = []
    done, every = 0, max(BATCH, frames // 400)
    with progress.bar("linear cost", -(-frames // BATCH)) as tick:
        for end in ends(frames):
            first, start, sampled = done, clock(), 0.0
            while done < end:
                count = min(BATCH, end - done)
                score(_batch(ring, FIRST + done, count))
                done += count
                tick()
                if done // every > (done - count) // every:
                    before = clock()
                    memory.append((done, resident()))
                    sampled += clock() - before
            taken = clock() - start - sampled
            stretches.append(Stretch(done, (done - first) / taken, resident() / 1e6))
    return stretches, memory


def _batch(ring: Sequence[Frames], at: int, count: int) -> list[Frames]:
    return [ring[(at + step) % len(ring)] for step in range(count)]


def figures(stretches: Sequence[Stretch], memory: Sequence[tuple[int, float]]) -> list[Figure]:
    """Spread of the rates, growth of the memory by its least-squares line over the whole run, rate of each stretch."""
    rates = [stretch.frames_per_s for stretch in stretches]
    at, held = np.asarray(memory, np.float64).T
    slope = float(np.polyfit(at, held, 1)[0]) if len(at) > 1 else 0.0
    return [
        Figure("linear.rate_spread", max(rates) / min(rates) - 1, n=len(rates)),
        Figure("linear.memory_growth_mb", slope * float(at[-1] - at[0]) / 1e6, "MB", n=len(at)),
        Figure("linear.memory_bytes_per_frame", slope, "B", n=len(at)),
        *(Figure(f"linear.rate_{s.end}", s.frames_per_s, "frames/s", n=s.end) for s in stretches),
        *(Figure(f"linear.resident_{s.end}", s.resident_mb, "MB", n=1) for s in stretches),
    ]


def ring_for(model: "Model") -> list[Frames]:
    """Random frames of the size that the file takes, (H, W, 3) uint8 BGR: their content changes no time."""
    shape = (RING, *model.manifest.input.shape, 3)
    return list(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


MEANING = {
    "linear.rate_spread": f"fastest stretch over slowest, less 1; target at most {SPREAD}",
    "linear.memory_growth_mb": "resident memory's least-squares line, from end to end",
    "linear.memory_bytes_per_frame": "its slope",
}
