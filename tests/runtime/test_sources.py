"""Sources: what counts as a picture, in which order, and what becomes of bad ones."""

import os

import numpy as np
import pytest

from wordsight.runtime.errors import NothingFound, SourceError
from wordsight.runtime.opencv import load_cv2
from wordsight.runtime.sources import Failure, Frame, masked, open_source
from wordsight.runtime.sources.content import cut_short, kind_of, kind_of_file
from wordsight.runtime.sources.files import natural
from wordsight.runtime.urls import scrubbed

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")


def picture(path, grey=128, suffix=".png"):
    path.parent.mkdir(parents=True, exist_ok=True)
    good, data = cv2.imencode(suffix, np.full((8, 12, 3), grey, np.uint8))
    assert good
    path.write_bytes(data.tobytes())
    return path


def video(path, frames=12, code="MJPG", size=(64, 48)):
    load_cv2()  # the first video of a process says how much FFmpeg tells of all others
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10, size)
    assert writer.isOpened()
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (size[1], size[0], 3), np.uint8))
    writer.release()
    return path


def names(source):
    return [item.name if isinstance(item, Frame) else item for item in source]


def test_folder_is_recursive_in_natural_order_without_hidden_files(tmp_path):
    for name in ("part10.png", "part2.png", "b/part1.png", ".hidden.png", ".git/x.png"):
        picture(tmp_path / name)
    assert names(open_source(tmp_path)) == [os.path.join("b", "part1.png"), "part2.png", "part10.png"]


def test_content_decides_and_other_files_are_counted(tmp_path):
    picture(tmp_path / "really_a_picture.txt")
    (tmp_path / "README.txt").write_text("about these parts")
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "broken.jpg").write_text("not a picture")
    source = open_source(tmp_path)
    items = list(source)
    assert [type(item) for item in items] == [Failure, Frame]
    assert items[0].source.endswith("broken.jpg")
    assert source.skipped == 2


@pytest.mark.parametrize("content", [{}, {"notes.txt": b"nothing to see"}])
def test_folder_without_pictures_is_refused(tmp_path, content):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(NothingFound):
        open_source(tmp_path)


def test_glob_crosses_folders_and_an_empty_one_is_refused(tmp_path):
    picture(tmp_path / "a" / "b" / "1.png")
    picture(tmp_path / "2.png")
    assert names(open_source(str(tmp_path / "**" / "*.png"))) == ["2.png", os.path.join("a", "b", "1.png")]
    with pytest.raises(NothingFound):
        open_source(str(tmp_path / "*.bmp"))


def test_a_name_with_brackets_is_that_file(tmp_path):
    assert names(open_source(picture(tmp_path / "part[1].png"))) == ["part[1].png"]


def test_annotated_folder_is_left_out(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "out" / "a.png")
    assert names(open_source(tmp_path, exclude=tmp_path / "out")) == ["a.png"]


@pytest.mark.parametrize("content", [None, b"", b"hello"])
def test_named_file_that_cannot_be_read_is_a_failure(tmp_path, content):
    path = tmp_path / "x.dat"
    if content is not None:
        path.write_bytes(content)
    (failure,) = open_source(path)
    assert isinstance(failure, Failure)
    assert failure.source == str(path)
    assert "\n" not in failure.reason


def test_empty_name_is_refused():
    with pytest.raises(SourceError):
        open_source(" ")


def test_frames_carry_their_number_and_an_aware_time(tmp_path):
    items = list(open_source(video(tmp_path / "v.avi")))
    assert [item.index for item in items] == list(range(12))
    assert all(item.timestamp.utcoffset().total_seconds() == 0 for item in items)
    assert items[0].image.shape == (48, 64, 3)
    assert items[0].fps == 10


@pytest.mark.parametrize("share", [0.5, 0.93])
@pytest.mark.parametrize(("name", "code"), [("v.avi", "MJPG"), ("v.mkv", "MJPG"), ("v2.avi", "XVID")])
def test_video_cut_in_the_middle_gives_only_whole_frames_then_a_failure(tmp_path, name, code, share):
    whole = video(tmp_path / name, code=code)
    truth = [item.image for item in open_source(whole)]
    assert len(truth) == 12
    assert not cut_short(whole)
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    *frames, failure = open_source(cut)
    assert isinstance(failure, Failure)
    assert failure.frame == len(frames)
    assert 0 < len(frames) < 12
    for frame, expected in zip(frames, truth, strict=False):
        assert np.array_equal(frame.image, expected)  # none half decoded


def test_video_without_its_index_is_one_failure(tmp_path):
    whole = video(tmp_path / "v.mp4", code="mp4v")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (failure,) = open_source(cut)
    assert "cut short" in failure.reason


def test_text_named_as_video_is_a_failure(tmp_path):
    (tmp_path / "x.avi").write_text("no video " * 50)
    (failure,) = open_source(tmp_path / "x.avi")
    assert failure.kind == "VideoBroken"


@pytest.mark.parametrize("index", ["97", "200", "4294967296", "9" * 30])
def test_absent_camera_is_one_failure(index):
    (failure,) = open_source(index)
    assert (failure.source, failure.kind) == (index, "CameraAbsent")


def test_stream_that_does_not_answer_keeps_its_password():
    (failure,) = open_source("rtsp://admin:s3cret@127.0.0.1:9/main")
    assert "s3cret" not in repr(failure)
    assert failure.source == "rtsp://***@127.0.0.1:9/main"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam/main", "rtsp://cam/main"),
        ("rtsp://u:p@cam/main", "rtsp://***@cam/main"),
        ("rtsp://user:p@ss@cam:554/x", "rtsp://***@cam:554/x"),
        ("rtsp://u:p/w@cam/x", "rtsp://***@cam/x"),
        ("HTTP://cam/v?user=me&password=geheim&x=1", "HTTP://cam/v?user=***&password=***&x=1"),
        ("rtsp://u:p@cam/main?access_token=geheim", "rtsp://***@cam/main?access_token=***"),
        ("rtsp://cam/user=admin_password=geheim_channel=1", "rtsp://cam/user=***"),
        ("onvif://u:p@cam", "onvif://***@cam"),
        ("folder/a@b.png", "folder/a@b.png"),
    ],
)
def test_credentials_are_masked(url, shown):
    assert masked(url) == shown


def test_urls_within_a_sentence_are_masked():
    told = scrubbed("cannot open 'rtsp://u:p@cam/a' nor http://cam/v?pwd=x, see a@b and C:\\x")
    assert told == "cannot open 'rtsp://***@cam/a' nor http://cam/v?pwd=***, see a@b and C:\\x"


def test_a_url_that_is_no_stream_is_refused_without_its_password():
    with pytest.raises(SourceError, match="got onvif") as caught:
        open_source("onvif://u:s3cret@cam/main")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp", ".ppm"])
def test_what_opencv_writes_is_recognised(tmp_path, suffix):
    assert kind_of_file(picture(tmp_path / "x", suffix=suffix)) == "picture"


@pytest.mark.parametrize(
    "head", [b"", b"hello world", b"BM is a car maker", b"P1 is a proton", b"RIFF0000WAVE", b"\0" * 64]
)
def test_other_content_is_neither(head):
    assert kind_of(head) is None


def test_natural_order_compares_numbers_as_numbers(tmp_path):
    wanted = ["a1", "a2", "a10", "b"]
    assert [path.name for path in sorted((tmp_path / name for name in reversed(wanted)), key=natural)] == wanted
