"""Readers, batcher, engine and queued sinks together, on a model of 3 kB: s_pr = mean blue / 255, s_fnn = green."""

import threading
import time
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest

from wordsight.runtime.decide_by import DecideBy
from wordsight.runtime.gate import Gate
from wordsight.runtime.line.batcher import Batcher
from wordsight.runtime.line.engine import Engine
from wordsight.runtime.line.events import event_id
from wordsight.runtime.line.in_force import InForce
from wordsight.runtime.line.reader import Reader, ReaderSettings
from wordsight.runtime.line.running import RunningLine
from wordsight.runtime.model import Model
from wordsight.runtime.part_rule import PartRule
from wordsight.runtime.parts import PartDecider
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.result import PartResult, Result
from wordsight.runtime.sources.frame import Failure, Frame
from wordsight.runtime.view import View


class Kept:
    def __init__(self, trouble=None):
        self.events, self.trouble = [], trouble

    def write(self, event):
        if self.trouble is not None:
            raise self.trouble
        self.events.append(event)

    def close(self):
        pass


class Hall:
    """A few lines on one engine, and what came out of it."""

    def __init__(self, model, most=8):
        self.model, self.ready, self.failures, self.events = model, threading.Event(), [], []
        self.lines = []
        self.engine = Engine(self.lines, Batcher(self.ready, most=most), self.events.append)

    def add(self, name, source, clock=time.monotonic, **force):
        opener = source if callable(source) else lambda: source
        reader = Reader(name, opener, self.ready, settings=ReaderSettings(first_wait_s=60, frozen_s=0), clock=clock)
        reader.start()
        in_force = InForce(self.model, View(self.model.manifest), **{"by": DecideBy(1.0), **force})
        self.engine.lines.append(RunningLine(name, reader, in_force, on_failure=self.failures.append))
        return self.engine.lines[-1]

    def run(self):
        while not all(line.reader.ended for line in self.engine.lines):
            self.engine.step(0.05)
        return self.events


@pytest.fixture
def hall(tiny_model):
    with Model(tiny_model, backend="ort", batch_size=8) as model:
        made = Hall(model)
        yield made
        for line in made.engine.lines:
            line.reader.stop(1)


def picture(index, blue, source="cam", size=(8, 8), part=None):
    image = np.zeros((*size, 3), np.uint8)
    image[..., 0], image[..., 1] = blue, 102
    return Frame(image, source, index, datetime.now(timezone.utc), source, part_id=part)


def folder(scripted, *items):
    return scripted(*items, live=False, endless=False)


def test_every_frame_of_every_line_is_scored_in_its_order_and_decided(hall, scripted):
    hall.add("a", folder(scripted, *(picture(i, 10 * i, "a") for i in range(20))))
    hall.add("b", folder(scripted, *(picture(i, 255 - i, "b") for i in range(13))))
    events = hall.run()
    for name, count, blue in (("a", 20, lambda i: 10 * i), ("b", 13, lambda i: 255 - i)):
        mine = [event for event in events if event.line == name]
        assert [event.frame.index for event in mine] == list(range(count))
        for i, event in enumerate(mine):
            assert event.score == pytest.approx(blue(i) / 255 + 0.4, abs=1e-6)
            assert event.decision == ("defect" if event.score >= 1.0 else "good")
            assert event.event_id == event_id(name, name, i, event.frame.timestamp)
    assert hall.engine.pace.frames == 33
    assert hall.engine.lines[0].counts.decisions == {"good": 16, "defect": 4}


def test_without_a_threshold_nothing_is_decided(hall, scripted):
    hall.add("a", folder(scripted, picture(0, 255)), by=DecideBy())
    assert [event.decision for event in hall.run()] == [None]


def test_a_recipe_changes_between_two_steps_and_events_say_which(hall, scripted):
    line = hall.add("a", folder(scripted, *(picture(i, 100) for i in range(4))), recipe="nut", by=DecideBy(2.0))
    hall.engine._batcher.most = 2
    while hall.engine.step(1) == 0:
        pass
    line.force = InForce(hall.model, View(hall.model.manifest), DecideBy(0.1), recipe="screw")
    events = hall.run()
    told = [(event.recipe, event.decision) for event in events]
    assert told[0] == ("nut", "good")
    assert told[-1] == ("screw", "defect")
    assert set(told) == {("nut", "good"), ("screw", "defect")}


def test_the_region_alone_is_looked_at_and_a_frame_that_lacks_it_is_told_not_scored(hall, scripted):
    frame = picture(0, 0, size=(40, 60))
    frame.image[10:20, 30:40, 0] = 255
    line = hall.add("a", folder(scripted, frame, picture(1, 0, size=(15, 60))), roi=(30, 10, 10, 10))
    (event,) = hall.run()
    assert event.score == pytest.approx(1.4, abs=1e-6)
    assert event.frame.image.shape == (40, 60, 3)  # the whole frame goes to the sinks
    (failure,) = hall.failures
    assert failure == Failure("cam", "expected the region 10x10 at 30,10 within the frame, got 60x15", "FrameError", 1)
    assert line.counts.refused == 1


