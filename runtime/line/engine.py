"""The one loop of a line: take what lies ready, score it in one pass, decide, hand on. One thread, the caller's.

Nothing here waits for a source or a sink: readers and sinks have threads of their own.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from wordsight.runtime.errors import NoAnswer
from wordsight.runtime.line.batcher import Batcher
from wordsight.runtime.line.running import Ready, RunningLine
from wordsight.runtime.sinks.result import PartResult, Result

_KEPT = 1000  # passes whose times are kept for the percentiles


@dataclass
class Pace:
    """How the engine does; right at any moment.

    Attributes:
        passes: of the engine.
        frames: scored.
        unanswered: frames to which a server gave no answer.
        inference_s: of the last passes, fitting included, engine and scores.
        latency_s: of the last frames, from capture to the hand-over to the sinks.
        last_pass_s: monotonic clock at the end of the last pass or of the last look that found nothing.
    """

    passes: int = 0
    frames: int = 0
    unanswered: int = 0
    inference_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    latency_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last_pass_s: float = 0.0


class Engine:
    """Scores the frames of many lines, batch by batch.

    Attributes:
        lines: those that are served; may be changed between two steps.
        pace: see `Pace`.
    """

    def __init__(
        self,
        lines: Iterable[RunningLine],
        batcher: Batcher,
        put: Callable[[Result | PartResult], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep what it works with; nothing is scored yet.

        Args:
            lines: to be served.
            batcher: gathers their frames.
            put: takes each result; must neither block nor raise.
            clock: monotonic, in seconds; that of `Frame.captured_s`.
        """
        self.lines = list(lines)
        self.pace = Pace(last_pass_s=clock())
        self._batcher = batcher
        self._put = put
        self._clock = clock

    def step(self, timeout_s: float) -> int:
        """Score the next batch, decide and hand on; return how many frames it had, 0 when none came in time.

        Raises:
            ModelError: the engine itself fails: whoever supervises the process is to start it anew.
        """
        taken = self._batcher.gather(self.lines, timeout_s)
        ready = [item for line, frame in taken if (item := line.prepared(frame)) is not None]
        # Recipes may name models of their own: a pass for each; the order within a line is kept.
        passes: dict[int, list[Ready]] = {}
        for item in ready:
            passes.setdefault(id(item.force.model), []).append(item)
        for items in passes.values():
            most = items[0].force.model.most  # one request to a server: all frames of it end alike
            for at in range(0, len(items), most):
                self._pass(items[at : at + most])
        now_s = self._clock()
        for line in self.lines:
            line.reader.look()
            for part in line.overdue(now_s):
                self._put(part)
        self.pace.last_pass_s = now_s
        return len(taken)

    def _pass(self, items: Sequence[Ready]) -> None:
        began_s = self._clock()
        model = items[0].force.model
        try:
            scores = model.score([item.image for item in items])
        except NoAnswer as error:
            self._unanswered(items, str(error))
            return
        # A recipe has an object and references of its own: they are read off the same pass.
        reads: dict[int, list[int]] = {}
        for at, item in enumerate(items):
            reads.setdefault(id(item.force), []).append(at)
        read = [(places, items[places[0]].force.view.of(scores.rows(places))) for places in reads.values()]
        now_s = self._clock()
        self.pace.inference_s.append(now_s - began_s)
        for places, viewed in read:
            for row, at in enumerate(places):
                for result in items[at].line.decided(items[at], viewed, row, now_s, model.fell_back):
                    self._put(result)
                items[at].frame.done()
                self.pace.latency_s.append(self._clock() - items[at].frame.captured_s)
        self.pace.passes += 1
        self.pace.frames += len(items)

    def _unanswered(self, items: Sequence[Ready], reason: str) -> None:
        """Let frames end without a score: the line goes on, and tells."""
        now_s = self._clock()
        for item in items:
            for part in item.line.unanswered(item, reason, now_s):
                self._put(part)
            item.frame.done()
        self.pace.unanswered += len(items)
        self.pace.last_pass_s = now_s  # many requests in one step, each with its deadline: the engine does step on
