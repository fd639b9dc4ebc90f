"""Pictures for an archive: as many as asked for, all different, small, and cheap to make."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEIGHT, _WIDTH = 120, 160
_BASES = 32
_FOLDER = 1000  # pictures to a folder


def write_pictures(folder: Path, count: int, on_picture: Callable[[], None] = lambda: None) -> None:
    """Write `count` pictures into sub-folders of `folder`; every fourth is a PNG, the others are JPEGs.

    Each is one of 32 drawn parts, moved and lit otherwise, with its own number in the pixels of a corner: no two files
    are the same.

    Args:
        folder: there already.
        count: how many.
        on_picture: called after each.
    """
    import cv2

    rng = np.random.default_rng(0)
    bases = [_base(rng) for _ in range(_BASES)]
    for number in range(count):
        if number % _FOLDER == 0:
            parent = folder / f"{number // _FOLDER:06d}"
            parent.mkdir(exist_ok=True)
        moved = np.roll(bases[number % _BASES], (number // _BASES % _HEIGHT, number // 7 % _WIDTH), (0, 1))
        picture = cv2.convertScaleAbs(moved, alpha=1 - (number % 50) / 200)
        bits = (number >> np.arange(32)) & 1
        picture[:8, : 256 // 8] = np.repeat(np.repeat(bits.reshape(4, 8), 2, 0), 4, 1)[..., None] * np.uint8(255)
        kind = ".png" if number % 4 == 0 else ".jpg"
        _, data = cv2.imencode(kind, picture)
        (parent / f"part-{number:09d}{kind}").write_bytes(data.tobytes())
        on_picture()


def _base(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A part on a plain ground: (120, 160, 3) uint8 BGR."""
    import cv2

    picture = np.full((_HEIGHT, _WIDTH, 3), rng.integers(30, 220, 3), np.uint8)
    for _ in range(6):
        centre = tuple(int(value) for value in rng.integers(20, 100, 2))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.circle(picture, centre, int(rng.integers(5, 40)), colour, -1, cv2.LINE_AA)
    grain = rng.normal(0, 3, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)
