"""Fit and resize of a camera's frames as the first part of an exported graph, to the bit as `runtime/preprocess.py`.

Put before the finished graph of any precision, so that neither half precision nor the quantiser ever sees it. An
antialiased bicubic resize is a product with a constant matrix on each side of the picture; ONNX's own ``Resize`` is
refused by TensorRT and wrong in other engines. Of the matrices only the rows that reach the crop are kept, and of the
frame only the pixels that those rows read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordsight.export.errors import ExportError
from wordsight.export.exact import HalfUnits, halved
from wordsight.export.fused import INPUT_NAME
from wordsight.runtime.fits import Fit, cut_offset, pad_offset, resized_shape
from wordsight.runtime.manifest_input import FITTED_NAME
from wordsight.runtime.preprocess import WEIGHT_BITS, resampling_weights, vertical_first

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["with_resize"]

_ROWS, _COLUMNS = 2, 3
"""Axes of (N, 3, H, W)."""
_BANDS = 8
"""A side's outputs come in so many products, each of the pixels that it reads alone: most of a matrix is zero."""
_PREFIX = "resize."
"""Of the names of all nodes, values and constants that are added."""


@dataclass(frozen=True)
class _Band:
    """Some outputs of a side: the pixels of the frame that they are summed from, and the matrix (outputs, pixels)."""

    first: int
    stop: int
    weights: HalfUnits


@dataclass(frozen=True)
class _Side:
    """One side of the frame: the pixels that are read, the outputs that are kept, and their bands; none, no pass."""

    first: int
    stop: int
    kept: int
    bands: tuple[_Band, ...] = ()


def with_resize(model: ModelProto, frame: tuple[int, ...], size: int, fit: Fit) -> ModelProto:
    """A copy of an exported graph that takes frames of one camera as they come and fits them itself.

    Args:
        model: a graph of `build_graph`, of any precision, that takes (N, size, size, 3); it is left as it is.
        frame: (height, width) in pixels of the camera's frames.
        size: pixels a side of what the graph takes.
        fit: "crop", "squash" or "pad", as in `fit_frame`.

    Returns:
        The graph with the input ``frames`` uint8 ("batch", *frame, 3) and the same outputs; what it computes from it is
        what `fit_frame` gives, exactly.

    Raises:
        ExportError: a graph that does not begin with a cast, or a frame so large that sums would not be exact.
    """
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    readers = [node for node in graph.node if INPUT_NAME in node.input]
    if len(readers) != 1 or readers[0].op_type != "Cast":
        raise ExportError("expected a graph whose frames are cast to float first, and read by nothing else")
    cast = readers[0]
    axes = graph.input[0].type.tensor_type.shape.dim
    if (axes[1].dim_value, axes[2].dim_value) != (size, size):
        raise ExportError(f"expected a graph of {size}x{size} pixels, got {axes[1].dim_value}x{axes[2].dim_value}")
    writer = _Writer()
    taken = _fitted(writer, (frame[0], frame[1]), size, fit)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == cast.output[0]:
                node.input[place] = taken
    nodes = [*writer.nodes, *(node for node in graph.node if node is not cast)]
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(writer.constants)
    axes[1].dim_value, axes[2].dim_value = frame
    onnx.checker.check_model(result, full_check=False)
    return result


