import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
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


@pytest.fixture
def wordsight(monkeypatch, capfd):
    """Call the command line in this process: (words, cwd) -> code, out, err; file descriptors are captured, too."""
    from wordsight.runtime.cli import main

    monkeypatch.setenv("COLUMNS", "100")

    def call(*words, cwd=None):
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        return SimpleNamespace(code=ended.value.code, out=out, err=err, lines=(out + err).splitlines())

    return call


@pytest.fixture
def process():
    """Start the command line as a process: (words, cwd, limit in bytes on every file it writes) -> Popen."""
    started = []

    def start(*words, cwd, file_bytes=None):
        def limit():
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "wordsight.runtime", *map(str, words)],
                cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, "COLUMNS": "100"}, preexec_fn=limit if file_bytes else None,
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for child in started:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.communicate()


@pytest.fixture
def save_picture():
    """Write a picture, its kind told by `kind`, not by the name: (path, (H, W, 3) or a grey level, shape) -> path."""

    def save(path, content, shape=(40, 40), kind=".png"):
        cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
        array = content if isinstance(content, np.ndarray) else np.full((*shape, 3), content, np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        good, data = cv2.imencode(kind, array)
        assert good
        path.write_bytes(data.tobytes())
        return path

    return save


@pytest.fixture
def save_video():
    """Write a Motion-JPEG AVI of plain frames, each with its own grey level: (path, levels, side) -> path."""

    def save(path, levels, side=64):
        cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (side, side))
        assert writer.isOpened()
        for level in levels:
            writer.write(np.full((side, side, 3), level, np.uint8))
        writer.release()
        return path

    return save
