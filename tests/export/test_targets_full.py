"""Every precision for every GPU that is named: TensorRT for RTX's own parser and builder, and our cache, on mini."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.runtime.backends.cuda import Cuda
from wordsight.runtime.backends.engine_files import EngineKey, EngineRefused, engine_folder, read_engine
from wordsight.runtime.backends.tensorrt_build import build_engine, load_module
from wordsight.runtime.backends.tensorrt_cache import open_tensorrt
from wordsight.runtime.errors import ModelError
from wordsight.runtime.manifest import read_manifest

pytestmark = [pytest.mark.full, pytest.mark.tensorrt]

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")
TARGETS = ("SM80", "SM86", "SM89", "SM120")
WITHOUT_FP8 = ("SM80", "SM86")
MATRIX = [(p, t) for p in PRECISIONS for t in TARGETS if p != "fp8" or t not in WITHOUT_FP8]
BATCH = 8


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`mini` with untrained heads in every precision, exported as anybody would: calibrated, judged, within limits."""
    from wordsight.export.onnx import export_model
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings, fit_head

    folder = tmp_path_factory.mktemp("full")
    encoder = load_encoder("mini")
    settings = Settings(num_pairs=256)
    made = {}
    for word, seed in (("model", 0), ("other", 1)):
        rows = np.random.default_rng(seed).standard_normal((2, 256, encoder.embed_dim)).astype(np.float32)
        head = folder / f"{word}.safetensors"
        save_heads(head, [fit_head(rows[0], rows[1], settings, seed)], settings, [seed], encoder)
        for precision in PRECISIONS if word == "model" else ("fp32",):
            path = folder / f"{word}-{precision}.onnx"
            export_model(head, path, precision=precision)
            made[precision if word == "model" else word] = path
    return made


