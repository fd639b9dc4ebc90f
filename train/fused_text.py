"""open_clip's causal text tower with its own weights in fewer, larger steps: faster, and the same embeddings.

What is computed less than by the tower's own forward:

- **Places once.** In a causal tower a place depends on its prefix alone, so places of different texts that have the
  same prefix are one row (`Prefixes`). What stands behind an end token is no row at all.
- **One place of the last block.** Only end tokens are read out.
- **No copies.** Attention is one product for Q, K and V and one fused causal kernel, where `nn.MultiheadAttention`
  copies into other layouts and reads a mask. In bf16 weights are converted once, where autocast converts them anew.

Products and attention run in the precision asked for; the residual stream, layer norms, the embedding and the
projection stay float32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FusedText", "Prefixes", "fuse_text"]


@dataclass(frozen=True)
class Prefixes:
    """The distinct prefixes of a batch of token rows (B, L): R of them.

    Attributes:
        row: (B, L) int64, which prefix each place holds, 0 to R - 1; behind an end token any of them.
        place: (R,) int64, where each prefix stands first, as an index into the flattened (B * L,) places.
        end: (B,) int64, the places of the end tokens.
    """

    row: Tensor
    place: Tensor
    end: Tensor

    @classmethod
    def of(cls, tokens: Tensor) -> "Prefixes":
        """Find prefixes that a row shares with the one above it: all of them if rows are sorted, else fewer.

        Args:
            tokens: (B, L) int64, each row with its end token, the highest number of all.
        """
        end = tokens.argmax(dim=-1)
        new = torch.arange(tokens.shape[1], device=tokens.device) <= end[:, None]
        new[1:] &= ~(tokens[1:] == tokens[:-1]).cumprod(dim=1).bool()
        number = new.flatten().cumsum(0).view_as(tokens) - 1
        # Numbers grow downwards: the largest so far in a column is that of the row which a prefix is shared with.
        row = torch.where(new, number, 0).cummax(dim=0).values
        return cls(row, new.flatten().nonzero().flatten(), end)


class FusedText:
    """A text tower as `fuse_text` makes it: call it with tokens (B, L) int64, and get (B, D) float32, not normalised.

    Every row of tokens holds its end token, and L may be less than the tower's own context. It holds the tower's
    parameters as they were when it was made: make another one after the model has been changed or moved.
    """

    def __init__(self, tower: Any, dtype: torch.dtype, packed: bool) -> None:
        """Take over a tower that `fuse_text` has judged.

        Args:
            tower: open_clip's `CLIP` or `TextTransformer`.
            dtype: of the products: float32, or bfloat16.
            packed: reorder weights once for oneDNN, which is worth it from some dozens of texts.
        """
        self._tower = tower
        *blocks, last = tower.transformer.resblocks
        self._blocks = [_Block(block, dtype, packed) for block in blocks]
        self._last = _LastBlock(last, dtype, packed)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Embed tokens (B, L) int64: (B, D) float32."""
        tower = self._tower
        prefixes = Prefixes.of(tokens)
        # Autocast of a caller would convert weights and activations again, in every step.
        with torch.autocast(tokens.device.type, enabled=False):
            positions = tower.positional_embedding[prefixes.place % tokens.shape[1]]
            x = tower.token_embedding(tokens.flatten()[prefixes.place]) + positions  # (R, W)
            for block in self._blocks:
                x = block(x, prefixes)
            x = tower.ln_final(self._last(x, prefixes))  # (B, W)
            if isinstance(tower.text_projection, nn.Linear):
                x = tower.text_projection(x)
            elif tower.text_projection is not None:
                x = x @ tower.text_projection
        return cast(Tensor, x)


