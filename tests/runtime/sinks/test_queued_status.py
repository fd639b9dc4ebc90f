import threading

import pytest


@pytest.fixture
def told(kept):
    """The class of sinks that want to know how everything does, as well."""

    class Told(kept):
        def __init__(self, trouble=lambda event: None, unwell=lambda status: None):
            super().__init__(trouble)
            self.statuses, self.threads, self.unwell = [], set(), unwell

        def status(self, status):
            self.unwell(status)
            self.threads.add(threading.current_thread())
            self.statuses.append(status["n"])

        def write(self, event):
            super().write(event)
            self.threads.add(threading.current_thread())

    return Told


def test_a_sink_that_asks_is_told_the_status_in_the_thread_of_its_events(queued, told, result, until):
    sink = told()
    queue = queued(sink)
    for n in range(3):
        queue.tell({"n": n})
        assert until(lambda n=n: sink.statuses[-1:] == [n])
        queue.put(result(n))
    assert until(lambda: queue.state().written == 3)  # counted once the sink has come back
    assert sink.numbers == [0, 1, 2]
    assert len(sink.threads) == 1


def test_while_a_sink_is_busy_only_the_newest_status_waits(queued, told, result, until):
    inside, go = threading.Event(), threading.Event()
    sink = told(trouble=lambda event: inside.set() or go.wait(60))
    queue = queued(sink)
    queue.put(result(0))
    assert inside.wait(60)  # before that it is not busy, and may be told of any of them
    for n in range(100):
        queue.tell({"n": n})
    go.set()
    assert until(lambda: sink.statuses)
    assert queue.close(60) == 0
    assert sink.statuses == [99]


def test_a_sink_that_fails_at_a_status_is_made_anew_and_its_events_go_on(queued, told, result, until):
    sink = told(unwell=lambda status: 1 / status["n"])
    queue = queued(sink)
    queue.tell({"n": 0})
    assert until(lambda: sink.made == 2)
    assert (queue.state().failures, queue.state().dropped) == (1, 0)
    queue.tell({"n": 7})
    queue.put(result(0))
    assert until(lambda: sink.numbers == [0])
    assert until(lambda: queue.state().state == "ok")
    assert sink.statuses == [7]


def test_a_sink_that_does_not_ask_is_not_disturbed_by_a_status(queued, kept, result, until):
    sink = kept()
    queue = queued(sink)
    queue.tell({"n": 0})
    queue.put(result(0))
    assert until(lambda: sink.numbers == [0])
    assert queue.state().failures == 0
