"""Events at a real broker: with TLS and passwords, through its absence and our own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = [pytest.mark.plant("paho", "mqtt"), pytest.mark.broker]
SECRET = "s3cret-of-the-line"

CHILD = """
import os, sys, threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from wordsight.runtime.line.events import event_id
from wordsight.runtime.sinks.registry import SinkContext, sink_kind
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sources.frame import Frame

folder, url, begin, end, pause = Path(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:6])
kind = sink_kind("mqtt")
context = SinkContext(folder, ("press-1", "press-2"), folder / "state", name="hall")
sink = kind.make(kind.Options(url=url, ca="ca.pem"), context)
rest = threading.Event()
for number in range(int(begin), int(end)):
    name = f"press-{1 + number % 2}"
    stamp = datetime(2026, 11, 26, tzinfo=timezone.utc) + timedelta(seconds=number)
    frame = Frame(np.zeros((2, 2, 3), np.uint8), "cam", number, stamp, "cam", None, None)
    id = event_id(name, "cam", number, stamp)
    sink.write(Result(frame, 0.5, 0.25, 0.25, "good", line=name, event_id=id))
    print(number, flush=True)
    rest.wait(pause)
sys.stdin.read()
print(sink, sink.trouble, sink.counts, sink.__dict__, flush=True)
sink.close()
"""


@cache
def parts():
    """Return the module beside this one; it needs paho-mqtt, which the lean environment lacks."""
    spec = util.spec_from_file_location("broker", Path(__file__).with_name("broker.py"))
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def broker(tmp_path):
    made = []

    def make(more=""):
        made.append(parts().Broker(tmp_path, SECRET, more))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def listener():
    made = []

    def make(broker, **more):
        made.append(parts().Listener(broker, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def sink(tmp_path, monkeypatch):
    """Make the sink as a line does, behind its queue: (url, **options) -> Queued."""
    from wordsight.runtime.sinks.queued import Queued
    from wordsight.runtime.sinks.registry import SinkContext, sink_kind

    monkeypatch.setenv("WORDSIGHT_HALL_USER", "line")
    monkeypatch.setenv("WORDSIGHT_HALL_PASSWORD", SECRET)
    made = []

    def make(url, **options):
        kind = sink_kind("mqtt")
        context = SinkContext(tmp_path, ("press-3",), tmp_path / "state", name="hall")
        # A broker that answers late is one that answers: what is sent once more would come twice.
        chosen = kind.Options(**{"url": url, "ca": "ca.pem", "timeout_s": 60, **options})
        made.append(Queued("hall", lambda: kind.make(chosen, context), wants_image=kind.wants_image))
        return made[-1]

    yield make
    for each in made:
        each.close(10)


@pytest.fixture
def child(tmp_path):
    """Run a line's sink in a process of its own: (url, begin, end, pause_s) -> it, with `took`, the numbers it took."""
    made = []

    def run(url, begin, end, pause_s):
        words = [sys.executable, "-c", CHILD, str(tmp_path), url, str(begin), str(end), str(pause_s)]
        environment = {**os.environ, "WORDSIGHT_HALL_USER": "line", "WORDSIGHT_HALL_PASSWORD": SECRET}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(words, env=environment, text=True, **pipes)
        process.told = []
        process.reads = threading.Thread(
            target=lambda: process.told.extend(iter(process.stdout.readline, "")), daemon=True
        )
        process.reads.start()
        made.append(process)
        return process

    yield run
    for process in made:
        process.kill()
        process.wait()
        process.reads.join()


def told_ids(children):
    """What they said they took, by line, in order: numbers."""
    numbers = [int(text) for each in children for text in each.told if text.strip().isdigit()]
    return {f"press-{1 + odd}": [number for number in numbers if number % 2 == odd] for odd in (0, 1)}


def first_of_each(events):
    """What arrived, by line, in the order of first arrival, each id once."""
    once = {event["event_id"]: event for event in reversed(events)}
    seen, by_line = set(), {}
    for event in events:
        if event["event_id"] not in seen:
            seen.add(event["event_id"])
            by_line.setdefault(event["line"], []).append(event["frame"])
    assert len(once) == len(seen)
    return by_line


def test_events_arrive_as_the_schema_says_each_under_its_topic(broker, listener, sink, event, part_event, until):
    from wordsight.runtime.sinks.schema import event_json

    there = broker()
    hall, line = listener(there), sink(there.url)
    sent = [event(number, "defect", heat=True) for number in range(5)] + [part_event()]
    for each in sent:
        line.put(each)
    assert until(lambda: len(hall.events()) == 5 and len(hall.events("part")) == 1)
    assert hall.events() == [json.loads(json.dumps(event_json(each))) for each in sent[:5]]
    assert hall.events("part") == [event_json(sent[5])]
    told = {topic: message for topic, _, message in hall.heard}
    assert set(told) == {"wordsight/press-3/event", "wordsight/press-3/part", "wordsight/status"}
    message = told["wordsight/press-3/event"]
    assert (message.qos, message.retain, message.properties.ContentType) == (1, False, "application/json")
    assert until(lambda: line.state().counts["sent"] == 6)
    assert line.state().state == "ok"


