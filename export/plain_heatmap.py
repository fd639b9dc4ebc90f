"""Patches in the space of texts by the plain reading: torch's own attention, one more time for every way there."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordsight.export.heatmap import VALUE_BLOCKS


def patches_in_text_space(tower: Any, images: Tensor) -> Tensor:
    """What `TextTokens` puts out, written out, before it is normalised.

    Args:
        tower: the image tower as it was loaded: `mini`'s, or open_clip's VisionTransformer or ModifiedResNet.
        images: (N, 3, S, S) float32 RGB, normalised.

    Returns:
        (N, h, w, D) float32.
    """
    if hasattr(tower, "grid"):
        side = tower.grid_size
        return cast(Tensor, tower.grid(images)).reshape(len(images), side, side, -1)
    if hasattr(tower, "attnpool"):
        return _pooled_one_by_one(tower, images)
    return _value_to_value(tower, images)


def _value_to_value(tower: Any, images: Tensor) -> Tensor:
    """A second, parallel stream whose attention takes queries and keys to be values, and which has no FFN."""
    blocks = list(tower.transformer.resblocks)
    first = max(0, len(blocks) - VALUE_BLOCKS)
    x = tower._embeds(images)
    side = None
    for number, block in enumerate(blocks):
        if number == first:
            side = x[:, 1:]
        if number >= first:
            patches = block.ln_1(x)[:, 1:]
            side = side + block.ls_1(_of_values(block.attn)(patches, patches, patches, need_weights=False)[0])
        x = block(x)
    tokens = tower.ln_post(side)
    tokens = tokens if tower.proj is None else tokens @ tower.proj
    return cast(Tensor, tokens).reshape(len(images), *tower.grid_size, -1)


def _of_values(attention: nn.MultiheadAttention) -> nn.MultiheadAttention:
    """Attention as torch has it, with the projection of values in place of those of queries and keys."""
    twin = copy.deepcopy(attention)
    with torch.no_grad():
        for part in (twin.in_proj_weight, twin.in_proj_bias):
            values = part.chunk(3)[2]
            part.copy_(torch.cat([values, values, values]))
    return twin


def _pooled_one_by_one(tower: Any, images: Tensor) -> Tensor:
    """The attention pool, shown one place at a time: whatever its weights, they fall on that place alone."""
    pool = tower.attnpool
    grid = tower.forward_intermediates(images, indices=1, intermediates_only=True)["image_intermediates"][-1]
    rows, columns = grid.shape[-2:]
    found = []
    for place in range(rows * columns):
        one = grid.flatten(2)[:, :, place][None] + pool.positional_embedding[1 + place]  # (1, N, C)
        out, _ = F.multi_head_attention_forward(
            one, one, one, one.shape[-1], pool.num_heads,
            None, torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]), None, None, False, 0.0,
            pool.c_proj.weight, pool.c_proj.bias, training=False, need_weights=False, use_separate_proj_weight=True,
            q_proj_weight=pool.q_proj.weight, k_proj_weight=pool.k_proj.weight, v_proj_weight=pool.v_proj.weight,
        )  # fmt: skip
        found.append(out[0])
    return torch.stack(found, dim=1).reshape(len(images), rows, columns, -1)
