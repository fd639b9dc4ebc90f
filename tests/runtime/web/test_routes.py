import json
import socket
import threading

import pytest
from starlette.routing import Route

from wordsight.runtime.errors import OutputError, SettingError
from wordsight.runtime.line.applied import read_applied
from wordsight.runtime.web import guard
from wordsight.runtime.web.app import Status, app
from wordsight.runtime.web.attempts import FREE, Attempts
from wordsight.runtime.web.record import Live, Record

TOKEN = "correct-horse-battery"


def routes():
    found = []
    for route in app(Record(), Status(), None).routes:
        assert isinstance(route, Route)
        path = route.path.replace("{line}", "press-3").replace("{id}", "press-30003").replace("{name}", "page.js")
        found += [(method, path) for method in sorted(route.methods)]
    return found


def fed(served, event, status, until):
    for index in range(4):
        served.page.put(event(index, "defect" if index == 3 else "good"))
    served.page.show(status)
    until(lambda: served.page.record.events())
    return served


def acted(served):
    """What was done, by its files: the page's own events are none."""
    return [path.name for path in served.state.glob("*") if path.name != "page"]


def test_beyond_loopback_nothing_is_answered_without_the_token(serve, event, status, until, monkeypatch):
    monkeypatch.setattr(Attempts, "wait_s", lambda self, host: 0.0)
    served = fed(serve("0.0.0.0:0", TOKEN), event, status, until)
    walked = [*routes(), ("GET", "/nothing"), ("GET", "/static/../app.py"), ("PUT", "/"), ("DELETE", "/api/mark")]
    assert len(walked) > 12
    for method, path in walked:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "wordsight=99999999999.00"}):
            answer = served.ask(method, path, **headers)
            assert answer.code == 401, (method, path)
            assert b"press-3" not in answer.body
        assert served.ask(method, f"{path}?token={TOKEN}").code == 401  # never of an address
    for method, path in routes():
        assert served.ask(method, path, Authorization=f"Bearer {TOKEN}").code not in (401, 500), (method, path)
    assert not any(TOKEN.encode() in seen for seen in served.ask.seen)
    assert TOKEN not in "".join(served.said)


def test_the_login_form_gives_a_cookie_that_opens_the_page(serve):
    served = serve("0.0.0.0:0", TOKEN)
    form = served.ask.get("/", Accept="text/html")
    assert form.code == 401
    assert b"<form" in form.body
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert served.ask("POST", "/login", "token=wrong", **kind).code == 401
    assert served.ask("POST", "/login", f"token={TOKEN}", Origin="https://evil.org", **kind).code == 403
    done = served.ask("POST", "/login", f"token={TOKEN}", **kind)
    assert (done.code, done.headers["location"]) == (303, "./")
    cookie = done.headers["set-cookie"].partition(";")[0]
    assert served.ask.get("/api/status", Cookie=cookie).code == 200
    assert not any(TOKEN.encode() in seen for seen in served.ask.seen)


def test_who_tries_tokens_waits_and_who_is_in_stays(serve, monkeypatch, clock):
    monkeypatch.setattr(guard, "Attempts", lambda: Attempts(clock))  # the first wait, a second, lasts all the test
    served = serve("0.0.0.0:0", TOKEN)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    cookie = served.ask("POST", "/login", f"token={TOKEN}", **kind).headers["set-cookie"].partition(";")[0]
    for _ in range(FREE - 1):
        assert served.ask.get("/api/status", Authorization="Bearer wrong").code == 401
    assert served.ask("POST", "/login", "token=wrong", **kind).code == 401
    for _ in range(3):  # right or wrong, by a form or a header: none is looked at
        form = served.ask("POST", "/login", f"token={TOKEN}", **kind)
        header = served.ask.get("/api/status", Authorization=f"Bearer {TOKEN}")
        assert (form.code, header.code) == (429, 429)
    assert int(header.headers["retry-after"]) >= 1
    assert header.json["error"].startswith("too many wrong tokens from this address: try again in ")
    assert b"<form" in form.body
    assert served.ask.get("/api/status", Cookie=cookie).code == 200
    assert served.ask.get("/api/status").code == 401
    assert served.said == [f"page: {FREE} wrong tokens in a row from 127.0.0.1; each further one waits longer"]


