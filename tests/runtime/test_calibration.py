"""The file of a calibration: as written so read, and one clear line for anything else."""

import dataclasses
import json

import pytest

from wordsight.runtime.calibration import (
    MOST_SCORES,
    Calibration,
    default_path,
    read_calibration,
    sketch,
    write_calibration,
)
from wordsight.runtime.gate import Gate
from wordsight.runtime.thresholds import CalibrationError


@pytest.fixture
def calibration():
    return Calibration(
        schema=1, model_sha256="a" * 64, object="part", backend="onnxruntime", made="2026-11-26T08:00:00Z", rate=0.01,
        confidence=0.95, frames=300, repeated=2, sizes=((640, 480), (64, 64)), roi=(),
        unsure=0.30000000000000004, defect=0.7, scores=(0.1, 0.2, 0.7),
        gate=Gate(20.0, 200.5, 0.01, 3.25), references=None,
    )  # fmt: skip


def test_what_is_written_is_read_to_the_last_digit(tmp_path, calibration):
    path = default_path(tmp_path / "m.onnx")
    assert path.name == "m.onnx.calibration.json"
    write_calibration(path, calibration)
    assert read_calibration(path) == calibration
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "a later one needs a later Wordsight"),
        ({"model_sha256": "x"}, "key model_sha256: expected 64"),
        ({"made": "yesterday"}, "key made"),
        ({"rate": 2}, "key rate"),
        ({"confidence": 1}, "key confidence"),
        ({"frames": 0}, "key frames"),
        ({"frames": "many"}, "key frames: expected a whole number"),
        ({"unsure": 0.8}, "key unsure"),
        ({"scores": []}, "key scores"),
        ({"sizes": [[640]]}, "key sizes[0]: expected 2 entries"),
        ({"roi": [1, 2]}, "key roi"),
        ({"scores": [2, 1]}, "key scores"),
        ({"scores": [0.5] * (MOST_SCORES + 1)}, "key scores"),
        ({"gate": None}, "key gate: expected an object"),
        ({"gate": {"darkest": 1}}, "key gate.brightest is missing"),
        ({"references": {"sha256": "a"}}, "key references"),
        ({"defect": None}, "key defect: expected a finite number"),
    ],
)
def test_a_value_that_cannot_be_is_named(tmp_path, calibration, change, says):
    path = tmp_path / "c.json"
    write_calibration(path, calibration)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CalibrationError) as raised:
        read_calibration(path)
    told = str(raised.value)
    assert says in told
    assert str(path) in told
    assert "manifest" not in told
    assert "wordsight calibrate" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\x00\xff\x80", b'{"schema": 1}', b'{"schema": 1, "schema": 1}', b"[" * 100_000],
)
def test_no_calibration_at_all_is_one_line(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="holds no calibration that can be used") as raised:
        read_calibration(path)
    assert "\n" not in str(raised.value)


def test_cut_at_any_place_it_is_refused(tmp_path, calibration):
    path = tmp_path / "c.json"
    write_calibration(path, calibration)
    whole = path.read_bytes().rstrip()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CalibrationError):
            read_calibration(path)


@pytest.mark.parametrize("word", ["NaN", "Infinity"])
def test_a_threshold_that_is_no_number_is_refused(tmp_path, calibration, word):
    path = tmp_path / "c.json"
    write_calibration(path, calibration)
    path.write_text(path.read_text().replace('"defect": 0.7', f'"defect": {word}'))
    with pytest.raises(CalibrationError, match="is no score"):
        read_calibration(path)


def test_absent_a_folder_and_a_huge_file(tmp_path):
    with pytest.raises(CalibrationError, match=r"no calibration at .*make one"):
        read_calibration(tmp_path / "absent")
    with pytest.raises(CalibrationError, match="is no file"):
        read_calibration(tmp_path)
    (tmp_path / "huge").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(CalibrationError, match="larger than"):
        read_calibration(tmp_path / "huge")


def test_it_is_held_against_what_it_is_to_decide(calibration):
    calibration.require_for("a" * 64, "part", None, "c.json")
    for sha256, word, says in (
        ("b" * 64, "part", "another model"),
        ("a" * 64, "nut", "the object 'part', not of 'nut'"),
    ):
        with pytest.raises(CalibrationError, match=says) as raised:
            calibration.require_for(sha256, word, None, "c.json")
        assert "--no-calibration" in str(raised.value)
    assert calibration.unknown_size(65, 64)
    assert not calibration.unknown_size(640, 480)
    assert not dataclasses.replace(calibration, sizes=()).unknown_size(1, 1)


def test_of_many_scores_the_quantiles_are_kept():
    kept = sketch([float(i) for i in range(100_000)][::-1])
    assert (len(kept), kept[0], kept[-1]) == (MOST_SCORES, 0.0, 99_999.0)
    assert kept[256] == pytest.approx(100_000 * 256 / 1023, abs=1)
    assert sketch([3.0, 1.0]) == (1.0, 3.0)
