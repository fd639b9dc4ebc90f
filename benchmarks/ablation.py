"""What each option of training is worth on pictures: every configuration that was judged on text, scored as it ships.

All configurations share one image encoder, so its embeddings are computed once, through the runtime, by the default's
exported file. Every other configuration is exported too, and the nodes of its own file from `embedding` to
`s_fnn_seeds` score those embeddings: what is scored is what ships, at the price of the heads alone. The default's file
takes both ways, which must agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import progress
from wordsight.benchmarks.bootstrap import interval, resample
from wordsight.benchmarks.datasets import Dataset
from wordsight.benchmarks.metrics import Estimate, auroc
from wordsight.runtime.errors import WordsightError

Floats = NDArray[np.float64]
RESAMPLES = 1000
_CHUNK = 32  # pictures held in memory at a time
_AGREE = 1e-5  # as exports must agree with torch


@dataclass(frozen=True)
class Pictures:
    """One set through the encoder: labels (N,), s_pr (N,), unit embeddings (N, D)."""

    labels: NDArray[np.int64]
    s_pr: Floats
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """One configuration's heads on every set: s_fnn (K, N) of each, and the sum with s_pr."""

    s_fnn: list[Floats]
    total: list[Floats]


@dataclass(frozen=True)
class Row:
    """One configuration: AUROC of each seed (K,), of all heads folded, and their lead over the default."""

    name: str
    text: float
    s_fnn: Floats
    total: Floats
    folded_s_fnn: float
    folded_total: float
    lead_s_fnn: Estimate | None
    lead_total: Estimate | None
    """Of the seeds' mean AUROC, with the paired bootstrap interval over pictures; None for the default itself."""


@dataclass(frozen=True)
class Spread:
    """Standard deviations of AUROC over R ensembles of K heads, all of different seeds, and over the R * K heads."""

    ensembles: float
    singles: float
    draws: int
    heads: int

    @property
    def ratio(self) -> float:
        """Of the first to the second; K independent heads would give about 1 / sqrt(K)."""
        return self.ensembles / self.singles


def see(path: Path, dataset: Dataset) -> tuple[Pictures, Floats]:
    """Score a set with an exported file, through the runtime: what all heads share, and s_fnn (K, N) of this file's.

    By ONNX Runtime, not by the fastest engine at hand: a lead of a tenth of a point must not be one between engines.

    Raises:
        PictureError: a picture cannot be read: a table must not be of fewer pictures than it says.
        WordsightError: the file lacks an output.
    """
    from wordsight.runtime.model import Model

    parts: dict[str, list[NDArray[np.float32]]] = {"s_pr": [], "embedding": [], "s_fnn_seeds": []}
    with Model(path, backend="ort-cpu") as model, progress.bar(dataset.name[:28], len(dataset.test)) as tick:
        for start in range(0, len(dataset.test), _CHUNK):
            chunk = dataset.test[start : start + _CHUNK]
            scores = model.score([sample.load() for sample in chunk])
            for name, arrays in parts.items():
                if (array := getattr(scores, name)) is None:
                    raise WordsightError(f"{path} has no output {name}: export it with --seeds-output")
                arrays.append(array)
            for _ in chunk:
                tick()
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    labels = np.array([sample.label for sample in dataset.test], np.int64)
    pictures = Pictures(labels, joined["s_pr"].astype(np.float64), joined["embedding"])
    return pictures, joined["s_fnn_seeds"].T.astype(np.float64)


def head_scores(path: Path, embedding: NDArray[np.float32]) -> Floats:
    """s_fnn (K, N) of unit embeddings (N, D) by the nodes of an exported file that lie behind its `embedding`."""
    import onnx
    import onnxruntime
    from onnx.utils import Extractor

    heads = Extractor(onnx.load(path)).extract_model(["embedding"], ["s_fnn_seeds"])
    session = onnxruntime.InferenceSession(heads.SerializeToString(), providers=["CPUExecutionProvider"])
    parts = [
        session.run(None, {"embedding": embedding[at : at + _CHUNK]})[0] for at in range(0, len(embedding), _CHUNK)
    ]
    return np.asarray(np.concatenate(parts).T, np.float64)


def check_agreement(by_runtime: Floats, by_heads: Floats) -> None:
    """Raise WordsightError unless both ways of scoring with the default's file agree."""
    if (worst := float(np.abs(by_runtime - by_heads).max())) > _AGREE:
        raise WordsightError(
            f"the file's heads alone disagree with the whole file by {worst:.1e}: nothing was measured"
        )


def areas(pictures: Sequence[Pictures], scores: Sequence[Floats]) -> Floats:
    """AUROC of each seed (K,): the mean over the sets, of scores (K, N) each."""
    by_set = [[auroc(p.labels, row) for row in rows] for p, rows in zip(pictures, scores, strict=True)]
    return np.asarray(np.mean(by_set, axis=0), np.float64)


def lead(pictures: Sequence[Pictures], ours: Sequence[Floats], default: Sequence[Floats]) -> Estimate:
    """How far the seeds' mean AUROC lies above the default's, with a 95% paired bootstrap interval over pictures.

    In each resample both see the same pictures; sets are resampled apart, and their mean is taken.
    """
    moved = np.zeros(RESAMPLES)
    for seed, (p, one, other) in enumerate(zip(pictures, ours, default, strict=True)):
        both = (resample(p.labels, rows, RESAMPLES, seed)["auroc"] for rows in (one, other))
        moved += np.subtract(*both) / len(pictures)
    low, high = interval(moved)
    value = float(areas(pictures, ours).mean() - areas(pictures, default).mean())
    return Estimate(value, low, high, sum(len(p.labels) for p in pictures))


def row(name: str, text: float, pictures: Sequence[Pictures], ours: Scores, default: Scores | None) -> Row:
    """A configuration's row; `default` is None for the default itself."""
    s_fnn, total = ([rows.mean(axis=0, keepdims=True) for rows in of_sets] for of_sets in (ours.s_fnn, ours.total))
    return Row(
        name,
        text,
        areas(pictures, ours.s_fnn),
        areas(pictures, ours.total),
        float(areas(pictures, s_fnn)[0]),
        float(areas(pictures, total)[0]),
        None if default is None else lead(pictures, ours.s_fnn, default.s_fnn),
        None if default is None else lead(pictures, ours.total, default.total),
    )


def spread(pictures: Sequence[Pictures], scores: Sequence[Floats], heads: int) -> Spread:
    """Of R * K heads' scores (R * K, N) a set, K = `heads` in each ensemble; a folded file's score is their mean."""
    draws = len(scores[0]) // heads
    if draws < 2:
        raise WordsightError(
            f"a spread of ensembles needs at least 2 draws of {heads} heads, got {len(scores[0])} heads"
        )
    ensembles = [rows[: draws * heads].reshape(draws, heads, -1).mean(axis=1) for rows in scores]
    singles = [rows[: draws * heads] for rows in scores]
    return Spread(
        float(areas(pictures, ensembles).std(ddof=1)), float(areas(pictures, singles).std(ddof=1)), draws, heads
    )


def rank_correlation(rows: Sequence[Row], kind: str = "s_fnn") -> float:
    """Spearman's between the figure on text and the mean AUROC on pictures, over all configurations."""
    from scipy.stats import spearmanr

    return float(spearmanr([r.text for r in rows], [getattr(r, kind).mean() for r in rows]).statistic)
