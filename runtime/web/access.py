"""Who may look at the page, and what a request must be before anything looks at it.

Four guards, in this order: the name it was asked by (against DNS rebinding), the token, where the request comes from
(against other sites in the same browser), its size.
"""

import hashlib
import hmac
import ipaddress
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wordsight.runtime.config.secrets import read_secrets
from wordsight.runtime.errors import SettingError

VARIABLE = "WORDSIGHT_WEB_TOKEN"
COOKIE = "wordsight"
_SHORTEST = 16
_SESSION_S = 7 * 86_400
_SAFE = ("GET", "HEAD")


@dataclass(frozen=True)
class Address:
    """Where the page listens.

    Attributes:
        host: a name or an IP address, without brackets.
        port: 0 for any that is free.
    """

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return _is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """Read HOST:PORT.

    Raises:
        SettingError: it is none.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    good = colon and host and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65_536
    if not good or (":" in host) != bracketed or any(sign in host for sign in "/@ "):
        raise SettingError(f'expected an address such as "127.0.0.1:8080", got {text!r}')
    return Address(host, int(port))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def token(file: Path | None, environment: Mapping[str, str] | None = None) -> str | None:
    """Return the token: of the environment, or of a file `token = "..."` that only its owner can read; else None.

    Raises:
        SettingError: the file is absent, open to others or holds something else, or the token is short.
    """
    known = os.environ if environment is None else environment
    found = known.get(VARIABLE) or (None if file is None else read_secrets(file, ("token",))["token"])
    if found is not None and (len(found) < _SHORTEST or not found.isascii() or not found.isprintable()):
        raise SettingError(f"the page's token: expected at least {_SHORTEST} ASCII characters, got another")
    return found


class Access:
    """Says who may come in. Nothing of the token is in what it gives."""

    def __init__(self, listens: Address, token: str | None, names: tuple[str, ...] = ()) -> None:
        """Keep what it goes by.

        Args:
            listens: where the page is.
            token: that is asked for; None only on loopback.
            names: further hosts by which the page is asked for, such as that of a proxy.

        Raises:
            SettingError: others reach it, and there is no token.
        """
        if token is None and not listens.loopback:
            raise SettingError(
                f"the page at {listens} is open to other machines: set {VARIABLE}, or web_credentials to a file with "
                'token = "...", or listen at 127.0.0.1'
            )
        self._listens, self._token = listens, token
        self._names = {name.lower() for name in names}
        if not listens.loopback:
            self._names |= {listens.host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}

    @property
    def asks(self) -> bool:
        """Whether a token is asked for."""
        return self._token is not None

    def host_known(self, host: str) -> bool:
        """Whether `Host` names this page. An IP address cannot be another's name; on loopback it must be loopback."""
        name = _name(host)
        if name is None:
            return False
        if name in self._names or _is_loopback(name):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return not self._listens.loopback

    def same_site(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from the page itself, or from no browser."""
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https"):
            return False
        return parts.netloc.lower() == headers.get("host", "").lower() or (_name(parts.netloc) or "") in self._names

    def is_token(self, given: str) -> bool:
        """Whether this is the token, compared in constant time."""
        return self._token is not None and _same(given, self._token)

    def allowed(self, headers: Mapping[str, str]) -> bool:
        """Whether a request brings the token, or a cookie of who did."""
        return self._token is None or self.in_session(headers) or self.is_token(self.given(headers) or "")

    def given(self, headers: Mapping[str, str]) -> str | None:
        """Return the token that a request brings, right or wrong; None without one."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return given.strip() if scheme.lower() == "bearer" else None

    def in_session(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has the cookie of who gave the token."""
        for item in headers.get("cookie", "").split(";"):
            name, _, value = item.strip().partition("=")
            if name == COOKIE and self._is_session(value):
                return True
        return False

    def session(self, secure: bool) -> str:
        """Return the value of Set-Cookie for who gave the token. No path: a proxy's folder is the browser's to know."""
        until = str(int(time.time()) + _SESSION_S)
        told = f"{COOKIE}={until}.{self._signed(until)}; Max-Age={_SESSION_S}; HttpOnly; SameSite=Strict"
        return f"{told}; Secure" if secure else told

    def _is_session(self, value: str) -> bool:
        until, _, signed = value.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) <= 12):
            return False
        return _same(signed, self._signed(until)) and int(until) > time.time()

    def _signed(self, until: str) -> str:
        key = (self._token or "").encode()
        return hmac.new(key, f"wordsight page until {until}".encode(), hashlib.sha256).hexdigest()


def changes(method: str) -> bool:
    """Whether a request of this method may change something."""
    return method not in _SAFE


def _same(one: str, other: str) -> bool:
    # Of their hashes, so that not even the length shows.
    return hmac.compare_digest(hashlib.sha256(one.encode()).digest(), hashlib.sha256(other.encode()).digest())


def _name(host: str) -> str | None:
    """Return the host of HOST or HOST:PORT, lower case; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # it is a number, or this raises
        return None if parts.username is not None or parts.path or parts.query or parts.fragment else parts.hostname
    except ValueError:
        return None
