"""Pictures in the rows of Parquet files: a column of bytes, or of structs with bytes and a path."""

import os
from collections.abc import Iterator
from typing import Any

from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.archive.places import Denied, asked, is_address, open_store
from wordsight.runtime.errors import SourceError

_ROWS = 16  # pictures that are held at once
_NAMED = ("source", "path")


def listed_rows(file: Entry, column: str) -> Iterator[Entry]:
    """Yield an entry a row of a Parquet file of pictures, reading no picture.

    A row's source is the path within its picture, else the column `source`, else `path`, else the file's own name and
    the row: parts.parquet#12.

    Raises:
        SourceError: no such column, not one of pictures, or no Parquet file.
        StoreError: the store refuses.
    """
    path = file.opened.encode("utf-8", "surrogateescape")
    with _opened(file) as handle, _damage(file):
        parquet = _parquet(handle, file)
        names, _ = _columns(file.source, parquet.schema_arrow, column)
        row = 0
        if not names:
            for row in range(parquet.metadata.num_rows):
                yield Entry(f"{file.source}#{row}", file.size, file.modified, file.etag, path, row)
            return
        batches = parquet.iter_batches(columns=names)
        while (batch := asked(file.source, lambda: next(batches, None))) is not None:
            for told in zip(*(_values(batch.column(at)) for at in range(batch.num_columns)), strict=True):
                source = next((str(name) for name in told if name), f"{file.source}#{row}")
                yield Entry(source, file.size, file.modified, file.etag, path, row)
                row += 1


def picture_rows(first: Entry, count: int, column: str) -> Iterator[bytes | None]:
    """Yield the bytes of `count` rows from `first` on, a few at a time; groups of rows without one are not read.

    Raises:
        SourceError: the file is gone, changed since it was listed, or damaged.
        StoreError: the store refuses.
    """
    file = Entry(first.opened, first.size, first.modified, first.etag)
    begin = first.row or 0
    end = begin + count
    with _opened(file) as handle, _damage(file):
        _unchanged(file, handle)
        parquet = _parquet(handle, file)
        _, pictures = _columns(file.source, parquet.schema_arrow, column)
        start = 0
        for group in range(parquet.num_row_groups):
            stop = start + parquet.metadata.row_group(group).num_rows
            if start < end and begin < stop:
                row = start
                batches = parquet.iter_batches(batch_size=_ROWS, row_groups=[group], columns=[pictures])
                while row < end and (batch := asked(file.source, lambda: next(batches, None))) is not None:  # noqa: B023
                    inside = slice(max(0, begin - row), max(0, end - row))
                    yield from _values(batch.column(0))[inside]
                    row += batch.num_rows
            start = stop


def _unchanged(file: Entry, handle: Any) -> None:
    if is_address(file.source):
        told = file.change(int(handle.size), None, None)
    else:
        state = os.fstat(handle.fileno())
        told = file.change(state.st_size, state.st_mtime_ns // 1000, None)
    if told:
        raise SourceError(f"{file.source} changed since it was listed: {told}; begin again in another folder")


def _columns(source: str, schema: Any, column: str) -> tuple[list[str], str]:
    """Return the columns that name a row, the best first, and the one of the bytes."""
    from pyarrow import types

    if column not in schema.names:
        told = ", ".join(schema.names[:8])
        raise SourceError(f"{source}: expected a column {column!r} of pictures, got {told}; name it with --column")
    kind = schema.field(column).type
    names = [name for name in _NAMED if name in schema.names and _is_text(schema.field(name).type)]
    if types.is_struct(kind):
        inside = {kind.field(at).name: kind.field(at).type for at in range(kind.num_fields)}
        if "bytes" in inside and _is_bytes(inside["bytes"]):
            return [*([f"{column}.path"] if _is_text(inside.get("path")) else []), *names], f"{column}.bytes"
    elif _is_bytes(kind):
        return names, column
    raise SourceError(
        f"{source}: expected column {column!r} to hold bytes, or a struct with bytes and path, got {kind}"
    )


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return kind is not None and bool(types.is_string(kind) or types.is_large_string(kind))


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _values(array: Any) -> list[Any]:
    from pyarrow import types

    # Of a struct only one field was read; flattening keeps in mind which structs are null.
    return list((array.flatten()[0] if types.is_struct(array.type) else array).to_pylist())


def _parquet(handle: Any, file: Entry) -> Any:
    import pyarrow.parquet

    return asked(file.source, lambda: pyarrow.parquet.ParquetFile(handle, buffer_size=2**20))


def _opened(file: Entry) -> Any:
    if not is_address(file.source):
        try:
            return open(file.opened, "rb")
        except OSError as error:
            raise SourceError(f"cannot read {file.source}: {(error.strerror or str(error)).lower()}") from error
    store, path = open_store(file.source)
    try:
        return asked(file.source, lambda: store.open(path, "rb"))
    except FileNotFoundError as error:
        raise SourceError(f"{file.source} is gone") from error
    except Denied as error:
        raise SourceError(str(error)) from error


class _damage:
    """Tells Arrow's errors about a file in one line."""

    def __init__(self, file: Entry) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import pyarrow

        if isinstance(error, pyarrow.ArrowException):
            told = " ".join(str(error).split())[:160]
            raise SourceError(f"{self._file.source} is no Parquet file, or damaged: {told}") from error
