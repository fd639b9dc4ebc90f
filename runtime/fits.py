"""How a frame of any size is fitted to what a graph takes: the sizes and shares, without a pixel."""

from typing import Literal, get_args

from wordsight.runtime.errors import SettingError

Fit = Literal["crop", "squash", "pad", "tiles"]


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
