"""Halved towers: what is halved and what is not, in the graph itself; and how near the scores stay."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, numpy_helper, shape_inference

from wordsight.export.errors import NoBackend
from wordsight.export.fused import FusedDetector
from wordsight.export.parity import parity_frames
from wordsight.export.precision import HALF, HalfTower
from wordsight.export.runner import onnxruntime_runner, openvino_runner, runner_for
from wordsight.train.encoders import Encoder

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
OUTPUTS = ("score", "s_pr", "s_fnn", "embedding")


@pytest.fixture(params=["vit", "resnet"])
def small_encoder(request: pytest.FixtureRequest, small_encoder_of: Callable[..., Encoder]) -> Encoder:
    """Of a ViT three blocks: all are alike."""
    return small_encoder_of(request.param, layers=3)


def detector_of(encoder, heads, precision: str = "fp32", **options: object) -> FusedDetector:
    guiding = torch.randn(2, encoder.embed_dim, generator=torch.Generator().manual_seed(1))
    guiding[1] = guiding[0] + 0.3 * guiding[1]  # two prompts that differ in a word lie close together
    return FusedDetector(encoder, heads(encoder.embed_dim, 2), guiding, precision=precision, **options)


def typed(model: ModelProto) -> dict[str, int]:
    """Element type of every value of a graph."""
    graph = shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


@pytest.mark.parametrize("precision", HALF)
def test_products_are_halved_and_norms_softmax_and_scores_are_not(small_encoder, heads, written_graphs, precision: str):
    model = written_graphs(detector_of(small_encoder, heads, precision))
    types = typed(model)
    kinds = Counter((node.op_type, types[node.input[0]]) for node in model.graph.node if node.input)
    half, full = TYPES[precision], TensorProto.FLOAT
    for kind in ("LayerNormalization", "Softmax", "ReduceL2", "Sigmoid", "BatchNormalization"):
        assert kinds[kind, half] == 0, kind
    assert kinds["ReduceL2", full] == 1
    assert kinds["Softmax", full] == (3 if small_encoder.name == "vit" else 1)
    assert kinds["LayerNormalization", full] == (8 if small_encoder.name == "vit" else 0)
    assert kinds["Conv", full] == 0
    # The prompts' direction and the four layers of the folded heads; a ResNet's attention pool: three in, two, one out.
    assert kinds["MatMul", full] + kinds["Gemm", full] == (5 if small_encoder.name == "vit" else 11)
    assert kinds["Conv", half] + kinds["MatMul", half] > 15
    assert {types[value.name] for value in model.graph.output} == {full}


@pytest.mark.parametrize("precision", HALF)
def test_weights_are_the_encoders_rounded_once(small_encoder, heads, written_graphs, precision: str):
    model = written_graphs(detector_of(small_encoder, heads, precision))
    stored = [part for part in model.graph.initializer if part.data_type == TYPES[precision] and len(part.dims) > 1]
    wanted = [p for p in small_encoder.model.visual.parameters() if p.ndim > 1]

    def is_there(rounded: np.ndarray) -> bool:
        return any(
            sorted(part.shape) == sorted(rounded.shape)
            and np.array_equal(np.sort(part.ravel()), np.sort(rounded.ravel()))
            for part in map(_float_array, stored)
        )

    split = []
    for weight in wanted if small_encoder.name == "vit" else wanted[:1]:
        rounded = weight.to(HALF[precision]).float().numpy()
        if not is_there(rounded):  # the last block asks for one token alone: its query's rows lie by themselves
            query, key_value = np.split(rounded, [len(rounded) // 3])
            assert is_there(query), tuple(weight.shape)
            assert is_there(key_value), tuple(weight.shape)
            split.append(weight)
    assert len(split) == (small_encoder.name == "vit")


def _float_array(tensor: TensorProto) -> np.ndarray:
    if tensor.data_type == TensorProto.BFLOAT16:
        bits = np.frombuffer(tensor.raw_data, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).reshape(tensor.dims)
    return numpy_helper.to_array(tensor).astype(np.float32)


@pytest.mark.parametrize(("precision", "most"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_outputs_stay_near_and_are_another_precision(small_encoder, heads, precision: str, most: float):
    frames = torch.from_numpy(parity_frames(small_encoder.image_size))
    exact, halved = (detector_of(small_encoder, heads, each)(frames) for each in ("fp32", precision))
    differences = [float((a - b).abs().max()) for a, b in zip(exact, halved, strict=True)]
    assert all(part.dtype == torch.float32 for part in halved)
    assert 1e-6 < differences[3] < most, differences
    np.testing.assert_allclose(torch.linalg.vector_norm(halved[3], dim=1), 1, atol=1e-6)


@pytest.mark.parametrize("precision", HALF)
def test_the_encoder_is_left_alone(small_encoder, heads, precision: str):
    before = copy.deepcopy(small_encoder.model.state_dict())
    detector_of(small_encoder, heads, precision)
    for name, tensor in small_encoder.model.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("precision", HALF)
def test_a_value_whose_square_leaves_fp16_is_normed_all_the_same(vit_tower, precision: str):
    """What overflows in engines that norm in fp16: 300 squared is beyond 65,504."""
    tower = vit_tower(layers=2)
    with torch.no_grad():
        tower.class_embedding.fill_(300)
        tower.positional_embedding[:, ::2] = -300
    model = HalfTower(tower, precision)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    program = torch.onnx.export(model, (images,), dynamo=True, opset_version=20, verbose=False)
    graph = program.model_proto
    types = typed(graph)
    norms = [node for node in graph.graph.node if node.op_type == "LayerNormalization"]
    assert norms
    assert {types[name] for node in norms for name in node.input} == {TensorProto.FLOAT}
    unit = torch.nn.functional.normalize
    cosine = (unit(model(images), dim=-1) * unit(tower(images), dim=-1)).sum(-1)
    assert cosine.min() > 0.999


def test_onnx_runtime_runs_fp16_as_torch_does(small_encoder, heads, written_graphs):
    detector = detector_of(small_encoder, heads, "fp16")
    frames = parity_frames(small_encoder.image_size)
    found = onnxruntime_runner(written_graphs(detector).SerializeToString()).run(frames)
    with torch.inference_mode():
        for name, wanted in zip(detector.output_names, detector(torch.from_numpy(frames)), strict=True):
            np.testing.assert_allclose(found[name], wanted, atol=3e-3, err_msg=name)


@pytest.mark.openvino
def test_bf16_goes_to_openvino_where_onnx_runtime_refuses_it(small_encoder, heads, written_graphs):
    detector = detector_of(small_encoder, heads, "bf16")
    model = written_graphs(detector).SerializeToString()
    with pytest.raises(NoBackend, match="bfloat16"):
        onnxruntime_runner(model)
    runner = runner_for(model)
    assert runner.name.startswith("openvino")
    frames = parity_frames(small_encoder.image_size)
    found = runner.run(frames)
    with torch.inference_mode():
        for name, wanted in zip(detector.output_names, detector(torch.from_numpy(frames)), strict=True):
            np.testing.assert_allclose(found[name], wanted, atol=2e-2, err_msg=name)


def test_what_nothing_runs_is_said_by_both(small_encoder, heads, written_graphs):
    graph = written_graphs(detector_of(small_encoder, heads, "fp16"))
    graph.graph.node[1].op_type = "NoSuchThing"
    with pytest.raises(NoBackend):
        openvino_runner(graph.SerializeToString())


@pytest.mark.parametrize("precision", HALF)
def test_heat_map_patches_and_windows_are_halved_with_the_tower(small_encoder, heads, written_graphs, precision: str):
    options: dict[str, object] = {"heatmap": True}
    if small_encoder.name == "vit":
        options["winclip"] = torch.randn(1, 2, 24, generator=torch.Generator().manual_seed(2))
    detector = detector_of(small_encoder, heads, precision, **options)
    exact = detector_of(small_encoder, heads, **options)
    assert detector.output_names == exact.output_names
    frames = parity_frames(small_encoder.image_size)[4:]
    model = written_graphs(detector)
    onnx.checker.check_model(model)
    found = runner_for(model.SerializeToString()).run(frames)
    with torch.inference_mode():
        for name, wanted in zip(exact.output_names, exact(torch.from_numpy(frames)), strict=True):
            assert np.abs(found[name] - wanted.numpy()).max() < 0.1, name
