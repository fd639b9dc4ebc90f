"""The listing of an archive: every picture, sorted, in one file, a shard a block; written whole and never changed.

An Arrow file, because any block of it is read alone, whatever its length. Sorting is done in runs of bounded size,
which wait on the disk beside it and are then merged: a thousand million take no more memory than one million.
"""

import contextlib
import heapq
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from wordsight.runtime.archive.columns import numbers, texts
from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.errors import ArchiveError
from wordsight.runtime.files import file_sha256, whole_file

RUN = 100_000
"""Entries that are sorted in memory."""
_FAN = 64  # runs that are merged at once: each is an open file
_LEAST, _MOST, _AIM = 100, 10_000, 64


def shard_size(pictures: int) -> int:
    """Pictures to a shard where nobody said: 64 shards, of at least 100 pictures and at most 10,000."""
    return max(_LEAST, min(_MOST, -(-pictures // _AIM)))


class Listing:
    """A listing being gathered; use it as a context manager, then `write`."""

    def __init__(self, folder: Path) -> None:
        """Keep runs in a hidden folder of `folder`, which is gone when the context ends."""
        self._home = Path(tempfile.mkdtemp(prefix=".wordsight-listing-", dir=folder))
        self._pending: list[Entry] = []
        self._levels: list[list[Path]] = [[]]
        self._made = 0
        self.count = 0

    def add(self, entry: Entry) -> None:
        """Take one more, in any order."""
        self._pending.append(entry)
        self.count += 1
        if len(self._pending) >= RUN:
            self._spill()

    def write(self, folder: Path, size: int) -> tuple[str, str]:
        """Write `listing.<first digits of its hash>.arrow` into `folder`, `size` entries to a shard.

        Returns:
            The file's name, and its SHA-256.

        Raises:
            OSError: the disk is full.
        """
        runs = [_read_run(path) for level in self._levels for path in level]
        self._pending.sort(key=_place)
        entries = heapq.merge(*runs, self._pending, key=_place)
        part = self._home / "whole"
        with whole_file(part) as file:
            _write(file, entries, size, compression="zstd")
        digest = file_sha256(part)
        name = f"listing.{digest[:16]}.arrow"
        os.replace(part, folder / name)
        return name, digest

    def _spill(self) -> None:
        self._pending.sort(key=_place)
        self._levels[0].append(self._run(self._pending))
        self._pending = []
        for level, runs in enumerate(self._levels):
            if len(runs) < _FAN:
                break
            if level + 1 == len(self._levels):
                self._levels.append([])
            merged = self._run(heapq.merge(*map(_read_run, runs), key=_place))
            self._levels[level + 1].append(merged)
            for path in runs:
                path.unlink()
            runs.clear()

    def _run(self, entries: Iterable[Entry]) -> Path:
        self._made += 1
        path = self._home / f"{self._made}"
        with open(path, "wb") as file:
            _write(file, entries, 1024)
        return path

    def __enter__(self) -> "Listing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._home, ignore_errors=True)


def read_shard(path: Path, number: int) -> list[Entry]:
    """Return the entries of one shard, in order.

    Raises:
        ArchiveError: the listing is not there, damaged, or has no such shard.
    """
    with _opened(path) as file:
        return list(_entries(file.get_batch(number)))


def read_all(path: Path) -> Iterator[Entry]:
    """Yield every entry, in order, a shard at a time.

    Raises:
        ArchiveError: the listing is not there, or damaged.
    """
    with _opened(path) as file:
        for number in range(file.num_record_batches):
            yield from _entries(file.get_batch(number))


def difference(before: Iterable[Entry], after: Iterable[Entry]) -> str | None:
    """Return what two listings differ in: "2 added, 1 gone, 0 changed, first: ..."; None when in nothing."""
    added = gone = changed = 0
    first = None
    old, new = iter(before), iter(after)
    was, found = next(old, None), next(new, None)
    while was is not None or found is not None:
        if found is None or (was is not None and was.place < found.place):
            assert was is not None
            gone += 1
            first = first or f"{was.source} is gone"
            was = next(old, None)
        elif was is None or found.place < was.place:
            added += 1
            first = first or f"{found.source} is new"
            found = next(new, None)
        else:
            told = was.change(found.size, found.modified, found.etag)
            if told or was.source != found.source:
                changed += 1
                first = first or f"{was.source}: {told or f'is now {found.source}'}"
            was, found = next(old, None), next(new, None)
    return f"{added} added, {gone} gone, {changed} changed, first: {first}" if first else None


def _place(entry: Entry) -> tuple[bytes, int]:
    return entry.place


def _schema() -> Any:
    import pyarrow

    stamp = pyarrow.timestamp("us", tz="UTC")
    return pyarrow.schema([
        pyarrow.field("source", pyarrow.string(), nullable=False),
        pyarrow.field("size", pyarrow.int64(), nullable=False),
        ("modified", stamp), ("etag", pyarrow.string()), ("path", pyarrow.binary()), ("row", pyarrow.int64()),
    ])  # fmt: skip


def _write(file: Any, entries: Iterable[Entry], size: int, compression: str | None = None) -> None:
    import pyarrow

    schema = _schema()
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    rows = iter(entries)
    with pyarrow.ipc.new_file(file, schema, options=options) as writer:
        while block := list(islice(rows, size)):
            arrays = [
                _column(field, list(values)) for field, values in zip(schema, zip(*block, strict=True), strict=True)
            ]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))


def _column(field: Any, values: list[Any]) -> Any:
    from pyarrow import types

    written = types.is_string(field.type) or types.is_binary(field.type)
    return texts(values, field.type) if written else numbers(values, field.type, np.int64)


def _read_run(path: Path) -> Iterator[Entry]:
    return read_all(path)


def _entries(batch: Any) -> Iterator[Entry]:
    import pyarrow

    stamps = batch.column("modified").cast(pyarrow.int64()).to_pylist()
    columns = [batch.column(name).to_pylist() for name in ("source", "size", "etag", "path", "row")]
    for (source, size, etag, path, row), modified in zip(zip(*columns, strict=True), stamps, strict=True):
        yield Entry(source, size, modified, etag, path, row)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import pyarrow

    try:
        with pyarrow.memory_map(os.fspath(path)) as mapped:
            yield pyarrow.ipc.open_file(mapped)
    except (pyarrow.ArrowException, OSError) as error:
        told = " ".join(str(error).split())[:160]
        raise ArchiveError(f"the listing {path} cannot be read: {told}; begin again in another folder") from error
