"""Snapshots: what was not good, whole, each event once, never beyond the quota."""

import json
import shutil
import subprocess
import sys
import textwrap
from collections import namedtuple

import numpy as np
import pytest

from wordsight.runtime.errors import OutputError
from wordsight.runtime.overlay import overlay
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.schema import event_json

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
HAND = {"spare_bytes": 0, "folder": "shots"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def size_of(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def noise(seed, size=(40, 60)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_what_was_not_good_is_kept_with_its_event_beside_it(make_sink, tmp_path, event, part_event):
    sink = make_sink("snapshots", format="png", **HAND)
    found = [event(0, "good"), event(1, "defect", image=noise(1)), event(2, None), event(3, "unsure"), part_event()]
    for item in found:
        sink.write(item)
    first, third = found[1].event_id[:16], found[3].event_id[:16]
    assert names(tmp_path / "shots") == [
        f"00000001.press-3.defect.{first}.json", f"00000001.press-3.defect.{first}.png",
        f"00000002.press-3.unsure.{third}.json", f"00000002.press-3.unsure.{third}.png",
    ]  # fmt: skip
    stem = tmp_path / "shots" / f"00000001.press-3.defect.{first}"
    assert (cv2.imread(f"{stem}.png") == noise(1)).all()
    assert json.loads(stem.with_name(stem.name + ".json").read_text()) == event_json(found[1])


def test_a_heat_map_is_drawn_over_a_second_picture(make_sink, tmp_path, event):
    sink = make_sink("snapshots", format="png", **HAND)
    item = event(1, "defect", image=noise(1), heat=True)
    sink.write(item)
    (plain,) = (path for path in (tmp_path / "shots").glob("*.png") if ".heat." not in path.name)
    (drawn,) = (tmp_path / "shots").glob("*.heat.png")
    assert (cv2.imread(str(plain)) == item.frame.image).all()
    assert (cv2.imread(str(drawn)) == overlay(item.frame.image, item.heat)).all()
    make_sink("snapshots", heat=False, folder="plain", spare_bytes=0).write(item)
    assert not list((tmp_path / "plain").glob("*.heat.*"))


def test_every_frame_where_that_is_asked_for(make_sink, tmp_path, event):
    sink = make_sink("snapshots", every=True, **HAND)
    for index, decision in enumerate(("good", None, "defect")):
        sink.write(event(index, decision))
    kinds = [name.split(".")[2] for name in names(tmp_path / "shots") if name.endswith(".jpg")]
    assert kinds == ["good", "undecided", "defect"]


@pytest.mark.faults
def test_the_quota_is_never_exceeded_and_the_oldest_go_first_and_are_counted(make_sink, tmp_path, event):
    folder = tmp_path / "shots"
    folder.mkdir()
    (folder / "notes.txt").write_text("of somebody else" * 1000)
    quota = 60_000
    sink = make_sink("snapshots", keep_bytes=quota, format="png", **HAND)
    others = (folder / "notes.txt").stat().st_size
    for index in range(40):
        sink.write(event(index, "defect", image=noise(index, (40, 40 + index))))
        assert size_of(folder) - others <= quota
    kept = [int(name[:8]) for name in names(folder) if name.endswith(".json")]
    assert kept == list(range(41 - len(kept), 41))
    assert sink.counts == {"removed": 40 - len(kept)}
    # The next older one would not have had room.
    assert 0 < len(kept) < 40
    assert size_of(folder) - others > quota - 7000
    assert (folder / "notes.txt").exists()


def test_a_number_of_frames_can_be_the_quota(make_sink, tmp_path, event):
    sink = make_sink("snapshots", keep=3, **HAND)
    for index in range(10):
        sink.write(event(index, "defect"))
    assert [int(name[:8]) for name in names(tmp_path / "shots") if name.endswith(".json")] == [8, 9, 10]
    assert sink.counts == {"removed": 7}


@pytest.mark.faults
def test_a_restart_goes_on_counting_and_clears_away_what_was_torn(make_sink, tmp_path, event):
    folder = tmp_path / "shots"
    for start in (0, 3):
        sink = make_sink("snapshots", keep=4, **HAND)
        for index in range(start, start + 3):
            sink.write(event(index, "defect"))
        sink.close()
        (folder / ".wordsight-0123456789abcdef.part").write_bytes(b"half a picture")
    sink = make_sink("snapshots", keep=4, **HAND)
    assert [int(name[:8]) for name in names(folder) if name.endswith(".json")] == [3, 4, 5, 6]
    assert not [name for name in names(folder) if name.startswith(".")]
    sink.write(event(5, "defect"))  # sent twice: it lies there already
    assert len(names(folder)) == 8
    sink.write(event(6, "defect"))
    assert [int(name[:8]) for name in names(folder) if name.endswith(".json")] == [4, 5, 6, 7]


def test_a_picture_beyond_the_whole_quota_is_refused_and_nothing_is_removed_for_it(make_sink, tmp_path, event):
    sink = make_sink("snapshots", keep_bytes=20_000, format="png", **HAND)
    sink.write(event(0, "defect"))
    before = names(tmp_path / "shots")
    with pytest.raises(OutputError, match="keep_bytes = 20000"):
        sink.write(event(1, "defect", image=noise(1, (100, 100))))
    assert names(tmp_path / "shots") == before


@pytest.mark.parametrize(
    ("line", "named"), [("../../etc", "_etc"), ("a.b c", "a_b_c"), ("", "line"), ("Prüfung 3", "Prüfung_3")]
)
def test_a_line_may_be_called_anything(make_sink, tmp_path, event, line, named):
    make_sink("snapshots", **HAND).write(event(0, "defect", line=line))
    assert {name.split(".")[1] for name in names(tmp_path / "shots")} == {named}
    assert names(tmp_path) == ["shots"]


def test_one_folder_a_sink(make_sink, event):
    first = make_sink("snapshots", **HAND)
    with pytest.raises(OutputError, match="another sink or process writes into"):
        make_sink("snapshots", **HAND)
    first.close()
    make_sink("snapshots", **HAND).write(event(0, "defect"))


@pytest.mark.faults
def test_a_full_disk_leaves_no_half_snapshot_and_all_are_there_when_it_is_over(make_sink, small_disk, event, until):
    folder = small_disk.path / "shots"
    made = {"folder": folder, "spare_bytes": 0, "format": "png"}
    queue = Queued("shots", lambda: make_sink("snapshots", **made), first_wait_s=0.001, longest_wait_s=0.01)
    queue.put(event(0, "defect"))
    assert until(lambda: queue.state().written == 1)
    before = names(folder)
    small_disk.fill(left=8192)
    for index in range(1, 4):
        queue.put(event(index, "defect", image=noise(index, (100, 100))))  # 30 kB each
    assert until(lambda: queue.state().failures > 3)
    assert queue.state().state == "failing"
    assert "cannot write into" in queue.state().reason
    # What is being made is hidden.
    assert [name for name in names(folder) if not name.startswith(".")] == before
    small_disk.free()
    assert queue.close(60) == 0
    assert (queue.state().written, queue.state().dropped, queue.state().set_aside) == (4, 0, 0)
    found = sorted(json.loads(path.read_text())["frame"] for path in folder.glob("*.json"))
    assert found == [0, 1, 2, 3]
    for path in folder.glob("*.png"):
        assert cv2.imread(str(path)) is not None
    assert len(names(folder)) == 8


@pytest.mark.faults
def test_what_is_to_be_spared_on_the_disk_is_spared(make_sink, tmp_path, event, monkeypatch):
    usage = namedtuple("usage", "total used free")
    free = [10_000_000]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, free[0]))
    sink = make_sink("snapshots", folder="shots", spare_bytes="10 MB")
    sink.write(event(0, "defect"))
    free[0] -= 1
    with pytest.raises(OutputError, match="10 MB are free on its disk, 10 MB are spared"):
        sink.write(event(1, "defect"))
    assert len(names(tmp_path / "shots")) == 2


@pytest.mark.faults
def test_a_folder_that_vanishes_is_made_anew_and_the_event_is_not_lost(make_sink, tmp_path, event, until):
    queue = Queued("shots", lambda: make_sink("snapshots", **HAND), first_wait_s=0.001)
    queue.put(event(0, "defect"))
    assert until(lambda: queue.state().written == 1)
    shutil.rmtree(tmp_path / "shots")
    queue.put(event(1, "defect"))
    assert until(lambda: queue.state().written == 2)
    assert queue.state().failures == 1
    assert len(names(tmp_path / "shots")) == 2
    queue.close(60)


@pytest.mark.faults
def test_a_process_that_is_killed_while_it_writes_leaves_whole_snapshots(make_sink, tmp_path, event):
    code = f"""
        import itertools, sys
        from datetime import datetime, timezone
        from pathlib import Path
        import numpy as np
        from wordsight.runtime.sinks.registry import SinkContext
        from wordsight.runtime.sinks.result import Result
        from wordsight.runtime.sinks.snapshots import SnapshotOptions, Snapshots
        from wordsight.runtime.sources.frame import Frame
        here = Path({str(tmp_path)!r})
        sink = Snapshots(SnapshotOptions(folder="shots", spare_bytes=0, format="png"), SinkContext(here, (), here))
        image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
        for number in itertools.count():
            frame = Frame(image, "cam", number, datetime.now(timezone.utc), "cam")
            sink.write(Result(frame, 1.0, 0.5, 0.5, "defect", line="a", event_id=f"{{number:032x}}"[::-1]))
            print(number, flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    for _ in range(15):
        done = int(child.stdout.readline())
    child.kill()
    done = max([done, *(int(text) for text in child.stdout.read().split())])
    child.wait()
    folder = tmp_path / "shots"
    sink = make_sink("snapshots", **HAND)
    told = sorted(json.loads(path.read_text())["frame"] for path in folder.glob("*.json"))
    assert told == list(range(len(told)))
    assert len(told) >= done + 1
    pictures = list(folder.glob("*.png"))
    assert len(told) <= len(pictures) <= len(told) + 1  # the one whose event was not written yet
    assert all(cv2.imread(str(path)).shape == (300, 300, 3) for path in pictures)
    assert not [name for name in names(folder) if name.startswith(".")]
    sink.write(event(0, "defect"))
    assert int(names(folder)[-1][:8]) == len(pictures) + 1
