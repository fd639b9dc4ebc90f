"""A graph that is not yet a file, in an engine: frames in, named arrays out, for the proofs that end an export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wordsight.export.errors import NoBackend
from wordsight.export.fused import INPUT_NAME
from wordsight.export.plain import Frames, Outputs
from wordsight.runtime.errors import MissingPart

__all__ = ["Runner", "onnxruntime_runner", "openvino_runner", "runner_for"]


_BATCH = 8  # frames at once: bounds the memory


@dataclass(frozen=True)
class Runner:
    """A graph in an engine.

    Attributes:
        name: engine, version and provider.
        run: uint8 BGR frames (N, H, W, 3) to every output by name.
    """

    name: str
    run: Callable[[Frames], Outputs]

    def score(self, frames: Frames, words: str, on_step: Callable[[str], None]) -> Outputs:
        """`score` (N,) and `embedding` (N, D) of N frames, in batches.

        Args:
            frames: (N, H, W, 3) uint8 BGR.
            words: what is scored, for people: "in int8".
            on_step: called with a line for people before each batch.
        """
        parts: list[Outputs] = []
        for first in range(0, len(frames), _BATCH):
            on_step(f"scoring {words}, frame {first + 1} of {len(frames)}")
            parts.append(self.run(frames[first : first + _BATCH]))
        return {name: np.concatenate([part[name] for part in parts]) for name in ("score", "embedding")}


def runner_for(model: bytes) -> Runner:
    """The first engine that takes a graph: ONNX Runtime on the processor, which has no bf16, else OpenVINO.

    Raises:
        MissingPart: ONNX Runtime is not installed.
        NoBackend: nothing here runs the graph.
    """
    try:
        return onnxruntime_runner(model)
    except NoBackend as refused:
        try:
            return openvino_runner(model)
        except (MissingPart, NoBackend) as error:
            raise NoBackend(f"{refused}; {error}") from error


def onnxruntime_runner(model: bytes) -> Runner:
    """A serialised graph in ONNX Runtime on the processor.

    Raises:
        MissingPart: it is not installed.
        NoBackend: it has no kernel for a node of the graph.
    """
    try:
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as states
    except ModuleNotFoundError as error:
        raise MissingPart(
            "ONNX Runtime, against which an export is checked, is not installed", "pip install 'wordsight[export]'"
        ) from error
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only: it warns of every initializer it folds
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (states.NotImplemented, states.InvalidGraph) as error:  # no kernel; no such type, as bf16 on the processor
        raise NoBackend(f"ONNX Runtime cannot run this graph: {_first_line(error)}") from error
    names = [output.name for output in session.get_outputs()]
    return Runner(
        f"onnxruntime {ort.__version__} {session.get_providers()[0]}",
        lambda frames: dict(zip(names, session.run(names, {INPUT_NAME: frames}), strict=True)),
    )


def openvino_runner(model: bytes) -> Runner:
    """A serialised graph in OpenVINO on the processor, computing in float32 what the graph does not type otherwise.

    Raises:
        MissingPart: it is not installed.
        NoBackend: it refuses the graph.
    """
    from wordsight.runtime.backends.openvino import core_for, installed, settings_for

    ov = installed()
    core = core_for("f32", ov)
    try:
        compiled: Any = core.compile_model(core.read_model(model), "CPU", settings_for("f32"))
    except Exception as error:  # OpenVINO raises plain RuntimeErrors
        raise NoBackend(f"OpenVINO cannot run this graph: {_first_line(error)}") from error
    request = compiled.create_infer_request()
    ports = {port.get_any_name(): port for port in compiled.outputs}

    def run(frames: Frames) -> Outputs:
        results = request.infer({INPUT_NAME: frames})
        return {name: results[port] for name, port in ports.items()}

    return Runner(f"openvino {ov.__version__.split('-')[0]} CPU f32", run)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
