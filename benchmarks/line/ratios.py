"""What the loop of a line costs beside its engine: all of reading, fitting, batching, deciding, writing."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import progress, timing
from wordsight.benchmarks.line.serving import Memory, Served, camera_frames, serve
from wordsight.runtime.figures import Figure
from wordsight.runtime.model import Model

CAMERAS = 4
TARGETS = {
    "ratio.loop_over_engine": (0.9, "at least"),
    "ratio.latency_over_inference": (1.5, "at most"),
    "ratio.cameras_over_offline": (0.9, "at least"),
}
MEANING = {
    "ratio.loop_over_engine": "frames/s of one line in which every frame counts, over the engine's on ready batches",
    "ratio.latency_over_inference": "one live camera: p99 from capture to decision, over p99 of the engine's pass",
    "ratio.cameras_over_offline": f"frames/s of {CAMERAS} live cameras on one engine, over its own in such batches",
}
_PACE = 1.5  # a live camera's period, in passes of the engine: a machine that keeps up


def measure(
    model: Model,
    folder: Path,
    *,
    rounds: int,
    block_s: float,
    live_frames: int,
    size: tuple[int, int],
    most: int = 8,
    on_step: Callable[[str], None] = lambda line: None,
) -> list[Figure]:
    """The three ratios, each against the engine in the same minutes, and the rates they are made of.

    Args:
        model: open.
        folder: for JSON lines.
        rounds: of engine and loop in turns.
        block_s: about how long one block of a round takes, of the engine or of the loop, whichever is slower: where a
            pass costs less than what is around it, as with `mini`, the loop takes several times the engine's time.
        live_frames: that the live camera gives.
        size: height and width of the cameras' frames.
        most: frames a batch.
        on_step: called with a line for people before what takes long.
    """
    ring = camera_frames(*size)
    single_s, batch_s = (_median_s(model, count) for count in (1, most))
    tried = 4 * most
    tried_s = serve(model, [Memory("memory", ring, tried)], folder, most=most).seconds
    blocks = max(2, math.ceil(block_s / max(batch_s, tried_s * most / tried)))
    on_step(f"the loop beside the engine, {rounds} rounds of {blocks * most} frames")
    loop = partial(serve, model, [Memory("memory", ring, blocks * most)], folder, most=most)
    seconds = timing.interleaved({"engine": partial(_offline, model, most, blocks), "loop": loop}, rounds)
    found = [timing.ratio("ratio.loop_over_engine", seconds["engine"], seconds["loop"])]
    found += [_rate(f"frames_per_s.{name}", blocks * most, values) for name, values in seconds.items()]

    on_step(f"one live camera, {live_frames} frames, about {live_frames * _PACE * single_s:.0f} s")
    live = serve(model, [Memory("live", ring, live_frames, _PACE * single_s, live=True)], folder, most=1)
    found += _latencies(live)

    four_s = _median_s(model, CAMERAS)
    count = max(4, math.ceil(block_s / four_s))
    on_step(f"{CAMERAS} live cameras, {rounds} rounds of about {count} batches")
    rates: dict[str, list[float]] = {"offline": [], "cameras": []}
    with progress.bar("cameras", rounds) as tick:
        for _ in range(rounds):
            # Each camera alone would give the engine a frame for every pass: newest frames always lie ready.
            given = round(count * four_s / single_s)
            sources = [Memory(f"camera {at}", ring, given, single_s, live=True) for at in range(CAMERAS)]
            start_s = time.perf_counter()
            _offline(model, CAMERAS, count)
            rates["offline"].append(count * CAMERAS / (time.perf_counter() - start_s))
            served = serve(model, sources, folder, most=CAMERAS)
            rates["cameras"].append(served.frames / served.seconds)
            tick()
    found.append(timing.ratio("ratio.cameras_over_offline", rates["cameras"], rates["offline"]))
    for name, values in rates.items():
        middle = float(np.median(values))
        found.append(Figure(f"frames_per_s.{name}", middle, "frames/s", min(values), max(values), rounds))
    return found


def _latencies(live: Served) -> list[Figure]:
    found, ends = [], []
    for name, values in (("latency", live.latency_s), ("inference", live.infer_s)):
        middle, end = (float(value) for value in np.percentile(values, [50, 99]))
        ends.append(end)
        found += [
            Figure(f"{name}.p50", 1000 * middle, "ms", n=len(values)),
            Figure(f"{name}.p99", 1000 * end, "ms", n=len(values)),
        ]
    return [Figure("ratio.latency_over_inference", ends[0] / ends[1], n=live.frames), *found]


def _ready(model: Model, count: int) -> NDArray[np.uint8]:
    shape = (count, *model.manifest.input.shape, 3)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def _offline(model: Model, batch: int, blocks: int) -> None:
    frames = _ready(model, batch)
    for _ in range(blocks):
        model._engine.infer(frames)


def _median_s(model: Model, batch: int) -> float:
    seconds = timing.interleaved({"pass": partial(_offline, model, batch, 1)}, 5)["pass"]
    return float(np.median(seconds))


def _rate(name: str, frames: int, seconds: Sequence[float]) -> Figure:
    rates = [frames / value for value in seconds]
    return Figure(name, float(np.median(rates)), "frames/s", min(rates), max(rates), len(rates))
