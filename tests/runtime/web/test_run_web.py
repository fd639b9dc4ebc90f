"""The page of a process that runs a line's file."""

import http.client
import json
import signal

import numpy as np
import pytest

from wordsight.runtime.pictures import read_picture

LINE = '\n[[line]]\nname = "cam"\nsource = "test:cable"\ndefect = 0.0\n'


def asked(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return data if answer.status == 200 else None


def test_a_line_is_seen_on_its_page(hall):
    hall.write(LINE, 'web = "127.0.0.1:0"\n')
    child = hall.start()
    port = port_of(child)
    hall.until(lambda: asked(port, "/api/lines/cam/picture"))
    told = hall.until(lambda: (found := json.loads(asked(port, "/api/status"))).get("state") == "running" and found)
    assert told["lines"][0]["name"] == "cam"
    events = hall.until(lambda: json.loads(asked(port, "/api/events"))["events"])
    assert (events[0]["line"], events[0]["decision"]) == ("cam", "defect")
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert "Traceback" not in out + err


def post(port, path, data):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps(data), {"X-Wordsight": "1", "X-Name": "Ann"})
    answer = connection.getresponse()
    told = answer.status, json.loads(answer.read())
    connection.close()
    return told


def port_of(child):
    while "the page: " not in (said := child.stderr.readline()):
        assert said
    return int(said.strip().rstrip("/").rpartition(":")[2])


def in_force(hall):
    line = hall.line("cam")
    return line["unsure"], line["defect"], line["applied"] and line["applied"]["who"]


def test_thresholds_that_are_applied_decide_at_once_and_after_a_restart_until_the_file_says_otherwise(hall):
    file = LINE.replace("0.0", "2.0") + '[[sink]]\ntype = "jsonl"\npath = "out.jsonl"\n'
    hall.write(file, 'web = "127.0.0.1:0"\n')
    child = hall.start()
    port = port_of(child)
    hall.until(lambda: hall.line("cam")["decisions"].get("good"))
    wanted = {"line": "cam", "recipe": None, "unsure": 0.0, "defect": 1.9990234375}
    assert post(port, "/api/thresholds", wanted) == (200, {"unsure": 0.0, "defect": 1.9990234375})
    hall.until(lambda: hall.line("cam")["decisions"].get("unsure", 0) > 3)
    assert in_force(hall) == (0.0, 1.9990234375, "Ann (127.0.0.1)")
    assert hall.line("cam")["applied"]["instead"] == {"unsure": None, "defect": 2.0}
    child.kill()
    child.wait()
    (hall.folder / "cable").unlink()
    (hall.folder / "status.json").unlink()
    child = hall.start()
    port = port_of(child)
    shelved = {path.name.split(".")[1] for path in (hall.folder / "line.state" / "page").glob("*.json")}
    assert shelved == {event["event_id"] for event in json.loads(asked(port, "/api/events"))["events"]} != set()
    (hall.folder / "cable").touch()
    hall.until(lambda: hall.line("cam")["decisions"].get("unsure"))
    assert "good" not in hall.line("cam")["decisions"]  # not one frame was decided by the file's
    assert in_force(hall) == (0.0, 1.9990234375, "Ann (127.0.0.1)")
    assert post(port, "/api/thresholds/undo", {"line": "cam", "recipe": None})[0] == 200
    hall.until(lambda: hall.line("cam")["decisions"].get("good", 0) > 3)
    assert in_force(hall) == (None, 2.0, None)
    assert post(port, "/api/thresholds", wanted)[0] == 200
    hall.until(lambda: in_force(hall)[2])
    hall.write(file.replace("2.0", "0.0"), 'web = "127.0.0.1:0"\n')
    child.send_signal(signal.SIGHUP)
    hall.until(lambda: hall.line("cam")["decisions"].get("defect", 0) > 3)
    assert in_force(hall) == (None, 0.0, None)
    # Beside what the camera said if it was asked for a frame while its cable was still out.
    told = [entry["error"] for entry in hall.status()["errors"] if entry["who"] != "cam"]
    assert told == ["ThresholdsEnded"]
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    told = [json.loads(line) for line in (hall.folder / "line.state" / "audit.jsonl").read_text().splitlines()]
    assert [one["who"] for one in told] == ["Ann (127.0.0.1)"] * 3 + ["line.toml"]
    assert "say otherwise since" in told[-1]["what"]


