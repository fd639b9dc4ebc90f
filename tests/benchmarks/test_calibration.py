"""`wordsight bench calibration`: that it measures what it says, and notices a rule that promises too much."""

import itertools
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from wordsight.benchmarks import calibration as bench
from wordsight.benchmarks.cli import app
from wordsight.runtime.thresholds import Thresholds, ranks


def nothing():
    pass


@pytest.mark.parametrize("kind", bench.distributions(), ids=lambda kind: kind.name)
def test_the_true_rate_is_that_of_many_draws(kind):
    drawn = kind.draw(np.random.default_rng(4), 200_000)
    for t in (*np.quantile(drawn, [0.3, 0.9, 0.99]), np.nextafter(np.quantile(drawn, 0.97), np.inf)):
        assert kind.at_least(float(t)) == pytest.approx(np.mean(drawn >= t), abs=0.005)


def test_what_few_unseen_frames_add_is_counted_over_every_division():
    """All ways to divide 26 scores into 22 and 4, one by one."""
    total, n, rate, confidence = 26, 22, 0.1, 0.9
    _, k = ranks(n, rate, confidence)
    exceeded = []
    for chosen in itertools.combinations(range(total), n):
        above = total - 1 - chosen[k - 1] - (n - k)  # of those unseen
        exceeded.append(above / (total - n) > rate)
    assert bench.allowed_among(total, n, rate, confidence) == pytest.approx(np.mean(exceeded), rel=1e-12)
    assert bench.allowed_among(10**9, n, rate, confidence) == pytest.approx(1 - confidence)
    assert bench.allowed_among(total, n - 1, rate, confidence) == 1


def test_intervals_hold_the_textbooks_values():
    assert bench.clopper_pearson(0, 20, 0.95) == pytest.approx((0, 0.1684), abs=1e-4)
    assert bench.clopper_pearson(20, 20, 0.95) == pytest.approx((0.8316, 1), abs=1e-4)
    assert bench.clopper_pearson(3, 20, 0.95) == pytest.approx((0.0321, 0.3789), abs=1e-4)


def test_the_bound_holds_and_the_naive_rules_do_not():
    normal = bench.distributions()[0]
    bound, _, quantile = bench.simulated(normal, 100, 0.05, 0.9, 300, 1, nothing)
    assert bench.dishonest([bound, quantile]) == []
    assert bound.interval(0.999)[0] < 0.1
    assert quantile.interval(0.999)[0] > 0.3
    refused, highest, _ = bench.simulated(normal, 20, 0.05, 0.9, 300, 1, nothing)
    assert "at least 45 normal frames" in refused.refused
    assert highest.interval(0.999)[0] > 0.2


def test_a_threshold_that_promises_too_much_is_noticed(monkeypatch):
    """One rank lower than the bound."""

    def lower(scores, rate, confidence):
        _, k = ranks(len(scores), rate, confidence)
        value = float(np.nextafter(sorted(scores)[k - 3], np.inf))
        return Thresholds(value, value)

    monkeypatch.setattr(bench, "thresholds", lower)
    rows = bench.simulated(bench.distributions()[1], 100, 0.05, 0.9, 300, 1, nothing)
    (line,) = bench.dishonest(rows)
    assert "exceeded.bound.beta" in line
    rows = bench.resampled("real", np.random.default_rng(0).random(400), 100, 0.05, 0.9, 300, 1, nothing)
    assert len(bench.dishonest(rows)) == 1


def test_the_command_prints_the_table_and_writes_figures(tmp_path):
    target = tmp_path / "c.json"
    words = ["calibration", "--resamples", "20", "--pictures", "100", "--json", str(target)]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert "refused: too few" in result.output
    assert "drawn parts" in result.output
    figures = {figure["name"]: figure for figure in json.loads(target.read_text())["figures"]}
    ours = figures["exceeded.bound.normal.n59.rate0.05"]
    assert ours["n"] == 20
    assert ours["low"] <= ours["value"] <= ours["high"]
    assert figures["exceeded.bound.normal.n50.rate0.01"]["value"] is None
    assert "299" in figures["exceeded.bound.normal.n50.rate0.01"]["reason"]
    assert 0 < figures["called_unsure.bound.drawn_parts.n59.rate0.05"]["value"] < 0.3


def test_a_confidence_out_of_range_is_refused(tmp_path):
    from wordsight.runtime.errors import SettingError

    result = CliRunner().invoke(app, ["calibration", "--confidence", "1.5"])
    assert isinstance(result.exception, SettingError)
