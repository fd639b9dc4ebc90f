"""The harmonic map against plain loops, the score against open_clip's own softmax, the graph in the engines."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from wordsight.export.errors import ExportError
from wordsight.export.graph import build_graph
from wordsight.export.winclip import WinClip, WindowMap, cover
from wordsight.export.windows import Windows
from wordsight.train.compositional import class_embeddings, ensemble
from wordsight.train.encoders import load_encoder


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def map_by_loops(embedding, windows, guiding, grid, temperature):
    """WinCLIP's harmonic means in float64, patch by patch and window by window."""

    def score(e):
        logits = np.array([e @ t / np.linalg.norm(t) for t in guiding]) / temperature
        weights = np.exp(logits - logits.max())
        return weights[1] / weights.sum()

    height, width = grid
    scores = np.empty((len(embedding), height, width))
    for n, y, x in itertools.product(range(len(embedding)), range(height), range(width)):
        means = [score(embedding[n])]
        for size, rows in windows.items():
            covering = []
            corners = itertools.product(range(height - size + 1), range(width - size + 1))
            for number, (top, left) in enumerate(corners):
                if top <= y < top + size and left <= x < left + size:
                    covering.append(score(rows[n, number]))
            means.append(len(covering) / sum(1 / s for s in covering))
        scores[n, y, x] = len(means) / sum(1 / m for m in means)
    return scores


@pytest.mark.parametrize("temperature", [0.01, 0.07])
@pytest.mark.parametrize("grid", [(5, 5), (4, 6)])
def test_the_map_against_plain_loops(temperature: float, grid: tuple[int, int]):
    guiding = unit(2, 16) * torch.tensor([[3.0], [0.5]])
    guiding[1] = guiding[0] / 6 + 0.08 * guiding[1]  # two prompts that differ little
    counts = {size: (grid[0] - size + 1) * (grid[1] - size + 1) for size in (2, 3)}
    embedding = unit(2, 16, seed=1)
    windows = {size: unit(2, count, 16, seed=size) for size, count in counts.items()}
    score, got = WindowMap(guiding, grid, temperature=temperature)(embedding, *windows.values())
    arrays = {size: rows.double().numpy() for size, rows in windows.items()}
    expected = map_by_loops(embedding.double().numpy(), arrays, guiding.double().numpy(), grid, temperature)
    assert expected.max() - expected.min() > 0.01
    np.testing.assert_allclose(got, expected, rtol=2e-4)
    assert score.shape == (2,)


def test_scores_that_sink_to_zero_leave_finite_numbers():
    guiding = torch.tensor([[1.0, 0], [-1, 0]])
    embedding = torch.tensor([[1.0, 0]])  # as normal as can be: z = -200 at T = 0.01
    windows = [embedding.expand(1, count, 2) for count in (4, 1)]
    score, got = WindowMap(guiding, (3, 3))(embedding, *windows)
    assert torch.isfinite(got).all()
    assert float(score) < 1e-30
    assert float(got.max()) < 1e-30


@pytest.mark.parametrize("size", [2, 3])
def test_cover_counts(size: int):
    matrix = cover((15, 15), size)
    assert matrix.sum(dim=0).eq(size * size).all()
    per_patch = matrix.sum(dim=1).reshape(15, 15)
    assert per_patch[0, 0] == 1
    assert per_patch[7, 7] == size * size