def test_marks_on_the_page_check_the_next_calibration(hall, wordsight, save_picture):
    parts = LINE.replace("cam", "parts").replace("test:cable", "parts")
    hall.write(parts + LINE.replace("0.0", "2.0"), 'web = "127.0.0.1:0"\n')  # all parts are defects, says the file
    child = hall.start()
    port = port_of(child)
    hall.until(lambda: hall.line("parts")["state"] == "ended" and hall.line("parts")["scored"] == 8)
    events = hall.until(lambda: len(found := json.loads(asked(port, "/api/events"))["events"]) == 8 and found)
    for event in events:
        verdict = "false alarm" if "good" in event["source"] else "right"
        assert post(port, "/api/mark", {"event_id": event["event_id"], "mark": verdict})[0] == 200
    child.send_signal(signal.SIGTERM)
    assert child.wait(120) == 0
    rng = np.random.default_rng(0)
    for at, picture in enumerate(sorted((hall.folder / "parts").glob("*good*")) * 4):
        image = read_picture(picture).astype(int) + rng.integers(-3, 4, (1, 1, 3))
        save_picture(hall.folder / "good" / f"{at}.png", image.clip(0, 255).astype(np.uint8))
    words = ("calibrate", "m.onnx", "good", "--false-alarms", "0.1", "--confidence", "0.5", "--backend", "ort")
    done = wordsight(*words, "--check", "line.state/marks.jsonl", "--json", "f.json", cwd=hall.folder)
    assert done.code == 0, done.err
    told = {one["name"]: one["value"] for one in json.loads((hall.folder / "f.json").read_text())["figures"]}
    # The same pictures, scored anew.
    assert wordsight("run", "m.onnx", "parts", "--jsonl", "run.jsonl", "--backend", "ort").code == 0
    known = json.loads((hall.folder / "m.onnx.calibration.json").read_text())
    for name, is_good in (("marked_false_alarm", True), ("marked_right", False)):
        scores = [row["score"] for row in hall.events("run.jsonl") if ("good" in row["source"]) is is_good]
        assert len(scores) == 4
        assert told[f"{name}.defect"] == sum(score >= known["defect"] for score in scores) / 4
        assert told[f"{name}.good"] == sum(score < known["unsure"] for score in scores) / 4
    assert told["marked_right.defect"] > 0.5 > told["marked_false_alarm.defect"]


@pytest.mark.parametrize(
    ("web", "told"),
    [
        ("0.0.0.0:0", "the page at 0.0.0.0:0 is open to other machines: set WORDSIGHT_WEB_TOKEN"),
        ("here", "expected an address such as"),
    ],
)
def test_where_the_page_cannot_be_nothing_runs(hall, web, told, wordsight, monkeypatch):
    monkeypatch.delenv("WORDSIGHT_WEB_TOKEN", raising=False)
    line = LINE.replace("test:cable", "parts")
    hall.write(line)
    done = wordsight("run", "--config", "line.toml", "--web", web, cwd=hall.folder)
    assert done.code == 2
    assert told in done.err
    assert len(done.lines) <= 8
    assert hall.status() is None
    hall.write(line, f'web = "{web}"\n')
    assert wordsight("run", "--config", "line.toml", cwd=hall.folder).code == 2


def test_web_needs_a_file(wordsight, tmp_path):
    done = wordsight("run", "m.onnx", "parts", "--web", "127.0.0.1:0", cwd=tmp_path)
    assert done.code == 2
    assert "--web goes with --config" in done.err
