"""Events that wait for a sink: so many, and so many bytes of pictures; for want of room the oldest go."""

from collections import deque

from wordsight.runtime.sinks.event_sink import Event, bytes_of


class Waiting:
    """Events in the order in which they came, each once. It has no lock of its own.

    Attributes:
        bytes: of their pictures and heat maps.
    """

    def __init__(self, room: int, room_bytes: int) -> None:
        """Begin without an event.

        Args:
            room: events at most.
            room_bytes: of pictures and heat maps at most; a single event may be larger.
        """
        self.bytes = 0
        self._room, self._room_bytes = room, room_bytes
        self._events: deque[Event] = deque()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._events)

    def __getitem__(self, at: int) -> Event:
        """The one at a place, the oldest at 0."""
        return self._events[at]

    def add(self, event: Event, size: int, but: Event | None) -> int:
        """Take one; return how many went for want of room.

        Args:
            event: the newest.
            size: see `bytes_of`.
            but: one that stays while there is another.
        """
        self._events.append(event)
        self.bytes += size
        gone = 0
        while len(self) > self._room or (self.bytes > self._room_bytes and len(self) > 1):
            oldest = 1 if len(self) > 1 and self._events[0] is but else 0
            self.bytes -= bytes_of(self._events[oldest])
            del self._events[oldest]
            gone += 1
        return gone

    def remove(self, event: Event) -> bool:
        """Take one out; return whether it was still there."""
        for place, waiting in enumerate(self._events):
            if waiting is event:
                del self._events[place]
                self.bytes -= bytes_of(event)
                return True
        return False

    def clear(self) -> None:
        """Take all out."""
        self._events.clear()
        self.bytes = 0
