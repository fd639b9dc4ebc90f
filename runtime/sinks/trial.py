"""Whether a sink is broken, or one event is such that it can never take it: which event is tried next tells.

A sink that fails may be either. Only another event tells: after some tries of the head of the queue, one behind it is
tried in turn with it. When that goes through and the head then fails once more, the head is set aside.
"""

from wordsight.runtime.sinks.event_sink import Event

_LAST_TRIES = 3  # failures in a row after which a queue that is being closed gives up


class Trial:
    """How the event at the head of a queue fared so far."""

    def __init__(self, tries: int) -> None:
        """Begin without a head.

        Args:
            tries: of the head, before others are tried.
        """
        self._enough = tries
        self._head: Event | None = None
        self._tries = 0
        self._probing = False  # the last one tried was behind the head
        self._probes = 0
        self._proven = False  # an event behind the head went through after it had failed
        self._closing = False  # the queue was being closed when the try began
        self._last_tries = 0  # of the head, those
        self._last_failures = 0  # of any event, those, in a row

    def choose(self, head: Event, count: int, closing: bool) -> int | None:
        """Return the place of the event that is to be tried; None: nothing goes through any more.

        Args:
            head: of the queue.
            count: events in it, the head included.
            closing: it is being closed.
        """
        if closing and self._last_failures >= min(_LAST_TRIES, count):
            return None
        if self._head is not head:
            self._head, self._tries, self._last_tries = head, 0, 0
            self._probes, self._proven = 0, False
        self._closing = closing
        enough = self._last_tries >= 1 if closing else self._tries >= self._enough
        self._probing = enough and not self._proven and not self._probing and count > 1
        if not self._probing:
            return 0
        place = 1 + self._probes % (count - 1)
        self._probes += 1
        return place

    def went_through(self) -> None:
        """Note that the event went through."""
        self._last_failures = 0
        self._proven = self._probing

    def failed(self) -> bool:
        """Note that the event failed; return whether it is to be set aside, because others do not."""
        self._last_failures += self._closing
        if self._probing:
            return False
        self._tries += 1
        self._last_tries += self._closing
        if self._proven:
            self._last_failures = 0
        return self._proven
