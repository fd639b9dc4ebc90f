"""Every output of the graph by the plain reading of the paper: what an exported file is held against.

Not the fused module but the encoder as it was loaded, every head by itself with its batch norm in place, a softmax over
two prompts, squares cut by numpy and shrunk by Pillow itself. So the comparison covers what export rewrote (attention,
normalisation, folding, resampling) as well as what the exporter wrote down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wordsight.export.fused import TEMPERATURE
from wordsight.export.plain_heatmap import patches_in_text_space
from wordsight.export.plain_winclip import winclip_outputs
from wordsight.export.winclip import TEMPERATURES

if TYPE_CHECKING:
    from wordsight.export.crops import Layout
    from wordsight.train.encoders import Encoder
    from wordsight.train.head import Head

Frames = NDArray[np.uint8]
Outputs = dict[str, NDArray[np.float32]]


@torch.inference_mode()
def reference_outputs(
    encoder: Encoder,
    heads: Sequence[Head],
    guiding: Tensor,
    frames: Frames,
    *,
    w_pr: float = 1.0,
    w_fnn: float = 1.0,
    temperature: float = TEMPERATURE,
    layout: Layout | None = None,
    objects: Tensor | None = None,
    patches: bool = False,
    winclip: Tensor | None = None,
    winclip_temperature: float = TEMPERATURES[0],
    winclip_windows: bool = True,
    heatmap: bool = False,
    centre: Tensor | None = None,
) -> Outputs:
    """Every output of the graph by the plain way (sections 3.1 and 3.3), in float32.

    Squares are cut with numpy, shrunk by Pillow itself, and encoded one square at a time.

    Args:
        encoder: as it was loaded.
        heads: K heads, each applied by itself.
        guiding: (2, D) embeddings of the guiding prompts, normal first.
        frames: uint8 BGR (N, H, W, 3), (N, S, S, 3) without a layout.
        w_pr: weight of s_pr.
        w_fnn: weight of s_fnn.
        temperature: T of the softmax.
        layout: the squares whose scores are averaged; None for the whole frame.
        objects: (O, 2, D) guiding prompts of further objects.
        patches: whether patches are wanted.
        winclip: (1 + O, 2, D) guiding embeddings of WinCLIP, whose outputs are wanted too.
        winclip_temperature: T of WinCLIP's softmax.
        winclip_windows: whether its windows and map are wanted, of one uncut square.
        heatmap: whether the heat map is wanted; of one uncut square.
        centre: (D,), what is taken from unit embeddings before a head sees them, or None.

    Returns:
        score, s_pr, s_fnn (N,), embedding (N, D), s_fnn_seeds (N, K), and where asked for s_pr_objects (N, O),
        patches (N, P, D) and heatmap (N, h, w).
    """
    size = encoder.image_size
    boxes = ((0, 0, size),) if layout is None else layout.boxes
    whole = (0,) if layout is None else layout.whole
    views = [
        _one_view(encoder, heads, guiding, _cut(frames, box, size), temperature, objects, patches, centre)
        for box in boxes
    ]
    if winclip is not None:
        for view in views:
            view["s_winclip"] = _prompt_guided(view["embedding"], winclip[0], winclip_temperature)
            if objects is not None:
                columns = [_prompt_guided(view["embedding"], pair, winclip_temperature) for pair in winclip[1:]]
                view["s_winclip_objects"] = torch.stack(columns, dim=1)  # (N, O)
    outputs = {
        name: torch.stack([view[name] for view in views]).mean(dim=0)
        for name in views[0]
        if name not in ("embedding", "patches")
    }
    outputs["score"] = w_pr * outputs["s_pr"] + w_fnn * outputs["s_fnn"]
    outputs["embedding"] = F.normalize(torch.stack([views[index]["embedding"] for index in whole]).sum(dim=0), dim=-1)
    if patches:
        outputs["patches"] = torch.cat([views[index]["patches"] for index in whole], dim=1)
    with torch.backends.cudnn.flags(allow_tf32=False):
        if winclip is not None and winclip_windows:
            images = _images(encoder, frames)
            outputs |= winclip_outputs(cast(Any, encoder.model).visual, images, winclip[0], winclip_temperature)
        if heatmap:
            outputs["heatmap"] = _heatmap(
                encoder, heads, guiding, _images(encoder, frames), temperature, w_pr, w_fnn, centre
            )
    return {name: value.cpu().numpy() for name, value in outputs.items()}


def _cut(frames: Frames, box: tuple[int, int, int], size: int) -> Frames:
    """The square of every frame, (N, S, S, 3), shrunk by Pillow where it is larger."""
    from PIL import Image

    top, left, side = box
    squares = frames[:, top : top + side, left : left + side]
    if side == size:
        return squares
    filtered = [Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC) for square in squares]
    return np.stack([np.asarray(square) for square in filtered])


def _one_view(
    encoder: Encoder,
    heads: Sequence[Head],
    guiding: Tensor,
    frames: Frames,
    temperature: float,
    objects: Tensor | None,
    patches: bool,
    centre: Tensor | None,
) -> dict[str, Tensor]:
    """What one square of each frame gives, uint8 BGR (N, S, S, 3)."""
    images = _images(encoder, frames)
    # TF32, on by default in cuDNN, would cost three digits.
    with torch.backends.cudnn.flags(allow_tf32=False):
        unit = F.normalize(cast(Any, encoder.model).encode_image(images), dim=-1)  # (N, D)
        found = {"embedding": unit, "s_pr": _prompt_guided(unit, guiding, temperature)}
        if objects is not None:
            columns = [_prompt_guided(unit, pair, temperature) for pair in objects]
            found["s_pr_objects"] = torch.stack(columns, dim=1)  # (N, O)
        if patches:
            found["patches"] = F.normalize(_patches(encoder, images), dim=-1)
        seeds = _by_seed(heads, unit, centre)
    return {**found, "s_fnn": seeds.mean(dim=1), "s_fnn_seeds": seeds}


@torch.inference_mode()
def encode_images(encoder: Encoder, frames: Frames) -> Tensor:
    """Image embeddings (N, D), not normalised, of uint8 BGR frames (N, S, S, 3), on the encoder's device."""
    with torch.backends.cudnn.flags(allow_tf32=False):
        return cast(Tensor, cast(Any, encoder.model).encode_image(_images(encoder, frames)))


