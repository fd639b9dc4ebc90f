import threading

import pytest


@pytest.mark.faults
def test_an_event_that_failed_is_tried_again_by_a_sink_made_anew(queued, kept, result, until):
    fails = iter([True, True, True])

    def full(event):
        if event.frame.index == 2 and next(fails, False):
            raise OSError(28, "No space left on device")

    sink = kept(full)
    queue = queued(sink)
    for index in range(5):
        queue.put(result(index))
    assert until(lambda: queue.state().written == 5)
    state = queue.state()
    assert sink.numbers == [0, 1, 2, 3, 4]
    assert (state.state, state.reason, state.failures, state.dropped) == ("ok", None, 3, 0)
    assert (sink.made, sink.closed) == (4, 3)


def test_a_sink_that_cannot_even_be_made_says_why_without_the_password(queued, result, until):
    def make():
        raise ConnectionError("no route to mqtt://bob:s3cret@broker:1883")

    queue = queued(make, first_wait_s=60)
    queue.put(result(0))
    assert until(lambda: queue.state().failures)
    state = queue.state()
    assert state.state == "failing"
    assert "***@broker" in state.reason
    assert "s3cret" not in state.reason
    assert queue.close(60) == 1  # one last try, which fails; the minute is not waited for
    assert queue.state().dropped == 1


@pytest.mark.faults
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=lambda e: type(e).__name__)
def test_a_sink_that_wants_to_leave_is_a_failure_like_any_other(queued, kept, result, until, error):
    left = iter([True, True])

    def leave(event):
        if next(left, False):
            raise error

    sink = kept(leave)
    queue = queued(sink)
    queue.put(result(0))
    assert until(lambda: queue.state().written == 1)
    state = queue.state()
    assert (state.state, state.failures, sink.numbers) == ("ok", 2, [0])
    queue.put(result(1))
    assert queue.close(60) == 0
    assert sink.numbers == [0, 1]


@pytest.mark.faults
def test_a_sink_that_leaves_while_it_is_made_or_closed_is_told(queued, kept, result, until):
    class Rude(kept):
        def close(self):
            raise SystemExit("bye")

    def never():
        raise SystemExit("no licence")

    made = queued(never, first_wait_s=60)
    made.put(result(0))
    assert until(lambda: made.state().failures)
    assert (made.state().state, made.state().reason) == ("failing", "no licence")
    closed = queued(Rude())
    closed.put(result(0))
    assert closed.close(60) == 0
    assert (closed.state().state, closed.state().reason, closed.state().written) == ("closed", "bye", 1)


@pytest.mark.faults
@pytest.mark.parametrize("bad", [{0}, {3}, {3, 4, 5}, {9}, {0, 4, 9}])
def test_an_event_that_can_never_be_written_is_set_aside_and_the_rest_goes_on(queued, kept, result, until, bad):
    def poison(event):
        if event.frame.index in bad:
            raise ValueError(f"Out of range float values: {event.frame.index}")

    sink = kept(poison)
    queue = queued(sink, tries=3)
    for index in range(10):
        queue.put(result(index))
    # What is last cannot be told from a sink that is broken, until something after it goes through.
    queue.put(result(10))
    assert until(lambda: queue.state().written + queue.state().set_aside == 11)
    state = queue.state()
    assert sorted(sink.numbers) == [index for index in range(11) if index not in bad]
    assert (state.state, state.set_aside, state.dropped, state.waiting) == ("ok", len(bad), 0, 0)
    assert state.set_aside_reason == f"Out of range float values: {max(bad)}"


@pytest.mark.faults
def test_a_sink_that_fails_for_long_sets_nothing_aside(queued, kept, result, until):
    """A full disk or a broker that is down is no fault of the event: all of it is there when it is over."""
    full = threading.Event()
    full.set()

    def trouble(event):
        if full.is_set():
            raise OSError(28, "No space left on device")

    sink = kept(trouble)
    queue = queued(sink, tries=3)
    for index in range(8):
        queue.put(result(index))
    assert until(lambda: queue.state().failures > 60)
    assert (queue.state().state, queue.state().waiting, queue.state().set_aside) == ("failing", 8, 0)
    full.clear()
    assert queue.close(60) == 0
    assert sorted(sink.numbers) == list(range(8))
    assert (queue.state().dropped, queue.state().set_aside) == (0, 0)


