"""Detectors that understand nothing: what they reach, no one needs a model for.

Two of them, both on grey levels and gradients of a picture shrunk to at most 240 pixels a side:

- *k-NN*: distance of the picture's histograms and moments to the nearest good pictures;
- *largest gradient*: the strongest edge in the picture, no fitting at all.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import SettingError

_SIDE = 240  # pixels; histograms need no common size, gradients need a bounded one
_BINS = 24
_TOP = 160.0  # grey levels a pixel: gradients above share the last bin

Features = NDArray[np.float64]


def features(frame: NDArray[np.uint8]) -> Features:
    """Grey-level and gradient statistics, (F,) float64; the last one is the largest gradient.

    Args:
        frame: (H, W, 3) uint8 BGR, at least 1x1.
    """
    import cv2

    height, width = frame.shape[:2]
    shrink = _SIDE / max(height, width)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float64)
    across = np.diff(grey, axis=1, append=grey[:, -1:])
    down = np.diff(grey, axis=0, append=grey[-1:])
    gradient = np.hypot(across, down)
    levels = np.histogram(grey, _BINS, (0, 256))[0] / grey.size
    # Gradients crowd near zero: bins even in their square root tell them apart.
    edges = np.histogram(np.sqrt(np.minimum(gradient, _TOP)), _BINS, (0, _TOP**0.5))[0] / grey.size
    moments = [grey.mean(), grey.std(), gradient.mean(), gradient.std(), np.percentile(gradient, 99), gradient.max()]
    return np.concatenate([np.sqrt(levels), np.sqrt(edges), moments])


def largest_gradient(rows: Features) -> NDArray[np.float64]:
    """Score (N,) of feature rows (N, F): the strongest edge, in grey levels a pixel."""
    return np.asarray(rows[:, -1])


@dataclass
class NearestGood:
    """k-NN anomaly detector: mean distance to the `neighbours` nearest good pictures, features standardised."""

    neighbours: int = 5

    def fit(self, good: Features) -> "NearestGood":
        """Remember good pictures, feature rows (M, F)."""
        from sklearn.neighbors import NearestNeighbors

        if len(good) < 1:
            raise SettingError("the k-NN detector is fitted on good pictures, got none; add some to DIR/train/good")
        self._centre, self._scale = good.mean(0), np.maximum(good.std(0), 1e-3)
        self._index: Any = NearestNeighbors(n_neighbors=min(self.neighbours, len(good)))
        self._index.fit(self._standard(good))
        return self

    def score(self, rows: Features) -> NDArray[np.float64]:
        """Scores (N,) of feature rows (N, F): 0 on a picture that was fitted `neighbours` times, larger means odder."""
        distance, _ = self._index.kneighbors(self._standard(rows))
        return np.asarray(distance.mean(1))

    def _standard(self, rows: Features) -> Features:
        return np.asarray((rows - self._centre) / self._scale)
