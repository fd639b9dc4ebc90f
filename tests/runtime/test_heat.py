"""Heat maps enlarged, and their regions: planted maps against closed forms and a plain loop over pixels."""

import math

import numpy as np
import pytest

from wordsight.runtime.errors import SettingError
from wordsight.runtime.fits import Place, seen_place
from wordsight.runtime.heat import MOST_REGIONS, Heat, enlarge, find_regions, region_level

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")

PLACES = {
    "crop": seen_place(90, 160, 40, "crop"),
    "squash": seen_place(90, 160, 40, "squash"),
    "pad": seen_place(90, 160, 40, "pad"),
}
SHAPE = (90, 160)


def value_at(values, place, x, y):
    """The map at a point of the frame, from the definition: bilinear between the centres of cells, constant outside."""
    across, down = place.to_square(x, y)
    h, w = values.shape
    u = min(max(across * w - 0.5, 0), w - 1)
    v = min(max(down * h - 0.5, 0), h - 1)
    i, j = min(int(v), h - 2), min(int(u), w - 2)
    a, b = v - i, u - j
    corners = values[i, j], values[i, j + 1], values[i + 1, j], values[i + 1, j + 1]
    return sum(c * k for c, k in zip(corners, ((1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b), strict=True))


def is_seen(place, x, y):
    across, down = place.to_square(x, y)
    return 0 <= across < 1 and 0 <= down < 1


@pytest.mark.parametrize("fit", PLACES)
def test_enlarged_it_is_bilinear_between_the_centres_of_cells(fit):
    values = np.random.default_rng(1).random((5, 7), np.float32)
    place = PLACES[fit]
    rows, columns = place.inside(*SHAPE)
    found = enlarge(values, place, rows, columns)
    assert found.dtype == np.float32
    expected = [[value_at(values, place, x + 0.5, y + 0.5) for x in columns] for y in rows]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("fit", PLACES)
def test_regions_are_those_of_a_loop_over_pixels(fit):
    """Two hot cells of different height in an 8 x 8 map, far from each other."""
    values = np.zeros((8, 8), np.float32)
    values[2, 3], values[5, 5] = 2.0, 1.5
    place, level = PLACES[fit], 0.9
    regions = find_regions(values, place, SHAPE, level)
    assert len(regions) == 2
    for region, (row, column) in zip(regions, ((2, 3), (5, 5)), strict=True):
        x, y = place.to_frame((column + 0.5) / 8, (row + 0.5) / 8)
        reach_x, reach_y = place.width / 8, place.height / 8
        hot = {
            (i, j): value_at(values, place, i + 0.5, j + 0.5)
            for j in range(math.floor(y - reach_y), math.ceil(y + reach_y))
            for i in range(math.floor(x - reach_x), math.ceil(x + reach_x))
            if 0 <= i < SHAPE[1] and 0 <= j < SHAPE[0] and is_seen(place, i + 0.5, j + 0.5)
        }
        hot = {pixel: value for pixel, value in hot.items() if value >= level}
        left, top = min(i for i, _ in hot), min(j for _, j in hot)
        right, bottom = max(i for i, _ in hot), max(j for _, j in hot)
        assert region.area == len(hot) > 4
        assert region.box == (left, top, right - left + 1, bottom - top + 1)
        assert region.peak == pytest.approx(max(hot.values()), abs=1e-6)
        assert hot[region.peak_at] == pytest.approx(region.peak, abs=1e-6)
        assert abs(region.peak_at[0] + 0.5 - x) <= 1
        assert abs(region.peak_at[1] + 0.5 - y) <= 1


@pytest.mark.parametrize("fit", PLACES)
def test_half_a_map_is_half_of_what_is_seen(fit):
    values = np.zeros((4, 4), np.float32)
    values[:, :2] = 2.0
    place = PLACES[fit]
    (region,) = find_regions(values, place, SHAPE, 1.0)
    middle = place.to_frame(0.5, 0)[0]  # linear from 2 to 0 between the centres of two columns: 1 half-way
    rows, columns = place.inside(*SHAPE)
    width = sum(column + 0.5 <= middle for column in columns)
    assert region.box == (columns[0], rows[0], width, len(rows))
    assert region.area == width * len(rows)
    assert region.peak == 2.0
    assert region.peak_at == (columns[0], rows[0])


def test_a_plateau_at_the_level_is_one_region_and_below_it_none():
    place = seen_place(33, 57, 16, "squash")
    level = np.float32(0.7)
    (region,) = find_regions(np.full((3, 5), level), place, (33, 57), float(level))
    assert region.box == (0, 0, 57, 33)
    assert find_regions(np.full((3, 5), level), place, (33, 57), 0.71) == ()


def test_of_many_regions_the_largest_are_kept_in_order():
    values = np.zeros((25, 25), np.float32)
    heights = np.linspace(1.1, 2.0, 144).reshape(12, 12)
    values[1::2, 1::2] = heights
    place = seen_place(500, 500, 100, "squash")
    regions = find_regions(values, place, (500, 500), 1.0)
    assert len(regions) == MOST_REGIONS
    assert [r.area for r in regions] == sorted((r.area for r in regions), reverse=True)
    assert min(r.peak for r in regions) > 1.5  # a lone cell's region grows with its peak


def test_what_touches_by_a_corner_is_one_region():
    values = np.zeros((2, 2), np.float32)
    values[0, 0] = values[1, 1] = 2.0
    place = Place(0, 0, 2, 2)  # a pixel a cell: nothing in between
    (region,) = find_regions(values, place, (2, 2), 1.0)
    assert (region.box, region.area) == ((0, 0, 2, 2), 2)


def test_a_map_that_is_not_a_number_has_no_regions():
    assert find_regions(np.full((3, 3), np.nan, np.float32), Place(0, 0, 9, 9), (9, 9), 1.0) == ()


def test_regions_lie_in_what_is_seen_alone():
    place = seen_place(90, 160, 40, "crop")
    (region,) = find_regions(np.full((4, 4), 2, np.float32), place, SHAPE, 1.0)
    rows, columns = place.inside(*SHAPE)
    assert region.box == (columns[0], rows[0], len(columns), len(rows)) != (0, 0, 160, 90)


def test_the_level_is_three_quarters_of_the_range_unless_it_is_set():
    assert region_level(None, 2.0) == 1.5
    assert region_level(2.0, 2.0) == 2.0
    for wrong in (0, -1, 2.1, math.nan):
        with pytest.raises(SettingError, match="--region-level: expected above 0 and up to 2"):
            region_level(wrong, 2.0)


def test_regions_of_a_heat_are_found_once():
    heat = Heat(np.full((2, 2), 2, np.float32), Place(0, 0, 8, 8), (8, 8), 2.0, 1.0)
    assert heat.regions is heat.regions