class _Block:
    """One pre-norm block of attention and MLP over rows x (R, W) float32, one a prefix; x is overwritten."""

    def __init__(self, block: Any, dtype: torch.dtype, packed: bool) -> None:
        attn, mlp = block.attn, block.mlp
        self._norm_1, self._norm_2 = block.ln_1, block.ln_2
        self._scale_1, self._scale_2 = block.ls_1, block.ls_2
        self._heads = attn.num_heads
        self._dtype = dtype
        self._make_inputs(attn.in_proj_weight, attn.in_proj_bias, packed)
        self._out = _product(attn.out_proj.weight, attn.out_proj.bias, dtype, packed)
        self._up = _product(mlp.c_fc.weight, mlp.c_fc.bias, dtype, packed, mlp.gelu)
        self._down = _product(mlp.c_proj.weight, mlp.c_proj.bias, dtype, packed)

    def _make_inputs(self, weight: Tensor, bias: Tensor, packed: bool) -> None:
        self._qkv = _product(weight, bias, self._dtype, packed)

    def __call__(self, x: Tensor, prefixes: Prefixes) -> Tensor:
        q, k, v = self._split(self._qkv(self._norm_1(x).to(self._dtype)), prefixes.row, 3)
        return self._rest(x, self._join(_causal(q, k, v)).index_select(0, prefixes.place))

    def _split(self, x: Tensor, row: Tensor, parts: int) -> Tensor:
        """Rows (R, parts * W), taken as row (B, L) says, to (parts, heads, B, L, W / heads)."""
        # Heads in front, and one copy for all parts: products over heads and texts then copy nothing.
        taken = x.index_select(0, row.flatten()).view(*row.shape, parts, self._heads, -1)
        return taken.permute(2, 3, 0, 1, 4).contiguous()

    def _join(self, mixed: Tensor) -> Tensor:
        """(heads, B, L, W / heads) to (B * L, W)."""
        return mixed.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)

    def _rest(self, x: Tensor, mixed: Tensor) -> Tensor:
        """What follows attention: rows x and what attention gave for them, (R, W) both."""
        # In place: a sum of float32 and bf16 into a third tensor takes torch more than twice as long.
        x += self._scale_1(self._out(mixed))
        x += self._scale_2(self._down(self._up(self._norm_2(x).to(self._dtype))))
        return x


class _LastBlock(_Block):
    """The last block, at end tokens alone: x (R, W) to (B, W)."""

    def _make_inputs(self, weight: Tensor, bias: Tensor, packed: bool) -> None:
        width = weight.shape[1]
        self._q = _product(weight[:width], bias[:width], self._dtype, packed)
        self._kv = _product(weight[width:], bias[width:], self._dtype, packed)

    def __call__(self, x: Tensor, prefixes: Prefixes) -> Tensor:
        end = prefixes.row.gather(1, prefixes.end[:, None])  # (B, 1)
        normed = self._norm_1(x).to(self._dtype)
        q = self._split(self._q(normed[end.flatten()]), torch.arange(len(end), device=x.device)[:, None], 1)[0]
        k, v = self._split(self._kv(normed), prefixes.row, 2)
        seen = torch.arange(k.shape[2], device=x.device) <= prefixes.end[:, None]  # (B, L)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None])
        return self._rest(x[end.flatten()], self._join(mixed))


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention over q, k, v (heads, B, L, d), all of one shape."""
    if q.dtype == torch.float32 or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    # On processors torch's kernel in bf16 takes twice as long as plain products at the lengths that prompts have.
    ahead = torch.full((q.shape[2], q.shape[2]), float("-inf"), dtype=q.dtype).triu(1)
    scale = q.shape[-1] ** -0.5
    logits = torch.baddbmm(ahead, q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2), alpha=scale)  # (heads * B, L, L)
    return (logits.softmax(dim=-1) @ v.flatten(0, 1)).view_as(q)


def _product(
    weight: Tensor, bias: Tensor, dtype: torch.dtype, packed: bool, act: nn.Module | None = None
) -> Callable[[Tensor], Tensor]:
    """What takes x (R, K) to act(x W^T + b) (R, N); a weight (N, K) and bias (N,) are converted, and packed, here."""
    # `.to` gives float32 parameters back as they are: without packing, fp32 takes no memory of its own.
    weight, bias = weight.detach().to(dtype), bias.detach().to(dtype)
    act = act or nn.Identity()
    if not packed:
        return lambda x: act(F.linear(x, weight, bias))
    blocked = torch.ops.mkldnn._reorder_linear_weight(weight)
    if type(act) is nn.GELU:  # done on the products while they lie in the cache
        return lambda x: _pointwise(x, blocked, bias, "gelu", [], act.approximate)
    return lambda x: act(_pointwise(x, blocked, bias, "none", [], ""))


def _pointwise(*arguments: Any) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(*arguments))


def _packs(device: torch.device) -> bool:
    """Whether oneDNN's packed products are at hand: torch's own compiler uses them, but they are not documented."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return device.type == "cpu" and available and all(hasattr(torch.ops.mkldnn, name) for name in names)


