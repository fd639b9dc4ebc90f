"""What the footprint measures, on folders and processes that are known."""

import os
import venv

import pytest

from wordsight.benchmarks import footprint, timing
from wordsight.runtime.errors import SettingError, WordsightError


def test_bytes_of_a_folder_count_each_file_once(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (tmp_path / "inner" / "b").write_bytes(b"x" * 500)
    os.link(tmp_path / "a", tmp_path / "inner" / "twin")
    os.symlink(tmp_path / "a", tmp_path / "link")
    assert footprint.folder_bytes(tmp_path) == 1500


def test_an_environment_without_python_is_refused(tmp_path):
    with pytest.raises(SettingError, match="bin/python"):
        footprint.measure(1, tmp_path)


def test_an_environment_without_wordsight_is_refused(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    with pytest.raises(SettingError, match="install it there first"):
        footprint.measure(1, tmp_path / "bare")


def test_a_failing_process_is_told():
    import sys

    with pytest.raises(WordsightError, match="planted"):
        footprint._run(sys.executable, "raise SystemExit('planted')")


def test_turns_begin_with_another_call_each_round():
    order = []
    seconds = timing.interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, warm_up=0)
    assert order == ["a", "b", "b", "a"]
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_ratio_is_the_median_of_paired_rounds():
    figure = timing.ratio("ratio.x", [2.0, 4.0, 90.0], [1.0, 2.0, 30.0])
    assert (figure.value, figure.low, figure.high, figure.n) == (2.0, 2.0, 3.0, 3)
