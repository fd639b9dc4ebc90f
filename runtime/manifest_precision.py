"""The part of the manifest that says how far a file of reduced precision is from its fp32 twin."""

from dataclasses import dataclass
from typing import Literal

from wordsight.runtime.checks import require

__all__ = ["DriftSpec"]


@dataclass(frozen=True, kw_only=True)
class DriftSpec:
    """Scores of the file beside those of the fp32 graph of the same head, on the same frames; all 0 for fp32."""

    frames: int = 0
    """How many were scored by both; 0: none were."""
    pictures: str = ""
    """Which, in words; never a path."""
    backend: str = ""
    """Engine, version and provider that ran the file; the fp32 graph runs in ONNX Runtime on the processor."""
    mean: float = 0.0
    """Mean |difference of `score`|."""
    p99: float = 0.0
    max: float = 0.0
    rank_correlation: float | None = None
    """Spearman's, of `score`; None where all frames score alike."""
    auroc_change: float | None = None
    """AUROC of the file less that of the fp32 graph, 0 to 1; None without labels."""
    cosine_min: float = 0.0
    """Smallest cosine between the two embeddings of a frame."""
    calibration: Literal["none", "given", "generated"] = "none"
    """Which frames set the scales of int8 and fp8."""
    calibration_frames: int = 0
    left_out: tuple[str, ...] = ()
    """Layers that stay in fp32 because the measured sensitivity pass found that they hurt."""

    def __post_init__(self) -> None:
        require(self.frames >= 0, "drift.frames", "0 or more", self.frames)
        require(not set("/\\") & set(self.pictures), "drift.pictures", "words, never a path", self.pictures)
        require(0 <= self.mean <= self.max or self.frames == 0, "drift.mean", "0 to drift.max", self.mean)
        require(self.calibration_frames >= 0, "drift.calibration_frames", "0 or more", self.calibration_frames)
