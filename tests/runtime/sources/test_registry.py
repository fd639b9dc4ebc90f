"""Which kind of source a text names, and what plug-ins add."""

import importlib
import sys

import pytest

from wordsight.runtime.errors import SettingError, SourceError
from wordsight.runtime.sources import registry
from wordsight.runtime.sources.files import Files
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.registry import kinds, open_source


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """Install a package with one entry point for a while: (distribution, name, value, module's text)."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(distribution, name, value, text):
        module = value.partition(":")[0]
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[wordsight.sources]\n{name} = {value}\n")
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


GOOD = """
class Head:
    live, endless, count, skipped = True, True, None, 0
    def __init__(self, text, options):
        self.text, self.options = text, options
    def __iter__(self):
        return iter(())
"""


def test_a_plug_in_adds_a_kind_and_is_given_the_text_and_the_options(plug_in):
    plug_in("acme-lidar", "Lidar", "acme_lidar:Head", GOOD)
    options = SourceOptions("press")
    source = open_source("LIDAR:head-2", options)
    assert (type(source).__name__, source.text, source.options) == ("Head", "LIDAR:head-2", options)
    assert kinds()[-1] == "lidar"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import not_there_at_all", "No module named 'not_there_at_all'"),
        ("raise RuntimeError('no\\nlicence')", "no licence"),
        ("Other = 1", "has no attribute 'Head'"),
        ("Head = 1", "is no factory"),
    ],
)
def test_a_broken_plug_in_is_one_line_that_names_it(plug_in, text, told):
    plug_in("acme-lidar", "lidar", "acme_lidar:Head", text)
    with pytest.raises(SourceError) as caught:
        open_source("lidar:head-2")
    message = str(caught.value)
    assert told in message
    assert "acme-lidar (acme_lidar:Head)" in message
    assert "\n" not in message


def test_a_kind_that_two_plug_ins_bring_is_refused_with_both_names(plug_in):
    plug_in("acme-lidar", "lidar", "acme_lidar:Head", GOOD)
    plug_in("other-lidar", "lidar", "other_lidar:Head", GOOD)
    with pytest.raises(SourceError, match=r"acme-lidar.*and other-lidar"):
        open_source("lidar:head-2")


def test_a_plug_in_cannot_take_a_kind_of_ours_and_breaks_nothing_that_is_not_asked_for(plug_in):
    plug_in("acme-lidar", "rtsp", "acme_lidar:Head", "raise RuntimeError")
    assert type(open_source("rtsp://cam/main")).__module__ == "wordsight.runtime.sources.stream"


@pytest.mark.parametrize("text", ["0", "camera:0", "CAMERA:0", "/dev/video0", "camera:/dev/video0"])
def test_cameras_are_found_by_index_and_device_before_any_path(tmp_path, monkeypatch, text):
    (tmp_path / "camera:0").mkdir()
    monkeypatch.chdir(tmp_path)
    source = open_source(text)
    assert (type(source).__module__, source.text, source.live) == ("wordsight.runtime.sources.stream", text, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("camera:front", "expected a camera as camera:0 or camera:/dev/video0, got camera:front"),
        ("rtsp:cam/main", "expected the address of a stream"),
        ("bassler:123", "expected one of camera, "),
        ("onvif://u:s3cret@cam/", "got onvif"),
    ],
)
def test_what_is_no_source_is_told_with_what_there_is(text, told):
    with pytest.raises(SourceError) as caught:
        open_source(text)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_windows_drive_and_a_file_with_a_colon_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (r"C:\parts\a.png", "D:a.png"):
        assert isinstance(open_source(name), Files)
    (tmp_path / "shot:1.png").touch()
    assert isinstance(open_source("shot:1.png"), Files)


@pytest.mark.parametrize(
    ("pattern", "name", "part"),
    [
        (r"_(\d+)_", "press3_0042_top.png", "0042"),
        (r"\d+", "press3_0042.png", "3"),
        (r"part-(\w+)", "other.png", None),
        (r"part(-\w+)?", "part.png", None),
        (None, "part-1.png", None),
    ],
)
def test_the_part_is_told_by_the_files_name(pattern, name, part):
    assert SourceOptions(part_id=pattern).part_of(name) == part


def test_a_folders_frames_carry_the_part_of_their_file(tmp_path, save_picture):
    for part in (7, 8):
        save_picture(tmp_path / f"p{part}_left.png", 90)
    assert [frame.part_id for frame in open_source(tmp_path, SourceOptions(part_id=r"p(\d)_"))] == ["7", "8"]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"part_id": "("}, "regular expression"),
        ({"trigger": "soft"}, "none, hardware, software"),
        ({"open_timeout_s": 0}, "open_timeout_s above 0"),
        ({"read_timeout_s": float("nan")}, "read_timeout_s above 0"),
        ({"password": "geheim"}, "a password alone"),
    ],
)
def test_options_out_of_range_are_refused(bad, told):
    with pytest.raises(SettingError, match=told) as caught:
        SourceOptions(**bad)
    assert "geheim" not in str(caught.value)


def test_options_never_show_user_or_password():
    options = SourceOptions("press", "b0b", "s3cret")
    assert "b0b" not in repr(options)
    assert "s3cret" not in repr(options)


def test_every_built_in_kind_has_its_factory():
    for scheme, place in registry.BUILT_IN.items():
        assert callable(registry._loaded(place)), scheme
