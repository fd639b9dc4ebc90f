"""Heads trained on centred texts: the mean of images is in the graph, in the manifest, and nothing happens without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch

from wordsight.export import centre
from wordsight.export.onnx import export_model
from wordsight.runtime.errors import NothingFound, SettingError
from wordsight.runtime.manifest import read_manifest
from wordsight.train.checkpoint import load_heads, save_heads
from wordsight.train.encoders import Encoder, load_encoder
from wordsight.train.fit import Settings
from wordsight.train.head import Head
from wordsight.train.mini import training_nouns

SIZE = 32


@pytest.fixture
def centred(head_path: Path, tiny: Encoder, tmp_path: Path) -> Path:
    plain = load_heads(head_path)
    path = tmp_path / "centred.safetensors"
    torch.manual_seed(5)
    heads = [Head(tiny.embed_dim, plain.settings.widths, text_mean=torch.randn(tiny.embed_dim)).eval() for _ in "ab"]
    save_heads(path, heads, replace(plain.settings, centre=True), (1, 2), tiny)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    folder = tmp_path / "normal"
    folder.mkdir()
    frames = list(np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE, 3), dtype=np.uint8))
    for i, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{i:02d}.png"), frame)
    return folder, frames


def embedded(encoder: Encoder, frames: list[np.ndarray]) -> torch.Tensor:
    rgb = torch.from_numpy(np.stack(frames)[..., ::-1].copy()).permute(0, 3, 1, 2) / 255
    images = (rgb - torch.tensor(encoder.mean)[:, None, None]) / torch.tensor(encoder.std)[:, None, None]
    with torch.inference_mode():
        return encoder.model.encode_image(images, normalize=True)


def test_the_heads_see_pictures_from_the_mean_of_the_users(centred: Path, tiny: Encoder, pictures, tmp_path: Path):
    folder, frames = pictures
    out = tmp_path / "model.onnx"
    assert export_model(centred, out, centre_frames=folder, seeds_output=True, patches_output=True)
    said = read_manifest(out).centre
    assert (said.count, said.pictures) == (40, "the user's pictures")
    assert str(folder).encode() not in out.read_bytes()

    mean = embedded(tiny, frames).mean(dim=0)
    shown = list(np.random.default_rng(9).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8))
    unit = embedded(tiny, shown)
    session = ort.InferenceSession(out, providers=["CPUExecutionProvider"])
    got, embedding = session.run(["s_fnn_seeds", "embedding"], {"frames": np.stack(shown)})
    for column, head in zip(got.T, load_heads(centred).heads, strict=True):
        with torch.inference_mode():
            np.testing.assert_allclose(column, torch.sigmoid(head(unit - mean)), atol=1e-5)
            assert np.abs(column - torch.sigmoid(head(unit)).numpy()).max() > 1e-3
    np.testing.assert_allclose(embedding, unit, atol=1e-6)  # what others compare with stays as it is


def test_a_centred_head_without_pictures_is_refused_and_a_plain_one_with_them(
    centred: Path, head_path: Path, pictures, tmp_path: Path
):
    out = tmp_path / "model.onnx"
    with pytest.raises(SettingError, match="--centre-frames DIR"):
        export_model(centred, out)
    with pytest.raises(SettingError, match="leave it out"):
        export_model(head_path, out, centre_frames=pictures[0])
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingFound):
        export_model(centred, out, centre_frames=tmp_path / "empty")
    assert not out.exists()


def test_mini_takes_its_mean_from_training_nouns_and_its_heat_map_agrees(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(centre, "MINI_PICTURES", 40)
    encoder = load_encoder("mini")
    settings = Settings(widths=(8,), centre=True, num_pairs=10)
    head = Head(encoder.embed_dim, (8,), text_mean=torch.zeros(encoder.embed_dim)).eval()
    save_heads(tmp_path / "head.safetensors", [head], settings, (0,), encoder)
    assert export_model(tmp_path / "head.safetensors", tmp_path / "model.onnx", heatmap=True)
    assert read_manifest(tmp_path / "model.onnx").centre.count == 40
    found, _ = centre.image_centre(encoder, [head], None)
    frames = torch.from_numpy(np.stack([p.image for p in training_nouns(40)])[..., ::-1].copy()).permute(0, 3, 1, 2)
    images = (frames / 255 - torch.tensor(encoder.mean)[:, None, None]) / torch.tensor(encoder.std)[:, None, None]
    with torch.inference_mode():
        unit = torch.nn.functional.normalize(encoder.model.encode_image(images), dim=-1)
    torch.testing.assert_close(found, unit.mean(dim=0), atol=1e-6, rtol=0)


def test_without_a_centre_the_manifest_says_none(head_path: Path, tmp_path: Path):
    export_model(head_path, tmp_path / "model.onnx")
    assert read_manifest(tmp_path / "model.onnx").centre.count == 0
