"""The engine without Ray: processes of this machine, a session each, every one given a shard at a time.

A worker that is killed is replaced and its shard begun again; one whose driver is gone ends by itself, since its pipe
closes.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from wordsight.runtime.archive.shards import Done
from wordsight.runtime.archive.worker import Task, Trouble, Worker
from wordsight.runtime.errors import ArchiveError, MissingPart
from wordsight.runtime.figures import usable_cores

TRIES = 3
"""How often a shard may end its worker."""
OnPictures = Callable[[int], None]


def run_here(task: Task, numbers: Iterable[int], on_pictures: OnPictures) -> Iterator[Done]:
    """Score shards in this process, one after the other.

    Raises:
        WordsightError: as `Worker.score`.
    """
    with closing(Worker(task)) as worker:
        for number in numbers:
            yield worker.score(number, on_pictures)


def run_processes(task: Task, numbers: Iterable[int], workers: int, on_pictures: OnPictures) -> Iterator[Done]:
    """Score shards in processes, in whichever order they are finished.

    Args:
        task: of every worker.
        numbers: of the shards.
        workers: how many processes.
        on_pictures: called with how many more pictures were looked at; fewer than none when a shard begins again.

    Raises:
        WordsightError: as `Worker.score`, or a shard ended its worker time and again.
    """
    waiting = deque(numbers)
    tries: dict[int, int] = {}
    running: list[_Process] = []
    try:
        while len(running) < min(workers, len(waiting)):
            running.append(_Process(task))
        while waiting or any(process.shard is not None for process in running):
            ready = set(wait([process.pipe for process in running]))
            for process in [process for process in running if process.pipe in ready]:
                try:
                    kind, value = process.pipe.recv()
                except (EOFError, OSError):
                    running.remove(process)
                    _ended(process, waiting, tries, on_pictures)
                    running.append(_Process(task))
                    continue
                if kind == "trouble":
                    raise value.again()
                if kind == "pictures":
                    process.seen += value
                    on_pictures(value)
                    continue
                if kind == "done":
                    process.shard, process.seen = None, 0
                    yield value
                if waiting:
                    process.give(waiting.popleft())
    finally:
        for process in running:
            process.end()


def _ended(process: "_Process", waiting: "deque[int]", tries: dict[int, int], on_pictures: OnPictures) -> None:
    """Put the shard of a worker that ended back, unless it ends every worker."""
    code = process.end()
    told = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    number = process.shard
    if number is None:
        number = -1  # it did not even begin
    else:
        waiting.appendleft(number)
        on_pictures(-process.seen)
    tries[number] = tries.get(number, 0) + 1
    if tries[number] >= TRIES:
        what = f"shard {number} ended its worker" if number >= 0 else "workers ended before they began"
        raise ArchiveError(
            f"{what} {TRIES} times ({told}): not enough memory? Try fewer --workers, or a smaller --batch; the same "
            "command goes on"
        )


def sized(task: Task, backend: str, workers: int | None, shards: int) -> tuple[Task, int]:
    """Return the task with the threads of its sessions, and how many workers there are: a core each, or one for a GPU.

    Args:
        task: its `threads` hold where they are said.
        backend: as asked for.
        workers: where it is said.
        shards: there are never more workers than these.
    """
    cores = usable_cores()
    if workers is None:
        workers = 1 if on_gpu(backend) else max(1, cores // (task.threads or 1))
    workers = min(workers, shards)
    return (task if task.threads else replace(task, threads=max(1, cores // workers))), workers


def on_gpu(backend: str) -> bool:
    """Say whether a backend, by its name, may run on a GPU of this machine."""
    if backend in ("auto", "ort"):
        try:
            from wordsight.runtime.backends.ort import listed

            return "CUDAExecutionProvider" in listed()
        except MissingPart:
            return False
    return backend.startswith(("tensorrt", "ort-cuda", "ort-tensorrt"))


class _Process:
    """A worker in a process of its own.

    Attributes:
        pipe: its messages.
        shard: what it works on.
        seen: pictures of that so far.
    """

    def __init__(self, task: Task) -> None:
        # Not forked: the threads of an engine do not survive that.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.shard: int | None = None
        self.seen = 0
        self._process = context.Process(target=_work, args=(task, theirs), daemon=True)
        self._process.start()
        theirs.close()  # or its end would not be noticed

    def give(self, number: int) -> None:
        self.shard = number
        try:
            self.pipe.send(number)
        except OSError:
            pass  # it has just ended, which its pipe tells next

    def end(self) -> int | None:
        """End the process; return its exit code."""
        self.pipe.close()
        self._process.join(0.2 if self.shard is not None else 2)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        return self._process.exitcode


def _work(task: Task, pipe: Connection) -> None:
    """Be a worker: until the driver closes the pipe, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver is told, and ends its workers

    def send(kind: str, value: Any) -> None:
        pipe.send((kind, value))

    try:
        with closing(Worker(task)) as worker:
            send("ready", None)
            while True:
                number = pipe.recv()
                send("done", worker.score(number, lambda count: send("pictures", count)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:
        try:
            send("trouble", Trouble.of(error))
        except OSError:
            return
