"""A folder that is written into for months and never outgrows its quota: the oldest goes first.

    00000041.press-3.defect.3f09c1d2a4b7.jpg     what belongs together has one number
    00000041.press-3.defect.3f09c1d2a4b7.json

The higher the number, the younger: a clock that jumps cannot change which one is the oldest. Files of other names are
neither counted nor touched.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ByteSize, ConfigDict, Field

from wordsight.runtime.errors import OutputError
from wordsight.runtime.files import check_output_folder
from wordsight.runtime.sinks.hold import hold

_OURS = re.compile(r"(\d{8,})\.[^.]+\..+")
_LEFT = re.compile(r"\.wordsight-(\d+-.+|[0-9a-f]{16}\.part)")  # in the making when a process died, or the power went


class FolderOptions(BaseModel):
    """What a sink that fills a folder can be told."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(description="made where it is absent; one for each sink")
    keep_bytes: ByteSize = Field(
        ByteSize(10_000_000_000), gt=0, description='the oldest are removed beyond it; also as "10 GB"'
    )
    spare_bytes: ByteSize = Field(
        ByteSize(500_000_000), ge=0, description="left free on the disk: with less, the sink fails until there is room"
    )


@dataclass
class _Group:
    names: list[str] = field(default_factory=list)
    size: int = 0


class KeptFolder:
    """The files of one sink, by number.

    Attributes:
        path: of the folder.
        counts: "removed", numbers that went for want of room.
    """

    def __init__(self, path: Path, keep_bytes: int, spare_bytes: int, keep: int | None = None) -> None:
        """Make the folder, hold it, look what is there, and clear away what a process that died was making.

        Args:
            path: of the folder.
            keep_bytes: of files at most.
            spare_bytes: left free on the disk.
            keep: numbers at most; None: any.

        Raises:
            OutputError: it cannot be made or written to, or another sink or process holds it.
        """
        self.path = check_output_folder(path)
        self.counts = {"removed": 0}
        self._keep_bytes, self._spare_bytes, self._keep = keep_bytes, spare_bytes, keep
        self._groups: dict[int, _Group] = {}  # the oldest first
        self._events: set[str] = set()
        self._size = 0
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY)
            try:
                hold(self._descriptor, f"into {self.path}")
                self._look()
            except BaseException:
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise OutputError(f"cannot read {self.path}: {(error.strerror or str(error)).lower()}") from error
        self._next = max(self._groups, default=0) + 1

    def number(self) -> int:
        """Return the number of what is made next."""
        self._next += 1
        return self._next - 1

    def names(self) -> list[str]:
        """Return the names of all files, the oldest first."""
        return [name for group in self._groups.values() for name in group.names]

    def has(self, ending: str) -> bool:
        """Return whether there is a JSON file of any number whose name ends so, from the first dot on."""
        return ending in self._events

    def check(self) -> None:
        """Say whether there is a place to write to.

        Raises:
            OutputError: the folder vanished, or its disk is nearly full.
        """
        try:
            same = os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
            free = shutil.disk_usage(self.path).free
        except OSError:
            same, free = False, 0
        if not same:
            raise OutputError(f"cannot write into {self.path}: the folder vanished")
        if free < self._spare_bytes:
            told = (
                f"{free / 1e6:.0f} MB are free on its disk, {self._spare_bytes / 1e6:.0f} MB are spared (spare_bytes)"
            )
            raise OutputError(f"cannot write into {self.path}: {told}")

    def make_room(self, size: int) -> None:
        """Remove the oldest until `size` bytes more are within the quota.

        Raises:
            OutputError: they are beyond it by themselves.
        """
        if size > self._keep_bytes:
            raise OutputError(f"{size} bytes are more than {self.path} may hold (keep_bytes = {self._keep_bytes})")
        self._prune(self._keep_bytes - size, None if self._keep is None else self._keep - 1)

    def add(self, number: int, names: Sequence[str]) -> None:
        """Count what was written under a number, and remove the oldest if it is too much; the youngest always stays."""
        late = number < next(reversed(self._groups), 0)  # a video that was begun before one that is finished already
        for name in names:
            with contextlib.suppress(OSError):  # removed meanwhile, by hand
                self._count(number, name, os.stat(self.path / name).st_size)
        if late:
            self._groups = dict(sorted(self._groups.items()))
        self._prune(self._keep_bytes, self._keep, least=1)

    def close(self) -> None:
        """Let others have the folder."""
        os.close(self._descriptor)

    def _look(self) -> None:
        with os.scandir(self.path) as entries:
            for entry in entries:
                ours = _OURS.fullmatch(entry.name)
                if ours:
                    with contextlib.suppress(FileNotFoundError):
                        self._count(int(ours[1]), entry.name, entry.stat().st_size)
                elif _LEFT.fullmatch(entry.name):
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)
        self._groups = dict(sorted(self._groups.items()))

    def _count(self, number: int, name: str, size: int) -> None:
        group = self._groups.setdefault(number, _Group())
        group.names.append(name)
        group.size += size
        if name.endswith(".json"):
            self._events.add(name[name.index(".") :])
        self._size += size

    def _prune(self, size: int, count: int | None, least: int = 0) -> None:
        while len(self._groups) > least and (self._size > size or (count is not None and len(self._groups) > count)):
            number, group = next(iter(self._groups.items()))
            # What describes the pictures goes first: it never stands for any that are gone.
            for name in sorted(group.names, key=lambda name: (not name.endswith(".json"), name)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path / name)
                self._events.discard(name[name.index(".") :])
            del self._groups[number]
            self._size -= group.size
            self.counts["removed"] += 1


def safe(text: str) -> str:
    """Return a name as a part of a file's: no dots, slashes or signs that a shell or Windows minds."""
    return re.sub(r"[^\w+=@()-]+", "_", text)[:60] or "_"
