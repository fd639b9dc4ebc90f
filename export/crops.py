"""Crop sets: which squares of a frame are scored, as data; one frame in, their mean out.

The paper uses "multi-crop" without saying which crops (section 4.1; research notes, section 1), so a set has a name and
every file records its own. ``single`` is the whole square. ``full+2x2@0.7`` is the whole square and a 2 x 2 grid of
squares of 0.7 of its side, flush with its borders; ``full+5@0.7`` is the whole square, its corners and its centre;
without ``full+`` the whole square is left out, and the rest must cover it.

The small squares reach the encoder at native resolution, so a set decides how large a frame the graph takes: with an
encoder of S pixels and crops of the fraction f, the frame's shorter side is R = round(S / f). A wide frame (a camera's
aspect) is first cut into tiles, squares of its shorter side at a stride of 0.8 of it, the last flush with the border,
as mala-lab/WinCLIP does; the set is then laid on every tile.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from wordsight.runtime.errors import SettingError
from wordsight.runtime.fits import frame_shape

__all__ = ["DEFAULT_MULTICROP", "NAMED", "CropSet", "Layout", "lay_out", "parse_crops"]

Box = tuple[int, int, int]
"""Top, left and side in pixels of the frame that the graph takes."""

DEFAULT_MULTICROP = "full+2x2@0.7"
NAMED = ("single", DEFAULT_MULTICROP, "full+2x2@0.6", "full+5@0.7", "2x2@0.7")
"""The sets that ``wordsight bench crops`` chooses among; every ``full+KxK@f`` can be had."""

TILE_STRIDE = 0.8  # of a tile's side
_LARGEST_GRID = 8
_LARGEST_FRAME = 4096  # pixels of the shorter side; the manifest's own bound
_PATTERN = re.compile(r"(full\+)?(?:(\d)x(\d)|(5))@(0?\.\d{1,4})")


@dataclass(frozen=True)
class CropSet:
    """A named set of squares.

    Attributes:
        name: as it is typed and recorded.
        full: whether the whole square is one of them, the first.
        grid: K of a K x K grid of small squares; 0 for none.
        corners: whether the small squares are the four corners and the centre.
        fraction: f, side of the small squares as a share of the whole; 1 where there are none.
    """

    name: str
    full: bool = True
    grid: int = 0
    corners: bool = False
    fraction: float = 1.0

    def side(self, image_size: int) -> int:
        """R, pixels a side of the whole square, such that the small ones have ``image_size`` pixels."""
        return round(image_size / self.fraction)

    def boxes(self, image_size: int) -> list[Box]:
        """The squares in a square frame of R pixels, the whole one first."""
        whole = self.side(image_size)
        boxes = [(0, 0, whole)] if self.full else []
        span = whole - image_size
        if self.corners:
            places = [(0, 0), (0, span), (span, 0), (span, span), (span // 2, span // 2)]
        else:
            steps = [round(i * span / max(1, self.grid - 1)) for i in range(self.grid)]
            places = [(top, left) for top in steps for left in steps]
        return boxes + [(top, left, image_size) for top, left in places]


@dataclass(frozen=True)
class Layout:
    """What a graph takes and cuts.

    Attributes:
        crops: name of the set.
        shape: rows and columns of the frames.
        boxes: every square to score, tile by tile.
        whole: indices of the boxes that show a whole tile, or of all boxes where the set leaves it out: the squares
            that ``embedding`` and ``patches`` speak for.
    """

    crops: str
    shape: tuple[int, int]
    boxes: tuple[Box, ...]
    whole: tuple[int, ...]


def parse_crops(name: str) -> CropSet:
    """A crop set by its name.

    Raises:
        SettingError: no such set, or one that would leave parts of the frame unseen.
    """
    if name == "single":
        return CropSet(name)
    found = _PATTERN.fullmatch(name)
    if found is None or found[2] != found[3]:
        raise SettingError(f"--crops takes {', '.join(NAMED)} or others of the form full+KxK@f, got {name!r}")
    full, corners, fraction = found[1] is not None, found[4] is not None, float(found[5])
    grid = 0 if corners else int(found[2])
    if not corners and not 2 <= grid <= _LARGEST_GRID:
        raise SettingError(f"--crops takes grids of 2x2 to {_LARGEST_GRID}x{_LARGEST_GRID}, got {name!r}")
    if fraction < 0.1:
        raise SettingError(f"--crops takes squares of 0.1 of the side or more, got {name!r}")
    least = 0.5 if corners else 1 / grid
    if not full and fraction < least:
        raise SettingError(f"--crops {name} would leave gaps: from {least:.2f} on they cover the frame, or add full+")
    return CropSet(name, full, grid, corners, fraction)


def lay_out(crops: CropSet, image_size: int, camera: tuple[int, ...] = ()) -> Layout:
    """The squares of a set in the frame of an encoder, or in every tile of a wide frame.

    Args:
        crops: the set.
        image_size: S, pixels a side that the encoder takes.
        camera: (height, width) in pixels of the camera's frames, for tiles; nothing for one square.

    Raises:
        SettingError: the frame would be larger than a manifest allows.
    """
    side = crops.side(image_size)
    if side > _LARGEST_FRAME:
        raise SettingError(f"--crops {crops.name} needs frames of {side} pixels, {_LARGEST_FRAME} is the most")
    shape = frame_shape(side, camera)
    boxes: list[Box] = []
    whole: list[int] = []
    for tile_top in _starts(shape[0], side):
        for tile_left in _starts(shape[1], side):
            for index, (top, left, length) in enumerate(crops.boxes(image_size)):
                if index == 0 or not crops.full:
                    whole.append(len(boxes))
                boxes.append((tile_top + top, tile_left + left, length))
    return Layout(crops.name, shape, tuple(boxes), tuple(whole))


def _starts(length: int, side: int) -> list[int]:
    """Where tiles of ``side`` begin on a line of ``length`` pixels: every 0.8 of a side, the last flush."""
    steps = math.ceil((length - side) / (TILE_STRIDE * side)) if length > side else 0
    return [min(round(i * TILE_STRIDE * side), length - side) for i in range(steps + 1)]
