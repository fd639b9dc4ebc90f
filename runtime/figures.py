"""Figures for machines: the one JSON shape that every command with `--json FILE` writes."""

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wordsight.runtime.files import whole_file

# Wheels whose version can change a figure. Asked of the metadata: importing torch to read a number costs seconds.
WHEELS = (
    "wordsight",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "torch",
    "open-clip-torch",
    "onnx",
)


@dataclass(frozen=True)
class Figure:
    """One number that a command found out, or the reason why it could not.

    Attributes:
        name: a name of the reference page, such as "auroc.s_pr".
        value: the number, finite; None when it cannot be had.
        unit: such as "ms"; empty for a bare ratio.
        low: lower end of the interval or spread.
        high: upper end.
        n: how many samples, seeds or runs it rests on.
        reason: why there is no value; given exactly when `value` is None.

    Raises:
        ValueError: a number that JSON cannot hold, or a missing or needless reason.
    """

    name: str
    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse what a reader of the file would stumble over."""
        for field in ("value", "low", "high"):
            number = getattr(self, field)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{self.name}: {field} is {number}; a figure is finite, or None with a reason")
        if (self.value is None) != (self.reason is not None):
            raise ValueError(f"{self.name}: a reason goes with value None, and only with it (value {self.value})")

    @classmethod
    def or_reason(cls, name: str, value: float | None, reason: str, unit: str = "", n: int | None = None) -> "Figure":
        """The number where it is there and finite, else the reason why it is not."""
        known = value is not None and math.isfinite(value)
        return cls(name, value if known else None, unit, n=n, reason=None if known else reason)

    def as_json(self) -> dict[str, Any]:
        """Return the object of the file; `reason` is there only when there is one."""
        return {key: value for key, value in asdict(self).items() if key != "reason" or value is not None}


def machine() -> dict[str, Any]:
    """Describe this machine: processor, cores, memory, system, Python and the wheels that matter, none imported."""
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "memory_gb": memory_gb(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}".strip(),
        "python": platform.python_version(),
        "versions": {name: version for name in WHEELS if (version := installed_version(name)) is not None},
    }


def write_figures(path: str | os.PathLike[str], command: str, figures: Iterable[Figure]) -> None:
    """Write `{"command", "machine", "figures"}` as JSON; the file appears whole or not at all.

    Args:
        path: the file; its folder must exist.
        command: the command line without its paths, such as "bench accuracy".
        figures: in the order in which they are to be read.
    """
    document = {"command": command, "machine": machine(), "figures": [figure.as_json() for figure in figures]}
    with whole_file(path, "w") as file:
        file.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def installed_version(wheel: str) -> str | None:
    """Return the version of an installed wheel, None when it is not there."""
    try:
        return importlib.metadata.version(wheel)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """Return the processor's name as the system states it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        # "model name" on x86, "Model" on Arm boards.
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def usable_cores() -> int:
    """Return the cores this process may use: fewer than the machine has, in a container or under taskset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_gb() -> float | None:
    """Return the machine's memory in GiB, None where the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
