"""Cells of tables: means and spreads over seeds and classes, against numpy and by hand."""

import numpy as np
import pytest

from wordsight.benchmarks import metrics, tabled


def _class(seeds, pictures=60, shift=1.0, draw=0, resamples=50):
    rng = np.random.default_rng(draw)
    labels = np.repeat([0, 1], pictures // 2)
    scores = rng.normal(labels * shift, size=(seeds, pictures))
    return labels, scores, tabled.measure_class(labels, scores, resamples, seed=draw)


def test_a_cell_is_mean_and_sample_deviation_of_the_seeds():
    labels, scores, found = _class(5)
    for name, figure in (("auroc", metrics.auroc), ("aupr", metrics.aupr)):
        values = [figure(labels, row) for row in scores]
        cell = found.cell(name)
        assert cell.mean == pytest.approx(np.mean(values))
        assert cell.std == pytest.approx(np.sqrt(np.sum((values - np.mean(values)) ** 2) / 4))
        assert cell.low < cell.mean < cell.high
        assert (cell.seeds, cell.pictures) == (5, 60)
    assert found.cell("f1_max").mean == pytest.approx(np.mean([metrics.f1_max(labels, row).value for row in scores]))


def test_a_method_without_seeds_has_no_spread_but_an_interval():
    labels, scores, _ = _class(1)
    cell = tabled.measure_class(labels, scores[0], 200).cell("auroc")
    assert (cell.std, cell.seeds) == (None, 1)
    assert cell.low < cell.mean < cell.high
    estimate = metrics.over_pictures(labels, scores[0], 200)
    assert (cell.mean, cell.low, cell.high) == (estimate.value, estimate.low, estimate.high)


def test_the_mean_over_classes_spreads_as_the_means_of_each_seed_do():
    parts = [_class(4, pictures, shift, draw) for draw, (pictures, shift) in enumerate([(40, 0.5), (200, 1), (60, 2)])]
    found = tabled.mean_over_classes([measured for _, _, measured in parts])
    areas = np.array([[metrics.auroc(labels, row) for row in scores] for labels, scores, _ in parts])
    cell = found.cell("auroc")
    assert cell.mean == pytest.approx(areas.mean())  # each class counts the same, whatever its size
    assert cell.std == pytest.approx(areas.mean(0).std(ddof=1))
    assert cell.std != pytest.approx(areas.std(1, ddof=1).mean())
    assert cell.pictures == 300


def test_the_interval_of_a_mean_of_classes_is_narrower_than_theirs():
    parts = [_class(2, 100, 1, draw, resamples=400)[2] for draw in range(9)]
    mean = tabled.mean_over_classes(parts).cell("auroc")
    widths = [part.cell("auroc").high - part.cell("auroc").low for part in parts]
    assert mean.high - mean.low == pytest.approx(np.sqrt(np.mean(np.square(widths)) / 9), rel=0.25)


def test_classes_of_different_seeds_have_no_mean():
    with pytest.raises(tabled.WordsightError, match="one number of seeds"):
        tabled.mean_over_classes([_class(2)[2], _class(3)[2]])
    with pytest.raises(tabled.WordsightError, match="no class"):
        tabled.mean_over_classes([])


@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [
        ([0, 0], [[0.1, 0.2]], "good and defective"),
        ([0, 1], [[0.1, 0.2], [0.3, np.nan]], "finite"),
        ([0, 1], [[0.1, 0.2, 0.3]], "one label a score"),
        ([0, 1], [[[0.1, 0.2]]], r"\(N,\) or \(seeds, N\)"),
        ([0, 1], np.zeros((0, 2)), r"got \(0, 2\)"),
    ],
)
def test_nonsense_is_refused(labels, scores, says):
    with pytest.raises(tabled.WordsightError, match=says):
        tabled.measure_class(labels, scores)
