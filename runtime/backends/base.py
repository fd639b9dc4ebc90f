"""What every backend is: frames in, named arrays out, and a `with` that gives its memory back."""

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import MissingPart, ModelError, WordsightError
from wordsight.runtime.manifest import Manifest

Frames = NDArray[np.uint8]
Arrays = dict[str, NDArray[np.float32]]


class Backend(ABC):
    """An engine that holds one model.

    Attributes:
        name: engine, version and what it really runs on: "onnxruntime 1.32.0 CPUExecutionProvider".
        reason: why this one runs, and what was tried before it: "asked for".
        fallback: what should have run instead and why it did not; empty when nothing failed.
        most: frames in one request to a server; None where any number goes, as into every engine here.
        fell_back: whether the last frames were scored by what stands in for a server.
    """

    name: str = ""
    reason: str = "asked for"
    fallback: str = ""
    most: int | None = None
    fell_back: bool = False

    @abstractmethod
    def infer(self, frames: Frames) -> Arrays:
        """Run (N, H, W, 3) uint8 BGR frames, N at least 1; return each output of the manifest by name, float32.

        The arrays are the caller's: a later call does not write into them.

        Raises:
            ModelError: the engine fails.
        """

    def server_state(self) -> dict[str, Any] | None:
        """Return how a server does, by the keys that `docs/line.md` lists; None for an engine of this machine."""
        return None

    def hurry(self, limit_s: float) -> None:  # noqa: B027 - engines here wait for nobody
        """Wait no longer than this for any further answer; nothing to do for an engine of this machine."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the engine holds; a second call does nothing, and `infer` may not be called after."""

    def __enter__(self) -> "Backend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def warm_up(backend: Backend, path: str | Path, manifest: Manifest) -> None:
    """Run one black frame, so that a broken engine shows now and not on the first part, and look at what comes out.

    Raises:
        ModelError: the engine fails, or its outputs are not those of the manifest. The backend is closed then.
    """
    try:
        found = backend.infer(np.zeros((1, *manifest.input.shape, 3), np.uint8))
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
    except BaseException:
        backend.close()
        raise


def refusal(engine: str, path: str | Path, manifest: Manifest, error: Exception) -> ModelError:
    """An engine's refusal of a file as an error of one line; for a reduced precision it says what can run it."""
    hint = PRECISION_HINTS.get(manifest.precision, "")
    told = one_line(error, 150 if hint else 300)  # the hint is the part that helps, and is not to be cut off
    return ModelError(f"{engine} cannot load {path}: {told}{hint and f'; {hint}'}")


PRECISION_HINTS = {
    "bf16": "bf16 files run on: openvino, tensorrt, tensorrt-rtx, ort-cuda; openvino-bf16 takes the fp32 file",
    "fp8": "fp8 files run on: tensorrt and tensorrt-rtx on a GPU of compute capability 8.9 or later",
}
"""Which backends run a precision that others refuse."""


def one_line(error: object, most: int = 300) -> str:
    """Return an engine's message, which may run over many lines, as one of at most `most` characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def buckets(most: int) -> tuple[int, ...]:
    """Batch sizes to prepare for: powers of two up to `most`, and `most`. A graph is captured for each that is met."""
    return tuple(sorted({*(1 << power for power in range(most.bit_length()) if 1 << power <= most), most}))


def brief(error: WordsightError) -> str:
    """Return an error's message without the line that installs what is missing."""
    install = f": {error.install}" if isinstance(error, MissingPart) else ""
    return one_line(str(error).removesuffix(install), 600)  # an engine's own words in it are short already
