"""How everything does, as one JSON object: the status file, the screen and the end of a run tell the same.

`docs/line.md` lists the keys. No secret is in it: sources are as their own `text` shows them.
"""

import importlib.metadata
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wordsight.runtime.files import file_stamp, whole_file
from wordsight.runtime.line.journal import Journal, stamp

if TYPE_CHECKING:
    from wordsight.runtime.line.applied import Applied
    from wordsight.runtime.line.assemble import Models
    from wordsight.runtime.line.engine import Engine, Pace
    from wordsight.runtime.line.running import RunningLine
    from wordsight.runtime.sinks.queued import Queued

SCHEMA = 1
T = TypeVar("T")


class Rates:
    """Frames a second of the last few seconds, from counts that only grow."""

    def __init__(self, span_s: float = 10.0) -> None:
        """Begin without a count."""
        self._span_s = span_s
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def of(self, name: str, count: int, now_s: float) -> float | None:
        """Take a count, and return what came to it a second; None at the first time."""
        seen = self._seen.setdefault(name, deque())
        seen.append((now_s, count))
        while len(seen) > 2 and seen[0][0] < now_s - self._span_s:
            seen.popleft()
        (then_s, then), elapsed = seen[0], now_s - seen[0][0]
        return round((count - then) / elapsed, 2) if elapsed > 0 and then_s < now_s else None


