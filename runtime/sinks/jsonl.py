"""JSON lines: one object a scored frame, each line on the disk before the next frame is taken."""

import json
import os
from dataclasses import asdict
from typing import Any

from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sinks.whole_lines import WholeLines
from wordsight.runtime.sources.frame import Failure
from wordsight.runtime.urls import scrubbed


def encoded(line: dict[str, Any]) -> bytes:
    """Return one object as one line, UTF-8; what is no UTF-8 in a file's name is escaped.

    Raises:
        ValueError: a number that JSON does not have, such as NaN.
    """
    return (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "backslashreplace")


class LineFile(WholeLines):
    """A file of JSON lines in which every line is whole, made anew with the first one."""

    def append(self, line: dict[str, Any]) -> None:
        """Write one object as one line.

        Raises:
            OutputError: the disk is full or gone; the lines before stay, half of this one does not.
        """
        self.write(encoded(line))


class JsonLines:
    """Scored frames as JSON lines; failures are not in it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Check `path`, as `LineFile` does."""
        self._file = LineFile(path)

    def write(self, result: Result) -> None:
        """Write one scored frame as one line."""
        self._file.append(result_line(result))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ErrorLines:
    """Failures as JSON lines: {"source", "frame", "error", "reason"}; `frame` is null for a whole file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Check `path`, as `LineFile` does."""
        self._file = LineFile(path)

    def write(self, failure: Failure) -> None:
        """Write one failure as one line."""
        line = {"source": failure.source, "frame": failure.frame, "error": failure.kind, "reason": failure.reason}
        self._file.append({key: scrubbed(text) if isinstance(text, str) else text for key, text in line.items()})

    def begin(self) -> None:
        """Make the file anew, so that a run without failures leaves an empty one."""
        self._file.begin()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def result_line(result: Result) -> dict[str, Any]:
    """Return the object of one scored frame.

    source, frame   the picture's path or the stream, and the number of the frame within it
    timestamp       ISO 8601 in UTC with a Z, to the millisecond
    score, s_pr, s_fnn
    s_img           only where there are references
    decision        null without a threshold
    reason          only where it is unsure although the score says otherwise: "too dark", "late"
    line, recipe    only of a line (run --config): its name, and the recipe it was decided under
    fallback        true, only where a local model scored it, for the server gave no answer
    part_id         only where trigger, file name or controller name the part
    event_id        only of a line: the same for the same frame, however often it is sent
    regions         only where the file gives a heat map: the largest first, at most 32, [] when there are none
      box           [x, y, width, height] in pixels of the frame
      area          pixels of the frame
      peak          highest value of the heat map in it
      peak_at       [x, y] of the pixel where that is
    """
    named = {
        "reason": result.reason,
        "line": result.line,
        "recipe": result.recipe,
        "part_id": result.frame.part_id,
        "event_id": result.event_id,
    }
    stamp = result.frame.timestamp.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return {
        "source": result.frame.source,
        "frame": result.frame.index,
        "timestamp": stamp + "Z",
        "score": result.score,
        "s_pr": result.s_pr,
        "s_fnn": result.s_fnn,
        **({} if result.s_img is None else {"s_img": result.s_img}),
        "decision": result.decision,
        **{key: value for key, value in named.items() if value is not None},
        **({"fallback": True} if result.fallback else {}),
        **({} if result.heat is None else {"regions": [asdict(region) for region in result.heat.regions]}),
    }
