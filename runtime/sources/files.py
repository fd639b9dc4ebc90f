"""Pictures and videos on disk: named one by one, by a glob, or by their folder.

A folder stands for every picture and video below it, in natural order (part2 before part10), hidden files and folders
left out. What is a picture is decided by content. A file that is neither picture nor video by content nor by suffix
(README.txt, Thumbs.db) is passed over and counted; one with a picture's or video's suffix that cannot be read is a
failure. A glob follows the same rules. A file that is named itself is always a failure when it cannot be read.
"""

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from wordsight.runtime.errors import NothingFound, SourceError, WordsightError
from wordsight.runtime.pictures import read_picture
from wordsight.runtime.sources.content import claims_to_be, kind_of_file
from wordsight.runtime.sources.frame import Failure, Frame, Item, now
from wordsight.runtime.sources.options import DEFAULTS, SourceOptions
from wordsight.runtime.sources.video import video_items

_DIGITS = re.compile(r"(\d+)")


class Files:
    """Pictures and videos on disk, in order.

    Attributes: see `wordsight.runtime.sources.Source`.
    """

    live = False
    endless = False

    def __init__(
        self,
        text: str,
        paths: list[Path],
        root: Path | None = None,
        choosy: bool = False,
        options: SourceOptions = DEFAULTS,
    ) -> None:
        """Keep the list; nothing is opened yet.

        Args:
            text: what the user wrote.
            paths: the files, in order.
            root: the folder that short names are relative to; None for the file's own name.
            choosy: pass over files that are neither pictures nor videos instead of calling them failures.
            options: how a file's name tells its part.
        """
        self.text = text
        self.paths = paths
        self.root = root
        self.choosy = choosy
        self.options = options
        self.count: int | None = len(paths)
        self.skipped = 0

    def __iter__(self) -> Iterator[Item]:
        """Give one frame a picture, every frame of a video, or the failure in its place."""
        for path in self.paths:
            yield from self._items(path)

    def _items(self, path: Path) -> Iterator[Item]:
        name = str(path.relative_to(self.root)) if self.root else path.name
        part_id = self.options.part_of(path.name)
        try:
            kind = kind_of_file(path) if path.is_file() else None
        except OSError as error:
            yield Failure(str(path), (error.strerror or str(error)).lower(), "PictureError")
            return
        if kind is None and claims_to_be(path) is None:
            if self.choosy:
                self.skipped += 1
                return
            if not os.path.lexists(path):  # by its name it might as well have been a folder
                yield Failure(str(path), "no such file or folder", "PictureError")
                return
        if kind == "video" or (kind is None and claims_to_be(path) == "video" and path.is_file()):
            yield from video_items(path, name, part_id)
            return
        try:
            yield Frame(read_picture(path), str(path), 0, now(), name, part_id=part_id)
        except WordsightError as error:
            yield Failure(str(path), without_name(str(error), path), type(error).__name__)
        except OSError as error:
            yield Failure(str(path), (error.strerror or str(error)).lower(), "PictureError")
        except MemoryError:
            yield Failure(str(path), "too large for this machine's memory", "PictureError")


def one_file(text: str, options: SourceOptions = DEFAULTS) -> Files:
    """Return the source of one named file, which need not exist: that is a failure like any other, told in its turn."""
    return Files(text, [Path(text)], options=options)


def folder(text: str, options: SourceOptions = DEFAULTS) -> Files:
    """Return the source of all pictures and videos below a folder.

    Args:
        text: the folder.
        options: a folder that is not looked into (the one annotated pictures are written to), and how parts are told.

    Raises:
        NothingFound: there is no picture or video in it.
        SourceError: it cannot be listed.
    """
    root = Path(text)

    def refuse(error: OSError) -> None:
        raise SourceError(f"cannot list the folder {error.filename}: {(error.strerror or str(error)).lower()}")

    paths = []
    # Links to folders are not followed: they may lead round in circles.
    for parent, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [
            name for name in folders if not name.startswith(".") and not _same(Path(parent, name), options.exclude)
        ]
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    files = Files(text, sorted(paths, key=natural), root, choosy=True, options=options)
    return _found(files, f"no picture or video in the folder {text}")


def matches(text: str, options: SourceOptions = DEFAULTS) -> Files:
    """Return the source of all pictures and videos that a glob matches; ** crosses folders, folders are left out.

    Raises:
        NothingFound: it matches no picture or video.
    """
    found = {Path(name) for name in glob.glob(text, recursive=True)}
    paths = [
        path for path in found if path.is_file() and not any(_same(parent, options.exclude) for parent in path.parents)
    ]
    fixed = []  # the leading folders without a wildcard: short names begin after them
    for part in Path(text).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    root = Path(*fixed) if fixed else None
    return _found(
        Files(text, sorted(paths, key=natural), root, choosy=True, options=options), f"nothing matches {text}"
    )


def natural(path: Path) -> list[list[tuple[int, int, str]]]:
    """Return the sort key by which part2 comes before part10, folder by folder, letter case aside."""
    return [
        [(0, int(text), "") if text.isdigit() else (1, 0, text.casefold()) for text in _DIGITS.split(part) if text]
        + [(2, 0, part)]
        for part in path.parts
    ]


def _found(files: Files, message: str) -> Files:
    """Return `files` once it is sure that one of them will be tried; read no further than the first."""
    for path in files.paths:
        try:
            if claims_to_be(path) or kind_of_file(path):
                return files
        except OSError:
            return files  # unreadable: a failure to be told in its turn
    extra = f" ({len(files.paths)} other files)" if files.paths else ""
    raise NothingFound(f"{message}{extra}")


def _same(path: Path, other: Path | None) -> bool:
    return other is not None and path.resolve() == other.resolve()


def without_name(message: str, path: Path) -> str:
    """Return an error's message without the file's name at its head, which the failure states by itself."""
    told = message.removeprefix(f"{path}").removesuffix(f": {path}").lstrip(": ").removeprefix("is ")
    return told or message
