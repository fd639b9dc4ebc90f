"""The tests' own store of graphs: read back for an equal module alone, and never changed by who used it."""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
import pytest
import torch
from onnx import helper
from torch import nn

from wordsight.export.fused import FusedDetector


class Honest:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, detector: nn.Module, *, opset: int) -> onnx.ModelProto:
        self.calls += 1
        graph = helper.make_graph([], f"number {self.calls}", [], [])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def detector_of(encoder, heads, **options: object) -> FusedDetector:
    guiding = torch.randn(2, encoder.embed_dim, generator=torch.Generator().manual_seed(1))
    return FusedDetector(encoder, heads(encoder.embed_dim, 2), guiding, **options)


@pytest.fixture
def honest() -> Honest:
    return Honest()


@pytest.fixture
def written(written_graphs, honest: Honest, tmp_path: Path):
    return type(written_graphs)(honest, tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_an_equal_module_is_not_written_again(small_encoder_of, heads, written, honest: Honest, precision: str):
    for kind in ("vit", "resnet", "vit", "resnet"):
        graph = written(detector_of(small_encoder_of(kind, layers=2), heads, precision=precision), opset=20)
        assert graph.graph.name == f"number {1 + (kind == 'resnet')}"
        graph.graph.name = "changed by who asked for it"
    assert (honest.calls, written.found) == (2, 2)


def test_whatever_differs_is_written_anew(small_encoder_of, heads, written, honest: Honest):
    encoder = small_encoder_of("vit", layers=2)
    first = detector_of(encoder, heads)
    settings = ({"w_pr": 0.5}, {"temperature": 0.07}, {"heatmap": True}, {"seeds_output": True}, {"precision": "fp16"},
                {"centre": torch.ones(24)})  # fmt: skip
    others = [detector_of(encoder, heads, **each) for each in settings]
    nudged = copy.deepcopy(first)
    weight = next(nudged.tower.parameters()).data
    weight.view(-1)[0] = torch.nextafter(weight.view(-1)[0], torch.tensor(9.0))
    for number, module in enumerate((first, *others, nudged), start=1):
        assert written(module, opset=20).graph.name == f"number {number}"
    assert written(first, opset=18).opset_import[0].version == 18
    assert written.found == 0


def test_what_cannot_be_compared_is_written_each_time(written, honest: Honest):
    module = nn.Linear(2, 2)
    module.activation = lambda x: x
    for _ in range(2):
        written(module, opset=20)
    assert (honest.calls, written.found) == (2, 0)
