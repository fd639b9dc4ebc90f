"""One source, read in a thread of its own for as long as the line stands.

A live source (camera, stream) holds its newest frame; older ones that nobody took are dropped and counted. Of any
other source every frame counts: the reader waits until there is room. An endless source that stops is opened again,
for ever, after a pause that grows up to a limit, with jitter, so that a hall of cameras does not come back in one
moment. That there is no frame is a state with its reason, never a made-up picture.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from wordsight.runtime.line.frozen import FrozenWatch
from wordsight.runtime.sources.frame import Failure, Frame, Idle, Source
from wordsight.runtime.urls import scrubbed

State = Literal["opening", "running", "waiting", "stalled", "frozen", "retrying", "ended", "failed", "stopped"]

_ABANDONED = 3  # threads that hang in a read which nothing ends; each holds a camera's memory


@dataclass(frozen=True)
class ReaderSettings:
    """How patient a reader is.

    Attributes:
        stall_s: without a frame or a sign of life for so long, a source is "stalled".
        give_up_s: a read that hangs for so long is left behind in its thread, and the source opened in another.
        frozen_s: a live source whose picture does not change in a single bit for so long is "frozen"; 0: not looked at.
        first_wait_s: pause before a source is opened again for the first time; doubled each time, up to
        longest_wait_s: the longest pause.
        jitter: share of the pause that is drawn at random, on either side.
        steady_s: a source that ran for so long begins with the first pause again.
        room: frames held of a source that is not live.
    """

    stall_s: float = 10.0
    give_up_s: float = 60.0
    frozen_s: float = 10.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    jitter: float = 0.2
    steady_s: float = 60.0
    room: int = 8


@dataclass(frozen=True)
class SourceState:
    """How a source does, at one moment.

    Attributes:
        state: "opening", "running", "waiting" (well, nothing to see yet), "stalled", "frozen", "retrying" (opened again
            after a pause), "ended" (a folder or video is through), "failed" (it gave nothing at all), "stopped".
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


