"""Figures out of known times, memory in a process of its own, profiles out of known traces, and the two commands."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wordsight.benchmarks.ceiling import Ceiling
from wordsight.benchmarks.speed import latency, memory, plots, profile, split, subjects, throughput
from wordsight.benchmarks.speed.sheet import Sheet
from wordsight.benchmarks.speed.subjects import Subject
from wordsight.runtime.backends import open_backend
from wordsight.runtime.cost import CostSpec
from wordsight.runtime.errors import SettingError
from wordsight.runtime.manifest import read_manifest
from wordsight.runtime.pictures import read_picture

DEMO = next((Path(__file__).parents[3] / "runtime" / "demo").glob("*.onnx"))


@pytest.fixture
def subject():
    manifest = read_manifest(DEMO)
    with open_backend("ort-cpu", DEMO, manifest, threads=1) as engine:
        yield Subject("demo.ort-cpu", DEMO, manifest, "ort-cpu", engine)


def by_name(sheet: Sheet):
    return {figure.name: figure for figure in sheet.figures}


def test_percentiles_that_too_few_queries_cannot_show_have_a_reason():
    sheet = Sheet(["x"], {})
    latency.add_percentiles(sheet, "single", "x", [0.001 * step for step in range(1, 51)], (50, 90, 99), 90)
    found = by_name(sheet)
    assert (found["single.p50.x"].value, found["single.p90.x"].value) == (pytest.approx(25), pytest.approx(45))
    assert (found["single.p50.x"].low, found["single.p50.x"].high) == (pytest.approx(1), pytest.approx(50))
    assert found["single.p99.x"].value is None
    assert found["single.p99.x"].reason == "50 queries; p99 needs 101 or more"
    assert found["single.p90.early_stopping.x"].reason == "50 queries; 99% confidence in p90 needs 64"


def test_share_of_the_ceiling_by_hand(subject: Subject):
    flops = 1_000_000
    sheet = Sheet([subject.label], {})
    counted = replace(subject.manifest, cost=CostSpec(parameters=10, flops=flops, bytes=40))
    subject = replace(subject, manifest=counted)
    limits = {"fp32": Ceiling(2 * flops / 1e9 * 10, 1024, "stand-in", 1, 1, 1, {})}
    latency.add_fraction(sheet, subject, 10.0, limits)
    found = by_name(sheet)
    assert found["flops.achieved.demo.ort-cpu"].value == pytest.approx(flops * 10 / 1e9)
    assert found["fraction.of_arithmetic_limit.demo.ort-cpu"].value == pytest.approx(0.5)


def test_a_file_that_does_not_say_its_arithmetic_has_no_share(subject: Subject):
    sheet = Sheet([subject.label], {})
    latency.add_fraction(sheet, replace(subject, manifest=replace(subject.manifest, cost=CostSpec())), 10.0, {})
    assert {figure.value for figure in sheet.figures} == {None}
    assert all("export it anew" in str(figure.reason) for figure in sheet.figures)


@pytest.mark.parametrize(
    ("precision", "backend", "expected"),
    [
        ("fp32", "ort-cpu", "fp32"),
        ("fp32", "openvino", "fp32"),
        ("fp32", "openvino-bf16", "bf16"),
        ("bf16", "openvino", "bf16"),
        ("int8", "openvino", "int8"),
        ("int8", "openvino-bf16", "int8"),
        ("fp16", "ort-cpu", "fp32"),
        ("fp32", "ort-cuda", None),
        ("fp8", "tensorrt", None),
    ],
)
def test_which_ceiling_bounds_what(precision: str, backend: str, expected: str | None):
    class Told:
        pass

    manifest = Told()
    manifest.precision = precision  # type: ignore[attr-defined]
    assert Subject("x", DEMO, manifest, backend, None).arithmetic == expected  # type: ignore[arg-type]


def test_parts_of_a_frame_take_what_the_clock_says(subject: Subject):
    ticks = iter(x for turn in range(4) for x in np.cumsum([100 * turn, 4, 3, 2, 1]))
    taken = split.measure(subject, split.encoded("jpeg"), 3, clock=lambda: float(next(ticks)))
    assert taken == {"decode": [4] * 3, "preprocess": [3] * 3, "inference": [2] * 3, "decision": [1] * 3}


def test_the_drawn_frame_is_a_cameras():
    import cv2

    frame = split.camera_frame()
    assert (frame.shape, frame.dtype) == ((1080, 1920, 3), np.uint8)
    assert np.array_equal(frame, split.camera_frame())
    png, jpeg = split.encoded("png")[0], split.encoded("jpeg")[0]
    assert np.array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), frame)
    assert len(jpeg) < len(png) < frame.size  # neither flat nor pure noise
    assert len(png) > frame.size / 4


def test_a_source_is_read_and_what_is_none_is_refused(tmp_path: Path):
    (tmp_path / "a.dat").write_bytes(split.encoded("jpeg")[0])
    (tmp_path / "notes.txt").write_text("no picture")
    assert split.read_source(tmp_path) == split.read_source(tmp_path / "a.dat") == split.encoded("jpeg")
    with pytest.raises(SettingError, match="not there"):
        split.read_source(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingError, match="no picture"):
        split.read_source(tmp_path / "empty")


def test_peak_memory_is_the_childs_own():
    held = np.ones(60_000_000)  # 480 MB here, which must not show there
    figure = memory.peak("memory.peak.x", DEMO, "ort-cpu", 1, 1)
    assert figure.value is not None, figure.reason
    assert 30 < figure.value < 450
    assert held[-1] == 1
    failed = memory.peak("memory.peak.x", DEMO.with_name("absent.onnx"), "ort-cpu", 1, 1)
    assert failed.value is None
    assert "failed" in str(failed.reason)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_peak_stays_when_the_memory_is_given_back(tmp_path: Path):
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmPeak:\t 999 kB\nVmHWM:\t  2048 kB\nVmRSS:\t 100 kB\n")
    assert memory.peak_bytes(status) == 2048 * 1024
    held = np.ones(20_000_000)
    assert memory.peak_bytes() >= memory.resident_bytes() >= held.nbytes


def test_profile_folds_kernels_and_leaves_the_sessions_events_out():
    trace = [
        {"cat": "Session", "name": "model_run", "dur": 1000},
        {"cat": "Node", "name": "/a_kernel_time", "dur": 60, "args": {"op_name": "MatMul"}},
        {"cat": "Node", "name": "/b_kernel_time", "dur": 15, "args": {"op_name": "MatMul"}},
        {"cat": "Node", "name": "/c_fence_before", "dur": 500, "args": {"op_name": "Softmax"}},
        {"cat": "Node", "name": "/c_kernel_time", "dur": 25, "args": {"op_name": "Softmax"}},
    ]
    shares = profile.folded(profile.onnxruntime_times(trace))
    assert shares == {"MatMul": 0.75, "Softmax": 0.25}
    assert profile.described(shares) == "MatMul 75%, Softmax 25%"
    assert profile.described(shares, most=1) == "MatMul 75%, others 25%"
    assert profile.folded([]) == {}


@pytest.mark.parametrize("backend", ["ort-cpu", pytest.param("openvino", marks=pytest.mark.openvino)])
def test_a_real_profile_sums_to_one_and_knows_the_convolutions(subject: Subject, backend: str):
    shares = profile.shares(Subject("x", DEMO, subject.manifest, backend, subject.engine), 1, 1, passes=2)
    assert sum(shares.values()) == pytest.approx(1)
    assert any(kind.startswith("Conv") for kind in shares)
    with pytest.raises(SettingError, match="no profile of ort-cuda"):
        profile.shares(Subject("x", DEMO, subject.manifest, "ort-cuda", subject.engine), 1, 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_cores_are_pinned_and_given_back():
    before = os.sched_getaffinity(0)
    with subjects.pinned(1) as cores:
        assert os.sched_getaffinity(0) == set(cores) == {min(before)}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(SettingError, match="--threads must be 1 to"), subjects.pinned(len(before) + 1):
        pass


def test_files_of_one_name_keep_apart():
    paths = [Path("a/line.onnx"), Path("b/line.onnx"), Path("line-2.onnx")]
    assert len(set(subjects._stems(paths))) == 3


def test_the_best_batch_has_most_frames_a_second():
    assert throughput.best_batch({1: 10.0, 8: 30.0, 32: 29.0}) == 8


def test_plots_are_pictures(tmp_path: Path):
    drawn = [
        plots.latency({"a": [0.01, 0.02, 0.05], "b": [0.1]}),
        plots.parts({"a, jpeg": dict.fromkeys(split.PARTS, 0.01)}),
        plots.batches({"a": {1: 10.0, 2: 15.0}}),
    ]
    for at, drawing in enumerate(drawn):
        path = plots.write(tmp_path, f"{at}.png", drawing)
        height, width = read_picture(path).shape[:2]
        assert height > 200
        assert width > 800
