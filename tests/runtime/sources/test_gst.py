"""GStreamer pipelines. No OpenCV that pip brings has GStreamer: a stand-in takes the place of the capture."""

import numpy as np
import pytest

from wordsight.runtime.errors import MissingPart, SourceError
from wordsight.runtime.opencv import feature
from wordsight.runtime.sources import gst
from wordsight.runtime.sources.frame import Failure, Frame
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.registry import open_source
from wordsight.runtime.urls import masked

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
PIPELINE = "rtspsrc location=rtsp://cam/main user-id={user} user-pw={password} ! decodebin ! appsink drop=true"


@pytest.fixture
def captures(monkeypatch):
    """Take the place of OpenCV with GStreamer; gives what was opened."""
    opened = []

    class Capture:
        def __init__(self, *words):
            opened.append(words)
            self.left = 2

        def isOpened(self):
            return "broken" not in opened[-1][0]

        def get(self, prop):
            return 30.0

        def read(self):
            self.left -= 1
            return self.left >= 0, np.full((4, 6), 50, np.uint8)

        def release(self):
            pass

    monkeypatch.setattr(gst, "feature", lambda name: "YES (1.20.3)")
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    return opened


def test_where_opencv_has_no_gstreamer_one_line_says_so():
    if feature("GStreamer") is not None:
        return  # a board's own OpenCV
    with pytest.raises(MissingPart, match="sudo apt install python3-opencv"):
        open_source(f"gst:{PIPELINE}")


def test_a_pipeline_is_opened_with_its_credentials_and_time_outs(captures):
    source = open_source(f"gst:{PIPELINE}", SourceOptions(user="bob", password='a "b" \\c', read_timeout_s=2))
    *frames, failure = source
    assert [frame.image.shape for frame in frames] == [(4, 6, 3)] * 2  # grey becomes three channels
    assert failure == Failure(f"gst:{PIPELINE}", "no more frames after 2", "SourceError", 2)
    ((pipeline, backend, words),) = captures
    assert 'user-id="bob" user-pw="a \\"b\\" \\\\c" !' in pipeline
    assert backend == cv2.CAP_GSTREAMER
    assert words == [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 10_000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2000]
    assert isinstance(frames[0], Frame)
    assert source.live


def test_a_pipeline_that_does_not_start_is_a_failure(captures):
    (failure,) = open_source("gst:broken ! appsink")
    assert failure.kind == "CameraAbsent"
    assert "gst-launch-1.0" in failure.reason


@pytest.mark.parametrize("text", ["gst:", "gst:videotestsrc", "gst:videotestsrc ! fakesink"])
def test_a_pipeline_has_to_end_in_an_appsink(captures, text):
    with pytest.raises(SourceError, match="ends in ! appsink"):
        open_source(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gst:rtspsrc location=rtsp://u:p@cam/x ! appsink", "gst:rtspsrc location=rtsp://***@cam/x ! appsink"),
        ("gst:a user-id=\"x y\" user-pw = 'p w' ! appsink", "gst:a user-id=*** user-pw = *** ! appsink"),
        ('gst:a location="rtsp://u:p@cam/x" password=p! b', 'gst:a location="rtsp://***@cam/x" password=***! b'),
        (f"gst:{PIPELINE}", f"gst:{PIPELINE}"),
    ],
)
def test_secrets_in_a_pipeline_are_masked(text, shown):
    assert masked(text) == shown
