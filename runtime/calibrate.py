"""Good frames in, a calibration out; defect frames only check it.

Frames that are there twice count once, and references are no good frames: both would make normals look more alike than
they are. What a frame's neighbours in a video are, cannot be known here: the bound is for independent frames.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wordsight.runtime.calibration import MOST_SIZES, SCHEMA, Calibration, sketch, used_references
from wordsight.runtime.errors import SettingError
from wordsight.runtime.gate import Gate, Measures, limits, measure
from wordsight.runtime.loop import Tally, score_sources
from wordsight.runtime.reference_builder import frame_sha256
from wordsight.runtime.sinks.result import Decision, Result, decide
from wordsight.runtime.sources.cut import Mask, Roi, mask_sha256
from wordsight.runtime.sources.frame import Failure, Source, now
from wordsight.runtime.thresholds import CalibrationError, Thresholds, thresholds

if TYPE_CHECKING:
    from wordsight.runtime.model import Model


_ALIKE = 0.25  # correlation of neighbours below which at least half of the frames count


@dataclass
class Gathered:
    """Scored frames, each once; a sink.

    Attributes:
        references: hashes of the frames that the score is compared with: not to be calibrated on.
        names: of the frames.
        scores: theirs.
        measures: their exposure and sharpness.
        hashes: theirs.
        repeated: how many frames were there already.
        known: how many are references.
        of_videos: how many are of videos.
        sizes: (width, height) of them, and how many had it.
        failures: inputs that could not be read.
    """

    references: frozenset[str] = frozenset()
    names: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    measures: list[Measures] = field(default_factory=list)
    hashes: set[str] = field(default_factory=set)
    repeated: int = 0
    known: int = 0
    of_videos: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def write(self, result: Result) -> None:
        """Take one scored frame."""
        frame = result.frame
        sha256 = frame_sha256(frame.image)
        if sha256 in self.references:
            self.known += 1
        elif sha256 in self.hashes:
            self.repeated += 1
        else:
            self.hashes.add(sha256)
            self.names.append(frame.name + (f" #{frame.index}" if frame.fps is not None else ""))
            self.scores.append(result.score)
            self.measures.append(measure(frame.image))
            self.of_videos += frame.fps is not None
            self.sizes[frame.image.shape[1], frame.image.shape[0]] += 1

    def close(self) -> None:
        """Nothing is open."""

    def __len__(self) -> int:
        return len(self.scores)

    def alike(self) -> float | None:
        """Return how much neighbours score alike, the rank correlation of each frame with the next; None for chance.

        Frames of one part, or of one moment, lie beside each other in a folder: they are not independent then, and
        count for less than they are. Of independent ones it scatters about 0 by 1 / sqrt(n).
        """
        count = len(self.scores)
        if count < 3:
            return None
        # Of ties each gets a place of its own, in an order that tells nothing about where it lies.
        order = np.lexsort((np.random.default_rng(0).random(count), np.array(self.scores)))
        ranks = np.empty(count)
        ranks[order] = np.arange(count)
        found = float(np.corrcoef(ranks[:-1], ranks[1:])[0, 1])
        return found if found > max(_ALIKE, 4 / count**0.5) else None


@dataclass(frozen=True)
class Checked:
    """How frames come off against thresholds and gate.

    Attributes:
        decisions: one a frame.
        reasons: of those that the gate doubts, how many for which reason.
        missed: names of the frames that pass as good, the lowest scores first.
    """

    decisions: Counter[Decision]
    reasons: Counter[str]
    missed: list[str]


def gather(
    model: "Model", sources: Iterable[Source], *, batch: int = 32, on_item: Callable[[], None] = lambda: None
) -> Gathered:
    """Score every frame of the sources.

    Args:
        model: loaded, with the references that are to be in force.
        sources: of good frames, or of defects to check with; none that is live.
        batch: most frames to a batch.
        on_item: called after each frame or failure.
    """
    few_shot = model.few_shot
    known = frozenset(frame.sha256 for frame in few_shot.references.frames) if few_shot else frozenset[str]()
    found = Gathered(known)
    score_sources(
        model, sources, [found], tally=Tally(), batch=batch, on_failure=found.failures.append, on_item=on_item
    )
    return found


def calibrated(
    model: "Model",
    good: Gathered,
    rate: float,
    confidence: float,
    roi: Roi | None = None,
    mask: Mask | None = None,
) -> Calibration:
    """Return what good frames say of the model.

    Args:
        model: that scored them.
        good: independent good frames.
        rate: share of good frames that may be called defects.
        confidence: of that.
        roi: what was cut out of every frame; told, not done here.
        mask: where every frame was looked at; likewise.

    Raises:
        SettingError: rate or confidence out of range.
        CalibrationError: too few frames, or scores that allow no threshold.
    """
    try:
        found = thresholds(good.scores, rate, confidence)
    except CalibrationError as error:
        left_out = {"repeated": good.repeated, "references": good.known, "unreadable": len(good.failures)}
        told = " and ".join(f"{count} {name}" for name, count in left_out.items() if count)
        raise CalibrationError(f"{error} ({told} left out)" if told else str(error)) from error
    if min(good.scores) == max(good.scores):
        raise CalibrationError(
            f"all {len(good)} good frames have the same score, {good.scores[0]:g}, though they differ: this model does "
            "not look at them; verify it: wordsight verify MODEL"
        )
    if found.defect > model.top:
        raise CalibrationError(
            f"too many good frames have the highest score there can be, {model.top:g}: no threshold lies above them; "
            "this model takes these parts for defects: try other prompts, or references"
        )
    return Calibration(
        schema=SCHEMA, model_sha256=model.sha256, object=model.object, backend=model.backend,
        made=now().replace(tzinfo=None).isoformat(timespec="seconds") + "Z", rate=rate, confidence=confidence,
        frames=len(good), repeated=good.repeated,
        sizes=tuple(size for size, _ in good.sizes.most_common()) if len(good.sizes) <= MOST_SIZES else (),
        roi=roi or (), unsure=found.unsure, defect=found.defect,
        scores=sketch(good.scores), gate=limits(good.measures, rate), references=used_references(model.few_shot),
        mask_sha256="" if mask is None else mask_sha256(mask),
    )  # fmt: skip


def checked(frames: Gathered, found: Thresholds, gate: Gate | None) -> Checked:
    """Decide over frames as the line would."""
    decisions: Counter[Decision] = Counter()
    reasons: Counter[str] = Counter()
    missed: list[tuple[float, str]] = []
    for name, score, measures in zip(frames.names, frames.scores, frames.measures, strict=True):
        doubt = None if gate is None else gate.doubt_of(measures)
        decision = "unsure" if doubt else decide(score, found.defect, found.unsure) or "good"
        if doubt:
            reasons[doubt] += 1
        if decision == "good":
            missed.append((score, name))
        decisions[decision] += 1
    return Checked(decisions, reasons, [name for _, name in sorted(missed)])


def require_apart(good: Gathered, defects: Gathered) -> None:
    """Refuse a frame that is given both as good and as a defect.

    Raises:
        SettingError: says how many.
    """
    both = len(good.hashes & defects.hashes)
    if both:
        raise SettingError(f"expected frames that are good or to be checked, got {both} that are given as both")


def refuse_live(sources: Sequence[Source]) -> None:
    """Refuse sources without an end.

    Raises:
        SettingError: names the first.
    """
    for source in sources:
        if source.live:
            raise SettingError(f"{source.text} is a live source: record pictures, one a part, and give those")
