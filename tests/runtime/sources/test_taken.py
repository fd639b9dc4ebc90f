"""The journal of a watched folder: bounded, and nothing that lies there is forgotten."""

import json

from wordsight.runtime.sources import taken
from wordsight.runtime.sources.taken import Taken


def test_what_was_taken_is_known_again_and_a_later_stamp_is_another_picture(tmp_path):
    path = tmp_path / "state" / "w.jsonl"
    first = Taken(path, {"watch": "drop"})
    for name, stamp in (("a", (1, 10)), ("ä\udce9", (2, 20)), ("a", (3, 10))):
        first.add(name, stamp)
    again = Taken(path, {"watch": "drop"})
    assert (again.has("a", (3, 10)), again.has("a", (1, 10)), again.has("ä\udce9", (2, 20))) == (True, False, True)
    assert len(again) == 2


def test_the_file_and_the_memory_stay_bounded_and_what_lies_there_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(taken, "KEPT", 50)
    monkeypatch.setattr(taken, "_SLACK", 20)
    path = tmp_path / "w.jsonl"
    book = Taken(path, {})
    present = {f"old{i}" for i in range(30)}
    for name in sorted(present):
        book.add(name, (1, 1))
    most = 0
    for i in range(3000):
        book.add(f"gone{i}", (i, 1))
        book.tidy(present)
        most = max(most, len(path.read_bytes().splitlines()) if i % 10 == 0 else 0)
    assert len(book) <= 50 + 30 + 20
    assert most <= 2 * 100 + 20 + 2
    again = Taken(path, {})
    assert all(again.has(name, (1, 1)) for name in present)
    assert again.has("gone2999", (2999, 1))
    assert not again.has("gone5", (5, 1))


def test_an_unmounted_folder_is_not_forgotten(tmp_path):
    book = Taken(tmp_path / "w.jsonl", {})
    for i in range(100):
        book.add(f"p{i}", (i, 1))
    book.tidy(())
    assert all(Taken(book.path, {}).has(f"p{i}", (i, 1)) for i in range(100))


def test_lines_that_are_no_entries_are_left_aside(tmp_path):
    path = tmp_path / "w.jsonl"
    path.write_text('{"watch": "drop"}\n["a", 1, 2]\n["b", null, 2]\nnonsense\n[1]\n["c", 1')
    book = Taken(path, {})
    assert (len(book), book.has("a", (1, 2))) == (1, True)
    book.add("d", (4, 4))
    assert [json.loads(line) for line in path.read_text().splitlines() if line.endswith("]")][-1] == ["d", 4, 4]
    assert Taken(path, {}).has("d", (4, 4))
