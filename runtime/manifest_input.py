"""The part of the manifest that says what the graph takes, and which squares it cuts from it."""

from dataclasses import dataclass, field
from typing import Literal

from wordsight.runtime.checks import OPTIONAL, require
from wordsight.runtime.fits import Fit, frame_shape

_MAX_SIZE = 4096  # pixels of the shorter side of what the graph takes; the largest CLIP in use takes 1,024
MAX_ASPECT = 16
"""Longest side of a camera's frame, in shorter ones."""
MAX_FRAME = 16_384
"""Most pixels a side of frames that a graph resizes itself."""
FITTED_NAME = "resize.fitted"
"""Where the graph resizes: its value (N, size, size, 3) float32, whole grey levels in BGR, that all the rest reads."""
_MOST_BYTES = 64 << 20  # of whole frames in one batch: in the graph each is held as float32, in part several times


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
    frame: tuple[int, ...] = field(default=(), metadata=OPTIONAL)
    """(height, width) in pixels of the camera's frames, where the graph takes them as they are and fits them itself;
    nothing where the runtime does. Such files are of schema 2."""
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
        given = list(self.frame)
        require(len(given) in (0, 2 * (not tiled)), "input.frame", "nothing: [], or height and width", given)
        good = not given or (min(given) >= 1 and max(given) <= MAX_FRAME)
        require(good, "input.frame", f"1 to {MAX_FRAME} pixels a side", given)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frames that the graph takes."""
        return (self.frame[0], self.frame[1]) if self.frame else self.fitted

    @property
    def fitted(self) -> tuple[int, int]:
        """Rows and columns of a frame once it is fitted, by the runtime or in the graph: where squares are cut from."""
        return frame_shape(self.size, self.camera)

    def most_frames(self, batch: int) -> int:
        """Frames to give at once where `batch` are asked for: whole camera frames take memory, in the graph as well."""
        rows, columns = self.shape
        return max(1, min(batch, _MOST_BYTES // (3 * rows * columns))) if self.frame else batch


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
