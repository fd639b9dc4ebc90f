import random
import threading

from wordsight.runtime.line.patience import Pauses
from wordsight.runtime.line.reader import ReaderSettings
from wordsight.runtime.sources.frame import Failure, Idle


def taken(reader, eventually, count):
    frames = []

    def enough():
        if (item := reader.take()) is not None:
            frames.append(item)
        return len(frames) >= count

    eventually(enough)
    return frames


def test_the_newest_frame_of_a_live_source_wins_and_the_others_are_counted(reader, scripted, frame, eventually):
    done, hold = threading.Event(), threading.Event()
    source = scripted(*(frame(i) for i in range(5)), lambda: done.set() or (hold.wait(60) and None))
    made = reader(source)
    assert done.wait(60)
    assert made.waiting == 1
    assert made.take().index == 4
    assert made.take() is None
    assert (made.state().frames, made.state().dropped) == (5, 4)
    hold.set()


def test_a_frame_that_is_dropped_or_withheld_is_done(reader, scripted, frame, eventually):
    done = []
    frames = [frame(i, level=min(i, 3), captured_s=float(i), done=lambda i=i: done.append(i)) for i in range(8)]
    hold = threading.Event()
    made = reader(scripted(*frames, lambda: hold.wait(60) and None), ReaderSettings(frozen_s=1.0, stall_s=600))
    assert eventually(lambda: made.state().frames == 8)
    given = made.take().index
    assert sorted([*done, given]) == list(range(8))
    assert made.state().withheld > 0
    hold.set()


def test_every_frame_of_a_folder_counts_and_the_reader_waits_for_room(reader, scripted, frame, eventually):
    source = scripted(*(frame(i) for i in range(30)), live=False, endless=False)
    made = reader(source, ReaderSettings(room=4))
    assert eventually(lambda: made.waiting == 4)
    assert [item.index for item in taken(made, eventually, 30)] == list(range(30))
    assert eventually(lambda: made.ended)
    assert made.state().state == "ended"
    assert made.state().dropped == 0


def test_a_source_that_stops_is_opened_again_and_its_numbers_run_on(reader, scripted, frame, eventually):
    source = scripted(
        frame(0, fps=10.0), frame(1, fps=10.0), Failure("cam", "no more frames after 2", "SourceError", 2), live=False
    )
    failures = []
    made = reader(source, on_failure=failures.append)
    assert [item.index for item in taken(made, eventually, 6)] == [0, 1, 2, 3, 4, 5]
    state = made.state()
    assert state.reconnects >= 2
    assert failures[0].reason == "no more frames after 2"
    assert made.stop(60)
    assert source.opened == source.closed  # none is left open behind


def test_a_picture_has_one_frame_and_keeps_its_number(reader, scripted, frame, eventually):
    source = scripted(*(frame(0, "latest.png", level=level) for level in range(3)), live=False, endless=False)
    assert [item.index for item in taken(reader(source), eventually, 3)] == [0, 0, 0]


def test_pauses_grow_to_the_limit_with_jitter_and_begin_anew_after_a_steady_time():
    pauses = Pauses(ReaderSettings(first_wait_s=1, longest_wait_s=8, jitter=0.25, steady_s=60), random.Random(7))
    found = [pauses.after(ran_s) for ran_s in (0, 5, 0, 0, 59, 0, 0, 60, 0)]
    for pause, base in zip(found, [1, 2, 4, 8, 8, 8, 8, 1, 2], strict=True):
        assert 0.75 * base <= pause <= 1.25 * base
    assert len({round(pause, 6) for pause in found[3:7]}) > 1  # they differ


def test_why_it_is_tried_again_is_told_without_the_password(reader, scripted, eventually):
    source = scripted(Failure("rtsp://***@cam/", "cannot open rtsp://bob:s3cret@cam/: refused", "SourceError"))
    made = reader(source)
    assert eventually(lambda: made.state().state == "retrying")
    assert "refused" in made.state().reason
    assert "s3cret" not in made.state().reason


