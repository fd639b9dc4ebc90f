"""A file of lines that is appended to for months: begun anew by size and day, the oldest removed.

    events.jsonl            being written
    events.000041.jsonl     the one before it, and so on: the higher the number, the younger

Files are numbered, not dated: a clock that jumps cannot change which one is the oldest.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path

from pydantic import BaseModel, ByteSize, ConfigDict, Field

from wordsight.runtime.errors import OutputError
from wordsight.runtime.files import check_output_file
from wordsight.runtime.sinks.hold import hold
from wordsight.runtime.sinks.whole_lines import WholeLines

_TAIL = 2**20  # bytes at the end of a file in which its last line's end is looked for


class RollingOptions(BaseModel):
    """What a sink that appends to a file can be told."""

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(description="the file; its folder must exist")
    roll_bytes: ByteSize = Field(
        ByteSize(50_000_000), gt=0, description='a file that would grow beyond it is begun anew; also as "50 MB"'
    )
    roll_daily: bool = Field(True, description="begin a file anew with each day, UTC")
    keep: int = Field(30, ge=1, description="files kept beside the one that is written; the oldest go first")
    sync_s: float = Field(5.0, ge=0, description="most seconds of lines that a power cut may take; 0: none")


@dataclass(frozen=True)
class LineForm:
    """What the lines of one kind of file look like.

    Attributes:
        begins: first bytes of every such file: another one is not touched.
        header: first line of each; a file with another one is put aside, as if it were full.
        whole: whether a line that lacks its end lacks nothing else.
    """

    begins: bytes
    header: bytes = b""
    whole: Callable[[bytes], bool] = lambda line: False


class RollingLines(WholeLines):
    """A file that is appended to across restarts.

    Each line is handed to the system at once: a process that is killed loses none that it took. It is on the disk
    itself `sync_s` later at most, as long as lines come, and whenever the file is closed. A last line that is torn,
    by a power cut or a full disk, is cut off before the first line is appended.

    Attributes:
        counts: "removed", files for want of room; "mended", last lines that were torn.
    """

    def __init__(
        self,
        path: Path,
        options: RollingOptions,
        form: LineForm,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file, and mend its end.

        Args:
            path: of the file.
            options: see `RollingOptions`; its path is not looked at.
            form: see `LineForm`.
            now: wall clock, for the day.
            clock: monotonic, in seconds.

        Raises:
            OutputError: it cannot be written, is no such file, or somebody else writes it.
        """
        real = Path(os.path.realpath(path))  # a link stays one: what it leads to is what is put aside
        super().__init__(real if real.is_file() or not path.exists() else path)
        self._options, self._form, self._now, self._clock = options, form, now, clock
        self._day: date = now().date()
        self._synced_s = clock()
        self.counts = {"removed": 0, "mended": 0}
        self.begin()

    def write(self, data: bytes) -> None:
        """Write one line, with its end.

        Raises:
            OutputError: the disk is full, or the file's folder is gone; the line is not written.
        """
        try:
            if self._descriptor is not None and not self._in_place():
                super().close()  # somebody moved it away, or its folder vanished: what is written now would be lost
            self.begin()
            full = self.length + len(data) > self._options.roll_bytes
            if self._regular and self.length and (full or self._new_day()):
                self._roll()
                self.begin()
            super().write(data if self.length else self._form.header + data)
            if self._regular and self._clock() - self._synced_s >= self._options.sync_s:
                self._sync()
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {(error.strerror or str(error)).lower()}") from error

    def close(self) -> None:
        """Bring the lines to the disk and close the file."""
        try:
            if self._descriptor is not None and self._regular:
                self._sync()
        finally:
            super().close()

    def _opened(self) -> int:
        while self._descriptor is None:
            check_output_file(self._path)
            self._take(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666))
            try:
                if self._regular and not self._begun():
                    super().close()
            except BaseException:
                super().close()
                raise
        return self._descriptor

    def _begun(self) -> bool:
        """Make what was opened ready for the next line; return False when it is not the file of that name any more."""
        assert self._descriptor is not None
        hold(self._descriptor, self._path)
        if not self._in_place():
            return False  # its writer put it aside between our opening and our holding it
        about = os.fstat(self._descriptor)
        first = os.pread(self._descriptor, max(len(self._form.begins), len(self._form.header)), 0).lstrip(b"\0")
        if not first.startswith(self._form.begins[: len(first)]):
            expected = self._form.begins.decode()
            raise OutputError(f"{self._path} is another kind of file: it does not begin with {expected}; name another")
        self.length = self._mended(about.st_size)
        # What the wall clock said when the last line was written.
        self._day = datetime.fromtimestamp(about.st_mtime, timezone.utc).date() if self.length else self._now().date()
        if self.length and not first.startswith(self._form.header):
            self._roll()
            return False
        return True

    def _mended(self, size: int) -> int:
        """Cut off a last line that is torn, or give it its end where that is all it lacks; return the length."""
        assert self._descriptor is not None
        tail = os.pread(self._descriptor, _TAIL, max(0, size - _TAIL))
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if not torn:
            return size
        if torn == len(tail) < size:
            raise OutputError(
                f"{self._path} is another kind of file: its last {_TAIL} bytes hold no line; name another"
            )
        self.counts["mended"] += 1
        if self._form.whole(tail[-torn:]):
            os.write(self._descriptor, b"\n")
            return size + 1
        os.ftruncate(self._descriptor, size - torn)
        return size - torn

    def _in_place(self) -> bool:
        assert self._descriptor is not None
        if not self._regular:
            return True
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except OSError:
            return False

    def _new_day(self) -> bool:
        ahead = (self._now().date() - self._day).days
        return (
            self._options.roll_daily and self._regular and (ahead >= 1 or ahead < -1)
        )  # one back: set right at midnight

    def _roll(self) -> None:
        """Put the file aside under the next number, and remove the oldest."""
        self.close()
        aside = self._aside()
        number = max(aside, default=0) + 1
        target = self._path.with_name(f"{self._path.stem}.{number:06d}{self._path.suffix}")
        os.rename(self._path, target)
        aside[number] = target
        for old in sorted(aside)[: -self._options.keep]:
            with contextlib.suppress(FileNotFoundError):
                aside[old].unlink()
            self.counts["removed"] += 1
        self.length = 0
        self._day = self._now().date()

    def _aside(self) -> dict[int, Path]:
        """Return the files that were put aside, by number."""
        name = re.compile(re.escape(self._path.stem) + r"\.(\d{6,})" + re.escape(self._path.suffix))
        with os.scandir(self._path.parent) as entries:
            found = [(match, entry) for entry in entries if (match := name.fullmatch(entry.name))]
        return {int(match[1]): Path(entry.path) for match, entry in found}

    def _sync(self) -> None:
        assert self._descriptor is not None
        os.fsync(self._descriptor)
        self._synced_s = self._clock()
