"""What `wordsight archive` left in a folder, read a batch at a time: its run, its shards, its failures.

Only finished shards count: one whose Parquet file is there. So a report can be made of a run that goes on.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordsight.runtime.archive.run_file import Run, read_run
from wordsight.runtime.archive.shards import Unread, finished, unread_of, unreadable_path
from wordsight.runtime.errors import ArchiveError

COLUMNS = {
    "source": "string",
    "score": "float",
    "s_pr": "float",
    "s_fnn": "float",
    "decision": "string",
    "width": "int32",
    "height": "int32",
    "modified": "timestamp[us, tz=UTC]",
}
"""Columns that a report reads beside `embedding`, a list of float32, and their types as Arrow writes them."""
_ROWS = 65_536
_BUFFER = 1 << 20  # bytes of a column chunk that are held: without it a chunk of embeddings is read whole
_NAME = re.compile(r"shard-(\d+)\.parquet")


@dataclass(frozen=True)
class Shard:
    """A finished shard.

    Attributes:
        number: from 0.
        path: of its Parquet file.
        finished: when that was written, in seconds since 1970.
    """

    number: int
    path: Path
    finished: float


@dataclass(frozen=True)
class Archive:
    """A run of `wordsight archive`, finished or not.

    Attributes:
        folder: where it lies.
        run: what it was begun with.
        done: its finished shards, by number.
    """

    folder: Path
    run: Run
    done: tuple[Shard, ...]


def read_archive(folder: Path) -> Archive:
    """Read the settings of a run and see which shards are finished; no shard is opened.

    Raises:
        ArchiveError: there is no run, it is of a later version, or a shard lies there that it does not have.
    """
    if not folder.is_dir():
        raise ArchiveError(f"no such folder: {folder}; expected one that wordsight archive -o wrote")
    run = read_run(folder)
    done = []
    for path in (folder / "shards").glob("shard-*.parquet"):
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        if int(name[1]) >= run.shards:
            raise ArchiveError(f"{path} is of another run: this one has {run.shards} shards, 0 to {run.shards - 1}")
        done.append(Shard(int(name[1]), path, path.stat().st_mtime))
    return Archive(folder, run, tuple(sorted(done, key=lambda shard: shard.number)))


class ShardReader:
    """An opened shard: its footer was held against the run.

    Attributes:
        path: of the file.
        scored: rows.
        unreadable: pictures of it that were not scored.
        dim: D of its embeddings, 0 where it has none.
    """

    def __init__(self, archive: Archive, shard: Shard) -> None:
        """Open the file and read its footer.

        Raises:
            ArchiveError: damaged, of another model or schema, or not the shard that its name says.
        """
        import pyarrow
        import pyarrow.parquet

        self.path, self._errors = shard.path, (pyarrow.ArrowException, OSError)
        self._folder, self._number = archive.folder, shard.number
        held = finished(archive.folder, archive.run, shard.number)
        if held is None:
            raise ArchiveError(f"{shard.path} is gone")
        self.scored, self.unreadable = held.scored, held.unreadable
        try:
            self._file = pyarrow.parquet.ParquetFile(shard.path, buffer_size=_BUFFER, pre_buffer=False)
        except self._errors as error:
            raise self._damaged(error) from error
        self.dim = self._check_columns()

    def _check_columns(self) -> int:
        schema = self._file.schema_arrow
        for name, expected in COLUMNS.items():
            got = str(schema.field(name).type) if name in schema.names else "none"
            if got != expected:
                raise ArchiveError(f"{self.path}: expected a column {name} of {expected}, got {got}")
        if "embedding" not in schema.names:
            return 0
        return int(getattr(schema.field("embedding").type, "list_size", 0))

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yield its rows as Arrow record batches of some columns, in order.

        Raises:
            ArchiveError: it is damaged further in.
        """
        try:
            yield from self._file.iter_batches(batch_size=_ROWS, columns=list(columns))
        except self._errors as error:
            raise self._damaged(error) from error

    def rows(self, which: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield (row, one-row record batch) of a few rows, ascending; groups of rows without one are not read."""
        wanted, first = sorted(which), 0
        try:
            for group in range(self._file.num_row_groups):
                stop = first + self._file.metadata.row_group(group).num_rows
                here = [row for row in wanted if first <= row < stop]
                if here:
                    yield from self._of_group(group, first, here)
                first = stop
        except self._errors as error:
            raise self._damaged(error) from error

    def _of_group(self, group: int, first: int, wanted: list[int]) -> Iterator[tuple[int, Any]]:
        columns = [*COLUMNS, *(["embedding"] if self.dim else [])]
        for batch in self._file.iter_batches(batch_size=1024, row_groups=[group], columns=columns):
            for row in wanted:
                if first <= row < first + batch.num_rows:
                    yield row, batch.slice(row - first, 1)
            first += batch.num_rows

    def _damaged(self, error: BaseException) -> ArchiveError:
        told = " ".join(str(error).split())[:160]
        return ArchiveError(f"{self.path} is damaged: {told}; move it away, and wordsight archive makes it anew")

    def failures(self) -> Iterator[Unread]:
        """Yield the pictures of the shard that were not scored.

        Raises:
            ArchiveError: the list is not there, damaged, or of another length than the shard says.
        """
        place, count = unreadable_path(self._folder, self._number), 0
        try:
            for item in unread_of(self._folder, self._number):
                count += 1
                yield item
        except FileNotFoundError:
            pass
        except (ValueError, TypeError) as error:
            raise ArchiveError(f"{place}, line {count + 1}: expected an object with source and reason") from error
        if count != self.unreadable:
            raise ArchiveError(f"{place}: expected {self.unreadable} lines, as its shard says, got {count}")

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
