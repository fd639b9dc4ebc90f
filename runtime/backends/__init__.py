"""Engines behind one verb: frames in, named arrays out. `docs/engines.md` tells each one's terms."""

import os
from collections.abc import Callable

from wordsight.runtime.backends.base import Backend, brief
from wordsight.runtime.errors import MissingPart, ModelError, SettingError
from wordsight.runtime.manifest import Manifest

__all__ = ["BACKENDS", "ENGINES", "Backend", "open_backend"]

BACKENDS = (
    "auto", "ort", "ort-cpu", "ort-cuda", "ort-tensorrt", "openvino", "openvino-bf16", "tensorrt", "tensorrt-rtx",
)  # fmt: skip
"""Names that `open_backend` takes. "auto" is the fastest here that gives the same scores, "ort" the best provider of
ONNX Runtime that really runs; every other name is that engine or an error."""
ENGINES = tuple(name for name in BACKENDS if name not in ("auto", "ort"))
"""Every backend that is an engine of its own; the other two choose among these."""


def open_backend(
    name: str,
    path: str | os.PathLike[str],
    manifest: Manifest,
    *,
    batch: int = 32,
    threads: int | None = None,
    graphs: bool = True,
    on_step: Callable[[str], None] = lambda _: None,
) -> Backend:
    """Load an exported file, whose manifest was read before, into an engine and warm it up.

    Args:
        name: one of `BACKENDS`.
        path: the file.
        manifest: what it says about itself.
        batch: most frames that will be given at once; engines of fixed shapes prepare for it.
        threads: of an engine on the processor; None for its own choice.
        graphs: whether `ort-cuda`, `tensorrt` and `tensorrt-rtx` use CUDA graphs where they can; without them each
            kernel is launched by itself.
        on_step: called with a line for people before what takes long, such as building an engine.

    Raises:
        SettingError: no such backend.
        MissingPart: this machine lacks the engine, or what it runs on.
        ModelError: the engine refuses the file.
    """
    if name not in BACKENDS:
        raise SettingError(f"expected a backend of {', '.join(BACKENDS)}, got {name!r}")
    if name == "auto":
        from wordsight.runtime.backends.auto import choose

        return choose(path, manifest, lambda one: open_backend(one, path, manifest, batch=batch, threads=threads,
                                                               on_step=on_step))  # fmt: skip
    if name == "ort":
        return _best_provider(path, manifest, batch, threads)
    if name.startswith("openvino"):
        from wordsight.runtime.backends.openvino import OpenVinoBackend

        return OpenVinoBackend(path, manifest, precision="bf16" if name == "openvino-bf16" else "f32", threads=threads)
    if name.startswith("tensorrt"):
        from wordsight.runtime.backends.tensorrt_cache import open_tensorrt

        return open_tensorrt(name, path, manifest, batch=batch, graphs=graphs, on_step=on_step)
    from wordsight.runtime.backends.ort import OrtBackend

    return OrtBackend(path, manifest, provider=name.removeprefix("ort-"), batch=batch, threads=threads, graphs=graphs)


def _best_provider(
    path: str | os.PathLike[str], manifest: Manifest, batch: int, threads: int | None, onnxruntime: object = None
) -> Backend:
    """CUDA where a frame goes through it, else the processor, and why."""
    from wordsight.runtime.backends.ort import OrtBackend, listed

    refused = ""
    if "CUDAExecutionProvider" in listed(onnxruntime):
        try:
            gpu = OrtBackend(path, manifest, provider="cuda", batch=batch, onnxruntime=onnxruntime)
            gpu.reason = gpu.reason.replace("asked for", "the best provider of ONNX Runtime that runs here")
            return gpu
        except (MissingPart, ModelError) as error:
            refused = f"ort-cuda does not run here: {brief(error)}"
    backend = OrtBackend(path, manifest, provider="cpu", threads=threads, onnxruntime=onnxruntime)
    backend.reason = "; ".join(filter(None, ("the best provider of ONNX Runtime that runs here", refused)))
    backend.fallback = refused
    return backend
