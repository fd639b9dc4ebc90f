"""The exported graph as a module that can be tested by itself: uint8 frames in, scores out.

Everything between the resized frame and the score is in here (sections 3.1 and 3.3 of the paper): the crops, colour
order and normalisation, the image encoder, the L2 norm, the prompt-guided score s_pr, the head's score s_fnn and their
sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from wordsight.export.attention import with_plain_attention
from wordsight.export.class_token import for_class_token
from wordsight.export.errors import ExportError
from wordsight.export.fold import fold_heads
from wordsight.export.heatmap import TextTokens, text_tokens
from wordsight.export.patches import WithPatches
from wordsight.export.precision import HALF, HalfTower
from wordsight.export.timm_towers import merge_branches
from wordsight.export.views import CutViews
from wordsight.export.winclip import TEMPERATURES, WindowMap
from wordsight.export.windows import Windows

if TYPE_CHECKING:
    from wordsight.export.crops import Layout
    from wordsight.train.encoders import Encoder
    from wordsight.train.head import Head

INPUT_NAME = "frames"
TEMPERATURE = 0.01
"""T of the prompt-guided softmax of encoders that a softmax trained (a logit scale of 100)."""

WINCLIP_OUTPUTS = ("s_winclip", "winclip_map", "windows_2", "windows_3", "patches")
"""WinCLIP's score (N,), its map (N, h, w), and what few-shot scores compare: windows (N, W, D), patches (N, P, C)."""


