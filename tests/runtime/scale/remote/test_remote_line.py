"""A line whose model is on a server: no frame is lost to the count, and no line stops with the server."""

import json
import threading
import time

import pytest

from wordsight.runtime.config.check import check
from wordsight.runtime.config.problems import LineFileError
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.line.run_file import golden_frames
from wordsight.runtime.line.serve import EngineFailed, Service

pytestmark = pytest.mark.scale
COUNT = 40
LINE = """
[[line]]
name = "a"
source = "parts"
defect = 1.0
part_id = "^(..)"
[[sink]]
type = "jsonl"
path = "o.jsonl"
"""


@pytest.fixture
def service(tmp_path, save_picture):
    """Make a service of a line that reads pictures of its own grey level each: (url, more) -> service."""

    def make(url, remote="deadline_ms = 5000", line=LINE, count=COUNT, **more):
        for level in range(count):
            save_picture(tmp_path / "parts" / f"{level:03}.png", 6 * level, (8, 8))
        backend = 'backend = "ort"\n' if "fallback" in remote else ""
        text = f'model = "{url}"\n{backend}status = "status.json"\nbatch = 4\n[remote]\n{remote}\n{line}'
        (tmp_path / "line.toml").write_text(text)
        return Service(check(read_line_file(tmp_path / "line.toml")), say=lambda line: None, **more)

    return make


def events_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]


def frames_of(tmp_path):
    return [event for event in events_of(tmp_path) if event["kind"] == "frame"]


def number(source):
    return int(source[-7:-4])


def test_a_server_killed_and_restarted_under_load_every_frame_is_scored_rightly_or_told(server, oip, service, tmp_path):
    made = service(server.url, "deadline_ms = 2000")
    taken, sixth, gone = [], threading.Event(), threading.Event()
    answered = oip.answer_id

    def answer_id(id):
        taken.append(id)
        if len(taken) == 6:
            sixth.set()
            gone.wait(60)  # it dies with a request in its hands
        return answered(id)

    oip.answer_id = answer_id

    def fail():
        sixth.wait(60)
        server.kill()
        gone.set()
        while not made.engine.pace.unanswered and made.state == "running":
            time.sleep(0.01)
        server.start()

    breaker = threading.Thread(target=fail, daemon=True)
    breaker.start()
    code = made.run()
    breaker.join()
    status = json.loads((tmp_path / "status.json").read_text())
    (line,) = status["lines"]
    events = frames_of(tmp_path)
    assert code == 1
    assert line["no_answer"] >= 1
    assert line["scored"] == len(events) == len({event["event_id"] for event in events})
    assert line["scored"] + line["no_answer"] == COUNT == line["frames"]
    assert status["engine"]["no_answer"] == line["no_answer"] == status["failures"]
    for event in events:
        assert event["score"] == pytest.approx(2 * 6 * number(event["source"]) / 255, abs=1e-6)
    assert {one["error"] for one in status["errors"]} == {"NoAnswer"}
    assert sum(one["count"] for one in status["errors"]) == line["no_answer"]
    (model,) = status["engine"]["models"]
    assert 1 <= model["server"]["unanswered"] <= line["no_answer"] <= 4 * model["server"]["unanswered"]


def test_no_answer_is_the_state_of_the_line_until_a_frame_is_scored_and_no_part_is_good_by_it(
    served, oip, oip_server, service, tmp_path
):
    oip.refusals = oip_server.Refusal(400, "INVALID_ARGUMENT", "out of memory")
    made = service(served("grpc").url, line=LINE.replace("[[sink]]", "parts = { least = 1 }\n[[sink]]"))
    unanswered, silent = made.engine._unanswered, []

    def told(items, reason):
        unanswered(items, reason)
        silent.append(made.status()["lines"][0])

    made.engine._unanswered = told
    infer, calls = oip.infer, []

    def failing(id, frames):
        calls.append(id)
        oip.refuse = int(len(calls) == 3)  # after the black frame and the first of the pictures
        return infer(id, frames)

    oip.infer = failing
    assert made.run() == 1
    (during,) = silent
    assert during["state"] == "no answer"
    assert "refused the request: out of memory" in during["reason"]
    (after,) = json.loads((tmp_path / "status.json").read_text())["lines"]
    assert (after["state"], after["reason"]) == ("ended", None)
    assert after["no_answer"] == during["no_answer"] in range(1, 5)
    parts = [event for event in events_of(tmp_path) if event["kind"] == "part"]
    assert [part["decision"] for part in parts] == ["unsure", "good", "defect", "defect"]
    assert [part.get("reason") for part in parts] == ["no answer", None, None, None]
    assert sum(part["frames"] for part in parts) == COUNT - after["no_answer"]


