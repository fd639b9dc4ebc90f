"""What a sink is given: one a frame, and one a part where a line knows its parts."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from wordsight.runtime.gate import Gate
from wordsight.runtime.heat import Heat
from wordsight.runtime.sources.frame import Frame, Image

if TYPE_CHECKING:
    from wordsight.runtime.scored_by import ScoredBy

Decision = Literal["good", "unsure", "defect"]


@dataclass(frozen=True)
class Result:
    """One scored frame.

    Attributes:
        frame: the frame, its image included (uint8 BGR, as it came from the source).
        score: w_pr * s_pr + w_fnn * s_fnn, and + w_img * s_img where there are references; 0 to the sum of the weights.
        s_pr: prompt-guided score, 0 to 1 (section 3.1 of the paper).
        s_fnn: the head's score, 0 to 1 (section 3.3).
        decision: None without a threshold.
        s_img: how unlike the references it is, 0 to 1 (section 4.2); None without references.
        heat: the heat map at its place, with its regions; None where the file gives none.
        line: name of the line it belongs to; None outside `run --config`, as for what comes after it.
        event_id: the same for the same frame, however often it is sent (see `line.events`).
        recipe: the recipe it was decided under.
        reason: why it is unsure although its score says otherwise, such as "too dark" or "late".
        decided_s: monotonic clock at the decision; the latency is from `frame.captured_s` to it.
        fallback: a local model scored it, for the server gave no answer.
        scored_by: what the score comes from.
    """

    frame: Frame
    score: float
    s_pr: float
    s_fnn: float
    decision: Decision | None = None
    s_img: float | None = None
    heat: Heat | None = None
    line: str | None = None
    event_id: str | None = None
    recipe: str | None = None
    reason: str | None = None
    decided_s: float | None = None
    fallback: bool = False
    scored_by: "ScoredBy | None" = None


@dataclass(frozen=True)
class PartResult:
    """One part that went by: what its frames say together.

    Attributes:
        line: name of the line.
        part_id: as trigger, file name or controller gave it.
        decision: over all of its frames.
        frames: scored.
        defects: of those, decided as defects.
        unsure: of those, decided as unsure.
        score: the highest; None without a frame.
        began: wall-clock stamp of its first frame, aware, UTC.
        ended: of its last one.
        late: the decision was not there before its deadline; it is unsure then.
        recipe: in force when it was decided.
        event_id: see `line.events`.
        reason: why it is unsure, where the scores alone do not say so.
        fallback: a local model scored some of its frames, for the server gave no answer.
    """

    line: str
    part_id: str
    decision: Decision
    frames: int
    defects: int
    unsure: int
    score: float | None
    began: datetime
    ended: datetime
    late: bool
    recipe: str | None
    event_id: str
    reason: str | None = None
    fallback: bool = False


class Sink(Protocol):
    """Somewhere results go."""

    def write(self, result: Result) -> None:
        """Take one result, in order."""
        ...

    def close(self) -> None:
        """Finish what is open. After an interrupt, too: what was written so far is then to be readable."""
        ...


def decide(score: float, threshold: float | None, unsure: float | None = None) -> Decision | None:
    """Return "defect" from the threshold upwards, "unsure" from `unsure` up to it, "good" below, None without one."""
    if threshold is None:
        return None
    if score >= threshold:
        return "defect"
    return "good" if unsure is None or score < unsure else "unsure"


def judge(
    score: float, image: Image, threshold: float | None, unsure: float | None = None, gate: Gate | None = None
) -> tuple[Decision | None, str | None]:
    """Return the decision over a picture, and why it is unsure although its score says otherwise; None when it is not.

    Args:
        score: of the picture.
        image: uint8 BGR (H, W, 3), what was looked at.
        threshold: see `decide`; without one the gate decides nothing either.
        unsure: see `decide`.
        gate: what is beyond its limits is unsure, whatever the score.
    """
    decision = decide(score, threshold, unsure)
    doubt = gate.doubt(image) if gate is not None and decision is not None else None
    return (decision, None) if doubt is None else ("unsure", doubt)
