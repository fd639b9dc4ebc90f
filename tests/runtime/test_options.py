import pytest

from wordsight.runtime import SettingError
from wordsight.runtime.options import frame_size


@pytest.mark.parametrize("text", ["1920x1080", "1920X1080", "01920x1080"])
def test_a_frames_size_is_height_and_width(text):
    assert frame_size(text) == frame_size(text, 1920) == (1080, 1920)


@pytest.mark.parametrize("text", ["", "1920", "x", "1920x", "1920x1080x3", "-2x4", "1.5x2", "4 x 4", "9" * 5000 + "x1"])
def test_what_is_no_size_is_refused_in_one_line(text):
    with pytest.raises(SettingError, match="WIDTHxHEIGHT in pixels, such as 1920x1080"):
        frame_size(text)


@pytest.mark.parametrize("text", ["1921x1080", "1080x1921", "0x5", "5x0"])
def test_a_side_is_of_one_pixel_to_the_most_where_that_is_said(text):
    frame_size(text)
    with pytest.raises(SettingError, match="WIDTHxHEIGHT"):
        frame_size(text, 1920)
