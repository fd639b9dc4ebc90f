"""ONNX Runtime's providers on a GPU: fixed batches, buffers that stay where they are, and CUDA graphs."""

import os
import shutil
from typing import Any

import numpy as np

from wordsight.runtime.backends.base import Arrays, Frames, buckets, one_line, refusal
from wordsight.runtime.errors import ModelError
from wordsight.runtime.files import file_sha256
from wordsight.runtime.manifest import Manifest


def gpu_session(
    ort: Any,
    path: str | os.PathLike[str],
    manifest: Manifest,
    options: Any,
    provider: str,
    batch: int,
    graphs: bool = True,
) -> tuple[Any, str]:
    """A session on the CUDA or TensorRT provider, with CUDA graphs where ONNX Runtime can capture this file.

    Args:
        ort: the module.
        path: the exported file.
        manifest: what it says about itself.
        options: the session's.
        provider: "cuda" or "tensorrt".
        batch: most frames at once.
        graphs: False for a session on "cuda" without CUDA graphs.

    Returns:
        The session, and what is to be said of it.

    Raises:
        ModelError: ONNX Runtime refuses the file, or the folder of engines is not safe.
    """
    # fp32 stays fp32: TF32 rounds to ten bits, and would change scores behind the manifest's back.
    cuda = {"device_id": "0", "use_tf32": "0"}
    if provider == "tensorrt":
        first = ("TensorrtExecutionProvider", _tensorrt_options(ort, path, manifest, batch))
        attempts = [([first, ("CUDAExecutionProvider", cuda)], "engine cache")]
    else:
        captured = ("CUDAExecutionProvider", {**cuda, "enable_cuda_graph": "1"})
        attempts = [([captured], "CUDA graphs")] if graphs else []
        attempts.append(([("CUDAExecutionProvider", cuda)], "without CUDA graphs"))
    refused: Exception | None = None
    for providers, told in attempts:
        try:
            # Small nodes that compute shapes belong on the processor, so it stands last.
            session = ort.InferenceSession(os.fspath(path), options, providers=[*providers, "CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            refused = refused or error
            continue
        session.disable_fallback()
        return session, told if refused is None else f"{told}: {one_line(refused)}"
    raise refusal("ONNX Runtime", os.fspath(path), manifest, refused or RuntimeError("no attempt")) from refused


def _tensorrt_options(ort: Any, path: str | os.PathLike[str], manifest: Manifest, batch: int) -> dict[str, str]:
    from wordsight.runtime.backends.engine_files import engine_folder, private_folder, refuse_foreign

    # ONNX Runtime tells engines apart by the graph, not by its weights: a head that was trained anew would find the
    # engine of the old one. So each file has a folder of its own, and those of files that are gone go with them.
    parent = private_folder(engine_folder(path))
    folder = parent / f"onnxruntime-{ort.__version__}-{file_sha256(path)[:16]}"
    for old in parent.glob("onnxruntime-*"):
        if old != folder:
            refuse_foreign(old)
            shutil.rmtree(old)
    refuse_foreign(folder)
    name, shape = manifest.input.name, "x".join(map(str, (*manifest.input.shape, 3)))
    return {
        "device_id": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        "trt_profile_min_shapes": f"{name}:1x{shape}",
        "trt_profile_opt_shapes": f"{name}:{min(4, batch)}x{shape}",
        "trt_profile_max_shapes": f"{name}:{batch}x{shape}",
    }


class GraphRunner:
    """Runs a session at fixed batch sizes; a CUDA graph replays fixed addresses, so each size keeps its own buffers."""

    def __init__(self, ort: Any, session: Any, manifest: Manifest, batch: int) -> None:
        """Prepare nothing yet: buffers are made for a batch size when it is first met.

        Args:
            ort: the module.
            session: from `gpu_session`.
            manifest: of the file; all axes but N must be numbers.
            batch: most frames in one pass; more are split.

        Raises:
            ModelError: an output whose shape the manifest leaves open.
        """
        loose = [name for name, shape in manifest.outputs.items() if any(isinstance(axis, str) for axis in shape[1:])]
        if loose:
            raise ModelError(f"output {', '.join(loose)} has an open shape; ONNX Runtime on a GPU needs fixed ones")
        self._ort, self._session, self._manifest = ort, session, manifest
        self._buckets = buckets(batch)
        self._bound: dict[int, tuple[Any, Any, dict[str, Any], Any, Frames]] = {}

    def infer(self, frames: Frames) -> Arrays:
        """Run (N, H, W, 3) uint8 BGR frames; N above the largest bucket is split, below one it is padded with black."""
        most = self._buckets[-1]
        parts = [self._pass(frames[at : at + most]) for at in range(0, len(frames), most)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._manifest.outputs}

    def _pass(self, frames: Frames) -> Arrays:
        size = next(bucket for bucket in self._buckets if bucket >= len(frames))
        if size not in self._bound:
            self._bound[size] = self._bind(size)
        binding, given, made, options, staged = self._bound[size]
        staged[: len(frames)] = frames
        staged[len(frames) :] = 0
        given.update_inplace(staged)
        self._session.run_with_iobinding(binding, options)
        return {name: value.numpy()[: len(frames)] for name, value in made.items()}

    def _bind(self, size: int) -> tuple[Any, Any, dict[str, Any], Any, Frames]:
        shape = (size, *self._manifest.input.shape, 3)
        new = self._ort.OrtValue.ortvalue_from_shape_and_type
        given = new(shape, np.uint8, "cuda", 0)
        made = {name: new((size, *axes[1:]), np.float32, "cuda", 0) for name, axes in self._manifest.outputs.items()}
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._manifest.input.name, given)
        for name, value in made.items():
            binding.bind_ortvalue_output(name, value)
        options = self._ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(size))  # one graph a batch size
        return binding, given, made, options, pinned(shape)


def pinned(shape: tuple[int, ...]) -> Frames:
    """A uint8 array in page-locked memory, which a GPU reads without a detour; an ordinary one without cuda-python."""
    from wordsight.runtime.backends.cuda import Cuda, CudaError
    from wordsight.runtime.errors import MissingPart

    try:
        return Cuda().pinned(shape, np.dtype(np.uint8))
    except (MissingPart, CudaError):
        return np.zeros(shape, np.uint8)
