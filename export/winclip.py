"""Zero-shot WinCLIP: one score for the picture, one map of its patches, from embeddings and two text vectors.

WinCLIP (arXiv 2303.14814): sections 4.1 (the picture's score) and 4.2 (windows, harmonic means). The text vectors come
from the compositional prompt ensemble, `wordsight.train.compositional`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wordsight.export.errors import ExportError
from wordsight.export.windows import Windows, window_places

__all__ = ["TEMPERATURES", "WinClip", "WindowMap", "cover"]

TEMPERATURES = (0.01, 0.07)
"""T of the softmax over two classes: 0.01 as in the paper, 0.07 as in anomalib and zqhang's WinCLIP."""

_LEAST_LOGIT = -80.0
"""exp(80) times nine windows still fits into float32."""


def cover(grid: tuple[int, int], size: int) -> Tensor:
    """Which windows of ``size`` x ``size`` patches cover which patch: (P, W) float32 of 0 and 1.

    Raises:
        ExportError: the window is larger than the grid.
    """
    places = window_places(grid, size)  # (W, k * k)
    matrix = torch.zeros(grid[0] * grid[1], len(places))
    matrix[places, torch.arange(len(places))[:, None]] = 1
    return matrix


class WindowMap(nn.Module):
    """Unit embeddings of the picture (N, D) and of its windows (N, W, D) to score s0 (N,) and map (N, h, w), float32.

    s0 = softmax([e . t_n, e . t_a] / T)_a, and each window's score s likewise. A patch takes the harmonic mean
    M_k = n / sum(1 / s) over the n windows of k x k patches that cover it; the map is the harmonic mean of all M_k
    and s0. Written in 1 / s = 1 + exp(-z), z the difference of the two logits, so nothing is divided by a score that
    has sunk to zero. It must stay in float32: 1 / s leaves the range of half precision from z = -11 on.

    Args:
        guiding: (2, D) float, t_n and t_a, any norm.
        grid: h and w, patches down and across.
        scales: patches a side of the windows, one input each.
        temperature: T; 0.01 as in the paper, 0.07 as in anomalib.

    Raises:
        ExportError: other shapes, a temperature that is not positive, or a window larger than the grid.
    """

    direction: Tensor

    def __init__(
        self,
        guiding: Tensor,
        grid: tuple[int, int],
        scales: tuple[int, ...] = (2, 3),
        temperature: float = TEMPERATURES[0],
    ) -> None:
        super().__init__()
        if guiding.ndim != 2 or guiding.shape[0] != 2:
            raise ExportError(f"expected two guiding embeddings (2, D), got {tuple(guiding.shape)}")
        if not temperature > 0:
            raise ExportError(f"expected a temperature above 0, got {temperature}")
        self.grid, self.scales = grid, scales
        normal, anomalous = F.normalize(guiding.detach().cpu().double(), dim=-1)
        self.register_buffer("direction", ((anomalous - normal) / temperature).float(), persistent=False)  # (D,)
        for size in scales:
            matrix = cover(grid, size)
            # Every row sums to one: the product with 1 / s is then 1 / M_k at once.
            self.register_buffer(f"share_{size}", matrix / matrix.sum(dim=1, keepdim=True), persistent=False)
        self.eval()

    def forward(self, embedding: Tensor, *windows: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embedding (N, D) and windows (N, W, D), one tensor a scale, to s0 (N,) and the map (N, h, w)."""
        if len(windows) != len(self.scales):
            raise ExportError(f"expected windows of {len(self.scales)} scales, got {len(windows)}")
        z = embedding @ self.direction  # (N,)
        inverse = _inverse(z)[:, None]  # (N, 1), stands for the whole picture at every patch
        for size, rows in zip(self.scales, windows, strict=True):
            share: Tensor = getattr(self, f"share_{size}")
            inverse = inverse + _inverse(rows @ self.direction) @ share.T  # (N, P)
        scores = (1 + len(self.scales)) / inverse
        return torch.sigmoid(z), scores.reshape(-1, *self.grid)


def _inverse(z: Tensor) -> Tensor:
    """1 / sigmoid(z)."""
    return 1 + torch.exp(-z.clamp_min(_LEAST_LOGIT))


class WinClip(nn.Module):
    """Normalised pictures (N, 3, S, S) float32 RGB to score s0 (N,) and map (N, h, w): `Windows`, then `WindowMap`.

    Args:
        windows: the encoder's windows.
        guiding: (2, D) float, t_n and t_a.
        temperature: T of the softmax.

    Raises:
        ExportError: guiding embeddings of another width, or a temperature that is not positive.
    """

    def __init__(self, windows: Windows, guiding: Tensor, temperature: float = TEMPERATURES[0]) -> None:
        super().__init__()
        width = int(windows.tower.output_dim)
        if guiding.shape[-1] != width:
            raise ExportError(f"expected guiding embeddings of width {width}, got {guiding.shape[-1]}")
        self.windows = windows
        self.map = WindowMap(guiding, windows.grid, windows.scales, temperature)
        self.eval()

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Score pictures and their patches."""
        embedding, *windows, _ = self.windows(pictures)
        score, patches = self.map(embedding, *windows)
        return score, patches
