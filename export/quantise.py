"""The encoder's products with constant weights in int8 or fp8, by ONNX Runtime's own tools; the score path stays float.

Static: what the products take is scaled by numbers that some frames gave once, so an engine needs no statistics at run
time, and every scale is a constant of the file (Q/DQ nodes, which TensorRT, OpenVINO and ONNX Runtime all read).
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordsight.export.errors import ExportError
from wordsight.export.fused import INPUT_NAME
from wordsight.export.layers import Layer, encoder_layers
from wordsight.export.precision import FP8_OPSET, QUANTISED, Kind
from wordsight.runtime.errors import SettingError

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime.quantization import TensorsData

    from wordsight.export.plain import Frames

__all__ = ["FP8_MAX", "Quantiser", "fold_weights", "quantise", "quiet"]

FP8_MAX = 448.0
"""The largest number of float8 e4m3fn (Micikevicius et al., arXiv 2209.05433, table 1)."""


def quantise(
    model: ModelProto,
    kind: Kind,
    frames: Frames,
    *,
    left_out: Collection[str] = (),
    on_step: Callable[[str], None] = lambda _: None,
) -> ModelProto:
    """Calibrate a float32 graph on frames and rewrite it; `Quantiser` does the same for several graphs of one model.

    Args:
        model: a graph of `build_graph`, which is left as it is; for fp8 of opset 19 or later.
        kind: "int8" or "fp8".
        frames: (N, H, W, 3) uint8 BGR, as the graph takes them.
        left_out: layers, or groups of layers, that stay float32; see `Layer`.
        on_step: called with a line for people before each slow step.

    Returns:
        The graph with the same input and outputs.

    Raises:
        SettingError: no such kind or layer, or an opset without fp8.
        ExportError: the encoder has nothing to quantise.
    """
    return Quantiser(model, frames, on_step=on_step).rewrite(kind, left_out=left_out)


class Quantiser:
    """A graph with its weights folded and its ranges measured once, from which quantised graphs come quickly.

    Args:
        model: a graph of `build_graph`; it is left as it is.
        frames: (N, H, W, 3) uint8 BGR, as the graph takes them; they run one at a time.
        on_step: called with a line for people before each slow step.

    Raises:
        ExportError: the encoder has nothing to quantise.
    """

    def __init__(self, model: ModelProto, frames: Frames, *, on_step: Callable[[str], None] = lambda _: None) -> None:
        on_step("folding weights")
        self.model = fold_weights(model)
        self.layers: tuple[Layer, ...] = encoder_layers(self.model.graph)
        if not self.layers:
            raise ExportError("this encoder has no convolution or product with constant weights to quantise")
        self.opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        on_step(f"calibrating on {len(frames)} frames")
        taken = dict.fromkeys(name for layer in self.layers for name in layer.taken)
        self._ranges = _measure_ranges(self.model, frames, list(taken))

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of the layers, in the graph's order."""
        return tuple(dict.fromkeys(layer.group for layer in self.layers))

    def rewrite(self, kind: Kind, *, left_out: Collection[str] = ()) -> ModelProto:
        """The graph with every layer but those of `left_out` between Q/DQ nodes.

        Args:
            kind: "int8": symmetric, zero point 0, one scale for what a layer takes and one for each column or channel
                of its weights; "fp8": e4m3fn, one scale for either, with the largest value at `FP8_MAX`.
            left_out: names of layers or of groups; "a.b" stands for "a.b.c" too.

        Raises:
            SettingError: no such kind or layer, or an opset without fp8.
        """
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        if kind not in QUANTISED:
            raise SettingError(f"expected {' or '.join(QUANTISED)}, got {kind!r}")
        if kind == "fp8" and self.opset < FP8_OPSET:
            raise SettingError(f"fp8 needs opset {FP8_OPSET} or later, got {self.opset}: --opset 20")
        unknown = [name for name in left_out if not any(layer.is_in(name) for layer in self.layers)]
        if unknown:
            raise SettingError(f"no layer {unknown[0]!r} to leave out; there are {', '.join(self.groups)}")
        chosen = [layer for layer in self.layers if not any(layer.is_in(name) for name in left_out)]
        if not chosen:  # the quantiser takes an empty list for all nodes
            raise SettingError(f"every layer is left out, so nothing of it is {kind}: export in fp32")
        number = QuantType.QInt8 if kind == "int8" else QuantType.QFLOAT8E4M3FN
        options: dict[str, Any] = {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,  # TensorRT takes none, and a bias costs nothing
            # What a product gives is summed, normalised or squashed next, which wants its full precision.
            "OpTypesToExcludeOutputQuantization": ["Conv", "Gemm", "MatMul"],
        }
        if kind == "fp8":
            options["TensorQuantOverrides"] = copy.deepcopy(self._scales_of_fp8)  # it asks for all
        model = copy.deepcopy(self.model)
        if kind == "fp8":
            _write_relu_as_max(model, {name for layer in chosen for name in layer.taken})
        with quiet():
            quantiser = QDQQuantizer(
                model,
                per_channel=kind == "int8",  # fp8 has an exponent of its own, and gains next to nothing
                reduce_range=False,
                weight_qType=number,
                activation_qType=number,
                tensors_range=copy.deepcopy(self._ranges),
                nodes_to_quantize=[node for layer in chosen for node in layer.nodes],
                nodes_to_exclude=[],
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                extra_options=options,
            )
            quantiser.quantize_model()
            quantiser.model.topological_sort()
        rewritten: ModelProto = quantiser.model.model
        _spare_others(rewritten, {node for layer in chosen for node in layer.nodes})
        _clean(rewritten, self.model)
        return rewritten

    @cached_property
    def _scales_of_fp8(self) -> dict[str, list[dict[str, Any]]]:
        """By tensor, the scale that puts its largest value at `FP8_MAX`.

        The quantiser's own scale makes standard deviations equal, and cuts off what lies beyond 4 of them.
        """
        from ml_dtypes import float8_e4m3fn
        from onnx import numpy_helper

        weights = {tensor.name: tensor for tensor in self.model.graph.initializer}
        most = {
            name: np.abs(numpy_helper.to_array(weights[name])).max() for layer in self.layers for name in layer.weights
        }
        for name in {name for layer in self.layers for name in layer.taken}:
            most[name] = np.abs(self._ranges[name].range_value).max()
        zero = np.zeros((), float8_e4m3fn)
        return {
            name: [{"scale": np.array((value or 1.0) / FP8_MAX, np.float32), "zero_point": zero}]
            for name, value in most.items()
        }


