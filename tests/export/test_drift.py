"""Drift beside closed forms, frames to calibrate on and what is refused, exports of reduced precision end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.metrics import roc_auc_score

from wordsight.export import calibration, reduced
from wordsight.export.calibration import collect
from wordsight.export.drift import LIMITS, auroc, measure
from wordsight.export.errors import DriftError, NoBackend
from wordsight.export.onnx import export_model
from wordsight.runtime import Model
from wordsight.runtime.errors import PictureError, SettingError
from wordsight.runtime.manifest import InputSpec, read_manifest


def side(score: list[float], turn: float = 0.0) -> dict[str, np.ndarray]:
    embedding = np.tile([np.cos(turn), np.sin(turn)], (len(score), 1))
    return {"score": np.array(score, np.float32), "embedding": embedding.astype(np.float32)}


def test_differences_ranks_and_cosine_by_hand():
    drift = measure(side([0.1, 0.2, 0.3, 0.4]), side([0.1, 0.25, 0.2, 0.4], turn=np.pi / 3))
    assert drift.frames == 4
    np.testing.assert_allclose([drift.mean, drift.max, drift.cosine_min], [0.0375, 0.1, 0.5], atol=1e-6)
    assert drift.rank_correlation == pytest.approx(1 - 6 * 2 / (4 * 15))  # one swap of neighbours: sum of d^2 is 2
    assert drift.auroc_change is None


def test_auroc_is_scikit_learns_with_ties():
    rng = np.random.default_rng(0)
    labels, scores = rng.random(200) < 0.3, rng.integers(0, 9, 200).astype(float)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    exact, noisy = side(list(scores)), side(list(scores + rng.normal(0, 2, 200)))
    change = roc_auc_score(labels, noisy["score"]) - roc_auc_score(labels, exact["score"])
    assert measure(exact, noisy, labels).auroc_change == pytest.approx(change, abs=1e-6)


@pytest.mark.parametrize("precision", LIMITS)
def test_what_is_beyond_a_limit_is_named(precision: str):
    limits, same = LIMITS[precision], [0.1, 0.5, 0.9]
    assert not measure(side(same), side(same)).beyond(limits)
    shifted = measure(side(same), side([s + 2 * limits.mean for s in same])).beyond(limits)
    assert len(shifted) == 1
    assert "on average" in shifted[0]
    assert any("rank" in line for line in measure(side(same), side(same[::-1])).beyond(limits))
    assert measure(side(same), side([np.nan, 0.5, 0.9])).beyond(limits)


def test_scores_that_are_all_alike_have_no_ranks():
    assert measure(side([0.5, 0.5]), side([0.5, 0.6])).rank_correlation is None


def test_other_frames_are_refused():
    with pytest.raises(ValueError, match="same frames"):
        measure(side([0.1]), side([0.1, 0.2]))


SPEC = InputSpec(size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def write(folder: Path, pictures: list[np.ndarray]) -> Path:
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{number:03}.png"), picture)
    return folder


def noise(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, 80, 100, 3), np.uint8))


def test_generated_frames_are_labelled_and_never_in_both_sets():
    sets = collect(None, SPEC)
    assert sets.source == "generated"
    assert sets.calibration.shape == (64, 64, 64, 3)
    assert sets.check.frames.shape == (256, 64, 64, 3)
    assert sets.check.labels is not None
    assert sets.check.labels.mean() == 0.5
    assert not {f.tobytes() for f in sets.calibration} & {f.tobytes() for f in sets.check.frames}


def test_generated_frames_fill_a_wide_graph():
    spec = InputSpec(size=64, mean=SPEC.mean, std=SPEC.std, fit="tiles", camera=(100, 200))
    assert collect(None, spec).check.frames.shape[1:] == (64, 128, 3)


def test_given_frames_are_halved_and_labelled_by_their_folders(tmp_path: Path):
    write(tmp_path / "good", noise(10, 1))
    write(tmp_path / "scratch", noise(10, 2))
    sets = collect(tmp_path, SPEC)
    assert (len(sets.calibration), len(sets.check.frames), sets.source) == (10, 10, "given")
    assert sets.check.labels is not None
    assert sorted(sets.check.labels.tolist()) == [False] * 5 + [True] * 5
    assert collect(write(tmp_path / "all", noise(20, 3)), SPEC).check.labels is None


def test_what_does_not_serve_is_refused_in_a_line(tmp_path: Path):
    with pytest.raises(SettingError, match="at least 16 pictures, got 3"):
        collect(write(tmp_path / "few", noise(3)), SPEC)
    with pytest.raises(SettingError, match="only 1 differ"):
        collect(write(tmp_path / "same", noise(1) * 20), SPEC)
    plain = [np.full((80, 100, 3), level, np.uint8) for level in range(100, 120)]
    with pytest.raises(SettingError, match="plain area"):
        collect(write(tmp_path / "flat", plain), SPEC)
    (write(tmp_path / "torn", noise(20)) / "005.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(PictureError, match=r"005\.png"):
        collect(tmp_path / "torn", SPEC)


CHECK = 96
"""Frames that the files here are checked on, instead of 256: fewer say as much."""


@pytest.fixture
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "CHECK", CHECK)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings, train_heads

    encoder, settings = load_encoder("mini"), Settings(num_pairs=200)
    path = tmp_path_factory.mktemp("head") / "head.safetensors"
    save_heads(path, train_heads(encoder, settings, (0,), progress=False), settings, (0,), encoder)
    return path


@pytest.fixture(scope="module")
def files(head: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "CHECK", CHECK)
        for precision in ("fp32", *LIMITS):
            made[precision] = folder / f"{precision}.onnx"
            assert export_model(head, made[precision], precision=precision)
    return made


def test_an_export_says_so_before_anything_slow(head: Path, tmp_path: Path, monkeypatch):
    def slow(*_args: object, **_named: object) -> None:
        raise AssertionError("the graph was written first")

    monkeypatch.setattr("wordsight.export.onnx.build_graph", slow)
    few = write(tmp_path / "few", noise(3))
    with pytest.raises(SettingError, match="at least 16 pictures, got 3"):
        export_model(head, tmp_path / "out.onnx", precision="int8", calibrate=few)


@pytest.mark.parametrize("precision", LIMITS)
def test_a_file_says_how_far_it_is_from_fp32_and_is_that_far(files: dict[str, Path], precision: str):
    from wordsight.train.mini import training_nouns

    spec = read_manifest(files[precision])
    assert spec.precision == precision
    assert spec.parity.status == "passed"
    assert spec.drift.frames == CHECK
    assert 0 < spec.drift.mean <= LIMITS[precision].mean
    assert spec.drift.calibration == ("generated" if precision in ("int8", "fp8") else "none")
    frames = np.stack([picture.image for picture in training_nouns(64 + CHECK)][64:])
    engine = "openvino" if precision == "bf16" else "ort-cpu"
    with Model(files["fp32"], backend="ort-cpu") as exact, Model(files[precision], backend=engine) as coarse:
        apart = np.abs(exact.score(frames).score - coarse.score(frames).score)
    np.testing.assert_allclose([apart.mean(), apart.max()], [spec.drift.mean, spec.drift.max], rtol=0.02)
    assert files[precision].stat().st_size < 0.65 * files["fp32"].stat().st_size
    assert spec.cost.flops == read_manifest(files["fp32"]).cost.flops


@pytest.mark.usefixtures("few_frames")
def test_drift_beyond_the_limit_leaves_no_file_unless_allowed(head: Path, tmp_path: Path, monkeypatch):
    strict = {**LIMITS, "fp16": LIMITS["fp16"].__class__(mean=1e-9, rank_correlation=0, auroc_change=1)}
    monkeypatch.setattr(reduced, "LIMITS", strict)
    with pytest.raises(DriftError, match=r"allowed is 1e-09.*--allow-drift"):
        export_model(head, tmp_path / "out.onnx", precision="fp16")
    assert not list(tmp_path.iterdir())
    export_model(head, tmp_path / "out.onnx", precision="fp16", allow_drift=True)
    assert read_manifest(tmp_path / "out.onnx").drift.mean > 1e-9


@pytest.mark.usefixtures("few_frames")
def test_what_nothing_runs_is_written_unverified_alone(head: Path, tmp_path: Path, monkeypatch):
    def refuse(model: bytes):
        raise NoBackend("no such type")

    monkeypatch.setattr(reduced, "runner_for", refuse)
    monkeypatch.setattr("wordsight.export.proof.runner_for", refuse)
    with pytest.raises(NoBackend):
        export_model(head, tmp_path / "out.onnx", precision="bf16")
    assert not list(tmp_path.iterdir())
    export_model(head, tmp_path / "out.onnx", precision="bf16", unverified=True)
    spec = read_manifest(tmp_path / "out.onnx")
    assert (spec.parity.status, spec.drift.frames) == ("not run", 0)


@pytest.mark.usefixtures("written_anew", "few_frames")
def test_the_same_head_gives_the_same_bytes(files: dict[str, Path], head: Path, tmp_path: Path):
    export_model(head, tmp_path / "again.onnx", precision="int8")
    left, right = onnx.load(files["int8"]), onnx.load(tmp_path / "again.onnx")
    for model in (left, right):
        model.ClearField("metadata_props")  # holds the time
    assert left.SerializeToString(deterministic=True) == right.SerializeToString(deterministic=True)


def test_calibration_goes_with_a_reduced_precision(head: Path, tmp_path: Path):
    with pytest.raises(SettingError, match="--calibrate goes with"):
        export_model(head, tmp_path / "out.onnx", calibrate=tmp_path)
    with pytest.raises(SettingError, match="fp8 needs --opset 19"):
        export_model(head, tmp_path / "out.onnx", precision="fp8", opset=18)
