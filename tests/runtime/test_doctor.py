"""`wordsight doctor`: says what is there, what is missing, and what brings it."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.runtime import doctor, figures
from wordsight.runtime.backends import BACKENDS
from wordsight.runtime.backends.auto import Trial
from wordsight.runtime.doctor_engines import _ran, engine_findings


def test_machine_with_the_runtime_is_usable():
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    done = subprocess.run(
        [sys.executable, "-m", "wordsight.runtime", "doctor", "--json", "-"],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    states = {item["name"]: item for item in report["findings"]}
    assert report["usable"]
    assert states["ONNX Runtime"]["state"] == states["OpenCV"]["state"] == "ok"
    assert all(item["mend"] for item in report["findings"] if item["state"] != "ok")


def test_twins_are_a_problem_with_the_line_that_mends_it(monkeypatch):
    versions = {"opencv-python": "4.14.0", "opencv-python-headless": "5.0.0"}
    monkeypatch.setattr(figures, "installed_version", versions.get)
    finding = doctor.twins("OpenCV", ("opencv-python", "opencv-python-headless"), "opencv-python-headless")
    assert finding.state == "problem"
    assert finding.mend.startswith("pip uninstall -y opencv-python opencv-python-headless && pip install")
    monkeypatch.setattr(figures, "installed_version", {"opencv-python": "4"}.get)
    assert doctor.twins("OpenCV", ("opencv-python", "opencv-python-headless"), "x").state == "ok"


def doctor_without(*missing, words=("doctor",)):
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
        "import importlib.util as u; real = u.find_spec\n"
        f"u.find_spec = lambda name, *a: None if name in {missing!r} else real(name, *a)\n"
        f"from wordsight.runtime.cli import main; main({list(words)!r})"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=180)


ENGINES = ("onnxruntime", "openvino", "tensorrt", "tensorrt_rtx")


@pytest.mark.parametrize("missing", [("cv2",), ENGINES])
def test_machine_without_a_vital_part_is_exit_three(missing):
    done = doctor_without(*missing)
    assert done.returncode == 3
    assert "pip install 'wordsight[runtime]'" in done.stderr or "apt install" in done.stderr
    assert len((done.stdout + done.stderr).splitlines()) <= 8


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.openvino)])
def test_one_engine_of_any_kind_is_enough(engine):
    done = doctor_without(*(name for name in ENGINES if name != engine), words=("doctor", "--json", "-"))
    assert done.returncode == 0, done.stderr
    found = {item["name"]: item for item in json.loads(done.stdout)["findings"]}
    assert found["engine auto takes"]["detail"].startswith(engine)


def test_every_backend_is_tried_and_what_does_not_run_says_what_brings_it():
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    found = {item.name: item for item in engine_findings()}
    assert list(found) == [*(f"engine {name}" for name in BACKENDS if name not in ("auto", "ort")), "engine auto takes"]
    assert "ms a frame" in found["engine ort-cpu"].detail
    for item in found.values():
        assert item.state == "ok" or item.mend, item
        assert len(item.detail.splitlines()) == 1


def test_an_engine_whose_scores_are_others_is_a_problem():
    def trial(name, score):
        return Trial(name, SimpleNamespace(name=name), 0.01, np.full((3, 3), score, np.float32))

    reference = trial("ort-cpu", 0.5)
    assert _ran(trial("openvino", 0.5001), reference).state == "ok"
    assert _ran(trial("openvino", 0.51), reference).state == "problem"
    assert _ran(trial("openvino", np.nan), reference).state == "problem"
    assert _ran(trial("openvino-bf16", 0.53), reference).state == "ok"
