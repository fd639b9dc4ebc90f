import random
import threading
from dataclasses import replace

import numpy as np
import pytest

from wordsight.runtime.fits import Place
from wordsight.runtime.heat import Heat
from wordsight.runtime.sinks.event_sink import SinkState


def test_what_a_sink_lost_after_it_took_it_is_lost_too():
    counts = {"overflowed": 3, "refused": 4, "sent": 5, "late": 6}
    assert SinkState(written=9, dropped=1, set_aside=2, counts=counts, unsent=8).lost == 10


def test_events_arrive_in_order_and_closing_drains(queued, kept, result):
    sink = kept()
    queue = queued(sink)
    for index in range(500):
        queue.put(result(index))
    assert queue.close(60) == 0
    assert sink.numbers == list(range(500))
    assert (queue.state().state, queue.state().written, queue.state().dropped) == ("closed", 500, 0)
    assert (sink.made, sink.closed) == (1, 1)


@pytest.mark.faults
def test_a_sink_that_blocks_holds_nobody_up_and_the_oldest_are_dropped_and_counted(queued, kept, result):
    inside, go = threading.Event(), threading.Event()

    def block(event):
        inside.set()
        go.wait(60)

    sink = kept(block)
    queue = queued(sink, room=10)
    queue.put(result(0))
    assert inside.wait(60)
    for index in range(1, 100):
        queue.put(result(index))  # would hang here for a minute each if it blocked
    assert (queue.state().waiting, queue.state().dropped) == (10, 90)
    go.set()
    assert queue.close(60) == 0
    assert sink.numbers == [0, *range(91, 100)]
    assert (queue.state().written, queue.state().dropped) == (10, 90)  # each is counted once


def test_pictures_do_not_pile_up(queued, kept, result):
    inside, go = threading.Event(), threading.Event()
    sink = kept(lambda event: inside.set() or go.wait(60))
    queue = queued(sink, room_bytes=10 * 300)
    queue.put(result(0, 10))
    assert inside.wait(60)
    for index in range(1, 50):
        queue.put(result(index, 10))  # 300 bytes each
    assert queue.state().waiting == 10
    go.set()


def test_a_sink_that_does_not_look_at_pictures_is_not_given_them(queued, kept, result):
    sink = kept()
    queue = queued(sink, wants_image=False)
    queue.put(result(0, 100))
    queue.close(60)
    assert sink.events[0].frame.image.size == 0
    assert sink.events[0].score == 0.5


def test_only_what_is_wanted(queued, kept, result):
    sink = kept()
    queue = queued(sink, wants=lambda event: event.decision == "defect")
    for index in range(6):
        queue.put(result(index, decision="defect" if index % 3 == 0 else "good"))
    queue.close(60)
    assert sink.numbers == [0, 3]


@pytest.mark.faults
def test_a_write_that_hangs_beyond_closing_is_counted_once_and_the_state_stays_closed(queued, kept, result):
    inside, go = threading.Event(), threading.Event()
    sink = kept(lambda event: inside.set() or go.wait(60))
    queue = queued(sink)
    queue.put(result(0))
    queue.put(result(1))
    assert inside.wait(60)
    assert queue.close(0.05) == 2
    told = queue.state()
    assert (told.state, told.written, told.dropped, told.waiting) == ("closed", 0, 2, 0)
    go.set()
    queue._thread.join(60)
    assert not queue._thread.is_alive()
    assert queue.state() == told
    assert (sink.numbers, sink.closed) == ([0], 1)  # the other one was not written after it had been told as lost


@pytest.mark.faults
def test_a_failure_after_closing_does_not_open_it_again(queued, kept, result):
    inside, go = threading.Event(), threading.Event()

    def hang(event):
        inside.set()
        go.wait(60)
        raise OSError(5, "Input/output error")

    queue = queued(kept(hang))
    queue.put(result(0))
    assert inside.wait(60)
    assert queue.close(0.05) == 1
    told = queue.state()
    go.set()
    queue._thread.join(60)
    assert not queue._thread.is_alive()
    assert queue.state() == told


@pytest.mark.faults
def test_a_choice_that_raises_is_told_and_counted_and_never_reaches_the_loop(queued, kept, result, until):
    def wants(event):
        if event.frame.index == 1:
            raise KeyError("decision")
        return True

    sink = kept()
    queue = queued(sink, wants=wants)
    queue.put(result(0))
    assert until(lambda: queue.state().written == 1)
    queue.put(result(1))
    state = queue.state()
    assert (state.state, state.failures, state.dropped) == ("failing", 1, 1)
    assert "decision" in state.reason
    queue.put(result(2))
    assert queue.close(60) == 0
    assert sink.numbers == [0, 2]


def test_heat_maps_count_as_pictures_do(queued, kept, result):
    inside, go = threading.Event(), threading.Event()
    sink = kept(lambda event: inside.set() or go.wait(60))
    queue = queued(sink, room_bytes=10 * (300 + 400))
    heat = Heat(np.zeros((10, 10), np.float32), Place(0, 0, 10, 10), (10, 10), 2.0, 1.5)
    queue.put(replace(result(0, 10), heat=heat))
    assert inside.wait(60)
    for index in range(1, 50):
        queue.put(replace(result(index, 10), heat=heat))  # 300 bytes of picture, 400 of heat map
    assert (queue.state().waiting, queue.state().dropped) == (10, 40)
    go.set()


def test_what_the_sink_itself_says_of_pictures_is_heeded(queued, kept, result):
    class Blind(kept):
        wants_image = False

    inside, go = threading.Event(), threading.Event()
    sink = Blind(lambda event: inside.set() or go.wait(60))
    queue = queued(sink)
    queue.put(result(0, 100))
    assert inside.wait(60)
    for index in range(1, 5):
        queue.put(result(index, 100))
    assert queue._queue.bytes == 0 or queue._queue.bytes == 30000  # at most the one before it was made
    go.set()
    assert queue.close(60) == 0
    assert [event.frame.image.size for event in sink.events] == [0] * 5


@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_sink_does_each_event_is_written_once_or_counted_as_lost(queued, kept, result, until, seed):
    draw = random.Random(seed)
    poisoned = {index for index in range(200) if draw.random() < draw.choice([0.0, 0.02, 0.2])}
    faulty = draw.choice([0.0, 0.05, 0.5])
    outage = range(draw.randrange(300), draw.randrange(600))
    calls = iter(range(10**9))

    def trouble(event):
        call = next(calls)
        if event.frame.index in poisoned or call in outage or draw.random() < faulty:
            raise draw.choice([OSError("disk"), ValueError("event"), SystemExit("bye")])

    sink = kept(trouble)
    queue = queued(sink, room=draw.choice([5, 50, 1000]), tries=3, first_wait_s=0.0, longest_wait_s=0.0001)
    for index in range(200):
        queue.put(result(index))
        if draw.random() < 0.02:
            threading.Event().wait(0.001)
    if draw.random() < 0.5:
        until(lambda: queue.state().waiting <= len(poisoned), 1.0)
    left = queue.close(60)
    state = queue.state()
    assert (state.state, state.waiting) == ("closed", 0)
    assert left <= state.dropped
    assert state.written + state.dropped + state.set_aside == 200
    assert len(sink.numbers) == len(set(sink.numbers)) == state.written
    assert not set(sink.numbers) & poisoned
    assert queue._queue.bytes == 0
    if not poisoned and not faulty:
        assert state.set_aside == 0
