"""Image towers that also bring every patch into the space of texts, in the same pass: what a heat map is read from.

The head and the guiding prompts judge what lies in the space that pictures share with texts. The last layer's patch
tokens of a vision transformer do not: attention has mixed them with the whole picture, and only the class token was
ever compared with a text. Three ways there, one a kind of tower, none of which runs the encoder again:

- `mini`: the cells of its grid, which it projects itself;
- a vision transformer: *value-value attention* (CLIP Surgery, arXiv 2304.05653; AnoVL, arXiv 2308.15939). A side path
  leaves the residual stream before the last blocks. In each of them values attend to values, so that a patch listens
  to what is like it, the result is added to the side path, and the feed-forward part is left out. The values are those
  of the main path, already computed; the main path, and with it every other output, stays as it was;
- a ResNet with attention pooling: every place of the last grid through the pool's projections of values and of its
  output (MaskCLIP, arXiv 2112.01071). The embedding is an attention-weighted mean of just these vectors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from wordsight.export.attention import PlainAttention
from wordsight.export.class_token import ClassTokenBlock, for_class_token
from wordsight.export.errors import ExportError

if TYPE_CHECKING:
    from wordsight.export.windows import Windows

__all__ = ["VALUE_BLOCKS", "GridTokens", "PooledTokens", "TextTokens", "ValueTokens", "text_tokens"]

VALUE_BLOCKS = 6
"""Last blocks of a vision transformer whose values the side path takes: CLIP Surgery's number, half of ViT-B's twelve.
Each adds 1% to the arithmetic of ViT-B/16+ (V to V and one projection). It was not tuned here: without published
weights there is nothing to tune it on."""


class TextTokens(nn.Module):
    """Images (B, 3, S, S), normalised RGB float32, to ``(embedding, ..., tokens)``, none of them normalised.

    Embedding (B, D) and tokens (B, h * w, D), row by row, lie in the space of texts. In between come what else was
    asked for: patches, or a `Windows`' windows and patches.

    Attributes:
        grid: h and w, patches down and across.
        way: how patches come into the space of texts, as the manifest names it.
        blocks: how many blocks take part in that; 0 where that has no meaning.
    """

    grid: tuple[int, int]
    way: Literal["grid", "value-value attention", "pooled values"]
    blocks: int = 0


class GridTokens(TextTokens):
    """`mini`: its own grid, which is its patches, too."""

    way = "grid"

    def __init__(self, tower: nn.Module, patches: bool) -> None:
        super().__init__()
        self.tower = tower
        self.patches = patches
        side = cast(int, cast(Any, tower).grid_size)
        self.grid = (side, side)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Embedding, patches if asked for, tokens."""
        tower = cast(Any, self.tower)
        features = tower.features(images)
        cells = tower.cell(features)
        return (tower.pool(features), *([cells] if self.patches else []), cells)


class ValueTokens(TextTokens):
    """A vision transformer of open_clip: value-value attention in its last blocks."""

    way = "value-value attention"

    def __init__(self, tower: nn.Module, patches: bool, windows: Windows | None = None) -> None:
        super().__init__()
        self.tower: Any = tower
        self.patches, self.windows = patches, windows
        self.grid = cast(tuple[int, int], self.tower.grid_size)
        self.blocks = min(VALUE_BLOCKS, len(cast(Any, tower).transformer.resblocks))
        if not patches and windows is None:
            for_class_token(tower)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Embedding, then patches or windows and patches if asked for, tokens."""
        stem = self.tower._embeds(images)  # (B, 1 + P, C), class token first
        x, side = self._through_blocks(stem)
        pooled, patches = self.tower._pool(x)
        between: list[Tensor] = []
        if self.windows is not None:
            unit = patches / torch.linalg.vector_norm(patches, dim=-1, keepdim=True).clamp_min(1e-12)
            between = [*self.windows.windows(stem), unit]  # as `Windows` gives them
        elif self.patches:
            between = [self._project(patches)]
        return (self._project(pooled), *between, self._project(self.tower.ln_post(side)))

    def _through_blocks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The main path's tokens (B, 1 + P, C) behind the last block, and the side path's patches (B, P, C).

        Where nobody reads the main path's patches, its class token (B, 1, C) alone.
        """
        blocks = list(self.tower.transformer.resblocks)
        first = len(blocks) - self.blocks
        for block in blocks[:first]:
            x = block(x)
        side = x[:, 1:]
        for block in blocks[first:]:
            if isinstance(block, ClassTokenBlock):  # the last one
                x, v = block.with_values(x)
                return x, side + self._among_values(block, v)
            normed = block.ln_1(x)
            q, k, v = block.attn.project(normed, normed, normed)
            side = side + self._among_values(block, v)
            x = x + block.ls_1(block.attn.attend(q, k, v))
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        return x, side

    @staticmethod
    def _among_values(block: Any, v: Tensor) -> Tensor:
        values = v[:, 1:]  # without the class token, which would bring the whole picture to every patch
        return cast(Tensor, block.ls_1(block.attn.attend(values, values, values)))

    def _project(self, x: Tensor) -> Tensor:
        return x if self.tower.proj is None else cast(Tensor, x @ self.tower.proj)


class PooledTokens(TextTokens):
    """A ResNet of open_clip: what its attention pool takes the mean of, place by place."""

    way = "pooled values"

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower: Any = tower
        side = math.isqrt(len(cast(Any, tower).attnpool.positional_embedding) - 1)
        self.grid = (side, side)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Embedding and tokens."""
        tower, pool = self.tower, self.tower.attnpool
        x = tower.layer4(tower.layer3(tower.layer2(tower.layer1(tower.stem(images)))))  # (B, C, h, w)
        places = x.flatten(2).transpose(1, 2) + pool.positional_embedding[1:]  # (B, h * w, C); 0 is the mean's position
        return pool(x), pool.c_proj(pool.v_proj(places))


def text_tokens(tower: nn.Module, *, patches: bool = False, windows: Windows | None = None) -> TextTokens:
    """The tower with its patches brought into the space of texts.

    Args:
        tower: the image tower, prepared for export by `with_plain_attention`; shared, not copied.
        patches: whether its patch tokens are given, too, as `WithPatches` gives them.
        windows: of this very tower, whose windows and patches are given, too.

    Raises:
        ExportError: a tower without patch tokens that can be brought there.
    """
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.transformer import VisionTransformer

    if hasattr(tower, "grid"):
        return GridTokens(tower, patches)
    if isinstance(tower, ModifiedResNet):
        if patches:
            raise ExportError("--patches needs a vision transformer, got ModifiedResNet: leave --patches out")
        return PooledTokens(tower)
    if isinstance(tower, VisionTransformer) and _reads_its_own_tokens(tower):
        return ValueTokens(tower, patches, windows)
    raise ExportError(
        "--heatmap needs patch tokens that lie with the embedding: mini's grid, or open_clip's VisionTransformer "
        f"(no attention pool) or ModifiedResNet, got {type(tower).__name__}: leave --heatmap out"
    )


def _reads_its_own_tokens(tower: Any) -> bool:
    """Whether class token or mean go through `ln_post` and the projection as patches do, and blocks are plain ones."""
    plain = tower.attn_pool is None and tower.pool_type in ("tok", "avg") and not tower.final_ln_after_pool
    attentions = [getattr(block, "attn", None) for block in tower.transformer.resblocks]
    return plain and all(isinstance(attn, PlainAttention) and attn.batch_first for attn in attentions)
