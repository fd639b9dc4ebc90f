"""What one line is decided by at the moment: engine, object, references, region, thresholds, gate, rule of parts."""

from dataclasses import dataclass

from wordsight.runtime.decide_by import DecideBy
from wordsight.runtime.drift_watch import DriftWatch
from wordsight.runtime.model import Model
from wordsight.runtime.parts import PartDecider
from wordsight.runtime.scored_by import ScoredBy
from wordsight.runtime.sinks.result import Decision, judge
from wordsight.runtime.sources.cut import Mask, Roi, cut_out, masked_out, mean_colour
from wordsight.runtime.sources.frame import Image
from wordsight.runtime.view import View


@dataclass(frozen=True, eq=False)
class InForce:
    """One recipe of one line, ready to decide.

    Attributes:
        model: the engine; lines share it.
        view: how this line reads its scores: object and references.
        by: thresholds and gate, and the calibration they come from.
        roi: x, y, width, height of what is looked at, in pixels; None for the whole frame.
        mask: (H, W), of the whole frame, True where it is looked at; the rest gets the encoder's mean. None: all.
        parts: gathers the frames of a part; None where frames are decided one by one.
        drift: watches the scores against those of the calibration; None without one.
        recipe: its name.
        scored_by: what its scores come from.
    """

    model: Model
    view: View
    by: DecideBy
    roi: Roi | None = None
    mask: Mask | None = None
    parts: PartDecider | None = None
    drift: DriftWatch | None = None
    recipe: str | None = None
    scored_by: ScoredBy | None = None

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top of what is looked at, in pixels of the frame."""
        return (0, 0) if self.roi is None else self.roi[:2]

    def cut(self, image: Image) -> Image:
        """Return what is looked at of a frame, (H, W, 3) uint8 BGR.

        Raises:
            FrameError: the frame does not hold the region whole, or has another size than the mask.
        """
        if self.mask is None:
            return image if self.roi is None else cut_out(image, self.roi)
        if self.roi is None or self.mask.shape != image.shape[:2]:
            return masked_out(image, self.mask, mean_colour(self.model.manifest.input))
        x, y, width, height = self.roi
        mask = self.mask[y : y + height, x : x + width]
        return masked_out(cut_out(image, self.roi), mask, mean_colour(self.model.manifest.input))

    def judge(self, score: float, image: Image) -> tuple[Decision | None, str | None]:
        """Return the decision over what was looked at, and why it is unsure although the score says otherwise."""
        return judge(score, image, self.by.threshold, self.by.unsure, self.by.gate)
