"""The layers of an exported graph's encoder that may be quantised, found by where they lie and not by their names.

The encoder begins behind the normalisation of pixels and ends at the first L2 norm. Before it lie the resampling of
views, whose sums are exact in float32 alone, and behind it the score: directions of prompts, heads, windows' means.
Inside, two kinds of layers are left alone as well: the first, which reads pixels, and those that nothing but sums and
reshapes part from the norm: both are a hundredth of the work or less, and nothing evens out what they get wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordsight.export.errors import ExportError

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

__all__ = ["MIN_WIDTH", "Layer", "encoder_layers"]

MIN_WIDTH = 16
"""Columns or channels that a layer must give: below, as in pooling by attention, there is no time to win."""

_LINEAR = {"Add", "Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
           "Unsqueeze"}  # fmt: skip
_WRAPPERS = ("tower", "heat", "windows")
"""Names that our own modules put before those of the encoder."""


@dataclass(frozen=True)
class Layer:
    """One weight of the encoder and the nodes that multiply by it; WinCLIP's windows share theirs with the picture.

    Attributes:
        name: the module's path in the encoder, such as "transformer.resblocks.3.mlp.c_fc"; where the graph does not
            tell, the group's and the node's, "transformer.resblocks.3.node_MatMul_58".
        group: the block or stage it belongs to: its path up to the first number, "transformer.resblocks.3".
        weights: the initializers in the graph; the exporter may write one weight down more than once.
        nodes: names of the Conv, Gemm or MatMul nodes that read them.
        taken: names of the tensors that those multiply by them, in the same order.
    """

    name: str
    group: str
    weights: tuple[str, ...]
    nodes: tuple[str, ...]
    taken: tuple[str, ...]

    def is_in(self, name: str) -> bool:
        """Whether `name` is this layer's or that of something it belongs to."""
        return f"{self.name}.".startswith(f"{name}.")


def encoder_layers(graph: GraphProto) -> tuple[Layer, ...]:
    """The layers that may be quantised, in the graph's order.

    Args:
        graph: of `build_graph`, its weights folded: a weight that is transposed in the graph is not found.

    Raises:
        ExportError: a graph of another make, or with nodes that have no name of their own.
    """
    from onnx import numpy_helper

    names = [node.name for node in graph.node]
    if len(set(names)) < len(names) or not all(names):
        raise ExportError("expected a graph whose nodes have names of their own")
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {name: tuple(tensor.dims) for name, tensor in tensors.items()}
    same: dict[bytes, list[NodeProto]] = {}  # by the weights' numbers: one weight may have several names
    for node in _encoder_nodes(graph):
        if _width(node, shapes) >= MIN_WIDTH:
            weight = numpy_helper.to_array(tensors[node.input[1]])
            same.setdefault(hashlib.sha256(weight.tobytes()).digest(), []).append(node)
    paths = [_path(nodes[0].input[1]) or _path(_bias(graph, nodes)) for nodes in same.values()]
    of_node = {node.name: path for nodes, path in zip(same.values(), paths, strict=True) for node in nodes if path}
    found = []
    for nodes, path in zip(same.values(), paths, strict=True):
        group = _group(path or _neighbour(graph, nodes[0], of_node))
        found.append(
            Layer(
                name=path or f"{group}.{nodes[0].name}",
                group=group,
                weights=tuple(dict.fromkeys(node.input[1] for node in nodes)),
                nodes=tuple(node.name for node in nodes),
                taken=tuple(node.input[0] for node in nodes),
            )
        )
    return tuple(found)


def _encoder_nodes(graph: GraphProto) -> list[NodeProto]:
    """Conv, Gemm and MatMul nodes between the first layer and the last."""
    start = next((node for node in graph.node if node.op_type == "Add" and "shift" in node.input), None)
    norms = [node for node in graph.node if node.op_type == "ReduceL2"]
    if start is None or not norms:
        raise ExportError("expected a graph with the normalisation of pixels and an L2 norm in it")
    scored = _behind(graph, [output for norm in norms for output in norm.output])
    # What the first layer gives is the encoder's; what comes before it is pixels.
    pixels: set[str] = set(start.output)
    first: list[str] = []
    for node in graph.node:
        if pixels.intersection(node.input) and node.op_type != "Shape":
            if _is_product(node):
                first += node.output
            else:
                pixels.update(node.output)
    inside = _behind(graph, first)
    last: set[str] = {norm.input[0] for norm in norms}
    for node in reversed(graph.node):
        if last.intersection(node.output) and node.op_type in _LINEAR:
            last.update(node.input)
    return [
        node for node in graph.node
        if _is_product(node) and node.input[0] in inside
        and not scored.intersection(node.output) and not last.intersection(node.output)
    ]  # fmt: skip


def _is_product(node: NodeProto) -> bool:
    return node.op_type in ("Conv", "Gemm", "MatMul")


def _behind(graph: GraphProto, tensors: Iterable[str]) -> set[str]:
    """Tensors that hold anything of these, and these themselves; nodes lie in the order in which they run."""
    reached = set(tensors)
    for node in graph.node:
        if reached.intersection(node.input) and node.op_type != "Shape":
            reached.update(node.output)
    return reached


def _width(node: NodeProto, weights: dict[str, tuple[int, ...]]) -> int:
    """Columns or channels that a node with constant weights gives; 0 for a product of two activations."""
    shape = weights.get(node.input[1], ())
    if node.op_type == "Conv":
        return shape[0] if shape else 0
    if len(shape) != 2 or (node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)):
        return 0
    transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return shape[0] if transposed else shape[1]


def _bias(graph: GraphProto, nodes: list[NodeProto]) -> str:
    """The bias that follows these nodes alone: equal biases of several layers are one initializer of one name."""
    constants = {tensor.name for tensor in graph.initializer}
    given = {node.output[0] for node in nodes}
    biases = {
        name for node in graph.node if node.op_type == "Add" and given.intersection(node.input)
        for name in node.input if name in constants
    }  # fmt: skip
    if len(biases) != 1:
        return ""
    (bias,) = biases
    others = any(bias in node.input and not given.intersection(node.input) for node in graph.node)
    return "" if others else bias


def _neighbour(graph: GraphProto, node: NodeProto, paths: dict[str, str]) -> str:
    """The path of the next product that has one: attention's products come before those of the block's MLP."""
    behind = _behind(graph, node.output)
    after = [paths[each.name] for each in graph.node if each.name in paths and behind.intersection(each.output)]
    before = [paths[each.name] for each in graph.node if each.name in paths and each.output[0] not in behind]
    return (after[:1] or before[-1:] or ["encoder"])[0]


def _path(parameter: str) -> str:
    """The path of the module that a parameter belongs to; "" for a name that the exporter made up."""
    *parts, leaf = parameter.split(".")
    if leaf.startswith("in_proj_"):  # the one parameter of attention that is a layer by itself
        parts.append("in_proj")
    while parts and parts[0] in _WRAPPERS:
        parts.pop(0)
    return ".".join(parts)


def _group(path: str) -> str:
    parts = path.split(".")
    number = next((place for place, part in enumerate(parts) if part.isdigit()), len(parts) - 1)
    return ".".join(parts[: number + 1])
