"""Exported graphs against TensorRT's own parser and builder, ahead of time: neither needs a GPU or a driver."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from wordsight.export.fused import FusedDetector
from wordsight.export.parity import parity_frames
from wordsight.runtime.manifest import read_manifest

pytestmark = pytest.mark.tensorrt


def test_parser_and_builder_take_the_graph(exported, build_engine):
    engine = build_engine(exported.onnx, exported.detector.frame_shape, exported.detector.output_names)
    assert engine is not None
    weights = sum(p.numel() * 4 for p in exported.encoder.model.visual.parameters())
    assert engine.nbytes > 0.9 * weights


@pytest.mark.parametrize("camera", [(), (108, 192)])
def test_they_take_crops_tiles_objects_and_patches(mini_file, camera: tuple[int, ...], build_engine):
    fit = "tiles" if camera else "crop"
    objects = () if camera else ("screw", "metal nut")
    path = mini_file(crops="full+2x2@0.7", fit=fit, camera=camera, objects=objects, patches_output=True)
    manifest = read_manifest(path)
    engine = build_engine(path.read_bytes(), manifest.input.shape, tuple(manifest.outputs))
    assert engine is not None
    assert engine.nbytes > 1e6


def test_they_take_a_resize_in_the_graph(mini_file, build_engine):
    path = mini_file(heatmap=True, camera=(120, 200), resize="graph")
    manifest = read_manifest(path)
    assert manifest.input.shape == (120, 200)
    assert build_engine(path.read_bytes(), manifest.input.shape, tuple(manifest.outputs)) is not None


def test_they_take_a_heat_map_of_a_grid(mini_file, build_engine):
    path = mini_file(objects=("screw", "metal nut"), patches_output=True, heatmap=True)
    manifest = read_manifest(path)
    assert "heatmap" in manifest.outputs
    assert build_engine(path.read_bytes(), manifest.input.shape, tuple(manifest.outputs)) is not None


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_they_take_the_other_two_ways_to_a_heat_map(small_encoder_of, heads, build_engine, written_graphs, kind: str):
    small_encoder = small_encoder_of(kind, layers=3)  # that of test_quantise with windows: one graph serves both
    guiding = torch.randn(2, 24, generator=torch.Generator().manual_seed(1))
    winclip = guiding[None] if small_encoder.name == "vit" else None
    detector = FusedDetector(small_encoder, heads(24, 2), guiding, heatmap=True, winclip=winclip)
    engine = build_engine(written_graphs(detector).SerializeToString(), detector.frame_shape, detector.output_names)
    assert engine is not None


def transposed_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function with a fault planted: channels go first while the frames are still uint8."""
    graph = model.graph
    cast = next(node for node in graph.node if "frames" in node.input)
    transpose = next(node for node in graph.node if node.op_type == "Transpose" and cast.output[0] in node.input)
    early = helper.make_node("Transpose", ["frames"], ["channels_first"], perm=transpose.attribute[0].ints)
    late = helper.make_node("Cast", ["channels_first"], list(transpose.output), to=TensorProto.FLOAT)
    kept = [node for node in graph.node if node != transpose]
    del graph.node[:]
    graph.node.extend([early, late, *kept])
    return model


def test_the_parser_refuses_uint8_that_is_not_cast_at_once(exported, parse):
    faulty = transposed_first(onnx.load_from_string(exported.onnx))
    onnx.checker.check_model(faulty)
    frames = parity_frames(exported.encoder.image_size)[4:6]
    wanted, got = (
        ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(["score"], {"frames": frames})[0]
        for graph in (exported.onnx, faulty.SerializeToString())
    )
    np.testing.assert_allclose(got, wanted, atol=1e-6)  # valid, and the same scores: it is TensorRT alone that refuses
    parsed, errors, *_ = parse(faulty.SerializeToString())
    assert not parsed
    assert "UInt8" in " ".join(errors)
