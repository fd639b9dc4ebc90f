"""What outputs to a machine share: whether the line may be relied on, and how old a decision is.

A decision that comes late is worse than none: the part it was about is gone, and another one would be thrown out.
"""

import time
from collections.abc import Iterable
from typing import Any, Literal

from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sources.frame import now

FailSafe = Literal["none", "good", "unsure", "defect"]
"""What is told while nothing can be decided: "none" is all outputs off."""

_WELL = ("running", "waiting")  # a source that waits for its trigger is well


def engine_steps(status: dict[str, Any], engine_s: float) -> bool:
    """Return whether the engine has looked for frames within so many seconds."""
    return bool(status["state"] in ("running", "draining") and status["engine"]["last_step_s"] <= engine_s)


def is_well(status: dict[str, Any], lines: Iterable[str], engine_s: float) -> bool:
    """Return whether decisions can be relied on: the engine steps, and the source of each of these lines is well."""
    states = {line["name"]: line["state"] for line in status["lines"]}
    return engine_steps(status, engine_s) and all(states.get(line) in _WELL for line in lines)


def age_s(event: Event) -> float:
    """Return how long ago a frame was captured, or the last one of a part, in seconds."""
    if isinstance(event, Result):
        return time.monotonic() - event.frame.captured_s
    return (now() - event.ended).total_seconds()
