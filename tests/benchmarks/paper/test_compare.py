"""Ours beside the paper's: difference and verdict at the paper's precision, files whole, blanks never filled."""

import csv
import json
import re

import pytest

from wordsight.benchmarks.paper import compare, layout, report, writers
from wordsight.benchmarks.paper.compare import Record
from wordsight.benchmarks.paper.figures import TITLES, load

SUM = (1, "MVTec-AD", "0-shot unknown object", "CLIP + ours", "AUROC")  # 92.2 ± 0.3
CLIP = (1, "MVTec-AD", "0-shot unknown object", "CLIP", "AUROC")  # 91.5, no std


def _pair(record):
    return next(pair for pair in compare.compare([record]) if pair.cell.key == record.key)


@pytest.mark.parametrize(
    ("mean", "difference", "within"),
    [
        (92.2, 0.0, True),
        (92.24, 0.0, True),
        (92.16, 0.0, True),
        (91.9, -0.3, True),
        (92.5, 0.3, True),
        (92.54, 0.3, True),
        (92.56, 0.4, False),
        (91.84, -0.4, False),
        (50.0, -42.2, False),
    ],
)
def test_the_verdict_is_the_papers_std_at_the_papers_precision(mean, difference, within):
    pair = _pair(Record(*SUM, mean=mean, std=9.0))
    assert pair.difference == difference
    assert pair.within is within
    assert str(pair.difference) != "-0.0"


def test_a_cell_without_a_std_has_a_difference_and_no_verdict():
    pair = _pair(Record(*CLIP, mean=91.5))
    assert (pair.difference, pair.within) == (0.0, None)


def test_a_blank_has_neither_and_its_reason():
    pair = _pair(Record(*SUM, reason="no weights"))
    assert (pair.difference, pair.within, layout.ours(pair)) == (None, None, [])
    assert compare.reasons([pair]) == {"no weights": 1}
    rest = compare.compare([])
    assert len(rest) == len(load())
    assert compare.reasons(rest) == {compare.NOT_GIVEN: len(load())}


def test_results_for_no_cell_or_twice_for_one_are_refused():
    with pytest.raises(ValueError, match="no cell"):
        compare.compare([Record(11, *SUM[1:], mean=1.0)])
    with pytest.raises(ValueError, match="two results"):
        compare.compare([Record(*SUM, mean=1.0), Record(*SUM, mean=1.0)])
    with pytest.raises(ValueError, match="a mean, or a reason"):
        Record(*SUM)
    with pytest.raises(ValueError, match="a mean, or a reason"):
        Record(*SUM, mean=1.0, reason="both")


@pytest.fixture
def pairs():
    return compare.compare([
        Record(*SUM, mean=92.45678, std=0.25, seeds=10, encoder="planted <&>", crops="single"),
        Record(*CLIP, reason="not <run> | yet"),
    ])  # fmt: skip


def test_the_csv_has_the_agreed_columns_and_every_cell(pairs, tmp_path):
    writers.write_csv(tmp_path / "paper.csv", pairs)
    lines = (tmp_path / "paper.csv").read_text().splitlines()
    assert lines[0] == "table,row,setup,method,metric,mean,std,ours_mean,ours_std"
    rows = {tuple(row[:5]): row[5:] for row in csv.reader(lines[1:])}
    assert len(rows) == len(load())
    assert rows[tuple(map(str, SUM))] == ["92.2", "0.3", "92.4568", "0.25"]
    assert rows[tuple(map(str, CLIP))] == ["91.5", "", "", ""]
    assert sum(1 for values in rows.values() if values[2]) == 1, "what was not run is never filled"


def test_the_json_is_as_every_command_writes_it(pairs, tmp_path):
    writers.write_json(tmp_path / "paper.json", pairs)
    document = json.loads((tmp_path / "paper.json").read_text())
    assert document["command"] == "bench paper"
    assert document["machine"]["python"]
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert len(figures) == len(load())
    ours = figures["paper.table1/MVTec-AD/0-shot unknown object/CLIP + ours/AUROC"]
    assert (ours["value"], ours["unit"], ours["n"], ours["paper_mean"]) == (92.45678, "%", 10, 92.2)
    assert (ours["low"], ours["high"]) == (pytest.approx(92.20678), pytest.approx(92.70678))
    assert (ours["difference"], ours["within_one_std"], ours["encoder"]) == (0.3, True, "planted <&>")
    blank = figures["paper.table1/MVTec-AD/0-shot unknown object/CLIP/AUROC"]
    assert (blank["value"], blank["reason"], blank["difference"]) == (None, "not <run> | yet", None)


def test_markdown_shows_all_tables_with_rows_of_equal_length(pairs, tmp_path):
    writers.write_markdown(tmp_path / "paper.md", pairs)
    text = (tmp_path / "paper.md").read_text()
    for number, title in TITLES.items():
        part = text.split(f"## Table {number}. {title}\n")[1].split("\n## ")[0]
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in part.splitlines() if line.startswith("|")}
        assert len(widths) == 1, number
    assert "| 92.2 ± 0.3†<br>**92.5 ± 0.2**<br>**+0.3, within** |" in text
    assert "not run, 1 cells: not <run> | yet" in text
    assert "encoder planted <&>, crops: single" in text
    assert "Table 8 averages 84.0" in text


def test_the_page_escapes_what_it_shows_and_counts_what_was_measured(pairs, tmp_path):
    path = tmp_path / "paper.html"
    report.write_html(path, pairs, [("a <figure>", b"\x89PNG")], [("Figure 4", "no <runs>")])
    text = path.read_text()
    assert "<b>1</b><span class=soft>of 991 cells measured here" in text
    assert "not &lt;run&gt; | yet" in text
    assert "a &lt;figure&gt;" in text
    assert "data:image/png;base64,iVBORw==" in text
    assert "no &lt;runs&gt;" in text
    assert not re.search(r"<(run|runs|&)>|https?://", text)
    assert text.count("<h2>Table ") == 10


def test_a_file_that_cannot_be_written_leaves_the_older_one(pairs, tmp_path, monkeypatch):
    path = tmp_path / "paper.csv"
    path.write_text("older")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        writers.write_csv(path, pairs)
    assert [p.name for p in tmp_path.iterdir()] == ["paper.csv"]
    assert path.read_text() == "older"


def test_grids_are_the_papers_tables():
    grids = layout.grids(compare.compare([]))
    shapes = [(len(grid.lines), len(grid.columns)) for grid in grids]
    assert shapes == [(23, 6), (4, 3), (4, 8), (3, 3), *[(15, 10)] * 3, *[(12, 10)] * 3]
    regad = next(line for line in grids[0].lines if line[1] == "RegAD (quoted)")
    assert [pair is not None for pair in grids[0].row(regad)] == [True, *[False] * 5]
