"""A model on a server, as far as no server is needed: its address, its settings, and a machine without the client."""

import sys

import pytest

from wordsight.runtime.backends.remote_address import is_remote, parse_address
from wordsight.runtime.backends.remote_settings import RemoteSettings, Token
from wordsight.runtime.errors import SettingError
from wordsight.runtime.model import Model

ADDRESSES = {
    "grpc://host:8001/model": ("grpc", "host", 8001, "model", "", "", False),
    "grpc://host/model": ("grpc", "host", 8001, "model", "", "", False),
    "GRPCS://Host/model/3": ("grpcs", "host", 443, "model", "3", "", True),
    "http://host:8000/my%2Fmodel/": ("http", "host", 8000, "my/model", "", "", False),
    "https://host/v2/models/m": ("https", "host", 443, "m", "", "", True),
    "https://gate/serving/a/v2/models/m/versions/v1": ("https", "gate", 443, "m", "v1", "/serving/a", True),
    "http://[::1]:8000/m": ("http", "::1", 8000, "m", "", "", False),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses(text):
    found = parse_address(text)
    assert is_remote(text)
    got = (found.scheme, found.host, found.port, found.name, found.version, found.base, found.tls)
    assert got == ADDRESSES[text]
    assert parse_address(str(found)) == found or "%" in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grpc://host:8001", "expected the model's name"),
        ("grpc://host:8001/a/b/c", "no more than its version"),
        ("grpc:///model", "expected the address of a model"),
        ("grpc://host:port/model", "expected the address of a model"),
        ("http://user:hunter2@host/m", "without user, password and query"),
        ("http://host/m?token=hunter2", "without user, password and query"),
        ("grpc://host/serving/v2/models/m", "no path before the model's name over gRPC"),
        ("grpc://host/a%20b", "printable characters"),
    ],
)
def test_what_is_no_address_is_refused_and_no_secret_shown(text, told):
    with pytest.raises(SettingError) as error:
        parse_address(text)
    assert told in str(error.value)
    assert "hunter2" not in str(error.value)


def test_files_are_no_addresses():
    assert not any(map(is_remote, ("line3.onnx", "/a/grpc/b.onnx", "C:/m.onnx", "rtsp://cam/main", "s3://b/m.onnx")))


def test_settings_out_of_range():
    for wrong in ({"deadline_s": 0}, {"deadline_s": float("nan")}, {"expect_sha256": "abc"}):
        with pytest.raises(SettingError):
            RemoteSettings(**wrong)


def test_a_token_goes_unencrypted_to_this_machine_alone(tmp_path):
    given = {"WORDSIGHT_REMOTE_TOKEN": "hunter2"}
    for text in ("grpc://plant/m", "http://192.0.2.7:8000/m"):
        with pytest.raises(SettingError, match="would go unencrypted") as error:
            Token(None, parse_address(text), given)
        assert "hunter2" not in str(error.value)
    for text in ("grpc://127.0.0.1/m", "http://[::1]:8000/m", "http://localhost:8000/m", "grpcs://plant/m"):
        assert Token(None, parse_address(text), given).header == {"authorization": "Bearer hunter2"}
    assert Token(None, parse_address("grpc://plant/m"), {}).header == {}


def test_a_token_file_that_others_can_read_or_that_holds_none_is_refused(tmp_path):
    address, file = parse_address("grpcs://plant/m"), tmp_path / "token"
    for text, mode, told in (
        ("hunter2", 0o644, "open to others"), ("", 0o600, "got an empty file"), ("hunter2 x", 0o600, "without spaces"),
    ):  # fmt: skip
        file.write_text(text)
        file.chmod(mode)
        with pytest.raises(SettingError, match=told) as error:
            Token(file, address, {})
        assert "hunter2" not in str(error.value)
    with pytest.raises(SettingError, match="no such file"):
        Token(tmp_path / "absent", address, {})
    file.write_text("hunter2\n")
    assert Token(file, address, {}).header == {"authorization": "Bearer hunter2"}
    assert Token(file, address, {"WORDSIGHT_REMOTE_TOKEN": "first"}).header == {"authorization": "Bearer first"}


@pytest.mark.parametrize("url", ["grpc://127.0.0.1:9/m", "http://127.0.0.1:9/m"])
def test_a_machine_without_the_client_is_told_what_brings_it(wordsight, monkeypatch, tmp_path, url):
    for name in ("tritonclient", "tritonclient.grpc", "tritonclient.http"):
        monkeypatch.setitem(sys.modules, name, None)
    done = wordsight("info", url)
    assert done.code == 3
    assert len(done.lines) == 1
    assert "pip install 'wordsight[remote]'" in done.err
    with pytest.raises(Exception, match=r"wordsight\[remote\]"):
        Model(url)


def test_options_of_a_server_beside_a_file_are_refused(wordsight, tiny_model):
    for words in (["--deadline-ms", "5"], ["--ca", "x"], ["--expect-sha256", "e" * 64], ["--manifest", "x"]):
        done = wordsight("info", tiny_model, *words)
        assert done.code == 2
        assert f"{words[0]} goes with a model on a server" in done.err


def test_an_address_that_is_none_is_one_line(wordsight, tmp_path, save_picture):
    save_picture(tmp_path / "p.png", 90)
    done = wordsight("run", "grpc://user:hunter2@host/m", tmp_path / "p.png")
    assert done.code == 2
    assert len(done.lines) == 1
    assert "hunter2" not in done.err
