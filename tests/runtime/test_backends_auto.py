"""How `auto` chooses: real frames through each candidate, the same scores or not at all, and the reason told."""

import importlib.util
from itertools import count

import numpy as np
import pytest

from wordsight.runtime import MissingPart, ModelError, read_manifest
from wordsight.runtime.backends import open_backend
from wordsight.runtime.backends.auto import choose, trial_frames
from wordsight.runtime.backends.base import Backend


class Fake(Backend):
    """Scores by mean, `seconds` by a clock that it moves itself."""

    def __init__(self, name, clock, seconds, shift=0.0):
        self.name, self.clock, self.seconds, self.shift, self.closed = name, clock, seconds, shift, False

    def infer(self, frames):
        self.clock.now += self.seconds
        s_pr = (frames.mean((1, 2, 3)) / 255 + self.shift).astype(np.float32)
        return {"score": 2 * s_pr, "s_pr": s_pr, "s_fnn": s_pr}

    def close(self):
        self.closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def bench(onnx_writer):
    """Choose among {name: seconds, (seconds, shift of the scores) or an error}; gives the choice and all opened."""

    def run(machines, manifest=None, unready=(), quick_s=0.005):
        clock, opened = Clock(), {}

        def open_one(name):
            plan = machines.get(name, MissingPart(f"{name} is not installed", "pip install it"))
            if isinstance(plan, Exception):
                raise plan
            seconds, shift = plan if isinstance(plan, tuple) else (plan, 0.0)
            opened[name] = Fake(name, clock, seconds, shift)
            return opened[name]

        def others(path, manifest):
            yield from (
                (name, "has no engine yet" if name in unready else "") for name in machines if name != "ort-cpu"
            )

        manifest = manifest or onnx_writer.manifest()
        chosen = choose("m.onnx", manifest, open_one, others=others, quick_s=quick_s, clock=clock)
        assert [name for name, backend in opened.items() if not backend.closed] == [chosen.name]
        return chosen, opened

    return run


def test_the_fastest_that_agrees_is_taken_and_the_reason_names_all(bench):
    chosen, _ = bench({"ort-cpu": 0.1, "ort-cuda": 0.02, "openvino": 0.06})
    assert chosen.name == "ort-cuda"
    assert "ort-cpu 100.0 ms a frame" in chosen.reason
    assert "ort-cuda 20.0 ms a frame" in chosen.reason
    assert "openvino 60.0 ms a frame, not a tenth faster" in chosen.reason


@pytest.mark.parametrize("shift", [3e-4, -3e-4, np.nan, np.inf])
def test_a_fast_engine_with_other_scores_is_not_taken(bench, shift):
    chosen, _ = bench({"ort-cpu": 0.1, "openvino": (0.01, shift)})
    assert chosen.name == "ort-cpu"
    assert "differ by 0.0006" in chosen.reason or "no finite numbers" in chosen.reason


def test_a_difference_within_the_tolerance_does_not_matter(bench):
    assert bench({"ort-cpu": 0.1, "openvino": (0.01, 2e-5)})[0].name == "openvino"


def test_nearly_as_fast_does_not_change_the_choice(bench):
    assert bench({"ort-cpu": 0.1, "openvino": 0.095})[0].name == "ort-cpu"


def test_nothing_is_tried_where_a_frame_is_quick_already(bench):
    chosen, opened = bench({"ort-cpu": 0.004, "openvino": 0.0001})
    assert chosen.name == "ort-cpu"
    assert list(opened) == ["ort-cpu"]
    assert "nothing to gain" in chosen.reason


def test_what_is_listed_but_does_not_run_is_named_with_its_reason(bench):
    chosen, _ = bench({"ort-cpu": 0.1, "ort-cuda": ModelError("cudaErrorNoKernelImageForDevice")})
    assert chosen.name == "ort-cpu"
    assert chosen.fallback == "ort-cuda does not run: cudaErrorNoKernelImageForDevice"
    assert chosen.fallback in chosen.reason


def test_an_engine_that_would_have_to_be_built_is_not_waited_for(bench):
    chosen, opened = bench({"ort-cpu": 0.1, "tensorrt": 0.001}, unready={"tensorrt"})
    assert chosen.name == "ort-cpu"
    assert "tensorrt" not in opened
    assert "tensorrt has no engine yet" in chosen.reason


def test_unless_nothing_else_runs_the_file(bench):
    chosen, _ = bench({"tensorrt": 0.001}, unready={"tensorrt"})
    assert chosen.name == "tensorrt"
    assert "the only one here" in chosen.reason


def test_without_the_reference_the_fastest_of_the_others_is_taken(bench):
    machines = {"ort-cpu": ModelError("no kernel for bf16"), "ort-cuda": 0.03, "openvino": 0.01}
    chosen, _ = bench(machines)
    assert chosen.name == "openvino"
    assert "ort-cpu does not run: no kernel for bf16" in chosen.reason


def test_where_nothing_runs_the_references_own_error_is_told(bench):
    with pytest.raises(MissingPart, match="ort-cpu is not installed"):
        bench({"openvino": ModelError("refused")})


def test_an_engine_that_fails_in_the_trial_is_closed(bench, onnx_writer):
    class Breaks(Fake):
        def infer(self, frames):
            raise ModelError("sticky error")

    clock = Clock()
    broken, sound = Breaks("openvino", clock, 0.01), Fake("ort-cpu", clock, 0.1)
    chosen = choose(
        "m.onnx", onnx_writer.manifest(), {"ort-cpu": sound, "openvino": broken}.__getitem__,
        others=lambda path, manifest: [("openvino", "")], clock=clock,
    )  # fmt: skip
    assert chosen is sound
    assert broken.closed
    assert "sticky error" in chosen.reason


def test_trial_frames_are_always_the_same_and_neither_flat_nor_black(onnx_writer):
    manifest = onnx_writer.manifest(size=20)
    frames = trial_frames(manifest)
    assert frames.shape == (3, 20, 20, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 50
    np.testing.assert_array_equal(frames, trial_frames(manifest))


def test_a_real_search_ends_with_an_engine_that_scores(tiny_model):
    """Whatever is installed here, by a clock that makes every frame slow: all that is there is tried."""
    ticks, manifest = count(), read_manifest(tiny_model)
    backend = choose(
        tiny_model, manifest, lambda name: open_backend(name, tiny_model, manifest), clock=lambda: float(next(ticks))
    )
    with backend:
        found = backend.infer(np.full((1, 8, 8, 3), (51, 102, 0), np.uint8))
    assert backend.reason.startswith("auto: ort-cpu 1000.0 ms a frame")
    assert "openvino" in backend.reason or importlib.util.find_spec("openvino") is None
    np.testing.assert_allclose(found["score"], 0.6, atol=1e-6)


def test_run_says_which_engine_ran_and_why(wordsight, tiny_model, save_picture, tmp_path):
    picture = save_picture(tmp_path / "part.png", 90)
    done = wordsight("run", tiny_model, picture)
    assert done.code == 0
    assert any(line.startswith("engine: onnxruntime ") and "auto: ort-cpu" in line for line in done.lines)
