import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture
def triton_server():
    """Start a Triton server that is ended with the test: (repository, words for tritonserver) -> TritonServer."""
    from wordsight.benchmarks.scale.triton_server import TritonServer

    started = []

    def start(repository, *options):
        started.append(TritonServer(repository, options))
        return started[-1].start()

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def stores():
    """The module `store`."""
    spec = importlib.util.spec_from_file_location("store", Path(__file__).with_name("store.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("store", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def store(tmp_path, tiny_model, stores):
    """An archive in a folder, scored with a tiny model; its processes are ended with the test."""
    made = stores.Store(tmp_path, tiny_model)
    yield made
    made.close()
