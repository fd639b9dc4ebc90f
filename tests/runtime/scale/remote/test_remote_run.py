"""`wordsight run` and `info` with a model on a server: each frame ends as a score or as a failure, and is told once."""

import json

import pytest

pytestmark = pytest.mark.scale


@pytest.fixture
def parts(tmp_path, save_picture):
    """Twelve plain pictures, each with a grey level of its own."""
    for level in range(12):
        save_picture(tmp_path / "parts" / f"{level:02}.png", 20 * level, (8, 8))
    return tmp_path / "parts"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_info_shows_what_the_server_serves(server, wordsight, sha256, onnx_writer):
    done = wordsight("info", server.url)
    assert done.code == 0
    for word in (server.url, "stand-in 1.0, up to 8 frames in one request", sha256[:20], "means of colours"):
        assert word in done.out
    assert json.loads(wordsight("info", server.url, "--json", "-").out) == json.loads(onnx_writer.manifest().to_json())


def test_a_run_scores_every_picture_by_the_server(server, wordsight, parts, tmp_path):
    done = wordsight("run", server.url, parts, "--jsonl", "s.jsonl", "--threshold", 1, "--batch", 5, cwd=tmp_path)
    assert done.code == 0, done.err
    assert f"stand-in 1.0 at {server.url}" in done.out.replace("\n", " ")
    for at, line in enumerate(lines(tmp_path / "s.jsonl")):
        assert line["score"] == pytest.approx(2 * 20 * at / 255, abs=1e-6)
        assert line["decision"] == ("defect" if at >= 7 else "good")
        assert "fallback" not in line


def test_frames_without_an_answer_are_failures_and_the_others_are_scored(server, oip, wordsight, parts, tmp_path):
    oip.most = 4
    scored = []

    def mangle(arrays):
        scored.append(len(arrays["score"]))
        return {**arrays, "score": arrays["score"][:1]} if scored[-2:] == [4, 4] and len(scored) < 4 else arrays

    oip.mangle = mangle  # the second request with pictures: the first of all is the black frame
    words = ["--jsonl", "s.jsonl", "--errors", "e.jsonl", "--deadline-ms", 20000]
    done = wordsight("run", server.url, parts, *words, cwd=tmp_path)
    assert done.code == 1
    assert len(done.lines) <= 8
    assert "scored 8, failed 4" in done.out
    failed = lines(tmp_path / "e.jsonl")
    assert {line["error"] for line in failed} == {"NoAnswer"}
    assert all("gave no answer that can be trusted" in line["reason"] for line in failed)
    names = [line["source"][-6:-4] for line in [*lines(tmp_path / "s.jsonl"), *failed]]
    assert sorted(names) == [f"{at:02}" for at in range(12)]
    assert [line["source"][-6:-4] for line in failed] == ["04", "05", "06", "07"]


def test_a_server_that_is_not_there_is_one_line_and_nothing_is_overwritten(oip_server, wordsight, parts, tmp_path):
    (tmp_path / "s.jsonl").write_text("kept\n")
    url = f"grpc://127.0.0.1:{oip_server.free_port()}/tiny"
    done = wordsight("run", url, parts, "--jsonl", "s.jsonl", "--deadline-ms", 700, cwd=tmp_path)
    assert done.code == 2
    assert done.lines == [f"wordsight: {url} gave no answer within 0.7 s: connection refused"]
    assert (tmp_path / "s.jsonl").read_text() == "kept\n"


def test_a_backend_of_this_machine_beside_a_server_is_refused(server, wordsight, parts, tmp_path):
    done = wordsight("run", server.url, parts, "--backend", "ort-cpu", cwd=tmp_path)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "the server chooses its engine" in done.err
