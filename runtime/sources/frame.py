"""What a source gives: frames, or the reason there is none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]  # (H, W, 3) BGR


@dataclass(frozen=True)
class Frame:
    """One frame and where it came from.

    Attributes:
        image: uint8 BGR (H, W, 3), 0 to 255.
        source: path of the picture or video, or the camera or URL as given, credentials masked.
        index: number of the frame within `source`, from 0; a picture has one frame, 0.
        timestamp: wall-clock moment at which the frame was read, aware, UTC.
        name: short name for people: the path relative to the folder that was given, else the file's own name.
        fps: frames per second of the video or camera it belongs to; None for a picture.
    """

    image: Image
    source: str
    index: int
    timestamp: datetime
    name: str
    fps: float | None = None


@dataclass(frozen=True)
class Failure:
    """An input that could not be read, or not to its end. It never stops the inputs after it.

    Attributes:
        source: as in `Frame`.
        reason: one line, without the source's name.
        kind: name of the error class in `wordsight.runtime.errors` that a caller would have been given.
        frame: index of the first frame that is missing; None when nothing of the source could be read.
    """

    source: str
    reason: str
    kind: str
    frame: int | None = None


Item = Frame | Failure


class Source(Protocol):
    """Something that gives frames in order.

    Attributes:
        text: what the user wrote, credentials masked.
        count: how many items are to come, as far as known beforehand; None for a camera or a stream.
        live: frames come in real time, so each is to be scored at once rather than gathered in batches.
        skipped: files passed over because they are neither pictures nor videos, counted so far.
    """

    text: str
    count: int | None
    live: bool
    skipped: int

    def __iter__(self) -> Iterator[Item]:
        """Give each frame, or the failure in its place. Closing the iterator frees the camera or file."""
        ...


def now() -> datetime:
    """Return the wall clock, UTC, aware."""
    return datetime.now(timezone.utc)


def problem(array: Any) -> str | None:
    """Return why an array is no frame, None when it is one: uint8 (H, W, 3) with at least one pixel."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        return f"expected a uint8 (H, W, 3) frame, got {found}"
    return None if array.size else "expected at least one pixel, got an empty frame"
