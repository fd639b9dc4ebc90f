"""What the page shows, kept in memory within bounds: the newest frame of each line, its scores, what was not good.

It is a sink: the line hands events to a queue in front of it, and neither viewers nor pictures are waited for.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from wordsight.runtime.scored_by import ScoredBy
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sinks.schema import event_json
from wordsight.runtime.web.pictures import jpeg
from wordsight.runtime.web.shelf import Shelf, Shelved

SCORES: Final = 20_000
"""Scores that are kept of each line."""
EVENTS: Final = 200
"""Events that were not good, the last ones of all lines."""
_LIVE_S = 0.1  # a live picture is made at most so often, however many look at it
_PICTURE_S = 0.2  # and one of an event of the same line
_LETTERS = {"good": "g", "unsure": "u", "defect": "d"}


@dataclass(frozen=True)
class Point:
    """One score of a line.

    Attributes:
        number: counted up from 1 in each line.
        time_ms: when the frame was captured, milliseconds since 1970.
        score: of the frame.
        decision: None without a threshold.
        reason: why it is unsure although its score says otherwise.
        part_id: None where nothing names the part.
        under: recipe, and what the score comes from: with others it is another number.
    """

    number: int
    time_ms: int
    score: float
    decision: str | None
    reason: str | None
    part_id: str | None
    under: tuple[str | None, ScoredBy | None] = (None, None)


@dataclass(frozen=True)
class Live:
    """A live picture, and what was decided over it.

    Attributes:
        number: of its score, see `Point`.
        score: of the frame.
        decision: None without a threshold.
        data: JPEG.
        made_s: monotonic clock.
    """

    number: int
    score: float
    decision: str | None
    data: bytes
    made_s: float


@dataclass
class _Line:
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=SCORES))
    count: int = 0
    newest: Result | None = None
    pictured_s: float | None = None
    made: dict[bool, Live] = field(default_factory=dict)  # with its heat map, or without
    making: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Kept:
    """An event that was not good.

    Attributes:
        number: counted up from 1 over all lines.
        data: as every sink tells it.
        pictures: JPEG, without and with the heat map; the second only where there is one.
        scored_by: what the score comes from; None of a part.
    """

    number: int
    data: dict[str, Any]
    pictures: tuple[bytes, ...]
    scored_by: ScoredBy | None = None

    @property
    def told(self) -> dict[str, Any]:
        """As a mark on it remembers it."""
        return self.data if self.scored_by is None else {**self.data, "scored_by": asdict(self.scored_by)}


class Record:
    """Takes events from the line and answers the page; every method may be called from any thread.

    Attributes:
        encoded: live pictures that were made so far.
    """

    wants_image = True

    def __init__(self, clock: Callable[[], float] = time.monotonic, shelf: Shelf | None = None) -> None:
        """Begin with the events that are on the shelf.

        Args:
            clock: monotonic, in seconds.
            shelf: keeps events for the next start; None: they are gone with this one.
        """
        self.encoded = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._events: deque[Kept] = deque(maxlen=EVENTS)
        self._shelf: Shelf | None = None
        self._numbered = 0
        for event in () if shelf is None else shelf.read():
            self._keep(event)
        self._shelf = shelf  # from now on

    def write(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, Result):
            self._frame(event)
        elif event.decision != "good":
            self._keep(Shelved(event_json(event), (), None))

    def close(self) -> None:
        """What was taken is still shown."""
        if self._shelf is not None:
            self._shelf.close()

    def _frame(self, result: Result) -> None:
        with self._lock:
            line = self._lines.setdefault(result.line or "", _Line())
            line.count += 1
            stamp_ms = round(result.frame.timestamp.timestamp() * 1000)
            line.points.append(
                Point(
                    line.count,
                    stamp_ms,
                    result.score,
                    result.decision,
                    result.reason,
                    result.frame.part_id,
                    (result.recipe, result.scored_by),
                )
            )
            if result.frame.image.size:
                line.newest = result
        if result.decision not in ("unsure", "defect"):
            return
        now_s = self._clock()
        pictures: tuple[bytes, ...] = ()
        # Where everything is a defect, pictures of all would cost more than anybody can look at.
        if result.frame.image.size and (line.pictured_s is None or now_s - line.pictured_s >= _PICTURE_S):
            line.pictured_s = now_s
            pictures = tuple(jpeg(result, heat) for heat in ([False] if result.heat is None else [False, True]))
        self._keep(Shelved(event_json(result), pictures, result.scored_by))

    def _keep(self, event: Shelved) -> None:
        with self._lock:
            self._numbered += 1
            same = next((kept for kept in self._events if kept.data["event_id"] == event.data["event_id"]), None)
            if same is not None:  # pictures of a folder that is scored anew, say
                self._events.remove(same)
            self._events.append(Kept(self._numbered, event.data, event.pictures, event.scored_by))
        if self._shelf is not None:
            self._shelf.keep(event)

    def live(self, name: str, heat: bool) -> Live | None:
        """Return the newest frame of a line, or one a moment older; None without any.

        One picture is made for all who ask: at most ten a second, and none while nobody asks.
        """
        made = self.ready(name, heat)
        if made is not None:
            return made
        line = self._lines.get(name)
        if line is None:
            return None
        with line.making:
            made = self._fresh(line, heat)  # by who came first
            if made is not None:
                return made
            with self._lock:
                number, newest = line.count, line.newest
            if newest is None:
                return None
            made = Live(number, newest.score, newest.decision, jpeg(newest, heat), self._clock())
            self.encoded += 1
            line.made[heat] = made
            return made

    def ready(self, name: str, heat: bool) -> Live | None:
        """Return what `live` would, if it is there without making a picture. Never blocks."""
        line = self._lines.get(name)
        return None if line is None else self._fresh(line, heat)

    def _fresh(self, line: _Line, heat: bool) -> Live | None:
        made = line.made.get(heat)
        if made is not None and (made.number == line.count or self._clock() - made.made_s < _LIVE_S):
            return made
        return None

    def lines(self) -> dict[str, dict[str, Any]]:
        """Return what there is of each line: `count` of scores, `heat` whether frames have a heat map."""
        with self._lock:
            return {
                name: {"count": line.count, "heat": line.newest is not None and line.newest.heat is not None}
                for name, line in self._lines.items()
            }

    def scores(self, name: str, after: int = 0, most: int = SCORES) -> list[Point] | None:
        """Return the last scores of a line with a number above `after`, the oldest first; None: no such line."""
        with self._lock:
            line = self._lines.get(name)
            if line is None:
                return None
            found: list[Point] = []
            for point in reversed(line.points):
                if point.number <= after or len(found) >= most:
                    break
                found.append(point)
        return found[::-1]

    def events(self, after: int = 0) -> list[Kept]:
        """Return the events with a number above `after`, the oldest first."""
        with self._lock:
            return [kept for kept in self._events if kept.number > after]

    def event(self, event_id: str) -> Kept | None:
        """Return the event with this id, if it is still kept."""
        with self._lock:
            return next((kept for kept in reversed(self._events) if kept.data.get("event_id") == event_id), None)


def point_data(point: Point) -> list[Any]:
    """Return a score as the page reads it: number, milliseconds since 1970, score, "g", "u", "d" or null."""
    return [point.number, point.time_ms, round(point.score, 4), _LETTERS.get(point.decision or "")]
