"""Heat maps drawn over pictures: what is low shows the picture, what is high its colour, what is unseen is dark."""

import numpy as np
import pytest

from wordsight.runtime.fits import seen_place
from wordsight.runtime.heat import Heat
from wordsight.runtime.overlay import UNSEEN, overlay

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")

SHAPE = (90, 160)
GREY = 100


def heat(values, fit="crop", shape=SHAPE):
    return Heat(np.asarray(values, np.float32), seen_place(*shape, 40, fit), shape, 2.0, 1.0)


def picture(shape=SHAPE):
    return np.full((*shape, 3), GREY, np.uint8)


def test_a_cold_map_leaves_what_is_seen_and_dims_the_rest():
    drawn = overlay(picture(), heat(np.zeros((4, 4))))
    _, columns = seen_place(*SHAPE, 40, "crop").inside(*SHAPE)
    seen = drawn[:, columns.start : columns.stop]
    assert (seen == GREY).all()
    unseen = np.delete(drawn, np.s_[columns.start : columns.stop], axis=1)
    assert unseen.size
    assert (unseen == round(UNSEEN * GREY)).all()
    assert (picture() == GREY).all()


def test_a_good_part_below_half_stays_within_a_fifth_of_itself():
    values = np.random.default_rng(0).random((15, 15)) * 0.99
    drawn = overlay(picture(), heat(values, "squash")).astype(int)
    assert np.abs(drawn - GREY).max() <= 0.2 * 255


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_the_hot_place_is_where_the_colour_is(fit, scale):
    """One hot cell of 5 x 5: the brightest colour lies at its centre, whatever the fit and the size of the drawing."""
    values = np.zeros((5, 5), np.float32)
    values[1, 3] = 2.0
    place = seen_place(*SHAPE, 40, fit)
    shape = SHAPE[0] * scale, SHAPE[1] * scale
    drawn = overlay(np.zeros((*shape, 3), np.uint8), heat(values, fit))
    x, y = place.to_frame(3.5 / 5, 1.5 / 5)
    light = drawn.sum(axis=2)
    outline = (drawn == 255).all(axis=2)
    assert outline.any()
    light[outline] = 0
    brightest = np.argwhere(light == light.max()).mean(axis=0) + 0.5
    assert brightest == pytest.approx((y * scale, x * scale), abs=1)
    assert light.max() > 300


def test_the_outline_is_that_of_the_regions():
    values = np.zeros((4, 4))
    values[:, :2] = 2.0
    shown = heat(values, "squash")
    drawn = overlay(picture(), shown)
    (region,) = shown.regions
    x, y, width, height = region.box
    white = (drawn == 255).all(axis=2)
    assert white[y + height // 2, x + width - 1]
    assert white[y, x + width // 2]
    assert not white[:, x + width + 3 :].any()


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (2000, 3)])
def test_odd_shapes_are_drawn(shape):
    for fit in ("crop", "squash", "pad"):
        drawn = overlay(picture(shape), heat(np.full((3, 3), 2.0), fit, shape))
        assert drawn.shape == (*shape, 3)
