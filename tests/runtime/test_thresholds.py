"""Thresholds from order statistics: exact bounds, ties, too few frames, never the bottom of the normals."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordsight.runtime.errors import SettingError
from wordsight.runtime.thresholds import CalibrationError, frames_needed, ranks, thresholds

RATES = (0.1, 0.05, 0.02, 0.01, 0.003)
CONFIDENCES = (0.5, 0.8, 0.95, 0.99, 0.9999)


def at_most(j, n, rate):
    """P(binomial(n, rate) <= j) in whole numbers."""
    p = Fraction(rate).limit_denominator(10**6)
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(j + 1))


@pytest.mark.parametrize(
    ("rate", "confidence", "needed"), [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.1, 0.9, 22), (0.001, 0.99, 4603)]
)
def test_the_fewest_frames_are_those_of_the_textbook(rate, confidence, needed):
    assert frames_needed(rate, confidence) == needed


@pytest.mark.parametrize("rate", RATES[:4])
@pytest.mark.parametrize("confidence", CONFIDENCES[:4])
@pytest.mark.parametrize("more", [0, 1, 57, 400])
def test_ranks_are_the_tightest_that_hold_in_exact_arithmetic(rate, confidence, more):
    n = frames_needed(rate, confidence) + more
    low, high = ranks(n, rate, confidence)
    sure = Fraction(confidence).limit_denominator(10**6)
    assert 1 - at_most(n - high, n, rate) >= sure  # P(at least n - k + 1 of them lie above the quantile)
    assert 1 - at_most(n - high + 1, n, rate) < sure  # one rank lower would promise too much
    assert at_most(n - low, n, rate) >= sure
    assert low == n or at_most(n - low - 1, n, rate) < sure


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_no_threshold_lies_at_the_bottom_of_the_normals(rate, confidence):
    for factor in (1, 1.3, 4):
        n = math.ceil(frames_needed(rate, confidence) * factor)
        low, high = ranks(n, rate, confidence)
        assert n / 2 < low <= high <= n


def test_one_frame_too_few_is_refused_and_says_how_many():
    with pytest.raises(CalibrationError, match=r"at least 299 .* got 298"):
        thresholds([0.1] * 298, 0.01, 0.95)
    assert thresholds(list(range(299)), 0.01, 0.95).defect > 298


@pytest.mark.parametrize(("rate", "confidence"), [(0, 0.95), (0.11, 0.95), (-1, 0.95), (math.nan, 0.95)])
def test_a_rate_out_of_range_is_refused(rate, confidence):
    with pytest.raises(SettingError, match="false-alarm rate"):
        frames_needed(rate, confidence)


@pytest.mark.parametrize("confidence", [0.49, 1, 2, math.nan])
def test_a_confidence_out_of_range_is_refused(confidence):
    with pytest.raises(SettingError, match="confidence"):
        frames_needed(0.01, confidence)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(CalibrationError, match="finite"):
        thresholds([0.5] * 400 + [math.nan], 0.01, 0.95)


def test_normals_that_share_the_score_of_the_bound_are_no_defects():
    found = thresholds([0.25] * 500, 0.01, 0.95)
    assert found.unsure == found.defect
    assert 0.25 < found.defect < 0.25 + 1e-12


@given(st.lists(st.integers(0, 5), min_size=59, max_size=300))
@settings(max_examples=60, deadline=None)
def test_with_ties_no_more_frames_are_called_than_the_rank_allows(values):
    found = thresholds([float(value) for value in values], 0.05, 0.95)
    low, high = ranks(len(values), 0.05, 0.95)
    assert sum(value >= found.defect for value in values) <= len(values) - high
    assert sum(value >= found.unsure for value in values) <= len(values) - low
    assert found.unsure <= found.defect


@pytest.mark.parametrize("quantum", [0, 0.05, 0.5])
def test_the_rate_on_unseen_normals_is_exceeded_no_more_often_than_allowed(quantum):
    """Against the true distribution: an exponential one, rounded up to a grid for ties."""
    rate, confidence, n, draws = 0.05, 0.9, 90, 2000
    rng = np.random.default_rng(7)
    exceeded = 0
    for _ in range(draws):
        scores = rng.exponential(size=n)
        if quantum:
            scores = np.ceil(scores / quantum) * quantum
        defect = thresholds(scores.tolist(), rate, confidence).defect
        # Rounded up to the grid or not: P(a new one >= defect) = P(it is above the order statistic below `defect`).
        exceeded += math.exp(-math.nextafter(defect, 0)) > rate * (1 + 1e-9)
    # 4 standard errors of a binomial share above 1 - confidence.
    assert exceeded / draws <= 0.1 + 4 * math.sqrt(0.1 * 0.9 / draws)
    if not quantum:
        assert exceeded > 0  # a bound that is never touched would be no bound of this data
