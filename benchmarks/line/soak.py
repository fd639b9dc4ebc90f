"""A line's file run for long with one healthy, one flapping and one offline camera: what grows, and what is lost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from wordsight.benchmarks import progress
from wordsight.benchmarks.children import running
from wordsight.benchmarks.line.cameras import Camera, closed_port
from wordsight.runtime.demo import demo_model
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.figures import Figure

FPS = 5.0
KEPT = 0.999
GROWTH_MB = 3.0
"""Most that memory may grow over a run by its slope: the allocator's own to and fro."""
SETTLED = 0.25
"""Share of the run at its start that is left out: caches and the allocator settle, the first reconnects open files."""
_START_S, _STOP_S = 120.0, 60.0
_LINES = """\
model = {model}
backend = "ort-cpu"
status = "status.json"
{lines}
[[sink]]
type = "jsonl"
path = "events.jsonl"

[[sink]]
type = "snapshots"
folder = "snapshots"
keep_bytes = "5 MB"
"""
_LINE = """
[[line]]
name = "{name}"
source = "{url}"
defect = 1.0
unsure = 0.9
stall_s = 30.0
give_up_s = 60.0
read_timeout_s = 30.0
"""


@dataclass(frozen=True)
class Sample:
    """The process at one moment.

    Attributes:
        at_s: since the first sample.
        resident_mb: memory, in MB of 1e6 bytes.
        files: open descriptors.
        threads: its threads.
    """

    at_s: float
    resident_mb: float
    files: int
    threads: int


@dataclass(frozen=True)
class Soak:
    """What a run showed.

    Attributes:
        seconds: of it, between first and last sample.
        samples: one a second.
        intervals_s: between the healthy camera's frames, by their capture stamps.
        sent: pictures that the healthy camera had sent when the status was asked for.
        status: the last one while it ran.
        states: every state that each line was seen in.
        exit_code: after SIGTERM.
        stopped_s: it took to end.
    """

    seconds: float
    samples: Sequence[Sample]
    intervals_s: Sequence[float]
    sent: int
    status: dict[str, Any]
    states: dict[str, set[str]]
    exit_code: int
    stopped_s: float
    errors: str = field(default="", repr=False)


def run(seconds: float, folder: Path) -> Soak:
    """Run `wordsight run --config` in a process of its own for so long, with a sample a second.

    Args:
        seconds: of the run, start not counted.
        folder: for the line's file and what it writes.

    Raises:
        WordsightError: the process ended by itself, or never started.
    """
    cameras = {"healthy": Camera(FPS), "flapping": Camera(FPS, up_s=7.0, down_s=3.0)}
    urls = {name: camera.url for name, camera in cameras.items()} | {"offline": closed_port()}
    lines = "".join(_LINE.format(name=name, url=url) for name, url in urls.items())
    (folder / "line.toml").write_text(_LINES.format(model=json.dumps(str(demo_model())), lines=lines))
    words = [sys.executable, "-m", "wordsight.runtime", "run", "--config", str(folder / "line.toml")]
    with contextlib.ExitStack() as ending:
        for camera in cameras.values():
            ending.callback(camera.close)
        log = ending.enter_context(open(folder / "log.txt", "w"))
        process = ending.enter_context(running(words, stdout=log, stderr=log))
        _wait_until_running(process, folder)
        samples, states = _watch(process, folder, seconds)
        sent = cameras["healthy"].sent
        status = _later(process, folder)
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(_STOP_S)
        stopped_s = time.monotonic() - began_s
    stamps = [
        datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()
        for event in map(json.loads, (folder / "events.jsonl").read_text().splitlines())
        if event.get("line") == "healthy" and "frame" in event
    ]
    intervals = np.diff(stamps).tolist()
    return Soak(samples[-1].at_s, samples, intervals, sent, status, states, code, stopped_s, _tail(folder))


def figures(soak: Soak) -> list[Figure]:
    """Slopes over the run's later part by least squares, growth of files and threads by medians, and what was kept."""
    settled = [sample for sample in soak.samples if sample.at_s >= SETTLED * soak.seconds]
    at = np.array([sample.at_s for sample in settled])
    slope = float(np.polyfit(at, [sample.resident_mb for sample in settled], 1)[0]) * 3600
    half = len(settled) // 2

    def growth(name: str) -> float:
        values = [getattr(sample, name) for sample in settled]
        return float(np.median(values[-half:]) - np.median(values[:half]))

    lines = {line["name"]: line for line in soak.status["lines"]}
    return [
        Figure("soak.seconds", soak.seconds, "s"),
        Figure("soak.memory_slope", slope, "MB/h", n=len(settled)),
        Figure("soak.memory", settled[-1].resident_mb, "MB", n=1),
        Figure("soak.files_growth", growth("files"), n=len(settled)),
        Figure("soak.threads_growth", growth("threads"), n=len(settled)),
        Figure("soak.kept_intervals", kept(soak.intervals_s, 1 / FPS), n=len(soak.intervals_s)),
        Figure("soak.longest_interval", 1000 * max(soak.intervals_s), "ms", n=len(soak.intervals_s)),
        Figure("soak.healthy_dropped", lines["healthy"]["dropped"], n=lines["healthy"]["frames"]),
        Figure("soak.flapping_reconnects", lines["flapping"]["reconnects"], n=1),
        Figure("soak.stop", soak.stopped_s, "s", n=1),
    ]


