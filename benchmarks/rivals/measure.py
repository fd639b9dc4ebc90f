"""What a method found, and its five figures: of images always, of pixels where it gives maps and masks are there.

Maps and masks meet on the square that the backbone saw (the centre of the frame), at its own resolution up to 256
pixels a side, so that a backbone of small pictures and one of large ones are asked for the same. What lies outside
that square counts for nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import metrics, pixels
from wordsight.benchmarks.datasets import Sample

FIGURES = ("auroc", "aupr", "f1_max", "pixel_auroc", "aupro")
HEADINGS = {
    "auroc": "AUROC", "aupr": "AUPR", "f1_max": "F1-max", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"
}  # fmt: skip
_MOST = 256  # pixels a side, as anomalib evaluates


@dataclass(frozen=True)
class Found:
    """Scores (N,) and, where the method has them, maps (N, h, w) of the square; higher is more anomalous."""

    scores: NDArray[np.floating]
    maps: NDArray[np.floating] | None = None


@dataclass(frozen=True)
class Truth:
    """Labels (N,) and the masks of the squares; None where a defective picture has no mask."""

    labels: NDArray[np.int64]
    masks: list[NDArray[np.bool_]] | None


def truth_of(samples: Sequence[Sample], sizes: Sequence[tuple[int, int]]) -> Truth:
    """The truth about pictures of `sizes` (height, width).

    Raises:
        MaskError: a mask cannot be read or is of another size than its picture.
    """
    labels = np.array([sample.label for sample in samples], np.int64)
    masks = []
    for sample, size in zip(samples, sizes, strict=True):
        mask = sample.load_mask(size) if sample.label else np.zeros(size, np.bool_)
        if mask is None:
            return Truth(labels, None)
        masks.append(_square(mask))
    return Truth(labels, masks if any(mask.any() for mask in masks) else None)


def figures(truth: Truth, found: Found) -> dict[str, float | None]:
    """The figures of `FIGURES`, fractions; None for those of pixels without maps or masks.

    Raises:
        OneClassError: pictures of one label only.
        WordsightError: scores or maps that are not finite.
    """
    image = {
        "auroc": metrics.auroc(truth.labels, found.scores),
        "aupr": metrics.aupr(truth.labels, found.scores),
        "f1_max": metrics.f1_max(truth.labels, found.scores).value,
    }
    if found.maps is None or truth.masks is None:
        return {**image, "pixel_auroc": None, "aupro": None}
    import cv2

    maps = [
        cv2.resize(np.asarray(heat, np.float32), mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for heat, mask in zip(found.maps, truth.masks, strict=True)
    ]
    values = {"pixel_auroc": pixels.pixel_auroc(truth.masks, maps), "aupro": pixels.aupro(truth.masks, maps)}
    return {**image, **values}


def _square(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The centre of a mask at most `_MOST` pixels a side; a pixel is defective where half of what it covers is."""
    import cv2

    height, width = mask.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    centre = mask[top : top + side, left : left + side]
    if side <= _MOST:
        return np.ascontiguousarray(centre)
    shrunk = cv2.resize(centre.astype(np.float32), (_MOST, _MOST), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk >= 0.5)
