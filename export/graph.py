"""From the fused module to an ONNX graph that is small, clean and of the form that engines like.

What torch's exporter leaves behind, stack traces with the paths of this machine above all, is taken out, so that a
file says nothing of where it was made and the same module gives the same bytes.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordsight.export.errors import ExportError, TooLarge
from wordsight.export.fused import INPUT_NAME, FusedDetector

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSETS = (18, 19, 20)
"""Below 17 there is no LayerNormalization; from 23 on there is an Attention node that engines import badly."""

_MOST_BYTES = 2**31 - 2**20  # protobuf's limit on one message, less what the graph itself takes


def build_graph(detector: FusedDetector, image_size: int | None = None, opset: int = OPSETS[0]) -> ModelProto:
    """Export the fused module with a dynamic batch axis.

    Args:
        detector: the module to export.
        image_size: pixels a side of the frames, where they are square; by default as the detector has it.
        opset: one of ``OPSETS``.

    Returns:
        A checked ONNX model in one piece: input ``frames`` uint8 ("batch", H, W, 3), float32 outputs named as in
        ``detector.output_names``; no metadata, no documentation strings, no local functions.

    Raises:
        ValueError: an opset outside ``OPSETS``, or another size than the detector's.
        TooLarge: the weights do not fit into one ONNX file.
        ExportError: torch's exporter cannot write this tower down.
    """
    import onnx

    if opset not in OPSETS:
        raise ValueError(f"expected opset {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    if image_size is not None and (image_size, image_size) != detector.frame_shape:
        raise ValueError(f"expected frames of {detector.frame_shape} pixels, got {image_size}")
    weights = {id(t): t.numel() * t.element_size() for t in (*detector.parameters(), *detector.buffers())}
    if sum(weights.values()) > _MOST_BYTES:
        raise TooLarge(
            f"the image tower has {sum(weights.values()) / 2**30:.1f} GiB of weights, one ONNX file holds 2; "
            "choose a smaller encoder"
        )
    # Two frames, not one: the exporter would take a batch of one for a constant.
    frames = torch.zeros(2, *detector.frame_shape, 3, dtype=torch.uint8, device=detector.scale.device)
    model = write_graph(detector, frames, INPUT_NAME, detector.output_names, opset)
    _cast_first(model.graph)
    onnx.checker.check_model(model, full_check=False)
    return model


def write_graph(
    module: nn.Module, example: Tensor, input_name: str, output_names: Sequence[str], opset: int
) -> ModelProto:
    """Write down a module of one input, whose first axis and that of all outputs is the batch.

    Args:
        module: the module to export, in evaluation mode.
        example: an input, at least two in its batch.
        input_name: of the graph's input.
        output_names: in the order in which ``forward`` returns them.
        opset: one of ``OPSETS``.

    Returns:
        An ONNX model in one piece, with a dynamic batch and nothing in it that is not computed with.

    Raises:
        ExportError: torch's exporter cannot write this module down.
    """
    with torch.no_grad(), _quiet():
        try:
            program: Any = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[input_name],
                output_names=list(output_names),
                opset_version=opset,
                external_data=False,
                optimize=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            first_line = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
            raise ExportError(f"torch cannot export this image tower to ONNX: {first_line}") from error
    model: ModelProto = program.model_proto
    _check_opset(model, opset)
    _clean(model)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks about itself; errors are raised, not logged, and come through."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning, UserWarning):
                warnings.filterwarnings("ignore", category=category)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_opset(model: ModelProto, opset: int) -> None:
    # The exporter writes 18 and converts; where a conversion fails it only warns and leaves what it has.
    written = {entry.domain: entry.version for entry in model.opset_import}
    if written.get("") != opset or model.functions:
        raise ExportError(f"expected a flat graph of opset {opset}, torch's exporter wrote opset {written.get('')}")


def _cast_first(graph: GraphProto) -> None:
    """Let nothing but the cast to float read the uint8 input: TensorRT takes uint8 nowhere else.

    The exporter reads the batch size off the input itself; the cast's result has the same shape.
    """
    cast = next(node for node in graph.node if node.op_type == "Cast" and node.input[0] == INPUT_NAME)
    others = [node for node in graph.node if node is not cast]
    for node in others:
        if INPUT_NAME in node.input:
            if node.op_type != "Shape":
                raise ExportError(f"expected only a Cast to read the uint8 frames, got {node.op_type}")
            node.input[0] = cast.output[0]
    nodes = [type(cast).FromString(node.SerializeToString()) for node in (cast, *others)]
    del graph.node[:]
    graph.node.extend(nodes)


def _clean(model: ModelProto) -> None:
    """Take out everything that is not computed with."""
    model.producer_name, model.producer_version = "wordsight", version("wordsight")
    model.ClearField("doc_string")
    model.ClearField("metadata_props")
    graph = model.graph
    graph.name = "wordsight"
    graph.ClearField("value_info")  # shapes in between, in the exporter's own symbols; engines infer them
    for part in (graph, *graph.input, *graph.output, *graph.initializer, *graph.node):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
