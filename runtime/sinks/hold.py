"""One writer a file or folder: two that append to one file, or prune one folder, would undo each other's work."""

from wordsight.runtime.errors import OutputError


def hold(descriptor: int, what: object) -> None:
    """Keep every other sink and process from holding the same file or folder until the descriptor is closed.

    It is the system's own lock (flock), so that nothing is left behind by a process that dies. Where there is none, on
    some network file systems, nothing is held.

    Raises:
        OutputError: somebody else holds it.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(
            f"another sink or process writes {what}; stop it, or give each sink a place of its own"
        ) from error
    except OSError:
        return
