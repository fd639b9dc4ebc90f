from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from wordsight.export.fused import FusedDetector
from wordsight.export.graph import build_graph
from wordsight.export.parity import compare_with_onnxruntime, parity_frames
from wordsight.export.plain import reference_outputs


def session(model: bytes) -> ort.InferenceSession:
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def reference(exported, frames: np.ndarray) -> dict[str, np.ndarray]:
    return reference_outputs(exported.encoder, exported.heads, exported.guiding, frames)


def test_the_graph_scores_as_the_plain_encoder_and_heads_do(exported):
    frames = parity_frames(exported.encoder.image_size)
    report = compare_with_onnxruntime(exported.onnx, frames, reference(exported, frames), 1e-5)
    assert report, report
    assert list(report.max) == ["score", "s_pr", "s_fnn", "embedding", "s_fnn_seeds"]
    assert report.max["score"] <= 1e-5


def test_another_weight_in_the_graph_is_noticed(exported):
    model = onnx.load_from_string(exported.onnx)
    bias = next(t for t in model.graph.initializer if t.name == "head.bias_3")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(1e-3), bias.name))
    frames = parity_frames(exported.encoder.image_size)[:2]
    report = compare_with_onnxruntime(model.SerializeToString(), frames, reference(exported, frames), 1e-5)
    assert report.status == "exceeded"
    assert report.max["s_fnn"] > 1e-5


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_batch_is_dynamic(mini, batch: int):
    frames = np.random.default_rng(0).integers(0, 256, (batch, 96, 96, 3), dtype=np.uint8)
    outputs = dict(zip(mini.detector.output_names, session(mini.onnx).run(None, {"frames": frames}), strict=True))
    assert outputs["embedding"].shape == (batch, 128)
    assert outputs["s_fnn_seeds"].shape == (batch, 10)
    expected = reference(mini, frames)
    for name, value in outputs.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, expected[name], atol=1e-5)


def test_the_score_is_the_weighted_sum(mini):
    detector = FusedDetector(mini.encoder, mini.heads, mini.guiding, w_pr=0.25, w_fnn=2.0)
    frames = parity_frames(96)
    with torch.inference_mode():
        score, s_pr, s_fnn, _ = (value.numpy() for value in detector(torch.from_numpy(frames)))
    expected = reference(mini, frames)
    np.testing.assert_allclose(score, 0.25 * expected["s_pr"] + 2 * expected["s_fnn"], atol=2e-5)
    assert np.abs(s_pr - s_fnn).max() > 0.01


def test_colour_order_matters(mini):
    frames = parity_frames(96)[4:]
    swapped = reference(mini, np.ascontiguousarray(frames[..., ::-1]))
    assert np.abs(swapped["embedding"] - reference(mini, frames)["embedding"]).max() > 1e-3


def test_it_is_of_the_form_that_engines_fuse(vit):
    graph = onnx.load_from_string(vit.onnx).graph
    operators = Counter(node.op_type for node in graph.node)
    norms = sum(isinstance(module, nn.LayerNorm) for module in vit.encoder.model.visual.modules())
    assert norms == 26
    assert operators["LayerNormalization"] == norms
    # A decomposed norm would bring a square root or a power; there is one ReduceMean, that of the seeds.
    assert not {"Sqrt", "Pow", "ReduceSum", "Attention"} & set(operators)
    assert operators["ReduceMean"] == 1

    maker = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    assert len(softmaxes) == 12
    for softmax in softmaxes:
        scores = maker[softmax.input[0]]  # no Mul or Div in between: the scale is on Q
        assert scores.op_type == "MatMul"
        assert maker[scores.input[0]].op_type == "Mul"
        assert [user.op_type for user in users[softmax.output[0]]] == ["MatMul"]


def test_only_the_cast_reads_uint8(exported):
    graph = onnx.load_from_string(exported.onnx).graph
    assert [node.op_type for node in graph.node if "frames" in node.input] == ["Cast"]


def test_input_and_outputs_are_as_the_manifest_says(exported):
    graph = onnx.load_from_string(exported.onnx).graph

    def shape(value: onnx.ValueInfoProto) -> list[str | int]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    size, width = exported.encoder.image_size, exported.encoder.embed_dim
    assert [(value.name, shape(value)) for value in graph.input] == [("frames", ["batch", size, size, 3])]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    expected = {"score": [], "s_pr": [], "s_fnn": [], "embedding": [width], "s_fnn_seeds": [len(exported.heads)]}
    assert {value.name: shape(value) for value in graph.output} == {k: ["batch", *v] for k, v in expected.items()}
    assert {value.type.tensor_type.elem_type for value in graph.output} == {onnx.TensorProto.FLOAT}


def test_the_file_says_nothing_of_the_machine(exported):
    model = onnx.load_from_string(exported.onnx)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")  # random bytes spell every short word sooner or later
    rest = model.SerializeToString()
    home = {path for path in (str(Path.home()), os.getcwd(), str(Path(__file__).parents[2])) if path != "/"}
    for text in (*home, "/work", "/root", "site-packages", ".py", "stack_trace", "open_clip"):
        assert text.encode() not in rest, text


def test_the_same_module_gives_the_same_bytes(mini):
    assert build_graph(mini.detector, 96).SerializeToString() == mini.onnx


@pytest.mark.parametrize("opset", [19, 20])
def test_later_opsets(mini, opset: int):
    model = build_graph(mini.detector, 96, opset)
    frames = parity_frames(96)
    assert [entry.version for entry in model.opset_import] == [opset]
    assert compare_with_onnxruntime(model.SerializeToString(), frames, reference(mini, frames), 1e-5)


@pytest.mark.parametrize("opset", [17, 23])
def test_other_opsets_are_refused(mini, opset: int):
    with pytest.raises(ValueError, match="18 to 20"):
        build_graph(mini.detector, 96, opset)
