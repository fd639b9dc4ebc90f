"""A watched folder under a whole line: killed in the middle, ended in order, and what comes of each picture."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.faults

FILE = """
[[line]]
name = "press"
source = "watch:drop"
[[sink]]
type = "jsonl"
path = "out.jsonl"
"""


def test_every_picture_is_told_of_after_a_kill_and_none_twice_after_an_end(hall, save_picture):
    def drop(*numbers):
        for number in numbers:
            blocks = np.random.default_rng(number).integers(0, 255, (10, 14, 3), np.uint8)
            image = np.kron(blocks, np.ones((60, 60, 1), np.uint8))  # large, so that all of them take a while
            save_picture(hall.folder / "drop" / f"p{number}.png", image)

    def lines():
        """The events that are whole: the last one may be on its way into the file, or was when its process ended."""
        return (hall.folder / "out.jsonl").read_bytes().rpartition(b"\n")[0].splitlines()

    def told():
        return {Path(json.loads(line)["source"]).name for line in lines()}

    drop(*range(80))
    hall.write(FILE)
    first = hall.start()
    hall.until(lambda: (hall.folder / "out.jsonl").exists() and len(told()) >= 3)
    first.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    drop(*range(80, 85))  # of which it has told nothing, however late it was stopped
    first.send_signal(signal.SIGKILL)
    first.wait(120)
    assert len(told()) <= 80

    second = hall.start()
    hall.until(lambda: len(told()) == 85)
    second.send_signal(signal.SIGTERM)
    assert second.wait(120) == 0
    ids = Counter(event["event_id"] for event in hall.events())
    assert len(ids) == 85  # what comes again comes with its id
    assert max(ids.values()) <= 2
    count = len(hall.events())
    drop(500)
    third = hall.start()
    hall.until(lambda: "p500.png" in told())
    third.send_signal(signal.SIGTERM)
    assert third.wait(120) == 0
    assert [Path(event["source"]).name for event in hall.events()[count:]] == ["p500.png"]
