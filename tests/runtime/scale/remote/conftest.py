import hashlib
import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from wordsight.runtime.backends.remote_settings import RemoteSettings
from wordsight.runtime.errors import NoAnswer
from wordsight.runtime.model import Model


def _load(name):
    # Loaded by its place: the tests are no package.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def oip_server():
    """The module of the stand-in server."""
    pytest.importorskip("tritonclient.grpc", reason="needs tritonclient: pip install 'wordsight[remote]'")
    return _load("oip_server")


@pytest.fixture
def sha256(tiny_model):
    """SHA-256 of the tiny model."""
    return hashlib.sha256(tiny_model.read_bytes()).hexdigest()


@pytest.fixture
def oip(oip_server, onnx_writer, sha256):
    """What the stand-in knows and does."""
    return oip_server.Oip(onnx_writer.manifest(), sha256)


@pytest.fixture
def served(oip_server, oip):
    """Start the stand-in: (protocol, tls) -> server, killed at the end."""
    started = []

    def serve(protocol, tls=None):
        started.append(oip_server.Server(oip, protocol, tls).start())
        return started[-1]

    yield serve
    for server in started:
        server.kill()


@pytest.fixture(params=["grpc", "http"])
def server(request, served):
    """The stand-in over either protocol."""
    return served(request.param)


@pytest.fixture
def remote():
    """Open a model on a server, closed at the end: (url, settings) -> Model.

    A test that waits for a deadline shortens it by `hurry`, once the model is open: a busy machine may take longer.
    """
    opened = []

    def make(url, deadline_s=20.0, **settings):
        opened.append(Model(str(url), remote=RemoteSettings(deadline_s=deadline_s, **settings)))
        return opened[-1]

    yield make
    for model in opened:
        model.close()


@pytest.fixture
def settled():
    """Score once the server is there again, with a short deadline each: (model, frames) -> scores, or its NoAnswer."""

    def score(model, frames):
        for _ in range(100):
            try:
                return model.score(frames)
            except NoAnswer as error:
                if "gave no answer within" not in str(error):
                    raise
        raise AssertionError("the server did not come back")

    return score


@pytest.fixture
def frames():
    """Make frames of noise, no two alike: (how many) -> (N, 8, 8, 3)."""
    return lambda count=1: np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)


@pytest.fixture
def local(tiny_model):
    """Score with ONNX Runtime here: what the server must give."""
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    with Model(tiny_model, "ort-cpu") as model:
        yield model.score


@pytest.fixture
def certificate(tmp_path):
    """Make a key and a certificate of 127.0.0.1, its own authority: (key, certificate)."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: apt-get install openssl")
    key, made = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, made
