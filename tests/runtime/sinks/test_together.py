"""All local sinks behind one loop, healthy and sick ones: nothing holds up the loop, and each says how it does."""

import json
import threading

import pytest

from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.registry import SinkContext, sink_kind

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")


class Sick:
    wants_image = True

    def __init__(self, trouble):
        self.trouble = trouble

    def write(self, event):
        self.trouble()

    def close(self):
        pass


def leave():
    raise SystemExit("the plug-in is through")


@pytest.mark.faults
def test_sick_sinks_leave_the_others_alone(tmp_path, small_disk, event, part_event, until):
    inside, go = threading.Event(), threading.Event()
    small_disk.fill(left=4096)
    healthy = {
        "jsonl": {"path": "all.jsonl"},
        "csv": {"path": "all.csv"},
        "video": {"folder": "film", "spare_bytes": 0},
        "snapshots": {"folder": "shots", "spare_bytes": 0},
    }
    full = {
        "full jsonl": ("jsonl", {"path": small_disk.path / "all.jsonl"}),
        "full snapshots": ("snapshots", {"folder": small_disk.path, "spare_bytes": 0, "format": "png"}),
        "gone": ("csv", {"path": "nowhere/all.csv"}),
    }
    context = SinkContext(tmp_path, ("press-3",), tmp_path)
    pace = {"first_wait_s": 0.001, "longest_wait_s": 0.01}

    def start(name, type, options):
        kind = sink_kind(type)
        return Queued(name, lambda: kind.make(kind.Options(**options), context), wants_image=kind.wants_image, **pace)

    sinks = {name: start(name, name, options) for name, options in healthy.items()}
    sinks |= {name: start(name, type, options) for name, (type, options) in full.items()}
    sinks["hangs"] = Queued("hangs", lambda: Sick(lambda: inside.set() or go.wait(600)), stall_s=0, room=10)
    sinks["leaves"] = Queued("leaves", lambda: Sick(leave), room=10, **pace)
    events = [event(index, "defect" if index % 10 == 0 else "good", size=(64, 320)) for index in range(100)]
    for item in [*events, part_event()]:
        for sink in sinks.values():
            sink.put(item)
    assert until(lambda: all(sinks[name].state().written == 101 for name in healthy))
    assert inside.wait(60)
    sick = ("full jsonl", "full snapshots", "gone")
    assert until(lambda: all(sinks[name].state().state == "failing" for name in sick))
    assert until(lambda: sinks["leaves"].state().failures > 3)
    states = {name: sink.state() for name, sink in sinks.items()}
    assert {name: states[name].state for name in healthy} == dict.fromkeys(healthy, "ok")
    assert "no such folder" in states["gone"].reason
    assert (states["leaves"].state, states["leaves"].reason) == ("failing", "the plug-in is through")
    assert (states["hangs"].state, states["hangs"].dropped + states["hangs"].waiting) == ("stalled", 101)
    # Nothing is lost unsaid: what was put is written, waits, or is counted.
    for state in states.values():
        assert state.written + state.waiting + state.dropped + state.set_aside == 101
    assert all(sinks[name].close(60) == 0 for name in healthy)
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 101
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 102
    assert sorted(json.loads(path.read_text())["frame"] for path in (tmp_path / "shots").glob("*.json")) == list(
        range(0, 100, 10)
    )
    assert len(list((tmp_path / "film").glob("*.mp4"))) == 1
    go.set()
    for name, sink in sinks.items():
        if name not in healthy:
            sink.close(60)
        assert sink.state().written + sink.state().dropped + sink.state().set_aside == 101
