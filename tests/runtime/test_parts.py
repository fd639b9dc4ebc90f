"""Parts: where one ends, what its frames decide, and what late means."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordsight.runtime.errors import SettingError
from wordsight.runtime.part_rule import PartRule
from wordsight.runtime.parts import PartDecider
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sources.frame import Frame

BEGAN = datetime(2026, 11, 26, 8, tzinfo=timezone.utc)
WORDS = {"g": "good", "u": "unsure", "d": "defect", "-": None}


def result(letter, part_id="A", at_s=0.0, score=0.5, reason=None, recipe=None):
    frame = Frame(
        np.zeros((1, 1, 3), np.uint8), "camera:0", round(at_s * 1000), BEGAN + timedelta(seconds=at_s), "camera 0",
        part_id=part_id, captured_s=100 + at_s,
    )  # fmt: skip
    return Result(frame, score, 0.0, 0.0, WORDS[letter], line="press", reason=reason, recipe=recipe)


def decide(rule, letters):
    """Decision of one part whose frames were decided as the letters say."""
    decider = PartDecider(rule)
    for at, letter in enumerate(letters):
        assert decider.add(result(letter, at_s=at / 10), 100 + at / 10) == []
    (part,) = decider.end()
    assert (part.frames, part.defects, part.unsure) == (len(letters), letters.count("d"), letters.count("u"))
    return part.decision


@pytest.mark.parametrize(
    ("rule", "letters", "expected"),
    [
        ({}, "ggg", "good"),
        ({}, "gdg", "defect"),
        ({}, "gug", "unsure"),
        ({}, "dug", "defect"),
        ({"defects": 2}, "dgg", "good"),
        ({"defects": 2}, "dggd", "defect"),
        ({"defects": 2}, "dggu", "unsure"),
        ({"defects": 2, "of": 3}, "dggd", "good"),  # never two within three in a row
        ({"defects": 2, "of": 3}, "gdgdg", "defect"),
        ({"defects": 2, "of": 3}, "dd", "defect"),
        ({"defects": 2, "of": 3}, "ugu", "unsure"),
        ({"defects": 3, "hold": True}, "duu", "defect"),
        ({"defects": 3, "hold": True}, "udu", "unsure"),  # what is before a defect is not held by it
        ({"defects": 3, "hold": True}, "dugu", "unsure"),  # the good one ended it
        ({"defects": 3}, "duu", "unsure"),
        ({"least": 3}, "gg", "unsure"),
        ({"least": 3}, "dg", "unsure"),
        ({"least": 3}, "gdg", "defect"),
        ({}, "g-", "unsure"),
        ({}, "d-", "defect"),
    ],
)
def test_frames_decide_over_their_part(rule, letters, expected):
    assert decide(PartRule(**rule), letters) == expected


@given(st.text("gud", min_size=1, max_size=12), st.integers(1, 4), st.integers(0, 4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_n_of_m_is_what_a_look_at_every_stretch_finds(letters, n, more, hold):
    """Against the definition, word by word: every stretch of m frames, and every frame's way back to a defect."""
    m = n + more

    def counts(at):
        if letters[at] == "d":
            return True
        back = letters[: at + 1].rfind("d")
        return hold and letters[at] == "u" and back >= 0 and set(letters[back + 1 : at + 1]) == {"u"}

    def enough(so):
        return any(sum(map(so, range(at, min(at + m, len(letters))))) >= n for at in range(len(letters)))

    expected = "defect" if enough(counts) else "unsure" if enough(lambda at: letters[at] != "g") else "good"
    assert decide(PartRule(defects=n, of=m, hold=hold), letters) == expected


def test_a_part_ends_with_the_first_frame_of_the_next():
    decider = PartDecider(PartRule())
    assert decider.add(result("g", "A", 0, 0.3, recipe="nut"), 100) == []
    assert decider.add(result("d", "A", 0.1, 0.9, recipe="nut"), 100.1) == []
    (part,) = decider.add(result("g", "B", 0.2), 100.2)
    assert (part.part_id, part.decision, part.score, part.line, part.recipe) == ("A", "defect", 0.9, "press", "nut")
    assert (part.began, part.ended) == (BEGAN, BEGAN + timedelta(seconds=0.1))
    (other,) = decider.end()
    assert other.event_id != part.event_id
    assert decider.end() == []
    assert decider.decided == {"defect": 1, "good": 1}