def test_the_status_is_retained_and_an_end_is_told_from_a_death(broker, listener, child, sink, until):
    there = broker()
    hall = listener(there)
    first = child(there.url, 0, 3, 0)
    assert until(lambda: hall.states() == ["online"] and len(hall.events()) == 3)
    first.send_signal(signal.SIGKILL)
    assert until(lambda: hall.states() == ["online", "offline"])
    second = child(there.url, 3, 4, 0)
    # What was not known to have arrived when it was killed comes twice.
    assert until(lambda: {each["frame"] for each in hall.events()} == {0, 1, 2, 3})
    second.stdin.close()
    assert second.wait(60) == 0
    assert until(lambda: hall.states()[-2:] == ["online", "stopped"])
    hall.close()
    late = parts().Listener(there, "+/status")  # who comes later is told, too
    assert until(lambda: [(payload["state"], message.retain) for _, payload, message in late.heard][-1:])
    assert late.heard[-1][1]["state"] == "stopped"
    late.close()


def test_a_broker_away_slow_and_back_and_a_killed_line_lose_nothing(broker, listener, child, tmp_path, until):
    total = 1500
    there = broker()
    hall = listener(there)
    first = child(there.url, 0, 100_000, 0.002)
    assert until(lambda: len(hall.events()) > 100)
    there.stop()
    so_far = len(first.told)
    assert until(lambda: len(first.told) > so_far + 300)
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.reads.join()
    second = child(there.url, len(first.told) + 10, len(first.told) + 10 + total, 0.002)
    assert until(lambda: len(second.told) > 200)
    there.start()
    arrived = len(hall.events())
    assert until(lambda: len(hall.events()) > arrived + 50)
    there.hang()
    so_far = len(second.told)
    assert until(lambda: len(second.told) > so_far + 200)
    there.go_on()
    assert until(lambda: len(second.told) == total)
    last = int(second.told[-1])
    assert until(lambda: any(event["frame"] == last for event in hall.events()))
    second.stdin.close()
    assert second.wait(60) == 0
    second.reads.join()
    took, came = told_ids([first, second]), first_of_each(hall.events())
    # One that was on the disk when the line was killed may come although nobody was told that it was taken.
    for line, numbers in took.items():
        extra = set(came[line]) - set(numbers)
        assert extra <= {len(first.told)}
        assert [number for number in came[line] if number not in extra] == numbers
        assert came[line] == sorted(came[line])
    for path in (tmp_path / "state").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
    assert SECRET not in "".join(first.told + second.told)
    assert all(SECRET not in str(payload) for _, payload, _ in hall.heard)


def test_a_wrong_password_is_one_line_of_state_and_events_wait(broker, listener, sink, event, until, monkeypatch):
    there = broker()
    hall, line = listener(there), sink(there.url)
    assert until(lambda: hall.states() == ["online"])
    line.close(10)
    monkeypatch.setenv("WORDSIGHT_HALL_PASSWORD", "wr0ng-word")
    line = sink(there.url)
    line.put(event(0))
    told = f"the broker 127.0.0.1:{there.port} refuses us: not authorized; 1 events wait on the disk"
    assert until(lambda: line.state().reason == told)
    now = line.state()
    assert now.state == "failing"
    assert "wr0ng-word" not in repr(now)
    line.close(10)
    monkeypatch.undo()
    assert hall.events() == []


def test_what_may_not_be_published_is_told_and_kept(broker, listener, sink, event, until):
    there = broker()
    there.stop()
    (there.folder / "acl").write_text("user line\ntopic write wordsight/status\nuser hall\ntopic read #\n")
    with open(there.folder / "mosquitto.conf", "a") as file:
        file.write(f"acl_file {there.folder}/acl\n")
    there.start()
    hall, line = listener(there), sink(there.url)
    line.put(event(0))
    # In one look: it is tried again and again, and a connection that stands is no trouble until it is refused.
    assert until(lambda: re.search("refuses an event.*; 1 events wait", line.state().reason or ""))
    assert SECRET not in repr(line.state())
    (there.folder / "acl").write_text("user line\ntopic write wordsight/#\nuser hall\ntopic read #\n")
    there.process.send_signal(signal.SIGHUP)
    assert until(lambda: len(hall.events()) == 1)
    assert until(lambda: line.state().state == "ok")


def test_one_that_the_broker_never_takes_is_set_aside_and_the_rest_goes_on(broker, listener, sink, event, until):
    there = broker("max_packet_size 2000\n")
    hall, line = listener(there), sink(there.url)
    for number, source in enumerate(("a", "b" * 3000, "c")):
        line.put(event(number, source=source))
    assert until(lambda: len(hall.events()) == 2)
    assert [each["source"] for each in hall.events()] == ["a", "c"]
    assert until(lambda: line.state().counts["refused"] == 1)
    (kept,) = map(json.loads, (there.folder / "state/spool/hall/set-aside.jsonl").read_text().splitlines())
    assert kept["event"]["frame"] == 1
    assert "longer than the 2000 bytes" in kept["reason"]


