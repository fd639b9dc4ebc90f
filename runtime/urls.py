"""Addresses of streams, and how they are shown: never with a user name, a password or a key in them."""

import re

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt")
"""Kinds of stream that are opened."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# Cameras that take the password as a parameter, in the query or in the path.
_SECRET = re.compile(
    r"((?:pass(?:word|wd|phrase)?|pwd|user(?:name)?|usr|login|token|key|secret|auth)[\w-]*=)[^&;\s]*", re.IGNORECASE
)
# Properties of a GStreamer pipeline that hold a secret, unless a place is kept for it: user-pw={password}.
_PROPERTY = re.compile(
    r"""((?:[\w-]*pass(?:word|wd|phrase)?|user-(?:id|pw)|proxy-(?:id|pw)|token|key|secret)\s*=\s*)"""
    r"""(?!\{(?:user|password)\})(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s!]+)""",
    re.IGNORECASE,
)
# A URL within a sentence: up to the next space, without the sentence's own signs at its end.
_WITHIN = re.compile(r"""[a-z][a-z0-9+.-]*://\S+?(?=["'),.:;\]]*(?:\s|$))""", re.IGNORECASE)


def scheme_of(text: str) -> str | None:
    """Return the scheme of a URL in lower case, one of `SCHEMES` or not; None when `text` is no URL."""
    scheme = _SCHEME.match(text)
    return scheme.group(1).lower() if scheme else None


def masked(text: str) -> str:
    """Return `text` as it may be shown and stored.

    Everything between the scheme and the *last* at-sign is taken for credentials: a password may itself hold at-signs
    and slashes, and hiding a little too much of a path is the smaller harm. Parameters that are named like secrets
    lose their value. This holds for every scheme, also one that nothing here opens: it will be in an error message.
    Of a GStreamer pipeline ("gst:...") the addresses within it are masked, and the properties that hold a secret. Other
    text that is no URL is returned as it is.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _PROPERTY.sub(r"\1***", scrubbed(text)) if text[:4].lower() == "gst:" else text
    rest = text[scheme.end() :]
    _, at, host = rest.rpartition("@")
    return scheme.group(0) + ("***@" if at else "") + _SECRET.sub(r"\1***", host if at else rest)


def scrubbed(message: str) -> str:
    """Return a message with every URL in it masked, whoever wrote it."""
    return _WITHIN.sub(lambda url: masked(url.group(0)), message)
