"""`wordsight bench rivals` as a user runs it: every cell, resumed where it was, and refused in one line."""

import csv
import json

import pytest
from typer.testing import CliRunner

from wordsight.benchmarks.cli import app
from wordsight.benchmarks.rivals import runner

METHODS = "clip,fnn,spade,regad,img"
FEW = ["--shots", "1,4", "--draws", "2", "--pairs", "300", "--regad-steps", "2", "--methods", METHODS]


def invoke(*words):
    return CliRunner().invoke(app, ["rivals", *map(str, words)])


def said(result):
    return str(result.exception) if result.exception else result.output


@pytest.fixture(scope="module")
def done(two_sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rivals")
    document = folder / "rivals-page.md"
    document.write_text("before\n<!-- rivals: begin -->\nold\n<!-- rivals: end -->\nafter\n")
    command = [*two_sets, "-o", folder / "out", *FEW, "--into", document, "--json", folder / "figures.json"]
    first = invoke(*command)
    assert first.exit_code == 0, first.output
    return folder, command, first.output


def lines_of(folder):
    with (folder / "out" / "rivals.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_cell_is_filled(done):
    folder, _, _ = done
    cells = list((folder / "out" / "cells").rglob("*.json"))
    assert len(cells) == 2 * (1 + 2 + 3 * 2 * 2)
    whole = [line for line in lines_of(folder) if not line["class"]]
    assert len(whole) == 2 * (2 + 3 * 2) * 5
    empty = {(line["dataset"], line["method"]) for line in whole if not line["mean"]}
    mapless = {("discs", title) for title in ("CLIP (s_pr)", "CLIP + FNN + s_img")}
    assert {pair for pair in empty if pair[0] == "discs"} == mapless
    (ours,) = [
        line for line in whole if (line["dataset"], line["method"], line["metric"]) == ("discs", "CLIP + FNN", "aupro")
    ]
    assert (ours["draws"], ours["std"]) == ("1", "")  # all heads together make one map
    assert {line["metric"] for line in whole if not line["mean"]} == {"pixel_auroc", "aupro"}


def test_what_is_planted_is_found_by_every_method(done):
    folder, _, _ = done
    wanted = [line for line in lines_of(folder) if line["metric"] == "auroc" and line["setup"] in ("0-shot", "4-shot")]
    found = {(line["method"], line["dataset"]): float(line["mean"]) for line in wanted}
    assert {method for method, _ in found} == {"CLIP (s_pr)", "CLIP + FNN", "SPADE", "RegAD", "CLIP + FNN + s_img"}
    low = {pair: value for pair, value in found.items() if value <= 0.9}
    assert not low


def test_the_table_stands_between_its_marks_and_says_what_it_was_made_with(done):
    folder, _, output = done
    text = (folder / "rivals-page.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "Backbone mini; 2 draws, seed 0." in text
    assert "10 good and 10 defective pictures" in text
    assert "CLIP + FNN" in output
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["command"] == "bench rivals"
    assert all(f["reason"] if f["value"] is None else 0 <= f["value"] <= 1 for f in figures["figures"])


def test_a_second_run_measures_only_what_is_missing(done, monkeypatch):
    folder, command, _ = done
    cells = sorted((folder / "out" / "cells").rglob("*.json"))
    lost = next(path for path in cells if path.name.startswith("spade.4shot.draw1"))
    before, page = lost.read_text(), (folder / "rivals-page.md").read_text()
    times = {path: path.stat().st_mtime_ns for path in cells}
    lost.unlink()
    assert invoke(*command).exit_code == 0
    assert json.loads(lost.read_text()) == json.loads(before)
    assert {path for path in cells if path.stat().st_mtime_ns != times[path]} == {lost}
    assert (folder / "rivals-page.md").read_text() == page


def test_killed_after_a_cell_it_goes_on_from_there(two_sets, done, tmp_path, monkeypatch):
    command = [two_sets[0], "-o", tmp_path, "--shots", "1", "--draws", "3", "--methods", "spade"]
    real, saved = runner.save, []

    def killed(folder, result, identity):
        real(folder, result, identity)
        saved.append(result.cell)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "save", killed)
    assert invoke(*command).exit_code != 0
    assert len(list(tmp_path.rglob("*.json"))) == 1
    monkeypatch.setattr(runner, "save", lambda *given: (saved.append(given[1].cell), real(*given)))
    assert invoke(*command).exit_code == 0
    assert [cell.draw for cell in saved] == [0, 1, 2]


def test_draws_are_the_same_for_all_methods(done):
    folder, _, _ = done
    by_draw = {}
    for path in (folder / "out" / "cells" / "discs").rglob("*.json"):
        cell = json.loads(path.read_text())
        by_draw.setdefault((cell["shots"], cell["draw"]), set()).add(cell["identity"].get("support"))
        assert cell["identity"]["test"]
    for (shots, _), support in by_draw.items():
        assert len(support) == 1
        assert (support == {None}) == (shots == 0)
    assert len({next(iter(support)) for (shots, _), support in by_draw.items() if shots == 4}) == 2


def test_regad_alone_says_what_it_lacks(two_sets, tmp_path):
    result = invoke(two_sets[0], "-o", tmp_path, "--shots", "1", "--draws", "1", "--methods", "spade,regad")
    assert result.exit_code == 0
    assert "give a second set" in (tmp_path / "rivals.md").read_text()


def test_without_a_text_side_ours_says_what_it_lacks(two_sets, tmp_path):
    import torch
    from torchvision import models

    torch.manual_seed(0)
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    few = ["--shots", "1", "--draws", "1", "--methods", "spade,img", "--good", "2", "--defective", "2"]
    backbone = f"resnet18:{tmp_path / 'resnet18.pth'}"
    result = invoke(two_sets[0], "-o", tmp_path / "out", *few, "--backbone", backbone)
    assert result.exit_code == 0, said(result)
    text = (tmp_path / "out" / "rivals.md").read_text()
    assert "name one with --encoder" in text
    assert "Backbone resnet18 (resnet18.pth)" in text
    assert str(tmp_path) not in text
    assert "| 1-shot | SPADE | " in text


def test_more_shots_than_good_pictures_is_one_line_and_nothing_is_made(two_sets, tmp_path):
    result = invoke(*two_sets, "-o", tmp_path / "out", "--shots", "1,7", "--methods", "spade")
    assert result.exception.exit_code == 2
    assert said(result).splitlines() == [
        "discs has 6 good pictures to draw from, --shots asks for 7: give smaller shots, or more pictures in train/good"
    ]
    assert not (tmp_path / "out").exists()


def test_without_anomalibs_environment_it_ends_at_once_and_says_what_makes_it(two_sets, tmp_path):
    result = invoke(two_sets[0], "-o", tmp_path, "--shots", "1", "--methods", "padim", "--peers", tmp_path / "python")
    assert result.exception.exit_code == 3
    assert said(result).endswith("make peers-env")
    assert len(said(result).splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--methods", "knn"], "--methods takes"),
        (["--shots", "none"], "--shots takes"),
        (["--backbone", "resnet18"], "needs a file"),
        (["--into", "/nowhere/page.md"], "--into /nowhere/page.md"),
    ],
)
def test_wrong_use_is_one_line(two_sets, tmp_path, words, says):
    result = invoke(two_sets[0], "-o", tmp_path, "--methods", "spade", *words)
    assert result.exception.exit_code == 2
    assert says in said(result)
    assert len(said(result).splitlines()) == 1


def test_nothing_to_measure_on(tmp_path):
    result = invoke("-o", tmp_path)
    assert result.exception.exit_code == 2
    assert "--generator" in said(result)


def test_the_generators_nouns_are_measured_as_classes(tmp_path):
    result = invoke("-o", tmp_path, "--generator", "--pictures", "40", "--shots", "1", "--draws", "1", "--methods",
                    "spade,regad", "--regad-steps", "1")  # fmt: skip
    assert result.exit_code == 0, said(result)
    assert "mean of 10 classes, 20 good and 20 defective pictures" in (tmp_path / "rivals.md").read_text()
    assert len(list(tmp_path.glob("regad-*.safetensors"))) == 1  # one training serves all nouns
