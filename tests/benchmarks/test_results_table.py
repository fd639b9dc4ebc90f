"""`wordsight bench results`: the rows against scores worked out by hand, and the command from nothing, twice."""

import csv
import json
from itertools import islice

import numpy as np
import pytest
from typer.testing import CliRunner

from wordsight.benchmarks.building import exported
from wordsight.benchmarks.cli import app
from wordsight.benchmarks.collect import collect
from wordsight.benchmarks.datasets import Dataset, Sample
from wordsight.benchmarks.methods import METHODS, Outputs, references
from wordsight.benchmarks.results_table import rows
from wordsight.benchmarks.shots import CannotFill
from wordsight.runtime import Model
from wordsight.train.fit import Settings
from wordsight.train.mini import training_nouns

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def outputs():
    rng = np.random.default_rng(4)
    return Outputs(
        labels=np.array([0, 0, 1, 1]), groups=np.array(["a", "b", "a", "b"]),
        s_pr=np.array([0.1, 0.4, 0.3, 0.9]), s_pr_known=np.array([0.1, 0.2, 0.3, 0.9]),
        s_fnn_seeds=np.array([[0.2, 0.9], [0.1, 0.1], [0.8, 0.2], [0.9, 0.3]]),
        s_winclip=np.array([0.1, 0.6, 0.5, 0.9]), s_winclip_known=np.array([0.9, 0.8, 0.2, 0.1]),
        s_association=np.stack([[[0.2, 0.2, 0.8, 0.8], [0, 0, 0, 1]], np.ones((2, 4)), np.full((2, 4), np.nan)]),
        embedding=unit(rng.normal(size=(4, 5))), good_embedding=unit(rng.normal(size=(6, 5))),
        good_groups=np.array(["a", "b"] * 3),
    )  # fmt: skip


def test_rows_are_the_methods_of_the_paper(outputs):
    table = {(row.setup, row.method): row for row in rows("set", "single", outputs)}
    assert len(table) == len(METHODS)
    # Of the four pairs of a good and a defective picture, s_pr orders three rightly; told the object, all four.
    assert table["0-shot unknown object", "CLIP (s_pr)"].cells["auroc"].mean == 0.75
    assert table["0-shot known object", "CLIP (s_pr)"].cells["auroc"].mean == 1.0
    # The first head is right throughout, the second in two of four pairs.
    alone = table["0-shot unknown object", "FNN alone (s_fnn)"].cells["auroc"]
    assert (alone.mean, alone.seeds) == (0.75, 2)
    assert alone.std == pytest.approx(np.std([1.0, 0.5], ddof=1))
    # WinCLIP's unknown orders three of four pairs rightly, told the object none.
    assert table["0-shot unknown object", "WinCLIP"].cells["auroc"].mean == 0.75
    assert table["0-shot known object", "WinCLIP"].cells["auroc"].mean == 0.0


def test_a_file_without_winclips_outputs_says_so(outputs):
    bare = Outputs(**{**vars(outputs), "s_winclip": np.zeros(0), "s_winclip_known": np.zeros(0)})
    table = {(row.setup, row.method): row for row in rows("set", "single", bare)}
    assert "no s_winclip" in table["0-shot known object", "WinCLIP"].reason
    assert "no s_winclip" in table["1-shot", "WinCLIP+"].reason
    nothing = Outputs(**{**vars(outputs), "s_association": np.zeros(0)})
    table = {(row.setup, row.method): row for row in rows("set", "single", nothing)}
    assert "ViT" in table["2-shot", "s_img, association"].reason
    assert "ViT" in table["2-shot", "WinCLIP+"].reason