@pytest.mark.faults
def test_closing_passes_an_event_that_cannot_be_written(queued, kept, result, until):
    def poison(event):
        if event.frame.index == 0:
            raise ValueError("never")

    sink = kept(poison)
    queue = queued(sink, first_wait_s=60)
    for index in range(5):
        queue.put(result(index))
    assert until(lambda: queue.state().failures == 1)
    assert queue.close(60) == 0
    assert sink.numbers == [1, 2, 3, 4]
    assert queue.state().set_aside == 1


def test_what_a_sink_counts_is_told_across_its_failures(queued, kept, result):
    class Counting(kept):
        def __call__(self):
            self.counts = {"removed": 0}
            return super().__call__()

        def write(self, event):
            self.counts["removed"] += 2
            if event.frame.index == 1 and self.made == 1:
                raise OSError("once")

    queue = queued(Counting())
    for index in range(3):
        queue.put(result(index))
    assert queue.close(60) == 0
    assert queue.state().counts == {"removed": 8}


def test_a_sink_that_cannot_be_made_is_told_before_its_first_event_and_tried_until_it_can(queued, kept, result, until):
    there = threading.Event()
    sink = kept()

    def make():
        if not there.is_set():
            raise OSError(2, "no such folder")
        return sink()

    queue = queued(make)
    assert until(lambda: queue.state().failures > 2)
    assert queue.state().state == "failing"
    there.set()
    assert until(lambda: queue.state().state == "ok")
    assert queue.state().reason is None
    queue.put(result(0))
    assert queue.close(60) == 0
    assert (sink.numbers, sink.made) == ([0], 1)


def test_a_sink_whose_counts_and_errors_make_no_sense_goes_on(queued, kept, result, until):
    class Mute(Exception):
        def __str__(self):
            raise ValueError("no words")

    def trouble(event):
        sink.counts = "many"
        if event.frame.index == 0 and sink.made == 1:
            raise Mute

    sink = kept(trouble)
    queue = queued(sink)
    for index in range(3):
        queue.put(result(index))
    assert until(lambda: queue.state().written == 3)
    assert sink.numbers == [0, 1, 2]
    assert (queue.state().failures, queue.state().counts) == (1, {})


@pytest.mark.faults
@pytest.mark.parametrize("where", ["made", "write", "close"])
def test_a_sink_that_hangs_is_told_as_stalled_and_as_well_when_it_comes_back(queued, kept, result, until, where):
    moment, inside, go = [0.0], threading.Event(), threading.Event()

    def hang(*event):
        inside.set()
        go.wait(60)

    class Hanging(kept):
        def __call__(self):
            if where == "made" and not self.made:
                hang()
            return super().__call__()

        def write(self, event):
            super().write(event)
            if where == "write" and event.frame.index == 0:
                hang()
            if where == "close" and event.frame.index == 0 and self.made == 1:
                raise OSError("once")

        def close(self):
            super().close()
            if where == "close" and self.closed == 1:
                hang()

    queue = queued(Hanging(), stall_s=10, clock=lambda: moment[0])
    queue.put(result(0))
    assert inside.wait(60)
    moment[0] = 9.9
    assert queue.state().state in ("ok", "failing")
    moment[0] = 42.4
    assert (queue.state().state, queue.state().reason) == ("stalled", "it has not come back for 42 s")
    go.set()
    queue.put(result(1))
    assert until(lambda: queue.state().written == 2)
    assert (queue.state().state, queue.state().reason) == ("ok", None)
    moment[0] = 99.0
    assert queue.state().state == "ok"
