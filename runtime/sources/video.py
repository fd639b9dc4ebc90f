"""Video files, cameras and network streams, through OpenCV.

A video file that ends before its header says it does gives the frames it has, then a failure. The last frame before
the cut is not given: decoders fill its missing half with grey or with the frame before, and a made-up frame is never
scored. A camera or stream that stops gives a failure and ends; it is not opened again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wordsight.runtime.opencv import load_cv2, silenced
from wordsight.runtime.sources.content import counts_frames, cut_short
from wordsight.runtime.sources.frame import Failure, Frame, Item, now, problem
from wordsight.runtime.urls import masked

OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 10_000
LAST_INDEX = 99
"""Of a camera: OpenCV takes the hundreds for the number of a backend, so that 200 would open camera 0."""

# Containers without a frame count state a duration, from which OpenCV guesses the count: half a second short of it,
# or two frames, is within the guess.
_GUESS_FRAMES = 2
_GUESS_S = 0.5


def video_items(path: Path, name: str) -> Iterator[Item]:
    """Give every frame of a video file, then a failure if it ends early; or one failure if it cannot be opened.

    Args:
        path: the file.
        name: short name for people.
    """
    cv2 = load_cv2()
    source = str(path)
    try:
        with open(path, "rb") as file:
            exact = counts_frames(file.read(16))
        cut = cut_short(path)
    except OSError as error:
        yield Failure(source, (error.strerror or str(error)).lower(), "VideoBroken")
        return
    with silenced(cv2):
        capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            reason = "the video is cut short and its index is lost" if cut else "no video that OpenCV can open"
            yield Failure(source, reason, "VideoBroken", 0)
            return
        claimed = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        fps = _rate(capture, cv2)
        held: Frame | None = None  # one frame back, until it is known that the video went on or ended well
        seen, last_ms = 0, 0.0
        while True:
            with silenced(cv2):
                good, image = capture.read()
            if not good:
                break
            if held is not None:
                yield held
            trouble = problem(image)
            if trouble:
                yield Failure(source, trouble, "VideoBroken", seen)
                return
            held = Frame(image, source, seen, now(), name, fps)
            seen, last_ms = seen + 1, capture.get(cv2.CAP_PROP_POS_MSEC)
        missing = claimed - seen
        if not exact:
            gap_s = claimed / fps - last_ms / 1000
            missing = missing if missing > _GUESS_FRAMES and gap_s > _GUESS_S + 1 / fps else 0
        if not cut and missing <= 0 and held is not None:
            yield held
            return
        given = max(0, seen - 1)
        told = f"{seen} of the {claimed} frames its header claims" if claimed > seen else f"{seen} frames"
        yield Failure(
            source,
            f"the video ends in the middle: {told} could be decoded; the last of them may be incomplete and is left out"
            if seen
            else "no frame of the video can be decoded",
            "VideoBroken",
            given,
        )
    finally:
        capture.release()


class Camera:
    """A camera by its index, or a stream by its URL: frames in real time, until it stops.

    Attributes: see `wordsight.runtime.sources.Source`.
    """

    live = True
    endless = True
    count: int | None = None
    skipped = 0

    def __init__(self, address: int | str) -> None:
        """Remember which; it is opened when the first frame is asked for.

        Args:
            address: index of the camera, or URL; credentials in it go to the camera and nowhere else.
        """
        self._address = address
        self.text = masked(str(address))

    def __iter__(self) -> Iterator[Item]:
        """Give each frame; then, if it stops by itself, a failure."""
        cv2 = load_cv2()
        name = f"camera {self.text}" if isinstance(self._address, int) else self.text
        if isinstance(self._address, int) and self._address > LAST_INDEX:
            yield Failure(self.text, self._absence(), "CameraAbsent", 0)
            return
        capture = self._opened(cv2)
        index = 0
        try:
            if not capture.isOpened():
                yield Failure(self.text, self._absence(), "CameraAbsent", 0)
                return
            fps = _rate(capture, cv2)
            while True:
                with silenced(cv2):
                    good, image = capture.read()
                if not good:
                    yield Failure(self.text, f"no more frames after {index}", "SourceError", index)
                    return
                if image.ndim == 2:  # a monochrome camera whose driver is not converted
                    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
                trouble = problem(image)
                if trouble:
                    yield Failure(self.text, trouble, "SourceError", index)
                    return
                yield Frame(image, self.text, index, now(), name, fps)
                index += 1
        finally:
            capture.release()

    def _opened(self, cv2: Any) -> Any:
        with silenced(cv2):
            if isinstance(self._address, int):
                return cv2.VideoCapture(self._address)
            limits = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS,
            ]  # fmt: skip
            return cv2.VideoCapture(self._address, cv2.CAP_FFMPEG, limits)

    def _absence(self) -> str:
        if not isinstance(self._address, int):
            return f"the stream does not answer within {OPEN_TIMEOUT_MS / 1000:g} s, or refuses the user or password"
        there = sorted(path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
        return f"no camera with this index; the system has {', '.join(there) or 'none'}"


def _rate(capture: Any, cv2: Any) -> float:
    """Return frames per second as the header or driver states it, 25 where it states nonsense."""
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if 0 < rate <= 1000 else 25.0
