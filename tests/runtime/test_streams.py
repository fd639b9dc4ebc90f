"""A stream from a real server on this machine: frames, its end, its silence, and where its password goes."""

import base64
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.registry import open_source

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")


@pytest.fixture
def camera_of(tmp_path, save_video):
    """Start a server that gives a video of ten grey levels to a user: (user, password) -> address, who was let in."""
    data = save_video(tmp_path / "v.avi", range(0, 200, 20)).read_bytes()
    started = []

    def start(user, password):
        server, seen = serve(data, "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
        started.append(server)
        return f"127.0.0.1:{server.server_port}/live?token=s3cret", seen

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def serve(data, wanted):
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = self.headers.get("Authorization") == wanted and self.path.endswith("token=s3cret")
            if "Authorization" in self.headers:
                seen.append(allowed)
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(data) if allowed else 0))
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            if allowed:
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, seen


@pytest.fixture
def camera(camera_of):
    """Address, without scheme and user, of such a server for line3:s3cret."""
    return camera_of("line3", "s3cret")[0]


def test_a_stream_is_scored_until_it_ends_and_keeps_its_password(tmp_path, tiny_model, camera, wordsight):
    words = ("--jsonl", "o.jsonl", "--errors", "e.jsonl", "--annotate", "out")
    done = wordsight("run", tiny_model, f"http://line3:s3cret@{camera}", *words, cwd=tmp_path)
    assert done.code == 1, done.err
    assert len(done.lines) <= 8
    found = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    shown = "http://***@" + camera.replace("s3cret", "***")
    assert {line["source"] for line in found} == {shown}
    assert [line["frame"] for line in found] == list(range(10))
    assert [line["score"] for line in found] == pytest.approx([2 * g / 255 for g in range(0, 200, 20)], abs=0.03)
    failure = json.loads((tmp_path / "e.jsonl").read_text())
    assert (failure["source"], failure["reason"]) == (shown, "no more frames after 10")
    assert "s3cret" not in done.out + done.err
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "v.avi"]
    assert len(written) == 4  # the model, both files of lines, the annotated video
    for path in written:
        assert "s3cret" not in str(path)
        assert b"s3cret" not in path.read_bytes()


def test_a_wrong_password_is_one_line_that_does_not_tell_it(tmp_path, tiny_model, camera, wordsight):
    done = wordsight("run", tiny_model, f"http://line3:wr0ng@{camera}", cwd=tmp_path)
    assert done.code == 2
    assert len(done.lines) == 1
    assert "refuses the user or password" in done.err
    assert "wr0ng" not in done.err
    assert "s3cret" not in done.err


def test_a_server_that_never_answers_is_given_up():
    options = SourceOptions(open_timeout_s=0.5, read_timeout_s=0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        (failure,) = open_source(f"http://127.0.0.1:{silent.getsockname()[1]}/live", options)
    assert failure.kind == "CameraAbsent"
    assert failure.reason == "the stream does not answer within 0.5 s"  # FFmpeg's own patience has no end


def test_where_nothing_listens_the_place_is_told_and_not_the_password():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    (failure,) = open_source(f"http://bob:s3cret@127.0.0.1:{port}/live")
    assert failure.reason == f"nothing answers at 127.0.0.1:{port}: connection refused"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("rtsp://cam/main", "rtsp://us%40r:p%3Aa%2F%40%23%25s%C3%A9@cam/main"),
        ("rtsp://cam:554/main?x=a@b", "rtsp://us%40r:p%3Aa%2F%40%23%25s%C3%A9@cam:554/main?x=a@b"),
        ("rtsp://old:one@cam/main", "rtsp://us%40r:p%3Aa%2F%40%23%25s%C3%A9@cam/main"),
    ],
)
def test_user_and_password_go_into_the_address_at_the_moment_of_opening_alone(monkeypatch, url, address):
    opened = []

    class Capture:
        def isOpened(self):
            return False

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoCapture", lambda *words: opened.append(words) or Capture())
    source = open_source(url, SourceOptions("press", "us@r", "p:a/@#%sé", read_timeout_s=2))
    (failure,) = source
    (words,) = opened
    assert words[0] == address
    assert words[2] == [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 10_000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2000]
    told = repr((failure, source.text))
    assert "us@r" not in told
    assert "us%40r" not in told
    assert "p:a" not in told
    assert "p%3A" not in told


def test_credentials_with_special_characters_reach_the_server_whole(camera_of):
    address, allowed = camera_of("us@r/é", "p:a/@#%s ?&")
    items = list(open_source(f"http://{address}", SourceOptions(user="us@r/é", password="p:a/@#%s ?&")))
    assert allowed == [True]
    assert len(items) == 11
