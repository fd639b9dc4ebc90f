"""Thresholds that were applied while a line ran: laid over those of its file, until the file itself says otherwise.

    STATE/thresholds.json    one entry a line and recipe, see `Applied`

A restart keeps them. The last act counts: an entry remembers what it replaced, and ends when the file or its
calibration gives other thresholds than those, or when scores come from another model, object or other references.
"""

import json
import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from wordsight.runtime.checks import build
from wordsight.runtime.errors import ManifestInvalid, SettingError
from wordsight.runtime.files import check_output_folder, whole_file
from wordsight.runtime.line.journal import stamp
from wordsight.runtime.scored_by import ScoredBy
from wordsight.runtime.view import View

if TYPE_CHECKING:
    from wordsight.runtime.config.check import Checked
    from wordsight.runtime.config.resolve import Resolved
    from wordsight.runtime.decide_by import DecideBy

FILE = "thresholds.json"
Told: TypeAlias = "Callable[[DecideBy, DecideBy], None]"
_MAX_BYTES = 2**20
_ENDS = "the file, its calibration, model, object or references say otherwise since"
_WRITING = threading.Lock()  # one reads, changes and writes the file at a time


@dataclass(frozen=True)
class Applied:
    """Thresholds of one line under one recipe.

    Attributes:
        line: its name.
        recipe: name of the recipe; None for the line's own settings.
        unsure: score from which a frame is not good; None: from `defect`.
        defect: score from which it is a defect.
        time: when, ISO 8601, UTC.
        who: applied them.
        instead_unsure: what the file gave.
        instead_defect: what the file gave; None: nothing was decided.
        scored_by: what the scores come from.

    Raises:
        ManifestInvalid: a value out of range.
    """

    line: str
    recipe: str | None
    unsure: float | None
    defect: float
    time: str
    who: str
    instead_unsure: float | None
    instead_defect: float | None
    scored_by: ScoredBy

    def __post_init__(self) -> None:
        try:
            require(self.unsure, self.defect)
        except SettingError as error:
            raise ManifestInvalid(f"key defect: {error}") from error

    def holds(self, found: "Resolved") -> bool:
        """Whether it is of this line and recipe, and the file still says what it replaced."""
        return (self.line, self.recipe) == (found.line, found.recipe) and self == replace(
            self, instead_unsure=found.by.unsure, instead_defect=found.by.threshold, scored_by=found.scored_by
        )

    @property
    def ending(self) -> str:
        """What is to be told when it holds no more."""
        return f"{self.told}: ended, for {_ENDS}"

    @property
    def told(self) -> str:
        """What it says, in words."""
        under = "" if self.recipe is None else f" under {self.recipe}"
        instead = in_words(self.instead_unsure, self.instead_defect)
        return (
            f"{self.line}{under}: {in_words(self.unsure, self.defect)}, applied {self.time} by {self.who}, "
            f"instead of {instead} of the file"
        )


def in_words(unsure: float | None, defect: float | None) -> str:
    """Return thresholds as people read them."""
    if defect is None:
        return "no threshold"
    return f"defect {defect:.3f}" if unsure is None else f"unsure {unsure:.3f}, defect {defect:.3f}"


def require(unsure: float | None, defect: float, top: float = math.inf) -> None:
    """Refuse what are no thresholds.

    Args:
        unsure: as in `Applied`.
        defect: likewise.
        top: highest score that there can be.

    Raises:
        SettingError: not finite, below 0 or above `top`, or unsure above defect.
    """
    for name, value in (("defect", defect), ("unsure", unsure)):
        if value is not None and not (math.isfinite(value) and 0 <= value <= top):
            most = f"0 to {top:g}, the range of this model's score" if math.isfinite(top) else "0 or more"
            raise SettingError(f"{name}: expected {most}, got {value:g}")
    if unsure is not None and unsure > defect:
        raise SettingError(f"expected unsure of at most defect, {defect:g}, got {unsure:g}")


def overlaid(found: "Resolved", known: Iterable[Applied]) -> "Resolved":
    """Return what decides: the file's own, or under thresholds that were applied and still hold."""
    for one in known:
        if one.holds(found):
            return replace(found, by=replace(found.by, threshold=one.defect, unsure=one.unsure, applied=one))
    return found


