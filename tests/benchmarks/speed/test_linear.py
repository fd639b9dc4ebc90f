"""A run whose cost is known: flat is flat, and a planted slow-down or leak is caught."""

import numpy as np
import pytest

from wordsight.benchmarks.speed import linear
from wordsight.runtime.errors import SettingError

FRAMES = 20_000


class Engine:
    """Scores at a cost that the test sets, on a clock and a memory of its own."""

    def __init__(self, slower: float = 0.0, leaked_bytes: float = 0.0):
        self.now, self.held, self.scored = 0.0, 200e6, 0
        self._slower, self._leaked = slower, leaked_bytes
        self.seen: list[int] = []

    def score(self, frames):
        for frame in frames:
            # 1 ms, and `slower` times as much more over the whole run.
            self.now += 0.001 * (1 + self._slower * self.scored / FRAMES)
            self.held += self._leaked
            self.scored += 1
            self.seen.append(int(frame[0]))


def run(engine: Engine, frames: int = FRAMES):
    ring = list(np.arange(7)[:, None])
    return linear.measure(engine.score, ring, frames, clock=lambda: engine.now, resident=lambda: engine.held)


def values(engine: Engine, frames: int = FRAMES) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in linear.figures(*run(engine, frames))}


def test_a_flat_run_is_flat():
    found = values(Engine())
    assert found["linear.rate_spread"] == pytest.approx(0, abs=1e-6)
    assert found["linear.memory_growth_mb"] == pytest.approx(0, abs=1e-6)
    assert found["linear.rate_20000"] == pytest.approx(1000)


def test_a_planted_slow_down_is_caught():
    # Behind 1,000 frames of warm-up the first stretch costs 1.0225 ms a frame on average, the last 1.24 ms.
    found = values(Engine(slower=0.3))
    assert found["linear.rate_spread"] > linear.SPREAD
    assert found["linear.rate_spread"] == pytest.approx(1.24 / 1.0225 - 1, abs=1e-4)


def test_a_planted_leak_is_caught():
    found = values(Engine(leaked_bytes=1000))
    assert found["linear.memory_bytes_per_frame"] == pytest.approx(1000)
    assert found["linear.memory_growth_mb"] == pytest.approx(1000 * (FRAMES - 50) / 1e6)  # the first sample is at 50
    assert found["linear.rate_spread"] == pytest.approx(0, abs=1e-6)


def test_one_high_reading_is_no_growth():
    engine = Engine()
    stretches, memory = run(engine)
    memory[len(memory) // 2] = (memory[len(memory) // 2][0], engine.held + 50e6)
    growth = next(f for f in linear.figures(stretches, memory) if f.name == "linear.memory_growth_mb").value
    assert abs(growth) < 5


def test_all_frames_are_scored_once_each_in_the_rings_order_behind_the_warm_up():
    engine = Engine()
    stretches, _ = run(engine, 2000)
    assert [stretch.end for stretch in stretches] == [1000, 2000]
    assert engine.scored == 1000 + 2000
    assert engine.seen == [at % 7 for at in range(3000)]


def test_a_number_that_batches_do_not_divide_is_kept_to():
    engine = Engine()
    stretches, _ = run(engine, 2013)
    assert [stretch.end for stretch in stretches] == [1000, 2000, 2013]
    assert engine.scored == 1000 + 2013
    assert stretches[-1].frames_per_s == pytest.approx(1000)


def test_stretches_rise_and_end_at_the_number_asked_for():
    assert linear.ends(100_000) == [1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]
    assert linear.ends(7500) == [1000, 2000, 5000, 7500]
    with pytest.raises(SettingError, match="at least 2,000"):
        linear.measure(Engine().score, [np.zeros(1)], 1999)
