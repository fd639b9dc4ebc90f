"""`wordsight bench identity`: that both sides agree, and that it would notice if they did not."""

import json

import numpy as np
import open_clip
import pytest
from typer.testing import CliRunner

from wordsight.benchmarks import identity
from wordsight.benchmarks.cli import app
from wordsight.runtime.figures import Figure
from wordsight.train.encoders import load_encoder

PROMPTS = ("a photo of a object", "a photo of a damaged object")


def test_the_command_prints_differences_within_their_limits_and_controls_that_differ(small_vit, tmp_path):
    target = tmp_path / "identity.json"
    result = CliRunner().invoke(app, ["identity", "--vit", small_vit(2), "--frames", "3", "--json", str(target)])
    assert result.exit_code == 0, result.output
    figures = {figure["name"]: figure["value"] for figure in json.loads(target.read_text())["figures"]}
    assert set(figures) == set(identity.MEANING)
    for encoder in ("mini", "vit"):
        assert figures[f"difference.s_pr.open_clip.{encoder}"] <= 1e-5
        assert figures[f"control.s_pr.temperature.{encoder}"] >= 1e-3
        assert figures[f"spread.s_pr.{encoder}"] > 1e-3


@pytest.mark.parametrize("fault", ["colours", "prompts", "squeezed"])
def test_a_fault_on_one_side_is_far_beyond_the_limit(fault):
    mini, frames = load_encoder("mini"), identity.drawn_frames(3)
    transform = open_clip.image_transform(mini.image_size, False, mini.mean, mini.std)
    right = identity.open_clip_scores(mini.model, transform, open_clip.tokenize, frames, PROMPTS)
    if fault == "squeezed":
        transform = open_clip.image_transform(mini.image_size, False, mini.mean, mini.std, resize_mode="squash")
    wrong = identity.open_clip_scores(
        mini.model, transform, open_clip.tokenize,
        [frame[..., ::-1] for frame in frames] if fault == "colours" else frames,
        ("a photo of an object", PROMPTS[1]) if fault == "prompts" else PROMPTS,
    )  # fmt: skip
    assert np.abs(right - wrong).max() > 10 * identity.LIMITS["difference.s_pr.open_clip"]


def test_what_is_beyond_a_limit_fails():
    good = [Figure("difference.s_pr.open_clip.vit", 1e-6), Figure("difference.metrics.aupr", 0.0),
            Figure("control.s_pr.temperature.vit", 0.2), Figure("control.metrics.ties", 0.2)]  # fmt: skip
    assert identity.failures(good) == []
    assert "limit 1e-05" in identity.failures([Figure("difference.s_pr.open_clip.vit", 2e-5)])[0]
    assert "limit 1e-09" in identity.failures([Figure("difference.metrics.aupr", 1e-3)])[0]
    assert "sees nothing" in identity.failures([Figure("control.s_pr.temperature.mini", 1e-6)])[0]


def test_arithmetic_that_forgets_ties_is_noticed(monkeypatch):
    from wordsight.benchmarks import bootstrap

    class Forgetful(bootstrap.Ordered):
        def __init__(self, labels, scores):
            super().__init__(labels, np.argsort(np.argsort(scores, kind="stable")).astype(float))

    monkeypatch.setattr(identity, "_RESAMPLES", 4)  # one shows it
    assert identity.failures(identity.metric_figures()) == []
    monkeypatch.setattr(bootstrap, "Ordered", Forgetful)
    assert any("difference.metrics.auroc" in line for line in identity.failures(identity.metric_figures()))
