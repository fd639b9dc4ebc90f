"""A frame of any size to the encoder's square, as Pillow's bicubic filter does it.

OpenCV has no such filter (its cubic does not widen when it shrinks), and CLIP was trained behind Pillow's. Resizing is
two products with banded matrices, rounded to 8 bit in between, in the order of Pillow 13. The weights are Pillow's own
fixed-point integers, exact in float64, so the result agrees with `open_clip.image_transform` on the decoded 8-bit
picture: to 1 grey level at most and 0.01 on average is promised and tested, 0 is what is seen. Only the taps that reach
the crop are computed: a frame of 20,000x3 is cropped before it is resized.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import FrameError, MissingPart
from wordsight.runtime.fits import Fit, check_fit, cut_offset, frame_shape, kept_centre, pad_offset, resized_shape
from wordsight.runtime.opencv import load_cv2

Frame = NDArray[np.uint8]

_SUPPORT = 2.0  # pixels a side that a bicubic filter reaches, at scale 1
_A = -0.5  # the cubic's free parameter, as in Pillow (OpenCV has -0.75)
WEIGHT_BITS = 22
"""Pillow's weights are whole numbers in units of 2**-22."""
_BITS = WEIGHT_BITS
_CHUNK = 1 << 17  # values of a frame turned into float64 at once: a megabyte, which stays in a core's cache


def check_frame(frame: Any) -> Frame:
    """Return `frame` if it is uint8 BGR (H, W, 3) with at least one pixel.

    Raises:
        FrameError: says what was expected, what came, and what to do.
    """
    shape = getattr(frame, "shape", None)
    if not isinstance(frame, np.ndarray) or shape is None:
        raise FrameError(f"expected a numpy array (H, W, 3) uint8 BGR, got {type(frame).__name__}")
    if frame.ndim == 2 or (frame.ndim == 3 and shape[2] == 1):
        raise FrameError(f"expected a BGR frame (H, W, 3), got grey {shape}; use cv2.cvtColor(f, cv2.COLOR_GRAY2BGR)")
    if frame.ndim != 3 or shape[2] != 3:
        raise FrameError(f"expected a BGR frame (H, W, 3), got shape {shape}")
    if frame.dtype != np.uint8:
        raise FrameError(f"expected uint8 from 0 to 255, got {frame.dtype}; scale and convert it with astype('uint8')")
    if 0 in shape:
        raise FrameError(f"expected a frame with at least one pixel, got shape {shape}")
    return frame


