"""OpenVINO on the processor: fp32, or bf16 from the same fp32 file."""

import os
import sys
from typing import Any, Literal

import numpy as np

from wordsight.runtime.backends.base import Arrays, Backend, Frames, one_line, refusal, warm_up
from wordsight.runtime.errors import MissingPart, ModelError
from wordsight.runtime.manifest import Manifest

Precision = Literal["f32", "bf16"]
INSTALL = "pip install 'wordsight[openvino]'"


class OpenVinoBackend(Backend):
    """One compiled model with a dynamic batch; see `wordsight.runtime.backends.base.Backend`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        manifest: Manifest,
        *,
        precision: Precision = "f32",
        threads: int | None = None,
        openvino: Any = None,
    ) -> None:
        """Compile the file for this processor and run one frame.

        Args:
            path: an exported file.
            manifest: what it says about itself.
            precision: what the arithmetic is done in, whatever the processor would prefer by itself; "bf16" needs one
                that has it. The file stays as it is; quantised layers stay so in both.
            threads: how many; None for OpenVINO's own choice.
            openvino: the module; None for the installed one.

        Raises:
            MissingPart: OpenVINO is not installed, or the processor has no bf16.
            ModelError: it refuses the file, or its outputs are not those of the manifest.
        """
        ov = openvino or installed()
        core = core_for(precision, ov)
        try:
            # The batch stays dynamic: measured as fast as a batch that is fixed, at one copy of the weights.
            compiled = core.compile_model(core.read_model(os.fspath(path)), "CPU", settings_for(precision, threads))
            self._ports = {name: compiled.output(name) for name in manifest.outputs}
            self._request = compiled.create_infer_request()
        except Exception as error:  # OpenVINO raises plain RuntimeErrors
            raise refusal("OpenVINO", os.fspath(path), manifest, error) from error
        self._input = manifest.input.name
        self.name = f"openvino {ov.__version__.split('-')[0]} CPU {precision}"
        warm_up(self, os.fspath(path), manifest)

    def infer(self, frames: Frames) -> Arrays:
        """Run (N, H, W, 3) uint8 BGR frames; return each output of the manifest by name.

        Raises:
            ModelError: the engine fails.
        """
        try:
            results = self._request.infer({self._input: np.ascontiguousarray(frames)}, share_inputs=True)
        except Exception as error:
            raise ModelError(f"OpenVINO failed on {len(frames)} frames: {one_line(error)}") from error
        return {name: results[port] for name, port in self._ports.items()}

    def close(self) -> None:
        """Give the compiled model back."""
        self._request, self._ports = None, {}


def core_for(precision: Precision, openvino: Any = None) -> Any:
    """Return OpenVINO's core, which reads and compiles graphs.

    Args:
        precision: that the arithmetic is to be done in.
        openvino: the module; None for the installed one.

    Raises:
        MissingPart: OpenVINO is not installed, or the processor has no bf16.
    """
    core = (openvino or installed()).Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise MissingPart(
            "openvino-bf16 needs a processor with bf16 (AVX-512 BF16 or AMX); fp32 runs here",
            "use --backend openvino",
        )
    return core


def settings_for(precision: Precision, threads: int | None = None) -> dict[str, Any]:
    """Return what a graph is compiled with: one frame at a time, in this precision; None leaves threads to OpenVINO."""
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    return settings if threads is None else settings | {"INFERENCE_NUM_THREADS": threads}


def installed() -> Any:
    """Import OpenVINO without `openvino_telemetry`, which reports every import to Google Analytics unless told not to.

    Without it OpenVINO takes a stand-in of its own that does nothing. A line's machine talks to nobody by itself.
    """
    name = "openvino_telemetry"
    known = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say "not to be imported"
    try:
        import openvino
    except ImportError as error:
        raise MissingPart("OpenVINO is not installed", INSTALL) from error
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known
    return openvino
