"""What WinCLIP sees: the whole picture, every window of 2x2 and 3x3 patches, and the patches, from one stem.

WinCLIP (arXiv 2303.14814, section 4.2): the picture is cut into patches and given its positions once. A window is then
the class token and the window's own patches, run through the very same transformer. All windows of one size are a
batch of short sequences (5 and 10 tokens), so nothing is masked and no work is spent on patches outside a window.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from wordsight.export.attention import PlainAttention, with_plain_attention
from wordsight.export.errors import ExportError

__all__ = ["PRECISIONS", "SCALES", "Windows", "WindowsOfTokens", "has_windows", "window_places"]

SCALES = (2, 3)
"""Patches a side of the windows."""

PRECISIONS = ("fp32", "bf16")


def window_places(grid: tuple[int, int], size: int) -> Tensor:
    """The patches of every window, windows and patches row by row, windows one patch apart.

    Args:
        grid: patches down and across, (15, 15) in ViT-B/16+ at 240 px.
        size: k, patches a side of a window, at most the grid's shorter side.

    Returns:
        (W, k * k) int64, numbers of patches; W = (h - k + 1) * (w - k + 1), so 196 for k = 2 and 169 for k = 3.

    Raises:
        ExportError: the window is larger than the grid.
    """
    if not 1 <= size <= min(grid):
        raise ExportError(f"expected windows of 1 to {min(grid)} patches a side on this encoder's grid, got {size}")
    patches = torch.arange(grid[0] * grid[1]).reshape(grid)
    return patches.unfold(0, size, 1).unfold(1, size, 1).reshape(-1, size * size)


class Windows(nn.Module):
    """Normalised pictures (N, 3, S, S) float32 RGB to (embedding, windows_2, windows_3, patches), all float32.

    Axes: N pictures, W windows, P patches, D embedding width, C the tower's own width (896 in ViT-B/16+). Every row
    has unit length: all that reads them compares directions. Parameters are shared with the tower, except where
    another precision needs its own copy.

    Args:
        tower: open_clip's VisionTransformer, the image tower of an encoder; it is left as it is.
        scales: patches a side of the windows, one output each.
        project_patches: whether patches go through the projection too, (N, P, D) instead of (N, P, C).
        precision: of the transformer's products: "fp32", or "bf16" (sums, norms and scores stay float32).

    Raises:
        ExportError: the tower has no windows, or not this precision.
    """

    def __init__(
        self,
        tower: nn.Module,
        *,
        scales: Sequence[int] = SCALES,
        project_patches: bool = False,
        precision: str = PRECISIONS[0],
    ) -> None:
        super().__init__()
        _check_tower(tower)
        self.tower: Any = with_plain_attention(tower)
        if precision not in PRECISIONS:
            raise ExportError(f"windows run in {' or '.join(PRECISIONS)}, got {precision!r}")
        if precision == "bf16":
            _use_bf16(self.tower)
        self.scales = tuple(scales)
        self.project_patches = project_patches
        self.grid = cast(tuple[int, int], self.tower.grid_size)
        for size in self.scales:
            patches = window_places(self.grid, size)
            # Token 0 is the class token, patches follow it.
            tokens = torch.cat([patches.new_zeros(len(patches), 1), patches + 1], dim=1)
            self.register_buffer(f"tokens_{size}", tokens, persistent=False)  # (W, 1 + k * k)
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which ``forward`` returns them."""
        return ("embedding", *(f"windows_{size}" for size in self.scales), "patches")

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Pictures (N, 3, S, S) to embedding (N, D), windows (N, W, D) for each scale, patches (N, P, C or D)."""
        tokens = self.tower._embeds(pictures)  # (N, 1 + P, C), behind positions and first norm
        embedding, patches = self.whole(tokens)
        return (embedding, *self.windows(tokens), patches)

    def whole(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The whole picture: tokens (N, 1 + P, C) of the stem to embedding (N, D) and patches (N, P, C or D)."""
        x = self.tower.transformer(tokens)
        pooled, _ = self.tower._pool(x)
        patches = self.tower.ln_post(x[:, 1:])
        if self.project_patches and self.tower.proj is not None:
            patches = patches @ self.tower.proj
        return _unit(self._project(pooled)), _unit(patches)

    def windows(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Every window alone: tokens (N, 1 + P, C) of the stem to unit embeddings (N, W, D), one for each scale."""
        embeddings = []
        for size in self.scales:
            places: Tensor = getattr(self, f"tokens_{size}")
            count, length = places.shape
            # Gathered as one list of tokens; -1 stands for N * W, the only axis that is no constant in the graph.
            x = tokens.index_select(1, places.reshape(-1)).reshape(-1, length, tokens.shape[2])
            *blocks, last = self.tower.transformer.resblocks
            for block in blocks:
                x = block(x)
            pooled = self.tower.ln_post(_class_token(last, x))  # (N * W, C)
            embeddings.append(_unit(self._project(pooled)).reshape(-1, count, self.tower.output_dim))
        return tuple(embeddings)

    def _project(self, pooled: Tensor) -> Tensor:
        return pooled if self.tower.proj is None else cast(Tensor, pooled @ self.tower.proj)


class WindowsOfTokens(nn.Module):
    """What follows the stem, by itself: tokens (N, 1 + P, C) float32 to (embedding, windows_2, windows_3).

    Every product with a constant in its graph is one of the tower's own, so the whole of it may be quantised.
    """

    def __init__(self, windows: Windows) -> None:
        super().__init__()
        self.part = windows
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which ``forward`` returns them."""
        return self.part.output_names[:-1]

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Tokens (N, 1 + P, C), behind positions and first norm, to (N, D), then (N, W, D) for each scale."""
        embedding, _ = self.part.whole(tokens)
        return (embedding, *self.part.windows(tokens))


class InBf16(nn.Module):
    """A part of a transformer's block that computes in bfloat16 between float32 in and float32 out.

    The sums of the residual stream and the norms, where bfloat16 would lose most, lie outside of it.
    """

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor, *others: Tensor, **options: object) -> Tensor | tuple[Tensor, None]:
        """Call the part; a tensor given twice stays one, so that attention sees that query, key and value are one."""
        halved = {id(tensor): tensor.to(torch.bfloat16) for tensor in (x, *others)}
        out = self.part(*(halved[id(tensor)] for tensor in (x, *others)), **options)
        return (out[0].float(), None) if isinstance(out, tuple) else out.float()


def _unit(x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    unit: Tensor = x / norm.clamp_min(1e-12)
    return unit


def _class_token(block: Any, x: Tensor) -> Tensor:
    """What the last block makes of the class token: x (B, L, C) to (B, C).

    Nothing reads the other tokens any more, so in a plain block they only serve as keys and values.
    """
    if not hasattr(block, "attention"):
        return cast(Tensor, block(x)[:, 0])
    first = x[:, :1]
    keys = block.ln_1(x)
    y = first + block.ls_1(block.attention(keys[:, :1], keys, keys))
    return cast(Tensor, (y + block.ls_2(block.mlp(block.ln_2(y))))[:, 0])


def has_windows(tower: nn.Module) -> bool:
    """Whether an image tower can be a `Windows`."""
    try:
        _check_tower(tower)
    except ExportError:
        return False
    return True


def _check_tower(tower: nn.Module) -> None:
    from open_clip.transformer import VisionTransformer

    if not isinstance(tower, VisionTransformer):
        raise ExportError(
            f"windows need a ViT: expected open_clip's VisionTransformer, got {type(tower).__name__}; "
            "take an encoder such as ViT-B-16-plus-240"
        )
    if tower.attn_pool is not None or tower.pool_type != "tok":
        raise ExportError(
            "windows need a ViT that reads its embedding from the class token, this one pools "
            f"{'by attention' if tower.attn_pool is not None else tower.pool_type!r}; take another encoder"
        )


def _use_bf16(tower: Any) -> None:
    """Give every block's attention and feed-forward part a bfloat16 copy of its own."""
    for block in tower.transformer.resblocks:
        if not isinstance(block.attn, PlainAttention):
            raise ExportError(f"bf16 windows need plain attention, got {type(block.attn).__name__}; use fp32")
        block.attn = InBf16(copy.deepcopy(block.attn).to(torch.bfloat16))
        block.mlp = InBf16(copy.deepcopy(block.mlp).to(torch.bfloat16))
