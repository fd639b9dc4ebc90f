"""ONNX Runtime: on whatever provider it really gets."""

import os

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import MissingPart, ModelError
from wordsight.runtime.manifest import Manifest

_WANTED = ("CUDAExecutionProvider", "CPUExecutionProvider")


class OrtBackend:
    """One inference session; see `wordsight.runtime.backends.Backend`."""

    def __init__(self, path: str | os.PathLike[str], manifest: Manifest) -> None:
        """Load the file and run one black frame, so that a broken engine shows now and not on the first part.

        Raises:
            MissingPart: ONNX Runtime is not installed.
            ModelError: it refuses the file, or its outputs are not those of the manifest.
        """
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise MissingPart("ONNX Runtime is not installed", "pip install 'wordsight[runtime]'") from error
        options = ort.SessionOptions()
        options.log_severity_level = 4  # only what is fatal: errors arrive as exceptions
        available = ort.get_available_providers()
        providers = [provider for provider in _WANTED if provider in available]
        try:
            self._session = ort.InferenceSession(os.fspath(path), options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise ModelError(f"ONNX Runtime cannot load {path}: {_one_line(error)}") from error
        self._input = manifest.input.name
        self._outputs = list(manifest.outputs)
        # The first of the session's own list is what runs; the list of available ones is fixed when ORT is compiled.
        self.name = f"onnxruntime {ort.__version__} {self._session.get_providers()[0]}"
        found = self.infer(np.zeros((1, *manifest.input.shape, 3), np.uint8))
        for output, shape in manifest.outputs.items():
            expected = tuple(1 if axis == "N" else axis for axis in shape)
            got = found[output].shape
            fits = len(got) == len(expected) and all(
                isinstance(e, str) or e == g for e, g in zip(expected, got, strict=True)
            )
            if not fits or found[output].dtype != np.float32:
                raise ModelError(
                    f"{path}: output {output} should be float32 {list(shape)} by its manifest, "
                    f"got {found[output].dtype} {list(got)} for one frame"
                )

    def infer(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run (N, H, W, 3) uint8 BGR frames; return each output of the manifest by name.

        Raises:
            ModelError: the engine fails.
        """
        try:
            arrays = self._session.run(self._outputs, {self._input: np.ascontiguousarray(frames)})
        except Exception as error:
            raise ModelError(f"ONNX Runtime failed on {len(frames)} frames: {_one_line(error)}") from error
        return dict(zip(self._outputs, arrays, strict=True))

    def close(self) -> None:
        """Give the session back."""
        self._session = None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:297]}..."
