"""Opening a model on a server: each thing that is wrong is one clear line."""

import dataclasses
import json

import numpy as np
import pytest

from wordsight.runtime.backends.remote_facts import given_manifest
from wordsight.runtime.errors import ManifestTooNew, ModelError, NoAnswer, ServerRefused, SettingError

pytestmark = pytest.mark.scale


def test_nobody_there(oip_server, remote):
    for protocol in ("grpc", "http"):
        url = f"{protocol}://127.0.0.1:{oip_server.free_port()}/tiny"
        with pytest.raises(NoAnswer, match=f"{url} gave no answer within 0.7 s: connection refused"):
            remote(url, deadline_s=0.7)  # less than until gRPC would connect once more


def test_no_such_model_or_version(server, remote):
    with pytest.raises(ServerRefused, match=r"has no model 'other' .*not found.*; it has tiny"):
        remote(server.url.replace("tiny", "other"))
    with pytest.raises(ServerRefused, match=r"has no version 7 of a model 'tiny'"):
        remote(f"{server.url}/7")
    assert remote(f"{server.url}/1").backend.endswith("/tiny/1")


def test_the_protocols_own_path_is_an_address_too(served, remote, frames):
    server = served("http")
    model = remote(server.url.replace("/tiny", "/v2/models/tiny/versions/1"))
    assert len(model.score(frames(2))) == 2


def test_another_file_than_the_one_that_was_asked_for(server, oip, remote, sha256):
    with pytest.raises(ServerRefused, match=f"expected the model {'f' * 12}..., the server serves {sha256[:12]}"):
        remote(server.url, expect_sha256="f" * 64)
    assert remote(server.url, expect_sha256=sha256).sha256 == sha256
    del oip.parameters["wordsight_sha256"]
    with pytest.raises(ServerRefused, match="does not say which file it serves"):
        remote(server.url, expect_sha256=sha256)


def test_a_server_without_a_manifest_needs_one_from_here(
    server, oip, remote, tiny_model, sha256, tmp_path, onnx_writer
):
    oip.parameters = None
    with pytest.raises(ServerRefused, match=r"tells no Wordsight manifest: .*--manifest FILE"):
        remote(server.url)
    model = remote(server.url, manifest=tiny_model)
    assert (model.sha256, model.most) == (sha256, 32)
    text = tmp_path / "manifest.json"
    text.write_text(onnx_writer.manifest().to_json())
    with pytest.raises(ModelError, match="does not say the SHA-256"):
        _ = remote(server.url, manifest=text).sha256
    with pytest.raises(ModelError, match=r"nothing\.onnx"):
        remote(server.url, manifest=tmp_path / "nothing.onnx")


def test_a_manifest_that_differs_from_the_one_from_here(server, remote, tmp_path, onnx_writer):
    text = tmp_path / "manifest.json"
    text.write_text(dataclasses.replace(onnx_writer.manifest(), wordsight="0.2.0").to_json())
    assert given_manifest(text)[0].wordsight == "0.2.0"
    with pytest.raises(ServerRefused, match=r"serves another model than .*manifest\.json: its manifest differs"):
        remote(server.url, manifest=text)


def test_a_manifest_that_is_too_new_or_none(server, oip, remote):
    text = oip.parameters["wordsight"]
    oip.parameters["wordsight"] = json.dumps({**json.loads(text), "schema": 99})
    with pytest.raises(ManifestTooNew, match=f"^{server.url}: .*update Wordsight"):
        remote(server.url)
    oip.parameters["wordsight"] = text[:100]
    with pytest.raises(ModelError, match="no valid JSON"):
        remote(server.url)


WRONG = {
    "type": (lambda o: o.inputs.update(frames=("FP32", [-1, 8, 8, 3])), "got FP32 [-1, 8, 8, 3]"),
    "size": (lambda o: o.inputs.update(frames=("UINT8", [-1, 9, 8, 3])), "got UINT8 [-1, 9, 8, 3]"),
    "input": (lambda o: o.inputs.update(more=("FP32", [1])), "the one input frames"),
    "absent": (lambda o: o.outputs.pop("s_fnn"), "output s_fnn: expected FP32 ['N'] by the manifest, and the"),
    "width": (lambda o: o.outputs.update(embedding=("FP32", [-1, 4])), "expected FP32 ['N', 3] by the manifest, got"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_inputs_and_outputs_that_are_not_the_manifests(server, oip, remote, case):
    change, told = WRONG[case]
    change(oip)
    with pytest.raises(ServerRefused) as error:
        remote(server.url)
    assert told in str(error.value)


def test_a_token_is_sent_and_one_that_expired_is_told_without_it(server, oip, remote, frames, monkeypatch):
    oip.token = "s3cret-token"
    with pytest.raises(NoAnswer, match=r"takes no request with this token .*renew WORDSIGHT_REMOTE_TOKEN"):
        remote(server.url)
    monkeypatch.setenv("WORDSIGHT_REMOTE_TOKEN", "s3cret-token")
    model = remote(server.url)
    assert len(model.score(frames())) == 1
    oip.token = "another"
    with pytest.raises(NoAnswer) as error:
        model.score(frames())
    assert "token expired: Bearer ***" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_a_token_file_that_was_renewed_is_read_again(server, oip, remote, frames, tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    file.chmod(0o600)
    oip.token = "first"
    model = remote(server.url, token_file=file)
    oip.token = "second"
    file.write_text("second")
    assert len(model.score(frames())) == 1


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_tls_with_an_authority_of_our_own(served, remote, frames, local, certificate, protocol):
    server = served(protocol, certificate)
    assert server.url.startswith(f"{protocol}s://")
    model = remote(server.url, ca=certificate[1])
    np.testing.assert_allclose(model.score(frames(2)).score, local(frames(2)).score, atol=1e-6)
    with pytest.raises(NoAnswer, match=r"(?i)certificate"):
        remote(server.url)
    with pytest.raises(SettingError, match=r"expected PEM|cannot read the authorities"):
        remote(server.url, ca=certificate[1].with_name("absent.pem"))
    with pytest.raises(SettingError, match=f"is for TLS: use {protocol}s://"):
        remote(server.url.replace("s://", "://"), ca=certificate[1])
