"""Outputs that appear whole or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wordsight.train.errors import OutputError

__all__ = ["check_output_file", "is_pickle", "sha256_of", "whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes; it takes its place at `path` only when the block ends without an error.

    It grows under another name in the same folder, so a full disk or an interrupt leaves what was there before. A
    symbolic link is followed: what it points at is replaced, not the link.

    Raises:
        OSError: the disk is full, or the folder does not allow it; names `path`.
    """
    target = Path(os.path.realpath(path))
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".wordsight-", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)  # mkstemp makes files for their owner alone
        os.replace(part, target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)  # an error of `write()` names no file
        raise


def check_output_file(path: Path) -> None:
    """Raise OutputError unless `path` can become a file: before any work, not after it."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name the file to write in it")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist: make it first, or write elsewhere")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {path.parent} cannot be written to")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def is_pickle(path: Path) -> bool:
    """Whether a file begins as pickles or torch's zip archives do, and not as safetensors.

    safetensors begin with the length of their header in eight bytes, the lowest first, and one length in 32 begins as a
    pickle does; then comes the header's brace.
    """
    with path.open("rb") as file:
        start = file.read(9)
    return (start[:2] == b"PK" or start[:1] == b"\x80") and start[8:] != b"{"
