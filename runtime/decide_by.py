"""What `wordsight run` decides by: `--threshold`, the calibration beside the model, or nothing."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.runtime.calibration import Calibration, default_path, read_calibration
from wordsight.runtime.errors import SettingError
from wordsight.runtime.files import file_sha256
from wordsight.runtime.gate import Gate

if TYPE_CHECKING:
    from wordsight.runtime.few_shot import FewShot
    from wordsight.runtime.line.applied import Applied


@dataclass(frozen=True)
class DecideBy:
    """Thresholds and gate in force, and where they come from.

    Attributes:
        threshold: score from which a frame is a defect; None: nothing is decided.
        unsure: score from which it is not good.
        gate: limits of exposure and sharpness.
        file: the calibration that is in force.
        calibration: what it says.
        aside: a calibration beside the model that `--threshold` sets aside.
        applied: where the thresholds were applied while a line ran, and are not those of its file.
    """

    threshold: float | None = None
    unsure: float | None = None
    gate: Gate | None = None
    file: Path | None = None
    calibration: Calibration | None = None
    aside: Path | None = None
    applied: "Applied | None" = None

    @classmethod
    def found(
        cls,
        model: str | os.PathLike[str],
        object_name: str,
        few_shot: "FewShot | None",
        threshold: float | None = None,
        calibration: Path | None = None,
        none: bool = False,
        sha256: str | None = None,
    ) -> "DecideBy":
        """Return what is in force.

        Args:
            model: the exported file.
            object_name: the object in force.
            few_shot: the references in force.
            threshold: `--threshold`, which comes before any calibration that merely lies there.
            calibration: `--calibration`; None for the one beside the model, if there is one.
            none: `--no-calibration`.
            sha256: of the exported file, where that is not here.

        Raises:
            SettingError: options that contradict each other.
            CalibrationError: it cannot be read, or is of another model, object or references; it is never passed over.
        """
        if calibration is not None and (none or threshold is not None):
            raise SettingError(
                f"expected --calibration FILE or {'--no-calibration' if none else '--threshold X'}, got both"
            )
        beside = default_path(model)
        file = calibration or (beside if os.path.lexists(beside) else None)
        if none or threshold is not None or file is None:
            return cls(threshold, aside=None if threshold is None else file)
        known = read_calibration(file)
        known.require_for(file_sha256(model) if sha256 is None else sha256, object_name, few_shot, str(file))
        return cls(known.defect, known.unsure, known.gate, file, known)

    @property
    def told(self) -> str:
        """The line that a run ends with; empty where there is no calibration."""
        known = self.calibration
        if known is None:
            return f"--threshold decides; {self.aside} is left aside" if self.aside else ""
        rate = f"at most {100 * known.rate:.3g}% of good frames called defects, {100 * known.confidence:g}% sure"
        zone = f"unsure above {known.unsure:.4f}, defect above {known.defect:.4f}"
        return f"{zone}: {rate}, from {known.frames} of them ({self.file})"

    def unlike(self, seen: Iterable[tuple[int, int]]) -> str:
        """Return the warning about frames that were looked at otherwise than the good ones; empty without.

        Args:
            seen: (height, width) of the frames, whole, of which none was masked.
        """
        known = self.calibration
        if known is None:
            return ""
        if known.mask_sha256:
            return "warning: calibrated with a mask, and this run has none; a line's file has: wordsight run --config"
        odd = [f"{width}x{height}" for height, width in seen if known.unknown_size(width, height)]
        if not odd:
            return ""
        more = f" and {len(odd) - 1} more sizes" if len(odd) > 1 else ""
        return f"warning: no frame of {odd[0]}{more} was among those that it was calibrated on"

    def remark(self, backend: str) -> str:
        """Return what is to be known where another engine scored the calibration; empty when it is the same."""
        known = self.calibration
        if known is None or known.backend == backend:
            return ""
        return f"calibrated on {known.backend}, which may score a little differently than {backend}"
