"""What a reduced precision does to scores, on the engine that runs it: drift, ranks, AUROC, decisions, cosine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import progress
from wordsight.benchmarks.speed import subjects
from wordsight.benchmarks.speed.subjects import Subject
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.figures import Figure
from wordsight.runtime.verify import median_threshold

if TYPE_CHECKING:
    from wordsight.benchmarks.datasets import Dataset
    from wordsight.export.drift import Drift
    from wordsight.train.head import Head

_BATCH = 16


def score(
    path: Path, backend: str, frames: Sequence[NDArray[np.uint8]], threads: int
) -> dict[str, NDArray[np.float32]]:
    """`score` and `embedding` of frames, (H, W, 3) uint8 BGR of any sizes, through the runtime."""
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
    frames: Sequence[NDArray[np.uint8]],
    labels: NDArray[np.bool_] | None,
    threads: int,
) -> Iterator[tuple[tuple[str, str], "Drift", int]]:
    """Every run beside fp32 in ONNX Runtime: (precision, backend), its drift, changed decisions.

    Args:
        files: exported files of one head, by precision; "fp32" is among them.
        runs: precision of the file, and backend.
        frames: (H, W, 3) uint8 BGR, of any sizes.
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


def measure(
    files: Mapping[str, Path],
    ours: Mapping[str, Subject],
    frames: NDArray[np.uint8],
    folder: Path,
    pictures: int,
    threads: int,
    on_step: Callable[[str], None],
    sets: "Sequence[Dataset]" = (),
) -> list[Figure]:
    """Drift on the random encoder and on a trained head of `mini`; the figures of a precision are the worst of both.

    Args:
        files: exported files of the random encoder, by precision; "fp32" is among them.
        ours: the same, open, by arithmetic and backend.
        frames: (N, H, W, 3) uint8 BGR, for the random encoder.
        folder: where the files of `mini` go, or lie.
        pictures: that `mini` is judged on.
        threads: of the engines.
        on_step: called with a line for people before what takes long.
        sets: labelled pictures that `mini` is judged on as well; told beside the others, and never the worst.
    """
    runs = [(subject.manifest.precision, subject.backend) for subject in ours.values()]
    names = [subject.arithmetic or "" for subject in ours.values()]
    mini, judged, truth = _mini(folder, tuple(files), pictures, on_step)

    def told(
        where: str, of: Mapping[str, Path], shown: Sequence[NDArray[np.uint8]], known: NDArray[np.bool_] | None
    ) -> list[Figure]:
        found = zip(names, drifts(of, runs, shown, known, threads), strict=True)
        return [
            figure
            for name, ((_, backend), drift, changed) in found
            for figure in figures(name, f"{where}.{backend}", drift, changed)
        ]

    rows = told("mini", mini, list(judged), truth) + told("vit", files, list(frames), None)
    for precision in ("bf16", "int8"):
        for kind in ("drift.{}.mean", "cosine.{}.min", "rank_correlation.{}", "auroc_change.{}"):
            rows += _worst(kind.format(precision), rows)
    for each in sets:
        labels = np.array([sample.label == 1 for sample in each.test])
        rows += told(each.name, mini, [sample.load() for sample in each.test], labels)
    return rows


def _worst(name: str, figures: Sequence[Figure]) -> list[Figure]:
    """The worst of all that were measured under a name: the least cosine or correlation, the largest of the others."""
    values = [figure for figure in figures if figure.name.startswith(f"{name}.") and figure.value is not None]
    sign = -1 if name.startswith(("cosine", "rank")) else 1
    return [replace(max(values, key=lambda f: sign * abs(f.value or 0.0)), name=name)] if values else []


def _mini(
    folder: Path, precisions: Sequence[str], pictures: int, on_step: Callable[[str], None]
) -> tuple[dict[str, Path], NDArray[np.uint8], NDArray[np.bool_]]:
    """Files of a trained head of `mini`, by precision; held-out pictures, and which of them are defects."""
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings, train_heads
    from wordsight.train.mini import held_out

    encoder, settings = load_encoder("mini"), Settings()

    def trained() -> "list[Head]":
        on_step("training a head of mini")
        return train_heads(encoder, settings, (0,), progress=False)

    paths = subjects.exported(encoder, settings, trained, folder / "mini.safetensors", precisions, on_step)
    drawn = list(held_out(pictures))
    files = dict(zip(precisions, paths, strict=True))
    return files, np.stack([p.image for p in drawn]), np.array([p.label == 1 for p in drawn])
