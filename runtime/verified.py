"""What `verify` found: one file on one backend, and all of them together."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

State = Literal["reference", "agrees", "differs", "not judged", "not run"]


@dataclass(frozen=True)
class Run:
    """One file on one backend.

    Attributes:
        path: the file.
        precision: of the file, by its manifest.
        backend: one of `ENGINES`.
        engine: engine, version and what it runs on; empty where it did not start.
        state: "differs" also when it started and then failed, or gave what is no finite number.
        reason: why it did not run, is not judged, or failed; empty otherwise.
        install: the line that brings what this machine lacks; empty where it lacks nothing.
        tolerance: largest difference allowed in any output; None where nothing says one.
        max: largest absolute difference, by output.
        mean: mean absolute difference, by output.
        changes: frames whose decision is another one than the reference's; None without a threshold.
    """

    path: Path
    precision: str
    backend: str
    engine: str = ""
    state: State = "not run"
    reason: str = ""
    install: str = ""
    tolerance: float | None = None
    max: dict[str, float] = field(default_factory=dict)
    mean: dict[str, float] = field(default_factory=dict)
    changes: int | None = None

    @property
    def worst(self) -> str:
        """The output that is furthest off; one that is no number before all others."""
        return max(self.max, key=lambda name: np.nan_to_num(self.max[name], nan=np.inf), default="")


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        frames: how many were compared.
        reference: what all others are held against, in words.
        reference_precision: in which the reference computes.
        threshold: score from which a frame is a defect; None where decisions were not compared.
        threshold_reason: where the threshold comes from, or why there is none.
        runs: in the order of the files, then of `ENGINES`.
    """

    frames: int
    reference: str
    reference_precision: str
    threshold: float | None
    threshold_reason: str
    runs: list[Run]

    def of_state(self, *states: State) -> list[Run]:
        """The runs that ended in one of some states."""
        return [run for run in self.runs if run.state in states]

    def idle(self) -> list[Path]:
        """Files that nothing on this machine runs, in order."""
        paths = dict.fromkeys(run.path for run in self.runs)
        return [path for path in paths if all(run.state == "not run" for run in self.runs if run.path == path)]
