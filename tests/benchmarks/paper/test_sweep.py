"""The sweep against heads trained by themselves, and what a second call does again."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wordsight.benchmarks.datasets import held_out
from wordsight.benchmarks.paper import sweep
from wordsight.benchmarks.paper.sweep_plots import sweep_figure
from wordsight.runtime import Model
from wordsight.runtime.errors import SettingError
from wordsight.train.encoders import load_encoder
from wordsight.train.fit import Settings, train_heads
from wordsight.train.prompts import PromptPair

WORDS = [PromptPair("a good", "a broken")]


@pytest.fixture(scope="module")
def mini():
    return load_encoder("mini")


@pytest.fixture(scope="module")
def pictures():
    return held_out(40)


@pytest.fixture(scope="module")
def swept(mini, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return folder, sweep.measure(mini, pictures, folder, 2, 30, (60, 20), WORDS)


def test_heads_of_every_size_are_those_that_are_trained_alone(mini, swept):
    import torch

    from wordsight.train.checkpoint import load_heads

    folder, _ = swept
    rows = torch.nn.functional.normalize(torch.randn(200, mini.embed_dim, generator=torch.manual_seed(0)), dim=-1)

    def kept(size, seed):
        (head,) = load_heads(folder / f"a-a-damaged-{size}" / f"seed-{seed}.safetensors").heads
        return torch.sigmoid(head(rows))

    for size in (20, 60):
        (trained,) = train_heads(mini, Settings(num_pairs=size), [1], progress=False)
        alone = torch.sigmoid(trained(rows))
        # Texts in other batches differ in the last bits, and so do the heads; another seed is another head.
        assert (kept(size, 1) - alone).abs().max() < 1e-3
        assert (kept(size, 0) - alone).abs().max() > 1e-2


def test_points_are_scored_by_the_exported_file_of_their_setting(pictures, swept):
    folder, (curve, grid) = swept
    assert [point.num_pairs for point in curve] == [20, 60]
    assert [(point.pair, point.num_pairs) for point in grid] == [(WORDS[0], 30)]
    labels = [sample.label for sample in pictures.test]
    with Model(folder / "a-good-a-broken-30" / "2-seeds" / "model-single.onnx") as model:
        assert model.manifest.prompts.guiding_anomalous == "a photo of a broken object"
        scores = model.score([sample.load() for sample in pictures.test])
    assert grid[0].s_pr == pytest.approx(roc_auc_score(labels, scores.s_pr))
    for seed in range(2):
        total = scores.s_pr.astype(float) + scores.s_fnn_seeds[:, seed]
        assert grid[0].summed[seed] == pytest.approx(roc_auc_score(labels, total))
        assert grid[0].alone[seed] == pytest.approx(roc_auc_score(labels, scores.s_fnn_seeds[:, seed]))


def test_a_second_call_makes_nothing_anew_and_another_encoder_is_refused(mini, pictures, swept, monkeypatch):
    folder, before = swept
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert sweep.measure(mini, pictures, folder, 2, 30, (60, 20), WORDS) == before
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == times
    monkeypatch.setattr(mini, "sha256", "0" * 64)
    with pytest.raises(SettingError, match="another encoder"):
        sweep.measure(mini, pictures, folder, 2, 30, (60, 20), WORDS)


def test_the_picture_shows_every_point(swept):
    _, (curve, grid) = swept
    drawing = sweep_figure(curve, grid, "planted")
    left, right = drawing.axes[:2]
    means = [100 * np.mean(point.summed) for point in curve]
    np.testing.assert_allclose(left.containers[0].lines[0].get_ydata(orig=False), means)
    assert [text.get_text().split("\n")[0] for text in right.texts] == [f"{100 * np.mean(grid[0].summed):.1f}"]
    assert len(sweep_figure(curve, [], "").axes) == 1


def test_figures_come_once_each(swept):
    _, (curve, grid) = swept
    found = list(sweep.figures([*curve, *grid, *curve]))
    assert [figure.name for figure in found] == [
        "auroc.sum/a / a damaged/N_p=20", "auroc.sum/a / a damaged/N_p=60", "auroc.sum/a good / a broken/N_p=30",
    ]  # fmt: skip
    assert all(figure.low <= figure.value <= figure.high for figure in found)
