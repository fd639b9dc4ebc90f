"""Where frames come from: files, folders, globs, videos, cameras, streams.

    for item in open_source("parts/"):
        match item: a Frame to score, or a Failure to report

One bad input is a `Failure` in its place and never stops the ones after it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from wordsight.runtime.sources.frame import Failure, Frame, Idle, Item, Source
from wordsight.runtime.urls import masked

__all__ = ["Failure", "Frame", "Idle", "Item", "Source", "masked", "open_source", "readable_frames"]


def open_source(text: str | os.PathLike[str], exclude: Path | None = None) -> Source:
    """Return the source that `text` names. Cameras, streams and files are opened only when frames are asked for.

    Args:
        text: a camera's index or device (`0`, `camera:0`, `/dev/video0`), a URL (`rtsp://...`), a folder, a file, or a
            glob in quotes (`"line3/**/*.png"`). A file or folder whose name is a number is `./0`; one whose name holds
            *, ? or [ comes before the glob.
        exclude: a folder that folders and globs leave out.

    Raises:
        NothingFound: an empty folder, or a glob that matches nothing.
        SourceError, MissingPart: see `wordsight.runtime.sources.registry.open_source`, which takes options, too.
    """
    from wordsight.runtime.sources.options import SourceOptions
    from wordsight.runtime.sources.registry import open_source

    return open_source(text, SourceOptions(exclude=exclude))


def readable_frames(text: str | os.PathLike[str]) -> Iterator[Frame]:
    """The frames of a source of which all have to be readable, one after the other.

    Raises:
        PictureError: one is not; names it.
        NothingFound, SourceError: as `open_source`.
    """
    from wordsight.runtime.errors import PictureError

    for item in open_source(text):
        if isinstance(item, Failure):
            raise PictureError(f"{item.source}: {item.reason}")
        if isinstance(item, Frame):
            yield item
