import threading
from datetime import datetime, timezone

import numpy as np
import pytest

from wordsight.runtime.line.reader import Reader, ReaderSettings
from wordsight.runtime.sources.frame import Frame

QUICK = ReaderSettings(first_wait_s=0.001, longest_wait_s=0.004, frozen_s=0, stall_s=600)


@pytest.fixture
def frame():
    """Make a frame: (index, source, size) -> Frame, each with a picture of its own."""

    def make(index=0, source="cam", size=(8, 8), level=None, **more):
        image = np.full((*size, 3), index % 256 if level is None else level, np.uint8)
        return Frame(image, source, index, datetime.now(timezone.utc), source, **more)

    return make


class Scripted:
    """A source that follows a script: items are given, a callable is called and its result given unless None."""

    skipped = 0
    count = None

    def __init__(self, *script, live=True, endless=True, text="cam"):
        self.script = script
        self.live = live
        self.endless = endless
        self.text = text
        self.opened = 0
        self.closed = 0

    def __iter__(self):
        self.opened += 1
        try:
            for step in self.script:
                item = step() if callable(step) else step
                if item is not None:
                    yield item
        finally:
            self.closed += 1


@pytest.fixture
def scripted():
    """The class of sources that follow a script."""
    return Scripted


@pytest.fixture
def eventually(waiting):
    """Wait until a condition holds, at most a minute: (condition) -> its last value."""
    return waiting(60.0)


@pytest.fixture
def reader():
    """Start a reader of a source, or of what a function opens; each is stopped at the end."""
    made = []

    def make(source, settings=QUICK, **more):
        opener = source if callable(source) else lambda: source
        made.append(Reader("press", opener, more.pop("ready", threading.Event()), settings=settings, **more))
        made[-1].start()
        return made[-1]

    yield make
    for item in made:
        item.stop(1.0)
