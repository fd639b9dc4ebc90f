"""Lines fed from memory: every frame once, at the pace asked for; ratios against an engine whose cost is set."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from wordsight.benchmarks.cli import app
from wordsight.benchmarks.line import ratios, serving
from wordsight.benchmarks.line.serving import Memory, camera_frames, serve, timed
from wordsight.runtime.demo import demo_model
from wordsight.runtime.model import Model


@pytest.fixture
def model():
    with Model(demo_model(), "ort-cpu", batch_size=8, threads=1) as opened:
        yield opened


def test_every_frame_of_a_line_is_decided_once_and_written(model, tmp_path):
    ring = camera_frames(40, 60)
    served = serve(model, [Memory("a", ring, 20), Memory("b", ring, 5)], tmp_path, most=4)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert served.frames == 25
    for name, count in (("a", 20), ("b", 5)):
        mine = [line for line in lines if line["line"] == name]
        assert [line["frame"] for line in mine] == list(range(count))
        wanted = model.score([ring[index % len(ring)] for index in range(count)]).score
        np.testing.assert_allclose([line["score"] for line in mine], wanted, atol=1e-5)
    assert len(served.latency_s) == 25
    assert len(served.infer_s) >= 25 / 4


def test_a_live_source_keeps_its_pace_however_late_a_frame_was(monkeypatch):
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(serving, "time", clock)  # there alone: other threads go on by the real one
    stamps = []
    for _ in Memory("live", camera_frames(4, 4), 5, period_s=0.5, live=True):
        stamps.append(now[0])
        now[0] += 1.2 if len(stamps) == 1 else 0.1
    assert stamps == pytest.approx([100.5, 101.7, 101.8, 102.0, 102.5])


def test_the_engine_is_timed_alone_and_given_back(model):
    engine = model._engine
    with timed(model) as seconds:
        model.score(camera_frames(30, 30, 3))
        assert model._engine is not engine
    assert model._engine is engine
    assert len(seconds) == 1


def test_a_loop_that_costs_as_much_as_its_engine_is_half_as_fast(model, tmp_path, monkeypatch):
    """An engine that sleeps, and a fitting that sleeps as long: the ratio is a half, whatever the machine does."""
    engine, score = model._engine, Model.score
    known = engine.infer(np.zeros((8, 96, 96, 3), np.uint8))  # what a slow machine computes would count on both sides

    class Slow:
        def __getattr__(self, name):
            return getattr(engine, name)

        def infer(self, frames):
            time.sleep(0.1)
            return {name: values[: len(frames)] for name, values in known.items()}

        def close(self):
            pass

    def slower(self, frames):
        time.sleep(0.1)
        return score(self, frames)

    model._engine = Slow()
    monkeypatch.setattr(Model, "score", slower)
    found = {
        figure.name: figure.value
        for figure in ratios.measure(
            model, tmp_path, rounds=3, block_s=0.4, live_frames=10, size=(96, 96), on_step=lambda line: None
        )
    }
    assert 0.3 < found["ratio.loop_over_engine"] < 0.75
    assert 0.3 < found["ratio.cameras_over_offline"] < 0.75
    assert found["latency.p50"] / found["inference.p50"] > 1.4  # of ten frames p99 is the one that was held up


def test_latency_is_held_against_the_engine_at_the_end_of_both():
    served = serving.Served(200, 9.0, [0.02] * 196 + [0.09] * 4, [0.01] * 196 + [0.03] * 4)
    found = {figure.name: figure for figure in ratios._latencies(served)}
    assert found["ratio.latency_over_inference"].value == pytest.approx(3)
    assert (found["latency.p50"].value, found["inference.p50"].value) == pytest.approx((20, 10))


def test_the_command_prints_and_writes_all_three(tmp_path):
    file = tmp_path / "figures.json"
    done = CliRunner().invoke(
        app,
        ["line", str(demo_model()), "--backend", "ort-cpu", "--rounds", "1", "--block", "0.2", "--live-frames", "10",
         "--frame", "64x48", "--json", str(file)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    names = {figure["name"] for figure in json.loads(file.read_text())["figures"]}
    assert set(ratios.TARGETS) <= names


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--frame", "640"], "WIDTHxHEIGHT"), (["x.onnx", "--encoder", "mini"], "without a MODEL")],
)
def test_wrong_use_is_one_line(arguments, told):
    done = CliRunner().invoke(app, ["line", *arguments])
    assert done.exit_code != 0
    assert told in str(done.exception)
