"""The last block of a vision transformer, computed for the class token alone.

CLIP's embedding is what the class token has become (Dosovitskiy et al., *An Image is Worth 16x16 Words*, equation 4);
what the last block makes of the patches nobody reads, unless patches are an output. Keys and values of all tokens are
needed, but one query, and one row of the output projection and the MLP: of ViT-B/16+ that leaves 93% of the products,
with the same result.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from wordsight.export.attention import PlainAttention


class ClassTokenBlock(nn.Module):
    """Tokens (N, L, E), the class token first, to that one alone, (N, 1, E), after the block.

    Args:
        block: open_clip's residual attention block, batch first, its attention written out; its modules are shared, not
            copied, and keep their names.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        parts = cast(Any, block)
        self.ln_1, self.attn, self.ls_1 = parts.ln_1, cast(PlainAttention, parts.attn), parts.ls_1
        self.ln_2, self.mlp, self.ls_2 = parts.ln_2, parts.mlp, parts.ls_2
        weight, bias = cast(Tensor, self.attn.in_proj_weight).detach(), self.attn.in_proj_bias
        width = weight.shape[1]
        # Cut here, not in `forward`: exporters leave a cut of large weights in the graph.
        self.query = _linear(weight[:width], None if bias is None else bias.detach()[:width])
        self.key_value = _linear(weight[width:], None if bias is None else bias.detach()[width:])

    def forward(self, x: Tensor, attn_mask: None = None) -> Tensor:
        """Attend from the class token to all tokens, and go on with it alone; image towers have no mask."""
        return self.with_values(x)[0]

    def with_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` gives, and the values (N, L, E) of all tokens."""
        tokens = self.ln_1(x)
        keys, values = self.key_value(tokens).chunk(2, dim=-1)
        attended = self.attn.attend(self.query(tokens[:, :1]), keys, values)
        first: Tensor = x[:, :1] + self.ls_1(attended)
        last: Tensor = first + self.ls_2(self.mlp(self.ln_2(first)))
        return last, values


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer with these very weights, (out, in) and (out,), not copied."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))
    return layer


def for_class_token(tower: nn.Module) -> nn.Module:
    """Let a tower whose embedding is its class token compute nothing else in its last block; leave others as they are.

    Args:
        tower: an image tower whose modules are its own, such as `with_plain_attention` gives, of which nobody wants
            the patches behind the last block.

    Returns:
        ``tower`` itself, changed where it can be.
    """
    from open_clip.transformer import ResidualAttentionBlock, Transformer, VisionTransformer

    if not isinstance(tower, VisionTransformer) or not isinstance(tower.transformer, Transformer):
        return tower
    pools = tower.attn_pool is None and tower.pool_type == "tok" and not tower.output_tokens
    blocks = tower.transformer.resblocks
    last = blocks[-1]
    attention = last.attn if isinstance(last, ResidualAttentionBlock) else None
    packed = isinstance(attention, PlainAttention) and attention.in_proj_weight is not None
    if pools and packed and tower.transformer.batch_first:
        blocks[-1] = ClassTokenBlock(last)
    return cast(nn.Module, tower)
