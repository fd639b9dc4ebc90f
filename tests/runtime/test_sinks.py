"""Sinks: lines stay whole, originals stay untouched."""

import io
import json
import os
import resource
from datetime import datetime, timezone

import numpy as np
import pytest

from wordsight.runtime.annotate import DEFECT, GOOD, PLAIN, STRIP, annotate
from wordsight.runtime.errors import MissingPart, OutputError
from wordsight.runtime.sinks.jsonl import ErrorLines, JsonLines
from wordsight.runtime.sinks.pictures import AnnotatedPictures
from wordsight.runtime.sinks.result import Result, decide
from wordsight.runtime.sinks.table import Table
from wordsight.runtime.sources.frame import Failure, Frame

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
TIME = datetime(2026, 11, 24, 6, 0, 0, 5000, tzinfo=timezone.utc)


def result(score=0.5, name="a.png", index=0, fps=None, shape=(40, 60), decision=None, grey=90):
    frame = Frame(np.full((*shape, 3), grey, np.uint8), f"in/{name}", index, TIME, name, fps)
    return Result(frame, score, 0.25, 0.25, decision)


def test_a_line_has_the_promised_keys(tmp_path):
    sink = JsonLines(tmp_path / "out.jsonl")
    sink.write(result(decision="good"))
    line = json.loads((tmp_path / "out.jsonl").read_text())  # readable before it is closed
    sink.close()
    assert line == {
        "source": "in/a.png", "frame": 0, "timestamp": "2026-11-24T06:00:00.005Z",
        "score": 0.5, "s_pr": 0.25, "s_fnn": 0.25, "decision": "good",
    }  # fmt: skip


def test_failures_have_lines_of_their_own(tmp_path):
    sink = ErrorLines(tmp_path / "e.jsonl")
    sink.write(Failure("x.png", "empty", "PictureError"))
    sink.close()
    line = json.loads((tmp_path / "e.jsonl").read_text())
    assert line == {"source": "x.png", "frame": None, "error": "PictureError", "reason": "empty"}


def test_an_older_file_stays_until_there_is_a_first_line(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    JsonLines(path).close()
    assert path.read_text() == "old\n"


@pytest.mark.parametrize("where", ["missing/out.jsonl", "."])
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path, where):
    with pytest.raises(OutputError):
        JsonLines(tmp_path / where)


def test_full_device_is_told():
    sink = JsonLines("/dev/full")
    with pytest.raises(OutputError, match="no space"):
        sink.write(result())
    sink.close()


def test_disk_that_fills_up_leaves_whole_lines(tmp_path):
    """A file size limit takes part of the line that does not fit, as a full disk does."""
    path = tmp_path / "out.jsonl"
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        sink = JsonLines(path)
        try:
            for index in range(100):
                sink.write(result(index=index))
        except OutputError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    lines = path.read_text().splitlines(keepends=True)
    assert 1 < len(lines) < 100
    assert all(line.endswith("\n") for line in lines)
    assert [json.loads(line)["frame"] for line in lines] == list(range(len(lines)))


@pytest.mark.parametrize(
    ("score", "threshold", "expected"), [(1.0, None, None), (1.0, 1.0, "defect"), (0.99, 1.0, "good")]
)
def test_decision(score, threshold, expected):
    assert decide(score, threshold) == expected


@pytest.mark.parametrize(
    ("score", "expected"), [(0.5, "good"), (0.6, "unsure"), (0.9, "unsure"), (1.0, "defect"), (2.0, "defect")]
)
def test_decision_with_a_grey_zone(score, expected):
    assert decide(score, 1.0, unsure=0.6) == expected


def test_the_grey_zone_lies_between_two_marks():
    drawn = annotate(result(0.0, shape=(300, 400), decision="good"), top=2.0, threshold=1.5, unsure=0.5)
    marked = (drawn[300 + 2] == drawn[300 + 2, 300]).all(axis=1)
    assert np.flatnonzero(marked).tolist() == [100, 101, 300, 301]


