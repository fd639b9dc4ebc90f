"""AUROC and its intervals against closed forms and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wordsight.benchmarks import metrics


@pytest.mark.parametrize(
    ("scores", "area"),
    [([0.1, 0.2, 0.8, 0.9], 1.0), ([0.9, 0.8, 0.2, 0.1], 0.0), ([0.5] * 4, 0.5), ([0.1, 0.6, 0.5, 0.9], 0.75)],
)
def test_auroc_of_four_pictures(scores, area):
    labels = [0, 0, 1, 1]
    assert metrics.auroc(labels, scores) == area
    assert metrics.rank_auroc(np.array(labels), np.array(scores)) == area


def test_rank_auroc_counts_ties_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    for _ in range(50):
        labels = rng.permutation([0, 1, *rng.integers(0, 2, 60)])
        scores = rng.integers(0, 6, 62).astype(float)  # few values: many ties, within and across labels
        assert metrics.rank_auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_one_class_is_a_clear_error(labels):
    with pytest.raises(metrics.OneClassError, match="good and defective") as caught:
        metrics.auroc(labels, [0.1, 0.2, 0.3])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [([0, 1], [0.1, np.nan], "finite"), ([0, 1, 1], [0.1, 0.2], "one label a score"), ([0, 2], [0.1, 0.2], "labels 0")],
)
def test_nonsense_is_refused(labels, scores, says):
    with pytest.raises(metrics.WordsightError, match=says):
        metrics.auroc(labels, scores)


def test_bootstrap_interval_is_as_wide_as_hanley_and_mcneil_say():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 400)
    scores = rng.normal(labels * 1.0)
    found = metrics.over_pictures(labels, scores, resamples=1000)
    a = found.value
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = np.sqrt((a * (1 - a) + 399 * (q1 - a * a) + 399 * (q2 - a * a)) / 400**2)
    assert found.low < a < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_over_seeds_is_the_range_and_over_heads_the_t_interval():
    areas = [0.90, 0.92, 0.94]
    assert metrics.over_seeds(areas) == metrics.Estimate(pytest.approx(0.92), 0.90, 0.94, 3)
    heads = metrics.over_heads(areas)
    assert heads.high - heads.value == pytest.approx(4.302653 * 0.02 / np.sqrt(3), rel=1e-5)  # t(0.975, 2)
    with pytest.raises(metrics.WordsightError, match="at least 2"):
        metrics.over_heads([0.5])


def test_roc_curve_begins_and_ends_in_the_corners():
    false_rate, true_rate = metrics.roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8])
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)
