"""The source of a line, as its file describes it."""

import pytest

from wordsight.runtime.config.opening import open_line_source, source_options, source_text
from wordsight.runtime.config.read import read_line_file


@pytest.fixture
def line(written):
    def read(*keys):
        loaded = read_line_file(written("\n".join(['model = "m"', "[[line]]", 'name = "press-3"', *keys])))
        return loaded, loaded.spec.line[0]

    return read


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("parts", "{}/parts"),
        ("parts/*.png", "{}/parts/*.png"),
        ("/abs/parts", "/abs/parts"),
        ("0", "0"),
        ("camera:0", "camera:0"),
        ("/dev/video0", "/dev/video0"),
        ("rtsp://cam/a:b", "rtsp://cam/a:b"),
        ("watch:in", "watch:{}/in"),
        ("watch:/abs", "watch:/abs"),
        ("gst:videotestsrc ! appsink", "gst:videotestsrc ! appsink"),
        ("ab:c.png", "{}/ab:c.png"),  # a file that is there
        ("ab:d.png", "ab:d.png"),
    ],
)
def test_paths_begin_at_the_folder_of_the_file_and_nothing_else_does(line, tmp_path, source, found):
    (tmp_path / "ab:c.png").touch()
    assert source_text(*line(f'source = "{source}"')) == found.format(tmp_path)


def test_what_the_source_is_told(line, monkeypatch, tmp_path):
    monkeypatch.setenv("WORDSIGHT_PRESS_3_USER", "op")
    monkeypatch.setenv("WORDSIGHT_PRESS_3_PASSWORD", "p@ss")
    told = source_options(*line('source = "0"', "part_id = '^(.)'", 'trigger = "software"', "read_timeout_s = 2.5"))
    assert (told.name, told.user, told.password) == ("press-3", "op", "p@ss")
    assert (told.part_id, told.trigger, told.open_timeout_s, told.read_timeout_s) == ("^(.)", "software", 10.0, 2.5)
    assert told.state == tmp_path / "line.state"
    assert "p@ss" not in repr(told)


def test_newest_or_every_is_as_the_source_is_unless_the_file_says_otherwise(line, save_picture, tmp_path):
    for level in (10, 20):
        save_picture(tmp_path / "parts" / f"{level}.png", level)
    (tmp_path / "parts" / "notes.txt").write_text("none")
    assert open_line_source(*line('source = "0"')).live
    assert not open_line_source(*line('source = "0"', 'take = "every"')).live
    source = open_line_source(*line('source = "parts"', 'take = "newest"'))
    assert source.live
    assert [int(frame.image[0, 0, 0]) for frame in source] == [10, 20]
    assert source.skipped == 1
    assert not source.endless
