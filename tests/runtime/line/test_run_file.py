"""`wordsight run --config` as a process: real folders and the packaged model, signals, and what outlives them."""

import importlib.metadata
import json
import signal
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from wordsight.runtime.demo import demo_pictures
from wordsight.runtime.golden import golden_spec
from wordsight.runtime.line.recipe_cli import recipe

APP = typer.Typer()
APP.command()(recipe)
pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
LINE = '\n[[line]]\nname = "{}"\nsource = "{}"\n'
SINK = '\n[[sink]]\ntype = "jsonl"\npath = "{}"\n'


def test_finite_sources_are_scored_whole_and_the_run_ends(hall):
    hall.write(
        LINE.format("a", "parts") + "defect = 1.0\n" + LINE.format("b", "parts/*good*") + SINK.format("out.jsonl")
    )
    child = hall.start()
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    events = hall.events()
    assert sorted((event["line"], Path(event["source"]).name) for event in events) == sorted(
        [("a", path.name) for path in demo_pictures()]
        + [("b", path.name) for path in demo_pictures() if "good" in path.name]
    )
    assert {event["decision"] for event in events if event["line"] == "a"} == {"good", "defect"}
    assert {event["decision"] for event in events if event["line"] == "b"} == {None}
    status = hall.status()
    assert status["state"] == "stopped"
    assert [line["state"] for line in status["lines"]] == ["ended", "ended"]
    assert status["sinks"][0]["written"] == 12
    assert status["version"] == importlib.metadata.version("wordsight")
    assert status["engine"]["latency_ms"]["n"] == 12
    assert "Traceback" not in err


def test_a_picture_that_cannot_be_read_is_told_and_the_rest_is_done(hall):
    (hall.folder / "parts" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    hall.write(LINE.format("a", "parts") + SINK.format("out.jsonl"))
    child = hall.start()
    _, err = child.communicate(timeout=120)
    assert child.returncode == 1, err
    assert len(hall.events()) == 8
    assert "broken.png" in err
    assert hall.status()["errors"][0]["source"].endswith("broken.png")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--threshold", "1"], "--threshold does not go with --config; say it in line.toml: defect = X under [[line]]"),
        (["--backend", "ort"], '--backend does not go with --config; say it in line.toml: backend = "..."'),
        (["m.onnx", "parts"], "MODEL does not go with --config; say it in line.toml"),
        ([], "line.toml: cannot be read: no such file"),
    ],
)
def test_what_does_not_go_with_a_file_is_one_line(tmp_path, wordsight, options, told):
    done = wordsight("run", "--config", "line.toml", *options, cwd=tmp_path)
    assert done.code == 2
    assert len(done.lines) == 1
    assert told in done.err


@pytest.mark.faults
def test_sigterm_drains_although_a_sink_hangs(hall):
    hall.write(
        LINE.format("all", "parts") + LINE.format("cam", "test:cable") + SINK.format("out.jsonl")
        + '[[sink]]\ntype = "hanging"\n'
    )  # fmt: skip
    child = hall.start()
    hall.until(lambda: hall.line("all")["state"] == "ended" and hall.line("cam")["scored"] > 10)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 1
    status = hall.status()
    assert status["state"] == "stopped"
    cam = hall.line("cam")
    # Whatever was read was scored or dropped for a newer frame, and whatever was scored was written by who could.
    assert cam["frames"] == cam["scored"] + cam["dropped"]
    assert len([event for event in hall.events() if event["line"] == "cam"]) == cam["scored"]
    assert len([event for event in hall.events() if event["line"] == "all"]) == 8
    well, hanging = status["sinks"]
    assert (well["dropped"], hanging["dropped"]) == (0, cam["scored"] + 8)
    assert f"hanging: {cam['scored'] + 8} events were lost" in err


