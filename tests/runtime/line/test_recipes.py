"""Which recipe is in force, and the command that selects it."""

import json

import pytest

from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.errors import SettingError
from wordsight.runtime.line.recipes import FILE, named, read_selection, select

TEXT = (
    'model = "m.onnx"\nstart_recipe = "nut"\n'
    '[[line]]\nname = "a"\nsource = "x"\n[[line]]\nname = "b"\nsource = "x"\n'
    '[[recipe]]\nname = "nut"\nnumber = 1\n[[recipe]]\nname = "1"\nnumber = 2\n[[recipe]]\nname = "screw"\n'
)


@pytest.fixture
def loaded(tmp_path):
    path = tmp_path / "line.toml"
    path.write_text(TEXT)
    return read_line_file(path)


def of(loaded):
    selection, told = read_selection(loaded)
    return selection.of("a"), selection.of("b"), told


def test_selected_for_all_or_for_one_line_and_kept(loaded):
    assert of(loaded) == ("nut", "nut", "")
    select(loaded, "screw", "b")
    assert of(loaded) == ("nut", "screw", "")  # the other line keeps what it had
    select(loaded, "2")
    assert of(loaded) == ("1", "1", "")
    select(loaded, None, "a")
    assert of(loaded) == (None, "1", "")


def test_a_name_comes_before_a_number(loaded):
    assert named(loaded, "1") == "1"
    assert named(loaded, "2") == "1"
    with pytest.raises(SettingError, match=r"no recipe '3'; there are nut \(1\), 1 \(2\), screw"):
        named(loaded, "3")
    with pytest.raises(SettingError, match="did you mean 'screw'"):
        named(loaded, "scrw")
    with pytest.raises(SettingError, match="no line 'c'; there are a, b"):
        select(loaded, "nut", "c")


@pytest.mark.parametrize(
    "data", ["", "{", "[]", '{"all": 3, "lines": {}}', '{"all": null}', '{"all": "x", "lines": {"a": []}}']
)
def test_a_damaged_file_is_told_and_the_start_recipe_counts(loaded, data):
    loaded.state.mkdir()
    (loaded.state / FILE).write_text(data)
    first, second, told = of(loaded)
    assert (first, second) == ("nut", "nut")
    assert "damaged; as at the start" in told


def test_a_recipe_that_is_no_more_is_told(loaded):
    loaded.state.mkdir()
    (loaded.state / FILE).write_text(json.dumps({"all": "old", "lines": {}}))
    assert of(loaded)[:2] == ("nut", "nut")
    assert "the recipe 'old' that was selected is no more in" in of(loaded)[2]


def test_the_command(loaded, wordsight, tmp_path):
    assert wordsight("recipe", "line.toml", "screw", "--line", "b", cwd=tmp_path).out == "b: screw\n"
    told = wordsight("recipe", "line.toml").out
    assert told == "nut (1): selected for a\n1 (2)\nscrew: selected for b\n"
    assert wordsight("recipe", "line.toml", "--none").out == "a: its own settings\nb: its own settings\n"
    assert wordsight("recipe", "line.toml").out.endswith("their own settings: a, b\n")
    wrong = wordsight("recipe", "line.toml", "scrw")
    assert wrong.code == 2
    assert wrong.err == "wordsight: no recipe 'scrw'; did you mean 'screw'?; there are nut (1), 1 (2), screw\n"
