"""Is a calibration honest: how often does the false-alarm rate on unseen good frames exceed the rate that was asked?

Simulated scores have a known distribution: the true rate of a threshold is read off it, without noise. Real ones are
divided by chance into frames to calibrate on and frames unseen. Beside our bound stand the two rules that are in use
elsewhere: the highest score of the good frames, and their empirical quantile.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.progress import Tick
from wordsight.runtime.figures import Figure
from wordsight.runtime.thresholds import CalibrationError, Thresholds, frames_needed, require_enough, thresholds

Floats = NDArray[np.float64]
RULES = ("bound", "highest", "quantile")
_GRID = 0.25


@dataclass(frozen=True)
class Distribution:
    """Of the scores of good frames.

    Attributes:
        name: for the table.
        draw: (rng, count) -> (count,) independent scores.
        at_least: t -> P(a score >= t), exact.
    """

    name: str
    draw: Callable[[np.random.Generator, int], Floats]
    at_least: Callable[[float], float]


@dataclass
class Tally:
    """One rule on one distribution, number of frames and rate.

    Attributes:
        data: whose scores.
        rule: one of RULES.
        n: good frames to calibrate on.
        rate: asked.
        allowed: share of calibrations that may exceed it.
        refused: why there is no threshold; "" when there is.
        rates: false-alarm rate on unseen good frames, one a calibration.
        unsure: share of unseen good frames that are unsure, one a calibration; of the bound alone.
    """

    data: str
    rule: str
    n: int
    rate: float
    allowed: float
    refused: str = ""
    rates: list[float] = field(default_factory=list)
    unsure: list[float] = field(default_factory=list)

    @property
    def exceeded(self) -> int:
        """How many calibrations exceeded the rate asked."""
        return sum(rate > self.rate * (1 + 1e-12) for rate in self.rates)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Clopper and Pearson's interval of the share that exceeded."""
        return clopper_pearson(self.exceeded, len(self.rates), confidence)

    @property
    def name(self) -> str:
        """Of the figure."""
        return f"exceeded.{self.rule}.{self.data.replace(' ', '_')}.n{self.n}.rate{self.rate:g}"


def distributions() -> list[Distribution]:
    """Shapes that scores take: short and long tails, two kinds of parts, a saturated score, a rounded one."""
    from scipy.stats import beta, lognorm, norm

    def rounded(rng: np.random.Generator, count: int) -> Floats:
        return np.rint(rng.normal(size=count) / _GRID) * _GRID

    def rounded_at_least(t: float) -> float:
        step = math.floor(t / _GRID) - 1
        while step * _GRID < t:  # the first point of the grid that reaches it
            step += 1
        return float(norm.sf((step - 0.5) * _GRID))

    def mixed(rng: np.random.Generator, count: int) -> Floats:
        return np.where(rng.random(count) < 0.03, rng.normal(6, 1, count), rng.normal(size=count))

    def saturated(rng: np.random.Generator, count: int) -> Floats:
        return np.where(rng.random(count) < 0.9, 0.0, rng.beta(1, 3, count))

    return [
        Distribution("normal", lambda rng, n: rng.normal(size=n), lambda t: float(norm.sf(t))),
        Distribution("beta, all near 0", lambda rng, n: rng.beta(0.3, 4, n), lambda t: float(beta.sf(t, 0.3, 4))),
        Distribution("lognormal, long tail", lambda rng, n: rng.lognormal(0, 2, n), lambda t: float(lognorm.sf(t, 2))),
        Distribution("two kinds of parts", mixed, lambda t: float(0.97 * norm.sf(t) + 0.03 * norm.sf(t - 6))),
        Distribution("nine in ten at 0", saturated, lambda t: 1.0 if t <= 0 else float(0.1 * beta.sf(t, 1, 3))),
        Distribution("rounded, ties", rounded, rounded_at_least),
    ]


def simulated(
    distribution: Distribution, n: int, rate: float, confidence: float, resamples: int, seed: int, tick: Tick
) -> list[Tally]:
    """Calibrate again and again on n simulated scores; the rate is that of the distribution itself."""
    tallies = _tallies(distribution.name, n, rate, confidence, 1 - confidence)
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        scores = distribution.draw(rng, n)
        for tally in tallies:
            _add(tally, scores, confidence, distribution.at_least)
        tick()
    return tallies


