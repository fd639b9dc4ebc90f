"""Where the square lies in the frame: against what `fit_frame` does to a frame whose pixels say where they are."""

import numpy as np
import pytest

from wordsight.runtime.fits import seen_place, seen_share
from wordsight.runtime.preprocess import fit_frame

SHAPES = [(60, 100), (100, 60), (75, 75), (48, 48), (31, 47), (133, 61), (200, 50), (20, 30)]
FITS = ["crop", "squash", "pad"]
SIZE = 48


def ramps(height, width):
    """A frame whose blue is 2 x and whose green is 2 y at the centre of each pixel, in pixels; x, y up to 127."""
    y, x = np.mgrid[:height, :width]
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0], frame[..., 1] = np.minimum(2 * x + 1, 255), np.minimum(2 * y + 1, 255)
    return frame


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_the_place_is_where_the_pixels_of_the_square_come_from(fit, height, width):
    if max(height, width) > 127:
        height, width = height // 2, width // 2
    square = fit_frame(ramps(height, width), SIZE, fit).astype(float) / 2
    place = seen_place(height, width, SIZE, fit)
    checked = 0
    for row in range(SIZE):
        for column in range(SIZE):
            x, y = place.to_frame((column + 0.5) / SIZE, (row + 0.5) / SIZE)
            # A ramp resized is the same ramp, but where the filter meets the frame's rim.
            rim = 2.5 * max(1.0, place.width / SIZE, place.height / SIZE)
            if rim <= x <= width - rim and rim <= y <= height - rim:
                assert square[row, column, 0] == pytest.approx(x, abs=0.8)
                assert square[row, column, 1] == pytest.approx(y, abs=0.8)
                checked += 1
            elif not (-1 <= x <= width + 1 and -1 <= y <= height + 1):
                assert fit == "pad"
                assert not square[row, column].any()  # the black border lies outside of the frame
    assert checked > 20


def test_of_tiles_it_is_the_centre_of_the_cameras_aspect():
    place = seen_place(100, 300, 32, "tiles", (100, 200))
    assert (place.left, place.top, place.width, place.height) == (50, 0, 200, 100)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("height", "width"), [*SHAPES, (1, 1), (3, 20000), (20000, 3), (1080, 1920)])
def test_there_and_back_and_the_share_that_is_seen(fit, height, width):
    place = seen_place(height, width, SIZE, fit)
    for x, y in [(0.0, 0.0), (1.0, 1.0), (0.25, 0.9)]:
        assert place.to_square(*place.to_frame(x, y)) == pytest.approx((x, y), abs=1e-9)
        inside = place.to_frame(x, y)
        assert place.scaled(2, 3).to_frame(x, y) == pytest.approx((2 * inside[0], 3 * inside[1]))
    rows, columns = place.inside(height, width)
    assert rows.start >= 0
    assert columns.start >= 0
    assert rows.stop <= height
    assert columns.stop <= width
    # A pixel is seen or it is not, to one row and column; the resized frame's sides are whole pixels, too.
    slack = (height + width + 1) / (height * width) + 0.5 / SIZE
    assert len(rows) * len(columns) / (height * width) == pytest.approx(seen_share(height, width, SIZE, fit), abs=slack)
    assert len(rows) > 0
    assert len(columns) > 0
