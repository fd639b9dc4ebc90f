"""Tell systemd how the service does: a datagram to the socket it names, as sd_notify(3) describes."""

import os
import socket


def notify(*states: str) -> bool:
    """Send states such as "READY=1"; return whether anybody listens. Never raises: a supervisor is no condition."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(0.5)  # a supervisor that does not listen holds nobody up
            out.connect(address)
            out.sendall("\n".join(states).encode())
    except OSError:
        return False
    return True


def watchdog_s() -> float | None:
    """Return within how many seconds systemd wants a sign of life of this process; None where it wants none."""
    pid = os.environ.get("WATCHDOG_PID")
    if pid is not None and pid != str(os.getpid()):
        return None
    try:
        limit_s = int(os.environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None
    return limit_s if limit_s > 0 else None
