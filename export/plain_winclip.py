"""WinCLIP's outputs by the plain reading: window by window through open_clip's own tower, patch by patch in loops."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def winclip_outputs(tower: Any, images: Tensor, guiding: Tensor, temperature: float) -> dict[str, Tensor]:
    """What `Windows` and `WindowMap` put out, written out (WinCLIP, arXiv 2303.14814, sections 4.1 and 4.2).

    Args:
        tower: open_clip's VisionTransformer, as it was loaded.
        images: (N, 3, S, S) float32 RGB, normalised.
        guiding: (2, D), t_n and t_a of the prompt ensemble, any norm.
        temperature: T of the softmax.

    Returns:
        s_winclip (N,), winclip_map (N, h, w), windows_2 and windows_3 (N, W, D) and patches (N, P, C), unit rows.
    """
    rows, columns = tower.grid_size
    tokens = tower._embeds(images)  # (N, 1 + P, C)
    texts = F.normalize(guiding.to(images), dim=-1)

    def score(unit: Tensor) -> Tensor:
        return torch.softmax(unit @ texts.T / temperature, dim=-1)[..., 1]

    def encode(x: Tensor) -> Tensor:
        pooled = tower._pool(tower.transformer(x))[0]
        return F.normalize(pooled if tower.proj is None else pooled @ tower.proj, dim=-1)

    whole = score(encode(tokens))  # (N,)
    inverse = [1 / whole[:, None, None].expand(-1, rows, columns)]
    found: dict[str, Tensor] = {}
    for size in (2, 3):
        windows = []
        total = torch.zeros(len(images), rows, columns).to(images)
        count = torch.zeros(rows, columns).to(images)
        for top in range(rows - size + 1):
            for left in range(columns - size + 1):
                inside = [1 + r * columns + c for r in range(top, top + size) for c in range(left, left + size)]
                unit = encode(tokens[:, [0, *inside]])
                windows.append(unit)
                total[:, top : top + size, left : left + size] += (1 / score(unit))[:, None, None]
                count[top : top + size, left : left + size] += 1
        found[f"windows_{size}"] = torch.stack(windows, dim=1)
        inverse.append(total / count)  # 1 / M_k, the harmonic mean over the windows that cover a patch
    patches = F.normalize(tower.ln_post(tower.transformer(tokens)[:, 1:]), dim=-1)
    return {"s_winclip": whole, "winclip_map": len(inverse) / torch.stack(inverse).sum(dim=0), **found,
            "patches": patches}  # fmt: skip
