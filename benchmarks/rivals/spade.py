"""SPADE (Cohen and Hoshen, arXiv 2005.02357): k nearest good pictures, then the nearest cell of theirs for every cell.

N pictures, K good ones, three levels, P = G_1 * G_1 cells of the finest.
"""

from collections.abc import Iterable
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


@torch.no_grad()
def spade(support: Features, test: Iterable[Features], size: int) -> Found:
    """Score pictures.

    The image's score is the mean distance of its summary to those of the K nearest good pictures. The map is the
    distance of every cell of the pyramid, levels brought to the finest grid and joined, to the nearest cell of those
    K pictures, wherever it lies (kappa = 1).

    Args:
        support: of the good pictures.
        test: of the pictures to score, in parts.
        size: S, the side of the maps.
    """
    pooled = torch.from_numpy(support.pooled)
    gallery = pyramid(support)  # (K, P, C)
    lengths = gallery.square().sum(2)  # (K, P)
    nearest = min(NEIGHBOURS, len(pooled))
    scores: list[float] = []
    maps: list[NDArray[np.float32]] = []
    for part in test:
        distances, chosen = torch.cdist(torch.from_numpy(part.pooled), pooled).topk(nearest, largest=False)
        scores += distances.mean(1).tolist()
        for cells, rows in zip(pyramid(part), chosen, strict=True):
            side = part.levels[0].shape[-1]
            # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, the first of which does not change which b is nearest.
            beyond = [torch.addmm(lengths[row], cells, gallery[row].T, alpha=-2).amin(1) for row in rows]
            squared = cells.square().sum(1) + torch.stack(beyond).amin(0)  # (P,)
            maps.append(smoothed(squared.clamp_min(0).sqrt().reshape(side, side), size))
    return Found(np.array(scores), np.stack(maps))


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
