"""A model on a server, over both protocols: what comes back is right, or it is no answer."""

import dataclasses

import numpy as np
import pytest

from wordsight.runtime.backends.remote import RemoteBackend, read_facts
from wordsight.runtime.backends.remote_address import parse_address
from wordsight.runtime.backends.remote_settings import RemoteSettings
from wordsight.runtime.errors import NoAnswer

pytestmark = pytest.mark.scale


def test_scores_are_those_of_the_file_and_batches_are_split_to_what_the_server_takes(
    server, oip, remote, frames, local
):
    model = remote(server.url)
    oip.asked.clear()
    given = frames(20)
    found, expected = model.score(given), local(given)
    for name in ("score", "s_pr", "s_fnn"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-4)  # mean grey levels, up to 255
    assert [len(asked) for _, asked in oip.asked] == [8, 8, 4]
    ids = [id for id, _ in oip.asked]
    assert "" not in ids
    assert len(set(ids)) == 3
    assert model.backend == f"stand-in 1.0 at {server.url}"
    assert model.manifest.encoder.note == "means of colours"


def test_a_server_that_was_killed_gives_no_answer_and_after_its_restart_scores_again(
    server, oip, remote, frames, local, settled
):
    model = remote(server.url)
    model.hurry(0.5)
    server.kill()
    with pytest.raises(NoAnswer, match=r"gave no answer within 0.5 s"):
        model.score(frames())
    assert model.server_state()["state"] == "no answer"
    server.start()
    np.testing.assert_allclose(settled(model, frames(3)).score, local(frames(3)).score, atol=1e-6)
    assert model.server_state()["state"] == "answering"
    assert model.server_state()["unanswered"] >= 1


def test_a_server_that_is_not_ready_is_asked_again_within_the_deadline(server, oip, remote, frames, local):
    model = remote(server.url)
    oip.refuse = 3
    np.testing.assert_allclose(model.score(frames()).score, local(frames()).score, atol=1e-6)
    assert model.server_state()["retries"] == 3


def test_a_refusal_is_not_asked_again(server, oip, oip_server, remote, frames):
    model = remote(server.url)
    oip.refusals = oip_server.Refusal(400, "INVALID_ARGUMENT", "unexpected shape")
    oip.refuse = 1
    with pytest.raises(NoAnswer, match=r"refused the request: .*unexpected shape"):
        model.score(frames())
    assert model.server_state()["retries"] == 0
    assert oip.refuse == 0


def test_an_answer_that_comes_too_late_is_nobodys(server, oip, remote, frames, local, settled):
    model = remote(server.url)
    model.hurry(0.3)
    oip.hang_s = 1.0
    with pytest.raises(NoAnswer, match=r"gave no answer within 0.3 s"):
        model.score(np.zeros((1, 8, 8, 3), np.uint8))
    oip.hang_s = 0.0
    for level in (50, 100, 150):
        frame = np.full((1, 8, 8, 3), level, np.uint8)
        np.testing.assert_allclose(settled(model, frame).score, local(frame).score, atol=1e-6)


MANGLED = {
    "shape": (lambda a: {**a, "s_pr": a["s_pr"][:, None, None]}, "s_pr as float32 [1], got float32 [1, 1, 1]"),
    "count": (lambda a: {**a, "score": np.repeat(a["score"], 2)}, "output score as float32 [1], got float32 [2]"),
    "width": (
        lambda a: {**a, "embedding": a["embedding"][:, :2]}, "output embedding as float32 [1, 3], got float32 [1, 2]",
    ),
    "dtype": (lambda a: {**a, "s_fnn": a["s_fnn"].astype(np.float64)}, "output s_fnn as float32 [1], got float64 [1]"),
    "absent": (lambda a: {key: a[key] for key in ("score", "s_pr", "s_fnn")}, "an answer without the output embedding"),
}  # fmt: skip


@pytest.mark.parametrize("case", MANGLED)
def test_an_answer_of_other_shapes_or_types_is_none(server, oip, remote, frames, case):
    mangle, told = MANGLED[case]
    model = remote(server.url)
    oip.mangle = mangle
    with pytest.raises(NoAnswer) as error:
        model.score(frames())
    assert told in str(error.value)


def test_an_answer_to_another_request_is_none(server, oip, remote, frames):
    model = remote(server.url)
    for wrong in (lambda id: f"{id}0", lambda id: ""):
        oip.answer_id = wrong
        with pytest.raises(NoAnswer, match="an answer to another request"):
            model.score(frames())


def test_a_server_that_came_back_with_another_model_gives_no_answer(server, oip, remote, frames, local, settled):
    model = remote(server.url)
    model.hurry(0.5)
    server.kill()
    with pytest.raises(NoAnswer):
        model.score(frames())
    ours, oip.parameters["wordsight_sha256"] = oip.parameters["wordsight_sha256"], "e" * 64
    server.start()
    oip.asked.clear()
    with pytest.raises(NoAnswer, match=f"expected the model {ours[:12]}..., the server serves {'e' * 12}..."):
        settled(model, frames())
    assert oip.asked == []  # it was not even asked
    oip.parameters["wordsight_sha256"] = ours
    np.testing.assert_allclose(settled(model, frames()).score, local(frames()).score, atol=1e-6)


def test_another_version_is_looked_at_before_it_is_believed(server, oip, remote, frames, local):
    model = remote(server.url)
    oip.version = "2"
    np.testing.assert_allclose(model.score(frames()).score, local(frames()).score, atol=1e-6)
    oip.version, oip.parameters["wordsight_sha256"] = "3", "e" * 64
    with pytest.raises(NoAnswer, match="the server serves"):
        model.score(frames())


def test_a_model_that_is_swapped_without_a_fault_is_found_within_half_a_minute(server, oip, frames, clock):
    settings, address = RemoteSettings(), parse_address(server.url)
    with RemoteBackend(address, read_facts(address, settings), settings, clock=clock) as backend:
        backend.infer(frames())
        oip.parameters["wordsight_sha256"] = "e" * 64
        clock.now += 29
        backend.infer(frames())
        clock.now += 2
        with pytest.raises(NoAnswer, match="the server serves"):
            backend.infer(frames())


def test_a_server_that_tells_no_hash_is_known_by_its_manifest(server, oip, remote, frames, onnx_writer, settled):
    del oip.parameters["wordsight_sha256"]
    model = remote(server.url)
    model.score(frames())
    model.hurry(0.5)
    server.kill()
    with pytest.raises(NoAnswer):
        model.score(frames())
    other = dataclasses.replace(onnx_writer.manifest(), created="2026-11-25T06:00:00Z")
    oip.parameters["wordsight"] = other.to_json()
    server.start()
    with pytest.raises(NoAnswer, match="another model: its manifest differs"):
        settled(model, frames())


def test_a_server_whose_batches_it_does_not_tell_refuses_large_ones_in_one_line(
    server, oip, remote, tiny_model, frames
):
    oip.parameters = None
    model = remote(server.url, manifest=tiny_model)
    assert len(model.score(frames(8))) == 8
    with pytest.raises(NoAnswer, match=r"batch-size must be <= 8; ask for fewer frames at once, --batch"):
        model.score(frames(9))
