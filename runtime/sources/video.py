"""Video files, through OpenCV.

A file that ends before its header says it does gives the frames it has, then a failure. The last frame before
the cut is not given: decoders fill its missing half with grey or with the frame before, and a made-up frame is never
scored.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wordsight.runtime.opencv import load_cv2, silenced
from wordsight.runtime.sources.content import counts_frames, cut_short
from wordsight.runtime.sources.frame import Failure, Frame, Item, now, problem

# Containers without a frame count state a duration, from which OpenCV guesses the count: half a second short of it,
# or two frames, is within the guess.
_GUESS_FRAMES = 2
_GUESS_S = 0.5


def video_items(path: Path, name: str, part_id: str | None = None) -> Iterator[Item]:
    """Give every frame of a video file, then a failure if it ends early; or one failure if it cannot be opened.

    Args:
        path: the file.
        name: short name for people.
        part_id: which part it shows.
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
        fps = rate(capture, cv2)
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
            held = Frame(image, source, seen, now(), name, fps, part_id)
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


def rate(capture: Any, cv2: Any) -> float:
    """Return frames per second as the header or driver states it, 25 where it states nonsense."""
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if 0 < rate <= 1000 else 25.0
