"""The frames that set the scales of int8 and fp8, and those on which a reduced precision is held against fp32.

Both come from the user's own pictures or, with none, from the generator's: of nouns that `mini` was trained on, never
of those that accuracy is told on. No frame is in both sets, or the scales would be judged on what they were fitted to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wordsight.export.plain import Frames
from wordsight.runtime.errors import SettingError
from wordsight.runtime.fit_input import covered, fit_input
from wordsight.runtime.manifest import InputSpec

__all__ = ["GOOD", "CheckFrames", "FrameSets", "collect"]

CALIBRATION, CHECK = 64, 256
"""Frames of each set, at most. More of the first moved no score by more than fewer did; the second takes a minute on a
ViT-B/16+."""
LEAST = 16
"""Frames of the user's, in all: below, ranges are those of a few pictures."""
GOOD = ("good", "normal", "ok")
"""Names of folders whose pictures have no defect, where others lie beside them."""
_MOST_BYTES = 256 << 20

Item = tuple[NDArray[np.uint8], bool | None]


@dataclass(frozen=True)
class CheckFrames:
    """Frames on which precisions are compared.

    Attributes:
        frames: (N, H, W, 3) uint8 BGR, as the graph takes them.
        labels: (N,), true for a defect; None where nobody knows.
        pictures: which they are, in words.
    """

    frames: Frames
    labels: NDArray[np.bool_] | None
    pictures: str


@dataclass(frozen=True)
class FrameSets:
    """Frames to calibrate on and, without a frame in common, to check on.

    Attributes:
        calibration: (N, H, W, 3) uint8 BGR, as the graph takes them.
        check: those that are scored in both precisions.
        source: whose they are.
    """

    calibration: Frames
    check: CheckFrames
    source: Literal["given", "generated"]


def collect(folder: Path | None, spec: InputSpec) -> FrameSets:
    """Read or draw both sets.

    Args:
        folder: a folder, a glob or a file of pictures, every second of which calibrates; None for generated ones.
            Pictures in a folder called good, normal or ok are taken for good and those beside them for defects.
        spec: what the graph takes.

    Raises:
        SettingError: too few pictures, or too few that differ, or only plain areas.
        PictureError, SourceError: a picture cannot be read, or there is none.
    """
    most = max(LEAST, min(CALIBRATION + CHECK, _MOST_BYTES // (3 * spec.shape[0] * spec.shape[1])))
    if folder is None:
        share = max(1, most * CALIBRATION // (CALIBRATION + CHECK))
        items = list(_drawn(most, spec))
        return _sets(items[:share], items[share:], "drawn parts, good and defective by turns", "generated")
    items = list(islice(_given(folder, spec), most))
    different = {sha256(frame.tobytes()).digest() for frame, _ in items}
    if len(items) < LEAST:
        raise SettingError(
            f"--calibrate {folder}: expected at least {LEAST} pictures, got {len(items)}; add normal frames"
        )
    if len(different) < LEAST // 2:
        raise SettingError(
            f"--calibrate {folder}: {len(items)} pictures, of which only {len(different)} differ; take frames of other "
            "parts and moments"
        )
    if all(np.ptp(frame.reshape(-1, 3), axis=0).max() == 0 for frame, _ in items):
        raise SettingError(f"--calibrate {folder}: every picture is one plain area; take frames as the line sees them")
    return _sets(items[::2], items[1::2], "the user's pictures", "given")


def _sets(calibration: list[Item], check: list[Item], words: str, source: Literal["given", "generated"]) -> FrameSets:
    known = [label for _, label in check if label is not None]
    labels = np.array(known, np.bool_) if len(known) == len(check) and 0 < sum(known) < len(known) else None
    frames = np.stack([frame for frame, _ in check])
    return FrameSets(np.stack([frame for frame, _ in calibration]), CheckFrames(frames, labels, words), source)


def _drawn(count: int, spec: InputSpec) -> Iterator[Item]:
    from wordsight.train.mini import training_nouns

    for picture in training_nouns(count):
        yield covered(picture.image, *spec.shape), bool(picture.label)


def _given(folder: Path, spec: InputSpec) -> Iterator[Item]:
    from wordsight.runtime.sources import readable_frames

    for item in readable_frames(folder):
        yield fit_input(item.image, spec), Path(item.source).parent.name.lower() not in GOOD
