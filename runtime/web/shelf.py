"""The page's events on the disk, so that they are there again after a restart: a folder that never outgrows its bounds.

STATE/page/00000041.ID.json        the event, and what its score comes from
STATE/page/00000041.ID.jpg         its picture, and .heat.jpg under its heat map
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from wordsight.runtime.checks import build
from wordsight.runtime.errors import ManifestInvalid, OutputError
from wordsight.runtime.files import whole_file
from wordsight.runtime.scored_by import ScoredBy
from wordsight.runtime.sinks.kept_folder import KeptFolder, safe

FOLDER: Final = "page"
BURST: Final = 20
"""Events in a row that are kept whole; of more, one every `EVERY_S`: a line that sees nothing but defects is not to
wear out the disk, and what it sees is in its sinks."""
EVERY_S: Final = 2.0
_MOST_BYTES, _SPARE_BYTES = 64 * 2**20, 200 * 10**6
_MOST_PICTURE, _MOST_EVENT = 4 * 2**20, 2**16
_SUFFIXES = (".jpg", ".heat.jpg")


@dataclass(frozen=True)
class Shelved:
    """An event as it is kept.

    Attributes:
        data: as every sink tells it.
        pictures: JPEG, without and with the heat map; the second only where there is one.
        scored_by: what the score comes from; None of a part.
    """

    data: dict[str, Any]
    pictures: tuple[bytes, ...]
    scored_by: ScoredBy | None


class Shelf:
    """Keeps events for the next start. What it cannot keep is said once, and missed by nobody but the page."""

    def __init__(self, state: Path, most: int, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        """Look at nothing yet: the folder is made with the first event.

        Args:
            state: the folder it lies in.
            most: events at most; the oldest go first.
            say: takes a line for people.
            clock: monotonic, in seconds.
        """
        self._path, self._most, self._say, self._clock = state / FOLDER, most, say, clock
        self._folder: KeptFolder | None = None
        self._allowed, self._seen_s = float(BURST), clock()
        self._trouble = ""

    def read(self) -> list[Shelved]:
        """Return what is kept, the oldest first; what is torn or damaged is left aside."""
        found = []
        for path in sorted(self._path.glob("*.json"))[-self._most :]:
            try:
                with open(path, "rb") as file:
                    kept = json.loads(file.read(_MOST_EVENT))
                data, by = kept["event"], kept["scored_by"]
                good = isinstance(data["event_id"], str) and data["decision"] in ("unsure", "defect")
                if not good or not isinstance(data.get("score"), (int, float, type(None))):
                    continue
                scored_by = None if by is None else build(ScoredBy, by)
                found.append(Shelved(data, _pictures(path), scored_by))
            except (OSError, ValueError, KeyError, TypeError, RecursionError, ManifestInvalid):
                continue
        return found

    def keep(self, event: Shelved) -> None:
        """Write one event, unless there were too many of late. Never raises."""
        now_s = self._clock()
        self._allowed = min(float(BURST), self._allowed + (now_s - self._seen_s) / EVERY_S)
        self._seen_s = now_s
        if self._allowed < 1:
            return
        try:
            self._write(event)
            self._allowed -= 1
            self._trouble = ""
        except (OSError, OutputError) as error:
            told = str(error) if isinstance(error, OutputError) else (error.strerror or str(error)).lower()
            if told != self._trouble:
                self._say(f"page: its events will be missing after a restart: {told}")
            self._trouble = told

    def _write(self, event: Shelved) -> None:
        if self._folder is None:
            self._folder = KeptFolder(self._path, _MOST_BYTES, _SPARE_BYTES, self._most)
        folder, name = self._folder, safe(event.data["event_id"])
        if folder.has(f".{name}.json"):
            return
        folder.check()
        by = None if event.scored_by is None else asdict(event.scored_by)
        text = json.dumps({"event": event.data, "scored_by": by}, ensure_ascii=False, allow_nan=False)
        files = dict(zip(_SUFFIXES, event.pictures, strict=False))
        files[".json"] = text.encode("utf-8", "backslashreplace")  # last: where it lies, the pictures do
        folder.make_room(sum(map(len, files.values())))
        number, names = folder.number(), []
        try:
            for suffix, data in files.items():
                names.append(f"{number:08d}.{name}{suffix}")
                with whole_file(folder.path / names[-1], durable=False) as file:
                    file.write(data)
        except OSError:
            for written in names:
                (folder.path / written).unlink(missing_ok=True)
            raise
        folder.add(number, names)

    def close(self) -> None:
        """Let others have the folder."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None


def _pictures(path: Path) -> tuple[bytes, ...]:
    found = []
    for suffix in _SUFFIXES:
        picture = path.with_name(path.name.removesuffix(".json") + suffix)
        if not picture.exists():
            break
        with open(picture, "rb") as file:
            data = file.read(_MOST_PICTURE)
        if not (data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")):  # torn by a power cut
            break
        found.append(data)
    return tuple(found)
