"""Whole files whose graph resizes: the scores of their twin that leaves it to the runtime, in every precision."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from wordsight.export.onnx import export_model
from wordsight.export.verify import generated_frames
from wordsight.runtime import Model, read_manifest
from wordsight.runtime.cli import main
from wordsight.runtime.errors import MissingPart, SettingError
from wordsight.runtime.fit_input import as_host, covered
from wordsight.runtime.golden import require_golden
from wordsight.runtime.same_model import check_same_model
from wordsight.train.mini import training_nouns

CAMERA = (120, 200)


def pictures(height: int, width: int, count: int = 4) -> np.ndarray:
    return np.stack([covered(one.image, height, width) for one in training_nouns(count)])


@pytest.fixture(scope="module")
def twins(mini_file) -> tuple[Path, Path]:
    return mini_file(heatmap=True), mini_file(heatmap=True, camera=CAMERA, resize="graph")


def has_bf16() -> bool:
    from wordsight.runtime.backends.openvino import core_for

    return "BF16" in core_for("f32").get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    "backend",
    ["ort-cpu", *(pytest.param(b, marks=pytest.mark.openvino) for b in ("openvino", "openvino-bf16"))],
)
def test_the_file_scores_as_its_twin_does(twins, backend):
    if backend == "openvino-bf16" and not has_bf16():
        with pytest.raises(MissingPart, match="needs a processor with bf16"):
            Model(twins[1], backend)
        return
    frames = pictures(*CAMERA)
    with Model(twins[0], backend) as host, Model(twins[1], backend) as graph:
        wanted, got = host.score(frames), graph.score(frames)
    for name in graph.manifest.outputs:
        # The grey levels are the same, so that what follows differs by its kernels at most: in bf16 as well.
        np.testing.assert_allclose(getattr(got, name), getattr(wanted, name), atol=1e-5, err_msg=name)


@pytest.mark.openvino
def test_bf16_throughout_would_resize_otherwise(twins):
    """Why the backend parts such a file in two: as one model its scores are not those of its twin."""
    from wordsight.runtime.backends.openvino import core_for, settings_for

    if not has_bf16():
        return  # such a processor never runs it, as the test above says
    frames, core = pictures(*CAMERA), core_for("bf16")
    whole = core.compile_model(core.read_model(str(twins[1])), "CPU", settings_for("bf16"))
    with Model(twins[0], "openvino-bf16") as host:
        wanted = host.score(frames).embedding
    assert np.abs(whole(frames)["embedding"] - wanted).max() > 1e-4


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["ort-cuda", "tensorrt", "tensorrt-rtx"])
def test_on_a_gpu_the_file_scores_as_its_twin_does(twins, name):
    frames = pictures(*CAMERA)
    try:
        host, graph = Model(twins[0], name), Model(twins[1], name)
    except MissingPart as error:
        pytest.skip(str(error))
    with host, graph:
        np.testing.assert_allclose(graph.score(frames).score, host.score(frames).score, atol=1e-4)


def test_the_manifest_says_where_the_frame_is_resized(twins):
    host, graph = (read_manifest(path) for path in twins)
    assert (host.schema, host.input.frame, host.input.shape) == (1, (), (96, 96))
    assert (graph.schema, graph.input.frame, graph.input.shape) == (2, CAMERA, CAMERA)
    assert graph.parity.status == "passed"
    assert graph.cost.parameters == host.cost.parameters
    assert host.cost.flops < graph.cost.flops < 1.2 * host.cost.flops


def test_regions_lie_where_those_of_the_twin_lie(twins, tmp_path: Path):
    (tmp_path / "in").mkdir()
    for index, frame in enumerate(pictures(*CAMERA)):
        Image.fromarray(frame[..., ::-1].copy()).save(tmp_path / "in" / f"{index}.png")
    told = []
    for path in twins:
        out = tmp_path / f"{path.stem}.jsonl"
        assert command("run", path, tmp_path / "in", "--jsonl", out, "--region-level", "0.2", "--backend", "ort") == 0
        told.append([json.loads(line)["regions"] for line in out.read_text().splitlines()])
    assert any(told[0])
    assert told[0] == told[1]


def test_verify_holds_the_file_against_torch(twins, tmp_path: Path, capfd):
    graph = twins[1]
    for index, frame in enumerate(pictures(*CAMERA, count=3)):
        size = (90, 60) if index == 2 else CAMERA[::-1]
        Image.fromarray(frame[..., ::-1].copy()).resize(size).save(tmp_path / f"{index}.png")
    words = ["--head", graph.with_suffix(".safetensors"), "--backend", "ort-cpu", "--frames", tmp_path]
    assert command("verify", graph, *words) == 1  # one picture is of another size
    told = capfd.readouterr()
    said = " ".join((told.out + told.err).split())
    assert "got 90x60" in said
    assert "1 of 1 agree" in said


def test_the_golden_frame_is_the_cameras(twins):
    with Model(twins[1], "ort-cpu") as model:
        assert "of the manifest" in require_golden(model)


def test_generated_frames_are_of_the_cameras_size(twins):
    assert generated_frames(read_manifest(twins[1])).shape == (16, *CAMERA, 3)


def test_files_that_take_other_frames_are_no_two_forms_of_one_model(twins):
    paths, manifest = list(twins), read_manifest(twins[1])
    host = replace(manifest, schema=1, input=as_host(manifest.input))
    with pytest.raises(SettingError, match="input differs"):
        check_same_model([(paths[0], host), (paths[1], manifest)])


def test_int8_leaves_the_resize_as_it_is(head_path, tmp_path: Path):
    path = tmp_path / "int8.onnx"
    assert export_model(head_path, path, precision="int8", camera=CAMERA, resize="graph", allow_drift=True)
    graph = onnx.load(path).graph
    added = {node.op_type for node in graph.node if node.name.startswith("resize.")}
    assert {"Cast", "MatMul", "Floor"} <= added
    assert not {"QuantizeLinear", "DequantizeLinear"} & added
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) > 0
    matrices = [part for part in graph.initializer if part.name.startswith("resize.") and len(part.dims) == 2]
    assert {part.data_type for part in matrices} == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--resize", "graph"], "--resize graph needs the size of the camera's frames: --frame"),
        (["--resize", "graph", "--frame", "640x480", "--fit", "tiles"], "--fit crop, squash or pad"),
        (["--resize", "graph", "--frame", "640x0"], "--frame takes WIDTHxHEIGHT of 1 to"),
        (["--resize", "graph", "--frame", "99999x480"], "--frame takes WIDTHxHEIGHT of 1 to"),
        (["--frame", "640x480"], "--fit tiles or --resize graph"),
        (["--resize", "device"], "device"),
    ],
)
def test_export_refuses_what_does_not_go_together(head_path, tmp_path: Path, capfd, words, says):
    assert command("export", head_path, "-o", tmp_path / "m.onnx", *words) == 2
    err = capfd.readouterr().err
    assert says in " ".join(err.split())
    assert len(err.splitlines()) <= 8
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_such_a_file(head_path, tmp_path: Path, capfd):
    out = tmp_path / "m.onnx"
    assert command("export", head_path, "-o", out, "--resize", "graph", "--frame", "64x48", "--fit", "pad") == 0
    told = capfd.readouterr().out
    assert "100.0% of a 64x48 frame is seen" in told
    assert read_manifest(out).input.frame == (48, 64)
