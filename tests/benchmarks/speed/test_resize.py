"""`wordsight bench resize`: both ways of the same file, held to the same score before anything is timed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wordsight.benchmarks.speed import resize
from wordsight.runtime import Model, ModelError, SettingError, read_manifest
from wordsight.runtime.cli import main
from wordsight.runtime.demo import demo_model

CAMERA = (90, 160)


def test_the_twin_takes_the_cameras_frames_and_scores_alike(tmp_path: Path):
    twin = resize.graph_twin(Path(demo_model()), CAMERA, tmp_path)
    assert read_manifest(twin).input.shape == CAMERA
    frames = np.random.default_rng(0).integers(0, 256, (2, *CAMERA, 3), np.uint8)
    with Model(demo_model(), "ort-cpu") as host, Model(twin, "ort-cpu") as graph:
        np.testing.assert_allclose(graph.score(frames).score, host.score(frames).score, atol=1e-6)
    with pytest.raises(SettingError, match="expected a file of --resize host"):
        resize.graph_twin(twin, CAMERA, tmp_path)


def test_a_twin_of_other_scores_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fit = resize.fit_input
    monkeypatch.setattr(resize, "fit_input", lambda image, spec: fit(image[::-1], spec))
    with pytest.raises(ModelError, match=r"ort-cpu\.160x90: the two ways differ"):
        resize.measure(Path(demo_model()), tmp_path, ["ort-cpu"], [CAMERA], 1, 1, lambda line: None)


def test_the_command_prints_a_row_a_camera_and_writes_the_figures(tmp_path: Path, capfd):
    out = tmp_path / "f.json"
    words = [
        "bench",
        "resize",
        str(demo_model()),
        "--backend",
        "ort-cpu",
        "--backend",
        "ort-tensorrt",
        "--repeats",
        "2",
    ]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--frame", "160x90", "--frame", "96x96", "--threads", "1", "--json", str(out)])
    assert ended.value.code == 0
    told = capfd.readouterr().out
    assert "ort-cpu.160x90" in told
    assert "ort-cpu.96x96" in told
    figures = {figure["name"]: figure for figure in json.loads(out.read_text())["figures"]}
    row = [figures[f"{name}.ort-cpu.160x90"] for name in ("resize.host", "resize.graph", "ratio.resize")]
    assert all(figure["value"] > 0 and figure["n"] == 2 for figure in row)
    if "resize.host.ort-tensorrt.160x90" not in figures:  # asked for, and does not run here: told, not left out
        assert figures["ratio.resize.ort-tensorrt"]["value"] is None
        assert figures["ratio.resize.ort-tensorrt"]["reason"]
