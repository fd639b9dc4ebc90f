"""The TensorRT plan of a model: what `wordsight build` made on this machine, and no other.

A plan is a program, bound to one GPU and one version of TensorRT. So it is taken from where `wordsight build` keeps its
engines, under the same conditions as for a line; see `wordsight.runtime.backends.engine_files`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordsight.runtime.backends.cuda import Cuda
from wordsight.runtime.backends.engine_files import best_profile, engine_folder, read_engine, why_none
from wordsight.runtime.backends.tensorrt_build import load_module
from wordsight.runtime.backends.tensorrt_cache import BATCH, engine_key
from wordsight.runtime.errors import ModelError
from wordsight.runtime.manifest import Manifest


@dataclass(frozen=True)
class Plan:
    """A plan and what it is bound to.

    Attributes:
        data: its bytes.
        batch: most frames that it takes at once.
        made_with: TensorRT's version and the GPU: "tensorrt 10.3.0, NVIDIA L4".
    """

    data: bytes
    batch: int
    made_with: str


def find_plan(
    model: Path, manifest: Manifest, sha256: str, batch: int | None, *, trt: Any = None, cuda: Cuda | None = None
) -> Plan:
    """Return the plan of this machine's GPU and TensorRT for a model.

    Args:
        model: the exported file.
        manifest: what it says about itself.
        sha256: of the file.
        batch: most frames at once that are asked for; None for what the plan was built for.
        trt: the module; None for the installed one.
        cuda: the CUDA runtime; None for the installed one.

    Raises:
        MissingPart: this machine has no GPU that runs, or no TensorRT.
        ModelError: there is no such plan, or it holds fewer frames.
        EngineRefused: there is one that is not safely ours.
    """
    trt = trt or load_module("tensorrt")
    gpu = (cuda or Cuda()).gpu()
    folder = engine_folder(model)
    key = best_profile(folder, engine_key(trt, gpu, manifest.precision, BATCH, sha256), batch or BATCH)
    most = key.profile[2]
    build = f"wordsight build {model} --backend tensorrt"
    try:
        data = read_engine(folder, key)
    except FileNotFoundError as error:
        raise ModelError(f"no TensorRT plan of {model} for {gpu.name}: {why_none(folder, key)}; {build}") from error
    if batch is not None and batch > most:
        raise ModelError(f"--batch {batch}: the plan there takes {most} frames at most; {build} --batch {batch}")
    return Plan(data, batch or most, f"{key.module} {key.version}, {key.gpu}")
