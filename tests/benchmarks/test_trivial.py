"""The trivial detectors find what is planted for them, and nothing where nothing is."""

import cv2
import numpy as np
import pytest

from wordsight.benchmarks import trivial
from wordsight.benchmarks.metrics import auroc
from wordsight.runtime.errors import SettingError


def _pictures(count, seed, brighter=0.0, edge=False):
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        frame = rng.normal(120 + brighter, 4, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        if edge:
            cv2.circle(frame, (30, 30), 6, (250, 250, 250), -1)
        frames.append(frame)
    return np.stack([trivial.features(frame) for frame in frames])


def test_knn_finds_planted_brightness():
    rows = np.concatenate([_pictures(30, 1), _pictures(30, 2, brighter=25)])
    assert auroc([0] * 30 + [1] * 30, trivial.NearestGood().fit(_pictures(40, 0)).score(rows)) == 1.0


def test_knn_finds_nothing_where_nothing_is():
    rows = np.concatenate([_pictures(150, 1), _pictures(150, 2)])
    area = auroc([0] * 150 + [1] * 150, trivial.NearestGood().fit(_pictures(100, 0)).score(rows))
    assert 0.38 < area < 0.62  # five standard errors of chance are 0.17


def test_largest_gradient_is_the_planted_edge():
    plain, edged = _pictures(20, 1), _pictures(20, 2, edge=True)
    assert trivial.largest_gradient(plain).max() < trivial.largest_gradient(edged).min()
    step = np.zeros((8, 8, 3), np.uint8)
    step[:, 4:] = 100
    assert trivial.largest_gradient(trivial.features(step)[None])[0] == pytest.approx(100)


def test_a_fitted_picture_is_not_odd():
    good = _pictures(10, 0)
    assert trivial.NearestGood(neighbours=1).fit(good).score(good) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (2000, 3, 3)])
def test_odd_shapes_have_finite_features(shape):
    assert np.isfinite(trivial.features(np.full(shape, 7, np.uint8))).all()


def test_knn_without_good_pictures_says_so():
    with pytest.raises(SettingError, match="train/good"):
        trivial.NearestGood().fit(np.zeros((0, 54)))
