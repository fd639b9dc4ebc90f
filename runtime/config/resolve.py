"""From settings to what decides: model, object, references, thresholds, region, rule of parts. No engine is opened."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from wordsight.runtime.calibration import default_path as calibration_path
from wordsight.runtime.calibration import read_calibration
from wordsight.runtime.config.model_file import ModelFile, ModelFiles
from wordsight.runtime.config.problems import Problem
from wordsight.runtime.config.settings import Settings
from wordsight.runtime.decide_by import DecideBy
from wordsight.runtime.errors import MissingPart, NoAnswer, SettingError, WordsightError
from wordsight.runtime.few_shot import FewShot
from wordsight.runtime.gate import Gate
from wordsight.runtime.part_rule import PartRule
from wordsight.runtime.references_file import default_path as references_path
from wordsight.runtime.references_file import read_references
from wordsight.runtime.scored_by import ScoredBy
from wordsight.runtime.sources.cut import Mask, Roi, mask_sha256, read_mask, require_seen
from wordsight.runtime.view import View

if TYPE_CHECKING:
    from wordsight.runtime.config.read import Loaded
    from wordsight.runtime.model import Model

_OPEN = Gate(darkest=0.0, brightest=255.0, most_clipped=1.0, least_sharp=0.0)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Resolved:
    """What one line is decided by under one recipe.

    Attributes:
        line: name of the line.
        recipe: name of the recipe; None for the line's own settings.
        model: the exported file.
        object: the noun that s_pr follows.
        few_shot: references; None without.
        by: thresholds and gate.
        roi: x, y, width, height in pixels; None for the whole frame.
        mask: (H, W) of the whole frame, True where it is looked at; None for all of it.
        rule: of parts; None where frames are decided one by one.
        remarks: what is to be known beforehand, one line each.
    """

    line: str
    recipe: str | None
    model: ModelFile
    object: str
    few_shot: FewShot | None
    by: DecideBy
    roi: Roi | None
    mask: Mask | None
    rule: PartRule | None
    remarks: tuple[str, ...]

    @property
    def scored_by(self) -> ScoredBy:
        """What its scores come from."""
        return ScoredBy.of(self.model.sha256, self.object, self.few_shot)


class Unresolved(Exception):
    """Carries a `Problem`: settings that cannot be used."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(problem.text)
        self.problem = problem


def resolve(loaded: "Loaded", chosen: Settings, files: ModelFiles) -> Resolved:
    """Read everything that the settings name and hold it against the model.

    Raises:
        Unresolved: with the key that is to be mended.
    """
    values = chosen.values

    def at(keys: tuple[str, ...], act: Callable[[], T]) -> T:
        try:
            return act()
        except WordsightError as error:
            lacking = isinstance(error, (MissingPart, NoAnswer))
            raise Unresolved(Problem(chosen.place(*keys), str(error), lacking)) from error

    text = values["model"]
    model = at(("model",), lambda: files.at(loaded.model(text), loaded.remote(text)))
    few_shot = at(("references", "shots", "s_img"), lambda: _references(loaded, model, values))
    view = at(("object",), lambda: View(model.manifest, values.get("object"), few_shot))
    by = at(("defect", "calibration"), lambda: _thresholds(loaded, model, view, values))
    given = values.get("roi")
    roi: Roi | None = None if given is None else (given[0], given[1], given[2], given[3])
    mask = at(("mask",), lambda: _mask(loaded, values.get("mask"), roi))
    parts = values.get("parts")
    rule = PartRule(**parts.model_dump()) if parts else None
    remarks = (*model.remarks, *_remarks(by, roi, mask, rule), *_deadlines(model, rule))
    return Resolved(chosen.line, chosen.recipe, model, view.object, few_shot, by, roi, mask, rule, remarks)


def _references(loaded: "Loaded", model: ModelFile, values: dict[str, Any]) -> FewShot | None:
    given = values.get("references")
    beside = None if model.beside is None else references_path(model.beside)
    place = loaded.resolve(given) if given else _found(beside) if given is None else None
    if place is None:
        idle = [key for key in ("shots", "s_img", "weight_img") if key in values]
        if idle:
            why = "references = false" if given is False else f"there is no {beside}" if beside else "none are named"
            raise SettingError(f"{idle[0]} needs references, and {why}: wordsight reference add MODEL GOOD...")
        return None
    as_model = cast("Model", model)  # its manifest and hash are all that is looked at
    references = read_references(place, for_model=as_model)
    if "shots" in values:
        references = references.first(values["shots"])
    few_shot = FewShot(references, values.get("s_img", "embedding"), float(values.get("weight_img", 1.0)))
    few_shot.require_for(as_model)
    return few_shot


def _thresholds(loaded: "Loaded", model: ModelFile, view: View, values: dict[str, Any]) -> DecideBy:
    gate = values.get("gate")
    given, defect = values.get("calibration"), values.get("defect")
    beside = None if model.beside is None else calibration_path(model.beside)
    place = loaded.resolve(given) if given else _found(beside) if given is None else None
    if defect is not None:
        if defect > view.top:
            raise SettingError(f"expected 0 to {view.top:g}, the range of this model's score, got {defect:g}")
        by = DecideBy(defect, values.get("unsure"), aside=place)
    elif place is not None:
        known = read_calibration(place)
        known.require_for(model.sha256, view.object, view.few_shot, str(place))
        by = DecideBy(known.defect, known.unsure, known.gate, place, known)
    else:
        by = DecideBy()
    if gate is False:
        return replace(by, gate=None)
    if gate is None:
        return by
    limits = {key: float(value) for key, value in gate.model_dump().items() if value is not None}
    return replace(by, gate=replace(by.gate or _OPEN, **limits))


def _found(path: Path | None) -> Path | None:
    return path if path is not None and os.path.lexists(path) else None


def _deadlines(model: ModelFile, rule: PartRule | None) -> Iterator[str]:
    """Say where a server may be waited for longer than a part has time."""
    if model.remote is not None and rule is not None and rule.deadline_ms is not None:
        ours = 1000 * model.remote.deadline_s
        if ours >= rule.deadline_ms:
            yield (
                f"a request may take {ours:g} ms, and parts have {rule.deadline_ms:g} ms: a server that hangs makes "
                "them late, and they are told so only then; [remote] deadline_ms"
            )


def _mask(loaded: "Loaded", given: str | bool | None, roi: Roi | None) -> Mask | None:
    if not given:
        return None
    mask = read_mask(loaded.resolve(str(given)))
    require_seen(mask, roi)
    return mask


def _remarks(by: DecideBy, roi: Roi | None, mask: Mask | None, rule: PartRule | None) -> "list[str]":
    told = []
    known = by.calibration
    if by.threshold is None:
        told.append("no threshold and no calibration: nothing is decided; wordsight calibrate MODEL GOOD...")
        if rule is not None:
            told.append("parts without a threshold are all unsure")
    if by.aside is not None:
        told.append(f"defect decides; {by.aside} is left aside")
    if known is not None:
        ours = () if roi is None else roi
        if known.roi and known.roi != ours:
            told.append(f"calibrated on the region {list(known.roi)}, not on {list(ours) or 'the whole frame'}")
        elif roi is not None and known.unknown_size(roi[2], roi[3]):
            told.append(f"no frame of {roi[2]}x{roi[3]} was among those that it was calibrated on")
        if known.mask_sha256 != ("" if mask is None else mask_sha256(mask)):
            here = "none" if mask is None else "this one"
            theirs = "another mask" if known.mask_sha256 else "no mask"
            told.append(f"calibrated with {theirs}, and here is {here}: wordsight calibrate --mask")
    return told
