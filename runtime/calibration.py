"""A calibration: what good frames said of one model, in a JSON file beside it.

    MODEL.calibration.json    read by `wordsight run`, by the line, and by whoever wants to know

It names the model by its hash, and the object and the references that the scores came from: with others, a score is
another number and these thresholds say nothing about it.
"""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.runtime.checks import OPTIONAL, build, require, require_sha256, require_time, unique_keys
from wordsight.runtime.errors import ManifestInvalid
from wordsight.runtime.files import whole_file
from wordsight.runtime.gate import Gate
from wordsight.runtime.thresholds import CalibrationError, Thresholds

if TYPE_CHECKING:
    from wordsight.runtime.few_shot import FewShot

SCHEMA = 1
MOST_SCORES = 1024
"""Scores that are kept for watching drift; of more frames, as many evenly spaced order statistics."""
MOST_SIZES = 32
_MAX_BYTES = 2**20
_ANEW = "make it anew: wordsight calibrate MODEL GOOD..., or leave it aside: --no-calibration"


@dataclass(frozen=True, kw_only=True)
class UsedReferences:
    """The references that the scores took in.

    Attributes:
        sha256: of the hashes of their frames, in order.
        count: k.
        method: how a frame was compared with them, see `few_shot`.
        w_img: weight of s_img in the score.
    """

    sha256: str
    count: int
    method: str
    w_img: float

    def __post_init__(self) -> None:
        require_sha256("references.sha256", self.sha256)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What good frames said of one model; the fields are the keys of the file.

    Attributes:
        schema: of the file, 1.
        model_sha256: of the exported file.
        object: the noun of the prompts that s_pr followed.
        backend: engine that scored.
        made: ISO 8601, UTC.
        rate: share of good frames that may be called defects.
        confidence: of that.
        frames: good frames, each counted once.
        repeated: frames that were left out, because they were there already.
        sizes: (width, height) of the good frames as they were scored; none where they were more than `MOST_SIZES`.
        roi: x, y, width, height that was cut out of each; empty for the whole frame.
        unsure: score from which a frame is not good, see `thresholds`.
        defect: score from which it is a defect.
        scores: ascending, of the good frames, or `MOST_SCORES` order statistics of theirs.
        gate: limits of exposure and sharpness, see `gate`.
        references: those that the scores took in; None without.
        mask_sha256: of what was painted over in each, see `cut.mask_sha256`; empty without a mask.

    Raises:
        ManifestInvalid: a value out of range.
    """

    schema: int
    model_sha256: str
    object: str
    backend: str
    made: str
    rate: float
    confidence: float
    frames: int
    repeated: int
    sizes: tuple[tuple[int, int], ...]
    roi: tuple[int, ...]
    unsure: float
    defect: float
    scores: tuple[float, ...]
    gate: Gate
    references: UsedReferences | None
    mask_sha256: str = field(default="", metadata=OPTIONAL)

    def __post_init__(self) -> None:
        require(self.schema == SCHEMA, "schema", f"{SCHEMA}; a later one needs a later Wordsight", self.schema)
        require_sha256("model_sha256", self.model_sha256)
        require_time("made", self.made)
        require(0 < self.rate < 1, "rate", "a share", self.rate)
        require(0 < self.confidence < 1, "confidence", "a share", self.confidence)
        require(self.frames > 0, "frames", "at least 1", self.frames)
        require(self.unsure <= self.defect, "unsure", f"at most {self.defect}", self.unsure)
        if self.mask_sha256:
            require_sha256("mask_sha256", self.mask_sha256)
        require(len(self.roi) in (0, 4), "roi", "none or four numbers", len(self.roi))
        good = 0 < len(self.scores) <= MOST_SCORES and list(self.scores) == sorted(self.scores)
        require(good, "scores", f"1 to {MOST_SCORES} ascending numbers", len(self.scores))

    @property
    def thresholds(self) -> Thresholds:
        """Where good ends and defect begins."""
        return Thresholds(self.unsure, self.defect)

    def unknown_size(self, width: int, height: int) -> bool:
        """Whether no good frame had this size: another camera, or a region that was not cut out here or there."""
        return bool(self.sizes) and (width, height) not in self.sizes

    def require_for(self, model_sha256: str, object_name: str, few_shot: "FewShot | None", label: str) -> None:
        """Compare with what is to be decided by it.

        Args:
            model_sha256: of the model's file.
            object_name: the object in force.
            few_shot: the references in force.
            label: names the calibration in messages: its file.

        Raises:
            CalibrationError: it is of another model, object or references; says which, and what to do.
        """
        ours, theirs = self.references, used_references(few_shot)
        if self.model_sha256 != model_sha256:
            raise CalibrationError(
                f"{label} is of another model, sha-256 {self.model_sha256[:12]}..., this one has "
                f"{model_sha256[:12]}...; {_ANEW}"
            )
        if self.object != object_name:
            raise CalibrationError(f"{label} is of the object {self.object!r}, not of {object_name!r}; {_ANEW}")
        if ours == theirs:
            return
        if ours is None:
            raise CalibrationError(f"{label} was made without references, and some are in force: {_ANEW}")
        if theirs is None:
            raise CalibrationError(f"{label} was made with {ours.count} references, and none are in force: {_ANEW}")
        raise CalibrationError(
            f"{label} was made with other references, {_told(ours)}; in force: {_told(theirs)}; {_ANEW}"
        )


def default_path(model: str | os.PathLike[str]) -> Path:
    """Where the calibration lies unless another place is named: beside the model."""
    return Path(f"{os.fspath(model)}.calibration.json")


def used_references(few_shot: "FewShot | None") -> UsedReferences | None:
    """Return what a calibration keeps of the references in force."""
    if few_shot is None:
        return None
    frames = few_shot.references.frames
    digest = hashlib.sha256("".join(frame.sha256 for frame in frames).encode()).hexdigest()
    return UsedReferences(sha256=digest, count=len(frames), method=few_shot.method, w_img=float(few_shot.w_img))


def sketch(scores: Sequence[float]) -> tuple[float, ...]:
    """Return the scores in ascending order, or `MOST_SCORES` of them at evenly spaced ranks, both ends included."""
    ordered = sorted(scores)
    if len(ordered) <= MOST_SCORES:
        return tuple(ordered)
    step = (len(ordered) - 1) / (MOST_SCORES - 1)
    return tuple(ordered[round(at * step)] for at in range(MOST_SCORES))


def write_calibration(path: str | os.PathLike[str], calibration: Calibration) -> None:
    """Write a calibration; the file appears whole or not at all, an older one stays until then.

    Raises:
        OSError: it cannot be written.
    """
    with whole_file(path, "w") as file:
        file.write(json.dumps(dataclasses.asdict(calibration), indent=1, allow_nan=False) + "\n")


def read_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Read a calibration.

    Raises:
        CalibrationError: absent, truncated, or not a calibration; names the file.
    """
    label = os.fspath(path)
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait for its other end
            raise CalibrationError(f"{label} is no file; expected what `wordsight calibrate` wrote")
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES:,} bytes")
        return build(Calibration, json.loads(data, object_pairs_hook=unique_keys, parse_constant=_refuse_constant))
    except FileNotFoundError as error:
        raise CalibrationError(f"no calibration at {label}; make one: wordsight calibrate MODEL GOOD...") from error
    except OSError as error:
        raise CalibrationError(f"cannot read {label}: {(error.strerror or str(error)).lower()}") from error
    except ManifestInvalid as error:
        told = str(error).replace("manifest key", "key")
    except (ValueError, RecursionError) as error:
        told = f"no JSON: {error}" if isinstance(error, json.JSONDecodeError) else str(error)
    raise CalibrationError(f"{label} holds no calibration that can be used: {told}; {_ANEW}")


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is no score")


def _told(used: UsedReferences) -> str:
    weight = "" if math.isclose(used.w_img, 1) else f", weight {used.w_img:g}"
    return f"{used.count} by {used.method}{weight} ({used.sha256[:8]})"