def test_what_is_wrong_is_4xx_and_never_a_traceback(serve, event, status, until, capfd):
    served = fed(serve(), event, status, until)
    ask = served.ask
    for path in (
        "/nothing", "/static/app.py", "/static/..%2fapp.py", "/static/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
        "/../../etc/passwd", "/api/lines/..%2f..%2fetc/picture", "/api/lines/other/scores", "/api/status/",
        "/api/events/..%2f/picture", "/api/lines/%00/picture", "/api/lines/%ff%fe/scores",
    ):  # fmt: skip
        assert ask.get(path).code == 404, path
    for path in (
        "/api/events?after=-1", "/api/events?after=x", "/api/events?after=%D9%A3", "/api/events?after=" + "9" * 400,
        "/api/lines/press-3/picture?seen=1e3",
    ):  # fmt: skip
        assert ask.get(path).code == 400, path
    for body in (
        b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10_000, b'{"recipe": 8, "line": null}', b'{"recipe": "nut"}',
        b'{"recipe": "bolt", "line": null}', b'{"recipe": "nut", "line": "../x"}', b'{"recipe": true, "line": null}',
        b'{"recipe": "nut", "line": null, "more": 1}',
    ):  # fmt: skip
        assert ask.post("/api/recipe", body).code == 400, body
    for line, unsure, defect in (
        (b'"press-3"', b"2", b"1"), (b'"press-3"', b"null", b"NaN"), (b'"press-3"', b"null", b"true"),
        (b"1", b"0", b"1"),
    ):  # fmt: skip
        body = b'{"line": %s, "unsure": %s, "defect": %s}' % (line, unsure, defect)
        assert ask.post("/api/trial", body).code == 400, body
    assert ask.post("/api/trial", {"line": "other", "unsure": None, "defect": 1}).code == 404
    assert ask.post("/api/mark", {"event_id": "press-30003", "mark": "wrong"}).code == 400
    assert ask.post("/api/mark", {"event_id": "../../x", "mark": "right"}).code == 404
    assert ask.post("/api/recipe", b" " * 20_000).code == 413
    chunks = (b" " * 1000 for _ in range(20))  # without a length
    assert ask("POST", "/api/recipe", chunks, X_Wordsight="1").code == 413
    assert ask("POST", "/", b"", X_Wordsight="1").code == 405
    assert ask("BREW", "/api/status", X_Wordsight="1").code == 405
    assert ask.get("/", Host="evil.org").code == 400
    with socket.create_connection(("127.0.0.1", ask.port), 60) as raw:
        raw.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert b" 400 " in raw.recv(4096)
    assert not any(b"Traceback" in seen for seen in ask.seen)
    assert served.said == []
    assert capfd.readouterr() == ("", "")
    assert acted(served) == []


def test_a_route_that_fails_says_so_in_the_log_alone(serve, monkeypatch, until, capfd):
    def broken(*_):
        raise RuntimeError("rtsp://ann:geheim@cam3/ is gone")

    served = serve()
    monkeypatch.setattr(Record, "lines", broken)
    answer = served.ask.get("/api/lines")
    assert answer.code == 500
    assert b"geheim" not in answer.body
    assert b"RuntimeError" not in answer.body
    until(lambda: served.said)
    assert len(served.said) == 1
    assert "RuntimeError" in served.said[0]
    assert "geheim" not in served.said[0]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_changes_come_from_the_page_itself(serve):
    served = serve()
    asked = {"recipe": "nut", "line": None}
    host = f"127.0.0.1:{served.ask.port}"
    assert served.ask("POST", "/api/recipe", json.dumps(asked)).code == 403
    assert served.ask.post("/api/recipe", asked, Origin="https://evil.org").code == 403
    assert served.ask.post("/api/recipe", asked, Sec_Fetch_Site="cross-site").code == 403
    assert acted(served) == []
    assert served.ask.post("/api/recipe", asked, Origin=f"http://{host}").code == 200
    assert served.ask.post("/api/recipe", asked, Origin="https://plant.local", Host="plant.local").code == 200


def test_a_recipe_is_selected_as_by_the_command(serve):
    served = serve()
    assert served.ask.get("/api/recipes").json["recipes"] == [
        {"name": "nut", "number": 8}, {"name": "screw", "number": None},
    ]  # fmt: skip
    assert served.ask.post("/api/recipe", {"recipe": "8", "line": "press-3"}).code == 200
    kept = json.loads((served.state / "recipe.json").read_text())
    assert kept["lines"] == {"press-3": "nut"}
    audit = [json.loads(line) for line in (served.state / "audit.jsonl").read_text().splitlines()]
    assert [(one["who"], one["what"]) for one in audit] == [("127.0.0.1", "recipe 8 for press-3")]
    assert served.said == ["page: recipe 8 for press-3, by 127.0.0.1"]


@pytest.fixture
def running(serve, in_force, event, status, until):
    """A page whose line's file is in force, fed."""
    return fed(in_force(serve()), event, status, until)


