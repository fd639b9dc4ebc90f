"""A watched folder: each picture once, whole, in order, also across a restart."""

import contextlib
import json
import os
from datetime import datetime, timezone

import numpy as np
import pytest

from wordsight.runtime.errors import SourceError
from wordsight.runtime.sources.frame import Failure, Frame, Idle
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.registry import open_source
from wordsight.runtime.sources.watch import Watch

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")


class Over(Exception):
    pass


@pytest.fixture
def drop(tmp_path, save_picture):
    """Drop a picture into the folder: (name, grey level, seconds of its time) -> path."""
    (tmp_path / "drop").mkdir()

    def make(name, level=90, at_s=1_000_000):
        path = save_picture(tmp_path / "drop" / name, level)
        os.utime(path, (at_s, at_s))
        return path

    return make


@pytest.fixture
def looks(tmp_path, clock):
    """Watch the folder, doing one step between each look and the next: (*steps, done, options) -> items."""

    def look(*steps, done=True, below=False, every_s=0.5, lag_s=10.0, **options):
        left = iter(steps)
        options = SourceOptions("press", **{"state": tmp_path / "state", **options})

        def pause(_):
            clock.now += every_s
            step = next(left, Over)
            if step is Over:
                raise Over
            if step is not None:
                step()

        source = Watch("watch:drop", tmp_path / "drop", options, below=below, lag_s=lag_s, pause=pause, clock=clock)
        items = []
        with contextlib.suppress(Over):
            for item in source:
                items.append(item)
                if done and isinstance(item, Frame):
                    item.done()
        return items

    return look


def names(items):
    return [item.name for item in items if isinstance(item, Frame)]


def test_what_lies_there_at_the_first_start_is_taken_in_the_order_of_time_then_name(drop, looks):
    for name, at_s in (("part10.png", 50), ("part2.png", 50), ("a.png", 70), ("z.png", 40)):
        drop(name, at_s=at_s)
    items = looks(None)
    assert names(items) == ["z.png", "part2.png", "part10.png", "a.png"]
    assert items[0].timestamp == datetime.fromtimestamp(40, timezone.utc)
    assert {item.index for item in items} == {0}