class Reader:
    """Reads one source; see the module.

    Attributes:
        name: of the line.
    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], Source],
        ready: threading.Event,
        *,
        settings: ReaderSettings = ReaderSettings(),
        on_failure: Callable[[Failure], None] = lambda failure: None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """Remember what to read; nothing is opened before `start`.

        Args:
            name: of the line, for its thread.
            open_source: gives the source; called in the reader's thread. Errors it raises are failures of the source.
            ready: set when a frame lies ready or the source ends.
            settings: see `ReaderSettings`.
            on_failure: told each failure, in the reader's thread; must not raise.
            clock: monotonic, in seconds.
            rng: for the jitter.
        """
        self.name = name
        self._open_source = open_source
        self._ready = ready
        self._settings = settings
        self._on_failure = on_failure
        self._clock = clock
        self._rng = rng or random.Random()
        self._lock = threading.Condition()
        self._held: deque[Frame] = deque()
        self._now = SourceState(since_s=clock())
        self._stamps: deque[float] = deque(maxlen=200)
        self._sign_s = clock()  # of life: a frame, an Idle, or the moment of opening
        self._last: tuple[str, int] = ("", -1)  # source and number of the frame before
        self._shift = 0
        self._generation = 0  # a thread that was left behind belongs to an older one, and is not listened to
        self._abandoned: list[threading.Thread] = []
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to read."""
        with self._lock:
            self._launch()

    def stop(self, timeout_s: float) -> bool:
        """End reading; return whether the thread ended in time. One that hangs is left behind."""
        self._stopping.set()
        with self._lock:
            self._lock.notify_all()
            thread = self._thread
            self._to("stopped", None)
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def take(self) -> Frame | None:
        """Return the newest frame of a live source, the next of another; None when there is none. Never blocks."""
        with self._lock:
            if not self._held:
                return None
            frame = self._held.popleft()
            self._lock.notify_all()
            return frame

    @property
    def waiting(self) -> int:
        """Frames that lie ready."""
        return len(self._held)

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more: the source is through, and every frame of it was taken."""
        with self._lock:
            return self._now.state in ("ended", "failed", "stopped") and not self._held

    def state(self) -> SourceState:
        """Return how the source does now. A read that hangs is seen here, by the clock alone."""
        with self._lock:
            self._look_at_the_clock()
            now = self._now
            if len(self._stamps) > 1:
                span_s = max(self._stamps[-1], self._clock() - self._settings.stall_s) - self._stamps[0]
                now = replace(now, fps=(len(self._stamps) - 1) / span_s if span_s > 0 else None)
            return now

    # The rest holds the lock, or runs in the reader's thread.

    def _look_at_the_clock(self) -> None:
        silent_s = self._clock() - self._sign_s
        if self._now.state not in ("running", "waiting", "opening", "stalled", "frozen") or self._thread is None:
            return
        if silent_s > self._settings.stall_s and self._now.state != "stalled":
            self._to("stalled", f"no frame and no sign of life for {self._settings.stall_s:g} s")
        if silent_s > self._settings.give_up_s:
            self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
            if len(self._abandoned) >= _ABANDONED:
                self._to("stalled", f"{_ABANDONED} reads hang; the source is not opened again until one of them ends")
                return
            self._abandoned.append(self._thread)
            self._now = replace(self._now, reconnects=self._now.reconnects + 1)
            self._launch()

    def _launch(self) -> None:
        self._generation += 1
        self._sign_s = self._clock()
        self._thread = threading.Thread(
            target=self._read_for_ever, args=(self._generation,), name=f"reader {self.name}", daemon=True
        )
        self._thread.start()

    def _to(self, state: State, reason: str | None) -> None:
        since_s = self._now.since_s if state == self._now.state else self._clock()
        self._now = replace(self._now, state=state, reason=reason, since_s=since_s)

    def _read_for_ever(self, generation: int) -> None:
        wait_s = self._settings.first_wait_s
        while not self._stopping.is_set():
            with self._lock:
                if generation != self._generation:
                    return
                self._to("opening", self._now.reason)
                self._sign_s = self._clock()
            began_s = self._clock()
            endless, reason = self._read_once(generation)
            with self._lock:
                if generation != self._generation or self._stopping.is_set():
                    return
                if not endless:
                    self._to("ended" if self._now.frames else "failed", reason if not self._now.frames else None)
                    self._ready.set()
                    return
                self._to("retrying", reason)
                self._now = replace(self._now, reconnects=self._now.reconnects + 1)
            if self._clock() - began_s >= self._settings.steady_s:
                wait_s = self._settings.first_wait_s
            jitter = 1 + self._settings.jitter * self._rng.uniform(-1, 1)
            self._stopping.wait(wait_s * jitter)
            wait_s = min(2 * wait_s, self._settings.longest_wait_s)

    def _read_once(self, generation: int) -> tuple[bool, str]:
        """Read the source to its end; return whether it is to be opened again, and why it ended."""
        reason = "the source gave no more frames"
        endless = True
        frozen = FrozenWatch(self._settings.frozen_s)
        items = None
        try:
            source = self._open_source()
            endless = source.endless
            items = iter(source)
            for item in items:
                if self._stopping.is_set() or generation != self._generation:
                    break
                if isinstance(item, Failure):
                    reason = scrubbed(item.reason)
                    with self._lock:
                        self._now = replace(self._now, failures=self._now.failures + 1)
                        self._sign_s = self._clock()
                    self._on_failure(item)
                elif isinstance(item, Idle):
                    with self._lock:
                        self._sign_s = self._clock()
                        self._to("waiting", item.reason)
                else:
                    self._keep(item, source.live, frozen, generation)
        except Exception as error:  # whatever a driver raises is this source's failure, and no other line's
            reason = scrubbed(" ".join(str(error).split()) or type(error).__name__)
            with self._lock:
                self._now = replace(self._now, failures=self._now.failures + 1)
            self._on_failure(Failure(self.name, reason, type(error).__name__))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        return endless, reason

    def _keep(self, frame: Frame, live: bool, frozen: FrozenWatch, generation: int) -> None:
        size = frame.image.shape[0], frame.image.shape[1]
        held_back = live and frozen.holds_back(frame.image, frame.captured_s)
        with self._lock:
            while (
                not live
                and len(self._held) >= self._settings.room
                and not self._stopping.is_set()
                and generation == self._generation
            ):
                self._sign_s = self._clock()  # waiting for the engine is no fault of the source
                self._lock.wait(1.0)
            if self._stopping.is_set() or generation != self._generation:
                return
            now = self._clock()
            self._sign_s = now
            self._stamps.append(now)
            self._now = replace(
                self._now,
                frames=self._now.frames + 1,
                withheld=self._now.withheld + held_back,
                size=size,
                size_changes=self._now.size_changes + (self._now.size not in (None, size)),
                last_frame_s=now,
            )
            if held_back:
                self._to("frozen", f"the picture has not changed in a single bit for {self._settings.frozen_s:g} s")
                return
            self._to("running", None)
            if live and self._held:
                self._now = replace(self._now, dropped=self._now.dropped + len(self._held))
                self._held.clear()
            self._held.append(self._numbered(frame))
        self._ready.set()

    def _numbered(self, frame: Frame) -> Frame:
        """Return the frame with a number that runs on when its source was opened again and began at 0."""
        source, number = self._last
        if frame.source != source:
            self._shift = 0
        elif frame.index + self._shift <= number:
            self._shift = number + 1 - frame.index
        self._last = frame.source, frame.index + self._shift
        return replace(frame, index=self._last[1]) if self._shift else frame