def fuse_text(model: nn.Module, precision: str = "fp32", packed: bool = False) -> FusedText | None:
    """The fused tower of a CLIP model, or None where the model's text tower is not exactly of the kind it computes.

    That kind is open_clip's causal tower, read out at the end token, of plain blocks in float32. Towers that look both
    ways (SigLIP, MobileCLIP2), towers of Hugging Face, CoCa's class token, blocks with extra norms or scales, and
    anything subclassed, hooked, or quantised are left to their own forward.

    Args:
        model: with open_clip's text tower in `text`, or spread over the model.
        precision: of products and attention, "fp32" or "bf16".
        packed: reorder weights once for the processor's products where torch can: takes some tenths of a second and a
            copy of the blocks' weights, and is worth it from some dozens of texts.
    """
    from open_clip.model import CLIP
    from open_clip.transformer import TextTransformer

    tower: Any = getattr(model, "text", model)
    if type(tower) not in (CLIP, TextTransformer) or not _is_plain(tower):
        return None
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return FusedText(tower, dtype, packed and _packs(tower.positional_embedding.device))


def _is_plain(tower: Any) -> bool:
    from open_clip.transformer import LayerNorm, LayerNormFp32, LayerScale, ResidualAttentionBlock, Transformer

    norms, scales = (nn.LayerNorm, LayerNorm, LayerNormFp32), (nn.Identity, LayerScale)

    def plain_block(block: Any) -> bool:
        return (
            type(block) is ResidualAttentionBlock
            and not hasattr(block, "ln_1_kv")
            and type(block.attn) is nn.MultiheadAttention
            and block.attn.in_proj_weight is not None
            and block.attn.in_proj_bias is not None
            and block.attn.bias_k is None
            and not block.attn.add_zero_attn
            and type(block.ln_1) in norms
            and type(block.ln_2) in norms
            and type(block.ls_1) in scales
            and type(block.ls_2) in scales
            and [name for name, _ in block.mlp.named_children()] == ["c_fc", "gelu", "c_proj"]
            and type(block.mlp.c_fc) is type(block.mlp.c_proj) is nn.Linear
        )

    def is_causal(mask: Tensor | None) -> bool:
        return mask is not None and torch.equal(mask, torch.full_like(mask, float("-inf")).triu(1))

    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    parts = [tower.token_embedding, tower.transformer, tower.ln_final]
    return (
        pool == "argmax"
        and getattr(tower, "cls_emb", None) is None
        and is_causal(tower.attn_mask)
        and type(tower.transformer) is Transformer
        and len(tower.transformer.resblocks) > 0
        and all(plain_block(block) for block in tower.transformer.resblocks)
        and all(p.dtype == torch.float32 for part in parts for p in part.parameters())
        and not any(m._forward_hooks or m._forward_pre_hooks for part in parts for m in part.modules())
    )
