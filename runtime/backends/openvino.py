"""OpenVINO on the processor: fp32, or bf16 from the same fp32 file, whose resize of a camera's frames stays in fp32."""

import os
import sys
from typing import Any, Literal

import numpy as np

from wordsight.runtime.backends.base import Arrays, Backend, Frames, one_line, refusal, warm_up
from wordsight.runtime.errors import MissingPart, ModelError
from wordsight.runtime.manifest import Manifest
from wordsight.runtime.manifest_input import FITTED_NAME

Precision = Literal["f32", "bf16"]
INSTALL = "pip install 'wordsight[openvino]'"


class OpenVinoBackend(Backend):
    """One compiled model with a dynamic batch, or two; see `wordsight.runtime.backends.base.Backend`."""

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
            model, self._resize = core.read_model(os.fspath(path)), None
            if precision == "bf16" and manifest.input.frame:
                # The precision is a hint for a whole model, and half of it is a grey level off after a resize.
                resize, model = _parted(model, ov)
                fitted = core.compile_model(resize, "CPU", settings_for("f32", threads))
                self._resize = fitted.create_infer_request()
            compiled = core.compile_model(model, "CPU", settings_for(precision, threads))
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
            given = np.ascontiguousarray(frames)
            if self._resize is not None:
                given = self._resize.infer({self._input: given}, share_inputs=True, share_outputs=True)[0]
            results = self._request.infer({self._input: given}, share_inputs=True)
        except Exception as error:
            raise ModelError(f"OpenVINO failed on {len(frames)} frames: {one_line(error)}") from error
        return {name: results[port] for name, port in self._ports.items()}

    def close(self) -> None:
        """Give the compiled model back."""
        self._request, self._resize, self._ports = None, None, {}


def _parted(model: Any, openvino: Any) -> tuple[Any, Any]:
    """A model whose graph resizes, as the one that resizes and the one that takes what it gives, by the same name."""
    fitted = next(op for op in model.get_ordered_ops() if FITTED_NAME in op.output(0).get_names()).output(0)
    readers, (frames,) = fitted.get_target_inputs(), model.get_parameters()
    given = openvino.opset13.parameter(fitted.get_partial_shape(), fitted.get_element_type())
    given.output(0).set_names(frames.output(0).get_names())
    for reader in readers:
        reader.replace_source_output(given.output(0))
    return openvino.Model([fitted], [frames]), openvino.Model(model.get_results(), [given])


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
