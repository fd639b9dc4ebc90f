"""ViT-B-16-plus-240 with random weights from a local checkpoint: words, head, one file, scores from the runtime."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from wordsight.runtime import Model
from wordsight.runtime.manifest import read_manifest
from wordsight.train.checkpoint import load_heads

NAME = "ViT-B-16-plus-240"


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Frames (4, 240, 240, 3) uint8 BGR, of the encoder's size: nothing is resized, what is left is the graph."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (4, 8, 8, 3)).repeat(30, axis=1).repeat(30, axis=2)
    return np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)


@torch.inference_mode()
def plain_scores(paper, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Sections 3.1 and 3.3 written down once more, on open_clip's own model and with nothing of the export."""
    path = paper.encoder.weights
    model = open_clip.create_model(NAME, pretrained_text=False).eval()
    model.load_state_dict(load_file(path))
    rgb = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    e = model.encode_image((rgb - mean) / std, normalize=True)
    t = model.encode_text(open_clip.tokenize(["a photo of a object", "a photo of a damaged object"]), normalize=True)
    s_pr = (e @ t.T / 0.01).softmax(1)[:, 1]
    seeds = torch.stack([torch.sigmoid(head(e)) for head in load_heads(paper.head_path).heads], 1)
    s_fnn = seeds.mean(1)
    outputs = {"score": s_pr + s_fnn, "s_pr": s_pr, "s_fnn": s_fnn, "embedding": e, "s_fnn_seeds": seeds}
    return {name: value.numpy() for name, value in outputs.items()}


def test_the_exported_file_scores_in_the_runtime_as_torch_does(paper, frames):
    expected = plain_scores(paper, frames)
    with Model(paper.model_path) as model:
        scores = model.score(frames)
    for name, value in expected.items():
        got = getattr(scores, name)
        assert got.dtype == np.float32
        assert np.abs(got - value).max() <= 1e-5, name
    # Agreement is worth something only where there was something to disagree on.
    assert expected["s_fnn_seeds"].std(axis=1).min() > 1e-3
    assert np.abs(expected["embedding"] - expected["embedding"][::-1]).max() > 1e-3
    with Model(paper.model_path) as model:
        assert np.abs(model.score(frames[..., ::-1].copy()).embedding - expected["embedding"]).max() > 1e-3


def test_the_report_of_the_export_stays_within_a_hundred_thousandth(paper):
    assert paper.report.status == "passed"
    assert paper.report.max["score"] <= 1e-5


def test_frames_of_any_size_are_scored(paper):
    rng = np.random.default_rng(8)
    sizes = ((1080, 1920), (100, 90), (240, 240))
    with Model(paper.model_path) as model:
        scores = model.score([rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes])
    assert scores.score.shape == (3,)
    assert scores.s_fnn_seeds.shape == (3, 3)
    np.testing.assert_allclose(np.linalg.norm(scores.embedding, axis=1), 1, atol=1e-5)


def test_the_manifest_names_the_weights_by_hash_and_no_path(paper):
    encoder = read_manifest(paper.model_path).encoder
    assert (encoder.name, encoder.weights, encoder.embed_dim) == (NAME, "local checkpoint", 640)
    assert encoder.sha256 == paper.encoder.sha256
    assert str(paper.model_path.parent).encode() not in paper.model_path.read_bytes()
