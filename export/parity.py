"""The proof that ends an export: ONNX Runtime and torch score the same frames, and must agree.

The torch side is not the fused module but the plain reading of the paper: the encoder as it was loaded, every head by
itself with its batch norm in place, a softmax over two prompts. So the comparison covers what export rewrote
(attention, normalisation, folding) as well as what the exporter wrote down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wordsight.export.errors import NoBackend
from wordsight.export.fused import INPUT_NAME, TEMPERATURE
from wordsight.runtime.errors import MissingPart

if TYPE_CHECKING:
    from wordsight.runtime.manifest import ParitySpec
    from wordsight.train.encoders import Encoder
    from wordsight.train.head import Head

Frames = NDArray[np.uint8]
Outputs = dict[str, NDArray[np.float32]]

TOLERANCES = {"fp32": 1e-5}
"""Largest absolute difference allowed in any output, by precision."""

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
    def status(self) -> str:
        """The verdict in a word: "passed", "failed" or "not run"."""
        if self.frames == 0:
            return "not run"
        return "passed" if self else "failed"

    def to_spec(self) -> ParitySpec:
        """The entry of the manifest; a failed comparison has none, for its file is never written."""
        from wordsight.runtime.manifest import ParitySpec

        status = self.status
        if status == "failed":
            raise ValueError("expected a report that passed or was not run, got one that failed")
        return ParitySpec(
            status="passed" if status == "passed" else "not run",
            tolerance=self.tolerance,
            frames=self.frames,
            backend=self.backend,
            max=dict(self.max),
            mean=dict(self.mean),
        )


def parity_frames(size: int, seed: int = 0) -> Frames:
    """Eight uint8 BGR frames (8, S, S, 3): two of noise, two flat, four with shapes, shading and grain."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    flat = np.stack([np.full((size, size, 3), level, dtype=np.uint8) for level in (0, 200)])
    y, x = np.mgrid[0:size, 0:size] / size
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


@torch.inference_mode()
def reference_outputs(
    encoder: Encoder,
    heads: Sequence[Head],
    guiding: Tensor,
    frames: Frames,
    *,
    w_pr: float = 1.0,
    w_fnn: float = 1.0,
    temperature: float = TEMPERATURE,
) -> Outputs:
    """Every output of the graph by the plain way (sections 3.1 and 3.3), in float32.

    Args:
        encoder: as it was loaded.
        heads: K heads, each applied by itself.
        guiding: (2, D) embeddings of the guiding prompts, normal first.
        frames: uint8 BGR (N, S, S, 3).
        w_pr: weight of s_pr.
        w_fnn: weight of s_fnn.
        temperature: T of the softmax.

    Returns:
        score, s_pr, s_fnn (N,), embedding (N, D) and s_fnn_seeds (N, K).
    """
    device = next(encoder.model.parameters()).device
    mean = torch.tensor(encoder.mean, device=device)[:, None, None]
    std = torch.tensor(encoder.std, device=device)[:, None, None]
    rgb = torch.from_numpy(frames[..., ::-1].copy()).to(device).permute(0, 3, 1, 2)  # (N, 3, S, S)
    # TF32, on by default in cuDNN, would cost three digits.
    with torch.backends.cudnn.flags(allow_tf32=False):
        unit = F.normalize(cast(Any, encoder.model).encode_image((rgb / 255 - mean) / std), dim=-1)  # (N, D)
        texts = F.normalize(guiding.to(unit), dim=-1)
        s_pr = torch.softmax(unit @ texts.T / temperature, dim=-1)[:, 1]
        seeds = torch.stack([torch.sigmoid(head.to(device).eval()(unit)) for head in heads], dim=1)  # (N, K)
    s_fnn = seeds.mean(dim=1)
    score = w_pr * s_pr + w_fnn * s_fnn
    outputs = {"score": score, "s_pr": s_pr, "s_fnn": s_fnn, "embedding": unit, "s_fnn_seeds": seeds}
    return {name: value.cpu().numpy() for name, value in outputs.items()}


def compare_with_onnxruntime(model: bytes, frames: Frames, expected: Outputs, tolerance: float) -> ParityReport:
    """Run a graph in ONNX Runtime on the CPU, in one batch and one frame at a time, and report the differences.

    Args:
        model: a serialised ONNX graph that takes uint8 ``frames`` (N, S, S, 3).
        frames: uint8 BGR (N, S, S, 3).
        expected: what torch gave, by output name; outputs that the graph lacks are left aside.
        tolerance: largest absolute difference allowed.

    Raises:
        MissingPart: ONNX Runtime is not installed.
        NoBackend: ONNX Runtime has no kernel for a node of the graph.
    """
    try:
        import onnxruntime as ort
        from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel
    except ModuleNotFoundError as error:
        raise MissingPart(
            "ONNX Runtime, against which an export is checked, is not installed", "pip install 'wordsight[export]'"
        ) from error
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only: it warns of every initializer it folds
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except NoKernel as error:
        raise NoBackend(f"ONNX Runtime cannot run this graph: {str(error).splitlines()[0]}") from error
    names = [output.name for output in session.get_outputs()]

    differences: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    # One frame at a time as well: another batch size takes other kernels, and is what a camera gives.
    for batch in (slice(None), *(slice(i, i + 1) for i in range(1, len(frames), 2))):
        got = session.run(names, {INPUT_NAME: frames[batch]})
        for name, value in zip(names, got, strict=True):
            wanted = expected[name][batch]
            if value.dtype != np.float32 or value.shape != wanted.shape:
                raise RuntimeError(f"output {name}: expected float32 {wanted.shape}, got {value.dtype} {value.shape}")
            differences[name].append(np.abs(value.astype(np.float64) - wanted).ravel())
    pooled = {name: np.concatenate(parts) for name, parts in differences.items()}
    return ParityReport(
        tolerance=tolerance,
        frames=len(frames),
        backend=f"onnxruntime {ort.__version__} {session.get_providers()[0]}",
        max={name: float(values.max()) for name, values in pooled.items()},
        mean={name: float(values.mean()) for name, values in pooled.items()},
    )
