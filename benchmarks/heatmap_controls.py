"""What a heat map is held against: maps that know nothing of defects, and maps that know nothing of the place.

Two *trivial* maps lie on the heat map's own grid, in the same square. The control *shuffled* gives each picture the map
of another one of the same noun and label. What that reaches needs no knowledge of the place: it shows a bias to the
centre, and maps that are higher all over where there is a defect somewhere.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.datasets import Sample

Floats = NDArray[np.float32]


def other_pictures(samples: Sequence[Sample], seed: int = 0) -> NDArray[np.int64] | None:
    """For each picture another one of the same noun and label, of the same label where there is no such; (N,).

    None where a picture is the only one of its label.
    """
    rng = np.random.default_rng(seed)
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, sample in enumerate(samples):
        for key in ((sample.noun, sample.label), (sample.label,)):
            groups.setdefault(key, []).append(index)
    partners = []
    for index, sample in enumerate(samples):
        same = groups[sample.noun, sample.label]
        same = same if len(same) > 1 else groups[sample.label,]
        if len(same) == 1:
            return None
        drawn = int(rng.integers(len(same) - 1))  # of all but this one
        partners.append(same[drawn + (drawn >= same.index(index))])
    return np.array(partners, np.int64)


def colour_distance(frame: NDArray[np.uint8]) -> Floats:
    """Distance of every pixel's colour from the picture's mean colour, in grey levels: (H, W) of BGR (H, W, 3)."""
    levels = frame.astype(np.float32)
    return np.asarray(np.linalg.norm(levels - levels.mean(axis=(0, 1)), axis=2), np.float32)


def gradient(frame: NDArray[np.uint8]) -> Floats:
    """Gradient of the grey level by central differences, in grey levels a pixel: (H, W) of BGR (H, W, 3)."""
    import cv2

    down, across = np.gradient(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32))
    return np.asarray(np.hypot(down, across), np.float32)


def on_grid(values: Floats, size: tuple[int, int]) -> Floats:
    """Mean over each cell of a grid of h x w: (h, w) of (H, W)."""
    import cv2

    return np.asarray(cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.float32)
