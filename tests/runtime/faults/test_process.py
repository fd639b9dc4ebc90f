"""Rows of the fault matrix that the whole process shows: its clock, its disk, its model, its end."""

import fcntl
import json
import os
import select
import signal
import sys
import termios
import threading
import time

import pytest

from wordsight.runtime.demo import demo_model

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
CAMERA = '\n[[line]]\nname = "cam"\nsource = "test:cable"\n'
SINK = '\n[[sink]]\ntype = "{}"\npath = "{}"\n'


def end(hall, code=0):
    """Ask the process to stop; return what it said."""
    hall.started[-1].send_signal(signal.SIGTERM)
    _, err = hall.started[-1].communicate(timeout=120)
    assert hall.started[-1].returncode == code, err
    assert "Traceback" not in err
    return err


@pytest.mark.faults("clock jumps")
def test_a_wall_clock_that_is_set_while_it_runs_changes_stamps_and_nothing_else(hall, told, accounted):
    rule = "defect = 1.0\nparts = { deadline_ms = 600000 }\n"
    hall.write(CAMERA + rule + SINK.format("jsonl", "out.jsonl"))
    hall.start()
    hall.until(lambda: hall.line("cam")["scored"] > 5)
    real, began = time.gmtime().tm_year, time.gmtime()[:3]
    years, pids = [], set()
    for jump in (9, -30, 0):
        (hall.folder / "set").write_text(str(jump * 365 * 86400))
        os.replace(hall.folder / "set", hall.folder / "cable")  # read at any moment
        before = hall.line("cam")["scored"]

        def set_and_going_on(before=before, year=real + jump):  # a status may be older than the jump
            now = hall.status()
            return now["lines"][0]["scored"] > before + 10 and abs(int(now["time"][:4]) - year) <= 1 and now

        status = hall.until(set_and_going_on)
        now = status["lines"][0]
        years.append(int(status["time"][:4]))
        pids.add(status["pid"])
        assert now["state"] == "running"
        assert [now[key] for key in ("reconnects", "failures", "withheld", "late")] == [0] * 4, hall.status()["errors"]
        assert 0 < status["uptime_s"] < 3600
        assert 0 <= now["last_frame_s"] <= now["for_s"] < 3600
        assert 0 < now["latency_ms"]["p50"] <= now["latency_ms"]["p99"] < 3_600_000
        assert 0 < now["fps"] <= 100
    assert len(pids) == 1
    assert [year - real for year in years] == [
        pytest.approx(9, abs=1),
        pytest.approx(-30, abs=1),
        pytest.approx(0, abs=1),
    ]
    end(hall)
    # A day that jumps begins a file; which is the youngest goes by numbers, and read in their order nothing is missing.
    files = [*sorted(hall.folder.glob("out.0*.jsonl")), hall.folder / "out.jsonl"]
    days = {began, time.gmtime()[:3]}  # midnight begins one more
    assert 4 <= len(files) <= 3 + len(days)
    events = [event for path in files for event in hall.events(path.name)]
    frames = [event for event in events if event["kind"] == "frame"]
    assert {int(event["timestamp"][:4]) for event in frames} == {real, *years}
    assert len({event["event_id"] for event in events}) == len(events)
    parts = [event["part_id"] for event in events if event["kind"] == "part"]
    assert parts == list(dict.fromkeys(event["part_id"] for event in frames))
    told(f"{now['state']}; stamps of {', '.join(map(str, years))}", **accounted(hall.line("cam"), events))


