"""The arithmetic ceiling of a processor: the fastest square matrix product that any engine at hand reaches.

What a model reaches is told as a share of it, measured in the same run: a data sheet's number is of another clock, and
a number of another hour is of other neighbours.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from wordsight.benchmarks import products, progress
from wordsight.runtime.errors import MissingPart, SettingError
from wordsight.runtime.figures import Figure

SIZES = (1024, 2048, 4096)
"""Rows, columns and inner length of the products."""


@dataclass(frozen=True)
class Ceiling:
    """The best product that was measured.

    Attributes:
        gflops: 2 * size**3 over the median time, in 1e9 a second: GFLOP/s, of int8 GOP/s.
        size: of the product that reached it.
        engine: which engine and call that was.
        low: the same of its slowest round.
        high: of its fastest.
        rounds: how many of each were timed.
        refused: engines that were not timed, and why.
    """

    gflops: float
    size: int
    engine: str
    low: float
    high: float
    rounds: int
    refused: Mapping[str, str]

    def figure(self, precision: str) -> Figure:
        """`ceiling.fp32` and its like, with slowest and fastest round."""
        unit = "GOP/s" if precision == "int8" else "GFLOP/s"
        return Figure(f"ceiling.{precision}", self.gflops, unit, self.low, self.high, self.rounds)

    def fraction(self, flops: int, frames_per_s: float) -> float:
        """Share of the ceiling that a rate of frames reaches, 0 to 1; `flops` are one frame's (manifest: `cost`)."""
        return flops * frames_per_s / 1e9 / self.gflops


def measure(
    precision: str,
    threads: int,
    rounds: int = 5,
    *,
    sizes: tuple[int, ...] = SIZES,
    factories: Mapping[str, products.Factory] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Ceiling:
    """Time every engine's product at every size, in turns, and keep the best.

    Args:
        precision: "fp32", "bf16" or "int8" (8-bit factors, 32-bit sums).
        threads: that each engine may use.
        rounds: of each product; one more warms up and is not counted.
        sizes: of the square matrices.
        factories: engines by name; None for all that this precision has.
        clock: seconds.

    Raises:
        SettingError: no such precision, or a number below 1.
        MissingPart: no engine here can do it.
    """
    if threads < 1 or rounds < 1:
        raise SettingError(f"expected threads and rounds of at least 1, got {threads} and {rounds}")
    seconds: dict[tuple[str, int], list[float]] = {}
    refused: dict[str, str] = {}
    with torch_threads(threads), progress.bar(f"ceiling {precision}", len(sizes) * (rounds + 1)) as tick:
        for size in sizes:  # one after the other: the largest factors take 64 MB each
            ready, without = prepared(precision, threads, (size,), factories)
            refused |= without
            tick()
            for _ in range(rounds):
                for key, product in ready.items():
                    start = clock()
                    product()
                    seconds.setdefault(key, []).append(clock() - start)
                tick()
    return judged(precision, seconds, refused)


def prepared(
    precision: str,
    threads: int,
    sizes: tuple[int, ...] = SIZES,
    factories: Mapping[str, products.Factory] | None = None,
) -> tuple[dict[tuple[str, int], products.Product], dict[str, str]]:
    """Every engine's product at every size, by engine and size, run once each; and which engines refused, and why.

    For whoever times them in turns with something else, and has `judged` say what they come to. Torch takes the threads
    that it is set to (`torch_threads`).

    Raises:
        SettingError: no such precision.
    """
    if precision not in products.FACTORIES:
        raise SettingError(f"a ceiling is measured in {', '.join(products.FACTORIES)}, got {precision!r}")
    ready: dict[tuple[str, int], products.Product] = {}
    refused: dict[str, str] = {}
    for name, factory in (products.FACTORIES[precision] if factories is None else factories).items():
        for size in sizes:
            try:
                product = factory(size, threads)
                product()
            except Exception as error:  # each engine refuses in a way of its own; the others still count
                refused[name] = " ".join(str(error).split())[:200] or type(error).__name__
            else:
                ready[name, size] = product
    return ready, refused


def judged(precision: str, seconds: Mapping[tuple[str, int], list[float]], refused: Mapping[str, str]) -> Ceiling:
    """The best of products that were timed, by the median.

    Args:
        precision: for the message.
        seconds: of every round, by engine and size.
        refused: engines that were not timed, and why.

    Raises:
        MissingPart: none was.
    """
    if not seconds:
        raise MissingPart(
            f"no engine here multiplies in {precision}: {dict(refused)}", "pip install 'wordsight[bench]'"
        )
    name, size = min(seconds, key=lambda key: statistics.median(seconds[key]) / key[1] ** 3)
    best, work = seconds[name, size], 2 * size**3 / 1e9
    return Ceiling(work / statistics.median(best), size, name, work / max(best), work / min(best), len(best), refused)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads inside, and as many as before behind."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
