from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from wordsight.export.fused import FusedDetector
from wordsight.export.graph import build_graph
from wordsight.train.encoders import Encoder
from wordsight.train.head import Head

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def make_heads(embed_dim: int, count: int, seed: int = 0) -> list[Head]:
    """Untrained heads whose batch norms have seen something, so that folding them is not folding identities."""
    torch.manual_seed(seed)
    heads = [Head(embed_dim) for _ in range(count)]
    for head in heads:
        for module in head.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                torch.nn.init.normal_(module.running_mean)
                torch.nn.init.uniform_(module.running_var, 0.3, 3)
                torch.nn.init.uniform_(module.weight, 0.5, 2)
                torch.nn.init.normal_(module.bias)
        head.eval()
    return heads


def make_encoder(name: str, model: torch.nn.Module, size: int, embed_dim: int) -> Encoder:
    def tokenize(texts: list[str]) -> torch.Tensor:
        raise AssertionError("the image side embeds no text")

    model.eval().requires_grad_(False)
    return Encoder(name, "mini", "0" * 64, "none", "", model, tokenize, size, MEAN, STD, embed_dim)


@dataclass
class Exported:
    """A fused module, what it was made of, and its graph."""

    encoder: Encoder
    heads: list[Head]
    guiding: torch.Tensor
    detector: FusedDetector
    onnx: bytes


def export_random(encoder: Encoder, count: int) -> Exported:
    heads = make_heads(encoder.embed_dim, count)
    guiding = torch.randn(2, encoder.embed_dim, generator=torch.Generator().manual_seed(1))
    guiding[1] = guiding[0] + 0.3 * guiding[1]  # two prompts that differ in a word lie close together
    detector = FusedDetector(encoder, heads, guiding, seeds_output=True)
    return Exported(encoder, heads, guiding, detector, build_graph(detector, encoder.image_size).SerializeToString())


@pytest.fixture(scope="session")
def mini_encoder() -> Encoder:
    from wordsight.train.mini.towers import MiniCLIP

    return make_encoder("mini", MiniCLIP(seed=0), 96, 128)


@pytest.fixture(scope="session")
def mini(mini_encoder: Encoder) -> Exported:
    return export_random(mini_encoder, 10)


@pytest.fixture(scope="session")
def vit() -> Exported:
    import open_clip

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16-plus-240", pretrained_text=False)
    return export_random(make_encoder("ViT-B-16-plus-240", model, 240, 640), 10)


@pytest.fixture(params=["mini", "vit"])
def exported(request: pytest.FixtureRequest) -> Exported:
    result: Exported = request.getfixturevalue(request.param)
    return result


@pytest.fixture
def heads() -> Callable[..., list[Head]]:
    return make_heads
