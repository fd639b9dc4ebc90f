"""`bench gpu` through stand-ins with planted times, scores and refusals; on a GPU, the real thing on mini."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.benchmarks.speed import gpu as bench
from wordsight.benchmarks.speed import gpu_torch, scenarios
from wordsight.benchmarks.speed.gpu_torch import TorchBackend
from wordsight.benchmarks.speed.scenarios import Limit
from wordsight.runtime.backends import Backend
from wordsight.runtime.cli import main
from wordsight.runtime.errors import MissingPart, ModelError

FRAMES, FLOPS = 128, 50_000_000_000


class Clock:
    """Seconds that pass only when somebody says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class StandIn:
    """A GPU whose product of 4096 runs at 400 TFLOP/s and every other at half of it."""

    name = "Test GPU, SM89"
    device = "cpu"

    def __init__(self):
        self.asked: list[tuple[int, int]] = []

    def product(self, size: int):
        rate = 4e14 if size == 4096 else 2e14

        def run(count: int) -> float:
            self.asked.append((size, count))
            return count * 2 * size**3 / rate

        return run


class Engine(Backend):
    """Scores that are off by 0.01 and times that follow a list, single frames; 12.8 ms a batch of 64."""

    def __init__(self, clock: Clock, times: list[float], reason: str):
        self.clock, self.times, self.reason, self.at, self.closed = clock, times, reason, 0, False

    def infer(self, frames):
        assert not self.closed
        if len(frames) == 1:
            self.clock.now += self.times[self.at % len(self.times)]
            self.at += 1
        else:
            self.clock.now += 0.0128 * len(frames) / 64
        score = frames[:, 0, 0, 0].astype(np.float32) / 255
        return {"score": score + 0.01, "embedding": np.ones((len(frames), 4), np.float32)}

    def close(self):
        self.closed = True


@pytest.fixture
def subject() -> bench.Subject:
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, 8, 8, 3), dtype=np.uint8)
    exact = {"score": frames[:, 0, 0, 0].astype(np.float32) / 255, "embedding": np.ones((FRAMES, 4), np.float32)}
    return bench.Subject(frames, exact, None, FLOPS)


@pytest.fixture
def measure(subject):
    """Measure openers by row, each a (batch, graphs) -> engine, or what it raises."""
    clock = Clock()

    def call(**openers) -> SimpleNamespace:
        named = {name.replace("_", "-"): make(clock) for name, make in openers.items()}
        limit = Limit(queries=100, blocks=2)
        sheet = bench.measure(StandIn(), subject, named, limit, sizes=(1024, 4096), clock=clock)
        return SimpleNamespace(sheet=sheet, by_name={figure.name: figure for figure in sheet.figures})

    return call


def good(reason_on: str = "asked for; CUDA graphs"):
    """An engine that takes 1 ms with graphs (each hundredth query 3 ms) and 2 ms without."""

    def make(clock: Clock):
        def open_one(batch: int, graphs: bool) -> Engine:
            times = [0.001] * 49 + [0.003] if graphs else [0.002]
            return Engine(clock, times, reason_on if graphs else "asked for; without CUDA graphs, as asked")

        return open_one

    return make


def refusing(error: Exception, from_batch: int = 0):
    def make(clock: Clock):
        def open_one(batch: int, graphs: bool) -> Engine:
            if batch >= from_batch:
                raise error
            return good()(clock)(batch, graphs)

        return open_one

    return make


def test_the_ceiling_is_the_fastest_product_of_any_size():
    device = StandIn()
    found = bench.measure_ceiling(device, (1024, 4096, 8192))
    assert found.size == 4096
    assert found.gflops == pytest.approx(400_000)
    # A round lasts long enough that starting it is no part of what is measured.
    assert all(count * 2 * size**3 / 4e14 > 0.02 for size, count in device.asked[3::8])


def test_every_figure_of_a_row_is_what_was_planted(measure):
    found = measure(ort_cuda=good()).by_name
    rate = 64 / 0.0128
    assert found["throughput.batch_64.ort-cuda"].value == pytest.approx(rate)
    assert found["fraction.of_arithmetic_limit.fp16.ort-cuda"].value == pytest.approx(rate * FLOPS / 4e14)
    assert found["ceiling.fp16"].value == pytest.approx(400_000)
    assert found["latency.single_stream.p50.graphs.ort-cuda"].value == pytest.approx(1)
    assert found["latency.single_stream.p99.graphs.ort-cuda"].value == pytest.approx(3)
    assert found["latency.single_stream.p50.plain.ort-cuda"].value == pytest.approx(2)
    assert found["latency.single_stream.p99.plain.ort-cuda"].value == pytest.approx(2)
    assert found["latency.single_stream.p50.plain.ort-cuda"].n == 100
    assert found["drift.fp16.mean.ort-cuda"].value == pytest.approx(0.01, abs=1e-6)
    assert found["drift.fp16.max.ort-cuda"].n == FRAMES


