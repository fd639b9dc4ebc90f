"""What was deployed, kept so that it can be brought back: the line's file, all it is decided by, and the unit.

line.deployed/0007/files.json     what lies where; written last: a folder without it was never finished
line.deployed/0007/0, 1, 2, ...   copies of the files; one that an earlier deployment holds already is shared with it
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wordsight.runtime.errors import OutputError, SettingError
from wordsight.runtime.files import file_sha256, whole_file

KEPT = 3
_INDEX = "files.json"


@dataclass(frozen=True)
class Kept:
    """A file of a deployment.

    Attributes:
        path: where it belongs, absolute.
        sha256: of its content.
    """

    path: Path
    sha256: str


class Deployments:
    """The deployments of one line's file."""

    def __init__(self, file: Path) -> None:
        """Look where they lie: beside the line's file, NAME.deployed."""
        self.folder = file.parent / f"{file.stem}.deployed"

    def numbers(self) -> list[int]:
        """Return those that are there, whole, the oldest first."""
        if not self.folder.is_dir():
            return []
        names = [path.name for path in self.folder.iterdir() if (path / _INDEX).is_file()]
        return sorted(int(name) for name in names if name.isdigit())

    def add(self, files: Iterable[Path], unit: Path, text: str) -> int:
        """Keep a deployment; return its number.

        Args:
            files: all it is decided by, the line's file included.
            unit: where the unit belongs.
            text: of the unit.

        Raises:
            OutputError: it cannot be kept.
        """
        number = max(self.numbers(), default=0) + 1
        place = self.folder / f"{number:04d}"
        try:
            shutil.rmtree(place, ignore_errors=True)  # one that was never finished
            place.mkdir(parents=True)
            held = self._held()
            kept = []
            for at, path in enumerate(dict.fromkeys(path.resolve() for path in files)):
                sha256 = file_sha256(path)
                _copy(held.get(sha256), path, place / str(at))
                kept.append(Kept(path, sha256))
            with whole_file(place / str(len(kept)), "w") as out:
                out.write(text)
            kept.append(Kept(unit, file_sha256(place / str(len(kept)))))
            with whole_file(place / _INDEX, "w") as out:
                out.write(json.dumps([{"path": str(one.path), "sha256": one.sha256} for one in kept], indent=1) + "\n")
            for old in self.numbers()[:-KEPT]:
                shutil.rmtree(self.folder / f"{old:04d}")
        except OSError as error:
            raise OutputError(
                f"cannot keep the deployment in {place}: {(error.strerror or str(error)).lower()}"
            ) from error
        return number

    def _held(self) -> dict[str, Path]:
        """Return the copies that there are, by hash: of files that are as they were."""
        held: dict[str, Path] = {}
        for number in self.numbers():
            for at, one in enumerate(self.files(number)):
                place = self.folder / f"{number:04d}" / str(at)
                if place.is_file() and file_sha256(place) == one.sha256:
                    held[one.sha256] = place
        return held

    def files(self, number: int) -> list[Kept]:
        """Return what a deployment holds.

        Raises:
            SettingError: its index is damaged.
        """
        index = self.folder / f"{number:04d}" / _INDEX
        try:
            return [Kept(Path(one["path"]), str(one["sha256"])) for one in json.loads(index.read_bytes())]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingError(f"{index} is damaged; remove its folder to leave that deployment aside") from error

    def back(self) -> tuple[int, list[Path]]:
        """Bring the deployment before the last one back; return its number and the files that were written.

        Each file is replaced whole, the unit last. Called again after it was cut off, it does the rest.

        Raises:
            SettingError: there is none before, or it is damaged: nothing was changed.
            OSError: a file cannot be written.
        """
        numbers = self.numbers()
        if len(numbers) < 2:
            raise SettingError(f"expected a deployment before the last one in {self.folder}, got {len(numbers)} in all")
        last, before = numbers[-1], numbers[-2]
        place = self.folder / f"{before:04d}"
        kept = self.files(before)
        for at, one in enumerate(kept):
            if not (place / str(at)).is_file() or file_sha256(place / str(at)) != one.sha256:
                raise SettingError(f"{place / str(at)}, once {one.path}, is not what was deployed; nothing was changed")
        written = []
        for at, one in enumerate(kept):
            if one.path.is_file() and file_sha256(one.path) == one.sha256:
                continue
            with open(place / str(at), "rb") as source, whole_file(one.path) as out:
                shutil.copyfileobj(source, out)
            written.append(one.path)
        shutil.rmtree(self.folder / f"{last:04d}")
        return before, written


def _copy(held: Path | None, path: Path, place: Path) -> None:
    if held is not None:
        with contextlib.suppress(OSError):  # a file system without links
            os.link(held, place)
            return
    with open(path, "rb") as source, whole_file(place) as out:
        shutil.copyfileobj(source, out)
