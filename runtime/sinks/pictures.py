"""Annotated pictures and videos in a folder, beside nobody's originals."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from wordsight.runtime.annotate import annotate
from wordsight.runtime.errors import OutputError
from wordsight.runtime.files import check_output_folder, whole_file
from wordsight.runtime.opencv import load_cv2
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sinks.video_file import VideoFile
from wordsight.runtime.sources.frame import Image

_QUALITY = 92  # JPEG


class AnnotatedPictures:
    """Writes each scored picture, and each video or camera as one video, with its result drawn below it.

    Files keep the name and sub-folder they had below the folder that was given, as .jpg and .mp4. Two that would
    get the same name (a.png and a.bmp) become a.jpg and a-2.jpg, in the order in which they were scored. Files of an
    earlier run are replaced; a file that is a source of this run never is.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        top: float,
        threshold: float | None,
        originals: Iterable[Path] = (),
        heat: bool = False,
        unsure: float | None = None,
    ) -> None:
        """Make the folder.

        Args:
            folder: where to write.
            top: highest score there can be.
            threshold: marked on the bar where it is given.
            originals: the files that are scored, none of which may be overwritten.
            heat: draw heat maps over the pictures.
            unsure: marked, too, where it is given.

        Raises:
            OutputError: the folder cannot be made or written to.
        """
        self.folder = check_output_folder(folder)
        self._draw: Callable[[Result], Image] = lambda result: annotate(result, top, threshold, heat, unsure)
        self._taken = {path.resolve() for path in originals}
        self._video: VideoFile | None = None
        self._video_of: tuple[str, tuple[int, ...]] | None = None

    def write(self, result: Result) -> None:
        """Draw and write one result.

        Raises:
            OutputError: no encoder, or the disk is full.
        """
        picture = self._draw(result)
        if result.frame.fps is None:
            self._end_video()
            self._write_picture(result.frame.name, picture)
            return
        # A camera may change its size in the middle; a video file cannot.
        key = (result.frame.source, picture.shape)
        if self._video is None or self._video_of != key:
            self._end_video()
            self._video, self._video_of = VideoFile(self._free, result.frame.name, result.frame.fps, picture), key
        self._video.write(picture)

    def close(self) -> None:
        """Finish the video that is being written, if any."""
        self._end_video()

    def _write_picture(self, name: str, picture: Image) -> None:
        cv2 = load_cv2()
        good, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        path = self._free(name, ".jpg")
        if not good:
            raise OutputError(f"OpenCV could not encode {path}")
        try:
            with whole_file(path) as file:
                file.write(data.tobytes())
        except OSError as error:
            raise OutputError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error

    def _end_video(self) -> None:
        if self._video is not None:
            video, self._video, self._video_of = self._video, None, None
            video.close()

    def _free(self, name: str, suffix: str) -> Path:
        """Return the path for a result, one that nobody else of this run has, its folder made."""
        parts = [re.sub(r"[^\w. +=@()-]+", "_", part) for part in Path(name).parts if part not in ("..", "/", ".")]
        wanted = Path(*parts) if parts else Path("frame")
        parent = check_output_folder(self.folder / wanted.parent)
        # A picture's suffix goes; "camera 0" and "10.0.0.7" have none to lose.
        stem = wanted.name if wanted.suffix[1:].isdigit() else wanted.stem
        number = 1
        while True:
            path = parent / f"{stem if number == 1 else f'{stem}-{number}'}{suffix}"
            if path.resolve() not in self._taken:
                self._taken.add(path.resolve())
                return path
            number += 1
