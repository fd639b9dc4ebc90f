"""AUROC, AUPR and F1-max against closed forms, hand-made examples and brute force, ties included."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

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


FIGURES = [(metrics.auroc, "AUROC"), (metrics.aupr, "AUPR"), (metrics.f1_max, "F1-max")]


@pytest.mark.parametrize(("figure", "name"), FIGURES)
@pytest.mark.parametrize(
    ("labels", "counts"), [([0, 0, 0], "3 good and 0"), ([1, 1, 1], "0 good and 3"), ([], "0 good")]
)
def test_one_class_is_a_clear_error(figure, name, labels, counts):
    with pytest.raises(
        metrics.OneClassError, match=f"{name} needs good and defective pictures, got {counts}"
    ) as caught:
        figure(labels, [0.1, 0.2, 0.3][: len(labels)])
    assert caught.value.exit_code == 2


def _many_with_ties():
    rng = np.random.default_rng(7)
    for levels in (2, 3, 6, 40):
        for _ in range(10):
            labels = rng.permutation([0, 1, *rng.integers(0, 2, 40)])
            yield labels, np.round(rng.normal(labels), 1) % levels


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    for labels, scores in _many_with_ties():
        pairs = [(b > g) + 0.5 * (b == g) for b in scores[labels == 1] for g in scores[labels == 0]]
        assert metrics.auroc(labels, scores) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_f1_max_is_the_best_of_all_thresholds():
    for labels, scores in _many_with_ties():
        tried = {t: f1_score(labels, scores >= t) for t in np.unique(scores)}
        found = metrics.f1_max(labels, scores)
        assert found.value == pytest.approx(max(tried.values()), abs=1e-12)
        assert found.threshold == max(t for t, f1 in tried.items() if f1 == pytest.approx(found.value, abs=1e-12))


def test_aupr_is_the_sum_of_precisions_where_recall_rises():
    for labels, scores in _many_with_ties():
        area, recall = 0.0, 0.0
        for threshold in sorted(set(scores), reverse=True):
            called = labels[scores >= threshold]
            area += called.mean() * (called.sum() / labels.sum() - recall)
            recall = called.sum() / labels.sum()
        assert metrics.aupr(labels, scores) == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "area", "best", "threshold"),
    [
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 1 / 2 + 1 / 2 * 2 / 3, 4 / 5, 0.35),  # scikit-learn's own example
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 1, 1, 0.8),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 1 / 2 * 1 / 3 + 1 / 2 * 2 / 4, 2 / 3, 0.1),
        ([0, 0, 0, 1], [0.5] * 4, 1 / 4, 2 / 5, 0.5),  # nothing told apart: the share, and everything called defective
        ([1, 0, 1, 0], [0.9, 0.9, 0.9, 0.1], 2 / 3, 4 / 5, 0.9),  # a tie across labels is one point
        ([1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.7, 0.1], 1 / 2 * 1 + 1 / 2 * 2 / 4, 2 / 3, 0.9),  # two best: the higher
    ],
)
def test_aupr_and_f1_max_by_hand(labels, scores, area, best, threshold):
    assert metrics.aupr(labels, scores) == pytest.approx(area, abs=1e-15)
    assert metrics.f1_max(labels, scores).value == pytest.approx(best, abs=1e-15)
    assert metrics.f1_max(labels, scores).threshold == threshold


def test_no_figure_depends_on_the_order_of_pictures_or_the_scale_of_scores():
    labels, scores = next(_many_with_ties())
    turned = np.random.default_rng(0).permutation(len(labels))
    for figure in (metrics.auroc, metrics.aupr, lambda t, s: metrics.f1_max(t, s).value):
        assert figure(labels[turned], np.exp(3 * scores[turned])) == pytest.approx(figure(labels, scores), abs=1e-12)


@pytest.mark.parametrize(("figure", "name"), FIGURES)
@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [
        ([0, 1], [0.1, np.nan], "finite scores, got 1"),
        ([0, 1, 1], [-np.inf, 0.2, np.inf], "finite scores, got 2"),
        ([0, 1, 1], [0.1, 0.2], "one label a score"),
        ([0, 2], [0.1, 0.2], "labels 0"),
        ([0, 0.5], [0.1, 0.2], "labels 0"),  # never rounded down to good
    ],
)
def test_nonsense_is_refused(figure, name, labels, scores, says):
    with pytest.raises(metrics.WordsightError, match=says):
        figure(labels, scores)


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
