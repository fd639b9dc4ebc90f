"""A file in which every line is whole, whatever happens to the disk or the process."""

import contextlib
import os
import stat
from pathlib import Path

from wordsight.runtime.errors import OutputError
from wordsight.runtime.files import check_output_file


class WholeLines:
    """A file that is made anew with its first line: a run that comes to nothing leaves an older file alone.

    Attributes:
        length: bytes of whole lines.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Check that `path` can be written; nothing is opened yet.

        Raises:
            OutputError: no such folder, or it is a folder itself, or permission is lacking.
        """
        self._path: Path = check_output_file(path)
        self._descriptor: int | None = None
        self._regular = False
        self.length = 0

    def write(self, data: bytes) -> None:
        """Write whole lines, each with its end.

        Raises:
            OutputError: the disk is full or gone; the lines before stay, half of these does not.
        """
        try:
            descriptor = self._opened()
            written = 0
            while written < len(data):  # a nearly full disk takes a part first and complains at the next call
                written += os.write(descriptor, data[written:])
        except BaseException as error:  # an interrupt may fall between two parts of a line, too
            if self._regular and self._descriptor is not None:
                with contextlib.suppress(OSError):  # of a disk that is gone: what is torn is mended at the next start
                    os.ftruncate(self._descriptor, self.length)
                    os.lseek(self._descriptor, self.length, os.SEEK_SET)
            if not isinstance(error, OSError):
                raise
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot write {self._path}: {reason}; the lines before this one are whole") from error
        self.length += len(data)

    def begin(self) -> None:
        """Open the file, without a line, unless it is open already.

        Raises:
            OutputError: the disk is full or gone.
        """
        try:
            self._opened()
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {(error.strerror or str(error)).lower()}") from error

    def _opened(self) -> int:
        if self._descriptor is None:
            self._take(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
        assert self._descriptor is not None
        return self._descriptor

    def _take(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def close(self) -> None:
        """Close the file; harmless when it was never opened."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)