def _images(encoder: Encoder, frames: Frames) -> Tensor:
    """Frames uint8 BGR (N, S, S, 3) as the encoder takes them: (N, 3, S, S) float32, on its device."""
    device = next(encoder.model.parameters()).device
    mean = torch.tensor(encoder.mean, device=device)[:, None, None]
    std = torch.tensor(encoder.std, device=device)[:, None, None]
    rgb = torch.from_numpy(frames[..., ::-1].copy()).to(device).permute(0, 3, 1, 2)
    return (rgb / 255 - mean) / std


def _by_seed(heads: Sequence[Head], unit: Tensor, centre: Tensor | None) -> Tensor:
    """Scores (M, K) of unit rows (M, D), head by head, each of which makes what it is given unit length."""
    if centre is not None:
        unit = unit - centre.to(unit)
    return torch.stack([torch.sigmoid(head.to(unit.device).eval()(unit)) for head in heads], dim=1)


def _heatmap(
    encoder: Encoder,
    heads: Sequence[Head],
    guiding: Tensor,
    images: Tensor,
    temperature: float,
    w_pr: float,
    w_fnn: float,
    centre: Tensor | None,
) -> Tensor:
    """The heat map (N, h, w): every row of patches scored as if it were a picture."""
    patches = patches_in_text_space(cast(Any, encoder.model).visual, images)  # (N, h, w, D)
    rows = []
    for row in F.normalize(patches, dim=-1).unbind(dim=1):
        unit = row.reshape(-1, row.shape[-1])
        score = w_pr * _prompt_guided(unit, guiding, temperature) + w_fnn * _by_seed(heads, unit, centre).mean(dim=1)
        rows.append(score.reshape(len(images), -1))
    return torch.stack(rows, dim=1)


def _prompt_guided(unit: Tensor, guiding: Tensor, temperature: float) -> Tensor:
    """s_pr (N,) of unit embeddings (N, D) by two prompts (2, D): the softmax of section 3.1, written out."""
    texts = F.normalize(guiding.to(unit), dim=-1)
    return torch.softmax(unit @ texts.T / temperature, dim=-1)[:, 1]


def _patches(encoder: Encoder, images: Tensor) -> Tensor:
    """Patches (N, P, D) by the encoder's own way: `mini`'s grid, open_clip's normed last layer, projected."""
    tower = cast(Any, encoder.model).visual
    if encoder.name == "mini":
        return cast(Tensor, tower.grid(images))
    layers = tower.forward_intermediates(images, indices=1, normalize_intermediates=True, output_fmt="NLC")
    tokens = layers["image_intermediates"][-1]
    return cast(Tensor, tokens if tower.proj is None else tokens @ tower.proj)
