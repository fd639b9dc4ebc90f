from __future__ import annotations

import pytest
import torch
from torch import nn

from wordsight.export.attention import PlainAttention, with_plain_attention


@pytest.mark.parametrize(("width", "num_heads"), [(896, 14), (24, 4), (10, 1)])
@pytest.mark.parametrize("batch_first", [True, False])
def test_it_agrees_with_the_module_it_replaces(width: int, num_heads: int, batch_first: bool):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(width, num_heads, batch_first=batch_first).eval()
    nn.init.normal_(theirs.in_proj_bias)
    nn.init.normal_(theirs.out_proj.bias)
    x = torch.randn(3, 17, width)
    with torch.no_grad():
        expected = theirs(x, x, x, need_weights=False)[0]
        got = PlainAttention(theirs)(x, x, x)[0]
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)


def test_keys_of_another_width_and_length():
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(32, 4, kdim=48, vdim=48, batch_first=True).eval()
    query, key = torch.randn(2, 5, 32), torch.randn(2, 9, 48)
    with torch.no_grad():
        expected = theirs(query, key, key, need_weights=False)[0]
        torch.testing.assert_close(PlainAttention(theirs)(query, key, key)[0], expected, atol=2e-6, rtol=1e-5)


def test_a_mask_is_refused():
    attention = PlainAttention(nn.MultiheadAttention(8, 2, batch_first=True))
    x = torch.randn(1, 3, 8)
    with pytest.raises(ValueError, match="no mask"):
        attention(x, x, x, attn_mask=torch.zeros(3, 3))


@pytest.mark.parametrize("variant", [{}, {"ls_init_value": 0.1}, {"patch_dropout": 0.5}, {"pool_type": "avg"},
                                     {"attentional_pool": True}, {"qk_norm": True}])  # fmt: skip
def test_towers_of_open_clip_keep_their_embeddings(variant: dict[str, object]):
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(0)
    tower = VisionTransformer(32, 8, 48, 2, 4, 4.0, output_dim=24, **variant).eval()
    images = torch.randn(2, 3, 32, 32)
    twin = with_plain_attention(tower)
    with torch.no_grad():
        expected, got = tower(images), twin(images)
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)
    assert not any(isinstance(module, nn.MultiheadAttention) for module in twin.modules())


def test_the_tower_itself_is_left_alone_and_its_weights_are_shared():
    tower = nn.ModuleDict({"attn": nn.MultiheadAttention(8, 2)}).train()
    twin = with_plain_attention(tower)
    assert isinstance(tower["attn"], nn.MultiheadAttention)
    assert tower.training
    assert not twin.training
    assert {p.data_ptr() for p in twin.parameters()} == {p.data_ptr() for p in tower.parameters()}
