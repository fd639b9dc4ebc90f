"""Events of the page that are there again after a restart."""

import json

import pytest

from wordsight.runtime.scored_by import ScoredBy
from wordsight.runtime.web.record import EVENTS, Record
from wordsight.runtime.web.shelf import BURST, EVERY_S, Shelf

BY = ScoredBy("ab" * 32, "object", None)


@pytest.fixture
def shelf(tmp_path, clock):
    said = []
    made = Shelf(tmp_path / "state", EVENTS, said.append, clock)
    made.said = said
    yield made
    made.close()


def events(record):
    return [(kept.data["event_id"], kept.data["score"], len(kept.pictures), kept.scored_by) for kept in record.events()]


def test_what_was_not_good_is_there_again_with_its_pictures(shelf, event, part_event, clock):
    record = Record(clock, shelf)
    record.write(event(0))
    for index in range(1, 5):
        record.write(event(index, "defect" if index % 2 else "unsure", index / 4, heat=index < 3, scored_by=BY))
        clock.now += 1
    record.write(part_event)
    again = Record(clock, shelf)
    assert events(again) == events(record)
    assert events(again)[-1] == ("ab" * 16, 1.5, 0, None)
    assert [kept.pictures for kept in again.events()] == [kept.pictures for kept in record.events()]
    assert [kept.data for kept in again.events()] == json.loads(json.dumps([kept.data for kept in record.events()]))
    assert [len(kept.pictures) for kept in again.events()] == [2, 2, 1, 1, 0]
    assert events(Record(clock)) == []


def test_the_folder_is_bounded_and_so_is_how_fast_it_is_written(shelf, event, clock):
    record = Record(clock, shelf)
    for index in range(300):  # a tenth of a second each: half a minute of nothing but defects
        record.write(event(index, "defect", heat=False, size=(4, 4)))
        clock.now += 0.1
    kept = len(shelf.read())
    assert BURST + 30 / EVERY_S - 1 <= kept <= BURST + 30 / EVERY_S + 1
    for index in range(300, 600):
        record.write(event(index, "defect", heat=False, size=(4, 4)))
        clock.now += EVERY_S
    found = shelf.read()
    assert len(found) == EVENTS
    assert [one.data["frame"] for one in found] == list(range(400, 600))
    assert len(list((shelf._path).iterdir())) == 2 * EVENTS


def test_what_is_torn_or_damaged_is_left_aside(shelf, event, clock):
    record = Record(clock, shelf)
    for index in range(6):
        record.write(event(index, "defect"))
        clock.now += 1
    files = sorted(shelf._path.glob("*.json"))
    files[0].write_bytes(files[0].read_bytes()[:-3])
    files[1].write_text("[1]")
    files[2].write_text(json.dumps({"event": {"event_id": "x", "decision": "good"}, "scored_by": None}))
    files[3].write_text(json.dumps({"event": {"event_id": "x", "decision": "defect", "score": "1"}, "scored_by": None}))
    picture = files[4].with_suffix(".jpg")
    picture.write_bytes(picture.read_bytes()[:-9])
    again = Record(clock, shelf)
    assert [len(kept.pictures) for kept in again.events()] == [0, 2]


def test_a_disk_that_fails_is_told_once_and_the_page_goes_on(shelf, event, clock, tmp_path):
    (tmp_path / "state").write_text("no folder")
    record = Record(clock, shelf)
    for index in range(5):
        record.write(event(index, "defect"))
    assert len(record.events()) == 5
    assert len(shelf.said) == 1
    assert "page: its events will be missing after a restart: cannot make the folder" in shelf.said[0]
    (tmp_path / "state").unlink()
    record.write(event(9, "defect"))
    assert [one.data["frame"] for one in shelf.read()] == [9]


def test_two_pages_do_not_write_into_one_folder(shelf, event, clock, tmp_path):
    record = Record(clock, shelf)
    record.write(event(0, "defect"))
    said = []
    other = Record(clock, Shelf(tmp_path / "state", EVENTS, said.append, clock))
    other.write(event(1, "defect"))
    assert len(other.events()) == 2
    assert len(shelf.read()) == 1
    assert "another sink or process" in said[0]
