"""What a sink of a line is: where events go, how it does, and what an event weighs while it waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np

from wordsight.runtime.sinks.result import PartResult, Result
from wordsight.runtime.urls import scrubbed

Event: TypeAlias = Result | PartResult

_NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


class EventSink(Protocol):
    """Somewhere a line's events go.

    What it counts beside its events, such as files removed for want of room, it may keep in an attribute
    `counts: dict[str, int]`, from 0 in each sink that is made: `SinkState.counts` adds them up. One that has a method
    `status(status: dict[str, Any]) -> None` is told once a second how everything does (the object of the status file),
    in the same thread as its events; what it raises is a failure, too. One that takes events although they
    do not get through yet says why in an attribute `trouble: str | None`: it is told as "failing"; and how many in
    `unsent: int`. When the line ends, such a one may be given time for them: its method
    `drain(timeout_s: float) -> bool` is called until it says that there is nothing more to wait for, or the time is
    over, and then `close`. What it lost after it had taken it, it counts under "overflowed" (no room) or "refused".

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
        state: "ok", "failing" (tried again after a pause), "stalled" (it does not come back), "closed", which is final.
        reason: of the last failure, or for how long it hangs, one line, credentials masked; None when it is well.
        written: events that the sink took.
        dropped: events that were lost: the queue was full (the oldest go first), nobody could tell whether they were
            wanted, or they were left when it was closed.
        waiting: events in the queue.
        failures: times that it raised.
        set_aside: events that were lost because they alone cannot be written, while others can.
        set_aside_reason: of the last of those, one line, credentials masked.
        counts: what the sink itself counts, see `EventSink`.
        unsent: events that the sink took and that are still on their way; what is left at the end goes out after the
            next start.
    """

    state: Literal["ok", "failing", "stalled", "closed"] = "ok"
    reason: str | None = None
    written: int = 0
    dropped: int = 0
    waiting: int = 0
    failures: int = 0
    set_aside: int = 0
    set_aside_reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    unsent: int = 0

    @property
    def lost(self) -> int:
        """Events that nobody will get."""
        return self.dropped + self.set_aside + self.counts.get("overflowed", 0) + self.counts.get("refused", 0)


def counts_of(sink: EventSink) -> dict[str, int]:
    """Return what a sink counts beside its events; nothing where it cannot say."""
    try:
        counts = getattr(sink, "counts", {})
        return {str(name): int(count) for name, count in counts.items()}
    except Exception:  # the sink goes on without: nothing that it is for depends on them
        return {}


def unsent_of(sink: EventSink) -> int:
    """Return how many events a sink took that are still on their way; 0 where it cannot say."""
    try:
        return int(getattr(sink, "unsent", 0))
    except Exception:  # as above
        return 0


def trouble_of(sink: EventSink) -> str | None:
    """Return why a sink that takes events does not get them through, one line; None when it does."""
    try:
        trouble = getattr(sink, "trouble", None)
    except Exception:  # as above
        return None
    return scrubbed(" ".join(trouble.split())) if isinstance(trouble, str) else None


def summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Add counts up by name."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def one_line(error: BaseException) -> str:
    """Return an error as one line, credentials masked."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return scrubbed(text or type(error).__name__)


def without_pixels(event: Event) -> Event:
    """Return the event without its picture; the regions of its heat map are found first, they need no picture."""
    if not isinstance(event, Result) or not event.frame.image.size:
        return event
    if event.heat is not None:
        _ = event.heat.regions
    return replace(event, frame=replace(event.frame, image=_NO_PIXELS))


def bytes_of(event: Event) -> int:
    """Return what an event holds of pictures and heat maps."""
    if not isinstance(event, Result):
        return 0
    return event.frame.image.nbytes + (0 if event.heat is None else event.heat.values.nbytes)
