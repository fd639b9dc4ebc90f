"""Annotated videos: whole files only, a new one by time and size, under a quota."""

import shutil
from collections import namedtuple

import numpy as np
import pytest

from wordsight.runtime.annotate import STRIP
from wordsight.runtime.errors import OutputError
from wordsight.runtime.sinks.event_video import EventVideo, VideoOptions
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.registry import SinkContext

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
HAND = {"spare_bytes": 0, "folder": "film"}
SIZE = (64, 320)


def about(path):
    """Frames, frames per second, width and height of a video, as it is read back."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    told = count, *(capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    capture.release()
    return told


def finished(folder):
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def test_each_line_has_a_video_of_its_own_and_hidden_until_it_is_whole(make_sink, tmp_path, event, part_event):
    sink = make_sink("video", **HAND)
    for index in range(6):
        sink.write(event(index, "defect", size=SIZE, heat=True, fps=25.0))
        sink.write(part_event())
        if index % 2:
            sink.write(event(index, size=SIZE, line="saw", fps=5.0))
    assert finished(tmp_path / "film") == []
    sink.close()
    press, saw = finished(tmp_path / "film")
    assert press.stem == "00000001.press-3.20261126T130000Z"
    assert saw.stem == "00000002.saw.20261126T130001Z"
    assert about(press) == (6, 25, 320, 64 + STRIP)
    assert about(saw) == (3, 5, 320, 64 + STRIP)
    assert len(list((tmp_path / "film").iterdir())) == 2


def test_the_score_is_drawn_below_the_picture(make_sink, tmp_path, event):
    sink = make_sink("video", **HAND)
    sink.write(event(0, "defect", size=SIZE))
    sink.close()
    (path,) = finished(tmp_path / "film")
    read, picture = cv2.VideoCapture(str(path)).read()
    assert read
    bar = picture[64 + 6 : 64 + 10]
    red = (bar[..., 2].astype(int) - bar[..., 0] > 80).mean(axis=0) > 0.5
    assert 70 <= red.sum() <= 90  # score 0.5 of 2 over 320 pixels: 80, less what the codec smears


def test_a_change_of_size_begins_a_new_one(make_sink, tmp_path, event):
    sink = make_sink("video", fps=12, **HAND)
    for index in range(6):
        sink.write(event(index, size=SIZE if index < 4 else (96, 320), fps=25.0))
    sink.close()
    assert [about(path) for path in finished(tmp_path / "film")] == [
        (4, 12, 320, 64 + STRIP), (2, 12, 320, 96 + STRIP),
    ]  # fmt: skip


def test_after_some_minutes_a_new_one_is_begun_for_a_line_that_stands_still_too(tmp_path, event):
    moment = [0.0]
    options = VideoOptions(minutes=10, **HAND)
    sink = EventVideo(options, SinkContext(tmp_path, ("press-3", "saw"), tmp_path), clock=lambda: moment[0])
    sink.write(event(0, size=SIZE, line="saw"))
    for minute in range(25):
        moment[0] = 60.0 * minute
        sink.write(event(minute, size=SIZE))
        if minute == 11:
            assert len(finished(tmp_path / "film")) == 2  # the saw's, of which nothing came any more, as well
    sink.close()
    found = {path.name.split(".")[1]: [] for path in finished(tmp_path / "film")}
    for path in finished(tmp_path / "film"):
        found[path.name.split(".")[1]].append(about(path)[0])
    assert found == {"saw": [1], "press-3": [10, 10, 5]}


@pytest.mark.faults
def test_the_oldest_videos_go_first_and_are_counted(tmp_path, event):
    folder = tmp_path / "film"
    moment = [0.0]

    def make(keep_bytes):
        options = VideoOptions(minutes=1, keep_bytes=keep_bytes, **HAND)
        return EventVideo(options, SinkContext(tmp_path, (), tmp_path), clock=lambda: moment[0])

    sink = make(10**9)
    for _ in range(4):
        moment[0] += 60
        sink.write(event(0, size=SIZE))
    sink.close()
    sizes = [path.stat().st_size for path in finished(folder)]
    assert len(sizes) == 4
    assert len(set(sizes)) == 1
    sink = make(3 * sizes[0])
    for _ in range(3):
        moment[0] += 60
        sink.write(event(0, size=SIZE))
    sink.close()
    assert [int(path.name[:8]) for path in finished(folder)] == [5, 6, 7]
    assert sink.counts == {"removed": 4}


@pytest.mark.faults
def test_what_a_process_that_was_killed_left_is_cleared_away(make_sink, tmp_path, event):
    folder = tmp_path / "film"
    folder.mkdir()
    (folder / ".wordsight-4711-00000007.press-3.20261126T130000Z.mp4").write_bytes(b"no index yet")
    (folder / "00000004.press-3.20261126T120000Z.mp4").write_bytes(b"an older one")
    sink = make_sink("video", **HAND)
    sink.write(event(0, size=SIZE))
    sink.close()
    assert [path.name[:8] for path in sorted(folder.iterdir())] == ["00000004", "00000005"]


@pytest.mark.faults
def test_a_disk_that_fills_up_leaves_no_half_video_and_is_told(make_sink, small_disk, event):
    folder = small_disk.path / "film"
    rng = np.random.default_rng(0)
    sink = make_sink("video", folder=folder, spare_bytes=0)
    small_disk.fill(left=100_000)
    for index in range(30):
        sink.write(event(index, image=rng.integers(0, 256, (240, 320, 3), np.uint8)))
    with pytest.raises(OutputError, match="did not reach the disk whole"):
        sink.close()
    assert not folder.exists() or list(folder.iterdir()) == []
    small_disk.free()
    sink = make_sink("video", folder=folder, spare_bytes=0)
    sink.write(event(0, size=SIZE))
    sink.close()
    (path,) = finished(folder)
    assert about(path)[0] == 1


@pytest.mark.faults
def test_a_disk_that_is_nearly_full_is_told_at_once_and_what_was_begun_is_finished(
    make_sink, tmp_path, event, until, monkeypatch
):
    usage = namedtuple("usage", "total used free")
    free = [10_000_000]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, free[0]))
    made = {"folder": "film", "spare_bytes": "10 MB"}
    queue = Queued("film", lambda: make_sink("video", **made), first_wait_s=0.001, longest_wait_s=0.01)
    for index in range(3):
        queue.put(event(index, size=SIZE))
    assert until(lambda: queue.state().written == 3)
    free[0] -= 1
    queue.put(event(3, size=SIZE))
    assert until(lambda: queue.state().state == "failing")
    assert "10 MB are spared" in queue.state().reason
    assert until(lambda: len(finished(tmp_path / "film")) == 1)
    free[0] += 1
    assert queue.close(60) == 0
    assert [about(path)[0] for path in finished(tmp_path / "film")] == [3, 1]


@pytest.mark.faults
def test_a_folder_that_vanishes_is_made_anew_and_the_others_go_on(make_sink, tmp_path, event, until):
    queue = Queued("film", lambda: make_sink("video", **HAND), first_wait_s=0.001, longest_wait_s=0.01)
    queue.put(event(0, size=SIZE))
    assert until(lambda: queue.state().written == 1)
    shutil.rmtree(tmp_path / "film")
    queue.put(event(1, size=SIZE))
    assert until(lambda: queue.state().written == 2)
    assert queue.close(60) == 0
    assert (queue.state().failures, queue.state().dropped) == (1, 0)
    (path,) = finished(tmp_path / "film")
    assert about(path)[0] == 1
