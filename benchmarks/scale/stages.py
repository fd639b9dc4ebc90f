"""What each stage of `wordsight archive` costs a picture, on one core and by the archive's own functions."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordsight.benchmarks import progress, timing
from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.archive.fetch import read
from wordsight.runtime.archive.listing import Listing
from wordsight.runtime.archive.run_file import Run
from wordsight.runtime.archive.shards import Row, parquet_path, write_shard
from wordsight.runtime.figures import Figure
from wordsight.runtime.fit_input import fit_input
from wordsight.runtime.pictures import decoded

if TYPE_CHECKING:
    from wordsight.runtime.backends import Backend
    from wordsight.runtime.manifest import Manifest

STAGES = {
    "list": "sort the listing and write it, finding the pictures aside",
    "read": "a file's bytes from this machine's memory; a store's client takes more",
    "decode": "bytes to pixels",
    "fit": "to what the graph takes",
    "engine": "to scores, one thread, in batches",
    "write": "a row of a shard, with its embedding",
}
"""Stages in their order, and what each does."""
MEANING = {
    **{f"stage.{name}": text for name, text in STAGES.items()},
    "bytes.picture": "of a picture's file",
    "bytes.listing": "of a picture in the listing",
    "bytes.result": "of a picture in its shard",
}
LISTED, ROWS = 20_000, 1000
"""Entries that are listed, and rows of the shard that is written, in a round."""


def measure(
    engine: "Backend", manifest: "Manifest", pictures: Sequence[Path], folder: Path, *, batch: int, rounds: int
) -> list[Figure]:
    """Return core-seconds a picture of each stage, and bytes.

    Args:
        engine: with one thread.
        manifest: of its file.
        pictures: files, at least one; all of them are one round.
        folder: for a listing and a shard.
        batch: pictures a pass of the engine.
        rounds: how often each stage is timed, in turns.

    Raises:
        PictureError: a file that is no picture.
    """
    entries = [_entry(path) for path in pictures]
    data = [read(entry) for entry in entries]
    images = [decoded(given, str(path)) for given, path in zip(data, pictures, strict=True)]
    spec = manifest.input
    frames = np.stack([fit_input(image, spec) for image in images])
    passes = -(-len(frames) // batch)
    # As many batches as it takes to see each picture; every one is full.
    queries = [np.take(frames, range(at * batch, (at + 1) * batch), axis=0, mode="wrap") for at in range(passes)]
    dim = int(manifest.outputs["embedding"][1]) if "embedding" in manifest.outputs else 0
    rng = np.random.default_rng(0)
    # Names as cameras give them, with digits that do not compress; sizes and times that differ.
    listed = [
        Entry(f"s3://bucket/2026/11/26/line-3/{rng.bytes(8).hex()}.jpg", int(size), 1_790_000_000_000_000 + int(later))
        for size, later in zip(
            rng.integers(200_000, 500_000, LISTED), rng.integers(0, 80_000_000_000, LISTED), strict=True
        )
    ]
    (folder / "shards").mkdir(exist_ok=True)
    written = 0

    def write() -> None:
        scores = rng.random((ROWS, 3))
        rows = [
            Row(entry, float(three[0]), float(three[1]), float(three[2]), None, 1920, 1080, entry.size)
            for entry, three in zip(listed[:ROWS], scores, strict=True)
        ]
        embedding = rng.standard_normal((ROWS, dim)).astype(np.float32) if dim else None
        write_shard(folder, _run(), 0, rows, embedding, ())

    def make_listing() -> None:
        nonlocal written
        with Listing(folder) as gathered:
            for entry in reversed(listed[:LISTED]):
                gathered.add(entry)
            name, _ = gathered.write(folder, 10_000)
        written = (folder / name).stat().st_size

    each: dict[str, tuple[Callable[[], object], int]] = {
        "list": (make_listing, LISTED),
        "read": (lambda: [read(entry) for entry in entries], len(entries)),
        "decode": (lambda: [decoded(given, "") for given in data], len(entries)),
        "fit": (lambda: [fit_input(image, spec) for image in images], len(entries)),
        "engine": (lambda: [engine.infer(query) for query in queries], passes * batch),
        "write": (write, ROWS),
    }
    seconds = _on_core({name: call for name, (call, _) in each.items()}, rounds)
    figures = [
        timing.median(f"stage.{name}", [value / count for value in seconds[name]])
        for name, (_, count) in each.items()
    ]  # fmt: skip
    sizes = [float(entry.size) for entry in entries]
    return [
        *figures,
        Figure("bytes.picture", float(np.mean(sizes)), "B", min(sizes), max(sizes), len(sizes)),
        Figure("bytes.listing", written / LISTED, "B", n=LISTED),
        Figure("bytes.result", parquet_path(folder, 0).stat().st_size / ROWS, "B", n=ROWS),
    ]


def _on_core(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds that each call keeps a core busy, in every round; one round more warms up.

    Of the processor's own time, not of the clock's: what else runs on the machine, and what a disk takes, is not in it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with progress.bar("stages", (rounds + 1) * len(calls)) as tick:
        for turn in range(-1, rounds):
            for name, call in calls.items():
                start = time.process_time()
                call()
                if turn >= 0:
                    seconds[name].append(time.process_time() - start)
                tick()
    return seconds


def _entry(path: Path) -> Entry:
    state = path.stat()
    return Entry(str(path.resolve()), state.st_size, state.st_mtime_ns // 1000)


def _run() -> Run:
    return Run(
        source="s3://bucket", model="model.onnx", model_sha256="0" * 64, listing="listing", listing_sha256="0" * 64,
        pictures=ROWS, shards=1, pictures_per_shard=ROWS, passed_over=0, column=None, object=None, backend="auto",
        threshold=None, unsure=None, gate=None, calibration_sha256=None, created="", wordsight="",
    )  # fmt: skip
