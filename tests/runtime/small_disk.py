"""A disk that fills up."""

import contextlib
import subprocess
from pathlib import Path


class SmallDisk:
    """A disk of 4 MB of its own where that can be mounted; else the same folder with a limit on every file's size.

    The limit holds for this process and for those that it starts meanwhile.
    """

    def __init__(self, path):
        self.path = path
        path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
        try:
            self.mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            self.mounted = False

    def fill(self, left=0):
        """Leave room for so many bytes, rounded up to pages."""
        if self.mounted:
            with open(self.path / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(4096)):
                    pass
            with open(self.path / "filler", "rb+") as file:
                file.truncate(max(0, Path(file.name).stat().st_size - left))
            return
        self._limit(left, 0)

    def free(self, *processes):
        """Make room again, for this process and those."""
        if self.mounted:
            (self.path / "filler").unlink(missing_ok=True)
            return
        for process in (0, *processes):
            self._limit(None, process)

    def unmount(self):
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.path)], capture_output=True, check=True)

    @staticmethod
    def _limit(size, process):
        import resource

        hard = resource.prlimit(process, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
