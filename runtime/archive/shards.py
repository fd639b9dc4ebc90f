"""A finished shard: `shards/shard-00000.parquet`, a row a scored picture, and the list of those that were not.

The list, `shard-00000.unreadable.jsonl`, is written first; the shard is finished when its Parquet file is there.
"""

import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.archive.columns import numbers, texts, vectors
from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.archive.run_file import SCHEMA, Run
from wordsight.runtime.errors import ArchiveError
from wordsight.runtime.files import whole_file

_SCORES = ("score", "s_pr", "s_fnn")
KEY = b"wordsight"
"""Of the Parquet file's metadata; its value is JSON."""


class Row(NamedTuple):
    """A scored picture, its embedding apart.

    Attributes:
        entry: as it was listed.
        score: see `wordsight.runtime.model.Scores`.
        s_pr: the prompts' share.
        s_fnn: the head's.
        decision: "good", "unsure" or "defect"; None without a threshold.
        width: in pixels, as it is shown.
        height: in pixels.
        size: bytes of the picture.
    """

    entry: Entry
    score: float
    s_pr: float
    s_fnn: float
    decision: str | None
    width: int
    height: int
    size: int


class Unread(NamedTuple):
    """A picture that could not be read, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class Done:
    """What a finished shard holds.

    Attributes:
        number: from 0.
        scored: pictures in it.
        unreadable: pictures in its list.
    """

    number: int
    scored: int
    unreadable: int


def parquet_path(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / "shards" / f"shard-{number:05d}.parquet"


def unreadable_path(folder: Path, number: int) -> Path:
    """Where the pictures of a shard are listed that could not be read."""
    return folder / "shards" / f"shard-{number:05d}.unreadable.jsonl"


def write_shard(
    folder: Path,
    run: Run,
    number: int,
    rows: Sequence[Row],
    embedding: NDArray[np.float32] | None,
    unread: Sequence[Unread],
) -> Done:
    """Write a shard, its list first, each whole or not at all.

    Args:
        folder: of the archive.
        run: what the shard belongs to.
        number: of the shard.
        rows: in the order of the listing.
        embedding: (len(rows), D), where the model gives them.
        unread: the others.

    Raises:
        OSError: the disk is full.
    """
    import pyarrow
    import pyarrow.parquet

    facts = {
        "schema": SCHEMA, "model_sha256": run.model_sha256, "listing_sha256": run.listing_sha256, "shard": number,
        "first": rows[0].entry.source if rows else None, "last": rows[-1].entry.source if rows else None,
        "count": len(rows), "unreadable": len(unread),
    }  # fmt: skip
    with whole_file(unreadable_path(folder, number), "w") as file:
        file.writelines(json.dumps(item._asdict(), ensure_ascii=False) + "\n" for item in unread)
    # Made in memory, a shard is of some megabytes: a full disk is then met in one place, and told as one.
    made = io.BytesIO()
    pyarrow.parquet.write_table(_table(rows, embedding, facts), made, compression="zstd", use_dictionary=["decision"])
    with whole_file(parquet_path(folder, number)) as file:
        file.write(made.getbuffer())
    return Done(number, len(rows), len(unread))


def _table(rows: Sequence[Row], embedding: NDArray[np.float32] | None, facts: dict[str, Any]) -> Any:
    import pyarrow

    stamp = pyarrow.timestamp("us", tz="UTC")
    scored = round(time.time() * 1_000_000)
    text, single, small, large = pyarrow.string(), pyarrow.float32(), pyarrow.int32(), pyarrow.int64()
    arrays = {
        "source": texts([row.entry.source for row in rows], text),
        **{name: numbers([getattr(row, name) for row in rows], single, np.float32) for name in _SCORES},
        "decision": texts([row.decision for row in rows], text),
        **{name: numbers([getattr(row, name) for row in rows], small, np.int32) for name in ("width", "height")},
        "size": numbers([row.size for row in rows], large, np.int64),
        "modified": numbers([row.entry.modified for row in rows], stamp, np.int64),
        "scored": numbers([scored] * len(rows), stamp, np.int64),
    }
    if embedding is not None:
        arrays["embedding"] = vectors(embedding)
    table = pyarrow.table(arrays)
    return table.replace_schema_metadata({KEY: json.dumps(facts, ensure_ascii=False).encode()})


def finished(folder: Path, run: Run, number: int) -> Done | None:
    """Return what a shard holds if it is finished; None when it is not.

    Raises:
        ArchiveError: it is of another model or listing, or damaged.
    """
    import pyarrow
    import pyarrow.parquet

    path = parquet_path(folder, number)
    try:
        held = pyarrow.parquet.read_metadata(path)
        facts = json.loads((held.metadata or {})[KEY])
        mine = {"schema": SCHEMA, "model_sha256": run.model_sha256, "listing_sha256": run.listing_sha256,
                "shard": number, "count": held.num_rows}  # fmt: skip
        for name, expected in mine.items():
            if facts[name] != expected:
                whose = {"model_sha256": "is of another model", "listing_sha256": "is of another listing"}
                raise ArchiveError(
                    f"{path} {whose.get(name, 'is another shard')}: expected {name} {str(expected)[:12]}, got "
                    f"{str(facts[name])[:12]}; move it away, or give another folder"
                )
        return Done(number, held.num_rows, int(facts["unreadable"]))
    except FileNotFoundError:
        return None
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        told = " ".join(str(error).split())[:160]
        raise ArchiveError(f"{path} is damaged or no shard: {told}; move it away, and it is made anew") from error


def unread_of(folder: Path, number: int) -> Iterator[Unread]:
    """Yield the pictures of a finished shard that could not be read."""
    with open(unreadable_path(folder, number), encoding="utf-8") as file:
        for line in file:
            yield Unread(**json.loads(line))