@pytest.mark.parametrize(("decision", "colour"), [("good", GOOD), ("defect", DEFECT), (None, PLAIN)])
def test_bar_is_as_long_as_the_score_and_has_the_decisions_colour(decision, colour):
    drawn = annotate(result(0.5, shape=(300, 400), decision=decision), top=2.0)
    bar = (drawn[300 + 8] == colour).all(axis=1)
    assert bar[:100].all()
    assert not bar[100:].any()
    assert (drawn[:300] == 90).all()  # the picture itself is not drawn over


@pytest.mark.parametrize("shape", [(1, 1), (3, 20000), (20000, 3), (4000, 3000), (41, 63)])
def test_odd_shapes_are_drawn_in_bounds(shape):
    drawn = annotate(result(shape=shape), top=2.0)
    assert drawn.dtype == np.uint8
    assert drawn.shape[0] % 2 == drawn.shape[1] % 2 == 0
    assert STRIP < drawn.shape[0] <= 1922 + STRIP
    assert 320 <= drawn.shape[1] <= 1922


def test_same_names_do_not_collide_and_originals_stay(tmp_path):
    original = tmp_path / "a.jpg"
    original.write_bytes(b"the original")
    sink = AnnotatedPictures(tmp_path, 2.0, None, [original])
    for name in ("a.jpg", "a.png", "sub/a.png", "../../up.png"):
        sink.write(result(name=name))
    sink.close()
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jpg"))
    assert found == ["a-2.jpg", "a-3.jpg", "a.jpg", "sub/a.jpg", "up.jpg"]
    assert original.read_bytes() == b"the original"
    assert not list(tmp_path.rglob(".wordsight*"))


def test_a_second_run_replaces_the_first_ones_pictures(tmp_path):
    for _ in range(2):
        sink = AnnotatedPictures(tmp_path, 2.0, None)
        sink.write(result())
        sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_video_becomes_one_video_that_appears_when_closed(tmp_path):
    sink = AnnotatedPictures(tmp_path, 2.0, None)
    for index in range(8):
        sink.write(result(name="line.avi", index=index, fps=10.0, shape=(64, 320)))
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    sink.close()
    (path,) = tmp_path.iterdir()
    capture = cv2.VideoCapture(str(path))
    assert path.stem == "line"
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 8
    capture.release()


def shown(table, width=80):
    from rich.console import Console

    text = io.StringIO()
    table.show(Console(file=text, width=width))
    return text.getvalue()


def test_few_frames_are_all_shown_and_many_as_the_highest():
    few, many = Table(), Table()
    scores = np.random.default_rng(0).permutation(100) / 100
    for place, score in enumerate(scores):
        many.write(result(float(score), name=f"p{place}.png"))
        if place < 40:
            few.write(result(float(score), name=f"p{place}.png"))
    assert all(f"p{place}.png" in shown(few) for place in range(40))
    rows = [line for line in shown(many).splitlines() if line.startswith("p")]
    assert [line.split()[1] for line in rows] == [f"{score:.4f}" for score in sorted(scores, reverse=True)[:10]]


@pytest.mark.parametrize("width", [80, 120])
def test_long_names_leave_the_scores_in_sight(width):
    table = Table()
    table.write(result(1.2345, name="folder/" * 30 + "[x].png", decision="defect"))
    text = shown(table, width)
    assert "1.2345" in text
    assert "defect" in text
    assert max(map(len, text.splitlines())) <= width


def test_window_without_gui_or_display_says_what_is_missing(monkeypatch):
    from wordsight.runtime.opencv import gui
    from wordsight.runtime.sinks.window import Window

    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MissingPart) as caught:
        Window(2.0, None)
    assert ("wordsight[gui]" if gui() is None else "DISPLAY") in str(caught.value)
    assert caught.value.exit_code == 3
