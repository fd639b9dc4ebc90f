"""Patch tokens beside the embedding, held against open_clip's own intermediate features."""

from __future__ import annotations

import pytest
import torch
from open_clip.transformer import VisionTransformer
from torch import nn

from wordsight.export.attention import with_plain_attention
from wordsight.export.errors import ExportError
from wordsight.export.patches import WithPatches
from wordsight.train import mini


@pytest.mark.parametrize("variant", [{}, {"pool_type": "avg"}])
def test_tokens_are_the_last_layers_normed_and_projected(variant: dict[str, object]):
    torch.manual_seed(0)
    tower = VisionTransformer(32, 8, 48, 2, 4, 4.0, output_dim=24, **variant).eval()
    nn.init.normal_(tower.ln_post.weight)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        embedding, patches = WithPatches(with_plain_attention(tower))(images)
        theirs = tower.forward_intermediates(images, indices=1, normalize_intermediates=True, output_fmt="NLC")
    assert patches.shape == (2, 16, 24)
    torch.testing.assert_close(patches, theirs["image_intermediates"][-1] @ tower.proj, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(embedding, theirs["image_features"], atol=1e-5, rtol=1e-5)
    assert not tower.output_tokens  # the tower itself is left as it was


def test_minis_grid_goes_from_left_to_right_and_down():
    model = mini.load()
    images = torch.zeros(1, 3, 96, 96)
    changed = images.clone()
    changed[:, :, 24:32, 64:72] = 3  # row 3, column 8 of 12 x 12 cells of 8 pixels
    tower = WithPatches(with_plain_attention(model.visual))
    with torch.no_grad():
        (embedding, before), (_, after) = tower(images), tower(changed)
        torch.testing.assert_close(embedding, model.encode_image(images))
    assert before.shape == (1, 144, 128)
    change = (after - before).square().sum(dim=-1).reshape(12, 12)
    row = (change.sum(dim=1) @ torch.arange(12.0) / change.sum()).item()
    column = (change.sum(dim=0) @ torch.arange(12.0) / change.sum()).item()
    assert (row, column) == pytest.approx((3, 8), abs=1)  # turned, it would be (8, 3)


@pytest.mark.parametrize("variant", [{"final_ln_after_pool": True}, {"attentional_pool": True}, {"pool_type": "none"}])
def test_towers_without_such_tokens_are_refused(variant: dict[str, object]):
    tower = VisionTransformer(32, 8, 48, 1, 4, 4.0, output_dim=24, **variant)
    with pytest.raises(ExportError, match="leave --patches out"):
        WithPatches(tower)
    with pytest.raises(ExportError, match="Conv2d"):
        WithPatches(nn.Conv2d(3, 8, 3))
