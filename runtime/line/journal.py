"""What went wrong and what changed: told at once, the same thing not again and again, the last ones kept."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from wordsight.runtime.sources.frame import Failure
from wordsight.runtime.urls import scrubbed

KEPT = 20
_QUIET_S = 300.0
_MOST_KEYS = 500


@dataclass
class Entry:
    """One thing that went wrong, as the status file tells it.

    Attributes:
        time: of the last time, ISO 8601, UTC.
        who: line or sink.
        error: kind of error.
        reason: one line, credentials masked.
        source: the input.
        frame: number of the frame; None for a whole input.
        count: how often in a row.
    """

    time: str
    who: str
    error: str
    reason: str
    source: str | None = None
    frame: int | None = None
    count: int = 1


def stamp() -> str:
    """Return the wall clock as ISO 8601 in UTC, to the second."""
    return datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


class Journal:
    """Takes what happens, from any thread.

    Attributes:
        failures: inputs that could not be read or looked at, so far.
    """

    def __init__(self, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin empty.

        Args:
            say: takes one line for people; called under a lock, and must not raise.
            clock: monotonic, in seconds.
        """
        self.failures = 0
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # when last, and how often since then
        self._states: dict[str, str] = {}  # of lines and sinks, when last looked at

    def say(self, who: str, text: str) -> None:
        """Tell that something changed; the same again within five minutes is counted, not told."""
        text = scrubbed(" ".join(text.split()))
        with self._lock:
            now = self._clock()
            if len(self._told) > _MOST_KEYS:
                self._told.clear()
            last, count = self._told.get((who, text), (None, 0))
            if last is not None and now - last < _QUIET_S:
                self._told[who, text] = last, count + 1
                return
            self._told[who, text] = now, 0
            again = f" ({count} more since it was last told)" if count else ""
            self._say(f"{stamp()} {who}: {text}{again}")

    def states(self, status: dict[str, Any]) -> None:
        """Tell which lines and sinks are in another state than they were; called by one thread at a time.

        Args:
            status: the object of the status file.
        """
        for line in status["lines"]:
            if self._states.get(line["name"]) != line["state"]:
                self._states[line["name"]] = line["state"]
                self.say(line["name"], line["state"] + (f": {line['reason']}" if line["reason"] else ""))
        for sink in status["sinks"]:
            if self._states.get(f"sink {sink['name']}", "ok") != sink["state"] and sink["state"] != "closed":
                self.say(sink["name"], sink["state"] + (f": {sink['reason']}" if sink["reason"] else ""))
            self._states[f"sink {sink['name']}"] = sink["state"]

    def failure(self, line: str, failure: Failure) -> None:
        """Keep and tell a failure of a source."""
        with self._lock:
            self.failures += 1
        self.error(line, failure.kind, failure.reason, failure.source, failure.frame)

    def error(self, who: str, kind: str, reason: str, source: str | None = None, frame: int | None = None) -> None:
        """Keep and tell what went wrong elsewhere."""
        entry = Entry(stamp(), who, kind, scrubbed(" ".join(reason.split())), source and scrubbed(source), frame)
        with self._lock:
            last = self._entries[-1] if self._entries else None
            # A server that is away says nothing of this picture or that: one entry, of the last one.
            server = kind == "NoAnswer"
            same = last is not None and (last.who, last.reason) == (who, entry.reason)
            if last is not None and same and (server or last.source == entry.source):
                last.count, last.time, last.source, last.frame = last.count + 1, entry.time, entry.source, frame
            else:
                self._entries.append(entry)
        where = "" if entry.source is None or server else f"{entry.source}: "
        self.say(who, f"{where}{entry.reason}")

    def entries(self) -> list[Entry]:
        """Return the last ones, the newest last."""
        with self._lock:
            return list(self._entries)
