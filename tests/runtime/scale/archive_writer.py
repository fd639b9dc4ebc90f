"""Writes what `wordsight archive` leaves, from rows given by a test: run.json, shards, lists of failures."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

MODEL, LISTING = "b" * 64, "c" * 64
STAMP = pyarrow.timestamp("us", tz="UTC")


def write_run(folder: Path, shards: int, pictures: int, model_sha256: str = MODEL, **changes) -> None:
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    run = {
        "schema": 1, "source": "/parts", "model": "line3.onnx", "model_sha256": model_sha256,
        "listing": "listing.arrow", "listing_sha256": LISTING, "pictures": pictures, "shards": shards,
        "pictures_per_shard": 100, "passed_over": 0,
        "column": None, "object": None, "backend": "auto", "threshold": None, "unsure": None, "gate": None,
        "calibration_sha256": None, "created": "2026-11-26T06:00:00+00:00", "wordsight": "0.1.0",
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run | changes))


def write_listing(folder: Path, paths) -> None:
    """List files, all of one shard, as they are now."""
    stamps = [path.stat() for path in paths]
    count = len(paths)
    batch = pyarrow.record_batch({
        "source": pyarrow.array([str(path) for path in paths]),
        "size": pyarrow.array([state.st_size for state in stamps], pyarrow.int64()),
        "modified": pyarrow.array([state.st_mtime_ns // 1000 for state in stamps], pyarrow.int64()).cast(STAMP),
        "etag": pyarrow.array([None] * count, pyarrow.string()),
        "path": pyarrow.array([None] * count, pyarrow.binary()),
        "row": pyarrow.array([None] * count, pyarrow.int64()),
    })  # fmt: skip
    with pyarrow.ipc.new_file(str(folder / "listing.arrow"), batch.schema) as file:
        file.write_batch(batch)


def write_shard(folder: Path, number: int, rows: dict, unreadable=(), finished=None, groups=1000, **changes) -> Path:
    """Columns that `rows` leaves out are filled in; `changes` are of the metadata."""
    scores = np.asarray(rows["score"], np.float32)
    count = len(scores)
    modified = rows.get("modified")
    stamps = [None] * count if modified is None else [None if at is None else int(at * 1_000_000) for at in modified]
    embedding = np.asarray(rows.get("embedding", np.eye(count, 3)), np.float32)
    dim = embedding.shape[1]
    sources = rows.get("source", [f"/parts/{number}-{at}.png" for at in range(count)])
    table = pyarrow.table({
        "source": pyarrow.array(sources, pyarrow.string()),
        "score": pyarrow.array(scores), "s_pr": pyarrow.array(scores / 2), "s_fnn": pyarrow.array(scores / 2),
        "decision": pyarrow.array(rows.get("decision", [None] * count), pyarrow.string()),
        "embedding": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(embedding.ravel()), dim),
        "width": pyarrow.array([640] * count, pyarrow.int32()), "height": pyarrow.array([480] * count, pyarrow.int32()),
        "size": pyarrow.array([5000] * count, pyarrow.int64()),
        "modified": pyarrow.array(stamps, pyarrow.int64()).cast(STAMP),
        "scored": pyarrow.array([0] * count, pyarrow.int64()).cast(STAMP),
    })  # fmt: skip
    facts = {
        "schema": 1, "model_sha256": MODEL, "listing_sha256": LISTING, "shard": number, "count": count,
        "unreadable": len(unreadable),
    }  # fmt: skip
    table = table.replace_schema_metadata({"wordsight": json.dumps(facts | changes)})
    path = folder / "shards" / f"shard-{number:05d}.parquet"
    lines = [json.dumps({"source": source, "reason": reason}) + "\n" for source, reason in unreadable]
    path.with_suffix(".unreadable.jsonl").write_text("".join(lines))
    pyarrow.parquet.write_table(table, path, row_group_size=groups)
    if finished is not None:
        os.utime(path, (finished, finished))
    return path