def test_a_repeat_of_the_same_part_has_the_same_event():
    ids = set()
    for _ in range(2):
        decider = PartDecider(PartRule())
        decider.add(result("g"), 100)
        ids.add(decider.end()[0].event_id)
    assert len(ids) == 1


def test_frames_without_a_part_are_left_alone():
    decider = PartDecider(PartRule(gap_ms=100))
    assert decider.add(result("d", None), 100) == []
    assert decider.end() == []


def test_a_known_number_of_frames_ends_a_part_at_once():
    decider = PartDecider(PartRule(frames=2))
    assert decider.add(result("g", at_s=0), 100) == []
    (part,) = decider.add(result("u", at_s=0.1, reason="blurred"), 100.1)
    assert (part.decision, part.reason) == ("unsure", "blurred")
    assert decider.add(result("d", at_s=0.2), 100.2) == []  # a third one is a stray
    assert decider.strays == 1
    decider.add(result("g", "B", 0.3), 100.3)
    (short,) = decider.end()
    assert (short.decision, short.reason) == ("unsure", "1 of 2 frames")


def test_a_gap_ends_a_part_and_the_same_name_begins_another():
    decider = PartDecider(PartRule(gap_ms=500))
    decider.add(result("g", at_s=0), 100)
    assert decider.overdue(100.5) == []
    (part,) = decider.overdue(100.6)
    assert part.decision == "good"
    assert decider.overdue(200) == []
    decider.add(result("d", at_s=10), 110)
    (part,) = decider.add(result("g", at_s=11), 111)
    assert part.decision == "defect"


def test_a_busy_engine_ends_no_part_by_its_gap():
    decider = PartDecider(PartRule(gap_ms=500))
    decider.add(result("g", at_s=0.0), 103)
    assert decider.add(result("d", at_s=0.4), 104) == []  # taken 0.4 s after the first, scored a second later
    assert decider.end()[0].frames == 2


def test_late_is_unsure_whatever_the_frames_say_and_is_counted():
    decider = PartDecider(PartRule(frames=3, deadline_ms=400))
    decider.add(result("g", at_s=0), 100.1)
    assert decider.overdue(100.39) == []
    (part,) = decider.overdue(100.41)
    assert (part.decision, part.late, part.reason, part.frames) == ("unsure", True, "late", 1)
    assert decider.add(result("d", at_s=0.2), 100.6) == []  # too late to be taken back
    assert decider.overdue(101) == []
    assert (decider.late, decider.strays, decider.decided["unsure"]) == (1, 1, 1)


def test_a_frame_that_comes_out_of_the_engine_too_late_does_not_decide():
    decider = PartDecider(PartRule(frames=1, deadline_ms=400))
    (part,) = decider.add(result("g", at_s=0), 100.5)
    assert (part.decision, part.late, part.frames) == ("unsure", True, 1)
    (part,) = decider.add(result("g", "B", at_s=1), 101.39)
    assert (part.decision, part.late) == ("good", False)


def test_the_next_part_finds_the_one_before_late():
    decider = PartDecider(PartRule(deadline_ms=400))
    decider.add(result("g", at_s=0), 100)
    (part,) = decider.add(result("g", "B", at_s=0.6), 100.6)
    assert (part.part_id, part.late) == ("A", True)
    assert decider.end()[0].part_id == "B"


def test_with_a_deadline_a_certain_defect_is_told_at_once():
    decider = PartDecider(PartRule(defects=2, of=3, deadline_ms=400))
    assert decider.add(result("d", at_s=0), 100) == []
    (part,) = decider.add(result("d", at_s=0.1), 100.1)
    assert (part.decision, part.late) == ("defect", False)
    assert decider.add(result("g", at_s=0.2), 100.2) == []
    assert decider.overdue(200) == []
    assert decider.end() == []


