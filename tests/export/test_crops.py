"""Crop sets as data: where the squares lie, that nothing is left out, and which names are refused."""

from __future__ import annotations

import numpy as np
import pytest

from wordsight.export.crops import DEFAULT_MULTICROP, NAMED, lay_out, parse_crops
from wordsight.runtime.errors import SettingError


def test_the_default_set_by_hand():
    layout = lay_out(parse_crops(DEFAULT_MULTICROP), 240)
    assert layout.shape == (343, 343)  # 240 / 0.7 = 342.86
    assert layout.boxes == ((0, 0, 343), (0, 0, 240), (0, 103, 240), (103, 0, 240), (103, 103, 240))
    assert layout.whole == (0,)


def test_corners_and_centre():
    layout = lay_out(parse_crops("full+5@0.5"), 100)
    assert set(layout.boxes[1:]) == {(0, 0, 100), (0, 100, 100), (100, 0, 100), (100, 100, 100), (50, 50, 100)}


def test_a_single_square_is_what_it_was_before():
    layout = lay_out(parse_crops("single"), 96)
    assert (layout.shape, layout.boxes, layout.whole) == ((96, 96), ((0, 0, 96),), (0,))


def test_without_the_full_view_all_squares_speak_for_the_frame():
    assert lay_out(parse_crops("2x2@0.7"), 96).whole == (0, 1, 2, 3)


@pytest.mark.parametrize("camera", [(), (1080, 1920), (1920, 1080), (480, 640), (100, 1000), (100, 179), (7, 8)])
@pytest.mark.parametrize("name", [*NAMED, "3x3@0.4", "5@0.5", "8x8@0.125", "full+4x4@.25"])
@pytest.mark.parametrize("size", [96, 240])
def test_every_pixel_is_in_a_square_and_every_square_in_the_frame(name, camera, size):
    layout = lay_out(parse_crops(name), size, camera)
    seen = np.zeros(layout.shape, bool)
    for top, left, side in layout.boxes:
        square = seen[top : top + side, left : left + side]
        assert square.shape == (side, side)
        assert side in (size, min(layout.shape))  # small ones at native resolution, exactly S
        square[:] = True
    assert seen.all()
    assert all(layout.boxes[index][2] == min(layout.shape) for index in layout.whole if name.startswith("full"))


@pytest.mark.parametrize("aspect", [1, 1.2, 4 / 3, 16 / 9, 2.6, 2.61, 5])
def test_tiles_are_a_stride_apart_and_flush_with_the_end(aspect):
    """mala-lab/WinCLIP's rule written as a loop: step by 0.8 of the side until the end is reached, then lie flush."""
    width = round(240 * aspect)
    expected, left = [], 0.0
    while round(left) + 240 < width:
        expected.append(round(left))
        left += 0.8 * 240
    expected.append(width - 240)
    layout = lay_out(parse_crops("single"), 240, (240, width))
    assert [left for _, left, _ in layout.boxes] == expected
    standing = lay_out(parse_crops("single"), 240, (width, 240))
    assert [top for top, _, _ in standing.boxes] == expected


def test_the_set_is_laid_on_every_tile():
    layout = lay_out(parse_crops("full+2x2@0.5"), 100, (100, 150))
    assert layout.shape == (200, 300)
    assert layout.boxes[5:] == ((0, 100, 200), (0, 100, 100), (0, 200, 100), (100, 100, 100), (100, 200, 100))
    assert layout.whole == (0, 5)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("double", "full+2x2@0.7"), ("", "got ''"), ("full", "full+KxK@f"), ("2x3@0.7", "KxK"), ("full+2x2@1.0", "KxK"),
        ("full+2x2@nan", "KxK"), ("full+1x1@0.7", "2x2 to 8x8"), ("full+9x9@0.2", "2x2 to 8x8"), ("2x2@0.4", "gaps"),
        ("5@0.4", "gaps"), ("full+2x2@0.05", "0.1"), ("single+2x2@0.7", "KxK"),
    ],
)  # fmt: skip
def test_what_is_no_set_is_refused(name, says):
    with pytest.raises(SettingError, match="--crops") as caught:
        parse_crops(name)
    assert says in str(caught.value)


def test_a_frame_beyond_the_manifests_bound_is_refused():
    with pytest.raises(SettingError, match="4096 is the most"):
        lay_out(parse_crops("full+2x2@0.1"), 518)