def read_applied(state: Path) -> tuple[tuple[Applied, ...], str]:
    """Return what was applied, and what is to be told of the file: that it is damaged."""
    path = state / FILE
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read(_MAX_BYTES))
        return tuple(build(Applied, one, f"applied[{at}]") for at, one in enumerate(data["applied"])), ""
    except FileNotFoundError:
        return (), ""
    except (OSError, ValueError, TypeError, KeyError, RecursionError, ManifestInvalid) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "damaged"
        return (), f"cannot read the thresholds that were applied, {path}: {reason.lower()}; the file's are in force"


def apply(
    checked: "Checked",
    line: str,
    recipe: str | None,
    unsure: float | None,
    defect: float,
    who: str,
    first: "Told" = lambda before, after: None,
) -> None:
    """Apply thresholds; whoever runs the file has them in force within a second.

    Args:
        checked: the file as it is in force.
        line: name of a line.
        recipe: that is in force for it.
        unsure: as in `Applied`.
        defect: likewise.
        who: applies them; where they are the file's own, nothing is kept.
        first: called before anything changes with what decided so far, and what is to decide; may raise.

    Raises:
        SettingError: no such line or recipe, no thresholds, or those that are in force already.
        OSError: it cannot be kept.
    """
    found = _found(checked, line, recipe)
    require(unsure, defect, View(found.model.manifest, found.object, found.few_shot).top)
    instead = found.by.unsure, found.by.threshold
    one = Applied(line, recipe, unsure, defect, stamp(), who, *instead, found.scored_by)
    _change(checked, found, None if (unsure, defect) == instead else one, first)


def undo(checked: "Checked", line: str, recipe: str | None, first: "Told" = lambda before, after: None) -> None:
    """Go back to the thresholds of the file; as `apply`.

    Raises:
        SettingError: no such line or recipe, or none were applied.
        OSError: it cannot be kept.
    """
    _change(checked, _found(checked, line, recipe), None, first)


def as_it_runs(checked: "Checked") -> "Checked":
    """Return a file with what would decide in its place: its remarks tell of every threshold that was applied."""
    known, told = read_applied(checked.loaded.state)
    resolved = {key: overlaid(found, known) for key, found in checked.resolved.items()}
    remarks = [told] if told else []
    for one in known:
        if _holds(checked, one):
            remarks.append(f"{one.told}: they override the file until it says otherwise, or until Undo on the page")
        else:
            remarks.append(f"{one.told}: they end with the next start, for {_ENDS}")
    return replace(checked, resolved=resolved, remarks=(*checked.remarks, *remarks))


def drop_ended(checked: "Checked") -> tuple[tuple[Applied, ...], tuple[Applied, ...], str]:
    """Return what holds, what ended and is let go, and what is to be told of the file, see `read_applied`."""
    state = checked.loaded.state
    with _WRITING:
        known, told = read_applied(state)
        held = tuple(one for one in known if _holds(checked, one))
        ended = tuple(one for one in known if one not in held)
        if ended:
            try:
                _write(state, held)
            except OSError as error:
                told = f"cannot write {state / FILE}: {(error.strerror or str(error)).lower()}"
    return held, ended, told


def _holds(checked: "Checked", one: Applied) -> bool:
    found = checked.resolved.get((one.line, one.recipe))
    return found is not None and one.holds(found)


def _found(checked: "Checked", line: str, recipe: str | None) -> "Resolved":
    found = checked.resolved.get((line, recipe))
    if found is None:
        raise SettingError(f"no line {line!r} under the recipe {recipe!r} in {checked.loaded.path}")
    return found


def _change(checked: "Checked", found: "Resolved", one: Applied | None, first: "Told") -> None:
    with _WRITING:
        known, _ = read_applied(checked.loaded.state)
        before = overlaid(found, known).by
        after = overlaid(found, () if one is None else (one,)).by
        if (before.unsure, before.threshold) == (after.unsure, after.threshold):
            raise SettingError(f"{in_words(after.unsure, after.threshold)} are in force already")
        others = [
            other
            for other in known
            if (other.line, other.recipe) != (found.line, found.recipe) and _holds(checked, other)
        ]
        first(before, after)
        _write(checked.loaded.state, (*others, *([] if one is None else [one])))


def _write(state: Path, known: Iterable[Applied]) -> None:
    data: dict[str, Any] = {"schema": 1, "applied": [asdict(one) for one in known]}
    with whole_file(check_output_folder(state) / FILE, "w") as file:
        file.write(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