class _Writer:
    """Nodes and constants, in the order in which they are written."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Append a node; return the name of its output."""
        import onnx

        name = name or f"{_PREFIX}{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """Append a constant; return its name."""
        import onnx

        name = f"{_PREFIX}constant_{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, value: float) -> str:
        """Append a float32 number; return its name."""
        return self.constant(np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        """Append int64 numbers as a vector; return its name."""
        return self.constant(np.array(values, np.int64))


def _fitted(writer: _Writer, frame: tuple[int, int], size: int, fit: Fit) -> str:
    """Write the way from the input to float32 (N, size, size, 3) of whole grey levels; return its name."""
    height, width = frame
    rows, columns = resized_shape(height, width, size, fit)
    down, across = _side(height, rows, size), _side(width, columns, size)
    pixels = writer.node("Cast", INPUT_NAME, to=1)  # at once: TensorRT takes uint8 as a network input and nowhere else
    order = [(_ROWS, down), (_COLUMNS, across)]
    if not vertical_first(height, width, rows, columns):
        order.reverse()
    passes = [(axis, side) for axis, side in order if side.bands]
    whole = {_ROWS: (down.first, down.stop), _COLUMNS: (across.first, across.stop)}

    # The first pass cuts its bands from the frame itself and turns each to planes: the whole is never copied.
    planes = ""
    for place, (axis, side) in enumerate(passes):
        sums: list[list[str]] = [[], []]
        for band in side.bands:
            if place == 0:
                part = _planes(writer, pixels, frame, {**whole, axis: (band.first, band.stop)})
            else:
                first, stop = band.first - side.first, band.stop - side.first
                part = _cut(writer, planes, axis, first, stop, side.stop - side.first)
            for found, weights in zip(sums, (band.weights.high, band.weights.low), strict=True):
                matrix = writer.constant(weights if axis == _ROWS else weights.T)
                found.append(writer.node("MatMul", *((matrix, part) if axis == _ROWS else (part, matrix))))
        high, low = (f[0] if len(f) == 1 else writer.node("Concat", *f, axis=axis) for f in sums)
        planes = _rounded(writer, high, low, side.bands[0].weights.step)
    if not passes:
        planes = _planes(writer, pixels, frame, whole)
    padded = (down.kept, across.kept) != (size, size)
    pixels = writer.node("Transpose", planes, perm=[0, 2, 3, 1], name=None if padded else FITTED_NAME)
    if padded:
        top, left = pad_offset(down.kept, size), pad_offset(across.kept, size)
        after = size - top - down.kept, size - left - across.kept
        border = writer.whole(0, top, left, 0, 0, *after, 0)
        pixels = writer.node("Pad", pixels, border, writer.number(0), name=FITTED_NAME)
    return pixels


def _side(length: int, resized: int, size: int) -> _Side:
    """What is read of `length` pixels that are resized, and of which the middle `size` are kept."""
    first = cut_offset(resized, size)
    stop = min(first + size, resized)
    if length == resized:  # as Pillow: no pass at all
        return _Side(first, stop, stop - first)
    weights = resampling_weights(length, resized)[first:stop]
    parts = halved(weights)
    bands = []
    for outputs in np.array_split(np.arange(stop - first), min(_BANDS, stop - first)):
        begin, end = _read(weights[outputs])
        cut = (slice(int(outputs[0]), int(outputs[-1]) + 1), slice(begin, end))
        bands.append(_Band(begin, end, HalfUnits(parts.high[cut], parts.low[cut], parts.step)))
    return _Side(*_read(weights), stop - first, tuple(bands))


def _read(weights: NDArray[np.float64]) -> tuple[int, int]:
    """First and last + 1 of the pixels that some outputs read."""
    read = np.flatnonzero(weights.any(axis=0))
    return int(read[0]), int(read[-1]) + 1


def _planes(writer: _Writer, pixels: str, frame: tuple[int, int], part: dict[int, tuple[int, int]]) -> str:
    """A part of (N, H, W, 3), given by its rows and columns, as (N, 3, h, w)."""
    (top, bottom), (left, right) = part[_ROWS], part[_COLUMNS]
    if (bottom - top, right - left) != frame:
        bounds = writer.whole(top, left), writer.whole(bottom, right), writer.whole(1, 2)
        pixels = writer.node("Slice", pixels, *bounds)
    return writer.node("Transpose", pixels, perm=[0, 3, 1, 2])


def _cut(writer: _Writer, planes: str, axis: int, first: int, stop: int, length: int) -> str:
    """Pixels `first` to `stop` of an axis of `length`."""
    if stop - first == length:
        return planes
    return writer.node("Slice", planes, *(writer.whole(number) for number in (first, stop, axis)))


def _rounded(writer: _Writer, high: str, low: str, step: float) -> str:
    """Both halves of a sum as whole grey levels, rounded and clipped as Pillow does it."""
    carried = writer.node("Floor", writer.node("Mul", low, writer.number(1 / step)))
    unit = 2.0**WEIGHT_BITS / step
    summed = writer.node("Add", writer.node("Add", high, carried), writer.number(unit / 2))
    rounded = writer.node("Floor", writer.node("Mul", summed, writer.number(1 / unit)))
    return writer.node("Clip", rounded, writer.number(0), writer.number(255))
