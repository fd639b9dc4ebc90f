"""Exposure and sharpness: what is measured, which limits good frames set, and what passes them."""

import numpy as np
import pytest

from wordsight.runtime.gate import LEAST_CLIPPED, Gate, Measures, limits, measure

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")


def textured(seed, mean=120, shape=(300, 400)):
    rng = np.random.default_rng(seed)
    grey = cv2.GaussianBlur(rng.normal(0, 60, shape), (0, 0), 1.5) * 3 + mean
    return np.repeat(np.clip(grey, 0, 249).astype(np.uint8)[..., None], 3, axis=2)


def test_measures_are_those_of_numpy():
    image = textured(0)
    image[:60, :100] = 255
    grey = image[..., 0].astype(float)
    padded = np.pad(grey, 1, mode="reflect")
    edges = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
    found = measure(image)
    assert found.grey == pytest.approx(grey.mean(), abs=0.01)
    assert found.clipped == pytest.approx(6000 / 120_000)
    assert found.sharpness == pytest.approx(edges.var(), rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (3, 5), (2200, 3000)])
def test_any_size_is_measured(shape):
    found = measure(np.full((*shape, 3), 77, np.uint8))
    assert (found.grey, found.clipped, found.sharpness) == pytest.approx((77, 0, 0))


def test_a_large_picture_is_measured_in_halves():
    image = textured(3, shape=(2100, 2600))
    image[1500:, 2000:] = 255
    blocks = image[:, :, 0].reshape(525, 4, 650, 4).mean(axis=(1, 3))
    found = measure(image)
    assert found.grey == pytest.approx(blocks.mean(), abs=0.3)
    assert found.clipped == pytest.approx((blocks >= 250).mean(), abs=1e-3)


def test_faults_are_told_from_good_frames():
    gate = limits([measure(textured(seed, 115 + seed % 10)) for seed in range(60)], 0.01)
    good = textured(99)
    assert gate.doubt(good) is None
    assert gate.doubt(good // 3) == "too dark"
    assert gate.doubt(np.clip(good.astype(int) + 90, 0, 249).astype(np.uint8)) == "too bright"
    burnt = good.copy()
    burnt[:30, :150] = 255
    burnt[:30, 150:300] = 0  # the mean stays
    assert gate.doubt(burnt) == "blown out"
    assert gate.doubt(cv2.GaussianBlur(good, (0, 0), 3)) == "blurred"


def test_a_glint_is_no_fault_although_no_good_frame_had_one():
    gate = limits([Measures(100 + i, 0.0, 50 + i) for i in range(20)], 0.01)
    assert gate.most_clipped == LEAST_CLIPPED
    assert gate.doubt_of(Measures(110, LEAST_CLIPPED / 2, 60)) is None


@pytest.mark.parametrize(("n", "rank"), [(1, 1), (50, 1), (399, 1), (400, 1), (799, 2), (4000, 10)])
def test_limits_are_order_statistics(n, rank):
    rng = np.random.default_rng(n)
    rows = [Measures(*row) for row in rng.random((n, 3))]
    gate = limits(rows, 0.01)
    assert gate.darkest == sorted(row.grey for row in rows)[rank - 1]
    assert gate.brightest == sorted(row.grey for row in rows)[-rank]
    assert gate.least_sharp == sorted(row.sharpness for row in rows)[rank - 1]


def test_new_good_frames_are_doubted_at_most_as_often_as_asked():
    rng = np.random.default_rng(5)
    doubted = []
    for _ in range(300):
        rows = [Measures(*row) for row in rng.random((420, 3))]
        gate = limits(rows[:400], 0.04)
        doubted += [gate.doubt_of(row) is not None for row in rows[400:]]
    assert np.mean(doubted) == pytest.approx(0.04, abs=0.006)


def test_order_of_doubts_is_fixed():
    gate = Gate(10, 200, 0.1, 5)
    assert gate.doubt_of(Measures(5, 0.5, 1)) == "too dark"
    assert gate.doubt_of(Measures(100, 0.5, 1)) == "blown out"
    assert gate.doubt_of(Measures(10, 0.1, 5)) is None
