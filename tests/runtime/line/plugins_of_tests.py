"""Sources and sinks that a plant might add, for processes that tests start; found through entry points."""

import datetime
import os
import sys
import time
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from wordsight.runtime.sources.frame import Failure, Frame, now

REAL = datetime.datetime
REAL_TIME = time.time


def set_wall_clock(ahead_s):
    """Have everything of ours in this process see another wall clock, as if somebody had set it."""

    class Shifted(REAL):
        @classmethod
        def now(cls, tz=None):
            return REAL.now(tz) + datetime.timedelta(seconds=ahead_s)

    for name, module in list(sys.modules.items()):
        if name.startswith("wordsight") and hasattr(module, "datetime"):
            module.datetime = Shifted
    time.time = lambda: REAL_TIME() + ahead_s
    time.time_ns = lambda: int(1e9 * time.time())


class Camera:
    """Frames for as long as a file lies there: taking it away is pulling the cable. What it holds sets the clock."""

    live = endless = True
    count = None
    skipped = 0

    def __init__(self, text, options):
        self.text, self._cable = text, Path(text.partition(":")[2])

    def __iter__(self):
        index, clock = 0, ""
        rng = np.random.default_rng()
        while True:
            if not self._cable.exists():
                yield Failure(self.text, "the cable is out", "CameraAbsent", index)
                return
            if (told := self._cable.read_text()) != clock:
                set_wall_clock(float(told))
                clock = told
            image = rng.integers(0, 255, (96, 96, 3), np.uint8)
            yield Frame(image, self.text, index, now(), "test", 50.0, f"P-{index // 5}")
            index += 1
            time.sleep(0.02)


class Broken:
    """A sink that fails with every event."""

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")

    wants_image = False

    def __init__(self, options, context):
        pass

    def write(self, event):
        raise OSError(28, os.strerror(28))

    def close(self):
        pass


class Choosy(Broken):
    """A sink that takes every event but the first."""

    first = None

    def write(self, event):
        type(self).first = self.first or event.event_id
        if event.event_id == self.first:
            raise ValueError("not this one")


class Hanging(Broken):
    """A sink that never comes back."""

    def write(self, event):
        time.sleep(3600)
