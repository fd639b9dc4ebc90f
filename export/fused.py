"""The exported graph as a module that can be tested by itself: uint8 frames in, scores out.

Everything between the resized frame and the score is in here (sections 3.1 and 3.3 of the paper): colour order and
normalisation, the image encoder, the L2 norm, the prompt-guided score s_pr, the head's score s_fnn and their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from wordsight.export.attention import with_plain_attention
from wordsight.export.fold import fold_heads

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder
    from wordsight.train.head import Head

INPUT_NAME = "frames"
TEMPERATURE = 0.01
"""T of the prompt-guided softmax, as CLIP was trained (a logit scale of 100)."""


class FusedDetector(nn.Module):
    """uint8 BGR frames (N, S, S, 3) to ``(score, s_pr, s_fnn, embedding[, s_fnn_seeds])``, all float32.

    Axes: N frames, S the encoder's image size, D its embedding width, K folded heads. The order of the outputs is
    ``output_names``; the exported file and its manifest use the same list.

    Args:
        encoder: the image encoder with its size, mean and std; it is shared, not copied, and left as it is.
        heads: the K heads to fold, at least one, each for embeddings of width D.
        guiding: (2, D) float, the embeddings t_n and t_a of the guiding prompts, any norm.
        w_pr: weight of s_pr in the score.
        w_fnn: weight of s_fnn in the score.
        temperature: T of the softmax over the two guiding prompts.
        seeds_output: whether each folded head's own score is an output too.

    Raises:
        ValueError: the guiding prompts or the heads do not fit the encoder.
    """

    scale: Tensor
    shift: Tensor
    direction: Tensor

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
    ) -> None:
        super().__init__()
        if tuple(guiding.shape) != (2, encoder.embed_dim):
            raise ValueError(f"expected two guiding embeddings (2, {encoder.embed_dim}), got {tuple(guiding.shape)}")
        self.tower = with_plain_attention(encoder.model.get_submodule("visual"))
        self.head = fold_heads(heads)
        if self.head.embed_dim != encoder.embed_dim:
            raise ValueError(f"expected heads for embeddings of width {encoder.embed_dim}, got {self.head.embed_dim}")
        self.w_pr, self.w_fnn, self.seeds_output = w_pr, w_fnn, seeds_output

        # (x / 255 - mean) / std as one product and one sum. It is not folded into the first convolution: where that
        # one pads, the zeros at the border would have to be folded too.
        mean, std = torch.tensor(encoder.mean).double(), torch.tensor(encoder.std).double()
        self.register_buffer("scale", (1 / (255 * std)).float()[:, None, None], persistent=False)  # (3, 1, 1), RGB
        self.register_buffer("shift", (-mean / std).float()[:, None, None], persistent=False)

        # A softmax over two classes is the sigmoid of the difference of their logits, so two prompts are one vector.
        normal, anomalous = torch.nn.functional.normalize(guiding.detach().cpu().double(), dim=-1)
        self.register_buffer("direction", ((anomalous - normal) / temperature).float(), persistent=False)  # (D,)
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which ``forward`` returns them."""
        names = ("score", "s_pr", "s_fnn", "embedding")
        return (*names, "s_fnn_seeds") if self.seeds_output else names

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Score frames: uint8 BGR (N, S, S, 3), already resized, to the outputs named by ``output_names``.

        Returns:
            score (N,), s_pr (N,), s_fnn (N,), embedding (N, D) with unit rows, and, if asked for,
            s_fnn_seeds (N, K).
        """
        x = frames.to(torch.float32)  # at once: TensorRT takes uint8 as a network input and nowhere else
        x = x.permute(0, 3, 1, 2).flip(1)  # (N, 3, S, S), RGB
        features = self.tower(x * self.scale + self.shift)
        if isinstance(features, tuple):  # towers that also return their tokens
            features = features[0]
        norm = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
        unit = features / norm.clamp_min(1e-12)  # (N, D)

        s_pr = torch.sigmoid(unit @ self.direction)
        seeds = torch.sigmoid(self.head(unit))  # (N, K)
        s_fnn = seeds.mean(dim=1)
        score = self.w_pr * s_pr + self.w_fnn * s_fnn
        outputs = (score, s_pr, s_fnn, unit)
        return (*outputs, seeds) if self.seeds_output else outputs
