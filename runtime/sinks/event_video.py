"""What a line sees, with each result drawn below it, as videos of some minutes under a quota of the disk."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from wordsight.runtime.annotate import annotate
from wordsight.runtime.opencv import load_cv2
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.kept_folder import FolderOptions, KeptFolder, safe
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sinks.video_file import VideoFile

_FPS = 10.0  # of what comes as single pictures


class VideoOptions(FolderOptions):
    """What a sink of type "video" can be told."""

    minutes: float = Field(10.0, gt=0, le=24 * 60, description="a new file is begun after so long")
    fps: float | None = Field(
        None, gt=0, le=240, description="frames a second when it is played; by default the source's own, else 10"
    )
    heat: bool = Field(True, description="draw heat maps over the pictures, where there are some")
    top: float | None = Field(
        None, gt=0, description="score at the bar's end; by default the highest with equal weights"
    )


@dataclass
class _Open:
    file: VideoFile
    number: int
    shape: tuple[int, ...]
    until_s: float


class EventVideo:
    """The sink of type "video": a video a line, 00000041.LINE.20261126T130000Z.mp4.

    A new one is begun after some minutes and when the size of the pictures changes. It has its name when it is whole;
    one that a process which was killed had begun is removed at the next start. Every frame is one picture in it: time
    passes as the source's frames per second say, whatever was dropped.

    Attributes:
        counts: "removed", videos that went for want of room.
    """

    Options = VideoOptions
    wants_image = True

    def __init__(
        self, options: VideoOptions, context: SinkContext, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make the folder and look what is there.

        Raises:
            OutputError: see `kept_folder.KeptFolder`.
            MissingPart: OpenCV is not installed.
        """
        load_cv2()
        self._options, self._clock = options, clock
        self._folder = KeptFolder(context.folder / options.folder, options.keep_bytes, options.spare_bytes)
        self._open: dict[str, _Open] = {}  # by line
        self.counts = self._folder.counts

    def write(self, event: Event) -> None:
        """Append one frame to its line's video.

        Raises:
            OutputError: the folder vanished, its disk is full, there is no encoder, or the video before this one did
                not reach the disk whole.
        """
        if not isinstance(event, Result) or not event.frame.image.size:
            return
        self._folder.check()
        now_s = self._clock()
        for line in [line for line, video in self._open.items() if now_s >= video.until_s]:
            self._finish(line)
        line = event.line or "line"
        picture = annotate(event, self._top(event), heat=self._options.heat)
        video = self._open.get(line)
        if video is not None and video.shape != picture.shape:
            self._finish(line)
            video = None
        if video is None:
            number = self._folder.number()
            name = f"{number:08d}.{safe(line)}.{event.frame.timestamp:%Y%m%dT%H%M%SZ}"
            fps = self._options.fps or event.frame.fps or _FPS
            file = VideoFile(self._free, name, fps, picture)
            video = self._open[line] = _Open(file, number, picture.shape, now_s + 60 * self._options.minutes)
        video.file.write(picture)

    def close(self) -> None:
        """Finish the videos that are being written.

        Raises:
            OutputError: one did not reach the disk whole; the others are finished.
        """
        try:
            self._finish_all()
        finally:
            self._folder.close()

    def _finish_all(self) -> None:
        try:
            for line in list(self._open):
                self._finish(line)
        finally:
            if self._open:
                self._finish_all()

    def _finish(self, line: str) -> None:
        video = self._open.pop(line)
        video.file.close()
        self._folder.add(video.number, [video.file.path.name])

    def _free(self, name: str, suffix: str) -> Path:
        return self._folder.path / f"{name}{suffix}"

    def _top(self, event: Result) -> float:
        if self._options.top is not None:
            return self._options.top
        hottest = 2.0 if event.heat is None else event.heat.top
        return hottest + (0.0 if event.s_img is None else 1.0)
