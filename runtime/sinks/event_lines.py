"""Events of a line as JSON lines, appended for months."""

import json

from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.jsonl import encoded
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.rolling import LineForm, RollingLines, RollingOptions
from wordsight.runtime.sinks.schema import event_json


class EventLines:
    """The sink of type "jsonl"; see `rolling.RollingLines`.

    Attributes:
        counts: see there.
    """

    Options = RollingOptions
    wants_image = False

    def __init__(self, options: RollingOptions, context: SinkContext) -> None:
        """Open the file.

        Raises:
            OutputError: see `rolling.RollingLines`.
        """
        self._file = RollingLines(context.folder / options.path, options, LineForm(b"{", whole=_is_whole))
        self.counts = self._file.counts

    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            OutputError: the disk is full or gone; no half line is left.
            ValueError: a number that JSON does not have, such as NaN.
        """
        self._file.write(encoded(event_json(event)))

    def close(self) -> None:
        """Bring the lines to the disk and close the file."""
        self._file.close()


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
