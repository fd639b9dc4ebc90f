import threading
from collections import Counter, deque
from datetime import datetime, timezone

import numpy as np

from wordsight.runtime.line.batcher import Batcher
from wordsight.runtime.sources.frame import Frame


class Feed:
    """Gives `stock` frames; while `endless`, a new one whenever it was emptied, as a live camera that is fast does."""

    def __init__(self, name, stock=0, endless=False, expected=False):
        self.name = name
        self.endless = endless
        self.expected = expected
        self.given = 0
        self.held = deque(self.frame(index) for index in range(stock))

    def frame(self, index):
        return Frame(np.zeros((1, 1, 3), np.uint8), self.name, index, datetime.now(timezone.utc), self.name)

    def take(self):
        if self.held:
            self.given += 1
            return self.held.popleft()
        return None

    def refill(self):
        if self.endless and not self.held:
            self.held.append(self.frame(self.given))


def names(batch):
    return [frame.source for _, frame in batch]


def test_a_batch_has_one_of_each_before_a_second_of_any():
    feeds = [Feed("a", 5), Feed("b", 1), Feed("c", 2)]
    batch = Batcher(threading.Event(), most=6).gather(feeds, 0)
    assert names(batch) == ["a", "b", "c", "a", "c", "a"]
    assert [frame.index for _, frame in batch] == [0, 0, 0, 1, 1, 2]


def test_more_lines_than_places_are_left_out_equally_often():
    feeds = [Feed(name, endless=True) for name in "abcde"]
    batcher = Batcher(threading.Event(), most=3)
    served = Counter()
    for _ in range(5 * 40):
        for feed in feeds:
            feed.refill()
        served.update(names(batcher.gather(feeds, 0)))
    assert set(served.values()) == {3 * 40}


def test_a_folder_beside_a_camera_does_not_starve_it():
    camera, folder = Feed("camera", endless=True), Feed("folder", 1000)
    batcher = Batcher(threading.Event(), most=4)
    for _ in range(50):
        camera.refill()
        assert names(batcher.gather([folder, camera], 0)).count("camera") == 1


def test_nothing_comes_and_the_batch_is_empty():
    now = iter([0.0, 0.0, 10.0])
    batch = Batcher(threading.Event(), clock=lambda: next(now)).gather([Feed("a")], 5)
    assert batch == []


def test_no_feeds_at_all():
    assert Batcher(threading.Event()).gather([], 0) == []


def test_a_frame_that_comes_while_waiting_ends_the_wait():
    ready, feed = threading.Event(), Feed("a")

    def arrive():
        feed.held.append(feed.frame(0))
        ready.set()

    timer = threading.Timer(0.05, arrive)
    timer.start()
    batch = Batcher(ready).gather([feed], 60)
    assert names(batch) == ["a"]


def test_a_batch_waits_for_a_line_that_is_expected_and_for_no_other():
    ready, slow = threading.Event(), Feed("slow", expected=True)

    def arrive():
        slow.held.append(slow.frame(0))
        slow.expected = False
        ready.set()

    timer = threading.Timer(0.05, arrive)
    timer.start()
    batch = Batcher(ready, most=2, wait_s=60).gather([Feed("quick", 1), slow], 60)
    assert names(batch) == ["quick", "slow"]
    # Of a line that stands, nothing is expected: the batch goes at once, or this would take a minute.
    assert names(Batcher(ready, most=2, wait_s=60).gather([Feed("quick", 1), Feed("stands")], 60)) == ["quick"]
