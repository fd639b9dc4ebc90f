"""The runner against scores taken straight from the exported file, on a set drawn in MVTec AD's layout."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wordsight.benchmarks.data.published import PUBLISHED
from wordsight.benchmarks.fold import random_checkpoint
from wordsight.benchmarks.paper import runner
from wordsight.benchmarks.paper.figures import CLIP, KNOWN, OURS, SUM, UNKNOWN, WINCLIP
from wordsight.benchmarks.paper.plan import Setting
from wordsight.benchmarks.paper.results import load_runs
from wordsight.runtime import Model
from wordsight.runtime.errors import SettingError
from wordsight.train.mini import training_nouns

SEEDS, PAIRS = 2, 60


@pytest.fixture(scope="module")
def mvtec(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "mvtec"
    shown = iter(training_nouns(15 * 8, seed=31))
    for name in PUBLISHED["mvtec-ad"].classes:
        good = [next(shown) for _ in range(8)]  # by turns good and defective
        for place, picture in enumerate(good):
            part = "test/crack" if picture.label else "train/good" if place < 4 else "test/good"
            path = root / name / part / f"{place:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture.image)
            if picture.label:
                mask = root / name / "ground_truth" / "crack" / f"{place:03d}_mask.png"
                mask.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(mask), picture.mask.astype(np.uint8) * 255)
    return root


def settings():
    one = Setting("MVTec-AD", "Metal nut", UNKNOWN, CLIP, "a", "a damaged", None)
    heads = replace(one, method=OURS, num_pairs=PAIRS)
    return [
        replace(one, num_pairs=PAIRS), heads, replace(heads, method=SUM, setup=KNOWN),
        replace(heads, method=SUM, setup="2-shot"), replace(heads, method=SUM, setup="4-shot"),
        replace(one, method=WINCLIP, setup=KNOWN, normal=None, anomalous=None, num_pairs=PAIRS),
        replace(one, method=WINCLIP, setup="1-shot", normal=None, anomalous=None, num_pairs=PAIRS),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def done(mvtec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    said = []
    runs = runner.run_all([mvtec], folder, "mini", SEEDS, said.append, settings())
    return folder, runs, said


def test_every_setting_leaves_a_run_a_seed_or_a_reason(done):
    _, runs, said = done
    found = {(run.setting.setup, run.setting.method, run.seed): run for run in load_runs(runs)}
    assert set(found) == {
        (UNKNOWN, CLIP, None), (UNKNOWN, OURS, 0), (UNKNOWN, OURS, 1), (KNOWN, SUM, 0), (KNOWN, SUM, 1),
        ("2-shot", SUM, 0), ("2-shot", SUM, 1), ("4-shot", SUM, None), (KNOWN, WINCLIP, None),
        ("1-shot", WINCLIP, None),
    }  # fmt: skip
    assert "4 references asked for, the set has 2" in found["4-shot", SUM, None].reason
    assert "ViT" in found["1-shot", WINCLIP, None].reason  # its references are compared window by window
    assert said == ["MVTec-AD Metal nut a / a damaged full+2x2@0.7"]


def test_metrics_are_those_of_the_exported_file(done, mvtec):
    folder, runs, _ = done
    (path,) = folder.rglob("model-full*.onnx")
    paths = sorted((mvtec / "metal_nut" / "test").rglob("*.png"))
    labels = [path.parent.name != "good" for path in paths]
    with Model(path, object="metal nut") as model:
        scores, manifest = model.score([cv2.imread(str(path)) for path in paths]), model.manifest
    found = {(run.setting.setup, run.setting.method, run.seed): run for run in load_runs(runs)}
    for seed in range(SEEDS):
        known = roc_auc_score(labels, scores.s_pr + scores.s_fnn_seeds[:, seed].astype(float))
        assert found[KNOWN, SUM, seed].metrics["AUROC"] == pytest.approx(known)
        assert found[UNKNOWN, OURS, seed].metrics["AUROC"] == pytest.approx(
            roc_auc_score(labels, scores.s_fnn_seeds[:, seed])
        )
    assert found[KNOWN, SUM, 0].good == labels.count(False)
    column = scores.s_winclip_objects[:, [known.name for known in manifest.objects].index("metal nut")]
    assert found[KNOWN, WINCLIP, None].metrics["AUROC"] == pytest.approx(roc_auc_score(labels, column))


def test_a_second_run_does_only_what_is_missing(done, mvtec):
    folder, runs, _ = done
    times = {path: path.stat().st_mtime_ns for path in runs.rglob("*.json")}
    lost = next(path for path in times if json.loads(path.read_text())["method"] == OURS)
    before = lost.read_text()
    lost.unlink()
    runner.run_all([mvtec], folder, "mini", SEEDS, lambda line: None, settings())
    assert json.loads(lost.read_text()) == json.loads(before)
    clip = next(path for path in times if json.loads(path.read_text())["method"] == CLIP)
    assert clip.stat().st_mtime_ns == times[clip]


def test_one_seed_is_a_seed_all_the_same(mvtec, tmp_path):
    heads = settings()[1:2]
    for _ in range(2):
        said = []
        runs = runner.run_all([mvtec], tmp_path, "mini", 1, said.append, heads)
    assert [run.seed for run in load_runs(runs)] == [0]
    assert said == []  # it was found done


def test_a_folder_of_another_encoder_is_refused(done, mvtec, tmp_path):
    folder, *_ = done
    other = random_checkpoint("ViT-S-32-alt", tmp_path)
    with pytest.raises(SettingError, match="another encoder"):
        runner.run_all([mvtec], folder, other, SEEDS, lambda line: None, settings())


def test_part_of_a_set_is_not_the_set(mvtec, tmp_path):
    with pytest.raises(SettingError, match="not a whole set"):
        runner.run_all([mvtec / "screw"], tmp_path, "mini", settings=settings())


def test_random_weights_are_marked(mvtec, tmp_path):
    few = settings()[:1]
    runs = runner.run_all([mvtec], tmp_path, "mini", 1, lambda line: None, few, random_weights=True)
    assert all(run.random_weights for run in load_runs(runs))
