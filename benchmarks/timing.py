"""Fair clocks: what is compared runs in turns, in one process, and the order changes from round to round."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from wordsight.benchmarks import progress
from wordsight.runtime.errors import SettingError
from wordsight.runtime.figures import Figure


def interleaved(
    calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1, settle_s: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of every call in every round, `rounds` each; every round begins with another call.

    Args:
        calls: What is timed, by name.
        rounds: How often each is timed, at least 1.
        warm_up: Rounds before the clock counts.
        settle_s: Seconds of rest before each call: threads of the engine before it go on spinning for a while, and
            would take the cores from the one that is timed.

    Raises:
        SettingError: No round.
    """
    if rounds < 1:
        raise SettingError(f"--repeats must be at least 1, got {rounds}")
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with progress.bar("timing", (rounds + warm_up) * len(names)) as tick:
        for turn in range(-warm_up, rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                if settle_s:
                    time.sleep(settle_s)
                start = time.perf_counter()
                calls[name]()
                if turn >= 0:
                    seconds[name].append(time.perf_counter() - start)
                tick()
    return seconds


def ratio(name: str, above: Sequence[float], below: Sequence[float], unit: str = "") -> Figure:
    """Median over rounds of above / below, with a 95% bootstrap interval of that median (fewer than 6: the range)."""
    ratios = np.asarray(above) / np.asarray(below)
    if len(ratios) < 6:
        low, high = ratios.min(), ratios.max()
    else:
        drawn = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
        low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return Figure(name, float(np.median(ratios)), unit, float(low), float(high), len(ratios))


def median(name: str, seconds: Sequence[float]) -> Figure:
    """Median, fastest and slowest, in seconds."""
    return Figure(name, statistics.median(seconds), "s", min(seconds), max(seconds), len(seconds))