@pytest.mark.faults
def test_killed_in_the_middle_and_started_again_it_goes_on(hall):
    hall.write(LINE.format("cam", "test:cable") + SINK.format("out.jsonl"), 'start_recipe = "nut"\n')
    with open(hall.folder / "line.toml", "a") as file:
        file.write('[[recipe]]\nname = "nut"\ndefect = 0.0\n[[recipe]]\nname = "screw"\ndefect = 2.0\n')
    hall.start()
    hall.until(lambda: hall.line("cam")["scored"] > 5)
    select(hall, "screw")
    hall.until(lambda: hall.line("cam")["recipe"] == "screw")
    hall.started[-1].kill()
    hall.started[-1].wait()
    data = (hall.folder / "out.jsonl").read_bytes()
    whole = data[: data.rfind(b"\n") + 1].count(b"\n")
    json.loads((hall.folder / "status.json").read_text())  # never half
    hall.start()
    hall.until(lambda: len((hall.folder / "out.jsonl").read_bytes().splitlines()) > whole + 5)
    hall.started[-1].send_signal(signal.SIGTERM)
    assert hall.started[-1].wait(120) == 0
    events = hall.events()  # every line is whole
    assert len({event["event_id"] for event in events}) == len(events) > whole + 5
    assert events[-1]["recipe"] == "screw"  # what was selected outlives it


def select(hall, *words):
    assert CliRunner().invoke(APP, [str(hall.folder / "line.toml"), *words]).exit_code == 0


@pytest.mark.faults
def test_sighup_takes_in_a_good_file_and_refuses_a_bad_one(hall):
    hall.write(LINE.format("cam", "test:cable") + "defect = 2.0\n" + SINK.format("out.jsonl"))
    child = hall.start()
    hall.until(lambda: hall.line("cam")["scored"])
    hall.write(LINE.format("cam", "test:cable") + "defect = 7.0\n" + SINK.format("out.jsonl"))
    child.send_signal(signal.SIGHUP)
    refused = hall.until(lambda: hall.status()["config"]["reload"])
    assert refused["ok"] is False
    assert "line.toml:8: [[line]] cam, defect: expected 0 to 2" in refused["message"]
    assert hall.line("cam")["defect"] == 2.0
    hall.write(
        LINE.format("cam", "test:cable") + "defect = 0.0\n" + LINE.format("new", "parts") + SINK.format("out.jsonl")
    )
    child.send_signal(signal.SIGHUP)
    taken = hall.until(lambda: (found := hall.status()["config"]["reload"])["ok"] and found)
    assert taken["message"] == "1 lines changed, 1 lines added"
    hall.until(lambda: hall.line("cam")["decisions"].get("defect") and hall.line("new")["state"] == "ended")
    assert hall.line("cam")["reconnects"] == 0  # the camera was not disturbed
    hall.write(LINE.format("new", "parts") + SINK.format("out.jsonl"))
    child.send_signal(signal.SIGHUP)  # the camera's line is taken away, the other is through: it ends
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert len([event for event in hall.events() if event["line"] == "new"]) == 8


@pytest.mark.faults
def test_a_recipe_is_selected_while_it_runs(hall):
    hall.write(
        LINE.format("cam", "test:cable") + LINE.format("two", "test:cable") + SINK.format("out.jsonl")
        + '[[recipe]]\nname = "nut"\nnumber = 7\ndefect = 0.0\n[[recipe]]\nname = "screw"\ndefect = 2.0\n'
    )  # fmt: skip
    child = hall.start()
    hall.until(lambda: hall.line("cam")["scored"] and hall.line("two")["scored"])
    select(hall, "7", "--line", "cam")
    hall.until(lambda: hall.line("cam")["decisions"].get("defect", 0) > 3)
    assert hall.line("two")["recipe"] is None
    select(hall, "screw")
    hall.until(lambda: hall.line("cam")["decisions"].get("good", 0) > 3 and hall.line("two")["recipe"] == "screw")
    child.send_signal(signal.SIGTERM)
    assert child.wait(120) == 0
    told = [(event.get("recipe"), event["decision"]) for event in hall.events() if event["line"] == "cam"]
    assert list(dict.fromkeys(told)) == [(None, None), ("nut", "defect"), ("screw", "good")]


