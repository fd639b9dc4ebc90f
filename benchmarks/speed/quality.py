"""What a reduced precision does to scores, on the engine that runs it: drift, ranks, AUROC, decisions, cosine."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import progress
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.figures import Figure
from wordsight.runtime.verify import median_threshold

if TYPE_CHECKING:
    from wordsight.export.drift import Drift

_BATCH = 16


def score(path: Path, backend: str, frames: NDArray[np.uint8], threads: int) -> dict[str, NDArray[np.float32]]:
    """`score` and `embedding` of frames (N, H, W, 3) uint8 BGR, through the runtime."""
    from wordsight.runtime import Model

    parts = []
    with Model(path, backend=backend, threads=threads, batch_size=_BATCH) as model:
        with progress.bar(f"{path.stem} on {backend}", len(frames)) as tick:
            for first in range(0, len(frames), _BATCH):
                parts.append(model.score(frames[first : first + _BATCH]))
                for _ in range(len(parts[-1])):
                    tick()
    found = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "embedding")}
    return found


def drifts(
    files: Mapping[str, Path],
    runs: Sequence[tuple[str, str]],
    frames: NDArray[np.uint8],
    labels: NDArray[np.bool_] | None,
    threads: int,
) -> Iterator[tuple[tuple[str, str], "Drift", int]]:
    """Every run beside fp32 in ONNX Runtime: (precision, backend), its drift, changed decisions.

    Args:
        files: exported files of one head, by precision; "fp32" is among them.
        runs: precision of the file, and backend.
        frames: (N, H, W, 3) uint8 BGR.
        labels: (N,), true for a defect, or None.
        threads: of the engines.
    """
    from wordsight.export.drift import measure

    exact = score(files["fp32"], "ort-cpu", frames, threads)
    for precision, backend in runs:
        found = score(files[precision], backend, frames, threads)
        yield (precision, backend), measure(exact, found, labels), changes(exact["score"], found["score"])


def changes(exact: NDArray[np.float32], other: NDArray[np.float32]) -> int:
    """Decisions that differ, at the median of the exact scores.

    Raises:
        WordsightError: all of them are the same, so that no threshold parts them.
    """
    threshold = median_threshold(exact)
    if threshold is None:
        raise WordsightError("all scores are the same: no decision can change")
    return int(((exact >= threshold) != (other >= threshold)).sum())


def figures(name: str, where: str, drift: "Drift", changed: int) -> list[Figure]:
    """Figures of one run: `drift.int8.mean.mini.openvino` and its like."""
    n = drift.frames
    rows = [
        Figure(f"drift.{name}.mean.{where}", drift.mean, n=n),
        Figure(f"drift.{name}.max.{where}", drift.max, n=n),
        Figure(f"cosine.{name}.min.{where}", drift.cosine_min, n=n),
        Figure(f"changes.decisions.{name}.{where}", changed, n=n),
    ]
    if drift.rank_correlation is not None:
        rows.append(Figure(f"rank_correlation.{name}.{where}", drift.rank_correlation, n=n))
    if drift.auroc_change is not None:
        rows.append(Figure(f"auroc_change.{name}.{where}", 100 * drift.auroc_change, "points", n=n))
    return rows
