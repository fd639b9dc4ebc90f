"""Where the time of a request through a Triton server goes: Triton's own clocks, and the cores of every process."""

import json
import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wordsight.benchmarks.scale.triton_server import TritonServer
from wordsight.runtime.figures import Figure

CLOCKS = {
    "queue": "a request's wait for its pass, the server's clock",
    "compute_input": "the same for its frames to go to the model's process, over shared memory",
    "compute_infer": "the same for its pass, with the frames of others in it",
    "compute_output": "the same for its scores to come back",
}
"""Parts of a request, by the names of Triton's statistics."""
CORES = {
    "client": "of a core a frame: tritonclient and Python, all clients",
    "server": "of a core a frame: Triton itself, receiving, queueing, sending",
    "model": "of a core a frame: the model's process, ONNX Runtime in it",
}
MEANING = {f"request.{name}": text for name, text in CLOCKS.items()} | {
    f"core_ms.{name}": text for name, text in CORES.items()
}


@dataclass(frozen=True)
class Spent:
    """What had been counted at a moment, or between two.

    Attributes:
        frames: that were scored.
        passes: of the engine.
        requests: that were answered.
        ms: all requests together, by the names of `CLOCKS`.
        core_ms: by the names of `CORES`.
    """

    frames: int
    passes: int
    requests: int
    ms: dict[str, float]
    core_ms: dict[str, float]

    def __sub__(self, before: "Spent") -> "Spent":
        return Spent(
            self.frames - before.frames,
            self.passes - before.passes,
            self.requests - before.requests,
            {name: value - before.ms[name] for name, value in self.ms.items()},
            {name: value - before.core_ms[name] for name, value in self.core_ms.items()},
        )


def look(server: TritonServer, model: str) -> Spent:
    """Ask the server's statistics, and the operating system about its processes and this one, the client's."""
    with urllib.request.urlopen(f"http://{server.http}/v2/models/{model}/stats", timeout=60) as answer:
        told = json.load(answer)["model_stats"][0]
    clocks = {name: told["inference_stats"][name]["ns"] / 1e6 for name in CLOCKS}
    processes = _processes()
    cores = {
        "client": processes[os.getpid()][1],
        "server": processes[server.pid or 0][1],
        "model": sum(spent_ms for parent, spent_ms in processes.values() if parent == server.pid),
    }
    answered = int(told["inference_stats"]["success"]["count"])
    return Spent(int(told["inference_count"]), int(told["execution_count"]), answered, clocks, cores)


def figures(spent: Sequence[Spent]) -> list[Figure]:
    """Frames a pass, and means of a request's parts and a frame's cores, each with the least and most of all rounds."""
    frames, passes = sum(one.frames for one in spent), sum(one.passes for one in spent)
    found = [Figure("frames_per_pass", frames / passes, "frames", n=passes)]
    for name in CLOCKS:
        means = [one.ms[name] / one.requests for one in spent]
        total = sum(one.ms[name] for one in spent) / sum(one.requests for one in spent)
        found.append(Figure(f"request.{name}", total, "ms", min(means), max(means), len(means)))
    for name in CORES:
        means = [one.core_ms[name] / one.frames for one in spent]
        found.append(Figure(f"core_ms.{name}", sum(one.core_ms[name] for one in spent) / frames, "ms", min(means),
                            max(means), len(means)))  # fmt: skip
    return found


def _processes() -> dict[int, tuple[int, float]]:
    """Parent, and milliseconds of a core so far, of every process that may be seen."""
    tick_ms = 1000 / os.sysconf("SC_CLK_TCK")
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            found[int(entry.name)] = int(words[1]), tick_ms * (int(words[11]) + int(words[12]))
    return found
