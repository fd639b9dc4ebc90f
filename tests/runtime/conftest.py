import importlib.util
import sys
from pathlib import Path

import pytest


def _load(name):
    # Loaded by its place: the tests are no package, and nothing of theirs is on the path.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def onnx_writer():
    """The module that writes tiny ONNX files."""
    return _load("onnx_writer")


@pytest.fixture
def tiny_model(tmp_path, onnx_writer):
    """Path of a valid exported file of under 3 kB: 8x8 frames, s_pr = mean blue / 255, s_fnn = mean green / 255."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"".join(onnx_writer.model_parts()))
    return path
