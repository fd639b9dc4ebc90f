"""One shard from its listing to its scores: pictures are read, decoded and fitted in threads while the engine runs."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.archive.fetch import Absent, Reading, fetched
from wordsight.runtime.archive.run_file import Run
from wordsight.runtime.archive.shards import Row, Unread
from wordsight.runtime.errors import FrameError, PictureError, StoreError
from wordsight.runtime.fit_input import fit_input
from wordsight.runtime.manifest_input import InputSpec
from wordsight.runtime.pictures import decoded
from wordsight.runtime.sinks.result import decide
from wordsight.runtime.sources.files import without_name

if TYPE_CHECKING:
    from wordsight.runtime.gate import Gate
    from wordsight.runtime.model import Model

_AHEAD_BYTES = (
    128 * 2**20
)  # of fitted frames that wait for the engine; files that resize in their graph keep large ones


class Fitted(NamedTuple):
    """A picture as the engine takes it.

    Attributes:
        frame: (H, W, 3) uint8 BGR.
        width: of the picture, in pixels.
        height: in pixels.
        size: in bytes.
        doubt: why it cannot be judged, where the gate says so.
    """

    frame: NDArray[np.uint8]
    width: int
    height: int
    size: int
    doubt: str | None


def score_entries(
    model: "Model",
    run: Run,
    entries: Sequence[Entry],
    *,
    batch: int,
    readers: int,
    on_pictures: Callable[[int], None] = lambda count: None,
) -> tuple[list[Row], NDArray[np.float32] | None, list[Unread]]:
    """Score the pictures of a shard.

    Args:
        model: open.
        run: whose decisions are made.
        entries: of the shard.
        batch: most pictures a pass of the engine.
        readers: threads that read, decode and fit.
        on_pictures: called with how many more were scored or given up.

    Returns:
        A row a scored picture in the order of `entries`, their embeddings (N, D) where the model gives them, and the
        pictures that could not be read.

    Raises:
        StoreError: the store refuses, or not one picture could be opened.
        SourceError: a Parquet file of pictures is gone, changed or damaged.
        ModelError: the engine fails.
    """
    rows: list[Row] = []
    embeddings: list[NDArray[np.float32]] = []
    unread: list[Unread] = []
    absent = 0
    pending: list[tuple[Entry, Fitted]] = []

    def flush() -> None:
        if not pending:
            return
        scores = model.score([picture.frame for _, picture in pending])
        for at, (entry, picture) in enumerate(pending):
            values = float(scores.score[at]), float(scores.s_pr[at]), float(scores.s_fnn[at])
            decision = decide(values[0], run.threshold, run.unsure)
            if decision is not None and picture.doubt:
                decision = "unsure"
            rows.append(Row(entry, *values, decision, picture.width, picture.height, picture.size))
        if scores.embedding is not None:
            embeddings.append(scores.embedding)
        on_pictures(len(pending))
        pending.clear()

    gate = run.gate if run.threshold is not None else None
    for entry, picture in prepared(fetched(entries, run.column), model.manifest.input, gate, batch, readers):
        if isinstance(picture, Fitted):
            pending.append((entry, picture))
            if len(pending) >= batch:
                flush()
            continue
        absent += isinstance(picture, Absent)
        unread.append(Unread(entry.source, reason_of(picture, entry)))
        on_pictures(1)
    flush()
    if entries and absent == len(entries):
        raise StoreError(
            f"not one of {len(entries)} pictures could be opened, first: {unread[0].source}: {unread[0].reason}; "
            "is the source still there?"
        )
    return rows, np.concatenate(embeddings) if embeddings else _none(model), unread


def prepared(
    readings: Iterator[tuple[Entry, Reading]], spec: InputSpec, gate: "Gate | None", batch: int, readers: int
) -> Iterator[tuple[Entry, Fitted | PictureError]]:
    """Yield each picture fitted, or why it cannot be, in order; a bounded number is ahead of the engine."""
    most = max(readers + 1, min(2 * batch, _AHEAD_BYTES // (3 * int(np.prod(spec.shape)))))
    ahead: deque[tuple[Entry, Future[Fitted | PictureError]]] = deque()
    with ThreadPoolExecutor(readers, "archive") as pool:
        try:
            for entry, reading in readings:
                ahead.append((entry, pool.submit(prepare, entry, reading, spec, gate)))
                if len(ahead) > most:
                    entry, future = ahead.popleft()
                    yield entry, future.result()
            while ahead:
                entry, future = ahead.popleft()
                yield entry, future.result()
        finally:
            for _, future in ahead:
                future.cancel()


def prepare(entry: Entry, reading: Reading, spec: InputSpec, gate: "Gate | None" = None) -> Fitted | PictureError:
    """Read, decode and fit one picture; return the error of one that cannot be.

    Raises:
        StoreError: the store refuses, which is no fault of the picture.
    """
    try:
        data = reading()
        picture = decoded(data, entry.source)
        doubt = gate.doubt(picture) if gate is not None else None
        return Fitted(fit_input(picture, spec), picture.shape[1], picture.shape[0], len(data), doubt)
    except PictureError as error:
        return error
    except FrameError as error:
        return PictureError(str(error))
    except MemoryError:
        return PictureError("is too large for this machine's memory", "too large")


def reason_of(error: PictureError, entry: Entry) -> str:
    """Why a picture could not be read, without its name, in one line."""
    return " ".join(without_name(str(error), Path(entry.source)).split())


def _none(model: "Model") -> NDArray[np.float32] | None:
    shape = model.manifest.outputs.get("embedding")
    return None if shape is None else np.zeros((0, int(shape[1])), np.float32)
