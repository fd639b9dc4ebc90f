"""The files of a spool: segments of lines, each named by the number of its first line."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from wordsight.runtime.errors import OutputError
from wordsight.runtime.sinks.whole_lines import WholeLines

_NAME = re.compile(r"(\d{12,})\.jsonl")
_READ_BYTES = 2**17


@dataclass
class Segment:
    """One file.

    Attributes:
        first: number of its first line.
        count: of its lines.
        size: of its whole lines, in bytes.
        path: where it is.
    """

    first: int
    count: int
    size: int
    path: Path

    @property
    def end(self) -> int:
        """Number of the first line behind it."""
        return self.first + self.count


class SegmentFile(WholeLines):
    """The segment that lines are appended to."""

    def duplicate(self) -> int:
        """Return a descriptor of the file, which is open, for whoever brings it to the disk; theirs to close."""
        assert self._descriptor is not None
        return os.dup(self._descriptor)


def path_of(folder: Path, first: int) -> Path:
    """Return where the segment is whose first line has this number."""
    return folder / f"{first:012d}.jsonl"


def found(folder: Path) -> tuple[list[Segment], int]:
    """Return the segments in a folder, the oldest first, and how many lines were torn; empty ones are removed.

    A torn line can only be the last one: it is cut off, and the file brought to the disk.

    Raises:
        OSError: they cannot be read or mended.
    """
    named = sorted((int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)))
    segments, torn = [], 0
    for at, (first, path) in enumerate(named):
        size = path.stat().st_size
        if at + 1 < len(named):
            count = named[at + 1][0] - first
        else:
            size, count, was_torn = _mended(path)
            torn += was_torn
        if size:
            segments.append(Segment(first, count, size, path))
        else:
            path.unlink()
    return segments, torn


def _mended(path: Path) -> tuple[int, int, bool]:
    """Cut off a last line that is torn, and bring the file to the disk; return bytes, lines, and whether one was."""
    with open(path, "r+b") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            file.truncate(whole)
        os.fsync(file.fileno())
    return whole, data.count(b"\n", 0, whole), whole < len(data)


class Reading:
    """Reads segments line by line, and remembers where it stopped."""

    def __init__(self) -> None:
        """Begin nowhere."""
        self._place = (-1, 0, 0)  # a segment's first number, a number in it, and the offset where that begins

    def lines(self, segment: Segment, at: int, end: int, most: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return lines without their ends, each with its number, and the number of the next one.

        That is before `end`, with fewer lines than `most`, only where the file has fewer than it had.

        Args:
            segment: one that holds `at`.
            at: number of the first line that is wanted.
            end: number behind the last one.
            most: lines at most, 1 or more.

        Raises:
            OutputError: the disk does not give them.
        """
        first, number, offset = self._place
        if first != segment.first or number != at:
            number, offset = segment.first, 0
        given: list[tuple[int, bytes]] = []
        size = _READ_BYTES
        try:
            with open(segment.path, "rb") as file:
                while number < end and len(given) < most:
                    file.seek(offset)
                    data = file.read(min(size, segment.size - offset))
                    lines = data.split(b"\n")[:-1]
                    if not lines and offset + len(data) >= segment.size:
                        break
                    size = size if lines else 4 * size
                    for line in lines[: end - number]:
                        if len(given) == most:
                            break
                        if number >= at:
                            given.append((number, line))
                        number, offset = number + 1, offset + len(line) + 1
        except OSError as error:
            raise OutputError(f"cannot read {segment.path}: {(error.strerror or str(error)).lower()}") from error
        self._place = (segment.first, number, offset)
        return given, number
