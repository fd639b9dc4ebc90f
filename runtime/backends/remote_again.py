"""A server is asked again, while that may help and there is time.

What a frame's scores are is asked of a pure function, so that asking again is safe; it is done while the server is not
there or not ready, after pauses that grow, with jitter, within the deadline of the request.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from wordsight.runtime.backends.remote_address import RemoteAddress
from wordsight.runtime.backends.remote_settings import TOKEN, Token
from wordsight.runtime.backends.remote_wire import WireError
from wordsight.runtime.errors import NoAnswer

T = TypeVar("T")
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_JITTER = 0.5  # share of a pause, on either side: many lines do not come back in one moment


def again(
    attempt: Callable[[float], T],
    limit_s: float,
    address: RemoteAddress,
    token: Token,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Ask until there is an answer, for as long as asking again may help and there is time.

    Args:
        attempt: asks once, given the seconds that are left.
        limit_s: for all attempts and the pauses between them.
        address: for messages.
        token: read again when the server does not take it.
        clock: monotonic, in seconds.

    Raises:
        NoAnswer: there was none.
    """
    until = clock() + limit_s
    pause_s, renewed = _FIRST_PAUSE_S, False
    while True:
        try:
            return attempt(until - clock())
        except WireError as error:
            if error.why == "token" and not renewed and token.changed():
                renewed = True
                continue
            wait_s = pause_s * random.uniform(1 - _JITTER, 1 + _JITTER)
            if error.why not in ("unreachable", "changed") or clock() + wait_s >= until:
                raise NoAnswer(_told(address, error, limit_s)) from error
        time.sleep(wait_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _told(address: RemoteAddress, error: WireError, limit_s: float) -> str:
    if error.why == "token":
        return f"{address} takes no request with this token ({error.reason}): renew {TOKEN} or the token's file"
    if error.why in ("unreachable", "late"):
        return f"{address} gave no answer within {limit_s:g} s: {error.reason}"
    if error.why == "broken":
        return f"{address} gave no answer that can be trusted: {error.reason}"
    hint = "; ask for fewer frames at once, --batch" if "batch" in error.reason.lower() else ""
    return f"{address} refused the request: {error.reason}{hint}"