@pytest.mark.parametrize("encoder_name", ["mini", "random ViT"])
def test_the_score_is_open_clips_own_zero_shot_softmax(encoder_name: str, request: pytest.FixtureRequest):
    encoder = load_encoder("mini") if encoder_name == "mini" else request.getfixturevalue("paper").encoder
    pictures = torch.randn(2, 3, encoder.image_size, encoder.image_size, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        # As in open_clip's README: features to unit length, 100 * image @ text.T, softmax.
        rows = []
        for prompts in ensemble("gear") if encoder_name == "mini" else (["a photo"], ["a broken photo"]):
            rows.append(F.normalize(encoder.model.encode_text(encoder.tokenize(prompts)).mean(0), dim=-1))
        text, image = torch.stack(rows), F.normalize(encoder.model.encode_image(pictures), dim=-1)
        expected = (100.0 * image @ text.T).softmax(dim=-1)[:, 1]
        guiding = class_embeddings(encoder, "gear") if encoder_name == "mini" else text
        score, _ = WindowMap(guiding, (3, 3))(image, image[:, None].repeat(1, 4, 1), image[:, None])
    torch.testing.assert_close(score, expected, atol=2e-5, rtol=0)


class Frames(nn.Module):
    """uint8 BGR frames (N, S, S, 3) to all outputs: what the graph's builder takes."""

    output_names = ("score", "map", "embedding", "windows_2", "windows_3", "patches")
    frame_shape = (40, 40)

    def __init__(self, winclip: WinClip) -> None:
        super().__init__()
        self.winclip = winclip
        self.register_buffer("scale", torch.full((3, 1, 1), 1 / 64), persistent=False)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        pictures = frames.to(torch.float32).permute(0, 3, 1, 2).flip(1) * self.scale - 2
        outputs = self.winclip.windows(pictures)
        return (*self.winclip.map(*outputs[:-1]), *outputs)


@pytest.fixture(scope="module")
def exported() -> tuple[Frames, bytes]:
    torch.manual_seed(0)
    tower = VisionTransformer(40, 8, 48, 2, 4, 4.0, output_dim=24).eval().requires_grad_(False)
    module = Frames(WinClip(Windows(tower), unit(2, 24), temperature=0.07)).eval()
    return module, build_graph(module).SerializeToString()  # type: ignore[arg-type]


def test_onnx_runtime_gives_the_same_for_every_batch(exported):
    module, graph = exported
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        frames = torch.randint(
            0, 256, (count, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
        )
        with torch.inference_mode():
            expected = module(frames)
        got = session.run(list(module.output_names), {"frames": frames.numpy()})
        for name, a, b in zip(module.output_names, got, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=5e-6, err_msg=name)
        assert got[1].shape == (count, 5, 5)
        assert np.ptp(got[1]) > 1e-3


def test_the_graph_neither_masks_nor_loops(exported):
    kinds = {node.op_type for node in onnx.load_from_string(exported[1]).graph.node}
    assert not kinds & {"Loop", "Scan", "If", "Where", "Resize", "ScatterND"}


@pytest.mark.tensorrt
def test_tensorrt_parses_and_builds_it(exported):
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(exported[1]), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("frames", *((batch, 40, 40, 3) for batch in (1, 2, 4)))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    assert builder.build_serialized_network(network, config) is not None


def association(rows, references):
    """R(x) of WinCLIP+ (equation 4): (N, W, D) against (K, W, D) to (N, W), the least (1 - cos) / 2 over all K * W."""
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    references = references.reshape(-1, references.shape[-1])
    references = references / np.linalg.norm(references, axis=-1, keepdims=True)
    return (1 - rows @ references.T).min(axis=-1) / 2


def test_association_on_the_modules_windows(exported):
    module, _ = exported
    frames = torch.randint(0, 256, (3, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        outputs = dict(zip(module.output_names, module(frames), strict=True))
    for name in ("windows_2", "windows_3", "patches"):
        rows = outputs[name].double().numpy()
        got = association(rows, rows[:2])
        assert np.abs(got[:2]).max() < 1e-6  # what is among the references is known
        least = [min((1 - x @ r) / 2 for r in rows[:2].reshape(-1, rows.shape[-1])) for x in rows[2]]
        np.testing.assert_allclose(got[2], least, atol=1e-6)
        assert got[2].min() > 1e-4


@pytest.mark.parametrize(
    ("guiding", "options"), [(unit(3, 8), {}), (unit(2, 8), {"temperature": 0.0}), (unit(2, 8), {"scales": (9,)})]
)
def test_what_does_not_fit_is_an_error(guiding: Tensor, options: dict[str, object]):
    with pytest.raises(ExportError, match="expected"):
        WindowMap(guiding, (5, 5), **options)


def test_guiding_of_another_encoder(exported):
    with pytest.raises(ExportError, match="width 24, got 8"):
        WinClip(exported[0].winclip.windows, unit(2, 8))
