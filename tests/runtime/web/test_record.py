import threading

import cv2
import numpy as np
import pytest

from wordsight.runtime.errors import SettingError
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.web.record import EVENTS, SCORES, Record
from wordsight.runtime.web.trial import tried


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_one_picture_is_made_for_all_who_look(event):
    clock = Clock()
    record = Record(clock)
    assert record.live("press-3", False) is None
    record.write(event(5))
    seen = []
    viewers = [
        threading.Thread(target=lambda: seen.append(record.live("press-3", False)), daemon=True) for _ in range(10)
    ]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    assert record.encoded == 1
    assert len(set(seen)) == 1
    assert abs(decoded(seen[0].data).mean() - 40) < 2
    record.write(event(6))
    assert record.live("press-3", False) == seen[0]  # not more than ten a second
    clock.now += 0.2
    plain = record.live("press-3", False)
    assert (plain.number, plain.score, plain.decision, record.encoded) == (2, 0.5, "good", 2)
    assert abs(decoded(plain.data).mean() - 48) < 2
    heated = decoded(record.live("press-3", True).data).astype(int)
    assert abs(heated - decoded(plain.data)).max() > 50


def test_a_large_frame_is_made_small(event):
    record = Record()
    record.write(event(1, size=(1080, 1920)))
    assert decoded(record.live("press-3", True).data).shape == (450, 800, 3)


def test_what_is_kept_is_bounded(event):
    record = Record(Clock())
    for index in range(EVENTS + 20):
        record.write(event(index, "defect", heat=False, size=(4, 4)))
    kept = record.events()
    assert [one.number for one in kept] == list(range(21, EVENTS + 21))
    assert record.event("press-30000") is None
    assert len(record.events(after=EVENTS)) == 20
    for index in range(SCORES):
        record.write(event(index, heat=False, size=(1, 1)))
    points = record.scores("press-3")
    assert len(points) == SCORES
    assert points[-1].number == EVENTS + 20 + SCORES
    assert [point.number for point in record.scores("press-3", after=points[-3].number)] == [
        points[-2].number, points[-1].number,
    ]  # fmt: skip
    assert record.scores("press-3", most=2) == points[-2:]


def test_pictures_of_defects_in_a_row_are_rationed_and_the_events_are_not(event):
    clock = Clock()
    record = Record(clock)
    for index in range(10):
        record.write(event(index, "defect"))
        clock.now += 0.0625
    assert [len(one.pictures) for one in record.events()] == [2, 0, 0, 0, 2, 0, 0, 0, 2, 0]


def test_parts_are_events_without_a_picture(part_event):
    record = Record()
    record.write(part_event)
    assert record.events()[0].data["part_id"] == "P-7"
    assert record.events()[0].pictures == ()


def test_viewers_that_are_slow_or_never_come_back_do_not_hold_up_the_line(event, monkeypatch):
    record = Record()
    stuck, go = threading.Event(), threading.Event()

    def slow(result, heat):
        stuck.set()
        go.wait(600)
        return b"late"

    monkeypatch.setattr("wordsight.runtime.web.record.jpeg", slow)
    queue = Queued("page", lambda: record, wants_image=True, room=200)
    queue.put(event(0))
    viewers = [threading.Thread(target=record.live, args=("press-3", False), daemon=True) for _ in range(10)]
    while record.scores("press-3") is None:
        pass
    for viewer in viewers:
        viewer.start()
    assert stuck.wait(60)
    # While all ten hang, more is put than there is room for: what arrives after them proves that nothing waited.
    for index in range(1, 1001):
        queue.put(event(index, heat=False, size=(2, 2)))
    assert all(viewer.is_alive() for viewer in viewers)
    assert queue.close(60) == 0
    assert all(viewer.is_alive() for viewer in viewers)
    assert record.scores("press-3")[-1].time_ms == event(1000).frame.timestamp.timestamp() * 1000
    go.set()


def test_a_trial_counts_what_would_have_changed(event):
    record = Record()
    scores = [0.1, 0.5, 0.95, 1.0, 1.3, 1.6]
    for index, score in enumerate(scores):
        record.write(event(index, "defect" if score >= 1.2 else "good", score, heat=False))
    record.write(event(9, "unsure", 0.2, heat=False, reason="too dark"))
    found = tried(record.scores("press-3"), 0.9, 1.5)
    assert found["frames"] == 7
    assert found["before"] == {"good": 4, "defect": 2, "unsure": 1}
    assert found["after"] == {"good": 2, "unsure": 4, "defect": 1}
    assert found["changed"] == 3
    assert [(one["score"], one["before"], one["after"]) for one in found["examples"]] == [
        (0.95, "good", "unsure"), (1.0, "good", "unsure"), (1.3, "defect", "unsure"),
    ]  # fmt: skip
    for unsure, defect in ((2.0, 1.0), (None, -1.0), (None, float("nan"))):
        with pytest.raises(SettingError):
            tried(record.scores("press-3"), unsure, defect)
