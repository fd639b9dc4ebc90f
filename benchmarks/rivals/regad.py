"""RegAD's detector (arXiv 2207.07361, sections 3.3 and 3.4): a Gaussian at every cell of registered, augmented support.

N pictures, n = shots * len(VIEWS) views, P cells, C channels of all levels together.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordsight.benchmarks.rivals.measure import Found
from wordsight.benchmarks.rivals.registration import Frames
from wordsight.benchmarks.rivals.spade import pyramid, smoothed
from wordsight.benchmarks.rivals.tower import Features

REGULARISER = 0.01
"""Epsilon of the covariance."""
TURNS = (0.0, 11.25, -11.25, 22.5, -22.5, 45.0, -45.0, 90.0, 180.0, 270.0)  # degrees
SHIFTS = ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1), (0.1, 0.1), (-0.1, -0.1))  # of the side
VIEWS = len(TURNS) + len(SHIFTS) + 3
SETTINGS = {"regulariser": REGULARISER, "turns": TURNS, "shifts": SHIFTS, "also": "both flips, grey"}


def views(frame: Frames) -> Frames:
    """A frame (S, S, 3) turned, shifted, flipped and grey: (VIEWS, S, S, 3). What comes in at a border repeats it."""
    import cv2

    size = frame.shape[0]
    centre = ((size - 1) / 2, (size - 1) / 2)
    maps = [cv2.getRotationMatrix2D(centre, angle, 1.0) for angle in TURNS]
    maps += [np.array([[1, 0, x * size], [0, 1, y * size]]) for x, y in SHIFTS]
    turned = [
        cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for matrix in maps
    ]
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(np.stack([*turned, frame[:, ::-1], frame[::-1], grey]), np.uint8)


class Gaussians:
    """Mean and covariance of n vectors at each of P cells; n is far below C, so that only n x n matrices are solved.

    With rows X (n, C) less their mean, the covariance is X'X / (n - 1) + e I, and its inverse, by Woodbury's identity,
    (I - X' (X X' + (n - 1) e I)^-1 X) / e.

    Args:
        vectors: (n, P, C), n at least 2.
    """

    def __init__(self, vectors: Tensor) -> None:
        count = len(vectors)
        self.mean = vectors.mean(0)  # (P, C)
        centred = (vectors - self.mean).transpose(0, 1)  # (P, n, C)
        inner = (centred @ centred.transpose(1, 2)).double()
        inner += (count - 1) * REGULARISER * torch.eye(count, dtype=torch.float64)
        whiten = torch.linalg.inv(torch.linalg.cholesky(inner)).float()
        self.spread = whiten @ centred  # (P, n, C)

    def distances(self, vectors: Tensor) -> Tensor:
        """Mahalanobis distance (P,) of one picture's vectors (P, C)."""
        away = vectors - self.mean
        along = torch.einsum("pnc,pc->pn", self.spread, away)
        squared = (away.square().sum(1) - along.square().sum(1)) / REGULARISER
        return squared.clamp_min(0).sqrt()


@torch.no_grad()
def regad(support: Features, test: Iterable[Features], size: int) -> Found:
    """Score pictures: the map is the Mahalanobis distance of every cell, smoothed, the image's score its maximum.

    Args:
        support: registered features of all `views` of the good pictures.
        test: registered features of the pictures to score, in parts.
        size: S, the side of the maps.
    """
    gaussians = Gaussians(pyramid(support))
    maps: list[NDArray[np.float32]] = []
    for part in test:
        side = part.levels[0].shape[-1]
        for cells in pyramid(part):
            maps.append(smoothed(gaussians.distances(cells).reshape(side, side), size))
    joined = np.stack(maps)
    return Found(joined.max((1, 2)), joined)
