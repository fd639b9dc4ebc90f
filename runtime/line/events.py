"""The id of an event: the same for the same frame or part, so that sending it again changes nothing."""

import hashlib
from datetime import datetime


def event_id(line: str, source: str, frame: int | str, captured: datetime) -> str:
    """Return 32 hexadecimal digits, made from what identifies a frame and nothing else.

    Args:
        line: name of the line.
        source: as in `Frame.source`, credentials masked.
        frame: number of the frame within the source, or the id of a part.
        captured: wall-clock stamp of the frame, or of a part's first frame; aware.
    """
    digest = hashlib.sha256()
    for word in (line, source, type(frame).__name__, str(frame), str(captured.timestamp())):
        data = word.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)  # its length first: "a", "bc" is not "ab", "c"
    return digest.hexdigest()[:32]
