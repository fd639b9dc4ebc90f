"""Events that a receiver will never take: kept beside the spool, the newest of them, with the reason."""

import json
from pathlib import Path

from pydantic import ByteSize

from wordsight.runtime.sinks.jsonl import encoded
from wordsight.runtime.sinks.rolling import LineForm, RollingLines, RollingOptions

_FILE_BYTES = 5_000_000


class SetAside:
    """`set-aside.jsonl` in a folder, and the one before it: 10 MB in all, the oldest go.

    Attributes:
        count: events of this run.
    """

    def __init__(self, folder: Path) -> None:
        """Name the file; it is made with the first event."""
        self._path = folder / "set-aside.jsonl"
        self._file: RollingLines | None = None
        self.count = 0

    def write(self, line: bytes, reason: str) -> None:
        """Keep one event.

        Raises:
            OutputError: the disk is full or gone.
        """
        if self._file is None:
            options = RollingOptions(
                path=self._path, roll_bytes=ByteSize(_FILE_BYTES), roll_daily=False, keep=1, sync_s=5.0
            )
            self._file = RollingLines(self._path, options, LineForm(b"{"))
        try:
            event = json.loads(line)
        except ValueError:
            event = line.decode("utf-8", "replace")
        self._file.write(encoded({"reason": reason, "event": event}))
        self.count += 1

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
