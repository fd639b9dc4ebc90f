"""Score drift: told when the scores moved, silent when they did not, whatever is looked at how often."""

import itertools

import numpy as np
import pytest

from wordsight.runtime.drift_watch import DriftWatch, p_value, widest_gap
from wordsight.runtime.errors import SettingError


def two_sample(first, second):
    n, m = len(first), len(second)
    gap = widest_gap(first, second)
    return gap / (n * m), p_value(n, m, gap)


def test_the_p_value_is_the_share_of_orders_that_stray_as_far():
    """All 126 ways in which 4 and 5 values can be interleaved, counted one by one."""
    orders = [set(chosen) for chosen in itertools.combinations(range(9), 4)]

    def samples(chosen):
        return np.array(sorted(chosen), float), np.array([i for i in range(9) if i not in chosen], float)

    distances = [two_sample(*samples(chosen))[0] for chosen in orders]
    for chosen, distance in zip(orders, distances, strict=True):
        share = np.mean([other >= distance - 1e-12 for other in distances])
        assert two_sample(*samples(chosen))[1] == pytest.approx(share, rel=1e-12)


def test_nothing_is_said_before_the_window_is_full():
    watch = DriftWatch([0.1, 0.2, 0.3], window=10, every=5)
    for _ in range(9):
        assert watch.add(9.0).state == "waiting"
    assert watch.add(9.0).looks == 1


def test_scores_that_moved_are_told_with_their_direction():
    rng = np.random.default_rng(0)
    watch = DriftWatch(rng.normal(0.5, 0.1, 400).tolist())
    for score in rng.normal(0.5, 0.1, 600):
        assert watch.add(score).state in ("waiting", "ok")
    for score in rng.normal(0.62, 0.1, 300):  # lamps age
        found = watch.add(score)
    assert found.state == "drifting"
    assert found.shift == pytest.approx(0.12, abs=0.03)
    assert found.p <= 0.01
    for score in rng.normal(0.5, 0.1, 350):
        found = watch.add(score)
    assert found.state == "ok"  # and is taken back when they are as they were


@pytest.mark.parametrize(("calibrated", "window", "looks"), [(400, 300, 10**6), (59, 40, 20), (3, 2, 10)])
def test_a_look_that_is_cut_short_says_what_a_whole_one_would(calibrated, window, looks):
    """Windows that move from not at all to altogether."""
    rng = np.random.default_rng(2)
    sample = np.sort(rng.random(calibrated))
    watch = DriftWatch(sample.tolist(), window=window, every=1, looks=looks)
    for at in range(window + 30):
        found = watch.add(rng.random() + at / (window + 30))
        if found.looks:
            recent = np.sort(np.array(watch._recent))
            distance, p = two_sample(sample, recent)
            assert found.distance == distance
            assert found.p == pytest.approx(min(1, p * looks), rel=1e-9)


def test_a_look_comes_every_so_many_scores():
    watch = DriftWatch([0.0, 1.0], window=20, every=7)
    looks = [watch.add(0.5).looks for _ in range(20 + 3 * 7)]
    assert looks[18:20] == [0, 1]
    assert looks[-1] == 4


@pytest.mark.parametrize("ties", [True, False])
def test_many_looks_at_the_same_scores_do_not_add_up_to_an_alarm(ties):
    """On 80 lines that were calibrated well, with a score of many ties and one of none; twenty looks at each."""
    rng = np.random.default_rng(1)
    draw = (lambda n: (rng.random(n) < 0.1).astype(float)) if ties else rng.random
    alarms = 0
    for _ in range(80):
        watch = DriftWatch(draw(60).tolist(), window=40, every=10, alpha=0.05, looks=20)
        alarms += any(watch.add(score).state == "drifting" for score in draw(40 + 19 * 10))
    assert alarms / 80 <= 0.05 + 3 * (0.05 * 0.95 / 80) ** 0.5


@pytest.mark.parametrize("wrong", [{"window": 0}, {"every": 0}, {"looks": 0}, {"alpha": 0}, {"alpha": 1}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError):
        DriftWatch([0.1], **wrong)
    with pytest.raises(SettingError):
        DriftWatch([])
