"""Bootstrap over pictures: how much AUROC, AUPR and F1-max would move with other pictures of the same kind."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CELLS = 1 << 17  # resamples x pictures held at a time: bounds the memory, and stays in the cache


def resample(labels: NDArray[np.int64], scores: Floats, resamples: int = 1000, seed: int = 0) -> dict[str, Floats]:
    """AUROC, AUPR and F1-max of resampled pictures, each the mean over the columns' seeds.

    Good and defective pictures are drawn apart, with replacement, as many as there are. Within a resample all seeds
    see the same pictures, as they do in the table, so the interval is that of the mean over seeds.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (S, N), finite, one row a seed.
        resamples: B, how often to draw.
        seed: Of the draws.

    Returns:
        "auroc", "aupr" and "f1_max", each (B,).
    """
    orders = [Ordered(labels, row) for row in scores]
    parts = [
        np.mean([order.figures(drawn) for order in orders], axis=0) for drawn in draws(labels, resamples, seed)
    ]  # fmt: skip
    joined = np.concatenate(parts, axis=1)
    return {"auroc": joined[0], "aupr": joined[1], "f1_max": joined[2]}


def interval(resampled: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled figures (B,)."""
    tail = 50 * (1 - confidence)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return float(low), float(high)


def draws(labels: NDArray[np.int64], resamples: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """How often each picture is drawn, (b, N) at a time."""
    # A generator for each label: the draws do not depend on how many resamples are held at a time.
    strata = [(np.random.default_rng([seed, label]), np.flatnonzero(labels == label)) for label in (0, 1)]
    at_once = max(1, _CELLS // len(labels))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = np.empty((rows, len(labels)), np.int32)
        for rng, members in strata:
            count = len(members)
            # One bincount for all rows: each row counts in a range of its own.
            picks = rng.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
            drawn[:, members] = np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count)
        yield drawn


class Ordered:
    """Pictures sorted once by falling score; a resample only changes how often each counts.

    Only groups of equal scores with a defective picture among them are looked at: those alone add to the two areas,
    and F1 only falls from one of them to the next.
    """

    def __init__(self, labels: NDArray[np.int64], scores: Floats) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered, bad = scores[self._order], labels[self._order] == 1
        self._bad_order = self._order[bad]
        self._bads, self._goods = int(bad.sum()), int((~bad).sum())
        bounds = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
        hits = np.append(0, np.cumsum(bad))[bounds]
        holds = np.diff(hits) > 0
        self._start, self._end = bounds[:-1][holds], bounds[1:][holds]  # of these groups, among all pictures
        self._hits_end = hits[1:][holds]  # the same, among the defective ones

    def figures(self, drawn: NDArray[np.int32]) -> Floats:
        """AUROC, AUPR, F1-max: (3, b) of draws (b, N)."""
        every = _running(drawn, self._order)
        hits = _running(drawn, self._bad_order)[:, self._hits_end].astype(np.float64)
        called = every[:, self._end].astype(np.float64)
        gained = np.diff(hits, axis=1, prepend=0)
        # A defective picture beats the good ones behind its group, and half of those in it.
        ahead = called - hits + every[:, self._start] - (hits - gained)
        area = np.einsum("bm,bm->b", gained, self._goods - ahead / 2) / (self._bads * self._goods)
        average = np.einsum("bm,bm->b", gained, hits / np.maximum(called, 1)) / self._bads
        best = 2 * (hits / (called + self._bads)).max(axis=1)
        return np.stack([area, average, best])


def _running(drawn: NDArray[np.int32], order: NDArray[np.int64]) -> NDArray[np.int32]:
    """How many were drawn before each place in `order`: (b, n + 1), from 0."""
    counts = np.zeros((len(drawn), len(order) + 1), np.int32)
    np.cumsum(np.take(drawn, order, axis=1), axis=1, out=counts[:, 1:])
    return counts
