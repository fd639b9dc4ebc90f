"""What the OpenCV at hand can do, read from its own build information."""

import functools
import re


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
