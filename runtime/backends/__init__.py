"""Engines behind one verb: frames in, named arrays out."""

import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import SettingError
from wordsight.runtime.manifest import Manifest

__all__ = ["BACKENDS", "Backend", "open_backend"]

BACKENDS = ("auto", "ort")
"""Names that `open_backend` takes; "auto" is the first engine this machine has."""


class Backend(Protocol):
    """An engine that holds one model."""

    @property
    def name(self) -> str:
        """Engine, version and the provider really in use: "onnxruntime 1.32.0 CPUExecutionProvider"."""

    def infer(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run (N, S, S, 3) uint8 BGR frames, N at least 1; return each output by name, float32."""

    def close(self) -> None:
        """Give back what the engine holds; `infer` may not be called after."""


def open_backend(name: str, path: str | os.PathLike[str], manifest: Manifest) -> Backend:
    """Load an exported file, whose manifest was read before, into an engine and warm it up.

    Raises:
        SettingError: no such backend.
        MissingPart: this machine lacks the engine.
        ModelError: the engine refuses the file.
    """
    if name not in BACKENDS:
        raise SettingError(f"expected backend {' or '.join(BACKENDS)}, got {name!r}")
    from wordsight.runtime.backends.ort import OrtBackend

    return OrtBackend(path, manifest)
