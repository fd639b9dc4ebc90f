"""Events as JSON: what every sink of a line sends, frame or part.

`event.schema.json` beside this file is the JSON Schema of it. New keys may be added without a new number of the schema,
so a reader leaves aside what it does not know; a key that goes or means something else makes a new number.
"""

import json
from datetime import datetime
from importlib import resources
from typing import Any

from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.jsonl import result_line
from wordsight.runtime.sinks.result import Result

SCHEMA = 1


def event_json(event: Event) -> dict[str, Any]:
    """Return the object of one event.

    Of a frame: `schema`, `kind` "frame", and the keys of `jsonl.result_line`. Of a part:

    schema, kind    1, "part"
    timestamp       when its last frame was captured: ISO 8601 in UTC with a Z, to the millisecond
    began           when its first one was
    line, part_id
    decision        over all of its frames
    reason          only where it is unsure although its frames say otherwise: "late"
    frames          how many were scored
    defects, unsure how many of those were decided so
    score           the highest; null without a frame
    late            true where the decision was not there before its deadline
    recipe          only where there are recipes
    fallback        true, only where a local model scored some of its frames, for the server gave no answer
    event_id        the same for the same part, however often it is sent
    """
    if isinstance(event, Result):
        return {"schema": SCHEMA, "kind": "frame", **result_line(event)}
    named = {"reason": event.reason, "recipe": event.recipe}
    return {
        "schema": SCHEMA,
        "kind": "part",
        "timestamp": _stamp(event.ended),
        "began": _stamp(event.began),
        "line": event.line,
        "part_id": event.part_id,
        "decision": event.decision,
        "frames": event.frames,
        "defects": event.defects,
        "unsure": event.unsure,
        "score": event.score,
        "late": event.late,
        **{key: value for key, value in named.items() if value is not None},
        **({"fallback": True} if event.fallback else {}),
        "event_id": event.event_id,
    }


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event."""
    text = (resources.files(__package__) / "event.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _stamp(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
