"""An image tower that gives its patch tokens beside the embedding, both in the space shared with texts."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from wordsight.export.errors import ExportError


class WithPatches(nn.Module):
    """Images (B, 3, S, S) to ``(embedding (B, D), patches (B, P, D))``, neither normalised; patches row by row.

    For open_clip's vision transformers the patches are the final layer's tokens after ``ln_post`` and the projection,
    as WinCLIP's zero-shot maps take them; for `mini` they are its grid.

    Args:
        tower: the image tower, prepared for export; it is changed to return its tokens.

    Raises:
        ExportError: a tower without patch tokens in the shared space.
    """

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        from open_clip.transformer import VisionTransformer

        self.tower = tower
        self.is_grid = hasattr(tower, "grid")
        if isinstance(tower, VisionTransformer):
            plain = tower.attn_pool is None and tower.pool_type in ("tok", "avg") and not tower.final_ln_after_pool
        else:
            plain = self.is_grid
        if not plain:
            raise ExportError(
                f"--patches needs the patch tokens of a vision transformer with a class token; {type(tower).__name__} "
                "has none in the space of its embedding: leave --patches out"
            )
        if not self.is_grid:
            cast(Any, tower).output_tokens = True

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding and patches of normalised RGB float32 images."""
        tower = cast(Any, self.tower)
        if self.is_grid:
            features = tower.features(images)  # computed once for both
            return tower.pool(features), tower.cell(features)
        pooled, tokens = tower(images)
        return pooled, tokens if tower.proj is None else tokens @ tower.proj
