"""Outputs of the board. No machine of the tests has a GPIO chip: libgpiod's own settings and values are used, and only
the request for lines is a stand-in, which keeps every level that a wire would have had."""

import errno
import os
from dataclasses import replace

import pytest

from wordsight.runtime.errors import OutputError
from wordsight.runtime.sinks.registry import sink_kind

pytest.importorskip("pydantic")
pytestmark = pytest.mark.plant("gpiod", "gpio")
WIRES = {"good": 4, "unsure": 5, "defect": "EJECT", "ready": 7, "max_age_s": 600}  # no decision is late by chance


class Wires:
    """A chip's lines, as a volt meter sees them: `seen` holds the levels after each change."""

    def __init__(self):
        self.seen, self.low, self.released, self.broken = [], {}, False, None

    def request(self, path, consumer=None, config=None):
        from gpiod.line import Direction

        if self.broken is not None:
            raise OSError(self.broken, os.strerror(self.broken))
        assert (path, consumer) == ("/dev/gpiochip0", "wordsight")
        assert {one.direction for one in config.values()} == {Direction.OUTPUT}
        self.low = {line: one.active_low for line, one in config.items()}
        self.set_values({line: one.output_value for line, one in config.items()})
        return self

    def set_values(self, values):
        if self.broken is not None:
            raise OSError(self.broken, os.strerror(self.broken))
        from gpiod.line import Value

        assert set(values) == set(self.low)
        self.seen.append({line for line, value in values.items() if (value is Value.ACTIVE) != self.low[line]})

    def release(self):
        self.released = True


@pytest.fixture
def wires(monkeypatch):
    import gpiod

    made = Wires()
    monkeypatch.setattr(gpiod, "request_lines", made.request)
    return made


def status(state="running", step_s=0.1):
    line = {"name": "press-3", "state": state}
    return {"state": "running", "engine": {"last_step_s": step_s}, "lines": [line]}


def test_each_decision_is_a_level_until_the_next_one_and_the_end_is_fail_safe(wires, make_sink, event):
    sink = make_sink("gpio", **WIRES)
    for index, decision in enumerate(("good", "unsure", "defect", None)):
        sink.write(event(index, decision))
    sink.close()
    assert wires.seen == [{"EJECT"}, {4}, {5}, {"EJECT"}, set(), {"EJECT"}]
    assert wires.released


def test_active_low_turns_every_level_over(wires, make_sink, event):
    sink = make_sink("gpio", good=4, defect=6, active_low=True, max_age_s=600)
    sink.write(event(0, "good"))
    sink.close()
    assert wires.seen == [{4}, {6}, {4}]  # high is off


def test_a_pulse_is_as_long_as_was_said_with_a_gap_before_the_next(wires, make_sink, event, monkeypatch):
    from wordsight.runtime.sinks import gpio

    clock = [100.0]

    def sleep(seconds):
        clock[0] += seconds
        if seconds:
            wires.seen.append(round(seconds, 6))

    monkeypatch.setattr(gpio.time, "sleep", sleep)
    monkeypatch.setattr(gpio.time, "monotonic", lambda: clock[0])
    sink = make_sink("gpio", good=4, defect=6, pulse_ms=50, gap_ms=20, fail_safe="none")
    clock[0] += 1
    for index, decision in enumerate(("defect", "defect", "good")):
        fresh = event(index, decision)
        sink.write(replace(fresh, frame=replace(fresh.frame, captured_s=clock[0])))
    assert wires.seen == [set(), set(), 0.02, {6}, 0.05, set(), 0.02, {6}, 0.05, set(), 0.02, {4}, 0.05, set()]


@pytest.mark.parametrize("trouble", [{"state": "stalled"}, {"state": "ended"}, {"step_s": 6.0}])
def test_when_its_line_or_the_engine_stops_ready_goes_out_and_the_level_is_fail_safe(wires, make_sink, event, trouble):
    sink = make_sink("gpio", **WIRES)
    sink.status(status())
    sink.write(event(0, "good"))
    sink.status(status())
    sink.status(status(**trouble))
    sink.status(status(**trouble))
    sink.status(status())
    sink.write(event(1, "good"))
    assert wires.seen == [{"EJECT"}, {"EJECT", 7}, {4, 7}, {"EJECT"}, {"EJECT", 7}, {4, 7}]


def test_a_decision_that_is_too_old_is_counted_and_not_told(wires, make_sink, event):
    sink = make_sink("gpio", **{**WIRES, "max_age_s": 5})
    old = event(0, "good")
    sink.write(replace(old, frame=replace(old.frame, captured_s=old.frame.captured_s - 6)))
    assert (sink.counts, wires.seen) == ({"stale": 1}, [{"EJECT"}])


@pytest.mark.parametrize(
    ("code", "told"), [(errno.EBUSY, "device or resource busy"), (errno.EACCES, "permission denied")]
)
def test_a_line_that_cannot_be_had_is_told_in_one_line(wires, make_sink, code, told):
    wires.broken = code
    with pytest.raises(OutputError, match=f"cannot use the outputs of /dev/gpiochip0: {told}"):
        make_sink("gpio", **WIRES)


def test_a_chip_that_goes_away_is_a_failure(wires, make_sink, event):
    sink = make_sink("gpio", **WIRES)
    wires.broken = errno.ENODEV
    with pytest.raises(OutputError, match="no such device"):
        sink.write(event(0, "good"))


def test_libgpiod_itself_says_what_is_no_chip(make_sink, tmp_path):
    with pytest.raises(OutputError, match=r"cannot use the outputs of .*absent: no such file"):
        make_sink("gpio", **WIRES, chip=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "expected an output for good"),
        ({"good": 4, "defect": 4}, "expected an output of its own"),
        ({"good": 4}, 'fail_safe = "defect" needs an output for defect; or say "none"'),
        ({"defect": 4, "pulse_ms": -1}, "pulse_ms"),
        ({"defect": -1}, "defect"),
    ],
)
def test_options_that_cannot_be_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        sink_kind("gpio").Options(**options)
