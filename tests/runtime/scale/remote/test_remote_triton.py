"""A real Triton server, killed and restarted under the load of three lines: every frame is scored rightly, or told."""

import json
import threading

import cv2
import numpy as np
import pytest

from wordsight.runtime.config.check import check
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.demo import demo_model
from wordsight.runtime.errors import NoAnswer
from wordsight.runtime.files import file_sha256
from wordsight.runtime.line.run_file import golden_frames
from wordsight.runtime.line.serve import Service
from wordsight.runtime.manifest import read_manifest
from wordsight.runtime.model import Model
from wordsight.runtime.triton.config import Serving
from wordsight.runtime.triton.repository import write_model

pytestmark = pytest.mark.scale("triton")
COUNT = 60


@pytest.fixture
def triton(tmp_path, triton_server):
    """Serve the packaged model from a real server."""
    path, manifest = demo_model(), read_manifest(demo_model())
    write_model(
        tmp_path / "models", "mini", path, manifest, file_sha256(path), Serving(kind="python", batch=4), plan=None
    )
    return triton_server(tmp_path / "models")


def test_what_a_server_gives_is_what_the_file_gives(triton, wordsight, remote):
    for protocol in ("grpc", "http"):
        gives_what_the_file_gives(triton, wordsight, remote, protocol)


def gives_what_the_file_gives(triton, wordsight, remote, protocol):
    frames = np.random.default_rng(0).integers(0, 256, (9, 120, 160, 3), np.uint8)
    url = f"{protocol}://{getattr(triton, protocol)}/mini"
    model = remote(url)
    assert model.backend.startswith("triton 2.")
    assert model.most == 4
    found = model.score(frames)
    with Model(demo_model(), "ort-cpu") as local:
        assert model.manifest == local.manifest
        assert model.sha256 == local.sha256
        expected = local.score(frames)
    assert found.score.shape == (9,)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-6)
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-6)
    assert "triton" in wordsight("info", url).out
    refused = wordsight("run", url.replace("mini", "maxi"), "x.png")
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert "has no model 'maxi'" in refused.err
    with pytest.raises(NoAnswer, match="refused the request"):
        model._engine._answer(np.zeros((5, 96, 96, 3), np.uint8))  # an oversized batch, past the split


@pytest.mark.parametrize("protocol", ["grpc", pytest.param("http", marks=pytest.mark.full)])
def test_killed_and_restarted_under_load_no_line_stops_and_every_frame_is_accounted_for(triton, tmp_path, protocol):
    rng, expected = np.random.default_rng(1), {}
    names = ("a", "b", "c")
    with Model(demo_model(), "ort-cpu") as local:
        for name in names:
            (tmp_path / name).mkdir()
            pictures = rng.integers(0, 256, (COUNT, 96, 96, 3), np.uint8)
            scores = local.score(pictures).score
            for at in range(COUNT):
                path = tmp_path / name / f"{at:03}.png"
                cv2.imwrite(str(path), pictures[at])
                expected[str(path)] = scores[at]
    lines = "".join(f'[[line]]\nname = "{name}"\nsource = "{name}"\n' for name in names)
    text = f'model = "{protocol}://{getattr(triton, protocol)}/mini"\nstatus = "status.json"\nbatch = 6\n'
    text += f'[remote]\ndeadline_ms = 3000\n{lines}[[sink]]\ntype = "jsonl"\npath = "o.jsonl"\n'
    (tmp_path / "line.toml").write_text(text)
    events, killed = [], threading.Event()

    def hear(event):
        events.append(event)
        if len(events) == 20:
            killed.set()

    made = Service(
        check(read_line_file(tmp_path / "line.toml")), say=lambda line: None, hear=hear, is_ready=golden_frames
    )
    back = threading.Event()

    def breaker():
        killed.wait(120)
        triton.kill()
        while not made.engine.pace.unanswered and made.state == "running":
            back.wait(0.01)
        try:
            triton.start()
        finally:
            back.set()

    # So that the outage ends before the pictures do.
    unanswered = made.engine._unanswered
    made.engine._unanswered = lambda items, reason: (unanswered(items, reason), back.wait(120))
    thread = threading.Thread(target=breaker, daemon=True)
    thread.start()
    code = made.run()
    thread.join()
    status = json.loads((tmp_path / "status.json").read_text())
    told = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert code == 1
    assert len({event["event_id"] for event in told}) == len({event["source"] for event in told}) == len(told)
    by_line = {line["name"]: line for line in status["lines"]}
    assert set(by_line) == set(names)
    for name, line in by_line.items():
        assert line["scored"] == sum(event["line"] == name for event in told)
        assert line["scored"] + line["no_answer"] == line["frames"] == COUNT
        assert line["state"] == "ended"
        assert line["scored"] > 20 // 3 + 1  # also after the restart
    assert sum(line["no_answer"] for line in by_line.values()) >= 1
    for event in told:
        assert event["score"] == pytest.approx(expected[event["source"]], abs=1e-6)