@pytest.mark.faults
def test_a_camera_away_and_back_and_a_dead_one_leave_the_others_alone(hall):
    (hall.folder / "other").touch()
    hall.write(
        LINE.format("dead", "test:none") + LINE.format("flapping", "test:cable") + LINE.format("well", "test:other")
        + "stall_s = 600.0\n" + SINK.format("out.jsonl")
    )  # fmt: skip
    child = hall.start()
    hall.until(lambda: hall.line("flapping")["scored"] and hall.line("well")["scored"])
    assert hall.until(lambda: hall.line("dead")["state"] == "retrying")
    assert hall.line("dead")["reason"] == "the cable is out"
    (hall.folder / "cable").unlink()
    hall.until(lambda: hall.line("flapping")["state"] == "retrying")
    before = hall.line("flapping")["scored"], hall.line("well")["scored"]
    (hall.folder / "cable").touch()
    hall.until(lambda: hall.line("flapping")["scored"] > before[0] and hall.line("flapping")["state"] == "running")
    hall.until(lambda: hall.line("well")["scored"] > before[1])
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    events = hall.events()
    for name in ("flapping", "well"):
        frames = [event["frame"] for event in events if event["line"] == name]
        assert frames == sorted(set(frames))  # numbers run on
    assert hall.line("well")["reconnects"] == 0
    assert {error["who"] for error in hall.status()["errors"]} == {"dead", "flapping"}


@pytest.mark.faults
def test_a_sink_that_fails_says_so_and_the_others_go_on(hall):
    hall.write(LINE.format("a", "parts") + '[[sink]]\ntype = "broken"\n' + SINK.format("out.jsonl"))
    child = hall.start()
    _, err = child.communicate(timeout=120)
    assert child.returncode == 1, err
    assert len(hall.events()) == 8
    broken, well = hall.status()["sinks"]
    assert (broken["dropped"], well["dropped"], well["written"]) == (8, 0, 8)
    assert "broken: 8 events were lost: [Errno 28] No space left on device" in err


@pytest.mark.faults
def test_systemd_is_told_when_it_is_ready_lives_and_stops(hall):
    address = str(hall.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(120)
        hall.write(LINE.format("cam", "test:cable"))
        child = hall.start(NOTIFY_SOCKET=address, WATCHDOG_USEC="2000000")
        told = []
        while told.count("WATCHDOG=1") < 2:
            told += listener.recv(4096).decode().split("\n")
        child.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in told:
            told += listener.recv(4096).decode().split("\n")
        assert child.wait(120) == 0
    assert told[0] == "READY=1"
    assert any(word.startswith("STATUS=1 line, 0 sinks, engine onnxruntime") for word in told)


@pytest.mark.faults
def test_an_engine_that_scores_otherwise_than_the_manifest_says_is_never_ready(hall, onnx_writer):
    text = onnx_writer.manifest(golden=golden_spec([0.5, 0.2, 0.3], parity=1e-5, drift=0.0)).to_json()
    (hall.folder / "m.onnx").write_bytes(b"".join(onnx_writer.model_parts(text)))
    hall.write(LINE.format("a", "parts") + SINK.format("out.jsonl"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(hall.folder / "notify"))
        child = hall.start(NOTIFY_SOCKET=str(hall.folder / "notify"))
        _, err = child.communicate(timeout=120)
        assert "READY" not in listener.recv(4096).decode()
    assert child.returncode == 3, err
    assert "the manifest says 0.5000 within 0.0001" in err
    assert not (hall.folder / "out.jsonl").exists()
    assert hall.status()["state"] == "failed"


@pytest.mark.faults
def test_an_event_that_a_sink_set_aside_counts_as_lost(hall):
    hall.write(LINE.format("a", "parts") + '[[sink]]\ntype = "choosy"\n')
    child = hall.start()
    _, err = child.communicate(timeout=120)
    assert child.returncode == 1, err
    (sink,) = hall.status()["sinks"]
    assert (sink["written"], sink["dropped"], sink["set_aside"]) == (7, 0, 1)
    assert "1 events were lost: not this one" in err  # one wording for any number