@pytest.fixture
def model(files: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Put one of the files at the place of the model that a line has: name -> path, always the same."""

    def put(name: str) -> Path:
        return Path(shutil.copy(files[name], tmp_path / "line.onnx"))

    return put


def build(path: Path, target: str) -> subprocess.CompletedProcess[str]:
    """The command, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "wordsight.runtime", "build", str(path), "--backend", "tensorrt-rtx",
         "--target", target, "--batch", str(BATCH)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def key_of(path: Path, precision: str, target: str) -> EngineKey:
    """What the engine has to be bound to, put together by hand."""
    version = load_module("tensorrt-rtx").__version__
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return EngineKey("tensorrt_rtx", version, "any", target, precision, (1, 4, 8), sha256)


def engines(path: Path) -> list[Path]:
    return sorted(engine_folder(path).glob("*.engine"))


@pytest.mark.parametrize(("precision", "target"), MATRIX)
def test_it_is_parsed_built_kept_and_found_again(model, precision: str, target: str):
    path = model(precision)
    assert read_manifest(path).precision == precision
    done = build(path, target)
    assert done.returncode == 0, done.stderr
    (engine,) = engines(path)
    data = engine.read_bytes()
    assert read_engine(engine_folder(path), key_of(path, precision, target)) == data
    assert len(data) > path.stat().st_size  # all weights are in it; small convolutions keep them in float32 as well
    assert str(engine) in done.stdout
    assert stat.S_IMODE(engine_folder(path).stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in engine_folder(path).iterdir()} == {0o600}
    sidecar = json.loads(engine.with_name(engine.name + ".json").read_text())
    assert sidecar["engine_sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("target", WITHOUT_FP8)
def test_fp8_where_no_gpu_has_it_is_refused_in_one_line(model, target: str):
    path = model("fp8")
    done = build(path, target)
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line == (
        f"wordsight: fp8 needs a GPU of compute capability 8.9 or later, got {target}; "
        "fp32, fp16, int8 and bf16 files run there"
    )
    assert not engines(path)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_turing_is_refused_in_one_line_and_the_builder_would_refuse_it_too(model, monkeypatch, precision: str):
    path = model(precision)
    done = build(path, "SM75")
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "multiplies no fp32 matrices on SM75 (Turing)" in line
    assert not engines(path)
    # The day its builder takes these files, the refusal is to go.
    trt = load_module("tensorrt-rtx")
    monkeypatch.setattr("wordsight.runtime.backends.tensorrt_build.check_precision", lambda *_: None)
    monkeypatch.setattr("wordsight.runtime.backends.tensorrt_build.targets", lambda _: [])
    monkeypatch.setattr(
        trt.IBuilderConfig, "set_compute_capability",
        lambda config, _, index, real=trt.IBuilderConfig.set_compute_capability: real(
            config, trt.ComputeCapability.SM75, index
        ),
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"Turing|sm75"):
        build_engine(trt, path.read_bytes(), read_manifest(path), (1, 4, 8), "SM75")


def test_the_engine_itself_says_which_gpu_it_is_for(model):
    """Of the header that TensorRT judges an engine by, some bytes depend on the target alone, and tell all apart."""
    trt = load_module("tensorrt-rtx")
    size = trt.Runtime(trt.Logger(trt.Logger.INTERNAL_ERROR)).engine_header_size
    headers = {}
    for precision in ("fp32", "int8"):
        path = model(precision)
        for target in TARGETS:
            engine, _ = build_engine(trt, path.read_bytes(), read_manifest(path), (1, 4, 8), target)
            headers[precision, target] = engine[:size]
    alike = [at for at in range(size) if all(headers["fp32", t][at] == headers["int8", t][at] for t in TARGETS)]
    assert len({bytes(headers["fp32", target][at] for at in alike) for target in TARGETS}) == len(TARGETS)


def test_engines_of_all_targets_lie_side_by_side_and_each_is_replaced_by_its_own(model):
    path = model("other")
    for target in TARGETS:
        assert build(path, target).returncode == 0
    old = {target: key_of(path, "fp32", target) for target in TARGETS}
    path = model("fp32")
    assert build(path, "SM86").returncode == 0
    for target in TARGETS:
        if target != "SM86":
            assert read_engine(engine_folder(path), old[target])
    assert not (engine_folder(path) / old["SM86"].file_name).exists()
    assert read_engine(engine_folder(path), key_of(path, "fp32", "SM86"))


# The start of a line: parser, builder and cache are the real ones; engines are loaded by a stand-in, as on a GPU.


@pytest.fixture
def board(trt_stand_in) -> SimpleNamespace:
    """A machine with an SM89 GPU; `.start(path)` gives why and what was said, `.loaded` every engine it was given."""
    trt, runtime = load_module("tensorrt-rtx"), trt_stand_in.CudaRuntime(name=b"Test GPU", capability=(8, 9))
    found = SimpleNamespace(loaded=[], refuses=0, runtime=runtime)

    def load(data: bytes, log: object):
        found.loaded.append(data)
        if found.refuses:
            found.refuses -= 1
            log.log(trt.ILogger.ERROR, "the driver is newer than the engine")
            return None
        return Engine(trt, found.manifest, runtime)

    def start(path: Path) -> SimpleNamespace:
        found.manifest = read_manifest(path)
        said: list[str] = []
        with open_tensorrt(
            "tensorrt-rtx", path, found.manifest, on_step=said.append, trt=found.module, cuda=Cuda(runtime)
        ) as backend:
            scores = backend.infer(np.zeros((3, *found.manifest.input.shape, 3), np.uint8))
            assert {len(values) for values in scores.values()} == {3}
            return SimpleNamespace(why=backend.reason, said=" ".join(said))

    loading = SimpleNamespace(Runtime=lambda log: SimpleNamespace(deserialize_cuda_engine=lambda data: load(data, log)))
    found.module = SimpleNamespace(**{**vars(trt), **vars(loading)})
    found.start = start
    return found


class Engine:
    """What a GPU would make of an engine of this manifest: outputs of its shapes, all 0.5."""

    def __init__(self, trt, manifest, runtime):
        self.trt, self.manifest, self.runtime = trt, manifest, runtime
        self.addresses, self.batch = {}, 0

    def get_tensor_dtype(self, name: str):
        return self.trt.float32

    def get_tensor_shape(self, name: str):
        return (-1, *self.manifest.outputs[name][1:])

    def create_execution_context(self):
        return Engine(self.trt, self.manifest, self.runtime)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.batch = shape[0]
        return shape[0] <= BATCH

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        def work() -> None:
            for name, shape in self.manifest.outputs.items():
                values = np.full((self.batch, *shape[1:]), 0.5, np.float32)
                ctypes.memmove(self.addresses[name], values.ctypes.data, values.nbytes)

        self.runtime.submit(work)
        return True


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_start_builds_once_and_an_engine_built_ahead_is_taken(model, board, precision: str):
    path = model(precision)
    first, second = board.start(path), board.start(path)
    assert "(no engine yet)" in first.said
    assert "engine built in" in first.why
    assert second.said == ""
    assert "engine from the cache" in second.why
    (engine,) = engines(path)
    assert board.loaded == [engine.read_bytes()] * 2

    shutil.rmtree(engine_folder(path))
    assert build(path, "SM89").returncode == 0
    assert "engine from the cache" in board.start(path).why
    assert board.loaded[-1] == engines(path)[0].read_bytes() != board.loaded[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("model", "the engine there is for model_sha256 "),
        ("precision", "the engine there is for precision fp32, here int8; model_sha256 "),
        ("version", "the engine there is for version 1.0, here "),
        ("gpu", "the engine there is for capability SM89, here SM86"),
        ("cut", "is half-written or was changed"),
        ("changed", "is half-written or was changed"),
        ("no sidecar", "half-written: its sidecar is missing"),
        ("driver", "does not take the engine: the driver is newer than the engine"),
    ],
)
def test_an_engine_that_does_not_fit_is_built_anew_with_the_reason(model, board, change: str, told: str):
    path = model("fp32")
    version = board.module.__version__
    board.module.__version__ = "1.0" if change == "version" else version
    board.start(path)
    (engine,) = engines(path)
    old, data = engine.name, engine.read_bytes()
    board.loaded.clear()

    if change in ("model", "precision"):
        model("other" if change == "model" else "int8")
    elif change == "gpu":
        board.runtime.capability = (8, 6)
    elif change == "cut":
        engine.write_bytes(data[: len(data) // 2])
    elif change == "changed":
        engine.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif change == "no sidecar":
        engine.with_name(old + ".json").unlink()
    board.module.__version__ = version
    board.refuses = change == "driver"

    mended = board.start(path)
    assert told in mended.said
    assert told in mended.why
    built = board.loaded[-1]
    assert built != data
    assert board.loaded == ([data, built] if change == "driver" else [built])  # what does not fit is never loaded
    assert board.start(path).said == ""
    assert board.loaded[-1] == built
    kept = [file.name for file in engines(path)]
    assert (old in kept) == (change not in ("model", "version"))


# A power cut, at each of the moments that leave something behind.

CRASH = """
import os, signal, sys
import tensorrt_rtx
from wordsight.runtime.cli import main

point, done, real = int(sys.argv[1]), 0, os.replace

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def replace(*names):
    global done
    done += 1
    die() if done == point else real(*names)

os.replace = replace
if point == 0:
    tensorrt_rtx.Builder.build_serialized_network = die
main(sys.argv[2:])
"""


@pytest.mark.parametrize(("point", "moment"), [(0, "building"), (1, "writing the engine"), (2, "writing the sidecar")])
def test_a_crash_leaves_the_old_engine_whole_and_the_new_one_refused(model, point: int, moment: str):
    path = model("other")
    assert build(path, "SM89").returncode == 0
    (before,) = engines(path)
    old, data = key_of(path, "fp32", "SM89"), before.read_bytes()

    path = model("fp32")
    words = ("build", str(path), "--backend", "tensorrt-rtx", "--target", "SM89")
    crashed = subprocess.run([sys.executable, "-c", CRASH, str(point), *words], capture_output=True, timeout=300)
    assert crashed.returncode == -signal.SIGKILL, crashed.stderr
    folder, key = engine_folder(path), key_of(path, "fp32", "SM89")
    assert read_engine(folder, old) == data
    with pytest.raises(EngineRefused if point == 2 else FileNotFoundError):
        read_engine(folder, key)
    left = list(folder.glob(".wordsight-*.part"))
    assert len(left) == (1 if point else 0)

    for file in left:
        os.utime(file, (0, 0))  # it was a while ago
    young = folder / ".wordsight-young.part"
    young.write_bytes(b"of another process that is still writing")
    assert build(path, "SM89").returncode == 0
    (engine,) = engines(path)
    assert read_engine(folder, key) == engine.read_bytes()
    assert list(folder.glob(".wordsight-*.part")) == [young]
