"""A sink behind a bounded queue and a thread of its own: whatever it does, the loop goes on, and so do the others."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wordsight.runtime.sinks.event_sink import (
    Event,
    EventSink,
    SinkState,
    bytes_of,
    counts_of,
    one_line,
    summed,
    trouble_of,
    unsent_of,
    without_pixels,
)
from wordsight.runtime.sinks.trial import Trial
from wordsight.runtime.sinks.waiting import Waiting

_CLOSE_S = 3.0  # of the time for its end, for `close` of the sink
_DRAIN_STEP_S = 0.2


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
        wants_image: bool | None = None,
        room: int = 1000,
        room_bytes: int = 256 * 2**20,
        first_wait_s: float = 0.5,
        longest_wait_s: float = 10.0,
        tries: int = 5,
        stall_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread; the sink is made in it, at once.

        Args:
            name: for people.
            make: makes the sink; called again after each failure.
            wants: which events it is given; must be quick.
            wants_image: whether pictures are kept for it; None: as the sink says of itself once it has been made.
            room: events that wait at most.
            room_bytes: of pictures and heat maps that wait at most.
            first_wait_s: pause after the first failure, doubled each time up to
            longest_wait_s: the longest pause.
            tries: failures of one event after which others are tried, to tell whether it is the event or the sink.
            stall_s: a sink that does not come back from a call for so long is "stalled".
            clock: monotonic, in seconds.
        """
        self.name = name
        self._make = make
        self._wants = wants
        self._wants_image = wants_image
        self._first_wait_s, self._longest_wait_s = first_wait_s, longest_wait_s
        self._stall_s, self._clock = stall_s, clock
        self._called_s: float | None = None  # when the call that it is in began
        self._lock = threading.Condition()
        self._queue = Waiting(room, room_bytes)
        self._trial = Trial(tries)
        self._writing: Event | None = None  # one of the queue
        self._news: dict[str, Any] | None = None  # the last status, until the sink was told
        self._now = SinkState()
        self._counted: dict[str, int] = {}  # by sinks that are no more
        self._sink: EventSink | None = None  # the one that there is
        self._closing = False
        self._drain_until_s = 0.0
        self._hurry = threading.Event()  # ends a pause
        self._thread = threading.Thread(target=self._serve, name=f"sink {name}", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Take one event. Never blocks, never raises; without room, the oldest event is dropped and counted."""
        try:
            if not self._wants(event):
                return
            if self._wants_image is False:
                event = without_pixels(event)
            size = bytes_of(event)
        except (Exception, SystemExit) as error:  # the choice may be anybody's code, and the engine is not to end by it
            with self._lock:
                self._drop()
            self._failed(error)
            return
        with self._lock:
            if self._closing:
                self._drop()
                return
            # Not the one that is being written goes: it may go through, and would then be counted twice.
            self._drop(self._queue.add(event, size, but=self._writing))
            self._lock.notify()

    def tell(self, status: dict[str, Any]) -> None:
        """Have the sink told how everything does, before its next event. Never blocks; an older status is forgotten."""
        with self._lock:
            if not self._closing:
                self._news = status
                self._lock.notify()

    def state(self) -> SinkState:
        """Return how it does now."""
        with self._lock:
            now = replace(self._now, waiting=len(self._queue))
            sink, counted = self._sink, self._counted
        if sink is not None and now.state != "closed":
            now = replace(now, counts=summed(counted, counts_of(sink)), unsent=unsent_of(sink))
            trouble = trouble_of(sink)
            if now.state == "ok" and trouble is not None:
                now = replace(now, state="failing", reason=trouble)
        called_s = self._called_s
        hangs_s = 0.0 if called_s is None else self._clock() - called_s
        if now.state == "closed" or hangs_s < self._stall_s:
            return now
        return replace(now, state="stalled", reason=f"it has not come back for {hangs_s:.0f} s")

    def close(self, timeout_s: float, drain_s: float = 2.0) -> int:
        """Write what waits, as long as it takes and time allows; return how many events were left.

        One that is being written when the time is over counts as left, whatever becomes of it. May be called anew
        from another thread, to leave it less time.

        Args:
            timeout_s: for all of it.
            drain_s: of that, for what the sink took and has still to bring somewhere, see `EventSink.unsent`.
        """
        with self._lock:
            self._closing = True
            self._drain_until_s = self._clock() + min(drain_s, timeout_s - _CLOSE_S)
            self._lock.notify()
        self._hurry.set()
        self._thread.join(timeout_s)
        with self._lock:
            left = len(self._queue)
            self._now = replace(self._now, state="closed")
            self._drop(left)
            self._queue.clear()
            return left

    def _serve(self) -> None:
        sink: EventSink | None = None
        wait_s = self._first_wait_s
        while True:
            if sink is None:  # before its first event, too: what is wrong with it is seen at once, not weeks later
                last = self._closing
                sink = self._made()
                if sink is None:
                    if last:
                        break
                    wait_s = self._pause(wait_s)
                    continue
            news = self._awaited()
            if news is not None:
                if not self._told(sink, news):
                    sink = None
                    wait_s = self._pause(wait_s)
                continue
            event = self._next()
            if event is None:
                break
            # A sink may be anybody's code, and may raise anything: one that wants to leave the process may not, either.
            self._called_s = self._clock()
            try:
                sink.write(event if self._wants_image else without_pixels(event))
                self._called_s = None
            except BaseException as error:
                reason = self._failed(error)
                self._dispose(sink, failed=True)
                sink = None
                if not self._spoiled(event, reason):
                    wait_s = self._pause(wait_s)
            else:
                wait_s = self._first_wait_s
                self._wrote(event, sink)
        self._drain(sink)
        self._dispose(sink)

    def _pause(self, wait_s: float) -> float:
        """Wait before the next try; return how long the pause after that one is."""
        self._hurry.wait(wait_s)
        return min(2 * wait_s, self._longest_wait_s)

    def _made(self) -> EventSink | None:
        """Make the sink; None when that failed."""
        self._called_s = self._clock()
        try:
            sink = self._make()
            if self._wants_image is None:
                self._wants_image = bool(getattr(sink, "wants_image", True))
        except BaseException as error:
            self._failed(error)
            return None
        finally:
            self._called_s = None
        with self._lock:
            self._sink = sink
            # While events wait, only one that goes through shows that it is well again.
            if self._now.state == "failing" and not self._queue:
                self._now = replace(self._now, state="ok", reason=None)
        return sink

    def _awaited(self) -> dict[str, Any] | None:
        """Wait until there is something to do; return the status that the sink is to be told first, if there is one."""
        with self._lock:
            while not self._queue and not self._closing and self._news is None:
                self._lock.wait()
            news, self._news = self._news, None
            return None if self._closing else news

    def _told(self, sink: EventSink, news: dict[str, Any]) -> bool:
        """Tell the sink how everything does, if it wants to know; return whether it is still of use."""
        tell = getattr(sink, "status", None)
        if not callable(tell):
            return True
        self._called_s = self._clock()
        try:
            tell(news)
            self._called_s = None
        except BaseException as error:
            self._failed(error)
            self._dispose(sink, failed=True)
            return False
        counts = summed(self._counted, counts_of(sink))
        with self._lock:
            if self._now.state != "closed":
                self._now = replace(self._now, counts=counts)
        return True

    def _next(self) -> Event | None:
        """Return the event that is to be tried; None when the thread is to end."""
        with self._lock:
            count = len(self._queue)
            if self._now.state == "closed" or not count:
                return None
            place = self._trial.choose(self._queue[0], count, self._closing)
            if place is None:
                return None
            self._writing = self._queue[place]
            return self._writing

    def _wrote(self, event: Event, sink: EventSink) -> None:
        self._trial.went_through()
        counts = summed(self._counted, counts_of(sink))
        with self._lock:
            self._writing = None
            if self._now.state == "closed":
                return  # it was told as left
            self._now = replace(self._now, state="ok", reason=None, written=self._now.written + 1, counts=counts)
            self._queue.remove(event)

    def _spoiled(self, event: Event, reason: str) -> bool:
        """Note that an event failed; return whether it was set aside because others do not."""
        with self._lock:
            self._writing = None
        if not self._trial.failed():
            return False
        with self._lock:
            if self._now.state != "closed" and self._queue.remove(event):
                aside = self._now.set_aside + 1
                self._now = replace(self._now, state="ok", reason=None, set_aside=aside, set_aside_reason=reason)
        return True

    def _drain(self, sink: EventSink | None) -> None:
        """Let the sink bring away what it took, while it says that this is of use, and time allows."""
        drain = getattr(sink, "drain", None)
        try:
            while callable(drain):
                left_s = self._drain_until_s - self._clock()
                if drain(min(max(0.0, left_s), _DRAIN_STEP_S)) or left_s <= 0:
                    return
        except BaseException as error:
            self._failed(error)

    def _drop(self, count: int = 1) -> None:
        self._now = replace(self._now, dropped=self._now.dropped + count)

    def _failed(self, error: BaseException) -> str:
        """Note a failure; return it as one line."""
        reason = one_line(error)
        with self._lock:
            if self._now.state != "closed":
                self._now = replace(self._now, state="failing", reason=reason, failures=self._now.failures + 1)
        return reason

    def _dispose(self, sink: EventSink | None, failed: bool = False) -> None:
        if sink is None:
            return
        self._called_s = self._clock()
        try:
            sink.close()
        except BaseException as error:
            if not failed:  # else it has failed already, and that was told
                self._failed(error)
        finally:
            self._called_s = None
        counted, unsent = summed(self._counted, counts_of(sink)), unsent_of(sink)
        with self._lock:
            self._counted, self._sink = counted, None
            self._now = replace(self._now, unsent=unsent)
            if self._now.state != "closed":
                self._now = replace(self._now, counts=self._counted)
