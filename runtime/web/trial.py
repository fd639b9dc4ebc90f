"""What other thresholds would have made of the scores that are kept."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from wordsight.runtime.line.applied import require
from wordsight.runtime.sinks.result import decide
from wordsight.runtime.web.record import Point

_SHOWN = 50


def tried(points: Sequence[Point], unsure: float | None, defect: float) -> dict[str, Any]:
    """Return how the decisions over frames would have fallen, of those that were scored as the last one was.

    What was unsure for another reason than its score, such as a frame too dark, stays unsure.

    Returns:
        `frames` tried, `before` and `after` counts by decision, `changed` how many differ, `examples` the last of
        those: number, time_ms, score, before, after, part_id.

    Raises:
        SettingError: no thresholds.
    """
    require(unsure, defect)
    points = [point for point in points if point.under == points[-1].under]
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    changed = []
    for point in points:
        now = "unsure" if point.reason is not None else decide(point.score, defect, unsure)
        before[point.decision or "undecided"] += 1
        after[now or "undecided"] += 1
        if now != point.decision:
            changed.append({"number": point.number, "time_ms": point.time_ms, "score": round(point.score, 4),
                            "before": point.decision, "after": now, "part_id": point.part_id})  # fmt: skip
    return {"frames": len(points), "before": dict(before), "after": dict(after), "changed": len(changed),
            "examples": changed[-_SHOWN:]}  # fmt: skip
