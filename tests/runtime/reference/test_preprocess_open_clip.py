"""`fit_frame` beside open_clip's own transform, on the same 8-bit picture."""

import numpy as np
import open_clip
import pytest
from PIL import Image

from wordsight.runtime.preprocess import fit_frame

MODES = {"crop": "shortest", "squash": "squash", "pad": "longest"}
SIZES = [
    (1, 1), (3, 2), (5, 400), (96, 96), (97, 96), (96, 97), (95, 95), (240, 240), (241, 240), (333, 517), (480, 640),
    (1080, 1920), (1920, 1080), (1000, 300), (700, 100), (50, 1000), (20_000, 300),
]  # fmt: skip
EXTREME = [(20_000, 3), (3, 20_000)]


def worst_and_mean(height, width, size, fit):
    frame = np.random.default_rng(height * 31 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    transform = open_clip.image_transform(size, is_train=False, resize_mode=MODES[fit], mean=(0,) * 3, std=(1,) * 3)
    rgb = transform(Image.fromarray(frame[:, :, ::-1].copy())).numpy().transpose(1, 2, 0)
    ours = fit_frame(frame, size, fit)
    difference = np.abs(ours[:, :, ::-1].astype(np.float64) - rgb.astype(np.float64) * 255)
    return difference.max(), difference.mean()


@pytest.mark.parametrize("fit", MODES)
@pytest.mark.parametrize("size", [96, 240])
def test_agrees_with_open_clip(fit, size):
    # A side that would vanish under "pad" is refused by open_clip; under "crop" open_clip itself makes the whole long
    # picture, 1.1 GB of it at 240 pixels: the smaller size is enough there.
    extreme = {"crop": EXTREME if size == 96 else [], "squash": EXTREME, "pad": []}[fit]
    for height, width in SIZES + extreme:
        worst, mean = worst_and_mean(height, width, size, fit)
        assert worst <= 1.001, (height, width)
        assert mean <= 0.01, (height, width)


@pytest.mark.parametrize(
    ("shape", "box"),
    [((1080, 1920), (0, 0, 1920, 1080)), ((270, 480), (0, 0, 480, 270)), ((480, 640), (0, 60, 640, 420)),
     ((500, 300), (0, 165, 300, 334)), ((40, 33), (0, 10, 33, 29))],
)  # fmt: skip
def test_tiles_take_the_centre_of_the_cameras_aspect_as_pillow_resizes_it(shape, box):
    frame = np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = Image.fromarray(frame).crop(box).resize((427, 240), Image.Resampling.BICUBIC)
    ours = fit_frame(frame, 240, "tiles", (1080, 1920))
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


def test_opencv_would_not_agree():
    import cv2

    frame = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(frame).resize((96, 96), Image.Resampling.BICUBIC)).astype(float)
    assert np.abs(cv2.resize(frame, (96, 96), interpolation=cv2.INTER_CUBIC) - pillow).mean() > 5
    assert np.abs(fit_frame(frame, 96) - pillow).mean() <= 0.01
