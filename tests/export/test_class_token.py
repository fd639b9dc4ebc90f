"""The last block for the class token alone: the same embedding, fewer products."""

from __future__ import annotations

import pytest
import torch

from wordsight.export.attention import with_plain_attention
from wordsight.export.class_token import ClassTokenBlock, for_class_token


def tower_of(**variant):
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(0)
    tower = VisionTransformer(32, 8, 48, 3, 4, 4.0, output_dim=24, **variant).eval()
    for name, parameter in tower.named_parameters():
        if name.endswith("bias"):  # open_clip begins with zeros, which would hide a bias that is left out
            torch.nn.init.normal_(parameter)
    return tower


@pytest.mark.parametrize("variant", [{}, {"ls_init_value": 0.1}, {"final_ln_after_pool": True}, {"no_ln_pre": True}])
def test_the_embedding_stays(variant: dict[str, object]):
    tower = tower_of(**variant)
    images = torch.randn(3, 3, 32, 32)
    twin = for_class_token(with_plain_attention(tower))
    blocks = twin.transformer.resblocks
    assert [isinstance(block, ClassTokenBlock) for block in blocks] == [False, False, True]
    with torch.no_grad():
        torch.testing.assert_close(twin(images), tower(images), atol=2e-6, rtol=1e-5)
        assert twin.transformer(torch.randn(3, 17, 48)).shape == (3, 1, 48)


@pytest.mark.parametrize("variant", [{"pool_type": "avg"}, {"attentional_pool": True}, {"qk_norm": True},
                                     {"output_tokens": True}])  # fmt: skip
def test_towers_that_need_more_than_the_class_token_are_left_as_they_are(variant: dict[str, object]):
    twin = for_class_token(with_plain_attention(tower_of(**variant)))
    assert not any(isinstance(module, ClassTokenBlock) for module in twin.modules())


def test_weights_are_shared_and_the_tower_stays_as_it_was():
    tower = tower_of()
    before = list(tower.state_dict())
    twin = for_class_token(with_plain_attention(tower))
    block, cut = tower.transformer.resblocks[-1], twin.transformer.resblocks[-1]
    assert list(tower.state_dict()) == before
    assert cut.query.weight.data_ptr() == block.attn.in_proj_weight.data_ptr()
    assert cut.key_value.weight.untyped_storage().data_ptr() == block.attn.in_proj_weight.untyped_storage().data_ptr()
