"""An image tower in fp16 or bf16, with float32 kept where half the bits lose most.

Precision is written in the torch module, not passed over the finished file: a pass over the graph has to guess what a
value means, and engines refuse what it leaves half done. Weights and products are halved; layer norms, softmax and L2
norms compute in float32, because CLIP's transformers carry values there that fp16 cannot square (a cosine of 0.65 was
seen for a whole tower in fp16). What follows the tower, the score path, is float32 in any case.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

__all__ = ["FP8_OPSET", "HALF", "PRECISIONS", "QUANTISED", "HalfTower", "Kind"]

HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""Precisions of two bytes, which are typed in the module."""
Kind = Literal["int8", "fp8"]
QUANTISED: tuple[Kind, ...] = get_args(Kind)
"""Precisions of one byte, which are marked in the graph by pairs of QuantizeLinear and DequantizeLinear."""
PRECISIONS = ("fp32", *HALF, *QUANTISED)
FP8_OPSET = 19
"""The first opset whose QuantizeLinear and DequantizeLinear know float8."""

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d)
_BACK = {F.layer_norm, F.group_norm, F.batch_norm, torch.layer_norm, torch.group_norm, torch.batch_norm}
_BACK |= {F.softmax, torch.softmax, Tensor.softmax}
_BACK |= {
    F.multi_head_attention_forward,
    F.scaled_dot_product_attention,
}  # softmax inside; only a ResNet's pool is left
"""Computed in float32 and handed back in the tower's own type."""
_WIDE = {torch.linalg.vector_norm, torch.norm, Tensor.norm, F.normalize}
"""Computed in float32 and left there: what is divided by a norm is float32 from then on."""


class HalfTower(nn.Module):
    """Pictures (B, 3, S, S) float32 to what the tower gives, float32, computed in fp16 or bf16 in between.

    Args:
        tower: an image tower in evaluation mode that returns one tensor or a tuple of them; it is copied, and left as
            it is. Parameters of its norms stay float32.
        precision: "fp16" or "bf16".
    """

    def __init__(self, tower: nn.Module, precision: str) -> None:
        super().__init__()
        self.dtype = HALF[precision]
        self.tower = copy.deepcopy(tower)
        _fold_batch_norms(self.tower)
        for module in self.tower.modules():
            if isinstance(module, _NORMS):
                continue
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                if tensor.is_floating_point():
                    tensor.data = tensor.data.to(self.dtype)
        self.eval()

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Call the tower on halved pictures; every tensor that it returns comes back as float32."""
        with _NormsInFp32():
            out = self.tower(images.to(self.dtype))
        return tuple(part.float() for part in out) if isinstance(out, tuple) else cast(Tensor, out.float())


class _NormsInFp32(TorchFunctionMode):
    """While it is entered, norms and softmax of half tensors compute in float32, whatever module calls them.

    Towers come from three libraries, each of which calls these functions in its own way; here all of them meet.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _BACK and func not in _WIDE:
            return func(*args, **kwargs)
        dtype = next(value.dtype for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        out = func(*map(_widened, args), **{key: _widened(value) for key, value in kwargs.items()})
        if func in _WIDE:
            return out
        # Attention returns a pair, whose second part, the weights, nobody asks for.
        return (out[0].to(dtype), *out[1:]) if isinstance(out, tuple) else out.to(dtype)


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def _fold_batch_norms(tower: nn.Module) -> None:
    """Fold every batch norm that directly follows a convolution into it, in float32: one rounding instead of two."""
    for sequence in [module for module in tower.modules() if isinstance(module, nn.Sequential)]:
        for index, (conv, norm) in enumerate(pairwise(sequence)):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                sequence[index], sequence[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
