"""Whether the scores at the line still look like those of the calibration: Kolmogorov and Smirnov's two-sample test.

The exact distribution, not the asymptotic one, worked out only where the distance is large enough for it to matter: a
look costs a fraction of a millisecond otherwise. The chance of an alarm by chance alone is bounded over all looks
together (Bonferroni), and overlapping windows change nothing about that. Scores are taken for independent: give one a
part, not ten of the same part. Defects are among them; while they are few, they move nothing.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import SettingError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """What the last look found.

    Attributes:
        state: "waiting" until the window is full once.
        p: of the last look, corrected for all `looks`, at most 1; 1 while waiting.
        distance: largest difference between the two distribution functions, 0 to 1.
        window: scores in the window.
        looks: so far.
        shift: median of the window less that of the calibration: which way it went.
    """

    state: Literal["waiting", "ok", "drifting"]
    p: float
    distance: float
    window: int
    looks: int
    shift: float


class DriftWatch:
    """A sliding window of scores, held against those of the calibration.

    Attributes:
        found: the last look.
    """

    def __init__(
        self,
        calibrated: Sequence[float],
        *,
        window: int = 300,
        every: int = 50,
        alpha: float = 0.01,
        looks: int = 1_000_000,
    ) -> None:
        """Begin with an empty window.

        Args:
            calibrated: scores of the calibration, or a sample of them.
            window: scores that are compared.
            every: a look each so many scores, once the window is full.
            alpha: chance of a false alarm in all of `looks` together.
            looks: how many that bound is to hold for; a million is 16 months at one score a second.

        Raises:
            SettingError: an empty sample, or a number out of range.
        """
        if not calibrated or min(window, every, looks) < 1 or not 0 < alpha < 1:
            raise SettingError("expected scores of a calibration, a window, step and looks of 1 or more, 0 < alpha < 1")
        self._calibrated = np.sort(np.asarray(calibrated, np.float64))
        self._recent: deque[float] = deque(maxlen=window)
        self._every, self._alpha, self._budget = every, alpha, looks
        self._since = 0
        self._quiet = self._quiet_gap(window)
        self.found = Drift("waiting", 1.0, 0.0, 0, 0, 0.0)

    def add(self, score: float) -> Drift:
        """Take one score and return the last look, a new one when its turn has come."""
        self._recent.append(score)
        self._since += 1
        full = len(self._recent) == self._recent.maxlen
        if full and (self.found.looks == 0 or self._since >= self._every):
            self._since = 0
            self.found = self._look()
        return self.found

    def _look(self) -> Drift:
        recent = np.sort(np.array(self._recent))
        gap, size = widest_gap(self._calibrated, recent), len(self._calibrated) * len(recent)
        p = 1.0 if gap <= self._quiet else p_value(len(self._calibrated), len(recent), gap)
        corrected = min(1.0, p * self._budget)
        shift = float(np.median(recent) - np.median(self._calibrated))
        state: Literal["ok", "drifting"] = "drifting" if corrected <= self._alpha else "ok"
        return Drift(state, corrected, gap / size, len(recent), self.found.looks + 1, shift)

    def _quiet_gap(self, window: int) -> int:
        """Return a gap up to which the corrected p-value is 1: looks that find no more need not work it out.

        Guessed by the asymptotic series' first term, p = 2 exp(-2 d^2 n m / (n + m)), and then made sure of.
        """
        n, m = len(self._calibrated), window
        distance = math.sqrt(math.log(2 * self._budget) / 2 * (n + m) / (n * m))
        guess = int(0.9 * distance * n * m)
        return guess if p_value(n, m, guess) * self._budget >= 1 else 0


def widest_gap(first: Floats, second: Floats) -> int:
    """Return the largest difference of two samples' distribution functions, times n m: a whole number.

    Args:
        first: (n,) sorted, at least one.
        second: (m,) sorted, at least one.
    """
    n, m = len(first), len(second)
    # Compared at every value that occurs, behind all that tie there; in whole numbers, so that >= is exact.
    at = np.concatenate((first, second))
    apart = np.searchsorted(first, at, "right") * m - np.searchsorted(second, at, "right") * n
    return int(np.abs(apart).max())


def p_value(n: int, m: int, widest: int) -> float:
    """Return the exact two-sided p-value of a gap, with ties an upper bound of it.

    P(a random order of n and m strays as far as `widest` / (n m)): the mass that leaves the band, step by step.
    Summing what leaves, not what stays, keeps p-values of 1e-12 exact to many digits.
    """
    if widest <= 0:
        return 1.0
    inside = np.zeros(n + 1)  # inside[i]: chance that i of the first have come, and the path never strayed
    inside[0] = 1.0
    i = np.arange(n + 1)
    left = 0.0
    for step in range(n + m):
        to_come = n + m - step
        ahead = inside * np.clip((n - i) / to_come, 0.0, 1.0)  # the next one is of the first sample
        inside *= np.clip((m - step + i) / to_come, 0.0, 1.0)  # or of the second
        inside[1:] += ahead[:-1]
        strayed = np.abs(i * m - (step + 1 - i) * n) >= widest
        left += float(inside[strayed].sum())
        inside[strayed] = 0.0
    return min(1.0, left)
