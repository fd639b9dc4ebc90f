"""The proof that ends an export: an engine and torch score the same frames, and must agree.

The torch side is not the fused module but the plain reading of the paper, `wordsight.export.plain`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # plain and fused bring torch, which the frames and the tolerances do not need
    from wordsight.export.plain import Frames, Outputs
    from wordsight.export.runner import Runner
    from wordsight.runtime.manifest import ParitySpec

TOLERANCES = {"fp32": 1e-5, "fp16": 0.01, "bf16": 0.05, "int8": 0.25, "fp8": 0.5}
"""Largest absolute difference allowed in any output, by precision.

Beside fp32 these are bounds on the worst of a few extreme frames, which a softmax at T = 0.01 magnifies a hundredfold;
what a precision may do to scores as a whole is in `wordsight.export.drift`.
"""

NUM_FRAMES = 8


@dataclass(frozen=True)
class ParityReport:
    """A verdict with its evidence: true when every output agrees within the tolerance.

    Attributes:
        tolerance: largest absolute difference allowed in any output.
        frames: how many frames were compared; 0 when no backend could run the graph.
        backend: engine, version and provider.
        max: largest absolute difference, by output.
        mean: mean absolute difference, by output.
    """

    tolerance: float
    frames: int = 0
    backend: str = ""
    max: dict[str, float] = field(default_factory=dict)
    mean: dict[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        # "not above" would let NaN through; "at most" does not.
        return self.frames > 0 and all(difference <= self.tolerance for difference in self.max.values())

    @property
    def status(self) -> Literal["passed", "exceeded", "not run"]:
        """The verdict in a word: "passed", "exceeded" or "not run"."""
        if self.frames == 0:
            return "not run"
        return "passed" if self else "exceeded"

    def to_spec(self) -> ParitySpec:
        """The entry of the manifest."""
        from wordsight.runtime.manifest import ParitySpec

        return ParitySpec(
            status=self.status,
            tolerance=self.tolerance,
            frames=self.frames,
            backend=self.backend,
            max=dict(self.max),
            mean=dict(self.mean),
        )


def parity_frames(size: int | tuple[int, int], seed: int = 0) -> Frames:
    """Eight uint8 BGR frames (8, H, W, 3): two of noise, two flat, four with shapes, shading and grain.

    Args:
        size: rows and columns, or one number for both.
        seed: of the random parts.
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (2, rows, columns, 3), dtype=np.uint8)
    flat = np.stack([np.full((rows, columns, 3), level, dtype=np.uint8) for level in (0, 200)])
    y, x = np.mgrid[0:rows, 0:columns] / min(rows, columns)
    natural = []
    for _ in range(NUM_FRAMES - 4):
        angle, phase, frequency = *rng.uniform(0, 2 * np.pi, 2), rng.uniform(2, 12)
        shading = 110 + 60 * np.sin(frequency * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        picture = shading[..., None] * rng.uniform(0.6, 1.2, 3)
        centre, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.3)
        disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        picture[disc] = rng.uniform(0, 255, 3)
        picture += rng.normal(0, 6, picture.shape)
        natural.append(np.clip(picture, 0, 255).astype(np.uint8))
    return np.concatenate([noise, flat, np.stack(natural)])


def compare(
    runner: Runner, frames: Frames, expected: Outputs, tolerance: float, batch: int | None = None
) -> ParityReport:
    """Run a graph in batches and one frame at a time, and report the differences.

    Args:
        runner: the graph in an engine.
        frames: uint8 BGR (N, H, W, 3).
        expected: what torch gave, by output name; outputs that the graph lacks are left aside.
        tolerance: largest absolute difference allowed.
        batch: most frames at once; None for all.

    Raises:
        RuntimeError: an output of another shape or type than torch's.
    """
    differences: dict[str, list[NDArray[np.float64]]] = {}
    # One frame at a time as well: another batch size takes other kernels, and is what a camera gives.
    most = batch or len(frames)
    whole = (slice(i, i + most) for i in range(0, len(frames), most))
    for part in (*whole, *(slice(i, i + 1) for i in range(1, len(frames), 2))):
        for name, value in runner.run(frames[part]).items():
            wanted = expected[name][part]
            if value.dtype != np.float32 or value.shape != wanted.shape:
                raise RuntimeError(f"output {name}: expected float32 {wanted.shape}, got {value.dtype} {value.shape}")
            differences.setdefault(name, []).append(np.abs(value.astype(np.float64) - wanted).ravel())
    pooled = {name: np.concatenate(parts) for name, parts in differences.items()}
    return ParityReport(
        tolerance=tolerance,
        frames=len(frames),
        backend=runner.name,
        max={name: float(values.max()) for name, values in pooled.items()},
        mean={name: float(values.mean()) for name, values in pooled.items()},
    )


def compare_with_onnxruntime(model: bytes, frames: Frames, expected: Outputs, tolerance: float) -> ParityReport:
    """`compare` a serialised graph in ONNX Runtime on the CPU.

    Raises:
        MissingPart: ONNX Runtime is not installed.
        NoBackend: ONNX Runtime has no kernel for a node of the graph.
    """
    from wordsight.export.runner import onnxruntime_runner

    return compare(onnxruntime_runner(model), frames, expected, tolerance)
