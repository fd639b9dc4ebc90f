"""The head: the paper's small feed-forward network f_FNN (section 3.3), four linear layers from embedding to logit."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch.nn.functional as F
from torch import Tensor, nn

from wordsight.train.errors import SettingError

if TYPE_CHECKING:
    from wordsight.train.fit import History

__all__ = ["WIDTHS", "Head", "check_shape"]

# Not in the paper's text: its figure shows three hidden layers; these halve from the 640 of ViT-B/16+.
WIDTHS = (512, 256, 128)


class Head(nn.Module):
    """Linear, batch norm, ReLU and dropout for every hidden width, then one linear layer to the logit.

    Text and image embeddings of CLIP differ in length, so the head looks at directions only: it makes its input unit
    length and multiplies by sqrt(D), which gives the entries about unit variance.

    Attributes:
        text_mean: (D,), the mean of the unit text embeddings it was trained on, which `of_texts` takes away; None for
            a head that looks at embeddings as they are. Images have a mean of their own: whoever scores them takes it
            away first.
        layers: the network itself, an `nn.Sequential` over (B, D) float32.
        history: how the fit went, or None for a head that was not fitted in this process.

    Raises:
        SettingError: a width below 1 or a dropout outside [0, 1).
    """

    text_mean: Tensor | None

    def __init__(
        self, embed_dim: int, widths: Sequence[int] = WIDTHS, dropout: float = 0.2, text_mean: Tensor | None = None
    ) -> None:
        check_shape(embed_dim, widths, dropout)
        super().__init__()
        self.embed_dim = embed_dim
        self.widths = tuple(widths)
        self.dropout = dropout
        self.history: History | None = None

        layers: list[nn.Module] = []
        fan_in = embed_dim
        for width in widths:
            layers += [nn.Linear(fan_in, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
            fan_in = width
        layers.append(nn.Linear(fan_in, 1))
        self.layers = nn.Sequential(*layers)
        self.register_buffer("text_mean", text_mean)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Embeddings (B, D) float32 of any length to logits (B,); their sigmoid is s_fnn."""
        unit = F.normalize(embeddings, dim=-1)
        return cast(Tensor, self.layers(unit * math.sqrt(self.embed_dim))).squeeze(-1)

    def of_texts(self, texts: Tensor) -> Tensor:
        """Text embeddings (B, D) float32 of any length to logits (B,), taken from their mean where there is one."""
        if self.text_mean is None:
            return cast(Tensor, self(texts))
        return cast(Tensor, self(F.normalize(texts, dim=-1) - self.text_mean))


def check_shape(embed_dim: int, widths: Sequence[int], dropout: float) -> None:
    """Raise SettingError unless these can be a head's sizes."""
    if embed_dim < 1:
        raise SettingError(f"an embedding has at least 1 dimension, got {embed_dim}")
    if not widths or any(width < 1 for width in widths):
        raise SettingError(f"--widths takes one or more hidden widths of at least 1, got {list(widths)}")
    if not 0 <= dropout < 1:
        raise SettingError(f"--dropout must be at least 0 and below 1, got {dropout}")
