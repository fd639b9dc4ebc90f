"""A file that takes the frames of one camera: they go in as they are, and every other size is told, not fitted.

The model is the tiny one of `onnx_writer`, whose 8x8 pixels are said to be the camera's.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from wordsight.runtime.errors import FrameError
from wordsight.runtime.fit_input import as_host, covered, fit_input
from wordsight.runtime.preprocess import fit_frame

pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")


@pytest.fixture
def spec(onnx_writer):
    return replace(onnx_writer.manifest().input, frame=(30, 40))


@pytest.fixture
def camera_model(tmp_path, onnx_writer):
    """Path of a tiny file that says it resizes 8x8 frames in its graph."""
    path = tmp_path / "camera.onnx"
    manifest = onnx_writer.manifest(schema=2, input=replace(onnx_writer.manifest().input, frame=(8, 8)))
    path.write_bytes(b"".join(onnx_writer.model_parts(manifest.to_json())))
    return path


def test_the_cameras_frame_goes_in_as_it_is(spec):
    frame = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert fit_input(frame, spec) is frame
    np.testing.assert_array_equal(fit_input(frame, as_host(spec)), fit_frame(frame, 8))


@pytest.mark.parametrize("shape", [(40, 30), (8, 8), (30, 41), (1080, 1920)])
def test_another_size_is_refused_with_what_to_do(spec, shape):
    with pytest.raises(FrameError, match=rf"40x30 pixels.*got {shape[1]}x{shape[0]}; .*--resize host"):
        fit_input(np.zeros((*shape, 3), np.uint8), spec)


def test_a_made_up_picture_covers_the_camera():
    frame = np.arange(0, 100, 10, dtype=np.uint8)[None, :, None].repeat(10, 0).repeat(3, 2)  # brighter to the right
    wide = covered(frame, 4, 20)
    assert wide.shape == (4, 20, 3)
    np.testing.assert_array_equal(wide[0], fit_frame(frame, 20)[8])


def test_score_refuses_before_anything_is_scored(camera_model):
    from wordsight.runtime import Model

    good, bad = np.full((8, 8, 3), 255, np.uint8), np.zeros((9, 8, 3), np.uint8)
    with Model(camera_model, "ort-cpu") as model:
        assert model.score([good, good]).score == pytest.approx([2, 2])
        assert model.score([good]).score == pytest.approx([2])
        with pytest.raises(FrameError, match=r"^frame 1: expected a frame of 8x8 pixels"):
            model.score([good, bad])


def test_run_tells_the_wrong_size_and_scores_the_rest(camera_model, save_picture, wordsight):
    folder = camera_model.parent
    save_picture(folder / "in" / "a.png", 255, (8, 8))
    save_picture(folder / "in" / "b.png", 255, (12, 8))
    save_picture(folder / "in" / "c.png", 0, (8, 8))
    done = wordsight("run", camera_model, "in", "--jsonl", "o.jsonl", "--errors", "e.jsonl", cwd=folder)
    assert done.code == 1
    assert len(done.lines) <= 8
    scores = [json.loads(line)["score"] for line in (folder / "o.jsonl").read_text().splitlines()]
    assert scores == pytest.approx([2, 0])
    (error,) = [json.loads(line) for line in (folder / "e.jsonl").read_text().splitlines()]
    assert error["source"].endswith("b.png")
    assert "got 8x12" in json.dumps(error)
    assert wordsight("run", camera_model, "in/b.png", cwd=folder).code == 2


def test_references_leave_the_wrong_size_out(tmp_path, onnx_writer, save_picture, wordsight):
    spec = replace(onnx_writer.manifest().input, frame=(8, 8))
    (tmp_path / "g.onnx").write_bytes(b"".join(onnx_writer.grid_model_parts(("patches",), schema=2, input=spec)))
    save_picture(tmp_path / "in" / "a.png", 200, (8, 8))
    save_picture(tmp_path / "in" / "b.png", 100, (9, 9))
    done = wordsight("reference", "add", "g.onnx", "in", cwd=tmp_path)
    assert done.code == 1, done.err
    assert "b.png" in done.out + done.err
    assert (tmp_path / "g.onnx.references.safetensors").exists()


def test_info_tells_the_camera_and_where_it_is_resized(tmp_path, onnx_writer, wordsight):
    spec = replace(onnx_writer.manifest().input, frame=(480, 640))
    text = onnx_writer.manifest(schema=2, input=spec).to_json()
    (tmp_path / "m.onnx").write_bytes(b"".join(onnx_writer.model_parts(text)))
    told = wordsight("info", "m.onnx", cwd=tmp_path).out
    for words in ("schema 2", "640x480 px", "crop, resized in the graph to 8 px", "75% of 640x480"):
        assert words in told
    assert "1920x1080" not in told
