"""Addresses of streams, and how they are shown: never with a user name, a password or a key in them."""

import re

_SCHEME = re.compile(r"^(rtsp|rtsps|rtmp|rtmps|http|https|udp|tcp|rtp|srt)://", re.IGNORECASE)
# Cameras that take the password as a parameter, in the query or in the path.
_SECRET = re.compile(
    r"((?:pass(?:word|wd|phrase)?|pwd|user(?:name)?|usr|login|token|key|secret|auth)[\w-]*=)[^&;\s]*", re.IGNORECASE
)


def is_url(text: str) -> bool:
    """Say whether `text` is the address of a stream."""
    return _SCHEME.match(text) is not None


def masked(text: str) -> str:
    """Return `text` as it may be shown and stored.

    Everything between the scheme and the *last* at-sign is taken for credentials: a password may itself hold at-signs
    and slashes, and hiding a little too much of a path is the smaller harm. Parameters that are named like secrets
    lose their value. Text that is no URL is returned as it is.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text
    rest = text[scheme.end() :]
    _, at, host = rest.rpartition("@")
    return scheme.group(0) + ("***@" if at else "") + _SECRET.sub(r"\1***", host if at else rest)
