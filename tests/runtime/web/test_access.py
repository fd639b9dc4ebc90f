import os

import pytest

from wordsight.runtime.errors import SettingError
from wordsight.runtime.web import access
from wordsight.runtime.web.access import Access, Address, address, token

TOKEN = "correct-horse-battery"
LOOPBACK, OPEN = Address("127.0.0.1", 8080), Address("0.0.0.0", 8080)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:80", "::1", 80), ("localhost:0", "localhost", 0)],
)
def test_addresses(text, host, port):
    assert address(text) == Address(host, port)
    assert str(address(text)) == text


@pytest.mark.parametrize(
    "text", ["", ":8080", "127.0.0.1", "a:65536", "a:-1", "a:1²", "::1:80", "u@h:80", "http://h:80"]
)
def test_what_is_no_address(text):
    with pytest.raises(SettingError, match="expected an address"):
        address(text)


def test_beyond_loopback_a_token_is_required():
    with pytest.raises(SettingError, match="WORDSIGHT_WEB_TOKEN") as error:
        Access(OPEN, None)
    assert error.value.exit_code == 2
    assert Access(OPEN, TOKEN).asks
    assert not Access(LOOPBACK, None).asks


def test_the_token_of_a_file_is_its_owners_alone(tmp_path):
    file = tmp_path / "page.secret"
    file.write_text(f'token = "{TOKEN}"\n')
    os.chmod(file, 0o644)
    with pytest.raises(SettingError, match="chmod 600"):
        token(file, {})
    os.chmod(file, 0o600)
    assert token(file, {}) == TOKEN
    assert token(file, {"WORDSIGHT_WEB_TOKEN": "of-the-environment"}) == "of-the-environment"
    assert token(None, {}) is None
    with pytest.raises(SettingError, match="at least 16") as error:
        token(None, {"WORDSIGHT_WEB_TOKEN": "tooshort"})
    assert "tooshort" not in str(error.value)


@pytest.mark.parametrize(
    ("listens", "host", "known"),
    [
        (LOOPBACK, "127.0.0.1:8080", True),
        (LOOPBACK, "localhost", True),
        (LOOPBACK, "[::1]:9", True),
        (LOOPBACK, "plant.local", True),
        (LOOPBACK, "evil.org", False),  # a name that somebody points at 127.0.0.1
        (LOOPBACK, "10.0.0.5:8080", False),
        (LOOPBACK, "localhost:x", False),
        (LOOPBACK, "localhost/..", False),
        (LOOPBACK, "", False),
        (OPEN, "10.0.0.5:8080", True),
        (OPEN, "evil.org", False),
    ],
)
def test_names_it_is_known_by(listens, host, known):
    assert Access(listens, TOKEN, ("Plant.local",)).host_known(host) is known


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({}, True),
        ({"origin": "http://127.0.0.1:8080"}, True),
        ({"origin": "https://plant.local"}, True),
        ({"origin": "http://127.0.0.1:9999"}, False),
        ({"origin": "https://evil.org"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_where_a_change_may_come_from(headers, same):
    assert Access(LOOPBACK, None, ("plant.local",)).same_site({"host": "127.0.0.1:8080", **headers}) is same


def test_a_session_ends_and_cannot_be_made_up(monkeypatch):
    ours = Access(OPEN, TOKEN)
    cookie = ours.session(secure=True)
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Secure"} <= {part.strip() for part in cookie.split(";")}
    pair = cookie.partition(";")[0]
    assert ours.allowed({"cookie": f"other=1; {pair}"})
    assert not Access(OPEN, TOKEN + "x").allowed({"cookie": pair})
    name, _, value = pair.partition("=")
    until, _, signed = value.partition(".")
    assert not ours.allowed({"cookie": f"{name}={int(until) + 1}.{signed}"})
    assert not ours.allowed({"cookie": f"{name}=.{signed}"})
    monkeypatch.setattr(access.time, "time", lambda: int(until) + 1.0)
    assert not ours.allowed({"cookie": pair})
