"""The sinks of type jsonl and csv, as a line makes and feeds them."""

import csv
import json

import pytest

from wordsight.runtime.sinks.event_csv import COLUMNS
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.schema import event_json


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_json_lines_are_the_events(make_sink, tmp_path, event, part_event):
    events = [event(0), event(1, "unsure", reason="too dark", part_id="P-1"), part_event(), event(2, heat=True)]
    sink = make_sink("jsonl", path="press-3.jsonl")
    for item in events:
        sink.write(item)
    written = [json.loads(line) for line in (tmp_path / "press-3.jsonl").read_text().splitlines()]
    assert written == [json.loads(json.dumps(event_json(item))) for item in events]
    assert [line["kind"] for line in written] == ["frame", "frame", "part", "frame"]


def test_rows_are_the_events_and_columns_are_the_same_for_all(make_sink, tmp_path, event, part_event):
    odd = 'a "quoted", näh\nline.png'
    events = [event(0, source=odd), event(1, "unsure", reason="too dark", s_img=0.125), part_event(score=None)]
    for item in events:
        sink = make_sink("csv", path="press-3.csv")  # a restart between any two of them
        sink.write(item)
        sink.close()
    lines = (tmp_path / "press-3.csv").read_bytes().decode().split("\n")
    assert len(lines) == 5
    assert lines[0] == ",".join(COLUMNS)
    found = rows(tmp_path / "press-3.csv")
    for row, item in zip(found, events, strict=True):
        expected = {key: "" if value is None else value for key, value in event_json(item).items()}
        assert {key: value for key, value in row.items() if key in expected} == {
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in expected.items()
        } | ({"source": odd.replace("\n", "\\n")} if expected.get("source") == odd else {})
        assert all(row[key] == "" for key in COLUMNS if key not in expected)
    assert float(found[1]["s_img"]) == 0.125


@pytest.mark.faults
@pytest.mark.parametrize("type", ["jsonl", "csv"])
def test_a_full_disk_is_told_and_all_of_it_is_there_once_when_it_is_over(make_sink, small_disk, event, until, type):
    path = small_disk.path / f"events.{type}"
    queue = Queued("log", lambda: make_sink(type, path=path), first_wait_s=0.001, longest_wait_s=0.01, room=2000)
    small_disk.fill(left=6000)
    for index in range(100):
        queue.put(event(index))
    assert until(lambda: queue.state().state == "failing")
    assert "cannot write" in queue.state().reason
    assert until(lambda: path.read_bytes().endswith(b"\n"))  # while it is tried once more, half a line may be there
    assert queue.state().set_aside == 0
    small_disk.free()
    assert queue.close(60) == 0
    assert (queue.state().written, queue.state().dropped) == (100, 0)
    frames = (
        [json.loads(line)["frame"] for line in path.read_text().splitlines()]
        if type == "jsonl"
        else [int(row["frame"]) for row in rows(path)]
    )
    assert sorted(frames) == list(range(100))


@pytest.mark.faults
def test_a_folder_that_vanishes_is_told_and_what_waited_is_written_when_it_is_back(make_sink, tmp_path, event, until):
    folder = tmp_path / "stick"
    folder.mkdir()
    path = folder / "events.jsonl"
    queue = Queued("log", lambda: make_sink("jsonl", path=path), first_wait_s=0.001, longest_wait_s=0.01)
    queue.put(event(0))
    assert until(lambda: queue.state().written == 1)
    folder.rename(tmp_path / "pulled")
    for index in range(1, 5):
        queue.put(event(index))
    assert until(lambda: queue.state().state == "failing")
    assert "no such folder" in queue.state().reason
    folder.mkdir()
    assert queue.close(60) == 0
    assert sorted(json.loads(line)["frame"] for line in path.read_text().splitlines()) == [1, 2, 3, 4]


@pytest.mark.faults
def test_a_score_that_json_does_not_have_is_set_aside_and_the_rest_is_written(make_sink, tmp_path, event, until):
    from dataclasses import replace

    queue = Queued("log", lambda: make_sink("jsonl", path="a.jsonl"), first_wait_s=0.001, longest_wait_s=0.002, tries=2)
    for index in range(6):
        queue.put(replace(event(index), score=float("nan")) if index == 2 else event(index))
    assert until(lambda: queue.state().written == 5)
    assert until(lambda: queue.state().set_aside == 1)
    assert "not JSON compliant" in queue.state().set_aside_reason
    queue.close(60)
    frames = [json.loads(line)["frame"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert sorted(frames) == [0, 1, 3, 4, 5]
