import http.client
import http.server
import json
import shutil
import threading
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("starlette", reason="pip install 'wordsight[web]'")
pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")

from wordsight.runtime.config.check import check
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.demo import demo_model
from wordsight.runtime.fits import Place
from wordsight.runtime.heat import Heat
from wordsight.runtime.sinks.result import PartResult, Result
from wordsight.runtime.sources.frame import Frame
from wordsight.runtime.web.page import Page

TOKEN = "correct-horse-battery"
BEGAN = datetime(2026, 11, 26, 13, 0, tzinfo=timezone.utc)
FILE = """model = "m.onnx"
state = "state"
web_hosts = ["plant.local"]
[[line]]
name = "press-3"
source = "camera:0"
unsure = 0.5
defect = 1.0
[[recipe]]
name = "nut"
number = 8
unsure = 0.9
defect = 1.2
[[recipe]]
name = "screw"
"""


@pytest.fixture
def event():
    """Make a frame's event: (index, decision, score, line, ...) -> Result, its picture grey by its index."""

    def make(index=0, decision="good", score=0.5, line="press-3", heat=True, size=(60, 80), **more):
        image = np.full((*size, 3), index * 8 % 200, np.uint8)
        frame = Frame(image, "cam", index, BEGAN + timedelta(seconds=index), "cam", None, more.pop("part_id", None))
        values = np.zeros((3, 4), np.float32)
        values[1, 2] = 2.0
        heated = Heat(values, Place(0, 0, size[1], size[0]), size, 2.0, 1.5) if heat else None
        return Result(
            frame, score, score / 2, score / 2, decision, heat=heated, line=line, event_id=f"{line}{index:04x}", **more
        )

    return make


@pytest.fixture
def part_event():
    """A part's event."""
    counts = {"frames": 3, "defects": 2, "unsure": 1, "score": 1.5, "late": False}
    stamps = {"began": BEGAN, "ended": BEGAN, "recipe": None, "event_id": "ab" * 16}
    return PartResult(line="press-3", part_id="P-7", decision="defect", **counts, **stamps)


@pytest.fixture
def status():
    """A status of one line and one sink, with the keys that the page reads."""
    times = {"n": 1, "p50": 3.0, "p95": 4.0, "p99": 5.0}
    line = {
        "name": "press-3", "source": "rtsp://***@cam3/main", "state": "running", "reason": None, "frames": 10,
        "scored": 9, "scored_per_s": 5.0, "waiting": 0, "dropped": 1, "refused": 0, "no_answer": 0,
        "failures": 0, "recipe": "nut",
        "unsure": 0.9, "defect": 1.2, "applied": None, "decisions": {"good": 8, "defect": 1}, "latency_ms": times,
    }  # fmt: skip
    sink = {"name": "jsonl", "type": "jsonl", "state": "failing", "reason": "no space left on device", "written": 3,
            "waiting": 6, "dropped": 2, "set_aside": 0, "set_aside_reason": None}  # fmt: skip
    return {
        "started": "2026-11-26T13:00:00Z", "uptime_s": 61.0, "state": "running", "config": {"file": "line.toml"},
        "engine": {"models": [{"backend": "ort"}], "frames_per_s": 5.0}, "lines": [line], "sinks": [sink], "errors": [],
    }  # fmt: skip


class Client:
    """Asks a page, each time over a connection of its own, and keeps all that was answered."""

    def __init__(self, page):
        self.port = int(page.url.rstrip("/").rpartition(":")[2])
        self.seen = []

    def __call__(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        self.seen.append(str(answer.getheaders()).encode() + data)
        told = SimpleNamespace(code=answer.status, body=data, headers=answer.headers)
        if answer.headers.get_content_type() == "application/json" and data:
            told.json = json.loads(data)
        return told

    def get(self, path, **headers):
        return self("GET", path, **headers)

    def post(self, path, data, **headers):
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return self("POST", path, body, **{"X-Wordsight": "1", **headers})


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Serve a page: (listen, token) -> page, client, said; closed at the end."""
    monkeypatch.delenv("WORDSIGHT_WEB_TOKEN", raising=False)
    (tmp_path / "line.toml").write_text(FILE)
    made = []

    def start(listen="127.0.0.1:0", token=None):
        if token is not None:
            monkeypatch.setenv("WORDSIGHT_WEB_TOKEN", token)
        said = []
        page = Page(read_line_file(tmp_path / "line.toml"), listen, said.append)
        made.append(page)
        return SimpleNamespace(page=page, ask=Client(page), said=said, state=tmp_path / "state")

    yield start
    for page in made:
        page.close()


@pytest.fixture
def in_force(tmp_path):
    """Have the file of a page be in force, on the packaged model: (served) -> served."""

    def take(served):
        shutil.copy(demo_model(), tmp_path / "m.onnx")
        served.page.take(check(read_line_file(tmp_path / "line.toml")))
        return served

    return take


@pytest.fixture
def until():
    """Wait until a condition holds: (condition) -> its value; fails after a minute."""

    def wait(holds, limit_s=60.0):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if value := holds():
                return value
            time.sleep(0.01)
        raise AssertionError("it never came to be")

    return wait


@pytest.fixture
def feeding(event, status):
    """Feed a page with frames and statuses until the test is over: (page) -> None."""
    over, threads = threading.Event(), []

    def start(page):
        def feed():
            index = 0
            while not over.wait(0.05):
                decision, score = ("defect", 1.5) if index in (3, 13) else ("good", 0.2 + index % 5 / 10)
                page.put(event(index, decision, score))
                page.show(status)
                index += 1

        threads.append(threading.Thread(target=feed, daemon=True))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()


class _Folder(http.server.BaseHTTPRequestHandler):
    """What nginx does with the lines of docs/page.md."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        if not self.path.startswith("/press/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {**dict(self.headers), "X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "http"}
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=60)
        behind.request(self.command, self.path.removeprefix("/press"), body or None, headers)
        answer = behind.getresponse()
        data = answer.read()
        behind.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def proxied():
    """Put a proxy before a page, which has it in a folder: (served) -> address; `asked` holds the paths asked for."""
    made = []

    def start(served):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Folder)
        server.behind, server.asked = served.ask.port, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.append(server)
        return SimpleNamespace(url=f"http://plant.local:{server.server_port}/press/", asked=server.asked)

    yield start
    for server in made:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("apt-get install chromium")
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"]
    quiet.append("--host-resolver-rules=MAP plant.local 127.0.0.1")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=quiet, timeout=120_000)
        yield browser
        browser.close()
