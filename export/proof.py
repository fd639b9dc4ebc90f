"""Whether a graph that is to be written agrees with torch, and what torch says of the frames that prove it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wordsight.export.errors import NoBackend, ParityError
from wordsight.export.parity import ParityReport, compare, parity_frames
from wordsight.export.runner import runner_for
from wordsight.runtime.errors import MissingPart
from wordsight.runtime.fit_input import fit_input
from wordsight.runtime.golden import golden_frame

if TYPE_CHECKING:
    from onnx import ModelProto

    from wordsight.export.plain import Frames, Outputs
    from wordsight.runtime.manifest import InputSpec


@dataclass(frozen=True)
class Proof:
    """What the comparison gave.

    Attributes:
        report: how far the engine was from torch.
        expected: torch's outputs for the frames of the comparison, by name.
        golden: torch's outputs for the golden frame, (1, ...) each, by name.
    """

    report: ParityReport
    expected: Outputs
    golden: Outputs


def prove(
    model: ModelProto,
    reference: Callable[[Frames], Outputs],
    spec: InputSpec,
    taken: InputSpec,
    tolerance: float,
    *,
    unverified: bool,
    may_differ: bool,
) -> Proof:
    """Hold a graph in an engine against torch.

    Args:
        model: the graph.
        reference: torch's outputs by name, for frames (N, H, W, 3) uint8 BGR that are fitted already.
        spec: how frames are fitted.
        taken: the same, with the camera's frame where the graph fits it itself: what the graph takes.
        tolerance: largest absolute difference allowed in any output.
        unverified: go on where nothing here can run the graph; the report then says so.
        may_differ: go on beyond the tolerance, too.

    Raises:
        ParityError: the graph disagrees with torch by more than the tolerance.
        NoBackend, MissingPart: nothing here can run the graph.
    """
    frames = parity_frames(taken.shape)
    fitted, known = (
        np.stack([fit_input(each, spec) for each in given]) for given in (frames, golden_frame(*taken.shape)[None])
    )
    expected, golden = reference(fitted), reference(known)
    try:
        runner = runner_for(model.SerializeToString())
        report = compare(runner, frames, expected, tolerance, batch=taken.most_frames(len(frames)))
    except (MissingPart, NoBackend):
        if not unverified:
            raise
        report = ParityReport(tolerance)
    if report.status == "exceeded" and not may_differ:
        worst = max(report.max, key=lambda name: _with_nan_last(report.max[name]))
        raise ParityError(
            f"the exported graph disagrees with torch: {worst} differs by up to {report.max[worst]:.2g}, "
            f"allowed is {tolerance:.0e}; no file was written",
            report,
        )
    return Proof(report, expected, golden)


def _with_nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value
