"""Known service times give known figures; what too few queries cannot show is not claimed."""

import math

import numpy as np
import pytest

from wordsight.benchmarks.speed import scenarios
from wordsight.benchmarks.speed.scenarios import Limit
from wordsight.runtime.errors import SettingError


class Clock:
    """Seconds that pass only when an engine works."""

    def __init__(self):
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def engine(self, name: str, *services_s: float):
        """A call that takes the given seconds in turn, the last one ever after."""
        left = list(services_s)

        def call():
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_by_number_of_queries_each_takes_what_it_takes():
    clock = Clock()
    calls = {"a": clock.engine("a", 0.5), "b": clock.engine("b", 0.25)}
    seconds = scenarios.in_turns(calls, Limit(queries=7, blocks=3, warm_up=1), "test", clock)
    assert seconds == {"a": [0.5] * 7, "b": [0.25] * 7}
    assert len(clock.calls) == 2 * (7 + 3)  # a warm-up for each of three blocks


def test_every_block_begins_with_another_and_warm_up_does_not_count():
    clock = Clock()
    calls = {"a": clock.engine("a", 9.0, 1.0), "b": clock.engine("b", 9.0, 2.0)}
    seconds = scenarios.in_turns(calls, Limit(queries=2, blocks=2, warm_up=1), "test", clock)
    assert seconds == {"a": [1.0, 1.0], "b": [2.0, 2.0]}
    assert clock.calls == list("aabbbbaa")


def test_by_duration_a_query_that_began_is_counted_and_a_slow_engine_has_one_a_block():
    clock = Clock()
    calls = {"quick": clock.engine("quick", 0.25), "slow": clock.engine("slow", 50.0)}
    seconds = scenarios.in_turns(calls, Limit(duration_s=10.0, blocks=5, warm_up=0), "test", clock)
    assert len(seconds["quick"]) == 5 * 8  # 2 s a block, 0.25 s each
    assert seconds["slow"] == [50.0] * 5


def test_too_few_queries_for_a_percentile_take_longer_within_reason():
    clock = Clock()
    calls = {"slow": clock.engine("slow", 0.5), "slower": clock.engine("slower", 5.0)}
    limit = Limit(duration_s=10.0, blocks=5, warm_up=0, least=30)
    seconds = scenarios.in_turns(calls, limit, "test", clock)
    assert len(seconds["slow"]) == 30  # 2 s a block are 4 queries, 6 are asked for
    assert len(seconds["slower"]) == 5 * 2  # within 8 s a block two begin


def test_fewer_queries_than_blocks_are_still_as_many_as_asked_for():
    clock = Clock()
    seconds = scenarios.in_turns({"a": clock.engine("a", 1.0)}, Limit(queries=2, blocks=5), "test", clock)
    assert seconds["a"] == [1.0, 1.0]


@pytest.mark.parametrize(("duration_s", "queries"), [(0, None), (-1, None), (1, 0)])
def test_no_time_and_no_queries_are_refused(duration_s: float, queries: int | None):
    with pytest.raises(SettingError):
        Limit(duration_s, queries)


@pytest.mark.parametrize("count", [1, 2, 10, 99, 100, 101, 1000])
@pytest.mark.parametrize("percent", [50, 90, 99])
def test_percentile_is_the_nearest_rank_and_between_numpys_neighbours(count: int, percent: int):
    values = np.random.default_rng(count).exponential(1, count)
    ordered = sorted(values)
    rank = math.ceil(percent * count / 100)  # in whole numbers: closed form
    assert scenarios.percentile(list(values), percent) == ordered[rank - 1]
    assert np.percentile(values, percent, method="lower") <= scenarios.percentile(list(values), percent) or count == 1
    assert scenarios.percentile(list(values), percent) <= np.percentile(values, percent, method="higher")


def _chance(most: int, count: int, share: float) -> float:
    """Of at most `most` successes among `count`, term by term."""
    return sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(most + 1))


@pytest.mark.parametrize(("percent", "least"), [(90, 64), (99, 662)])
def test_fewest_queries_are_mlperfs(percent: int, least: int):
    assert scenarios.fewest(percent) == least
    assert scenarios.early_stopping([1.0] * (least - 1), percent) is None
    assert scenarios.early_stopping([1.0] * least, percent) == 1.0


@pytest.mark.parametrize("count", [64, 100, 400, 900])
def test_early_stopping_takes_as_many_slow_queries_off_as_the_binomial_allows(count: int):
    values = [float(value) for value in range(1, count + 1)]
    estimate = scenarios.early_stopping(values[::-1], 90)
    slow = max(t for t in range(1, count // 4) if _chance(t, count, 0.1) <= 0.01)
    assert estimate == values[count - slow]
    assert estimate > scenarios.percentile(values, 90)  # confidence costs something


def test_early_stopping_is_hardly_ever_below_the_true_percentile():
    rng = np.random.default_rng(7)
    true = -math.log(0.1)  # of an exponential
    below = sum(scenarios.early_stopping(list(rng.exponential(1, 200)), 90) < true for _ in range(2000))
    assert below <= 2000 * 0.02  # 1% by design, and one more for chance
    plain = sum(scenarios.percentile(list(rng.exponential(1, 200)), 90) < true for _ in range(500))
    assert plain > 500 * 0.3  # what the plain percentile does: about half
