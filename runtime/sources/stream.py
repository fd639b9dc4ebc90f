"""Cameras of this machine and streams of the network, through OpenCV: frames in real time, until they stop.

What stops gives a failure and ends; opening it again is the reader's matter. RTSP goes over TCP: over UDP a lost packet
is half a picture. A picture that was cut off when the connection broke is not given: a decoder fills its missing half
with the frame before. Of Motion JPEG the pictures are taken as they came and decoded here, so that a broken one is told
and another size is seen: OpenCV goes on in the first size (its issue 27116). User and password are put into the address
at the moment of opening, for FFmpeg alone.
"""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from wordsight.runtime.errors import PictureError, SourceError
from wordsight.runtime.opencv import load_cv2, silenced
from wordsight.runtime.pictures import decoded
from wordsight.runtime.sources.frame import Failure, Frame, Item, now, problem
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.video import rate
from wordsight.runtime.urls import masked

LAST_INDEX = 99
"""Of a camera: OpenCV takes the hundreds for the number of a backend, so that 200 would open camera 0."""

_FFMPEG = "rtsp_transport;tcp|fflags;discardcorrupt"
_MJPG = int.from_bytes(b"MJPG", "little")
_DEVICE = re.compile(r"/dev/video(\d+)")
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}


def camera(text: str, options: SourceOptions) -> "Live":
    """Return the source of a camera of this machine: "0", "camera:0", "/dev/video0", "/dev/v4l/by-id/...".

    Raises:
        SourceError: neither an index nor a device.
    """
    device = text if text.isdigit() or text.startswith("/") else text.partition(":")[2]
    if not (device.isascii() and device.isdigit()) and not device.startswith("/dev/"):
        raise SourceError(f"expected a camera as camera:0 or camera:/dev/video0, got {text}")

    def opened(cv2: Any) -> Any:
        # A link such as /dev/v4l/by-id/... leads elsewhere when the camera was plugged in again.
        found = _DEVICE.fullmatch(os.path.realpath(device)) if device.startswith("/") else None
        index = found.group(1) if found else device
        if not index.isdigit() or len(index) > 4 or int(index) > LAST_INDEX:
            return None
        with silenced(cv2):
            return cv2.VideoCapture(int(index))

    def absence(took_s: float) -> str:
        there = sorted(path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
        return f"no camera {device}; the system has {', '.join(there) or 'none'}"

    return Live(text, f"camera {device}", opened, absence)


def stream(text: str, options: SourceOptions) -> "Live":
    """Return the source of a stream by its URL.

    Raises:
        SourceError: no host behind the scheme.
    """
    if not re.match(r"[^:]+://[^/]", text):
        raise SourceError(f"expected the address of a stream, such as rtsp://camera/main, got {masked(text)}")

    def opened(cv2: Any) -> Any:
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", _FFMPEG)  # read at every opening
        with silenced(cv2):
            return cv2.VideoCapture(_address(text, options), cv2.CAP_FFMPEG, limits(cv2, options))

    def absence(took_s: float) -> str:
        if took_s >= 0.9 * options.open_timeout_s:
            return f"the stream does not answer within {options.open_timeout_s:g} s"
        return _refusal(text) or "the server gives no such stream, or refuses the user or password"

    return Live(masked(text), masked(text), opened, absence, options.read_timeout_s)


def limits(cv2: Any, options: SourceOptions) -> list[int]:
    """Return the time-outs as OpenCV takes them."""
    return [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(options.open_timeout_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(options.read_timeout_s * 1000),
    ]  # fmt: skip


class Live:
    """A camera, stream or pipeline that OpenCV reads.

    Attributes: see `wordsight.runtime.sources.Source`.
    """

    live = True
    endless = True
    count: int | None = None
    skipped = 0

    def __init__(
        self,
        text: str,
        name: str,
        opened: Callable[[Any], Any],
        absence: Callable[[float], str],
        jpeg_timeout_s: float | None = None,
    ) -> None:
        """Remember which; it is opened when the first frame is asked for.

        Args:
            text: what it is called, credentials masked.
            name: short name for people.
            opened: gives OpenCV's capture, or None, from the module `cv2`.
            absence: gives the reason why it could not be opened, from the seconds that took.
            jpeg_timeout_s: decode Motion JPEG here, and end when for so long no picture of it is whole; None: leave it
                to OpenCV.
        """
        self.text = text
        self._name, self._opened, self._absence, self._jpeg_timeout_s = name, opened, absence, jpeg_timeout_s

    def __iter__(self) -> Iterator[Item]:
        """Give each frame; then, if it stops by itself, a failure."""
        cv2 = load_cv2()
        began_s = time.monotonic()
        capture = self._opened(cv2)
        index = 0
        try:
            if capture is None or not capture.isOpened():
                yield Failure(self.text, self._absence(time.monotonic() - began_s), "CameraAbsent", 0)
                return
            fps = rate(capture, cv2)
            jpeg = self._jpeg_timeout_s is not None and _undecoded(capture, cv2)
            broken_s: float | None = None  # since when no picture was whole
            while True:
                with silenced(cv2):
                    good, image = capture.read()
                if not good:
                    yield Failure(self.text, f"no more frames after {index}", "SourceError", index)
                    return
                if jpeg:
                    try:
                        image = decoded(image.tobytes(), "a picture of the stream")
                    except PictureError as error:
                        if broken_s is None:
                            broken_s = time.monotonic()
                            yield Failure(self.text, str(error), "PictureError", index)
                        elif time.monotonic() - broken_s > (self._jpeg_timeout_s or 0):
                            told = f"no whole picture for {self._jpeg_timeout_s:g} s: {error}"
                            yield Failure(self.text, told, "SourceError", index)
                            return
                        continue
                    broken_s = None
                if image.ndim == 2:  # a monochrome camera whose driver is not converted
                    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
                trouble = problem(image)
                if trouble:
                    yield Failure(self.text, trouble, "SourceError", index)
                    return
                yield Frame(image, self.text, index, now(), self._name, fps)
                index += 1
        finally:
            if capture is not None:
                capture.release()


def _undecoded(capture: Any, cv2: Any) -> bool:
    """Ask for the pictures of a Motion JPEG stream as they come; return whether that is what comes."""
    return int(capture.get(cv2.CAP_PROP_FOURCC)) == _MJPG and bool(capture.set(cv2.CAP_PROP_FORMAT, -1))


def _address(url: str, options: SourceOptions) -> str:
    """Return a URL with user and password in it, in place of any that it had."""
    if options.user is None:
        return url
    scheme, host, rest = _parted(url)
    login = quote(options.user, safe="") + (f":{quote(options.password, safe='')}" if options.password else "")
    return f"{scheme}://{login}@{host}{rest}"


def _parted(url: str) -> tuple[str, str, str]:
    """Return the scheme of a URL, its host with the port but without user and password, and what follows."""
    scheme, _, rest = url.partition("://")
    place = re.match(r"[^/?#]*", rest)
    authority = place.group() if place else ""
    return scheme, authority.rpartition("@")[2], rest[len(authority) :]


def _refusal(url: str) -> str | None:
    """Return why nothing can be reached at an address, None when something listens there or it cannot be told."""
    with contextlib.suppress(ValueError):  # a port that is no number
        scheme, host, _ = _parted(url)
        parts = urlsplit(f"{scheme}://{host}")
        port = parts.port or _PORTS.get(scheme.lower())
        if parts.hostname and port:
            try:
                socket.create_connection((parts.hostname, port), 2.0).close()
            except OSError as error:
                return f"nothing answers at {parts.hostname}:{port}: {(error.strerror or str(error)).lower()}"
    return None
