"""Events at a real HTTP receiver that fails on request."""

import hashlib
import hmac
import json
import signal
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.plant("httpx", "webhook")
SECRET = "s1gn-with-this"


class Receiver(ThreadingHTTPServer):
    """Answers as `answers` say, then 200. `got`: (path, headers, body) of every request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.got, self.at_s = deque(), [], []
        self.takes_s, self.holds = 0.0, threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def events(self):
        return [json.loads(body) for _, _, body in list(self.got)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        self.server.at_s.append(time.monotonic())
        self.server.holds.wait(self.server.takes_s)
        status, headers = self.server.answers.popleft() if self.server.answers else (200, {})
        if status is None:  # hang up without an answer
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *words):
        pass


@pytest.fixture
def receiver():
    there = Receiver()
    yield there
    there.shutdown()
    there.server_close()


@pytest.fixture
def sink(tmp_path, monkeypatch):
    from wordsight.runtime.sinks.queued import Queued
    from wordsight.runtime.sinks.registry import SinkContext, sink_kind

    monkeypatch.setenv("WORDSIGHT_ERP_2_SECRET", SECRET)
    made = []

    def make(url, **options):
        kind = sink_kind("webhook")
        context = SinkContext(tmp_path, ("press-3",), tmp_path / "state", name="erp-2")
        # A receiver that answers late is one that answers: what is posted once more would come twice.
        chosen = kind.Options(**{"url": url, "timeout_s": 60, **options})
        made.append(Queued("erp-2", lambda: kind.make(chosen, context), wants_image=kind.wants_image))
        return made[-1]

    yield make
    for each in made:
        each.close(10)


def test_each_event_is_posted_signed_with_its_id_as_key(receiver, sink, event, part_event, until):
    line = sink(receiver.url)
    sent = [event(0), event(1, "defect", heat=True), part_event()]
    for each in sent:
        line.put(each)
    assert until(lambda: line.state().counts.get("sent") == 3)
    for each, (path, headers, body) in zip(sent, receiver.got, strict=True):
        assert (path, headers["Content-Type"]) == ("/hook", "application/json")
        assert headers["Idempotency-Key"] == each.event_id == json.loads(body)["event_id"]
        stamp = headers["Wordsight-Timestamp"]
        assert abs(int(stamp) - time.time()) < 60
        wanted = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        assert headers["Wordsight-Signature"] == f"v1={wanted}"
        assert SECRET not in f"{headers}{body}"


def test_what_fails_is_sent_again_in_order_and_what_is_refused_is_set_aside(receiver, sink, event, tmp_path, until):
    receiver.answers += [(503, {}), (None, {}), (200, {}), (422, {}), (408, {}), (425, {}), (200, {})]
    line = sink(receiver.url)
    for number in range(4):
        line.put(event(number))
    assert until(lambda: receiver.events()[-1:] and receiver.events()[-1]["frame"] == 3)
    assert until(lambda: line.state().counts["sent"] == 3)
    assert [each["frame"] for each in receiver.events()] == [0, 0, 0, 1, 2, 2, 2, 3]
    now = line.state()
    assert (now.state, now.counts["refused"]) == ("ok", 1)
    (kept,) = map(json.loads, (tmp_path / "state/spool/erp-2/set-aside.jsonl").read_text().splitlines())
    assert kept == {"reason": f"127.0.0.1:{receiver.server_port} answers 422", "event": receiver.events()[3]}


def test_a_run_with_events_that_were_refused_says_so_and_ends_with_1(hall, receiver):
    hall.write(
        f'[[line]]\nname = "press-1"\nsource = "parts"\ndefect = 1.0\n[[sink]]\ntype = "webhook"\nname = "erp-2"\n'
        f'url = "{receiver.url}"\n'
    )
    receiver.answers += [(200, {}), (422, {}), (200, {}), (410, {})]
    child = hall.start(WORDSIGHT_ERP_2_SECRET=SECRET)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 1, err
    (told,) = hall.status()["sinks"]
    assert (told["counts"]["sent"], told["counts"]["refused"], told["unsent"]) == (6, 2, 0)
    assert "erp-2: 2 events were lost" in err


def test_a_pause_that_it_asks_for_is_kept(receiver, sink, event, until):
    receiver.answers += [(429, {"Retry-After": "2"})]
    line = sink(receiver.url)
    line.put(event(0))
    assert until(lambda: len(receiver.at_s) == 2)
    assert receiver.at_s[1] - receiver.at_s[0] >= 2  # a pause, not a speed: a slow machine makes it longer
    assert "wordsight" in receiver.got[0][1]["User-Agent"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("120", 120),
        ("Thu, 26 Nov 2026 13:00:30 GMT", 30),
        ("Thu, 26 Nov 2026 12:00:00 GMT", 0),
        ("soon", 0),
        ("-5", 0),
        ("", 0),
        ("9" * 400, 0),
        ("²", 0),
    ],
)
def test_a_pause_comes_as_seconds_or_as_a_date(text, wanted):
    from wordsight.runtime.sinks.webhook import retry_after_s

    assert retry_after_s(text, 1795698000.0) == wanted


def test_a_redirect_is_not_followed(receiver, sink, event, until):
    receiver.answers += [(307, {"Location": f"http://127.0.0.1:{receiver.server_port}/elsewhere"})] * 1000
    line = sink(receiver.url)
    line.put(event(0))
    assert until(lambda: "answers with a redirect, 307" in (line.state().reason or ""))
    receiver.answers.clear()  # not before it was seen
    assert until(lambda: line.state().counts["sent"] == 1)
    assert {path for path, _, _ in receiver.got} == {"/hook"}


def test_what_waits_is_sent_after_a_restart(receiver, sink, event, tmp_path, until):
    receiver.answers += [(500, {})] * 1000
    line = sink(receiver.url)
    for number in range(20):
        line.put(event(number))
    assert until(lambda: "20 events wait on the disk" in (line.state().reason or ""))
    assert line.close(10) == 0
    # One that is on its way when the time for the end is over arrives after it.
    assert until(lambda: "forward erp-2" not in [one.name for one in threading.enumerate()])
    count = len(receiver.got)
    receiver.answers.clear()
    again = sink(receiver.url)
    again.put(event(20))
    assert until(lambda: again.state().counts.get("sent") == 21)
    assert [each["frame"] for each in receiver.events()[count:]] == list(range(21))
    for path in (tmp_path / "state").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
    assert SECRET not in f"{line.state()} {again.state()}"


def test_at_the_end_of_the_sources_a_slow_receiver_gets_everything_through_a_failure_of_its_own(
    receiver, sink, event, until
):
    line = sink(receiver.url)
    receiver.takes_s = 0.2
    receiver.answers += [(200, {})] * 5 + [(503, {})] + [(200, {})] * 5 + [(None, {})]
    for number in range(20):
        line.put(event(number))
    assert line.close(120, drain_s=110) == 0
    assert (line.state().counts["sent"], line.state().unsent) == (20, 0)
    assert list(dict.fromkeys(each["frame"] for each in receiver.events())) == list(range(20))


def test_at_the_end_one_that_is_away_is_tried_once_more_and_what_waits_is_told(
    receiver, sink, event, until, monkeypatch
):
    from wordsight.runtime.sinks.forward import Forwarder

    tried, end = [], Forwarder._end
    monkeypatch.setattr(Forwarder, "_end", lambda self: tried.append(len(receiver.got)) or end(self))
    receiver.answers += [(503, {})] * 1000
    line = sink(receiver.url)
    line.put(event(0))
    assert until(lambda: "1 events wait" in (line.state().reason or ""))
    assert line.close(120, drain_s=110) == 0
    assert len(receiver.got) <= tried[0] + 2  # one try may have begun before the end
    assert (line.state().unsent, line.state().lost) == (1, 0)


def test_an_end_that_is_asked_for_leaves_what_a_slow_receiver_has_no_time_for(receiver, sink, event, until):
    receiver.takes_s = 60.0
    line = sink(receiver.url)
    for number in range(3):
        line.put(event(number))
    assert until(lambda: len(receiver.got) == 1 and line.state().written == 3)
    assert line.close(10) == 0
    assert (line.state().unsent, line.state().lost) == (3, 0)
    receiver.takes_s = 0.0
    receiver.holds.set()
    again = sink(receiver.url)
    assert until(lambda: again.state().counts.get("sent") in (2, 3) and not again.state().unsent)
    assert {each["frame"] for each in receiver.events()} == {0, 1, 2}


def test_a_run_that_is_through_stays_until_all_is_sent_and_a_signal_ends_it(hall, receiver, until):
    hall.write(
        f'[[line]]\nname = "press-1"\nsource = "parts"\ndefect = 1.0\n[[sink]]\ntype = "webhook"\nname = "erp-2"\n'
        f'url = "{receiver.url}"\ntimeout_s = 600\n'
    )
    receiver.takes_s = 0.5
    through = hall.start(WORDSIGHT_ERP_2_SECRET=SECRET)
    _, err = through.communicate(timeout=120)
    assert through.returncode == 0, err
    assert len(receiver.events()) == 8
    assert hall.status()["sinks"][0]["unsent"] == 0
    receiver.takes_s = 600.0
    receiver.got.clear()
    asked = hall.start(WORDSIGHT_ERP_2_SECRET=SECRET)
    assert until(lambda: len(receiver.got) == 1 and hall.status()["state"] == "draining")
    asked.send_signal(signal.SIGTERM)
    _, err = asked.communicate(timeout=60)
    receiver.holds.set()
    assert asked.returncode == 0, err
    assert "erp-2: 8 events wait on the disk and go out after the next start" in err
    assert SECRET not in err


def test_nobody_there_is_told_and_a_secret_is_needed_in_the_environment_or_a_private_file(
    sink, event, tmp_path, until, monkeypatch
):
    line = sink("http://127.0.0.1:9/hook")
    line.put(event(0))
    assert until(lambda: "1 events wait" in (line.state().reason or ""))
    assert line.state().reason.startswith("cannot reach 127.0.0.1:9: ")
    line.close(10)
    monkeypatch.delenv("WORDSIGHT_ERP_2_SECRET")
    for options, told in (
        ({}, "expected a secret to sign with: WORDSIGHT_ERP_2_SECRET"),
        ({"credentials": "open.secret"}, "is open to others, mode 0644"),
    ):
        (tmp_path / "open.secret").write_text(f'secret = "{SECRET}"\n')
        (tmp_path / "open.secret").chmod(0o644)
        line = sink("http://127.0.0.1:9/hook", **options)
        assert until(lambda line=line: line.state().state == "failing")
        assert told in line.state().reason
        line.close(10)
    (tmp_path / "open.secret").chmod(0o600)
    line = sink("http://127.0.0.1:9/hook", credentials="open.secret")
    assert until(lambda: "cannot reach" in (line.state().reason or ""))


def test_what_is_signed_does_not_leave_this_machine_without_tls(sink, until):
    line = sink("http://erp.plant/hook")
    assert until(lambda: line.state().state == "failing")
    assert "expected TLS for an address that is given secrets, got http://erp.plant" in line.state().reason


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "https://", "https://u:p@host/x", "https://host/x?token=abc", "https://host:99999/"]
)
def test_an_address_with_a_secret_or_of_another_kind_is_refused(url):
    from pydantic import ValidationError

    from wordsight.runtime.sinks.registry import sink_kind

    with pytest.raises(ValidationError, match="expected https://host/path"):
        sink_kind("webhook").Options(url=url)
