import contextlib
import hashlib
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from wordsight.runtime.fits import Place
from wordsight.runtime.heat import Heat
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.registry import SinkContext, sink_kind
from wordsight.runtime.sinks.result import PartResult, Result
from wordsight.runtime.sources.frame import Frame

BEGAN = datetime(2026, 11, 26, 13, 0, 0, 5000, tzinfo=timezone.utc)


@pytest.fixture
def event():
    """Make a frame's event: (index, decision, image, heat, ...) -> Result."""

    def make(index=0, decision="good", *, size=(40, 60), image=None, heat=False, source="cam", fps=None, **more):
        if image is None:
            image = np.full((*size, 3), index % 256, np.uint8)
        stamp = BEGAN + timedelta(seconds=index)
        frame = Frame(image, source, index, stamp, source, fps, more.pop("part_id", None))
        heated = None
        if heat:
            values = np.zeros((4, 6), np.float32)
            values[1, 2] = 2.0
            heated = Heat(values, Place(0, 0, image.shape[1], image.shape[0]), image.shape[:2], 2.0, 1.5)
        identity = hashlib.sha256(f"{more.get('line', 'press-3')} {index}".encode()).hexdigest()[:32]
        return Result(
            frame, 0.5, 0.25, 0.25, decision, heat=heated, **{"line": "press-3", "event_id": identity, **more}
        )

    return make


@pytest.fixture
def part_event():
    """Make a part's event: (part_id, ...) -> PartResult."""

    def make(part_id="P-1", decision="unsure", **more):
        settings = {"line": "press-3", "frames": 3, "defects": 1, "unsure": 2, "score": 1.25, "late": True}
        settings |= {"began": BEGAN, "ended": BEGAN + timedelta(seconds=2), "recipe": None, "event_id": "ab" * 16}
        return PartResult(part_id=part_id, decision=decision, **{**settings, **more})

    return make


@pytest.fixture
def make_sink(tmp_path):
    """Make a sink as the line does: (type, **options) -> sink; closed at the end."""
    made = []

    def make(type, **options):
        kind = sink_kind(type)
        made.append(kind.make(kind.Options(**options), SinkContext(tmp_path, ("press-3",), tmp_path)))
        return made[-1]

    yield make
    for sink in made:
        with contextlib.suppress(Exception):
            sink.close()


@pytest.fixture
def until(waiting):
    """Wait until a condition holds, at most a minute: (condition) -> its last value."""
    return waiting(60.0)


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
def kept():
    """The class of sinks that keep what they are given."""
    return Kept


@pytest.fixture
def queued():
    """Put a sink behind a queue, with short pauses: (make, **options) -> Queued; closed at the end."""
    made = []

    def make(sink, **more):
        made.append(Queued("kept", sink, **{"first_wait_s": 0.001, "longest_wait_s": 0.002, **more}))
        return made[-1]

    yield make
    for item in made:
        item.close(1.0)


@pytest.fixture
def result():
    """Make a frame's event with a small picture: (index, pixels a side, decision) -> Result."""

    def make(index, pixels=4, decision="good"):
        image = np.zeros((pixels, pixels, 3), np.uint8)
        return Result(Frame(image, "cam", index, datetime.now(timezone.utc), "cam"), 0.5, 0.2, 0.3, decision)

    return make