def fit_frame(frame: Frame, size: int, fit: Fit = "crop", camera: tuple[int, ...] = ()) -> Frame:
    """Bring a frame to (size, size, 3), or, for "tiles", to the whole wide picture that `frame_shape` gives.

    "crop": the shorter side becomes `size`, the centre is cut out (open_clip's "shortest"). "squash": both sides
    become `size`. "pad": the longer side becomes `size`, the rest is black ("longest"; a side that would vanish there,
    which open_clip refuses, keeps 1 pixel). "tiles": the centre of the camera's aspect is cut out, all of the frame
    when it has that aspect, and its shorter side becomes `size`.

    Args:
        frame: (H, W, 3) uint8 BGR.
        size: pixels of the shorter side.
        fit: "crop", "squash", "pad" or "tiles".
        camera: (height, width) in pixels of the frames that "tiles" is made for; nothing for the others.

    Returns:
        (*frame_shape(size, camera), 3) uint8 BGR; `frame` itself when it already has that size.

    Raises:
        FrameError: `frame` is no uint8 BGR frame.
        SettingError: no such fit, or "tiles" without a camera.
    """
    height, width = check_frame(frame).shape[:2]
    check_fit(fit, camera)
    if (height, width) == frame_shape(size, camera):
        return frame
    if fit == "tiles":
        rows, columns = frame_shape(size, camera)
        kept_rows, kept_columns = kept_centre(height, width, camera)
        top, left = (height - kept_rows) // 2, (width - kept_columns) // 2
        frame = frame[top : top + kept_rows, left : left + kept_columns]
        return _resize(frame, rows, columns, (0, rows), (0, columns))
    rows, columns = resized_shape(height, width, size, fit)
    top, left = cut_offset(rows, size), cut_offset(columns, size)
    inside = _resize(frame, rows, columns, (top, min(top + size, rows)), (left, min(left + size, columns)))
    if inside.shape[:2] == (size, size):
        return inside
    canvas = np.zeros((size, size, 3), np.uint8)
    top, left = pad_offset(inside.shape[0], size), pad_offset(inside.shape[1], size)
    canvas[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return canvas


def resampling_weights(length: int, target: int) -> NDArray[np.float64]:
    """The matrix that resizes a line as Pillow's bicubic filter does: (target, length), whole numbers.

    In units of 2**-WEIGHT_BITS; a row is one output pixel. Pillow sums in integers, adds half a unit, shifts and clips
    to 0 ... 255: horizontally first, then vertically on the rounded result (Pillow's Resample.c).
    """
    matrix = np.zeros((target, length))
    left, _, bands = _bands(length, target, 0, target)
    first = 0
    for begin, stop, weights in bands:
        matrix[first : first + len(weights), left + begin : left + stop] = weights
        first += len(weights)
    return matrix


def vertical_first(height: int, width: int, rows: int, columns: int) -> bool:
    """Whether Pillow 13 resamples a frame of (height, width) to (rows, columns) vertically first, as it does tall ones.

    Rounding in between makes the order visible.
    """
    return height > rows and height - rows > 2 * (width - columns)


def _resize(frame: Frame, rows: int, columns: int, row_range: tuple[int, int], column_range: tuple[int, int]) -> Frame:
    """The part (row_range, column_range) of `frame` resized to (rows, columns)."""
    height, width = frame.shape[:2]
    top, bottom, down = _bands(height, rows, *row_range)
    left, right, across = _bands(width, columns, *column_range)
    reached = frame[top:bottom, left:right]
    if vertical_first(height, width, rows, columns):
        return _turned(_resample(_turned(_resample(reached, down)), across))
    return _resample(_turned(_resample(_turned(reached), across)), down)


def _turned(frame: Frame) -> Frame:
    """(H, W, 3) to (W, H, 3): products then read and write whole lines, however far apart the taps are."""
    try:
        return np.asarray(load_cv2().transpose(frame))  # several times as fast as numpy, which has no such loop
    except MissingPart:
        return np.ascontiguousarray(frame.transpose(1, 0, 2))


Band = tuple[int, int, NDArray[np.float64]]
"""First and last+1 input, weights (outputs, inputs) in units of 2**-22; the outputs follow those of the band before."""


def _resample(frame: Frame, bands: tuple[Band, ...]) -> Frame:
    """Resample along axis 0: (L, W, 3) to (outputs, W, 3), rounded to 8 bit as Pillow does."""
    lines = frame.reshape(len(frame), -1)
    result = np.empty((sum(len(weights) for *_, weights in bands), lines.shape[1]), np.uint8)
    # One pair of buffers for all products: a system that hands out fresh pages for each spends as long on them.
    deepest, tallest = max(stop - begin for begin, stop, _ in bands), max(len(weights) for *_, weights in bands)
    step = min(lines.shape[1], max(64, _CHUNK // deepest))
    inputs, outputs = np.empty(deepest * step), np.empty(tallest * step)
    first = 0
    for begin, stop, weights in bands:
        last = first + len(weights)
        for column in range(0, lines.shape[1], step):
            part = lines[begin:stop, column : column + step]
            taps = inputs[: part.size].reshape(part.shape)
            taps[...] = part
            summed = outputs[: len(weights) * part.shape[1]].reshape(len(weights), -1)
            np.matmul(weights, taps, out=summed)
            summed += 1 << (_BITS - 1)
            summed *= 2.0**-_BITS
            np.clip(summed, 0, 255.5, out=summed)
            result[first:last, column : column + step] = summed  # truncates: floor, as Pillow's shift does
        first = last
    return result.reshape(-1, *frame.shape[1:])


@lru_cache(maxsize=16)
def _bands(length: int, target: int, start: int, stop: int) -> tuple[int, int, tuple[Band, ...]]:
    """Of outputs `start` to `stop` of `length` pixels resized to `target`: the inputs they reach, bands of those."""
    scale = length / target
    stretch = max(scale, 1.0)
    reach = _SUPPORT * stretch
    # Wide bands make fewer products, narrow ones waste fewer zeros; very long lines get one output a band.
    width = max(1, min(16, int(65536 / (6 * reach))))
    bands: list[Band] = []
    for first in range(start, stop, width):
        outputs = range(first, min(first + width, stop))
        centres = [(i + 0.5) * scale for i in outputs]
        begins = [max(0, int(centre - reach + 0.5)) for centre in centres]
        stops = [min(length, int(centre + reach + 0.5)) for centre in centres]
        begin, end = begins[0], max(stops)
        weights = np.zeros((len(outputs), end - begin))
        for row, (centre, low, high) in enumerate(zip(centres, begins, stops, strict=True)):
            taps = _cubic((np.arange(low, high) - centre + 0.5) / stretch)
            taps = taps / taps.sum() * (1 << _BITS)
            weights[row, low - begin : high - begin] = np.trunc(taps + np.where(taps < 0, -0.5, 0.5))
        bands.append((begin, end, weights))
    left, right = min(band[0] for band in bands), max(band[1] for band in bands)
    return left, right, tuple((begin - left, end - left, weights) for begin, end, weights in bands)


def _cubic(x: Any) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    near = ((_A + 2.0) * x - (_A + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _A
    return np.asarray(np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0)), np.float64)
