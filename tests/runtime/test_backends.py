"""The seam: which names there are, what each refuses, and what a refusal says."""

import sys

import numpy as np
import pytest

from wordsight.runtime import MissingPart, Model, ModelError, SettingError, read_manifest
from wordsight.runtime.backends import BACKENDS, open_backend
from wordsight.runtime.backends.base import Backend, brief, refusal


@pytest.mark.parametrize("name", ["ort", "ort-cpu"])
def test_names_that_run_everywhere_give_the_planted_scores(tiny_model, name):
    frames = np.full((3, 8, 8, 3), (51, 102, 0), np.uint8)
    with open_backend(name, tiny_model, read_manifest(tiny_model)) as backend:
        assert isinstance(backend, Backend)
        found = backend.infer(frames)
    np.testing.assert_allclose(found["score"], [0.6] * 3, atol=1e-6)
    assert backend.name.endswith("CPUExecutionProvider")


def test_an_unknown_name_is_told_every_known_one(tiny_model):
    with pytest.raises(SettingError) as caught:
        open_backend("abacus", tiny_model, read_manifest(tiny_model))
    assert all(name in str(caught.value) for name in BACKENDS)


def test_a_provider_that_onnxruntime_was_built_without_is_exit_three_with_the_line(tiny_model, monkeypatch):
    ort = pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])  # as without `gpu`
    with pytest.raises(MissingPart, match=r"built without CUDA.*pip install 'wordsight\[gpu\]'") as caught:
        Model(tiny_model, "ort-cuda")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "module", "line"),
    [("ort", "onnxruntime", "wordsight[runtime]"), ("openvino", "openvino", "wordsight[openvino]")],
)
def test_an_engine_that_is_not_installed_says_what_installs_it(tiny_model, monkeypatch, name, module, line):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPart, match="not installed") as caught:
        Model(tiny_model, name)
    assert caught.value.install == f"pip install '{line}'"


def test_a_refused_precision_says_which_engines_run_it(onnx_writer):
    told = str(refusal("ONNX Runtime", "m.onnx", onnx_writer.manifest(precision="bf16"), RuntimeError("no\nMatMul")))
    assert told.startswith("ONNX Runtime cannot load m.onnx: no MatMul; bf16 files run on: openvino, tensorrt")
    long = str(refusal("ONNX Runtime", "m.onnx", onnx_writer.manifest(precision="fp8"), RuntimeError("no " * 999)))
    assert "...; fp8 files run on: tensorrt" in long
    assert brief(ModelError(long)) == long
    assert "run on" not in str(refusal("ONNX Runtime", "m.onnx", onnx_writer.manifest(), RuntimeError("no")))


def test_a_bf16_file_is_refused_by_onnxruntime_in_one_line(tmp_path, onnx_writer):
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    path = tmp_path / "bf16.onnx"
    path.write_bytes(onnx_writer.bf16_model())
    with pytest.raises(ModelError, match="bf16 files run on: openvino") as caught:
        Model(path, "ort-cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.openvino
def test_and_auto_then_takes_the_engine_that_runs_it(tmp_path, onnx_writer):
    path = tmp_path / "bf16.onnx"
    path.write_bytes(onnx_writer.bf16_model())
    with Model(path) as model:
        assert model.backend.startswith("openvino ")
        assert "ort-cpu does not run: ONNX Runtime cannot load" in model.backend_reason
        scores = model.score(np.full((1, 8, 8, 3), (51, 102, 0), np.uint8))
    np.testing.assert_allclose(scores.score, 0.6, atol=4e-3)
    np.testing.assert_allclose(scores.s_pr, 0.2, atol=1e-6)
