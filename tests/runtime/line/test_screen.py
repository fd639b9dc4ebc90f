"""The screen, drawn as text from a status."""

from rich.console import Console

from wordsight.runtime.line.screen import drawn
from wordsight.runtime.line.status import Rates, percentiles

TIMES = {"n": 3, "p50": 2.5, "p95": 4.0, "p99": 9.25}
LINE = {
    "name": "press-3", "source": "rtsp://***@cam3/main", "state": "retrying", "reason": "the stream does not answer",
    "recipe": "nut", "fps": 24.98, "scored": 1234, "decisions": {"good": 1200, "defect": 34}, "last_score": 0.61234,
    "dropped": 5, "refused": 1, "no_answer": 4, "failures": 2, "drift": {"state": "drifting", "shift": 0.125},
}  # fmt: skip
STATUS = {
    "state": "running", "uptime_s": 93_784.2,
    "config": {"file": "line.toml", "reload": {"ok": False, "time": "T", "message": "no"}},
    "engine": {"frames_per_s": 24.5, "inference_ms": TIMES, "latency_ms": TIMES,
               "models": [{"path": "m", "on_disk": "changed", "server": None},
                          {"path": "grpc://gpu1/m", "on_disk": "same",
                           "server": {"state": "fallback", "fallback": "ort 1", "reason": "nobody is there"}}]},
    "lines": [LINE],
    "sinks": [{"name": "jsonl", "state": "failing", "written": 9, "waiting": 3, "dropped": 1, "reason": "disk full"}],
    "errors": [{"time": "T", "who": "press-3", "reason": "broken [b]x[/b]", "count": 7}],
}  # fmt: skip


def test_the_screen_tells_everything_that_matters_within_the_width():
    console = Console(width=100, record=True, file=open("/dev/null", "w"))
    console.print(drawn(STATUS))
    text = console.export_text()
    for word in (
        "line.toml", "running 1 d 2 h", "24.5 frames/s", 
        "latency 2.5/9.2 ms (p50/p99)", "press-3", "retrying", "nut", "25.0", "1234", "1200",
        "34", "0.612", "12", "grpc://gpu1/m: ort 1 scores instead; nobody is there",
        "jsonl", "failing", "disk full", "the stream does not answer",
        "drift away from the calibration, by +0.125",
        "m has changed on the disk", "refused at T: no", "broken [b]x[/b] (7 times)",
    ):  # fmt: skip
        assert word in text, (word, text)
    assert max(map(len, text.splitlines())) <= 100


def test_in_80_columns_every_count_can_be_read_and_no_address_is_cut_to_a_stump():
    engine = STATUS["engine"] | {"latency_ms": TIMES | {"p50": 1234.5, "p99": 12_345.6}}
    console = Console(width=80, record=True, file=open("/dev/null", "w"))
    console.print(drawn(STATUS | {"engine": engine}, 80))
    text = console.export_text()
    assert "latency 1234.5/12345.6 ms (p50/p99)" in text
    assert "…" not in text
    assert "rtsp" not in text
    row = next(line for line in text.splitlines() if line.startswith("press-3"))
    assert row.split() == ["press-3", "retrying", "nut", "25.0", "1234", "1200", "0", "34", "0.612", "12"]


def test_percentiles_are_values_that_occurred():
    assert percentiles([]) == {"n": 0, "p50": None, "p95": None, "p99": None}
    told = percentiles([at / 1000 for at in range(100, 0, -1)])
    assert told == {"n": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert percentiles([0.004])["p99"] == 4.0


def test_rates_look_back_a_few_seconds():
    rates = Rates(span_s=10)
    assert rates.of("a", 5, 100.0) is None
    assert rates.of("a", 25, 102.0) == 10.0
    assert rates.of("b", 1, 102.0) is None
    for second in range(103, 140):
        last = rates.of("a", 25, float(second))
    assert last == 0.0
