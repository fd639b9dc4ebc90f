"""Attention written out, in the form that inference engines fuse.

``torch.nn.MultiheadAttention`` hides three products behind one call, and exporters write it down in whatever form
their version prefers. TensorRT fuses the plain chain MatMul, Softmax, MatMul, with the scale applied to Q *before*
the first product. So that chain is spelled out here, with the very parameters of the module it replaces. timm's
attention modules hold the same chain beside the fused call, behind a switch.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PlainAttention(nn.Module):
    """Multi-head attention as linear, scale on Q, MatMul, Softmax, MatMul, linear; shares the source's parameters.

    It is called like the module it stands in for and returns the same pair, ``(output, None)``. Image towers neither
    mask nor ask for the weights, so both are refused rather than half supported.

    Args:
        source: the module to replace; its parameters are shared, not copied, and it is left as it is.
    """

    def __init__(self, source: nn.MultiheadAttention) -> None:
        super().__init__()
        if source.bias_k is not None or source.add_zero_attn:
            raise ValueError("expected attention without bias_k and add_zero_attn, as in CLIP's image towers")
        self.num_heads = source.num_heads
        self.head_dim = source.head_dim
        self.scale = source.head_dim**-0.5
        self.batch_first = source.batch_first
        # (3E, E), or None where keys are of another width: torch's annotations do not say so
        self.in_proj_weight: Tensor | None = source.in_proj_weight
        self.in_proj_bias = source.in_proj_bias
        self.q_proj_weight = source.q_proj_weight
        self.k_proj_weight = source.k_proj_weight
        self.v_proj_weight = source.v_proj_weight
        self.out_proj = source.out_proj

    def _split_heads(self, x: Tensor) -> Tensor:
        # -1 stands for the batch: the only axis that is not a constant in the exported graph.
        return x.reshape(-1, x.shape[1], self.num_heads, self.head_dim).transpose(1, 2)

    def project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `attend` takes, of (N, L, E), (N, S, E) and (N, S, E), batch first."""
        if self.in_proj_weight is not None and query is key and key is value:
            q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
            return q, k, v
        if self.in_proj_weight is not None:
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = self.in_proj_bias.chunk(3) if self.in_proj_bias is not None else (None, None, None)
        q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
        return q, k, v

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Attend; axes N batch, L queries, S keys, H heads, d = E / H.

        Args:
            query: (N, L, E), or (L, N, E) where the source was not batch-first; ``key`` and ``value`` likewise with S.
            key: see ``query``.
            value: see ``query``.
            need_weights: must be False.
            attn_mask: must be None.

        Returns:
            The attended values, shaped as ``query``, and None in place of the weights.

        Raises:
            ValueError: a mask or the weights were asked for.
        """
        if need_weights or attn_mask is not None:
            raise ValueError("expected attention of an image tower: no mask, no weights asked for")
        is_self = query is key and key is value
        if not self.batch_first:
            query = query.transpose(0, 1)
            key, value = (query, query) if is_self else (key.transpose(0, 1), value.transpose(0, 1))
        out = self.attend(*self.project(query, key, value))
        return (out if self.batch_first else out.transpose(0, 1)), None

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Projected queries (N, L, E), keys and values (N, S, E) to what the output projection makes of them."""
        length, width = q.shape[1], q.shape[2]
        q, k, v = self._split_heads(q), self._split_heads(k), self._split_heads(v)  # (N, H, L or S, d)
        weights = torch.softmax((q * self.scale) @ k.transpose(-1, -2), dim=-1)  # (N, H, L, S)
        mixed = (weights @ v).transpose(1, 2).reshape(-1, length, width)  # (N, L, E)
        out: Tensor = self.out_proj(mixed)
        return out


def with_plain_attention(tower: nn.Module) -> nn.Module:
    """A twin of ``tower`` in evaluation mode, with the attention in it written out.

    Every ``nn.MultiheadAttention`` is replaced, and timm's modules are switched to their own plain chain. Parameters
    and buffers are shared with the original, which stays as it was: a tower of 117 M parameters is not held twice.
    Towers without such modules (convolutional ones) come through unchanged.
    """
    shared = {id(t): t for t in (*tower.parameters(), *tower.buffers())}
    twin = copy.deepcopy(tower, memo=dict(shared))  # deepcopy takes what the memo holds instead of copying it
    for name, module in list(twin.named_modules()):
        if isinstance(module, nn.MultiheadAttention):
            parent, _, leaf = name.rpartition(".")
            setattr(twin.get_submodule(parent), leaf, PlainAttention(module))
        elif hasattr(module, "fused_attn"):  # timm's switch, in all of its attention modules
            module.fused_attn = False
    if isinstance(twin, nn.MultiheadAttention):
        raise ValueError("expected a tower that contains attention, got a bare attention module")
    return twin.eval()
