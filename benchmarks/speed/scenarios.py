"""One query at a time, several configurations in turns; percentiles, and what may be claimed from so few.

MLPerf Inference's edge scenarios: *single stream* sends one frame at a time, *multi-stream* eight, *offline* as many as
the batch takes. All three are the same loop here; only the frames of a query differ.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wordsight.benchmarks import progress
from wordsight.runtime.errors import SettingError

STREAMS = 8
"""Frames a query in multi-stream, as MLPerf has it."""
CONFIDENCE = 0.99
"""Of the early-stopping estimate, as MLPerf has it."""
_STRETCH = 4
"""Times its seconds that a configuration may take for the queries it needs at least."""


@dataclass(frozen=True)
class Limit:
    """When a configuration has been asked often enough.

    Attributes:
        duration_s: seconds of queries, of each configuration.
        queries: exactly so many instead; None leaves it to the seconds.
        blocks: turns that it is spread over, so that a slow minute of the machine meets all alike.
        warm_up: uncounted queries before each block: another model was in the caches.
        least: so many queries where the seconds give fewer, in up to four times the seconds: a percentile needs them.
    """

    duration_s: float = 10.0
    queries: int | None = None
    blocks: int = 5
    warm_up: int = 2
    least: int = 0

    def __post_init__(self) -> None:
        if self.duration_s <= 0:
            raise SettingError(f"--duration must be above 0 s, got {self.duration_s}")
        if self.queries is not None and self.queries < 1:
            raise SettingError(f"--queries must be at least 1, got {self.queries}")

    def block_queries(self, block: int) -> int | None:
        """Queries of one block, so that all blocks together have as many as asked for."""
        return (
            None
            if self.queries is None
            else self.queries * (block + 1) // self.blocks - (self.queries * block // self.blocks)
        )


def in_turns(
    calls: Mapping[str, Callable[[], object]],
    limit: Limit,
    title: str,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every query of every configuration; each block begins with another one.

    A query that began is finished and counted; a block by time has at least one.
    """
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with progress.bar(title, limit.blocks * len(names)) as tick:
        for block in range(limit.blocks):
            first = block % max(1, len(names))
            for name in names[first:] + names[:first]:
                seconds[name] += _block(calls[name], limit, limit.block_queries(block), clock)
                tick()
    return seconds


def _block(call: Callable[[], object], limit: Limit, queries: int | None, clock: Callable[[], float]) -> list[float]:
    if queries == 0:
        return []
    for _ in range(limit.warm_up):
        call()
    taken: list[float] = []
    begun, share_s, least = clock(), limit.duration_s / limit.blocks, math.ceil(limit.least / limit.blocks)

    def more() -> bool:
        if queries is not None:
            return len(taken) < queries
        return not taken or clock() - begun < share_s * (_STRETCH if len(taken) < least else 1)

    while more():
        start = clock()
        call()
        taken.append(clock() - start)
    return taken


def percentile(seconds: Sequence[float], percent: float) -> float:
    """The latency that `percent` of the queries kept: one that was seen, not one between two (nearest rank)."""
    return float(np.percentile(np.asarray(seconds, np.float64), percent, method="inverted_cdf"))


def early_stopping(seconds: Sequence[float], percent: float) -> float | None:
    """MLPerf's estimate: a latency that `percent` of all queries keep, with 99% confidence; None from too few.

    Of n queries the t slowest are set aside, t as large as it may be while the chance of t or fewer slow queries among
    n, were exactly 100 - `percent` of all slow, stays at 1% or below; the slowest but t - 1 is the estimate. MLPerf
    Inference rules, appendix "early stopping", with a tolerance of 0.
    """
    from scipy.stats import binom

    ordered = sorted(seconds)
    slow = 0
    while slow < len(ordered) and binom.cdf(slow + 1, len(ordered), 1 - percent / 100) <= 1 - CONFIDENCE:
        slow += 1
    return ordered[len(ordered) - slow] if slow else None


def fewest(percent: float) -> int:
    """Queries below which there is no early-stopping estimate: 64 for the 90th percentile, 662 for the 99th."""
    from scipy.stats import binom

    count = 1
    while binom.cdf(1, count, 1 - percent / 100) > 1 - CONFIDENCE:
        count += 1
    return count
