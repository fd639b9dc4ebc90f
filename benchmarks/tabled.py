"""Cells of a results table: a class's figures over seeds and pictures, and the mean over classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wordsight.benchmarks.bootstrap import interval, resample
from wordsight.benchmarks.metrics import aupr, auroc, checked, f1_max
from wordsight.runtime.errors import WordsightError

METRICS = ("auroc", "aupr", "f1_max")
Floats = NDArray[np.float64]


def _best_f1(labels: ArrayLike, scores: ArrayLike) -> float:
    return f1_max(labels, scores).value


_FIGURES = {"auroc": auroc, "aupr": aupr, "f1_max": _best_f1}


@dataclass(frozen=True)
class Cell:
    """One figure of a table, as a fraction."""

    mean: float
    """Over seeds."""
    std: float | None
    """Over seeds, with ddof = 1: ten seeds are a sample of all seeds. None for a method without seeds. The paper does
    not say which it takes; with ddof = 0 ten seeds would show 5% less."""
    low: float
    """The 95% percentile bootstrap interval over pictures, of the mean over seeds."""
    high: float
    seeds: int
    pictures: int


@dataclass(frozen=True)
class Measured:
    """Figures of one method on one class, or their mean over classes. S seeds, B resamples."""

    by_seed: dict[str, Floats]
    """Of each metric, (S,)."""
    resampled: dict[str, Floats]
    """Of each metric, (B,): the mean over seeds, on resampled pictures."""
    pictures: int

    def cell(self, metric: str) -> Cell:
        """The figure named `metric`, one of METRICS."""
        seeds = self.by_seed[metric]
        low, high = interval(self.resampled[metric])
        std = float(seeds.std(ddof=1)) if len(seeds) > 1 else None
        return Cell(float(seeds.mean()), std, low, high, len(seeds), self.pictures)


def measure_class(labels: ArrayLike, scores: ArrayLike, resamples: int = 1000, seed: int = 0) -> Measured:
    """All metrics of one class.

    Args:
        labels: (N,) of 0 good and 1 defective.
        scores: (N,), or (S, N) with one row a seed.
        resamples: How often pictures are drawn anew for the intervals.
        seed: Of the draws. Give each class of a set its own, so that their means do not move together.

    Raises:
        OneClassError: There are no good pictures, or no defective ones.
        WordsightError: Scores that are not finite, other labels, or another number of them.
    """
    rows = np.atleast_2d(np.asarray(scores, np.float64))
    if rows.ndim != 2 or not len(rows):
        raise WordsightError(f"expected scores (N,) or (seeds, N), got {np.shape(scores)}")
    pairs = [checked(labels, row, "a table") for row in rows]
    truth = pairs[0][0]
    by_seed = {name: np.array([figure(truth, row) for _, row in pairs]) for name, figure in _FIGURES.items()}
    return Measured(by_seed, resample(truth, rows, resamples, seed), len(truth))


def mean_over_classes(classes: Sequence[Measured]) -> Measured:
    """The unweighted mean over classes, for each seed and each resample: the spread over seeds is that of this mean.

    Raises:
        WordsightError: No class, or classes that differ in their number of seeds or resamples.
    """
    sizes = {(len(c.by_seed["auroc"]), len(c.resampled["auroc"])) for c in classes}
    if len(sizes) != 1:
        raise WordsightError(
            f"expected classes of one number of seeds and resamples, got {sorted(sizes) if sizes else 'no class'}"
        )
    return Measured(
        {name: np.mean([c.by_seed[name] for c in classes], axis=0) for name in METRICS},
        {name: np.mean([c.resampled[name] for c in classes], axis=0) for name in METRICS},
        sum(c.pictures for c in classes),
    )
