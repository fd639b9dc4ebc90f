"""The server that other tests lean on: it starts, says why it does not, and is gone when killed."""

import json
import urllib.request
from pathlib import Path

import pytest

from wordsight.benchmarks.scale.triton_server import TritonServer
from wordsight.runtime.errors import WordsightError

CONFIG = """backend: "python"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
instance_group { kind: KIND_CPU }
"""
DOUBLES = """import triton_python_backend_utils as utils

class TritonPythonModel:
    def execute(self, requests):
        values = [utils.get_input_tensor_by_name(one, "x").as_numpy() for one in requests]
        return [utils.InferenceResponse([utils.Tensor("y", 2 * value)]) for value in values]
"""


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "models" / "double" / "1").mkdir(parents=True)
    (tmp_path / "models" / "double" / "config.pbtxt").write_text(CONFIG)
    (tmp_path / "models" / "double" / "1" / "model.py").write_text(DOUBLES)
    return tmp_path / "models"


def doubled(server, value):
    body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [value]}]}
    address = f"http://{server.http}/v2/models/double/infer"
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["outputs"][0]["data"]


@pytest.mark.scale("triton")
def test_it_answers_and_after_a_kill_again_on_the_same_ports(repository):
    server = TritonServer(repository).start()
    try:
        addresses = server.http, server.grpc
        assert doubled(server, 21.0) == [42.0]
        server.kill()
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the system likes
            doubled(server, 1.0)
        server.start()
        assert (server.http, server.grpc) == addresses
        assert doubled(server, 4.0) == [8.0]
    finally:
        server.close()
    assert not server.log.exists()
    assert not list(Path("/dev/shm").glob(f"{server.log.parent.name}*"))


@pytest.mark.scale("triton")
def test_a_model_that_does_not_load_is_told(repository):
    (repository / "double" / "1" / "model.py").write_text("raise RuntimeError('no such planet')\n")
    server = TritonServer(repository)
    try:
        with pytest.raises(WordsightError, match="ended before it was ready"):
            server.start()
        assert "no such planet" in server.told()
    finally:
        server.close()
