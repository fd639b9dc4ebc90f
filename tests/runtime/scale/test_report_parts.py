"""The parts of the report that are arithmetic: bins, the top, the fold, drift and pace, each beside the plain way."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.runtime.archive.report_bins import ALPHA, MOST_BINS, SAMPLE, Histogram, Times
from wordsight.runtime.archive.report_found import Pace, pace
from wordsight.runtime.archive.report_page import duration
from wordsight.runtime.archive.report_read import Archive, Shard
from wordsight.runtime.archive.report_top import Candidate, Top, fold

pytestmark = pytest.mark.scale("pyarrow")


@pytest.mark.parametrize("scale", [1e-6, 1.0, 37.0, 1e9, 1e30])
def test_a_histogram_counts_the_same_in_any_order(scale):
    rng = np.random.default_rng(3)
    values = rng.normal(0.4, 1, 5000).astype(np.float32).astype(np.float64) * scale
    one, other = Histogram(), Histogram()
    for part in np.array_split(values, 7):
        one.add(part)
    for part in np.array_split(rng.permutation(values), 31):
        other.add(part)
    assert one.width == other.width
    assert len(one.keys) <= MOST_BINS
    np.testing.assert_array_equal(one.keys, other.keys)
    np.testing.assert_array_equal(one.counts, other.counts)
    edges = np.arange(one.keys[0], one.keys[-1] + 2) * one.width
    bars = one.bars(edges[0], one.width, len(edges) - 1)
    np.testing.assert_array_equal(bars, np.histogram(values, np.nextafter(edges, -np.inf))[0])
    for share in (0.01, 0.5, 0.999):
        low, high = one.quantile(share)
        assert low <= np.quantile(values, share, method="inverted_cdf") < high


def test_merged_histograms_are_that_of_all():
    rng = np.random.default_rng(4)
    narrow, wide = rng.random(1000), rng.random(1000) * 100
    one, other, both = Histogram(), Histogram(), Histogram()
    one.add(narrow)
    other.add(wide)
    both.add(np.concatenate((narrow, wide)))
    merged = one.merged(other)
    np.testing.assert_array_equal(merged.keys, both.keys)
    np.testing.assert_array_equal(merged.counts, both.counts)


def test_the_top_is_that_of_a_full_sort_however_it_comes():
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 40, (6, 500)) / 40.0  # many ties
    top = Top(300)
    for shard in rng.permutation(6):
        for at in range(0, 500, 128):
            top.add(scores[shard, at : at + 128], int(shard), at)
    order = np.lexsort((np.arange(3000), -scores.ravel()))[:300]
    expected = {shard: set() for shard in range(6)}
    for place in order:
        expected[place // 500].add(place % 500)
    assert {shard: set(rows) for shard, rows in top.by_shard().items()} == {k: v for k, v in expected.items() if v}


def item(name, score, embedding):
    unit = None if embedding is None else np.asarray(embedding, np.float32) / np.float32(np.linalg.norm(embedding))
    return Candidate(0, 0, 1, name, score, 0, 0, None, 1, 1, None, unit)


def test_pictures_that_look_alike_fold_under_the_highest_score():
    angle = math.acos(0.995)
    turned = [[math.cos(turn * angle), math.sin(turn * angle)] for turn in (0, 0.99, 1.01, 2.0)]
    items = [item("abcd"[n], 1 - n / 10, turned[n]) for n in range(4)]
    items += [item("none", 0.1, None), item("none too", 0.1, None)]
    groups = fold(items, 0.995)
    told = [(group.first.source, [other.source for other in group.others]) for group in groups]
    # d is near c, which began a group of its own; b does not lead, so nothing is drawn in by it.
    assert told == [("a", ["b"]), ("c", ["d"]), ("none", []), ("none too", [])]


def test_copies_alone_fold_at_one():
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(30, 640))
    items = [item(f"{n}", 1 - n / 100, vector) for n, vector in enumerate([*vectors, *vectors])]
    assert [len(group.others) for group in fold(items, 1.0)] == [1] * 30


def fed(days, scores, seed=0, parts=9):
    times, rng = Times(), np.random.default_rng(seed)
    for rows in np.array_split(rng.permutation(len(scores)), parts):
        times.add((days[rows] * 86_400).astype(np.int64) + 1_790_000_000, scores[rows], rng.random(len(rows)))
    return times.spans()


def test_a_shift_is_found_from_the_day_on_which_it_came():
    rng = np.random.default_rng(7)
    days = rng.random(24_000) * 24
    scores = rng.gamma(2, 0.1, len(days)) + 0.08 * (days >= 16)
    spans = fed(days, scores)
    assert len(spans) == 12
    assert sum(span.pictures for span in spans) == len(days)
    assert all(abs(span.pictures - 2000) < 150 for span in spans)
    begins = [(span.begin - 1_790_000_000) / 86_400 for span in spans]
    assert [span.drifting for span in spans] == [begin > 15.5 for begin in begins]
    for span in spans:
        inside = (days >= (span.begin - 1_790_000_000) / 86_400) & (days < (span.end - 1_790_000_000) / 86_400)
        assert inside.sum() == span.pictures
        assert len(span.sample) == SAMPLE
        assert abs(span.quantile(0.5) - np.median(scores[inside])) < 0.03


def test_where_nothing_changed_nothing_is_found():
    rng = np.random.default_rng(8)
    found = 0
    for seed in range(20):
        scores = rng.gamma(2, 0.1, 1200)
        found += any(span.drifting for span in fed(rng.random(1200) * 30, scores, seed))
    # One in a hundred archives, by ALPHA: of 20, three or more come with a chance of 0.1%.
    assert ALPHA == 0.01
    assert found <= 2


def test_the_p_values_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="pip install 'wordsight[export]'")
    rng = np.random.default_rng(9)
    days = rng.random(450) * 9
    spans = fed(days, rng.gamma(2, 0.1, 450) + 0.01 * days)
    for span in spans[1:]:
        expected = stats.ks_2samp(spans[0].sample, span.sample, method="exact")
        assert span.distance == pytest.approx(expected.statistic)
        assert span.p == pytest.approx(min(1.0, expected.pvalue * (len(spans) - 1)), rel=1e-6)


def test_one_file_with_a_time_far_off_does_not_hide_the_others():
    rng = np.random.default_rng(10)
    days = rng.random(6000) * 12
    scores = rng.gamma(2, 0.1, 6000) + 0.2 * (days > 9)
    days[17] = -20_000.0  # 1971
    spans = fed(days, scores)
    assert len(spans) == 12
    assert [span.drifting for span in spans][-2:] == [True, True]


def test_too_few_or_all_at_once_are_not_compared():
    rng = np.random.default_rng(11)
    assert fed(rng.random(49), rng.random(49)) == []
    assert len(fed(np.zeros(5000), rng.random(5000))) == 1


def run(times, shards=100):
    done = tuple(Shard(number, Path("x"), at) for number, at in enumerate(times))
    return Archive(Path("out"), SimpleNamespace(shards=shards), done)


def test_the_pace_is_that_of_the_shards():
    steady = run([1000.0 + 30 * n for n in range(20)])
    assert pace(steady, 1600.0) == Pace(30.0, 2400.0, 30.0, 30.0, 20)
    two_at_once = run([1000.0 + 60 * (n // 2) for n in range(20)])
    assert pace(two_at_once, 1600.0).shard_s == pytest.approx(540 / 19)
    resumed = run([1000.0 + 30 * n + (n >= 10) * 90_000 for n in range(20)])
    assert pace(resumed, 92_000.0).shard_s == pytest.approx(30.0)


def test_a_run_that_stopped_is_told_from_one_that_goes_on():
    steady = run([1000.0 + 30 * n for n in range(20)])
    assert not pace(steady, 1000.0 + 30 * 19 + 299).stalled
    assert pace(steady, 1000.0 + 30 * 19 + 301).stalled
    assert pace(run([1000.0, 1030.0]), 1100.0) is None
    assert pace(run([1000.0 + n for n in range(5)], shards=5), 1100.0) is None


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (99.2, "100 s"), (100, "2 min"), (5941, "1 h 40 min"), (12_000, "3 h 20 min"), (172_800, "2 d"),
     (529_200, "6 d 3 h")],
)  # fmt: skip
def test_durations(seconds, told):
    assert duration(seconds) == told
