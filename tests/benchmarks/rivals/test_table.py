"""The table against figures worked out by hand, and the files of cells."""

import csv
import json

import numpy as np
import pytest

from wordsight.benchmarks.rivals import table
from wordsight.benchmarks.rivals.methods import Cell
from wordsight.benchmarks.rivals.results import CellError, Result, load, path_of, save


def result(method="spade", category="a", shots=1, draw=0, auroc=0.5, pixel=None, section="set"):
    figures = {"auroc": auroc, "aupr": 0.6, "f1_max": 0.7, "pixel_auroc": pixel, "aupro": pixel}
    return Result(Cell(section, category, method, shots, draw), figures, 10, 5)


def test_classes_are_averaged_within_each_draw_first():
    results = [result(category=c, draw=d, auroc=a)
               for c, d, a in [("a", 0, 0.5), ("a", 1, 0.7), ("b", 0, 0.9), ("b", 1, 0.7)]]  # fmt: skip
    (row,) = table.rows(results)
    assert (row.good, row.defective) == (20, 10)
    assert row.values["auroc"].mean == pytest.approx(0.7)
    assert row.values["auroc"].std == pytest.approx(np.std([0.7, 0.7], ddof=1))
    (alone,) = table.rows(results, "a")
    assert alone.values["auroc"].std == pytest.approx(np.std([0.5, 0.7], ddof=1))


def test_a_draw_that_one_class_lacks_has_no_mean():
    (row,) = table.rows([result(category="a", pixel=0.8), result(category="b", pixel=None)])
    assert "pixel_auroc" not in row.values
    assert row.values["auroc"].draws == 1
    assert row.values["auroc"].std is None


def test_rows_are_by_shots_then_as_in_the_paper():
    results = [result("img", shots=1), result("spade", shots=2), result("spade", shots=1), result("fnn", shots=0)]
    assert [(row.setup, row.method) for row in table.rows(results)] == [
        ("0-shot", "fnn"), ("1-shot", "spade"), ("1-shot", "img"), ("2-shot", "spade")
    ]  # fmt: skip


def test_files_say_the_same_and_blanks_have_reasons(tmp_path):
    blank = Result(Cell("set", "a", "regad", 1, 0), reason="no other set")
    results = [result(draw=0, auroc=0.5), result(draw=1, auroc=0.6, pixel=0.25), blank]
    table.write(tmp_path, results, "Made by hand.", tmp_path / "figures.json")
    text = (tmp_path / "rivals.md").read_text()
    assert "| 1-shot | SPADE | 55.0 ± 7.1 | 60.0 ± 0.0 | 70.0 ± 0.0 | 25.0 | 25.0 |" in text
    assert "| 1-shot | RegAD | no other set |" in text
    assert "### set, 10 good and 5 defective pictures" in text
    assert "Made by hand." in text
    with (tmp_path / "rivals.csv").open() as file:
        lines = list(csv.DictReader(file))
    spade = next(line for line in lines if line["method"] == "SPADE" and line["metric"] == "auroc")
    assert (float(spade["mean"]), spade["draws"], spade["class"]) == (0.55, "2", "")
    assert any(line["class"] == "a" for line in lines)
    figures = {f["name"]: f for f in json.loads((tmp_path / "figures.json").read_text())["figures"]}
    assert figures["rivals/set/1-shot/spade/auroc"]["value"] == pytest.approx(0.55)
    assert figures["rivals/set/1-shot/regad/auroc"]["reason"] == "no other set"
    assert (tmp_path / "figures.json").read_text() == (tmp_path / "rivals.json").read_text()


def test_a_cell_is_told_by_all_it_hangs_on(tmp_path):
    one = result()
    save(tmp_path, one, {"backbone": "x", "test": "y"})
    assert load(tmp_path, one.cell, {"test": "y", "backbone": "x"}) == one
    assert load(tmp_path, one.cell, {"backbone": "z", "test": "y"}) is None
    assert load(tmp_path, result(draw=1).cell, {"backbone": "x", "test": "y"}) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"figures": {"auroc": 2}, "good": 1, "defective": 1}'])
def test_a_damaged_cell_is_named(tmp_path, content):
    cell = result().cell
    save(tmp_path, result(), {})
    path_of(tmp_path, cell, {}).write_text(content)
    with pytest.raises(CellError, match="delete it and run again"):
        load(tmp_path, cell, {})


def test_a_result_has_figures_or_a_reason():
    with pytest.raises(ValueError, match="or a reason"):
        Result(result().cell)
    with pytest.raises(ValueError, match="fraction"):
        result(auroc=float("nan"))
