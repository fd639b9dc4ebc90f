"""A folder into which another machine drops pictures: each is taken once, whole, in order, also across a restart.

The folder is looked at again and again: notices of the file system do not come over a network share. A picture is taken
when its size and time are the same in two looks and it can be decoded, in the order of its time, then of its name. It
is written down as taken some seconds after its result was handed on (`Frame.done`), when every sink has it on the disk,
or when the source is closed. A process that is killed repeats what it had in hand, and the last seconds, with the same
event ids, for they are made from the file's path and time; it loses nothing.
"""

import hashlib
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from wordsight.runtime.errors import PictureError, SourceError
from wordsight.runtime.pictures import read_picture
from wordsight.runtime.sources.content import claims_to_be, kind_of_file
from wordsight.runtime.sources.files import natural, without_name
from wordsight.runtime.sources.frame import Failure, Frame, Idle, Item
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.taken import Stamp, Taken

POLL_S = 0.5
LAG_S = 10.0
"""So long after it was handed on a picture is written down as taken: sinks keep a line from the disk for half of it."""
_BELOW = "/**"
_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", "~")  # renamed when they are whole


def watch(text: str, options: SourceOptions) -> "Watch":
    """Return the source of "watch:DIR", or of "watch:DIR/**" with the folders below it.

    Raises:
        SourceError: no folder is named, or it is a file.
    """
    place = text.partition(":")[2]
    below = place.endswith(_BELOW)
    place = place.removesuffix(_BELOW) if below else place
    if not place:
        raise SourceError(f"expected a folder, such as watch:/data/drop, got {text}")
    if os.path.isfile(place):
        raise SourceError(f"expected a folder to watch, got the file {place}")
    return Watch(text, Path(place), options, below=below)


@dataclass
class _Seen:
    """A file that was not taken yet: how it looked, and since when."""

    stamp: Stamp
    since_s: float


