"""Decisions to a controller: pymodbus's own server on loopback, looked at by a second client."""

import importlib.util
import json
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from wordsight.runtime.errors import OutputError, SettingError
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.registry import SinkContext, sink_kind

pytest.importorskip("pydantic")
pytestmark = pytest.mark.plant("pymodbus", "modbus")
HEARTBEAT, RUNNING, RESULT, SEQUENCE, ACKNOWLEDGE, RECIPE, IN_FORCE = range(7)
GOOD, UNSURE, DEFECT = [True, False, False], [False, True, False], [False, False, True]


@pytest.fixture(scope="module")
def plc_module():
    spec = importlib.util.spec_from_file_location("plc_of_tests", Path(__file__).with_name("plc.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["plc_of_tests"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plc(plc_module):
    made = plc_module.Plc()
    yield made
    made.stop()


@pytest.fixture
def modbus(plc, make_sink):
    def make(**more):
        # Neither an answer nor a decision is too late for these tests, unless one says so.
        patient = {"timeout_s": 30, "max_age_s": 600}
        return make_sink("modbus", url=f"modbus://127.0.0.1:{plc.port}", **{**patient, **more})

    return make


def status(*, state="running", step_s=0.1, recipe=None):
    return {
        "state": "running",
        "engine": {"last_step_s": step_s},
        "lines": [{"name": "press-3", "state": state, "recipe": recipe}, {"name": "other", "state": "failed"}],
    }


def test_each_decision_is_a_coil_a_code_and_the_next_sequence_number(plc, modbus, event, part_event):
    sink = modbus()
    told = []
    for index, decision in enumerate(("good", "unsure", "defect", None)):
        sink.write(event(index, decision))
        told.append((plc.coils(), plc.registers(RESULT, 2)))
    assert told == [
        (GOOD, [1, 1]), (UNSURE, [2, 2]), (DEFECT, [3, 3]), ([False] * 3, [0, 4])
    ]  # fmt: skip
    now = part_event(decision="good")
    from wordsight.runtime.sources.frame import now as wall_clock

    sink.write(replace(now, ended=wall_clock()))
    assert (plc.coils(), plc.registers(RESULT, 2)) == (GOOD, [1, 5])


def test_before_the_first_decision_and_after_the_last_the_fail_safe_value_is_told(plc, modbus, event):
    sink = modbus()
    assert (plc.coils(), plc.registers(RUNNING, 3)) == (DEFECT, [0, 3, 0])
    sink.status(status())
    sink.write(event(0, "good"))
    assert (plc.coils(), plc.registers(RUNNING, 3)) == (GOOD, [1, 1, 1])
    sink.close()
    assert (plc.coils(), plc.registers(RUNNING, 3)) == (DEFECT, [0, 3, 1])  # no number of its own: it is no decision


@pytest.mark.parametrize(
    ("value", "coils", "code"), [("none", [False] * 3, 0), ("unsure", UNSURE, 2), ("good", GOOD, 1)]
)
def test_the_fail_safe_value_is_the_plants_choice(plc, modbus, event, value, coils, code):
    sink = modbus(fail_safe=value)
    sink.write(event(0, "defect"))
    sink.close()
    assert (plc.coils(), plc.registers(RESULT, 1)) == (coils, [code])


@pytest.mark.parametrize("state", ["stalled", "frozen", "retrying", "ended", "failed", "stopped", "opening"])
def test_when_its_line_stops_the_fail_safe_value_is_told_and_the_heartbeat_runs_on(plc, modbus, event, state):
    sink = modbus()
    sink.status(status())
    sink.write(event(0, "good"))
    sink.status(status(state=state))
    assert plc.coils() == DEFECT
    assert plc.registers(HEARTBEAT, 4) == [2, 0, 3, 1]
    sink.status(status())
    assert plc.registers(HEARTBEAT, 4) == [3, 1, 3, 1]  # the line is back, and nothing is decided yet
    sink.write(event(1, "good"))
    assert plc.coils() == GOOD


def test_the_heartbeat_stands_still_while_the_engine_does_not_step(plc, modbus, event):
    sink = modbus(engine_s=3)
    beats = []
    for step_s in (0.1, 2.9, 3.1, 60.0, 0.1):
        sink.status(status(step_s=step_s))
        beats.append(plc.registers(HEARTBEAT, 2))
    assert beats == [[1, 1], [2, 1], [2, 0], [2, 0], [3, 1]]


def test_an_acknowledgement_is_waited_for_and_a_late_one_is_counted(plc, modbus, event):
    sink = modbus(ack_s=10)
    done = threading.Event()

    def write():
        sink.write(event(0, "good"))
        done.set()

    threading.Thread(target=write, daemon=True).start()
    while plc.registers(SEQUENCE, 1) != [1]:
        pass
    assert not done.wait(0.05)
    plc.set(ACKNOWLEDGE, 1)
    assert done.wait(60)
    assert sink.counts["late"] == 0
    slow = modbus(ack_s=0.02)
    slow.write(event(1, "good"))  # it comes back although nobody acknowledges 2
    assert slow.counts["late"] == 1
    assert plc.registers(SEQUENCE, 1) == [2]


def test_the_sequence_number_goes_on_after_a_restart_and_begins_again_at_1(plc, modbus, event):
    plc.set(SEQUENCE, 65534)
    first = modbus()
    first.write(event(0))
    assert plc.registers(SEQUENCE, 1) == [65535]
    first.close()
    second = modbus()
    second.write(event(1))
    assert plc.registers(SEQUENCE, 1) == [1]


def test_a_decision_that_is_too_old_is_counted_and_not_told(plc, modbus, event):
    sink = modbus(max_age_s=5)
    old = event(0, "good")
    sink.write(replace(old, frame=replace(old.frame, captured_s=old.frame.captured_s - 6)))
    assert (sink.counts["stale"], plc.registers(SEQUENCE, 1), plc.coils()) == (1, [0], DEFECT)


@pytest.mark.faults
def test_a_controller_that_is_gone_for_a_while_is_found_again(plc, event, tmp_path, until):
    kind = sink_kind("modbus")
    options = kind.Options(url=f"modbus://127.0.0.1:{plc.port}", timeout_s=30, max_age_s=600)
    queue = Queued(
        "plc", lambda: kind.make(options, SinkContext(tmp_path, ("press-3",), tmp_path)), wants_image=False,
        first_wait_s=0.01, longest_wait_s=0.05,
    )  # fmt: skip
    queue.put(event(0, "good"))
    assert until(lambda: queue.state().written == 1)
    plc.stop()
    queue.put(event(1, "unsure"))
    assert until(lambda: queue.state().failures >= 3)
    assert queue.state().state == "failing"
    assert f"the controller at 127.0.0.1:{plc.port}" in queue.state().reason
    plc.start()
    assert until(lambda: queue.state().written == 2)
    assert until(lambda: queue.state().state == "ok")
    assert (plc.coils(), plc.registers(RESULT, 2)) == (UNSURE, [2, 1])  # it had forgotten its numbers
    assert queue.close(60) == 0
    assert plc.coils() == DEFECT


def test_a_controller_that_lacks_an_address_is_told_in_one_line(plc_module, make_sink):
    small = plc_module.Plc(registers=3)
    try:
        with pytest.raises(OutputError, match="refuses function 3: it has no such address"):
            make_sink("modbus", url=f"modbus://127.0.0.1:{small.port}", timeout_s=30)
    finally:
        small.stop()


@pytest.mark.faults
def test_one_that_takes_the_call_and_says_nothing_is_left_in_time(make_sink):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(OutputError, match="does not answer"):
            make_sink("modbus", url=f"modbus://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1)


@pytest.mark.faults
def test_one_that_answers_rubbish_is_a_failure(make_sink):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(100)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(OutputError, match="does not answer"):
            make_sink("modbus", url=f"modbus://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.1)


def test_one_that_is_not_there_is_told(make_sink):
    with socket.socket() as mute:  # it has the port, so that nobody else gets it, and does not listen
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        with pytest.raises(OutputError, match=f"the controller at 127.0.0.1:{port} cannot be reached"):
            make_sink("modbus", url=f"modbus://127.0.0.1:{port}")


LINE_FILE = """model = "m.onnx"
[[line]]
name = "press-3"
source = "parts"
[[line]]
name = "other"
source = "parts"
[[recipe]]
name = "nut"
number = 8
[[recipe]]
name = "screw"
number = 9
"""


def test_the_controller_selects_the_recipe_of_its_lines_by_number(plc, tmp_path, event):
    (tmp_path / "line.toml").write_text(LINE_FILE)
    kind = sink_kind("modbus")
    url = f"modbus://127.0.0.1:{plc.port}"
    options = kind.Options(url=url, timeout_s=30, recipe=RECIPE, recipe_in_force=IN_FORCE)
    context = SinkContext(tmp_path, ("press-3",), tmp_path / "line.state", tmp_path / "line.toml")
    sink = kind.make(options, context)
    selected = tmp_path / "line.state" / "recipe.json"

    def look(recipe):
        sink.status(status(recipe=recipe))
        return json.loads(selected.read_text())["lines"] if selected.exists() else None, plc.registers(IN_FORCE, 1)

    assert look("screw") == (None, [9])  # nothing is asked: what people selected stays
    plc.set(RECIPE, 8)
    assert look("screw") == ({"press-3": "nut"}, [9])  # selected, and not yet in force
    assert look("nut") == ({"press-3": "nut"}, [8])
    plc.set(RECIPE, 7)
    assert look("nut") == ({"press-3": "nut"}, [65535])
    assert look("nut") == ({"press-3": "nut"}, [65535])
    assert sink.counts == {"late": 0, "stale": 0, "recipes": 1, "recipes_unknown": 1}
    plc.set(RECIPE, 0)
    assert look("nut") == ({"press-3": "nut"}, [8])
    sink.close()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"url": "modbus://user:pw@plc"}, "expected modbus://host:port"),
        ({"url": "tcp://plc:502"}, "expected modbus://host:port"),
        ({"url": "modbus://plc:0"}, "expected modbus://host:port"),
        ({"heartbeat": 3}, "heartbeat is register 3, and so is result's sequence number"),
        ({"ack_s": 1, "acknowledge": 1}, "running is register 1, and so is acknowledge"),
        ({"result": 65535}, "up to 65535"),
        ({"coils": True}, "coils"),
    ],
)
def test_options_that_cannot_be_are_refused(more, told):
    with pytest.raises((ValueError, SettingError), match=told):
        sink_kind("modbus").Options(**{"url": "modbus://plc", **more})
