"""Ratios, limits and drifts of `bench peers`, from seconds and scores that are given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.benchmarks.cli import app
from wordsight.benchmarks.datasets import Dataset, Sample
from wordsight.benchmarks.speed import contestants, peers, quality, subjects
from wordsight.export.drift import Drift
from wordsight.runtime.figures import Figure
from wordsight.train.fit import fit_head

SECONDS = {
    "torch": [12.0, 12.0, 18.0],
    "compile": [6.0, 6.0, 6.0],
    "fp32.ort-cpu": [6.0, 6.0, 6.0],
    "fp32.openvino": [4.0, 4.0, 4.0],
    "int8.openvino": [3.0, 2.0, 2.0],
}


def test_a_precision_is_its_best_engine_and_each_has_its_own_figure():
    found = {figure.name: figure for figure in peers.ratios(SECONDS)}
    assert found["ratio.fp32_vs_torch"].value == 3
    assert (found["ratio.fp32_vs_torch"].low, found["ratio.fp32_vs_torch"].high) == (3, 4.5)
    assert found["ratio.fp32_vs_torch.ort-cpu"].value == 2
    assert found["ratio.int8_vs_torch"].value == 6  # rounds: 4, 6, 9
    assert found["ratio.compile_vs_torch"].value == 2
    assert found["ratio.bf16_vs_torch"].value is None
    assert "bf16" in (found["ratio.bf16_vs_torch"].reason or "")
    assert found["seconds.torch"].value == 12


def test_decisions_are_counted_at_the_middle_of_the_exact_scores():
    exact = np.array([0.1, 0.2, 0.6, 0.9], np.float32)
    assert quality.changes(exact, exact) == 0
    assert quality.changes(exact, np.array([0.1, 0.5, 0.3, 0.9], np.float32)) == 2  # the threshold is 0.4
    assert quality.changes(exact, exact[::-1]) == 4


def test_the_worst_of_all_is_the_figure():
    given = [
        Figure("drift.int8.mean.mini.openvino", 0.002),
        Figure("drift.int8.mean.vit.ort-cpu", 0.004),
        Figure("rank_correlation.int8.mini.openvino", 0.99),
        Figure("rank_correlation.int8.vit.openvino", 0.98),
        Figure("auroc_change.int8.mini.openvino", -0.2),
        Figure("auroc_change.int8.mini.ort-cpu", 0.1),
    ]
    worst = {
        name: quality._worst(name, given)[0].value
        for name in ("drift.int8.mean", "rank_correlation.int8", "auroc_change.int8")
    }
    assert worst == {"drift.int8.mean": 0.004, "rank_correlation.int8": 0.98, "auroc_change.int8": -0.2}
    assert quality._worst("cosine.bf16.min", given) == []


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    subjects.made("mini", ["fp32"], folder, lambda _: None)
    return folder


def test_what_lies_in_the_folder_is_taken_unless_it_is_of_another_head(kept, tmp_path, monkeypatch):
    def unwanted(*_args: object, **_named: object) -> None:
        raise AssertionError("exported anew")

    monkeypatch.setattr("wordsight.export.onnx.export_model", unwanted)
    said: list[str] = []
    assert subjects.made("mini", ["fp32"], kept, said.append) == [kept / "mini-fp32.onnx"]
    assert said[0].startswith(f"taking {kept / 'mini-fp32.onnx'}, exported 20")
    (tmp_path / "mini-fp32.onnx").write_bytes((kept / "mini-fp32.onnx").read_bytes())
    # The head that is made beside it is another: two of the same weights and second are the same file.
    monkeypatch.setattr("wordsight.train.fit.fit_head", lambda good, bad, *more: fit_head(bad, good, *more))
    with pytest.raises(AssertionError, match="exported anew"):
        subjects.made("mini", ["fp32"], tmp_path, said.append)
    (tmp_path / "mini-int8.onnx").write_bytes((kept / "mini-fp32.onnx").read_bytes())
    (tmp_path / subjects.HEAD).write_bytes((kept / subjects.HEAD).read_bytes())
    with pytest.raises(AssertionError, match="exported anew"):  # a file of another precision than its name says
        subjects.made("mini", ["int8"], tmp_path, said.append)


def test_sets_are_told_beside_the_others_and_are_never_the_worst(tmp_path, monkeypatch):
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    own = [Sample(f"{i}", i % 2, "", frame=frames[0]) for i in range(6)]
    planted = {4: 0.001, 2: None, 6: 0.02}  # by number of frames: mini's, the random encoder's, the set's

    def drifts(files, runs, shown, labels, threads):
        assert (labels is None) == (planted[len(shown)] is None)
        change = planted[len(shown)]
        yield runs[0], Drift(len(shown), 0.1 * len(shown), 0.0, 0.0, None, change, 1.0), 0

    subject = SimpleNamespace(manifest=SimpleNamespace(precision="int8"), backend="ort-cpu", arithmetic="int8")
    monkeypatch.setattr(quality, "drifts", drifts)
    monkeypatch.setattr(quality, "_mini", lambda *_: ({}, frames, np.array([True, False, True, False])))
    rows = quality.measure({}, {"x": subject}, frames[:2], tmp_path, 4, 1, lambda _: None, [Dataset("pcb", own, [])])
    found = {figure.name: figure.value for figure in rows}
    assert found["auroc_change.int8.pcb.ort-cpu"] == pytest.approx(2)
    assert found["auroc_change.int8"] == pytest.approx(0.1)
    assert found["drift.int8.mean"] == pytest.approx(0.4)


def test_a_set_without_the_part_that_takes_it_is_refused(refused):
    refused(2, "bench", "peers", "a-set", "--only", "speed")


def test_the_plain_way_scores_as_the_exported_file_does(kept):
    """torch as one would write it, and its unfused export: same weights, same scores, to rounding."""
    import torch

    from wordsight.runtime import Model
    from wordsight.train.checkpoint import load_heads
    from wordsight.train.embed import embed_texts
    from wordsight.train.encoders import load_encoder
    from wordsight.train.mini import held_out

    path = kept / "mini-fp32.onnx"
    encoder, saved = load_encoder("mini"), load_heads(kept / subjects.HEAD)
    frames = np.stack([picture.image for picture in held_out(4)])
    guiding = torch.from_numpy(embed_texts(encoder, saved.settings.pair.guiding(), progress=False))
    plain = contestants.Torch(encoder, saved.heads[0], guiding, frames)
    with Model(path, backend="ort-cpu") as model:
        wanted = model.score(frames).score
    with torch.inference_mode():
        np.testing.assert_allclose(plain.score(plain.pictures), wanted, atol=1e-5)
    np.testing.assert_allclose(plain.eager()(), wanted[:1], atol=1e-5)
    np.testing.assert_allclose(plain.unfused(1)(), wanted[:1], atol=1e-5)


def test_without_its_environment_anomalibs_figure_says_how_to_make_it(tmp_path):
    plain = type("Plain", (), {"pictures": __import__("torch").zeros(1, 3, 4, 4)})()
    (tmp_path / f"{peers.ENCODER}-random.safetensors").write_bytes(b"weights")
    (figure,) = peers._beside_anomalib(
        tmp_path / "python", tmp_path, tmp_path, 1, plain, {}, np.zeros((1, 4, 4, 3), np.uint8)
    )
    assert figure.value is None
    assert "make peers-env" in (figure.reason or "")
    assert (tmp_path / f"{peers.ENCODER}-random.safetensors").exists()


def test_an_unknown_part_is_refused():
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, ["peers", "--only", "colour"])
    assert result.exit_code != 0
    assert "--only takes speed" in str(result.exception)


@pytest.mark.parametrize("name", peers.TARGETS)
def test_targets_have_a_direction(name: str):
    assert peers.TARGETS[name][1] in ("at least", "at most")


def test_verdicts_tell_what_was_missed_and_take_a_change_by_its_size():
    from wordsight.benchmarks.speed.peers_cli import _verdicts

    told = _verdicts(
        [
            Figure("ratio.bf16_vs_torch", 3.88),
            Figure("ratio.int8_vs_torch", 6.53),
            Figure("auroc_change.int8", -0.4, "points"),
            Figure("ratio.vs_anomalib_winclip", None, reason="no environment"),
            Figure("seconds.torch", 0.3),
        ]
    )
    assert told == {
        "ratio.bf16_vs_torch": "3.88: MISSED, at least 4 is asked",
        "ratio.int8_vs_torch": "6.53: met, at least 6.5 is asked",
        "auroc_change.int8": "-0.4: MISSED, at most 0.3 is asked",
    }
