"""The two towers of `mini`: a small convolutional image tower with a 12 x 12 grid, a small causal text tower.

B pictures, T texts of C tokens, D = 128 the shared space, G = 12 cells a side, W the width of the text tower.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wordsight.train.mini import EMBED_DIM, GRID_SIZE

VOCABULARY = 49408
CONTEXT = 77
TEXT_WIDTH = 128
TEXT_LAYERS = 2
TEXT_HEADS = 4


class ConvNorm(nn.Sequential):
    """Convolution and batch norm, which fold into one at inference."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        """A 3 x 3 convolution from `inputs` to `outputs` channels."""
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )


class Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, width: int) -> None:
        """Both convolutions keep `width` channels."""
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = ConvNorm(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class ImageTower(nn.Module):
    """Pictures to embeddings; `grid` gives one embedding a cell in the same space."""

    grid_size = GRID_SIZE

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.trunk = nn.Sequential(
            ConvNorm(3, 32, 2), nn.ReLU(),  # 48 x 48
            ConvNorm(32, 32), nn.ReLU(),
            ConvNorm(32, 64, 2), nn.ReLU(), Block(64), Block(64),  # 24 x 24
            ConvNorm(64, 128, 2), nn.ReLU(), Block(128), Block(128), Block(128),  # 12 x 12
        )  # fmt: skip
        self.attention = nn.Linear(128, 4)
        self.cell = nn.Linear(128, EMBED_DIM)
        self.project = nn.Linear(128 * 6, EMBED_DIM)

    def features(self, images: Tensor) -> Tensor:
        """float32 (B, 3, 96, 96) to (B, G * G, 128), row-major."""
        cells: Tensor = self.trunk(images)  # (B, 128, G, G)
        return cells.flatten(2).transpose(1, 2)

    def pool(self, features: Tensor) -> Tensor:
        """(B, G * G, 128) to (B, D): plain mean, largest, and four means weighted by attention."""
        weights = self.attention(features).softmax(1)  # (B, G * G, 4)
        attended = torch.matmul(weights.transpose(1, 2), features).flatten(1)  # (B, 4 * 128)
        pooled = torch.cat([features.mean(1), features.amax(1), attended], 1)
        embedded: Tensor = self.project(pooled)
        return embedded

    def grid(self, images: Tensor) -> Tensor:
        """float32 (B, 3, 96, 96) to (B, G * G, D), row-major, not normalised."""
        cells: Tensor = self.cell(self.features(images))
        return cells

    def forward(self, images: Tensor) -> Tensor:
        """float32 (B, 3, 96, 96), RGB, normalised by MEAN and STD, to (B, D), not normalised."""
        return self.pool(self.features(images))


class TextBlock(nn.Module):
    """Causal self-attention and a small network, each behind a layer norm."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.norm_1 = nn.LayerNorm(TEXT_WIDTH)
        self.qkv = nn.Linear(TEXT_WIDTH, 3 * TEXT_WIDTH)
        self.out = nn.Linear(TEXT_WIDTH, TEXT_WIDTH)
        self.norm_2 = nn.LayerNorm(TEXT_WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(TEXT_WIDTH, 4 * TEXT_WIDTH), nn.GELU(), nn.Linear(4 * TEXT_WIDTH, TEXT_WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(T, C, W) to the same."""
        T, C, W = x.shape
        qkv = self.qkv(self.norm_1(x)).view(T, C, 3, TEXT_HEADS, W // TEXT_HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], is_causal=True)  # (T, heads, C, W / heads)
        x = x + self.out(mixed.transpose(1, 2).reshape(T, C, W))
        x = x + self.mlp(self.norm_2(x))
        return x


class TextTower(nn.Module):
    """Tokens to embeddings, read out at the end token."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, TEXT_WIDTH)
        self.position = nn.Parameter(torch.randn(CONTEXT, TEXT_WIDTH) * 0.01)
        self.blocks = nn.Sequential(*(TextBlock() for _ in range(TEXT_LAYERS)))
        self.norm = nn.LayerNorm(TEXT_WIDTH)
        self.project = nn.Linear(TEXT_WIDTH, EMBED_DIM, bias=False)
        nn.init.normal_(self.token.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 (T, C), C <= 77, to (T, D), not normalised.

        The tower is causal and the end token has the largest id, so what stands behind it changes nothing.
        """
        x = self.token(tokens) + self.position[: tokens.shape[1]]
        x = self.blocks(x)
        at_end = x[torch.arange(len(x), device=x.device), tokens.argmax(1)]  # (T, W)
        embedded: Tensor = self.project(self.norm(at_end))
        return embedded


class MiniCLIP(nn.Module):
    """A CLIP small enough to be shipped: a stand-in for demos, tests and CI, not a product encoder."""

    def __init__(self, seed: int | None = None) -> None:
        """Random weights, those of `seed` if there is one."""
        super().__init__()
        with torch.random.fork_rng(enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.visual = ImageTower()
            self.text = TextTower()

    def encode_image(self, images: Tensor) -> Tensor:
        """float32 (B, 3, 96, 96), RGB, normalised by MEAN and STD, to (B, D), not normalised."""
        embedded: Tensor = self.visual(images)
        return embedded

    def encode_text(self, tokens: Tensor) -> Tensor:
        """int64 (T, C), C <= 77, to (T, D), not normalised."""
        embedded: Tensor = self.text(tokens)
        return embedded

    def encode_in_buckets(self, tokens: Tensor, buckets: int = 4) -> Tensor:
        """As `encode_text`. Short texts apart from long ones: padding behind the end is wasted work."""
        lengths = tokens.argmax(1) + 1
        order = lengths.argsort(stable=True)
        parts = [self.encode_text(tokens[rows, : int(lengths[rows].max())]) for rows in order.chunk(buckets)]
        return torch.cat(parts)[order.argsort()]