def begin(decider, part_id, at_s):
    stamp = BEGAN + timedelta(seconds=at_s)
    return decider.begin(part_id, line="press", source="camera:0", at_s=100 + at_s, stamp=stamp, recipe="nut")


def test_a_triggered_part_of_which_no_frame_came_is_told_of():
    decider = PartDecider(PartRule(deadline_ms=400))
    assert begin(decider, "A", 0) == []
    (part,) = decider.overdue(100.5)
    assert (part.part_id, part.decision, part.late, part.frames, part.score) == ("A", "unsure", True, 0, None)
    assert (part.began, part.ended, part.recipe) == (BEGAN, BEGAN, "nut")
    assert begin(decider, "B", 1) == []
    (part,) = begin(decider, "C", 1.2)
    assert (part.part_id, part.late, part.reason) == ("B", False, "0 of 1 frames")


def test_frames_between_two_triggers_are_one_part():
    decider = PartDecider(PartRule(defects=2, deadline_ms=1000))
    begin(decider, "A", 0)
    assert decider.add(result("d", None, 0.1), 100.1) == []
    assert decider.add(result("g", None, 0.2), 100.2) == []
    (part,) = begin(decider, "B", 0.5)
    assert (part.part_id, part.decision, part.frames) == ("A", "good", 2)
    assert decider.add(result("d", "B", 0.6), 100.6) == []
    (part,) = decider.add(result("d", None, 0.7), 100.7)
    assert (part.part_id, part.decision, part.frames) == ("B", "defect", 2)


def test_the_deadline_counts_from_the_trigger():
    decider = PartDecider(PartRule(frames=1, deadline_ms=400))
    begin(decider, "A", 0)
    (part,) = decider.add(result("g", "A", 0.3), 100.45)
    assert part.late


def test_a_part_that_never_ends_takes_no_memory():
    decider = PartDecider(PartRule(defects=5, of=7))
    for at in range(5000):
        decider.add(result("dggg"[at % 4], at_s=at / 100), 100 + at / 100)
    part = decider.end()[0]
    assert (part.frames, part.decision) == (5000, "good")


@pytest.mark.parametrize(
    "wrong",
    [
        {"defects": 0}, {"least": 0}, {"defects": 3, "of": 2}, {"frames": 1, "defects": 2}, {"frames": 1, "least": 2},
        {"gap_ms": 0}, {"deadline_ms": -1}, {"deadline_ms": float("nan")},
    ],
)  # fmt: skip
def test_a_rule_that_cannot_hold_is_refused(wrong):
    with pytest.raises(SettingError):
        PartRule(**wrong)


def missed(at_s, part_id="A"):
    return result("g", part_id, at_s).frame, "press", None, 100 + at_s


@pytest.mark.parametrize(
    ("rule", "letters", "expected"),
    [
        ({}, "g?g", ("unsure", "no answer", 2)),
        ({}, "?", ("unsure", "no answer", 0)),
        ({}, "?dg", ("defect", None, 2)),
        ({"least": 3}, "g?g", ("unsure", "no answer", 2)),
        ({"defects": 2, "of": 2}, "d?d", ("defect", None, 2)),
    ],
)
def test_a_part_with_a_frame_that_got_no_answer_is_never_good(rule, letters, expected):
    decider = PartDecider(PartRule(**rule))
    for at, letter in enumerate(letters):
        given = missed(at / 10) if letter == "?" else (result(letter, at_s=at / 10), 100 + at / 10)
        assert (decider.missed if letter == "?" else decider.add)(*given) == []
    (part,) = decider.end()
    assert (part.decision, part.reason, part.frames) == expected


def test_a_frame_that_got_no_answer_ends_parts_like_any_other():
    decider = PartDecider(PartRule(frames=2))
    assert decider.add(result("g"), 100) == []
    (part,) = decider.missed(*missed(0.1))
    assert (part.decision, part.reason, part.frames) == ("unsure", "no answer", 1)
    assert decider.missed(*missed(0.2)) == []  # of a part that was told
    assert decider.strays == 1
    assert decider.missed(*missed(0.3, "B")) == []
    (part,) = decider.missed(*missed(0.4, "B"))
    assert (part.part_id, part.frames, part.score, part.line) == ("B", 0, None, "press")
