"""Where frames come from: files, folders, globs, videos, cameras, streams.

    for item in open_source("parts/"):
        match item: a Frame to score, or a Failure to report

One bad input is a `Failure` in its place and never stops the ones after it.
"""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from wordsight.runtime.sources.frame import Failure, Frame, Idle, Item, Source
from wordsight.runtime.urls import SCHEMES, masked, scheme_of

__all__ = ["Failure", "Frame", "Idle", "Item", "Source", "masked", "open_source", "readable_frames"]


def open_source(text: str | os.PathLike[str], exclude: Path | None = None) -> Source:
    """Return the source that `text` names. Cameras, streams and files are opened only when frames are asked for.

    Args:
        text: a camera's index (`0`), a URL (`rtsp://...`), a folder, a file, or a glob in quotes (`"line3/**/*.png"`).
            A file or folder whose name is a number is `./0`; one whose name holds *, ? or [ comes before the glob.
        exclude: a folder that folders and globs leave out.

    Raises:
        NothingFound: an empty folder, or a glob that matches nothing.
        SourceError: a folder that cannot be listed, a URL of a kind that is not opened, or an empty name.
    """
    from wordsight.runtime.errors import SourceError
    from wordsight.runtime.sources import files, video

    text = os.fspath(text)
    if not text.strip():
        raise SourceError("expected a file, folder, glob, camera index or URL, got an empty name")
    if text.isascii() and text.isdigit():
        return video.Camera(int(text))
    scheme = scheme_of(text)
    if scheme in SCHEMES:
        return video.Camera(text)
    if scheme is not None:
        raise SourceError(f"cannot open {masked(text)}: expected a stream of {', '.join(SCHEMES)}, got {scheme}")
    if os.path.isdir(text):
        return files.folder(text, exclude)
    if glob.has_magic(text) and not os.path.lexists(text):
        return files.matches(text, exclude)
    return files.one_file(text)


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
