"""AUROC, its interval, and the curve behind it. Higher scores mean more anomalous; labels are 0 good, 1 defective."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wordsight.runtime.errors import WordsightError


class OneClassError(WordsightError):
    """AUROC was asked of pictures that are all good or all defective."""


@dataclass(frozen=True)
class Estimate:
    """A value with the interval around it and the number of things it was taken over."""

    value: float
    low: float
    high: float
    n: int


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, by scikit-learn.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) floats.

    Raises:
        OneClassError: There are no good pictures, or no defective ones.
    """
    from sklearn.metrics import roc_auc_score

    truth, score = _checked(labels, scores)
    return float(roc_auc_score(truth, score))


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates, (M,) each, from (0, 0) to (1, 1)."""
    from sklearn.metrics import roc_curve as curve

    truth, score = _checked(labels, scores)
    false_rate, true_rate, _ = curve(truth, score, drop_intermediate=True)
    return np.asarray(false_rate, np.float64), np.asarray(true_rate, np.float64)


def rank_auroc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """The same area as a Mann-Whitney statistic, ties counted half. Many times faster, for resampling."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]  # mean rank of each group of equal scores, from 1
    bad = int(labels.sum())
    good = len(labels) - bad
    return float((rank[labels == 1].sum() - bad * (bad + 1) / 2) / (bad * good))


def over_pictures(labels: ArrayLike, scores: ArrayLike, resamples: int = 500, seed: int = 0) -> Estimate:
    """AUROC with a 95% percentile bootstrap interval over pictures, good and defective resampled apart."""
    truth, score = _checked(labels, scores)
    rng = np.random.default_rng(seed)
    good, bad = score[truth == 0], score[truth == 1]
    drawn = np.repeat([0, 1], [len(good), len(bad)])
    areas = [
        rank_auroc(drawn, np.concatenate([rng.choice(good, len(good)), rng.choice(bad, len(bad))]))
        for _ in range(resamples)
    ]
    low, high = np.percentile(areas, [2.5, 97.5])
    return Estimate(auroc(truth, score), float(low), float(high), len(truth))


def over_seeds(areas: ArrayLike) -> Estimate:
    """Mean over seeds; low and high are the worst and the best seed, not an interval."""
    seeds = np.asarray(areas, np.float64)
    return Estimate(float(seeds.mean()), float(seeds.min()), float(seeds.max()), len(seeds))


def over_heads(areas: ArrayLike) -> Estimate:
    """Mean over independently trained heads with the 95% t interval of that mean."""
    from scipy.stats import t  # type: ignore[import-untyped]

    heads = np.asarray(areas, np.float64)
    mean = float(heads.mean())
    if len(heads) < 2:
        raise WordsightError(f"an interval over heads needs at least 2 of them, got {len(heads)}")
    half = float(t.ppf(0.975, len(heads) - 1) * heads.std(ddof=1) / np.sqrt(len(heads)))
    return Estimate(mean, mean - half, mean + half, len(heads))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth, score = np.asarray(labels, np.int64), np.asarray(scores, np.float64)
    if truth.shape != score.shape or truth.ndim != 1:
        raise WordsightError(f"expected one label a score, got labels {truth.shape} and scores {score.shape}")
    if not np.isfinite(score).all():
        raise WordsightError(f"expected finite scores, got {int((~np.isfinite(score)).sum())} that are not")
    bad = int((truth == 1).sum())
    good = int((truth == 0).sum())
    if good + bad != len(truth):
        raise WordsightError(f"expected labels 0 (good) and 1 (defective), got {sorted(set(truth.tolist()))[:5]}")
    if not good or not bad:
        raise OneClassError(
            f"AUROC needs good and defective pictures, got {good} good and {bad} defective; add the other kind"
        )
    return truth, score
