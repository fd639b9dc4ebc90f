"""OpenVINO against ONNX Runtime: the same scores in fp32, nearly the same embedding in bf16, and nothing sent out."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.runtime import MissingPart, Model, ModelError, read_manifest
from wordsight.runtime.backends.openvino import OpenVinoBackend, core_for
from wordsight.runtime.demo import demo_model

pytestmark = pytest.mark.openvino


def frames(count=5, size=96):
    rng = np.random.default_rng(3)
    rough = rng.integers(0, 256, (count, size // 8, size // 8, 3), dtype=np.uint8)
    return rough.repeat(8, 1).repeat(8, 2)


@pytest.fixture(scope="module")
def reference():
    with Model(demo_model(), "ort-cpu") as model:
        return model.score(frames())


def test_fp32_agrees_in_every_output(reference):
    with Model(demo_model(), "openvino") as model:
        tolerance = model.manifest.parity.tolerance
        assert tolerance <= 1e-5
        assert model.backend.endswith(" CPU f32")
        got = model.score(frames())
        for name in model.manifest.outputs:
            np.testing.assert_allclose(getattr(got, name), getattr(reference, name), atol=tolerance, err_msg=name)


def test_batches_of_every_size_give_the_scores_of_single_frames():
    with Model(demo_model(), "openvino", batch_size=3) as model:
        together = model.score(frames())
        alone = [model.score(frame[None]).score[0] for frame in frames()]
    np.testing.assert_allclose(together.score, alone, atol=1e-6)


def test_bf16_keeps_the_direction_of_the_embedding(reference):
    if "BF16" not in core_for("f32").get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(MissingPart, match="needs a processor with bf16"):
            Model(demo_model(), "openvino-bf16")
        return
    with Model(demo_model(), "openvino-bf16") as model:
        assert model.backend.endswith(" CPU bf16")
        got = model.score(frames())
    cosines = (got.embedding * reference.embedding).sum(1)
    assert cosines.min() >= 0.9999
    assert np.abs(got.embedding - reference.embedding).max() > 1e-5  # or it was not bf16 at all


def test_results_are_the_callers_own():
    manifest = read_manifest(demo_model())
    with OpenVinoBackend(demo_model(), manifest) as backend:
        first = backend.infer(frames(2))
        kept = {name: array.copy() for name, array in first.items()}
        backend.infer(255 - frames(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, kept[name])


def test_bf16_on_a_processor_without_it_says_which_engine_runs():
    core = SimpleNamespace(get_property=lambda device, key: ["FP32", "INT8"])
    module = SimpleNamespace(Core=lambda: core, __version__="1.0")
    with pytest.raises(MissingPart, match="use --backend openvino") as caught:
        OpenVinoBackend(demo_model(), read_manifest(demo_model()), precision="bf16", openvino=module)
    assert caught.value.exit_code == 3


def test_a_file_it_refuses_is_one_line(tmp_path, onnx_writer):
    path = tmp_path / "bad.onnx"
    bad = onnx_writer.graph().replace(b"ReduceMean", b"ReduceFoo!")
    path.write_bytes(b"".join(onnx_writer.model_parts(body=bad)))
    with pytest.raises(ModelError, match="OpenVINO cannot load") as caught:
        Model(path, "openvino")
    assert "\n" not in str(caught.value)


def test_threads_are_what_was_asked_for():
    with OpenVinoBackend(demo_model(), read_manifest(demo_model()), threads=1) as backend:
        compiled = backend._request.get_compiled_model()
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


@pytest.mark.parametrize("through", ["Model", "import"])
def test_it_reports_to_nobody(through, tmp_path):
    """OpenVINO's own import, in a process it forks, looks up an analytics server (the control); ours does not."""
    opened = f"from wordsight.runtime import Model\nModel({str(demo_model())!r}, 'openvino')"
    # It ends that process after three seconds, which a busy machine may need to begin with it.
    patient = "from openvino_telemetry.backend import backend_ga4 as sender\nsender.GA4Backend.timeout = 100.0\n"
    code = (
        "import socket, time\n"
        "def refuse(*words, **more): print('LOOKED UP', words[0], flush=True); raise OSError('refused')\n"
        "socket.getaddrinfo = socket.create_connection = refuse\n"
        f"{opened if through == 'Model' else patient + 'import openvino'}\n"
        "time.sleep(1)"
    )
    # CI variables would switch it off by themselves, and prove nothing.
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=180)
    assert done.returncode == 0, done.stderr
    if through == "Model":
        assert "LOOKED UP" not in done.stdout
        assert list(tmp_path.iterdir()) == []
    else:
        assert "LOOKED UP" in done.stdout
