"""Pictures of what was not good, each with its event beside it, under a quota of the disk."""

import contextlib
import json
from typing import Literal

from pydantic import Field

from wordsight.runtime.errors import OutputError
from wordsight.runtime.files import whole_file
from wordsight.runtime.opencv import load_cv2
from wordsight.runtime.overlay import overlay
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.kept_folder import FolderOptions, KeptFolder, safe
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sinks.schema import event_json
from wordsight.runtime.sources.frame import Image

_ID = 16  # digits of the event's id in a name


class SnapshotOptions(FolderOptions):
    """What a sink of type "snapshots" can be told."""

    format: Literal["jpeg", "png"] = Field("jpeg", description="png keeps every pixel, at several times the size")
    quality: int = Field(92, ge=1, le=100, description="of jpeg")
    heat: bool = Field(True, description="a second picture with the heat map over it, where there is one")
    every: bool = Field(False, description="frames that are good or undecided, too")
    keep: int = Field(50_000, ge=1, description="frames at most; the oldest are removed beyond it")


class Snapshots:
    """The sink of type "snapshots".

    The frame as it came, 00000041.LINE.DECISION.ID.jpg, the same with its heat map, .heat.jpg, and last its event,
    .json: where that lies, the others do, and each of them is whole. An event that comes twice is written once.

    Attributes:
        counts: "removed", frames that went for want of room.
    """

    Options = SnapshotOptions
    wants_image = True

    def __init__(self, options: SnapshotOptions, context: SinkContext) -> None:
        """Make the folder and look what is there.

        Raises:
            OutputError: see `kept_folder.KeptFolder`.
            MissingPart: OpenCV is not installed.
        """
        load_cv2()
        self._options = options
        self._folder = KeptFolder(
            context.folder / options.folder, options.keep_bytes, options.spare_bytes, options.keep
        )
        self.counts = self._folder.counts

    def write(self, event: Event) -> None:
        """Write one frame, if it is one that was not good.

        Raises:
            OutputError: the folder vanished, its disk is full, or the picture cannot be encoded; nothing is left of it.
        """
        if not isinstance(event, Result) or not event.frame.image.size:
            return
        if not (self._options.every or event.decision in ("unsure", "defect")):
            return
        name = f"{safe(event.line or 'line')}.{event.decision or 'undecided'}.{(event.event_id or '')[:_ID] or 'none'}"
        suffix = ".jpg" if self._options.format == "jpeg" else ".png"
        files = {suffix: self._encoded(event.frame.image, suffix)}
        if self._options.heat and event.heat is not None:
            files[f".heat{suffix}"] = self._encoded(overlay(event.frame.image, event.heat), suffix)
        files[".json"] = (json.dumps(event_json(event), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(
            "utf-8", "backslashreplace"
        )
        self._folder.check()
        if event.event_id is not None and self._folder.has(f".{name}.json"):
            return
        self._folder.make_room(sum(map(len, files.values())))
        number = self._folder.number()
        self._write(number, {f"{number:08d}.{name}{suffix}": data for suffix, data in files.items()})

    def close(self) -> None:
        """Let others have the folder."""
        self._folder.close()

    def _write(self, number: int, files: dict[str, bytes]) -> None:
        try:
            for name, data in files.items():
                with whole_file(self._folder.path / name) as file:
                    file.write(data)
        except BaseException as error:
            for name in files:
                with contextlib.suppress(OSError):
                    (self._folder.path / name).unlink(missing_ok=True)
            if not isinstance(error, OSError):
                raise
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot write into {self._folder.path}: {reason}") from error
        self._folder.add(number, list(files))

    def _encoded(self, image: Image, suffix: str) -> bytes:
        cv2 = load_cv2()
        how = [cv2.IMWRITE_JPEG_QUALITY, self._options.quality] if suffix == ".jpg" else []
        good, data = cv2.imencode(suffix, image, how)
        if not good:
            raise OutputError(f"OpenCV could not encode a picture of {image.shape[1]}x{image.shape[0]} as {suffix}")
        return bytes(data.tobytes())
