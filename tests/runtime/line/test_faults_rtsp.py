"""The fault matrix of an RTSP camera with a password: GStreamer's server on this machine, read by OpenCV's FFmpeg."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from wordsight.runtime.line.reader import Reader, ReaderSettings
from wordsight.runtime.sources.frame import Frame
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.registry import open_source

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytestmark = [pytest.mark.faults, pytest.mark.rtsp]

USER, PASSWORD = "us@r", "p:a/@#s"
FAST = ReaderSettings(first_wait_s=0.05, longest_wait_s=0.2, frozen_s=0, stall_s=600)


class RtspServer:
    def __init__(self):
        self.port = 0
        self.start()
        self.url = f"rtsp://127.0.0.1:{self.port}/main"

    def start(self, size=(120, 160)):
        words = (str(self.port), USER, PASSWORD, str(size[1]), str(size[0]))
        place = Path(__file__).with_name("rtsp_server.py")
        self.process = subprocess.Popen(["/usr/bin/python3", place, *words], stdout=subprocess.PIPE, text=True)
        ready, port = self.process.stdout.readline().split()
        assert ready == "ready"
        self.port = int(port)  # a second start is at the first one's port

    def stop(self):
        self.process.kill()
        self.process.communicate()


class Proxy:
    """Passes a connection on; while `spoils`, one byte in a hundred of what the server sends is another.

    `spoilt` counts them.
    """

    def __init__(self, port):
        self.spoils, self.spoilt = False, 0
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/main"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source, target, answers):
        rng = random.Random(0)
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if self.spoils and answers:
                    spoilt = bytearray(data)
                    for at in rng.sample(range(len(spoilt)), len(spoilt) // 100):
                        spoilt[at] ^= rng.randrange(1, 256)
                    data, self.spoilt = bytes(spoilt), self.spoilt + len(data) // 100
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server():
    made = RtspServer()
    yield made
    made.stop()


@pytest.fixture
def watch():
    made = []

    def start(url, password=PASSWORD, read_timeout_s=2.0):
        options = SourceOptions("press", USER, password, open_timeout_s=30.0, read_timeout_s=read_timeout_s)
        failures = []
        reader = Reader("press", lambda: open_source(url, options), threading.Event(), settings=FAST,
                        on_failure=failures.append)  # fmt: skip
        reader.start()
        made.append(reader)
        return reader, failures

    yield start
    for reader in made:
        assert reader.stop(60)


def seen(reader, eventually, count=3):
    found = []
    assert eventually(lambda: ((frame := reader.take()) and found.append(frame)) or len(found) >= count), reader.state()
    assert all(isinstance(frame, Frame) for frame in found)
    return found


def test_a_password_with_special_characters_opens_it(server, watch, eventually):
    reader, failures = watch(server.url, read_timeout_s=30.0)  # a busy machine's pause is no failure
    assert {frame.image.shape for frame in seen(reader, eventually)} == {(120, 160, 3)}
    assert (reader.state().state, failures) == ("running", [])


def test_a_wrong_password_is_told_and_neither_word_of_it(server, watch, eventually):
    reader, failures = watch(server.url, "wr0ng@")
    assert eventually(lambda: reader.state().state == "retrying")
    assert reader.state().reason == "the server gives no such stream, or refuses the user or password"
    told = repr((reader.state(), failures))
    assert not [word for word in (USER, "us%40r", "wr0ng", PASSWORD) if word in told]


def test_a_server_that_restarts_with_another_size_is_found_again(server, watch, eventually):
    reader, _ = watch(server.url)
    before = seen(reader, eventually)
    server.stop()
    assert eventually(lambda: reader.state().state == "retrying")
    server.start((144, 176))
    after = [frame for frame in seen(reader, eventually, 6) if frame.image.shape == (144, 176, 3)]
    assert after
    assert after[-1].index > before[-1].index
    assert (reader.state().size, reader.state().size_changes) == ((144, 176), 1)


def test_a_server_that_hangs_is_seen_and_found_again(server, watch, eventually):
    reader, failures = watch(server.url)
    seen(reader, eventually)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        assert eventually(lambda: reader.state().state == "retrying")
        assert failures[0].reason.startswith("no more frames after")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert eventually(lambda: reader.state().state == "running")
    seen(reader, eventually)


def test_corrupt_packets_are_survived(server, watch, eventually):
    proxy = Proxy(server.port)
    reader, _ = watch(proxy.url)
    seen(reader, eventually)
    proxy.spoils = True
    assert eventually(lambda: proxy.spoilt >= 100)
    proxy.spoils = False
    assert eventually(lambda: reader.state().state == "running")
    seen(reader, eventually, 10)
    proxy.close()
