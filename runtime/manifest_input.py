"""The part of the manifest that says what the graph takes, and which squares it cuts from it."""

from dataclasses import dataclass, field
from typing import Literal

from wordsight.runtime.checks import OPTIONAL, require
from wordsight.runtime.fits import Fit, frame_shape

_MAX_SIZE = 4096  # pixels of the shorter side of what the graph takes; the largest CLIP in use takes 1,024
MAX_ASPECT = 16
"""Longest side of a camera's frame, in shorter ones."""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What the graph takes, and how a frame is brought to it."""

    name: str = "frames"
    size: int
    """Pixels a side; of a frame for tiles, of its shorter side. The encoder's own size unless `crops` cuts smaller."""
    colour: Literal["BGR"] = "BGR"
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["NHWC"] = "NHWC"
    fit: Fit = "crop"
    """How a frame comes to `size`. "crop": shorter side, centre crop. "squash": both sides. "pad": longer side, black
    borders. "tiles": shorter side, the camera's whole aspect."""
    camera: tuple[int, ...] = field(default=(), metadata=OPTIONAL)
    """(height, width) in pixels of the camera's frames, for "tiles" alone."""
    interpolation: Literal["bicubic"] = "bicubic"
    mean: tuple[float, float, float]
    """Per channel, RGB, in units of 1 = white; subtracted inside the graph."""
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        require(1 <= self.size <= _MAX_SIZE, "input.size", f"1 to {_MAX_SIZE} pixels", self.size)
        require(self.name != "", "input.name", "the name of the graph's input", self.name)
        require(min(self.std) > 0, "input.std", "three numbers above 0", list(self.std))
        tiled, given = self.fit == "tiles", list(self.camera)
        require(len(given) == 2 * tiled, "input.camera", "height and width" if tiled else "nothing: []", given)
        fair = not tiled or (min(given) >= 1 and max(given) <= MAX_ASPECT * min(given))
        require(fair, "input.camera", f"1 pixel or more, sides at most 1 to {MAX_ASPECT}", given)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frames that the graph takes."""
        return frame_shape(self.size, self.camera)


@dataclass(frozen=True, kw_only=True)
class CropSpec:
    """The squares that the graph cuts from each frame; scores are their mean, each square counting once."""

    name: str = "single"
    """"single", "full+2x2@0.7", ...: the set, which is laid on every tile where there are tiles."""
    boxes: tuple[tuple[int, int, int], ...] = ()
    """(top, left, side) in pixels of what the graph takes; none stands for the whole square, uncut."""

    def require_inside(self, rows: int, columns: int) -> None:
        """Raise ManifestInvalid unless every box lies within a frame of `rows` x `columns` pixels."""
        require(self.name != "", "crops.name", "the name of a crop set", self.name)
        for index, (top, left, side) in enumerate(self.boxes):
            inside = min(top, left) >= 0 and side >= 1 and top + side <= rows and left + side <= columns
            require(inside, f"crops.boxes[{index}]", f"a square inside {rows}x{columns} pixels", [top, left, side])
        require(bool(self.boxes) or rows == columns, "crops.boxes", "the tiles of a wide frame", [])
