"""The soak in its short form, and its arithmetic on runs whose faults are planted."""

from dataclasses import replace

import pytest

from wordsight.benchmarks.line import soak
from wordsight.benchmarks.line.soak import Sample, Soak

SECONDS = 120
FRAME_MB = 640 * 480 * 3 / 1e6


def made(**changes) -> Soak:
    """A run in which all is well."""
    samples = [Sample(float(at), 200 + 0.1 * (at % 3), 20 + (at % 10 == 0), 9) for at in range(601)]
    lines = [
        {"name": "healthy", "dropped": 0, "frames": 3000, "reconnects": 0},
        {"name": "flapping", "dropped": 0, "frames": 2000, "reconnects": 55},
    ]
    return replace(Soak(600, samples, [0.2] * 2999, 3000, {"lines": lines}, {}, 0, 0.5), **changes)


def test_a_run_without_faults_has_none():
    assert soak.faults(made()) == []


def grown(name, per_sample):
    return [
        replace(one, **{name: type(getattr(one, name))(getattr(one, name) + per_sample * one.at_s)})
        for one in made().samples
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"samples": grown("resident_mb", 0.1)}, "memory grew by 360.0 MB an hour"),
        ({"samples": grown("files", 0.02)}, "files grew by 4"),
        ({"samples": grown("threads", 0.02)}, "threads grew by 4"),
        ({"intervals_s": [0.2] * 2990 + [2.0]}, "99.70% of the healthy camera's frames were kept"),
        ({"exit_code": 1}, "exit code 1"),
    ],
)
def test_each_planted_fault_is_told(changes, told):
    (found,) = soak.faults(made(**changes))
    assert told in found


def test_a_gap_counts_as_the_frames_that_should_have_been_in_it():
    assert soak.kept([0.2] * 10, 0.2) == 1
    assert soak.kept([0.2, 0.39, 0.2], 0.2) == 1  # late is not lost
    assert soak.kept([0.2, 0.8, 0.2, 0.2], 0.2) == pytest.approx(4 / 7)


def test_two_minutes_of_three_cameras(tmp_path):
    found = soak.run(SECONDS, tmp_path)
    lines = {line["name"]: line for line in found.status["lines"]}
    # What is lost to a busy machine is not looked at here: every picture that was sent is a frame, scored or counted.
    assert lines["healthy"]["frames"] >= found.sent - 10
    assert lines["healthy"]["frames"] <= lines["healthy"]["scored"] + lines["healthy"]["dropped"] + 2
    assert found.states["healthy"] <= {"opening", "running"}
    assert {"running", "retrying"} <= found.states["flapping"]
    assert "running" not in found.states["offline"]
    assert "retrying" in found.states["offline"]
    assert lines["flapping"]["reconnects"] >= 5
    assert lines["healthy"]["reconnects"] == 0
    # The allocator of a busy machine is still settling, by a megabyte each reconnect: `make soak` is for small leaks.
    settled = found.samples[len(found.samples) // 4 :]
    scored = lines["healthy"]["scored"] + lines["flapping"]["scored"]
    assert settled[-1].resident_mb - settled[0].resident_mb < scored * FRAME_MB / 30, "of thirty frames one is kept"
    assert [fault for fault in soak.faults(found) if not fault.startswith("memory") and "were kept" not in fault] == []
