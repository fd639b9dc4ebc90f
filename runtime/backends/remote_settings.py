"""How a server is asked: time, trust, token, and what stands in for it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wordsight.runtime.backends.remote_address import RemoteAddress
from wordsight.runtime.errors import SettingError
from wordsight.runtime.private_file import read_private

TOKEN = "WORDSIGHT_REMOTE_TOKEN"
"""The environment variable of the bearer token."""
LONGEST_S = 600.0
LINE_DEADLINE_S = 2.0
"""Time for one request of a line, where its file does not say it."""
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RemoteSettings:
    """How a server is asked.

    Attributes:
        deadline_s: time for one request, attempts and pauses between them included.
        ca: PEM file of the authorities that are trusted; None for the system's.
        token_file: the bearer token, in a file that only its owner can read; the environment comes before it.
        manifest: an exported file or a manifest as JSON, for servers that do not tell their model's.
        expect_sha256: of the exported file that the server must serve.
        fallback: an exported file that scores here while the server gives no answer.
        any_fallback: whether the fallback may be another file than the server's; its scores are then trusted to mean
            the same.

    Raises:
        SettingError: a deadline out of range, or no SHA-256.
    """

    deadline_s: float = 10.0
    ca: Path | None = None
    token_file: Path | None = None
    manifest: Path | None = None
    expect_sha256: str | None = None
    fallback: Path | None = None
    any_fallback: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.deadline_s <= LONGEST_S:
            raise SettingError(
                f"expected a deadline of up to {1000 * LONGEST_S:g} milliseconds, above 0, "
                f"got {1000 * self.deadline_s:g}"
            )
        if self.expect_sha256 is not None and not _SHA256.fullmatch(self.expect_sha256):
            raise SettingError(
                f"expected the SHA-256 of a model, 64 lower-case hexadecimal digits, got {self.expect_sha256!r}"
            )
        if self.any_fallback and self.expect_sha256 is None and self.fallback is not None:
            raise SettingError(
                "any_fallback lets another file stand in for the server's: say which one the server must have, "
                "expect_sha256"
            )


class Token:
    """A bearer token: read when it is asked for, read again when the server refuses it, shown nowhere."""

    def __init__(self, file: Path | None, address: RemoteAddress, environment: Mapping[str, str] | None = None) -> None:
        """Read it.

        Args:
            file: see `RemoteSettings.token_file`.
            address: where it would be sent.
            environment: that of the process.

        Raises:
            SettingError: it cannot be read, or would be sent unencrypted to another machine.
        """
        self._file = file
        self._environment = os.environ if environment is None else environment
        self._value = self._read()
        if self._value and not address.tls and not address.loopback:
            raise SettingError(
                f"a token would go unencrypted to {address.server}: use {'grpcs' if address.grpc else 'https'}, "
                f"or leave {TOKEN if self._environment.get(TOKEN) else self._file} out"
            )

    @property
    def header(self) -> dict[str, str]:
        """What is sent with each request."""
        return {"authorization": f"Bearer {self._value}"} if self._value else {}

    def changed(self) -> bool:
        """Read it again; return whether there is another one now."""
        before = self._value
        try:
            self._value = self._read()
        except SettingError:
            return False  # half written, or gone for the moment: the old one may be right again
        return self._value != before

    def scrub(self, text: str) -> str:
        """Return a text without it: a server may put it into its answer."""
        return text.replace(self._value, "***") if self._value else text

    def _read(self) -> str:
        given = self._environment.get(TOKEN, "").strip()
        place = TOKEN
        if not given and self._file is not None:
            given, place = _file_token(self._file), str(self._file)
        if given and not _TOKEN.fullmatch(given):
            raise SettingError(f"{place}: expected one token of printable ASCII without spaces")
        return given


def _file_token(path: Path) -> str:
    text = read_private(path, "a token").decode("ascii", "replace").strip()
    if not text:
        raise SettingError(f"{path}: expected a token, got an empty file")
    return text
