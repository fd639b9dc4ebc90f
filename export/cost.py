"""What a frame costs, counted on the graph that ships rather than on the module it came from.

torch's own counter misses what fused attention does (it says 35.1 of the 54.8 GFLOP of ViT-B/16+). The graph hides
nothing: attention is written out in it, branches are merged, crops are cut.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from wordsight.runtime.cost import CostSpec

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Shapes = dict[str, tuple[int, ...]]

_UNCOUNTED = {"Attention", "ConvTranspose", "Einsum", "GRU", "LSTM", "MultiHeadAttention", "RNN"}
"""What computes in earnest and is not known here; none of our graphs holds one."""
_SMALL = 4096  # elements: the constants that say how to reshape and slice have far fewer, weights mostly more


def count_cost(model: ModelProto) -> CostSpec:
    """Parameters, their bytes, and floating-point operations a frame.

    Args:
        model: an ONNX graph with one input of frames, its first axis the batch.

    Returns:
        The count; its operations are 0 where the shapes of a product cannot be told.
    """
    from onnx import TensorProto

    widths = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2, TensorProto.INT8: 1}
    sizes = [(prod(tensor.dims), widths[tensor.data_type])
             for tensor in model.graph.initializer if tensor.data_type in widths]  # fmt: skip
    return CostSpec(
        parameters=sum(size for size, _ in sizes),
        flops=_count_flops(model),
        bytes=sum(size * width for size, width in sizes),
    )


def _count_flops(model: ModelProto) -> int:
    shapes = _shapes_of_one_frame(model)
    total = 0
    for node in model.graph.node:
        if node.op_type in _UNCOUNTED:
            return 0
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        known = [shapes.get(name) for name in (*node.input[:2], node.output[0])]
        if None in known:
            return 0
        total += _flops(node, *(shape for shape in known if shape is not None))
    return total


def _flops(node: NodeProto, left: tuple[int, ...], right: tuple[int, ...], result: tuple[int, ...]) -> int:
    """Twice the multiplications of a product: each number of the result is a sum over the axis that disappears."""
    if node.op_type == "Conv":
        return 2 * prod(result) * prod(right[1:])  # right: (C_out, C_in / groups, kernel...)
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return 2 * prod(result) * left[0 if turned else -1]


def _shapes_of_one_frame(model: ModelProto) -> Shapes:
    """Shapes of all values of which every axis is known, for a batch of one.

    Weights take part by their shapes alone: onnx serialises what it infers from, and they may be gigabytes.
    """
    import onnx

    graph = model.graph
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    bare.graph.name = graph.name
    bare.graph.node.extend(graph.node)
    bare.graph.input.extend(graph.input)
    bare.graph.output.extend(graph.output)
    bare.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for output in bare.graph.output:
        output.type.tensor_type.ClearField("shape")  # the batch's name in it would contradict the one frame
    for tensor in graph.initializer:
        if prod(tensor.dims) <= _SMALL:
            bare.graph.initializer.append(tensor)
        else:
            bare.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
    shapes: Shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        axes = value.type.tensor_type.shape.dim
        if all(axis.HasField("dim_value") for axis in axes):
            shapes[value.name] = tuple(axis.dim_value for axis in axes)
    return shapes
