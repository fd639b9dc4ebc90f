"""`bench peers`: frames a second at the best batch of the best engine, as a share of the arithmetic ceiling."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wordsight.benchmarks import ceiling, timing
from wordsight.benchmarks.speed.subjects import Subject
from wordsight.runtime.errors import MissingPart
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRECISIONS = ("fp32", "bf16", "int8")
"""What is computed in. bf16 is OpenVINO's on the fp32 file: ONNX Runtime has none on processors."""
BATCHES = (1, 2, 4, 8, 16)
REST_S = 0.2
"""Before each pass: threads of the engine before it spin for a while."""
_ROUNDS = 5


def limits(ours: Mapping[str, Subject], frames: "NDArray[np.uint8]", threads: int) -> list[Figure]:
    """Frames a second at the best batch of the best engine, as a share of the ceiling.

    Products and passes are timed in turns, with the same rest before each: a processor that is clocked higher after a
    rest, or shared with somebody for a minute, is so for both.
    """
    calls: dict[str, Callable[[], object]] = {
        f"{label} {batch}": partial(subject.engine.infer, frames[:batch])
        for label, subject in ours.items()
        for batch in BATCHES
    }
    refused: dict[str, Mapping[str, str]] = {}
    for precision in PRECISIONS:
        ready, refused[precision] = ceiling.prepared(precision, threads)
        calls |= {f"product {precision} {name} {size}": product for (name, size), product in ready.items()}
    with ceiling.torch_threads(threads):
        seconds = timing.interleaved(calls, _ROUNDS, settle_s=REST_S)
    figures = []
    for precision in PRECISIONS:
        name, start = f"fraction.of_arithmetic_limit.{precision}", f"product {precision} "
        products = {
            (engine, int(size)): seconds[key]
            for key in seconds
            if key.startswith(start)
            for engine, _, size in [key.removeprefix(start).rpartition(" ")]
        }
        rates = {
            key: int(key.split()[1]) / float(np.median(values))
            for key, values in seconds.items()
            if key.startswith(f"{precision}.")
        }
        try:
            limit = ceiling.judged(precision, products, refused[precision])
        except MissingPart as error:
            figures.append(Figure(name, None, reason=str(error)))
            continue
        key = max(rates, key=lambda key: rates[key])
        label, batch = key.split()
        flops = ours[label].manifest.cost.flops
        figures += [
            Figure(name, limit.fraction(flops, rates[key]), n=_ROUNDS),
            Figure(f"frames_per_s.{label}", rates[key], "frames/s", n=_ROUNDS),
            Figure(f"batch.{label}", int(batch)),
            limit.figure(precision),
        ]
    return figures
