"""Windows against open_clip's own transformer with everything outside of one window masked out, a window at a time."""

from __future__ import annotations

import itertools

import pytest
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from wordsight.export.errors import ExportError
from wordsight.export.windows import Windows, window_places

GRIDS = {"square": (40, 8), "wide": ((32, 48), 8)}


def make_tower(image_size=40, patch_size=8, **variant) -> VisionTransformer:
    torch.manual_seed(0)
    tower = VisionTransformer(image_size, patch_size, 48, 3, 4, 4.0, output_dim=24, **variant)
    for name, parameter in tower.named_parameters():
        if "bias" in name or "ln_" in name:  # no norm is an identity, no bias is zero
            torch.nn.init.normal_(parameter, mean=float("weight" in name), std=0.3)
    return tower.eval().requires_grad_(False)


def pictures_for(tower: VisionTransformer, count: int = 2) -> Tensor:
    return torch.randn(count, 3, *tower.image_size, generator=torch.Generator().manual_seed(1))


def brute_force(tower: VisionTransformer, pictures: Tensor, size: int) -> Tensor:
    """Every window with all tokens present and all outside of it masked: the class token sees the window alone."""
    tokens = tower._embeds(pictures)
    height, width = tower.grid_size
    rows = []
    for top, left in itertools.product(range(height - size + 1), range(width - size + 1)):
        inside = torch.zeros(height, width, dtype=torch.bool)
        inside[top : top + size, left : left + size] = True
        seen = torch.cat([torch.ones(1, dtype=torch.bool), inside.flatten()])
        mask = torch.zeros(len(seen), len(seen)).masked_fill(~seen[None], float("-inf"))
        pooled, _ = tower._pool(tower.transformer(tokens, attn_mask=mask))
        rows.append(F.normalize(pooled @ tower.proj, dim=-1))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("variant", [{}, {"ls_init_value": 0.3}, {"final_ln_after_pool": True}, {"no_ln_pre": True}])
def test_each_window_is_what_the_tower_sees_when_all_else_is_masked(grid: str, variant: dict[str, object]):
    tower = make_tower(*GRIDS[grid], **variant)
    pictures = pictures_for(tower)
    with torch.inference_mode():
        outputs = dict(zip(Windows(tower).output_names, Windows(tower)(pictures), strict=True))
        for size in (2, 3):
            expected = brute_force(tower, pictures, size)
            torch.testing.assert_close(outputs[f"windows_{size}"], expected, atol=3e-6, rtol=0)
            # windows differ from one another, so agreeing with the wrong one would be noticed
            spread = (expected[:, :, None] - expected[:, None]).norm(dim=-1)
            assert spread[:, ~torch.eye(spread.shape[1], dtype=torch.bool)].min() > 1e-3


def test_the_whole_picture_and_its_patches_are_open_clips_own():
    tower = make_tower(output_tokens=True)
    pictures = pictures_for(tower)
    with torch.inference_mode():
        pooled, tokens = tower(pictures)
        embedding, *_, patches = Windows(tower)(pictures)
        *_, projected = Windows(tower, project_patches=True)(pictures)
    torch.testing.assert_close(embedding, F.normalize(pooled, dim=-1), atol=3e-6, rtol=0)
    torch.testing.assert_close(patches, F.normalize(tokens, dim=-1), atol=3e-6, rtol=0)
    torch.testing.assert_close(projected, F.normalize(tokens @ tower.proj, dim=-1), atol=3e-6, rtol=0)


def test_custom_blocks_of_open_clip():
    tower = make_tower(qk_norm=True)
    with torch.inference_mode():
        _, windows, *_ = Windows(tower)(pictures_for(tower))
        torch.testing.assert_close(windows, brute_force(tower, pictures_for(tower), 2), atol=3e-6, rtol=0)
    with pytest.raises(ExportError, match="use fp32"):
        Windows(tower, precision="bf16")


def test_bf16_stays_near_and_leaves_the_tower_alone():
    tower = make_tower()
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    pictures = pictures_for(tower)
    with torch.inference_mode():
        exact, halved = Windows(tower)(pictures), Windows(tower, precision="bf16")(pictures)
    for a, b in zip(exact, halved, strict=True):
        assert b.dtype == torch.float32
        assert 1e-6 < (a - b).abs().max() < 0.05  # another precision it is, and no other picture
    for name, value in tower.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(("size", "count"), [(2, 196), (3, 169)])
def test_the_paper_s_grid_has_196_and_169_windows(size: int, count: int):
    places = window_places((15, 15), size)
    assert places.shape == (count, size * size)
    assert places[0].tolist() == [15 * row + column for row in range(size) for column in range(size)]
    assert places[-1, -1] == 224


@pytest.mark.parametrize("size", [0, 4])
def test_a_window_larger_than_the_grid(size: int):
    with pytest.raises(ExportError, match="1 to 3 patches"):
        window_places((3, 5), size)


def test_a_convolutional_encoder_has_no_windows(mini_encoder):
    with pytest.raises(ExportError, match="windows need a ViT") as error:
        Windows(mini_encoder.model.get_submodule("visual"))
    assert "ViT-B-16-plus-240" in str(error.value)


@pytest.mark.parametrize("variant", [{"pool_type": "avg"}, {"attentional_pool": True}])
def test_a_tower_that_pools_otherwise(variant: dict[str, object]):
    with pytest.raises(ExportError, match="windows need a ViT"):
        Windows(make_tower(**variant))


def test_an_unknown_precision():
    with pytest.raises(ExportError, match="fp32 or bf16"):
        Windows(make_tower(), precision="int4")
