"""The OpenCV at hand, of whatever age: how it is loaded and kept quiet, and what it was built with."""

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from typing import Any

from wordsight.runtime.errors import MissingPart

MAX_PIXELS = 2**28
"""Most pixels a picture may have: 268 million, 16,384 x 16,384."""

_SILENT = 0  # LOG_LEVEL_SILENT in every version


def load_cv2() -> Any:
    """Import OpenCV, bounded and without FFmpeg's chatter, which prints passwords.

    OpenCV reads these variables when it first opens a video or decodes a picture; what the user has set counts.

    Raises:
        MissingPart: it is not installed.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))  # for formats whose header is not read here
    try:
        import cv2
    except ImportError as error:
        raise MissingPart(
            "OpenCV is not installed (on a Jetson, use the board's own)", "pip install 'wordsight[runtime]'"
        ) from error
    return cv2


@contextlib.contextmanager
def silenced(cv2: Any) -> Iterator[None]:
    """Keep OpenCV's own log quiet for a while: what is wrong is told by our one line, not buried under its ten."""
    # 5.x has the functions in cv2.utils.logging, 4.x in cv2 itself, some in both, very old ones nowhere.
    places = (getattr(getattr(cv2, "utils", None), "logging", None), cv2)
    place = next((place for place in places if hasattr(place, "setLogLevel") and hasattr(place, "getLogLevel")), None)
    if place is None:
        yield
        return
    level = place.getLogLevel()
    place.setLogLevel(_SILENT)
    try:
        yield
    finally:
        place.setLogLevel(level)


@functools.lru_cache(maxsize=1)
def _build() -> str:
    import cv2

    return str(cv2.getBuildInformation())


def feature(name: str) -> str | None:
    """Return what the build says behind `name` ("FFMPEG", "GStreamer"); None when it says NO or nothing."""
    found = re.search(rf"^\s*{re.escape(name)}:[ \t]*(.*)$", _build(), re.MULTILINE)
    value = found.group(1).strip() if found else ""
    return None if not value or value.upper().split()[0] in ("NO", "NONE") else value


def gui() -> str | None:
    """Return the window system OpenCV is built with, None for a headless one."""
    value = feature("GUI")
    if value is not None:
        return value
    # "GUI:" stands alone above its list in older versions.
    block = re.search(r"^\s*GUI:[^\n]*\n((?:[ \t]+\S.*\n)+)", _build(), re.MULTILINE)
    for name in ("QT", "GTK+", "GTK", "Cocoa", "COCOA", "Win32 UI", "Wayland"):
        if block and re.search(rf"^\s*{re.escape(name)}:[ \t]*YES", block.group(1), re.MULTILINE):
            return name
    return None
