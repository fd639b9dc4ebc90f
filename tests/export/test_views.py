"""Squares cut and shrunk in the graph beside Pillow itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from wordsight.export.views import CutViews


def pictures(rows: int, columns: int) -> np.ndarray:
    """Noise, hard black and white (where the filter overshoots), and a slope (where sums lie near one half)."""
    rng = np.random.default_rng(rows)
    noise = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    return np.stack([noise, (noise > 127).astype(np.uint8) * 255, np.sort(noise, axis=1)])


def in_the_graph(frames: np.ndarray, boxes, size: int) -> np.ndarray:
    cut = CutViews(boxes, size)(torch.from_numpy(frames).float().permute(0, 3, 1, 2))
    return cut.reshape(len(boxes), len(frames), 3, size, size).permute(0, 1, 3, 4, 2).numpy()


@pytest.mark.parametrize(("side", "size"), [(137, 96), (160, 96), (343, 240), (400, 240), (97, 96), (960, 96)])
def test_the_full_view_is_pillows_to_the_bit(side: int, size: int):
    frames = pictures(side, side)
    (got,) = in_the_graph(frames, [(0, 0, side)], size)
    for ours, frame in zip(got, frames, strict=True):
        theirs = np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(ours, theirs)


def test_squares_of_a_wide_frame_come_in_order():
    frames = pictures(60, 100)
    boxes = [(0, 40, 60), (7, 31, 48), (0, 0, 60), (12, 52, 48)]
    for (top, left, side), squares in zip(boxes, in_the_graph(frames, boxes, 48), strict=True):
        for ours, frame in zip(squares, frames, strict=True):
            cropped = Image.fromarray(frame).crop((left, top, left + side, top + side))
            np.testing.assert_array_equal(ours, np.asarray(cropped.resize((48, 48), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize(("side", "size"), [(137, 96), (343, 240), (4000, 400), (241, 240)])
def test_weights_and_sums_stay_whole_in_short_floats(side: int, size: int):
    """11 bits are what TF32 and fp16 keep of a factor, 24 what float32 keeps of a sum."""
    views = CutViews([(0, 0, side)], size)
    for part in ("high", "low"):
        weights = views.get_buffer(f"{part}_{side}").double()
        assert torch.equal(weights, weights.half().double())
        assert (weights.abs().sum(dim=1) * 255).max() < 2**24


def test_a_square_smaller_than_the_encoder_takes_is_refused():
    with pytest.raises(ValueError, match="96 pixels or more"):
        CutViews([(0, 0, 95)], 96)
