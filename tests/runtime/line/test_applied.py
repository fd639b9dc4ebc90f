"""Thresholds that were applied while a line ran: what they override, and what ends them."""

import json
import os

import pytest

from wordsight.runtime.config.check import check
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.errors import SettingError
from wordsight.runtime.line import applied
from wordsight.runtime.line.applied import FILE, apply, drop_ended, overlaid, read_applied, undo

TEXT = (
    'model = "tiny.onnx"\n[[line]]\nname = "a"\nsource = "camera:0"\nunsure = 0.5\ndefect = 1.0\n'
    '[[line]]\nname = "b"\nsource = "camera:1"\n[[recipe]]\nname = "nut"\ndefect = 1.5\n'
)


@pytest.fixture
def looked(tmp_path, tiny_model):
    def look(text=TEXT):
        (tmp_path / "line.toml").write_text(text)
        return check(read_line_file(tmp_path / "line.toml"))

    return look


def decides(checked, line="a", recipe=None):
    known, _ = read_applied(checked.loaded.state)
    by = overlaid(checked.resolved[line, recipe], known).by
    return by.unsure, by.threshold


def test_they_override_the_line_and_recipe_that_they_are_of_and_outlive_a_restart(looked):
    checked, seen = looked(), []
    apply(checked, "a", None, 0.25, 0.75, "Ann", lambda *both: seen.append([by.threshold for by in both]))
    apply(checked, "b", "nut", None, 1.25, "Ann")
    assert seen == [[1.0, 0.75]]
    again = looked()
    assert (decides(again), decides(again, recipe="nut")) == ((0.25, 0.75), (None, 1.5))
    assert (decides(again, "b"), decides(again, "b", "nut")) == ((None, None), (None, 1.25))
    apply(again, "a", None, None, 0.875, "Bo")  # again: what it is instead of stays what the file says
    assert decides(again) == (None, 0.875)
    undo(again, "a", None, lambda *both: seen.append([by.threshold for by in both]))
    assert seen[1] == [0.875, 1.0]
    assert decides(again) == (0.5, 1.0)
    apply(again, "b", "nut", None, 1.5, "Ann")  # those of the file itself: nothing is kept
    assert read_applied(again.loaded.state) == ((), "")


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("defect = 1.0", "defect = 1.125"),
        TEXT.replace("unsure = 0.5\n", ""),
        TEXT.replace('name = "a"', 'name = "aa"'),
    ],
)
def test_a_file_that_says_otherwise_since_ends_them_for_good(looked, text):
    checked = looked()
    apply(checked, "a", None, 0.25, 0.75, "Ann")
    apply(checked, "b", None, None, 0.25, "Ann")
    later = looked(text)
    held, ended, told = drop_ended(later)
    assert [one.line for one in held] == ["b"]
    assert ["a: unsure 0.250, defect 0.750, applied" in one.ending for one in ended] == [True]
    assert told == ""
    assert decides(looked()) == (0.5, 1.0)  # and the old file, too, if it comes back
    assert drop_ended(later)[1] == ()


def test_they_are_of_what_the_scores_come_from(looked, tiny_model, onnx_writer):
    apply(looked(), "a", None, 0.25, 0.75, "Ann")
    assert decides(looked()) == (0.25, 0.75)
    with open(tiny_model, "ab") as file:
        file.write(onnx_writer.integer(99, 0))  # a field that readers pass over: the same model in another file
    assert decides(looked()) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("unsure", "defect"),
    [(None, float("nan")), (None, float("inf")), (float("nan"), 1.0), (0.9, 0.8), (-0.1, 0.5), (None, 2.5), (0.5, 1.0)],
)
def test_nonsense_is_refused_and_changes_nothing(looked, unsure, defect):
    checked = looked()
    with pytest.raises(SettingError):
        apply(checked, "a", None, unsure, defect, "Ann", lambda *both: pytest.fail("told"))
    assert not (checked.loaded.state / FILE).exists()
    for line, recipe in (("c", None), ("a", "screw")):
        with pytest.raises(SettingError, match="no line"):
            apply(checked, line, recipe, None, 0.5, "Ann")
    with pytest.raises(SettingError, match="in force already"):
        undo(checked, "a", None)


@pytest.mark.parametrize("data", ["", "{", "[]", '{"applied": 3}', '{"applied": [{}]}', '{"applied": [{"line": "a"}]}'])
def test_a_damaged_file_is_told_and_the_lines_own_count(looked, data):
    checked = looked()
    checked.loaded.state.mkdir()
    (checked.loaded.state / FILE).write_text(data)
    assert decides(checked) == (0.5, 1.0)
    assert "damaged; the file's are in force" in drop_ended(checked)[2]


def test_what_was_written_by_hand_is_held_to_the_same(looked):
    checked = looked()
    apply(checked, "a", None, 0.25, 0.75, "Ann")
    path = checked.loaded.state / FILE
    path.write_text(path.read_text().replace("0.75", "0.125"))  # below unsure
    assert decides(checked) == (0.5, 1.0)
    assert "damaged" in drop_ended(checked)[2]


def test_a_disk_that_fails_leaves_what_was(looked, monkeypatch):
    checked = looked()
    apply(checked, "a", None, 0.25, 0.75, "Ann")

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(applied, "_write", full)
    with pytest.raises(OSError, match="No space"):
        apply(checked, "a", None, 0.25, 0.875, "Ann")
    assert decides(checked) == (0.25, 0.75)


def test_config_check_says_that_they_override_the_file(looked, wordsight, tmp_path):
    apply(looked(), "a", None, 0.25, 0.75, "Ann (10.0.0.5)")
    told = wordsight("config", "check", "line.toml", cwd=tmp_path)
    assert told.code == 0
    assert "unsure 0.250, defect 0.750, applied" in told.out
    assert "by Ann (10.0.0.5), instead of unsure 0.500, defect 1.000 of the file: they override the file" in told.out
    found = json.loads(wordsight("config", "check", "line.toml", "--json", "-").out)["lines"][0]["decided_by"]
    assert [(one["recipe"], one["defect"], (one["applied"] or {}).get("who")) for one in found] == [
        (None, 0.75, "Ann (10.0.0.5)"), ("nut", 1.5, None),
    ]  # fmt: skip
    looked(TEXT.replace("defect = 1.0", "defect = 1.25"))
    told = wordsight("config", "check", "line.toml")
    assert "they end with the next start, for the file" in told.out
    assert "unsure 0.500, defect 1.250" in told.out
