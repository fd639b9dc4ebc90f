"""`wordsight verify` with torch: the plain reading agrees with sound files, and planted faults are caught."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from wordsight.export.verify import generated_frames, torch_outputs
from wordsight.runtime import Model, read_manifest
from wordsight.runtime.cli import main
from wordsight.train.mini import held_out, training_nouns


@pytest.fixture
def wordsight(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        return int(end.value.code or 0), *capfd.readouterr()

    return call


def nudged(model: Path, path: Path, factor: float) -> Path:
    """A copy whose largest matrix has one row of weights scaled: a fault that no shape and no hash gives away."""
    graph = onnx.load(model)
    largest = max(graph.graph.initializer, key=lambda item: int(np.prod(item.dims)) * (len(item.dims) >= 2))
    weights = numpy_helper.to_array(largest).copy()
    weights[0] *= factor
    largest.CopyFrom(numpy_helper.from_array(weights, largest.name))
    onnx.save(graph, path)
    return path


def figures(path: Path) -> dict[str, float]:
    return {item["name"]: item["value"] for item in json.loads(path.read_text())["figures"]}


def test_generated_frames_are_those_of_an_export_and_drawn_parts_of_training():
    from wordsight.export.parity import parity_frames
    from wordsight.runtime.demo import demo_model

    frames = generated_frames(read_manifest(demo_model()))
    assert frames.shape == (16, 96, 96, 3)
    np.testing.assert_array_equal(frames[:8], parity_frames(96))
    np.testing.assert_array_equal(frames[8:], [picture.image for picture in training_nouns(8)])
    test_set = {picture.image.tobytes() for picture in held_out(64)}
    assert not test_set & {frame.tobytes() for frame in frames}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"objects": ("screw", "metal nut"), "patches_output": True},
        {"heatmap": True},
        {"crops": "full+2x2@0.7"},
        {"fit": "tiles", "camera": (120, 200)},
        {"winclip": True, "winclip_windows": False},
    ],
)
def test_torch_agrees_with_every_output_of_a_sound_file(mini_file, options: dict[str, object]):
    path = mini_file(**options)
    manifest = read_manifest(path)
    frames = generated_frames(manifest)[2:11]
    expected = torch_outputs(path.with_suffix(".safetensors"), manifest, frames)
    assert list(expected) == list(manifest.outputs)
    with Model(path, "ort-cpu") as model:
        got = model.score(frames)
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(got, name), values, atol=manifest.parity.tolerance, err_msg=name)


def test_the_windows_of_a_vit_are_compared_too(head_path: Path, tmp_path: Path, wordsight):
    from wordsight.export.onnx import export_model

    path = tmp_path / "windows.onnx"
    export_model(head_path, path, winclip=True, objects=["metal nut"])  # as test_export_winclip has it
    code, out, err = wordsight("verify", path, "--head", head_path, "--backend", "ort-cpu", "--json",
                               tmp_path / "v.json")  # fmt: skip
    assert code == 0, err
    assert "windows_3" in out
    assert figures(tmp_path / "v.json")["verify.fp32.ort-cpu.max.windows_2"] <= 1e-5


def test_a_file_agrees_with_its_head_and_a_nudged_one_does_not(mini_file, tmp_path: Path, wordsight):
    path = mini_file()
    head = path.with_suffix(".safetensors")
    words = ("--head", head, "--backend", "ort-cpu", "--json", tmp_path / "v.json")
    code, out, err = wordsight("verify", path, *words)
    assert code == 0, err
    assert "held against torch" in out
    assert "1 of 1 agree" in out
    found = figures(tmp_path / "v.json")
    assert found["verify.agree"] == 1
    assert found["verify.fp32.ort-cpu.decision_changes"] == 0
    assert 0 < found["verify.fp32.ort-cpu.max.score"] <= found["verify.fp32.ort-cpu.tolerance"]

    bad = nudged(path, tmp_path / "bad.onnx", 1.5)
    code, out, err = wordsight("verify", bad, *words)
    assert code == 1
    assert "differs" in out
    assert len((out + err).splitlines()) <= 8
    found = figures(tmp_path / "v.json")
    assert found["verify.agree"] == 0
    # How far it is off is what two sessions by themselves say.
    frames = generated_frames(read_manifest(path))
    with Model(path, "ort-cpu") as one, Model(bad, "ort-cpu") as other:
        apart = np.abs(one.score(frames).embedding - other.score(frames).embedding).max()
    assert found["verify.fp32.ort-cpu.max.embedding"] == pytest.approx(apart, abs=2e-5)


def test_another_head_or_encoder_is_refused_before_torch_is_asked(mini_file, head_path: Path, refused):
    path = mini_file()
    assert "is not the head in the model" in refused(2, "verify", path, "--head", head_path)
    told = refused(2, "verify", path, "--head", path.with_suffix(".safetensors"), "--encoder", "RN50:openai")
    assert "was trained for the encoder mini, got RN50" in told


@pytest.mark.openvino
def test_reduced_precisions_are_held_to_what_each_allows(mini_file, tmp_path: Path, wordsight):
    """bf16's differences are far beyond fp32's tolerance and within its own; a nudged fp16 file is beyond its own."""
    from wordsight.export.onnx import export_model
    from wordsight.export.parity import TOLERANCES

    path = mini_file()
    head = path.with_suffix(".safetensors")
    files = [path]
    for precision in ("fp16", "bf16"):
        files.append(tmp_path / f"{precision}.onnx")
        export_model(head, files[-1], precision=precision, w_pr=0.5, w_fnn=2.0, seeds_output=True)
    words = ("--head", head, "--backend", "ort-cpu", "--backend", "openvino", "--json", tmp_path / "v.json")
    code, out, err = wordsight("verify", *files, *words)
    assert code == 0, err
    found = figures(tmp_path / "v.json")
    assert found["verify.bf16.ort-cpu.agree"] is None  # ONNX Runtime has no bf16 on the processor
    for name in ("fp16.ort-cpu", "fp16.openvino", "bf16.openvino"):
        assert found[f"verify.{name}.agree"] == 1
        assert TOLERANCES["fp32"] < found[f"verify.{name}.max.s_pr"] <= TOLERANCES[name.partition(".")[0]]

    code, out, err = wordsight("verify", nudged(files[1], tmp_path / "bad.onnx", 1.5), *words)
    assert code == 1
    assert "0 of 2 agree" in out