@pytest.mark.faults("disk full")
def test_a_disk_that_is_full_is_shown_and_all_is_written_once_there_is_room(hall, told, accounted, small_disk):
    hall.write(CAMERA + SINK.format("jsonl", "disk/out.jsonl") + SINK.format("csv", "out.csv"))
    small_disk.fill(left=8192)
    child = hall.start()
    shown = hall.until(lambda: (now := hall.status()["sinks"][0])["state"] == "failing" and now)
    why = shown["reason"].split(": ")[-1].split(";")[0]
    assert why in ("no space left on device", "file too large")
    before = hall.status()
    hall.until(lambda: hall.line("cam")["scored"] > before["lines"][0]["scored"] + 10)  # the line goes on
    assert hall.status()["sinks"][1]["state"] == "ok"  # and so does the other sink
    # No half line meanwhile, but for the moment in which a try finds that it has no room.
    hall.until(lambda: (small_disk.path / "out.jsonl").read_bytes().endswith(b"\n"))
    small_disk.free(child.pid)
    now = hall.until(lambda: (now := hall.status()["sinks"][0])["state"] == "ok" and not now["waiting"] and now)
    end(hall)
    after = hall.status()["sinks"]
    assert [(sink["dropped"], sink["set_aside"]) for sink in after] == [(0, 0), (0, 0)]
    events = sorted(hall.events("disk/out.jsonl"), key=lambda event: event["frame"])  # what waited may come later
    assert after[0]["written"] == len(events)
    told(f"{shown['state']}: {why}; {now['state']}", **accounted(hall.line("cam"), events))


@pytest.mark.faults("model file swapped")
def test_a_model_that_is_swapped_is_told_and_taken_when_the_file_is_read_again(hall, told, accounted):
    hall.write(CAMERA + SINK.format("jsonl", "out.jsonl"))
    hall.start()
    hall.until(lambda: hall.line("cam")["scored"])
    first = hall.status()["engine"]["models"][0]
    assert first["on_disk"] == "same"
    data = demo_model().read_bytes()
    (hall.folder / "new.onnx").write_bytes(other_model(data))
    os.replace(hall.folder / "new.onnx", hall.folder / "m.onnx")
    changed = hall.until(lambda: (now := hall.status()["engine"]["models"][0])["on_disk"] == "changed" and now)
    scored = hall.line("cam")["scored"]
    hall.until(lambda: hall.line("cam")["scored"] > scored + 5)
    assert hall.status()["engine"]["models"][0]["sha256"] == first["sha256"]  # nobody asked for it yet
    hall.started[-1].send_signal(signal.SIGHUP)
    hall.until(lambda: hall.status()["config"]["reload"]["ok"])
    taken = hall.until(lambda: (now := hall.status()["engine"]["models"][0])["on_disk"] == "same" and now)
    assert taken["sha256"] != first["sha256"]
    scored = hall.line("cam")["scored"]
    hall.until(lambda: hall.line("cam")["scored"] > scored + 5)
    now = hall.line("cam")
    assert now["reconnects"] == 0
    end(hall)
    told(
        f"{now['state']}; on_disk {changed['on_disk']}; {taken['on_disk']} after SIGHUP",
        **accounted(hall.line("cam"), hall.events()),
    )


def other_model(data):
    """The same model under another hash: a field that protobuf's readers do not know, and pass over."""
    return data + bytes([0xFA, 0x3F, 0x01, 0x00])  # field 1023, a string of one byte


@pytest.mark.faults("model file truncated")
def test_a_model_that_is_truncated_is_told_refused_and_the_one_in_memory_goes_on(hall, told, accounted):
    hall.write(CAMERA + SINK.format("jsonl", "out.jsonl"))
    hall.start()
    hall.until(lambda: hall.line("cam")["scored"])
    with open(hall.folder / "m.onnx", "r+b") as file:
        file.truncate(1000)
    changed = hall.until(lambda: (now := hall.status()["engine"]["models"][0])["on_disk"] == "changed" and now)
    hall.started[-1].send_signal(signal.SIGHUP)
    refused = hall.until(lambda: hall.status()["config"]["reload"])
    assert refused["ok"] is False
    assert "model: m.onnx" in refused["message"]
    scored = hall.line("cam")["scored"]
    now = hall.until(lambda: (now := hall.line("cam"))["scored"] > scored + 5 and now)
    end(hall)
    told(
        f"{now['state']}; on_disk {changed['on_disk']}; {refused['message'].split(': ')[-1]}",
        **accounted(hall.line("cam"), hall.events()),
    )
    # A start on it is refused, in one line.
    _, err = hall.start().communicate(timeout=120)
    assert hall.started[-1].returncode == 2, err
    assert "m.onnx" in err
    assert 1 <= len(err.splitlines()) <= 8
    assert "Traceback" not in err


