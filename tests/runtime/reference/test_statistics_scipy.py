"""Our few lines of statistics against scipy's."""

import numpy as np
import pytest

from wordsight.runtime.drift_watch import p_value, widest_gap
from wordsight.runtime.thresholds import frames_needed, ranks

stats = pytest.importorskip("scipy.stats")


def two_sample(first, second):
    n, m = len(first), len(second)
    gap = widest_gap(first, second)
    return gap / (n * m), p_value(n, m, gap)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.0005])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("factor", [1, 2.7, 30])
def test_ranks_by_the_beta_distribution(rate, confidence, factor):
    n = int(frames_needed(rate, confidence) * factor)
    low, high = ranks(n, rate, confidence)

    def covers(k):  # P(the k-th of n uniform order statistics reaches the quantile)
        return stats.beta(k, n - k + 1).sf(1 - rate)

    assert covers(high) >= confidence * (1 - 1e-9)
    assert covers(high - 1) < confidence
    assert 1 - covers(low) >= confidence * (1 - 1e-9)
    assert low == n or 1 - covers(low + 1) < confidence


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 8), (40, 40), (299, 300), (1000, 211)])
@pytest.mark.parametrize("shift", [0, 0.3, 1.5])
def test_two_samples_without_ties(n, m, shift):
    rng = np.random.default_rng(n + m)
    first, second = np.sort(rng.normal(size=n)), np.sort(rng.normal(shift, size=m))
    expected = stats.ks_2samp(first, second, method="exact")
    distance, p = two_sample(first, second)
    assert distance == pytest.approx(expected.statistic, rel=1e-12)
    # scipy sums what stays inside the band, so its small p-values are differences from 1.
    assert p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)


def test_ties_are_compared_behind_all_of_them():
    rng = np.random.default_rng(3)
    first, second = np.sort(rng.integers(0, 6, 120)) * 1.0, np.sort(rng.integers(1, 7, 90)) * 1.0
    assert two_sample(first, second)[0] == pytest.approx(stats.ks_2samp(first, second).statistic, rel=1e-12)


def test_small_p_values_keep_their_digits():
    """Against the asymptotic series, where both samples are large and the distance is far out."""
    n = m = 1000
    first, second = np.arange(n) * 1.0, np.arange(m) + 200.5
    distance, p = two_sample(first, second)
    series = stats.kstwobign.sf(distance * np.sqrt(n * m / (n + m)))
    assert 1e-20 < p < 1e-15
    assert np.log(p) == pytest.approx(np.log(series), rel=0.01)
