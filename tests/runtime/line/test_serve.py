"""A service within this process: an engine that fails or hangs, a driver that tells a password, a full disk."""

import json
import os
import shutil
import signal
import socket
import threading
import time

import numpy as np
import pytest

from wordsight.runtime.config.check import check
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.errors import ModelError
from wordsight.runtime.line import status as status_module
from wordsight.runtime.line.notify import notify
from wordsight.runtime.line.serve import EngineFailed, Service
from wordsight.runtime.model import Model
from wordsight.runtime.sources import registry
from wordsight.runtime.sources.frame import Failure, Frame, now

BASE = 'model = "tiny.onnx"\nbackend = "ort"\nstatus = "status.json"\nbatch = 1\n'
SECRET = "p@ss:/ w%rd?"


@pytest.fixture
def service(tmp_path, tiny_model, save_picture):
    """Make a service of a line's file: (text) -> service, and what it said."""

    def make(text, **more):
        for level in range(6):
            save_picture(tmp_path / "parts" / f"{level}.png", 40 * level, (8, 8))
        (tmp_path / "line.toml").write_text(BASE + text)
        said = []
        return Service(check(read_line_file(tmp_path / "line.toml")), say=said.append, **more), said

    return make


PARTS = '[[line]]\nname = "a"\nsource = "parts"\n[[sink]]\ntype = "jsonl"\npath = "o.jsonl"\n'


@pytest.mark.faults
def test_an_engine_that_fails_ends_it_and_what_was_scored_is_written(service, tmp_path, monkeypatch):
    score, calls = Model.score, []

    def failing(model, frames):
        calls.append(1)
        if len(calls) == 4:
            raise ModelError("an illegal memory access was encountered")
        return score(model, frames)

    monkeypatch.setattr(Model, "score", failing)
    made, _ = service(PARTS)
    with pytest.raises(EngineFailed, match="an illegal memory access") as error:
        made.run()
    assert error.value.exit_code == 1
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 3
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["state"] == "failed"
    assert status["errors"][-1]["who"] == "engine"
    assert not [thread.name for thread in threading.enumerate() if "_keep_" in thread.name]


