"""Events to somebody far away: on the disk first, then sent by a thread of its own until they were taken."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ByteSize, ConfigDict, Field

from wordsight.runtime.errors import WordsightError
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.jsonl import encoded
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.schema import event_json
from wordsight.runtime.sinks.set_aside import SetAside
from wordsight.runtime.sinks.spool import Spool

LONGEST_WAIT_S = 10.0
GOODBYE_S = 2.0
"""For what is still to be said when no more events are sent."""
_DRAIN_S = 2.0
_FIRST_WAIT_S = 0.5
LONGEST_ASKED_S = 3600.0
"""A receiver that asks for a longer pause is asked again after this one."""


class ForwardOptions(BaseModel):
    """What a sink that stores and forwards can be told."""

    model_config = ConfigDict(extra="forbid")

    credentials: Path | None = Field(None, description="a file with its secrets that only its owner can read")
    keep_bytes: ByteSize = Field(
        ByteSize(500_000_000), ge=1_000_000, description='events that wait on the disk; also as "500 MB"'
    )
    sync_s: float = Field(0.1, ge=0, le=60, description="seconds between two groups of events brought to the disk")
    timeout_s: float = Field(10.0, gt=0, le=600, description="seconds without an answer after which it is tried anew")
    unencrypted: bool = Field(False, description="allow secrets on an address without TLS beyond this machine")


class Away(Exception):
    """It cannot take events now; `after_s` is the pause that it asked for."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        """Say why, in one line."""
        super().__init__(reason)
        self.after_s = after_s


class Forwarder:
    """A spool, and the thread that empties it. `deliver` is called again after each failure, after a pause.

    Attributes:
        spool: see there; `wake` is set when something was appended, or when it is to end.
        aside: for events that will never be taken.
        trouble: why events do not get through; None while they do.
    """

    def __init__(
        self,
        context: SinkContext,
        options: ForwardOptions,
        deliver: Callable[["Forwarder"], None],
        *,
        noise: Callable[[], float] = random.random,
    ) -> None:
        """Open the spool and start the thread.

        Args:
            context: of the sink: the spool is in its `state`, by the sink's name.
            options: of the sink.
            deliver: sends until `done()`; raises when it cannot go on, `Away` where it knows why.
            noise: 0 to 1; takes up to half of a pause away, so that not all boxes of a hall come back at once.

        Raises:
            OutputError: see `Spool`.
        """
        self.wake, self._stop = threading.Event(), threading.Event()
        folder = context.state / "spool" / (quote(context.name, safe=" ").replace(".", "%2E") or "sink")
        self.spool = Spool(folder, options.keep_bytes, sync_s=options.sync_s, wake=self.wake)
        self.aside = SetAside(self.spool.path)
        self._why: str | None = None
        self._last: Exception | None = None
        self._deliver, self._noise = deliver, noise
        self._wait_s, self._end_s = _FIRST_WAIT_S, float("inf")
        self._passed = 0  # events that were acknowledged
        self._fruitless = 0  # tries in a row that got none through
        self._thread = threading.Thread(target=self._serve, name=f"forward {context.name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def write(self, event: Event) -> None:
        """Bring one event to the disk.

        Raises:
            OutputError: it is full or gone.
            ValueError: a number that JSON does not have, such as NaN.
        """
        self.spool.append(encoded(event_json(event)))

    @property
    def trouble(self) -> str | None:
        """Why events do not get through, how many wait, and how many went for want of room."""
        if self._why is None:
            return None
        gone = self.spool.counts["overflowed"]
        lost = f", the oldest {gone} were dropped for want of room (keep_bytes)" if gone else ""
        return f"{self._why}; {self.spool.waiting} events wait on the disk{lost}"

    def passed(self, number: int) -> None:
        """Let go of one event of the spool: it was taken, or set aside."""
        self.spool.acknowledge(number)
        self._passed += 1
        self.went_well()

    def went_well(self) -> None:
        """Note that somebody is there."""
        self._why, self._wait_s = None, _FIRST_WAIT_S

    def done(self) -> bool:
        """Say whether sending is to end: no more events come, and none waits or the time is over."""
        return self._stop.is_set() and (not self.spool.waiting or time.monotonic() >= self._end_s)

    def pause(self, longest_s: float) -> None:
        """Wait until there is something to do."""
        self.wake.wait(longest_s)
        self.wake.clear()

    def drain(self, timeout_s: float) -> bool:
        """Send what waits, as no more comes; return whether it is over.

        It is when all was taken, when two tries in a row got none through, or when a longer pause is asked for.
        """
        self._end()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Send what waits for two seconds, unless it was drained; what is left stays on the disk for the next start.

        A thread that hangs in a call is left behind, and keeps the spool to itself until it comes back.

        Raises:
            Exception: the disk did not take what it was to be brought.
        """
        drain_s = 0.0 if self._stop.is_set() or self._why is not None else _DRAIN_S
        self._end_s = time.monotonic() + drain_s
        self._end()
        if self._thread.ident is None:
            self._finish()
        else:
            self._thread.join(drain_s + GOODBYE_S)
        if self._last is not None:
            raise self._last

    def _end(self) -> None:
        self._stop.set()
        self.wake.set()

    def _finish(self) -> None:
        try:
            with contextlib.closing(self.spool), contextlib.closing(self.aside):
                pass
        except Exception as error:
            self._last = error

    def _serve(self) -> None:
        try:
            self._send()
        finally:
            self._finish()

    def _send(self) -> None:
        while True:
            after_s, passed = 0.0, self._passed
            try:
                self._deliver(self)
            except Away as error:
                self._why, after_s = str(error), min(error.after_s, LONGEST_ASKED_S)
            except WordsightError as error:
                self._why = str(error)
            except (Exception, SystemExit) as error:  # whatever a library raises, the next try may go through
                self._why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self._fruitless = 0 if self._passed > passed else self._fruitless + 1
            if self._stop.is_set() and (self.done() or self._fruitless > 1 or after_s > LONGEST_WAIT_S):
                return
            with contextlib.suppress(Exception):  # told when it is to be sent
                self.spool.sync()
            self._pause(max(after_s, self._wait_s * (1 - self._noise() / 2)))
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def _pause(self, pause_s: float) -> None:
        """Wait before the next try. The end of the line cuts it short; only what comes after that is waited for."""
        if not self._stop.is_set():
            self._stop.wait(pause_s)
            return
        until_s = time.monotonic() + pause_s
        while time.monotonic() < min(until_s, self._end_s):
            time.sleep(0.05)


class ForwardingSink:
    """What sinks that store and forward have in common; each makes its forwarder, and counts what was taken.

    Attributes:
        counts: "sent", events that were taken; those of the spool; "refused", events that can never be taken.
        trouble: why events do not get through; None while they do.
    """

    wants_image = False
    _forward: Forwarder
    _sent = 0

    @property
    def counts(self) -> dict[str, int]:
        """What is counted beside the events that were taken."""
        return {"sent": self._sent, **self._forward.spool.counts, "refused": self._forward.aside.count}

    @property
    def trouble(self) -> str | None:
        """Why events do not get through; None while they do."""
        return self._forward.trouble

    @property
    def unsent(self) -> int:
        """Events that wait on the disk."""
        return self._forward.spool.waiting

    def write(self, event: Event) -> None:
        """Bring one event to the disk; it is sent from there.

        Raises:
            OutputError: the disk is full or gone.
            ValueError: a number that JSON does not have, such as NaN.
        """
        self._forward.write(event)

    def drain(self, timeout_s: float) -> bool:
        """Send what waits, as no more comes; return whether it is over."""
        return self._forward.drain(timeout_s)

    def close(self) -> None:
        """Send what waits for a moment, unless it was drained; what is left is sent after the next start."""
        self._forward.close()
