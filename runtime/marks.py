"""Marks that people set on the page, as what a new calibration is checked with: the scores that the line gave.

A score is of what made it: marks of another model, object or other references are left out, and counted.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from wordsight.runtime.calibrate import Checked
from wordsight.runtime.checks import build
from wordsight.runtime.errors import ManifestInvalid, SettingError
from wordsight.runtime.line.trail import lines
from wordsight.runtime.scored_by import ScoredBy
from wordsight.runtime.sinks.result import Decision, decide
from wordsight.runtime.thresholds import Thresholds

Verdict: TypeAlias = Literal["right", "false alarm"]
VERDICTS: Final[tuple[Verdict, ...]] = ("right", "false alarm")


@dataclass(frozen=True)
class Mark:
    """One frame that was not good, and what people say of that.

    Attributes:
        name: of the frame, for people.
        line: that it went by.
        score: as the line gave it.
        reason: why it was unsure although its score said otherwise.
        scored_by: what the score comes from.
        verdict: see `VERDICTS`.
    """

    name: str
    line: str
    score: float
    reason: str | None
    scored_by: ScoredBy
    verdict: Verdict


@dataclass(frozen=True)
class Marks:
    """Those that a calibration can be checked with.

    Attributes:
        found: the marks.
        left_out: why others are not among them, and how many.
    """

    found: tuple[Mark, ...]
    left_out: Counter[str]

    @property
    def told(self) -> str:
        """What was left out, in words; empty when nothing was."""
        return ", ".join(f"{count} {why}" for why, count in self.left_out.most_common())


def is_marks(text: str) -> bool:
    """Whether a word of `--check` names marks, not pictures."""
    return text.endswith(".jsonl")


def read_marks(paths: Sequence[Path], scored_by: ScoredBy, line: str | None = None) -> Marks:
    """Return the marks that tell something about what is to be calibrated.

    Args:
        paths: files as the page writes them; older ones beside each, put aside as it grew, are read, too.
        scored_by: what the new thresholds are of.
        line: marks of this line alone; None: of all.

    Raises:
        SettingError: a file cannot be read, or holds no mark that can be used; says why.
    """
    found: list[Mark] = []
    left_out: Counter[str] = Counter()
    for path in paths:
        for data in _last(path):
            mark = _read(data)
            if isinstance(mark, str):
                left_out[mark] += 1
            elif line is not None and mark.line != line:
                left_out["of other lines"] += 1
            elif mark.scored_by != scored_by:
                left_out["of another model, object or other references"] += 1
            else:
                found.append(mark)
    marks = Marks(tuple(found), left_out)
    if not found:
        why = (
            f": {marks.told}" if left_out else "; mark events on the page of the line: wordsight run --config ... --web"
        )
        raise SettingError(
            f"{', '.join(map(str, paths))}: expected marks to check with, got none that can be used{why}"
        )
    return marks


def checked_marks(marks: Iterable[Mark], found: Thresholds) -> Checked:
    """Decide over marked frames as the line would; what was too dark, say, when it was scored is so still."""
    decisions: Counter[Decision] = Counter()
    reasons: Counter[str] = Counter()
    missed: list[tuple[float, str]] = []
    for mark in marks:
        decision = "unsure" if mark.reason else decide(mark.score, found.defect, found.unsure) or "good"
        if mark.reason:
            reasons[mark.reason] += 1
        if decision == "good":
            missed.append((mark.score, mark.name))
        decisions[decision] += 1
    return Checked(decisions, reasons, [name for _, name in sorted(missed)])


def _last(path: Path) -> list[dict[str, Any]]:
    """Return the last line of each event that still has a mark."""
    found: dict[str, dict[str, Any]] = {}
    try:
        with open(path, "rb"):
            pass
        for data in lines(path):
            event_id = data.get("event_id")
            if isinstance(event_id, str):
                found[event_id] = data
    except OSError as error:
        raise SettingError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    return [data for data in found.values() if data.get("mark") is not None]


def _read(data: dict[str, Any]) -> Mark | str:
    """Return a mark, or why it cannot be used."""
    if data.get("kind") == "part":
        return "of parts, which have no score of their own"
    score, by, verdict = data.get("score"), data.get("scored_by"), data["mark"]
    if by is None:
        return "that do not say what the score comes from"
    try:
        if isinstance(score, bool) or not isinstance(score, (int, float)) or verdict not in VERDICTS:
            return "that are damaged"
        reason = data.get("reason")
        name = f"{data['source']} #{int(data['frame'])}"
        return Mark(name, str(data["line"]), float(score), reason and str(reason), build(ScoredBy, by), verdict)
    except (KeyError, TypeError, ValueError, OverflowError, ManifestInvalid):
        return "that are damaged"
