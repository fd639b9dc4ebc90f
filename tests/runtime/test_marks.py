"""Marks of the page as what a calibration is checked with; the model scores a grey picture of level g 2 g / 255."""

import itertools
import json

import numpy as np
import pytest

from wordsight.runtime.calibration import read_calibration
from wordsight.runtime.files import file_sha256

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")


@pytest.fixture
def parts(tmp_path, tiny_model, save_picture):
    """A folder with tiny.onnx and good/ with 30 greys of 60 to 89: unsure and defect lie between 0.55 and 0.71."""
    for grey in range(60, 90):
        save_picture(tmp_path / "good" / f"g{grey}.png", grey)
    return tmp_path


@pytest.fixture
def mark(parts):
    """Append a mark: (score, verdict, changes) -> None."""
    numbers = itertools.count(1)
    by = {"model_sha256": file_sha256(parts / "tiny.onnx"), "object": "object", "references": None}

    def append(score, verdict, file="marks.jsonl", **changes):
        count = next(numbers)
        told = {"event_id": f"e{count}", "kind": "frame", "line": "a", "source": f"p{count}.png", "frame": 0}
        told |= {"score": score, "decision": "defect", "scored_by": by, "mark": verdict, **changes}
        with open(parts / file, "a") as out:
            out.write(json.dumps(told) + "\n")

    append.by = by
    return append


@pytest.fixture
def calibrate(parts, wordsight):
    def call(*words):
        done = wordsight(
            "calibrate", "tiny.onnx", "good", "--false-alarms", "0.1", *words, "--json", "f.json", cwd=parts
        )
        if done.code:
            return done, {}
        told = json.loads((parts / "f.json").read_text())["figures"]
        return done, {figure["name"]: (figure["value"], figure["n"]) for figure in told}

    return call


def test_marks_are_decided_anew_and_move_nothing(parts, mark, calibrate):
    assert calibrate()[0].code == 0
    before = read_calibration(parts / "tiny.onnx.calibration.json")
    middle = (before.unsure + before.defect) / 2
    for score, verdict in ((0.1, "right"), (middle, "right"), (0.9, "right"), (0.9, "right")):
        mark(score, verdict)
    for score, verdict in ((0.2, "false alarm"), (0.3, "false alarm"), (1.5, "false alarm")):
        mark(score, verdict)
    mark(0.2, "false alarm", reason="too dark")  # and so it stays
    done, figures = calibrate("--check", "marks.jsonl")
    after = read_calibration(parts / "tiny.onnx.calibration.json")
    assert (after.unsure, after.defect, after.scores) == (before.unsure, before.defect, before.scores)
    assert {name: value for name, value in figures.items() if name.startswith("marked")} == {
        "marked_right.good": (0.25, 4), "marked_right.unsure": (0.25, 4), "marked_right.defect": (0.5, 4),
        "marked_false_alarm.good": (0.5, 4), "marked_false_alarm.unsure": (0.25, 4),
        "marked_false_alarm.defect": (0.25, 4),
    }  # fmt: skip
    assert "marked right, and good by these thresholds: p1.png #0" in done.out
    assert "marked false alarm" in done.out
    assert figures["check.defect"][0] is None


def test_pictures_and_marks_go_together(parts, mark, calibrate, save_picture):
    mark(0.9, "right")
    save_picture(parts / "bad" / "b.png", np.full((40, 40, 3), (170, 90, 20), np.uint8))  # its grey level is usual
    _, figures = calibrate("--check", "bad", "marks.jsonl")
    assert figures["check.defect"] == (1.0, 1)
    assert figures["marked_right.defect"] == (1.0, 1)
    assert figures["marked_false_alarm.good"][0] is None


def test_the_last_mark_of_an_event_counts_also_across_files(parts, mark, calibrate):
    mark(0.9, "right", "marks.000001.jsonl", event_id="x")
    mark(0.9, "right", "marks.000001.jsonl", event_id="y")
    mark(0.9, "false alarm", event_id="x")
    mark(0.9, None, event_id="y")
    _, figures = calibrate("--check", "marks.jsonl")
    assert figures["marked_false_alarm.defect"] == (1.0, 1)
    assert figures["marked_right.defect"][0] is None


def test_scores_of_anything_else_are_left_out_and_counted(parts, mark, calibrate):
    mark(0.9, "right")
    mark(0.1, "right", line="b")
    mark(0.1, "right", scored_by={**mark.by, "model_sha256": "ab" * 32})
    mark(0.1, "right", scored_by={**mark.by, "object": "screw"})
    mark(0.1, "right", scored_by=None)
    mark(0.1, "right", kind="part")
    mark("0.1", "right")
    mark(0.1, "perhaps")
    done, figures = calibrate("--check", "marks.jsonl", "--line", "a")
    assert figures["marked_right.defect"] == (1.0, 1)
    assert sorted(done.err.strip().removeprefix("marks left out: ").split(", ")[:1]) == ["2 of another model"]
    for told in ("1 of other lines", "1 of parts", "1 that do not say what the score comes from", "2 that are damaged"):
        assert told in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--check", "marks.jsonl"], "expected marks to check with, got none that can be used: 1 of another model"),
        (["--check", "none.jsonl"], "cannot read none.jsonl: no such file or directory"),
        (["--check", "empty.jsonl"], "got none that can be used; mark events on the page"),
        (["--line", "a"], "--line goes with --check marks.jsonl"),
        (["--check", "marks.jsonl", "-o", "marks.jsonl"], ""),
    ],
)
def test_where_there_is_nothing_to_check_with_nothing_is_done(parts, mark, calibrate, words, told):
    mark(0.9, "right", scored_by={**mark.by, "model_sha256": "ab" * 32})
    (parts / "empty.jsonl").touch()
    before = (parts / "marks.jsonl").read_bytes()
    done, _ = calibrate(*words)
    assert done.code != 0
    assert told in done.err
    assert len(done.lines) == 1
    assert (parts / "marks.jsonl").read_bytes() == before
    assert not (parts / "tiny.onnx.calibration.json").exists()
