"""Every picture that a source stands for, found without reading it.

A folder stands for all below it, hidden files left out, as in `wordsight run`. On this machine a file that is not named
like a picture is looked into: what it is is decided by its content. In an object store, where looking costs a request,
a name with another suffix (notes.txt) is passed over, one without any is taken for a picture.
"""

import glob
import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.archive.places import Denied, asked, is_address, open_store, s3_pages
from wordsight.runtime.errors import NothingFound, SourceError, StoreError
from wordsight.runtime.sources.content import claims_to_be, kind_of_file
from wordsight.runtime.urls import masked

_PARQUET = (".parquet", ".pq")


class Found:
    """The pictures of a source, as they are come across; iterate once.

    Attributes:
        source: as it is written down, see `places.normal`.
        parquet: the Parquet files among what was found; pictures of their own where there are no others.
        passed_over: other files that are no pictures.
    """

    def __init__(self, source: str, exclude: Path) -> None:
        """Keep what to look for.

        Args:
            source: see `places.normal`.
            exclude: a folder that is not looked into: that of the results.
        """
        self.source = source
        self.parquet: list[Entry] = []
        self.passed_over = 0
        self._exclude = os.path.realpath(exclude)

    def __iter__(self) -> Iterator[Entry]:
        """Yield each picture.

        Raises:
            NothingFound: no such file, folder or object.
            SourceError: a folder that cannot be listed.
            StoreError: the store refuses.
        """
        found = self._in_store() if is_address(self.source) else self._here()
        for entry, picture in found:
            if picture:
                yield entry
            elif entry.opened.lower().endswith(_PARQUET):
                self.parquet.append(entry)
            else:
                self.passed_over += 1

    def _here(self) -> Iterator[tuple[Entry, bool]]:
        if os.path.isdir(self.source):
            for path in self._below(self.source):
                yield from self._file(path)
        elif os.path.lexists(self.source):
            yield from self._file(self.source, named=True)
        elif glob.has_magic(self.source):
            for path in glob.iglob(self.source, recursive=True):
                if not os.path.isdir(path) and not os.path.realpath(path).startswith(self._exclude + os.sep):
                    yield from self._file(path)
        else:
            raise NothingFound(f"no such file or folder: {self.source}")

    def _below(self, folder: str) -> Iterator[str]:
        def refuse(error: OSError) -> None:
            raise SourceError(f"cannot list the folder {error.filename}: {(error.strerror or str(error)).lower()}")

        # Links to folders are not followed: they may lead round in circles.
        for parent, folders, names in os.walk(folder, onerror=refuse):
            folders[:] = [
                name for name in folders
                if not name.startswith(".") and os.path.realpath(os.path.join(parent, name)) != self._exclude
            ]  # fmt: skip
            yield from (os.path.join(parent, name) for name in names if not name.startswith("."))

    def _file(self, path: str, named: bool = False) -> Iterator[tuple[Entry, bool]]:
        raw = os.fsencode(path)
        shown = raw.decode("utf-8", "backslashreplace")
        opened = None if shown == path else raw
        try:
            state = os.stat(path)
        except OSError:  # a link that leads nowhere: a failure to be told in its turn
            yield Entry(shown, 0, path=opened), True
            return
        entry = Entry(shown, state.st_size, state.st_mtime_ns // 1000, path=opened)
        if not stat.S_ISREG(state.st_mode):  # a pipe would be waited on for ever
            yield entry, False
            return
        picture = claims_to_be(Path(path)) == "picture"
        if not picture and not path.lower().endswith(_PARQUET):
            try:
                picture = named or kind_of_file(path) == "picture"
            except OSError:
                picture = named
        yield entry, picture

    def _in_store(self) -> Iterator[tuple[Entry, bool]]:
        store, path = asked(self.source, lambda: open_store(self.source))
        scheme = self.source.partition("://")[0]
        magic = glob.has_magic(path)
        root = path
        if magic:
            parts = path.split("/")
            root = "/".join(parts[: next(at for at, part in enumerate(parts) if glob.has_magic(part))])
        matches = re.compile(_translated(path)).match if magic else None
        # s3://bucket/parts holds bucket/parts, sftp://host/parts holds /parts: what comes before it comes before all.
        before = self.source[: -len(path)] if path and self.source.endswith(path) else f"{scheme}://"
        found = False
        objects = _s3(store, root) if scheme == "s3" and hasattr(store, "call_s3") else _walked(store, root)
        while True:
            try:
                info = asked(self.source, lambda: next(objects, None))
            except FileNotFoundError:
                info = None
            except Denied as error:
                raise StoreError(f"these credentials may not list {masked(self.source)}") from error
            if info is None:
                break
            found = True
            name = str(info["name"])
            inner = name[len(root) :].strip("/")
            if name.endswith("/") or any(part.startswith(".") for part in inner.split("/") if part):
                continue
            if matches is not None and not matches(name):
                continue
            suffix = PurePosixPath(name).suffix
            picture = not suffix or claims_to_be(Path(name)) == "picture" or (not inner and not _is_parquet(name))
            yield _entry(before + name, info), picture
        if not found:
            raise NothingFound(f"no such object or folder: {masked(self.source)}")


def _s3(store: Any, root: str) -> Iterator[dict[str, Any]]:
    bucket, key, _ = store.split_path(root)
    for prefix in dict.fromkeys((f"{key}/" if key else "", key)):
        alone = bool(key) and prefix == key
        given = False
        for page in s3_pages(store, bucket, prefix):
            for item in page:
                if alone and item["Key"] != key:
                    return
                given = True
                yield {"name": f"{bucket}/{item['Key']}", **item}
        if given:
            return


def _walked(store: Any, root: str) -> Iterator[dict[str, Any]]:
    info = store.info(root)
    if info["type"] == "file":
        yield info
        return
    for _, _, files in store.walk(root, detail=True, on_error="raise"):
        yield from files.values()


def _translated(pattern: str) -> str:
    from fsspec.utils import glob_translate

    return str(glob_translate(pattern))


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(_PARQUET)


def _entry(source: str, info: dict[str, Any]) -> Entry:
    """Return the entry of an object by what its store says of it, each store in its own words."""
    size = next((int(info[key]) for key in ("size", "Size") if info.get(key) is not None), 0)
    stamp = next((info[key] for key in ("LastModified", "last_modified", "updated", "mtime") if info.get(key)), None)
    etag = next((str(info[key]).strip('"') for key in ("ETag", "etag", "md5Hash") if info.get(key)), None)
    return Entry(source, size, _microseconds(stamp), etag)


def _microseconds(stamp: object) -> int | None:
    if isinstance(stamp, str):
        try:
            stamp = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        except ValueError:
            return None
    if isinstance(stamp, datetime):
        moment = stamp if stamp.tzinfo else stamp.replace(tzinfo=timezone.utc)
        return round(moment.timestamp() * 1_000_000)
    return round(stamp * 1_000_000) if isinstance(stamp, (int, float)) else None
