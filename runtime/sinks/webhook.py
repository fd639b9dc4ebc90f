"""Events to an HTTP receiver, one POST each, signed, in order, until it has them.

    POST <url>
    Content-Type: application/json
    Idempotency-Key: <event_id>
    Wordsight-Timestamp: <seconds since 1970>
    Wordsight-Signature: v1=<hex of HMAC-SHA256(secret, timestamp + "." + body)>

2xx: it has the event. 408, 425, 429, 5xx, 3xx or no answer: the same event again, after a pause, which it may ask for
by Retry-After. Any other 4xx: it will never take this one, which is set aside.
"""

import email.utils
import hashlib
import hmac
import json
import math
import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from wordsight.runtime.errors import MissingPart, OutputError, SettingError
from wordsight.runtime.sinks.forward import Away, Forwarder, ForwardingSink, ForwardOptions
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.secrets import check_encrypted, secrets_of, variable
from wordsight.runtime.urls import masked

try:
    import httpx
except ModuleNotFoundError as error:
    raise MissingPart("sinks of type webhook need httpx", "pip install 'wordsight[webhook]'") from error

_LATER = (408, 425, 429)
_MOST_ANSWER_BYTES = 2**16
_TURN_S = 0.5


class WebhookOptions(ForwardOptions):
    """What a sink of type "webhook" can be told."""

    url: str = Field(description="where each event is posted to, https:// or http://, without user and password")
    ca: Path | None = Field(None, description="certificates of who may vouch for the receiver; without it the system's")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0 and masked(url) == url
        except ValueError:
            good = False
        if not good or "@" in parts.netloc or parts.fragment:
            raise ValueError("expected https://host/path or http://host/path, without user, password or key")
        return url


class Webhook(ForwardingSink):
    """The sink of type "webhook".

    Attributes:
        counts: "sent", events that the receiver took; those of the spool; "refused", events that it never will.
    """

    Options = WebhookOptions

    def __init__(
        self, options: WebhookOptions, context: SinkContext, environment: Mapping[str, str] | None = None
    ) -> None:
        """Open the spool, and begin to send what waits in it.

        Raises:
            OutputError: the spool or the certificates cannot be used.
            SettingError: there is no secret to sign with, or it would sign what goes without TLS.
        """
        self._options = options
        secret = secrets_of(
            context, options.credentials, ("secret",), os.environ if environment is None else environment
        ).get("secret")
        if not secret:
            raise SettingError(
                f'expected a secret to sign with: {variable(context.name)}_SECRET, or credentials = "FILE" with '
                f'secret = "..."'
            )
        parts = urlsplit(options.url)
        self._where = parts.netloc
        encrypted = parts.scheme == "https"
        check_encrypted(f"{parts.scheme}://{self._where}", parts.hostname or "", encrypted, options.unencrypted)
        self._secret = secret.encode()
        ca = None if options.ca is None else str(context.folder / options.ca)
        try:
            self._tls = ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise OutputError(f"cannot use the certificates {ca}: {(error.strerror or str(error)).lower()}") from error
        self._forward = Forwarder(context, options, self._deliver)
        self._forward.start()

    def _deliver(self, forward: Forwarder) -> None:
        # trust_env: a proxy of the environment would be given what is signed for somebody else.
        with httpx.Client(
            verify=self._tls, timeout=self._options.timeout_s, follow_redirects=False, trust_env=False
        ) as client:
            forward.spool.rewind()
            while not forward.done():
                lines = forward.spool.read(16)
                for number, line in lines:
                    if forward.done():
                        return
                    refused = self._post(client, line)
                    if refused is None:
                        self._sent += 1
                    else:
                        self._forward.aside.write(line, refused)
                    forward.passed(number)
                if not lines:
                    forward.pause(_TURN_S)

    def _post(self, client: httpx.Client, body: bytes) -> str | None:
        """Send one event; return why it is never taken, or None when it was.

        Raises:
            Away: it cannot be taken now.
        """
        try:
            identity = str(json.loads(body)["event_id"])
            identity.encode("ascii")
        except (ValueError, KeyError, TypeError):
            return "no event: the disk spoiled it"
        try:
            with client.stream(
                "POST", self._options.url, content=body, headers=_headers(self._secret, identity, body, time.time())
            ) as answer:
                status, after = answer.status_code, answer.headers.get("retry-after", "")
                _finish(answer, self._options.timeout_s)
        except httpx.HTTPError as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise Away(f"cannot reach {self._where}: {told}") from error
        if 200 <= status < 300:
            return None
        if 300 <= status < 400:
            raise Away(
                f"{self._where} answers with a redirect, {status}, which is not followed: give the address itself"
            )
        if 400 <= status < 500 and status not in _LATER:
            return f"{self._where} answers {status}"
        raise Away(f"{self._where} answers {status}", retry_after_s(after, time.time()))


def _headers(secret: bytes, identity: str, body: bytes, now_s: float) -> dict[str, str]:
    stamp = str(int(now_s))
    return {
        "Content-Type": "application/json",
        "User-Agent": "wordsight",
        "Idempotency-Key": identity,
        "Wordsight-Timestamp": stamp,
        "Wordsight-Signature": f"v1={signature(secret, stamp, body)}",
    }


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return what a receiver should find as signature, 64 hexadecimal digits; compare with `hmac.compare_digest`."""
    return hmac.new(secret, timestamp.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()


def retry_after_s(text: str, now_s: float) -> float:
    """Return the pause that a Retry-After asks for, by seconds or by date; 0 where it says nothing."""
    try:
        asked = float(text) if text.strip().isdigit() else email.utils.parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, asked) if math.isfinite(asked) else 0.0


def _finish(answer: httpx.Response, most_s: float) -> None:
    """Read a short answer to its end, so that the connection serves again; a long one is left."""
    end_s, left = time.monotonic() + most_s, _MOST_ANSWER_BYTES
    for piece in answer.iter_raw():
        left -= len(piece)
        if left < 0 or time.monotonic() >= end_s:
            return
