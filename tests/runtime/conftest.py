import contextlib
import importlib.util
import os
import subprocess
import sys
import threading
import time
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
    """Start the command line as a process: (words, cwd, limit in bytes on every file it writes, stdout) -> Popen."""
    started = []

    def start(*words, cwd, file_bytes=None, stdout=subprocess.PIPE):
        def limit():
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "wordsight.runtime", *map(str, words)],
                cwd=cwd, text=True, stdout=stdout, stderr=subprocess.PIPE,
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
        pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
        from wordsight.runtime.opencv import load_cv2

        cv2 = load_cv2()  # the first video of a process says how much FFmpeg tells of all others
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (side, side))
        assert writer.isOpened()
        for level in levels:
            writer.write(np.full((side, side, 3), level, np.uint8))
        writer.release()
        return path

    return save


@pytest.fixture
def hall(tmp_path):
    """A folder with a model, pictures and a line's file, whose processes are ended with the test."""
    pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
    made = _load("hall").Hall(tmp_path)
    yield made
    made.close()


@pytest.fixture
def opcua_client():
    """Make clients of asyncua; the loop they share ends with the test, whatever became of them.

    A loop of its own runs on where a client is refused or says no goodbye, and its thread keeps the process alive.
    """
    from asyncua.sync import Client, ThreadLoop

    loop, made = ThreadLoop(), []
    loop.daemon = True
    loop.start()

    def call(url):
        made.append(Client(url, timeout=60, tloop=loop))
        return made[-1]

    yield call
    for client in made:
        with contextlib.suppress(Exception):  # refused, or its server has ended
            client.disconnect()
    loop.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A disk that can be filled and freed."""
    disk = _load("small_disk").SmallDisk(tmp_path / "disk")
    yield disk
    disk.free()
    disk.unmount()


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """A clock that stands still unless its `now` is moved."""
    return Clock()


@pytest.fixture
def waiting():
    """Make a wait of at most so many seconds: (limit_s) -> (condition) -> its last value."""

    def at_most(limit_s):
        def wait(condition, limit_s=limit_s):
            pause = threading.Event()
            end = time.monotonic() + limit_s
            while not (value := condition()) and time.monotonic() < end:
                pause.wait(0.005)
            return value

        return wait

    return at_most
