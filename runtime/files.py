"""Files that appear whole or not at all, and what a file is."""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from wordsight.runtime.errors import OutputError

# An error of `write()` names no file; these are the ones a full or failing disk gives.
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

PARTS = ".wordsight-*.part"
"""Names of files that are being written, as a pattern; after a power cut one may be left."""


@contextlib.contextmanager
def whole_file(
    path: str | os.PathLike[str], mode: Literal["wb", "w"] = "wb", *, durable: bool = True
) -> Iterator[IO[Any]]:
    """Open `path` for writing so that it appears whole or not at all.

    Writes go to a temporary file in the same folder, which takes the name of `path` when the block ends well and is
    removed when it does not: an older file then stays as it was. Text is UTF-8. A symbolic link is followed. A device
    or a pipe, such as /dev/stdout, has no old content to protect and is written directly.

    Args:
        path: the file to write; its folder must exist.
        mode: "wb" or "w".
        durable: wait until it is on the disk, to outlive a power cut; False for what is rewritten all the time.

    Yields:
        The open file.

    Raises:
        OSError: what the system answers (no space left, no permission), with the name of `path`.
    """
    # realpath: os.replace would otherwise put a file where a symbolic link was.
    target = Path(os.path.realpath(path))
    encoding = None if mode == "wb" else "utf-8"
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with _named(path), open(target, mode, encoding=encoding) as direct:
            yield direct
        return
    # Not derived from the target's name, which may already be as long as the file system allows.
    temporary = target.parent / PARTS.replace("*", secrets.token_hex(8))
    try:
        # 0o666 less the umask, as for any other new file; mkstemp's 0o600 would lock out the colleague next door.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with _named(path), open(descriptor, mode, encoding=encoding) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())  # a power cut must not leave the new name on empty blocks
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRORS and error.filename is None:
            error.filename = os.fspath(path)
        raise


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_stamp(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """Return inode, size and time of change in nanoseconds; None where there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def check_output_file(path: str | os.PathLike[str]) -> Path:
    """Say early whether a file can be written at `path`: its folder exists and it is no folder itself.

    Raises:
        OutputError: the reason and what to do.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"{target} is a folder; give the name of a file")
    parent = target.parent
    if not parent.is_dir():
        raise OutputError(f"cannot write {target}: {'not a folder' if parent.exists() else 'no such folder'}: {parent}")
    if not os.access(target if target.exists() else parent, os.W_OK):
        raise OutputError(f"cannot write {target}: permission denied")
    return target


def check_output_folder(path: str | os.PathLike[str]) -> Path:
    """Make the folder `path`, parents included, unless it is there already.

    Raises:
        OutputError: it is a file, or it cannot be made or written to.
    """
    target = Path(path)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        is_file = isinstance(error, (FileExistsError, NotADirectoryError))
        reason = "a file has that name" if is_file else (error.strerror or str(error)).lower()
        raise OutputError(f"cannot make the folder {target}: {reason}") from error
    if not os.access(target, os.W_OK):
        raise OutputError(f"cannot write into the folder {target}: permission denied")
    return target