@pytest.mark.faults
def test_a_camera_of_another_size_than_the_graph_resizes_is_told_and_the_line_goes_on(tmp_path, onnx_writer, scripted):
    spec = replace(onnx_writer.manifest().input, frame=(8, 8))
    text = onnx_writer.manifest(schema=2, input=spec).to_json()
    (tmp_path / "fixed.onnx").write_bytes(b"".join(onnx_writer.model_parts(text)))
    with Model(tmp_path / "fixed.onnx", backend="ort", batch_size=8) as model:
        hall = Hall(model)
        line = hall.add("a", folder(scripted, picture(0, 0), picture(1, 0, size=(9, 8)), picture(2, 0)))
        events = hall.run()
    assert [event.frame.index for event in events] == [0, 2]
    assert line.counts.refused == 1
    assert "expected a frame of 8x8 pixels" in hall.failures[0].reason


@pytest.mark.parametrize(("roi", "width"), [(None, 8), ((8, 0, 8, 8), 16)])
def test_what_lies_outside_the_mask_has_the_encoders_mean_colour(hall, scripted, roi, width):
    mask = np.ones((8, width), bool)
    mask[:, -2:] = False
    frame = picture(0, 255, size=(8, width))
    frame.image[:, -2:] = (0, 255, 0)  # would count as green
    hall.add("a", folder(scripted, frame, picture(1, 0, size=(9, width))), roi=roi, mask=mask)
    (event,) = hall.run()
    mean = round(0.5 * 255) / 255  # of the manifest, in every channel
    assert event.score == pytest.approx(0.75 * 1.4 + 0.25 * 2 * mean, abs=1e-6)
    assert frame.image[0, -1].tolist() == [0, 255, 0]  # the sinks see all of it
    assert f"expected a frame of the mask's size, {width}x8, got {width}x9" in hall.failures[0].reason


def test_a_picture_that_the_gate_doubts_is_unsure_and_no_defect(hall, scripted):
    gate = Gate(darkest=100.0, brightest=255.0, most_clipped=1.0, least_sharp=0.0)
    hall.add("a", folder(scripted, picture(0, 255)), by=DecideBy(0.5, gate=gate))
    (event,) = hall.run()
    assert (event.decision, event.reason) == ("unsure", "too dark")


def test_a_part_is_decided_over_its_frames(hall, scripted):
    frames = [
        picture(i, blue, part=part) for i, (part, blue) in enumerate([("p1", 0), ("p1", 255), ("p2", 0), ("p3", 0)])
    ]
    line = hall.add("a", folder(scripted, *frames), parts=PartDecider(PartRule()), recipe="nut")
    parts = [event for event in hall.run() if isinstance(event, PartResult)]
    assert [(part.part_id, part.decision, part.frames) for part in parts] == [("p1", "defect", 2), ("p2", "good", 1)]
    assert line.counts.parts == {"defect": 1, "good": 1}
    # A frame's event comes before that of the part it ends; p3 is still open.
    kinds = [type(event) for event in hall.events]
    assert kinds == [Result, Result, Result, PartResult, Result, PartResult]


def test_a_camera_that_fails_and_a_sink_that_fails_leave_the_others_alone(hall, scripted, eventually):
    good, bad = Kept(), Kept(OSError(28, "No space left on device"))
    sinks = [
        Queued("good", lambda: good, wants_image=False),
        Queued("bad", lambda: bad, first_wait_s=60, room=3),
    ]
    hall.engine._put = lambda event: [sink.put(event) for sink in sinks]
    dead = hall.add("dead", scripted(Failure("cam", "the stream does not answer", "CameraAbsent")))
    hall.add("well", folder(scripted, *(picture(i, 50) for i in range(40))))
    well = hall.engine.lines[1]
    while not well.reader.ended:
        hall.engine.step(0.05)
    assert sinks[0].close(60) == 0
    assert [event.frame.index for event in good.events] == list(range(40))
    assert eventually(lambda: dead.reader.state().state == "retrying")
    assert dead.reader.state().reason == "the stream does not answer"
    assert eventually(lambda: sinks[1].state().state == "failing")
    assert (sinks[1].state().state, sinks[1].state().waiting, sinks[1].state().dropped) == ("failing", 3, 37)
    sinks[1].close(0.1)


def test_a_read_that_hangs_is_left_behind_although_nobody_asks_for_its_state(hall, scripted, eventually, clock):
    hang = threading.Event()
    sources = [scripted(lambda: hang.wait(60) and None), folder(scripted, picture(0, 10))]
    opened = iter(sources)
    line = hall.add("a", lambda: next(opened), clock=clock)
    assert eventually(lambda: sources[0].opened)
    clock.now += 61
    hall.engine.step(0)
    assert eventually(lambda: hall.engine.step(0.05) == 1)
    assert line.counts.decisions == {"good": 1}
    hang.set()


def test_a_frame_is_done_when_its_result_was_handed_on_or_it_was_refused(hall, scripted):
    done = []

    def one(index, size):
        return replace(picture(index, 10, size=size), done=lambda: done.append((index, len(hall.events))))

    hall.add("a", folder(scripted, one(0, (40, 60)), one(1, (4, 4)), one(2, (40, 60))), roi=(30, 10, 10, 10))
    hall.run()
    assert sorted(index for index, _ in done) == [0, 1, 2]
    told = dict(done)
    assert (told[0], told[2]) == (1, 2)
    assert told[1] in (0, 1)  # refused when it is read, before the first one's result or after it
