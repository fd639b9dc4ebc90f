"""Bad data sets and bad references: one clear line naming the file and what was expected, exit code 2, nothing done.

The command line runs as it does for a user, `main` and all, on real folders and a real exported file.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from wordsight.export.onnx import export_model
from wordsight.runtime.cli import main
from wordsight.train.checkpoint import save_heads
from wordsight.train.encoders import Encoder, load_encoder
from wordsight.train.fit import Settings
from wordsight.train.head import Head

SPLIT = "object,split,label,image,mask\n"


def export(encoder: Encoder, path: Path, **options: object) -> Path:
    head_path = path.with_suffix(".safetensors")
    save_heads(head_path, [Head(encoder.embed_dim).eval()], Settings(num_pairs=10), [0], encoder)
    export_model(head_path, path, encoder_spec=encoder.spec, seeds_output=True, **options)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same mini as a plain file and as one that takes larger frames, and a file of another encoder."""
    folder = tmp_path_factory.mktemp("models")
    mini = load_encoder("mini")
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (folder / "bad-data-vit.json").write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(folder / "bad-data-vit.json")
    torch.manual_seed(0)
    save_file(open_clip.create_model("bad-data-vit").state_dict(), folder / "weights.safetensors")
    return {
        "mini": export(mini, folder / "mini.onnx", heatmap=True),
        "larger": export(mini, folder / "larger.onnx", crops="full+2x2@0.7"),
        "vit": export(load_encoder(f"bad-data-vit:{folder / 'weights.safetensors'}"), folder / "vit.onnx"),
    }


def picture(path: Path, seed: int, shape: tuple[int, ...] = (40, 50, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, shape, np.uint8))
    return path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A sound set in MVTec's layout; each test spoils one thing of it."""
    root = tmp_path / "sets" / "nut"
    for seed, name in enumerate(("train/good/a", "train/good/b", "test/good/c", "test/crack/d")):
        picture(root / f"{name}.png", seed)
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 5:20] = 255
    (root / "ground_truth" / "crack").mkdir(parents=True)
    cv2.imwrite(str(root / "ground_truth" / "crack" / "d_mask.png"), mask)
    return root


def commands(model: Path, folder: Path, out: Path) -> dict[str, list[object]]:
    return {
        "accuracy": ["bench", "accuracy", folder, "--model", model, "--controls", "2"],
        "results": ["bench", "results", folder, "-o", out, "--pictures", "0"],
        "crops": ["bench", "crops", folder, "-o", out],
        "heatmap": ["bench", "heatmap", folder, "--model", model, "--repeats", "0", "--pictures", "0"],
        "paper": ["bench", "paper", "--data", folder, "-o", out, "--encoder", "mini"],
    }


EVERY = ("accuracy", "results", "crops", "heatmap", "paper")


@pytest.mark.parametrize("command", EVERY)
@pytest.mark.parametrize("lost", ["good", "crack"])
def test_a_class_with_one_label_only(refused, models, parts: Path, tmp_path: Path, command: str, lost: str):
    for path in (parts / "test" / lost).iterdir():
        path.unlink()
    said = refused(2, *commands(models["mini"], parts, tmp_path / "out")[command])
    assert f"{parts} with pictures in test/{{{'crack' if lost == 'good' else 'good'}}} only" in said
    assert "expected DIR/test/good with good pictures and DIR/test/<kind of defect>" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", EVERY)
def test_a_picture_in_train_and_in_test_is_a_leak(refused, models, parts: Path, tmp_path: Path, command: str):
    (parts / "test" / "good" / "again.png").write_bytes((parts / "train" / "good" / "b.png").read_bytes())
    said = refused(2, *commands(models["mini"], parts, tmp_path / "out")[command])
    assert "1 pictures of nut are in train and in test (a leak)" in said
    assert "train/good/b.png is also test/good/again.png" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["garbage", "another size", "absent"])
def test_a_mask_that_cannot_be_used(refused, models, parts: Path, tmp_path: Path, kind: str):
    mask = parts / "ground_truth" / "crack" / "d_mask.png"
    if kind == "garbage":
        mask.write_bytes(b"no picture at all")
    elif kind == "another size":
        picture(mask, 9, (30, 50))
    else:
        mask.unlink()
    said = refused(2, *commands(models["mini"], parts, tmp_path)["heatmap"])
    assert "mask" in said
    assert "d.png" in said if kind == "absent" else "d_mask.png" in said
    if kind == "another size":
        assert "expected a mask of 50x40 pixels" in said
        assert "got 50x30" in said


@pytest.mark.parametrize("command", ["results", "paper"])
@pytest.mark.parametrize("kind", ["visa", "sewer-ml"])
def test_a_csv_naming_absent_files(refused, models, tmp_path: Path, command: str, kind: str):
    root = tmp_path / "sets"
    if kind == "visa":
        listing = root / "split_csv" / "1cls.csv"
        listing.parent.mkdir(parents=True)
        listing.write_text(SPLIT + "nut,test,normal,gone/a.png,\nnut,test,anomaly,gone/b.png,\n")
    else:
        root.mkdir()
        listing = root / "SewerML_Val.csv"
        listing.write_text("Filename,Defect\na.png,0\nb.png,1\n")
    said = refused(2, *commands(models["mini"], root, tmp_path / "out")[command])
    assert f"{listing} names 2 files, 2 of them are not there" in said
    assert "a.png" in said
    assert not (tmp_path / "out").exists()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    folder = tmp_path / "good"
    for seed in range(2):
        picture(folder / f"{seed}.png", seed)
    return folder


@pytest.mark.parametrize(("other", "what"), [("vit", "encoder"), ("larger", "size")])
def test_references_of_another_encoder_or_size(refused, models, good: Path, tmp_path: Path, other: str, what: str):
    file = tmp_path / "other.references.safetensors"
    with pytest.raises(SystemExit) as end:
        main(["reference", "add", str(models[other]), str(good), "-o", str(file)])
    assert end.value.code == 0
    said = refused(2, "run", models["mini"], good, "--references", file)
    assert f"{file} came from another model: {what} " in said
    assert "the model has" in said
    assert "came from another model" in refused(2, "reference", "add", models["mini"], good, "-o", file)


def test_more_references_than_there_are(refused, models, good: Path, tmp_path: Path):
    file = tmp_path / "two.references.safetensors"
    with pytest.raises(SystemExit):
        main(["reference", "add", str(models["mini"]), str(good), "-o", str(file)])
    said = refused(2, "run", models["mini"], good, "--references", file, "--shots", "9")
    assert f"{file}: expected k of at most 2, the references there are, got 9" in said
