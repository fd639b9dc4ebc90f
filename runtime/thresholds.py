"""Thresholds from normal frames alone, by order statistics: no assumption about how their scores are distributed.

Of n independent normal frames with sorted scores x(1) <= ... <= x(n), the number that lie above the normals' true
(1 - rate) quantile is binomial(n, rate). From this follow, each with the stated confidence and exactly (Wilks 1941;
Krishnamoorthy and Mathew, Statistical Tolerance Regions, 2009, section 8.6):

- an upper bound of that quantile, x(k): at most `rate` of all normal frames score above it;
- a lower bound of it, x(l), l <= k: a score that does not pass it is well within what normal frames score.

    good    score <= x(l)
    unsure  x(l) < score <= x(k)    these frames cannot tell on which side of the wanted quantile the score lies
    defect  score > x(k)

Scores that tie change nothing: the claims are of scores *above* an order statistic, and hold for any distribution.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from wordsight.runtime.errors import SettingError, WordsightError

MAX_RATE = 0.1
"""Highest false-alarm rate that is asked for: up to it both bounds lie above the median of the normals."""
CONFIDENCE = (0.5, 0.9999)


class CalibrationError(WordsightError):
    """Normal frames that give no threshold, or a calibration that cannot be used."""


@dataclass(frozen=True)
class Thresholds:
    """Where good ends and defect begins.

    Attributes:
        unsure: a score from which a frame is not good.
        defect: a score from which it is a defect; at least `unsure`.
    """

    unsure: float
    defect: float


def thresholds(scores: Sequence[float], rate: float, confidence: float) -> Thresholds:
    """Return the thresholds that n normal frames allow.

    Of new normal frames, at most `rate` are called defects, unless these n frames were an unlucky draw, which happens
    at most once in 1 / (1 - confidence) calibrations.

    Args:
        scores: of n independent normal frames, finite, in any order.
        rate: share of normal frames that may be called a defect, above 0 and at most `MAX_RATE`.
        confidence: 0.5 to 0.9999.

    Raises:
        SettingError: rate or confidence out of range.
        CalibrationError: too few frames, says how many are needed; or a score that is not finite.
    """
    require_enough(len(scores), rate, confidence)
    if not all(math.isfinite(score) for score in scores):
        raise CalibrationError("expected finite scores, got one that is not; verify the model: wordsight verify MODEL")
    ordered = sorted(scores)
    low, high = ranks(len(ordered), rate, confidence)
    return Thresholds(just_above(ordered[low - 1]), just_above(ordered[high - 1]))


def require_enough(count: int, rate: float, confidence: float) -> None:
    """Refuse fewer normal frames than allow a threshold.

    Raises:
        SettingError: rate or confidence out of range.
        CalibrationError: says how many are needed.
    """
    needed = frames_needed(rate, confidence)
    if count < needed:
        raise CalibrationError(
            f"expected at least {needed:,} normal frames for a false-alarm rate of {rate:g} with confidence "
            f"{confidence:g}, got {count:,}; give more, or ask for a higher --false-alarms"
        )


def frames_needed(rate: float, confidence: float) -> int:
    """Return the fewest normal frames for which the bound can hold: 1 - (1 - rate)^n >= confidence; 299 for 1% at 95%.

    Raises:
        SettingError: rate or confidence out of range.
    """
    if not 0 < rate <= MAX_RATE:
        raise SettingError(f"expected a false-alarm rate above 0 and at most {MAX_RATE:g}, got {rate:g}")
    least, most = CONFIDENCE
    if not least <= confidence <= most:
        raise SettingError(f"expected a confidence of {least:g} to {most:g}, got {confidence:g}")
    miss = math.log1p(-rate)
    count = max(1, math.floor(math.log(1 - confidence) / miss) - 1)  # the division may be off by its last digit
    while -math.expm1(count * miss) < confidence:
        count += 1
    return count


def ranks(count: int, rate: float, confidence: float) -> tuple[int, int]:
    """Return (l, k), ranks from 1 of the bounds of the (1 - rate) quantile, for at least `frames_needed` frames.

    k is the smallest with P(binomial(count, rate) >= count - k + 1) >= confidence, l the largest with
    P(binomial(count, rate) <= count - l) >= confidence.
    """
    # P(more than j above the quantile) must stay small: walk up from j = 0, each term from the one before.
    term = count * math.log1p(-rate)
    odds = math.log(rate) - math.log1p(-rate)
    sums = [math.exp(term)]  # sums[j] = P(at most j of them lie above the quantile)
    while sums[-1] < confidence:
        j = len(sums)
        term += math.log((count - j + 1) / j) + odds
        sums.append(sums[-1] + math.exp(term))
    low = count - (len(sums) - 1)
    # The largest j with P(at most j) <= 1 - confidence; at `frames_needed` j = 0 passes but for the last digit.
    beyond = max(bisect_left(sums, (1 - confidence) * (1 + 1e-12)), 1)
    return low, count - beyond + 1


def just_above(score: float) -> float:
    """Return the next number above: `decide` calls from its threshold upwards a defect, the bound is of scores above.

    Not the same as the score itself: where many normals share one score, those would all be false alarms.
    """
    return math.nextafter(score, math.inf)
