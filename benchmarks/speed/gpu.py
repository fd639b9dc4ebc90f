"""What a GPU makes of an exported file in fp16: throughput against its own matrix product, latency, CUDA graphs, drift.

`wordsight bench gpu`, or `python -m wordsight.benchmarks.speed.gpu`. It carries what it needs: the architecture with
weights drawn at random (they change no time), a head, and drawn pictures.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wordsight.benchmarks import progress
from wordsight.benchmarks.ceiling import Ceiling
from wordsight.benchmarks.speed import scenarios
from wordsight.benchmarks.speed.board import Watch
from wordsight.benchmarks.speed.scenarios import Limit
from wordsight.benchmarks.speed.sheet import Sheet
from wordsight.runtime.backends import Backend, open_backend
from wordsight.runtime.backends.base import Arrays, Frames, brief
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.manifest import read_manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKENDS = ("ort-cuda", "ort-tensorrt", "tensorrt", "tensorrt-rtx")
"""Engines of the runtime on a GPU; `torch` stands beside them."""
BATCH = 64
SIZES = (1024, 2048, 4096, 8192)
"""Of the square products that the ceiling is measured with."""
COLUMNS = {
    f"throughput.batch_{BATCH}": f"frames/s, batch {BATCH}",
    "fraction.of_arithmetic_limit.fp16": "of limit",
    "latency.single_stream.p50.graphs": "p50 ms, graphs",
    "latency.single_stream.p99.graphs": "p99 ms, graphs",
    "latency.single_stream.p50.plain": "p50 ms, plain",
    "latency.single_stream.p99.plain": "p99 ms, plain",
    "drift.fp16.mean": "mean |d score|",
    "drift.fp16.max": "largest",
}
"""What the table shows: a figure's name without its row, and the head of its column."""
_NEVER_CAPTURED = {"ort-tensorrt": "ONNX Runtime's TensorRT provider is run without CUDA graphs"}
_ROUND_S = 0.05
"""Seconds of a round of products: below, starting them would be measured as well."""


class Gpu(Protocol):
    """What is asked of a GPU beside its engines; `gpu_torch.TorchGpu` is the real one."""

    name: str

    def product(self, size: int) -> Callable[[int], float]:
        """A square fp16 matrix product: number of repetitions -> seconds of all."""


@dataclass(frozen=True)
class Subject:
    """What is run, and what it is held against.

    Attributes:
        frames: (N, H, W, 3) uint8 BGR, N at least `BATCH`.
        exact: `score` and `embedding` of the frames, in fp32.
        labels: (N,) true for a defect, or None.
        flops: of one frame.
    """

    frames: Frames
    exact: Arrays
    labels: "NDArray[np.bool_] | None"
    flops: int


Opener = Callable[[int, bool], Backend]
"""From the largest batch, and whether CUDA graphs are to be used, to an engine that holds the fp16 file."""


def measure_ceiling(gpu: Gpu, sizes: Sequence[int] = SIZES, rounds: int = 5) -> Ceiling:
    """The fastest fp16 matrix product of a GPU, by the median of its rounds."""
    per_product: dict[int, list[float]] = {}
    with progress.bar("ceiling fp16", len(sizes)) as tick:
        for size in sizes:
            run = gpu.product(size)
            run(3)  # libraries choose their kernels, and clocks rise
            count = max(1, math.ceil(_ROUND_S / max(run(5) / 5, 1e-9)))
            run(count)
            per_product[size] = [run(count) / count for _ in range(rounds)]
            tick()
    size = min(sizes, key=lambda size: statistics.median(per_product[size]) / size**3)
    best, work = per_product[size], 2 * size**3 / 1e9
    return Ceiling(work / statistics.median(best), size, "torch mm", work / max(best), work / min(best), rounds, {})


def measure(
    gpu: Gpu,
    subject: Subject,
    openers: Mapping[str, Opener],
    limit: Limit,
    *,
    sizes: Sequence[int] = SIZES,
    clock: Callable[[], float] = time.perf_counter,
    on_step: Callable[[str], None] = lambda _: None,
) -> Sheet:
    """Every engine in turn, each by itself: a GPU has memory for few of them.

    Args:
        gpu: see `Gpu`.
        subject: see `Subject`.
        openers: by row.
        limit: of throughput, and of the latencies with and without graphs each.
        sizes: of the ceiling's products.
        clock: seconds.
        on_step: called with a line for people before what takes long.

    Returns:
        A figure for each row and column; one that could not be had has its reason.
    """
    sheet = Sheet(list(openers), COLUMNS, absent="not run")
    on_step("measuring the fp16 matrix product")
    with Watch() as board:
        ceiling = measure_ceiling(gpu, sizes)
        for label, open_one in openers.items():
            on_step(f"{label}: batches of {BATCH}")
            wide = _tried(partial(_offline, sheet, label, open_one, subject, ceiling, limit, clock))
            on_step(f"{label}: single frames")
            single = wide or _tried(partial(_single, sheet, label, open_one, subject, limit, clock))
            there = {figure.name for figure in sheet.figures}
            for column in COLUMNS:
                if f"{column}.{label}" not in there:
                    unit = "ms" if column.startswith("latency") else "score" if column.startswith("drift") else ""
                    sheet.add(column, label, None, unit, reason=wide or single)
    sheet.figures.append(ceiling.figure("fp16"))
    sheet.notes.append(f"the limit is torch's fp16 product of {ceiling.size} rows on this GPU; drift is from fp32 "
                       f"(ort-cpu), {len(subject.frames)} drawn pictures")  # fmt: skip
    sheet.figures += board.figures()
    return sheet


