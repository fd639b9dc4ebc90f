"""The rule by which the frames of a part decide over it; `parts` follows it."""

from dataclasses import dataclass

from wordsight.runtime.errors import SettingError


@dataclass(frozen=True)
class PartRule:
    """How the frames of a part decide over it.

    A part is a defect when at least `defects` of some `of` frames in a row are defects (n of m). It is unsure when it
    is no defect but as many of `of` in a row are not good, or it has fewer than `least` frames, or it is late, or a
    server gave no answer to one of its frames.

    Attributes:
        defects: n.
        of: m; None for all frames of the part.
        hold: hysteresis: behind a frame that is a defect, unsure ones count as defects too, until a good one comes.
        frames: how many a part has, where that is known: it is decided with the last of them; None: with the first
            frame of the next part, the next trigger, or after `gap_ms`.
        least: fewer frames than these decide nothing.
        gap_ms: a part ends when no frame of it came for so long; None: never by itself.
        deadline_ms: from its trigger, or its first frame's capture; what is not decided by then is unsure, and late.

    Raises:
        SettingError: a number out of range.
    """

    defects: int = 1
    of: int | None = None
    hold: bool = False
    frames: int | None = None
    least: int = 1
    gap_ms: float | None = None
    deadline_ms: float | None = None

    def __post_init__(self) -> None:
        if self.defects < 1 or self.least < 1:
            raise SettingError("expected defects and least of a part rule of 1 or more")
        if self.of is not None and self.of < self.defects:
            raise SettingError(f"expected at most {self.of} defects of {self.of} frames, got {self.defects}")
        if self.frames is not None and self.frames < max(self.defects, self.least):
            raise SettingError(f"a part of {self.frames} frames has neither {self.defects} defects nor {self.least}")
        for name in ("gap_ms", "deadline_ms"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingError(f"expected {name} of a part rule above 0, got {value:g}")
