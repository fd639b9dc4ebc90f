"""`wordsight doctor`: says what is there, what is missing, and what brings it."""

import json
import subprocess
import sys

import pytest

from wordsight.runtime import doctor, figures


def test_machine_with_the_runtime_is_usable():
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    done = subprocess.run(
        [sys.executable, "-m", "wordsight.runtime", "doctor", "--json", "-"], capture_output=True, text=True, timeout=60
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


@pytest.mark.parametrize("missing", ["cv2", "onnxruntime"])
def test_machine_without_a_vital_part_is_exit_three(missing):
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import importlib.util as u; real = u.find_spec\n"
        f"u.find_spec = lambda name, *a: None if name == {missing!r} else real(name, *a)\n"
        "from wordsight.runtime.cli import main; main(['doctor'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "pip install 'wordsight[runtime]'" in done.stderr or "apt install" in done.stderr
    assert len((done.stdout + done.stderr).splitlines()) <= 8
