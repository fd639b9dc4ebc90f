"""A region or a mask of every frame of a source: what else the camera sees is left out."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import FrameError, SettingError
from wordsight.runtime.sources.frame import Failure, Frame, Image, Item, Source

if TYPE_CHECKING:
    from wordsight.runtime.manifest_input import InputSpec

Mask = NDArray[np.bool_]  # (H, W), True where it is looked at
Roi = tuple[int, int, int, int]  # x, y, width, height in pixels


class Cut:
    """A source whose frames are masked and cut to a region; one that this does not fit is a failure.

    Attributes: see `wordsight.runtime.sources.Source`.
    """

    def __init__(
        self, source: Source, roi: Roi | None, mask: Mask | None = None, fill: tuple[int, int, int] = (0, 0, 0)
    ) -> None:
        """Keep them; nothing is opened.

        Args:
            source: gives whole frames.
            roi: x, y, width, height in pixels; None for the whole frame.
            mask: (H, W) of the whole frame, True where it is looked at; None: everywhere.
            fill: blue, green, red of the rest; see `mean_colour`.
        """
        self.source, self.roi, self.mask, self.fill = source, roi, mask, fill
        self.text, self.count, self.live, self.endless = source.text, source.count, source.live, source.endless
        self.skipped = 0

    def __iter__(self) -> Iterator[Item]:
        """Give each frame cut, everything else as it comes."""
        for item in self.source:
            self.skipped = self.source.skipped
            if not isinstance(item, Frame):
                yield item
                continue
            try:
                image = item.image if self.mask is None else masked_out(item.image, self.mask, self.fill)
                image = image if self.roi is None else cut_out(image, self.roi)
            except FrameError as error:
                yield Failure(item.source, str(error), "FrameError", item.index if item.fps is not None else None)
                item.done()
                continue
            yield replace(item, image=image)


def cut_out(image: Image, roi: Roi) -> Image:
    """Return the region of a frame, (H, W, 3) uint8 BGR, as a view of it.

    Raises:
        FrameError: the frame does not hold the region whole.
    """
    x, y, width, height = roi
    found_height, found_width = image.shape[:2]
    if x + width > found_width or y + height > found_height:
        raise FrameError(f"expected the region {told(roi)} within the frame, got {found_width}x{found_height}")
    return image[y : y + height, x : x + width]


def read_mask(path: str | os.PathLike[str]) -> Mask:
    """Return a mask from a picture: True, what is looked at, where it is not black in any channel.

    Raises:
        PictureError: it cannot be read.
        SettingError: it is all black, so that nothing would be looked at.
    """
    from wordsight.runtime.pictures import read_picture

    mask: Mask = np.asarray(read_picture(path).any(axis=2), bool)
    if not mask.any():
        raise SettingError(f"expected a mask with white where parts are looked at, got {path}, which is all black")
    return mask


def mask_sha256(mask: Mask) -> str:
    """Return what tells masks apart, whatever picture they were read from."""
    digest = hashlib.sha256(np.asarray(mask.shape, "<i8").tobytes())
    digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


def require_seen(mask: Mask, roi: Roi | None) -> None:
    """See that a mask and a region go together.

    Raises:
        SettingError: the mask lacks the region, or is black all over it.
    """
    if roi is None:
        return
    (height, width), (x, y, columns, rows) = mask.shape, roi
    if x + columns > width or y + rows > height:
        raise SettingError(
            f"expected a mask of the whole frame, got {width}x{height}, which lacks the region {list(roi)}"
        )
    if not mask[y : y + rows, x : x + columns].any():
        raise SettingError("expected white within the region, got a mask that is black there")


def masked_out(image: Image, mask: Mask, fill: tuple[int, int, int]) -> Image:
    """Return a frame, (H, W, 3) uint8 BGR, whose pixels outside the mask have one colour; the frame stays as it was.

    Args:
        image: (H, W, 3) uint8 BGR, the whole frame.
        mask: (H, W), True where it is looked at.
        fill: blue, green, red; see `mean_colour`.

    Raises:
        FrameError: the mask is of another size.
    """
    if mask.shape != image.shape[:2]:
        (height, width), (found_height, found_width) = mask.shape, image.shape[:2]
        raise FrameError(f"expected a frame of the mask's size, {width}x{height}, got {found_width}x{found_height}")
    filled: Image = image.copy()
    filled[~mask] = fill
    return filled


def mean_colour(spec: "InputSpec") -> tuple[int, int, int]:
    """Return blue, green, red of what the encoder takes for nothing: its mean, which normalisation makes 0."""
    red, green, blue = (round(255 * value) for value in spec.mean)
    return blue, green, red


def parse_roi(text: str) -> Roi:
    """Return a region from "320,40,1280,1000".

    Raises:
        SettingError: not four whole numbers, or none that make a region.
    """
    words = [word.strip() for word in text.split(",")]
    numbers = [int(word) for word in words if word.isascii() and word.isdigit()]
    if len(words) != 4 or len(numbers) != 4 or not numbers[2] or not numbers[3]:
        raise SettingError(f"expected a region as X,Y,WIDTH,HEIGHT in pixels, such as 320,40,1280,1000, got {text}")
    x, y, width, height = numbers
    return x, y, width, height


def told(roi: Roi) -> str:
    """Return "1280x1000 at 320,40"."""
    return f"{roi[2]}x{roi[3]} at {roi[0]},{roi[1]}"