def percentiles(values: Iterable[float]) -> dict[str, float | int | None]:
    """Return the median, 95th and 99th percentile of seconds, as milliseconds; each a value that occurred."""
    ordered = sorted(values)
    told: dict[str, float | int | None] = {"n": len(ordered)}
    for share in (50, 95, 99):
        at = -(-share * len(ordered) // 100) - 1
        told[f"p{share}"] = round(1000 * ordered[at], 3) if ordered else None
    return told


def copied(read: Callable[[], T]) -> T:
    """Copy what another thread changes: a container that grew meanwhile is read again."""
    while True:
        try:
            return read()
        except RuntimeError:
            continue


def line_status(line: "RunningLine", source: str, rates: Rates, now_s: float) -> dict[str, Any]:
    """Return how one line does."""
    state, counts, force = line.reader.state(), line.counts, line.force
    decisions = copied(lambda: dict(counts.decisions))
    drift = None if force.drift is None else force.drift.found
    by = force.by
    # A camera that runs is no line that does: its frames go by unjudged.
    silent = line.no_answer is not None and state.state in ("running", "waiting")
    return {
        "name": line.name,
        "source": source,
        "state": "no answer" if silent else state.state,
        "reason": line.no_answer if silent else state.reason,
        "for_s": _ago(now_s, state.since_s, 1),
        "frames": state.frames,
        "scored": sum(decisions.values()),
        "scored_per_s": rates.of(f"line {line.name}", sum(decisions.values()), now_s),
        "fps": None if state.fps is None else round(state.fps, 2),
        "last_frame_s": None if state.last_frame_s is None else _ago(now_s, state.last_frame_s, 1),
        "dropped": state.dropped,
        "withheld": state.withheld,
        "refused": counts.refused,
        "no_answer": counts.unanswered,
        "fallback": counts.fell_back,
        "failures": state.failures,
        "reconnects": state.reconnects,
        "size": None if state.size is None else [state.size[1], state.size[0]],
        "size_changes": state.size_changes,
        "waiting": line.reader.waiting,
        "recipe": force.recipe,
        "object": force.view.object,
        "unsure": by.unsure,
        "defect": by.threshold,
        "applied": None if by.applied is None else _applied(by.applied),
        "calibration": None if by.file is None else str(by.file),
        "decisions": decisions,
        "doubts": copied(lambda: dict(counts.doubts)),
        "parts": copied(lambda: dict(counts.parts)),
        "late": counts.late,
        "last_score": _finite(counts.last_score),
        "drift": None if drift is None else {**asdict(drift), "p": float(f"{drift.p:.3g}")},
        "latency_ms": percentiles(copied(lambda: list(counts.latency_s))),
    }


def _ago(now_s: float, then_s: float, digits: int) -> float:
    """Return the seconds since then: 0 for what came after the clock was read, as it may on a busy machine."""
    return round(max(0.0, now_s - then_s), digits)


def _applied(by: "Applied") -> dict[str, Any]:
    instead = {"unsure": by.instead_unsure, "defect": by.instead_defect}
    return {"time": by.time, "who": by.who, "instead": instead}


def _finite(value: float | None) -> float | None:
    return round(value, 4) if value is not None and math.isfinite(value) else None


def engine_status(pace: "Pace", models: "Models", rates: Rates, now_s: float) -> dict[str, Any]:
    """Return how the engine does."""
    opened = []
    for file, model in copied(lambda: list(models.opened.values())):
        now = file_stamp(file.path) if isinstance(file.path, Path) else None
        on_disk = "same" if now == file.stamp else "gone" if now is None else "changed"
        opened.append(
            {"path": str(file.path), "sha256": file.sha256, "backend": model.backend, "reason": model.backend_reason,
             "fallback": model.backend_fallback or None, "on_disk": on_disk, "server": model.server_state()}
        )  # fmt: skip
    return {
        "models": opened,
        "passes": pace.passes,
        "frames": pace.frames,
        "no_answer": pace.unanswered,
        "frames_per_s": rates.of("engine", pace.frames, now_s),
        "last_step_s": _ago(now_s, pace.last_pass_s, 2),
        "inference_ms": percentiles(copied(lambda: list(pace.inference_s))),
        "latency_ms": percentiles(copied(lambda: list(pace.latency_s))),
    }


def sink_status(sink: "Queued", type_: str) -> dict[str, Any]:
    """Return how a sink does."""
    return {"name": sink.name, "type": type_, **asdict(sink.state())}


class StatusFile:
    """The status file: rewritten whole, never half, and never waited for by the engine."""

    def __init__(self, path: Path | None) -> None:
        """Remember where; None: nowhere."""
        self._path = path

    def write(self, status: dict[str, Any]) -> str:
        """Write it; return why it cannot be written, or nothing. A power cut may leave an older one."""
        if self._path is None:
            return ""
        try:
            with whole_file(self._path, "w", durable=False) as file:
                file.write(json.dumps(status, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        except OSError as error:
            return f"cannot write {self._path}: {(error.strerror or str(error)).lower()}"
        return ""


def collected(
    state: str,
    engine: "Engine",
    models: "Models",
    sources: "dict[str, str]",
    sinks: "Sequence[tuple[Queued, str]]",
    journal: Journal,
    rates: Rates,
    *,
    config: dict[str, Any],
    started: str,
    started_s: float,
) -> dict[str, Any]:
    """Return the whole status.

    Args:
        state: "starting", "running", "draining", "stopped" or "failed".
        engine: with its lines.
        models: opened.
        sources: as text, by line.
        sinks: each with its type.
        journal: what went wrong.
        rates: kept from call to call.
        config: what is to be known of the line's file.
        started: wall clock.
        started_s: monotonic clock.
    """
    now_s = time.monotonic()
    return {
        "schema": SCHEMA,
        "time": stamp(),
        "state": state,
        "started": started,
        "uptime_s": round(now_s - started_s, 1),
        "pid": os.getpid(),
        "version": importlib.metadata.version("wordsight"),
        "config": config,
        "engine": engine_status(engine.pace, models, rates, now_s),
        "lines": [line_status(line, sources.get(line.name, ""), rates, now_s) for line in list(engine.lines)],
        "sinks": [sink_status(sink, type_) for sink, type_ in sinks],
        "failures": journal.failures,
        "errors": [asdict(entry) for entry in journal.entries()],
    }
