"""A file of reduced precision beside its fp32 twin: the frames that both score, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from wordsight.export.calibration import FrameSets
from wordsight.export.drift import LIMITS, Drift, measure
from wordsight.export.errors import DriftError, NoBackend
from wordsight.export.plain import Outputs
from wordsight.export.precision import QUANTISED, Kind
from wordsight.export.runner import onnxruntime_runner, runner_for
from wordsight.runtime.manifest import DriftSpec

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["DriftReport", "Reduced", "reduce"]

_AIM = 0.6
"""Share of the allowed mean difference that int8 and fp8 are brought to."""


@dataclass(frozen=True)
class DriftReport:
    """What an export of reduced precision found out.

    Attributes:
        precision: of the file.
        drift: beside the fp32 graph.
        pictures: which frames, in words.
        backend: what ran the file.
        calibration: where the frames came from that set the scales.
        calibration_frames: how many.
        left_out: layers that stay in fp32.
        sensitivity: by group of layers, mean |score difference| when it alone is quantised; empty when not measured.
    """

    precision: str
    drift: Drift
    pictures: str
    backend: str
    calibration: Literal["none", "given", "generated"] = "none"
    calibration_frames: int = 0
    left_out: tuple[str, ...] = ()
    sensitivity: dict[str, float] = field(default_factory=dict)

    @property
    def beyond(self) -> list[str]:
        """What lies beyond the precision's limits, a line each."""
        return self.drift.beyond(LIMITS[self.precision])

    def require(self) -> None:
        """Raise DriftError unless the drift lies within the limits."""
        if self.beyond:
            raise DriftError(
                f"{self.precision} drifts too far from fp32: {'; '.join(self.beyond)}; no file was written "
                "(--allow-drift writes it all the same; --calibrate DIR takes frames of your own)",
                self,
            )

    def to_spec(self) -> DriftSpec:
        """The entry of the manifest."""
        return DriftSpec(
            **asdict(self.drift),
            pictures=self.pictures,
            backend=self.backend,
            calibration=self.calibration,
            calibration_frames=self.calibration_frames,
            left_out=self.left_out,
        )


@dataclass(frozen=True)
class Reduced:
    """A graph of reduced precision, and its drift; no report where no engine at hand runs it."""

    model: ModelProto
    report: DriftReport | None


def reduce(
    exact: ModelProto,
    precision: str,
    halved: Callable[[], ModelProto],
    sets: FrameSets,
    *,
    unverified: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
) -> Reduced:
    """Bring a graph to another precision, and measure what that does to its scores.

    Args:
        exact: the fp32 graph; it is left as it is.
        precision: any but fp32.
        halved: writes the graph with its tower in fp16 or bf16.
        sets: frames that set scales, and those that both graphs score.
        unverified: give the graph without a report where nothing here runs it.
        on_step: called with a line for people before each slow step, and while frames are scored.

    Raises:
        NoBackend: nothing here runs it, and ``unverified`` is false.
    """
    runner = onnxruntime_runner(exact.SerializeToString())
    wanted = runner.score(sets.check.frames, "in fp32", on_step)
    backend = runner.name
    del runner
    if precision in QUANTISED:
        return _quantised(exact, precision, sets, wanted, backend, unverified, on_step)
    on_step(f"writing the graph in {precision}")
    model = halved()
    try:
        runner = runner_for(model.SerializeToString())
    except NoBackend:
        if not unverified:
            raise
        return Reduced(model, None)
    drift = measure(wanted, runner.score(sets.check.frames, f"in {precision}", on_step), sets.check.labels)
    return Reduced(model, DriftReport(precision, drift, sets.check.pictures, runner.name))


def _quantised(
    exact: ModelProto,
    precision: Kind,
    sets: FrameSets,
    wanted: Outputs,
    backend: str,
    unverified: bool,
    on_step: Callable[[str], None],
) -> Reduced:
    from wordsight.export.quantise import Quantiser
    from wordsight.export.sensitivity import least_hurt

    quantiser = Quantiser(exact, sets.calibration, on_step=on_step)
    check = sets.check
    # Layers are left out until there is room below the limit: other frames drift a little more or less than these.
    aim = replace(LIMITS[precision], mean=_AIM * LIMITS[precision].mean)
    try:
        chosen = least_hurt(quantiser, precision, check.frames, wanted, check.labels, aim, on_step=on_step)
    except NoBackend:
        if not unverified:
            raise
        return Reduced(quantiser.rewrite(precision), None)
    report = DriftReport(
        precision,
        chosen.drift,
        check.pictures,
        backend,
        calibration=sets.source,
        calibration_frames=len(sets.calibration),
        left_out=chosen.left_out,
        sensitivity=chosen.sensitivity,
    )
    return Reduced(chosen.model, report)