def resampled(
    name: str, scores: Floats, n: int, rate: float, confidence: float, resamples: int, seed: int, tick: Tick
) -> list[Tally]:
    """Calibrate again and again on n of N real scores, drawn without replacement; the rate is that of the others.

    Args:
        name: for the table.
        scores: (N,) of good frames, N > n.
        n: frames to calibrate on.
        rate: asked.
        confidence: of the bound.
        resamples: how often.
        seed: of the draws.
        tick: called after each.
    """
    tallies = _tallies(name, n, rate, confidence, allowed_among(len(scores), n, rate, confidence))
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        order = rng.permutation(len(scores))
        unseen = scores[order[n:]]
        for tally in tallies:
            _add(tally, scores[order[:n]], confidence, lambda t, unseen=unseen: float(np.mean(unseen >= t)))  # type: ignore[misc]
        tick()
    return tallies


def allowed_among(total: int, n: int, rate: float, confidence: float) -> float:
    """Return how often the *observed* rate of total - n unseen frames may exceed the one asked, the bound being right.

    At least 1 - confidence, and more where few unseen frames scatter about their true rate; how much, is exact for any
    distribution: more than c of them lie above the k-th of n scores if, of the c + 1 + n - k highest of all, at most
    n - k are among the n. 1 where n frames allow no bound.
    """
    from scipy.stats import hypergeom

    from wordsight.runtime.thresholds import ranks

    if n < frames_needed(rate, confidence):
        return 1.0
    _, k = ranks(n, rate, confidence)
    most = math.floor(rate * (total - n) * (1 + 1e-12))
    return max(1 - confidence, float(hypergeom.cdf(n - k, total, n, most + 1 + n - k)))


def clopper_pearson(count: int, n: int, confidence: float) -> tuple[float, float]:
    """Exact interval of a share, `count` of n."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, n - count + 1))
    high = 1.0 if count == n else float(beta.isf(tail, count + 1, n - count))
    return low, high


def dishonest(tallies: Sequence[Tally]) -> list[str]:
    """Return the rows of the bound that exceed what is allowed beyond chance: 95% intervals over all rows together."""
    rows = [tally for tally in tallies if tally.rule == "bound" and tally.rates]
    return [
        f"{tally.name}: {tally.exceeded} of {len(tally.rates)}, allowed {tally.allowed:.4f}"
        for tally in rows
        if tally.interval(1 - 0.05 / len(rows))[0] > tally.allowed
    ]


def figures(tallies: Sequence[Tally]) -> list[Figure]:
    """One figure a row, and of the bound what it costs: mean shares of good frames called defects and unsure."""
    rows = []
    for tally in tallies:
        if tally.refused:
            rows.append(Figure(tally.name, None, reason=tally.refused))
            continue
        count = len(tally.rates)
        rows.append(Figure(tally.name, tally.exceeded / count, "", *tally.interval(0.95), n=count))
        if tally.rule == "bound":
            for word, shares in (("called_defect", tally.rates), ("called_unsure", tally.unsure)):
                rows.append(Figure(tally.name.replace("exceeded", word), float(np.mean(shares)), n=count))
    return rows


def _tallies(name: str, n: int, rate: float, confidence: float, allowed: float) -> list[Tally]:
    tallies = [Tally(name, rule, n, rate, allowed) for rule in RULES]
    try:
        require_enough(n, rate, confidence)
    except CalibrationError as error:
        tallies[0].refused = str(error).partition(";")[0]
    return tallies


def _add(tally: Tally, scores: Floats, confidence: float, at_least: Callable[[float], float]) -> None:
    if tally.refused:
        return
    found = _thresholds(tally.rule, scores, tally.rate, confidence)
    tally.rates.append(at_least(found.defect))
    tally.unsure.append(at_least(found.unsure) - tally.rates[-1])


def _thresholds(rule: str, scores: Floats, rate: float, confidence: float) -> Thresholds:
    if rule == "bound":
        return thresholds(scores.tolist(), rate, confidence)
    # Above them, not at them: where scores tie, the rules that others use would call all of those defects.
    value = scores.max() if rule == "highest" else np.quantile(scores, 1 - rate)
    above = math.nextafter(float(value), math.inf)
    return Thresholds(above, above)
