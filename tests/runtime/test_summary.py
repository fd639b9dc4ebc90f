"""What a run tells: shares that never claim too much, eight lines when something went wrong."""

import io

import pytest
from rich.console import Console

from wordsight.runtime.loop import Tally
from wordsight.runtime.sinks.table import Table
from wordsight.runtime.sources.frame import Failure
from wordsight.runtime.summary import Troubles, percent, seen, tell, unseen


@pytest.mark.parametrize(
    ("share", "told"),
    [(1.0, "100%"), (0.9999, "99%"), (0.5625, "56%"), (0.29, "29%"), (0.01, "1%"), (0.00015, "under 1%"), (0.0, "0%")],
)
def test_a_share_is_rounded_down(share, told):
    assert percent(share) == told


def test_of_many_sizes_the_first_two_and_the_worst_are_told():
    tally = Tally(seen={(480, 640): 0.75, (10, 10): 1.0, (1080, 1920): 0.5625, (3, 30): 0.1})
    assert (
        seen("crop", tally)
        == "seen by the encoder (crop): 75% of 640x480, 100% of 10x10 and 2 more sizes, 10% at least"
    )
    first, second, rest = unseen("crop", tally, 2)
    assert "75% of each 640x480" in first
    assert "56% of each 1920x1080" in second
    assert "1 more sizes" in rest
    (short,) = unseen("crop", tally, 0)
    assert "some frames" in short
    assert unseen("pad", Tally(seen={(480, 640): 1.0}), 2) == []
    assert "tiles for a camera of this aspect" in unseen("tiles", tally, 1)[0]
    assert "squash, pad or tiles" in first


@pytest.mark.parametrize("failures", [1, 2, 3, 500])
@pytest.mark.parametrize("scored", [0, 1, 3, 60])
@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("few_shot", [False, True])
def test_a_run_that_went_wrong_takes_eight_lines(onnx_writer, failures, scored, interrupted, few_shot):
    out, err, table = io.StringIO(), io.StringIO(), Table()
    for number in range(scored):
        table.write(_Result(number))
    tally = Tally(scored=scored, failures=failures, skipped=2, seen={(1, 2): 0.5} if scored else {}, seconds=1.0)
    troubles = Troubles(interrupted=interrupted)
    for number in range(failures):
        troubles.add(Failure(f"bad\n{number}.png", "see rtsp://u:s3cret@cam", "PictureError"))
    consoles = Console(file=out, width=80), Console(file=err, width=80)
    tell(*consoles, onnx_writer.manifest(), tally, table, troubles, sum_told="score = a sum" if few_shot else None)
    lines = (out.getvalue() + err.getvalue()).splitlines()
    assert len(lines) + interrupted <= 8  # the command line adds "interrupted"
    assert "bad 0.png" in err.getvalue()
    assert ("score = a sum" in out.getvalue()) == (few_shot and scored > 0)
    assert "s3cret" not in err.getvalue()
    if scored == 60:
        assert "p59" in out.getvalue()  # the highest score stays in sight
        assert "highest of 60" in out.getvalue()


class _Result:
    def __init__(self, number):
        self.frame = type("Frame", (), {"name": f"p{number}", "index": 0, "fps": None})
        self.score, self.s_pr, self.s_fnn, self.decision, self.s_img = number / 60, 0.1, 0.1, None, None
        self.reason = None
