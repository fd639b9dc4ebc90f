"""The part of the manifest that says how one drawn frame scores: what an engine must give before it may decide."""

from dataclasses import dataclass

from wordsight.runtime.checks import require

__all__ = ["PATTERN", "GoldenSpec"]

PATTERN = "squares-1"
"""The one frame there is, see `golden.golden_frame`."""


@dataclass(frozen=True, kw_only=True)
class GoldenSpec:
    """What torch gives for the golden frame in fp32, and how far an engine may be from it."""

    pattern: str = ""
    """Which frame; empty in files from before there was one."""
    score: float = 0.0
    s_pr: float = 0.0
    s_fnn: float = 0.0
    tolerance: float = 0.0
    """Largest difference of each of the three, of any engine that is right."""

    def __post_init__(self) -> None:
        require(self.pattern == "" or self.tolerance > 0, "golden.tolerance", "above 0", self.tolerance)
