"""The bootstrap against scikit-learn on repeated pictures, against a known distribution, and against the clock."""

import math
import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from wordsight.benchmarks import bootstrap


def _f1_max(labels, scores):
    precision, recall, _ = precision_recall_curve(labels, scores)
    return (2 * precision * recall / np.maximum(precision + recall, 1e-300)).max()


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_each_resample_is_what_scikit_learn_says_of_the_pictures_drawn(decimals):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1], [25, 12]))
    scores = np.round(rng.normal(labels, size=(3, 37)), decimals)
    found = bootstrap.resample(labels, scores, resamples=20, seed=4)
    drawn = np.concatenate(list(bootstrap.draws(labels, 20, 4)))
    assert (drawn[:, labels == 0].sum(1) == 25).all()
    assert (drawn[:, labels == 1].sum(1) == 12).all()
    assert (drawn > 1).any()
    for name, figure in (("auroc", roc_auc_score), ("aupr", average_precision_score), ("f1_max", _f1_max)):
        expected = [np.mean([figure(labels.repeat(row), seed.repeat(row)) for seed in scores]) for row in drawn]
        np.testing.assert_allclose(found[name], expected, atol=1e-12)


def test_the_same_seed_draws_the_same_pictures_however_many_at_a_time(monkeypatch):
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [40, 30])
    scores = rng.normal(labels)[None]
    first, other = bootstrap.resample(labels, scores, 50, 3), bootstrap.resample(labels, scores, 50, 5)
    monkeypatch.setattr(bootstrap, "_CELLS", 7 * 70)
    again = bootstrap.resample(labels, scores, 50, 3)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])


def test_the_interval_covers_the_true_area_as_often_as_it_says():
    # Two unit normals a distance apart have a known area: Phi(distance / sqrt 2).
    distance, trials = 1.2, 300
    truth = 0.5 * (1 + math.erf(distance / 2))
    rng = np.random.default_rng(11)
    labels = np.repeat([0, 1], [80, 80])
    covered = 0
    for trial in range(trials):
        drawn = bootstrap.resample(labels, rng.normal(labels * distance)[None], 400, trial)["auroc"]
        low, high = bootstrap.interval(drawn)
        covered += low <= truth <= high
    # 95% of 300, give or take three standard errors of 1.3%, and a percent for percentiles of small samples.
    assert 0.90 <= covered / trials <= 0.985


def test_the_interval_is_the_percentiles():
    assert bootstrap.interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))
    assert bootstrap.interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_perfect_scores_have_no_width():
    found = bootstrap.resample(np.array([0, 0, 1, 1]), np.array([[0.1, 0.2, 0.8, 0.9]]), 100)
    assert {name: (values.min(), values.max()) for name, values in found.items()} == {
        "auroc": (1, 1), "aupr": (1, 1), "f1_max": (1, 1),
    }  # fmt: skip


def test_two_thousand_pictures_and_ten_seeds_take_seconds():
    labels = np.repeat([0, 1], 1000)
    scores = np.random.default_rng(2).normal(labels, size=(10, 2000))
    began = time.thread_time()  # what other threads of this process compute meanwhile does not count
    bootstrap.resample(labels, scores, 1000)
    assert time.thread_time() - began < 10  # 0.5 s where it was written; one draw after another takes 50 s there
