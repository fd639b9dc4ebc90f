"""Peak memory of one configuration, in a process of its own, so that peaks do not mix.

Run as a module it is that process: model, backend, batch and threads in, one number out.
"""

import os
import subprocess
import sys
from pathlib import Path

from wordsight.runtime.errors import MissingPart
from wordsight.runtime.figures import Figure

_STATUS = Path("/proc/self/status")
_TIMEOUT_S = 600


def peak(name: str, path: Path, backend: str, batch: int, threads: int) -> Figure:
    """Most memory that opening a file and inferring three batches ever held resident, in MB of 1e6 bytes."""
    command = [sys.executable, "-m", __name__, str(path), backend, str(batch), str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Figure(name, None, "MB", reason=f"the process that measures it took over {_TIMEOUT_S} s")
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return Figure(name, None, "MB", reason=f"the process that measures it failed: {last[:200]}")
    return Figure(name, float(done.stdout) / 1e6, "MB", n=1)


def peak_bytes(status: Path = _STATUS) -> int:
    """The largest resident set of this process since it began its program.

    `getrusage` would not do: on Linux its number outlives exec, so a child starts with the peak of who started it.
    """
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def resident_bytes() -> int:
    """The resident set of this process now.

    Raises:
        MissingPart: a system without /proc.
    """
    if not _STATUS.is_file():
        raise MissingPart("the resident memory of a process is read from /proc", "use Linux")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> None:
    """Open, infer, print the peak in bytes."""
    import numpy as np

    from wordsight.runtime.backends import open_backend
    from wordsight.runtime.manifest import read_manifest

    path, backend, batch, threads = arguments[0], arguments[1], int(arguments[2]), int(arguments[3])
    manifest = read_manifest(path)
    with open_backend(backend, path, manifest, batch=batch, threads=threads) as engine:
        for _ in range(3):
            engine.infer(np.zeros((batch, *manifest.input.shape, 3), np.uint8))
    print(peak_bytes())


if __name__ == "__main__":
    main(sys.argv[1:])