def test_what_is_absent_is_not_run_with_its_reason_and_the_others_go_on(measure, capsys):
    absent = MissingPart("tensorrt does not load here", "sudo apt install python3-libnvinfer")
    found = measure(tensorrt=refusing(absent), torch=good())
    rows = [figure for figure in found.sheet.figures if figure.name.endswith(".tensorrt")]
    assert {figure.name for figure in rows} == {f"{column}.tensorrt" for column in bench.COLUMNS}
    assert {figure.reason for figure in rows} == {"tensorrt does not load here"}
    assert found.by_name["latency.single_stream.p50.graphs.torch"].value == pytest.approx(1)
    found.sheet.print("fp16")
    told = capsys.readouterr().out
    assert told.count("not run") >= len(bench.COLUMNS)
    assert "tensorrt does not load here" in " ".join(told.split())


def test_a_batch_that_does_not_fit_the_memory_leaves_the_row_with_its_reason(measure):
    found = measure(ort_cuda=refusing(ModelError("out of memory"), from_batch=64)).by_name
    assert found["throughput.batch_64.ort-cuda"].reason == "out of memory"
    assert found["drift.fp16.max.ort-cuda"].reason == "out of memory"


@pytest.mark.parametrize(
    ("row", "reason", "told"),
    [
        ("ort_cuda", "asked for; without CUDA graphs: Loop", "without CUDA graphs: Loop"),
        ("ort_tensorrt", "asked for; engine cache", "is run without CUDA graphs"),
    ],
)
def test_an_engine_without_graphs_has_no_latency_with_them(measure, row: str, reason: str, told: str):
    found, label = measure(**{row: good(reason)}).by_name, row.replace("_", "-")
    assert told in found[f"latency.single_stream.p50.graphs.{label}"].reason
    assert found[f"latency.single_stream.p50.plain.{label}"].value == pytest.approx(2)


@pytest.mark.parametrize(
    "words", [("-m", "wordsight.runtime", "bench", "gpu"), ("-m", "wordsight.benchmarks.speed.gpu")]
)
def test_without_a_gpu_it_is_exit_three_and_one_line(words):
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, env=hidden)
    assert done.returncode == 3
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "bench gpu needs an NVIDIA GPU" in line
    assert "install NVIDIA's driver" in line


def test_an_unknown_backend_is_refused_before_the_gpu_is_asked(capsys):
    with pytest.raises(SystemExit) as end:
        main(["bench", "gpu", "--backend", "openvino"])
    assert end.value.code == 2
    assert "--backend takes ort-cuda" in capsys.readouterr().err


def test_the_whole_command_on_mini_with_pytorch_on_the_processor(tmp_path: Path, monkeypatch, capsys):
    """All but the GPU is real: exports, fp32 scores, the module in PyTorch, the table and the file."""
    monkeypatch.setattr(gpu_torch, "TorchGpu", StandIn)
    monkeypatch.setattr("wordsight.export.calibration.CALIBRATION", 8)
    monkeypatch.setattr("wordsight.export.calibration.CHECK", 64)
    # A batch in fp16 takes a processor seconds, so each is run once.
    monkeypatch.setattr(scenarios, "Limit", lambda duration: Limit(duration, queries=1, blocks=1, warm_up=0))
    real = TorchBackend.__init__
    monkeypatch.setattr(
        TorchBackend, "__init__", lambda self, module, batch, shape, graphs, device: real(
            self, module, batch, shape, False, device
        )
    )  # fmt: skip
    with pytest.raises(SystemExit) as end:
        main(["bench", "gpu", "--encoder", "mini", "--duration", "0.2", "--json", str(tmp_path / "g.json"),
              "--backend", "torch", "--backend", "ort-cuda"])  # fmt: skip
    assert not end.value.code
    document = json.loads((tmp_path / "g.json").read_text())
    found = {figure["name"]: figure for figure in document["figures"]}
    assert document["command"] == "bench gpu"
    assert 0 < found["drift.fp16.mean.torch"]["value"] < 1e-3  # or it was not fp16, or not the same module
    assert found["throughput.batch_64.torch"]["value"] > 1
    assert "as asked" in found["latency.single_stream.p50.graphs.torch"]["reason"]
    assert found["latency.single_stream.p50.plain.torch"]["value"] > 0
    assert "CUDAExecutionProvider" in found["throughput.batch_64.ort-cuda"]["reason"]
    told = " ".join(capsys.readouterr().out.split())
    assert "mini in fp16 on Test GPU" in told
    assert "not run" in told


@pytest.mark.gpu
def test_on_a_gpu_the_whole_command_runs(tmp_path: Path):
    try:
        gpu_torch.TorchGpu()
    except MissingPart as error:
        pytest.skip(str(error))
    with pytest.raises(SystemExit) as end:
        main(["bench", "gpu", "--encoder", "mini", "--duration", "1", "--json", str(tmp_path / "g.json")])
    assert not end.value.code
    found = {figure["name"]: figure for figure in json.loads((tmp_path / "g.json").read_text())["figures"]}
    assert found["ceiling.fp16"]["value"] > 1000
    for column in bench.COLUMNS:
        assert found[f"{column}.torch"]["value"] is not None, column
    assert 0 < found["drift.fp16.mean.torch"]["value"] < 1e-3
