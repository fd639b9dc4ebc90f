"""Operations counted on graphs: against a published figure, and against sums done by hand."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from wordsight.export.cost import count_cost
from wordsight.runtime.manifest import read_manifest

PUBLISHED_GFLOP = 54.76  # of the image tower of ViT-B-16-plus-240: open_clip, docs/model_profile.csv
PUBLISHED_PARAMETERS = 117.21e6


def test_the_papers_architecture_costs_what_open_clip_publishes(paper):
    """Counters that miss fused attention say 35. The last block's patches only serve as keys and values."""
    cost = read_manifest(paper.model_path).cost
    patches, width = 15 * 15, 896
    unread = 2 * patches * 10 * width**2  # query, output projection, and the MLP's eight
    unread += 2 * 2 * patches * (patches + 1) * width  # both products of attention
    assert cost.flops / 1e9 == pytest.approx(PUBLISHED_GFLOP - unread / 1e9, rel=1e-3)
    assert cost.parameters == pytest.approx(PUBLISHED_PARAMETERS, rel=0.02)  # heads are in the file, too
    assert cost.bytes == 4 * cost.parameters


def test_crops_are_paid_for_one_by_one(mini_file):
    single, five = (read_manifest(mini_file(crops=name)).cost for name in ("single", "full+2x2@0.7"))
    assert 4.9 < five.flops / single.flops < 5.3  # the heads count five times, too, and resampling comes on top


def graph(nodes, shapes, output):
    weights = [helper.make_tensor(name, TensorProto.FLOAT, dims, [0.0] * _size(dims)) for name, dims in shapes.items()]
    frames = helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["batch", 6, 10, 10])
    out = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_model(
        helper.make_graph(nodes, "g", [frames], [out], weights), opset_imports=[helper.make_opsetid("", 18)]
    )


def _size(dims):
    size = 1
    for axis in dims:
        size *= axis
    return size


CONV = helper.make_node("Conv", ["frames", "kernel"], ["maps"], group=3, strides=[2, 2], pads=[1, 1, 1, 1])


@pytest.mark.parametrize(
    ("nodes", "shapes", "flops"),
    [
        # 9 maps of 5x5, each number a sum over 2 channels x 3x3
        ([CONV], {"kernel": (9, 2, 3, 3)}, 2 * 9 * 25 * 18),
        ([helper.make_node("MatMul", ["frames", "right"], ["maps"])], {"right": (10, 7)}, 2 * 6 * 10 * 10 * 7),
        (
            [helper.make_node("Flatten", ["frames"], ["flat"]), helper.make_node("Gemm", ["flat", "right"], ["maps"])],
            {"right": (600, 4)},
            2 * 600 * 4,
        ),
        (
            [
                helper.make_node("Flatten", ["frames"], ["flat"]),
                helper.make_node("Gemm", ["right", "flat"], ["maps"], transA=1, transB=1),
            ],
            {"right": (600, 4)},
            2 * 600 * 4,
        ),
        ([helper.make_node("Relu", ["frames"], ["maps"])], {}, 0),
    ],
)
def test_products_and_convolutions_by_hand(nodes, shapes, flops):
    cost = count_cost(graph(nodes, shapes, "maps"))
    assert cost.flops == flops
    assert cost.parameters == sum(map(_size, shapes.values()))


def test_what_cannot_be_counted_is_not_guessed():
    hidden = helper.make_node("Reshape", ["frames", "unknown"], ["left"])
    product = helper.make_node("MatMul", ["left", "right"], ["maps"])
    model = graph([hidden, product], {"right": (10, 7)}, "maps")
    model.graph.input.append(helper.make_tensor_value_info("unknown", TensorProto.INT64, [2]))
    assert count_cost(model).flops == 0
    einsum = helper.make_node("Einsum", ["frames", "right"], ["maps"], equation="ncij,jk->ncik")
    assert count_cost(graph([CONV, einsum], {"kernel": (9, 2, 3, 3), "right": (10, 7)}, "maps")).flops == 0
