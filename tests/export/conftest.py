from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import nn

from wordsight.benchmarks.fold import random_checkpoint
from wordsight.export import onnx as export_onnx
from wordsight.export.fused import FusedDetector
from wordsight.export.graph import build_graph
from wordsight.export.onnx import export_model
from wordsight.export.parity import ParityReport
from wordsight.train.checkpoint import load_heads, save_heads
from wordsight.train.embed import embed_texts
from wordsight.train.encoders import Encoder, load_encoder
from wordsight.train.fit import Settings, train_heads
from wordsight.train.head import Head
from wordsight.train.prompts import PromptPair

TINY_SIZE, TINY_WIDTH = 32, 16
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module", autouse=True)
def _graphs(graphs_written_once: None) -> None:
    """Here all are."""


@pytest.fixture
def written_anew(graphs_written_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the writing itself."""
    monkeypatch.setattr(export_onnx, "build_graph", build_graph)


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


def make_vit(layers: int = 8, **variant: object) -> VisionTransformer:
    torch.manual_seed(0)
    tower = VisionTransformer(32, 8, 48, layers, 4, 4.0, output_dim=24, **variant).eval()
    for module in tower.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, std=0.3)
        if isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(module.in_proj_bias)
            nn.init.normal_(module.out_proj.bias)
    return tower.requires_grad_(False)


def make_resnet() -> ModifiedResNet:
    torch.manual_seed(0)
    tower = ModifiedResNet([1, 1, 1, 1], output_dim=24, heads=4, image_size=96, width=8).eval()
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)  # drawn as they are, the last norm of a block is zero
    return tower.requires_grad_(False)


class VisualOnly(nn.Module):
    """A CLIP of which only the image tower is asked."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return self.visual(images)


@pytest.fixture(scope="session")
def vit_tower() -> Callable[..., VisionTransformer]:
    return make_vit


@pytest.fixture(scope="session")
def resnet_tower() -> Callable[[], ModifiedResNet]:
    return make_resnet


def make_small(kind: str, layers: int = 8) -> Encoder:
    tower, size = (make_vit(layers), 32) if kind == "vit" else (make_resnet(), 96)
    return make_encoder(kind, VisualOnly(tower), size, 24)


@pytest.fixture(scope="session")
def small_encoder_of() -> Callable[..., Encoder]:
    return make_small


@pytest.fixture(params=["vit", "resnet"])
def small_encoder(request: pytest.FixtureRequest) -> Encoder:
    return make_small(request.param)


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


@dataclass
class Trained:
    """The paper's architecture with random weights, taken the whole way: checkpoint, head file, exported file."""

    encoder: Encoder
    head_path: Path
    model_path: Path
    report: ParityReport


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("paper")
    encoder = load_encoder(random_checkpoint("ViT-B-16-plus-240", folder))
    settings, seeds = Settings(num_pairs=4, batch_pairs=2), range(3)
    head_path, model_path = folder / "head.safetensors", folder / "model.onnx"
    save_heads(head_path, train_heads(encoder, settings, seeds, progress=False), settings, seeds, encoder)
    report = export_model(head_path, model_path, seeds_output=True)
    return Trained(encoder, head_path, model_path, report)


@pytest.fixture(scope="session")
def vit(paper: Trained) -> Exported:
    head_file = load_heads(paper.head_path)
    guiding = torch.from_numpy(embed_texts(paper.encoder, head_file.settings.pair.guiding(), progress=False))
    detector = FusedDetector(paper.encoder, head_file.heads, guiding, seeds_output=True)
    graph = onnx.load(paper.model_path)
    graph.ClearField("metadata_props")
    return Exported(paper.encoder, head_file.heads, guiding, detector, graph.SerializeToString())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A real open_clip model from a local checkpoint with random weights, small enough to export in seconds."""
    import open_clip

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    config = {
        "embed_dim": TINY_WIDTH,
        "vision_cfg": {"image_size": TINY_SIZE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (folder / "tiny-vit.json").write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(folder / "tiny-vit.json")
    torch.save(open_clip.create_model("tiny-vit").state_dict(), folder / "weights.pt")
    return load_encoder(f"tiny-vit:{folder / 'weights.pt'}")


@pytest.fixture(scope="session")
def head_path(tiny: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    settings = Settings(pair=PromptPair("a fine", "a cracked", "gear"), num_pairs=10, widths=(8, 4, 4))
    path = tmp_path_factory.mktemp("head") / "head.safetensors"
    heads = [Head(TINY_WIDTH, settings.widths).eval() for _ in range(3)]
    save_heads(path, heads, settings, (4, 5, 6), tiny)
    return path


@pytest.fixture(params=["mini", "vit"])
def exported(request: pytest.FixtureRequest) -> Exported:
    result: Exported = request.getfixturevalue(request.param)
    return result


@pytest.fixture(scope="session")
def heads() -> Callable[..., list[Head]]:
    return make_heads


@pytest.fixture(scope="session")
def mini_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Files of trained `mini` with two untrained heads, each export done once: (object, options) -> path."""
    from wordsight.train.prompts import PromptPair

    folder = tmp_path_factory.mktemp("mini")
    encoder = load_encoder("mini")
    heads = make_heads(encoder.embed_dim, 2)
    made: dict[tuple[object, ...], Path] = {}

    def make(object: str = "object", **options: object) -> Path:
        options = {name: value for name, value in options.items() if (name, value) != ("crops", "single")}
        key = (object, *sorted(options.items()))
        if key not in made:
            number = len(made)
            settings = Settings(pair=PromptPair(object=object), num_pairs=10)
            head_path, made[key] = folder / f"{number}.safetensors", folder / f"{number}.onnx"
            save_heads(head_path, heads, settings, (0, 1), encoder)
            assert export_model(head_path, made[key], w_pr=0.5, w_fnn=2.0, seeds_output=True, **options)
        return made[key]

    return make


def parse_with_tensorrt(model: bytes):
    """What TensorRT for RTX makes of a graph: whether it parsed, its errors, builder, network and parser."""
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(model)
    # All are returned: each keeps a reference into the one before it.
    return parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)], builder, network, parser


def build_with_tensorrt(model: bytes, shape: tuple[int, int], names: tuple[str, ...], capability: str = "SM89"):
    """The serialised engine for batches of 1 to 16 frames of (rows, columns) pixels; None if it cannot be built."""
    import tensorrt_rtx as trt

    parsed, errors, builder, network, _parser = parse_with_tensorrt(model)
    assert parsed, errors
    assert [network.get_output(i).name for i in range(network.num_outputs)] == list(names)

    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("frames", *((batch, *shape, 3) for batch in (1, 4, 16)))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    return builder.build_serialized_network(network, config)


@pytest.fixture(scope="session")
def parse() -> Callable[[bytes], tuple]:
    return parse_with_tensorrt


@pytest.fixture(scope="session")
def build_engine() -> Callable[..., object]:
    return build_with_tensorrt
