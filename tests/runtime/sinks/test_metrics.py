"""`/metrics` as Prometheus reads it: by its own parser, over HTTP, of a sink behind its queue."""

import http.client
import json
import re
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from wordsight.runtime.sinks import listening

pytest.importorskip("pydantic")
pytestmark = pytest.mark.plant("prometheus_client", "metrics")
ROOT = Path(__file__).parents[3]
QUIET = {
    "reason": None,
    "counts": {},
    "unsent": 0,
    "waiting": 0,
    "dropped": 0,
    "failures": 0,
    "set_aside": 0,
    "written": 5,
}


def line(name="press-3", **more):
    base = {
        "name": name, "source": "rtsp://***@cam3.local/main", "state": "running", "frames": 120, "dropped": 7,
        "withheld": 1, "refused": 2, "no_answer": 11, "fallback": 12,
        "failures": 3, "reconnects": 4, "late": 1, "waiting": 2, "fps": 9.5,
        "last_frame_s": 0.1, "last_score": 0.75, "unsure": 0.9, "defect": 1.1, "recipe": 'nut "m8"\\',
        "decisions": {"good": 90, "defect": 10}, "parts": {"unsure": 2},
        "doubts": {"too dark": 6, "what no gate says": 1}, "drift": None,
    }  # fmt: skip
    return {**base, **more}


def status(*lines, **more):
    engine = {"passes": 40, "frames": 100, "no_answer": 13, "last_step_s": 0.2}
    sinks = [{"name": "jsonl", "type": "jsonl", "state": "ok", **QUIET}]
    sinks += [{"name": "mqtt", "type": "mqtt", "state": "failing", **QUIET, "waiting": 42, "unsent": 7,
               "counts": {"sent": 5, "overflowed": 3, "refused": 2}}]  # fmt: skip
    base = {"uptime_s": 12.5, "state": "running", "failures": 3, "engine": engine, "sinks": sinks}
    return {**base, "lines": list(lines) or [line()], **more}


def get(sink, path="/metrics", method="GET", **headers):
    connection = http.client.HTTPConnection(*sink.address, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def samples(text):
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.fixture
def metrics(make_sink):
    return make_sink("metrics", listen="127.0.0.1:0")


def test_the_status_is_told_line_by_line(metrics):
    metrics.status(status(line(), line("not-ours", frames=99)))
    code, text = get(metrics)
    assert code == 200
    found = samples(text)
    on = ("line", "press-3")
    assert found["wordsight_line_frames_total", on] == 120
    assert found["wordsight_line_dropped_total", on] == 7
    assert found["wordsight_line_reconnects_total", on] == 4
    assert found["wordsight_line_no_answer_total", on] == 11
    assert found["wordsight_line_fallback_total", on] == 12
    assert found[("wordsight_engine_no_answer_total",)] == 13
    assert found["wordsight_line_frames_waiting", on] == 2
    assert found["wordsight_line_decisions_total", ("decision", "defect"), on] == 10
    assert found["wordsight_line_decisions_total", ("decision", "unsure"), on] == 0
    assert found["wordsight_line_parts_total", ("decision", "unsure"), on] == 2
    assert found["wordsight_line_state", on, ("state", "running")] == 1
    assert found["wordsight_line_state", on, ("state", "stalled")] == 0
    assert found["wordsight_line_recipe", on, ("recipe", 'nut "m8"\\')] == 1
    mqtt = ("sink", "mqtt"), ("type", "mqtt")
    assert found[("wordsight_sink_waiting", *mqtt)] == 42
    assert found[("wordsight_sink_unsent", *mqtt)] == 7
    counted = {key[3][1]: value for key, value in found.items() if key[0] == "wordsight_sink_counted_total"}
    assert counted == {"sent": 5, "overflowed": 3, "refused": 2}
    assert found["wordsight_sink_state", mqtt[0], ("state", "failing"), mqtt[1]] == 1
    assert found["wordsight_line_doubts_total", on, ("reason", "too dark")] == 6
    assert "no gate" not in text  # labels have the values that are written down, and no others
    assert "not-ours" not in text
    assert "cam3" not in text  # no source's address, masked or not


def test_a_line_that_a_file_read_again_brings_is_told_and_so_is_drift(metrics):
    metrics.status(status())
    metrics.status(status(line(drift={"state": "drifting"}), line("new", drift={"state": "ok"}), line("third")))
    found = samples(get(metrics)[1])
    assert found["wordsight_line_frames_total", ("line", "new")] == 120
    drifting = {key[1][1]: value for key, value in found.items() if key[0] == "wordsight_line_drifting"}
    assert drifting == {"press-3": 1, "new": 0}


def test_latencies_are_counted_from_capture_to_decision_line_by_line(metrics, event):
    for index, latency_s in enumerate((0.015, 0.04, 0.3, 30.0)):
        result = event(index)
        metrics.write(replace(result, decided_s=result.frame.captured_s + latency_s))
    _, text = get(metrics)
    found = samples(text)
    assert found["wordsight_decision_latency_seconds_count", ("line", "press-3")] == 4
    assert found["wordsight_decision_latency_seconds_bucket", ("le", "+Inf"), ("line", "press-3")] == 4
    assert found["wordsight_decision_latency_seconds_bucket", ("le", "10.0"), ("line", "press-3")] == 3
    assert found["wordsight_decision_latency_seconds_bucket", ("le", "0.2"), ("line", "press-3")] == 2


def test_what_is_not_known_has_no_row_and_before_the_first_status_there_is_none(metrics):
    assert "wordsight_line_frames_total" not in get(metrics)[1]
    metrics.status(status(line(fps=None, last_score=None)))
    text = get(metrics)[1]
    assert "wordsight_line_last_score{" not in text
    assert "wordsight_line_frames_per_second{" not in text
    assert 'wordsight_line_defect_threshold{line="press-3"} 1.1' in text


def test_open_metrics_is_given_to_who_asks_for_it(metrics):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    metrics.status(status())
    _, text = get(metrics, Accept="application/openmetrics-text; version=1.0.0")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"wordsight_line_frames", "wordsight_decision_latency_seconds"} <= names


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus")
def test_promtool_finds_nothing_to_say_about_it(metrics, event):
    metrics.status(status())
    metrics.write(event(0, decided_s=0.0))
    text = get(metrics)[1]

    def check(page):
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    assert check(text) == (0, "")
    assert check(text.replace("_total", "_TotalSum"))[0] != 0  # it would have said something