class FusedDetector(nn.Module):
    """uint8 BGR frames (N, H, W, 3) to ``(score, s_pr, s_fnn, embedding[, ...])``, all float32.

    Axes: N frames, S the encoder's image size, H = W = S unless a layout says otherwise, V squares cut from a frame, D
    the embedding's width, K folded heads, O named objects, P patches. The order of the outputs is ``output_names``; the
    exported file and its manifest use the same list.

    Args:
        encoder: the image encoder with its size, mean and std; it is shared, not copied, and left as it is.
        heads: the K heads to fold, at least one, each for embeddings of width D.
        guiding: (2, D) float, the embeddings t_n and t_a of the guiding prompts, any norm.
        w_pr: weight of s_pr in the score.
        w_fnn: weight of s_fnn in the score.
        temperature: T of the softmax over the two guiding prompts.
        seeds_output: whether each folded head's own score is an output too.
        layout: the squares to cut, whose scores are averaged; None for the frame as it comes, (S, S).
        objects: (O, 2, D) float, guiding prompts of further objects, or None: the output ``s_pr_objects``.
        patches_output: whether the encoder's patch tokens are an output too.
        winclip: (1 + O, 2, D) float, WinCLIP's guiding embeddings of the default object and of further ones, or None:
            the outputs of `WINCLIP_OUTPUTS`, and with objects ``s_winclip_objects``.
        winclip_temperature: T of WinCLIP's softmax.
        winclip_windows: False for WinCLIP's score alone, ``s_winclip``: of any encoder, and of several squares, too.
        heatmap: whether both scores of every patch are an output too, summed as ``score`` is.
        centre: (D,), taken from unit embeddings before the heads see them, or None: for heads trained on centred texts.
        precision: "fp16" or "bf16" for the image tower, which is then copied; scores stay float32.

    Raises:
        ValueError: the guiding prompts or the heads do not fit the encoder.
        ExportError: patches or windows of a tower that has none, or windows or a heat map of several squares.
    """

    scale: Tensor
    shift: Tensor
    centre: Tensor | None
    direction: Tensor
    directions: Tensor
    winclip_directions: Tensor

    def __init__(
        self,
        encoder: Encoder,
        heads: Sequence[Head],
        guiding: Tensor,
        *,
        w_pr: float = 1.0,
        w_fnn: float = 1.0,
        temperature: float = TEMPERATURE,
        seeds_output: bool = False,
        layout: Layout | None = None,
        objects: Tensor | None = None,
        patches_output: bool = False,
        winclip: Tensor | None = None,
        winclip_temperature: float = TEMPERATURES[0],
        winclip_windows: bool = True,
        heatmap: bool = False,
        centre: Tensor | None = None,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        if tuple(guiding.shape) != (2, encoder.embed_dim):
            raise ValueError(f"expected two guiding embeddings (2, {encoder.embed_dim}), got {tuple(guiding.shape)}")
        if objects is not None and tuple(objects.shape[1:]) != (2, encoder.embed_dim):
            raise ValueError(f"expected objects (O, 2, {encoder.embed_dim}), got {tuple(objects.shape)}")
        visual = encoder.model.get_submodule("visual")
        self.window_map: WindowMap | None = None
        windows = Windows(visual) if winclip is not None and winclip_windows else None
        self.winclip = winclip is not None
        if winclip is not None:  # the default object's column comes first
            self.register_buffer("winclip_directions", _directions(winclip, winclip_temperature), persistent=False)
        if windows is not None and winclip is not None:
            tower: nn.Module = windows
            self.window_map = WindowMap(winclip[0], windows.grid, temperature=winclip_temperature)
        else:
            tower = merge_branches(with_plain_attention(visual))
        if heatmap:
            tower = text_tokens(tower if windows is None else windows.tower, patches=patches_output, windows=windows)
        elif patches_output and windows is None:
            tower = WithPatches(tower)
        elif windows is None:
            tower = for_class_token(tower)
        if precision in HALF:
            tower = HalfTower(tower, precision)
        self.tower = tower
        inner = tower.tower if isinstance(tower, HalfTower) else tower
        self.heat: TextTokens | None = inner if isinstance(inner, TextTokens) else None
        self.head = fold_heads(heads)
        if self.head.embed_dim != encoder.embed_dim:
            raise ValueError(f"expected heads for embeddings of width {encoder.embed_dim}, got {self.head.embed_dim}")
        self.w_pr, self.w_fnn, self.seeds_output = w_pr, w_fnn, seeds_output
        self.patches_output, self.num_objects = patches_output, 0 if objects is None else len(objects)
        size = encoder.image_size
        self.boxes = ((0, 0, size),) if layout is None else layout.boxes
        self.frame_shape = (size, size) if layout is None else layout.shape
        self.whole = [0] if layout is None else list(layout.whole)
        uncut = self.boxes == ((0, 0, size),)
        self.views = nn.Identity() if uncut else CutViews(self.boxes, size)
        if windows is not None and (patches_output or not uncut):
            raise ExportError("WinCLIP's outputs are of the single crop and bring patches of their own")
        if heatmap and not uncut:
            raise ExportError("a heat map is of the single crop")

        # (x / 255 - mean) / std as one product and one sum. It is not folded into the first convolution: where that
        # one pads, the zeros at the border would have to be folded too.
        mean, std = torch.tensor(encoder.mean).double(), torch.tensor(encoder.std).double()
        self.register_buffer("scale", (1 / (255 * std)).float()[:, None, None], persistent=False)  # (3, 1, 1), RGB
        self.register_buffer("shift", (-mean / std).float()[:, None, None], persistent=False)

        # A softmax over two classes is the sigmoid of the difference of their logits, so two prompts are one vector.
        self.register_buffer("direction", _direction(guiding, temperature), persistent=False)  # (D,)
        if objects is not None:
            self.register_buffer("directions", _directions(objects, temperature), persistent=False)
        self.register_buffer("centre", centre, persistent=False)  # (D,) or None
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which ``forward`` returns them."""
        optional = {
            "s_fnn_seeds": self.seeds_output,
            "s_pr_objects": self.num_objects > 0,
            "patches": self.patches_output,
            "heatmap": self.heat is not None,
        }
        asked = [name for name, wanted in optional.items() if wanted]
        if self.winclip:
            asked += WINCLIP_OUTPUTS if self.window_map is not None else WINCLIP_OUTPUTS[:1]
            asked += ["s_winclip_objects"] if self.num_objects else []
        return ("score", "s_pr", "s_fnn", "embedding", *asked)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Score frames: uint8 BGR (N, H, W, 3), already resized, to the outputs named by ``output_names``.

        Returns:
            score (N,), s_pr (N,), s_fnn (N,), embedding (N, D) with unit rows, and, if asked for, s_fnn_seeds (N, K),
            s_pr_objects (N, O), patches (N, P, D) with unit rows, heatmap (N, h, w). Scores are means over the
            squares; embedding and patches are those of the squares that show everything (of several, the unit mean,
            and one after the other).
        """
        x = frames.to(torch.float32)  # at once: TensorRT takes uint8 as a network input and nowhere else
        x = self.views(x.permute(0, 3, 1, 2).flip(1))  # (V * N, 3, S, S), RGB
        features = self.tower(x * self.scale + self.shift)
        tokens: list[Tensor] = []
        if isinstance(features, tuple):  # towers that also return their tokens, patches last
            features, *tokens = features
        heat = None if self.heat is None else tokens.pop()  # of towers for heat maps, last of all
        unit = _unit(features)  # (V * N, D)

        s_pr, seeds = (self._mean(each) for each in self._judge(unit))
        score, s_fnn = self._sum(s_pr, seeds)
        outputs = [score, s_pr, s_fnn, self._embedding(unit)]
        if self.seeds_output:
            outputs.append(seeds)
        if self.num_objects:
            outputs.append(self._mean(torch.sigmoid(unit @ self.directions)))  # (N, O)
        if self.patches_output:
            parts = [self._by_view(_unit(tokens[-1]))[view] for view in self.whole]
            outputs.append(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))  # (N, P, D)
        if self.heat is not None and heat is not None:
            judged, _ = self._sum(*self._judge(_unit(heat.reshape(-1, heat.shape[-1]))))  # (N * h * w,)
            outputs.append(judged.reshape(-1, *self.heat.grid))
        if self.winclip:
            winclip = self._mean(torch.sigmoid(unit @ self.winclip_directions))  # (N, 1 + O)
            if self.window_map is None:
                outputs.append(winclip[:, 0])
            else:
                outputs += [*self.window_map(unit, *tokens[:-1]), *tokens]
            if self.num_objects:
                outputs.append(winclip[:, 1:])
        return tuple(outputs)

    def _judge(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Both scores of unit rows (M, D), be they pictures or patches: s_pr (M,) and s_fnn of every seed (M, K)."""
        seen = unit if self.centre is None else _unit(unit - self.centre)
        return torch.sigmoid(unit @ self.direction), torch.sigmoid(self.head(seen))

    def _sum(self, s_pr: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """The score and s_fnn (M,) of s_pr (M,) and the seeds' scores (M, K)."""
        s_fnn = seeds.mean(dim=1)
        return self.w_pr * s_pr + self.w_fnn * s_fnn, s_fnn

    def _by_view(self, x: Tensor) -> Tensor:
        """(V * N, ...) to (V, N, ...); -1 stands for the batch, the only axis that is not a constant of the graph."""
        return x.reshape(len(self.boxes), -1, *x.shape[1:])

    def _mean(self, x: Tensor) -> Tensor:
        """Mean over the squares, (V * N, ...) to (N, ...)."""
        return x if len(self.boxes) == 1 else self._by_view(x).mean(dim=0)

    def _embedding(self, unit: Tensor) -> Tensor:
        """(V * N, D) to the unit embeddings (N, D) of the whole views, of several their unit mean."""
        if len(self.boxes) == 1:
            return unit
        views = self._by_view(unit)
        wholes = [views[view] for view in self.whole]
        return wholes[0] if len(wholes) == 1 else _unit(torch.stack(wholes).mean(dim=0))


def _unit(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    unit: Tensor = x / norm.clamp_min(1e-12)
    return unit


def _direction(guiding: Tensor, temperature: float) -> Tensor:
    """(t_a - t_n) / T of the unit prompts, float32 (D,): its product with e is the difference of the two logits."""
    texts = torch.nn.functional.normalize(guiding.detach().cpu().double(), dim=-1)
    return ((texts[1] - texts[0]) / temperature).float()


def _directions(pairs: Tensor, temperature: float) -> Tensor:
    """One column a pair of prompts, (O, 2, D) to (D, O)."""
    return torch.stack([_direction(pair, temperature) for pair in pairs], dim=1)
