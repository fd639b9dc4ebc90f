"""Files that hold a secret: read only where nobody but their owner can."""

import os
import stat
from pathlib import Path

from wordsight.runtime.errors import SettingError

_MOST_BYTES = 2**16


def read_private(path: Path, what: str) -> bytes:
    """Return the beginning of a file that holds a secret, 64 KiB at most.

    Args:
        path: the file.
        what: it holds, for messages: "user and password".

    Raises:
        SettingError: it is absent, no plain file, open to others, or another user's; nothing of it is shown.
    """
    try:
        # Opened first, then looked at: what is checked is what is read.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise SettingError(f"{path}: expected a file with {what}, got no plain file")
            if found.st_mode & 0o077:
                raise SettingError(
                    f"{path} holds a secret and is open to others, mode {stat.S_IMODE(found.st_mode):04o}: "
                    f"chmod 600 {path}"
                )
            if found.st_uid not in (0, os.geteuid()):
                raise SettingError(f"{path} holds a secret and belongs to another user: chown it to who runs the line")
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise SettingError(f"cannot read the credentials {path}: {(error.strerror or str(error)).lower()}") from error
