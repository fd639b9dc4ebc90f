"""int8 and fp8 graphs: by ONNX's own definition, in the encoder alone, of the same frames the same bytes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from ml_dtypes import float8_e4m3fn
from onnx import TensorProto, helper, numpy_helper

from wordsight.export.crops import lay_out, parse_crops
from wordsight.export.errors import ExportError
from wordsight.export.fused import FusedDetector
from wordsight.export.layers import encoder_layers
from wordsight.export.parity import parity_frames
from wordsight.export.precision import QUANTISED as KINDS
from wordsight.export.quantise import FP8_MAX, Quantiser, fold_weights, quantise
from wordsight.runtime.errors import SettingError

LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_ALL")


def run(model: onnx.ModelProto, frames: np.ndarray, names: Sequence[str] = ("embedding",), level: str = LEVELS[-1]):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(list(names), {"frames": frames})


def small_product(seed: int = 0, width: int = 24) -> onnx.ModelProto:
    """Frames (N, 2, 2, 3) to a first layer (left alone), Relu, one product, Relu, a last product and the L2 norm."""
    rng = np.random.default_rng(seed)
    constants = {
        "scale": np.full(3, 1 / 255, np.float32),
        "shift": np.full(3, -0.5, np.float32),
        "flat": np.array([-1, 12], np.int64),
        "enc.0.first.weight": rng.normal(size=(12, width)).astype(np.float32),
        "enc.1.middle.weight": rng.normal(size=(width, 20)).astype(np.float32),
        "enc.2.last.weight": rng.normal(size=(20, 16)).astype(np.float32),
        "direction": rng.normal(size=(16, 16)).astype(np.float32),
        "axes": np.array([-1], np.int64),
    }
    steps = [
        ("Cast", ["frames"], "pixels", {"to": TensorProto.FLOAT}),
        ("Mul", ["pixels", "scale"], "scaled", {}),
        ("Add", ["scaled", "shift"], "normal", {}),
        ("Reshape", ["normal", "flat"], "rows", {}),
        ("MatMul", ["rows", "enc.0.first.weight"], "first", {}),
        ("Relu", ["first"], "taken", {}),
        ("MatMul", ["taken", "enc.1.middle.weight"], "middle", {}),
        ("Relu", ["middle"], "squashed", {}),
        ("MatMul", ["squashed", "enc.2.last.weight"], "features", {}),
        ("ReduceL2", ["features", "axes"], "norm", {}),
        ("Div", ["features", "norm"], "embedding", {}),
        ("MatMul", ["embedding", "direction"], "score", {}),
    ]
    nodes = [helper.make_node(op, inputs, [out], f"node_{out}", **more) for op, inputs, out, more in steps]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None]) for name in ("middle", "score")]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", 2, 2, 3])
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", [frames], values, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def in_int8(x: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    return np.clip(np.rint(x / scale), -128, 127) * scale


def in_fp8(x: np.ndarray, scale: float) -> np.ndarray:
    return np.clip(x / np.float32(scale), -FP8_MAX, FP8_MAX).astype(float8_e4m3fn).astype(np.float32) * scale


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_product_is_what_numpy_makes_of_rounded_numbers(kind: str, level: str):
    model = small_product()
    frames = np.random.default_rng(1).integers(0, 256, (9, 2, 2, 3), dtype=np.uint8)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    taken = np.maximum((frames / np.float32(255) - 0.5).reshape(9, 12) @ weights["enc.0.first.weight"], 0)
    middle = weights["enc.1.middle.weight"]
    if kind == "int8":
        expected = in_int8(taken, taken.max() / 127) @ in_int8(middle, np.abs(middle).max(axis=0) / 127)
    else:
        expected = in_fp8(taken, taken.max() / FP8_MAX) @ in_fp8(middle, np.abs(middle).max() / FP8_MAX)
    got = run(quantise(model, kind, frames), frames, ["middle"], level)[0]
    # A value on the edge of two codes may go either way; a planted scale twice as large differs a thousand times more.
    step = np.abs(middle).max() * taken.max() / (127 if kind == "int8" else 14)
    assert np.abs(got - expected).max() <= step
    assert np.median(np.abs(got - expected)) < 1e-5
    assert np.median(np.abs(got - taken @ middle)) > 1e-3  # and not simply the float product


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("graph", ["mini", "vit", "resnet", "windows", "views"])
def test_only_weights_of_the_encoder_are_quantised(graph: str, kind: str, request: pytest.FixtureRequest):
    model = request.getfixturevalue("graphs")(graph)
    size = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:3]
    quantised = quantise(model, kind, parity_frames(tuple(size)))
    onnx.checker.check_model(quantised, full_check=True)
    nodes = {output: node for node in quantised.graph.node for output in node.output}
    code = {"int8": TensorProto.INT8, "fp8": TensorProto.FLOAT8E4M3FN}[kind]
    kinds = {tensor.name: tensor.data_type for tensor in quantised.graph.initializer}
    weights = [node.input[0] for node in quantised.graph.node if node.op_type == "DequantizeLinear"]
    weights = [name.removesuffix("_quantized") for name in weights if kinds.get(name) == code]
    folded = {tensor.name: tensor for tensor in fold_weights(model).graph.initializer}
    assert weights
    assert len(set(weights)) == len(weights)
    # The score's own constants are named by the modules of export; nothing of them may be among the weights.
    assert not [
        name for name in weights if name.split(".")[0] in ("head", "views", "window_map") or "direction" in name
    ]
    assert all(folded[name].dims for name in weights)
    # Whatever is computed from an L2 norm on reads no rounded number, and nothing before the pixels' normalisation.
    seen = {"frames"}
    scored: set[str] = set()
    for node in quantised.graph.node:
        if node.op_type == "ReduceL2" or scored.intersection(node.input):
            scored.update(node.output)
            assert not [name for name in node.input if nodes.get(name, node).op_type == "DequantizeLinear"], node.name
        if seen.intersection(node.input) and "shift" not in node.input and node.op_type != "Shape":
            assert node.op_type != "QuantizeLinear", node.name
            seen.update(node.output)


@pytest.fixture(scope="module")
def graphs(mini_encoder, heads, vit_tower, resnet_tower, written_graphs):
    def encoder(tower: torch.nn.Module, size: int):
        holder = torch.nn.Module()
        holder.visual = tower
        holder.encode_image = tower.forward
        return dataclasses.replace(mini_encoder, model=holder.eval(), image_size=size, embed_dim=24)

    @functools.cache
    def make(name: str, opset: int = 20) -> onnx.ModelProto:
        if name in ("mini", "views"):
            layout = lay_out(parse_crops("full+2x2@0.7"), 96, ()) if name == "views" else None
            guiding = torch.randn(2, 128, generator=torch.Generator().manual_seed(1))
            guiding[1] = guiding[0] + 0.1 * guiding[1]  # as test_sensitivity has it: one graph serves both
            detector = FusedDetector(mini_encoder, heads(128, 2), guiding, layout=layout)
            return written_graphs(detector, opset=opset)
        guiding = torch.randn(2, 24, generator=torch.Generator().manual_seed(1))
        tower, size = (resnet_tower(), 96) if name == "resnet" else (vit_tower(3), 32)
        more = {"winclip": guiding[None], "heatmap": True} if name == "windows" else {}
        return written_graphs(FusedDetector(encoder(tower, size), heads(24, 2), guiding, **more), opset=opset)

    return make


@pytest.fixture(scope="module")
def quantised_mini(graphs):
    """`mini` by kind of number, each made once: what it is asked for does not change it."""
    return functools.cache(lambda kind: quantise(graphs("mini"), kind, parity_frames(96)))


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_stay_close_at_every_level_of_optimisation(graphs, quantised_mini, kind: str):
    # Relu before QuantizeLinear of float8 was once taken away by ONNX Runtime: a cosine of 0.15.
    model, frames = graphs("mini"), parity_frames(96)
    exact = run(model, frames)[0]
    quantised = quantised_mini(kind)
    for level in LEVELS:
        assert (run(quantised, frames, level=level)[0] * exact).sum(axis=1).min() > 0.99


def test_layers_carry_the_names_of_the_encoders_modules(graphs):
    layers = encoder_layers(fold_weights(graphs("vit")).graph)
    block = [layer.name for layer in layers if layer.group == "transformer.resblocks.1"]
    leaves = ("attn.in_proj", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")
    assert block == [f"transformer.resblocks.1.{leaf}" for leaf in leaves]
    last = [layer.name for layer in layers if layer.group == "transformer.resblocks.2"]
    assert last == [f"transformer.resblocks.2.{leaf}" for leaf in ("key_value", "query", *leaves[1:])]
    assert len(layers) == 13  # of three blocks: neither the patches' convolution nor the projection
    assert {layer.group for layer in encoder_layers(fold_weights(graphs("resnet")).graph)} > {"layer1.0", "layer4.0"}


def test_windows_share_the_layers_of_the_picture(graphs):
    layers = encoder_layers(fold_weights(graphs("windows")).graph)
    assert all(len(layer.nodes) >= 3 for layer in layers if layer.group == "transformer.resblocks.0")
    assert {layer.group for layer in layers} == {f"transformer.resblocks.{block}" for block in range(3)}


def test_what_is_left_out_stays_float(graphs):
    quantiser = Quantiser(graphs("vit"), parity_frames(32))
    group, layer = "transformer.resblocks.1", "transformer.resblocks.2.mlp.c_fc"
    model = quantiser.rewrite("int8", left_out=[group, layer])
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for each in quantiser.layers:
        kept = each.group == group or each.name == layer
        assert all((kinds.get(name) == TensorProto.FLOAT) == kept for name in each.weights), each.name
    with pytest.raises(SettingError, match="no layer 'resblocks_9'"):
        quantiser.rewrite("int8", left_out=["resblocks_9"])
    with pytest.raises(SettingError, match="every layer is left out"):
        quantiser.rewrite("int8", left_out=quantiser.groups)


def test_a_residual_sum_takes_what_it_took_before(graphs):
    quantiser = Quantiser(graphs("mini"), parity_frames(96))
    before = {node.name: list(node.input) for node in quantiser.model.graph.node}
    products = {node for layer in quantiser.layers for node in layer.nodes}
    after = {node.name: list(node.input) for node in quantiser.rewrite("int8").graph.node if node.name in before}
    assert {name for name, inputs in after.items() if inputs != before[name]} == products


@pytest.mark.parametrize("kind", KINDS)
def test_same_frames_same_bytes_and_the_source_is_left_as_it_is(graphs, kind: str):
    model, frames = graphs("vit"), parity_frames(32)
    before = model.SerializeToString(deterministic=True)
    first, second = (quantise(model, kind, frames).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert model.SerializeToString(deterministic=True) == before
    assert quantise(model, kind, frames[:4]).SerializeToString(deterministic=True) != first
    assert not quantise(model, kind, frames).metadata_props


def test_fp8_wants_an_opset_that_knows_it(graphs):
    with pytest.raises(SettingError, match="fp8 needs opset 19 or later, got 18: --opset 20"):
        quantise(graphs("vit", 18), "fp8", parity_frames(32))
    assert quantise(graphs("vit", 18), "int8", parity_frames(32)).opset_import[0].version == 18


def test_a_graph_of_another_make_is_refused():
    model = small_product()
    next(node for node in model.graph.node if node.op_type == "Add").input[1] = "scale"
    with pytest.raises(ExportError, match="normalisation of pixels"):
        quantise(model, "int8", np.zeros((2, 2, 2, 3), np.uint8))


@pytest.mark.tensorrt
@pytest.mark.parametrize(
    ("kind", "capability", "taken"),
    [(kind, sm, True) for kind in KINDS for sm in ("SM89", "SM120")]
    + [("int8", "SM80", True), ("int8", "SM86", True), ("fp8", "SM86", False)],
)
def test_tensorrt_builds_for_gpus_that_have_the_numbers(
    quantised_mini, build_engine, kind: str, capability: str, taken: bool
):
    model = quantised_mini(kind)
    names = tuple(output.name for output in model.graph.output)
    engine = build_engine(model.SerializeToString(), (96, 96), names, capability)
    assert (engine is not None) == taken
