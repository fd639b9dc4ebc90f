"""A stream from a real server on this machine: frames, its end, its silence, and where its password goes."""

import base64
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")

USER = "Basic " + base64.b64encode(b"line3:s3cret").decode()


@pytest.fixture
def camera(tmp_path, save_video):
    """Address, without scheme and user, of a server that gives a video of ten grey levels to those who may have it."""
    data = save_video(tmp_path / "v.avi", range(0, 200, 20)).read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = self.headers.get("Authorization") == USER and self.path.endswith("token=s3cret")
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(data) if allowed else 0))
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            if allowed:
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}/live?token=s3cret"
    server.shutdown()
    server.server_close()
    thread.join()


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


def test_a_server_that_never_answers_is_given_up(tmp_path, tiny_model, wordsight, monkeypatch):
    from wordsight.runtime.sources import video

    monkeypatch.setattr(video, "OPEN_TIMEOUT_MS", 500)
    monkeypatch.setattr(video, "READ_TIMEOUT_MS", 500)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        began = time.monotonic()
        done = wordsight("run", tiny_model, f"http://127.0.0.1:{silent.getsockname()[1]}/live", cwd=tmp_path)
    assert done.code == 2
    assert "does not answer within 0.5 s" in done.err
    assert time.monotonic() - began < 20  # FFmpeg's own patience has no end
