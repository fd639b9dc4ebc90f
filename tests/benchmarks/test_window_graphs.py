"""What is timed is what is compared: the windows' graph is the whole one, cut off."""

import numpy as np
import pytest
import torch
from open_clip.transformer import VisionTransformer

from wordsight.benchmarks.window_graphs import WindowGraph, export_graphs
from wordsight.export.windows import Windows


@pytest.fixture(scope="module")
def windows() -> Windows:
    torch.manual_seed(0)
    return Windows(VisionTransformer(40, 8, 48, 2, 4, 4.0, output_dim=24).eval().requires_grad_(False))


def test_both_precisions_against_torch_and_the_timed_part_against_the_whole(windows: Windows):
    tokens = torch.randn(2, 26, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = [windows.whole(tokens)[0], *windows.windows(tokens)]
    graphs = {name: WindowGraph(model, 1) for name, model in export_graphs(windows).items()}
    assert set(graphs) == {"fp32", "int8"}
    for name, (least, most) in {"fp32": (0, 3e-6), "int8": (1e-5, 0.05)}.items():
        outputs = graphs[name].outputs(tokens.numpy())
        assert len(outputs) == 3
        for a, b in zip(outputs, expected, strict=True):
            assert least <= np.abs(a - b.numpy()).max() < most
        timed = graphs[name].windows(tokens.numpy())
        for a, b in zip(timed, outputs[1:], strict=True):
            assert np.array_equal(a, b)
