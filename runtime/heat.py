"""A heat map at its place in the frame: enlarged to the frame's pixels, and the regions where it is high.

Symbols: (h, w) the cells of the map, one a patch, row by row; (H, W) the frame. Values lie in the cells' centres, are
bilinear in between and constant beyond the outermost.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import SettingError
from wordsight.runtime.fits import Place
from wordsight.runtime.opencv import load_cv2

Floats = NDArray[np.float32]

MOST_REGIONS = 32
"""Most regions told of one frame, the largest ones."""


@dataclass(frozen=True)
class Region:
    """One connected part of a frame where the heat map reaches the level; pixels that touch by a corner are connected.

    Attributes:
        box: x, y, width, height in pixels of the frame.
        area: pixels of the frame.
        peak: highest value of the map in it.
        peak_at: x, y of the pixel where that is, the first one row by row.
    """

    box: tuple[int, int, int, int]
    area: int
    peak: float
    peak_at: tuple[int, int]


@dataclass(frozen=True)
class Heat:
    """The heat map of one frame.

    Attributes:
        values: (h, w) float32, 0 to `top`; higher is more anomalous.
        place: where the map's rectangle lies in the frame.
        shape: H and W of the frame.
        top: highest value there can be, w_pr + w_fnn.
        level: value from which a pixel belongs to a region.
    """

    values: Floats
    place: Place
    shape: tuple[int, int]
    top: float
    level: float

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """Where the enlarged map is at `level` or above: the largest first, at most `MOST_REGIONS`."""
        return find_regions(self.values, self.place, self.shape, self.level)


def region_level(asked: float | None, top: float) -> float:
    """Return the level of regions: what was asked for, or three quarters of the map's range.

    With equal weights that is one score certain and the other in doubt: s_pr is 0.5 where a patch is as near to the one
    guiding prompt as to the other, s_fnn is 0.5 where the head's logit is 0. At half of the range a single score
    could draw a region by itself, and s_pr does so readily: at T = 0.01 it is nearly always close to 0 or to 1.

    Raises:
        SettingError: not above 0, or above `top`, or not a number.
    """
    if asked is None:
        return 0.75 * top
    if not 0 < asked <= top:
        raise SettingError(f"--region-level: expected above 0 and up to {top:g}, the heat map's range, got {asked:g}")
    return asked


def enlarge(values: Floats, place: Place, rows: range, columns: range) -> Floats:
    """Return the map at the centres of these rows and columns of pixels: (len(rows), len(columns)) float32.

    Args:
        values: (h, w).
        place: the map's rectangle in pixels of the picture that `rows` and `columns` count.
        rows: of the picture, one after the other.
        columns: likewise.
    """
    above, _, down = _between(rows, place.top, place.height, values.shape[0])
    before, after, across = _between(columns, place.left, place.width, values.shape[1])
    # a + f * (b - a) is exact where a equals b: a plateau stays one.
    wide = values[:, before] + across * (values[:, after] - values[:, before])
    step = (wide[1:] - wide[:-1]) if len(wide) > 1 else np.zeros_like(wide)
    result = np.empty((len(rows), len(columns)), np.float32)
    for cell in np.unique(above):  # the rows of one cell at a time: what is in between stays in the cache
        first, last = np.searchsorted(above, [cell, cell + 1])
        np.multiply(down[first:last, None], step[min(cell, len(step) - 1)], out=result[first:last])
        result[first:last] += wide[cell]
    return result


def find_regions(values: Floats, place: Place, shape: tuple[int, int], level: float) -> tuple[Region, ...]:
    """Return the regions of one map; arguments as in `Heat`."""
    hot: NDArray[np.bool_] = values >= level
    if not hot.any():
        return ()  # between cells the map is never higher than in them
    rows, columns = place.inside(*shape)
    rows = _near(rows, np.asarray(hot.any(axis=1)), place.top, place.height)
    columns = _near(columns, np.asarray(hot.any(axis=0)), place.left, place.width)
    if not rows or not columns:
        return ()
    part = enlarge(values, place, rows, columns)
    _, labels, stats, _ = load_cv2().connectedComponentsWithStats((part >= level).astype(np.uint8), connectivity=8)
    found = [(int(area), int(y), int(x), int(h), int(w), label) for label, (x, y, w, h, area) in enumerate(stats)]
    regions = []
    for area, y, x, h, w, label in sorted(found[1:], key=lambda item: (-item[0], item[1:]))[:MOST_REGIONS]:
        window = slice(y, y + h), slice(x, x + w)
        within = np.where(labels[window] == label, part[window], -np.inf)
        peak_y, peak_x = divmod(int(within.argmax()), w)
        box = (columns[0] + x, rows[0] + y, w, h)
        peak_at = (columns[0] + x + peak_x, rows[0] + y + peak_y)
        regions.append(Region(box, area, float(within[peak_y, peak_x]), peak_at))
    return tuple(regions)


def _between(
    pixels: range, first: float, extent: float, cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Return the cell before and after each pixel's centre, and how far it is from the one to the other, 0 to 1."""
    centres = (np.arange(pixels.start, pixels.stop) + 0.5 - first) / extent * cells - 0.5
    centres = np.clip(centres, 0, cells - 1)
    before = np.floor(centres).astype(np.intp)
    return before, np.minimum(before + 1, cells - 1), (centres - before).astype(np.float32)


def _near(pixels: range, hot: NDArray[np.bool_], first: float, extent: float) -> range:
    """Return those of `pixels` that lie within one cell of a hot one: elsewhere the map cannot reach the level."""
    where = np.flatnonzero(hot)
    cell = extent / len(hot)
    low, high = first + (where[0] - 1) * cell, first + (where[-1] + 2) * cell
    start = max(pixels.start, int(np.floor(low)))
    return range(start, max(start, min(pixels.stop, int(np.ceil(high)))))