def test_a_picture_is_taken_when_it_looks_the_same_twice_and_is_whole(tmp_path, drop, looks):
    whole = drop("whole.png").read_bytes()
    (tmp_path / "drop" / "whole.png").unlink()
    path = tmp_path / "drop" / "slow.png"
    length = len(whole)

    def write(upto):
        return lambda: path.write_bytes(whole[:upto])

    # Half of it lies still for three looks, then it goes on.
    pieces = (write(0), write(length // 4), write(length // 2), None, None, None, write(length - 1), write(length))
    assert names(looks(*pieces)) == []
    items = looks(*pieces, None)
    assert names(items) == ["slow.png"]
    assert not [item for item in items if isinstance(item, Failure)]


def test_each_is_taken_once_also_across_a_restart_and_what_was_in_hand_comes_again_with_the_same_stamp(drop, looks):
    drop("a.png", at_s=10)
    drop("b.png", at_s=20)
    assert names(looks(None, None, None)) == ["a.png", "b.png"]
    assert names(looks(None, None, lambda: drop("c.png", at_s=5), None, done=False)) == ["c.png"]
    first, second = looks(None, None, done=False), looks(None, None)
    assert names(first) == names(second) == ["c.png"]
    assert first[0].timestamp == second[0].timestamp
    assert names(looks(None, None)) == []


def test_done_may_come_late_and_from_elsewhere(tmp_path, drop, clock):
    drop("a.png")
    held, left = [], iter((None, None, None, lambda: held[0].done(), None, None))

    def pause(_):
        step = next(left, Over)
        if step is Over:
            raise Over
        if step is not None:
            step()

    source = Watch("watch:drop", tmp_path / "drop", SourceOptions(), pause=pause, clock=clock)
    with pytest.raises(Over):
        held.extend(source)  # keeps what came before the end
    assert names(held) == ["a.png"]


def test_a_picture_is_written_down_seconds_after_its_result_was_handed_on(tmp_path, drop, looks):
    drop("a.png")
    written = []

    def note():
        written.append(sum(len(path.read_text().splitlines()) - 1 for path in (tmp_path / "state").iterdir()))

    assert names(looks(*[note] * 30)) == ["a.png"]  # 0.5 s each
    assert written == [0] * 21 + [1] * 9


def test_what_is_done_after_the_source_was_closed_is_written_down_at_once(drop, looks):
    drop("a.png")
    (frame,) = looks(None, done=False)
    frame.done()
    assert names(looks(None, None)) == []


def test_a_picture_that_never_gets_whole_is_one_failure_after_a_while_and_holds_up_no_other(tmp_path, drop, looks):
    whole = drop("bad.png", at_s=10).read_bytes()
    (tmp_path / "drop" / "bad.png").write_bytes(whole[: len(whole) // 2])
    drop("good.png", at_s=2_000_000_000)
    items = looks(*[None] * 12, read_timeout_s=3)
    failures = [item for item in items if isinstance(item, Failure)]
    (failure,) = failures
    assert (failure.source, failure.kind) == (str(tmp_path / "drop" / "bad.png"), "PictureError")
    assert "truncated" in failure.reason
    assert names(items) == ["good.png"]
    assert items.index(failure) > 0
    assert not [item for item in looks(*[None] * 12, read_timeout_s=3) if isinstance(item, Failure)]


def test_a_file_that_is_written_anew_is_a_new_picture(drop, looks):
    drop("latest.png", 10, at_s=10)
    items = looks(None, lambda: drop("latest.png", 200, at_s=11), None, None)
    assert [int(item.image[0, 0, 0]) for item in items if isinstance(item, Frame)] == [10, 200]


def test_what_is_unfinished_hidden_or_no_picture_is_passed_over(tmp_path, drop, looks):
    drop("a.png.tmp")
    drop(".b.png")
    drop("below/c.png")
    (tmp_path / "drop" / "Thumbs.db").write_bytes(b"thumbs")
    (tmp_path / "drop" / "notes.png").write_text("no picture at all")
    items = looks(*[None] * 4, read_timeout_s=1)
    assert names(items) == []
    assert [item.source for item in items if isinstance(item, Failure)] == [str(tmp_path / "drop" / "notes.png")]
    assert names(looks(None, lambda: os.rename(tmp_path / "drop" / "a.png.tmp", tmp_path / "drop" / "a.png"), None,
                       None)) == ["a.png"]  # fmt: skip


def test_folders_below_are_watched_where_that_is_asked_for(tmp_path, drop, looks):
    drop("2026-11-26/c_17.png")
    drop("out/drawn_1.png")
    items = looks(None, below=True, part_id=r"_(\d+)", exclude=tmp_path / "drop" / "out")
    assert [(item.name, item.part_id) for item in items] == [(os.path.join("2026-11-26", "c_17.png"), "17")]


def test_a_sign_of_life_comes_about_once_a_second(drop, looks):
    idle = [item for item in looks(*[None] * 20, every_s=0.4) if isinstance(item, Idle)]
    assert 6 <= len(idle) <= 9  # within 8 s
    assert idle[-1].reason.startswith("no new picture for 7 s")


def test_a_folder_that_is_not_there_is_a_failure_and_watched_when_it_comes(tmp_path, drop):
    source = open_source(f"watch:{tmp_path / 'later'}", SourceOptions(state=tmp_path / "state"))
    (failure,) = source
    assert failure.kind == "SourceError"
    assert "no such file or directory" in failure.reason
    (tmp_path / "drop").rename(tmp_path / "later")
    assert isinstance(next(iter(source)), Idle)
    assert (source.live, source.endless) == (False, True)


@pytest.mark.parametrize("text", ["watch:", "watch:/**"])
def test_a_folder_has_to_be_named(text):
    with pytest.raises(SourceError, match="expected a folder"):
        open_source(text)


def test_a_file_is_no_folder_to_watch(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(SourceError, match=r"got the file .*a\.png"):
        open_source(f"watch:{tmp_path / 'a.png'}")


def test_a_journal_with_a_torn_last_line_loses_that_line_alone(tmp_path, drop, looks):
    for at, name in enumerate("abc"):
        drop(f"{name}.png", at_s=10 + at)
    looks(None)
    (journal,) = (tmp_path / "state").iterdir()
    journal.write_bytes(journal.read_bytes()[:-9])
    assert names(looks(None, lambda: drop("d.png", at_s=30), None, None)) == ["c.png", "d.png"]
    assert names(looks(None, None)) == []
    assert json.loads(journal.read_text().splitlines()[0])["line"] == "press"


def test_a_journal_that_cannot_be_written_is_told_once_and_made_up_for(tmp_path, drop, looks):
    drop("a.png", at_s=10)
    state = tmp_path / "state"
    lines = []

    def block():
        (journal,) = state.iterdir()
        lines.append(journal)
        journal.rename(state / "away")
        journal.mkdir()

    def free():
        lines[0].rmdir()
        (state / "away").rename(lines[0])

    steps = (None, None, block, lambda: drop("b.png", at_s=11), None, None, None, free, lambda: drop("c.png", at_s=12))
    items = looks(*steps, None, None, lag_s=0)
    assert names(items) == ["a.png", "b.png", "c.png"]
    (failure,) = [item for item in items if isinstance(item, Failure)]
    assert failure.reason == f"what was taken cannot be written to {lines[0]}: is a directory"
    assert names(looks(None, None)) == []


def test_two_lines_that_watch_one_folder_each_take_everything(tmp_path, drop, looks, clock):
    drop("a.png")
    looks(None)
    assert len(list((tmp_path / "state").iterdir())) == 1
    other = Watch("watch:drop", tmp_path / "drop", SourceOptions("saw", state=tmp_path / "state"), pause=lambda _: None)
    assert isinstance(next(iter(other)), Frame)


def test_frames_are_the_pictures(tmp_path, looks, save_picture):
    image = np.random.default_rng(0).integers(0, 255, (12, 9, 3), np.uint8)
    save_picture(tmp_path / "drop" / "a.png", image)
    (frame,) = looks(None)
    assert np.array_equal(frame.image, image)
    assert frame.source == str(tmp_path / "drop" / "a.png")
