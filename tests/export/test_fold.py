from __future__ import annotations

import pytest
import torch
from torch import nn

from wordsight.export.fold import fold_heads
from wordsight.train.head import Head


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("batch", [1, 7])
def test_folded_heads_equal_the_separate_ones(heads, count: int, batch: int):
    separate = heads(640, count)
    unit = nn.functional.normalize(torch.randn(batch, 640, generator=torch.Generator().manual_seed(5)), dim=-1)
    with torch.no_grad():
        expected = torch.stack([head(unit) for head in separate], dim=1)  # (N, K)
        got = fold_heads(separate)(unit)
    assert got.shape == (batch, count)
    torch.testing.assert_close(got, expected, atol=5e-6, rtol=1e-5)
    if count > 1:  # or the order of the columns would not have been tested
        assert expected.std(dim=1).min() > 0.01


def test_it_costs_well_under_one_percent_of_the_tower(heads):
    multiplications = sum(
        buffer.numel() for name, buffer in fold_heads(heads(640, 10)).named_buffers() if name.startswith("weight")
    )
    assert multiplications < 0.001 * 27.4e9  # ViT-B/16+ at 240 px


def test_heads_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        fold_heads([Head(16).eval(), Head(16, widths=(8,)).eval()])


def test_no_heads_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        fold_heads([])


def test_an_unknown_layer_is_refused():
    head = Head(16)
    head.layers[2] = nn.GELU()
    with pytest.raises(ValueError, match="GELU"):
        fold_heads([head])
