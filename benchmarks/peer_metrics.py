"""Scores on which metrics could differ, ties above all, and how far a peer's figures are from ours on them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import metrics


def metric_cases(seed: int = 0) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Labels and scores in 0 ... 1: without ties, with many, all tied, and the two ends of an order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation([0, 1, *rng.integers(0, 2, 198)])
    few = rng.integers(0, 6, 200) / 8
    return [
        (labels, scores.astype(np.float32))
        for scores in (rng.random(200), few, (few + labels) / 2, np.full(200, 0.5), labels * 0.5, 1 - labels * 0.5)
    ]


def metric_difference(rows: list[dict[str, float]], cases: list[Any]) -> float:
    """The largest difference of our figures from a peer's, whose `rows` name them as in "anomalib.auroc"."""
    ours = [
        {
            "auroc": metrics.auroc(labels, scores),
            "aupr": metrics.aupr(labels, scores),
            "f1_max": metrics.f1_max(labels, scores).value,
        }
        for labels, scores in cases
    ]
    differences = [
        abs(value - mine[name.partition(".")[2]])
        for row, mine in zip(rows, ours, strict=True)
        for name, value in row.items()
    ]
    return max(differences)
