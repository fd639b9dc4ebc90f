"""A sink behind a bounded queue and a thread of its own: whatever it does, the loop goes on, and so do the others."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np

from wordsight.runtime.sinks.result import PartResult, Result
from wordsight.runtime.urls import scrubbed

Event: TypeAlias = Result | PartResult

_NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


class EventSink(Protocol):
    """Somewhere a line's events go.

    Attributes:
        wants_image: whether it looks at `Result.frame.image`; for other sinks pictures are not kept waiting.
    """

    wants_image: bool

    def write(self, event: Event) -> None:
        """Take one event, in order. Whatever it raises is a failure: the event is given again, to a sink made anew."""
        ...

    def close(self) -> None:
        """Finish what is open."""
        ...


@dataclass(frozen=True)
class SinkState:
    """How a sink does.

    Attributes:
        state: "ok", "failing" (tried again after a pause), "closed".
        reason: of the last failure, one line, credentials masked; None when it is well.
        written: events that the sink took.
        dropped: events that were lost because the queue was full: the oldest go first.
        waiting: events in the queue.
        failures: times that it raised.
    """

    state: Literal["ok", "failing", "closed"] = "ok"
    reason: str | None = None
    written: int = 0
    dropped: int = 0
    waiting: int = 0
    failures: int = 0


class Queued:
    """A sink that never holds anybody up.

    Attributes:
        name: of the sink, for people.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], EventSink],
        *,
        wants: Callable[[Event], bool] = lambda event: True,
        wants_image: bool = True,
        room: int = 1000,
        room_bytes: int = 256 * 2**20,
        first_wait_s: float = 0.5,
        longest_wait_s: float = 10.0,
    ) -> None:
        """Start the thread; the sink is made in it.

        Args:
            name: for people.
            make: makes the sink; called again after each failure.
            wants: which events it is given; must be quick.
            wants_image: whether pictures are kept for it.
            room: events that wait at most.
            room_bytes: of pictures that wait at most.
            first_wait_s: pause after the first failure, doubled each time up to
            longest_wait_s: the longest pause.
        """
        self.name = name
        self._make = make
        self._wants = wants
        self._wants_image = wants_image
        self._room, self._room_bytes = room, room_bytes
        self._first_wait_s, self._longest_wait_s = first_wait_s, longest_wait_s
        self._lock = threading.Condition()
        self._queue: deque[Event] = deque()
        self._bytes = 0
        self._now = SinkState()
        self._closing = False
        self._hurry = threading.Event()  # ends a pause
        self._thread = threading.Thread(target=self._serve, name=f"sink {name}", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Take one event. Never blocks, never raises; without room, the oldest event is dropped and counted."""
        if not self._wants(event):
            return
        if isinstance(event, Result) and not self._wants_image:
            event = _without_pixels(event)
        size = _bytes_of(event)
        with self._lock:
            if self._closing:
                self._now = replace(self._now, dropped=self._now.dropped + 1)
                return
            self._queue.append(event)
            self._bytes += size
            while len(self._queue) > self._room or (self._bytes > self._room_bytes and len(self._queue) > 1):
                self._bytes -= _bytes_of(self._queue.popleft())
                self._now = replace(self._now, dropped=self._now.dropped + 1)
            self._lock.notify()

    def state(self) -> SinkState:
        """Return how it does now."""
        with self._lock:
            return replace(self._now, waiting=len(self._queue))

    def close(self, timeout_s: float) -> int:
        """Write what waits, as long as it takes and time allows; return how many events were left."""
        with self._lock:
            self._closing = True
            self._lock.notify()
        self._hurry.set()
        self._thread.join(timeout_s)
        with self._lock:
            left = len(self._queue)
            self._now = replace(self._now, state="closed", dropped=self._now.dropped + left)
            self._queue.clear()
            return left

    def _serve(self) -> None:
        sink: EventSink | None = None
        wait_s = self._first_wait_s
        while True:
            with self._lock:
                while not self._queue and not self._closing:
                    self._lock.wait()
                if not self._queue or self._now.state == "closed":
                    break
                event = self._queue[0]
            try:
                if sink is None:
                    sink = self._make()
                sink.write(event)
            except Exception as error:  # a sink may be anybody's code, and may raise anything
                last = self._failed(error)
                _close(sink)
                sink = None
                if last:
                    break
                self._hurry.wait(wait_s)
                wait_s = min(2 * wait_s, self._longest_wait_s)
                continue
            wait_s = self._first_wait_s
            with self._lock:
                self._now = replace(self._now, state="ok", reason=None, written=self._now.written + 1)
                # It may have been dropped meanwhile, for want of room; then another one stands first.
                if self._queue and self._queue[0] is event:
                    self._bytes -= _bytes_of(self._queue.popleft())
        if sink is not None:
            try:
                sink.close()
            except Exception as error:
                self._failed(error)

    def _failed(self, error: Exception) -> bool:
        """Note a failure; return whether it was the last attempt because the queue is being closed."""
        reason = scrubbed(" ".join(str(error).split()) or type(error).__name__)
        with self._lock:
            self._now = replace(self._now, state="failing", reason=reason, failures=self._now.failures + 1)
            return self._closing


def _close(sink: EventSink | None) -> None:
    if sink is not None:
        try:
            sink.close()
        except Exception:  # it has failed already, and that was told
            return


def _without_pixels(event: Result) -> Result:
    """Return the event without its picture; the regions of its heat map are found first, they need no picture."""
    if event.heat is not None:
        _ = event.heat.regions
    return replace(event, frame=replace(event.frame, image=_NO_PIXELS))


def _bytes_of(event: Event) -> int:
    return event.frame.image.nbytes if isinstance(event, Result) else 0
