import inspect

import pytest

from wordsight.runtime import errors

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]


def test_every_error_has_the_one_base_and_stands_in_the_drawn_tree():
    assert len(CLASSES) > 10
    for cls in CLASSES:
        assert issubclass(cls, errors.WordsightError)
        assert cls.__name__ in errors.__doc__


def test_exit_codes():
    three = {cls.__name__ for cls in CLASSES if cls.exit_code == 3}
    assert three == {"MissingPart"}
    assert {cls.exit_code for cls in CLASSES} == {2, 3}


def test_a_missing_part_carries_the_line_that_brings_it():
    error = errors.MissingPart("OpenCV is not installed", "pip install x")
    assert str(error) == "OpenCV is not installed: pip install x"
    assert error.install == "pip install x"
    assert str(errors.MissingPart("run pip install x", "pip install x")) == "run pip install x"


def test_a_frame_error_is_a_value_error():
    with pytest.raises(ValueError, match="x"):
        raise errors.FrameError("x")