def test_a_driver_that_raises_is_a_failure_of_its_source(reader, eventually):
    def broken():
        raise RuntimeError("driver\nfell over at http://u:pw@host/")

    failures = []
    made = reader(broken, on_failure=failures.append)
    assert eventually(lambda: made.state().reconnects >= 2)
    assert failures[0].reason == "driver fell over at http://***@host/"


def test_a_folder_that_gives_nothing_failed(reader, scripted, eventually):
    made = reader(scripted(Failure("a.png", "empty", "PictureError"), live=False, endless=False))
    assert eventually(lambda: made.ended)
    assert (made.state().state, made.state().reason) == ("failed", "empty")


def test_waiting_for_a_trigger_is_no_fault(reader, scripted, eventually):
    hold = threading.Event()
    made = reader(scripted(Idle("cam", "no trigger for 1 s"), lambda: hold.wait(60) and None))
    assert eventually(lambda: made.state().state == "waiting")
    assert made.state().reason == "no trigger for 1 s"
    hold.set()


def test_a_read_that_hangs_is_seen_by_the_clock_and_the_source_opened_beside_it(
    reader, scripted, frame, eventually, clock
):
    hang, later = threading.Event(), threading.Event()
    sources = [
        scripted(lambda: hang.wait(60) and None, frame(77)),
        scripted(frame(0), lambda: later.wait(60) and None),
    ]
    opened = iter(sources)
    made = reader(lambda: next(opened), ReaderSettings(stall_s=5, give_up_s=30, frozen_s=0), clock=clock)
    assert eventually(lambda: sources[0].opened)
    clock.now += 6
    assert made.state().state == "stalled"
    assert "5 s" in made.state().reason
    clock.now += 30
    made.look()
    assert eventually(lambda: made.waiting)
    assert made.take().index == 0
    hang.set()  # the thread that was left behind comes back, and is not listened to
    assert eventually(lambda: sources[0].closed)
    assert made.take() is None
    assert made.state().reconnects == 1
    later.set()


def test_threads_that_hang_are_bounded(reader, scripted, eventually, clock):
    hang, hanging, before = threading.Event(), [], set(threading.enumerate())
    made = reader(
        lambda: scripted(lambda: hanging.append(1) or (hang.wait(60) and None)),
        ReaderSettings(stall_s=5, give_up_s=30),
        clock=clock,
    )
    for turn in range(10):
        # A thread that has only just begun would take the moment for its first sign of life.
        assert eventually(lambda turn=turn: len(hanging) >= min(turn + 1, 4))
        clock.now += 31
        made.look()
    state = made.state()
    assert "hang" in state.reason
    assert sum(thread.name == "reader press" for thread in set(threading.enumerate()) - before) <= 4
    hang.set()


def test_a_frozen_picture_is_a_state_and_not_given_on(reader, scripted, frame, eventually):
    def still(at):
        return frame(at, level=9, captured_s=float(at))

    hold = threading.Event()
    source = scripted(
        *(still(at) for at in range(12)), lambda: hold.wait(60) and None, frame(12, level=10, captured_s=12.0),
        lambda: hold.wait(60) and None,
    )  # fmt: skip
    made = reader(source, ReaderSettings(frozen_s=3.0, stall_s=600))
    assert eventually(lambda: made.state().state == "frozen")
    assert eventually(lambda: made.state().frames == 12)
    assert made.state().withheld == 8  # compared from the second on: 4 s to 11 s
    hold.set()
    assert eventually(lambda: made.state().frames == 13)
    assert eventually(lambda: made.take() and True)


def test_another_size_goes_on_and_is_counted(reader, scripted, frame, eventually):
    sizes = [(8, 8), (8, 8), (4, 6), (8, 8)]
    source = scripted(*(frame(i, size=size) for i, size in enumerate(sizes)), live=False, endless=False)
    made = reader(source)
    assert [item.image.shape[:2] for item in taken(made, eventually, 4)] == sizes
    assert (made.state().size, made.state().size_changes) == ((8, 8), 2)


def test_stopping_does_not_wait_for_a_read_that_hangs(reader, scripted, eventually):
    hang = threading.Event()
    source = scripted(lambda: hang.wait(60) and None)
    made = reader(source)
    assert eventually(lambda: source.opened)
    assert made.stop(0.05) is False
    assert made.state().state == "stopped"
    hang.set()
