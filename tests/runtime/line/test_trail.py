"""Lines of who did what, in files that never outgrow their bounds."""

import threading

import pytest
from pydantic import ByteSize

from wordsight.runtime.line import trail


def test_lines_are_read_back_in_order_across_files_and_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr(trail, "ROLL_BYTES", ByteSize(200))
    for number in range(100):
        trail.append(tmp_path / "state", trail.MARKS, {"number": number, "who": "Ann ✓ \ud800"})
    files = sorted(path.name for path in (tmp_path / "state").iterdir())
    assert len(files) == trail.KEEP + 1
    assert max(path.stat().st_size for path in (tmp_path / "state").iterdir()) <= 200
    found = [line["number"] for line in trail.lines(tmp_path / "state" / trail.MARKS)]
    assert found == list(range(100 - len(found), 100))
    assert len(found) > trail.KEEP


def test_what_is_torn_or_damaged_is_left_aside(tmp_path):
    trail.append(tmp_path, "marks.jsonl", {"number": 1})
    with open(tmp_path / "marks.jsonl", "ab") as file:
        file.write(b'{"number": \xff}\n[3]\nno\n' + b"[" * 20_000 + b'\n{"torn')
    assert [line["number"] for line in trail.lines(tmp_path / "marks.jsonl")] == [1]
    trail.append(tmp_path, "marks.jsonl", {"number": 2})
    assert [line["number"] for line in trail.lines(tmp_path / "marks.jsonl")] == [1, 2]
    assert list(trail.lines(tmp_path / "none.jsonl")) == []


def test_none_is_lost_where_many_are_marked_at_once(tmp_path):
    def mark(who):
        for number in range(20):
            trail.append(tmp_path, "marks.jsonl", {"number": number, "who": who})

    threads = [threading.Thread(target=mark, args=(who,), daemon=True) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(trail.lines(tmp_path / "marks.jsonl"))) == 80
    with pytest.raises(OSError, match="directory"):
        list(trail.lines(tmp_path / ".."))