def _tried(part: Callable[[], None]) -> str:
    """Why a part of the work could not be done; empty when it was."""
    try:
        part()
    except WordsightError as error:
        return brief(error)
    return ""


def _offline(
    sheet: Sheet, label: str, open_one: Opener, subject: Subject, ceiling: Ceiling, limit: Limit,
    clock: Callable[[], float],
) -> None:  # fmt: skip
    """Frames a second in batches, the share of the ceiling, and the drift of the same engine."""
    from wordsight.export.drift import measure as measure_drift

    batch = subject.frames[:BATCH]
    with open_one(BATCH, True) as engine:
        parts = [engine.infer(subject.frames[at : at + BATCH]) for at in range(0, len(subject.frames), BATCH)]
        scored = {name: np.concatenate([part[name] for part in parts]) for name in ("score", "embedding")}
        seconds = scenarios.in_turns({label: lambda: engine.infer(batch)}, limit, label, clock)[label]
    rate = BATCH * len(seconds) / sum(seconds)
    drift = measure_drift(subject.exact, scored, subject.labels)
    sheet.add(f"throughput.batch_{BATCH}", label, rate, "frames/s",
              low=BATCH / max(seconds), high=BATCH / min(seconds), n=len(seconds))  # fmt: skip
    sheet.add("fraction.of_arithmetic_limit.fp16", label, ceiling.fraction(subject.flops, rate))
    sheet.add("drift.fp16.mean", label, drift.mean, "score", n=drift.frames)
    sheet.add("drift.fp16.max", label, drift.max, "score", n=drift.frames)


def _single(
    sheet: Sheet, label: str, open_one: Opener, subject: Subject, limit: Limit, clock: Callable[[], float]
) -> None:
    """Latencies of single frames with CUDA graphs and without, in turns."""
    frame = subject.frames[:1]
    with open_one(1, True) as captured, open_one(1, False) as plain:
        told = _NEVER_CAPTURED.get(label) or _without_graphs(captured.reason)
        calls = {"plain": lambda: plain.infer(frame)} | ({} if told else {"graphs": lambda: captured.infer(frame)})
        taken = scenarios.in_turns(calls, limit, label, clock)
    for way in ("graphs", "plain"):
        for percent in (50, 99):
            column = f"latency.single_stream.p{percent}.{way}"
            if way in taken:
                value = scenarios.percentile(taken[way], percent) * 1000
                sheet.add(column, label, value, "ms", n=len(taken[way]))
            else:
                sheet.add(column, label, None, "ms", reason=told)


def _without_graphs(reason: str) -> str:
    """What an engine says of graphs that it could not capture."""
    at = reason.find("without CUDA graphs")
    return reason[at:] if at >= 0 else ""


def opener(name: str, path: Path, on_step: Callable[[str], None] = lambda _: None) -> Opener:
    """Opens a file on a backend by name; of TensorRT with an engine built for just this largest batch."""

    def open_one(batch: int, graphs: bool) -> Backend:
        manifest = read_manifest(path)
        if name.startswith("tensorrt"):
            _engine_for(name, path, batch, on_step)
        return open_backend(name, path, manifest, batch=batch, graphs=graphs, on_step=on_step)

    return open_one


def _engine_for(name: str, path: Path, batch: int, on_step: Callable[[str], None]) -> None:
    """Build the engine whose profile ends at `batch`; `open_backend` would take a wider one, tuned for more."""
    from wordsight.runtime.backends.cuda import Cuda
    from wordsight.runtime.backends.engine_files import EngineRefused, engine_folder, read_engine
    from wordsight.runtime.backends.tensorrt_build import load_module
    from wordsight.runtime.backends.tensorrt_cache import build_into_cache, engine_key
    from wordsight.runtime.files import file_sha256

    trt, gpu, manifest = load_module(name), Cuda().gpu(), read_manifest(path)
    try:
        read_engine(engine_folder(path), engine_key(trt, gpu, manifest.precision, batch, file_sha256(path)))
    except (FileNotFoundError, EngineRefused):
        on_step(f"{name}: building an engine for batches of up to {batch}")
        build_into_cache(trt, gpu, path, manifest, batch)


if __name__ == "__main__":
    from wordsight.runtime.cli import main

    main(["bench", "gpu", *sys.argv[1:]])
