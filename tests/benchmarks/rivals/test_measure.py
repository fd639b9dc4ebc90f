"""Figures of a method: of images, and of pixels on the square that the backbone saw."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wordsight.benchmarks.datasets import Sample
from wordsight.benchmarks.rivals.measure import FIGURES, Found, Truth, figures, truth_of
from wordsight.runtime.errors import WordsightError


def sample(label, mask=None, size=(60, 40)):
    return Sample("p", label, "bar" if label else "good", frame=np.zeros((*size, 3), np.uint8), mask=mask)


def test_masks_are_of_the_centre_square_as_frames_are():
    mask = np.zeros((60, 40), bool)
    mask[:10] = True  # above the square
    mask[30:34, 5:9] = True
    truth = truth_of([sample(0), sample(1, mask)], [(60, 40)] * 2)
    assert [m.shape for m in truth.masks] == [(40, 40)] * 2
    assert truth.masks[1].sum() == 16
    assert truth.masks[1][20:24, 5:9].all()


def test_large_masks_are_halved_by_area():
    mask = np.zeros((512, 512), bool)
    mask[100:110, 200:220] = True
    mask[0, 0] = True  # a quarter of a pixel
    (shrunk,) = truth_of([sample(1, mask, (512, 512))], [(512, 512)]).masks
    assert shrunk.shape == (256, 256)
    assert shrunk.sum() == 50


def test_without_a_mask_there_are_no_pixel_figures():
    truth = truth_of([sample(0), sample(1)], [(60, 40)] * 2)
    assert truth.masks is None
    found = figures(truth, Found(np.array([0.1, 0.9]), np.zeros((2, 8, 8))))
    assert (found["auroc"], found["pixel_auroc"], found["aupro"]) == (1.0, None, None)


def test_a_map_that_is_the_mask_is_perfect_and_one_upside_down_is_not():
    mask = np.zeros((40, 40), bool)
    mask[8:16, 8:16] = True
    truth = Truth(np.array([0, 1]), [np.zeros((40, 40), bool), mask])
    maps = np.stack([m.astype(float) for m in truth.masks])
    perfect = figures(truth, Found(np.array([0.0, 1.0]), maps))
    assert set(perfect) == set(FIGURES)
    assert perfect["pixel_auroc"] == perfect["aupro"] == 1.0
    assert figures(truth, Found(np.array([0.0, 1.0]), 1 - maps))["pixel_auroc"] == 0.0


def test_coarse_maps_are_brought_to_the_masks():
    rng = np.random.default_rng(0)
    mask = rng.random((40, 40)) > 0.7
    truth = Truth(np.array([0, 1]), [np.zeros((40, 40), bool), mask])
    coarse = np.kron(rng.random((2, 5, 5)), np.ones((1, 8, 8)))  # 40 x 40
    found = figures(truth, Found(np.array([0.0, 1.0]), coarse))
    flat = np.concatenate([m.ravel() for m in truth.masks])
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(flat, coarse.ravel()))


def test_scores_that_are_no_numbers_are_an_error():
    with pytest.raises(WordsightError, match="finite"):
        figures(Truth(np.array([0, 1]), None), Found(np.array([0.0, np.nan])))
