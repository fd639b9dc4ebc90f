"""A part and its decision: over the frames between two triggers, or those with one `part_id`.

    decider = PartDecider(PartRule(defects=2, of=3, deadline_ms=400))
    for part in decider.begin("4711", ...): ...  # where a trigger tells that a part is there, before any frame of it
    for part in decider.add(result, now_s): ...
    for part in decider.overdue(now_s): ...      # when nothing comes

No clock and no thread of its own: whoever calls it says what time it is.
"""

from collections import Counter, deque
from datetime import datetime

from wordsight.runtime.line.events import event_id
from wordsight.runtime.part_rule import PartRule
from wordsight.runtime.sinks.result import Decision, PartResult, Result
from wordsight.runtime.sources.frame import Frame


class _Row:
    """Whether n of some m in a row were so; of any number of frames, in bounded memory."""

    def __init__(self, n: int, m: int | None) -> None:
        self._n, self._last, self._count = n, None if m is None else deque[bool](maxlen=m), 0
        self.reached = False

    def add(self, so: bool) -> None:
        if self._last is None:
            self._count += so
        else:
            self._last.append(so)
            self._count = sum(self._last)
        self.reached = self.reached or self._count >= self._n


class _Open:
    """A part that frames still belong to."""

    def __init__(self, rule: PartRule, part_id: str, line: str, source: str, began_s: float, began: datetime) -> None:
        self.part_id, self.line, self.source = part_id, line, source
        self.began_s, self.began = began_s, began
        self.last_s, self.ended = began_s, began
        self.recipe: str | None = None
        self.triggered = False
        self.frames = 0
        self.unanswered = 0
        self.fallback = False
        self.score: float | None = None
        self.counts: Counter[Decision | None] = Counter()
        self.doubts: Counter[str] = Counter()
        self.defects, self.not_good = _Row(rule.defects, rule.of), _Row(rule.defects, rule.of)
        self.told = False
        self._hold, self._held = rule.hold, False

    def follow(self, frame: Frame, recipe: str | None) -> None:
        self.last_s, self.ended, self.recipe = frame.captured_s, frame.timestamp, recipe

    def take(self, result: Result) -> None:
        self.frames += 1
        self.fallback = self.fallback or result.fallback
        self.score = result.score if self.score is None else max(self.score, result.score)
        decision = result.decision
        self.counts[decision] += 1
        if result.reason is not None:
            self.doubts[result.reason] += 1
        self._held = decision == "defect" or (self._held and self._hold and decision == "unsure")
        self.defects.add(self._held)
        self.not_good.add(decision != "good")


