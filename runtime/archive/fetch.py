"""The bytes of listed pictures, and proof that they are what was listed.

One that is gone, was changed or may not be read is a picture that cannot be read, like any other; a store that refuses
altogether is an error of the run.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.archive.places import Denied, asked, is_address, open_store
from wordsight.runtime.errors import PictureError

MAX_BYTES = 2**30
"""Largest file or object that is read as a picture."""
Reading = Callable[[], bytes]
"""Reads one picture; to be called in any thread."""


class Absent(PictureError):
    """A picture that nobody could open: of a shard that has no others, the source itself is gone."""


def fetched(entries: Sequence[Entry], column: str | None) -> Iterator[tuple[Entry, Reading]]:
    """Yield each entry with what reads it.

    Args:
        entries: of one shard.
        column: the pictures' in Parquet files; None for files and objects of their own.

    Raises:
        SourceError: a Parquet file is gone, changed or damaged.
        StoreError: a Parquet file's store refuses.
    """
    if column is None:
        for entry in entries:
            yield entry, functools.partial(read, entry)
        return
    from wordsight.runtime.archive.parquet import picture_rows

    for _, group in groupby(entries, key=lambda entry: entry.path):
        rows = list(group)
        for entry, data in zip(rows, picture_rows(rows[0], len(rows), column), strict=True):
            yield entry, functools.partial(_held, data)


def read(entry: Entry) -> bytes:
    """Read a file or object.

    Raises:
        PictureError: it is gone, changed, empty, too large, or may not be read.
        StoreError: the store refuses.
    """
    if entry.size > MAX_BYTES:
        raise PictureError(f"has {entry.size:,} bytes; at most {MAX_BYTES:,} are read", "too large")
    data = _of_store(entry) if is_address(entry.source) else _of_disk(entry)
    return _held(data)


def _held(data: bytes | None) -> bytes:
    if not data:
        raise PictureError("is empty", "empty")
    return data


def _of_disk(entry: Entry) -> bytes:
    try:
        with open(entry.opened, "rb") as file:
            state = os.fstat(file.fileno())
            data = file.read(MAX_BYTES)
    except FileNotFoundError as error:
        raise Absent("is gone", "missing") from error
    except OSError as error:
        raise Absent((error.strerror or str(error)).lower()) from error
    _check(entry, state.st_size, state.st_mtime_ns // 1000, None)
    return data


def _of_store(entry: Entry) -> bytes:
    store = _store("/".join(entry.source.split("/")[:3]))
    path = store._strip_protocol(entry.source)  # what url_to_fs calls; that one would take "::" in a name for a chain
    try:
        data, etag = asked(entry.source, lambda: _get(store, path))
    except FileNotFoundError as error:
        raise Absent("is gone", "missing") from error
    except Denied as error:
        raise Absent("access denied") from error
    _check(entry, len(data), None, etag)
    return data


def _get(store: Any, path: str) -> tuple[bytes, str | None]:
    if not hasattr(store, "call_s3"):
        return bytes(store.cat_file(path)), None
    # One request, which tells the etag, too: s3fs reads an object without saying which version it was.
    from fsspec.asyn import sync

    bucket, _, key = path.partition("/")
    answer = store.call_s3("get_object", Bucket=bucket, Key=key)
    body = answer["Body"]
    try:
        return bytes(sync(store.loop, body.read)), str(answer.get("ETag", "")).strip('"') or None
    finally:
        body.close()


@functools.lru_cache(maxsize=8)
def _store(bucket: str) -> Any:
    return open_store(bucket)[0]


def _check(entry: Entry, size: int, modified: int | None, etag: str | None) -> None:
    told = entry.change(size, modified, etag)
    if told:
        raise PictureError(f"changed since it was listed: {told}")
