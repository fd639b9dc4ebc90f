"""How a source does: its state with the reason, and what was counted."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["opening", "running", "waiting", "stalled", "frozen", "retrying", "ended", "failed", "stopped"]

OVER: tuple[State, ...] = ("ended", "failed", "stopped")
"""States after which nothing comes any more."""


@dataclass(frozen=True)
class SourceState:
    """How a source does, at one moment.

    Attributes:
        state: "opening", "running", "waiting" (well, nothing to see yet), "stalled", "frozen", "retrying" (opened again
            after a pause), "ended" (a folder or video is through), "failed" (for good: it gave nothing at all, or
            trying again cannot mend it), "stopped".
        reason: one line, credentials masked; None when it runs.
        since_s: monotonic clock at which it got into this state.
        frames: read so far.
        dropped: of those, not taken in time.
        withheld: of those, not given on because the picture was frozen.
        reconnects: times it was opened again.
        failures: inputs or frames that could not be read.
        size: height and width of the last frame.
        size_changes: times that the size was another than before.
        last_frame_s: monotonic clock of the last frame.
        fps: frames a second, over the last two hundred frames at most.
    """

    state: State = "opening"
    reason: str | None = None
    since_s: float = 0.0
    frames: int = 0
    dropped: int = 0
    withheld: int = 0
    reconnects: int = 0
    failures: int = 0
    size: tuple[int, int] | None = None
    size_changes: int = 0
    last_frame_s: float | None = None
    fps: float | None = None


class StateBook:
    """Keeps the state of one source. Whoever calls it holds the reader's lock.

    Attributes:
        now: the state, its rate left out.
        sign_s: monotonic clock of the last sign of life: a frame, a failure, an `Idle`, or the moment of opening.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin as a source that is about to be opened."""
        self._clock = clock
        self._stamps: deque[float] = deque(maxlen=200)
        self.now = SourceState(since_s=clock())
        self.sign_s = clock()

    def to(self, state: State, reason: str | None) -> None:
        """Change the state; one that is over stays so, except that what ended or failed may still be stopped."""
        if self.now.state == "stopped" or (self.now.state in OVER and state != "stopped"):
            return
        since_s = self.now.since_s if state == self.now.state else self._clock()
        self.now = replace(self.now, state=state, reason=reason, since_s=since_s)

    def alive(self) -> None:
        """Note a sign of life."""
        self.sign_s = self._clock()

    def failed(self) -> None:
        """Count a failure."""
        self.now = replace(self.now, failures=self.now.failures + 1)

    def reopened(self) -> None:
        """Count that it was opened again."""
        self.now = replace(self.now, reconnects=self.now.reconnects + 1)

    def dropped(self, frames: int) -> None:
        """Count frames that nobody took in time."""
        self.now = replace(self.now, dropped=self.now.dropped + frames)

    def frame(self, size: tuple[int, int], withheld: bool) -> None:
        """Count a frame of this height and width."""
        now = self.now
        self.sign_s = self._clock()
        self._stamps.append(self.sign_s)
        self.now = replace(
            now,
            frames=now.frames + 1,
            withheld=now.withheld + withheld,
            size=size,
            size_changes=now.size_changes + (now.size not in (None, size)),
            last_frame_s=self.sign_s,
        )

    def told(self, stall_s: float) -> SourceState:
        """Return the state with its rate, which falls while no frame comes for longer than `stall_s`."""
        if len(self._stamps) < 2:
            return self.now
        span_s = max(self._stamps[-1], self._clock() - stall_s) - self._stamps[0]
        return replace(self.now, fps=(len(self._stamps) - 1) / span_s if span_s > 0 else None)
