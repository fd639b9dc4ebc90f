"""Pixel AUROC against scikit-learn, AUPRO against closed forms and a sweep over every threshold."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from wordsight.benchmarks import pixels
from wordsight.benchmarks.metrics import OneClassError


def _mask(*boxes, size=(20, 30)):
    mask = np.zeros(size, bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


MASKS = [_mask((2, 3, 6, 9), (10, 20, 12, 22)), _mask(), _mask((0, 0, 10, 10)), _mask((5, 5, 6, 7), size=(11, 13))]


def _maps(levels, dtype=np.float32):
    rng = np.random.default_rng(levels)
    return [np.round(rng.normal(mask) * levels).astype(dtype) / levels for mask in MASKS]


def _sweep(masks, maps, limit):
    """The definition, one threshold at a time."""
    regions = []
    for mask, values in zip(masks, maps, strict=True):
        label, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [values[label == i] for i in range(1, count + 1)]
    good = np.concatenate([values[~mask] for mask, values in zip(masks, maps, strict=True)])
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]:
        points.append(((good >= threshold).mean(), np.mean([(region >= threshold).mean() for region in regions])))
    x, y = np.array(points).T
    fine = np.unique(np.append(x[x <= limit], limit))
    # Between two rates the curve is a line from the highest overlap at the first to the lowest at the second.
    area = 0.0
    for a, b in pairwise(fine):
        start = y[x == a].max()
        after = np.flatnonzero(x > a)[0]
        area += (b - a) * (start + start + (y[after] - start) * (b - a) / (x[after] - a)) / 2
    return area / limit


@pytest.mark.parametrize("levels", [1, 3, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixel_auroc_is_scikit_learns(levels, dtype):
    maps = _maps(levels, dtype)
    expected = roc_auc_score(np.concatenate([m.ravel() for m in MASKS]), np.concatenate([m.ravel() for m in maps]))
    assert pixels.pixel_auroc(MASKS, maps) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [1, 3, 1000])
@pytest.mark.parametrize("limit", [0.01, 0.3, 1.0])
def test_aupro_is_the_area_of_the_sweep(levels, limit):
    maps = _maps(levels)
    assert pixels.aupro(MASKS, maps, limit) == pytest.approx(_sweep(MASKS, maps, limit), abs=1e-9)


def test_aupro_by_hand():
    perfect = [mask.astype(np.float32) for mask in MASKS]
    assert pixels.aupro(MASKS, perfect) == pytest.approx(1)
    assert pixels.aupro(MASKS, [1 - values for values in perfect]) == 0
    # A map that says nothing is the diagonal: the triangle up to 0.3, divided by 0.3.
    assert pixels.aupro(MASKS, [np.full(mask.shape, 0.5) for mask in MASKS]) == pytest.approx(0.15)
    assert pixels.aupro(MASKS, [np.full(mask.shape, 0.5) for mask in MASKS], limit=1) == pytest.approx(0.5)


def test_a_small_region_counts_as_much_as_a_large_one():
    mask = _mask((0, 0, 10, 10), (15, 15, 16, 16))
    small = np.zeros(mask.shape)
    small[15, 15] = 1  # found at once; the large one at the level of everything else
    found = pixels.aupro([mask], [small])
    assert found == pytest.approx(0.5 + 0.5 * 0.15)
    assert pixels.pixel_auroc([mask], [small]) == pytest.approx(0.5 + 0.5 / 101)


def test_touching_corners_are_one_region():
    corners = _mask((0, 0, 2, 2), (2, 2, 3, 3))
    apart = _mask((0, 0, 2, 2), (4, 4, 5, 5))
    one_pixel = np.zeros(corners.shape)
    one_pixel[2, 2] = one_pixel[4, 4] = 1
    one_pixel[0, 10] = 2  # a false alarm first, so that the rest is after it
    one_region = pixels.aupro([corners], [np.where(corners, one_pixel, 0)])
    two_regions = pixels.aupro([apart], [np.where(apart, one_pixel, 0)])
    assert one_region == pytest.approx(1 / 5 + 4 / 5 * 0.15)
    assert two_regions == pytest.approx(1 / 2 + 1 / 2 * 0.15)


def test_a_mask_that_marks_nothing_adds_good_pixels_alone():
    maps = _maps(1000)
    without = [i for i in range(len(MASKS)) if i != 1]
    assert pixels.aupro(MASKS, maps) != pixels.aupro([MASKS[i] for i in without], [maps[i] for i in without])


@pytest.mark.parametrize("figure", [pixels.pixel_auroc, pixels.aupro])
@pytest.mark.parametrize(
    ("masks", "maps", "says"),
    [
        ([_mask()], [np.zeros((20, 30))], "600 good and 0 defective"),
        ([~_mask()], [np.zeros((20, 30))], "0 good and 600 defective"),
        ([], [], "0 good and 0 defective"),
        (MASKS[:1], [np.zeros((20, 31))], r"map \(20, 31\) and mask \(20, 30\) of picture 0"),
        (MASKS[:1], [np.full((20, 30), np.nan)], "finite values"),
        (MASKS[:2], [np.zeros((20, 30))], "2 masks and 1 maps"),
        ([MASKS[0].astype(np.uint8)], [np.zeros((20, 30))], "masks of bool, got uint8"),
    ],
)
def test_nonsense_is_refused(figure, masks, maps, says):
    error = OneClassError if "good and" in says else pixels.WordsightError
    with pytest.raises(error, match=says):
        figure(masks, maps)


@pytest.mark.parametrize("limit", [0, -0.1, 1.5, np.nan])
def test_a_limit_out_of_range_is_refused(limit):
    with pytest.raises(pixels.WordsightError, match="limit"):
        pixels.aupro(MASKS, _maps(3), limit)