class PartDecider:
    """Gathers one line's frames into parts.

    Frames without a `part_id` belong to the part that `begin` told of; without such a part they are left alone.

    Attributes:
        rule: see `PartRule`.
        decided: parts so far, by decision.
        late: of those, late ones.
        strays: frames that came when their part was decided already.
    """

    def __init__(self, rule: PartRule) -> None:
        """Begin without a part."""
        self.rule = rule
        self.decided: Counter[str] = Counter()
        self.late = 0
        self.strays = 0
        self._open: _Open | None = None

    def begin(
        self, part_id: str, *, line: str, source: str, at_s: float, stamp: datetime, recipe: str | None = None
    ) -> list[PartResult]:
        """Open a part at its trigger, and return the one that it ends: a part without a frame is told of, too.

        Args:
            part_id: of the part that comes now.
            line: its line's name.
            source: as in `Frame`.
            at_s: monotonic clock of the trigger: the deadline counts from here.
            stamp: wall clock of the trigger.
            recipe: in force.
        """
        ended = self._ceased(at_s, at_s) + self.end()
        self._open = _Open(self.rule, part_id, line, source, at_s, stamp)
        self._open.recipe, self._open.triggered = recipe, True
        return ended

    def add(self, result: Result, now_s: float) -> list[PartResult]:
        """Take a frame's result; return the parts that it ends, none to two.

        Args:
            result: of the line's next frame, in order.
            now_s: monotonic clock, that of `Frame.captured_s`.
        """
        ended, part = self._part_of(result.frame, result.line or "", result.recipe, now_s)
        if part is not None:
            part.take(result)
            ended += self._told_by(part, now_s)
        return ended

    def missed(self, frame: Frame, line: str, recipe: str | None, now_s: float) -> list[PartResult]:
        """Take a frame that ended without a score, for a server gave no answer; return the parts that it ends.

        Its part is a defect if the others say so, and else unsure: nobody knows what it showed.

        Args:
            frame: the line's next frame, in order.
            line: its name.
            recipe: in force.
            now_s: monotonic clock, that of `Frame.captured_s`.
        """
        ended, part = self._part_of(frame, line, recipe, now_s)
        if part is not None:
            part.unanswered += 1
            ended += self._told_by(part, now_s)
        return ended

    def _part_of(
        self, frame: Frame, line: str, recipe: str | None, now_s: float
    ) -> tuple[list[PartResult], _Open | None]:
        """Return the parts that end before a frame, and the one that is to take it, if any."""
        ended = self._ceased(frame.captured_s, now_s)  # by when it was taken: a busy engine ends no part
        if frame.part_id is not None and (self._open is None or self._open.part_id != frame.part_id):
            ended += self.end()
            self._open = _Open(self.rule, frame.part_id, line, frame.source, frame.captured_s, frame.timestamp)
        part = self._open
        if part is None or (frame.part_id is None and not part.triggered):
            return ended, None
        part.follow(frame, recipe)
        if part.told:
            self.strays += 1
            return ended, None
        return ended, part

    def _told_by(self, part: _Open, now_s: float) -> list[PartResult]:
        """Return the part if it is to be told with the frame that it just took."""
        if self._is_late(part, now_s):
            return [self._tell(part, late=True)]
        # Nothing to come can take a defect back: where somebody waits for it, it is told at once.
        certain = self.rule.deadline_ms is not None and self._is_defect(part)
        return [self._tell(part)] if certain or part.frames + part.unanswered == self.rule.frames else []

    def overdue(self, now_s: float) -> list[PartResult]:
        """Return the part whose deadline passed, or whose frames ceased; call it while nothing comes.

        Args:
            now_s: monotonic clock.
        """
        return self._ceased(now_s, now_s)

    def end(self) -> list[PartResult]:
        """End the part that is open: the next trigger came, the recipe changes, or the line stops."""
        part, self._open = self._open, None
        return [] if part is None or part.told else [self._tell(part)]

    def _ceased(self, taken_s: float, now_s: float) -> list[PartResult]:
        """Return the open part if it is late, or its gap was over before `taken_s`."""
        part, gap = self._open, self.rule.gap_ms
        if part is None:
            return []
        over_s = None if gap is None else part.last_s + gap / 1000
        if over_s is not None and taken_s > over_s:
            self._open = None
        elif not self._is_late(part, now_s):
            return []
        return [] if part.told else [self._tell(part, late=self._is_late(part, now_s))]

    def _is_late(self, part: _Open, now_s: float) -> bool:
        deadline = self.rule.deadline_ms
        return deadline is not None and now_s - part.began_s > deadline / 1000

    def _tell(self, part: _Open, late: bool = False) -> PartResult:
        part.told = True
        decision, reason = ("unsure", "late") if late else self._decide(part)
        self.decided[decision] += 1
        self.late += late
        return PartResult(
            line=part.line,
            part_id=part.part_id,
            decision=decision,
            frames=part.frames,
            defects=part.counts["defect"],
            unsure=part.counts["unsure"],
            score=part.score,
            began=part.began,
            ended=part.ended,
            late=late,
            recipe=part.recipe,
            event_id=event_id(part.line, part.source, part.part_id, part.began),
            reason=reason,
            fallback=part.fallback,
        )

    def _decide(self, part: _Open) -> tuple[Decision, str | None]:
        if self._is_defect(part):
            return "defect", None
        if part.unanswered:
            return "unsure", "no answer"
        if part.counts[None]:
            return "unsure", "no threshold"
        wanted = self.rule.frames or self.rule.least
        if part.frames < wanted:
            return "unsure", f"{part.frames} of {wanted} frames"
        if part.not_good.reached:
            doubt = part.doubts.most_common(1)
            return "unsure", doubt[0][0] if doubt else None
        return "good", None

    def _is_defect(self, part: _Open) -> bool:
        return part.defects.reached and part.frames >= self.rule.least
