"""Scores of any number of pictures in bounded memory: how they are distributed, and how that changes over time.

Bins are as wide as a power of two and begin at a multiple of it. When there are too many, two neighbours become one:
every count stays exact, whatever came first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.drift_watch import p_value, widest_gap

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_BINS = 4096
"""Bins of scores: the narrowest that span them all."""
NARROWEST = 2.0**-10
"""Width of a bin of scores at first."""
MOST_TIMES = 512
"""Different bins of time."""
SAMPLE = 500
"""Scores that are kept of a bin of time, drawn evenly from all of it."""
SPANS, FEWEST = 12, 50
"""Most spans of time that are shown, and fewest pictures of one."""
ALPHA = 0.01
"""Chance that any span is called drifting by chance alone."""


class Histogram:
    """Counts of scores.

    Attributes:
        width: of a bin.
        keys: (n,) ascending; bin k spans k * width to (k + 1) * width. Bins without a score are left out.
        counts: (n,).
    """

    def __init__(self) -> None:
        self.width = NARROWEST
        self.keys: Integers = np.zeros(0, np.int64)
        self.counts: Integers = np.zeros(0, np.int64)

    def add(self, scores: Floats) -> None:
        """Take finite scores."""
        if not len(scores):
            return
        while float(np.abs(scores).max()) / self.width > 2**52:  # else the number of its bin would be no whole number
            self._coarsen()
        keys, counts = np.unique(np.floor(scores / self.width).astype(np.int64), return_counts=True)
        self._take(keys, counts.astype(np.int64))

    def _take(self, keys: Integers, counts: Integers) -> None:
        self.keys, self.counts = _summed(np.concatenate((self.keys, keys)), np.concatenate((self.counts, counts)))
        while self.keys[-1] - self.keys[0] >= MOST_BINS:
            self._coarsen()

    def _coarsen(self) -> None:
        self.width *= 2
        self.keys, self.counts = _summed(self.keys >> 1, self.counts)

    def merged(self, other: "Histogram") -> "Histogram":
        """Return the sum of two, as wide as the wider one's bins at least."""
        result = Histogram()
        result.width = max(self.width, other.width)
        for one in (self, other):
            if len(one.keys):
                result._take(one.keys >> round(np.log2(result.width / one.width)), one.counts)
        return result

    @property
    def total(self) -> int:
        """Scores in all."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> tuple[float, float]:
        """Return the ends of the bin in which a quantile lies; there must be a score."""
        at = int(np.searchsorted(np.cumsum(self.counts), share * self.total))
        key = int(self.keys[min(at, len(self.keys) - 1)])
        return key * self.width, (key + 1) * self.width

    def bars(self, low: float, step: float, count: int) -> Integers:
        """Return (count,) sums of bars that begin at `low` and are `step` wide, both multiples of `width`."""
        first, per = round(low / self.width), round(step / self.width)
        result = np.zeros(count, np.int64)
        np.add.at(result, (self.keys - first) // per, self.counts)
        return result


def _summed(keys: Integers, counts: Integers) -> tuple[Integers, Integers]:
    unique, where = np.unique(keys, return_inverse=True)
    summed = np.zeros(len(unique), np.int64)
    np.add.at(summed, where, counts)
    return unique, summed


@dataclass(frozen=True)
class Span:
    """A stretch of time with the pictures of it.

    Attributes:
        begin: of its first bin, in seconds since 1970.
        end: of its last.
        pictures: in it.
        sample: (n,) sorted: up to `SAMPLE` of their scores, drawn evenly.
        distance: largest difference between its distribution function and that of the first span, 0 to 1.
        p: chance of such a distance or more if nothing had changed, corrected for all spans; 1 for the first one.
    """

    begin: float
    end: float
    pictures: int
    sample: Floats
    distance: float
    p: float

    @property
    def drifting(self) -> bool:
        """Whether its scores are not those of the first span."""
        return self.p <= ALPHA

    def quantile(self, share: float) -> float:
        """Return a quantile of the sample."""
        return float(np.quantile(self.sample, share))


class Times:
    """Scores by time: a count and an even sample of each bin of time."""

    def __init__(self) -> None:
        self._width = 1  # seconds
        self._keys: Integers = np.zeros(0, np.int64)
        self._counts: Integers = np.zeros(0, np.int64)
        self._sample: list[tuple[Integers, Floats, Floats]] = []  # seconds, lots, scores
        self._held = 0

    def add(self, seconds: Integers, scores: Floats, lots: Floats) -> None:
        """Take scores.

        Args:
            seconds: (n,) since 1970.
            scores: (n,) finite.
            lots: (n,) drawn evenly from 0 to 1: of each bin those with the lowest are kept.
        """
        if not len(seconds):
            return
        keys, counts = np.unique(seconds // self._width, return_counts=True)
        self._keys, self._counts = _summed(
            np.concatenate((self._keys, keys)), np.concatenate((self._counts, counts.astype(np.int64)))
        )
        while len(self._keys) > MOST_TIMES:
            self._width *= 2
            self._keys, self._counts = _summed(self._keys >> 1, self._counts)
        self._sample.append((seconds, lots, scores))
        self._held += len(seconds)
        if self._held > 2 * MOST_TIMES * SAMPLE:
            self._prune()

    def _prune(self) -> None:
        seconds, lots, scores = (np.concatenate(parts) for parts in zip(*self._sample, strict=True))
        kept = _lowest(seconds // self._width, lots)
        self._sample = [(seconds[kept], lots[kept], scores[kept])]
        self._held = len(kept)

    def spans(self) -> list[Span]:
        """Return consecutive spans of nearly as many pictures each, every one held against the first."""
        total = int(self._counts.sum())
        wanted = min(SPANS, total // FEWEST)
        if not wanted:
            return []
        self._prune()
        seconds, lots, scores = self._sample[0]
        # A bin belongs to the span in which its middle picture lies; a bin is never divided.
        middles = np.cumsum(self._counts) - self._counts / 2
        owner = np.minimum((middles * wanted / total).astype(np.int64), wanted - 1)
        of_sample = owner[np.searchsorted(self._keys, seconds // self._width)]
        kept = _lowest(of_sample, lots)
        of_sample, scores = of_sample[kept], scores[kept]
        found: list[Span] = []
        owners = np.unique(owner)
        for number in owners:
            mine = owner == number
            sample = np.sort(scores[of_sample == number])
            distance, p = _against(found[0].sample, sample, len(owners) - 1) if found else (0.0, 1.0)
            begin, last = int(self._keys[mine][0]), int(self._keys[mine][-1])
            found.append(
                Span(begin * self._width, (last + 1) * self._width, int(self._counts[mine].sum()), sample, distance, p)
            )
        return found


def _lowest(keys: Integers, lots: Floats) -> NDArray[np.intp]:
    """Return the places of the `SAMPLE` lowest lots of every key."""
    order = np.lexsort((lots, keys))
    ordered = keys[order]
    first = np.searchsorted(ordered, ordered)  # where the run of its key begins
    return order[np.arange(len(order)) - first < SAMPLE]


def _against(first: Floats, later: Floats, spans: int) -> tuple[float, float]:
    """Kolmogorov and Smirnov's two-sample test, as a line's (drift_watch.py), corrected for `spans` tests."""
    gap = widest_gap(first, later)
    p = p_value(len(first), len(later), gap)
    return gap / (len(first) * len(later)), min(1.0, p * spans)
