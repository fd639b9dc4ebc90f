"""What is written is what the schema says, and the schema is what the forms say."""

import json
from datetime import datetime, timezone
from pathlib import Path

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wordsight.runtime.sinks
from wordsight.runtime.sinks.event_csv import COLUMNS
from wordsight.runtime.sinks.event_model import EventForm, schema_text
from wordsight.runtime.sinks.jsonl import encoded
from wordsight.runtime.sinks.result import PartResult
from wordsight.runtime.sinks.schema import event_json, event_schema

FORM = pydantic.TypeAdapter(EventForm)


def keys_of(kind):
    """The keys that the shipped schema has for this kind, and those of them that must be there."""
    schema = event_schema()
    part = schema["$defs"][schema["discriminator"]["mapping"][kind].rpartition("/")[2]]
    return set(part["properties"]), set(part["required"])


def held(event):
    """The event as it is read back, held against the forms and against the keys of the schema."""
    written = json.loads(encoded(event_json(event)))
    FORM.validate_json(json.dumps(written))
    known, required = keys_of(written["kind"])
    assert required <= set(written) <= known
    return written


def test_the_schema_that_ships_is_made_from_the_forms():
    shipped = (Path(wordsight.runtime.sinks.__file__).parent / "event.schema.json").read_text("utf-8")
    assert shipped == schema_text(), "renew it: python -m wordsight.runtime.sinks.event_model"


@pytest.mark.parametrize("heat", [False, True])
@pytest.mark.parametrize("decision", [None, "good", "unsure", "defect"])
def test_every_frame_is_as_the_schema_says(event, heat, decision):
    written = held(event(3, decision, heat=heat))
    assert (written["kind"], written["decision"], written["schema"]) == ("frame", decision, 1)
    assert written["timestamp"] == "2026-11-26T13:00:03.005Z"
    assert ("regions" in written) == heat


def test_a_frame_with_all_there_is_has_every_key_of_the_schema(event):
    full = event(heat=True, decision="unsure", s_img=0.5, reason="too dark", recipe="nut", part_id="P-1", fallback=True)
    assert set(held(full)) == keys_of("frame")[0]
    (region,) = held(full)["regions"]
    assert region["box"][2:] > [0, 0]


def test_a_part_is_as_the_schema_says(part_event):
    written = held(part_event(reason="late", recipe="nut", fallback=True))
    assert set(written) == keys_of("part")[0]
    assert written["began"] == "2026-11-26T13:00:00.005Z"
    assert written["timestamp"] == "2026-11-26T13:00:02.005Z"
    assert held(part_event(score=None, frames=0))["score"] is None


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(), score=st.floats(0, 3), number=st.integers(0, 10**9),
    moment=st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)), decision=st.sampled_from(["good", "unsure"]),
)  # fmt: skip
def test_any_part_is_as_the_schema_says(text, score, number, moment, decision):
    moment = moment.replace(tzinfo=timezone.utc)
    part = PartResult(text, text, decision, number, 0, 0, score, moment, moment, False, text, "0" * 32, text)
    written = held(part)
    assert (written["score"], written["frames"]) == (score, number)
    assert written["part_id"].encode("utf-8", "backslashreplace") == text.encode("utf-8", "backslashreplace")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "batch"}, {"schema": 2}, {"decision": "bad"}, {"timestamp": "2026-11-26 13:00:00"}, {"score": "0.5"},
        {"event_id": "17"}, {"frame": -1}, {"frame": True}, {"line": None}, {"regions": [{"box": [1, 2, 3]}]},
    ],
    ids=lambda fault: next(iter(fault)),
)  # fmt: skip
def test_a_planted_fault_is_seen(event, fault):
    written = event_json(event(decision="good"))
    FORM.validate_python(written)
    with pytest.raises(pydantic.ValidationError):
        FORM.validate_python({**written, **fault})


@pytest.mark.parametrize("kind", ["frame", "part"])
def test_a_missing_key_is_seen(event, part_event, kind):
    written = event_json(event() if kind == "frame" else part_event())
    for key in keys_of(kind)[1]:
        with pytest.raises(pydantic.ValidationError):
            FORM.validate_python({name: value for name, value in written.items() if name != key})


def test_csv_has_a_column_for_every_key_but_the_regions():
    assert sorted(COLUMNS) == sorted((keys_of("frame")[0] | keys_of("part")[0]) - {"regions"})
