"""Where a model on a server is: grpc://host:8001/model, http://host:8000/model/2, and grpcs, https over TLS."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from wordsight.runtime.errors import SettingError
from wordsight.runtime.urls import masked, scheme_of

PORTS = {"grpc": 8001, "grpcs": 443, "http": 80, "https": 443}
"""Schemes of a model's address, and the port where it names none."""
_OIP = re.compile(r"(?P<base>.*?)/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?/?")
_SHORT = re.compile(r"/(?P<name>[^/]+)(?:/(?P<version>[^/]+))?/?")


@dataclass(frozen=True)
class RemoteAddress:
    """A model on a server that speaks the Open Inference Protocol.

    Attributes:
        scheme: "grpc", "grpcs", "http" or "https".
        host: name or number of the server; IPv6 without brackets.
        port: of the server.
        name: of the model.
        version: of the model; empty for the one that the server chooses.
        base: path before /v2 behind a gateway, as "/serving"; empty without one, and for gRPC.
    """

    scheme: str
    host: str
    port: int
    name: str
    version: str = ""
    base: str = ""

    @property
    def grpc(self) -> bool:
        """Whether it is asked over gRPC, else over HTTP."""
        return self.scheme.startswith("grpc")

    @property
    def tls(self) -> bool:
        """Whether what is sent is encrypted."""
        return self.scheme.endswith("s")

    @property
    def netloc(self) -> str:
        """Host and port: "host:8001", "[::1]:8001"."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether nothing leaves this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def server(self) -> str:
        """The server alone: "grpc://host:8001"."""
        return f"{self.scheme}://{self.netloc}{self.base}"

    def __str__(self) -> str:
        model = f"{self.name}/{self.version}" if self.version else self.name
        if self.base:
            model = f"v2/models/{self.name}" + (f"/versions/{self.version}" if self.version else "")
        return f"{self.server}/{model}"


def is_remote(model: object) -> bool:
    """Return whether a model is named by the address of a server, and not by a file."""
    return isinstance(model, RemoteAddress) or (isinstance(model, str) and scheme_of(model) in PORTS)


def parse_address(text: str) -> RemoteAddress:
    """Read an address: SCHEME://HOST[:PORT]/MODEL[/VERSION], or the protocol's own path, .../v2/models/MODEL.

    Raises:
        SettingError: it is none, or holds a user, a password or a key; none of that is shown.
    """
    shown, example = masked(text), "as grpc://host:8001/model or https://host/model/2"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingError(f"expected the address of a model, {example}, got {shown}: {error}") from None
    if parts.scheme not in PORTS or not host:
        raise SettingError(f"expected the address of a model, {example}, got {shown}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise SettingError(
            f"expected an address without user, password and query, got {shown}: "
            "a token comes from WORDSIGHT_REMOTE_TOKEN or a file"
        )
    found = _OIP.fullmatch(parts.path) or _SHORT.fullmatch(parts.path)
    if found is None:
        raise SettingError(f"expected the model's name, and no more than its version behind it, {example}, got {shown}")
    words = {key: unquote(value or "") for key, value in found.groupdict().items()}
    if not all(word.isprintable() and " " not in word for word in words.values()):
        raise SettingError(f"expected a model's name of printable characters, got {shown}")
    base = words.get("base", "")
    if base and parts.scheme.startswith("grpc"):
        raise SettingError(f"expected no path before the model's name over gRPC, got {shown}")
    return RemoteAddress(
        parts.scheme, host, PORTS[parts.scheme] if port is None else port, words["name"], words["version"], base
    )
