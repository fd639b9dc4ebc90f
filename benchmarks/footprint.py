"""What the runtime costs before it scores anything: import time, help time, megabytes on disk."""

import os
import subprocess
import sys
import time
from pathlib import Path

from wordsight.benchmarks.timing import median
from wordsight.runtime.errors import SettingError, WordsightError
from wordsight.runtime.figures import Figure

MEANING = {
    "seconds.import_runtime": "`import wordsight.runtime` in a fresh process; fastest and slowest",
    "seconds.import_numpy": "of which `import numpy`, in fresh processes of its own",
    "count.training_modules": "torch, open_clip, torchvision, onnx among the modules then loaded; 0 is wanted",
    "seconds.help": "`wordsight --help`, process and all; fastest and slowest",
    "megabytes.environment": "files of the environment, 1 MB = 1,000,000 bytes",
}
_HEAVY = ("torch", "open_clip", "torchvision", "onnx")
_IMPORT = (
    "import sys, time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start, "
    f"sum(name in sys.modules for name in {_HEAVY}))"
)
_HELP = "import sys; sys.argv = ['wordsight', '--help']; from wordsight.runtime.cli import main; main()"


def measure(repeats: int = 9, environment: Path | None = None) -> list[Figure]:
    """Time fresh processes, one kind after the other in turn, and weigh an environment.

    Args:
        repeats: Processes of each kind; one more warms the disk's cache and is not counted.
        environment: A virtual environment, whose interpreter is then the one that is timed; None times this one.

    Raises:
        SettingError: The environment has no `bin/python` or no wordsight in it, or `repeats` is below 1.
        WordsightError: A timed process failed.
    """
    if repeats < 1:
        raise SettingError(f"--repeats must be at least 1, got {repeats}")
    python = _python(environment)
    imports, numpys, helps, heavy = [], [], [], 0
    for repeat in range(repeats + 1):
        seconds, count = _timed_import(python, "wordsight.runtime")
        alone, _ = _timed_import(python, "numpy")
        start = time.perf_counter()
        _run(python, _HELP)
        helped = time.perf_counter() - start
        heavy = max(heavy, count)
        if repeat:
            imports.append(seconds)
            numpys.append(alone)
            helps.append(helped)
    figures = [
        median("seconds.import_runtime", imports),
        median("seconds.import_numpy", numpys),
        Figure("count.training_modules", heavy, n=repeats),
        median("seconds.help", helps),
    ]
    if environment is None:
        figures.append(Figure("megabytes.environment", None, reason="pass --env DIR to weigh an environment"))
    else:
        figures.append(Figure("megabytes.environment", folder_bytes(environment) / 1e6, "MB"))
    return figures


def folder_bytes(folder: Path) -> int:
    """Bytes of all regular files below a folder; a file with several names counts once, links are not followed."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(root, name))
            identity = (status.st_dev, status.st_ino)
            if os.path.islink(os.path.join(root, name)) or identity in seen:
                continue
            seen.add(identity)
            total += status.st_size
    return total


def _python(environment: Path | None) -> str:
    if environment is None:
        return sys.executable
    for candidate in (environment / "bin" / "python", environment / "Scripts" / "python.exe"):
        if candidate.exists():
            return str(candidate.absolute())  # not resolved: the link is what makes it this environment's
    raise SettingError(f"--env takes a virtual environment, got {environment}, which has no bin/python")


def _timed_import(python: str, module: str) -> tuple[float, int]:
    seconds, heavy = _run(python, _IMPORT.format(module=module)).split()
    return float(seconds), int(heavy)


def _run(python: str, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if "No module named 'wordsight'" in done.stderr:
        raise SettingError(f"{python} belongs to an environment without wordsight: install it there first")
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise WordsightError(f"{python} failed with exit code {done.returncode} while being timed: {last}")
    return done.stdout
