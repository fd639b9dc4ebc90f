import hashlib
import sys

import numpy as np
import pytest

from wordsight.runtime import FrameError, MissingPart, Model, ModelError, SettingError

BLUE, GREEN = (200, 0, 0), (0, 100, 0)


def plain(colour, height=8, width=8):
    return np.full((height, width, 3), colour, np.uint8)


def test_scores_follow_the_order_of_the_frames_across_batches(tiny_model):
    frames = [plain((10 * i, 5 * i, 0), 8 + i, 20) for i in range(7)]
    with Model(tiny_model, batch_size=3) as model:
        scores = model.score(frames)
    np.testing.assert_allclose(scores.s_pr, [10 * i / 255 for i in range(7)], atol=1e-6)
    np.testing.assert_allclose(scores.s_fnn, [5 * i / 255 for i in range(7)], atol=1e-6)
    np.testing.assert_allclose(scores.score, scores.s_pr + scores.s_fnn, atol=1e-6)
    assert len(scores) == 7
    assert scores.embedding.shape == (7, 3)
    assert scores.s_fnn_seeds is None
    assert {a.dtype for a in (scores.score, scores.s_pr, scores.s_fnn, scores.embedding)} == {np.dtype(np.float32)}


def test_an_array_of_the_right_size_is_not_resized(tiny_model):
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    with Model(tiny_model) as model:
        np.testing.assert_allclose(model.score(frames).embedding, frames.mean((1, 2)), rtol=1e-6)


def test_the_fit_of_the_manifest_is_used(tiny_model):
    frame = np.concatenate([plain(GREEN, 8, 8), plain(BLUE, 8, 8), plain(GREEN, 8, 8)], axis=1)
    with Model(tiny_model) as model:
        assert model.score([frame]).s_pr[0] == pytest.approx(200 / 255)
        assert model.seen_share(8, 24) == pytest.approx(1 / 3)


@pytest.mark.parametrize("frames", [[], np.zeros((0, 30, 20, 3), np.uint8)])
def test_no_frames_give_empty_scores_of_the_right_shapes(tiny_model, frames):
    with Model(tiny_model) as model:
        scores = model.score(frames)
    assert scores.score.shape == scores.s_pr.shape == scores.s_fnn.shape == (0,)
    assert scores.embedding.shape == (0, 3)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (np.zeros((8, 8), np.uint8), "grey"),
        (np.zeros((8, 8, 1), np.uint8), "grey"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((0, 8, 3), np.uint8), "at least one pixel"),
        ([[1]], "list"),
    ],
)
def test_what_is_no_frame_is_refused_by_its_place(tiny_model, frame, says):
    with Model(tiny_model) as model, pytest.raises(FrameError, match=f"frame 1: .*{says}"):
        model.score([plain(BLUE), frame])


def test_a_single_frame_without_a_list_is_refused(tiny_model):
    with Model(tiny_model) as model, pytest.raises(FrameError, match=r"one frame: \[f\]"):
        model.score(plain(BLUE))


def test_it_says_what_runs_and_what_file_it_is(tiny_model):
    with Model(tiny_model) as model:
        assert model.backend.startswith("onnxruntime ")
        assert model.backend.endswith("ExecutionProvider")
        assert model.sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()


def test_a_closed_model_says_so(tiny_model):
    model = Model(tiny_model)
    model.close()
    model.close()
    with pytest.raises(ModelError, match="closed"):
        model.score([])


def test_wrong_settings_are_refused(tiny_model):
    with pytest.raises(SettingError, match="batch size"):
        Model(tiny_model, batch_size=0)
    with pytest.raises(SettingError, match="a backend of auto, ort, "):
        Model(tiny_model, "abacus")
    with pytest.raises(SettingError, match=r"knows the objects 'object', got 'screw'; .*--objects"):
        Model(tiny_model, object="screw")


def test_a_graph_the_engine_refuses_is_one_line(tmp_path, onnx_writer):
    bad = onnx_writer.graph().replace(b"ReduceMean", b"ReduceFoo!")
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"".join(onnx_writer.model_parts(body=bad)))
    with pytest.raises(ModelError, match="cannot load") as caught:
        Model(path)
    assert "\n" not in str(caught.value)


def test_outputs_unlike_the_manifest_are_refused(tmp_path, onnx_writer):
    graph = onnx_writer.graph()
    wrong = onnx_writer.manifest(outputs={"score": ("N",), "s_pr": ("N",), "s_fnn": ("N",), "float": ("N", 5)})
    path = tmp_path / "bad.onnx"
    body = graph + onnx_writer.value(12, "float", 1, ["batch", 8, 8, 3])
    path.write_bytes(b"".join(onnx_writer.model_parts(wrong.to_json(), body)))
    with pytest.raises(ModelError, match="output float should be"):
        Model(path)


def test_without_onnxruntime_the_line_that_installs_it_is_told(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPart, match=r"pip install 'wordsight\[runtime\]'") as caught:
        Model(tiny_model, "ort")
    assert caught.value.exit_code == 3