ASKED = {"line": "press-3", "recipe": None, "unsure": 0.75, "defect": 1.5}


def audit(served):
    return [json.loads(line) for line in (served.state / "audit.jsonl").read_text().splitlines()]


def test_thresholds_are_applied_with_who_and_when_and_taken_back(running):
    assert running.ask.post("/api/thresholds", ASKED, X_Name="Ann%20%E2%9C%93%0A").json == {
        "unsure": 0.75, "defect": 1.5,
    }  # fmt: skip
    (kept,), _ = read_applied(running.state)
    assert (kept.line, kept.recipe, kept.unsure, kept.defect, kept.who) == (
        "press-3", None, 0.75, 1.5, "Ann ✓ (127.0.0.1)",
    )  # fmt: skip
    undone = running.ask.post("/api/thresholds/undo", {"line": "press-3", "recipe": None})
    assert undone.json == {"unsure": 0.5, "defect": 1.0}
    assert read_applied(running.state) == ((), "")
    first, second = audit(running)
    assert first["time"].endswith("Z")
    assert {key: first[key] for key in ("who", "line", "recipe", "old", "new")} == {
        "who": "Ann ✓ (127.0.0.1)", "line": "press-3", "recipe": None,
        "old": {"unsure": 0.5, "defect": 1.0}, "new": {"unsure": 0.75, "defect": 1.5},
    }  # fmt: skip
    assert (second["who"], second["old"], second["new"]) == ("127.0.0.1", first["new"], first["old"])
    assert second["what"] == (
        "thresholds of press-3: unsure 0.500, defect 1.000 of the file, instead of unsure 0.750, defect 1.500"
    )


def test_thresholds_are_applied_from_the_page_itself_alone_and_only_if_they_are_some(running):
    body = json.dumps(ASKED)
    for path in ("/api/thresholds", "/api/thresholds/undo"):
        assert running.ask("POST", path, body).code == 403
        assert running.ask.post(path, ASKED, Origin="https://evil.org").code == 403
        assert running.ask.post(path, ASKED, Sec_Fetch_Site="cross-site").code == 403
        assert running.ask.post(path, ASKED, Host="evil.org").code == 400
    for changed in (
        {"unsure": 2.0}, {"defect": -1}, {"defect": None}, {"defect": True}, {"defect": "1"}, {"defect": 99},
        {"defect": 10**400}, {"unsure": -(10**400)}, {"line": "other"}, {"line": None}, {"recipe": "nut"},
        {"recipe": 3}, {"more": 1}, {"unsure": 0.5, "defect": 1.0},
    ):  # fmt: skip
        answer = running.ask.post("/api/thresholds", {**ASKED, **changed})
        assert (answer.code, "error" in answer.json) == (400, True), changed
    for constant in ("NaN", "Infinity", "-Infinity", "1e999"):
        assert running.ask.post("/api/thresholds", body.replace("1.5", constant).encode()).code == 400
    assert running.ask.post("/api/thresholds/undo", {"line": "press-3", "recipe": None}).code == 400
    assert acted(running) == []
    assert running.ask.post("/api/recipe", {"recipe": "nut", "line": None}).code == 200
    answer = running.ask.post("/api/thresholds", ASKED)  # tried under what was in force a moment ago
    assert (answer.code, answer.json["error"][:42]) == (400, "the line is decided under 'nut' by now: lo")
    assert read_applied(running.state) == ((), "")


def test_nothing_is_in_force_that_the_audit_does_not_hold(running, monkeypatch):
    (running.state / "audit.jsonl").mkdir()
    assert running.ask.post("/api/thresholds", ASKED).code == 503
    assert read_applied(running.state) == ((), "")
    (running.state / "audit.jsonl").rmdir()
    (running.state / "thresholds.json").mkdir()
    assert running.ask.post("/api/thresholds", ASKED).code == 503
    assert [one["what"].partition(": ")[2] for one in audit(running)][-1] == "could not be kept, and are as before"


def test_before_anything_runs_nothing_can_be_applied(serve):
    assert "nothing runs yet" in serve().ask.post("/api/thresholds", ASKED).json["error"]


