import subprocess
import sys

import wordsight.runtime

HEAVY = ("torch", "torchvision", "open_clip", "onnx", "PIL", "safetensors")


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_imports_where_the_training_stack_is_absent():
    code = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); import wordsight.runtime as r; print(r.Model)"
    assert "Model" in run(code)


def test_does_not_load_the_engine_or_opencv():
    heavy = (*HEAVY, "cv2", "onnxruntime", "typer", "rich")
    assert run(f"import sys, wordsight.runtime; print(*(set({heavy!r}) & set(sys.modules)))").strip() == ""


def test_the_face_is_sorted_and_whole():
    assert list(wordsight.runtime.__all__) == sorted(wordsight.runtime.__all__)
    assert all(hasattr(wordsight.runtime, name) for name in wordsight.runtime.__all__)
