"""Exported graphs against TensorRT's own parser and builder, ahead of time: neither needs a GPU or a driver."""

from __future__ import annotations

import importlib.util

import onnx
import pytest
from onnx import TensorProto, helper

pytestmark = [
    pytest.mark.tensorrt,
    pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="needs: pip install 'wordsight[rtx]'"),
]


def parse(model: bytes):
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(model)
    # All are returned: each keeps a reference into the one before it.
    return parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)], builder, network, parser


def test_parser_and_builder_take_the_graph(exported):
    import tensorrt_rtx as trt

    parsed, errors, builder, network, _parser = parse(exported.onnx)
    assert parsed, errors
    assert [network.get_output(i).name for i in range(network.num_outputs)] == list(exported.detector.output_names)

    size = exported.encoder.image_size
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("frames", *((batch, size, size, 3) for batch in (1, 4, 16)))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None
    weights = sum(p.numel() * 4 for p in exported.encoder.model.visual.parameters())
    assert engine.nbytes > 0.9 * weights


def test_the_parser_refuses_uint8_that_is_not_cast_at_once():
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["frames"], ["channels_first"], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["channels_first"], ["score"], to=TensorProto.FLOAT),
        ],
        "transposed_first",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 3, 8, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)  # valid ONNX: it is TensorRT alone that refuses
    parsed, errors, *_ = parse(model.SerializeToString())
    assert not parsed
    assert "UInt8" in " ".join(errors)
