"""Lines that wait on the disk until somebody far away has taken them: store and forward.

    000000000001.jsonl      segments, each named by the number of its first line
    000000004711.jsonl
    acknowledged            the number of the oldest line that is still wanted

A line has the next number when it is appended, and goes when it is acknowledged, or when the folder is full and it is
among the oldest. Each is handed to the system at once: a process that is killed loses none that it took. They are
brought to the disk itself in groups, before any of a group is given out: what was sent outlives a power cut.
"""

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from wordsight.runtime.errors import OutputError
from wordsight.runtime.files import check_output_folder
from wordsight.runtime.sinks.hold import hold
from wordsight.runtime.sinks.segments import Reading, Segment, SegmentFile, found, path_of

_SEGMENT_BYTES = 2**22
_IDLE_SYNC_S = 1.0  # lines that nobody fetches are brought to the disk so often


class Spool:
    """One writer's lines, one reader; each may be a thread of its own.

    Attributes:
        waiting: lines that nobody acknowledged. No lock is needed to look at it: a disk that hangs holds up nobody.
        counts: "overflowed", lines that went unsent for want of room; "mended", lines that were torn.
    """

    def __init__(
        self,
        folder: Path,
        keep_bytes: int,
        *,
        sync_s: float = 0.1,
        wake: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the folder, hold it, and look what waits in it.

        Args:
            folder: made where it is absent; of this spool alone.
            keep_bytes: of lines at most.
            sync_s: time between two groups that are brought to the disk, at least.
            wake: set when a line was appended.
            clock: monotonic, in seconds.

        Raises:
            OutputError: it cannot be made, read or written to, or another sink or process holds it.
        """
        self.path = check_output_folder(folder)
        self.counts = {"overflowed": 0, "mended": 0}
        self._keep_bytes, self._sync_s, self._clock = keep_bytes, sync_s, clock
        self._segment_bytes = min(_SEGMENT_BYTES, keep_bytes // 16)
        self._wake = threading.Event() if wake is None else wake
        self._lock = threading.Lock()
        self._segments: list[Segment] = []  # the oldest first; lines are appended to the last one, if it is open
        self._file: SegmentFile | None = None
        self._begun = True  # a segment, since the folder was brought to the disk
        self._acknowledged: set[int] = set()  # of those from `_first` on
        self._synced_s = clock()
        self._at = 0  # what is read next
        self._reading = Reading()
        try:
            self._folder = os.open(self.path, os.O_RDONLY)
            try:
                hold(self._folder, f"into {self.path}")
                self._mark = os.open(self.path / "acknowledged", os.O_RDWR | os.O_CREAT, 0o600)
            except BaseException:
                os.close(self._folder)
                raise
            self._look()
        except OSError as error:
            raise OutputError(f"cannot use {self.path}: {(error.strerror or str(error)).lower()}") from error
        self._synced = self._first  # lines before it are on the disk itself
        self.rewind()
        self._count()

    def append(self, line: bytes) -> None:
        """Take one line, with its end.

        Raises:
            OutputError: the disk is full or gone, or the line is longer than all that may wait; none is taken.
        """
        if len(line) > self._segment_bytes:
            raise OutputError(f"an event of {len(line)} bytes is too long for {self.path} (keep_bytes)")
        with self._lock:
            if not self._in_place():
                raise OutputError(f"cannot write into {self.path}: the folder vanished")
            if self._file is not None and self._file.length + len(line) > self._segment_bytes:
                self._roll()
            while sum(segment.size for segment in self._segments) + len(line) > self._keep_bytes:
                self._overflow()
            if self._file is None:
                path = path_of(self.path, self._end)
                self._file = SegmentFile(path)
                self._file.begin()
                self._begun = True
                self._segments.append(Segment(self._end, 0, 0, path))
            self._file.write(line)
            segment = self._segments[-1]
            segment.count, segment.size = segment.count + 1, self._file.length
            self._count()
            idle = self._clock() - self._synced_s >= max(_IDLE_SYNC_S, self._sync_s)
        if idle:
            self.sync()
        self._wake.set()

    def read(self, most: int) -> list[tuple[int, bytes]]:
        """Return the next lines, without their ends, each with its number; [] when there are none.

        They are on the disk before they are given out. That takes its time, and no other group is brought there
        before `sync_s` is over.

        Raises:
            OutputError: the disk does not take or give them.
        """
        with self._lock:
            behind = self._synced <= max(self._at, self._first) < self._end
        if behind:
            ahead_s = self._synced_s + self._sync_s - self._clock()
            if ahead_s > 0:
                time.sleep(min(ahead_s, self._sync_s))
            self.sync()
        given: list[tuple[int, bytes]] = []
        with self._lock:
            self._at = max(self._at, self._first)
            while len(given) < most and self._at < min(self._synced, self._end):
                segment = next(each for each in self._segments if self._at < each.end)
                lines = self._lines(segment, most - len(given))
                given += [each for each in lines if each[0] not in self._acknowledged]
            self._let_go()
        return given

    def rewind(self) -> None:
        """Begin again with the oldest line that nobody acknowledged."""
        self._at = 0

    def acknowledge(self, number: int) -> None:
        """Let go of one line; harmless when it went for want of room already."""
        with self._lock:
            if number < self._first:
                return
            self._acknowledged.add(number)
            self._let_go()

    def sync(self) -> None:
        """Bring all lines to the disk itself.

        Raises:
            OutputError: it does not take them.
        """
        with self._lock:
            self._synced_s = self._clock()
            end = self._end
            if self._synced >= end:
                return
            open_ones = [] if self._file is None else [self._file.duplicate()]
            if self._begun:
                open_ones.append(os.dup(self._folder))
            self._begun = False
        try:
            self._bring(open_ones)  # without the lock: whoever appends need not wait for it
        except OutputError:
            self._begun = True
            raise
        with self._lock:
            self._synced = max(self._synced, end)

    def close(self) -> None:
        """Bring the lines to the disk, remove what nobody needs, and let others have the folder."""
        try:
            self.sync()
        finally:
            with self._lock:
                if self._file is not None:
                    self._file.close()
                    self._file = None
                while self._segments and self._segments[0].end <= self._first:
                    self._segments.pop(0).path.unlink(missing_ok=True)
            os.close(self._mark)
            os.close(self._folder)

    @property
    def _end(self) -> int:
        return self._segments[-1].end if self._segments else self._first

    def _count(self) -> None:
        self.waiting = self._end - self._first - len(self._acknowledged)

    def _let_go(self) -> None:
        """Remove what was acknowledged, but for the segment that is written."""
        before = self._first
        while self._first in self._acknowledged:
            self._acknowledged.remove(self._first)
            self._first += 1
        if self._first != before:
            self._keep_first()
            while self._segments and self._segments[0].end <= self._first:
                if len(self._segments) == 1 and self._file is not None:
                    break
                self._segments.pop(0).path.unlink(missing_ok=True)
        self._count()

    def _look(self) -> None:
        self._segments, self.counts["mended"] = found(self.path)
        told = os.pread(self._mark, 32, 0)
        self._first = int(told) if re.fullmatch(rb"\d{20}\n", told) else 1
        if self._segments and not self._segments[0].first <= self._first <= self._end:
            self._first = self._segments[0].first  # of a power cut: what was acknowledged may come again
        while self._segments and self._segments[0].end <= self._first:
            self._segments.pop(0).path.unlink(missing_ok=True)

    def _in_place(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._folder))
        except OSError:
            return False

    def _lines(self, segment: Segment, most: int) -> list[tuple[int, bytes]]:
        """Return the lines of a segment from `_at` on, and go on to what is read after them."""
        end = min(segment.end, self._synced)
        lines, number = self._reading.lines(segment, self._at, end, most)
        if number < end and len(lines) < most:  # fewer than there were: a disk that lost some
            gone = range(max(number, self._at), segment.end)
            self.counts["mended"] += len(gone)
            self._acknowledged.update(gone)
            number = segment.end
        self._at = number
        return lines

    def _bring(self, descriptors: list[int]) -> None:
        """Bring to the disk itself what was written to these, and close them."""
        try:
            for each in descriptors:
                os.fsync(each)
        except OSError as error:
            raise OutputError(f"cannot bring {self.path} to the disk: {(error.strerror or '').lower()}") from error
        finally:
            for each in descriptors:
                os.close(each)

    def _roll(self) -> None:
        """Close the segment that is written; it is on the disk then."""
        assert self._file is not None
        self._bring([self._file.duplicate()])
        self._file.close()
        self._file = None

    def _overflow(self) -> None:
        """Remove the oldest segment, and count what of it nobody had acknowledged."""
        if len(self._segments) == 1 and self._file is not None:
            self._roll()
        oldest = self._segments.pop(0)
        oldest.path.unlink(missing_ok=True)
        gone = range(max(oldest.first, self._first), oldest.end)
        self.counts["overflowed"] += sum(number not in self._acknowledged for number in gone)
        self._first = max(self._first, oldest.end)
        self._acknowledged = {number for number in self._acknowledged if number >= self._first}
        self._keep_first()
        self._count()

    def _keep_first(self) -> None:
        with contextlib.suppress(OSError):  # a line that is sent once more does no harm
            os.pwrite(self._mark, b"%020d\n" % self._first, 0)
