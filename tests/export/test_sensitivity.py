"""Layers that hurt: a planted one is found and left out, and nothing is where nothing has to be."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from wordsight.export.drift import Limits
from wordsight.export.fused import FusedDetector
from wordsight.export.parity import parity_frames
from wordsight.export.quantise import Quantiser, fold_weights
from wordsight.export.runner import onnxruntime_runner
from wordsight.export.sensitivity import MOST_LEFT_OUT, least_hurt

CALIBRATION, CHECK = parity_frames(96, seed=1), np.concatenate([parity_frames(96, seed) for seed in (2, 3)])
LIMITS = Limits(mean=0.004, rank_correlation=0.5, auroc_change=1)
FAULTY = "trunk.10"


@pytest.fixture(scope="module")
def model(mini_encoder, heads, written_graphs) -> onnx.ModelProto:
    guiding = torch.randn(2, 128, generator=torch.Generator().manual_seed(1))
    guiding[1] = guiding[0] + 0.1 * guiding[1]  # a softmax that is not saturated shows differences
    return written_graphs(FusedDetector(mini_encoder, heads(128, 2), guiding))


def with_outlier(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function, but for float rounding: what `FAULTY`'s second convolution takes has one huge channel.

    A channel is multiplied by 4096 where it is given, and its weights divided by as much where it is taken.
    """
    faulty = fold_weights(model)  # batch norms lie in the convolutions then, and with them the biases
    tensors = {tensor.name: tensor for tensor in faulty.graph.initializer}
    first, second = (f"tower.{FAULTY}.{part}.0.weight" for part in ("first", "second"))
    bias = next(list(node.input)[2:] for node in faulty.graph.node if first in node.input)  # none where it is all zeros
    for name, axis, factor in ((first, 0, 4096), *((name, 0, 4096) for name in bias), (second, 1, 1 / 4096)):
        values = numpy_helper.to_array(tensors[name]).copy()
        np.moveaxis(values, axis, 0)[5] *= factor
        tensors[name].CopyFrom(numpy_helper.from_array(values, name))
    return faulty


def scores(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return onnxruntime_runner(model.SerializeToString()).run(CHECK)


def test_a_layer_with_one_huge_channel_is_found_and_left_out(model):
    faulty = with_outlier(model)
    exact = scores(faulty)
    np.testing.assert_allclose(exact["score"], scores(model)["score"], atol=1e-5)  # the fault is one of int8 alone
    quantiser = Quantiser(faulty, CALIBRATION)
    whole = np.abs(scores(quantiser.rewrite("int8"))["score"] - exact["score"]).mean()
    assert whole > LIMITS.mean
    steps: list[str] = []
    chosen = least_hurt(quantiser, "int8", CHECK, exact, None, LIMITS, on_step=steps.append)
    assert chosen.left_out == (FAULTY,)
    assert next(iter(chosen.sensitivity)) == FAULTY
    assert set(chosen.sensitivity) == set(quantiser.groups)
    assert list(chosen.sensitivity.values()) == sorted(chosen.sensitivity.values(), reverse=True)
    # By hand: the graph that is given back has the drift that it says, and it is within the limits.
    drift = np.abs(scores(chosen.model)["score"] - exact["score"]).mean()
    assert drift == pytest.approx(chosen.drift.mean, rel=1e-5)
    assert drift <= LIMITS.mean < whole
    assert any(FAULTY in step for step in steps)


def test_nothing_is_measured_where_the_whole_lies_within_the_limits(model):
    quantiser, exact = Quantiser(model, CALIBRATION), scores(model)
    chosen = least_hurt(quantiser, "int8", CHECK, exact, None, LIMITS)
    assert (chosen.left_out, chosen.sensitivity) == ((), {})
    assert chosen.model == quantiser.rewrite("int8")
    looked = least_hurt(quantiser, "int8", CHECK, exact, None, LIMITS, always=True)
    assert looked.left_out == ()
    assert set(looked.sensitivity) == set(quantiser.groups)


def test_limits_out_of_reach_give_the_closest_graph_and_its_drift(model):
    quantiser, exact = Quantiser(model, CALIBRATION), scores(model)
    hopeless = Limits(mean=0.0, rank_correlation=1.0, auroc_change=0.0)
    chosen = least_hurt(quantiser, "int8", CHECK, exact, None, hopeless)
    assert chosen.drift.beyond(hopeless)
    assert len(chosen.left_out) <= MOST_LEFT_OUT * len(quantiser.groups)
    whole = np.abs(scores(quantiser.rewrite("int8"))["score"] - exact["score"]).mean()
    assert chosen.drift.mean <= whole
    assert np.abs(scores(chosen.model)["score"] - exact["score"]).mean() == pytest.approx(chosen.drift.mean, rel=1e-5)


def test_fp8_leaves_layers_out_too(model):
    quantiser = Quantiser(model, CALIBRATION)
    groups = quantiser.groups
    found = quantiser.rewrite("fp8", left_out=groups[1:])
    whole = quantiser.rewrite("fp8")
    count = [sum(node.op_type == "QuantizeLinear" for node in graph.graph.node) for graph in (found, whole)]
    assert 0 < count[0] < count[1]
    exact = scores(model)["score"]
    few, all_ = (np.abs(scores(graph)["score"] - exact).mean() for graph in (found, whole))
    assert 0 < few < all_
