"""Who did what to a line: lines of JSON in the folder `state`, in files that are begun anew before they grow large."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ByteSize

from wordsight.runtime.files import check_output_folder
from wordsight.runtime.sinks.rolling import LineForm, RollingLines, RollingOptions

AUDIT: Final = "audit.jsonl"
"""An act a line: time, who, what, and what else belongs to it."""
MARKS: Final = "marks.jsonl"
"""A mark a line; the last one of an event counts."""
ROLL_BYTES: Final = ByteSize(4_000_000)
KEEP: Final = 9
"""Older files that are kept beside each."""

_WRITING = threading.Lock()  # the page and the line itself write to the same file


def append(state: Path, name: str, data: dict[str, Any]) -> None:
    """Append a line, and wait until it is on the disk. A line that a power cut tore is cut off before.

    Args:
        state: the folder, made where it is absent.
        name: `AUDIT` or `MARKS`.
        data: of the line.

    Raises:
        OutputError: it cannot be written, or another process writes this moment.
    """
    path = check_output_folder(state) / name
    options = RollingOptions(path=path, roll_bytes=ROLL_BYTES, roll_daily=False, keep=KEEP, sync_s=0)
    line = (json.dumps(data, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    with _WRITING:
        file = RollingLines(path, options, LineForm(b"{"))
        try:
            file.write(line)
        finally:
            file.close()


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Give what was appended under a name, the oldest first; a line that is torn or damaged is left aside.

    Raises:
        OSError: it cannot be read; files that are absent are no error.
    """
    for part in [*sorted(path.parent.glob(f"{path.stem}.??????{path.suffix}")), path]:
        try:
            with open(part, "rb") as file:
                raw = file.read(2 * ROLL_BYTES)
        except FileNotFoundError:
            continue
        for line in raw.splitlines():
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(data, dict):
                yield data
