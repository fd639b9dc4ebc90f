"""Pillow's 22-bit weights as two matrices whose products with 8-bit pixels are exact in float32.

Pillow sums in whole numbers of 2**-22; float32 holds 24 bits, so each weight is split into two of at most 11 bits,
high * step + low. Products with float32 sums are exact then in any order, and stay so where their factors are rounded
to TF32 or fp16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordsight.export.errors import ExportError
from wordsight.runtime.preprocess import WEIGHT_BITS

__all__ = ["HalfUnits", "halved"]

_BITS = 11
_FEWEST = 7  # bits of the lower half: below, the sums of the upper one would leave float32's whole numbers
_MOST = 2.0**24


@dataclass(frozen=True)
class HalfUnits:
    """A matrix of whole numbers, high * step + low; both float32 of its shape, `step` a power of two."""

    high: NDArray[np.float32]
    low: NDArray[np.float32]
    step: float


def halved(weights: NDArray[np.float64]) -> HalfUnits:
    """Split a matrix of `resampling_weights`, or some of its rows.

    Raises:
        ExportError: a sum over a row could leave float32's whole numbers; of a side of some 100,000 pixels.
    """
    largest = max(1.0, float(np.abs(weights).max()))
    step = 2.0 ** max(_FEWEST, int(np.ceil(np.log2(largest))) - _BITS)
    high = np.floor(weights / step + 0.5)
    low = weights - high * step
    # In whatever order a row is summed, what comes on the way lies between the sums of its negative and positive parts.
    reach = {part: 255 * max(np.clip(m, 0, None).sum(axis=1).max(), np.clip(-m, 0, None).sum(axis=1).max())
             for part, m in (("high", high), ("low", low))}  # fmt: skip
    if reach["high"] + reach["low"] / step + 2.0**WEIGHT_BITS / step >= _MOST or reach["low"] >= _MOST:
        raise ExportError(f"a side of {weights.shape[1]} pixels is too long to be resized exactly in the graph")
    return HalfUnits(high.astype(np.float32), low.astype(np.float32), step)
