"""The squares of a frame as the encoder takes them: cut in the graph, and shrunk where they are larger.

Engines disagree about ONNX ``Resize`` (unsupported in TensorRT with antialiasing, wrong in others), so a larger square
is shrunk by two products with constant matrices, Pillow's own bicubic weights, exact in float32 (`export/exact.py`).
The result is Pillow's to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wordsight.export.exact import halved
from wordsight.runtime.preprocess import WEIGHT_BITS, resampling_weights


class CutViews(nn.Module):
    """Frames (N, 3, H, W) float32 of whole grey levels to their squares (V * N, 3, S, S), square by square.

    Args:
        boxes: V squares (top, left, side) in pixels of the frame, each of S pixels or more.
        size: S, pixels a side that the encoder takes.

    Raises:
        ValueError: a square smaller than S.
    """

    def __init__(self, boxes: Sequence[tuple[int, int, int]], size: int) -> None:
        super().__init__()
        if any(side < size for _, _, side in boxes):
            raise ValueError(f"expected squares of {size} pixels or more, got {list(boxes)}")
        self.boxes = tuple(boxes)
        self.size = size
        self.steps: dict[int, float] = {}
        for side in {side for _, _, side in boxes} - {size}:
            weights = halved(resampling_weights(side, size))  # (S, side)
            self.steps[side] = weights.step
            self.register_buffer(f"high_{side}", torch.from_numpy(weights.high), persistent=False)
            self.register_buffer(f"low_{side}", torch.from_numpy(weights.low), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """The squares of (N, 3, H, W), in the order of the boxes: first all frames' first square."""
        return torch.cat([self._square(frames, *box) for box in self.boxes])

    def _square(self, frames: Tensor, top: int, left: int, side: int) -> Tensor:
        square = frames[:, :, top : top + side, left : left + side]
        if side == self.size:
            return square
        high, low, step = self.get_buffer(f"high_{side}"), self.get_buffer(f"low_{side}"), self.steps[side]
        across = _rounded(square @ high.T, square @ low.T, step)  # (N, 3, side, S): Pillow resizes rows first
        return _rounded(high @ across, low @ across, step)


def _rounded(high: Tensor, low: Tensor, step: float) -> Tensor:
    """Floor of (high * step + low) / 2**22 + 1/2 within 0 ... 255, without a sum beyond float32's whole numbers."""
    carried, unit = high + torch.floor(low / step), 2.0**WEIGHT_BITS / step
    return torch.floor((carried + unit / 2) / unit).clamp(0, 255)
