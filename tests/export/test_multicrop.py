"""Exported files with crops, tiles and objects, through the runtime, beside the same done by hand with Pillow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wordsight.export.crops import Layout, lay_out, parse_crops
from wordsight.export.fused import FusedDetector
from wordsight.export.parity import parity_frames
from wordsight.export.plain import reference_outputs
from wordsight.runtime import Model, Scores, SettingError
from wordsight.runtime.cli import main
from wordsight.runtime.manifest import read_manifest

S = 96
MULTI = "full+2x2@0.7"
CAMERA = (108, 192)
OBJECTS = ("screw", "metal nut")


@pytest.fixture(scope="module")
def single(mini_file: Callable[..., Path]) -> Path:
    return mini_file(objects=OBJECTS, patches_output=True)


@pytest.fixture(scope="module")
def multi(mini_file: Callable[..., Path]) -> Path:
    return mini_file(crops=MULTI, fit="crop", camera=(), objects=OBJECTS, patches_output=True)


@pytest.fixture(scope="module")
def tiled(mini_file: Callable[..., Path]) -> Path:
    return mini_file(crops=MULTI, fit="tiles", camera=CAMERA, objects=(), patches_output=True)


def squares(frames: list[np.ndarray], boxes: list[tuple[int, int, int]]) -> list[np.ndarray]:
    """Every square of every frame by Pillow, square by square, shrunk to what the encoder takes."""
    cropped = [
        Image.fromarray(frame).crop((left, top, left + side, top + side)).resize((S, S), Image.Resampling.BICUBIC)
        for top, left, side in boxes
        for frame in frames
    ]
    return [np.asarray(square) for square in cropped]


def mean_of(path: Path, frames: list[np.ndarray], boxes: list[tuple[int, int, int]]) -> dict[str, np.ndarray]:
    """Scores of the squares by a file that knows no crops, averaged; `embedding` stays (squares, frames, D)."""
    with Model(path) as model:
        scores = model.score(squares(frames, boxes))
    outputs = {name: value for name, value in vars(scores).items() if value is not None}
    by_box = {name: value.reshape(len(boxes), len(frames), *value.shape[1:]) for name, value in outputs.items()}
    return {**{name: value.mean(axis=0) for name, value in by_box.items()}, "embedding": by_box["embedding"]}


def agree(got: Scores, wanted: dict[str, np.ndarray], names: tuple[str, ...]) -> None:
    for name in names:
        np.testing.assert_allclose(getattr(got, name), wanted[name], atol=2e-5, err_msg=name)


def test_multicrop_is_the_mean_of_squares_cut_by_pillow(single: Path, multi: Path):
    frames = list(parity_frames((137, 137)))
    boxes = [(0, 0, 137), (0, 0, 96), (0, 41, 96), (41, 0, 96), (41, 41, 96)]
    wanted = mean_of(single, frames, boxes)
    with Model(multi) as model:
        got = model.score(frames)
    agree(got, wanted, ("score", "s_pr", "s_fnn", "s_fnn_seeds", "s_pr_objects"))
    np.testing.assert_allclose(got.embedding, wanted["embedding"][0], atol=1e-5)
    assert np.abs(wanted["score"] - mean_of(single, frames, boxes[:1])["score"]).max() > 1e-2  # crops say something
    with Model(single) as model:
        full = model.score(squares(frames, boxes[:1]))
    assert got.patches is not None
    assert got.patches.shape == (8, 144, 128)
    np.testing.assert_allclose(got.patches, full.patches, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(got.patches, axis=-1), 1, atol=1e-5)


def test_a_large_frame_is_brought_to_the_frame_that_is_cut(multi: Path):
    frame = parity_frames((300, 500))[5]
    resized = Image.fromarray(frame).resize((228, 137), Image.Resampling.BICUBIC)  # 137 * 500 / 300 = 228.3
    with Model(multi) as model:
        fitted = model.score([np.asarray(resized.crop((46, 0, 46 + 137, 137)))])
        np.testing.assert_allclose(model.score([frame]).score, fitted.score, atol=1e-5)
        assert model.seen_share(300, 500) == pytest.approx(0.6)


def test_tiles_are_the_mean_over_the_whole_wide_frame(single: Path, tiled: Path):
    manifest = read_manifest(tiled)
    assert manifest.input.shape == (137, 244)  # 137 * 16 / 9 = 243.6
    frames = list(parity_frames((137, 244)))
    tiles = [(0, 0), (0, 107)]  # flush with the right border: 244 - 137
    boxes = [(0, left, 137) for _, left in tiles]
    boxes += [(top, left + inner, 96) for _, left in tiles for top in (0, 41) for inner in (0, 41)]
    wanted = mean_of(single, frames, boxes)
    with Model(tiled) as model:
        got = model.score(frames)
    agree(got, wanted, ("score", "s_pr", "s_fnn", "s_fnn_seeds"))
    both = wanted["embedding"][:2].sum(axis=0)
    np.testing.assert_allclose(got.embedding, both / np.linalg.norm(both, axis=-1, keepdims=True), atol=1e-5)
    assert got.patches is not None
    assert got.patches.shape == (8, 288, 128)


def test_tiles_see_what_a_crop_does_not(single: Path, tiled: Path):
    frame = np.full((1080, 1920, 3), 128, np.uint8)
    marked = frame.copy()
    marked[300:700, 1600:1900] = parity_frames((400, 300))[0]
    with Model(single) as model:
        before, after = model.score([frame, marked]).score
        assert before == after
    with Model(tiled) as model:
        before, after = model.score([frame, marked]).score
        assert abs(before - after) > 1e-3
        assert model.seen_share(1080, 1920) == model.seen_share(2160, 3840) == 1
        assert model.seen_share(480, 640) == pytest.approx(0.75)  # 360 of 480 rows


def test_a_frame_of_another_aspect_is_cut_at_its_centre(tiled: Path):
    tall = parity_frames((480, 640))[4]
    with Model(tiled) as model:
        np.testing.assert_array_equal(model.score([tall]).score, model.score([tall[60:420]]).score)


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_scores_as_a_file_exported_for_it(single: Path, mini_file: Callable[..., Path], name: str):
    frames = parity_frames(S)
    with Model(single, object=name) as model, Model(mini_file(name)) as alone:
        got, wanted = model.score(frames), alone.score(frames)
        assert model.object == name
    with Model(single) as model:
        usual = model.score(frames)
    agree(got, vars(wanted), ("score", "s_pr", "s_fnn", "embedding"))
    assert np.abs(got.s_pr - usual.s_pr).max() > 1e-3
    assert (got.score.dtype, got.s_pr.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(usual.score, Model(single, object="object").score(frames).score)


def test_objects_prompts_and_squares_are_in_the_manifest(multi: Path, tiled: Path):
    manifest = read_manifest(multi)
    assert [known.name for known in manifest.objects] == list(OBJECTS)
    assert manifest.objects[1].guiding_normal == "a photo of a metal nut"
    assert manifest.objects[1].guiding_anomalous == "a photo of a damaged metal nut"
    assert manifest.outputs["s_pr_objects"] == ("N", 2)
    assert manifest.outputs["patches"] == ("N", 144, 128)
    assert (manifest.crops.name, manifest.crops.boxes[4]) == (MULTI, (41, 41, 96))
    assert (manifest.input.size, manifest.input.camera) == (137, ())
    assert set(manifest.parity.max) == set(manifest.outputs)
    assert manifest.from_json(manifest.to_json()) == manifest
    assert len(read_manifest(tiled).crops.boxes) == 10


def test_parity_notices_a_square_that_is_one_pixel_off(mini):
    layout = lay_out(parse_crops(MULTI), S)
    frames = parity_frames(layout.shape)[4:6]
    wanted = reference_outputs(mini.encoder, mini.heads, mini.guiding, frames, layout=layout)
    off = Layout(layout.crops, layout.shape, (*layout.boxes[:4], (41, 40, 96)), layout.whole)
    for cut, fits in ((layout, True), (off, False)):
        with torch.inference_mode():
            score, *_ = FusedDetector(mini.encoder, mini.heads, mini.guiding, layout=cut)(torch.from_numpy(frames))
        assert (np.abs(score.numpy() - wanted["score"]).max() <= 1e-5) == fits


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_run_scores_by_the_object_that_is_asked_for(single: Path, tmp_path: Path, capfd):
    frame = parity_frames(S)[5]
    Image.fromarray(frame[..., ::-1].copy()).save(tmp_path / "a.png")
    out = tmp_path / "o.jsonl"
    assert command("run", single, tmp_path / "a.png", "--object", "metal nut", "--jsonl", out) == 0
    assert "'metal nut'" in capfd.readouterr().out
    line = json.loads(out.read_text())
    with Model(single, object="metal nut") as model:
        assert line["s_pr"] == pytest.approx(float(model.score([frame]).s_pr[0]), abs=1e-6)
    assert line["score"] == pytest.approx(0.5 * line["s_pr"] + 2 * line["s_fnn"], abs=1e-6)


def test_an_unknown_object_names_those_there_are(single: Path, tmp_path: Path, capfd):
    with pytest.raises(SettingError, match="'object', 'screw', 'metal nut', got 'bolt'"):
        Model(single, object="bolt")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    assert command("run", single, tmp_path / "a.png", "--object", "bolt", "--jsonl", tmp_path / "o") == 2
    assert "'metal nut', got 'bolt'" in capfd.readouterr().err
    assert not (tmp_path / "o").exists()


def test_info_tells_squares_and_objects(multi: Path, tiled: Path, capfd, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert command("info", multi) == 0
    told = capfd.readouterr().out
    for words in (MULTI, "the mean of 5 squares", "96 at 41,41", "137 px", "metal nut: 'a photo of a metal nut'"):
        assert words in told
    assert command("info", tiled) == 0
    told = capfd.readouterr().out
    for words in ("tiles of 192x108", "244x137 px", "100% of 1920x1080", "75% of 1280x960"):
        assert words in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--crops", "triple"], "--crops takes single, full+2x2@0.7"),
        (["--crops", "2x2@0.3"], "gaps"),
        (["--fit", "tiles"], "--frame WIDTHxHEIGHT"),
        (["--frame", "1920x1080"], "--frame goes with --fit tiles"),
        (["--fit", "tiles", "--frame", "1920"], "such as 1920x1080"),
        (["--fit", "tiles", "--frame", "0x5"], "--frame takes WIDTHxHEIGHT"),
        (["--fit", "tiles", "--frame", "5000x10"], "at most 1 to 16"),
        (["--objects", "screw,,nut"], "names with commas"),
        (["--objects", "screw, screw"], "'screw' twice"),
        (["--objects", "object"], "own object"),
    ],
)
def test_export_refuses_what_it_cannot_make(mini_file, single: Path, tmp_path: Path, capfd, words, says):
    head = single.with_suffix(".safetensors")
    assert command("export", head, "-o", tmp_path / "m.onnx", *words) == 2
    err = capfd.readouterr().err
    assert says in " ".join(err.split())
    assert len(err.splitlines()) <= 8
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_all_of_it(single: Path, tmp_path: Path, capfd):
    out = tmp_path / "m.onnx"
    words = ["--fit", "tiles", "--frame", "192x108", "--objects", "screw, metal nut", "--crops", "2x2@0.7", "--patches"]
    assert command("export", single.with_suffix(".safetensors"), "-o", out, *words) == 0
    told = capfd.readouterr()
    assert "100.0% of a 192x108 frame is seen" in told.out
    assert "parity: passed" in told.out
    manifest = read_manifest(out)
    assert [known.name for known in manifest.objects] == ["screw", "metal nut"]
    assert len(manifest.crops.boxes) == 8
    assert manifest.outputs["patches"] == ("N", 8 * 144, 128)
