"""Integer products: which ones they are, what eight bits hold of a weight, and how near the windows stay."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import ModelProto, numpy_helper
from open_clip.transformer import VisionTransformer
from torch import nn

from wordsight.export.graph import write_graph
from wordsight.export.int8 import quantise_products
from wordsight.export.windows import Windows, WindowsOfTokens

LAYERS = 3


@pytest.fixture(scope="module")
def module() -> WindowsOfTokens:
    torch.manual_seed(0)
    tower = VisionTransformer(40, 8, 48, LAYERS, 4, 4.0, output_dim=24)
    for name, parameter in tower.named_parameters():
        if "bias" in name or "ln_" in name:  # no norm is an identity, no bias is zero
            nn.init.normal_(parameter, mean=float("weight" in name), std=0.3)
    return WindowsOfTokens(Windows(tower.eval().requires_grad_(False)))


@pytest.fixture(scope="module")
def graph(module: WindowsOfTokens) -> ModelProto:
    return write_graph(module, torch.zeros(2, 26, 48), "tokens", module.output_names, 20)


@pytest.fixture(scope="module")
def quantised(graph: ModelProto) -> ModelProto:
    return quantise_products(graph)


def run(model: ModelProto, tokens: torch.Tensor) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"tokens": tokens.numpy()})


@pytest.mark.parametrize("count", [1, 3])
def test_the_graph_of_tokens_gives_what_the_module_gives(module: WindowsOfTokens, graph: ModelProto, count: int):
    tokens = torch.randn(count, 26, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = module(tokens)
    assert [output.name for output in graph.graph.output] == ["embedding", "windows_2", "windows_3"]
    for a, b in zip(run(graph, tokens), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-6)


def test_what_follows_the_stem_is_the_whole_without_it(module: WindowsOfTokens):
    pictures = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        outputs = module(module.part.tower._embeds(pictures))
        for a, b in zip(outputs, module.part(pictures), strict=False):
            torch.testing.assert_close(a, b, atol=0, rtol=0)


def test_products_with_weights_become_integers_and_attention_does_not(quantised: ModelProto):
    kinds = Counter(node.op_type for node in quantised.graph.node)
    whole = 4 * LAYERS + 1  # q k v in one, out, two of the feed-forward part; and the projection
    windows = 4 * (LAYERS - 1) + 6 + 1  # the last block asks q of one token and k, v of all
    assert kinds["MatMulInteger"] == whole + 2 * windows
    assert kinds["MatMul"] == 3 * 2 * LAYERS  # q k and weights v, in the picture and at both scales
    assert kinds["Softmax"] == 3 * LAYERS


def test_weights_are_rounded_by_a_scale_for_each_column(module: WindowsOfTokens, quantised: ModelProto):
    values = {part.name: numpy_helper.to_array(part) for part in quantised.graph.initializer}
    exact = [parameter.numpy().T for name, parameter in module.part.tower.named_parameters() if "mlp.c_" in name]
    exact = [weight for weight in exact if weight.ndim == 2]
    assert len(exact) == 2 * LAYERS
    stored = [(name.removesuffix("_quantized"), array) for name, array in values.items() if array.dtype == np.int8]
    for weight in exact:
        scale = np.abs(weight).max(axis=0) / 127
        rounded = np.round(weight / scale)
        fitting = [
            name
            for name, array in stored
            if array.shape == weight.shape and np.abs(array - rounded).max() <= 1  # a tie may fall to either side
        ]
        assert fitting
        for name in fitting:
            np.testing.assert_allclose(values[f"{name}_scale"], scale, rtol=1e-5)
            assert not values[f"{name}_zero_point"].any()


def test_int8_stays_near_and_is_another_precision(graph: ModelProto, quantised: ModelProto):
    tokens = torch.randn(2, 26, 48, generator=torch.Generator().manual_seed(2))
    for exact, coarse in zip(run(graph, tokens), run(quantised, tokens), strict=True):
        assert coarse.dtype == np.float32
        assert 1e-5 < np.abs(exact - coarse).max() < 0.05
        np.testing.assert_allclose(np.linalg.norm(coarse, axis=-1), 1, atol=1e-5)


def test_the_graph_given_is_left_alone_and_so_is_the_log(graph: ModelProto):
    before, level = graph.SerializeToString(deterministic=True), logging.getLogger().level
    quantised = quantise_products(graph)
    assert graph.SerializeToString(deterministic=True) == before
    assert logging.getLogger().level == level
    assert len(quantised.SerializeToString()) < len(before)
    onnx.checker.check_model(quantised)
