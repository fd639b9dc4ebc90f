"""What a reader makes of sources that go wrong: tried again, or given up for good, and told once."""

import threading

import pytest

from wordsight.runtime.errors import CameraAbsent, MissingPart, NothingFound, SettingError, SourceError
from wordsight.runtime.line.reader import ReaderSettings
from wordsight.runtime.sources.frame import Failure, Idle

HANGING = ReaderSettings(first_wait_s=0.001, longest_wait_s=0.004, frozen_s=0, stall_s=5, give_up_s=30)


@pytest.mark.parametrize(
    "error",
    [
        NothingFound("no picture or video in the folder parts"),
        MissingPart("pypylon is not installed", "pip install 'wordsight[basler]'"),
        SettingError("expected a trigger of none, hardware, software"),
        SourceError("cannot open bassler:1: no such kind"),
    ],
)
@pytest.mark.parametrize("where", ["opening", "reading"])
def test_what_trying_again_cannot_mend_failed_for_good(reader, scripted, eventually, error, where):
    def raises():
        raise error

    failures, opened = [], []
    source = scripted(raises)
    made = reader(lambda: opened.append(1) or (raises() if where == "opening" else source), on_failure=failures.append)
    if where == "reading" and type(error) not in (MissingPart, SettingError):
        assert eventually(lambda: len(opened) + source.opened >= 6)  # a driver's own error may pass
        return
    assert eventually(lambda: made.ended)
    state = made.state()
    assert (state.state, state.reason, state.failures, state.reconnects) == ("failed", str(error), 1, 0)
    assert failures == [Failure("press", str(error), type(error).__name__)]
    assert made.stop(60)
    assert len(opened) == 1


def test_a_camera_that_is_absent_when_it_is_opened_is_tried_again(reader, scripted, frame, eventually):
    tries = []

    def opener():
        tries.append(1)
        if len(tries) < 4:
            raise CameraAbsent("no camera 4711")
        return scripted(frame(0))

    made = reader(opener)
    assert eventually(lambda: made.take() is not None)
    assert made.state().reconnects >= 3


def test_a_folder_whose_read_hangs_failed_and_is_not_read_again_from_its_start(
    reader, scripted, frame, eventually, clock
):
    hang, failures = threading.Event(), []
    source = scripted(frame(0), lambda: hang.wait(60) and None, frame(1), live=False, endless=False)
    made = reader(source, HANGING, clock=clock, on_failure=failures.append)
    assert eventually(lambda: made.waiting)
    clock.now += 31
    made.look()
    assert made.state().state == "failed"
    assert "hangs for 30 s" in made.state().reason
    assert [made.take().index, made.take()] == [0, None]
    hang.set()
    assert eventually(lambda: source.closed)
    assert (source.opened, made.state().frames, made.ended) == (1, 1, True)
    assert [failure.kind for failure in failures] == ["SourceError"]


def test_closing_that_raises_is_a_failure_and_no_end_of_the_thread(reader, eventually):
    class Items:
        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration

        def close(self):
            raise OSError("the driver\nlost its handle")

    class Source:
        live, endless, text, count, skipped, opened = True, True, "cam", None, 0, 0

        def __iter__(self):
            self.opened += 1
            return Items()

    source, failures = Source(), []
    made = reader(source, on_failure=failures.append)
    assert eventually(lambda: source.opened >= 3)
    assert made.stop(60)
    assert failures[0] == Failure("press", "the driver lost its handle", "OSError")


def test_what_a_thread_that_was_left_behind_still_meets_is_neither_counted_nor_told(
    reader, scripted, frame, eventually, clock
):
    hang, later, failures, before = threading.Event(), threading.Event(), [], set(threading.enumerate())

    def falls_over():
        hang.wait(60)
        raise OSError("the old read fell over")

    sources = [scripted(falls_over), scripted(frame(0), lambda: later.wait(60) and None)]
    opened = iter(sources)
    made = reader(lambda: next(opened), HANGING, clock=clock, on_failure=failures.append)
    assert eventually(lambda: sources[0].opened)
    clock.now += 31
    made.look()
    assert eventually(lambda: made.take() is not None)
    told = made.state().failures
    hang.set()
    assert eventually(lambda: sources[0].closed)
    left = [thread for thread in set(threading.enumerate()) - before if thread.name == "reader press"]
    assert eventually(lambda: sum(thread.is_alive() for thread in left) == 1)
    assert made.state().failures == told
    assert all("fell over" not in failure.reason for failure in failures)
    assert made.state().state == "running"
    later.set()


@pytest.mark.parametrize("item", [Idle("cam", "nothing yet"), Failure("cam", "fell over", "SourceError"), None])
def test_a_reader_that_is_stopped_in_any_moment_stays_stopped(reader, scripted, eventually, item):
    given, entered, go, failures = [], threading.Event(), threading.Event(), []
    source = scripted(lambda: entered.set() or (go.wait(60) and None), lambda: given.append(1) or item)
    made = reader(source, on_failure=failures.append)
    assert entered.wait(60)
    with made._lock:  # the thread has seen that it may go on, and waits here
        go.set()
        assert eventually(lambda: given)
        threading.Event().wait(0.05)
        made.stop(0)
    assert made.stop(60)
    assert (made.state().state, made.state().reason, made.state().failures, failures) == ("stopped", None, 0, [])


def test_a_source_is_kept_and_read_again_but_another_is_opened_beside_one_that_hangs(
    reader, scripted, frame, eventually, clock
):
    hang, hanging, opened = threading.Event(), threading.Event(), []

    def third_time():
        if [source.opened for source in opened] == [3]:
            hanging.set()
            hang.wait(60)

    def opener():
        opened.append(scripted(frame(0), third_time))
        return opened[-1]

    made = reader(opener, HANGING, clock=clock)
    assert hanging.wait(60)
    assert [source.opened for source in opened] == [3]
    clock.now += 31
    made.look()
    assert eventually(lambda: len(opened) == 2 and opened[1].opened >= 2)
    hang.set()
