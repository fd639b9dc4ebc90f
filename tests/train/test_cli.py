import json

import pytest
import typer
from typer.testing import CliRunner

from wordsight.train.checkpoint import load_heads
from wordsight.train.cli import train
from wordsight.train.errors import DeviceAbsent, EncoderError, OutputError, SettingError

APP = typer.Typer()
APP.command()(train)


def run(*arguments):
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def test_a_head_is_trained_saved_and_told_of(tmp_path):
    head, figures, cache = tmp_path / "head.safetensors", tmp_path / "figures.json", tmp_path / "cache"
    words = ("--normal", "a flawless", "--anomalous", "a broken", "--object", "nut", "--seed", 4, "--seeds", 2)
    arguments = ("--encoder", "mini", "--pairs", 40, "--widths", "16,8", *words, "-o", head, "--cache", cache)
    result = run(*arguments, "--json", figures)
    assert result.exit_code == 0, result.exception
    assert f"Saved {head}" in result.output

    found = load_heads(head)
    assert found.seeds == (4, 5)
    assert found.settings.pair.guiding() == ("a photo of a flawless nut", "a photo of a broken nut")
    assert found.settings.widths == (16, 8)
    assert found.encoder["name"] == "mini"
    assert len(list(cache.iterdir())) == 2

    report = json.loads(figures.read_text())
    assert set(report) == {"command", "machine", "figures"}
    named = {figure["name"]: figure for figure in report["figures"]}
    mean = (named["train.accuracy.seed4"]["value"] + named["train.accuracy.seed5"]["value"]) / 2
    assert named["train.accuracy"]["value"] == pytest.approx(mean)
    assert named["train.accuracy"]["n"] == 2


def test_settings_past_the_paper_reach_the_head_file(tmp_path):
    head = tmp_path / "head.safetensors"
    past = ("--states", "--natural", 0.5, "--counterfactual", "--noise", 0.2, "--centre")
    assert run("--encoder", "mini", "--pairs", 20, "--widths", "8", "--no-cache", "-o", head, *past).exit_code == 0
    found = load_heads(head).settings
    assert (found.states, found.natural, found.counterfactual, found.noise, found.centre) == (
        True,
        0.5,
        True,
        0.2,
        True,
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--min-length", "9", "--max-length", "8"], SettingError),
        (["--pairs", "0"], SettingError),
        (["--seeds", "0"], SettingError),
        (["--seed", "-1"], SettingError),
        (["--widths", "a,b"], SettingError),
        (["--lr", "-1"], SettingError),
        (["--natural", "2"], SettingError),
        (["--noise", "-1"], SettingError),
        (["--text-precision", "fp8"], SettingError),
        (["--batch-size", "0"], SettingError),
        (["--cache", "x", "--no-cache"], SettingError),
        (["--json", "no/such/figures.json"], OutputError),
        (["--device", "cuda:99"], DeviceAbsent),
        (["--encoder", "minni"], EncoderError),
    ],
)
def test_wrong_use_is_refused_and_nothing_is_written(tmp_path, arguments, error):
    result = run("--encoder", "mini", "-o", tmp_path / "head.safetensors", *arguments)
    assert type(result.exception) is error
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_is_refused_before_any_work(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "head.safetensors"):
        assert type(run("--encoder", "mini", "-o", path).exception) is OutputError
