"""ONNX Runtime, on the provider that was asked for or not at all."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from wordsight.runtime.backends.base import Arrays, Backend, Frames, one_line, refusal, warm_up
from wordsight.runtime.errors import MissingPart, ModelError
from wordsight.runtime.manifest import Manifest

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "pip install 'wordsight[runtime]'"),
    "cuda": ("CUDAExecutionProvider", "pip install 'wordsight[gpu]', and CUDA with cuDNN as its release notes name"),
    "tensorrt": ("TensorrtExecutionProvider", "pip install 'wordsight[gpu]', and TensorRT as its release notes name"),
}
"""Our name of a provider: ONNX Runtime's name, and the line that brings it."""


class OrtBackend(Backend):
    """One inference session; see `wordsight.runtime.backends.base.Backend`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        manifest: Manifest,
        *,
        provider: str = "cpu",
        batch: int = 32,
        threads: int | None = None,
        graphs: bool = True,
        onnxruntime: Any = None,
    ) -> None:
        """Load the file and run one frame: a provider that is listed may still not run.

        Args:
            path: an exported file.
            manifest: what it says about itself.
            provider: "cpu", "cuda" or "tensorrt".
            batch: most frames at once, for the providers on a GPU.
            threads: of the processor; None for ONNX Runtime's own choice.
            graphs: whether "cuda" uses CUDA graphs where ONNX Runtime can capture the file.
            onnxruntime: the module; None for the installed one.

        Raises:
            MissingPart: ONNX Runtime is not installed, or the provider does not run here.
            ModelError: it refuses the file, or its outputs are not those of the manifest.
        """
        ort = onnxruntime or installed()
        name, install = PROVIDERS[provider]
        if name not in ort.get_available_providers():
            raise MissingPart(f"this ONNX Runtime ({ort.__version__}) was built without {name}", install)
        self._input, self._outputs = manifest.input.name, list(manifest.outputs)
        self._run: Any = None
        options = ort.SessionOptions()
        options.log_severity_level = 4  # only what is fatal: errors arrive as exceptions
        if threads is not None:
            options.intra_op_num_threads = threads
        if provider == "cpu":
            self._session = _session(ort, path, manifest, options, [name])
        else:
            from wordsight.runtime.backends.ort_gpu import GraphRunner, gpu_session

            self._session, told = gpu_session(ort, path, manifest, options, provider, batch, graphs)
            self.reason = f"asked for; {told}"
            self._run = GraphRunner(ort, self._session, manifest, batch)
        got = self._session.get_providers()[0]
        if got != name:
            # The list of available ones is fixed when ORT is compiled; the session's own list is what runs.
            self.close()
            raise MissingPart(f"{name} is listed, but the session fell back to {got}: it cannot start here", install)
        self.name = f"onnxruntime {ort.__version__} {name}"
        warm_up(self, os.fspath(path), manifest)

    def infer(self, frames: Frames) -> Arrays:
        """Run (N, H, W, 3) uint8 BGR frames; return each output of the manifest by name.

        Raises:
            ModelError: the engine fails.
        """
        frames = np.ascontiguousarray(frames)
        try:
            if self._run is not None:
                found: Arrays = self._run.infer(frames)
                return found
            arrays: Sequence[Any] = self._session.run(self._outputs, {self._input: frames})
        except Exception as error:
            raise ModelError(f"ONNX Runtime failed on {len(frames)} frames: {one_line(error)}") from error
        return dict(zip(self._outputs, arrays, strict=True))

    def close(self) -> None:
        """Give the session back."""
        self._session = self._run = None


def listed(onnxruntime: Any = None) -> list[str]:
    """Return the providers that ONNX Runtime was built with.

    Raises:
        MissingPart: it is not installed.
    """
    return list((onnxruntime or installed()).get_available_providers())


def installed() -> Any:
    """Return the module of ONNX Runtime.

    Raises:
        MissingPart: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPart("ONNX Runtime is not installed", PROVIDERS["cpu"][1]) from error
    return onnxruntime


def _session(ort: Any, path: str | os.PathLike[str], manifest: Manifest, options: Any, providers: list[Any]) -> Any:
    try:
        session = ort.InferenceSession(os.fspath(path), options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise refusal("ONNX Runtime", os.fspath(path), manifest, error) from error
    session.disable_fallback()  # or a run that fails would go on elsewhere, without a word
    return session
