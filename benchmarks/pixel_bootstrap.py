"""Bootstrap over pictures of pixel figures: how much they would move with other pictures of the same kind.

Sorting tens of millions of pixels a thousand times is out of reach. So values are sorted into a few thousand bins once,
and a picture becomes three rows: its good pixels, its defective pixels, and what its regions add to the overlap. A
resample is then a weighted sum of rows. Values in one bin count as equal, which moves a figure by far less than the
interval is wide; the figures themselves are exact, `pixels.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.bootstrap import draws
from wordsight.benchmarks.pixels import Maps, Masks, area_up_to

Floats = NDArray[np.float64]
_BINS = 1024
"""Quantiles of the defective pixels' values, and as many of the good ones', are the edges of the bins."""
_SAMPLED = 1 << 20  # values that the quantiles are taken of


@dataclass(frozen=True)
class Binned:
    """N pictures, B bins from high values to low."""

    good: Floats
    """(N, B): good pixels."""
    bad: Floats
    """(N, B): defective pixels."""
    overlap: Floats
    """(N, B): shares of regions, each region's pixels adding up to 1."""
    labels: NDArray[np.int64]
    """(N,): 1 where a picture is drawn with the defective ones."""

    def pixel_auroc(self, drawn: NDArray[np.integer]) -> float:
        """Pixel AUROC of pictures drawn so often, (N,)."""
        good, bad = drawn @ self.good, drawn @ self.bad
        beaten = good.sum() - np.cumsum(good) + good / 2
        return float(bad @ beaten / (bad.sum() * good.sum()))

    def aupro(self, drawn: NDArray[np.integer], limit: float = 0.3) -> float:
        """AUPRO of pictures drawn so often, (N,)."""
        good, overlap = drawn @ self.good, drawn @ self.overlap
        rate = np.append(0.0, np.cumsum(good) / good.sum())
        return area_up_to(rate, np.append(0.0, np.cumsum(overlap) / overlap.sum()), limit) / limit


def binned(masks: Masks, maps: Maps, labels: NDArray[np.int64]) -> Binned:
    """Count every picture's pixels by value; arguments as for `pixels.pixel_auroc`, labels (N,) of 0 and 1."""
    import cv2

    edges = _edges(masks, maps)
    rows: tuple[list[Floats], list[Floats], list[Floats]] = ([], [], [])
    for mask, values in zip(masks, maps, strict=True):
        place = (len(edges) - np.searchsorted(edges, values.ravel(), "right")).reshape(values.shape)
        count, label = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        sizes = np.bincount(label.ravel(), minlength=count)
        total = len(edges) + 1
        rows[0].append(np.bincount(place[~mask], minlength=total).astype(np.float64))
        rows[1].append(np.bincount(place[mask], minlength=total).astype(np.float64))
        shares = np.bincount(place[mask], 1 / sizes[label[mask]], minlength=total)
        rows[2].append(shares.astype(np.float64))  # where nothing is counted, bincount gives whole numbers
    good, bad, overlap = (np.stack(row) for row in rows)
    return Binned(good, bad, overlap, labels)


def resample(counted: Binned, resamples: int = 1000, seed: int = 0) -> tuple[Floats, Floats]:
    """Pixel AUROC and AUPRO of resampled pictures, (resamples,) each; good and defective ones are drawn apart.

    A resample without a single defective pixel, such as few empty masks may give, says nothing and is left out.
    """
    found = [
        (counted.pixel_auroc(row), counted.aupro(row))
        for drawn in draws(counted.labels, resamples, seed)
        for row in drawn
        if (row @ counted.bad).any()
    ]
    areas, overlaps = np.array(found).T
    return areas, overlaps


def _edges(masks: Masks, maps: Maps) -> Floats:
    """Values that part the bins, rising."""
    rng = np.random.default_rng(0)
    kinds: tuple[list[Floats], list[Floats]] = ([], [])
    each = max(1, _SAMPLED // len(masks))
    for mask, values in zip(masks, maps, strict=True):
        for kind, chosen in enumerate((values[~mask], values[mask])):
            some = chosen if len(chosen) <= each else rng.choice(chosen, each, replace=False)
            kinds[kind].append(some.astype(np.float64))
    shares = np.linspace(0, 1, _BINS)
    return np.unique(np.concatenate([np.quantile(np.concatenate(kind), shares) for kind in kinds]))