def test_every_metric_of_the_dashboard_exists(metrics, event):
    metrics.status(status())
    metrics.write(event(0, decided_s=0.0))
    there = {name for name, *_ in samples(get(metrics)[1])}
    text = (ROOT / "docs" / "deploy" / "grafana" / "wordsight.json").read_text("utf-8")
    board = json.loads(text)
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [one["query"] for one in board["templating"]["list"]]
    named = {name for one in asked for name in re.findall(r"wordsight_\w+", one)}
    assert len(named) > 10
    assert named <= there


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus")
def test_promtool_reads_every_question_of_the_dashboard(tmp_path):
    board = json.loads((ROOT / "docs" / "deploy" / "grafana" / "wordsight.json").read_text("utf-8"))
    asked = [target["expr"].replace("$__rate_interval", "5m") for one in board["panels"] for target in one["targets"]]

    def check(*questions):
        rules = [{"record": f"asked:{number}", "expr": question} for number, question in enumerate(questions)]
        file = tmp_path / "rules.yml"  # JSON is YAML
        file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
        return subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, timeout=120)

    found = check(*asked)
    assert found.returncode == 0, found.stdout + found.stderr
    assert check("rate(wordsight_line_frames_total)").returncode != 0


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/", 404), ("GET", "/../etc/passwd", 404), ("POST", "/metrics", 501), ("HEAD", "/metrics", 200)],
)
def test_there_is_one_page_and_it_is_only_read(metrics, method, path, code):
    found, text = get(metrics, path, method)
    assert found == code
    assert "Traceback" not in text
    assert method != "HEAD" or not text


@pytest.mark.faults
def test_clients_that_say_nothing_do_not_take_it_from_others_for_good(make_sink, until, monkeypatch):
    monkeypatch.setattr(listening, "_TIMEOUT_S", 0.2)
    metrics = make_sink("metrics", listen="127.0.0.1:0")
    metrics.status(status())
    silent = [socket.create_connection(metrics.address) for _ in range(20)]

    def answered():
        try:
            return get(metrics)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    assert until(answered)
    for one in silent:
        one.close()


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("0.0.0.0:9464", "open_to_network = true"),
        ("[::]:9464", "open_to_network = true"),
        ("192.168.1.7:9464", "open_to_network = true"),
        ("localhost:9464", "expected an address and a port"),
        ("127.0.0.1", "expected an address and a port"),
        ("127.0.0.1:70000", "expected an address and a port"),
    ],
)
def test_beyond_loopback_it_is_refused_unless_it_is_said(make_sink, listen, told):
    with pytest.raises(ValueError, match=told):
        make_sink("metrics", listen=listen)


def test_beyond_loopback_where_it_is_said(make_sink):
    sink = make_sink("metrics", listen="0.0.0.0:0", open_to_network=True)
    assert sink.address[0] == "0.0.0.0"


def test_a_port_that_is_taken_is_a_failure_that_is_told(metrics, make_sink):
    with pytest.raises(OSError, match="in use"):
        make_sink("metrics", listen=f"127.0.0.1:{metrics.address[1]}")