class Pipe:
    """A pipe that a sink writes into: full, it holds the sink in the middle of a write for as long as nobody reads."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.data = path, b""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def holds(self):
        """Return how many bytes lie in it."""
        return int.from_bytes(fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)

    def full(self):
        """Say whether there is no room for anything more."""
        writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            return not select.select([], [writer], [], 0)[1]
        finally:
            os.close(writer)

    def read(self):
        """Read to the end, until nobody writes any more."""
        os.set_blocking(self._descriptor, True)
        while block := os.read(self._descriptor, 65536):
            self.data += block
        os.close(self._descriptor)
        return self.data


@pytest.mark.faults("SIGTERM in the middle of a write")
def test_sigterm_in_the_middle_of_a_write_ends_with_whole_lines_and_all_of_them(hall, told, accounted):
    fill_up(hall, pipe := Pipe(hall.folder / "out.jsonl"))
    hall.started[-1].send_signal(signal.SIGTERM)
    hall.until(lambda: hall.line("cam")["state"] == "stopped")  # it drains, and is held
    reader = threading.Thread(target=pipe.read, daemon=True)
    reader.start()
    _, err = hall.started[-1].communicate(timeout=120)
    reader.join(120)
    assert hall.started[-1].returncode == 0, err
    status = hall.status()
    events = [json.loads(line) for line in pipe.data.splitlines()]
    assert pipe.data.endswith(b"\n")
    assert (status["state"], status["sinks"][0]["state"], status["sinks"][0]["dropped"]) == ("stopped", "closed", 0)
    assert len((hall.folder / "out.csv").read_text().splitlines()) == len(events) + 1
    told(f"{status['state']}; exit code {hall.started[-1].returncode}", **accounted(hall.line("cam"), events))


def fill_up(hall, pipe):
    """Start a process, and wait until it is in the middle of a write into a pipe."""
    # Up to 4,096 bytes go into a pipe whole or not at all: these lines are longer, and what fills it ends within one.
    camera = CAMERA.replace("test:", f"test:{'./' * 4000}")
    hall.write(camera + SINK.format("jsonl", pipe.path.name) + SINK.format("csv", "out.csv"))
    hall.start()
    before = hall.until(lambda: hall.status()["sinks"][0]["written"] and (pipe.holds(), hall.line("cam")["scored"]))

    def stuck():
        nonlocal before
        now = (pipe.holds(), hall.line("cam")["scored"])
        if not pipe.full() or now[0] != before[0]:
            before = now
        return now[1] > before[1] + 10  # the line goes on, and nothing more goes in

    hall.until(stuck)


@pytest.mark.faults("kill -9 in the middle of a write")
def test_killed_in_the_middle_of_a_write_nothing_that_was_written_is_lost(hall, told):
    fill_up(hall, pipe := Pipe(hall.folder / "pipe.jsonl"))
    hall.started[-1].kill()
    hall.started[-1].wait()
    torn = pipe.read()
    assert not torn.endswith(b"\n")  # it was within a line
    status = hall.status()  # whole, as ever
    written = torn.count(b"\n")
    claimed = status["sinks"][0]["written"]
    assert written >= claimed > 0
    text = (hall.folder / "out.csv").read_text()
    rows = text[: text.rfind("\n") + 1].splitlines()  # the kill may have fallen within a row, too
    assert len(rows) - 1 >= status["sinks"][1]["written"]
    # The same bytes in a file, as a kill within a write to a disk leaves them: the next start mends it and goes on.
    (hall.folder / "out.jsonl").write_bytes(torn)
    hall.write(CAMERA + SINK.format("jsonl", "out.jsonl") + SINK.format("csv", "out.csv"))
    child = hall.start()
    hall.until(lambda: (now := hall.status())["pid"] == child.pid and now["sinks"][0]["written"] > 5)
    now = hall.status()
    assert now["sinks"][0]["counts"]["mended"] == 1
    end(hall)
    events, status = hall.events(), hall.status()
    assert len({event["event_id"] for event in events}) == len(events) == written + status["sinks"][0]["written"]
    found = (hall.folder / "out.csv").read_text().splitlines()
    assert found[: len(rows)] == rows
    assert len(found) == len(rows) + status["sinks"][1]["written"]
    told(f"{now['state']}; mended {now['sinks'][0]['counts']['mended']}", lost=max(0, claimed - written), of=claimed)