def test_marks_lie_beside_the_event_and_outlive_a_restart(serve, event, status, until):
    served = fed(serve(), event, status, until)
    assert served.ask.post("/api/mark", {"event_id": "press-30003", "mark": "right"}).code == 200
    with open(served.state / "marks.jsonl", "a") as file:
        file.write('{"event_id": "torn')  # by a power cut
    assert served.ask.post("/api/mark", {"event_id": "press-30003", "mark": "false alarm"}).code == 200
    _, last = map(json.loads, (served.state / "marks.jsonl").read_text().splitlines())
    assert {key: last[key] for key in ("event_id", "line", "frame", "decision", "score", "mark")} == {
        "event_id": "press-30003", "line": "press-3", "frame": 3, "decision": "defect", "score": 0.5,
        "mark": "false alarm",
    }  # fmt: skip
    before = {heat: served.ask.get(f"/api/events/press-30003/picture?heat={heat}").body for heat in (0, 1)}
    until(lambda: list((served.state / "page").glob("*.json")))  # it is shown before it lies on the disk
    served.page.close()
    again = serve()
    told = again.ask.get("/api/events").json
    assert told["marks"] == {"press-30003": "false alarm"}
    assert [(one["event_id"], one["score"], one["pictures"]) for one in told["events"]] == [("press-30003", 0.5, 2)]
    assert {heat: again.ask.get(f"/api/events/press-30003/picture?heat={heat}").body for heat in (0, 1)} == before
    assert again.ask.post("/api/mark", {"event_id": "press-30003", "mark": None}).code == 200
    again.page.close()
    last = fed(serve(), event, status, until).ask.get("/api/events").json
    assert last["marks"] == {}
    assert len(last["events"]) == 1  # the line gave the same one once more


def test_what_the_page_reads(serve, event, status, until):
    served = fed(serve(), event, status, until)
    ask = served.ask
    assert ask.get("/api/status").json == status
    assert ask.get("/api/lines").json == {"press-3": {"count": 4, "heat": True}}
    points = ask.get("/api/lines/press-3/scores?after=2").json["points"]
    assert [(point[0], point[2], point[3]) for point in points] == [(3, 0.5, "g"), (4, 0.5, "d")]
    found = ask.get("/api/events").json["events"]
    assert [(one["event_id"], one["pictures"], one["kind"]) for one in found] == [("press-30003", 2, "frame")]
    plain, heat = (ask.get(f"/api/events/press-30003/picture?heat={heat}") for heat in (0, 1))
    assert plain.body[:2] == heat.body[:2] == b"\xff\xd8"
    assert plain.body != heat.body
    live = ask.get("/api/lines/press-3/picture")
    assert live.code == 200
    assert [live.headers[name] for name in ("x-frame", "x-score", "x-decision")] == ["4", "0.5000", "defect"]
    assert ask.get("/api/lines/press-3/picture?seen=4").code == 304
    page = ask.get("/")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert ask.get("/", If_None_Match=page.headers["etag"]).code == 304


def test_who_asks_while_a_picture_is_made_waits_for_that_one_and_who_leaves_ends_it_for_nobody(
    serve, event, status, until, monkeypatch
):
    served = fed(serve(), event, status, until)
    asked, made, go, real = [], [], threading.Event(), Record.ready

    def live(record, name, heat):
        made.append(threading.get_ident())
        assert go.wait(600)
        return Live(9, 0.25, "good", b"\xff\xd8", 0.0)

    monkeypatch.setattr(Record, "ready", lambda *given: asked.append(given) or real(*given))
    monkeypatch.setattr(Record, "live", live)
    first = socket.create_connection(("127.0.0.1", served.ask.port), 60)
    first.sendall(b"GET /api/lines/press-3/picture HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    until(lambda: made)
    answers = []
    viewers = [
        threading.Thread(target=lambda: answers.append(served.ask.get("/api/lines/press-3/picture")), daemon=True)
        for _ in range(9)
    ]
    for viewer in viewers:
        viewer.start()
    until(lambda: len(asked) == 10)
    first.close()
    go.set()
    for viewer in viewers:
        viewer.join(60)
    assert [(answer.code, answer.headers["x-frame"]) for answer in answers] == [(200, "9")] * 9
    assert len(made) == 1
    assert served.ask.get("/api/lines/press-3/picture").code == 200  # and the next one is made anew
    assert len(made) == 2


def test_the_first_page_is_small_and_comes_from_nowhere_else(serve):
    from importlib import resources

    served = serve()
    total = len(served.ask.get("/").body)
    for file in (resources.files("wordsight.runtime.web") / "static").iterdir():
        answer = served.ask.get("/" if file.name == "index.html" else f"/static/{file.name}")
        assert answer.code == 200
        total += len(answer.body)
        told = answer.body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"http:" not in told
        assert b"https:" not in told
    assert total <= 200_000


def test_where_it_cannot_listen_it_says_so_at_once(serve):
    served = serve()
    with pytest.raises(OutputError, match="already in use"):
        serve(f"127.0.0.1:{served.ask.port}")
    with pytest.raises(SettingError, match="WORDSIGHT_WEB_TOKEN"):
        serve("0.0.0.0:0")
