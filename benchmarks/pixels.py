"""Figures of heat maps against masks: pixel AUROC and AUPRO, exact, over all pictures of a class at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.metrics import OneClassError
from wordsight.runtime.errors import WordsightError

Masks = Sequence[NDArray[np.bool_]]
Maps = Sequence[NDArray[np.floating]]


def pixel_auroc(masks: Masks, maps: Maps) -> float:
    """AUROC of pixels, ties counted half: equal to scikit-learn's on all pixels in one array.

    One picture's good pixels are held at a time beside all defective ones, which are few.

    Args:
        masks: Bool (H, W) a picture, True where it is defective; good pictures included, all False.
        maps: Floats (H, W) a picture, of its mask's size; higher is more anomalous.

    Raises:
        OneClassError: No pixel is defective, or none is good.
        WordsightError: A map of another size than its mask, or with values that are not finite.
    """
    _check(masks, maps)
    bad = np.sort(np.concatenate([values[mask] for mask, values in zip(masks, maps, strict=True)]))
    beaten, goods = 0.0, 0
    for mask, values in zip(masks, maps, strict=True):
        good = np.sort(values[~mask])  # sorted needles keep the search in the cache
        above = 2 * len(bad) - np.searchsorted(bad, good, "left") - np.searchsorted(bad, good, "right")
        beaten += float(above.sum(dtype=np.int64)) / 2
        goods += len(good)
    return beaten / (len(bad) * goods)


def aupro(masks: Masks, maps: Maps, limit: float = 0.3) -> float:
    """Area under the per-region overlap curve up to a false positive rate, divided by that rate: 1 is perfect.

    As MVTec defines it: a region is an 8-connected component of a mask; at each threshold its overlap is the share of
    its pixels that lie at or above it, and the curve is the mean overlap of all regions, small and large alike,
    against the share of good pixels (of all pictures) at or above it. Points are joined by straight lines, equal
    values are one point.

    Args:
        masks: As for `pixel_auroc`. A defective picture whose mask marks nothing adds good pixels and no region.
        maps: As for `pixel_auroc`.
        limit: The largest false positive rate, in (0, 1].

    Raises:
        OneClassError: No pixel is defective, or none is good.
        WordsightError: As for `pixel_auroc`, or a limit out of range.
    """
    if not 0 < limit <= 1:
        raise WordsightError(f"expected a limit of the false positive rate in (0, 1], got {limit}")
    _check(masks, maps)
    bad, weight = _regions(masks, maps)
    good = np.concatenate([values[~mask] for mask, values in zip(masks, maps, strict=True)])
    goods = len(good)
    # Good pixels below the one at which the limit is passed change nothing: most of them are never sorted.
    kept = min(int(limit * goods) + 1, goods)
    lowest = np.partition(good, goods - kept)[goods - kept]
    good = good[good >= lowest]
    values = np.concatenate([bad, good])
    order = np.argsort(-values, kind="stable")
    overlap = np.cumsum(np.concatenate([weight, np.zeros(len(good))])[order])
    rate = np.cumsum(order >= len(bad)) / goods
    ordered = values[order]
    last = np.append(ordered[1:] != ordered[:-1], True)
    rate, overlap = np.append(0.0, rate[last]), np.append(0.0, overlap[last])
    return area_up_to(rate, overlap, limit) / limit


def _regions(masks: Masks, maps: Maps) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Values of all defective pixels, and what each adds to the mean overlap: all of them together add 1."""
    import cv2

    values, weights, regions = [], [], 0
    for mask, heat in zip(masks, maps, strict=True):
        count, label = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        sizes = np.bincount(label.ravel(), minlength=count)
        values.append(heat[mask])
        weights.append(1 / sizes[label[mask]])
        regions += count - 1  # label 0 is what is no region
    return np.concatenate(values), np.concatenate(weights) / regions


def area_up_to(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> float:
    """Area under straight lines through (x, y), x rising, from 0 to `limit`."""
    inside = x <= limit
    end = np.interp(limit, x, y)
    x, y = np.append(x[inside], limit), np.append(y[inside], end)
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)


def _check(masks: Masks, maps: Maps) -> None:
    if len(masks) != len(maps):
        raise WordsightError(f"expected one map a mask, got {len(masks)} masks and {len(maps)} maps")
    bad = total = 0
    for index, (mask, values) in enumerate(zip(masks, maps, strict=True)):
        if mask.dtype != np.bool_:  # numbers would be taken for places
            raise WordsightError(f"expected masks of bool, got {mask.dtype} of picture {index}")
        if mask.ndim != 2 or mask.shape != values.shape:
            raise WordsightError(
                f"expected a map of its mask's size, got map {values.shape} and mask {mask.shape} of picture {index}"
            )
        if not np.isfinite(values).all():
            raise WordsightError(f"expected finite values in a map, got others in that of picture {index}")
        bad += int(mask.sum())
        total += mask.size
    if not 0 < bad < total:
        raise OneClassError(f"pixel figures need good and defective pixels, got {total - bad} good and {bad} defective")
