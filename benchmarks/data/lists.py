"""Reading a csv that lists pictures: columns, fields and files are checked before anything is scored."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wordsight.benchmarks.data.errors import ListError

_SHOWN = 3  # of absent files
Row = tuple[int, dict[str, str]]
"""Line number in the file, and the fields by column."""


def read_rows(path: Path, needed: Sequence[str]) -> tuple[list[str], list[Row]]:
    """The columns of a csv and its rows.

    Args:
        path: UTF-8, with or without a byte order mark; the first line names the columns.
        needed: Columns that must be there.

    Raises:
        ListError: The file cannot be read, lacks a column, has no rows, or a row with fewer or more fields.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            missing = [name for name in needed if name not in columns]
            if missing:
                raise ListError(
                    f"expected the columns {','.join(needed)} in {path}, got {','.join(columns)[:200] or 'no line'}: "
                    f"{','.join(missing)} missing"
                )
            rows = list(_checked_rows(path, reader))
    except OSError as error:
        raise ListError(f"cannot read {path}: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ListError(f"expected a csv in UTF-8, got {path}: {error}") from error
    if not rows:
        raise ListError(f"expected pictures listed in {path}, got its first line only")
    return columns, rows


def choice(path: Path, row: Row, column: str, allowed: Sequence[str]) -> str:
    """The field of a row, which must be one of `allowed`. Raises ListError naming the line."""
    line, fields = row
    if fields[column] not in allowed:
        raise ListError(
            f"expected {' or '.join(allowed)} in column {column} of {path}, line {line}; got {fields[column][:40]!r}"
        )
    return fields[column]


def check_listed(path: Path, files: Sequence[tuple[str, bool]]) -> None:
    """Refuse a csv that names files which are not there.

    Args:
        path: The csv.
        files: Each file as the csv names it, and whether it is there.

    Raises:
        ListError: With the first few absent files and their count.
    """
    absent = [name for name, there in files if not there]
    if absent:
        shown = ", ".join(absent[:_SHOWN]) + (", …" if len(absent) > _SHOWN else "")
        raise ListError(f"{path} names {len(files)} files, {len(absent)} of them are not there; the first: {shown}")


def check_unique(path: Path, names: Iterable[str]) -> None:
    """Raises ListError where a csv names a picture twice in one split: it would count twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ListError(f"expected each picture once in {path}, got {name} twice")
        seen.add(name)


def _checked_rows(path: Path, reader: "csv.DictReader[str]") -> Iterator[Row]:
    for fields in reader:
        if None in fields or None in fields.values():  # how DictReader marks fields beyond, and fields that lack
            raise ListError(
                f"expected {len(reader.fieldnames or [])} fields in {path}, line {reader.line_num}, got more or fewer"
            )
        yield reader.line_num, {name: value.strip() for name, value in fields.items()}
