"""The golden frame, on a model of 3 kB whose scores are means of colours."""

import hashlib

import numpy as np
import pytest

from wordsight.runtime.golden import GoldenFrameError, golden_frame, golden_spec, require_golden
from wordsight.runtime.model import Model


def model_with(onnx_writer, path, **golden):
    frame = golden_frame(8, 8).astype(np.float64)
    blue, green = frame[..., 0].mean() / 255, frame[..., 1].mean() / 255
    facts = {"score": blue + green, "s_pr": blue, "s_fnn": green, **golden}
    text = onnx_writer.manifest(golden=golden_spec(list(facts.values()), parity=1e-5, drift=0.0)).to_json()
    path.write_bytes(b"".join(onnx_writer.model_parts(text)))
    return path


def test_an_engine_that_scores_as_the_manifest_says_passes(onnx_writer, tmp_path):
    with Model(model_with(onnx_writer, tmp_path / "m.onnx"), backend="ort") as model:
        assert "of the manifest" in require_golden(model)


@pytest.mark.parametrize("name", ["score", "s_pr", "s_fnn"])
def test_one_that_scores_otherwise_is_refused(onnx_writer, tmp_path, name):
    path = model_with(onnx_writer, tmp_path / "m.onnx", **{name: 0.123})
    with Model(path, backend="ort") as model, pytest.raises(GoldenFrameError, match="the manifest says"):
        require_golden(model)


def test_a_file_from_before_is_scored_twice_and_that_is_told(tiny_model, monkeypatch):
    with Model(tiny_model, backend="ort") as model:
        assert require_golden(model) == "the manifest has no golden frame: one scored twice alike"
        infer, calls = model._engine.infer, []

        def unsteady(frames):
            calls.append(1)
            return {name: values + len(calls) for name, values in infer(frames).items()}

        monkeypatch.setattr(model._engine, "infer", unsteady)
        with pytest.raises(GoldenFrameError, match=r"scored \d\.\d+, then"):
            require_golden(model)


def test_the_frame_never_changes():
    frame = golden_frame(240, 240)
    assert (frame.shape, frame.dtype) == ((240, 240, 3), np.uint8)
    assert frame.std(axis=(0, 1)).min() > 10
    # Files in the field hold its scores: another frame is another pattern, with a name of its own.
    assert hashlib.sha256(frame.tobytes()).hexdigest()[:16] == "926962b3dde8ddfc"


def test_a_reduced_precision_may_be_as_far_off_as_it_drifts():
    assert golden_spec([1, 0.5, 0.5], parity=1e-5, drift=0.0).tolerance == 1e-4
    assert golden_spec([1, 0.5, 0.5], parity=1e-3, drift=0.0).tolerance == 2e-3
    assert golden_spec([1, 0.5, 0.5], parity=1e-3, drift=0.02).tolerance == 0.04
