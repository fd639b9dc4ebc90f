"""Which pictures of a watched folder were taken: kept in a file, so that a restart takes none twice.

A line is appended for each picture; now and then the file is written anew, whole or not at all. A process that is
killed loses nothing of it; a power cut may lose the last lines, whose pictures are then taken again.
"""

import json
import threading
from collections.abc import Collection
from pathlib import Path

from wordsight.runtime.files import whole_file

Stamp = tuple[int, int]  # time of the last change in ns, size in bytes: another stamp is another picture

KEPT = 100_000
"""Pictures that are remembered although they lie there no longer: a folder may only be unmounted for a while."""

_SLACK = 1000  # lines that are out of date, before the file is written anew


class Taken:
    """The pictures that were taken; `add` may be called from any thread.

    Attributes:
        path: the file; None: only this object remembers.
    """

    def __init__(self, path: Path | None, about: dict[str, str]) -> None:
        """Read the file, if there is one.

        Args:
            path: see the class; its folder is made.
            about: what stands in the first line, for people.

        Raises:
            OSError: it cannot be read.
        """
        self.path = path
        self._about = about
        self._lock = threading.Lock()
        self._stamps: dict[str, Stamp] = {}  # in the order they were taken
        self._unwritten: list[str] = []
        self._trouble: str | None = None
        self._lines = 0
        self._torn = False  # the last line may be half: the next begins with a line of its own
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._read(path)

    def __len__(self) -> int:
        return len(self._stamps)

    def has(self, name: str, stamp: Stamp) -> bool:
        """Say whether this picture was taken."""
        return self._stamps.get(name) == stamp

    def add(self, name: str, stamp: Stamp) -> None:
        """Remember a picture. Never raises: what cannot be written now is written with the next; see `trouble`."""
        with self._lock:
            self._stamps.pop(name, None)
            self._stamps[name] = stamp
            if self.path is None:
                return
            self._unwritten.append(json.dumps([name, *stamp]) + "\n")
            try:
                if self.path.exists():
                    self._append(self.path)
                else:
                    self._rewrite(self.path)
                self._trouble = None
            except OSError as error:
                self._trouble = (error.strerror or str(error)).lower()

    @property
    def trouble(self) -> str | None:
        """Why the last picture could not be written down; None when all are."""
        return self._trouble

    def tidy(self, present: Collection[str]) -> None:
        """Write the file anew when much of it is out of date. Pictures that are gone are forgotten, the oldest first.

        Args:
            present: names of the pictures that lie there.
        """
        with self._lock:
            if len(self._stamps) > KEPT + len(present) + _SLACK:
                gone = [name for name in self._stamps if name not in present]
                for name in gone[: max(0, len(gone) - KEPT)]:
                    del self._stamps[name]
            if self.path is None or self._lines <= 2 * len(self._stamps) + _SLACK:
                return
            try:
                self._rewrite(self.path)
            except OSError as error:  # the old file stays
                self._trouble = (error.strerror or str(error)).lower()

    def _read(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        for line in data.splitlines():
            self._lines += 1
            try:
                name, changed_ns, size = json.loads(line)
                entry = str(name), (int(changed_ns), int(size))
            except (ValueError, TypeError):
                continue  # the first line, or one that was being written when the power went
            self._stamps.pop(entry[0], None)
            self._stamps[entry[0]] = entry[1]
        self._torn = not data.endswith(b"\n")

    def _append(self, path: Path) -> None:
        text = ("\n" if self._torn else "") + "".join(self._unwritten)
        self._torn = True
        with open(path, "a", encoding="ascii") as file:
            file.write(text)
        self._torn = False
        self._lines += len(self._unwritten)
        self._unwritten.clear()

    def _rewrite(self, path: Path) -> None:
        with whole_file(path, "w") as file:
            file.write(json.dumps(self._about) + "\n")
            file.writelines(json.dumps([name, *stamp]) + "\n" for name, stamp in self._stamps.items())
        self._lines, self._torn = len(self._stamps) + 1, False
        self._unwritten.clear()
