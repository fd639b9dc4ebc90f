"""A mask: what lies outside has the encoder's mean colour, which normalisation makes 0."""

import numpy as np
import pytest

from wordsight.runtime.errors import FrameError, PictureError, SettingError
from wordsight.runtime.manifest_input import InputSpec
from wordsight.runtime.sources.cut import masked_out, mean_colour, read_mask

CLIP = InputSpec(size=8, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711))


def test_pixels_outside_the_mask_become_the_mean_and_those_inside_stay(tmp_path, save_picture):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (12, 16, 3), np.uint8)
    kept = image.copy()
    drawn = np.zeros((12, 16, 3), np.uint8)
    drawn[2:7, 3:9] = 255
    drawn[10, 15, 1] = 1  # barely, and in one channel
    mask = read_mask(save_picture(tmp_path / "mask.png", drawn))
    found = masked_out(image, mask, mean_colour(CLIP))
    assert np.array_equal(image, kept)
    for y in range(12):
        for x in range(16):
            inside = (2 <= y < 7 and 3 <= x < 9) or (y, x) == (10, 15)
            assert tuple(found[y, x]) == (tuple(kept[y, x]) if inside else (104, 117, 123))


def test_the_mean_colour_is_nothing_to_the_encoder():
    blue, green, red = mean_colour(CLIP)
    normalised = (np.array([red, green, blue]) / 255 - CLIP.mean) / CLIP.std
    assert np.abs(normalised).max() < 0.01  # half a grey level


def test_a_frame_of_another_size_is_refused():
    with pytest.raises(FrameError, match="expected a frame of the mask's size, 16x12, got 6x4"):
        masked_out(np.zeros((4, 6, 3), np.uint8), np.ones((12, 16), bool), (0, 0, 0))


def test_a_mask_that_hides_everything_or_cannot_be_read_is_refused(tmp_path, save_picture):
    with pytest.raises(SettingError, match="all black"):
        read_mask(save_picture(tmp_path / "mask.png", 0))
    with pytest.raises(PictureError, match="no such picture"):
        read_mask(tmp_path / "other.png")
