"""The script that is copied beside the file for Triton's python backend, with a stand-in for the backend's module."""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import wordsight.runtime.triton
from wordsight.runtime.golden import golden_frame, golden_spec

pytestmark = pytest.mark.scale
SCRIPT = Path(wordsight.runtime.triton.__file__).with_name("python_model.py")


class Tensor:
    def __init__(self, name, array):
        self.name, self.array = name, array

    def as_numpy(self):
        return self.array


class Request:
    def __init__(self, frames, names):
        self.frames, self.names = frames, names

    def requested_output_names(self):
        return self.names


class ModelRefused(Exception):
    pass


@pytest.fixture
def script(monkeypatch):
    utils = SimpleNamespace(
        Tensor=Tensor,
        TritonError=str,
        TritonModelException=ModelRefused,
        InferenceResponse=lambda tensors=(), error=None: SimpleNamespace(tensors=tensors, error=error),
        get_input_tensor_by_name=lambda request, name: Tensor(name, request.frames) if name == "frames" else None,
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utils)
    spec = importlib.util.spec_from_file_location("served_model", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def args(tmp_path, onnx_writer):
    """What the backend would give to `initialize`: (golden score off by, threads) -> arguments."""

    def make(off=0.0, **parameters):
        frame = golden_frame(8, 8)
        blue, green = frame[..., 0].mean() / 255, frame[..., 1].mean() / 255
        manifest = onnx_writer.manifest(golden=golden_spec([blue + green + off, blue, green], parity=1e-5, drift=0.0))
        model = b"".join(onnx_writer.model_parts(manifest.to_json()))
        for folder in ("1", "warmup"):
            (tmp_path / "m" / folder).mkdir(parents=True)
        (tmp_path / "m" / "1" / "model.onnx").write_bytes(model)
        (tmp_path / "m" / "warmup" / "golden").write_bytes(frame.tobytes())
        told = {"wordsight": manifest.to_json(), "wordsight_sha256": hashlib.sha256(model).hexdigest(), **parameters}
        config = {
            "input": [{"name": "frames", "dims": [8, 8, 3]}],
            "parameters": {key: {"string_value": value} for key, value in told.items()},
        }
        return {
            "model_config": json.dumps(config),
            "model_repository": str(tmp_path / "m"),
            "model_version": "1",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }

    return make


@pytest.fixture
def opened(script, args):
    model = script.TritonPythonModel()
    model.initialize(args(wordsight_threads="1"))
    return model


def frames(count):
    return np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_each_request_gets_its_own_frames_scores_and_only_what_it_asked_for(opened):
    asked = [["score"], ["embedding", "s_pr"], ["score", "s_fnn"]]
    requests = [Request(frames(count), names) for count, names in zip((1, 3, 2), asked, strict=True)]
    answers = opened.execute(requests)
    assert [[tensor.name for tensor in answer.tensors] for answer in answers] == [
        ["score"],
        ["s_pr", "embedding"],  # in the file's order
        ["score", "s_fnn"],
    ]
    for request, answer in zip(requests, answers, strict=True):
        means = request.frames.mean((1, 2), dtype=np.float64)
        wanted = {"score": means[:, :2].sum(1) / 255, "s_pr": means[:, 0] / 255, "s_fnn": means[:, 1] / 255}
        for tensor in answer.tensors:
            np.testing.assert_allclose(tensor.array, wanted.get(tensor.name, means), rtol=1e-6, atol=1e-6)


def test_an_engine_that_fails_answers_every_request_with_the_reason(opened):
    answers = opened.execute([Request(frames(1).astype(np.float32), ["score"]), Request(frames(1), ["score"])])
    assert [bool(answer.tensors) for answer in answers] == [False, False]
    assert all("ONNX Runtime failed on 2 frames" in answer.error for answer in answers)
    assert opened.execute([Request(frames(1), ["score"])])[0].error is None


def test_its_threads_do_not_spin_between_passes(opened):
    options = opened._session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_golden_frame_that_scores_otherwise_is_refused(script, args):
    with pytest.raises(ModelRefused, match=r"the golden frame scored .*, the manifest says"):
        script.TritonPythonModel().initialize(args(off=0.01))


def test_another_file_is_refused(script, args):
    with pytest.raises(ModelRefused, match=r"config\.pbtxt says 0000"):
        script.TritonPythonModel().initialize(args(wordsight_sha256="0" * 64))


def test_a_gpu_that_does_not_run_is_told_and_not_replaced_by_the_processor(script, args):
    if "CUDAExecutionProvider" in script.onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime has CUDA here")
    with pytest.raises(ModelRefused, match="CUDAExecutionProvider does not run here, the session fell back to CPU"):
        script.TritonPythonModel().initialize({**args(), "model_instance_kind": "GPU"})
