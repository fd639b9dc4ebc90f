"""Draws a heat map over a picture, so that what is high stands out and a good part stays readable."""

import numpy as np

from wordsight.runtime.heat import Heat, enlarge
from wordsight.runtime.opencv import load_cv2
from wordsight.runtime.sources.frame import Image

STRONGEST = 0.75
"""Share of the colour in a pixel where the map is at its top."""
UNSEEN = 0.35
"""Share of its light that a pixel keeps where the encoder does not look."""
_MIX = np.float32(STRONGEST) * np.square(np.arange(256, dtype=np.float32) / 255)  # by the map's value in 255ths
_LINE, _EDGE = (255, 255, 255), (0, 0, 0)  # BGR, of a region's outline and of what sets it off


def overlay(picture: Image, heat: Heat) -> Image:
    """Return the picture with its heat map over it, the regions outlined, and what the encoder does not see dimmed.

    The colours are OpenCV's INFERNO: its lightness grows evenly with the value, for readers without colour vision, too.
    They are fixed to the range of the map, never stretched to the picture, so that pictures can be compared; the lower
    the value, the more of the picture shows, by the square of it.

    Args:
        picture: uint8 BGR (H', W', 3): the frame, drawn at any size.
        heat: of the frame.

    Returns:
        uint8 BGR (H', W', 3), a new array.
    """
    cv2 = load_cv2()
    height, width = picture.shape[:2]
    place = heat.place.scaled(width / heat.shape[1], height / heat.shape[0])
    rows, columns = place.inside(height, width)
    drawn = np.asarray(cv2.convertScaleAbs(picture, alpha=UNSEEN), np.uint8)
    if not rows or not columns:
        return drawn
    values = enlarge(np.clip(heat.values, 0, heat.top), place, rows, columns)
    share = cv2.convertScaleAbs(values, alpha=255 / heat.top)
    seen = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
    # By tables, and blended by OpenCV: live pictures are drawn while the line runs, and in numpy it took twice as long.
    colours = cv2.applyColorMap(share, cv2.COLORMAP_INFERNO)
    mixed = cv2.LUT(share, 1 - _MIX), cv2.LUT(share, _MIX)
    drawn[seen] = cv2.blendLinear(np.ascontiguousarray(picture[seen]), colours, *mixed)
    hot = (values >= heat.level).astype(np.uint8)
    outlines, _ = cv2.findContours(hot, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(columns.start, rows.start))
    thin = max(1, round(max(height, width) / 960))
    for colour, thick in ((_EDGE, thin + 2), (_LINE, thin)):
        cv2.drawContours(drawn, outlines, -1, colour, thick)
    return drawn
