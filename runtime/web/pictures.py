"""Pictures for the page: made small, with the heat map over them or without, as JPEG."""

from typing import Final

import numpy as np

from wordsight.runtime.errors import OutputError
from wordsight.runtime.opencv import load_cv2
from wordsight.runtime.overlay import overlay
from wordsight.runtime.sinks.result import Result

LONGEST: Final = 800
"""Pixels of the longer side at most."""
_QUALITY = 80


def jpeg(result: Result, heat: bool) -> bytes:
    """Return a frame as JPEG, at most `LONGEST` pixels on its longer side.

    Args:
        result: with its picture.
        heat: with the heat map over it, where there is one.

    Raises:
        OutputError: OpenCV cannot encode it.
    """
    cv2 = load_cv2()
    image = result.frame.image
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if heat and result.heat is not None:
        image = overlay(image, result.heat)
    good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not good:
        raise OutputError(f"OpenCV could not encode a picture of {width}x{height} as JPEG")
    return bytes(data.tobytes())
