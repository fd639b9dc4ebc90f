"""K heads folded into one: the same logits in one pass.

Ten seeds are ten heads of one shape. Batch norm in evaluation mode is an affine map, so it disappears into the linear
layer before it; the first layers all read the same embedding, so they stack into one wide product; later layers are a
product with a block-diagonal matrix, kept as K small products side by side (one batched MatMul) so that the zeros are
never multiplied. Exact up to float rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from wordsight.train.head import Head


def _affine_layers(head: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """The head's linear layers with batch norm folded in: (out, in) weight and (out,) bias, float64.

    Raises:
        ValueError: the head holds a layer this does not know, or layers in an order that cannot be folded.
    """
    pending: tuple[Tensor, Tensor] | None = None
    activated = True  # between two linear layers there must be exactly one ReLU, or the fold is another function
    for module in head.modules():
        if isinstance(module, nn.Linear):
            if pending is not None:
                yield pending
            if not activated:
                raise ValueError("expected a ReLU between the head's linear layers")
            no_bias = torch.zeros(module.out_features)
            start = no_bias if module.bias is None else module.bias.detach()
            pending = (module.weight.detach().cpu().double(), start.cpu().double())
            activated = False
        elif isinstance(module, nn.BatchNorm1d):
            if pending is None or activated or module.running_mean is None or module.running_var is None:
                raise ValueError("expected batch norm with running statistics right after a linear layer")
            gain = (module.running_var.cpu().double() + module.eps).rsqrt()
            shift = -module.running_mean.cpu().double() * gain
            if module.affine:
                gain = gain * module.weight.detach().cpu().double()
                shift = shift * module.weight.detach().cpu().double() + module.bias.detach().cpu().double()
            weight, bias = pending
            pending = (weight * gain[:, None], bias * gain + shift)
        elif isinstance(module, nn.ReLU):
            if activated:
                raise ValueError("expected one ReLU after each hidden layer of the head")
            activated = True
        elif not isinstance(module, nn.Dropout) and not any(True for _ in module.children()):
            raise ValueError(f"expected a head of Linear, BatchNorm1d, ReLU and Dropout, got {type(module).__name__}")
    if pending is None or activated:
        raise ValueError("expected a head that ends in a linear layer")
    yield pending


class FoldedHead(nn.Module):
    """K heads as one module: unit embeddings (N, D) to logits (N, K).

    A head L2-normalises its input and multiplies it by sqrt(D). Here the caller hands in unit rows, which the graph
    has anyway, and the factor lies in the first weights.

    Args:
        layers: per layer, the K weights (K, out, in) and biases (K, out), float64, the input's factor not yet in.
    """

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        (first, first_bias), *rest = layers
        self.num_heads, self.hidden, self.embed_dim = first.shape
        self.depth = len(rest)
        stacked = (first * math.sqrt(self.embed_dim)).reshape(-1, self.embed_dim).T  # (D, K * h)
        self.register_buffer("weight_0", stacked.float().contiguous(), persistent=False)
        self.register_buffer("bias_0", first_bias.reshape(-1).float(), persistent=False)
        for index, (weight, bias) in enumerate(rest, start=1):
            transposed = weight.transpose(1, 2).float().contiguous()  # (K, in, out): x @ w, as the graph multiplies
            self.register_buffer(f"weight_{index}", transposed, persistent=False)
            self.register_buffer(f"bias_{index}", bias[:, None, :].float(), persistent=False)  # (K, 1, out)

    def forward(self, unit: Tensor) -> Tensor:
        """Logits (N, K) of unit embeddings (N, D), float32."""
        x = unit @ self.get_buffer("weight_0") + self.get_buffer("bias_0")  # (N, K * h)
        x = x.reshape(-1, self.num_heads, self.hidden).transpose(0, 1)  # (K, N, h)
        for index in range(1, self.depth + 1):
            x = torch.relu(x) @ self.get_buffer(f"weight_{index}") + self.get_buffer(f"bias_{index}")
        return x.squeeze(-1).transpose(0, 1)  # (N, K)


def fold_heads(heads: Sequence[Head]) -> FoldedHead:
    """Fold heads of one shape into one module.

    Args:
        heads: K >= 1 trained heads, all with the same widths.

    Returns:
        A module in evaluation mode that maps *unit* embeddings (N, D) to logits (N, K), column k from ``heads[k]``.

    Raises:
        ValueError: no head, heads of different shapes, or a head that is not Linear, BatchNorm1d, ReLU, Dropout.
    """
    if not heads:
        raise ValueError("expected at least one head to fold, got none")
    folded = [list(_affine_layers(head)) for head in heads]
    shapes = {tuple(tuple(weight.shape) for weight, _ in layers) for layers in folded}
    if len(shapes) != 1:
        raise ValueError(f"expected heads of one shape, got {sorted(shapes)}")
    stacked = [
        (torch.stack([weight for weight, _ in level]), torch.stack([bias for _, bias in level]))
        for level in zip(*folded, strict=True)
    ]
    return FoldedHead(stacked).eval()
