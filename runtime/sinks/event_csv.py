"""Events of a line as CSV, for spreadsheets: the same columns in every file, appended for months."""

import csv
import io
from collections.abc import Iterable

from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.rolling import LineForm, RollingLines, RollingOptions
from wordsight.runtime.sinks.schema import event_json

COLUMNS = (
    "schema", "kind", "timestamp", "line", "part_id", "decision", "reason", "score", "s_pr", "s_fnn", "s_img",
    "source", "frame", "began", "frames", "defects", "unsure", "late", "recipe", "event_id", "fallback",
)  # fmt: skip
"""Keys of `schema.event_json`, all but `regions`; a cell is empty where the event lacks it or has null."""


class EventCsv:
    """The sink of type "csv"; see `rolling.RollingLines`.

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
        form = LineForm(b"schema,kind,", _row(COLUMNS))
        self._file = RollingLines(context.folder / options.path, options, form)
        self.counts = self._file.counts

    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            OutputError: the disk is full or gone; no half line is left.
        """
        line = event_json(event)
        self._file.write(_row([_cell(line.get(column)) for column in COLUMNS]))

    def close(self) -> None:
        """Bring the lines to the disk and close the file."""
        self._file.close()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    # An event is one line, whatever a file is called: so half of one is seen as such.
    return value.translate({10: "\\n", 13: "\\r"}) if isinstance(value, str) else value


def _row(cells: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace")
