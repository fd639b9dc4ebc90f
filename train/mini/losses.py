"""What a picture owes to its captions: the losses that both parts of the recipe share.

B pictures, G * G cells, D dimensions; embeddings are float32 and of unit length.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.01  # of the prompt-guided score, and so of every loss on a pair of captions


def captions(images: Tensor, true: Tensor, scale: Tensor | float) -> Tensor:
    """CLIP's contrastive loss of pictures and their true captions, (B, D) each."""
    to_texts = scale * images @ true.T  # (B, B)
    match = torch.arange(len(images))
    return (F.cross_entropy(to_texts, match) + F.cross_entropy(to_texts.T, match)) / 2


def opposite(true: Tensor, false: Tensor, label: Tensor) -> Tensor:
    """The anomalous minus the normal one of a caption (B, D) and the same caption with the state that is not."""
    return torch.where(label[:, None] > 0, true - false, false - true)


def pairs(images: Tensor, difference: Tensor, label: Tensor) -> Tensor:
    """Each picture against its own caption and the opposite one: exactly the prompt-guided score."""
    s_pr = (difference * images).sum(-1) / TEMPERATURE
    return F.binary_cross_entropy_with_logits(s_pr, label)


def cells(grid: Tensor, difference: Tensor, cover: Tensor) -> Tensor:
    """The same for every cell of (B, G * G, D). Cells with little of a defect are neither, and count less."""
    s_cell = torch.einsum("bgd,bd->bg", grid, difference) / TEMPERATURE
    return F.binary_cross_entropy_with_logits(s_cell, *wanted(cover))


def wanted(cover: Tensor) -> tuple[Tensor, Tensor]:
    """What a cell should say, and how much it counts, from the share of it that is defective, (B, G * G)."""
    return (cover / 0.2).clamp(max=1.0), torch.where(cover > 0, 4.0, 1.0)


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """How far two samples (N, D) and (M, D) are from being of one distribution (Szekely and Rizzo, 2013).

    2 E|x - y| - E|x - x'| - E|y - y'|, without bias: near zero, and at times below it, when they are.
    """

    def mean_distance(a: Tensor, b: Tensor, pairs: int) -> Tensor:
        # The small number keeps the gradient finite where a point meets itself.
        return ((a[:, None] - b[None]).pow(2).sum(-1) + 1e-8).sqrt().sum() / pairs

    n, m = len(x), len(y)
    return 2 * mean_distance(x, y, n * m) - mean_distance(x, x, n * (n - 1)) - mean_distance(y, y, m * (m - 1))
