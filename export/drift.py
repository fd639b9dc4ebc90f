"""How far a file of reduced precision scores from its fp32 twin, on the same frames, and how far it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

__all__ = ["LIMITS", "Drift", "Limits", "auroc", "measure"]

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Limits:
    """What a precision may do to scores before an export is refused.

    Attributes:
        mean: largest mean |difference of `score`|.
        rank_correlation: least Spearman correlation of `score`.
        auroc_change: largest |change of AUROC|, 0 to 1, where frames have labels.
    """

    mean: float
    rank_correlation: float
    auroc_change: float


LIMITS = {
    "fp16": Limits(mean=0.001, rank_correlation=0.9995, auroc_change=0.002),
    "bf16": Limits(mean=0.005, rank_correlation=0.998, auroc_change=0.005),
    "int8": Limits(mean=0.01, rank_correlation=0.995, auroc_change=0.01),
    "fp8": Limits(mean=0.02, rank_correlation=0.99, auroc_change=0.02),
}


@dataclass(frozen=True)
class Drift:
    """Score differences of N frames, and what they do to the order of the frames.

    Attributes:
        frames: N.
        mean: mean |difference of `score`|.
        p99: the value that 99 of 100 differences stay below.
        max: the largest.
        rank_correlation: Spearman's, None where either side scores all frames alike.
        auroc_change: AUROC of the reduced file less AUROC in fp32, None without labels of both kinds.
        cosine_min: smallest cosine between the two embeddings of a frame.
    """

    frames: int
    mean: float
    p99: float
    max: float
    rank_correlation: float | None
    auroc_change: float | None
    cosine_min: float

    def beyond(self, limits: Limits) -> list[str]:
        """What lies beyond the limits, a line each; empty when nothing does."""
        found = []
        # "not within" and not "above": a drift that is no number is beyond every limit.
        if not self.mean <= limits.mean:
            found.append(f"scores differ by {self.mean:.2g} on average, allowed is {limits.mean:g}")
        if self.rank_correlation is not None and not self.rank_correlation >= limits.rank_correlation:
            found.append(
                f"rank correlation is {self.rank_correlation:.4f}, at least {limits.rank_correlation:g} is asked"
            )
        if self.auroc_change is not None and not abs(self.auroc_change) <= limits.auroc_change:
            found.append(f"AUROC changes by {self.auroc_change:+.4f}, allowed is {limits.auroc_change:g}")
        return found


def measure(
    exact: Arrays,
    reduced: Arrays,
    labels: NDArray[np.bool_] | None = None,
) -> Drift:
    """Compare `score` (N,) and `embedding` (N, D) of the same N frames.

    Args:
        exact: outputs of the fp32 graph.
        reduced: outputs in another precision.
        labels: (N,), true for a defect; None where nobody knows.

    Raises:
        ValueError: other shapes, or no frame.
    """
    left, right = (np.asarray(side["score"], np.float64) for side in (exact, reduced))
    if left.shape != right.shape or left.ndim != 1 or not len(left):
        raise ValueError(f"expected scores (N,) of the same frames, got {left.shape} and {right.shape}")
    apart = np.abs(left - right)
    ranked = min(np.ptp(left), np.ptp(right)) > 0
    known = labels is not None and 0 < int(np.sum(labels)) < len(labels)
    return Drift(
        frames=len(left),
        mean=float(apart.mean()),
        p99=float(np.percentile(apart, 99)),
        max=float(apart.max()),
        rank_correlation=float(spearmanr(left, right).statistic) if ranked else None,
        auroc_change=auroc(labels, right) - auroc(labels, left) if known and labels is not None else None,
        cosine_min=float(_cosines(exact, reduced).min()),
    )


def auroc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The share of pairs of a defect and a good frame in which the defect scores higher; ties count half.

    Which is Mann and Whitney's U over the number of pairs, from the ranks' sum.
    """
    positive = int(labels.sum())
    ranks = float(rankdata(scores)[labels].sum())
    return (ranks - positive * (positive + 1) / 2) / (positive * (len(labels) - positive))


def _cosines(exact: Arrays, reduced: Arrays) -> NDArray[np.float64]:
    left, right = (np.asarray(side["embedding"], np.float64) for side in (exact, reduced))
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / norms, np.float64)
