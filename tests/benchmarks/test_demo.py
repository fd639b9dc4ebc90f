"""What the demo leaves on disk, without the minute that training takes."""

import json

import numpy as np
import pytest

from wordsight.benchmarks.datasets import held_out, read_folder
from wordsight.benchmarks.demo import read_scores, write_pictures


def test_pictures_come_back_from_the_folder_as_they_were_drawn(tmp_path):
    drawn = held_out(20)
    write_pictures(drawn, tmp_path)
    found = read_folder(tmp_path)
    assert len(found.test) == 20
    assert len(found.fit) == len(drawn.fit) == 10
    number = {int(sample.path.stem[-5:]): sample for sample in found.test}
    for i, sample in enumerate(drawn.test):
        np.testing.assert_array_equal(number[i].load(), sample.load())
        assert (number[i].label, number[i].kind) == (sample.label, sample.kind)
        if sample.label:
            np.testing.assert_array_equal(number[i].load_mask(), sample.load_mask())


def test_pictures_of_an_earlier_run_are_removed_and_others_are_left(tmp_path):
    write_pictures(held_out(20), tmp_path)
    (tmp_path / "test" / "good" / "mine.png").write_bytes(b"x")
    write_pictures(held_out(6), tmp_path)
    assert len(list(tmp_path.glob("test/*/*_[0-9]*.png"))) == 6
    assert (tmp_path / "test" / "good" / "mine.png").exists()


def test_labels_come_from_the_folders(tmp_path):
    rows = [{"source": "p/test/good/a.png", "score": 0.1}, {"source": "p/test/crack/b.png", "score": 1.5}]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels, scores = read_scores(tmp_path / "scores.jsonl")
    assert labels == [0, 1]
    assert scores == pytest.approx([0.1, 1.5])
