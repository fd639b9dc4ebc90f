"""Which layers of an encoder int8 or fp8 hurts, measured a block at a time, and a graph without the worst of them.

A block's hurt is what the scores do when it alone is quantised. Hurts are not sums of each other, so what is left out
in the end is not computed from them: blocks are left out in their order, the worst first, until the scores of the whole
graph lie within the limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.export.drift import Drift, Limits, measure
from wordsight.export.runner import onnxruntime_runner

if TYPE_CHECKING:
    from onnx import ModelProto

    from wordsight.export.plain import Frames, Outputs
    from wordsight.export.precision import Kind
    from wordsight.export.quantise import Quantiser

__all__ = ["MOST_LEFT_OUT", "Chosen", "least_hurt"]

MOST_LEFT_OUT = 0.5
"""Share of the blocks that may be left out: beyond, a file would be of this precision by its name alone."""

_RANKING_FRAMES = 64


@dataclass(frozen=True)
class Chosen:
    """A quantised graph, and what it took.

    Attributes:
        model: the graph.
        left_out: groups of layers that stay float32, the most hurtful first; empty where none had to.
        drift: of the graph, on all frames.
        alone: by group, the drift when it alone is quantised, the worst first; empty where that was not measured.
    """

    model: ModelProto
    left_out: tuple[str, ...]
    drift: Drift
    alone: dict[str, Drift] = field(default_factory=dict)

    @property
    def sensitivity(self) -> dict[str, float]:
        """By group, mean |score difference| when it alone is quantised, the worst first."""
        return {group: drift.mean for group, drift in self.alone.items()}


def least_hurt(
    quantiser: Quantiser,
    kind: Kind,
    frames: Frames,
    exact: Outputs,
    labels: NDArray[np.bool_] | None,
    limits: Limits,
    *,
    always: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
) -> Chosen:
    """Quantise everything, or, where that drifts beyond the limits, all but the groups of layers that hurt most.

    Where leaving out half of the groups does not bring the scores within the limits either, the closest graph that was
    tried is returned: its drift tells.

    Args:
        quantiser: the calibrated graph.
        kind: "int8" or "fp8".
        frames: (N, H, W, 3) uint8 BGR to judge by, none of which was calibrated on.
        exact: `score` (N,) and `embedding` (N, D) of these frames in float32.
        labels: (N,), true for a defect; None where nobody knows.
        limits: how far scores may drift.
        always: measure every group even where the whole lies within the limits: a look into an encoder.
        on_step: called with a line for people before each slow step, and while frames are scored.

    Raises:
        MissingPart, NoBackend: ONNX Runtime is not installed, or cannot run the graph.
    """
    on_step(f"writing the graph in {kind}")
    model = quantiser.rewrite(kind)
    drift = _drift(model, frames, exact, labels, f"in {kind}", on_step)
    best = Chosen(model, (), drift)
    fits = not drift.beyond(limits)
    if fits and not always:
        return best
    alone = _each_alone(quantiser, kind, frames, exact, on_step)
    if fits:
        return Chosen(model, (), drift, alone)
    ranked = list(alone)
    for count in range(1, int(MOST_LEFT_OUT * len(ranked)) + 1):
        left_out = tuple(ranked[:count])
        on_step(f"leaving {left_out[-1]} in float32")
        model = quantiser.rewrite(kind, left_out=left_out)
        drift = _drift(model, frames, exact, labels, f"with {count} of {len(ranked)} blocks in float32", on_step)
        if drift.mean < best.drift.mean:
            best = Chosen(model, left_out, drift)
        if not drift.beyond(limits):
            return Chosen(model, left_out, drift, alone)
    return Chosen(best.model, best.left_out, best.drift, alone)


def _each_alone(
    quantiser: Quantiser, kind: Kind, frames: Frames, exact: Outputs, on_step: Callable[[str], None]
) -> dict[str, Drift]:
    """The drift of every group alone, the worst first, on frames from all over the set."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, _RANKING_FRAMES).round().astype(int))
    wanted = {name: exact[name][chosen] for name in ("score", "embedding")}
    found = {}
    for number, group in enumerate(quantiser.groups, start=1):
        model = quantiser.rewrite(kind, left_out=[other for other in quantiser.groups if other != group])
        words = f"with {group} alone in {kind}, {number} of {len(quantiser.groups)}"
        found[group] = _drift(model, frames[chosen], wanted, None, words, on_step)
    return dict(sorted(found.items(), key=lambda item: item[1].mean, reverse=True))


def _drift(
    model: ModelProto,
    frames: Frames,
    exact: Outputs,
    labels: NDArray[np.bool_] | None,
    words: str,
    on_step: Callable[[str], None],
) -> Drift:
    runner = onnxruntime_runner(model.SerializeToString())
    return measure(exact, runner.score(frames, words, on_step), labels)
