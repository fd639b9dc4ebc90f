"""One line while it runs: its source, what is in force for it, what it decided so far."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wordsight.runtime.errors import FrameError
from wordsight.runtime.fit_input import check_input
from wordsight.runtime.fits import Place, seen_place
from wordsight.runtime.heat import Heat, region_level
from wordsight.runtime.line.events import event_id
from wordsight.runtime.line.in_force import InForce
from wordsight.runtime.line.reader import Reader
from wordsight.runtime.sinks.result import Decision, PartResult, Result
from wordsight.runtime.sources.frame import Failure, Frame, Image

if TYPE_CHECKING:
    from wordsight.runtime.model import Floats, Scores


@dataclass(frozen=True)
class Ready:
    """A frame on its way to the engine.

    Attributes:
        line: whose it is.
        frame: as the source gave it.
        image: uint8 BGR (h, w, 3), the part of it that is looked at.
        force: what was in force when it was taken; a recipe that is selected meanwhile is for later frames.
    """

    line: "RunningLine"
    frame: Frame
    image: Image
    force: InForce


@dataclass
class Counts:
    """What a line did so far."""

    decisions: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    late: int = 0
    refused: int = 0
    unanswered: int = 0
    fell_back: int = 0
    last_score: float | None = None
    latency_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))


class RunningLine:
    """One line of a line file.

    Attributes:
        name: of the line.
        reader: of its source.
        force: what is in force; assign another to change the recipe, from the engine's thread.
        counts: see `Counts`.
        no_answer: why the last frame has no score, where a server gave none; None otherwise.
    """

    def __init__(
        self,
        name: str,
        reader: Reader,
        force: InForce,
        *,
        on_failure: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        """Put it together; the reader is started by the caller."""
        self.name = name
        self.reader = reader
        self.force = force
        self.counts = Counts()
        self.no_answer: str | None = None
        self._on_failure = on_failure

    @property
    def expected(self) -> bool:
        """Whether a frame is likely within moments; see `batcher.Feed`."""
        return self.reader.waiting == 0 and self.reader.state().state == "running"

    def take(self) -> Frame | None:
        """Return the next frame of the source, or None at once."""
        return self.reader.take()

    def prepared(self, frame: Frame) -> Ready | None:
        """Return the frame as the engine is to see it; None when it cannot be looked at, which is told as a failure."""
        force = self.force
        try:
            image = check_input(force.cut(frame.image), force.model.manifest.input)
        except FrameError as error:
            self.counts.refused += 1
            self._on_failure(Failure(frame.source, str(error), "FrameError", frame.index))
            frame.done()
            return None
        return Ready(self, frame, image, force)

    def decided(
        self, item: Ready, scores: "Scores", row: int, now_s: float, fell_back: bool = False
    ) -> Iterator[Result | PartResult]:
        """Give the frame's result, then that of each part that it ends.

        Args:
            item: the frame.
            scores: of its line's frames in the pass, read by the line's view.
            row: the frame's, in `scores`.
            now_s: monotonic clock.
            fell_back: whether what stands in for a server scored it.
        """
        frame, force = item.frame, item.force
        self.no_answer = None
        self.counts.fell_back += fell_back
        score = float(scores.score[row])
        decision, reason = force.judge(score, item.image)
        self._count(score, decision, reason, now_s - frame.captured_s)
        if force.drift is not None and reason is None:
            force.drift.add(score)
        result = Result(
            frame,
            score,
            float(scores.s_pr[row]),
            float(scores.s_fnn[row]),
            decision,
            None if scores.s_img is None else float(scores.s_img[row]),
            None if scores.heatmap is None else self._heat(item, scores.heatmap[row]),
            line=self.name,
            event_id=event_id(self.name, frame.source, frame.index, frame.timestamp),
            recipe=force.recipe,
            scored_by=force.scored_by,
            reason=reason,
            decided_s=now_s,
            fallback=fell_back,
        )
        yield result
        if force.parts is not None:
            for part in force.parts.add(result, now_s):
                yield self._told(part)

    def unanswered(self, item: Ready, reason: str, now_s: float) -> Iterator[PartResult]:
        """Let a frame end without a score, as a failure; give the parts that it ends, none of which is good by it."""
        frame = item.frame
        self.no_answer = reason
        self.counts.unanswered += 1
        self._on_failure(Failure(frame.source, reason, "NoAnswer", frame.index))
        if item.force.parts is not None:
            for part in item.force.parts.missed(frame, self.name, item.force.recipe, now_s):
                yield self._told(part)

    def overdue(self, now_s: float) -> Iterator[PartResult]:
        """Give the parts whose deadline passed without a decision: they are unsure, and counted as late."""
        if self.force.parts is not None:
            for part in self.force.parts.overdue(now_s):
                yield self._told(part)

    def end_part(self) -> Iterator[PartResult]:
        """Give the part that is open: the line stops, or another recipe begins."""
        if self.force.parts is not None:
            for part in self.force.parts.end():
                yield self._told(part)

    def _told(self, part: PartResult) -> PartResult:
        self.counts.parts[part.decision] += 1
        self.counts.late += part.late
        return part

    def _count(self, score: float, decision: Decision | None, reason: str | None, latency_s: float) -> None:
        self.counts.decisions[decision or "undecided"] += 1
        if reason is not None:
            self.counts.doubts[reason] += 1
        self.counts.last_score = score
        self.counts.latency_s.append(latency_s)

    def _heat(self, item: Ready, values: "Floats") -> Heat:
        spec, weights = item.force.model.manifest.input, item.force.model.manifest.score
        place = seen_place(item.image.shape[0], item.image.shape[1], spec.size, spec.fit, spec.camera)
        left, top = item.force.corner
        place = Place(place.left + left, place.top + top, place.width, place.height)
        hottest = weights.w_pr + weights.w_fnn
        return Heat(values, place, item.frame.image.shape[:2], hottest, region_level(None, hottest))
