"""One video file: hidden until it is closed, so that a reader never meets half of one."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wordsight.runtime.errors import OutputError
from wordsight.runtime.opencv import load_cv2, silenced
from wordsight.runtime.sources.content import cut_short
from wordsight.runtime.sources.frame import Image

# Tried in this order: a Jetson's OpenCV may be built without FFmpeg, and then writes MJPG alone.
_CODECS = (("mp4v", ".mp4"), ("MJPG", ".avi"))


class VideoFile:
    """A video in the making.

    Attributes:
        path: what it is called once it is closed.
    """

    def __init__(self, free: Callable[[str, str], Path], name: str, fps: float, first: Image) -> None:
        """Open it.

        Args:
            free: gives the path for a name and a suffix, ".mp4" or ".avi".
            name: of the video, for `free` and for people.
            fps: frames per second.
            first: one of its pictures, uint8 BGR (H, W, 3), sides even; `write` is given it, too.

        Raises:
            OutputError: OpenCV has no encoder, or the folder cannot be written.
        """
        self._cv2 = cv2 = load_cv2()
        self._written = 0
        self._writer: Any = None
        for code, suffix in _CODECS:
            path = free(name, suffix)
            part = path.with_name(f".wordsight-{os.getpid()}-{path.name}")
            fourcc = cv2.VideoWriter.fourcc(*code)
            with silenced(cv2):
                writer = cv2.VideoWriter(str(part), fourcc, fps, (first.shape[1], first.shape[0]))
            if writer.isOpened():
                self._writer, self.path, self._part = writer, path, part
                return
            part.unlink(missing_ok=True)
        tried = ", ".join(code for code, _ in _CODECS)
        raise OutputError(f"OpenCV cannot write a video of {name} (tried {tried}); wordsight doctor tells what it can")

    def write(self, picture: Image) -> None:
        """Append one picture, of the size of the first."""
        with silenced(self._cv2):
            self._writer.write(picture)
        self._written += 1

    def close(self) -> None:
        """Give it its name.

        Raises:
            OutputError: it did not reach the disk whole; nothing is left of it.
        """
        with silenced(self._cv2):
            self._writer.release()
            whole = self._whole()
        if not whole:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)
            raise OutputError(f"cannot write {self.path}: the video did not reach the disk whole; is it full?")
        try:
            with open(self._part, "rb") as file:
                os.fsync(file.fileno())  # a power cut must not leave the name on empty blocks
            os.replace(self._part, self.path)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {(error.strerror or str(error)).lower()}") from error

    def _whole(self) -> bool:
        """Read back what the disk holds: OpenCV keeps write errors to itself."""
        try:
            if cut_short(self._part):
                return False
        except OSError:
            return False
        capture = self._cv2.VideoCapture(str(self._part))
        try:
            return capture.isOpened() and int(capture.get(self._cv2.CAP_PROP_FRAME_COUNT)) == self._written
        finally:
            capture.release()