def fold_weights(model: ModelProto) -> ModelProto:
    """A copy whose constant parts are computed, by ONNX Runtime; the exporter transposes weights in the graph.

    Raises:
        ExportError: a weight is still transposed in the graph.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="wordsight-quantise-") as folder:
        whole, folded = (str(Path(folder) / f"{name}.onnx") for name in ("whole", "folded"))
        onnx.save(model, whole)
        with quiet():
            quant_pre_process(whole, folded, skip_symbolic_shape=True)
        result = onnx.load(folded)
    constants = {tensor.name for tensor in result.graph.initializer}
    if any(node.op_type == "Transpose" and node.input[0] in constants for node in result.graph.node):
        raise ExportError("ONNX Runtime left a weight of this graph transposed at run time: it cannot be quantised")
    return result


def _measure_ranges(model: ModelProto, frames: Frames, tensors: list[str]) -> TensorsData:
    """The least and the largest value of each tensor over all frames, by ONNX Runtime's calibrator, frame by frame."""
    import onnx
    from onnxruntime.quantization.calibrate import MinMaxCalibrater

    class OneByOne:
        """What the calibrator reads from: a frame a call, None at the end."""

        def __init__(self) -> None:
            self.frames = iter(frames)

        def get_next(self) -> dict[str, Any] | None:
            frame = next(self.frames, None)
            return None if frame is None else {INPUT_NAME: frame[None]}

    with tempfile.TemporaryDirectory(prefix="wordsight-calibrate-") as folder, quiet():
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        calibrator = MinMaxCalibrater(path, augmented_model_path=str(Path(folder) / "augmented.onnx"), symmetric=True)
        calibrator.select_tensors_to_calibrate = lambda _: (tensors, {})  # its own choice is by the type of nodes
        calibrator.augment_graph()
        calibrator.create_inference_session()
        calibrator.collect_data(OneByOne())
        return calibrator.compute_data()


def _write_relu_as_max(model: ModelProto, tensors: set[str]) -> None:
    """Write the Relu that gives any of these tensors as a maximum with zero, which is the same.

    ONNX Runtime (1.32) takes a Relu before QuantizeLinear away where the zero point is the type's
    least number. It reads float8's zero point 0 as that of uint8, and negative numbers come through.
    """
    import onnx

    zero = "relu_zero"
    rewritten = [node for node in model.graph.node if node.op_type == "Relu" and node.output[0] in tensors]
    for node in rewritten:
        node.op_type = "Max"
        node.input.append(zero)
    if rewritten:
        model.graph.initializer.append(onnx.helper.make_tensor(zero, onnx.TensorProto.FLOAT, [], [0.0]))


def _spare_others(model: ModelProto, products: set[str]) -> None:
    """Give every node but these what it took before: the quantiser puts Q/DQ between a tensor and all that read it.

    A residual sum wants the full precision of what it adds, and so does a layer that was left out.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.name in products or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for place, name in enumerate(node.input):
            dequantise = producers.get(name)
            if dequantise is not None and dequantise.op_type == "DequantizeLinear":
                node.input[place] = producers[dequantise.input[0]].input[0]


def _clean(model: ModelProto, before: ModelProto) -> None:
    """Take out what the quantiser wrote down beside the computation."""
    used = {node.domain for node in model.graph.node}
    imports = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    model.producer_name, model.producer_version = before.producer_name, before.producer_version
    model.ir_version = before.ir_version
    model.ClearField("metadata_props")
    model.graph.ClearField("value_info")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the quantiser's advice, which goes through the root logger, to itself: what it asks for is done here."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