def test_few_shot_rows_take_the_association_of_their_own_shots(outputs):
    table = {(row.setup, row.method): row for row in rows("set", "single", outputs)}
    # Two references say nothing (all ties); of four references the groups have three good pictures.
    assert table["2-shot", "s_img, association"].cells["auroc"].mean == 0.5
    assert "4 references asked for" in table["4-shot", "s_img, association"].reason
    # What is the same for all pictures changes no order.
    both = np.array([outputs.s_pr + head + 1 for head in outputs.s_fnn_seeds.T])
    expected = [np.mean([[(bad > good) + (bad == good) / 2 for good in row[:2]] for bad in row[2:]]) for row in both]
    assert table["2-shot", "CLIP + FNN + s_img, association"].cells["auroc"].mean == pytest.approx(np.mean(expected))
    # WinCLIP+ names the object where it has a name: s_winclip_known orders none rightly.
    assert table["2-shot", "WinCLIP+"].cells["auroc"].mean == 0.0


def test_multi_crop_has_rows_of_its_own_methods_alone(outputs):
    assert {row.method for row in rows("set", "full+2x2@0.7", outputs)} == {
        "CLIP (s_pr)", "FNN alone (s_fnn)", "CLIP + FNN", "WinCLIP"
    }  # fmt: skip


def test_references_are_of_the_pictures_own_group(outputs):
    s_img = references(outputs, shots=3, draws=2)  # all there are, so that the draw cannot matter
    for i, group in enumerate(outputs.groups):
        cosines = outputs.good_embedding[outputs.good_groups == group] @ outputs.embedding[i]
        np.testing.assert_allclose(s_img[:, i], (1 - cosines.max()) / 2, atol=1e-6)


def test_more_references_than_there_are_cannot_be_drawn(outputs):
    with pytest.raises(CannotFill, match="4 references asked for, the set has 3"):
        references(outputs, shots=4, draws=1)


def test_an_object_without_a_name_leaves_its_cells_blank_with_the_reason(outputs):
    nameless = Outputs(**{**vars(outputs), "s_pr_known": np.zeros(0)})
    blank = [row for row in rows("set", "single", nameless) if row.setup == "0-shot known object"]
    assert all(row.cells is None for row in blank)
    assert "no name" in blank[0].reason


def test_the_command_goes_on_where_it_was(tmp_path):
    document = tmp_path / "results.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    command = ["results", "-o", str(tmp_path / "out"), "--seeds", "2", "--pairs", "200", "--pictures", "40",
               "--into", str(document)]  # fmt: skip
    first = CliRunner().invoke(app, command, catch_exceptions=False)
    assert first.exit_code == 0
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir() if path.suffix in (".onnx", ".npz")}
    assert len(kept) == 4

    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    with (tmp_path / "out" / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    figures = json.loads((tmp_path / "out" / "results.json").read_text())["figures"]
    assert len(lines) == len(figures) == 3 * (len(METHODS) + 7)
    assert all(figure["reason"] if figure["value"] is None else 0 <= figure["value"] <= 1 for figure in figures)

    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert document.read_text() == text


def test_each_picture_is_asked_for_its_own_object(tmp_path):
    # A file may know more objects than the set, in another order: columns are told by name.
    head = exported("mini", Settings(num_pairs=40), range(1), tmp_path, "single", ["aa", "washer", "zz", "bolt"])
    frames = [picture.image for picture in islice(training_nouns(4, seed=9), 4)]
    nouns = ["bolt", "washer", "bolt", "washer"]
    samples = [Sample(f"{i}", i % 2, "good", noun, frame=frame)
               for i, (noun, frame) in enumerate(zip(nouns, frames, strict=True))]  # fmt: skip
    with Model(head) as model:
        outputs = collect(model, Dataset("two nouns", samples, samples[:1]), tmp_path / "kept.npz")
    for row, (noun, frame) in enumerate(zip(nouns, frames, strict=True)):
        with Model(head, object=noun) as model:
            assert outputs.s_pr_known[row] == pytest.approx(float(model.score([frame]).s_pr[0]), abs=1e-6)
    assert len(np.unique(np.round(outputs.s_pr_known, 6))) > 1


def test_a_document_without_marks_is_refused_before_the_work(tmp_path):
    document = tmp_path / "results.md"
    document.write_text("nothing\n")
    result = CliRunner().invoke(app, ["results", "-o", str(tmp_path / "out"), "--into", str(document)])
    assert result.exit_code != 0
    assert "expected a line" in str(result.exception)
    assert document.read_text() == "nothing\n"
