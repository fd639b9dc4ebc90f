"""Where a frame's time goes, from the camera's encoded bytes to the decision."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.speed.subjects import Subject
from wordsight.runtime.errors import MissingPart, SettingError
from wordsight.runtime.fit_input import fit_input
from wordsight.runtime.opencv import load_cv2
from wordsight.runtime.sinks.result import decide

PARTS = ("decode", "preprocess", "inference", "decision")
_HEIGHT, _WIDTH = 1080, 1920


def camera_frame(seed: int = 0) -> NDArray[np.uint8]:
    """A drawn part as a 1080p camera sees it, (1080, 1920, 3) uint8 BGR: flat areas, edges, grain and sensor noise.

    Without the noise a PNG would be far smaller than a camera's, and quicker to decode.
    """
    cv2 = load_cv2()
    rng = np.random.default_rng(seed)
    coarse = rng.normal(120, 25, (18, 32, 3)).astype(np.float32)
    frame = cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        centre = (int(rng.integers(_WIDTH)), int(rng.integers(_HEIGHT)))
        cv2.circle(frame, centre, int(rng.integers(20, 160)), tuple(map(float, rng.uniform(40, 220, 3))), 3)
    frame += rng.normal(0, 3, frame.shape).astype(np.float32)
    return np.asarray(np.clip(np.round(frame), 0, 255), np.uint8)


def encoded(kind: str) -> list[bytes]:
    """`camera_frame` as "jpeg" (quality 90) or "png"."""
    cv2 = load_cv2()
    settings = [cv2.IMWRITE_JPEG_QUALITY, 90] if kind == "jpeg" else []
    done, data = cv2.imencode(f".{kind}", camera_frame(), settings)
    if not done:
        raise MissingPart(f"this OpenCV writes no {kind}", "pip install opencv-python-headless")
    return [data.tobytes()]


def read_source(source: Path, most: int = 32) -> list[bytes]:
    """The bytes of a picture, or of the first pictures of a folder.

    Raises:
        SettingError: no such file, or a folder without pictures.
        PictureError: a file that is no picture.
    """
    from wordsight.runtime.pictures import read_picture
    from wordsight.runtime.sources.content import kind_of_file

    if not source.exists():
        raise SettingError(f"expected a picture or a folder of pictures, got {source}, which is not there")
    paths = [source]
    if source.is_dir():
        paths = [path for path in sorted(source.rglob("*")) if path.is_file() and kind_of_file(path) == "picture"]
        if not paths:
            raise SettingError(f"{source} holds no picture")
    for path in paths[:most]:
        read_picture(path)  # says what is wrong with it before anything is timed
    return [path.read_bytes() for path in paths[:most]]


def measure(
    subject: Subject, frames: list[bytes], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each part in each round, one frame a round; one more warms up.

    Args:
        subject: what infers.
        frames: encoded pictures, taken in turn.
        rounds: how often.
        clock: seconds.
    """
    cv2 = load_cv2()
    spec = subject.manifest.input
    threshold = (subject.manifest.score.w_pr + subject.manifest.score.w_fnn) / 2
    taken: dict[str, list[float]] = {part: [] for part in PARTS}
    for turn in range(-1, rounds):
        data = np.frombuffer(frames[turn % len(frames)], np.uint8)
        times = [clock()]
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR)
        times.append(clock())
        ready = fit_input(frame, spec)[None]
        times.append(clock())
        outputs = subject.engine.infer(ready)
        times.append(clock())
        decide(float(outputs["score"][0]), threshold)
        times.append(clock())
        if turn >= 0:
            for part, start, end in zip(PARTS, times[:-1], times[1:], strict=True):
                taken[part].append(end - start)
    return taken
