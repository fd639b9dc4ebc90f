import threading
from datetime import datetime, timezone

import numpy as np
import pytest

from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sources.frame import Frame


def result(index, pixels=4, decision="good"):
    image = np.zeros((pixels, pixels, 3), np.uint8)
    return Result(Frame(image, "cam", index, datetime.now(timezone.utc), "cam"), 0.5, 0.2, 0.3, decision)


class Kept:
    """Keeps what it is given; `trouble` is called first with the event."""

    wants_image = True

    def __init__(self, trouble=lambda event: None):
        self.events = []
        self.made = self.closed = 0
        self.trouble = trouble

    def __call__(self):
        self.made += 1
        return self

    def write(self, event):
        self.trouble(event)
        self.events.append(event)

    def close(self):
        self.closed += 1

    @property
    def numbers(self):
        return [event.frame.index for event in self.events]


@pytest.fixture
def queued():
    made = []

    def make(sink, **more):
        made.append(Queued("kept", sink, **{"first_wait_s": 0.001, "longest_wait_s": 0.002, **more}))
        return made[-1]

    yield make
    for item in made:
        item.close(1.0)


def test_events_arrive_in_order_and_closing_drains(queued):
    sink = Kept()
    queue = queued(sink)
    for index in range(500):
        queue.put(result(index))
    assert queue.close(10) == 0
    assert sink.numbers == list(range(500))
    assert (queue.state().state, queue.state().written, queue.state().dropped) == ("closed", 500, 0)
    assert (sink.made, sink.closed) == (1, 1)


def test_a_sink_that_blocks_holds_nobody_up_and_the_oldest_are_dropped_and_counted(queued):
    inside, go = threading.Event(), threading.Event()

    def block(event):
        inside.set()
        go.wait(10)

    sink = Kept(block)
    queue = queued(sink, room=10)
    queue.put(result(0))
    assert inside.wait(10)
    for index in range(1, 100):
        queue.put(result(index))  # would hang here for ten seconds each if it blocked
    assert (queue.state().waiting, queue.state().dropped) == (10, 90)
    go.set()
    assert queue.close(10) == 0
    assert sink.numbers == [0, *range(90, 100)]


def test_an_event_that_failed_is_tried_again_by_a_sink_made_anew(queued):
    fails = iter([True, True, True])

    def full(event):
        if event.frame.index == 2 and next(fails, False):
            raise OSError(28, "No space left on device")

    sink = Kept(full)
    queue = queued(sink)
    for index in range(5):
        queue.put(result(index))
    for _ in range(2000):
        if queue.state().written == 5:
            break
        threading.Event().wait(0.005)
    state = queue.state()
    assert sink.numbers == [0, 1, 2, 3, 4]
    assert (state.state, state.reason, state.failures, state.dropped) == ("ok", None, 3, 0)
    assert (sink.made, sink.closed) == (4, 3)


def test_a_sink_that_cannot_even_be_made_says_why_without_the_password(queued):
    def make():
        raise ConnectionError("no route to mqtt://bob:s3cret@broker:1883")

    queue = queued(make, first_wait_s=60)
    queue.put(result(0))
    for _ in range(2000):
        if queue.state().failures:
            break
        threading.Event().wait(0.005)
    state = queue.state()
    assert state.state == "failing"
    assert "***@broker" in state.reason
    assert "s3cret" not in state.reason
    assert queue.close(10) == 1  # one last try, which fails; the minute is not waited for
    assert queue.state().dropped == 1


def test_pictures_do_not_pile_up(queued):
    inside, go = threading.Event(), threading.Event()
    sink = Kept(lambda event: inside.set() or go.wait(10))
    queue = queued(sink, room_bytes=10 * 300)
    queue.put(result(0, 10))
    assert inside.wait(10)
    for index in range(1, 50):
        queue.put(result(index, 10))  # 300 bytes each
    assert queue.state().waiting == 10
    go.set()


def test_a_sink_that_does_not_look_at_pictures_is_not_given_them(queued):
    sink = Kept()
    queue = queued(sink, wants_image=False)
    queue.put(result(0, 100))
    queue.close(10)
    assert sink.events[0].frame.image.size == 0
    assert sink.events[0].score == 0.5


def test_only_what_is_wanted(queued):
    sink = Kept()
    queue = queued(sink, wants=lambda event: event.decision == "defect")
    for index in range(6):
        queue.put(result(index, decision="defect" if index % 3 == 0 else "good"))
    queue.close(10)
    assert sink.numbers == [0, 3]
