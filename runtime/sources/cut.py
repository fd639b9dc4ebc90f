"""A region of every frame of a source: what else the camera sees is left out."""

from collections.abc import Iterator
from dataclasses import replace

from wordsight.runtime.errors import FrameError, SettingError
from wordsight.runtime.sources.frame import Failure, Frame, Image, Item, Source

Roi = tuple[int, int, int, int]  # x, y, width, height in pixels


class Cut:
    """A source whose frames are cut to a region; one that does not hold it whole is a failure.

    Attributes: see `wordsight.runtime.sources.Source`.
    """

    def __init__(self, source: Source, roi: Roi) -> None:
        """Keep both; nothing is opened.

        Args:
            source: gives whole frames.
            roi: x, y, width, height in pixels.
        """
        self.source, self.roi = source, roi
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
                image = cut_out(item.image, self.roi)
            except FrameError as error:
                yield Failure(item.source, str(error), "FrameError", item.index if item.fps is not None else None)
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
