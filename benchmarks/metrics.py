"""AUROC, AUPR and F1-max of a list of scores. Higher scores mean more anomalous; labels are 0 good, 1 defective.

Equal scores stay together in all of them: no threshold can part them. Values are fractions from 0 to 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wordsight.runtime.errors import WordsightError


class OneClassError(WordsightError):
    """A figure was asked of pictures that are all good or all defective."""


@dataclass(frozen=True)
class Estimate:
    """A value with the interval around it and the number of things it was taken over."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class F1Max:
    """The best F1 that a threshold can reach, and that threshold: a score at or above it is called defective."""

    value: float
    threshold: float


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, by scikit-learn.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) floats.

    Raises:
        OneClassError: There are no good pictures, or no defective ones.
        WordsightError: Scores that are not finite, other labels, or another number of them.
    """
    from sklearn.metrics import roc_auc_score

    truth, score = checked(labels, scores, "AUROC")
    return float(roc_auc_score(truth, score))


def aupr(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the precision-recall curve as average precision: steps, not trapezoids, which flatter.

    By scikit-learn. Arguments and errors as for `auroc`; chance is the share of defective pictures.
    """
    from sklearn.metrics import average_precision_score

    truth, score = checked(labels, scores, "AUPR")
    return float(average_precision_score(truth, score))


def f1_max(labels: ArrayLike, scores: ArrayLike) -> F1Max:
    """The largest F1 of the defective class over all distinct scores as thresholds, by scikit-learn's curve.

    Of thresholds that are equally good the highest is returned: it raises the fewest false alarms. Calling everything
    defective is a threshold too, so the value is never below 2 p / (1 + p) at a share p of defective pictures.
    Arguments and errors as for `auroc`.
    """
    from sklearn.metrics import precision_recall_curve

    truth, score = checked(labels, scores, "F1-max")
    precision, recall, thresholds = precision_recall_curve(truth, score)
    # The curve's last point, no picture called defective, has no threshold.
    total = precision[:-1] + recall[:-1]
    f1 = np.divide(2 * precision[:-1] * recall[:-1], total, out=np.zeros_like(total), where=total > 0)
    # Equal F1 from other counts may differ in the last bit.
    highest = np.flatnonzero(f1 >= f1.max() - 1e-12)[-1]
    return F1Max(float(f1.max()), float(thresholds[highest]))


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates, (M,) each, from (0, 0) to (1, 1)."""
    from sklearn.metrics import roc_curve as curve

    truth, score = checked(labels, scores, "AUROC")
    false_rate, true_rate, _ = curve(truth, score, drop_intermediate=True)
    return np.asarray(false_rate, np.float64), np.asarray(true_rate, np.float64)


def rank_auroc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """The same area as a Mann-Whitney statistic, ties counted half. Many times faster, and unchecked."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]  # mean rank of each group of equal scores, from 1
    bad = int(labels.sum())
    good = len(labels) - bad
    return float((rank[labels == 1].sum() - bad * (bad + 1) / 2) / (bad * good))


def over_pictures(labels: ArrayLike, scores: ArrayLike, resamples: int = 1000, seed: int = 0) -> Estimate:
    """AUROC with a 95% percentile bootstrap interval over pictures, good and defective resampled apart."""
    from wordsight.benchmarks.bootstrap import interval, resample

    truth, score = checked(labels, scores, "AUROC")
    low, high = interval(resample(truth, score[None], resamples, seed)["auroc"])
    return Estimate(auroc(truth, score), low, high, len(truth))


def over_seeds(areas: ArrayLike) -> Estimate:
    """Mean over seeds; low and high are the worst and the best seed, not an interval."""
    seeds = np.asarray(areas, np.float64)
    return Estimate(float(seeds.mean()), float(seeds.min()), float(seeds.max()), len(seeds))


def over_heads(areas: ArrayLike) -> Estimate:
    """Mean over independently trained heads with the 95% t interval of that mean."""
    from scipy.stats import t

    heads = np.asarray(areas, np.float64)
    mean = float(heads.mean())
    if len(heads) < 2:
        raise WordsightError(f"an interval over heads needs at least 2 of them, got {len(heads)}")
    half = float(t.ppf(0.975, len(heads) - 1) * heads.std(ddof=1) / np.sqrt(len(heads)))
    return Estimate(mean, mean - half, mean + half, len(heads))


def checked(labels: ArrayLike, scores: ArrayLike, figure: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and scores as (N,) arrays, fit for `figure`, which errors name.

    Raises:
        OneClassError: There are no good pictures, or no defective ones.
        WordsightError: Scores that are not finite, other labels, or another number of them.
    """
    truth, score = np.asarray(labels), np.asarray(scores, np.float64)
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
            f"{figure} needs good and defective pictures, got {good} good and {bad} defective; add the other kind"
        )
    return truth.astype(np.int64), score
