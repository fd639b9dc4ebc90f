"""What a source gives: frames, or the reason there is none."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


def _nothing() -> None:
    pass


Image = npt.NDArray[np.uint8]  # (H, W, 3) BGR


@dataclass(frozen=True)
class Frame:
    """One frame and where it came from.

    Attributes:
        image: uint8 BGR (H, W, 3), 0 to 255.
        source: path of the picture or video, or the camera or URL as given, credentials masked.
        index: number of the frame within `source`, from 0; a picture has one frame, 0.
        timestamp: wall-clock moment at which the frame was read, aware, UTC; of a watched folder's picture, at which
            its file was written.
        name: short name for people: the path relative to the folder that was given, else the file's own name.
        fps: frames per second of the video or camera it belongs to; None for a picture.
        part_id: which part it shows, where trigger, file name or controller say so.
        captured_s: monotonic clock at which it was read: latencies are counted from here, never from `timestamp`.
        done: to be called when its result was handed on, or when it was refused or dropped. A source that remembers
            what it gave (`watch:`) counts it as taken from then on. Never raises, never waits.
    """

    image: Image
    source: str
    index: int
    timestamp: datetime
    name: str
    fps: float | None = None
    part_id: str | None = None
    captured_s: float = field(default_factory=time.monotonic)
    done: Callable[[], None] = field(default=_nothing, repr=False, compare=False)


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


@dataclass(frozen=True)
class Idle:
    """The source is well and has nothing yet: no trigger came, no new picture lies there. Given about once a second.

    Attributes:
        source: as in `Frame`.
        reason: what it waits for, such as "no trigger for 12 s".
    """

    source: str
    reason: str


Item = Frame | Failure | Idle


class Source(Protocol):
    """Something that gives frames in order.

    Attributes:
        text: what the user wrote, credentials masked.
        count: how many items are to come, as far as known beforehand; None for a camera or a stream.
        live: frames come in real time: the newest counts, older ones may be dropped. Not live: every frame counts.
        endless: it has no last frame: when it stops, that is a fault, and it is opened again. Each `iter()` opens anew.
        skipped: files passed over because they are neither pictures nor videos, counted so far.

    One may also have `remark`: a line that is to be known before it is opened, or None.
    """

    text: str
    count: int | None
    live: bool
    endless: bool
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
