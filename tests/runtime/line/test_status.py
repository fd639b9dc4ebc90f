"""The status as one JSON object: what it says of moments."""

from types import SimpleNamespace

from wordsight.runtime.line.engine import Pace
from wordsight.runtime.line.running import RunningLine
from wordsight.runtime.line.source_state import SourceState
from wordsight.runtime.line.status import Rates, engine_status, line_status


def test_what_came_after_the_clock_was_read_is_of_now():
    now_s = 100.0
    state = SourceState("running", since_s=now_s + 0.2, frames=3, last_frame_s=now_s + 0.3)
    by = SimpleNamespace(unsure=None, threshold=None, applied=None, file=None)
    force = SimpleNamespace(recipe=None, view=SimpleNamespace(object="object"), by=by, drift=None)
    line = RunningLine("press", SimpleNamespace(state=lambda: state, waiting=0), force)
    told = line_status(line, "camera:0", Rates(), now_s)
    assert (told["last_frame_s"], told["for_s"]) == (0, 0)
    pace = Pace(last_pass_s=now_s + 0.4)
    assert engine_status(pace, SimpleNamespace(opened={}), Rates(), now_s)["last_step_s"] == 0
    later = line_status(line, "camera:0", Rates(), now_s + 1)
    assert (later["last_frame_s"], later["for_s"]) == (0.7, 0.8)