def test_the_fallback_scores_while_the_server_is_away_and_says_so(served, oip, service, tmp_path, tiny_model):
    server = served("grpc")
    server.kill()
    made = service(server.url, f'deadline_ms = 700\nfallback = "{tiny_model.name}"', count=8, is_ready=golden_frames)
    assert made.run() == 0
    status = json.loads((tmp_path / "status.json").read_text())
    (told,) = [model["server"] for model in status["engine"]["models"]]
    assert (told["state"], told["fallback_frames"]) == ("fallback", 10)  # with the golden frame, twice
    assert told["fallback"].startswith("onnxruntime")
    assert "connection refused" in told["reason"]
    assert status["lines"][0]["fallback"] == status["lines"][0]["scored"] == 8
    assert status["lines"][0]["state"] == "ended"
    events = frames_of(tmp_path)
    assert [event["fallback"] for event in events] == [True] * 8
    for event in events:
        assert event["score"] == pytest.approx(2 * 6 * number(event["source"]) / 255, abs=1e-6)
    assert oip.asked == []


def test_a_server_that_comes_back_is_used_again(server, oip, remote, frames, tiny_model, waiting):
    model = remote(server.url, fallback=tiny_model)
    model.score(frames())
    assert not model.fell_back
    model.hurry(0.3)
    server.kill()
    model.score(frames())
    assert model.fell_back
    server.start()

    def back():
        model.score(frames())
        return not model.fell_back

    assert waiting(60.0)(back)
    assert model.server_state()["state"] == "answering"
    assert model.server_state()["fallback_frames"] >= 1


def test_another_file_stands_in_only_where_it_is_allowed(served, service, tmp_path, onnx_writer, sha256):
    other = tmp_path / "other.onnx"
    other.write_bytes(b"".join(onnx_writer.model_parts(onnx_writer.manifest(precision="fp16").to_json())))
    server = served("grpc")
    with pytest.raises(LineFileError, match=r"other\.onnx is another file, .*any_fallback = true"):
        service(server.url, 'fallback = "other.onnx"', count=2)
    with pytest.raises(LineFileError, match="any_fallback needs fallback beside it, and expect_sha256"):
        service(server.url, 'fallback = "other.onnx"\nany_fallback = true', count=2)
    allowed = f'fallback = "other.onnx"\nany_fallback = true\nexpect_sha256 = "{sha256}"'
    assert service(server.url, allowed, count=2).run() == 0
    wider = onnx_writer.manifest(outputs={"score": ("N",), "s_pr": ("N",), "s_fnn": ("N",)})
    other.write_bytes(b"".join(onnx_writer.model_parts(wider.to_json())))
    with pytest.raises(LineFileError, match="cannot stand in for the server's model: outputs of their manifests"):
        service(server.url, allowed, count=2)


def test_a_line_without_a_server_and_without_a_fallback_is_started_anew_by_its_service(served, service):
    server = served("grpc")
    made = service(server.url, "deadline_ms = 2000", count=2)
    server.kill()
    with pytest.raises(EngineFailed, match=r"gave no answer within .*may name a fallback: \[remote\]") as error:
        made.run()
    assert error.value.exit_code == 1
    with pytest.raises(LineFileError, match="gave no answer within") as refused:
        service(server.url, "deadline_ms = 2000", count=2)
    assert refused.value.exit_code == 3  # the file is right, and this machine lacks a server


def test_a_table_about_servers_beside_a_file_is_refused(service):
    with pytest.raises(LineFileError, match="remote: expected a model on a server beside it"):
        service("tiny.onnx", count=1)


def test_a_deadline_beyond_that_of_the_parts_is_told(served, service):
    line = LINE.replace("[[sink]]", "parts = { deadline_ms = 200 }\n[[sink]]")
    made = service(served("grpc").url, line=line, count=1)
    assert any("a request may take 5000 ms, and parts have 200 ms" in told for told in made._checked.remarks)
