"""`wordsight bench crops`: the command on a few drawn pictures, and the choice on planted figures."""

import json

import pytest
from typer.testing import CliRunner

from wordsight.benchmarks import crop_sets
from wordsight.benchmarks.cli import app
from wordsight.benchmarks.crop_sets import Measured, nearest
from wordsight.export.crops import NAMED


def test_the_set_nearest_to_the_papers_rows_is_named():
    # Table 1: CLIP on MVTec-AD, 91.5 for an unknown object and 92.6 for a known one.
    table = [
        Measured("single", 1, "MVTec-AD", 0.898, 0.90),
        Measured("full+2x2@0.7", 5, "MVTec-AD", 0.924, 0.916),
        Measured("2x2@0.7", 4, "MVTec-AD", 0.97, 0.97),  # better, and further away
        Measured("2x2@0.7", 4, "screws", 0.99, 0.99),
    ]
    assert nearest(table) == {"MVTec-AD": "full+2x2@0.7"}
    assert table[1].distance() == pytest.approx((0.2 + 0.1) / 2)
    assert table[3].distance() is None


def test_the_command_measures_every_named_set(tmp_path, monkeypatch):
    monkeypatch.setattr(crop_sets.measure, "__defaults__", (("single", "full+2x2@0.7"),))
    out = tmp_path / "figures.json"
    command = ["crops", "-o", str(tmp_path / "made"), "--pictures", "20", "--json", str(out)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "nothing is chosen" in result.output
    figures = json.loads(out.read_text())["figures"]
    assert len(figures) == 4
    assert all(0 <= figure["value"] <= 1 for figure in figures)
    assert {figure["name"].rpartition("/")[2] for figure in figures} < set(NAMED)
