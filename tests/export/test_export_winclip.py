"""`wordsight export --winclip` on a vision transformer with random weights: one file, through the runtime."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wordsight.benchmarks.fold import random_checkpoint
from wordsight.export.errors import ExportError
from wordsight.export.fused import WINCLIP_OUTPUTS
from wordsight.export.onnx import export_model
from wordsight.runtime import Model
from wordsight.runtime.cli import main
from wordsight.runtime.errors import SettingError
from wordsight.runtime.few_shot import s_img, s_img_map, winclip_sum
from wordsight.runtime.manifest import WinclipSpec
from wordsight.runtime.reference_builder import ReferenceBuilder
from wordsight.train.checkpoint import save_heads
from wordsight.train.compositional import class_embeddings, ensemble
from wordsight.train.encoders import load_encoder
from wordsight.train.fit import Settings, train_heads


@pytest.fixture(scope="module")
def head(small_vit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("winclip")
    # One block more than a heat map goes through.
    encoder = load_encoder(random_checkpoint(small_vit(7), folder))
    settings = Settings(num_pairs=40)
    save_heads(folder / "head.safetensors", train_heads(encoder, settings, [0], progress=False), settings, [0], encoder)
    return folder / "head.safetensors", encoder


@pytest.fixture(scope="module")
def model(head):
    path = head[0].with_name("model.onnx")
    report = export_model(head[0], path, winclip=True, objects=["screw"], seeds_output=True, heatmap=True)
    assert report.status == "passed"
    assert {*WINCLIP_OUTPUTS, "s_winclip_objects", "s_fnn_seeds", "heatmap"} <= report.max.keys()
    with Model(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def frames():
    return list(np.random.default_rng(3).integers(0, 256, (3, 56, 56, 3), np.uint8))


def test_the_files_score_is_open_clips_own_with_the_prompt_ensemble(model, head, frames):
    encoder = head[1]
    with torch.inference_mode():
        texts = [encoder.model.encode_text(encoder.tokenize(prompts)).mean(0) for prompts in ensemble("object")]
        rgb = torch.from_numpy(np.stack(frames)[..., ::-1].copy()).permute(0, 3, 1, 2) / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (encoder.mean, encoder.std))
        images = F.normalize(encoder.model.encode_image((rgb - mean) / std), dim=-1)
        expected = torch.softmax(100 * images @ F.normalize(torch.stack(texts), dim=-1).T, dim=-1)[:, 1]
    scores = model.score(frames)
    np.testing.assert_allclose(scores.s_winclip, expected.numpy(), atol=1e-5)
    with torch.inference_mode():
        texts = [encoder.model.encode_text(encoder.tokenize(prompts)).mean(0) for prompts in ensemble("screw")]
        screws = torch.softmax(100 * images @ F.normalize(torch.stack(texts), dim=-1).T, dim=-1)[:, 1]
    np.testing.assert_allclose(scores.s_winclip_objects[:, 0], screws.numpy(), atol=1e-5)
    assert scores.winclip_map.shape == (3, 7, 7)
    assert scores.windows_2.shape == (3, 36, encoder.embed_dim)
    assert scores.windows_3.shape == (3, 25, encoder.embed_dim)


def test_a_heat_map_comes_from_the_same_pass(model, frames):
    heatmap = model.score(frames).heatmap
    assert heatmap.shape == (3, 7, 7)
    assert 0 < heatmap.min() < heatmap.max() < 2
    assert (model.manifest.heatmap.way, model.manifest.heatmap.blocks) == ("value-value attention", 6)
    assert model.manifest.parity.max["heatmap"] <= 1e-5


def test_references_of_the_same_file_give_winclips_few_shot_score(model, frames):
    builder = ReferenceBuilder(model)
    builder.add(frames[0], "good.png")
    references = builder.finish()
    scores = model.score(frames)
    association = s_img(scores, references, "association")
    assert association[0] == pytest.approx(0, abs=1e-5)  # the reference itself
    assert association[1:].min() > 1e-3
    np.testing.assert_allclose(association, s_img_map(scores, references).reshape(3, -1).max(1))
    expected = (scores.s_winclip + association) / 2
    np.testing.assert_allclose(winclip_sum(scores.s_winclip, association), expected)


def test_a_convolutional_encoder_is_refused(tmp_path):
    encoder = load_encoder("mini")
    settings = Settings(num_pairs=40)
    save_heads(tmp_path / "h.safetensors", train_heads(encoder, settings, [0], progress=False), settings, [0], encoder)
    with pytest.raises(ExportError, match="windows"):
        export_model(tmp_path / "h.safetensors", tmp_path / "m.onnx", winclip=True)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("options", [{"crops": "full+2x2@0.7"}, {"patches_output": True}])
def test_what_does_not_go_with_winclip(head, tmp_path, options):
    with pytest.raises(SettingError, match="--winclip"):
        export_model(head[0], tmp_path / "m.onnx", winclip=True, **options)


@pytest.mark.parametrize(
    ("options", "temperature", "mean", "templates"),
    [((), 0.01, "raw", 22), (("--winclip-temperature", "0.07", "--winclip-mean", "unit"), 0.07, "unit", 22),
     (("--winclip-score", "--winclip-templates", "21"), 0.01, "raw", 21)],
)  # fmt: skip
def test_its_options_are_what_the_file_scores_by(
    tiny, head_path, tmp_path, capfd, options, temperature, mean, templates
):
    path = tmp_path / "m.onnx"
    form = () if "--winclip-score" in options else ("--winclip",)
    assert command("export", head_path, "-o", path, *form, "--objects", "metal nut", *options) == 0
    frames = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), np.uint8)
    with Model(path) as opened, torch.inference_mode():
        scores, spec = opened.score(frames), opened.manifest.winclip
        rgb = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2) / 255
        std, shift = (torch.tensor(values)[:, None, None] for values in (tiny.std, tiny.mean))
        images = F.normalize(tiny.model.encode_image((rgb - shift) / std), dim=-1)
        for name, got in (("gear", scores.s_winclip), ("metal nut", scores.s_winclip_objects[:, 0])):
            texts = []
            for prompts in ensemble(name, templates):
                rows = tiny.model.encode_text(tiny.tokenize(prompts))
                texts.append((F.normalize(rows, dim=-1) if mean == "unit" else rows).mean(dim=0))
            logits = images @ F.normalize(torch.stack(texts), dim=-1).T / temperature
            np.testing.assert_allclose(got, torch.softmax(logits, dim=-1)[:, 1].numpy(), atol=2e-5)
    assert (spec.temperature, spec.mean, spec.templates) == (temperature, mean, templates)
    capfd.readouterr()
    assert command("info", path) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert f"WinCLIP T {temperature:g}, {mean} mean of prompts in {templates} templates" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--winclip-temperature", "0.07"], "--winclip-temperature goes with --winclip"),
        (["--winclip-mean", "unit"], "--winclip-mean goes with --winclip"),
        (["--winclip-templates", "21"], "--winclip-templates goes with --winclip"),
        (["--winclip", "--winclip-temperature", "0.5"], "takes 0.01 or 0.07, got 0.5"),
        (["--winclip", "--winclip-mean", "median"], "takes raw or unit, got median"),
        (["--winclip", "--winclip-templates", "23"], "takes 22 or 21, got 23"),
    ],
)
def test_options_that_make_no_sense_are_one_line(head_path, tmp_path, capfd, words, says):
    assert command("export", head_path, "-o", tmp_path / "m.onnx", *words) == 2
    told = capfd.readouterr().err
    assert says in " ".join(told.split())
    assert len(told.splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []


def test_options_without_winclip_are_refused_in_python_too(head_path, tmp_path):
    with pytest.raises(SettingError, match="go with --winclip"):
        export_model(head_path, tmp_path / "m.onnx", winclip_options=WinclipSpec())


def command(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("crops", ["single", "full+2x2@0.7"])
def test_the_score_alone_is_of_any_encoder_and_the_mean_of_its_squares(tiny, head_path, tmp_path, crops):
    path = tmp_path / "m.onnx"
    report = export_model(head_path, path, winclip=True, winclip_windows=False, objects=["screw"], crops=crops)
    assert report.max["s_winclip"] <= report.tolerance
    assert report.max["s_winclip_objects"] <= report.tolerance
    with Model(path) as model:
        manifest = model.manifest
    assert not {"winclip_map", "windows_2", "patches"} & manifest.outputs.keys()
    side, boxes = manifest.input.size, manifest.crops.boxes or ((0, 0, manifest.input.size),)
    frames = np.random.default_rng(5).integers(0, 256, (2, side, side, 3), np.uint8)
    single = tmp_path / "single.onnx"
    export_model(head_path, single)
    with Model(path) as model, Model(single) as plain:
        scores = model.score(frames)
        for name, got in (("gear", scores.s_winclip), ("screw", scores.s_winclip_objects[:, 0])):
            texts = class_embeddings(tiny, name).numpy()
            views = [plain.score(np.ascontiguousarray(frames[:, top : top + edge, left : left + edge])).embedding
                     for top, left, edge in boxes]  # fmt: skip
            logits = np.stack([view @ (texts[1] - texts[0]) / 0.01 for view in views])
            np.testing.assert_allclose(got, (1 / (1 + np.exp(-logits))).mean(axis=0), atol=1e-4)


def test_both_forms_of_winclip_at_once_are_refused(head_path, tmp_path, capfd):
    assert command("export", head_path, "-o", tmp_path / "m.onnx", "--winclip", "--winclip-score") == 2
    assert "leave --winclip-score out" in capfd.readouterr().err
