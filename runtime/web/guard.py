"""What every request passes before a route sees it, and every answer on its way out, as plain ASGI."""

import base64
import hashlib
import html
import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

from wordsight.runtime.web.access import Access, changes
from wordsight.runtime.web.attempts import FREE, Attempts

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES: Final = 16_384
"""Bytes of a request's body at most."""
HEADER: Final = "x-wordsight"
"""A request that changes something must have it: no form and no other site can send it unasked."""

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;display:grid;place-content:center;min-height:90vh}"
    "form{display:grid;gap:.75rem;width:min(20rem,90vw)}input,button{font:inherit;padding:.5rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    "default-src 'none'; img-src 'self' blob:; script-src 'self'; style-src 'self'{style}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_ADDED: Final = [
    (name.encode(), value.encode())
    for name, value in {
        "cache-control": "no-store",
        "content-security-policy": _POLICY.format(style=""),
        **_HEADERS,
    }.items()
]


class Guard:
    """Lets those requests through to `app` that may come in."""

    def __init__(self, app: App, access: Access, say: Callable[[str], None]) -> None:
        """Keep what it goes by.

        Args:
            app: what is guarded.
            access: who may come in.
            say: told of what a route raised, to which the answer is 500 without a word of it; and of wrong tokens.
        """
        self._app, self._access, self._say = app, access, say
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = _with_headers(message.get("headers", []))
            await send(message)

        try:
            refused = await self._refused(scope, receive)
            if refused is None:
                await self._app(scope, receive, sent)
            else:
                await _answer(sent, *refused)
        except Exception as error:
            self._say(f"{type(error).__name__}: {error}")
            if not begun:
                await _answer(sent, 500, _json("something went wrong here; the line's log says what"))

    async def _refused(self, scope: Scope, receive: Receive) -> "tuple[int, _Body] | None":
        """Return the answer to a request that goes no further; None for one that does."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        access, method = self._access, scope["method"]
        if not access.host_known(headers.get("host", "")):
            return 400, _json("this page is not known by that name: see web_hosts in docs/page.md")
        login = scope["path"] == "/login" and access.asks and method == "POST"
        if not login and access.asks and not access.in_session(headers) and access.given(headers) is not None:
            wait_s = self._wait_s(scope, access.given(headers) or "")
            if wait_s:
                return _later(wait_s, _json)
        if not login and not access.allowed(headers):
            wants_page = method == "GET" and "text/html" in headers.get("accept", "")
            return 401, _form("") if wants_page else _json("a token is needed")
        if not changes(method):
            if scope["path"] == "/login" and access.asks:  # who is in by now, and loads the form's address again
                return 303, (b"", b"text/plain", [(b"location", b"./")])
            return None
        if not access.same_site(headers):
            return 403, _json("this request comes from another site")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:12]) > MOST_BYTES:
            return 413, _json(f"expected at most {MOST_BYTES} bytes")
        if login:
            return await self._login(scope, receive)
        if HEADER not in headers:
            return 403, _json(f"expected the header {HEADER}")
        return None

    async def _login(self, scope: Scope, receive: Receive) -> "tuple[int, _Body]":
        body = await read_body(receive)
        if body is None:
            return 413, _json(f"expected at most {MOST_BYTES} bytes")
        given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4).get("token", [""])[0]
        wait_s = self._wait_s(scope, given)
        if wait_s:
            return _later(wait_s, _form)
        if not self._access.is_token(given):
            return 401, _form("That is not the token.")
        cookie = self._access.session(secure=scope.get("scheme") == "https").encode()
        return 303, (b"", b"text/plain", [(b"location", b"./"), (b"set-cookie", cookie)])

    def _wait_s(self, scope: Scope, given: str) -> int:
        """Return for how many seconds no token of this address is looked at; 0 when this one was, and counted."""
        host = (scope.get("client") or ("unknown", 0))[0]
        wait_s = math.ceil(self._attempts.wait_s(host))
        if wait_s:
            return wait_s
        if self._access.is_token(given):
            self._attempts.right(host)
        elif self._attempts.wrong(host) == FREE:
            self._say(f"{FREE} wrong tokens in a row from {host}; each further one waits longer")
        return 0


_Body: TypeAlias = tuple[bytes, bytes, list[tuple[bytes, bytes]]]


async def read_body(receive: Receive) -> bytes | None:
    """Return the body of a request, or None when it is longer than `MOST_BYTES`."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _with_headers(given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    there = {name.lower() for name, _ in given}
    return [*given, *(header for header in _ADDED if header[0] not in there)]


def _json(told: str) -> _Body:
    return json.dumps({"error": told}).encode(), b"application/json", []


def _later(wait_s: int, body: "Callable[[str], _Body]") -> "tuple[int, _Body]":
    data, kind, headers = body(f"too many wrong tokens from this address: try again in {wait_s} s")
    return 429, (data, kind, [*headers, (b"retry-after", str(wait_s).encode())])


def _form(told: str) -> _Body:
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Wordsight</title>"
        f"<meta name=viewport content='width=device-width,initial-scale=1'><style>{_STYLE}</style>"
        "<main><form method=post action=login><h1>Wordsight</h1><label for=token>Token of this page</label>"
        "<input id=token name=token type=password autocomplete=current-password required autofocus>"
        f"<p role=alert>{html.escape(told)}</p><button>Enter</button></form></main></html>"
    )
    policy = _POLICY.format(style=f" 'sha256-{_STYLE_HASH}'").encode()
    return page.encode(), b"text/html; charset=utf-8", [(b"content-security-policy", policy)]


async def _answer(send: Send, status: int, body: _Body) -> None:
    data, kind, more = body
    headers = [(b"content-type", kind), (b"content-length", str(len(data)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