def test_a_broker_that_nobody_vouches_for_gets_no_password(broker, sink, until):
    there = broker()
    line = sink(there.url, ca=None)
    assert until(lambda: line.state().state == "failing")
    assert f"the certificate of 127.0.0.1:{there.port} is refused" in line.state().reason


def test_no_secret_leaves_this_machine_without_tls(sink, until, tmp_path):
    line = sink("mqtt://broker.plant", ca=None)
    assert until(lambda: line.state().state == "failing")
    assert "expected TLS for an address that is given secrets, got mqtt://broker.plant" in line.state().reason


def test_a_broker_that_never_answers_holds_up_nobody(sink, event, until):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = sink(f"mqtt://127.0.0.1:{silent.getsockname()[1]}", ca=None, timeout_s=0.5)
        for number in range(50):
            line.put(event(number))
        assert until(lambda: "does not answer; 50 events wait" in (line.state().reason or ""))
        assert until(lambda: line.state().written == 50)  # counted after it has begun to wait
        assert line.close(5) == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "mqtts://line:secret@broker"}, "without user and password"),
        ({"url": "http://broker"}, "expected mqtts://"),
        ({"url": "mqtts://broker:99999"}, "expected mqtts://"),
        ({"url": "mqtts://broker", "topic": "a/#"}, r"without \+ and #"),
        ({"url": "mqtts://broker", "topic": "/a"}, "neither begins nor ends"),
        ({"url": "mqtts://broker", "keep_bytes": 10}, "greater than or equal to 1000000"),
        ({"url": "mqtts://broker", "pasword": "x"}, "Extra inputs"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, told):
    from pydantic import ValidationError

    from wordsight.runtime.sinks.registry import sink_kind

    with pytest.raises(ValidationError, match=told):
        sink_kind("mqtt").Options(**options)


def test_an_end_before_the_broker_has_answered_waits_for_it(broker, listener, sink, event, until):
    there = broker()
    heard, way = listener(there), parts().Slow(there)
    try:
        line = sink(way.url)
        for number in range(8):
            line.put(event(number))
        assert until(lambda: way.connections == 1 and line.state().written == 8)
        left = []
        end = threading.Thread(target=lambda: left.append(line.close(120, drain_s=110)), daemon=True)
        end.start()
        assert until(lambda: line._closing)
        way.opened.set()
        end.join(120)
        assert left == [0]
        assert (line.state().counts["sent"], line.state().unsent) == (8, 0)
        assert until(lambda: [each["frame"] for each in heard.events()] == list(range(8)))
    finally:
        way.close()


def test_a_line_of_a_file_sends_what_it_decides_and_what_waits_goes_out_at_the_next_start(
    hall, broker, listener, until
):
    there = broker()
    heard = listener(there)
    there.stop()
    hall.write(
        f'[[line]]\nname = "press-1"\nsource = "parts"\ndefect = 1.0\n[[sink]]\ntype = "mqtt"\nname = "hall"\n'
        f'url = "{there.url}"\nca = "{there.folder}/ca.pem"\ntimeout_s = 60\n'
    )
    secrets = {"WORDSIGHT_HALL_USER": "line", "WORDSIGHT_HALL_PASSWORD": SECRET}
    first = hall.start(**secrets)
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    (told,) = hall.status()["sinks"]
    assert (told["name"], told["written"], told["dropped"], told["counts"]["sent"]) == ("hall", 8, 0, 0)
    assert told["unsent"] == 8
    assert "hall: 8 events wait on the disk and go out after the next start" in err
    there.start()
    second = hall.start(**secrets)
    # Its sources are through long before a slow machine has a connection: it stays until all is sent.
    out2, err2 = second.communicate(timeout=120)
    assert second.returncode == 0, err2
    (told,) = hall.status()["sinks"]
    assert (told["written"], told["counts"]["sent"], told["unsent"]) == (8, 16, 0)
    assert until(lambda: len(heard.events()) == 16)
    frames = [Path(each["source"]).name for each in heard.events()]
    assert frames[:8] == frames[8:] == sorted(frames[:8])
    assert {each["line"] for each in heard.events()} == {"press-1"}
    for text in (out, err, out2, err2, (hall.folder / "status.json").read_text()):
        assert SECRET not in text


def test_an_end_that_comes_late_to_its_first_turn_still_leaves_the_last_status(monkeypatch):
    from wordsight.runtime.sinks import mqtt_connection

    now, sent = iter(range(0, 1000, 2)), []  # two seconds from one look at the clock to the next
    monkeypatch.setattr(mqtt_connection, "time", SimpleNamespace(monotonic=lambda: next(now)))
    line = mqtt_connection.Connection.__new__(mqtt_connection.Connection)
    line.room, line._numbers, line._lost = 1, {}, None
    monkeypatch.setattr(line, "publish", lambda *words, **more: sent.append((words, more)))
    line._client = SimpleNamespace(disconnect=lambda: sent.append("goodbye"))
    line.finish("hall/status", b"stopped")
    assert sent == [((None, "hall/status", b"stopped"), {"retain": True}), "goodbye"]
