"""One process at a time builds engines into a folder: several lines that start at once need the same one only once."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def only_builder(folder: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold a folder of engines while building into it; yields whether another process had it first.

    The lock lies on the folder itself, so nothing is left behind, and it ends with the process that holds it. Where a
    system or a file system has no such locks, two processes may build the same engine, and the later one's stays.

    Args:
        folder: there, and ours (`private_folder`).
        on_wait: called once before it waits.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        waited = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a network's file system without locks
            pass
        yield waited
    finally:
        os.close(descriptor)  # which unlocks