class Watch:
    """See the module.

    Attributes: see `wordsight.runtime.sources.Source`.
    """

    live = False
    endless = True
    count: int | None = None

    def __init__(
        self,
        text: str,
        folder: Path,
        options: SourceOptions,
        *,
        below: bool = False,
        lag_s: float = LAG_S,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember what to watch; nothing is looked at yet.

        Args:
            text: what the user wrote.
            folder: the folder; it need not be there yet.
            options: `state` is where it is kept what was taken; `read_timeout_s` how long a picture that cannot be
                decoded is waited for after its last change.
            below: watch the folders below it, too.
            lag_s: see `LAG_S`.
            pause: sleeps so many seconds.
            clock: monotonic, in seconds.
        """
        self.text = text
        self.skipped = 0
        self._folder, self._options, self._below = folder, options, below
        self._lag_s, self._pause, self._clock = lag_s, pause, clock
        self._taken: Taken | None = None
        self._lock = threading.Lock()
        self._given: dict[str, Stamp] = {}  # and not written down as taken yet
        self._handed: deque[tuple[float, str, Stamp]] = deque()  # of those: that are done, and since when
        self._watching = False
        self._passed: dict[str, Stamp] = {}  # neither pictures nor meant to be

    @property
    def remark(self) -> str | None:
        """Say that there is no such folder yet: it may be a slip of the pen."""
        return None if self._folder.is_dir() else f"there is no folder {self._folder} yet: it is waited for"

    def __iter__(self) -> Iterator[Item]:
        """Give each picture, a failure for one that never gets whole, and an `Idle` about once a second between."""
        try:
            self._taken = taken = self._taken or self._remembered()
        except OSError as error:
            yield self._failure(f"what was taken before cannot be read: {_told(error)}")
            return
        self._watching = True
        try:
            yield from self._watched(taken)
        finally:
            self._watching = False
            self._settle(math.inf)

    def _watched(self, taken: Taken) -> Iterator[Item]:
        seen: dict[str, _Seen] = {}
        told: str | None = None
        sign_s = since_s = self._clock()
        while True:
            began_s = self._clock()
            try:
                found = self._listing()
                taken.tidy(found)
            except OSError as error:
                place = error.filename or self._folder
                yield self._failure(f"cannot watch the folder {self._folder}: {place}: {_told(error)}")
                return
            look_s = self._clock() - began_s
            for name in self._steady(found, seen, taken):
                for item in self._items(name, seen[name], taken):
                    yield item
                    sign_s = since_s = self._clock()
            self._settle(self._clock() - self._lag_s)
            if taken.trouble != told:
                told = taken.trouble
                if told is not None:
                    yield self._failure(f"what was taken cannot be written to {taken.path}: {told}")
            if self._clock() - sign_s >= 1:
                sign_s = self._clock()
                unfinished = f"; {len(seen)} not whole yet" if seen else ""
                yield Idle(self.text, f"no new picture for {sign_s - since_s:.0f} s{unfinished}")
            self._pause(max(POLL_S, 4 * look_s))  # a look at a folder of a hundred thousand files takes its time

    def _remembered(self) -> Taken:
        folder = os.path.abspath(self._folder)
        about = {"watch": folder, "line": self._options.name}
        if self._options.state is None:
            return Taken(None, about)
        plain = re.sub(r"[^\w.-]+", "_", self._options.name, flags=re.ASCII)[:60]
        digest = hashlib.sha256(os.fsencode(f"{self._options.name}\0{folder}")).hexdigest()[:12]
        return Taken(self._options.state / f"watch-{plain}-{digest}.jsonl", about)

    def _listing(self) -> dict[str, Stamp]:
        """Return every file that may be a picture, by its path within the folder."""
        found: dict[str, Stamp] = {}
        folders = [self._folder]
        while folders:
            folder = folders.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower().endswith(_UNFINISHED):
                        continue
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            if self._below and not self._excluded(Path(entry.path)):
                                folders.append(Path(entry.path))
                        elif entry.is_file():
                            stat = entry.stat()
                            found[os.path.relpath(entry.path, self._folder)] = (stat.st_mtime_ns, stat.st_size)
                    except OSError:
                        continue  # gone between the two questions, or a link to nowhere
        return found

    def _excluded(self, folder: Path) -> bool:
        return self._options.exclude is not None and folder.resolve() == self._options.exclude.resolve()

    def _steady(self, found: dict[str, Stamp], seen: dict[str, _Seen], taken: Taken) -> list[str]:
        """Note how every new file looks; return those that look as they did before, in order."""
        for known in (seen, self._passed):
            for name in known.keys() - found.keys():
                del known[name]
        steady = []
        for name, stamp in found.items():
            # In this order: what is done is remembered as taken first, then no longer as given.
            if self._given.get(name) == stamp or taken.has(name, stamp) or self._passed.get(name) == stamp:
                seen.pop(name, None)
            elif name not in seen or seen[name].stamp != stamp:
                seen[name] = _Seen(stamp, self._clock())
            else:
                steady.append(name)
        return sorted(steady, key=lambda name: (found[name][0], natural(Path(name))))

    def _items(self, name: str, look: _Seen, taken: Taken) -> Iterator[Item]:
        """Give the picture, or why it cannot be read once it is clear that it stays so, or nothing yet."""
        path = self._folder / name
        patient = self._clock() - look.since_s < self._options.read_timeout_s
        reason = None
        try:
            kind = kind_of_file(path)
            if kind is None and claims_to_be(path) is None:
                if look.stamp[1] > 0:  # an empty file is one that is about to be written
                    self._passed[name] = look.stamp
                    self.skipped += 1
                return
            if kind == "video":
                reason, patient = "a video; a watched folder is for pictures", False
            else:
                image = read_picture(path)
                stat = path.stat()
        except FileNotFoundError:
            return  # renamed or taken away: if it comes back, it is a new one
        except PictureError as error:
            if error.reason == "missing":
                return
            reason = without_name(str(error), path)
        except OSError as error:
            reason = _told(error)
        except MemoryError:
            reason, patient = "too large for this machine's memory", False
        if reason is not None:
            if not patient:
                yield Failure(str(path), reason, "PictureError")
                taken.add(name, look.stamp)
            return
        if (stat.st_mtime_ns, stat.st_size) != look.stamp:
            return  # written anew while it was read
        with self._lock:
            self._given[name] = look.stamp
        written = datetime.fromtimestamp(look.stamp[0] / 1e9, timezone.utc)
        part_id = self._options.part_of(path.name)
        try:
            yield Frame(image, str(path), 0, written, name, part_id=part_id, done=lambda: self._done(name, look.stamp))
        except GeneratorExit:
            with self._lock:
                self._given.pop(name, None)  # nobody kept it
            raise

    def _done(self, name: str, stamp: Stamp) -> None:
        with self._lock:
            self._handed.append((self._clock(), name, stamp))
        if not self._watching:  # the source was closed before its last results were handed on
            self._settle(math.inf)

    def _settle(self, until_s: float) -> None:
        """Write down as taken what was handed on until then. Called from any thread."""
        with self._lock:
            while self._handed and self._handed[0][0] <= until_s:
                _, name, stamp = self._handed.popleft()
                if self._taken is not None:
                    self._taken.add(name, stamp)
                if self._given.get(name) == stamp:
                    del self._given[name]

    def _failure(self, reason: str) -> Failure:
        return Failure(self.text, reason, "SourceError")


def _told(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
