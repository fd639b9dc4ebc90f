"""How a frame of any size is fitted to what a graph takes: the sizes, shares and places, without a pixel."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from wordsight.runtime.errors import SettingError

Fit = Literal["crop", "squash", "pad", "tiles"]


@dataclass(frozen=True)
class Place:
    """Where what the graph takes lies in a frame: a rectangle in pixels of the frame, which "pad" lets reach beyond it.

    Pixel i covers i to i + 1, so that its centre is i + 0.5.
    """

    left: float
    top: float
    width: float
    height: float

    def to_frame(self, x: float, y: float) -> tuple[float, float]:
        """From shares of the rectangle, 0 to 1 from its left and top, to pixels of the frame."""
        return self.left + x * self.width, self.top + y * self.height

    def to_square(self, x: float, y: float) -> tuple[float, float]:
        """From pixels of the frame to shares of the rectangle: the inverse of `to_frame`."""
        return (x - self.left) / self.width, (y - self.top) / self.height

    def scaled(self, across: float, down: float) -> "Place":
        """The place in a frame that is drawn `across` times as wide and `down` times as high."""
        return Place(self.left * across, self.top * down, self.width * across, self.height * down)

    def inside(self, height: int, width: int) -> tuple[range, range]:
        """Rows and columns of a frame whose centres lie in the rectangle: what the encoder sees of it."""
        return _centres(self.top, self.height, height), _centres(self.left, self.width, width)


def seen_place(height: int, width: int, size: int, fit: Fit = "crop", camera: tuple[int, ...] = ()) -> Place:
    """Where in a frame lies what `fit_frame` (preprocess.py) makes of it; arguments as there."""
    check_fit(fit, camera)
    if fit == "tiles":
        rows, columns = kept_centre(height, width, camera)
        return Place((width - columns) // 2, (height - rows) // 2, columns, rows)
    rows, columns = resized_shape(height, width, size, fit)
    down, across = height / rows, width / columns  # pixels of the frame to one of the resized frame
    # "crop" cuts the resized frame, "pad" puts it into the square: one of the two offsets is 0 on each side.
    top, left = cut_offset(rows, size) - pad_offset(rows, size), cut_offset(columns, size) - pad_offset(columns, size)
    return Place(left * across, top * down, size * across, size * down)


def cut_offset(length: int, size: int) -> int:
    """First of the `size` pixels in the middle of `length`; half to even, as torchvision's CenterCrop does."""
    return max(0, round((length - size) / 2.0))


def pad_offset(length: int, size: int) -> int:
    """Where `length` pixels begin in the middle of `size`."""
    return max(0, (size - length) // 2)


def _centres(first: float, extent: float, length: int) -> range:
    begin, stop = math.ceil(first - 0.5), math.ceil(first + extent - 0.5)
    return range(max(0, begin), max(0, begin, min(length, stop)))


def frame_shape(size: int, camera: tuple[int, ...] = ()) -> tuple[int, int]:
    """Rows and columns of what `fit_frame` gives: a square, or the camera's aspect with `size` as its shorter side."""
    if not camera:
        return size, size
    height, width = camera
    longer = round(size * max(camera) / min(camera))
    return (size, longer) if height <= width else (longer, size)


def seen_share(height: int, width: int, size: int, fit: Fit = "crop", camera: tuple[int, ...] = ()) -> float:
    """Share of a frame's area that reaches the encoder, 0 to 1.

    Below 1 only when something is cut away: by "crop" from every frame that is not square, by "tiles" from frames of
    another aspect than the camera's. Arguments as in `fit_frame` (preprocess.py).
    """
    check_fit(fit, camera)
    if fit == "tiles":
        kept_rows, kept_columns = kept_centre(height, width, camera)
        return kept_rows * kept_columns / (height * width)
    return min(height, width) / max(height, width) if fit == "crop" else 1.0


def check_fit(fit: Fit, camera: tuple[int, ...]) -> None:
    """Raise SettingError unless `fit` is one, and comes with a camera's (height, width) exactly when it is "tiles"."""
    if fit not in get_args(Fit):
        raise SettingError(f"expected fit crop, squash, pad or tiles, got {fit!r}")
    if (fit == "tiles") != bool(camera):
        wanted = "a camera's (height, width)" if fit == "tiles" else "no camera"
        raise SettingError(f"fit {fit} takes {wanted}, got {camera!r}")


def kept_centre(height: int, width: int, camera: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of the largest centre of a frame that has the camera's aspect, at least 1 pixel each."""
    rows, columns = camera
    if width * rows >= height * columns:
        return height, max(1, round(height * columns / rows))
    return max(1, round(width * rows / columns)), width


def resized_shape(height: int, width: int, size: int, fit: Fit) -> tuple[int, int]:
    """Rows and columns of the whole resized frame, for "crop", "squash" and "pad"."""
    short, long = min(height, width), max(height, width)
    if fit == "crop":
        other = int(size * long / short)  # truncated, as torchvision's Resize does
        return (size, other) if height <= width else (other, size)
    if fit == "squash":
        return size, size
    ratio = max(height / size, width / size)  # "pad"
    return max(1, round(height / ratio)), max(1, round(width / ratio))