def kept(intervals_s: Sequence[float], period_s: float) -> float:
    """Share of the frames that came: a gap over two periods counts as the frames that should have been in it."""
    lost = sum(round(gap / period_s) - 1 for gap in intervals_s if gap > 2 * period_s)
    return len(intervals_s) / (len(intervals_s) + lost)


def faults(soak: Soak) -> list[str]:
    """What a line must not show, a sentence each; empty when all is well."""
    values = {figure.name: float(figure.value or 0) for figure in figures(soak)}
    told = []
    if values["soak.kept_intervals"] < KEPT:
        told.append(
            f"{values['soak.kept_intervals']:.2%} of the healthy camera's frames were kept, {KEPT:.1%} are asked"
        )
    for name in ("files", "threads"):
        if values[f"soak.{name}_growth"] > 0:
            told.append(f"{name} grew by {values[f'soak.{name}_growth']:g}")
    if values["soak.memory_slope"] * soak.seconds / 3600 > GROWTH_MB:
        told.append(f"memory grew by {values['soak.memory_slope']:.1f} MB an hour")
    if soak.exit_code:
        told.append(f"SIGTERM ended it with exit code {soak.exit_code}: {soak.errors}")
    return told


MEANING = {
    "soak.memory_slope": "least squares over the later three quarters",
    "soak.files_growth": "open descriptors: median of the last half of these less that of the first",
    "soak.threads_growth": "threads, likewise",
    "soak.kept_intervals": f"of the healthy camera's frames; target at least {KEPT}",
    "soak.longest_interval": f"the camera sends one each {1000 / FPS:.0f} ms",
    "soak.healthy_dropped": "frames that the engine had no time for",
    "soak.stop": "from SIGTERM to the end of the process",
}


def _wait_until_running(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise WordsightError(f"the line ended with exit code {process.returncode}: {_tail(folder)}")
        if (folder / "status.json").exists():
            lines = json.loads((folder / "status.json").read_text())["lines"]
            if any(line["name"] == "healthy" and line["frames"] for line in lines):
                return
        time.sleep(0.1)
    raise WordsightError(f"the line gave no frame of the healthy camera within {_START_S:g} s: {_tail(folder)}")


def _watch(
    process: "subprocess.Popen[bytes]", folder: Path, seconds: float
) -> tuple[list[Sample], dict[str, set[str]]]:
    samples: list[Sample] = []
    states: dict[str, set[str]] = {}
    began_s = time.monotonic()
    with progress.bar("soak, in seconds", int(seconds)) as tick:
        while not samples or samples[-1].at_s < seconds:
            if process.poll() is not None:
                raise WordsightError(f"the line ended with exit code {process.returncode}: {_tail(folder)}")
            samples.append(_sample(process.pid, time.monotonic() - began_s))
            for line in json.loads((folder / "status.json").read_text())["lines"]:
                states.setdefault(line["name"], set()).add(line["state"])
            tick()
            time.sleep(max(0.0, began_s + len(samples) - time.monotonic()))
    return samples, states


def _later(process: "subprocess.Popen[bytes]", folder: Path) -> dict[str, Any]:
    """Return a status that was begun after this call: the next one may be half written already."""
    until_s = time.monotonic() + _START_S
    seen: list[float] = []
    while len(seen) < 3:
        if process.poll() is not None or time.monotonic() > until_s:
            raise WordsightError(f"the line tells its status no more: {_tail(folder)}")
        status: dict[str, Any] = json.loads((folder / "status.json").read_text())
        if status["uptime_s"] not in seen:
            seen.append(status["uptime_s"])
        time.sleep(0.05)
    return status


def _sample(pid: int, at_s: float) -> Sample:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return Sample(at_s, resident, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))


def _tail(folder: Path) -> str:
    return " / ".join((folder / "log.txt").read_text(errors="replace").splitlines()[-4:])[:600]
