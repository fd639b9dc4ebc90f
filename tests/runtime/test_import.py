"""What is imported when: a bare import and `--help` wait for nothing heavy, and nothing needs the training stack."""

import subprocess
import sys

import pytest

import wordsight.runtime

TRAINING = ("torch", "torchvision", "open_clip", "onnx", "PIL", "safetensors")
HEAVY = (*TRAINING, "cv2", "onnxruntime", "numpy", "rich")


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scores_where_the_training_stack_is_absent(tiny_model):
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({TRAINING!r}))\n"
        "import numpy as np; from wordsight.runtime import Model\n"
        f"print(Model({str(tiny_model)!r}).score(np.full((1, 8, 8, 3), 51, np.uint8)).score[0])"
    )
    assert float(run(code)) == pytest.approx(0.4)


def test_a_bare_import_loads_nothing_heavy():
    code = f"import sys, wordsight.runtime; print(*(set({(*HEAVY, 'typer')!r}) & set(sys.modules)))"
    assert run(code).strip() == ""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["run", "--help"], ["info", "--help"], ["build", "--help"], ["verify", "--help"]],
)
def test_help_loads_nothing_heavy(words):
    code = (
        "import sys; from wordsight.runtime.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"print('loaded:', *(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert run(code).splitlines()[-1].split() == ["loaded:"]


def test_reading_a_manifest_loads_neither_engine_nor_opencv(tiny_model):
    code = (
        f"import sys; from wordsight.runtime import read_manifest; read_manifest({str(tiny_model)!r})\n"
        f"print(*(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert run(code).strip() == ""


def test_the_face_is_sorted_and_whole():
    assert list(wordsight.runtime.__all__) == sorted(wordsight.runtime.__all__)
    for name in wordsight.runtime.__all__:
        assert getattr(wordsight.runtime, name).__module__.startswith("wordsight.runtime.")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        wordsight.runtime.nonsense  # noqa: B018
