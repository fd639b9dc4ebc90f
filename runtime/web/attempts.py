"""Wrong tokens, counted by the address they come from: behind a few, each makes the next one wait longer."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FREE: Final = 5
"""Wrong ones in a row that cost nothing."""
LONGEST_S: Final = 60.0
_FORGET_S = 900.0
_MOST = 1000  # addresses that are remembered, the last ones


@dataclass
class _Seen:
    wrong: int = 0
    last_s: float = 0.0
    until_s: float = -math.inf


class Attempts:
    """Says how long an address is to wait; from one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nobody.

        Args:
            clock: monotonic, in seconds.
        """
        self._clock = clock
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def wait_s(self, host: str) -> float:
        """Return the seconds until a token is looked at again; 0: now."""
        seen = self._seen.get(_who(host))
        return 0.0 if seen is None else max(0.0, seen.until_s - self._clock())

    def wrong(self, host: str) -> int:
        """Take a wrong token; return how many it are in a row: 15 minutes without one, and they are forgotten."""
        now_s, who = self._clock(), _who(host)
        seen = self._seen.pop(who, _Seen())
        if now_s - seen.last_s > _FORGET_S:
            seen = _Seen()
        seen.wrong, seen.last_s = seen.wrong + 1, now_s
        if seen.wrong >= FREE:
            seen.until_s = now_s + min(LONGEST_S, 2.0 ** (seen.wrong - FREE))
        self._seen[who] = seen
        while len(self._seen) > _MOST:
            self._seen.popitem(last=False)
        return seen.wrong

    def right(self, host: str) -> None:
        """Take the right token."""
        self._seen.pop(_who(host), None)


def _who(host: str) -> str:
    """Return an address, or of IPv6 its /64: one machine has as many addresses there as it likes."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
