"""The command: tables and files without weights or data, filled by results, clear about what it cannot use."""

import csv
import json

import pytest
import typer
from typer.testing import CliRunner

from wordsight.benchmarks.paper.cli import paper
from wordsight.benchmarks.paper.plan import sweep_settings
from wordsight.benchmarks.paper.results import ResultError, save_run
from wordsight.benchmarks.paper.sentences import CaptionsError

app = typer.Typer()
app.command()(paper)

FILES = {"paper.csv", "paper.md", "paper.json", "paper.html"}


def _run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _rows(folder):
    with open(folder / "paper.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_without_weights_or_data_all_tables_are_printed_and_ours_stay_blank(tmp_path):
    out = tmp_path / "new" / "folder"
    result = _run("-o", out, "--no-figures", "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    for number in range(1, 11):
        assert f"Table {number}. " in result.stdout
    assert "no folder of results was given" in result.stdout
    assert {path.name for path in out.iterdir()} == FILES
    assert len(_rows(out)) == 991
    assert {(row["ours_mean"], row["ours_std"]) for row in _rows(out)} == {("", "")}
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert all(figure["value"] is None and figure["reason"] for figure in figures)


def test_figures_of_mini_are_drawn_and_the_sweep_says_why_not(tmp_path):
    result = _run("-o", tmp_path, "--prompts", 8, "--pairs", 64)
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"figure3.png", "figure5.png"}
    assert "not drawn: Figure 4, AUROC by N_p: not run" in result.stderr
    page = (tmp_path / "paper.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "our own sentences" in page


def test_results_fill_their_cells_and_the_sweep(planted, tmp_path):
    for run in planted.runs(sweep_settings(10_000), range(3)) + planted.runs(sweep_settings(1_000), range(3)):
        save_run(tmp_path / "runs", run)
    # The results' encoder is not at hand here: its tables and its sweep are shown all the same.
    result = _run("-o", tmp_path / "out", "--results", tmp_path / "runs", "--encoder", "planted")
    assert result.exit_code == 0, result.output
    filled = [row for row in _rows(tmp_path / "out") if row["ours_mean"]]
    # Three metrics of Table 1's line, and the 15 classes of Tables 5, 6 and 7.
    assert [row["table"] for row in filled] == ["1"] * 3 + ["5"] * 15 + ["6"] * 15 + ["7"] * 15
    assert {row["ours_mean"] for row in filled} == {"90", "80", "70"}
    assert (tmp_path / "out" / "figure4.png").is_file()
    assert not (tmp_path / "out" / "figure3.png").exists()
    assert "ours: encoder planted, crops: single" in result.stdout
    assert "not drawn: Figure 3" in result.stderr


@pytest.mark.parametrize("arguments", [["--captions", "none.json"], ["--results", "none"]])
def test_bad_input_is_refused_before_anything_is_written(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    result = _run("-o", "out", *arguments)
    assert isinstance(result.exception, (CaptionsError, ResultError))
    assert result.exception.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_unknown_encoder_is_refused_before_anything_is_written(tmp_path):
    from wordsight.train.errors import EncoderError

    result = _run("-o", tmp_path / "out", "--encoder", "minni")
    assert isinstance(result.exception, EncoderError)
    assert not (tmp_path / "out").exists()
