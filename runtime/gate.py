"""Exposure and sharpness: a picture too dark, blown out or blurred is *unsure*, whatever its score says.

Three numbers a picture, on its grey levels, halved until no side has more than 1,024 pixels: they then cost little on
any camera, and a sensor's noise does not pass for sharpness. Their limits come from good frames, see `limits`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST = 1024  # pixels
BLOWN = 250  # grey level from which a pixel holds no detail
LEAST_CLIPPED = 0.01
"""A picture of which less than this is blown out passes: a glint is no fault of the exposure."""
_LIMITS = 4


@dataclass(frozen=True)
class Measures:
    """What is measured of a picture.

    Attributes:
        grey: mean grey level, 0 to 255.
        clipped: share of pixels at `BLOWN` or above, 0 to 1.
        sharpness: variance of the Laplacian, in squared grey levels.
    """

    grey: float
    clipped: float
    sharpness: float


@dataclass(frozen=True)
class Gate:
    """Limits: what lies beyond them cannot be judged.

    Attributes:
        darkest: least mean grey level.
        brightest: highest mean grey level.
        most_clipped: largest share of blown-out pixels.
        least_sharp: least variance of the Laplacian.
    """

    darkest: float
    brightest: float
    most_clipped: float
    least_sharp: float

    def doubt(self, image: NDArray[np.uint8]) -> str | None:
        """Return why a picture, (H, W, 3) uint8 BGR, cannot be judged: "too dark"; None when it can."""
        return self.doubt_of(measure(image))

    def doubt_of(self, found: Measures) -> str | None:
        """Return the same of what was measured."""
        if found.grey < self.darkest:
            return "too dark"
        if found.grey > self.brightest:
            return "too bright"
        if found.clipped > self.most_clipped:
            return "blown out"
        if found.sharpness < self.least_sharp:
            return "blurred"
        return None


def measure(image: NDArray[np.uint8]) -> Measures:
    """Measure a picture, (H, W, 3) uint8 BGR."""
    import cv2

    while max(image.shape[:2]) > LONGEST:  # halving is several times as fast as going to a size between
        down, across = (min(2, side) for side in image.shape[:2])
        height, width = image.shape[0] // down, image.shape[1] // across
        even = image[: height * down, : width * across]
        image = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    edges = cv2.Laplacian(grey, cv2.CV_16S)
    _, deviation = cv2.meanStdDev(edges)
    blown = int(np.count_nonzero(grey >= BLOWN))
    return Measures(float(cv2.mean(grey)[0]), blown / grey.size, float(deviation[0, 0]) ** 2)


def limits(measured: Sequence[Measures], rate: float) -> Gate:
    """Return the limits that good frames set.

    Each of the four is the j-th most extreme of n good frames, j = floor(rate / 4 (n + 1)) and at least 1: a new good
    frame then lies beyond it with a chance of j / (n + 1) (they are exchangeable), beyond any with at most `rate`, or
    4 / (n + 1) where n is small.

    Args:
        measured: of n good frames, at least one.
        rate: share of good frames that may be called unsure for it.
    """
    count = len(measured)
    rank = min(max(1, int(rate / _LIMITS * (count + 1))), count)
    grey, clipped, sharp = (
        sorted(getattr(item, name) for item in measured) for name in ("grey", "clipped", "sharpness")
    )
    return Gate(grey[rank - 1], grey[-rank], max(clipped[-rank], LEAST_CLIPPED), sharp[rank - 1])
