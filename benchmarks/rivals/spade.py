"""SPADE (Cohen and Hoshen, arXiv 2005.02357): k nearest good pictures, then the nearest cell of theirs for every cell.

N pictures, K good ones, three levels, P = G_1 * G_1 cells of the finest.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from wordsight.benchmarks.rivals.measure import Found
from wordsight.benchmarks.rivals.tower import Features

NEIGHBOURS = 50
"""K of the paper (section 3.2); with fewer good pictures, all of them."""
SIGMA = 4.0
"""Of the Gaussian that smooths a map, in pixels of the backbone's input (section 3.3)."""
SETTINGS = {"neighbours": NEIGHBOURS, "sigma": SIGMA, "cells": 1}


class Spade:
    """SPADE on the test pictures of one class.

    What the cells of all test pictures are from those of a good picture is kept: draws of 1, 2 and 4 share pictures.

    Args:
        test: gives features of the test pictures, in parts, as often as it is asked.
        size: S, the side of the maps.
    """

    def __init__(self, test: Callable[[], Iterable[Features]], size: int) -> None:
        self._test, self._size = test, size
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def score(self, support: Features, names: Sequence[str]) -> Found:
        """Score the test pictures.

        The image's score is the mean distance of its summary to those of the K nearest good pictures. The map is the
        distance of every cell of the pyramid, levels brought to the finest grid and joined, to the nearest cell of
        those K pictures, wherever it lies (kappa = 1).

        Args:
            support: of the good pictures.
            names: of the good pictures, each its own within the class.
        """
        new = [place for place, name in enumerate(names) if name not in self._kept]
        if new:
            parts = [_beyond(pyramid(part), pyramid(support)[new]) for part in self._test()]
            self._kept |= dict(zip((names[place] for place in new), torch.cat(parts, 1), strict=True))
        nearest = min(NEIGHBOURS, len(names))
        pooled = torch.cat([torch.from_numpy(part.pooled) for part in self._test()])
        distances, chosen = torch.cdist(pooled, torch.from_numpy(support.pooled)).topk(nearest, largest=False)
        beyond = torch.stack([self._kept[name] for name in names])  # (K, N, P)
        side = support.levels[0].shape[-1]
        maps = [
            smoothed(beyond[rows, place].amin(0).reshape(side, side), self._size) for place, rows in enumerate(chosen)
        ]
        return Found(distances.mean(1).numpy(), np.stack(maps))


def _beyond(test: Tensor, good: Tensor) -> Tensor:
    """Distance of each cell of pictures (N, P, C) to the nearest of each good one (K, P, C): (K, N, P)."""
    lengths = good.square().sum(2)
    found = torch.empty(len(good), *test.shape[:2])
    for place, cells in enumerate(test):
        for row, gallery in enumerate(good):
            # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, the first of which does not change which b is nearest.
            least = torch.addmm(lengths[row], cells, gallery.T, alpha=-2).amin(1)
            found[row, place] = (cells.square().sum(1) + least).clamp_min(0).sqrt()
    return found


def pyramid(features: Features) -> Tensor:
    """All levels at the finest grid, joined: (N, P, C_1 + C_2 + C_3)."""
    side = features.levels[0].shape[-1]
    levels = [F.interpolate(torch.from_numpy(level), (side, side), mode="bilinear") for level in features.levels]
    return torch.cat(levels, 1).flatten(2).transpose(1, 2).contiguous()


def smoothed(cells: Tensor, size: int) -> NDArray[np.float32]:
    """A map (G, G) at (size, size), smoothed."""
    import cv2

    fine: Any = F.interpolate(cells[None, None], (size, size), mode="bilinear")[0, 0].numpy()
    return np.asarray(cv2.GaussianBlur(fine, (0, 0), SIGMA), np.float32)