@pytest.mark.faults
def test_an_engine_that_hangs_feeds_no_watchdog(service, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    score, counts, over = Model.score, [], threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        heard = []

        def hear():
            while "STOPPING=1" not in heard:
                heard.append(listener.recv(4096).decode())

        def fed():
            """How often it was fed: what was sent before a mark is heard before it."""
            mark = f"MARK={len(counts)}"
            while mark not in heard:
                notify(mark)
                time.sleep(0.01)
            return heard.count("WATCHDOG=1")

        def hanging(model, frames):
            if "WATCHDOG=1" in heard and not counts:  # it works until it was fed once
                # Past half the limit nothing may come any more, but one word that was on its way: a thread that feeds
                # whatever the engine does would have fed it some six times from one count to the next.
                while len(counts) < 2 or (counts[-1] > counts[-2] and len(counts) < 20):
                    time.sleep(0.6)
                    counts.append(fed())
                over.set()
            return score(model, frames)

        def end(status):
            if over.is_set() and heard.count("WATCHDOG=1") > counts[-1]:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(Model, "score", hanging)
        made, _ = service('[[line]]\nname = "a"\nsource = "camera-of-a-test:x"\n', show=end)
        ear = threading.Thread(target=hear, daemon=True)
        ear.start()
        assert made.run() == 0
        ear.join(60)
        assert counts[-1] == counts[-2] > 0
        assert heard[0].startswith("READY=1")
        assert heard[-1] == "STOPPING=1"


def test_a_supervisor_that_does_not_listen_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        told = [notify("WATCHDOG=1" + "x" * 1000)]
        while told[-1] and len(told) < 5000:  # until the queue is full
            told.append(notify("WATCHDOG=1" + "x" * 1000))
    assert told[0] is True
    assert told[-1] is False


class Careless:
    """A camera whose driver puts the password into its error."""

    live = endless = True
    count, skipped = None, 0

    def __init__(self, text, options):
        self.text, self._secret = text, options.password

    def __iter__(self):
        if self._secret is None:
            while True:
                image = np.random.default_rng().integers(0, 255, (8, 8, 3), np.uint8)
                yield Frame(image, self.text, 0, now(), "x")
                time.sleep(0.02)
        yield Failure(self.text, f"login {self._secret} refused", "SourceError", 0)
        raise RuntimeError(f"no session for {self._secret}")


@pytest.fixture(autouse=True)
def careless(monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN, "camera-of-a-test", f"{__name__}:Careless")
    monkeypatch.setattr(registry, "_loaded", lambda place: Careless if place.endswith(":Careless") else LOADED(place))


LOADED = registry._loaded


@pytest.mark.faults
def test_no_password_is_told_or_stored(service, tmp_path, monkeypatch, eventually):
    secret = tmp_path / "c.secret"
    secret.write_text(f"user = 'op'\npassword = '{SECRET}'\n")
    secret.chmod(0o600)
    monkeypatch.setenv("WORDSIGHT_B_USER", "op")
    monkeypatch.setenv("WORDSIGHT_B_PASSWORD", SECRET + "2")
    shown = []
    made, said = service(
        '[[line]]\nname = "a"\nsource = "camera-of-a-test:x"\ncredentials = "c.secret"\n'
        '[[line]]\nname = "b"\nsource = "camera-of-a-test:y"\n'
        '[[line]]\nname = "c"\nsource = "rtsp://127.0.0.1:9/x"\ncredentials = "c.secret"\nopen_timeout_s = 0.5\n'
        + PARTS.split("\n", 3)[3],
        show=shown.append,
    )

    def end():
        # Of each of the first two both words: what it gives, and what it raises after that.
        told = {(who, error) for who in "ab" for error in ("SourceError", "RuntimeError")} | {("c", "CameraAbsent")}
        eventually(lambda: told <= {(entry.who, entry.error) for entry in made.journal.entries()})
        os.kill(os.getpid(), signal.SIGTERM)

    ender = threading.Thread(target=end, daemon=True)
    ender.start()
    assert made.run() == 0
    ender.join()
    everything = "\n".join([*said, json.dumps(shown), repr(made._checked)])
    everything += "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file() and path != secret
    )
    assert "login *** refused" in everything  # it was there to be taken out
    assert "no session for ***" in everything
    for form in (SECRET, "p%40ss", "w%rd", "w%25rd"):
        assert form not in everything


@pytest.mark.faults
def test_a_status_file_that_cannot_be_written_is_told_and_changes_nothing(service, tmp_path, monkeypatch):
    def full(path, mode, durable):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(status_module, "whole_file", full)
    made, said = service(PARTS)
    assert made.run() == 0
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 6
    assert [line for line in said if "status.json: no space left on device" in line]


@pytest.mark.faults
def test_parts_that_are_open_at_the_end_are_decided(service, tmp_path):
    made, _ = service(
        '[[line]]\nname = "a"\nsource = "parts"\npart_id = "."\ndefect = 0.5\nparts = { least = 1 }\n'
        '[[sink]]\ntype = "jsonl"\npath = "o.jsonl"\nof = "parts"\n[[sink]]\ntype = "jsonl"\npath = "d.jsonl"\n'
        'of = "frames"\nonly = ["defect"]\n'
    )
    assert made.run() == 0
    parts = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [(part["part_id"], part["decision"]) for part in parts] == [
        ("0", "good"), ("1", "good"), ("2", "defect"), ("3", "defect"), ("4", "defect"), ("5", "defect")
    ]  # fmt: skip
    assert len((tmp_path / "d.jsonl").read_text().splitlines()) == 4


def test_an_empty_source_is_refused_beforehand_and_one_that_gives_nothing_is_code_2(service, tmp_path, wordsight):
    service(PARTS)
    shutil.rmtree(tmp_path / "parts")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = wordsight("run", "--config", "line.toml", cwd=tmp_path)
    assert done.code == 2
    (tmp_path / "parts" / "x.png").unlink()
    done = wordsight("run", "--config", "line.toml", cwd=tmp_path)
    assert done.code == 2
    assert "line.toml:7: [[line]] a, source: " in done.err
