"""A causal text tower at the length its words need, instead of CLIP's fixed 77 tokens.

In a causal tower no token sees those behind it, and CLIP reads the embedding out at the end token. Whatever pads the
context behind that token changes nothing, so a context cut there gives the same embedding for less work. Not every
tower is built so: SigLIP's and MobileCLIP2's look both ways, and SigLIP's reads out the last place. open_clip's towers
are judged by how they are built, others by trying it out (`fits_short_contexts`).
"""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["encode_short", "end_places", "fits_short_contexts"]


def end_places(tokens: Tensor) -> Tensor:
    """Where each row of tokens (B, C) ends: (B,) int64. CLIP's end token has the highest number of all."""
    return tokens.argmax(dim=-1)


def encode_short(model: nn.Module, tokens: Tensor) -> Tensor:
    """Embed tokens whose context may be shorter than the model's own.

    Args:
        model: a CLIP model with `encode_text`.
        tokens: (B, L) int64, every row with its end token, L at most the model's context.

    Returns:
        (B, D) text embeddings, not normalised, in the tower's own precision.
    """
    tower: Any = getattr(model, "text", model)  # open_clip keeps the text tower in `text`, or spread over the model
    if _is_plain_causal(tower):
        return _encode_causal(tower, tokens)
    return cast(Callable[[Tensor], Tensor], model.encode_text)(tokens)


def fits_short_contexts(
    model: nn.Module, tokens: Tensor, encode: Callable[[Tensor], Tensor] | None = None, least: float = 0.9999
) -> bool:
    """Whether rows of tokens (B, C), each embedded alone at its own length, agree with the model's own `encode_text`.

    A tower of open_clip's that is not causal is not tried: with weights that hardly tell texts apart it could agree by
    chance.

    Args:
        model: a CLIP model with `encode_text`.
        tokens: (B, C) int64, at the model's whole context.
        encode: what embeds short rows, (B, L) int64 to (B, D); None for `encode_short`.
        least: cosine that counts as agreement, in every row.
    """
    tower: Any = getattr(model, "text", model)
    if hasattr(tower, "token_embedding") and hasattr(tower, "text_projection") and not _is_plain_causal(tower):
        return False
    whole = F.normalize(cast(Callable[[Tensor], Tensor], model.encode_text)(tokens).float(), dim=-1)
    for row, place in enumerate(end_places(tokens).tolist()):
        cut = tokens[row : row + 1, : place + 1]
        try:
            short = encode_short(model, cut) if encode is None else encode(cut)
        except (RuntimeError, ValueError, IndexError):  # the tower insists on its whole context
            return False
        if not F.normalize(short.float(), dim=-1)[0] @ whole[row] >= least:
            return False
    return True


def _is_plain_causal(tower: Any) -> bool:
    """Whether this is open_clip's causal tower, read out at the end token and without a class token of CoCa's kind."""
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    return (
        all(hasattr(tower, part) for part in parts)
        and pool == "argmax"
        and getattr(tower, "attn_mask", None) is not None
        and getattr(tower, "cls_emb", None) is None
        and hasattr(tower.transformer, "resblocks")
    )


def _encode_causal(tower: Any, tokens: Tensor) -> Tensor:
    """The steps of open_clip's `encode_text`, with positions and mask cut to L and the last ones at end tokens only."""
    length = tokens.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    x = tower.token_embedding(tokens).to(dtype)  # (B, L, W)
    x = x + tower.positional_embedding[:length].to(dtype)
    x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
    # Only end tokens from here on, (B, W): layer norm and projection look at one token at a time.
    x = x[torch.arange(len(x), device=x.device), end_places(tokens)]
    x = tower.ln_final(x)
    if isinstance(tower.text_projection, nn.Linear):
        return cast(Tensor, tower.text_projection(x))
    return cast(Tensor, x if tower.text_projection is None else x @ tower.text_projection)
