"""One run over an archive in a process of its own, timed shard by shard, with the memory and the cores that it takes.

Run as a module it is that process: what to do as JSON in, what was seen as JSON out.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wordsight.runtime.archive.shards import Done
from wordsight.runtime.archive.worker import Task
from wordsight.runtime.errors import ArchiveError

_EVERY_S = 0.5


@dataclass(frozen=True)
class Way:
    """How a run is done.

    Attributes:
        engine: "here" (this process alone), "local" or "ray".
        workers: processes or actors.
        cores: that it stays on; None: all.
    """

    engine: str
    workers: int
    cores: int | None = None


@dataclass
class Seen:
    """What was seen of a run.

    Attributes:
        ends: seconds since the start at which a shard was finished, each with the pictures done by then.
        whole_s: of the run, its start counted.
        cpu_s: that cores were busy; None where processes are not its own (Ray).
        memory: (pictures done, bytes resident in all of its processes), every half second.
    """

    ends: list[tuple[float, int]] = field(default_factory=list)
    whole_s: float = 0.0
    cpu_s: float | None = None
    memory: list[tuple[int, float]] = field(default_factory=list)

    def steady_rate(self, workers: int) -> float:
        """Pictures a second from when every worker has finished two shards to the last one: no start counts."""
        first = min(2 * workers, len(self.ends) - 2)
        (begin, before), (end, after) = self.ends[first], self.ends[-1]
        return (after - before) / (end - begin)


def timed(
    folder: Path, model: Path, way: Way, batch: int, on_pictures: Callable[[int], None] = lambda count: None
) -> Seen:
    """Score every shard of an archive whose listing is there, in a process of its own.

    Args:
        folder: of the archive.
        model: exported file.
        way: how.
        batch: pictures a pass.
        on_pictures: called with the number of pictures done so far, after each shard.

    Raises:
        ArchiveError: that process failed.
    """
    given = json.dumps({"folder": str(folder), "model": str(model), "way": asdict(way), "batch": batch})
    command = [sys.executable, "-m", __name__, given]
    if way.cores is not None:
        cores = sorted(os.sched_getaffinity(0))[: way.cores]
        command = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]
    last = ""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        for line in process.stdout or ():
            if line.strip().isdigit():
                on_pictures(int(line))
            else:
                last = line
        if process.wait():
            errors.seek(0)
            why = (errors.read().strip() or f"exit code {process.returncode}").splitlines()[-1]
            raise ArchiveError(f"the run with {way.engine} failed: {why[:300]}")
    told = json.loads(last)
    return Seen([tuple(end) for end in told["ends"]], told["whole_s"], told["cpu_s"],
                [tuple(at) for at in told["memory"]])  # fmt: skip


def _shards(way: Way, task: Task, numbers: list[int]) -> Iterator[Done]:
    from wordsight.runtime.archive.local import run_here, run_processes
    from wordsight.runtime.archive.ray_run import run_ray

    if way.engine == "here":
        return run_here(task, numbers, lambda count: None)
    if way.engine == "local":
        return run_processes(task, numbers, way.workers, lambda count: None)
    return run_ray(task, numbers, way.workers, None, "ort-cpu", lambda done: None)


def tree_bytes(pid: int) -> float:
    """Bytes resident in a process and all below it; memory that they share counts once each."""
    total, page = 0.0, os.sysconf("SC_PAGE_SIZE")
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        waiting += parents.get(one, [])
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * page
    return total


def main(given: str) -> None:
    """Run, and print what was seen."""
    from wordsight.runtime.archive.run_file import read_run

    told = json.loads(given)
    way, folder = Way(**told["way"]), Path(told["folder"])
    run = read_run(folder)
    task = Task(str(folder), told["model"], told["batch"], threads=1)
    seen = Seen()
    done, ended = 0, threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_S):
            seen.memory.append((done, tree_bytes(os.getpid())))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began = time.perf_counter()
    for item in _shards(way, task, list(range(run.shards))):
        done += item.scored + item.unreadable
        seen.ends.append((time.perf_counter() - began, done))
        print(done, flush=True)
    seen.whole_s = time.perf_counter() - began
    ended.set()
    watcher.join()
    seen.memory = [sample for sample in seen.memory if sample[0] < done] or seen.memory  # not of workers that end
    if way.engine != "ray":
        times = os.times()
        seen.cpu_s = times.user + times.system + times.children_user + times.children_system
    print(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main(sys.argv[1])
